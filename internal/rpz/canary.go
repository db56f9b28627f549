package rpz

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"bolwerk"

	"github.com/miekg/dns"
)

// A zone with a canary has two TXT records more, which change with every
// commit. The canary name itself is always there and says which state was
// loaded. The marker, a name below it that is new in every state, says that the
// resolver has taken up new names: BIND answers a known name from the zone it
// has just got while it is still entering the new names, in the zone's order,
// into the index by which it blocks (seconds in a zone of a million). A canary
// that sorts last is entered last.

// Marker is the name that is new in state s; zero where it has no room or there is
// no canary.
func Marker(canary bolwerk.Domain, s State) bolwerk.Domain {
	if canary.IsZero() {
		return bolwerk.Domain{}
	}
	d, err := bolwerk.ParseDomain(fmt.Sprintf("e%d-s%d.%s", s.Epoch, s.Serial, canary))
	if err != nil {
		return bolwerk.Domain{}
	}
	return d
}

// canaryText is what both names say.
func canaryText(s State) string { return fmt.Sprintf("epoch=%d serial=%d", s.Epoch, s.Serial) }

// parseCanary reads what canaryText wrote.
func parseCanary(t string) (State, bool) {
	e, s, ok := strings.Cut(t, " ")
	e, ok1 := strings.CutPrefix(e, "epoch=")
	s, ok2 := strings.CutPrefix(s, "serial=")
	epoch, err1 := strconv.ParseInt(e, 10, 64)
	serial, err2 := strconv.ParseUint(s, 10, 32)
	return State{uint32(serial), epoch}, ok && ok1 && ok2 && err1 == nil && err2 == nil
}

// canary writes the two records of state s. Their TTL is 0, so that no cache
// keeps yesterday's proof.
func (z *zone) canary(out *stream, s State) error {
	c := z.cfg.Canary
	if c.IsZero() {
		return nil
	}
	t := canaryText(s)
	txt := tail(dns.TypeTXT, 0, append([]byte{byte(len(t))}, t...))
	if err := out.rr(c, false, txt); err != nil {
		return err
	}
	return out.rr(Marker(c, s), false, txt)
}

// Canary asks a resolver by which state of the zone it answers at this moment:
// first the canary name, then the marker of the state that it names.
// bolwerk.ErrNotFound where it answers without the zone, bolwerk.ErrConflict
// where it has the zone but is still taking it up: ask again.
func Canary(ctx context.Context, resolver netip.AddrPort, canary bolwerk.Domain) (State, error) {
	s, a, err := askCanary(ctx, resolver, canary)
	if err != nil {
		return State{}, err
	}
	if s == (State{}) {
		return State{}, bolwerk.NotFound("resolver %s does not know the canary name %s (%s): it answers without the zone", resolver, canary, a.Rcode)
	}
	m := Marker(canary, s)
	again, _, err := askCanary(ctx, resolver, m)
	if err != nil {
		return State{}, err
	}
	if again != s {
		return State{}, bolwerk.Conflict("resolver %s has serial %d and does not answer by it yet", resolver, s.Serial)
	}
	return s, nil
}

// askCanary asks for one name; the zero State where the answer is none of ours.
func askCanary(ctx context.Context, resolver netip.AddrPort, name bolwerk.Domain) (State, Answer, error) {
	if name.IsZero() {
		return State{}, Answer{}, bolwerk.Invalid("canary of resolver %s: no name", resolver)
	}
	a, err := Ask(ctx, resolver, name, "TXT")
	if err != nil {
		return State{}, a, err
	}
	for _, t := range a.Text {
		if s, ok := parseCanary(t); ok {
			return s, a, nil
		}
	}
	return State{}, a, nil
}
