package rpz

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"bolwerk"
	"bolwerk/internal/clock"

	"github.com/miekg/dns"
	"pgregory.net/rapid"
)

// TestIXFREqualsAXFR: after any sequence of commits, whatever serial a client
// has, what we send it turns its copy into the zone.
func TestIXFREqualsAXFR(t *testing.T) {
	names := make([]bolwerk.Domain, 12)
	for i := range names {
		names[i] = bolwerk.MustDomain(fmt.Sprintf("n%d.example", i))
	}
	data := []Data{NXDomain, NoData, warn4, warn6, Address(local)}
	rapid.Check(t, func(rt *rapid.T) {
		cfg := testConfig()
		cfg.JournalRecords = rapid.SampledFrom([]int{0, 5, 40, 500}).Draw(rt, "journal")
		p := newPrimary(t, cfg, clock.New())
		model := map[Record]bool{}
		serial := rapid.SampledFrom([]uint32{1, 1<<31 - 5, 1<<32 - 9}).Draw(rt, "serial")
		mustLoad(t, p, bZone, serial)
		copies := map[uint32][]string{serial: axfr(t, p, bZone)}
		for range rapid.IntRange(1, 25).Draw(rt, "commits") {
			serial += rapid.Uint32Range(1, 3).Draw(rt, "step")
			if serial == 0 {
				serial = 1
			}
			c := Change{Serial: serial, Epoch: rapid.Int64Range(1, 3).Draw(rt, "epoch")}
			next := maps.Clone(model)
			for range rapid.IntRange(0, 6).Draw(rt, "records") {
				r := Record{rapid.SampledFrom(names).Draw(rt, "name"), rapid.Bool().Draw(rt, "below"), rapid.SampledFrom(data).Draw(rt, "data")}
				switch { // most are sound, some are not
				case model[r] && !slices.Contains(c.Del, r):
					c.Del = append(c.Del, r)
				default:
					c.Add = append(c.Add, r)
				}
			}
			for _, r := range c.Del {
				delete(next, r)
			}
			ok := true
			for _, r := range c.Add {
				for o := range next {
					if o.Name == r.Name && o.Below == r.Below && (o == r || o.Data.Type() == "CNAME" || r.Data.Type() == "CNAME") {
						ok = false
					}
				}
				next[r] = true
			}
			err := p.Commit(bZone, c)
			if got := err == nil; got != ok {
				rt.Fatalf("commit %+v on %v: got %v, want accepted %v", c, model, err, ok)
			}
			if ok {
				model = next
				copies[serial] = axfr(t, p, bZone)
			} else {
				at, _, _ := p.At(bZone)
				serial = at.Serial
			}
		}
		now := copies[serial]
		// SOA, NS and two of the canary are beside them.
		if got := len(now) - 4; got != len(model) {
			rt.Fatalf("records in the zone: got %d, want %d", got, len(model))
		}
		if _, n, _ := p.At(bZone); n != len(model) {
			rt.Fatalf("records counted: got %d, want %d", n, len(model))
		}
		for has, old := range copies {
			m := new(dns.Msg).SetIxfr("b.rpz.", has, "localhost.", "x.")
			if got := apply(rt, old, has, rrs(ask(t, p, m, local, true))); !slices.Equal(got, now) {
				rt.Fatalf("client at %d: got\n%q\nwant\n%q", has, got, now)
			}
		}
	})
}

// apply does what a secondary does with the answer to IXFR (RFC 1995 section 4).
func apply(t *rapid.T, old []string, has uint32, answer []dns.RR) []string {
	if len(answer) == 0 || answer[0].Header().Rrtype != dns.TypeSOA {
		t.Fatalf("answer to IXFR does not begin with SOA: %v", answer)
	}
	if len(answer) == 1 {
		return old
	}
	if answer[0].String() != answer[len(answer)-1].String() {
		t.Fatalf("answer to IXFR does not end with its SOA")
	}
	if answer[1].Header().Rrtype != dns.TypeSOA {
		return texts(answer[:len(answer)-1])
	}
	zone := map[string]bool{}
	for _, r := range old {
		zone[r] = true
	}
	deleting := false
	for _, r := range answer[1 : len(answer)-1] {
		if soa, ok := r.(*dns.SOA); ok {
			if deleting = !deleting; deleting && soa.Serial != has {
				t.Fatalf("the difference begins at %d, the client is at %d", soa.Serial, has)
			}
		}
		switch is := zone[r.String()]; {
		case deleting && !is:
			t.Fatalf("deletes what is not there: %s", r)
		case !deleting && is:
			t.Fatalf("adds what is there: %s", r)
		}
		if deleting {
			delete(zone, r.String())
		} else {
			zone[r.String()] = true
		}
	}
	return slices.Sorted(maps.Keys(zone))
}
