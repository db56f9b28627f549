package playbook

import (
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/reading"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func TestTheDefaultsAreSound(t *testing.T) {
	if err := Check(Defaults()); err != nil {
		t.Fatal(err)
	}
	for c, want := range map[reading.Class]string{reading.Infected: "infected", reading.DDoS: "attack", reading.Spam: "spam", reading.Amplifier: "open", reading.BruteForce: "attack", reading.Other: ""} {
		b, _ := For(Defaults(), c)
		if b.Name != want {
			t.Errorf("%s has the book %q, want %q", c, b.Name, want)
		}
	}
}

func TestABookIsFollowed(t *testing.T) {
	b, _ := Named(Defaults(), "spam")
	f := Facts{Events: 1, Solid: 1, Reporters: 1}
	p, now := Begin(b, noon), noon
	a := Next(b, p, f, now)
	if a.Do != Inform || a.N != 0 || !a.Place.Due.Equal(noon.Add(48*time.Hour)) {
		t.Fatalf("%+v", a)
	}
	if early := Next(b, a.Place, f, now.Add(47*time.Hour)); early.Do != "" || early.Place != a.Place {
		t.Errorf("before its time: %+v", early)
	}
	// Not enough was seen: the line is left alone.
	now = now.Add(48 * time.Hour)
	left := Next(b, a.Place, f, now)
	if left.Do != "" || !left.Left || left.Place.Step != 2 {
		t.Errorf("%+v", left)
	}
	f.Events, f.Solid, f.Reporters = 5, 5, 2
	if left := Next(b, a.Place, f, now); !left.Left {
		t.Errorf("all of it was before the customer was told: %+v", left)
	}
	f.Again = true
	in := Next(b, a.Place, f, now)
	if in.Do != Quarantine || in.Step.Profile != enforce.Leaky {
		t.Errorf("%+v", in)
	}
	held := f
	held.Held = true
	if a := Next(b, a.Place, held, now); !a.Left {
		t.Errorf("a line in quarantine: %+v", a)
	}
	now = now.Add(24 * time.Hour)
	f.Clean = 13
	wait := Next(b, in.Place, f, now)
	if wait.Do != "" || wait.Left || wait.End || wait.Place.Step != 2 || !wait.Place.Due.After(now) {
		t.Errorf("seen 13 days ago: %+v", wait)
	}
	f.Clean = 14
	if end := Next(b, in.Place, f, now); end.Do != CloseClean || !end.End {
		t.Errorf("%+v", end)
	}
}

func TestWhatIsWrongIsTold(t *testing.T) {
	s := Step{Do: Quarantine, Profile: enforce.Leaky, Days: 14}
	good := Book{Name: "x", Classes: []string{"a/*"}, Steps: []Step{s}, Threat: "a", Necessity: "b", Proportion: "c"}
	if err := Check([]Book{good}); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Book){
		"a name of its own":  func(b *Book) { b.Name = "" },
		"classes":            func(b *Book) { b.Classes = nil },
		"such as malicious":  func(b *Book) { b.Classes = []string{"spam"} },
		"0 steps":            func(b *Book) { b.Steps = nil },
		"do \"ring\"":        func(b *Book) { b.Steps = []Step{{Do: "ring"}} },
		"want leaky":         func(b *Book) { b.Steps[0].Profile = enforce.Strict },
		"want 1 to 30":       func(b *Book) { b.Steps[0].Days = 31 },
		"its record":         func(b *Book) { b.Threat = "" },
		"channel \"pigeon\"": func(b *Book) { b.Steps = []Step{{Do: Inform, Channels: []string{"pigeon"}}} },
		"clean_days":         func(b *Book) { b.Steps = []Step{{Do: CloseClean}} },
		"0 and more":         func(b *Book) { b.When.Solid = -1 },
		"again is for steps": func(b *Book) { b.When.Again = true },
		"365 days":           func(b *Book) { b.Steps[0].After = bolwerk.Duration(-time.Second) },
	} {
		b := good
		b.Steps = []Step{s}
		change(&b)
		if err := Check([]Book{b}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if err := Check([]Book{good, good}); err == nil {
		t.Error("two of one name are taken")
	}
}

func TestAFileIsRead(t *testing.T) {
	const file = `[[playbook]]
name = "open"
classes = ["vulnerable/*"]
[[playbook.step]]
do = "inform"
channels = ["letter"]
[[playbook.step]]
do = "close_if_clean"
after = "24h"
clean_days = 14
`
	b, err := Parse([]byte(file))
	if err != nil || len(b) != 1 || len(b[0].Steps) != 2 || b[0].Steps[1].After.D() != 24*time.Hour {
		t.Fatalf("%+v, %v", b, err)
	}
	for _, bad := range []string{"", "x = 1", strings.Replace(file, "letter", "pigeon", 1), file + "colour = 'red'\n"} {
		if _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// A case whose line can be tested is closed after a test that finds nothing.
func TestTheLineIsTestedBeforeItIsClosed(t *testing.T) {
	b, _ := Named(Defaults(), "open")
	p := Place{Step: len(b.Steps) - 1, Due: noon}
	f := Facts{Events: 1, Clean: 14}
	for _, c := range []struct {
		test Test
		do   Do
		due  time.Duration
		end  bool
	}{{TestDue, Retest, time.Minute, false}, {TestAsked, "", time.Minute, false}, {TestOpen, "", time.Hour, false}, {TestNone, CloseClean, 0, true}} {
		f.Test = c.test
		if a := Next(b, p, f, noon); a.Do != c.do || a.End != c.end || !a.Place.Due.Equal(noon.Add(c.due)) {
			t.Errorf("test %q: %+v", c.test, a)
		}
	}
	f.Clean = 13
	if f.Test = TestDue; Next(b, p, f, noon).Do != "" {
		t.Error("the line is tested before its time")
	}
}

// Whatever is seen: a book comes to its end or waits, each step is done at most once and
// never before its time, and nobody is put into quarantine who is there.
func TestBooksRapid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SampledFrom(Defaults()).Draw(t, "book")
		now := noon
		p := Begin(b, now)
		done := map[int]bool{}
		var f Facts
		for range 200 {
			now = now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "hours")) * time.Hour)
			f.Events += rapid.Int64Range(0, 2).Draw(t, "events")
			f.Solid = min(f.Events, f.Solid+rapid.Int64Range(0, 1).Draw(t, "solid"))
			f.Again = rapid.Bool().Draw(t, "again")
			f.Held, f.Clean = rapid.Bool().Draw(t, "held"), rapid.IntRange(0, 20).Draw(t, "clean")
			a := Next(b, p, f, now)
			if a.Do != "" {
				if done[a.N] || now.Before(p.Due) || !a.Step.When.Met(f) || a.Do == Quarantine && f.Held || a.Do == CloseClean && f.Clean < a.Step.CleanDays {
					t.Fatalf("%+v at %+v with %+v", a, p, f)
				}
				done[a.N] = true
			}
			if a.Place.Step < p.Step || a.Place.Step > p.Step+1 {
				t.Fatalf("from step %d to %d", p.Step, a.Place.Step)
			}
			if p = a.Place; a.End {
				return
			}
		}
	})
}
