package shield

import (
	"strings"
	"testing"
	"time"

	"bolwerk/internal/terminal"
)

func TestTopSaysWhatItIsAskedFor(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	n := Now{At: at, Operator: "Polder Telecom", Waiting: 1204, OldestCase: at.Add(-3 * time.Hour), ReportsMinute: 14, InForce: 1234567,
		Hits:      Hits{DNS: 6000, Page: 10, TLS: 0},
		Hosts:     []HostNow{{Name: "edge-1", Role: "edge", Serial: 41, Behind: true, Lag: 70 * time.Second, Heard: at.Add(-5 * time.Second)}},
		Resolvers: []ResolverNow{{Name: "resolver-1", Zone: "b.rpz", Holds: 41}},
		Alarms:    []string{"list popular is failed: \x1b[2J"}}
	got := terminal.Uncolour(strings.Join(topLines(n, ""), "\n"))
	for _, want := range []string{"1,204 cases wait, the oldest for 3 h 0 min", "14 a minute", "1,234,567 in force", "1,200 DNS · 2 pages · 0 TLS a minute",
		"edge-1  edge  41      behind for 1 min 10 s  5 s ago", "resolver-1  b.rpz  41      all", "ALARMS\n! list popular is failed: "} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if strings.Contains(strings.Join(topLines(n, ""), ""), "\x1b[2J") {
		t.Error("an alarm can change what the terminal shows")
	}
	if got := strings.Join(topLines(n, "the desk does not answer"), "\n"); !strings.Contains(got, "! the desk does not answer; what follows is older") {
		t.Errorf("got\n%s", got)
	}
}

func TestTopFitsTheTerminal(t *testing.T) {
	n := Now{}
	for range 100 {
		n.Hosts = append(n.Hosts, HostNow{Name: "edge-with-a-name-that-is-long-and-goes-on-and-on-and-on-to-the-end-of-the-line", Role: "edge"})
	}
	for _, rows := range []int{1, 2, 10, 24, 200} {
		frame := topFrame(topLines(n, ""), rows)
		if len(frame) > max(rows, 2) {
			t.Errorf("%d rows: %d lines", rows, len(frame))
		}
		if last := frame[len(frame)-1]; !strings.HasPrefix(last, "q quits") {
			t.Errorf("%d rows: the last line is %q", rows, last)
		}
	}
}

func TestNowWantsAPersonFor(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	n := Now{At: at, Hosts: []HostNow{{Name: "edge-1", Role: "edge", Heard: at.Add(-5 * time.Minute)}, {Name: "edge-2", Role: "edge", Heard: at.Add(-50 * time.Second)}},
		Resolvers: []ResolverNow{{Name: "r1", Zone: "b.rpz", Lag: 2 * time.Minute}, {Name: "r2", Zone: "b.rpz", Lag: 20 * time.Second}}}
	n.alarms(Today{Lists: []ListState{{Name: "popular", State: "held", Why: "half as long"}, {Name: "known", State: "loaded"}}}, []HeldOrders{{Issuer: "cert", Why: "the first", Count: 12}})
	got := strings.Join(n.Alarms, "\n")
	want := "edge edge-1 was last heard 5m0s ago\nr1 is 2m0s behind with b.rpz\n12 orders of cert are held: the first\nlist popular is held: half as long"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
