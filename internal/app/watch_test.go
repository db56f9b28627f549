package app

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestAlarmsOfTheLogAreKept(t *testing.T) {
	h := newAlarms(slog.NewTextHandler(io.Discard, nil))
	log := slog.New(h).With("part", "x").WithGroup("g")
	log.Error("an error that nobody must look at")
	log.Warn("orders held back", "alarm", true)
	log.Warn("orders held back", "alarm", true)
	log.Info("not this", "alarm", false)
	now := time.Now()
	if got := h.kept.recent(now); len(got) != 1 || !strings.HasSuffix(got[0], " orders held back") {
		t.Errorf("got %q", got)
	}
	if got := h.kept.recent(now.Add(2 * time.Hour)); len(got) != 0 {
		t.Errorf("after two hours: %q", got)
	}
	for i := range 100 {
		log.Warn(fmt.Sprint("alarm ", i), "alarm", true)
	}
	if got := h.kept.recent(now); len(got) != maxAlarms || !strings.HasSuffix(got[0], " alarm 99") {
		t.Errorf("%d kept, the first %q", len(got), got[0])
	}
}
