package zones

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/rpz"
	"bolwerk/shield/edge"

	"github.com/miekg/dns"
	"pgregory.net/rapid"
)

// zonesAt is what a resolver has fetched: of each zone, owners with their records.
type zonesAt struct {
	address string                             // from which it asks
	has     map[bolwerk.Domain]map[string]bool // whether it blocks
	serial  map[bolwerk.Domain]uint32
}

// fetch transfers a zone as a resolver does.
func (z *zonesAt) fetch(t interface{ Fatal(...any) }, primary string, zone bolwerk.Domain) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(z.address)}}
	conn, err := d.Dial("tcp", primary)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := (&dns.Transfer{Conn: &dns.Conn{Conn: conn}}).In(new(dns.Msg).SetAxfr(zone.String()+"."), primary)
	if err != nil {
		t.Fatal(err)
	}
	owners, serial := map[string]bool{}, uint32(0)
	for e := range ch {
		if e.Error != nil {
			t.Fatal(zone, e.Error)
		}
		for _, r := range e.RR {
			switch v := r.(type) {
			case *dns.SOA:
				serial = v.Serial
			case *dns.A, *dns.AAAA, *dns.CNAME:
				c, ok := v.(*dns.CNAME)
				owners[strings.TrimSuffix(r.Header().Name, "."+zone.String()+".")] = !ok || c.Target != "rpz-passthru."
			}
		}
	}
	z.has[zone], z.serial[zone] = owners, serial
}

// blocks says what a resolver does that asks the zones in their order, by the rules
// of wildcards (RFC 4592): a name that is in the zone, or above one that is, hides
// those further up.
func (z *zonesAt) blocks(name string) bool {
	for _, zone := range []bolwerk.Domain{Pass, Hot, Block} {
		if blocks, ok := z.has[zone][name]; ok {
			return blocks
		}
		for at := name; ; {
			stands := false
			for o := range z.has[zone] {
				stands = stands || o == at || strings.HasSuffix(o, "."+at)
			}
			if stands { // the closest name that there is
				if blocks, ok := z.has[zone]["*."+at]; ok && at != name {
					return blocks
				}
				break
			}
			_, rest, more := strings.Cut(at, ".")
			if at = rest; !more {
				break
			}
		}
	}
	return false
}

// At any moment a resolver that has the two small zones blocks exactly what is
// in force, whichever cold zone it has: a block has no gap while it moves from
// the hot zone to the cold one, and one that ended does not come back.
func TestHotZoneHasNoGap(t *testing.T) {
	names := []bolwerk.Domain{}
	for _, n := range []string{"a.example", "x.a.example", "y.x.a.example", "b.example", "x.b.example", "c.example"} {
		names = append(names, bolwerk.MustDomain(n))
	}
	rapid.Check(t, func(rt *rapid.T) {
		at := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
		c := clock.NewFake(at)
		cfg := rpz.DefaultConfig()
		resolvers := []*zonesAt{}
		for i := range 2 {
			z := &zonesAt{address: fmt.Sprintf("127.0.0.%d", i+2), has: map[bolwerk.Domain]map[string]bool{}, serial: map[bolwerk.Domain]uint32{}}
			resolvers = append(resolvers, z)
			cfg.Secondaries = append(cfg.Secondaries, rpz.Secondary{Name: z.address, From: []netip.Prefix{netip.MustParsePrefix(z.address + "/32")}})
		}
		log := slog.New(slog.DiscardHandler)
		primary, err := rpz.New(cfg, c, log, nil)
		if err != nil {
			rt.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			rt.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- primary.Run(ctx, nil, l) }()
		defer func() { stop(); <-done }()

		z := New(primary, []netip.Addr{netip.MustParseAddr("192.0.2.1")}, c)
		in := map[string]edge.Rule{} // in force
		serial := int64(1)
		if err := z.Load(rpz.State{Serial: 1, Epoch: 1}, [2][]rpz.Change{}, nil); err != nil {
			rt.Fatal(err)
		}
		for _, z := range []bolwerk.Domain{Pass, Hot, Block} {
			for _, r := range resolvers {
				r.fetch(rt, l.Addr().String(), z)
			}
		}
		type undo struct {
			serial uint32
			at     time.Time
			rule   edge.Rule
		}
		undone := map[string]undo{}
		given := uint32(0) // a withdrawal before this one gave way to a block: the cold zone alone tells it
		publish := func(entries ...copy.Entry) {
			serial++
			for id, r := range ChangesOf(entries) {
				if delete(in, id); r != nil {
					in[id] = *r
				}
			}
			if err := z.Step(copy.Batch{Epoch: 1, Serial: serial, Entries: entries}); err != nil {
				rt.Fatal(err)
			}
		}
		gone := func(id string) copy.Entry { return copy.Entry{ID: id, Removed: true, Version: 2} }
		n := 0
		for range rapid.IntRange(5, 25).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0, 1, 2, 3: // a block, sometimes an exemption
				n++
				r := edge.Rule{Block: fmt.Sprintf("B-%d", n), Name: rapid.SampledFrom(names).Draw(rt, "name"), Since: c.Now(),
					Scope: rapid.SampledFrom([]bolwerk.Scope{bolwerk.ScopeHost, bolwerk.ScopeSubtree}).Draw(rt, "scope"),
					Pass:  rapid.IntRange(0, 5).Draw(rt, "pass") == 0, Action: rapid.SampledFrom([]edge.Action{edge.Redirect, edge.NXDomain}).Draw(rt, "action")}
				entries := []copy.Entry{r.Entry(r.Block, 1)}
				for id, u := range undone {
					if !r.Pass && (u.rule.Covers(r.Name) || r.Covers(u.rule.Name)) {
						given = max(given, u.serial)
						entries = append(entries, gone(id))
						delete(undone, id)
					}
				}
				publish(entries...)
			case 4, 5: // the end of one
				ids := []string{}
				for id, r := range in {
					if !r.FeedOnly {
						ids = append(ids, id)
					}
				}
				if len(ids) == 0 {
					continue
				}
				slices.Sort(ids)
				id := rapid.SampledFrom(ids).Draw(rt, "ended")
				b := in[id]
				entries, others := []copy.Entry{gone(id)}, b.Pass
				for other, r := range in {
					others = others || other != id && !r.Pass && r.Covers(b.Name)
				}
				if !others {
					u := b
					u.Pass, u.FeedOnly = true, true
					entries = append(entries, u.Entry("undo:"+id, 1))
					undone["undo:"+id] = undo{uint32(serial + 1), c.Now(), u}
				}
				publish(entries...)
			case 6: // time goes by
				c.Add(rapid.SampledFrom([]time.Duration{time.Second, 2 * time.Minute, 25 * time.Hour}).Draw(rt, "time"))
				publish()
				if err := z.Merge(rapid.Bool().Draw(rt, "merge")); err != nil && len(z.hot.cold) > 0 {
					rt.Fatal(err)
				}
				for id, u := range undone {
					if Outgrown(primary.Secondaries(), u.serial, c.Now().Sub(u.at)) {
						delete(undone, id)
						publish(gone(id))
					}
				}
			default:
				rapid.SampledFrom(resolvers).Draw(rt, "resolver").fetch(rt, l.Addr().String(), Block)
			}
			// Each fetches the small zones; the cold one only now and then.
			for _, r := range resolvers {
				r.fetch(rt, l.Addr().String(), Pass)
				r.fetch(rt, l.Addr().String(), Hot)
				if rpz.Newer(max(z.Urgent(), given), r.serial[Block]) {
					r.fetch(rt, l.Addr().String(), Block) // told at once
				}
				for _, name := range names {
					for _, q := range []bolwerk.Domain{name, bolwerk.MustDomain("www." + name.String())} {
						want, pass := false, false
						for _, rule := range in {
							if rule.Covers(q) && !rule.FeedOnly {
								want, pass = want || !rule.Pass, pass || rule.Pass
							}
						}
						want = want && !pass
						if r.blocks(q.String()) != want {
							rt.Fatalf("%s at serial %d, with the cold zone of %d: blocked %v, want %v\nrules %v\nhas %v", q, serial, r.serial[Block], !want, want, in, r.has)
						}
					}
				}
			}
		}
	})
}
