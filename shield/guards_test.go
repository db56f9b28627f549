package shield

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/shield/edge"
	"bolwerk/shield/figures"
	"bolwerk/shield/judge"
	"bolwerk/shield/lists"
)

const fake = "anchorbank-login.example"

// byRule is a shield whose rules do what mode says with phishing, with a list of
// tier 1 and enough known-good names.
func byRule(t *testing.T, mode judge.Mode) *testShield {
	t.Helper()
	s := newShield(t)
	s.letRules(mode)
	return s
}

// letRules has rules do what mode says with phishing.
func (s *testShield) letRules(mode judge.Mode) {
	s.t.Helper()
	s.file("feed.txt", "pay-parcel.example\n"+fake+"\nanchorbank-two.example\n")
	var good strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&good, "good%d.example\n", i)
	}
	s.file("good.txt", good.String())
	s.guard.cfg.Lists[0].Tier = 1
	s.guard.cfg.Lists = append(s.guard.cfg.Lists, ListConfig{Source: lists.Source{Name: "good", Kind: lists.KnownGood, Format: lists.Plain}, File: s.dir + "/good.txt"})
	s.cfg.Automatic.Phishing = mode
	if err := s.Load(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// decide reports a name and has rules look at it.
func (s *testShield) decide(name string) desk.Case {
	s.t.Helper()
	s.report(lure("your card", "https://"+name+"/"))
	if err := s.decideDue(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return s.theCase(name)
}

func (s *testShield) theCase(name string) (c desk.Case) {
	s.t.Helper()
	s.read(func(tx *store.Tx) (err error) { c, err = desk.LastCase(tx, Name, name); return err })
	return c
}

func (s *testShield) read(fn func(*store.Tx) error) {
	s.t.Helper()
	if err := s.db.Read(s.t.Context(), fn); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testShield) write(fn func(*store.Tx) error) {
	s.t.Helper()
	if err := s.db.Write(s.t.Context(), store.Decision, fn); err != nil {
		s.t.Fatal(err)
	}
}

// blockOf is the newest block of a name.
func (s *testShield) blockOf(name string) (b Block) {
	s.t.Helper()
	s.read(func(tx *store.Tx) (err error) { b, err = findBlock(tx, name); return err })
	return b
}

// served says whether a block is in the copy that edges follow.
func (s *testShield) served(id string) bool {
	s.t.Helper()
	there := false
	s.read(func(tx *store.Tx) error {
		_, err := publish.Entry(tx, CopyBlocks, id)
		if there = err == nil; errors.Is(err, bolwerk.ErrNotFound) {
			err = nil
		}
		return err
	})
	return there
}

func (s *testShield) auto(c desk.Case) (mode string, why []string, at int64, block string) {
	s.t.Helper()
	s.read(func(tx *store.Tx) error {
		var text string
		if err := tx.Row(`select mode,why,at,block from shield_auto where case_id=$1`, c.ID).Scan(&mode, &text, &at, &block); err != nil {
			return err
		}
		return json.Unmarshal([]byte(text), &why)
	})
	return mode, why, at, block
}

func TestAutomatic_is_off_unless_asked_for(t *testing.T) {
	if DefaultConfig().Automatic.any() {
		t.Error("rules do something by themselves on a first run")
	}
	s := byRule(t, judge.Off)
	if c := s.decide(fake); c.State != desk.Waiting {
		t.Errorf("the case is %s", c.State)
	}
}

func TestAutomatic_shadow_decides_and_does_nothing(t *testing.T) {
	s := byRule(t, judge.Shadow)
	c := s.decide(fake)
	mode, why, at, block := s.auto(c)
	if c.State != desk.Waiting || mode != "shadow" || len(why) > 0 || at == 0 || block != "" {
		t.Errorf("case %s, recorded %s %v at %d, block %q", c.State, mode, why, at, block)
	}
	s.read(func(tx *store.Tx) error {
		var n int64
		err := tx.Row(`select count(*) from shield_block`).Scan(&n)
		if n != 0 {
			t.Errorf("shadow made %d blocks", n)
		}
		return err
	})
	// What they would not do is recorded with why.
	c = s.decide("anchorbank-other.example")
	s.read(func(tx *store.Tx) error {
		var n int64
		err := tx.Row(`select count(*) from shield_auto where case_id=$1 and at>0`, c.ID).Scan(&n)
		if n != 0 {
			t.Error("a look-alike of which nothing else is known would be blocked")
		}
		return err
	})
}

func TestAutomatic_on_blocks_through_the_same_guards(t *testing.T) {
	s := byRule(t, judge.On)
	c := s.decide(fake)
	b := s.blockOf(fake)
	if c.State != desk.Decided || b.State != InForce || !b.Machine || b.Actor != byRules || !s.served(b.ID) {
		t.Fatalf("case %s, block %+v", c.State, b)
	}
	if got := b.Until.Sub(b.MadeAt); got > judge.ForMachine || got < judge.ForMachine-time.Minute {
		t.Errorf("for %s", got)
	}
	// One person takes it back with one step.
	who := Decider(s.person("anna", account.Analyst))
	if _, err := s.Withdraw(t.Context(), who, fake, FalsePositive, "it is the bank's"); err != nil {
		t.Fatal(err)
	}
	if s.served(b.ID) {
		t.Error("it is still served")
	}
	// And rules do not take it again.
	s.report(lure("again", "https://"+fake+"/"))
	if err := s.decideDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b := s.blockOf(fake); b.State != Withdrawn {
		t.Errorf("blocked again by a rule: %s", b.State)
	}
}

func TestAutomatic_a_person_confirms_what_a_rule_did(t *testing.T) {
	s := byRule(t, judge.On)
	s.decide(fake)
	who := Decider(s.person("anna", account.Analyst))
	out, err := s.Keep(t.Context(), who, fake, "seen")
	if err != nil {
		t.Fatal(err)
	}
	b := out.Block
	if b.Machine || b.Second != bolwerk.Person(who.ID) || b.Until.Sub(s.clock.Now()) < 13*24*time.Hour || b.State != InForce || !s.served(b.ID) {
		t.Errorf("got %+v", b)
	}
	if _, err := s.Keep(t.Context(), who, fake, "again"); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("twice: %v", err)
	}
}

// TestGuard08_what_is_braked_waits_for_people: nothing is lost, and the way back is
// not slowed.
func TestGuard08_what_is_braked_waits_for_people(t *testing.T) {
	s := byRule(t, judge.On)
	s.decide("anchorbank-two.example")
	s.write(func(tx *store.Tx) error {
		for i := range 100 {
			if _, err := tx.Exec(`insert into shield_auto(case_id,class,mode,source,why,at,looked,block) values($1,'phishing','on','list:partner','[]',$2,$2,'x')`, fmt.Sprint("c", i), tx.NowMicros()); err != nil {
				return err
			}
		}
		return nil
	})
	c := s.decide(fake)
	if _, why, _, _ := s.auto(c); c.State != desk.Waiting || fmt.Sprint(why) != "[brake_source brake_hour]" && fmt.Sprint(why) != "[brake_source brake_total]" {
		t.Errorf("case %s: %v", c.State, why)
	}
	who := Decider(s.person("anna", account.Analyst))
	if _, err := s.Withdraw(t.Context(), who, "anchorbank-two.example", FalsePositive, "wrong"); err != nil {
		t.Errorf("a withdrawal under the brake: %v", err)
	}
	if _, err := s.Confirm(t.Context(), who, Confirm{Case: c.Ref, Reason: "seen"}); err != nil {
		t.Errorf("a person under the brake: %v", err)
	}
}

// asks has an edge tell that a name was asked for n times on each of the last days.
func (s *testShield) asks(edgeName, name string, days int, n uint64) {
	s.t.Helper()
	for i := 1; i <= days; i++ {
		body, err := json.Marshal(edge.Asked{Boot: "b", Day: s.clock.Now().AddDate(0, 0, -i).Truncate(24 * time.Hour), Names: []edge.AskedName{{Name: bolwerk.MustDomain(name), N: n}}})
		if err != nil {
			s.t.Fatal(err)
		}
		if err := s.Receive(s.t.Context(), edgeName, edge.KindAsked, fmt.Sprint("asked", edgeName, i), body); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *testShield) hit(edgeName, ref string, n uint64) {
	s.t.Helper()
	body, err := json.Marshal(edge.Hits{Boot: "b", Bucket: s.clock.Now().Truncate(5 * time.Minute), Counts: []edge.Count{{Block: ref, DNS: n}}})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.Receive(s.t.Context(), edgeName, edge.KindHits, bolwerk.NewID(s.clock.Now()), body); err != nil {
		s.t.Fatal(err)
	}
	if err := s.trip(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func TestGuard11_suspends_everywhere(t *testing.T) {
	s := byRule(t, judge.On)
	s.asks("edge-1", fake, 14, 60)
	s.decide(fake)
	b := s.blockOf(fake)
	s.hit("edge-1", b.Ref, 50_000)
	if b = s.blockOf(fake); b.State != InForce {
		t.Fatalf("one edge is enough to open it: %s", b.State)
	}
	s.hit("edge-2", b.Ref, 600)
	if b = s.blockOf(fake); b.State != Suspended || b.EndedWhy != string(ByTripwire) || s.served(b.ID) || !s.served("undo:"+b.ID) {
		t.Fatalf("got %s, %s; served %v, passed at resolvers %v", b.State, b.EndedWhy, s.served(b.ID), s.served("undo:"+b.ID))
	}
	c := s.theCase(fake)
	if c.State != desk.Waiting || c.Priority < 400 {
		t.Errorf("its case is %s with priority %d", c.State, c.Priority)
	}
	// A person who confirms it has the last word.
	who := Decider(s.person("anna", account.Analyst))
	out, err := s.Confirm(t.Context(), who, Confirm{Case: c.Ref, Reason: "seen"})
	if err != nil || out.State != "blocked" {
		t.Fatalf("confirmed again: %+v, %v", out, err)
	}
	s.clock.Add(10 * time.Minute)
	s.hit("edge-1", out.Block.Ref, 50_000)
	s.hit("edge-2", out.Block.Ref, 50_000)
	if b = s.blockOf(fake); b.State != InForce {
		t.Errorf("what a person confirmed: %s", b.State)
	}
}

func TestGuard03_used_here_every_day(t *testing.T) {
	s := newShield(t)
	who := Decider(s.person("anna", account.Analyst))
	s.asks("edge-1", fake, 7, 300)
	s.asks("edge-2", fake, 7, 200)
	s.report(lure("x", "https://"+fake+"/"))
	out, err := s.Confirm(t.Context(), who, Confirm{Name: bolwerk.MustDomain(fake), Reason: "seen"})
	if err != nil || out.State != "second" || len(out.Objections) != 1 || out.Objections[0].Rule != "local" {
		t.Errorf("got %+v, %v", out, err)
	}
	s = newShield(t)
	who = Decider(s.person("anna", account.Analyst))
	s.asks("edge-1", fake, 6, 50_000)
	s.report(lure("x", "https://"+fake+"/"))
	if out, err := s.Confirm(t.Context(), who, Confirm{Name: bolwerk.MustDomain(fake), Reason: "seen"}); err != nil || out.State != "blocked" {
		t.Errorf("six days: got %+v, %v", out, err)
	}
}

// TestGuard10_dry_run: a wide block is tried on what customers asked for.
func TestGuard10_dry_run(t *testing.T) {
	s := newShield(t)
	who := Decider(s.person("anna", account.Analyst))
	for i := range 21 {
		s.asks("edge-1", fmt.Sprintf("h%d.x.shops.example", i), 1, 50)
	}
	out, err := s.Confirm(t.Context(), who, Confirm{Name: bolwerk.MustDomain("x.shops.example"), Scope: bolwerk.ScopeSubtree, Reason: "seen"})
	if err != nil || out.State != "second" || out.Objections[0].Rule != "collateral" {
		t.Errorf("got %+v, %v", out, err)
	}
}

// TestGuard10_candidate_takes_a_canary: a name of the known-good set is refused in
// the transaction that would publish it, whoever asks.
func TestGuard10_candidate_takes_a_canary(t *testing.T) {
	s := byRule(t, judge.Off)
	if n := s.guard.rules().canaries.Len(); n < 1000 {
		t.Errorf("tried on %d names", n)
	}
	err := s.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		return s.checkPublication(tx, judge.Proposal{Name: bolwerk.MustDomain("good7.example"), Scope: bolwerk.ScopeHost})
	})
	if !errors.Is(err, bolwerk.ErrForbidden) || !strings.Contains(err.Error(), "publication_known_good") {
		t.Errorf("got %v", err)
	}
}

// seen fills the next look at a name, as a probe does.
func (s *testShield) seen(name string, live judge.Live, hash string) {
	s.t.Helper()
	s.write(func(tx *store.Tx) error {
		var id string
		if err := tx.Row(`select id from shield_observable where value=$1`, name).Scan(&id); err != nil {
			return err
		}
		return s.sighted(tx, id, judge.Sight{At: tx.Now(), Live: live, Profiles: 2, Hash: hash})
	})
	if err := s.recheck(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func TestGuard13_what_went_quiet_ends_and_is_watched(t *testing.T) {
	for _, mode := range []judge.Mode{judge.Off, judge.On} {
		for _, hash := range []string{"kit-1", "kit-2"} {
			s := byRule(t, mode)
			s.report(lure("x", "https://"+fake+"/"))
			who := Decider(s.person("anna", account.Analyst))
			if _, err := s.Confirm(t.Context(), who, Confirm{Name: bolwerk.MustDomain(fake), Reason: "seen"}); err != nil {
				t.Fatal(err)
			}
			s.clock.Add(time.Hour)
			s.seen(fake, judge.LiveOnline, "kit-1")
			for range 2 {
				s.clock.Add(24 * time.Hour)
				s.seen(fake, judge.LiveOffline, "")
			}
			if b := s.blockOf(fake); b.State != InForce {
				t.Fatalf("after two looks: %s", b.State)
			}
			s.clock.Add(24 * time.Hour)
			s.seen(fake, judge.LiveOffline, "")
			b := s.blockOf(fake)
			if b.State != Expired || b.EndedWhy != string(NothingLeft) || s.served(b.ID) {
				t.Fatalf("after three looks over 48 hours: %s, %s", b.State, b.EndedWhy)
			}
			s.clock.Add(24 * time.Hour)
			s.seen(fake, judge.LiveOnline, hash)
			b, c := s.blockOf(fake), s.theCase(fake)
			if again := mode == judge.On && hash == "kit-1"; again != (b.State == InForce) {
				t.Errorf("mode %s, back with %s: %s", mode, hash, b.State)
			} else if !again && (c.State != desk.Waiting || c.Priority < 300) {
				t.Errorf("mode %s, back with %s: case %s, priority %d", mode, hash, c.State, c.Priority)
			} else if again && !b.Machine {
				t.Error("blocked again, and not by a rule")
			}
		}
	}
}

// TestGuard13_nobody_looks: looks that nobody answers say nothing, and end nothing.
func TestGuard13_nobody_looks(t *testing.T) {
	s := byRule(t, judge.Off)
	s.report(lure("x", "https://"+fake+"/"))
	who := Decider(s.person("anna", account.Analyst))
	if _, err := s.Confirm(t.Context(), who, Confirm{Name: bolwerk.MustDomain(fake), Reason: "seen"}); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		s.clock.Add(13 * time.Hour)
		if err := s.recheck(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b := s.blockOf(fake)
	s.read(func(tx *store.Tx) error {
		looks, err := looksAt(tx, b.ID)
		if b.State != InForce || len(looks) < 5 {
			t.Errorf("%s after %d looks of nobody", b.State, len(looks))
		}
		for _, l := range looks {
			if l.Live != judge.LiveUnseen {
				t.Errorf("a look of nobody says %s", l.Live)
			}
		}
		return err
	})
}

func TestGuard12_live_and_visited_is_extended(t *testing.T) {
	s := byRule(t, judge.On)
	s.decide(fake)
	b := s.blockOf(fake)
	s.clock.Add(b.Until.Add(-30 * time.Minute).Sub(s.clock.Now()))
	s.seen(fake, judge.LiveOnline, "kit-1")
	if got := s.blockOf(fake); !got.Until.Equal(b.Until) {
		t.Errorf("nobody asks for it: extended to %s", got.Until)
	}
	s.hit("edge-1", b.Ref, 5)
	if err := s.recheck(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := s.blockOf(fake)
	if want := s.clock.Now().Add(judge.ForMachine); !got.Until.Equal(want) || !s.served(b.ID) || got.Ref != b.Ref {
		t.Errorf("until %s, want %s", got.Until, want)
	}
}

// TestGuard12_lists_that_changed: what is live and visited is not extended against
// what the guards say today.
func TestGuard12_lists_that_changed(t *testing.T) {
	for what, change := range map[string]func(*testShield){
		"known-good": func(s *testShield) { s.append("good.txt", fake) },
		"popular":    func(s *testShield) { s.append("popular.txt", fake) },
		"exempt": func(s *testShield) {
			if _, err := s.Exempt(t.Context(), Decider(s.person("anna", account.Analyst)), Exempt{Name: bolwerk.MustDomain(fake), For: time.Hour, Reason: "theirs"}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		s := byRule(t, judge.On)
		s.decide(fake)
		b := s.blockOf(fake)
		s.clock.Add(b.Until.Add(-30 * time.Minute).Sub(s.clock.Now()))
		change(s)
		if err := s.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.hit("edge-1", b.Ref, 5)
		s.seen(fake, judge.LiveOnline, "kit-1")
		s.read(func(tx *store.Tx) (err error) {
			got, err := findBlock(tx, b.ID)
			if !got.Until.Equal(b.Until) {
				t.Errorf("%s: extended to %s", what, got.Until)
			}
			return err
		})
	}
}

// TestGuard08_what_came_back_is_counted: a name that rules block again because it
// is back is one more that they blocked.
func TestGuard08_what_came_back_is_counted(t *testing.T) {
	s := byRule(t, judge.On)
	s.report(lure("x", "https://"+fake+"/"))
	if _, err := s.Confirm(t.Context(), Decider(s.person("anna", account.Analyst)), Confirm{Name: bolwerk.MustDomain(fake), Reason: "seen"}); err != nil {
		t.Fatal(err)
	}
	s.clock.Add(time.Hour)
	s.seen(fake, judge.LiveOnline, "kit-1")
	for range 3 {
		s.clock.Add(24 * time.Hour)
		s.seen(fake, judge.LiveOffline, "")
	}
	s.clock.Add(24 * time.Hour)
	s.seen(fake, judge.LiveOnline, "kit-1")
	if b := s.blockOf(fake); !b.Machine || b.State != InForce {
		t.Fatalf("not blocked again: %+v", b)
	}
	s.read(func(tx *store.Tx) error {
		r, err := s.rate(tx, judge.On, "")
		if r.Total != 1 || r.Hour != 1 {
			t.Errorf("got %+v", r)
		}
		return err
	})
}

// TestGuard08_a_clock_that_jumps_back: it gives no new budget.
func TestGuard08_a_clock_that_jumps_back(t *testing.T) {
	s := byRule(t, judge.On)
	s.decide(fake)
	s.clock.Jump(s.clock.Now().Add(-time.Hour))
	s.read(func(tx *store.Tx) error {
		r, err := s.rate(tx, judge.On, "list:partner")
		if r.Source != 1 || r.Total != 1 || r.Hour != 1 {
			t.Errorf("got %+v", r)
		}
		return err
	})
}

// append adds a name to a list's file.
func (s *testShield) append(file, name string) {
	s.t.Helper()
	body, err := os.ReadFile(filepath.Join(s.dir, file))
	if err != nil {
		s.t.Fatal(err)
	}
	s.file(file, string(body)+name+"\n")
}

func (s *testShield) appeal(b Block) {
	s.t.Helper()
	body, err := json.Marshal(edge.Appeal{Receipt: strings.Repeat("a", 64), Name: b.Name, Block: b.Ref, Role: "owner", Text: "mine", At: s.clock.Now()})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.Receive(s.t.Context(), "edge-1", edge.KindAppeal, "appeal-1", body); err != nil {
		s.t.Fatal(err)
	}
}

// TestGuard14_appeal: an appeal has an automatic block looked at again at once. It
// is suspended where nothing is there, and never where the page only hides.
func TestGuard14_appeal(t *testing.T) {
	for live, want := range map[judge.Live]State{judge.LiveOffline: Suspended, judge.LiveCloaked: InForce, judge.LiveUnseen: InForce, judge.LiveOnline: InForce} {
		s := byRule(t, judge.On)
		s.decide(fake)
		b := s.blockOf(fake)
		s.appeal(b)
		s.clock.Add(time.Minute)
		if err := s.recheck(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.read(func(tx *store.Tx) error {
			var asked int64
			err := tx.Row(`select asked_at from shield_recheck where block=$1 and at=0`, b.ID).Scan(&asked)
			if asked == 0 {
				t.Error("nobody is asked to look")
			}
			return err
		})
		s.seen(fake, live, "")
		if got := s.blockOf(fake).State; got != want {
			t.Errorf("%s: %s, want %s", live, got, want)
		}
	}
}

// TestGuard14_a_person_confirmed_and_it_is_live: the deadline does not end it.
func TestGuard14_a_person_confirmed_and_it_is_live(t *testing.T) {
	for _, live := range []judge.Live{judge.LiveOnline, judge.LiveCloaked} {
		s := byRule(t, judge.Off)
		s.report(lure("x", "https://"+fake+"/"))
		who := Decider(s.person("anna", account.Analyst))
		if _, err := s.Confirm(t.Context(), who, Confirm{Name: bolwerk.MustDomain(fake), Reason: "seen"}); err != nil {
			t.Fatal(err)
		}
		s.appeal(s.blockOf(fake))
		s.clock.Add(desk.AppealTime)
		s.seen(fake, live, "kit-1")
		s.clock.Add(time.Minute)
		if err := s.endAppealed(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := Withdrawn
		if live == judge.LiveOnline {
			want = InForce
		}
		if got := s.blockOf(fake).State; got != want {
			t.Errorf("%s: %s, want %s", live, got, want)
		}
	}
}

// TestGuard16_exempt_names_are_not_blocked: the guard sees the exemptions that are
// in force.
func TestGuard16_exempt_names_are_not_blocked(t *testing.T) {
	s := newShield(t)
	who := Decider(s.person("anna", account.Analyst))
	if _, err := s.Exempt(t.Context(), who, Exempt{Name: bolwerk.MustDomain(fake), For: time.Hour, Reason: "appeal"}); err != nil {
		t.Fatal(err)
	}
	_, err := s.Confirm(t.Context(), who, Confirm{Name: bolwerk.MustDomain(fake), Reason: "seen"})
	if o := judge.Objections(err); len(o) != 1 || o[0].Rule != "exempt" {
		t.Errorf("got %v", err)
	}
	s.clock.Add(2 * time.Hour)
	if err := s.endExpired(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Confirm(t.Context(), who, Confirm{Name: bolwerk.MustDomain(fake), Reason: "seen"}); err != nil {
		t.Errorf("after its end: %v", err)
	}
}

// TestGuard22_no_publication_without_the_log: what cannot be written into the
// transparency log is not published.
func TestGuard22_no_publication_without_the_log(t *testing.T) {
	s := newShield(t)
	who := Decider(s.person("anna", account.Analyst))
	serial := func() (n int64) {
		s.read(func(tx *store.Tx) error {
			err := tx.Row(`select coalesce(max(serial),0) from copy_head where copy=$1`, CopyBlocks).Scan(&n)
			return err
		})
		return n
	}
	before := serial()
	s.write(func(tx *store.Tx) error {
		_, err := tx.Exec(`alter table log_leaf rename to log_leaf_gone`)
		return err
	})
	if _, err := s.Confirm(t.Context(), who, Confirm{Name: bolwerk.MustDomain(fake), Reason: "seen"}); err == nil {
		t.Error("blocked without a line in the log")
	}
	if got := serial(); got != before {
		t.Errorf("serial %d after %d", got, before)
	}
	s.write(func(tx *store.Tx) error {
		_, err := tx.Exec(`alter table log_leaf_gone rename to log_leaf`)
		return err
	})
	if _, err := s.Confirm(t.Context(), who, Confirm{Name: bolwerk.MustDomain(fake), Reason: "seen"}); err != nil {
		t.Errorf("with the log: %v", err)
	}
}

// TestGuard15_withdrawn_without_the_log: a log that cannot be written keeps no
// name blocked. What was withdrawn has its line as soon as one can be written.
func TestGuard15_withdrawn_without_the_log(t *testing.T) {
	s := newShield(t)
	who := Decider(s.person("anna", account.Analyst))
	confirm := func(name string) error {
		_, err := s.Confirm(t.Context(), who, Confirm{Name: bolwerk.MustDomain(name), Reason: "seen"})
		return err
	}
	rename := func(from, to string) {
		s.write(func(tx *store.Tx) error { _, err := tx.Exec(`alter table ` + from + ` rename to ` + to); return err })
	}
	if err := confirm(fake); err != nil {
		t.Fatal(err)
	}
	b := s.blockOf(fake)
	size, err := s.ledger.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rename("log_leaf", "log_leaf_gone")
	if _, err := s.Withdraw(t.Context(), who, b.ID, ByMistake, "wrong name"); err != nil || s.served(b.ID) {
		t.Errorf("served %v: %v", s.served(b.ID), err)
	}
	if p, err := s.Picture(t.Context()); err != nil || p.Unlogged != 1 {
		t.Errorf("%d withdrawals wait for the log: %v", p.Unlogged, err)
	}
	if confirm("other-"+fake) == nil {
		t.Error("blocked without a line in the log")
	}
	rename("log_leaf_gone", "log_leaf")
	if err := confirm("other-" + fake); err != nil {
		t.Fatal(err)
	}
	if after, err := s.ledger.Verify(t.Context()); err != nil || after != size+2 {
		t.Errorf("the log has %d leaves after %d: %v", after, size, err)
	}
	if _, leaves, err := s.ledger.About(t.Context(), b.Ref); err != nil || len(leaves) != 2 {
		t.Errorf("%v about %s: %v", leaves, b.Ref, err)
	}
	if p, err := s.Picture(t.Context()); err != nil || p.Unlogged != 0 {
		t.Errorf("%d withdrawals wait for the log: %v", p.Unlogged, err)
	}
}

// TestGuard06_a_flood: twenty reports in an hour about a name that customers used
// before leave it to people.
func TestGuard06_a_flood(t *testing.T) {
	for before, want := range map[uint64]desk.CaseState{0: desk.Decided, 60: desk.Waiting} {
		s := byRule(t, judge.On)
		if before > 0 {
			s.asks("edge-1", fake, 14, before)
		}
		for range 20 {
			s.report(lure("x", "https://"+fake+"/"))
		}
		if err := s.decideDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c := s.theCase(fake); c.State != want {
			_, why, _, _ := s.auto(c)
			t.Errorf("asked for %d times a day before: %s, want %s (%v)", before, c.State, want, why)
		}
	}
}

// TestGuard23_by_machine_is_counted_apart: what rules blocked stands beside what
// people and authorities did.
func TestGuard23_by_machine_is_counted_apart(t *testing.T) {
	s := byRule(t, judge.On)
	s.decide(fake)
	who := Decider(s.person("anna", account.Analyst))
	if _, err := s.Confirm(t.Context(), who, Confirm{Name: bolwerk.MustDomain("other.example"), Reason: "seen"}); err != nil {
		t.Fatal(err)
	}
	s.read(func(tx *store.Tx) error {
		all, err := countDay(tx, dayOf(s.clock.Now()))
		got := map[string]int64{}
		for _, c := range all {
			if c.what == figures.Blocks+".ground" {
				got[c.kind] = c.n
			}
		}
		if got["machine"] != 1 || got["own"] != 1 {
			t.Errorf("got %v", got)
		}
		return err
	})
}
