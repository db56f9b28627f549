package abuse

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/contact"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/playbook"
	"bolwerk/abuse/session"
)

// network is an access network that does what it is told.
type network struct {
	mu  sync.Mutex
	has map[string]enforce.Profile // by session
}

func (n *network) Put(_ context.Context, o enforce.Order) (enforce.Result, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.has[o.Session.Session] = o.Profile
	return enforce.Result{State: enforce.Applied, Seen: true}, nil
}

func (n *network) profile(session string) enforce.Profile {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.has[session]
}

// reconcile has the access network taken where the desk wants it, until the test ends.
func (h *house) reconcile() {
	ctx, stop := context.WithCancel(h.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Quarantines().Run(ctx) }()
	h.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			h.t.Error(err)
		}
	})
}

// A feed tells of a line, its playbook puts it into quarantine, and the case is closed
// once the feed was heard often enough without it: not by days on which it was silent.
// What the closed case leaves behind is a normal line, and everybody knows.
func TestACaseWhoseLineIsCleanIsClosed(t *testing.T) {
	net := &network{has: map[string]enforce.Profile{}}
	h := open(t, func(c *Config, p *Parts) {
		c.Feeds = []Feed{{Name: "scans", From: []string{"feed.example"}, Every: bolwerk.Duration(24 * time.Hour)}}
		c.Quarantine.Mode = "on"
		c.Playbooks = []playbook.Book{{Name: "open", Classes: []string{"vulnerable/*"}, When: playbook.When{Events: 1}, Threat: "a", Necessity: "b", Proportion: "c", Steps: []playbook.Step{
			{Do: playbook.Quarantine, Profile: enforce.Leaky, Days: 30}, {Do: playbook.CloseClean, CleanDays: 2}}}}
		p.Port, p.Proved = net, func(string) bool { return true }
	})
	h.reconcile()
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Start, "bert", "s2", "192.0.2.18/32", noon.Add(-20*time.Hour))
	has := func(want enforce.Profile) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); net.profile("s1") != want; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the line has %q, want %q", net.profile("s1"), want)
			}
		}
	}
	play := func() {
		t.Helper()
		for {
			n, err := h.playSome(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				return
			}
		}
	}
	state := func() string {
		return h.text(`select c.state||' '||c.outcome from desk_case c join abuse_case a on a.id=c.id where a.id=(select min(id) from abuse_case)`)
	}
	// day goes on to the next, on which the feed tells of what it saw the day before.
	day := func(lines ...string) {
		t.Helper()
		h.clock.Add(24 * time.Hour)
		h.session(session.Interim, "anna", "s1", "192.0.2.17/32", h.clock.Now())
		h.session(session.Interim, "bert", "s2", "192.0.2.18/32", h.clock.Now())
		body := head
		for _, addr := range lines {
			body += resolver(h.clock.Now().Add(-13*time.Hour), addr)
		}
		if lines != nil {
			h.hand("daily@reports.feed.example", table, body)
		}
		play()
	}
	report := h.hand("daily@reports.feed.example", table, head+resolver(noon.Add(-time.Hour), "192.0.2.17"))
	play()
	has(enforce.Leaky)
	day("192.0.2.18") // the rest of the day on which it was seen
	day("192.0.2.18")
	day() // silence
	day() // and silence
	if s := state(); s != "waiting " {
		t.Fatalf("after one day without the line and two of silence the case is %q", s)
	}
	has(enforce.Leaky)
	day("192.0.2.18")
	if s := state(); s != "closed cleaned" {
		t.Fatalf("after two days without the line the case is %q", s)
	}
	has(enforce.Normal)
	q := func() string {
		return h.text(`select state||' '||mechanism from abuse_quarantine where case_id=(select min(id) from abuse_case)`)
	}
	for end := time.Now().Add(20 * time.Second); q() != "released playbook"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the quarantine of the closed case is %q", q())
		}
	}
	if s := h.report(report); s.code != string(Actioned) {
		t.Errorf("the reporter is told %q", s.code)
	}
	if n := h.number(`select count(*) from abuse_note where kind in ('clean','closed') and case_id=(select min(id) from abuse_case)`); n != 2 {
		t.Errorf("%d notes of the end", n)
	}
	// Seen again, it begins again.
	day("192.0.2.17")
	if s := h.text(`select state from desk_case where id=(select min(id) from abuse_case)`); s != "waiting" {
		t.Errorf("seen again, the case is %q", s)
	}
	has(enforce.Leaky)
}

// Where no feed tells of a line nobody looked: twice as many days have to pass.
func TestALineThatNobodyWatchesIsCleanLater(t *testing.T) {
	h := open(t, func(c *Config, _ *Parts) {
		c.Playbooks = []playbook.Book{{Name: "open", Classes: []string{"vulnerable/*"}, When: playbook.When{Events: 1}, Steps: []playbook.Step{{Do: playbook.CloseClean, CleanDays: 2}}}}
	})
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Minute))
	h.hand("jan@net.example", table, head+resolver(noon.Add(-time.Hour), "192.0.2.17"))
	for day, want := range []string{"waiting", "waiting", "waiting", "waiting", "waiting", "closed"} { // of the first, a part only
		if _, err := h.playSome(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := h.text(`select state from desk_case where capability='abuse'`); got != want {
			t.Errorf("after %d days the case is %s, want %s", day, got, want)
		}
		h.clock.Add(24 * time.Hour)
	}
}

// What was seen before its customer was told is no reason for a reminder: the line is
// reminded, and put into quarantine, only where it was seen again.
func TestWhomNobodySeesAgainIsLeftAlone(t *testing.T) {
	h := open(t, func(c *Config, p *Parts) {
		c.Quarantine.Mode = "on"
		c.Playbooks = []playbook.Book{{Name: "open", Classes: []string{"vulnerable/*"}, When: playbook.When{Events: 1}, Threat: "a", Necessity: "b", Proportion: "c", Steps: []playbook.Step{
			{Do: playbook.Inform},
			{Do: playbook.Inform, After: bolwerk.Duration(time.Hour), When: playbook.When{Again: true}},
			{Do: playbook.Quarantine, After: bolwerk.Duration(time.Hour), When: playbook.When{Events: 2, Again: true}, Profile: enforce.Leaky, Days: 30}}}}
		p.Port, p.Proved = &network{has: map[string]enforce.Profile{}}, func(string) bool { return true }
	})
	h.told(contact.Entry{Subscriber: "anna", Mail: "anna@thuis.example"}, contact.Entry{Subscriber: "bert", Mail: "bert@thuis.example"})
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Start, "bert", "s2", "192.0.2.18/32", noon.Add(-20*time.Hour))
	play := func() {
		t.Helper()
		for n := 1; n > 0; {
			var err error
			if n, err = h.playSome(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.hand("daily@feed.example", table, head+resolver(noon.Add(-2*time.Hour), "192.0.2.17")+resolver(noon.Add(-time.Hour), "192.0.2.17")+resolver(noon.Add(-2*time.Hour), "192.0.2.18")+resolver(noon.Add(-time.Hour), "192.0.2.18"))
	play()
	h.clock.Add(30 * time.Minute)
	h.session(session.Interim, "bert", "s2", "192.0.2.18/32", h.clock.Now())
	h.hand("daily@feed.example", table, head+resolver(h.clock.Now().Add(-time.Minute), "192.0.2.18"))
	h.clock.Add(40 * time.Minute)
	play()
	h.hand("daily@feed.example", table, head+resolver(h.clock.Now().Add(time.Second), "192.0.2.18"))
	h.clock.Add(70 * time.Minute)
	h.session(session.Interim, "bert", "s2", "192.0.2.18/32", h.clock.Now())
	play()
	for who, want := range map[string][3]int64{"anna": {1, 2, 0}, "bert": {2, 0, 1}} {
		all, err := h.Cases(t.Context(), CaseFilter{Subscriber: who})
		if err != nil || len(all) != 1 {
			t.Fatalf("%s: %+v %v", who, all, err)
		}
		id := all[0].ID
		got := [3]int64{h.number(`select count(*) from abuse_note where kind='informed' and code not like 'quarantined%' and case_id=$1`, id), h.number(`select count(*) from abuse_note where kind='step' and code like 'left:%' and case_id=$1`, id), h.number(`select count(*) from abuse_quarantine where case_id=$1`, id)}
		if got != want {
			t.Errorf("%s: told, left out, quarantined %v, want %v", who, got, want)
		}
	}
}
