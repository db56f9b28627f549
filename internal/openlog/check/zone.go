package check

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/miekg/dns"

	"bolwerk"
	"bolwerk/internal/openlog"
)

// Zone is a policy zone as a resolver has it.
type Zone struct {
	Name   string
	Serial uint32
	Owners map[Owner]string // what happens there: redirect, nxdomain, nodata or pass

	pulse string // the desk's own name that it lets pass every other minute to time the way
}

// Owner is a name of a zone, relative to it.
type Owner struct {
	Name  string
	Below bool // "*." and the name
}

func (o Owner) String() string {
	if o.Below {
		return "*." + o.Name
	}
	return o.Name
}

// maxOwners bounds a zone.
const maxOwners = 20_000_000

// ReadZone reads a zone in master file format.
func ReadZone(r io.Reader, file string) (*Zone, error) {
	z := &Zone{Owners: map[Owner]string{}}
	p := dns.NewZoneParser(r, "", file)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		if err := z.add(rr); err != nil {
			return nil, err
		}
	}
	if err := p.Err(); err != nil {
		return nil, bolwerk.Invalid("zone: %v", err)
	}
	return z, z.whole()
}

// Key is a TSIG key.
type Key struct{ Name, Algorithm, Secret string }

// Transfer gets a zone by AXFR.
func Transfer(ctx context.Context, server, zone string, key *Key) (*Zone, error) {
	z := &Zone{Owners: map[Owner]string{}}
	m := new(dns.Msg).SetAxfr(dns.Fqdn(zone))
	t := &dns.Transfer{DialTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second}
	if key != nil {
		name := dns.Fqdn(strings.ToLower(key.Name))
		m.SetTsig(name, dns.Fqdn(key.Algorithm), 300, time.Now().Unix())
		t.TsigSecret = map[string]string{name: key.Secret}
	}
	got, err := t.In(m, server)
	if err != nil {
		return nil, fmt.Errorf("transfer of %s from %s: %w", zone, server, err)
	}
	for e := range got {
		if e.Error == nil {
			e.Error = ctx.Err()
		}
		for _, rr := range e.RR {
			if e.Error == nil {
				e.Error = z.add(rr)
			}
		}
		if e.Error != nil {
			t.Close()
			return nil, fmt.Errorf("transfer of %s from %s: %w", zone, server, e.Error)
		}
	}
	return z, z.whole()
}

func (z *Zone) whole() error {
	if z.Name == "" {
		return bolwerk.Invalid("a zone without SOA")
	}
	if z.pulse != "" { // nobody's block: it is below a canary, where no site can be
		delete(z.Owners, Owner{Name: z.pulse})
		delete(z.Owners, Owner{z.pulse, true})
	}
	return nil
}

func (z *Zone) add(rr dns.RR) error {
	owner := strings.ToLower(rr.Header().Name)
	switch v := rr.(type) {
	case *dns.SOA:
		if z.Name != "" && owner != z.Name {
			return bolwerk.Invalid("a second SOA, of %s", owner)
		}
		z.Name, z.Serial = owner, v.Serial
		return nil
	case *dns.NS:
		return nil
	case *dns.TXT: // the canary names, which say which state a resolver has
		if name, ok := strings.CutSuffix(owner, "."+z.Name); ok {
			if canary, ok := strings.CutPrefix(name, "p-"); ok {
				z.pulse = "pulse-" + canary
			}
		}
		return nil
	}
	name, ok := strings.CutSuffix(owner, "."+z.Name)
	if z.Name == "" || !ok {
		return bolwerk.Invalid("a record of %s outside the zone %s", owner, z.Name)
	}
	o := Owner{Name: name}
	if rest, ok := strings.CutPrefix(name, "*."); ok {
		o = Owner{rest, true}
	}
	what := "redirect"
	if c, ok := rr.(*dns.CNAME); ok {
		switch c.Target {
		case ".":
			what = "nxdomain"
		case "*.":
			what = "nodata"
		case "rpz-passthru.":
			what = "pass"
		}
	}
	if len(z.Owners) == maxOwners {
		return bolwerk.Invalid("a zone of more than %d names", maxOwners)
	}
	z.Owners[o] = what
	return nil
}

// pass says that the zone is the one of exemptions.
func (z *Zone) pass() bool { return strings.HasPrefix(z.Name, "p.") }

// Difference is something in which zone and log disagree.
type Difference struct {
	State string `json:"state"` // only_in_zone, only_in_log, other
	Name  string `json:"name"`  // of the zone, or the reference of the log's leaf
	What  string `json:"what"`
}

// Compared is what came of comparing a zone with a log.
type Compared struct {
	Zone        string       `json:"zone"`
	Serial      uint32       `json:"serial"`
	Names       int          `json:"names"`    // owners of the zone
	InForce     int          `json:"in_force"` // leaves of the log
	Undone      int          `json:"undone"`   // names that pass because their block was just withdrawn
	Differences []Difference `json:"differences"`
}

// Opening says that a salt opens a leaf.
type Opening struct {
	Index int64
	Salt  []byte
}

// Opener gives what opens leaves to a name.
type Opener func(ctx context.Context, name string) ([]Opening, error)

// Site is an Opener that asks the public site about each name.
func (l *Log) Site(ctx context.Context, name string) (out []Opening, err error) {
	entries, err := l.Name(ctx, name)
	for _, e := range entries {
		salt, err := hex.DecodeString(e.Salt)
		if err != nil {
			return nil, bolwerk.Invalid("what the site opens of %s: %v", name, err)
		}
		out = append(out, Opening{e.Index, salt})
	}
	return out, err
}

type live struct {
	leaf  openlog.Leaf
	ended bool
	found bool
}

// Compare proves that a zone is what the log of h says at the zone's serial.
func (l *Log) Compare(ctx context.Context, h openlog.Head, z *Zone, open Opener) (Compared, error) {
	c := Compared{Zone: strings.TrimSuffix(z.Name, "."), Serial: z.Serial, Names: len(z.Owners), Differences: []Difference{}}
	leaves := map[int64]*live{}
	err := l.Leaves(ctx, h, func(n int64, leaf openlog.Leaf, _ []byte) error {
		later := leaf.Serial != 0 && int32(uint32(leaf.Serial)-z.Serial) > 0 // than the zone
		switch {
		case leaf.Kind == openlog.Placed && !later:
			leaves[n] = &live{leaf: leaf}
		case leaf.Kind == openlog.Ended && !later && leaves[leaf.Of] != nil:
			leaves[leaf.Of].ended = true
		}
		return nil
	})
	if err != nil {
		return c, err
	}
	differ := func(state, name, what string, a ...any) {
		c.Differences = append(c.Differences, Difference{state, name, fmt.Sprintf(what, a...)})
	}
	byName := map[string][]*live{}
	opened := func(name string) ([]*live, error) {
		if got, ok := byName[name]; ok {
			return got, nil
		}
		openings, err := open(ctx, name)
		if err != nil {
			return nil, err
		}
		got := []*live{}
		for _, o := range openings {
			if e := leaves[o.Index]; e != nil && e.leaf.Opens(o.Salt, name) { // nobody is believed
				e.found = true
				got = append(got, e)
			}
		}
		byName[name] = got
		return got, nil
	}
	for o, what := range z.Owners {
		state, err := explain(o, what, z.pass(), opened)
		if err != nil {
			return c, err
		}
		switch state {
		case "undone":
			c.Undone++
		case "other":
			differ("other", o.String(), "the zone says %s, the log something else", what)
		case "only_in_zone":
			differ("only_in_zone", o.String(), "nothing in the log explains it")
		}
	}
	// The other way round: what the log has in force must stand in the zone.
	for name, all := range byName {
		for _, e := range all {
			if e.ended || e.leaf.Pass != z.pass() {
				continue
			}
			for _, o := range owners(name, e.leaf) {
				if _, ok := z.Owners[o]; !ok {
					differ("only_in_log", o.String(), "%s is in force in the log", e.leaf.Ref)
				}
			}
		}
	}
	for n, e := range leaves {
		if e.ended || e.leaf.Pass != z.pass() {
			continue
		}
		c.InForce++
		if !e.found {
			differ("only_in_log", e.leaf.Ref, "leaf %d is in force, and no name of the zone opens it", n)
		}
	}
	return c, nil
}

// owners are the names of the zone that a leaf about name asks for.
func owners(name string, leaf openlog.Leaf) []Owner {
	switch out := []Owner{{Name: name}}; {
	case leaf.Scope != string(bolwerk.ScopeHost):
		return append(out, Owner{name, true})
	case leaf.WWW:
		return append(out, Owner{Name: "www." + name})
	default:
		return out
	}
}

// explain says why an owner stands in the zone: "" where a leaf in force asks
// for it.
func explain(o Owner, what string, pass bool, opened func(string) ([]*live, error)) (string, error) {
	state := "only_in_zone"
	names := []string{o.Name}
	if rest, ok := strings.CutPrefix(o.Name, "www."); ok && !o.Below {
		names = append(names, rest)
	}
	for _, name := range names {
		all, err := opened(name)
		if err != nil {
			return "", err
		}
		for _, e := range all {
			var asks bool
			for _, own := range owners(name, e.leaf) {
				asks = asks || own == o
			}
			if !asks {
				continue
			}
			action := e.leaf.Action
			if e.leaf.Pass {
				action = "pass"
			}
			switch {
			case !e.ended && e.leaf.Pass == pass && (action == what || action == "redirect" && what == "nodata"): // without a warning page
				return "", nil
			case !e.ended && e.leaf.Pass == pass:
				state = "other"
			case pass && what == "pass" && e.ended && !e.leaf.Pass && state == "only_in_zone":
				state = "undone"
			}
		}
	}
	return state, nil
}
