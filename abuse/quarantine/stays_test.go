package quarantine

import (
	"net/netip"
	"testing"
	"time"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/session"
)

// reserving is a house whose access server has its addresses from a DHCP server: what a
// device is given stays until it is taken away, whatever becomes of its session.
func reserving(t *testing.T) *house {
	h := open(t)
	h.p.Stays = func(string) bool { return true }
	h.net.say = func(o enforce.Order) (enforce.Result, bool) {
		h.net.has["the device"] = o.Profile
		return enforce.Result{State: enforce.Applied, Code: "taken at the next renewal"}, true
	}
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	return h
}

// What outlives a session is taken away at the end: also where the customer has been off
// line since, and where the access server began anew.
func TestWhatOutlivesASessionIsTakenAway(t *testing.T) {
	for name, gone := range map[string]func(h *house){
		"on line":  func(*house) {},
		"its stop": func(h *house) { h.session(session.Stop, "anna", "s1", "192.0.2.17/32", h.clock.Now()) },
		"a new begin": func(h *house) {
			h.takes(session.Record{Kind: session.On, Source: session.Radius, NAS: "bng1", At: h.clock.Now(), Lasted: -1})
		},
		"another next": func(h *house) { h.session(session.Start, "bert", "s2", "192.0.2.17/32", h.clock.Now()) },
	} {
		t.Run(name, func(t *testing.T) {
			h := reserving(t)
			q := h.in("anna")
			h.settled()
			h.want(q.ID, Active)
			h.clock.Add(time.Minute)
			gone(h)
			h.settled()
			h.want(q.ID, Active) // it has the profile, on line or not
			if _, err := h.Release(t.Context(), agent, q.ID, false, "clean"); err != nil {
				t.Fatal(err)
			}
			h.settled()
			h.want(q.ID, Released)
			if got := h.net.has["the device"]; got != enforce.Normal {
				t.Errorf("the device has %q after the release", got)
			}
		})
	}
}

// An order of which nobody knows what came is one that may have been done.
func TestWhatWasOnItsWayIsTakenAway(t *testing.T) {
	h := reserving(t)
	q := h.in("anna")
	orders, _, err := h.claim(t.Context(), "bng1")
	if err != nil || len(orders) != 1 {
		t.Fatal(orders, err)
	}
	h.net.has["the device"] = enforce.Leaky // it was sent, and the desk was killed
	h.session(session.Stop, "anna", "s1", "192.0.2.17/32", h.clock.Now())
	h.clock.Add(claimTime + time.Second)
	h.settled()
	h.clock.Jump(q.Until.Add(time.Second))
	h.settled()
	h.want(q.ID, Released)
	if got := h.net.has["the device"]; got != enforce.Normal {
		t.Errorf("the device has %q after its time", got)
	}
}

// Of a lease alone nobody tells when it is given back, and no edge shows its page: the
// wish is refused by name, so that no customer is told of a quarantine that there is not.
func TestALeaseAloneIsNotPutIn(t *testing.T) {
	h := open(t)
	h.takes(session.Record{Kind: session.Start, Source: session.Lease, NAS: "bng1", Session: "l1", Identity: session.Identity{Subscriber: "anna", Calling: "02:00:5e:00:53:01"},
		Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.17/32")}, At: noon.Add(-time.Minute), Until: noon.Add(time.Hour)})
	q, ok, err := h.ask(nil, h.about("anna"), leaky)
	if err != nil || ok || len(q.Waits) != 1 || q.Waits[0] != "lease" || len(h.cases.happened) != 0 {
		t.Errorf("%v %v, held back by %v; the case says %v", ok, err, q.Waits, h.cases.happened)
	}
	if _, _, err := h.ask(&agent, h.about("anna"), leaky); err == nil {
		t.Error("a person may")
	}
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Minute)) // accounting knows it
	h.in("anna")
}
