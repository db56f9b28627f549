package quota

import (
	"net/netip"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func TestQuotaForgetsTheOldestNetwork(t *testing.T) {
	q := New(1)
	q.max = 2
	for i, c := range []struct {
		net  string
		want bool
	}{{"192.0.2.0/24", true}, {"192.0.2.0/24", false}, {"198.51.100.0/24", true}, {"203.0.113.0/24", true}, {"192.0.2.0/24", true}, {"203.0.113.0/24", false}} {
		if got := q.Take(start, netip.MustParsePrefix(c.net), 1) == 0; got != c.want || len(q.known) > 2 {
			t.Errorf("%d: %s: got %v with %d known, want %v", i, c.net, got, len(q.known), c.want)
		}
	}
}

func TestPlaces(t *testing.T) {
	p := NewPlaces(4)
	a, b := netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24")
	leave := p.Take(a, false)
	if leave == nil || p.Take(a, false) != nil {
		t.Fatal("a network may hold a quarter of the places")
	}
	for free := 3; free >= 0; free-- {
		if got := p.Take(b, true) != nil; got != (free > 0) {
			t.Errorf("own network, %d places free: taken %v", free, got)
		}
	}
	leave()
	leave()
	if p.Take(a, false) == nil || p.free != 0 {
		t.Error("a place that was left is free once")
	}
}
