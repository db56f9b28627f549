package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/rpz"
	"bolwerk/shield/edge"
	"bolwerk/shield/zones"
)

// What is in force is what the resolver answers, not what it was given: each zone
// has a canary whose answer names the serial by which the resolver answers at this
// moment. The desk publishes a serial a minute, so the proof is never older.

const (
	lookFast  = 20 * time.Millisecond // how soon we look again after a change
	lookSlow  = time.Second           // and where the resolver takes long, or is away
	staleMost = 10_000                // names that wait to be wiped
	wipeMost  = 100                   // names of one command
	tellBad   = 20 * time.Second      // how often a problem is told
)

// prove looks whenever something changed, until the resolver has it.
func (a *Agent) prove(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.changed:
		}
		for wait := lookFast; !a.look(ctx); wait = min(wait*3/2, lookSlow) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
		}
	}
}

// look asks the resolver, and says whether it has everything.
func (a *Agent) look(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	a.mu.Lock()
	loaded, want, urgent, since, was := a.loaded, a.served, a.zones.Urgent(), a.pending, a.force
	a.mu.Unlock()
	if !loaded {
		return true
	}
	err := a.has(ctx, want, urgent)
	now := a.with.Clock.Now()
	if err != nil {
		if errors.Is(err, bolwerk.ErrNotFound) && now.Sub(a.unknown) > lookSlow {
			// PowerDNS keeps the failure to find a canary for a minute.
			a.unknown = now
			a.forget(ctx, a.canaries())
		}
		if ctx.Err() == nil && now.Sub(since) > tellBad && now.Sub(was.At) > tellBad {
			f := Force{Resolver: a.cfg.Resolver, Epoch: was.Epoch, Serial: was.Serial, At: now.UTC(), Problem: err.Error()}
			a.with.Log.Warn("the resolver does not answer by what was published", "serial", want.Serial, "since", since, "err", err)
			a.tell(f)
			a.mu.Lock()
			a.force = f
			a.mu.Unlock()
		}
		return false
	}
	a.wipe(ctx, want.Serial)
	f := Force{Resolver: a.cfg.Resolver, Epoch: want.Epoch, Serial: int64(want.Serial), At: now.UTC()}
	a.tell(f)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.force = f
	if a.served != want {
		return false // something newer came meanwhile
	}
	a.pending = time.Time{}
	return true
}

// has is nil where the resolver answers by the zones as they are served.
func (a *Agent) has(ctx context.Context, want rpz.State, urgent uint32) error {
	for _, zone := range []bolwerk.Domain{zones.Pass, zones.Hot, zones.Block} {
		at, ok := a.at(zone)
		if !ok || zone == zones.Block && (urgent == 0 || rpz.Newer(at.Serial, urgent)) {
			continue // the cold zone need not be there yet
		}
		canary, err := zones.CanaryOf(zone, a.with.Canary)
		if err != nil {
			return err
		}
		if a.cfg.Resolver == DNSDist {
			m := rpz.Marker(canary, at)
			got, err := rpz.Ask(ctx, a.ask, m, "A")
			if err != nil {
				return err
			}
			if !a.ours(got, edge.Redirect) {
				return bolwerk.Conflict("%s does not answer by the file of %s with serial %d yet", a.ask, zone, at.Serial)
			}
			continue
		}
		shows, err := rpz.Canary(ctx, a.ask, canary)
		if err != nil {
			return err
		}
		if shows.Epoch != at.Epoch || rpz.Newer(at.Serial, shows.Serial) {
			return bolwerk.Conflict("%s answers by serial %d of %s, not by %d yet", a.ask, shows.Serial, zone, at.Serial)
		}
	}
	return nil
}

// at is where a zone stands as it is served.
func (a *Agent) at(zone bolwerk.Domain) (rpz.State, bool) {
	switch p := a.with.Primary.(type) {
	case *Files:
		return p.at(zone)
	case *rpz.Primary:
		s, _, ok := p.At(zone)
		return s, ok
	}
	return rpz.State{}, false
}

// ours says that an answer is what the policy gives.
func (a *Agent) ours(got rpz.Answer, action edge.Action) bool {
	switch {
	case action == edge.NXDomain:
		return got.Rcode == "NXDOMAIN"
	case action == edge.NoData || len(a.landing) == 0:
		return got.Rcode == "NOERROR" && len(got.Records) == 0
	}
	return slices.ContainsFunc(a.landing, func(w netip.Addr) bool { return slices.Contains(got.Addresses, w) })
}

// wipe takes the names that changed up to a serial out of the resolver's caches.
func (a *Agent) wipe(ctx context.Context, serial uint32) {
	a.mu.Lock()
	var names []bolwerk.Domain
	a.stale = slices.DeleteFunc(a.stale, func(c change) bool {
		done := !rpz.Newer(c.serial, serial)
		if done && len(names) < staleMost {
			names = append(names, c.name)
		}
		return done
	})
	a.mu.Unlock()
	if len(names) == staleMost {
		a.with.Log.Warn("more names changed at once than are wiped: the others end with their TTL", "wiped", staleMost)
	}
	a.forget(ctx, names)
}

// canaries are the names by which zones are proved.
func (a *Agent) canaries() (out []bolwerk.Domain) {
	for _, zone := range []bolwerk.Domain{zones.Pass, zones.Hot, zones.Block} {
		if c, err := zones.CanaryOf(zone, a.with.Canary); err == nil && !c.IsZero() {
			out = append(out, c)
		}
	}
	return out
}

// forget has the resolver take names, and all below them, out of its caches.
func (a *Agent) forget(ctx context.Context, wipe []bolwerk.Domain) {
	command, suffix, several := a.cfg.wipe()
	if len(command) == 0 {
		return
	}
	names := make([]string, 0, len(wipe))
	for _, n := range wipe {
		names = append(names, n.String()+suffix)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	most := 1
	if several {
		most = wipeMost
	}
	for some := range slices.Chunk(names, most) {
		args := slices.Concat(command[1:], some)
		if out, err := exec.CommandContext(ctx, command[0], args...).CombinedOutput(); err != nil {
			a.with.Log.Error("the resolver's cache could not be wiped; what is cached ends with its TTL", "alarm", true, "command", strings.Join(command, " "),
				"names", len(some), "err", fmt.Errorf("%w: %.200s", err, out))
			return
		}
	}
}
