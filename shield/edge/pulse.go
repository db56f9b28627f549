package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"bolwerk"
	"bolwerk/internal/copy"
	"bolwerk/internal/inquiry"
	"bolwerk/internal/rpz"
)

// The pulse is a name of the desk's own that it blocks and lets pass by turns, once
// a minute, as an entry of the copy like any block. Whoever blocks is asked for a
// name below it until the answer is the turn's: the time that takes is the time of a
// real decision. It is no block: it has no case and no number, and nobody counts it.

// PulseEntry is the id of the pulse in the copy, and where a rule names its block.
const PulseEntry = "pulse"

// PulseName is the name of the pulse that goes with a canary; zero where there is none.
func PulseName(canary bolwerk.Domain) bolwerk.Domain {
	if canary.IsZero() {
		return bolwerk.Domain{}
	}
	d, err := bolwerk.ParseDomain("pulse-" + canary.String())
	if err != nil {
		return bolwerk.Domain{}
	}
	return d
}

// Turn is one minute of the pulse.
type Turn struct {
	N       int64 // of turns, ascending
	Name    bolwerk.Domain
	Blocked bool
	At      time.Time // when the desk decided it
}

// Entry is the turn as the copy carries it. A turn that lets pass does it as the
// withdrawal of a block does: gone from our own edges, a passthru for resolvers.
func (t Turn) Entry() copy.Entry {
	r := Rule{Block: PulseEntry, Name: t.Name, Scope: bolwerk.ScopeSubtree, Pulse: true, Since: t.At}
	if t.Blocked {
		r.Action = Redirect
	} else {
		r.Pass, r.FeedOnly = true, true
	}
	return r.Entry(PulseEntry, t.N)
}

// ReadTurn gives the turn that an entry is; false for every other entry.
func ReadTurn(e copy.Entry) (Turn, bool) {
	if e.ID != PulseEntry || e.Removed {
		return Turn{}, false
	}
	r, err := ParseRule(e)
	if err != nil || !r.Pulse {
		return Turn{}, false
	}
	return Turn{N: e.Version, Name: r.Name, Blocked: !r.Pass, At: r.Since}, true
}

// KindPulse is the kind of what a host tells of the pulse.
const KindPulse = "shield.pulse"

// Felt is what was seen of one turn at one resolver. Force and Service come apart.
type Felt struct {
	Turn int64 `json:"turn"`
	// Force says whether the resolver answers by the turn.
	Force *FeltForce `json:"force,omitempty"`
	// Service is what became of a question that no policy answers.
	Service *FeltService `json:"service,omitempty"`
}

// FeltForce is whether a turn is in force.
type FeltForce struct {
	In bool `json:"in"`
	// Problem says what is answered instead, or why nothing is.
	Problem string `json:"problem,omitempty"`
}

// FeltService is one question that has to be resolved.
type FeltService struct {
	// Answered is false where nothing came within ServiceWait, or SERVFAIL or
	// REFUSED.
	Answered bool          `json:"answered"`
	Took     time.Duration `json:"took"`
}

const maxFelt = 300 // octets of a problem

// DecodeFelt reads what a host tells of the pulse.
func DecodeFelt(b []byte) (Felt, error) {
	var f Felt
	if err := json.Unmarshal(b, &f); err != nil {
		return f, bolwerk.Invalid("pulse: %v", err)
	}
	if f.Turn <= 0 || f.Force == nil && f.Service == nil || f.Force != nil && len(f.Force.Problem) > maxFelt ||
		f.Service != nil && (f.Service.Took < 0 || f.Service.Took > 2*ServiceWait) {
		return f, bolwerk.Invalid("pulse: a value out of bounds")
	}
	return f, nil
}

const (
	pulseFast = 20 * time.Millisecond // after a turn comes it is asked at once, then after this,
	pulseSlow = time.Second           // and at last once in so long
	pulseLate = 20 * time.Second      // when it is told that it is not in force
	// ServiceWait is how long a question may take: longer than the 10 s that
	// Implementing Regulation (EU) 2024/2690, art. 5, asks about.
	ServiceWait = 12 * time.Second
)

// Feeler asks one resolver at each turn of the pulse.
type Feeler struct {
	at    netip.AddrPort
	ours  func(rpz.Answer) bool // the answer is the policy's
	tell  func(Felt)
	turns chan Turn
}

// NewFeeler makes a feeler of the resolver at an address. ours says that an answer
// is that of a block; tell is called from Run, and for the service beside it.
func NewFeeler(at netip.AddrPort, ours func(rpz.Answer) bool, tell func(Felt)) *Feeler {
	return &Feeler{at: onHere(at), ours: ours, tell: tell, turns: make(chan Turn, 1)}
}

// onHere is where a server that listens at an address is asked on its own machine.
func onHere(at netip.AddrPort) netip.AddrPort {
	switch a := at.Addr(); {
	case !a.IsUnspecified():
		return at
	case a.Is4():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	}
	return netip.AddrPortFrom(netip.IPv6Loopback(), at.Port())
}

// Inquire asks the resolver at an address for a name on the desk's behalf; ours says
// that an answer is that of a block.
func Inquire(ctx context.Context, at netip.AddrPort, name bolwerk.Domain, ours func(rpz.Answer) bool) inquiry.Reply {
	at = onHere(at)
	r := inquiry.Reply{Address: at.String()}
	a, err := rpz.Ask(ctx, at, name, "A")
	if err != nil {
		r.Problem = err.Error()
		return r
	}
	r.Answer, r.Ours = &a, ours(a)
	return r
}

// Inquire asks this edge itself, at an address that it serves.
func (e *Edge) Inquire(ctx context.Context, at netip.AddrPort, name bolwerk.Domain) inquiry.Reply {
	return Inquire(ctx, at, name, e.isOurs)
}

// Begin tells of a new turn; the one before is over. It never waits.
func (f *Feeler) Begin(t Turn) {
	for {
		select {
		case f.turns <- t:
			return
		default:
		}
		select {
		case <-f.turns:
		default:
		}
	}
}

// Run asks until ctx ends.
func (f *Feeler) Run(ctx context.Context) error {
	var t Turn
	select {
	case <-ctx.Done():
		return nil
	case t = <-f.turns:
	}
	for {
		done := make(chan struct{})
		turn, stop := context.WithTimeout(ctx, ServiceWait)
		go func() { // one at a time: it ends with its turn
			defer close(done)
			f.service(turn, t)
		}()
		next, ok := f.force(ctx, t)
		if !ok {
			select {
			case <-ctx.Done():
			case next = <-f.turns:
				ok = true
			}
		}
		if !ok {
			stop()
			<-done
			return nil
		}
		<-done // turns are further apart than ServiceWait
		stop()
		t = next
	}
}

// force asks until the answer is the turn's. It gives the next turn where that
// came before.
func (f *Feeler) force(ctx context.Context, t Turn) (next Turn, ok bool) {
	begin, told := time.Now(), false
	for n, wait := 0, pulseFast; ; n, wait = n+1, min(wait*3/2, pulseSlow) {
		in, problem := f.ask(ctx, t, n)
		if ctx.Err() != nil {
			return Turn{}, false
		}
		if in {
			f.tell(Felt{Turn: t.N, Force: &FeltForce{In: true}})
			return Turn{}, false
		}
		if !told && time.Since(begin) > pulseLate {
			told = true
			f.tell(Felt{Turn: t.N, Force: &FeltForce{Problem: problem[:min(len(problem), maxFelt)]}})
		}
		select {
		case <-ctx.Done():
			return Turn{}, false
		case next = <-f.turns:
			return next, true
		case <-time.After(wait):
		}
	}
}

// ask asks once. Each question is for another name, so that no cache answers.
func (f *Feeler) ask(ctx context.Context, t Turn, n int) (in bool, problem string) {
	name, err := bolwerk.ParseDomain(fmt.Sprintf("t%d-%d.%s", t.N, n, t.Name))
	if err != nil {
		return false, err.Error()
	}
	a, err := rpz.Ask(ctx, f.at, name, "A")
	switch is := err == nil && f.ours(a); {
	case err != nil:
		return false, err.Error()
	case is == t.Blocked && a.Rcode != "REFUSED":
		return true, ""
	case a.Rcode == "REFUSED":
		return false, fmt.Sprintf("%s refuses to answer us", f.at)
	case t.Blocked:
		return false, fmt.Sprintf("%s lets pass what is blocked: %s", f.at, a.Rcode)
	}
	return false, fmt.Sprintf("%s blocks what was withdrawn", f.at)
}

// service asks one question that has to be resolved, as a customer's machine does:
// again where no answer comes.
func (f *Feeler) service(ctx context.Context, t Turn) {
	name, err := bolwerk.ParseDomain(fmt.Sprintf("s%d.%s", t.N, t.Name.String()[len("pulse-"):]))
	if err != nil {
		return
	}
	a, took, err := rpz.AskPatiently(ctx, f.at, name, "A")
	if errors.Is(err, context.Canceled) {
		return
	}
	f.tell(Felt{Turn: t.N, Service: &FeltService{Answered: err == nil && a.Rcode != "SERVFAIL" && a.Rcode != "REFUSED", Took: min(took, ServiceWait)}})
}

// Pulse asks this edge itself, at an address that it serves, at each turn and tells
// the desk, until ctx ends.
func (e *Edge) Pulse(ctx context.Context, at netip.AddrPort) error {
	f := NewFeeler(at, e.isOurs, func(felt Felt) {
		body, err := json.Marshal(felt)
		if err == nil {
			err = e.handIn(ctx, KindPulse, body)
		}
		if err != nil && ctx.Err() == nil {
			e.log.Error("how long the way of a block takes cannot be handed in", "err", err)
		}
	})
	e.feeler.Store(f)
	if t := e.turn.Load(); t != nil {
		f.Begin(*t)
	}
	return f.Run(ctx)
}

// isOurs says that an answer gives the addresses of the warning page.
func (e *Edge) isOurs(a rpz.Answer) bool {
	for _, own := range e.cfg.WarningAddresses {
		for _, got := range a.Addresses {
			if got.String() == own {
				return true
			}
		}
	}
	return false
}

// felt takes a turn out of what the copy brings.
func (e *Edge) felt(en copy.Entry) {
	t, ok := ReadTurn(en)
	if !ok {
		return
	}
	if old := e.turn.Swap(&t); old != nil && old.N >= t.N {
		return
	}
	if f := e.feeler.Load(); f != nil {
		f.Begin(t)
	}
}
