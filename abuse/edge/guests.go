package edge

import (
	"encoding/json"
	"net/netip"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/abuse/garden"
	"bolwerk/internal/copy"
)

const maxGuests = 200_000

// guests are the lines in quarantine, as the copy garden.Copy says, and what was handed
// in since.
type guests struct {
	mu      sync.RWMutex
	all     map[netip.Prefix]entry
	lengths [2][129]int  // how many prefixes have that length, of IPv4 and IPv6
	given   garden.Given // by quarantine
}

type entry struct {
	guest garden.Guest
	until time.Time
}

func newGuests() *guests {
	return &guests{all: map[netip.Prefix]entry{}, given: garden.Given{}}
}

func family(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 0
	}
	return 1
}

// of is the guest at an address; false: it is nobody's in quarantine.
func (g *guests) of(a netip.Addr, now time.Time) (garden.Guest, netip.Prefix, bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	for bits := a.BitLen(); bits > 0; bits-- {
		f := 1
		if a.Is4() {
			f = 0
		}
		if g.lengths[f][bits] == 0 {
			continue
		}
		p, err := a.Prefix(bits)
		if err != nil {
			return garden.Guest{}, netip.Prefix{}, false
		}
		if e, ok := g.all[p]; ok && e.until.After(now) {
			return g.given.With(e.guest.Quarantine, e.guest, now), p, true
		}
	}
	return garden.Guest{}, netip.Prefix{}, false
}

// took remembers what was handed in.
func (g *guests) took(e garden.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.given.Took(e.Quarantine, e)
}

// wasSeen says that this edge has handed in that the page was looked at.
func (g *guests) wasSeen(quarantine string) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.given.Seen(quarantine)
}

func (g *guests) count() int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return len(g.all)
}

func (g *guests) drop(p netip.Prefix) {
	if _, ok := g.all[p]; ok {
		delete(g.all, p)
		g.lengths[family(p)][p.Bits()]--
	}
}

// forget drops what was given by quarantines that are over.
func (g *guests) forget() {
	in := map[string]bool{}
	for _, e := range g.all {
		in[e.guest.Quarantine] = true
	}
	g.given.Keep(in)
}

// sink takes the copy garden.Copy. Its Reset and Apply come from one goroutine.
type sink struct{ e *Edge }

// Reset replaces all guests.
func (s sink) Reset(h copy.Head, seq func(yield func(copy.Entry) bool)) error {
	g := s.e.guests
	g.mu.Lock()
	g.all, g.lengths = map[netip.Prefix]entry{}, [2][129]int{}
	g.mu.Unlock()
	var all []copy.Entry
	seq(func(en copy.Entry) bool { all = append(all, en); return len(all) < maxGuests })
	return s.Apply(h, all)
}

// Apply takes changes. A guest that cannot be read is none.
func (s sink) Apply(_ copy.Head, changes []copy.Entry) error {
	g := s.e.guests
	g.mu.Lock()
	defer g.mu.Unlock()
	gone := false
	for _, en := range changes {
		p, err := netip.ParsePrefix(en.ID)
		if err != nil || p != p.Masked() || p.Bits() == 0 {
			s.e.p.Log.Error("a line in quarantine has no prefix; it has no page", "alarm", true)
			continue
		}
		if en.Removed {
			g.drop(p)
			gone = true
			continue
		}
		guest, err := read(en)
		if err != nil || len(g.all) >= maxGuests {
			g.drop(p)
			s.e.p.Log.Error("a line in quarantine cannot be taken; it has no page", "err", err, "alarm", true)
			continue
		}
		if _, ok := g.all[p]; !ok {
			g.lengths[family(p)][p.Bits()]++
		}
		g.all[p] = entry{guest, time.UnixMicro(en.Until)}
		g.given.Told(guest.Quarantine, guest)
	}
	if gone {
		g.forget()
	}
	return nil
}

func read(en copy.Entry) (g garden.Guest, err error) {
	if err := json.Unmarshal(en.Body, &g); err != nil {
		return g, bolwerk.Invalid("guest: %v", err)
	}
	if g.Quarantine == "" || en.Until == 0 {
		return g, bolwerk.Invalid("guest without a quarantine or an end")
	}
	return g, nil
}

// fresh is a guest with what was given since.
func (g *guests) fresh(guest garden.Guest, now time.Time) garden.Guest {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.given.With(guest.Quarantine, guest, now)
}
