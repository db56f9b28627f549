package copy_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/copy/copytest"
	"bolwerk/internal/disk"
	"bolwerk/internal/join/jointest"
)

// local is a desk and a host without a network.
type local struct {
	t       testing.TB
	clock   *clock.Fake
	origin  *copytest.Origin
	signer  *copy.Signer
	handler *copy.Handler
	disk    *disk.Crashing
	m       *copy.Machine
	sink    *copytest.Sink
	out     []copy.Effect
}

func newLocal(t testing.TB) *local {
	l := &local{t: t, clock: clock.NewFake(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), origin: copytest.NewOrigin("blocks"), disk: disk.NewCrashing(1)}
	var err error
	if l.signer, err = copy.OpenSigner(t.TempDir()+"/copy.key", "Example Telecom"); err != nil {
		t.Fatal(err)
	}
	l.handler = copy.NewHandler(l.origin, l.signer, nil, l.clock, jointest.Quiet())
	l.start()
	return l
}

func (l *local) start() {
	l.t.Helper()
	l.sink = copytest.NewSink()
	l.m = copy.NewMachine(copy.NewFiles(l.disk, "/c"), l.sink, copy.Trust{Operator: "Example Telecom", Copy: "blocks", Keys: []ed25519.PublicKey{l.signer.Public()}})
	out, err := l.m.Start(l.clock.Now())
	if err != nil {
		l.t.Fatal(err)
	}
	l.out = out
}

// ask does one question and its answer.
func (l *local) ask() {
	l.t.Helper()
	i := slices.IndexFunc(l.out, func(e copy.Effect) bool { _, ok := e.(copy.Question); return ok })
	if i < 0 {
		l.t.Fatalf("no question among %v", l.out)
	}
	q := l.out[i].(copy.Question)
	var b bytes.Buffer
	if err := l.handler.Answer(l.t.Context(), &b, copy.Poll{Copy: "blocks", Mark: q.Mark, Nothing: q.Nothing}, q.Key, q.Snapshot, 0); err != nil {
		l.t.Fatal(err)
	}
	l.out = l.m.Handle(l.m.ReadAnswer(q, &b), l.clock.Now())
}

func TestTheLastGoodGenerationServesWhenTheNewestIsDamaged(t *testing.T) {
	for _, ext := range []string{".snapshot", ".changes", ".withdrawn"} {
		t.Run(ext, func(t *testing.T) {
			l := newLocal(t)
			l.ask()
			l.origin.Publish(entry("a", 1), entry("b", 1))
			l.ask()
			for i := range 30 {
				l.origin.Publish(entry(fmt.Sprint("c", i), 1))
			}
			l.origin.Publish(gone("c0", 9))
			l.ask()
			l.origin.Forget()
			l.origin.Publish(entry("d", 1))
			l.origin.Forget()
			l.ask() // a second generation
			l.origin.Publish(gone("a", 2))
			l.ask()
			l.origin.Publish(entry("e", 1))
			l.ask()
			best := l.sink.Head().Mark()
			names, _ := l.disk.List("/c")
			i := slices.IndexFunc(names, func(n string) bool { return strings.HasSuffix(n, ext) })
			for i >= 0 && i+1 < len(names) && slices.ContainsFunc(names[i+1:], func(n string) bool { return strings.HasSuffix(n, ext) }) {
				i++
			}
			for !strings.HasSuffix(names[i], ext) {
				i--
			}
			l.disk.Rot("/c/" + names[i])
			l.start()
			if l.sink.Head().Copy == "" {
				t.Fatal("nothing is served")
			}
			if s := l.m.State(); s.Floor != best && ext != ".changes" {
				t.Errorf("the floor is %v, want %v", s.Floor, best)
			}
			if _, ok := l.sink.Entries()["a"]; ok && ext == ".snapshot" {
				t.Error("a is blocked again, its withdrawal was readable")
			}
			// The first answer brings everything back.
			l.ask()
			same(t, l.sink, l.origin.Entries())
		})
	}
}

func TestAnotherHistoryIsAnAlarmAndIsLeftByItself(t *testing.T) {
	l := newLocal(t)
	l.ask()
	l.origin.Publish(entry("a", 1))
	l.ask()
	// A desk that lost its last publication and made another one in its place.
	fork := copytest.NewOrigin("blocks")
	fork.Publish(entry("other", 1))
	l.handler = copy.NewHandler(fork, l.signer, nil, l.clock, jointest.Quiet())
	l.ask()
	if a := l.m.State().Alarms(); !slices.Contains(a, copy.AlarmForged) {
		t.Errorf("alarms %v, want forged", a)
	}
	fork.Publish(entry("more", 1))
	for range 3 {
		l.ask()
	}
	same(t, l.sink, fork.Entries())
	if a := l.m.State().Alarms(); len(a) != 0 {
		t.Errorf("alarms %v stay", a)
	}
}

func TestADeskThatWentBackIsAnAlarm(t *testing.T) {
	l := newLocal(t)
	l.ask()
	l.origin.Publish(entry("a", 1))
	l.origin.Publish(entry("b", 1))
	l.ask()
	want := l.origin.Entries()
	l.handler = copy.NewHandler(copytest.NewOrigin("blocks"), l.signer, nil, l.clock, jointest.Quiet())
	l.ask()
	if a := l.m.State().Alarms(); !slices.Contains(a, copy.AlarmBehind) {
		t.Errorf("alarms %v, want behind", a)
	}
	same(t, l.sink, want)
}

func TestASilentDeskIsAnAlarmAndNothingEnds(t *testing.T) {
	l := newLocal(t)
	l.ask()
	l.origin.Publish(entry("a", 1))
	l.ask()
	l.clock.Add(4 * time.Minute)
	l.m.Handle(copy.Tick{}, l.clock.Now())
	if a := l.m.State().Alarms(); !slices.Equal(a, []copy.Alarm{copy.AlarmSilent}) {
		t.Errorf("after 4 minutes: alarms %v, want silent", a)
	}
	l.clock.Add(copy.FreshFor)
	l.out = l.m.Handle(copy.Tick{}, l.clock.Now())
	if a := l.m.State().Alarms(); !slices.Equal(a, []copy.Alarm{copy.AlarmStale, copy.AlarmSilent}) {
		t.Errorf("after 14 minutes: alarms %v, want stale and silent", a)
	}
	same(t, l.sink, l.origin.Entries())
	l.ask()
	if a := l.m.State().Alarms(); len(a) != 0 {
		t.Errorf("after a heartbeat: alarms %v stay", a)
	}
}

func TestAClockThatGoesBackDoesNotStopTheQuestions(t *testing.T) {
	l := newLocal(t)
	l.ask()
	l.out = nil // the question is lost with its connection, in some odd way
	l.clock.Add(-72 * time.Hour)
	l.out = l.m.Handle(copy.Tick{}, l.clock.Now())
	l.origin.Publish(entry("a", 1))
	l.ask()
	same(t, l.sink, l.origin.Entries())
}

// What a killed process had not synced is read by the next one, which serves
// it: then a power cut must not take it back.
func TestWhatIsServedAfterAKillIsDurable(t *testing.T) {
	for seed := range uint64(20) {
		for stop := 1; stop < 12; stop++ {
			l := newLocal(t)
			l.disk = disk.NewCrashing(seed)
			l.start()
			l.ask()
			l.origin.Publish(entry("a", 1))
			l.ask()
			l.origin.Publish(entry("b", 1))
			l.disk.StopAt(stop)
			l.ask()
			l.disk.Restart()
			l.start()
			served := l.sink.Head().Mark()
			l.disk.Crash()
			l.start()
			if now := l.sink.Head().Mark(); now.Before(served) {
				t.Fatalf("seed %d, killed at %d: served %v, after a power cut %v", seed, stop, served, now)
			}
		}
	}
}
