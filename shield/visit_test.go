package shield

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/shield/capture"
	"bolwerk/shield/content"
	"bolwerk/shield/judge"
	"bolwerk/shield/probe"
	"bolwerk/shield/seen"
)

// tasks are the open ones, by their page.
func (s *testShield) tasks() map[string]string {
	s.t.Helper()
	out := map[string]string{}
	err := s.db.Read(s.t.Context(), func(tx *store.Tx) error {
		ids, err := texts(tx, `select task from shield_visit where task<>''`)
		if err != nil {
			return err
		}
		for _, id := range ids {
			e, err := publish.Entry(tx, CopyProbe, probe.TaskEntry+id)
			if err != nil {
				return err
			}
			var t probe.Task
			if err := json.Unmarshal(e.Body, &t); err != nil {
				return err
			}
			if len(t.As) != 2 || t.As[0].Profile != capture.Desktop || t.As[1].Profile != capture.Phone || t.As[0].Lang == t.As[1].Lang {
				s.t.Errorf("as %v", t.As)
			}
			out[t.URL] = id
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// handIn hands in what a probe saw, and has it read.
func (s *testShield) handIn(task string, b capture.Bundle, page string) {
	s.t.Helper()
	b.V, b.At, b.Probe = 1, s.clock.Now(), "test"
	if page != "" {
		b.Put(capture.Part{Kind: capture.HTML, URL: b.Final(), Type: "text/html", Status: 200}, []byte(page))
	}
	raw, err := b.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	body := probe.Seen{Task: task, Capture: raw}.Encode()
	id := bolwerk.NewID(s.clock.Now())
	for range 2 { // the same twice changes nothing
		if err := s.Receive(s.t.Context(), "probe-1", probe.KindVisit, id, body); err != nil {
			s.t.Fatal(err)
		}
	}
	s.clock.Add(time.Second)
	ids, err := s.claimCaptures(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, id := range ids {
		if err := s.lookAt(s.t.Context(), id); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *testShield) give() map[string]string {
	s.t.Helper()
	s.heardProbe()
	if err := s.giveSome(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return s.tasks()
}

func answered(at string, status int) capture.Bundle {
	return capture.Bundle{Capture: capture.Capture{URL: at, Profile: capture.Desktop, Lang: bolwerk.NL, Hops: []capture.Hop{{URL: at, Via: "asked", Address: "192.0.2.7", Status: status, Header: []capture.Field{}}}}}
}

func as(b capture.Bundle, p capture.Profile, l bolwerk.Lang) capture.Bundle {
	b.Profile, b.Lang = p, l
	return b
}

func says(c CaseView, reason string) bool {
	return slices.ContainsFunc(c.Evidence, func(e judge.Evidence) bool { return e.Reason == reason })
}

const kitPage = `<title>Anchor Bank - log in</title><meta property="og:site_name" content="Anchor Bank"><form action=/x method=post>Card number <input name=cardnumber autocomplete=cc-number><input type=password name=pin></form>`

func (s *testShield) visit(subject string) (live string, rounds, due int64) {
	s.t.Helper()
	err := s.db.Read(s.t.Context(), func(tx *store.Tx) error {
		return tx.Row(`select live,live_rounds,due_at from shield_visit v join shield_observable o on o.id=v.observable where o.value=$1`, subject).Scan(&live, &rounds, &due)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return live, rounds, due
}

func TestAReportedPageIsVisited(t *testing.T) {
	s := newShield(t)
	s.report(lure("Card", "https://secure-login7.example/pas?mail=r1@home.example&x=1"))
	if err := s.giveSome(t.Context()); err != nil || len(s.tasks()) != 0 {
		t.Fatalf("without a probe: %v, tasks %v", err, s.tasks())
	}
	var page string
	for at := range s.give() {
		page = at
	}
	if strings.Contains(page, "r1@home") || !strings.HasPrefix(page, "https://secure-login7.example/pas") {
		t.Errorf("the probe is told %q", page)
	}
	s.report(lure("Card", "https://secure-login7.example/pas?mail=r2@home.example&x=1"))
	tasks := s.give()
	if len(tasks) != 1 {
		t.Errorf("one name, tasks %v", tasks)
	}
	c := s.caseOf("secure-login7.example")
	before, err := s.Case(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	b := answered(page, 200)
	img := image.NewRGBA(image.Rect(0, 0, 90, 80))
	for x := range 90 {
		for y := range 80 {
			img.Set(x, y, color.Gray{Y: uint8(x)})
		}
	}
	var shot bytes.Buffer
	png.Encode(&shot, img)
	b.Put(capture.Part{Kind: capture.HTML, URL: page, Type: "text/html", Status: 200}, []byte(kitPage))
	b.Put(capture.Part{Kind: capture.Screenshot, Type: "image/png"}, shot.Bytes())
	s.handIn(tasks[page], b, "")
	after, err := s.Case(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !says(after, "brand_form") || says(before, "brand_form") || after.Brand != "Anchor Bank" || len(after.Verdicts) <= len(before.Verdicts) {
		t.Errorf("verdict %s, then %s of %s: %+v", before.Verdict, after.Verdict, after.Brand, after.Evidence)
	}
	if len(after.Visits) != 1 || !after.Visits[0].Shot || after.Visits[0].Seen.Look != "ffffffffffffffff" || after.Visits[0].Seen.Title != "Anchor Bank - log in" {
		t.Errorf("visits %+v", after.Visits)
	}
	if !after.AskedFor.Has("card") {
		t.Errorf("asked for %v", after.AskedFor)
	}
	if len(s.tasks()) != 1 {
		t.Error("the task ended before all its visits were in")
	}
	s.handIn(tasks[page], as(answered(page, 404), capture.Phone, bolwerk.FR), "<title>Not found</title>")
	if len(s.tasks()) != 0 {
		t.Error("the task is still open")
	}
	if live, _, _ := s.visit("secure-login7.example"); live != "cloaked" {
		t.Errorf("the phone was answered 404: %s", live)
	}
	// A page that hides afterwards has not become harmless.
	if err := s.db.Write(t.Context(), store.Intake, func(tx *store.Tx) error {
		var id string
		if err := tx.Row(`select id from shield_observable where value='secure-login7.example'`).Scan(&id); err != nil {
			return err
		}
		return visitAgain(tx, id, tx.Now())
	}); err != nil {
		t.Fatal(err)
	}
	task := s.give()[page]
	gone := answered(page, 200)
	gone.Hops, gone.Failed, gone.Detail = []capture.Hop{}, "dns", "no such name"
	s.handIn(task, gone, "")
	s.handIn(task, as(gone, capture.Phone, bolwerk.FR), "")
	last, err := s.Case(t.Context(), c)
	if err != nil || !says(last, "brand_form") {
		t.Errorf("%v, verdict %s", err, last.Verdict)
	}
	failed := false
	for _, e := range last.Evidence {
		failed = failed || e.Verdict == "failed" && e.Reason == "dns"
		if e.Family == "content" && e.Verdict == "clean" {
			t.Errorf("what failed counts as clean: %+v", e)
		}
	}
	if !failed {
		t.Errorf("nothing says that it failed: %+v", last.Evidence)
	}
	live, n, due := s.visit("secure-login7.example")
	if live != "offline" || n != 1 || due == 0 {
		t.Errorf("%s for %d rounds, due %d: one look that finds nothing proves nothing", live, n, due)
	}
}

func TestWhereAPageLeads(t *testing.T) {
	s := newShield(t)
	s.report(lure("Card", "https://short-link.example/a"))
	page := "https://short-link.example/a"
	task := s.give()[page]
	b := answered(page, 302)
	b.Hops = append(b.Hops, capture.Hop{URL: "https://anchorbank-pas.example/in", Via: "http_3xx", Status: 200, Header: []capture.Field{}})
	s.handIn(task, b, kitPage)
	s.handIn(task, as(b, capture.Phone, bolwerk.FR), kitPage)
	if c, err := s.Case(t.Context(), s.caseOf("anchorbank-pas.example")); err != nil || !says(c, "brand_form") {
		t.Fatalf("where it leads: %s, %v", c.Verdict, err)
	}
	c, err := s.Case(t.Context(), s.caseOf("short-link.example"))
	if err != nil {
		t.Fatal(err)
	}
	leads := 0
	for _, e := range c.Evidence {
		if e.Reason == "leads_to" {
			leads++
		}
		if e.Reason == "brand_form" {
			t.Errorf("evidence about another name: %+v", e)
		}
	}
	if leads != 1 {
		t.Errorf("%d say where it leads: %+v", leads, c.Evidence)
	}
	if c.Verdict != string(judge.Suspicious) {
		t.Errorf("what leads to a kit is %s, want suspicious", c.Verdict)
	}
	// A kit that sends on to the bank itself makes no case of the bank.
	s.report(lure("Card", "https://sends-on.example/a"))
	task = s.give()["https://sends-on.example/a"]
	b = answered("https://sends-on.example/a", 302)
	b.Hops = append(b.Hops, capture.Hop{URL: "https://www.anchorbank.example/", Via: "http_3xx", Status: 200, Header: []capture.Field{}})
	s.handIn(task, b, kitPage)
	s.handIn(task, as(b, capture.Phone, bolwerk.FR), kitPage)
	var n int64
	s.db.Read(t.Context(), func(tx *store.Tx) error {
		return tx.Row(`select count(*) from shield_observable where value like '%anchorbank.example'`).Scan(&n)
	})
	if n != 0 {
		t.Error("the bank's own site became an observable")
	}
}

func TestTasksThatNobodyAnswers(t *testing.T) {
	s := newShield(t)
	s.report(lure("Card", "https://slow.example/a"))
	for i := range lostTasks {
		if len(s.give()) != 1 {
			t.Fatalf("time %d: tasks %v", i, s.tasks())
		}
		s.clock.Add(taskFor + time.Minute)
		s.giveSome(t.Context())
		if len(s.tasks()) != 0 {
			t.Fatalf("time %d: still open", i)
		}
		s.clock.Add(time.Hour)
	}
	if _, _, due := s.visit("slow.example"); due != 0 || len(s.give()) != 0 {
		t.Error("it is tried for ever")
	}
	s.report(lure("Card", "https://mail.example/unsubscribe?u=1"))
	if len(s.give()) != 0 {
		t.Errorf("a link that takes somebody off a list: %v", s.tasks())
	}
}

func TestLiveness(t *testing.T) {
	ok := Visit{State: "read", Seen: seen.Seen{Facts: content.Facts{Status: 200}}}
	asks := Visit{State: "read", Seen: seen.Seen{Facts: content.Facts{Status: 200, Asks: []content.Ask{content.Card}}}}
	gone := Visit{State: "read", Seen: seen.Seen{Facts: content.Facts{Failed: "dns"}}}
	none := Visit{State: "read", Seen: seen.Seen{Facts: content.Facts{Status: 404}}}
	park := Visit{State: "read", Seen: seen.Seen{Facts: content.Facts{Status: 200}, Parked: true}}
	away := Visit{State: "read", Seen: seen.Seen{Facts: content.Facts{Status: 200, Host: bolwerk.MustDomain("b.example")}}}
	for _, c := range []struct {
		now, before []Visit
		want        judge.Live
	}{
		{[]Visit{asks, asks}, nil, judge.LiveOnline},
		{[]Visit{ok, ok}, nil, judge.LiveOnline},
		{[]Visit{gone, none}, nil, judge.LiveOffline},
		{[]Visit{ok, none}, nil, judge.LiveCloaked},
		{[]Visit{asks, ok}, nil, judge.LiveCloaked},
		{[]Visit{ok, away}, nil, judge.LiveCloaked},
		{[]Visit{park, park}, []Visit{asks}, judge.LiveParked},
		{[]Visit{ok, ok}, []Visit{asks}, judge.LiveBenign},
		{[]Visit{ok, ok}, []Visit{gone}, judge.LiveOnline},
	} {
		if got := liveness(c.now, c.before); got != string(c.want) {
			t.Errorf("%+v after %+v: %s, want %s", c.now, c.before, got, c.want)
		}
	}
}
