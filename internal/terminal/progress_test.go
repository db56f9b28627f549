package terminal

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestProgressSaysHowFarAndHowLong(t *testing.T) {
	for over, want := range map[bool]string{
		false: "rows: 1,000 of 4,000 (25 %) · 100/s · 30s left\nrows: 4,000 of 4,000 (100 %) · 200/s\n",
		true:  "\rrows: 1,000 of 4,000 (25 %) · 100/s · 30s left\x1b[K\rrows: 4,000 of 4,000 (100 %) · 200/s\x1b[K\n",
	} {
		var out bytes.Buffer
		at := time.Unix(0, 0)
		p := &Progress{w: &out, over: over, what: "rows", total: 4000, now: func() time.Time { return at }, began: at, said: at}
		p.Add(0)
		at = at.Add(10 * time.Second)
		p.Add(1000)
		at = at.Add(10 * time.Second)
		p.done = 4000
		p.Done()
		if got := out.String(); got != want {
			t.Errorf("over %v: got %q, want %q", over, got, want)
		}
	}
}

func TestShortWorkSaysNothing(t *testing.T) {
	var out bytes.Buffer
	p := (&Terminal{Out: &out, Err: &out}).Progress("rows", 3)
	for range 3 {
		p.Add(1)
	}
	p.Done()
	if strings.TrimSpace(out.String()) != "" {
		t.Errorf("got %q", out.String())
	}
}

func TestProgressOfOctetsIsInMegabytesAndDoesNotClaimWhatWasNotReached(t *testing.T) {
	var out bytes.Buffer
	at := time.Unix(0, 0)
	p := &Progress{w: &out, what: "backup", bytes: true, total: 2_000_000_000, now: func() time.Time { return at }, began: at, said: at}
	at = at.Add(10 * time.Second)
	p.Add(500_000_000)
	at = at.Add(10 * time.Second)
	p.done = 1_900_000_000 // the copy is packed closer than was thought
	p.Done()
	want := "backup: 500.0 MB of 2,000.0 MB (25 %) · 50.0 MB/s · 30s left\nbackup: 1,900.0 MB · 95.0 MB/s\n"
	if got := out.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
