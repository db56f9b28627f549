package shield

import (
	"context"
	"strings"
	"testing"
	"time"

	"bolwerk/internal/store"
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
	s := newShield(t)
	at := s.clock.Now()
	s.Watching(Watch{Hosts: func(context.Context) ([]HostNow, error) {
		return []HostNow{{Name: "intake-1", Role: "intake", Heard: at.Add(-5 * time.Minute)}, {Name: "intake-2", Role: "intake", Heard: at.Add(-50 * time.Second)}}, nil
	}, Alarms: func() []string { return []string{"something in the log"} }})
	if err := s.db.Write(t.Context(), store.Intake, func(tx *store.Tx) error {
		if _, err := tx.Exec(`insert into shield_stand(name,kind,epoch,serial,at,behind) values('slow-ns','resolver',1,1,$1,$2),('good-ns','resolver',1,1,$1,$3)`,
			store.Micros(at), store.Micros(at.Add(-2*time.Minute)), store.Micros(at.Add(-20*time.Second))); err != nil {
			return err
		}
		_, err := tx.Exec(`update shield_list set state='held', why='half as long' where name='used'`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	n, err := s.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(n.Alarms, "\n")
	for _, want := range []string{"intake-1 has not asked for 5 min.", "slow-ns has been behind for 2 min.", "A new version of the list used is held back. (half as long)", "something in the log"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	for _, fine := range []string{"intake-2", "good-ns"} {
		if strings.Contains(got, fine) {
			t.Errorf("%s is fine, got\n%s", fine, got)
		}
	}
}
