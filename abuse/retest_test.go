package abuse

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/door"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/inform"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/retest"
	"bolwerk/abuse/session"
	"bolwerk/internal/account"
	"bolwerk/internal/store"
)

// tests are a house whose lines are tested: what was asked, and whether it answers.
type tests struct {
	*house
	asked  []string
	answer bool
	during func() // a question
}

func newTests(t *testing.T) *tests {
	h := &tests{house: open(t, func(c *Config, _ *Parts) { c.Quarantine.Mode, c.Retest = "on", true }), answer: true}
	h.answers = func(_ context.Context, at netip.Addr, s retest.Service) (bool, error) {
		h.asked = append(h.asked, at.String()+" "+s.String())
		if h.during != nil {
			h.during()
		}
		return h.answer, nil
	}
	return h
}

// run does what was asked for, and compares what was asked and found.
func (h *tests) run(when, found string, want ...string) {
	h.t.Helper()
	h.asked = nil
	if err := h.retestSome(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	if got := h.text(`select test from abuse_case`); got != found || !slices.Equal(h.asked, want) {
		h.t.Errorf("%s: asked %v and found %q, want %v and %q", when, h.asked, got, want, found)
	}
}

func (h *tests) ref() string { return h.text(`select ref from desk_case where capability='abuse'`) }

// A guest with an open service has the line tested: at the address that the subscriber
// has at that time, once in ten minutes, and never where it is another's or shared.
func TestRetest(t *testing.T) {
	h := newTests(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon)
	h.hand("", table, head+resolver(noon.Add(-time.Hour), "192.0.2.17"))
	q, _, err := h.AskQuarantine(t.Context(), agent, h.ref(), quarantine.Wish{Profile: enforce.Leaky, Days: 14, Why: quarantine.Why{Threat: "amplifies", Necessity: "mail does nothing", Proportion: "only what harms"}})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	press := func() {
		n++
		if err := h.Quarantines().Take(t.Context(), []garden.Event{{ID: fmt.Sprint("press ", n), Quarantine: q.ID, What: "test", At: h.clock.Now()}}); err != nil {
			t.Fatal(err)
		}
	}
	press()
	h.clock.Jump(h.clock.Now())
	h.run("the clock is suspect", garden.TestAsked)
	h.clock.Clear()
	h.run("open", garden.TestOpen, "192.0.2.17 UDP 53")
	h.answer = false
	press()
	h.run("too soon", garden.TestOpen)
	h.clock.Add(garden.TestEvery)
	press()
	h.run("closed", garden.TestQuiet, "192.0.2.17 UDP 53")
	if _, err := h.Retest(t.Context(), agent, h.ref()); err == nil {
		t.Error("the desk may test again at once")
	}
	h.session(session.Start, "boris", "s2", "192.0.2.17/32", h.clock.Now()) // no Stop of anna's came
	h.clock.Add(garden.TestEvery)
	press()
	h.run("the address is another's", garden.TestOffline)
	h.session(session.Start, "anna", "s3", "198.51.100.9/32", h.clock.Now())
	h.clock.Add(garden.TestEvery)
	press()
	h.run("not in a network of ours", garden.TestOffline)
	h.session(session.Stop, "anna", "s3", "198.51.100.9/32", h.clock.Now())
	h.session(session.Start, "anna", "s4", "192.0.2.44/32", h.clock.Now())
	h.clock.Add(garden.TestEvery)
	press()
	h.run("a new address", garden.TestQuiet, "192.0.2.44 UDP 53")
	h.answer, h.during = true, func() {
		h.session(session.Stop, "anna", "s4", "192.0.2.44/32", h.clock.Now())
		h.session(session.Start, "boris", "s5", "192.0.2.44/32", h.clock.Now())
	}
	h.clock.Add(garden.TestEvery)
	press()
	h.run("it becomes another's while it is asked", garden.TestOffline, "192.0.2.44 UDP 53")
	if n := h.number(`select count(*) from abuse_note where kind='tested'`); n != 6 {
		t.Errorf("%d tests stand in the case, want 6", n)
	}
	if n := h.number(`select count(*) from audit where action='abuse.case.retest'`); n != 0 {
		t.Errorf("%d tests that guests asked for stand in the trail as a person's", n)
	}
}

// A line is tested over IPv6 at the address where the service was seen, as long as it is
// in a prefix that the subscriber has alone.
func TestRetest_over_IPv6(t *testing.T) {
	h := newTests(t)
	const prefix, seen = "2001:db8:17:100::/56", "2001:db8:17:100::53"
	h.session(session.Start, "anna", "s1", prefix, noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", prefix, noon)
	h.hand("", table, head+resolver(noon.Add(-time.Hour), seen))
	got, err := h.Retest(t.Context(), agent, h.ref())
	if err != nil || !slices.Equal(got.Tests, []string{"UDP 53 (IPv6)"}) || got.Test != garden.TestAsked {
		t.Fatalf("%+v (%v)", got, err)
	}
	h.run("open", garden.TestOpen, seen+" UDP 53")
	if n := h.number(`select count(*) from audit where action='abuse.case.retest'`); n != 1 {
		t.Errorf("%d entries in the trail, want 1", n)
	}
	again := func() {
		t.Helper()
		h.clock.Add(garden.TestEvery)
		if _, err := h.Retest(t.Context(), agent, h.ref()); err != nil {
			t.Fatal(err)
		}
	}
	h.session(session.Start, "boris", "s2", "2001:db8:17:100::/64", h.clock.Now())
	again()
	h.run("a part of the prefix is another's", garden.TestOffline)
	h.session(session.Stop, "boris", "s2", "2001:db8:17:100::/64", h.clock.Now())
	h.answer = false
	again()
	h.run("it is hers alone", garden.TestQuiet, seen+" UDP 53")
	h.session(session.Stop, "anna", "s1", prefix, h.clock.Now())
	h.session(session.Start, "anna", "s3", "2001:db8:18:100::/56", h.clock.Now())
	again()
	h.run("she has another prefix", garden.TestOffline)
}

// Who was told of an open service, and is in no quarantine, has the line tested with the
// code of the notice.
func TestRetest_with_a_code(t *testing.T) {
	h := newTests(t)
	h.told(annas)
	id, _, _ := h.caseOfAnna()
	h.tell(inform.Letter{Case: id, Kind: inform.Warned, Who: anna})
	h.doJobs()
	code, err := door.ParseCaseCode(codeIn.FindString(h.mails.sent[0].Body))
	if err != nil {
		t.Fatal(err)
	}
	if n := h.published(code.Hash()); !slices.Equal(n.Tests, []string{"UDP 53"}) || n.Test != "" {
		t.Errorf("published %+v", n)
	}
	s := door.Said{Code: code.Hash(), Event: garden.Event{ID: "e1", What: "test", At: h.clock.Now()}}
	for range 2 { // the intake sends again what it has no answer for
		if err := h.Receive(t.Context(), "intake-1", door.KindNotice, "x1", s.Encode()); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.published(code.Hash()); n.Test != garden.TestAsked {
		t.Errorf("published %+v", n)
	}
	h.answer = false
	h.run("with a code", garden.TestQuiet, "192.0.2.17 UDP 53")
	if n := h.published(code.Hash()); n.Test != garden.TestQuiet || n.TestAt.IsZero() {
		t.Errorf("published %+v", n)
	}
}

// Who asks for a test has to be allowed to, and there has to be something to ask for.
func TestRetest_refused(t *testing.T) {
	h := newTests(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon)
	h.hand("", "", xarf(noon.Add(-time.Hour), "192.0.2.17", 50000, 1)) // malware: from inside
	if _, err := h.Retest(t.Context(), agent, h.ref()); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("malware is tested from outside: %v", err)
	}
	viewer := agent
	viewer.Role = account.Viewer
	if _, err := h.Retest(t.Context(), viewer, h.ref()); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("a viewer has a line tested: %v", err)
	}
}

// The rules close no case whose service they can see, and ask before they close.
func TestRetest_before_a_case_is_closed(t *testing.T) {
	h := newTests(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon)
	h.hand("", table, head+resolver(noon.Add(-time.Hour), "192.0.2.17"))
	day := func() {
		t.Helper()
		for range 24 {
			h.clock.Add(time.Hour)
			h.session(session.Interim, "anna", "s1", "192.0.2.17/32", h.clock.Now())
			for range 3 { // the step asks, the line is tested, the step looks
				if _, err := h.playSome(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := h.retestSome(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for range 39 { // nothing is told of it any more, by a feed or not: 28 full days, and some
		day()
	}
	if s := h.text(`select state from desk_case where ref=$1`, h.ref()); s != "waiting" || len(h.asked) == 0 || len(h.asked) > 11 {
		t.Fatalf("the case is %s after %d questions: an open service keeps it open, and is asked for once a day", s, len(h.asked))
	}
	h.answer = false
	day()
	day()
	if s := h.text(`select state||' '||outcome from desk_case where ref=$1`, h.ref()); s != "closed cleaned" {
		t.Errorf("the case is %s once nothing answers", s)
	}
}

// A case whose subscriber cannot be read any more holds up the test of no other.
func TestRetestGoesOn(t *testing.T) {
	h := newTests(t)
	var refs []string
	for i, who := range []string{"anna", "boris"} {
		at := fmt.Sprintf("192.0.2.%d", 17+i)
		h.session(session.Start, who, who, at+"/32", noon.Add(-20*time.Hour))
		h.session(session.Interim, who, who, at+"/32", noon)
		h.hand("", table, head+resolver(noon.Add(-time.Hour), at))
		refs = append(refs, h.text(`select max(ref) from desk_case where capability='abuse'`))
		h.clock.Add(time.Second)
		if _, err := h.Retest(t.Context(), agent, refs[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.db.Write(t.Context(), store.Intake, func(tx *store.Tx) error {
		_, err := tx.Exec(`update abuse_case set who_sealed=$1 where id in (select id from desk_case where ref=$2)`, []byte("not sealed"), refs[0])
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := h.retestSome(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.text(`select test from abuse_case where id in (select id from desk_case where ref='` + refs[1] + `')`); got != garden.TestOpen {
		t.Errorf("the other line: %q", got)
	}
}
