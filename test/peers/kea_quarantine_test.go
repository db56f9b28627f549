//go:build peers

package peers

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/job"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
	"bolwerk/internal/vault"
)

// keaQuarantine puts the customer of a device into quarantine by a desk that runs, with
// accounting that names the device, and lets them out: on line, and after they have gone.
func keaQuarantine(t *testing.T, p enforce.Port, mac net.HardwareAddr, normal, inGarden func()) {
	t.Helper()
	c, log := clock.New(), slog.New(slog.DiscardHandler)
	db := storetest.Open(t, c, audit.Schema(), job.Schema(), account.Schema(), desk.Schema(), who.Schema(), quarantine.Schema())
	keys, err := vault.Open(t.TempDir(), c)
	if err != nil {
		t.Fatal(err)
	}
	w := who.New(who.DefaultConfig(), db, keys, c, log, nil)
	cfg := quarantine.DefaultConfig()
	cfg.Mode = "on"
	yes := func(string) bool { return true }
	d := quarantine.New(cfg, quarantine.Parts{DB: db, Clock: c, Log: log, Keys: keys, Who: w, Cases: noCases{}, Port: p, Proved: yes, Stays: yes})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	defer func() { stop(); <-ended }()
	duty := account.Person{ID: "01900000-0000-7000-8000-000000000002", Login: "omar", Role: account.DutyOfficer, State: account.Active, By: account.BySession, Exempt: true, Proved: c.Now()}
	accounting := func(kind session.Kind) {
		t.Helper()
		if err := w.Take(t.Context(), []session.Record{{Kind: kind, Source: session.Radius, NAS: "kea1", Session: "s1", Identity: session.Identity{Subscriber: "anna", Calling: mac.String()},
			Prefixes: []netip.Prefix{netip.MustParsePrefix("10.77.0.100/32")}, At: c.Now(), Lasted: 0}}); err != nil {
			t.Fatal(err)
		}
	}
	until := func(id string, want quarantine.State) {
		t.Helper()
		var q quarantine.Row
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if q, err = d.Row(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if q.State == want {
				return
			}
		}
		v, _ := d.Show(t.Context(), id)
		t.Fatalf("the quarantine is %s, want %s: %+v", q.State, want, v.Lines)
	}
	for i, gone := range []bool{false, true} {
		accounting(session.Start)
		var q quarantine.Row
		if err := db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
			of, _, err := desk.OpenCase(tx, "abuse", []string{"one", "two"}[i])
			if err != nil {
				return err
			}
			a := quarantine.About{CaseID: of.ID, Class: "malicious-code/infected-system", Who: session.Identity{Subscriber: "anna"}, One: true, Solid: 2, Feed: "feed"}
			q, _, err = d.Ask(tx, &duty, a, quarantine.Wish{Profile: enforce.Leaky, Why: quarantine.Why{Threat: "t", Necessity: "n", Proportion: "p"}})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		until(q.ID, quarantine.Active)
		inGarden()
		if gone {
			accounting(session.Stop)
			until(q.ID, quarantine.Active)
		}
		if _, err := d.Release(t.Context(), duty, q.ID, false, "clean"); err != nil {
			t.Fatal(err)
		}
		until(q.ID, quarantine.Released)
		normal()
	}
}

type noCases struct{}

func (noCases) Evidence(*store.Tx, string) ([]garden.Seen, string, string, error) {
	return nil, "", "", nil
}
func (noCases) Happened(*store.Tx, quarantine.Row, string, string, bolwerk.Actor, string) error {
	return nil
}
func (noCases) Shown(*store.Tx, string) error                   { return nil }
func (noCases) Tested(*store.Tx, string) (garden.Tested, error) { return garden.Tested{}, nil }
func (noCases) AskTest(*store.Tx, string, bolwerk.Actor) error  { return nil }
