package abuse

import (
	"net/netip"
	"testing"
	"time"

	"bolwerk/abuse/session"
)

// A lease that is told again with a later end is the same one.
func TestLeasesOverTheAPI(t *testing.T) {
	h := open(t)
	p := netip.MustParsePrefix("192.0.2.9/32")
	for _, until := range []time.Time{noon.Add(time.Hour), noon.Add(3 * time.Hour)} {
		records, err := leases("kea1", []LeaseIn{{Prefix: p, Line: "olt1/3", From: noon.Add(-time.Hour), Until: until}})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.who.Take(t.Context(), records); err != nil {
			t.Fatal(err)
		}
	}
	a, err := h.who.Resolve(t.Context(), session.Question{Addr: p.Addr(), At: noon.Add(2 * time.Hour)})
	if err != nil || len(a.Candidates) != 1 || a.Candidates[0].Line != "olt1/3" || len(a.Candidates[0].Held) != 1 {
		t.Errorf("answer %+v: %v", a, err)
	}
	for _, bad := range []LeaseIn{{}, {Prefix: p, From: noon, Until: noon.Add(time.Hour)}, {Prefix: p, Line: "olt1/3", From: noon, Until: noon}} {
		if _, err := leases("kea1", []LeaseIn{bad}); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}
