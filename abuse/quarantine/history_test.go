package quarantine

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/enforce/allow"
	"bolwerk/abuse/session"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

// check is what holds after every step, whatever happened.
func (h *town) check() {
	h.t.Helper()
	now := h.clock.Now()
	rows := h.rows()
	for _, q := range rows {
		if !q.Until.Equal(h.ends[q.ID]) {
			h.t.Fatalf("the end of %s moved to %s", q.Ref, q.Until)
		}
		if h.over[q.ID] && q.State.Holds() {
			h.t.Fatalf("%s had ended, and is %s", q.Ref, q.State)
		}
		h.over[q.ID] = !q.EndedAt.IsZero()
	}
	for _, name := range people { // one at a time
		in := slices.DeleteFunc(slices.Clone(rows), func(q Row) bool { return h.of[q.ID] != name || q.State == Requested || q.State.Over() })
		if len(in) > 1 {
			h.t.Fatalf("%s is in %s (%s) and in %s (%s)", name, in[0].Ref, in[0].State, in[1].Ref, in[1].State)
		}
	}
	// may says that somebody may have a profile now: by one that was begun and whose time
	// is not over; with held, by one that holds.
	may := func(name string, p enforce.Profile, held bool) bool {
		return slices.ContainsFunc(rows, func(q Row) bool {
			return h.of[q.ID] == name && q.Profile == p && !q.StartAt.IsZero() && q.Until.After(now) && (!held || q.State.Holds())
		})
	}
	for addr := range places {
		got, name := h.sees(addr), ""
		if s := h.held[addr]; s != nil {
			name = s.who
		}
		in := got == string(enforce.Leaky) || got == string(enforce.Strict)
		switch p := enforce.Profile(got); {
		case got == "default":
		case in && !slices.ContainsFunc(people, func(n string) bool { return may(n, p, false) }):
			h.t.Fatalf("%s is %s, and no quarantine's time is not over", addr, got)
		case h.since[addr] && in && !may(name, p, h.fresh && h.desk != nil):
			h.t.Fatalf("%s of %q is %s", addr, name, got)
		case h.since[addr] && !in && got != chose[name]:
			h.t.Fatalf("%s of %q has the view %s of who had it before", addr, name, got)
		}
		if captive := h.captive(addr); captive != in {
			h.t.Fatalf("%s has the view %s, and its page says captive %v", addr, got, captive)
		}
		for _, e := range allow.Entries() {
			if e.Kind != "emergency" && e.Kind != "care" {
				continue
			}
			for _, n := range e.Names {
				if h.stopped(addr, n) || h.stopped(addr, "www."+n) {
					h.t.Fatalf("%s does not resolve %s in the view %s", addr, n, got)
				}
			}
		}
	}
	for _, s := range h.plant.seats {
		p := s.profile(now)
		switch had := slices.ContainsFunc(rows, func(q Row) bool { return h.of[q.ID] == s.who && q.Profile == p && !q.StartAt.IsZero() }); {
		case p == enforce.Normal:
		case !had:
			h.t.Fatalf("session %s of %s is %s at the access server, and never was to be", s.id, s.who, p)
		case !s.until.IsZero() && !may(s.who, p, false):
			h.t.Fatalf("session %s of %s is %s at a server with a timer, and its time is over", s.id, s.who, p)
		}
	}
	// A garden and its quarantine are of one transaction.
	h.must(h.db.Read(h.t.Context(), func(tx *store.Tx) error {
		n := 0
		err := tx.Row(`select count(*) from abuse_view_hold h where not exists (select 1 from abuse_quarantine q where q.id=h.id and q.state in ` + holdsSQL + `)`).Scan(&n)
		if n > 0 {
			h.t.Fatalf("%d gardens of quarantines that do not hold", n)
		}
		return err
	}))
}

// step is one thing that happens.
func (h *town) step() {
	h.clock.Add(time.Duration(h.r.IntN(90)) * time.Second)
	addrs := make([]string, 0, len(places))
	for a := range places {
		addrs = append(addrs, a)
	}
	slices.Sort(addrs)
	addr := addrs[h.r.IntN(len(addrs))]
	s, alive := h.held[addr], h.desk != nil
	switch n := h.r.IntN(32); {
	case n < 5 && s != nil:
		h.logout(addr, h.r.IntN(3) > 0) // else its Stop is never told
		if h.r.IntN(2) == 0 {
			h.login(addr)
		}
	case n < 9 && s == nil:
		h.login(addr)
	case n < 12 && s != nil:
		h.ways = append(h.ways, h.record(session.Interim, s))
	case n == 12:
		h.again(places[addr])
	case n == 13:
		h.boot()
	case n == 14:
		h.clock.Add(time.Duration(h.r.IntN(30)) * time.Minute)
	case n == 15 && alive:
		h.desk = nil // killed
	case n < 18 && !alive:
		h.start()
	case n < 20 && alive:
		h.put(people[h.r.IntN(len(people)-1)])
	case n == 20 && alive:
		if rows := slices.DeleteFunc(h.rows(), func(q Row) bool { return !q.State.Holds() }); len(rows) > 0 {
			h.end(rows[h.r.IntN(len(rows))])
		}
	case n < 25 && alive:
		h.work([]string{"honest", "rough", "rough", "killed"}[h.r.IntN(4)])
	case len(h.ways) > 0 && alive:
		h.deliver(h.r.IntN(len(h.ways)), h.r.IntN(5) == 0)
	}
	if h.r.IntN(4) > 0 { // else the edge is behind
		h.follow()
	}
}

// quiet has all told that is on its way, and the access servers honest, for a while: then
// the edge and they have what is wanted, and nothing else.
func (h *town) quiet() {
	h.t.Helper()
	if h.desk == nil {
		h.start()
	}
	for range 6 {
		h.clock.Add(6 * time.Minute)
		for _, s := range h.held {
			h.ways = append(h.ways, h.record(session.Interim, s))
		}
		for len(h.ways) > 0 {
			h.deliver(0, false)
		}
		h.work("honest")
		h.follow()
		h.check()
	}
	wanted, asked, before := map[string]enforce.Profile{}, map[string]string{}, map[string]bool{}
	for _, q := range h.rows() {
		name := h.of[q.ID]
		if q.EndedAt.Equal(h.clock.Now()) {
			before[name] = true // of what waits behind it
		}
		switch {
		case q.State.Holds() && wanted[name] != enforce.Strict:
			wanted[name] = q.Profile
		case !q.State.Holds() && !q.State.Over() && q.State != Requested:
			h.t.Errorf("%s of %s stays %s", q.Ref, name, q.State)
		case q.State == Requested:
			asked[name] = q.Ref
		}
	}
	for name, ref := range asked {
		if wanted[name] == "" && !before[name] {
			h.t.Errorf("%s of %s waits, and nothing is before it", ref, name)
		}
	}
	for addr, s := range h.held {
		want, filter, got := string(wanted[s.who]), s.profile(h.clock.Now()), h.sees(addr)
		if want == "" && filter != enforce.Normal {
			h.t.Errorf("session %s of %s has the filter %s, and no quarantine is open", s.id, s.who, filter)
		}
		if want != "" && filter != enforce.Normal && string(filter) != want {
			h.t.Errorf("session %s of %s has the filter %s, want %s", s.id, s.who, filter, want)
		}
		if want != "" { // a refusal, or a doubt, is the normal profile
			h.wanted++
			if filter != enforce.Normal {
				h.filters++
			}
			if got == want {
				h.gardens++
			}
		}
		if got != cmp.Or(want, chose[s.who], "default") && got != "default" {
			h.t.Errorf("%s of %s has the view %s, want %s", addr, s.who, got, want)
		}
	}
	if h.t.Failed() {
		h.t.FailNow()
	}
}

// Lines go into quarantine and come out while addresses change hands, accounting is late,
// twice or lost, access servers begin anew, lie or are deaf, and the desk is killed while
// it sends. After every step: nobody has the quarantine or the view of who had the address
// before, nobody is in two quarantines, nobody is held past the end at the edge or at a server with a timer, what has
// ended never begins again, and 112 resolves. Once all is told and the access servers are
// honest, no filter is left of what was closed.
func TestQuarantinesWhileAddressesChangeHands(t *testing.T) {
	wanted, filters, gardens := 0, 0, 0
	histories := uint64(40)
	switch {
	case testing.Short():
		histories = 3
	case os.Getenv(storetest.Env) != "":
		histories = 8 // each takes seconds there
	}
	for seed := range histories {
		t.Run(fmt.Sprint("seed_", seed), func(t *testing.T) {
			h := newTown(t, seed)
			for range 4 {
				for range 50 {
					h.step()
					h.check()
				}
				h.quiet()
			}
			for _, q := range h.rows() {
				if q.State.Holds() || q.State == Requested {
					h.end(q)
				}
			}
			h.quiet()
			for _, q := range h.rows() {
				if !q.State.Over() {
					t.Errorf("%s of %s stays %s", q.Ref, h.of[q.ID], q.State)
				}
			}
			wanted, filters, gardens = wanted+h.wanted, filters+h.filters, gardens+h.gardens
		})
	}
	t.Logf("of %d lines that were to be inside when all was quiet, %d had the filter and %d the garden", wanted, filters, gardens)
	if wanted == 0 || filters < wanted/2 || gardens < wanted/2 {
		t.Error("hardly a line was in quarantine: nothing was shown")
	}
}
