package view

import (
	"encoding/json"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/lineview"
	"bolwerk/internal/publish"
	"bolwerk/internal/store/storetest"
	"bolwerk/internal/vault"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func row(subscriber string, began, seen int, change ...func(*session.Held)) session.Held {
	h := session.Held{Identity: session.Identity{Subscriber: subscriber}, Source: session.Radius, NAS: "bng1", Session: subscriber, Prefix: netip.MustParsePrefix("198.51.100.7/32"),
		Start: noon.Add(time.Duration(began) * time.Minute), Seen: noon.Add(time.Duration(seen) * time.Minute)}
	for _, f := range change {
		f(&h)
	}
	return h
}

func stopped(h *session.Held) { h.Ended, h.Until = session.Stopped, h.Seen }

func TestADoubtIsNobody(t *testing.T) {
	p := netip.MustParsePrefix("198.51.100.7/32")
	all := []session.Held{}
	for _, c := range []struct {
		name   string
		prefix netip.Prefix
		same   []session.Held
		within []session.Held
		want   string
	}{
		{"nobody is known", p, all, nil, ""},
		{"one who has it", p, []session.Held{row("anna", -20, -5)}, nil, "anna"},
		{"who had it before is gone", p, []session.Held{row("anna", -20, -5), row("bert", -60, -30, stopped)}, nil, "anna"},
		{"who had it before never hung up", p, []session.Held{row("anna", -20, -5), row("bert", -60, -30)}, nil, "anna"},
		{"who had it before was seen later", p, []session.Held{row("anna", -20, -5), row("bert", -60, -10)}, nil, ""},
		{"two began in one second", p, []session.Held{row("anna", -20, -5), row("bert", -20, -20)}, nil, ""},
		{"one of two that began in one second is gone", p, []session.Held{row("bert", -20, -20, stopped), row("anna", -20, -5)}, nil, "anna"},
		{"it is over", p, []session.Held{row("anna", -20, -5, stopped)}, nil, ""},
		{"the access server began anew", p, []session.Held{row("anna", -20, -5, func(h *session.Held) { h.Ended = session.Restarted })}, nil, ""},
		{"no sign of life for three intervals", p, []session.Held{row("anna", -200, -46)}, nil, ""},
		{"not named", p, []session.Held{row("", -20, -5)}, nil, ""},
		{"a lease", p, []session.Held{row("anna", -20, -5, func(h *session.Held) { h.Source = session.Lease })}, nil, ""},
		{"shared", p, []session.Held{row("anna", -20, -5, func(h *session.Held) { h.Ports = session.Ports{First: 1024, Last: 2047} })}, nil, ""},
		{"behind a translator", netip.MustParsePrefix("100.64.0.7/32"), []session.Held{row("anna", -20, -5)}, nil, ""},
		{"a part is somebody else's", netip.MustParsePrefix("2001:db8::/56"), []session.Held{row("anna", -20, -5)}, []session.Held{row("bert", -9, -5)}, ""},
		{"a part is their own", netip.MustParsePrefix("2001:db8::/56"), []session.Held{row("anna", -20, -5)}, []session.Held{row("anna", -20, -5)}, "anna"},
	} {
		r := rules{now: noon, interim: 15 * time.Minute}
		h, until, ok := r.holder(c.prefix, c.same, c.within)
		if got := h.Subscriber; ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s: %q (%v), want %q", c.name, got, ok, c.want)
		}
		if ok && !until.Equal(h.Seen.Add(45*time.Minute)) {
			t.Errorf("%s: until %s", c.name, until)
		}
	}
}

// desk is a desk with nobody on line.
func desk(t *testing.T) (*Views, *who.Who, *publish.Desk, *clock.Fake) {
	t.Helper()
	c := clock.NewFake(noon)
	db := storetest.Open(t, c, audit.Schema(), publish.Schema(), who.Schema(), Schema())
	keys := func() *vault.Vault {
		v, err := vault.Open(t.TempDir(), c)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	cfg := who.DefaultConfig()
	cfg.Interim = bolwerk.Duration(15 * time.Minute)
	w, p := who.New(cfg, db, keys(), c, slog.New(slog.DiscardHandler), nil), publish.New(db, "isp")
	return New(DefaultConfig(), cfg.Interim.D(), db, w, p, keys(), c, slog.New(slog.DiscardHandler)), w, p, c
}

func take(t *testing.T, w *who.Who, kind session.Kind, subscriber, id string, at time.Time, nets ...string) {
	t.Helper()
	r := session.Record{Kind: kind, Source: session.Radius, NAS: "bng1", Session: id, Identity: session.Identity{Subscriber: subscriber}, At: at, Lasted: -1}
	for _, n := range nets {
		r.Prefixes = append(r.Prefixes, netip.MustParsePrefix(n))
	}
	if err := w.Take(t.Context(), []session.Record{r}); err != nil {
		t.Fatal(err)
	}
}

// told is what the copy says, by prefix.
func told(t *testing.T, p *publish.Desk) map[string]string {
	t.Helper()
	out := map[string]string{}
	if err := p.Snapshot(t.Context(), Copy, func(copy.Head) error { return nil }, func(e copy.Entry) error {
		var l lineview.Line
		if err := json.Unmarshal(e.Body, &l); err != nil {
			return err
		}
		if out[e.ID] = l.View; e.ID != lineview.Alive && (l.Prefix.String() != e.ID || e.Until == 0) {
			t.Errorf("entry %s: %s until %d", e.ID, e.Body, e.Until)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAChoiceActsOnTheSessionThatIsOpen(t *testing.T) {
	v, w, p, c := desk(t)
	take(t, w, session.Start, "anna", "1", noon, "198.51.100.7/32", "2001:db8:0:100::/56")
	take(t, w, session.Start, "bert", "2", noon, "198.51.100.8/32")
	if got := told(t, p); len(got) != 1 || got[lineview.Alive] != "" { // but that accounting comes in
		t.Fatalf("%v is told though nobody chose", got)
	}
	choice, err := v.Set(t.Context(), bolwerk.Socket(), "anna", "opt_out", time.Time{}, "asked for it")
	if err != nil || len(choice.Lines) != 2 {
		t.Fatalf("%+v, %v; want two lines", choice, err)
	}
	take(t, w, session.Interim, "anna", "1", noon.Add(time.Second), "198.51.100.7/32")
	if got := told(t, p); got["198.51.100.7/32"] != "opt_out" || got["2001:db8:0:100::/56"] != "opt_out" || len(got) != 3 {
		t.Errorf("told %v, want both lines and that accounting comes in", got)
	}
	if all, err := v.List(t.Context(), 10); err != nil || len(all) != 1 || all[0].Subscriber != "anna" || len(all[0].Lines) != 2 {
		t.Errorf("listed %+v, %v", all, err)
	}
	// Taken back: at once, too.
	if _, err := v.Set(t.Context(), bolwerk.Socket(), "anna", "default", time.Time{}, ""); err != nil {
		t.Fatal(err)
	}
	if got := told(t, p); len(got) != 1 {
		t.Errorf("told %v after it was taken back", got)
	}
	// One with an end goes by itself, also in another month.
	if _, err := v.Set(t.Context(), bolwerk.Socket(), "bert", "opt_in", noon.AddDate(0, 0, 6), ""); err != nil {
		t.Fatal(err)
	}
	c.Add(6 * 24 * time.Hour)
	if err := v.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all, err := v.List(t.Context(), 10); err != nil || len(all) != 1 {
		t.Errorf("%v, %v: in its last moment it is there", all, err)
	}
	c.Add(time.Second)
	if err := v.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all, err := v.List(t.Context(), 10); err != nil || len(all) != 0 || len(told(t, p)) != 1 {
		t.Errorf("listed %v, told %v, %v: it is over", all, told(t, p), err)
	}
}

func TestTheViewMovesWithTheSubscriber(t *testing.T) {
	v, w, p, _ := desk(t)
	if _, err := v.Set(t.Context(), bolwerk.Socket(), "anna", "opt_in", time.Time{}, ""); err != nil {
		t.Fatal(err)
	}
	at := noon.Add(-time.Minute)
	next := func() time.Time { at = at.Add(time.Second); return at }
	take(t, w, session.Start, "anna", "1", next(), "198.51.100.7/32")
	take(t, w, session.Start, "anna", "2", next(), "198.51.100.8/32")
	if got := told(t, p); got["198.51.100.7/32"] != "opt_in" || got["198.51.100.8/32"] != "opt_in" {
		t.Errorf("told %v", got)
	}
	take(t, w, session.Stop, "anna", "1", next()) // without an address
	if got := told(t, p); got["198.51.100.7/32"] != "" || got["198.51.100.8/32"] != "opt_in" {
		t.Errorf("told %v after the Stop of one", got)
	}
	take(t, w, session.Start, "bert", "3", next(), "198.51.100.8/32") // her Stop got lost
	if got := told(t, p); got["198.51.100.8/32"] != "" {
		t.Errorf("told %v: bert has what anna had", got)
	}
	take(t, w, session.Start, "anna", "4", next(), "198.51.100.9/32")
	take(t, w, session.On, "", "", next())
	if got := told(t, p); got["198.51.100.9/32"] != "" {
		t.Errorf("told %v after the access server began anew", got)
	}
}

func TestAViewIsRefused(t *testing.T) {
	v, _, _, _ := desk(t)
	for _, c := range []struct {
		subscriber, view string
		until            time.Time
	}{{"", "opt_out", time.Time{}}, {"anna", "all", time.Time{}}, {"anna", "opt_out", noon}} {
		if _, err := v.Set(t.Context(), bolwerk.Socket(), c.subscriber, c.view, c.until, ""); err == nil {
			t.Errorf("%q %q until %s was taken", c.subscriber, c.view, c.until)
		}
	}
}

// A silence that was made shorter holds with the next accounting, not once the longer one
// is over.
func TestAShorterSilenceHoldsAtOnce(t *testing.T) {
	v, w, p, c := desk(t)
	alive := func() (until time.Time) {
		t.Helper()
		if err := p.Snapshot(t.Context(), Copy, func(copy.Head) error { return nil }, func(e copy.Entry) error {
			if e.ID == lineview.Alive {
				until = time.UnixMicro(e.Until).UTC()
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return until
	}
	for _, silence := range []time.Duration{time.Hour, 2 * time.Minute} {
		v.cfg.Silence = bolwerk.Duration(silence)
		c.Add(time.Second)
		take(t, w, session.Interim, "anna", "a1", c.Now(), "198.51.100.7/32")
		if got, want := alive(), c.Now().Add(silence); !got.Equal(want) {
			t.Errorf("with a silence of %s accounting is alive until %s, want %s", silence, got, want)
		}
	}
}
