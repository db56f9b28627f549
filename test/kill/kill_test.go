// Package kill ends the real program as kill -9 does, at random and at every
// fault point, while reports and decisions come in, and holds what was
// acknowledged against what is there afterwards.
//
// BOLWERK_KILLS says how often each role is killed at random; 5 without it.
package kill

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"bolwerk/test/live"
)

func TestMain(m *testing.M) { live.Main(m) }

func kills() int {
	if n, err := strconv.Atoi(os.Getenv("BOLWERK_KILLS")); err == nil && n > 0 {
		return n
	}
	return 5
}

func TestNothingAcknowledgedIsLostWhenTheDemoIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("kills of the real program take a minute: not with -short")
	}
	t.Parallel()
	s := live.Demo(t, "")
	s.MustStart("demo")
	w := begin(t, s)
	for range kills() {
		time.Sleep(rand.N(1500 * time.Millisecond))
		s.Kill("demo")
		s.MustStart("demo")
	}
	w.end()
	w.hold()
}

func TestNothingAcknowledgedIsLostWhenARoleIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("kills of the real program take a minute: not with -short")
	}
	t.Parallel()
	s := live.Apart(t, "", "", nil)
	s.Found()
	w := begin(t, s)
	var order []string
	for range kills() {
		order = append(order, s.Roles()...)
	}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for _, role := range order {
		time.Sleep(rand.N(time.Second))
		s.Kill(role)
		time.Sleep(rand.N(500 * time.Millisecond)) // the others go on without it
		s.MustStart(role)
	}
	w.end()
	w.hold()
	t.Logf("killed: %s", fmt.Sprint(order))
}
