package shield

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/copy"
	"bolwerk/internal/store"
	"bolwerk/shield/door"
	"bolwerk/shield/edge"
	"bolwerk/shield/judge"
	"bolwerk/shield/reading"
)

// TestGuards_through_any_history has everybody do anything, in any order: people
// report, rules and persons decide, authorities order and lift, customers run into
// blocks and appeal, lists change, pages come and go, the clock jumps. After each
// step what is published is held against what the guards promise, by an oracle that
// asks none of them.
//
// A failure prints its seed and the shortest history that rapid found;
// `go test ./shield -run any_history -rapid.seed=N` tells it again,
// -rapid.checks=N tells more.
func TestGuards_through_any_history(t *testing.T) {
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := checks.Value.Set("25"); err != nil { // a fifth of it with -short
			t.Fatal(err)
		}
		defer checks.Value.Set(checks.DefValue)
	}
	pool := readers(t)
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(&oneHistory{TB: t, rt: rt}, rt, pool)
		rt.Repeat(h.actions())
	})
}

// oneHistory is the test of one history: what it opens is closed when it ends.
type oneHistory struct {
	testing.TB
	rt *rapid.T
}

func (o *oneHistory) Helper()                   {}
func (o *oneHistory) Cleanup(f func())          { o.rt.Cleanup(f) }
func (o *oneHistory) Fatal(a ...any)            { o.rt.Fatal(a...) }
func (o *oneHistory) Fatalf(f string, a ...any) { o.rt.Fatalf(f, a...) }
func (o *oneHistory) Error(a ...any)            { o.rt.Error(a...) }
func (o *oneHistory) Errorf(f string, a ...any) { o.rt.Errorf(f, a...) }
func (o *oneHistory) TempDir() string {
	dir, err := os.MkdirTemp("", "history")
	if err != nil {
		o.rt.Fatal(err)
	}
	o.rt.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// The names that things happen to: few, so that they happen to the same ones.
var (
	candidates = []string{fake, "anchorbank-two.example", "login.anchorbank-two.example", "pay-parcel.example", "evil.shops.example", "in.evil.shops.example", "anchorbank.github.io",
		"busy.example", "app.busy.example", "school.example", "mail.school.example"}
	// nobodys are never anybody's to block.
	nobodys = []string{"anchorbank.example", "login.anchorbank.example", "harbour.example", "mail.harbour.example", "co.uk", "github.io", "shops.example", "pages.example", "bit.ly", "good7.example", "proximus.be"}
)

type history struct {
	*testShield
	rt *rapid.T

	step    int
	people  map[string]judge.Person // by account id
	all     []judge.Person
	good    map[string]int // names on the known-good list, and since which step
	popular bool           // busy.example is on the list of popular names
	feed    map[string]bool
	used    map[string]time.Time // asked for every day, and when that was
	orders  map[string]string    // in the issuer's list, and their scope
	appeals int

	seen    map[string]int       // entry and version, and at which step it was first seen
	until   map[string]time.Time // of each block
	machine map[string]bool      // blocks that no person had confirmed a step ago
	rolled  map[string]map[string]int64
}

func newHistory(t testing.TB, rt *rapid.T, pool *reading.Pool) *history {
	h := &history{testShield: shieldWith(t, pool), rt: rt, people: map[string]judge.Person{}, good: map[string]int{"good7.example": 0}, popular: true,
		feed: map[string]bool{"pay-parcel.example": true, fake: true, "anchorbank-two.example": true}, used: map[string]time.Time{}, orders: map[string]string{},
		seen: map[string]int{}, until: map[string]time.Time{}, machine: map[string]bool{}, rolled: map[string]map[string]int64{}}
	h.guard.cfg.OwnNames = []bolwerk.Domain{bolwerk.MustDomain("harbour.example")}
	h.letRules(rapid.SampledFrom([]judge.Mode{judge.On, judge.On, judge.Shadow, judge.Off}).Draw(rt, "rules"))
	for _, p := range []struct {
		login string
		role  account.Role
	}{{"omar", account.Administrator}, {"anna", account.Analyst}, {"bert", account.Analyst}, {"dora", account.DutyOfficer}} {
		h.all = append(h.all, Decider(h.person(p.login, p.role)))
	}
	young := h.all[len(h.all)-1]
	young.ID, young.RoleSince, young.AccountSince = "young", start, start
	token := h.all[len(h.all)-1]
	token.Session = false
	h.all = append(h.all, young, token)
	for _, p := range h.all {
		h.people[p.ID] = p
	}
	return h
}

func (h *history) draw(what string, from []string) string {
	return rapid.SampledFrom(from).Draw(h.rt, what)
}
func (h *history) name() bolwerk.Domain {
	return bolwerk.MustDomain(h.draw("name", append(slices.Clone(candidates), nobodys...)))
}
func (h *history) who() judge.Person { return rapid.SampledFrom(h.all).Draw(h.rt, "who") }
func (h *history) scope() bolwerk.Scope {
	return rapid.SampledFrom([]bolwerk.Scope{"", bolwerk.ScopeHost, bolwerk.ScopeSubtree, bolwerk.ScopeRegistrable, bolwerk.ScopeURLOnly}).Draw(h.rt, "scope")
}
func (h *history) length() time.Duration {
	return rapid.SampledFrom([]time.Duration{0, time.Hour, 24 * time.Hour, 10 * 24 * time.Hour, 15 * 24 * time.Hour, 400 * 24 * time.Hour}).Draw(h.rt, "length")
}

// refused lets pass what a guard, a role or another decision is right to refuse.
func (h *history) refused(err error) {
	h.t.Helper()
	if err != nil && !errors.Is(err, bolwerk.ErrForbidden) && !errors.Is(err, bolwerk.ErrConflict) && !errors.Is(err, bolwerk.ErrInvalid) && !errors.Is(err, bolwerk.ErrNotFound) {
		h.t.Fatal(err)
	}
}

func (h *history) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *history) blocks(where string) (out []Block) {
	h.read(func(tx *store.Tx) (err error) {
		out, err = store.List(tx, readBlock, `select `+blockColumns+` from shield_block where `+where+` order by made_at,id`)
		return err
	})
	return out
}

// one is any block or exemption that is where says; ok is false where none is.
func (h *history) one(where string) (b Block, ok bool) {
	all := h.blocks(where)
	if len(all) == 0 {
		return b, false
	}
	return all[rapid.IntRange(0, len(all)-1).Draw(h.rt, "block")], true
}

func (h *history) proposal() (p desk.Proposal, ok bool) {
	var open []desk.Proposal
	h.read(func(tx *store.Tx) (err error) { open, err = desk.OpenProposals(tx, "", 50); return err })
	if len(open) == 0 {
		return p, false
	}
	return open[rapid.IntRange(0, len(open)-1).Draw(h.rt, "proposal")], true
}

func (h *history) actions() map[string]func(*rapid.T) {
	ctx := h.t.Context()
	when := func(act func()) func(*rapid.T) { return func(*rapid.T) { h.step++; act() } }
	reload := func() { h.must(h.Load(ctx)) }
	return map[string]func(*rapid.T){
		"report": when(func() {
			h.report(lure("your card", "https://"+h.name().String()+"/"+h.draw("page", []string{"", "login"})))
		}),
		"rules decide": when(func() { h.must(h.decideDue(ctx)) }),
		"a feed grows at once": when(func() {
			var more []string
			for i := range 9 {
				more = append(more, fmt.Sprintf("anchorbank-%d-%d.example", h.step, i))
				h.feed[more[i]] = true
			}
			h.writeFeed()
			reload()
			for _, name := range more {
				h.report(lure("your card", "https://"+name+"/"))
			}
			h.must(h.decideDue(ctx))
		}),
		"confirm": when(func() {
			_, err := h.Confirm(ctx, h.who(), Confirm{Name: h.name(), Scope: h.scope(), For: h.length(), Compromised: rapid.IntRange(0, 4).Draw(h.rt, "compromised") == 0, Reason: "seen"})
			h.refused(err)
		}),
		"confirm without a reason": when(func() {
			if _, err := h.Confirm(ctx, h.who(), Confirm{Name: h.name()}); err == nil {
				h.t.Error("confirmed without a reason")
			}
		}),
		"approve": when(func() {
			if p, ok := h.proposal(); ok {
				digest := p.Digest
				if rapid.IntRange(0, 5).Draw(h.rt, "of another proposal") == 0 {
					digest = strings.Repeat("0", len(digest))
				}
				_, err := h.Approve(ctx, h.who(), p.ID, digest)
				h.refused(err)
			}
		}),
		"reject": when(func() {
			_, err := h.Reject(ctx, h.who(), h.theCaseOr(h.name().String()), "nothing")
			h.refused(err)
		}),
		"keep": when(func() {
			if b, ok := h.one(`state='in_force' and not pass`); ok {
				_, err := h.Keep(ctx, h.who(), b.ID, "seen")
				h.refused(err)
			}
		}),
		"withdraw": when(func() {
			b, ok := h.one(`state='in_force'`)
			if !ok {
				return
			}
			who := h.who()
			_, err := h.Withdraw(ctx, who, b.ID, FalsePositive, "wrong")
			if mine := b.OrderID == "" && who.Is(judge.Analyst, judge.DutyOfficer); mine != (err == nil) {
				h.t.Errorf("the way back of %s (%s): %v", b.Ref, b.Name, err)
			}
		}),
		"exempt": when(func() {
			_, err := h.Exempt(ctx, h.who(), Exempt{Name: h.name(), Scope: h.scope(), For: h.length(), Reason: "theirs"})
			h.refused(err)
		}),
		"the authority's list": when(func() {
			name := h.name().String()
			if h.orders[name] != "" {
				delete(h.orders, name)
			} else {
				h.orders[name] = string(rapid.SampledFrom([]bolwerk.Scope{bolwerk.ScopeHost, bolwerk.ScopeSubtree, bolwerk.ScopeRegistrable}).Draw(h.rt, "ordered scope"))
			}
			h.takeOrders()
		}),
		"release orders": when(func() { _, err := h.ReleaseOrders(ctx, h.who(), "cert"); h.refused(err) }),
		"known-good list": when(func() {
			name := h.draw("good", []string{"school.example", "mail.school.example", "anchorbank-two.example", "good7.example"})
			if _, there := h.good[name]; there {
				delete(h.good, name)
			} else {
				h.good[name] = h.step
			}
			h.writeGood()
			reload()
		}),
		"popular list": when(func() {
			h.popular = !h.popular
			h.file("popular.txt", map[bool]string{true: "busy.example\n", false: "other.example\n"}[h.popular])
			reload()
		}),
		"feed": when(func() {
			name := h.draw("listed", candidates)
			h.feed[name] = !h.feed[name]
			h.writeFeed()
			reload()
		}),
		"customers use a name": when(func() {
			name := h.draw("used", candidates)
			if h.firstSeen(name).IsZero() {
				h.asks("edge-1", name, 14, 600)
				h.used[name] = h.clock.Now()
			}
		}),
		"customers run into a block": when(func() {
			if b, ok := h.one(`state='in_force' and not pass`); ok {
				at, n := rapid.SampledFrom([]string{"edge-1", "edge-2"}).Draw(h.rt, "edge"), rapid.SampledFrom([]uint64{3, 700, 5000}).Draw(h.rt, "hits")
				if h.rolled[b.ID] == nil {
					h.rolled[b.ID] = map[string]int64{}
				}
				h.rolled[b.ID][at] = max(h.rolled[b.ID][at], int64(n))
				h.hit(at, b.Ref, n)
			}
		}),
		"somebody looks at the page": when(func() {
			if b, ok := h.one(`not pass and order_id=''`); ok && h.exists(b.Name.String()) {
				live := rapid.SampledFrom([]judge.Live{judge.LiveOnline, judge.LiveOffline, judge.LiveOffline, judge.LiveCloaked, judge.LiveParked, judge.LiveUnseen}).Draw(h.rt, "page")
				h.testShield.seen(b.Name.String(), live, h.draw("built", []string{"kit-1", "kit-2"}))
			}
		}),
		"it is lived in until its end": when(func() {
			if b, ok := h.one(`state='in_force' and not pass and order_id=''`); ok && h.exists(b.Name.String()) && !b.Until.Before(h.clock.Now()) {
				h.clock.Add(max(0, b.Until.Add(-30*time.Minute).Sub(h.clock.Now())))
				h.testShield.seen(b.Name.String(), judge.LiveOnline, "kit-1")
				h.hit("edge-1", b.Ref, 7)
				h.sweep()
			}
		}),
		"appeal": when(func() {
			if b, ok := h.one(`not pass`); ok {
				h.appeals++
				body, err := json.Marshal(edge.Appeal{Receipt: fmt.Sprintf("%064x", h.appeals), Name: b.Name, Block: b.Ref, Role: "owner", Text: "mine", At: h.clock.Now()})
				h.must(err)
				h.must(h.Receive(ctx, "edge-1", edge.KindAppeal, fmt.Sprint("appeal-", h.appeals), body))
			}
		}),
		"decide an appeal": when(func() {
			var open []desk.Appeal
			h.read(func(tx *store.Tx) (err error) {
				open, err = desk.Appeals(tx, desk.AppealFilter{State: "received", Limit: 50})
				return err
			})
			if len(open) > 0 {
				h.refused(h.DecideAppeal(ctx, h.who(), open[rapid.IntRange(0, len(open)-1).Draw(h.rt, "appeal")].ID, rapid.Bool().Draw(h.rt, "upheld"), "looked"))
			}
		}),
		"time passes": when(func() {
			h.clock.Add(rapid.SampledFrom([]time.Duration{time.Minute, 11 * time.Minute, 2 * time.Hour, 25 * time.Hour, 49 * time.Hour, 73 * time.Hour}).Draw(h.rt, "time"))
			h.sweep()
		}),
		"the clock jumps": when(func() {
			h.clock.Jump(h.clock.Now().Add(rapid.SampledFrom([]time.Duration{-time.Hour, -time.Minute, 26 * time.Hour, 15 * 24 * time.Hour}).Draw(h.rt, "jump")))
			h.sweep()
		}),
		"the clock is right": when(func() { h.clock.Clear(); h.sweep() }),
		"":                   func(*rapid.T) { h.check() },
	}
}

func (h *history) writeFeed() {
	var all []string
	for name, on := range h.feed {
		if on {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	h.file("feed.txt", "something-else.example\n"+strings.Join(all, "\n")+"\n")
}

func (h *history) writeGood() {
	var out strings.Builder
	for i := range 1000 {
		if i != 7 {
			fmt.Fprintf(&out, "good%d.example\n", i)
		}
	}
	for name := range h.good {
		fmt.Fprintln(&out, name)
	}
	h.file("good.txt", out.String())
}

func (h *history) takeOrders() {
	var out strings.Builder
	for name, scope := range h.orders {
		fmt.Fprintf(&out, `{"name":%q,"scope":%q,"valid_until":%q}`+"\n", name, scope, start.AddDate(0, 1, 0).Format(time.RFC3339))
	}
	is, _ := h.issuer("cert")
	h.must(h.TakeList(h.t.Context(), is, strings.NewReader(out.String())))
}

func (h *history) theCaseOr(name string) string {
	var ref string
	h.read(func(tx *store.Tx) error {
		c, err := desk.LastCase(tx, Name, name)
		if errors.Is(err, bolwerk.ErrNotFound) || store.None(err) {
			err = nil
		}
		ref = cmp.Or(c.Ref, "C-2026-999999")
		return err
	})
	return ref
}

func (h *history) exists(name string) bool { return !h.firstSeen(name).IsZero() }

// firstSeen is when a name was first reported or decided about.
func (h *history) firstSeen(name string) (at time.Time) {
	h.read(func(tx *store.Tx) error {
		var n int64
		err := tx.Row(`select first_seen from shield_observable where value=$1`, name).Scan(&n)
		if store.None(err) {
			return nil
		}
		at = store.Time(n)
		return err
	})
	return at
}

// sweep does what the desk does every second.
func (h *history) sweep() {
	for _, step := range []func() error{
		func() error { return h.trip(h.t.Context()) }, func() error { return h.recheck(h.t.Context()) },
		func() error { return h.endExpired(h.t.Context()) }, func() error { return h.endAppealed(h.t.Context()) }, func() error { return h.endUndone(h.t.Context()) },
	} {
		h.must(step())
	}
	if h.clock.Suspect() {
		return
	}
	now := h.clock.Now()
	for _, b := range h.blocks(`state='in_force'`) {
		if !b.Until.IsZero() && !b.Until.After(now) {
			h.t.Errorf("%s (%s) is in force beyond its end %s, at %s", b.Ref, b.Name, b.Until, now)
		}
	}
	h.read(func(tx *store.Tx) error {
		open, err := desk.Appeals(tx, desk.AppealFilter{State: "received", Limit: 500})
		for _, a := range open {
			b, err := findBlock(tx, a.Object)
			if err != nil || a.DueAt.After(now) || b.OrderID != "" {
				continue
			}
			looks, err := looksAt(tx, b.ID)
			if err != nil {
				return err
			}
			live := slices.ContainsFunc(looks, func(l judge.Sight) bool { return l.Live == judge.LiveOnline && now.Sub(l.At) <= 24*time.Hour })
			if !b.Actor.IsPerson() && !b.Second.IsPerson() || !live {
				h.t.Errorf("nobody decided the appeal about %s (%s) by %s", b.Ref, b.Name, a.DueAt)
			}
		}
		return err
	})
}

// published is a copy as every edge or door has it.
func (h *history) published(name string) map[string]copy.Entry {
	out := map[string]copy.Entry{}
	h.must(h.publish.Snapshot(h.t.Context(), name, func(copy.Head) error { return nil }, func(e copy.Entry) error { out[e.ID] = e; return nil }))
	return out
}

// check holds what is published against what the guards promise.
func (h *history) check() {
	entries, public := h.published(CopyBlocks), h.published(CopyPublic)
	rules := map[string]edge.Rule{}
	for id, e := range entries {
		r, err := edge.ParseRule(e)
		h.must(err)
		if !r.FeedOnly {
			rules[id] = r
		}
		if key := fmt.Sprint(id, " ", e.Version); h.seen[key] == 0 {
			h.seen[key] = max(h.step, 1)
		}
	}
	since := func(id string) int { return h.seen[fmt.Sprint(id, " ", entries[id].Version)] }

	// What must resolve does. A list that changes ends nothing: what was placed or
	// extended before is alarmed about, and a person's to withdraw.
	for id, r := range rules {
		if r.Pass {
			continue
		}
		for _, name := range nobodys {
			d := bolwerk.MustDomain(name)
			if name != "good7.example" && r.Covers(d) {
				h.t.Errorf("%s (%s, %s) takes %s", r.Block, r.Name, r.Scope, d)
			}
		}
		for name, on := range h.good {
			if r.Covers(bolwerk.MustDomain(name)) && since(id) > on {
				h.t.Errorf("%s (%s, %s) takes %s of the known-good set", r.Block, r.Name, r.Scope, name)
			}
		}
	}

	inForce := map[string]Block{}
	all := h.blocks(`true`)
	for _, b := range all {
		id := fmt.Sprint(b.State, " ", b.Ref, " (", b.Name, ", ", b.Scope, ")")
		r, served := rules[b.ID]
		_, listed := public[door.BlockEntry+b.Ref]
		switch {
		case served != (b.State == InForce):
			h.t.Errorf("%s: served is %v", id, served)
		case !b.Pass && listed != served:
			h.t.Errorf("%s: shown to the public is %v", id, listed)
		case served && (r.Name != b.Name || r.Scope != b.Scope || r.Pass != b.Pass || !r.Until.Equal(b.Until) || entries[b.ID].Version != b.Version):
			h.t.Errorf("%s is served as %+v of version %d", id, r, entries[b.ID].Version)
		}
		if b.State != InForce {
			if b.EndedAt.IsZero() || b.EndedBy == "" || b.EndedWhy == "" {
				h.t.Errorf("%s ended by %q for %q at %s", id, b.EndedBy, b.EndedWhy, b.EndedAt)
			}
			if b.EndedWhy == string(ByTripwire) {
				h.tripped(b)
			}
			continue
		}
		inForce[b.ID] = b
		fresh := since(b.ID) == h.step
		if b.Reason == "" || b.Actor.String() == "" || b.By == "" || !b.Pass && (b.Ground == "" || b.Action == "") {
			h.t.Errorf("%s is in force without a reason, a decider or a ground: %+v", id, b)
		}
		switch {
		case b.Pass:
			h.exemption(id, b, fresh)
		case b.OrderID == "":
			h.own(id, b, fresh)
		default:
			if !fresh {
				break
			}
			if h.orders[b.Name.String()] == "" {
				h.t.Errorf("%s: nobody orders it", id)
			}
		}
	}
	for id := range rules {
		if _, ok := inForce[id]; !ok {
			h.t.Errorf("%s is served and nobody decided it", id)
		}
	}
	// An exemption in force is in the copy, and wins at every edge.
	for _, b := range inForce {
		if b.Pass && !rules[b.ID].Pass {
			h.t.Errorf("%s is exempt, and not where it is blocked", b.Name)
		}
	}
	h.brake(all)
	clear(h.machine)
	for _, b := range inForce {
		h.machine[b.ID], h.until[b.ID] = b.Machine, b.Until
	}
}

// own is about a block of our own in force.
func (h *history) own(id string, b Block, fresh bool) {
	longest := 14 * 24 * time.Hour
	if b.Machine {
		longest = 72 * time.Hour
	}
	if b.Compromised {
		longest = 24 * time.Hour
	}
	if b.Until.IsZero() || b.Until.Sub(b.From) > 180*24*time.Hour {
		h.t.Errorf("%s has the end %s since %s", id, b.Until, b.From)
	}
	if fresh && b.Until.Sub(h.clock.Now()) > longest {
		h.t.Errorf("%s: for %s, longest %s", id, b.Until.Sub(h.clock.Now()), longest)
	}
	if !b.Actor.IsPerson() && b.Actor != byRules {
		h.t.Errorf("%s: decided by %s", id, b.Actor)
	}
	if b.Actor == byRules && h.cfg.Automatic.Phishing != judge.On {
		h.t.Errorf("%s: rules decided, and they are %s", id, h.cfg.Automatic.Phishing)
	}
	if b.Actor.IsPerson() {
		h.may(id, b.Actor)
	}
	if !fresh || b.Version > 1 {
		return
	}
	for _, pass := range h.blocks(`state='in_force' and pass`) {
		if pass.Rule().Covers(b.Name) && h.seen[fmt.Sprint(pass.ID, " ", pass.Version)] < h.step {
			h.t.Errorf("%s was blocked, and %s is exempt (%s)", id, pass.Name, pass.Ref)
		}
	}
	if why := h.needsTwo(b); why != "" {
		if !b.Actor.IsPerson() || !b.Second.IsPerson() {
			h.t.Errorf("%s: %s, and one decided: %s", id, why, b.Actor)
		}
		h.pair(id, b)
	}
}

// needsTwo says why one person may not block b alone.
func (h *history) needsTwo(b Block) string {
	name := b.Name.String()
	used, first := h.used[name], h.firstSeen(name)
	owner := bolwerk.MustDomain("busy.example")
	switch {
	case b.Scope == bolwerk.ScopeRegistrable:
		return "a registrable domain"
	case b.Scope == bolwerk.ScopeSubtree && b.Name.Labels() == 2:
		return "all of a registrable domain"
	case h.popular && b.Name.Below(owner):
		return "a popular name"
	case !used.IsZero() && first.Sub(used) >= 0 && first.Sub(used) < 6*24*time.Hour:
		return "a name that customers use"
	}
	return ""
}

// pair is about what two people decided.
func (h *history) pair(id string, b Block) {
	if b.Actor == b.Second {
		h.t.Errorf("%s: the same person twice", id)
	}
	h.may(id, b.Actor)
	h.may(id, b.Second)
	officer := false
	for _, p := range h.people {
		if a := bolwerk.Person(p.ID); (a == b.Actor || a == b.Second) && p.Is(judge.DutyOfficer) {
			officer = true
		}
	}
	if !officer {
		h.t.Errorf("%s: neither of the two is a duty officer", id)
	}
	if b.Second == bolwerk.Person("young") && h.clock.Now().Sub(start) < 24*time.Hour {
		h.t.Errorf("%s: approved by an account of less than a day", id)
	}
}

// may says that somebody decided who decides about names.
func (h *history) may(id string, a bolwerk.Actor) {
	for _, p := range h.people {
		if bolwerk.Person(p.ID) == a && p.Is(judge.Analyst, judge.DutyOfficer) {
			return
		}
	}
	h.t.Errorf("%s: %s decided about a name", id, a)
}

func (h *history) exemption(id string, b Block, fresh bool) {
	h.may(id, b.Actor)
	if b.Scope != bolwerk.ScopeHost && slices.Contains([]string{"co.uk", "github.io", "shops.example", "pages.example", "bit.ly"}, b.Name.String()) {
		h.t.Errorf("%s lets every tenant pass", id)
	}
	if fresh && (b.Until.IsZero() || b.Until.Sub(h.clock.Now()) > 24*time.Hour) {
		h.pair(id, b)
	}
}

// tripped is about a block that the tripwire suspended.
func (h *history) tripped(b Block) {
	hits := h.rolled[b.ID]
	if b.Actor.IsPerson() || b.Second.IsPerson() || b.OrderID != "" {
		h.t.Errorf("%s (%s): the tripwire suspended what a person confirmed", b.Ref, b.Name)
	}
	if min(hits["edge-1"], hits["edge-2"]) < 500 {
		h.t.Errorf("%s (%s): one edge opened it: %v", b.Ref, b.Name, hits)
	}
}

// brake is about what rules blocked: a hundred of one list in ten minutes and
// twenty in an hour at most, where there is no usual.
func (h *history) brake(all []Block) {
	var at []time.Time
	for _, b := range all {
		if b.Actor == byRules {
			at = append(at, b.MadeAt)
		}
	}
	for i := range at {
		n := 0
		for _, other := range at {
			if d := other.Sub(at[i]); d >= 0 && d < time.Hour {
				n++
			}
		}
		if n > 20 {
			h.t.Errorf("rules blocked %d names in an hour", n)
		}
	}
}
