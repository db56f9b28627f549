package shield

import (
	"slices"
	"testing"

	"bolwerk/internal/account"
	"bolwerk/internal/store"
	"bolwerk/shield/judge"
)

// alarm is the alarm of a kind on the first page, if there is one.
func (s *testShield) alarm(key string) (a Alarm, ok bool) {
	s.t.Helper()
	l, err := s.Shield.look(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	i := slices.IndexFunc(l.alarms, func(a Alarm) bool { return a.Key == "shield.alarm."+key })
	if i < 0 {
		return a, false
	}
	return l.alarms[i], true
}

// What the tripwire did is an alarm with the page on which to decide, until a
// person has decided.
func TestATrippedBlockIsAnAlarm(t *testing.T) {
	s := byRule(t, judge.On)
	who := Decider(s.person("anna", account.Analyst))
	s.decide(fake)
	b := s.blockOf(fake)
	if a, ok := s.alarm("tripped"); ok {
		t.Fatalf("before anybody ran into it: %+v", a)
	}
	s.hit("edge-1", b.Ref, 50_000)
	if a, ok := s.alarm("tripped"); !ok || !a.Harm || a.Link != "/block/"+b.Ref || a.Args[0] != fake {
		t.Errorf("alarm: %v %+v", ok, a)
	}
	if _, err := s.Keep(t.Context(), who, b.Ref, "seen"); err != nil {
		t.Fatal(err)
	}
	if a, ok := s.alarm("tripped"); ok {
		t.Errorf("a person has confirmed it: %+v", a)
	}

	const used = "anchorbank-two.example"
	s.asks("edge-1", used, 14, 60)
	s.decide(used)
	b = s.blockOf(used)
	s.hit("edge-1", b.Ref, 50_000)
	s.hit("edge-2", b.Ref, 600)
	c := s.theCase(used)
	if a, ok := s.alarm("suspended"); !ok || !a.Harm || a.Link != "/case/"+c.Ref || a.Args[0] != used {
		t.Errorf("alarm: %v %+v", ok, a)
	}
	if _, err := s.Reject(t.Context(), who, c.ID, "it is theirs"); err != nil {
		t.Fatal(err)
	}
	if a, ok := s.alarm("suspended"); ok {
		t.Errorf("a person has decided: %+v", a)
	}
}

// Rules that stop, and rules that never start, say so and say what to do.
func TestRulesThatPauseAreAnAlarm(t *testing.T) {
	s := byRule(t, judge.On)
	if a, ok := s.alarm("paused"); ok {
		t.Errorf("with 1,000 known-good names: %+v", a)
	}
	s.report(lure("your card", "https://"+fake+"/"))
	c := s.theCase(fake)
	s.write(func(tx *store.Tx) error {
		return s.recordAlone(tx, c.ID, "phishing", judge.On, "suffix:example", []judge.Objection{{Guard: 8, Rule: "brake_total"}}, "")
	})
	if a, ok := s.alarm("braked"); !ok || a.Link != "/queue?state=waiting" || a.Args[0] != int64(1) {
		t.Errorf("braked: %v %+v", ok, a)
	}
	s.guard.cfg.Lists = s.guard.cfg.Lists[:len(s.guard.cfg.Lists)-1]
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a, ok := s.alarm("paused"); !ok || a.Link != "#lists" {
		t.Errorf("paused: %v %+v", ok, a)
	}
	s.cfg.Automatic.Phishing = judge.Shadow
	if a, ok := s.alarm("paused"); ok {
		t.Errorf("in shadow nothing pauses: %+v", a)
	}
}
