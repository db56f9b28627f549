package quarantine

import (
	"net/netip"
	"testing"
	"time"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

var hospital = netip.MustParsePrefix("198.51.100.0/28")

func spared(c *Config) { c.NeverNetworks = []netip.Prefix{hospital} }

// A network that is never in keeps its customer out by whatever of it is known: a fixed
// line, a lease, an address that the case rests on; the session may have another.
func TestANetworkThatIsNeverIn(t *testing.T) {
	for name, know := range map[string]func(h *house, a About){
		"a session": func(h *house, _ About) {
			h.session(session.Start, "anna", "s2", "198.51.100.5/32", noon.Add(-time.Hour))
		},
		"a fixed line": func(h *house, _ About) {
			h.takes(session.Record{Kind: session.Start, Source: session.Table, NAS: "table", Session: "t1", Identity: session.Identity{Subscriber: "anna"}, Prefixes: []netip.Prefix{hospital}, At: noon.AddDate(-1, 0, 0)})
		},
		"a lease": func(h *house, _ About) {
			h.takes(session.Record{Kind: session.Start, Source: session.Lease, NAS: "dhcp1", Session: "l1", Identity: session.Identity{Subscriber: "anna"}, Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.6/32")}, At: noon.Add(-time.Minute), Until: noon.Add(time.Hour)})
		},
		"an address of the case": func(h *house, a About) {
			if err := h.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
				return h.who.Pin(tx, a.CaseID, session.Answer{Question: session.Question{Addr: netip.MustParseAddr("198.51.100.5"), At: noon}})
			}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, spared)
			h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
			a := h.about("anna")
			know(h, a)
			if q, ok, err := h.ask(nil, a, leaky); err != nil || ok || len(q.Waits) != 1 || q.Waits[0] != "never" {
				t.Errorf("%v %v, held back by %v", ok, err, q.Waits)
			}
		})
	}
}

// What is over spares nobody.
func TestALeaseThatIsOver(t *testing.T) {
	h := open(t, spared)
	h.takes(session.Record{Kind: session.Start, Source: session.Lease, NAS: "dhcp1", Session: "l1", Identity: session.Identity{Subscriber: "anna"}, Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.6/32")}, At: noon.Add(-2 * time.Hour), Until: noon.Add(-time.Hour)})
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	h.in("anna")
}

// Who comes on line with such an address, or is put on the list, once the line is in, is
// let out: it should never have been in.
func TestWhoIsFoundToBeSparedIsLetOut(t *testing.T) {
	for name, found := range map[string]func(h *house){
		"its next session": func(h *house) {
			h.session(session.Start, "anna", "s2", "198.51.100.5/32", h.clock.Now())
		},
		"the list, before an order": func(h *house) {
			h.cfg.Never = []string{"Anna"}
			h.session(session.Start, "anna", "s2", "192.0.2.18/32", h.clock.Now())
		},
		"the contact book, at the next garden": func(h *house) {
			h.flags.Never = true
			if err := h.holdAgain(h.t.Context()); err != nil {
				h.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, spared)
			h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
			q := h.in("anna")
			h.settled()
			found(h)
			h.settled()
			if q := h.want(q.ID, Released); q.Mechanism != ByMistake || len(h.gardens.held) != 0 {
				t.Errorf("ended by %s, gardens %v", q.Mechanism, h.gardens.held)
			}
			for id, p := range h.net.has {
				if p != enforce.Normal {
					t.Errorf("session %s has %s", id, p)
				}
			}
			for _, o := range h.net.orders {
				if o.Session.Session == "s2" && o.Profile != enforce.Normal {
					t.Errorf("it was put into %s", o.Profile)
				}
			}
		})
	}
}

// An order that is due is not sent to who is spared by then.
func TestAnOrderIsNotSentToWhoIsSpared(t *testing.T) {
	h := open(t, spared)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	q := h.in("anna")
	h.flags.Never = true
	h.settled()
	h.want(q.ID, Released)
	if h.net.has["s1"] != enforce.Normal || len(h.net.orders) != 1 {
		t.Errorf("the network has %v after %d orders", h.net.has, len(h.net.orders))
	}
}

// A session of the month before is found at the first hour of this one.
func TestASessionFromTheMonthBefore(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	h.clock.Add(time.Date(2026, 12, 1, 0, 5, 0, 0, time.UTC).Sub(noon))
	q := h.in("anna")
	h.settled()
	h.want(q.ID, Active)
}

func (h *house) takes(r session.Record) {
	h.t.Helper()
	if err := h.who.Take(h.t.Context(), []session.Record{r}); err != nil {
		h.t.Fatal(err)
	}
}
