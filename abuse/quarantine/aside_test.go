package quarantine

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

// two are two lines at one access server, in quarantine.
func two(t *testing.T) (h *house, anna, bert Row) {
	t.Helper()
	h = open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	h.session(session.Start, "bert", "s2", "192.0.2.18/32", noon.Add(-time.Hour))
	return h, h.in("anna"), h.in("bert")
}

// What cannot be read of one line holds up no order for another, and its own way back
// goes to the session that went in.
func TestAnOrderThatCannotBeMadeHoldsUpNoOther(t *testing.T) {
	h, anna, bert := two(t)
	h.spoil("who_sealed", []byte("spoilt"), anna.ID)
	h.settled()
	h.want(bert.ID, Active)
	h.want(anna.ID, Applying)
	if v, _ := h.Show(t.Context(), anna.ID); len(v.Lines) != 1 || v.Lines[0].Code != broken || !v.Lines[0].Due.Equal(noon.Add(asideTime)) {
		t.Errorf("her line: %+v, want it tried again in a while", v.Lines)
	}
	h.net.has["s1"] = enforce.Leaky // by a login, say
	for _, q := range []Row{anna, bert} {
		if _, err := h.Release(t.Context(), agent, q.ID, false, "clean"); err != nil {
			t.Fatal(err)
		}
	}
	h.settled()
	h.want(bert.ID, Released)
	h.want(anna.ID, Released)
	if h.net.has["s1"] != enforce.Normal || h.net.has["s2"] != enforce.Normal {
		t.Errorf("the network has %v", h.net.has)
	}
}

// More quarantines fail than a sweep looks at, and others end all the same: by time, by
// their case, by a release of many.
func TestAStepThatFailsHoldsUpNoOther(t *testing.T) {
	for name, end := range map[string]func(h *house, bert Row) error{
		"time": func(h *house, bert Row) error { h.clock.Add(bert.Until.Sub(noon)); return nil },
		"case": func(h *house, bert Row) error {
			return h.db.Write(h.t.Context(), store.Decision, func(tx *store.Tx) error {
				_, err := tx.Exec(`update desk_case set state='closed'`)
				return err
			})
		},
		"many": func(h *house, bert Row) error {
			_, err := h.ReleaseAll(h.t.Context(), agent, "", "", "a wrong feed")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, anna, bert := two(t)
			h.settled()
			var bad []string
			if err := h.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
				for i := range someSwept + 5 {
					bad = append(bad, fmt.Sprintf("0-%02d", i))
					if _, err := tx.Exec(`insert into abuse_quarantine(`+columns+`) select $1,$2,`+strings.TrimPrefix(columns, "id,ref,")+` from abuse_quarantine where id=$3`, bad[i], bad[i], anna.ID); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			h.spoil("asked_by", "nobody", bad...)
			h.spoil("until", store.Micros(bert.Until.Add(-time.Second)), bad...)
			if err := end(h, bert); err != nil {
				t.Fatal(err)
			}
			h.settled()
			h.want(bert.ID, Released)
			h.want(anna.ID, Released)
			if name == "many" {
				if c, err := h.Campaigns(t.Context(), 1); err != nil || c[0].Done() {
					t.Errorf("%+v, %v: done, while some are inside", c, err)
				}
			}
			// What was wrong with them is mended: they are not forgotten.
			h.spoil("asked_by", agent.Actor().String(), bad...)
			h.clock.Add(asideTime)
			h.settled()
			for _, id := range bad {
				h.want(id, Released)
			}
		})
	}
}

// A case that cannot be told of it holds up no release.
func TestALetterThatFailsHoldsUpNoRelease(t *testing.T) {
	h, anna, bert := two(t)
	h.settled()
	h.cases.fails = errors.New("the address book is away")
	h.clock.Add(anna.Until.Sub(noon))
	h.settled()
	h.want(anna.ID, Released)
	h.want(bert.ID, Released)
	if len(h.gardens.held) != 0 || h.net.has["s1"] != enforce.Normal {
		t.Errorf("gardens %v, the network has %v", h.gardens.held, h.net.has)
	}
}

// One quarantine that cannot be read keeps no other from following its sessions.
func TestWhoCannotBeReadKeepsNobodyFromFollowing(t *testing.T) {
	h, anna, bert := two(t)
	h.settled()
	h.spoil("who_sealed", []byte("spoilt"), anna.ID)
	h.clock.Add(time.Minute)
	if err := h.who.Take(t.Context(), []session.Record{
		{Kind: session.Stop, Source: session.Radius, NAS: "bng1", Session: "s1", Identity: session.Identity{Subscriber: "anna"}, At: h.clock.Now(), Lasted: -1, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.17/32")}},
		{Kind: session.Stop, Source: session.Radius, NAS: "bng1", Session: "s2", Identity: session.Identity{Subscriber: "bert"}, At: h.clock.Now(), Lasted: -1, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.18/32")}},
	}); err != nil {
		t.Fatal(err)
	}
	h.want(bert.ID, Pending)
}

// A guest whose line cannot be read ticks the steps and leaves.
func TestAGuestWhoCannotBeReadLeaves(t *testing.T) {
	h, anna, _ := two(t)
	h.settled()
	h.spoil("who_sealed", []byte("spoilt"), anna.ID)
	h.tickAll(anna)
	h.take(garden.Event{Quarantine: anna.ID, What: "release"})
	h.settled()
	if q := h.want(anna.ID, Released); q.Mechanism != BySelf || h.net.has["s1"] != enforce.Normal {
		t.Errorf("ended by %q, the network has %v", q.Mechanism, h.net.has)
	}
}
