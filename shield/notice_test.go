package shield

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/gate"
	"bolwerk/internal/job"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
	"bolwerk/shield/door"
	"bolwerk/shield/judge"
	"bolwerk/shield/lookup"
)

// post is what left: mails, and what an API got.
type post struct {
	c      *console
	mails  []mail.Message
	fail   error // of the relay
	onSend func()

	api    *httptest.Server
	bodies []string
	keys   []string
	answer int
}

func (p *post) Send(_ context.Context, m mail.Message) error {
	if p.onSend != nil {
		p.onSend()
	}
	if p.fail != nil {
		return p.fail
	}
	if _, err := m.Bytes(); err != nil {
		return err
	}
	p.mails = append(p.mails, m)
	return nil
}

// telling gives a console whose desk tells others.
func telling(t *testing.T) *post {
	t.Helper()
	p := &post{c: newConsole(t), answer: http.StatusAccepted}
	p.api = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		p.bodies, p.keys = append(p.bodies, string(b)), append(p.keys, r.Header.Get("Idempotency-Key")+" "+r.Header.Get("Authorization"))
		w.WriteHeader(p.answer)
		io.WriteString(w, `{"ticket":"CERT-`+fmt.Sprint(len(p.bodies))+`"}`)
	}))
	t.Cleanup(p.api.Close)
	p.c.asker = p.api.Client()
	p.c.file("key", "the token\n")
	p.c.cfg.Notices = NoticeConfig{Lang: bolwerk.EN, PerHour: 100, From: mail.MustAddress("abuse@harbour.example"), Registrar: true, Owner: true, Host: true, To: []NoticeTo{
		{Name: "cert", Kind: ToAuthority, URL: p.api.URL + "/reports", KeyFile: filepath.Join(p.c.dir, "key")},
		{Name: "cert mailbox", Kind: ToAuthority, Mail: mail.MustAddress("suspicious@cert.example"), Lang: bolwerk.NL},
		{Name: "anchor", Kind: ToBrand, Brand: "Anchor Bank", Mail: mail.MustAddress("phishing@anchorbank.example"), Lang: bolwerk.FR},
		{Name: "another brand", Kind: ToBrand, Brand: "Other", Mail: mail.MustAddress("phishing@other.example")},
		{Name: "list", Kind: ToBrowsers, Mail: mail.MustAddress("reports@list.example")},
	}}
	return p
}

// run does the jobs that are due.
func (p *post) run() {
	p.c.t.Helper()
	ctx := p.c.t.Context()
	for range 50 {
		var due []job.Job
		p.c.read(func(tx *store.Tx) (err error) {
			due, err = store.List(tx, func(scan func(...any) error) (j job.Job, err error) {
				err = scan(&j.ID, &j.Kind, &j.Ref, &j.Tries)
				return j, err
			}, `select id,kind,ref,tries from job where state='waiting' and kind like 'shield.notice.%' and due<=$1 order by due`, tx.NowMicros())
			return err
		})
		if len(due) == 0 {
			return
		}
		for _, j := range due {
			h := p.c.makeNotices
			if j.Kind == noticeSendJob {
				h = p.c.sendOutside(p)
			}
			err := h(ctx, j)
			p.c.write(func(tx *store.Tx) error {
				if err != nil {
					_, e := tx.Exec(`update job set tries=tries+1, due=$1 where id=$2`, store.Micros(tx.Now().Add(time.Hour)), j.ID)
					return e
				}
				_, e := tx.Exec(`update job set state='done' where id=$1`, j.ID)
				return e
			})
		}
	}
	p.c.t.Fatal("the jobs do not end")
}

func (p *post) states() map[string]string {
	p.c.t.Helper()
	all, err := p.c.Notices(p.c.t.Context(), NoticeFilter{Limit: 100})
	if err != nil {
		p.c.t.Fatal(err)
	}
	out := map[string]string{}
	for _, n := range all {
		key := n.Who
		if n.Fix {
			key += " fix"
		}
		out[key] = string(n.Say)
	}
	return out
}

// letAll lets all first notices go.
func (p *post) letAll() {
	p.c.t.Helper()
	for range 20 {
		all, err := p.c.Notices(p.c.t.Context(), NoticeFilter{State: NoticeHeld})
		if err != nil {
			p.c.t.Fatal(err)
		}
		if len(all) == 0 {
			return
		}
		p.c.post(p.c.dora, "/notice/"+all[0].Ref+"/let", url.Values{})
	}
}

func (p *post) mailTo(to string) (out []mail.Message) {
	for _, m := range p.mails {
		if m.To.String() == to {
			out = append(out, m)
		}
	}
	return out
}

// registration keeps what a registry answered about a domain.
func (p *post) registration(name string, abuse ...string) {
	p.c.t.Helper()
	b, err := json.Marshal(known{Registration: lookup.Registration{Registrar: "Names & Co", Abuse: abuse}})
	if err != nil {
		p.c.t.Fatal(err)
	}
	p.c.put(`insert into shield_registration(name,state,due_at,tries,known,created_at,at) values($1,'known',0,1,$2,0,1) on conflict(name) do update set state='known', known=excluded.known`, name, string(b))
}

const toldName = "login.anchorbank-pay7.example"

func (p *post) confirm(name string, more ...string) {
	p.c.t.Helper()
	f := url.Values{"scope": {"host"}, "reason": {"asks for the PIN"}}
	for _, m := range more {
		f.Set(m, "1")
	}
	p.c.post(p.c.anna, "/case/"+p.c.caseOf(name)+"/confirm", f)
}

// The whole way: nobody before a decision, the first to each after a look, receipts
// kept, and a correction to whoever was told.
func TestOthersAreTold(t *testing.T) {
	p := telling(t)
	c := p.c
	c.report(lure("Your card is stopped", "https://"+toldName+"/in"))
	p.registration("anchorbank-pay7.example", "abuse@"+toldName, "abuse@names.example")
	p.run()
	if got := p.states(); len(got) != 0 {
		t.Fatalf("before a decision: %v", got)
	}
	p.confirm(toldName)
	p.run()
	want := map[string]string{"cert": "held", "cert mailbox": "held", "anchor": "held", "list": "held", "Names & Co": "held"}
	if got := p.states(); fmt.Sprint(got) != fmt.Sprint(want) || len(p.mails)+len(p.bodies) != 0 {
		t.Fatalf("after the decision: %v, %d mails, %d requests; want %v and nothing sent", got, len(p.mails), len(p.bodies), want)
	}
	wantText(t, c.get(c.anna, "/notices"), "5 notices", "waits for a first look", "Authority: cert", "Registrar: Names & Co", "abuse@names.example")
	if w := c.do(c.anna, "/notice/N-2026-000001/let", url.Values{}); w.Code != http.StatusForbidden {
		t.Errorf("an analyst lets the first go: %d", w.Code)
	}
	wantText(t, c.get(c.dora, "/notice/N-2026-000001"), "Read it", "Let it go", "Sharing: TLP:GREEN", "A person has confirmed this")
	p.letAll()
	p.run()
	p.run() // nothing twice
	want = map[string]string{"cert": "receipt", "cert mailbox": "sent", "anchor": "sent", "list": "sent", "Names & Co": "sent"}
	if got := p.states(); fmt.Sprint(got) != fmt.Sprint(want) || len(p.mails) != 4 || len(p.bodies) != 1 {
		t.Fatalf("after the look: %v, %d mails, %d requests; want %v", got, len(p.mails), len(p.bodies), want)
	}
	if !strings.HasSuffix(p.keys[0], " Bearer the token") || len(p.keys[0]) < 40 || !strings.Contains(p.bodies[0], `"url":"https://`+toldName+`/in"`) || !strings.Contains(p.bodies[0], `"decided_by":"person"`) {
		t.Errorf("the API got %q with %q", p.bodies[0], p.keys[0])
	}
	nl, fr, registrar := p.mailTo("suspicious@cert.example")[0], p.mailTo("phishing@anchorbank.example")[0], p.mailTo("abuse@names.example")[0]
	if !strings.Contains(nl.Body, "https://"+toldName+"/in") || !strings.HasPrefix(nl.Subject, "[TLP:GREEN] Phishing: ") || len(nl.Report) > 0 || nl.From.String() != "abuse@harbour.example" {
		t.Errorf("to the authority: %+v", nl)
	}
	if !strings.Contains(fr.Body, "Madame, Monsieur") || strings.Contains(fr.Body, "https://"+toldName) || !strings.Contains(fr.Body, "hxxps://login[.]anchorbank-pay7[.]example/in") {
		t.Errorf("to the brand: %s", fr.Body)
	}
	var x xarf
	if err := json.Unmarshal(registrar.Report, &x); err != nil || x.Version != "4.0.0" || x.URL != "https://"+toldName+"/in" || x.Type != "phishing" || x.Category != "content" || x.Brand != "Anchor Bank" {
		t.Errorf("XARF %s: %v", registrar.Report, err)
	}
	wantText(t, c.get(c.anna, "/case/"+c.caseOf(toldName)), "Who was told", "Authority: cert", "CERT-1", "Registrar: Names & Co")

	// An answer is a receipt and no report; a person can write one down too.
	answer := "From: Ticket <noreply@names.example>\r\nTo: abuse@harbour.example\r\nSubject: [NC-4711] We look into it\r\nMessage-ID: <t1@names.example>\r\nIn-Reply-To: <" + registrar.ID + "@harbour.example>\r\n\r\nSee https://" + toldName + "/in\r\n"
	r := door.Report{Channel: door.ByMail, ReceivedAt: c.clock.Now(), Token: bolwerk.NewToken().Reveal(), Lang: bolwerk.EN, MailFrom: "noreply@names.example", Form: door.Mail, Body: []byte(answer)}
	if err := c.Receive(t.Context(), "intake-1", door.KindReport, "answer", r.Encode()); err != nil {
		t.Fatal(err)
	}
	ids, err := c.claim(t.Context())
	if err != nil || len(ids) != 1 {
		t.Fatal(ids, err)
	}
	if err := c.readOne(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	if got := c.one(`select outcome||' '||reply from shield_report where id='answer'`); got != "notice_answer notice_answer" {
		t.Errorf("the answer is a report: %q", got)
	}
	if got := c.one(`select receipt from shield_notice where who='Names & Co'`); got != "[NC-4711] We look into it <t1@names.example>" {
		t.Errorf("receipt %q", got)
	}
	list := c.one(`select ref from shield_notice where who='list'`)
	c.post(c.anna, "/notice/"+list+"/receipt", url.Values{"receipt": {"  no. 12 "}})
	wantText(t, c.get(c.anna, "/notice/"+list), "no. 12")
	if csv := c.get(c.anna, "/notices?format=csv&kind=browsers"); !strings.Contains(csv, list+","+toldName) || !strings.Contains(csv, "no. 12") {
		t.Errorf("csv: %s", csv)
	}

	// Taken back: all who were told get a correction, without a look.
	p.mails, p.bodies = nil, nil
	c.post(c.anna, "/block/"+c.blockOf(toldName).Ref+"/withdraw", url.Values{"cause": {"false_positive"}, "reason": {"we were wrong"}})
	p.run()
	if len(p.mails) != 4 || len(p.bodies) != 1 || !strings.Contains(p.bodies[0], `"action":"withdraw"`) || !strings.Contains(p.bodies[0], `"withdraws":"N-2026-`) {
		t.Fatalf("corrections: %d mails, %q", len(p.mails), p.bodies)
	}
	if m := p.mailTo("suspicious@cert.example")[0]; !strings.Contains(m.Body, "Wij trekken bericht N-2026-") {
		t.Errorf("correction: %s", m.Body)
	}
	if m := p.mailTo("abuse@names.example")[0]; !strings.Contains(m.Body, "Your reference: [NC-4711]") {
		t.Errorf("correction: %s", m.Body)
	}
	wantText(t, c.get(c.dora, "/audit"), "shield.notice.let", "shield.notice.receipt")
}

// What names a reporter leaves with no notice, wherever a link holds it.
func TestNoNoticeNamesAReporter(t *testing.T) {
	p := telling(t)
	c := p.c
	// The reporter that the test shield makes next, in all the ways of the sweep.
	const who = "r1@home.example"
	for i, path := range []string{
		"/in?email=r1@home.example&id=qz4711qz4711qz4711", "/r1@home.example/in", "/t/cjFAaG9tZS5leGFtcGxl/in", "/u/qzt0ken4711qz0815/in", "/in#r1@home.example",
	} {
		name := fmt.Sprintf("a%d.anchorbank-pay7.example", i)
		c.handed = 0
		c.put(`delete from shield_link`)
		c.put(`update shield_report set id='old-'||id`)
		c.report("Subject: qzsubject\n" + lure("Dear Quirin Qzauber", "https://"+name+path))
		p.confirm(name)
	}
	p.run()
	p.letAll()
	p.run()
	if len(p.mails) < 10 || len(p.bodies) != 5 {
		t.Fatalf("%d mails, %d requests", len(p.mails), len(p.bodies))
	}
	check := func(where, s string) {
		t.Helper()
		for _, bad := range []string{who, "r1%40home", "cjFAaG9tZS5leGFtcGxl", "qz4711", "qzt0ken", "qzsubject", "Qzauber", "7231406", "Reporter 1"} {
			if strings.Contains(strings.ToLower(s), strings.ToLower(bad)) {
				t.Errorf("%s holds %q:\n%s", where, bad, s)
			}
		}
	}
	for _, m := range p.mails {
		raw, err := m.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		check("mail", string(raw))
		check("mail body", m.Subject+m.Body+string(m.Report))
	}
	for _, b := range p.bodies {
		check("request", b)
	}
}

func TestWhoIsNeverTold(t *testing.T) {
	p := telling(t)
	c := p.c
	c.cfg.OwnNames = []bolwerk.Domain{bolwerk.MustDomain("harbour.example")}
	c.cfg.Voices = []Voice{{ID: "tip", To: []mail.Address{mail.MustAddress("suspicious@tip.example")}}}
	p.c.cfg.Notices.To = []NoticeTo{{Name: "self", Kind: ToAuthority, Mail: mail.MustAddress("cert@desk.harbour.example")}}
	recipients := func(m matter) string {
		m.person = true
		m.place = c.guard.rules().place(m.name)
		var out []string
		all, _ := c.recipients(m)
		for _, to := range all {
			out = append(out, to.kind+" "+to.text())
		}
		return strings.Join(out, ", ")
	}
	abuse := []string{"abuse@names.example"}
	host := []string{"abuse@host.example"}
	for _, x := range []struct {
		what, want string
		m          matter
	}{
		{"a young name", "host abuse@host.example, registrar abuse@names.example", matter{name: bolwerk.MustDomain("a.bad.example"), registrarAbuse: abuse, hostAbuse: host}},
		{"a hacked site", "host abuse@host.example, owner webmaster@shop.example", matter{name: bolwerk.MustDomain("www.shop.example"), compromised: true, registrarAbuse: abuse, hostAbuse: host}},
		{"a shared platform", "", matter{name: bolwerk.MustDomain("pages.example"), compromised: true, registrarAbuse: abuse, hostAbuse: host}},
		{"a tenant", "host abuse@host.example", matter{name: bolwerk.MustDomain("x.shops.example"), registrarAbuse: abuse, hostAbuse: host}},
		{"a popular name", "", matter{name: bolwerk.MustDomain("busy.example"), registrarAbuse: abuse, hostAbuse: host}},
		{"an address of ours", "", matter{name: bolwerk.MustDomain("a.bad.example"), registrarAbuse: []string{"abuse@harbour.example"}, hostAbuse: []string{"x@www.harbour.example"}}},
		{"an address of a sub-brand", "", matter{name: bolwerk.MustDomain("a.bad.example"), hostAbuse: []string{"suspicious@tip.example"}}},
		{"the phisher's own", "", matter{name: bolwerk.MustDomain("a.bad.example"), registrarAbuse: []string{"abuse@bad.example"}, hostAbuse: []string{"x@ns.bad.example", "no address"}}},
		{"one address twice", "host abuse@host.example", matter{name: bolwerk.MustDomain("a.bad.example"), registrarAbuse: host, hostAbuse: host}},
	} {
		if got := recipients(x.m); got != x.want {
			t.Errorf("%s: got %q, want %q", x.what, got, x.want)
		}
	}
}

// An authority may be told before a person has decided, where the configuration
// says so; whose case is then rejected gets a correction.
func TestAnAuthorityIsToldBeforeTheDecision(t *testing.T) {
	p := telling(t)
	c := p.c
	c.cfg.Notices.To[0].BeforeDecision = true
	name := "in.anchorbank-pay8.example"
	c.report(lure("Your card", "https://"+name+"/in"))
	c.saidMalicious(name)
	p.run()
	p.letAll()
	p.run()
	if got := p.states(); fmt.Sprint(got) != "map[cert:receipt]" || !strings.Contains(p.bodies[0], `"decided_by":"rules"`) {
		t.Fatalf("got %v, %v", got, p.bodies)
	}
	c.post(c.anna, "/case/"+c.caseOf(name)+"/reject", url.Values{"reason": {"it is theirs"}})
	p.run()
	if len(p.bodies) != 2 || !strings.Contains(p.bodies[1], `"why":"rejected"`) {
		t.Errorf("correction: %v", p.bodies)
	}
}

// saidMalicious has the rules find a reported name malicious.
func (s *testShield) saidMalicious(name string) {
	s.t.Helper()
	id := s.one(`select id from shield_observable where value=$1`, name)
	s.write(func(tx *store.Tx) error {
		return s.judgeWith(tx, id, []judge.Evidence{{Family: judge.FamilyList, Source: "authority", Tier: 1, Verdict: judge.Malicious, Reason: "listed"}, {Family: judge.FamilyContent, Source: "page", Tier: 1, Verdict: judge.Malicious, Reason: "asks"}})
	})
}

func TestANoticeThatFails(t *testing.T) {
	start := func(t *testing.T) *post {
		p := telling(t)
		p.c.cfg.Notices = NoticeConfig{Lang: bolwerk.EN, PerHour: 100, To: p.c.cfg.Notices.To[:2]}
		p.c.report(lure("Your card is stopped", "https://"+toldName+"/in"))
		p.confirm(toldName)
		p.run()
		return p
	}
	t.Run("is tried again and given up", func(t *testing.T) {
		p := start(t)
		p.fail, p.answer = fmt.Errorf("away: %w", mail.ErrTemporary), 503
		p.letAll()
		p.run()
		wantText(t, p.c.get(p.c.anna, "/notices"), "waits to be sent", "cert answered 503")
		for range 2 * noticeTries {
			p.c.clock.Add(61 * time.Minute)
			p.run()
		}
		if got := p.states(); fmt.Sprint(got) != "map[cert:given_up cert mailbox:given_up]" || len(p.bodies) != noticeTries {
			t.Errorf("got %v after %d requests", got, len(p.bodies))
		}
		for _, k := range p.keys[1:] {
			if k != p.keys[0] {
				t.Error("another key at another try")
			}
		}
		p.c.post(p.c.session("anna"), "/block/"+p.c.blockOf(toldName).Ref+"/withdraw", url.Values{"cause": {"error"}, "reason": {"x"}})
		if got := p.states(); len(got) != 2 {
			t.Errorf("who was not told gets a correction: %v", got)
		}
	})
	t.Run("is refused at once", func(t *testing.T) {
		p := start(t)
		p.fail, p.answer = fmt.Errorf("550: %w", mail.ErrPermanent), 422
		p.letAll()
		p.run()
		if got := p.states(); fmt.Sprint(got) != "map[cert:refused cert mailbox:refused]" || len(p.bodies) != 1 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("goes to no address of our network", func(t *testing.T) {
		p := start(t)
		p.c.asker = gate.New(p.c.cfg.FetchAllow).Client(30 * time.Second) // as New makes it
		p.letAll()
		p.run()
		if got := p.states()["cert"]; got != "refused" || len(p.bodies) != 0 {
			t.Errorf("got %v, %v", got, p.bodies)
		}
	})
	t.Run("is dropped when it no longer holds", func(t *testing.T) {
		p := start(t)
		p.c.post(p.c.anna, "/block/"+p.c.blockOf(toldName).Ref+"/withdraw", url.Values{"cause": {"error"}, "reason": {"x"}})
		p.run()
		if got := p.states(); fmt.Sprint(got) != "map[cert:dropped cert mailbox:dropped]" {
			t.Errorf("got %v", got)
		}
		// and says why in the reader's language
		wantText(t, p.c.get(p.c.anna, "/notice/"+p.c.one(`select ref from shield_notice where state='dropped' limit 1`)), "taken back: the block was withdrawn")
		if w := p.c.do(p.c.anna, "/notice/"+p.c.one(`select ref from shield_notice where state='dropped' limit 1`), nil, "Accept-Language", "nl"); !strings.Contains(w.Body.String(), "vervallen: de blokkering is ingetrokken") {
			t.Errorf("in Dutch: %s", text(w.Body.String()))
		}
	})
	t.Run("that left while it was taken back is corrected", func(t *testing.T) {
		p := start(t)
		once := true
		p.onSend = func() {
			if once {
				once = false
				p.c.post(p.c.anna, "/block/"+p.c.blockOf(toldName).Ref+"/withdraw", url.Values{"cause": {"error"}, "reason": {"x"}})
			}
		}
		p.letAll()
		p.run()
		if got := p.states(); got["cert mailbox"] != "sent" || got["cert mailbox fix"] != "sent" || len(p.mails) != 2 {
			t.Errorf("got %v, %d mails", got, len(p.mails))
		}
	})
	t.Run("waits for its quota", func(t *testing.T) {
		p := start(t)
		p.c.cfg.Notices.PerHour = 1
		p.letAll()
		p.run()
		if n := len(p.mails) + len(p.bodies); n != 1 {
			t.Fatalf("%d left, want 1", n)
		}
		p.c.clock.Add(61 * time.Minute)
		p.run()
		if n := len(p.mails) + len(p.bodies); n != 2 {
			t.Errorf("%d left an hour later, want 2", n)
		}
	})
	t.Run("leaves in no dry run", func(t *testing.T) {
		p := start(t)
		p.c.cfg.Notices.DryRun = true
		p.letAll()
		p.run()
		if got := p.states(); fmt.Sprint(got) != "map[cert:dry cert mailbox:dry]" || len(p.mails)+len(p.bodies) != 0 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("of which a person says no", func(t *testing.T) {
		p := start(t)
		p.c.post(p.c.anna, "/notice/N-2026-000001/drop", url.Values{})
		p.letAll()
		p.run()
		if n := len(p.mails) + len(p.bodies); n != 1 {
			t.Errorf("%d left, want the other one", n)
		}
		if w := p.c.do(p.c.victor, "/notice/N-2026-000002/drop", url.Values{}); w.Code != http.StatusForbidden {
			t.Errorf("a viewer: %d", w.Code)
		}
	})
}

// Each try ends the program: the runner gives the job up, and the notice says so.
func TestANoticeWhoseJobWasGivenUp(t *testing.T) {
	p := telling(t)
	p.c.report(lure("Your card is stopped", "https://"+toldName+"/in"))
	p.confirm(toldName)
	p.run()
	p.letAll()
	p.c.put(`update job set state='failed' where kind='shield.notice.send'`)
	if err := p.c.giveUpNotices(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.states()["cert"]; got != "given_up" {
		t.Errorf("got %q", got)
	}
}

func TestWordsOfNotices(t *testing.T) {
	texts, err := Texts()
	if err != nil {
		t.Fatal(err)
	}
	places := map[string]int{"open.hacked": 1, "pass": 1, "wrong": 2, "cleaned": 2}
	for _, kind := range noticeKinds() {
		places["open."+kind], places["ask."+kind] = 1, 0
	}
	for _, class := range classes {
		places["what."+class] = 0
	}
	for _, lang := range bolwerk.Langs() {
		for key, n := range places {
			if got := texts.T(lang, "shield.notify."+key); !texts.Has("shield.notify."+key) || strings.Count(got, "{") != n {
				t.Errorf("%s: %s has other places than are filled: %q", lang, key, got)
			}
		}
	}
}

func TestNoticeConfigIsChecked(t *testing.T) {
	ok := NoticeTo{Name: "cert", Kind: ToAuthority, Mail: mail.MustAddress("a@cert.example")}
	if err := (NoticeConfig{Lang: bolwerk.NL, PerHour: 1, To: []NoticeTo{ok}}).Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(c *NoticeConfig){
		"no language":        func(c *NoticeConfig) { c.Lang = "" },
		"no quota":           func(c *NoticeConfig) { c.PerHour = 0 },
		"twice":              func(c *NoticeConfig) { c.To = append(c.To, ok) },
		"the name of a kind": func(c *NoticeConfig) { c.To[0].Name = "host" },
		"another kind":       func(c *NoticeConfig) { c.To[0].Kind = "host" },
		"no address":         func(c *NoticeConfig) { c.To[0].Mail = mail.Address{} },
		"two addresses":      func(c *NoticeConfig) { c.To[0].URL = "https://a.example" },
		"no brand":           func(c *NoticeConfig) { c.To[0].Kind = ToBrand },
		"plain http":         func(c *NoticeConfig) { c.To[0].Mail, c.To[0].URL = mail.Address{}, "http://a.example" },
		"a format of mail":   func(c *NoticeConfig) { c.To[0].Format = "json" },
		"another format": func(c *NoticeConfig) {
			c.To[0].Mail, c.To[0].URL, c.To[0].Format = mail.Address{}, "https://a.example", "x"
		},
		"a list before a decision": func(c *NoticeConfig) { c.To[0].Kind, c.To[0].BeforeDecision = ToBrowsers, true },
	} {
		c := NoticeConfig{Lang: bolwerk.NL, PerHour: 1, To: []NoticeTo{ok}}
		change(&c)
		if err := c.Validate(); !errors.Is(err, bolwerk.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzTellable(f *testing.F) {
	f.Add("https://a.bad.example/in/r1@home.example/x?y=z#w", "a.bad.example")
	f.Add("http://a.bad.example/0123456789ab", "a.bad.example")
	f.Fuzz(func(t *testing.T, link, name string) {
		d, err := bolwerk.ParseDomain(name)
		if err != nil {
			return
		}
		page, _ := tellable(link, d)
		if page == "" {
			return
		}
		u, err := url.Parse(page)
		if err != nil || !strings.EqualFold(u.Hostname(), d.String()) || u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.Contains(u.Path, "@") {
			t.Errorf("%q of %q: %v", page, link, err)
		}
	})
}

func FuzzReceiptIn(f *testing.F) {
	f.Add([]byte(`{"ticket":"CERT-1"}`))
	f.Add([]byte(`{"uuid":12,"id":"\u202e\n"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := receiptIn(b, 200); got == "" || len(got) > maxReceipt || !plain(got, maxReceipt, false) {
			t.Errorf("%q", got)
		}
	})
}
