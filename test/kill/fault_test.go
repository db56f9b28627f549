package kill

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk/test/live"
)

// everyPoint is set by "make kill": all faults instead of a spread of them.
var everyPoint = os.Getenv("BOLWERK_EVERY_POINT") != ""

// spread is how many faults are tried otherwise.
const spread = 14

// story is how long things happen before and after a fault.
const story = 1200 * time.Millisecond

// faults runs the story once without a fault and gives what can be injected: the
// first three passages of each point and one from the middle, with a kill and an
// error, or a torn write where bytes are written.
func faults(t *testing.T) (all []string) {
	s := live.Demo(t, "fault")
	log := filepath.Join(t.TempDir(), "points")
	if err := s.Start("demo", "BOLWERK_FAULT_LOG="+log); err != nil {
		t.Fatal(err)
	}
	w := begin(t, s)
	time.Sleep(2 * story)
	w.end()
	w.hold()
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, name := range strings.Fields(string(b)) {
		count[name]++
	}
	for name, n := range count {
		actions := []string{"kill", "error"}
		if strings.HasSuffix(name, ".write") {
			actions = []string{"kill", "torn"}
		}
		at := []int{1, 2, 3, n / 2}
		slices.Sort(at)
		for _, i := range slices.Compact(at) {
			if i < 1 || i > n {
				continue
			}
			for _, action := range actions {
				all = append(all, fmt.Sprintf("%s:%d=%s", name, i, action))
			}
		}
	}
	slices.SortFunc(all, cmp.Compare)
	t.Logf("%d points are passed, %d faults", len(count), len(all))
	return all
}

func TestNothingAcknowledgedIsLostAtAnyFaultPoint(t *testing.T) {
	if testing.Short() {
		t.Skip("kills of the real program take a minute: not with -short")
	}
	all := faults(t)
	if len(all) < 100 {
		t.Fatalf("only %d faults: %v", len(all), all)
	}
	if !everyPoint {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		all = all[:spread]
	}
	for _, fault := range all {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			atFault(t, fault)
		})
	}
}

// atFault lives through one fault.
func atFault(t *testing.T, fault string) {
	s := live.Demo(t, "fault")
	p, ready, err := s.Launch("demo", "BOLWERK_FAULT="+fault)
	if err != nil {
		t.Fatal(err)
	}
	kills := !strings.HasSuffix(fault, "=error")
	var w *world
	select {
	case <-ready:
		w = begin(t, s)
		select {
		case <-p.Done():
		case <-time.After(2 * story):
			if kills {
				t.Logf("%s was not reached", fault)
			}
		}
	case <-p.Done(): // at the start: nothing was acknowledged yet
	case <-time.After(time.Minute):
		t.Fatalf("%s: neither ready nor ended\n%s", fault, p.Tail())
	}
	s.Kill("demo")
	s.MustStart("demo")
	if w == nil {
		w = begin(t, s)
	}
	time.Sleep(story)
	w.end()
	w.hold()
}
