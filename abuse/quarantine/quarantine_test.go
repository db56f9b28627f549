package quarantine

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/session"
	"bolwerk/internal/account"
	"bolwerk/internal/store"
)

func TestALineGoesInAndItsGuestComesOut(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	q := h.in("anna")
	h.want(q.ID, Applying)
	h.settled()
	h.want(q.ID, Active)
	if h.net.has["s1"] != enforce.Leaky || !h.net.orders[0].Until.Equal(q.Until) {
		t.Errorf("the network has %v, order %+v", h.net.has, h.net.orders[0])
	}
	if g := h.gardens.held[q.ID]; g.Ref != q.Ref || g.SelfLeft != 2 || len(g.Seen) != 1 || g.Case == "" {
		t.Errorf("the guest is shown %+v", g)
	}
	h.take(garden.Event{Quarantine: q.ID, What: "release"})
	h.want(q.ID, Active) // nothing is ticked
	h.take(garden.Event{Quarantine: q.ID, What: "seen"})
	h.want(q.ID, Acknowledged)
	h.take(garden.Event{ID: "x", Quarantine: q.ID, What: "done", Step: "scan"})
	h.want(q.ID, Acknowledged)
	h.tickAll(q)
	h.want(q.ID, Offered)
	h.take(garden.Event{ID: "x", Quarantine: q.ID, What: "undone", Step: "scan"}) // the same event again
	h.want(q.ID, Offered)
	h.take(garden.Event{Quarantine: q.ID, What: "release"})
	h.want(q.ID, Releasing)
	if len(h.gardens.held) != 0 {
		t.Error("the edges still show the garden")
	}
	h.settled()
	if q := h.want(q.ID, Released); q.Mechanism != BySelf || q.FreedAt.IsZero() {
		t.Errorf("ended by %s at %s", q.Mechanism, q.FreedAt)
	}
	if h.net.has["s1"] != enforce.Normal {
		t.Errorf("the network has %v", h.net.has)
	}
	n := len(h.net.orders)
	for range 3 { // a release is asked for as often as somebody likes
		if _, err := h.Release(t.Context(), agent, q.ID, false, "asked for by telephone"); err != nil {
			t.Fatal(err)
		}
		h.settled()
	}
	if len(h.net.orders) != n {
		t.Error("a release that was done was done again")
	}
	if want := []string{"quarantined leaky", "seen page", "released self"}; !slices.Equal(h.cases.happened, want) {
		t.Errorf("the case says %v, want %v", h.cases.happened, want)
	}
}

// The page offers release by the steps alone, so they decide: also where the access network
// does not take it, and where a person asked it again since.
func TestTheGuestLeavesWhateverTheNetworkSays(t *testing.T) {
	for name, then := range map[string]func(h *house, q Row){
		"failed": func(h *house, q Row) { h.want(q.ID, Failed) },
		"asked again": func(h *house, q Row) {
			h.net.say = nil
			if _, err := h.Retry(h.t.Context(), agent, q.ID); err != nil {
				h.t.Fatal(err)
			}
			h.settled()
			h.want(q.ID, Active)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
			h.net.say = func(o enforce.Order) (enforce.Result, bool) { // it acts, and its answers are lost
				h.net.has[o.Session.Session] = o.Profile
				return enforce.Result{State: enforce.Silent}, o.Profile != enforce.Normal
			}
			q := h.in("anna")
			for range silentMost {
				h.settled()
				h.clock.Add(time.Minute)
			}
			h.want(q.ID, Failed)
			h.tickAll(q)
			then(h, q)
			h.take(garden.Event{Quarantine: q.ID, What: "release"})
			h.settled()
			if q := h.want(q.ID, Released); q.Mechanism != BySelf || h.net.has["s1"] != enforce.Normal {
				t.Errorf("ended by %q, the network has %v", q.Mechanism, h.net.has)
			}
		})
	}
}

// What a guest did comes in in any order: release before the last step that was ticked
// before it. What was ticked later is no wish to leave.
func TestAReleaseThatComesBeforeItsLastStep(t *testing.T) {
	for _, late := range []bool{true, false} {
		h := open(t)
		h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
		q := h.in("anna")
		h.settled()
		g := h.gardens.held[q.ID]
		steps := g.Left(g.Plan(""))
		for _, s := range steps[1:] {
			h.take(garden.Event{Quarantine: q.ID, What: "done", Step: s})
		}
		h.clock.Add(time.Minute)
		h.take(garden.Event{Quarantine: q.ID, What: "release"})
		h.want(q.ID, Active)
		at, want := h.clock.Now().Add(-time.Second), Releasing
		if !late {
			at, want = h.clock.Now().Add(time.Second), Offered
		}
		h.take(garden.Event{Quarantine: q.ID, What: "done", Step: steps[0], At: at})
		h.want(q.ID, want)
	}
}

func TestTheGuestLeavesAloneTwiceAYear(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	for i := range 3 {
		q := h.in("anna")
		if q.SelfLeft != 2-i {
			t.Errorf("%d left at the %d. time", q.SelfLeft, i+1)
		}
		h.tickAll(q)
		h.take(garden.Event{Quarantine: q.ID, What: "release"})
		h.settled()
		if i < 2 {
			h.want(q.ID, Released)
			continue
		}
		q = h.want(q.ID, Offered)
		if q.HelpAt.IsZero() || h.gardens.held[q.ID].State != "asked" {
			t.Error("no person is asked")
		}
		all, err := h.List(t.Context(), Filter{State: "person"})
		if err != nil || len(all) != 1 {
			t.Errorf("%d wait for a person, %v", len(all), err)
		}
	}
}

func TestTimeEndsIt(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	q := h.in("anna")
	h.settled()
	h.clock.Jump(q.Until.Add(time.Second)) // the clock is suspect: the way back is not held up
	h.settled()
	if q := h.want(q.ID, Released); q.Mechanism != ByTimer {
		t.Errorf("ended by %s", q.Mechanism)
	}
}

func TestAClosedCaseReleases(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	q := h.in("anna")
	h.settled()
	if err := h.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		_, err := tx.Exec(`update desk_case set state='closed' where id=$1`, q.CaseID)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	h.settled()
	if q := h.want(q.ID, Released); q.Mechanism != ByCase || h.net.has["s1"] != enforce.Normal {
		t.Errorf("ended by %s, the network has %v", q.Mechanism, h.net.has)
	}
}

func TestSessionsComeAndGo(t *testing.T) {
	h := open(t)
	q := h.in("anna") // nobody is on line
	h.settled()
	h.want(q.ID, Pending)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon)
	h.settled()
	h.want(q.ID, Active)
	h.session(session.Start, "anna", "s2", "192.0.2.18/32", noon)
	h.settled()
	if h.net.has["s2"] != enforce.Leaky {
		t.Errorf("the second session has %s", h.net.has["s2"])
	}
	h.clock.Add(time.Minute)
	h.session(session.Stop, "anna", "s1", "192.0.2.17/32", h.clock.Now())
	h.session(session.Stop, "anna", "s2", "192.0.2.18/32", h.clock.Now())
	h.want(q.ID, Pending)
	// Who has the address next is left alone.
	n := len(h.net.orders)
	h.session(session.Start, "bert", "s3", "192.0.2.17/32", h.clock.Now())
	h.settled()
	if len(h.net.orders) != n {
		t.Error("an order was sent for an address that somebody else has")
	}
	// A session that logged in while the way back began is turned back, too.
	if _, err := h.Release(t.Context(), agent, q.ID, true, "wrong line"); err != nil {
		t.Fatal(err)
	}
	h.want(q.ID, Released)
	h.session(session.Start, "anna", "s4", "192.0.2.19/32", h.clock.Now())
	h.settled()
	if h.net.has["s4"] != enforce.Normal {
		t.Error("a login just before the release keeps the profile")
	}
	h.clock.Add(lateLogins)
	h.session(session.Start, "anna", "s5", "192.0.2.20/32", h.clock.Now())
	h.settled()
	if _, ok := h.net.has["s5"]; ok {
		t.Error("a login long after the release was touched")
	}
}

func TestAnAddressThatTwoMayHaveIsNotTouched(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-2*time.Hour))
	h.session(session.Start, "bert", "s2", "192.0.2.17/32", noon.Add(-time.Hour)) // her Stop got lost
	q, _, err := h.ask(nil, h.about("anna"), leaky)
	if err != nil {
		t.Fatal(err)
	}
	h.settled()
	if len(h.net.orders) != 0 {
		t.Errorf("an order was sent: %+v", h.net.orders[0])
	}
	_ = q
}

func TestWhatTheNetworkSays(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	answer := enforce.Result{State: enforce.Silent}
	h.net.say = func(enforce.Order) (enforce.Result, bool) { return answer, answer.State != "" }
	q := h.in("anna")
	for range 3 {
		h.settled()
		h.clock.Add(time.Minute)
	}
	h.want(q.ID, Failed)
	h.settled()
	if n := len(h.net.orders); n != 3 {
		t.Errorf("%d orders to one that is silent, want 3", n)
	}
	answer = enforce.Result{State: enforce.Busy, Again: time.Second}
	if _, err := h.Retry(t.Context(), agent, q.ID); err != nil {
		t.Fatal(err)
	}
	h.settled()
	h.want(q.ID, Applying)
	answer = enforce.Result{State: enforce.Offline}
	h.clock.Add(time.Second)
	h.settled()
	h.want(q.ID, Pending)
	answer = enforce.Result{}
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", h.clock.Now())
	h.settled()
	h.want(q.ID, Active)
	// The way back is never given up.
	answer = enforce.Result{State: enforce.Refused, Code: "unsupported"}
	if _, err := h.Release(t.Context(), agent, q.ID, false, "clean"); err != nil {
		t.Fatal(err)
	}
	h.settled()
	h.want(q.ID, Stuck)
	for range 20 {
		h.clock.Add(lastAgain)
		h.settled()
	}
	h.want(q.ID, Stuck)
	answer = enforce.Result{}
	h.clock.Add(lastAgain)
	h.settled()
	h.want(q.ID, Released)
	if h.net.has["s1"] != enforce.Normal {
		t.Errorf("the network has %v", h.net.has)
	}
}

// A network that says that it did, and did not: its guest shows it.
func TestWhoIsStillInsideIsSeen(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	q := h.in("anna")
	h.settled()
	if _, err := h.Release(t.Context(), agent, q.ID, false, "clean"); err != nil {
		t.Fatal(err)
	}
	h.settled()
	h.want(q.ID, Released)
	h.clock.Add(time.Minute)
	h.take(garden.Event{Quarantine: q.ID, What: "seen"})
	h.want(q.ID, Released) // an edge may not know yet
	h.clock.Add(10 * time.Minute)
	n := len(h.net.orders)
	h.take(garden.Event{Quarantine: q.ID, What: "seen"})
	h.want(q.ID, Stuck)
	h.settled()
	h.want(q.ID, Released)
	if len(h.net.orders) != n+1 {
		t.Error("it was not asked again")
	}
}

// Leaky has an end and a legal reference by itself; strict brings along its own.
func TestWhatAWishMayLeaveOut(t *testing.T) {
	h := open(t, func(c *Config) { c.MaxDays = 10 })
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	short := Wish{Profile: enforce.Leaky, Why: Why{Threat: "attacks others", Necessity: "mail was not answered", Proportion: "only what harms is stopped"}}
	q, ok, err := h.ask(&agent, h.about("anna"), short)
	if err != nil || !ok || q.Why.Legal != DefaultLegal || !q.Until.Equal(noon.AddDate(0, 0, 10)) {
		t.Errorf("%v %v: %q until %s", ok, err, q.Why.Legal, q.Until)
	}
	for name, change := range map[string]func(*Wish){
		"threat": func(w *Wish) { w.Why.Threat = " " }, "necessity": func(w *Wish) { w.Why.Necessity = "" }, "proportion": func(w *Wish) { w.Why.Proportion = "" },
		"an end of strict":              func(w *Wish) { w.Profile, w.Why.Legal = enforce.Strict, "decision 2026/14" },
		"the legal reference of strict": func(w *Wish) { w.Profile, w.Days = enforce.Strict, 3 },
	} {
		w := short
		change(&w)
		if _, _, err := h.ask(&duty, h.about("anna"), w); !errors.Is(err, bolwerk.ErrConflict) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestStrictNeedsTwo(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	w := leaky
	w.Profile, w.Why.Legal = enforce.Strict, ""
	if _, _, err := h.ask(&agent, h.about("anna"), w); err == nil {
		t.Error("strict was taken without a legal reference")
	}
	w.Why.Legal = "art. 3(3)(b), decision 2026/14 of the board"
	q, ok, err := h.ask(&agent, h.about("anna"), w)
	if err != nil || ok {
		t.Fatalf("%v, %v: one person decided strict", ok, err)
	}
	h.clock.Add(time.Minute)
	h.settled()
	h.want(q.ID, Requested)
	if len(h.net.orders) != 0 || len(h.gardens.held) != 0 {
		t.Error("something was done before the second person")
	}
	if _, err := h.Approve(t.Context(), agent, q.ID, q.Digest); err == nil {
		t.Error("who asked approved")
	}
	if _, err := h.Approve(t.Context(), duty, q.ID, "another"); err == nil {
		t.Error("something else was approved")
	}
	token := duty
	token.By = account.ByToken
	if _, err := h.Approve(t.Context(), token, q.ID, q.Digest); err == nil {
		t.Error("a token approved")
	}
	if _, err := h.Approve(t.Context(), duty, q.ID, q.Digest); err != nil {
		t.Fatal(err)
	}
	h.settled()
	if q := h.want(q.ID, Active); q.SecondBy == "" || h.net.has["s1"] != enforce.Strict {
		t.Errorf("second %q, the network has %v", q.SecondBy, h.net.has)
	}
	p, until, err := h.Wanted(t.Context(), "anna")
	if err != nil || p != enforce.Strict || !until.Equal(q.Until) {
		t.Errorf("at login %s until %s, %v", p, until, err)
	}
	if p, _, _ := h.Wanted(t.Context(), "bert"); p != enforce.Normal {
		t.Errorf("bert gets %s at login", p)
	}
}

func TestWhatTheBrakeHoldsBackWaits(t *testing.T) {
	h := open(t, func(c *Config) { c.Brake.PerHour = 1; c.Brake.OutsideHours = 1 })
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	h.session(session.Start, "bert", "s2", "192.0.2.18/32", noon.Add(-time.Hour))
	h.in("anna")
	q, ok, err := h.ask(nil, h.about("bert"), leaky)
	if err != nil || ok || !slices.Equal(q.Waits, []string{"budget"}) {
		t.Fatalf("%v, %v, held back by %v", ok, err, q.Waits)
	}
	h.clock.Add(30 * time.Minute)
	h.settled()
	h.want(q.ID, Requested)
	h.clock.Add(31 * time.Minute)
	h.settled()
	h.want(q.ID, Active)
}

// A hundred that wait for a second person hold up nothing that came later.
func TestWhatWaitsLongHoldsUpNothing(t *testing.T) {
	h := open(t, func(c *Config) { c.Brake.PerHour = 1; c.Brake.OutsideHours = 1 })
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	h.in("anna")
	strict := leaky
	strict.Profile, strict.Why.Legal = enforce.Strict, "art. 3(3)(b), decision 2026/14 of the board"
	for i := range someWait {
		who := fmt.Sprint("old-", i)
		h.session(session.Start, who, who, fmt.Sprintf("192.0.3.%d/32", i), noon.Add(-time.Hour))
		if _, _, err := h.ask(&agent, h.about(who), strict); err != nil {
			t.Fatal(err)
		}
	}
	h.session(session.Start, "bert", "s2", "192.0.2.18/32", noon.Add(-time.Hour))
	q, _, err := h.ask(nil, h.about("bert"), leaky)
	if err != nil || !slices.Equal(q.Waits, []string{"budget"}) {
		t.Fatalf("%v, held back by %v", err, q.Waits)
	}
	h.clock.Add(61 * time.Minute)
	h.settled()
	h.want(q.ID, Active)
}

func TestInTheShadowNothingIsDone(t *testing.T) {
	h := open(t, func(c *Config) { c.Mode = "shadow" })
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	q := h.in("anna")
	h.settled()
	h.want(q.ID, Dropped)
	if len(h.net.orders)+len(h.gardens.held) != 0 || !slices.Equal(h.cases.happened, []string{"shadow leaky"}) {
		t.Errorf("%d orders, %d gardens, %v", len(h.net.orders), len(h.gardens.held), h.cases.happened)
	}
}

// A desk that is killed between sending and writing down sends the same again.
func TestARestartInTheMiddleOfARelease(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	q := h.in("anna")
	h.settled()
	if _, err := h.Release(t.Context(), agent, q.ID, false, "clean"); err != nil {
		t.Fatal(err)
	}
	orders, _, err := h.claim(t.Context(), "bng1") // killed here
	if err != nil || len(orders) != 1 {
		t.Fatal(len(orders), err)
	}
	if err := h.unclaim(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.settled()
	h.want(q.ID, Released)
	last := h.net.orders[len(h.net.orders)-1]
	if last.ID != orders[0].ID || last.Version != orders[0].Version {
		t.Error("the second order is another than the first")
	}
	// And what the first was answered changes nothing any more.
	if err := h.took(t.Context(), orders[0], enforce.Result{State: enforce.Refused}); err != nil {
		t.Fatal(err)
	}
	h.want(q.ID, Released)
}

// Two lines of one are answered at the same time: neither leaves the other out.
func TestLinesOfOneAreAnsweredAtOnce(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	h.session(session.Start, "anna", "s2", "192.0.2.18/32", noon.Add(-time.Hour))
	for range 10 {
		q := h.in("anna")
		h.settled()
		if _, err := h.Release(t.Context(), agent, q.ID, false, "clean"); err != nil {
			t.Fatal(err)
		}
		orders, _, err := h.claim(t.Context(), "bng1")
		if err != nil || len(orders) != 2 {
			t.Fatalf("%d orders, %v", len(orders), err)
		}
		var wg sync.WaitGroup
		for _, o := range orders {
			wg.Go(func() {
				if err := h.took(t.Context(), o, enforce.Result{State: enforce.Applied}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		h.want(q.ID, Released)
		h.clock.Add(lateLogins + time.Minute)
	}
}

func TestReleaseAll(t *testing.T) {
	h := open(t, func(c *Config) { c.Brake.Floor, c.Brake.PerHour = 1000, 1000 })
	var ids []string
	for i := range 60 {
		name := string(rune('a'+i%26)) + string(rune('a'+i/26))
		h.session(session.Start, name, "s"+name, "192.0.2."+itoa(i+1)+"/32", noon.Add(-time.Hour))
		h.clock.Add(time.Second)
		ids = append(ids, h.in(name).ID)
	}
	needy := ids[40]
	if err := h.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		_, err := tx.Exec(`update abuse_quarantine set needy=$1 where id=$2`, true, needy)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	h.settled()
	n := len(h.net.orders)
	if _, err := h.ReleaseAll(t.Context(), agent, "xarf", "", "the feed was wrong"); err == nil {
		t.Error("a release of nobody was taken")
	}
	c, err := h.ReleaseAll(t.Context(), agent, "shadowserver", "malicious-code/infected-system", "the feed was wrong")
	if err != nil || c.Total != 60 {
		t.Fatalf("%+v, %v", c, err)
	}
	if n, err := h.releaseSome(t.Context()); err != nil || n != someBack {
		t.Fatal(n, err)
	}
	all, err := h.Campaigns(t.Context(), 10)
	if err != nil || len(all) != 1 || all[0].Begun != someBack || all[0].Released != 0 {
		t.Fatalf("%+v, %v", all, err)
	}
	h.settled() // the desk may have been killed in between
	if all, _ = h.Campaigns(t.Context(), 10); !all[0].Done() || all[0].Released != 60 {
		t.Errorf("%+v", all[0])
	}
	times := map[string]int{}
	for i, o := range h.net.orders[n:] {
		times[o.Session.Session]++
		if o.ID[:36] == needy && i >= atOnce {
			t.Errorf("the vulnerable customer is the %d.", i+1)
		}
	}
	if len(times) != 60 {
		t.Errorf("%d lines were released, want 60", len(times))
	}
	for s, n := range times {
		if n != 1 {
			t.Errorf("%s was released %d times", s, n)
		}
	}
}

// A case that is erased while its line is inside: the line comes out, then all of it goes.
func TestAnErasedCaseLetsOutFirst(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Hour))
	q := h.in("anna")
	h.settled()
	if err := h.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		if err := h.Forget(tx, q.CaseID); err != nil {
			return err
		}
		_, err := tx.Exec(`delete from desk_case where id=$1`, q.CaseID)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	h.settled()
	h.want(q.ID, Released)
	if h.net.has["s1"] != enforce.Normal {
		t.Errorf("the network has %v", h.net.has)
	}
	h.clock.Add(lineTime + time.Minute)
	h.settled()
	if all, err := h.List(t.Context(), Filter{}); err != nil || len(all) != 0 {
		t.Errorf("%d are kept, %v", len(all), err)
	}
}
