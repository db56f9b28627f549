package abuse

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/contact"
	"bolwerk/abuse/door"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/inform"
	"bolwerk/abuse/notice"
	"bolwerk/abuse/playbook"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/reading"
	"bolwerk/abuse/session"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
	"bolwerk/internal/webhook"
)

// told brings entries into the book.
func (h *house) told(all ...contact.Entry) {
	h.t.Helper()
	if err := h.book.Put(h.t.Context(), bolwerk.Socket(), "crm.csv", all); err != nil {
		h.t.Fatal(err)
	}
}

// published is what the public site is told of the notice with a code.
func (h *house) published(hash string) (n door.Notice) {
	h.t.Helper()
	var body []byte
	if err := h.db.Read(h.t.Context(), func(tx *store.Tx) error {
		return tx.Row(`select body from copy_entry where copy='public' and id=$1`, door.NoticeEntry+hash).Scan(&body)
	}); err != nil {
		h.t.Fatal(err)
	}
	if err := json.Unmarshal(body, &n); err != nil {
		h.t.Fatal(err)
	}
	return n
}

// doJobs has the jobs done that are due; the relay of notices is not there.
func (h *house) doJobs() {
	h.t.Helper()
	ctx, stop := context.WithCancel(h.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { h.jobs.Run(ctx) })
	for h.number(`select count(*) from job where state='waiting' and due<=$1 and kind<>$2`, store.Micros(h.clock.Now()), desk.NoticeJob) > 0 {
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	wg.Wait()
}

func (h *house) tell(l inform.Letter) {
	h.t.Helper()
	if err := h.db.Write(h.t.Context(), store.Decision, func(tx *store.Tx) error { return h.informing.Tell(tx, l) }); err != nil {
		h.t.Fatal(err)
	}
}

var anna = session.Identity{Subscriber: "anna", Line: "line of anna"}

var annas = contact.Entry{Subscriber: "anna", Name: "Anna Voorbeeld", Mail: "anna@home.example", Phone: "+32 470 00 00 00", Street: "Kerkstraat 1", Postcode: "1000", City: "Brussel", Country: "BE", Lang: bolwerk.FR}

// caseOfAnna is a case of a line with an open resolver.
func (h *house) caseOfAnna() (id, ref, report string) {
	h.t.Helper()
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Minute))
	report = h.hand("feed@example.net", table, head+resolver(noon.Add(-5*time.Hour), "192.0.2.17"))
	return h.text(`select id from desk_case where capability='abuse'`), h.text(`select ref from desk_case where capability='abuse'`), report
}

var codeIn = regexp.MustCompile(`[A-Z0-9]{4}-[A-Z0-9]{4}-[A-Z0-9]{4}`)

func TestASubscriberIsTold(t *testing.T) {
	h := open(t)
	h.told(annas)
	id, ref, _ := h.caseOfAnna()
	h.clock.Add(10 * time.Minute)
	l := inform.Letter{Case: id, Kind: inform.Warned, Who: anna}
	h.tell(l)
	h.tell(l) // once in a week
	h.doJobs()
	if len(h.mails.sent) != 1 {
		t.Fatalf("%d mails, want one", len(h.mails.sent))
	}
	m := h.mails.sent[0]
	if m.To.String() != "anna@home.example" || m.From.String() != "desk@telecom.example" || m.Lang != bolwerk.FR || !strings.Contains(m.Body, ref) || !strings.Contains(m.Body, "UDP 53") {
		t.Errorf("the mail: %+v", m)
	}
	if _, err := m.Bytes(); err != nil {
		t.Error(err)
	}
	if strings.Contains(m.Body, "feed@example.net") || strings.Contains(m.Body, "192.0.2") || strings.Contains(m.Body, "anna") {
		t.Errorf("the mail names somebody, or an address:\n%s", m.Body)
	}
	code, err := door.ParseCaseCode(codeIn.FindString(m.Body))
	if err != nil {
		t.Fatalf("no code in the mail: %v\n%s", err, m.Body)
	}
	all, err := h.Messages(t.Context(), agent, ref)
	if err != nil || len(all) != 1 || all[0].State != "sent" || all[0].Channel != notice.Mail || all[0].SentAt.IsZero() || all[0].Text.Body != codeIn.ReplaceAllString(m.Body, "XXXX-XXXX-XXXX") {
		t.Fatalf("messages %+v, %v", all, err)
	}
	if took, ok, err := h.tookToTell(t.Context(), id, all); err != nil || !ok || took != 10*time.Minute {
		t.Errorf("took %s, %v, %v", took, ok, err)
	}
	// What is kept of the code opens nothing, and who reached for the address is noted.
	if n := h.number(`select count(*) from abuse_code where hash=$1`, code.Hash()); n != 1 {
		t.Error("the code is not kept as its hash")
	}
	if n := h.number(`select count(*) from abuse_asked where case_id=$1 and actor='rule:abuse'`, id); n != 1 {
		t.Errorf("%d looks of the rules are noted, want 1", n)
	}
	var v CaseView
	if v, err = h.Case(t.Context(), agent.Actor(), ref); err != nil || v.History[0].Kind != "informed" || v.History[0].Code != "warned:mail" {
		t.Errorf("history %+v, %v", v.History, err)
	}
	// A week later it may be said again.
	h.clock.Add(8 * 24 * time.Hour)
	h.tell(l)
	h.doJobs()
	if len(h.mails.sent) != 2 {
		t.Errorf("%d mails after a week, want 2", len(h.mails.sent))
	}
}

// What the holder of a code does reaches the case once, whatever comes again.
func TestTheHolderOfACodeAnswers(t *testing.T) {
	h := open(t)
	h.told(annas)
	id, ref, _ := h.caseOfAnna()
	h.tell(inform.Letter{Case: id, Kind: inform.Warned, Who: anna})
	h.doJobs()
	code, err := door.ParseCaseCode(codeIn.FindString(h.mails.sent[0].Body))
	if err != nil {
		t.Fatal(err)
	}
	published := func() door.Notice { t.Helper(); return h.published(code.Hash()) }
	if n := published(); n.Case != ref || n.Class != string(reading.Amplifier) || len(n.Seen) != 1 || n.Seen[0].What != "UDP 53" || n.State != "open" || !n.Closed.IsZero() {
		t.Errorf("published %+v", n)
	}
	say := func(nth, what, step, text string) {
		t.Helper()
		s := door.Said{Code: code.Hash(), Event: garden.Event{ID: "e" + nth, What: what, Step: step, Text: text, At: h.clock.Now()}}
		for range 2 { // the intake sends again what it has no answer for
			if err := h.Receive(t.Context(), "intake-1", door.KindNotice, "x"+nth, s.Encode()); err != nil {
				t.Fatal(err)
			}
		}
	}
	say("1", "seen", "", "")
	say("2", "done", "s_find", "")
	say("3", "statement", "", "It was the old router. It is gone.")
	all, err := h.Messages(t.Context(), agent, ref)
	if err != nil || all[0].SeenAt.IsZero() {
		t.Errorf("messages %+v, %v", all, err)
	}
	if n := published(); len(n.Done) != 1 || n.Done[0] != "s_find" {
		t.Errorf("published %+v", n)
	}
	v, err := h.Case(t.Context(), agent.Actor(), ref)
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	for _, n := range v.History {
		if n.Kind == "statement" {
			said++
			if n.Text != "It was the old router. It is gone." || n.Actor != inform.Customer() {
				t.Errorf("statement %+v", n)
			}
		}
	}
	if said != 1 {
		t.Errorf("%d statements in the case, want 1", said)
	}
	if err := h.Close(t.Context(), agent, ref, Cleaned, "router replaced"); err != nil {
		t.Fatal(err)
	}
	if n := published(); n.State != "closed" || n.Outcome != "cleaned" || n.Closed.IsZero() {
		t.Errorf("published after closing %+v", n)
	}
	// A code that is over, and one that never was.
	h.clock.Add(61 * 24 * time.Hour)
	say("4", "statement", "", "late")
	s := door.Said{Code: strings.Repeat("0", 40), Event: garden.Event{ID: "e5", What: "help", Text: "x", At: h.clock.Now()}}
	if err := h.Receive(t.Context(), "intake-1", door.KindNotice, "x5", s.Encode()); err != nil {
		t.Error(err)
	}
	if n := h.number(`select count(*) from abuse_said`); n != 3 {
		t.Errorf("%d things said are kept, want 3", n)
	}
}

// poster is a system of the operator.
type poster struct {
	mu     sync.Mutex
	status int
	got    []string
	bad    int
	key    string
}

func (p *poster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, _ := io.ReadAll(r.Body)
	sig := r.Header.Get(webhook.HeaderSignature)
	seconds, _, _ := strings.Cut(strings.TrimPrefix(sig, "t="), ",")
	at, err := time.ParseDuration(seconds + "s")
	if err != nil || webhook.Sign(time.Unix(int64(at/time.Second), 0), b, p.key) != sig {
		p.bad++
	}
	p.got = append(p.got, r.URL.Path+" "+string(b))
	if p.status != 0 {
		w.WriteHeader(p.status)
	}
}

func TestEveryWayToASubscriber(t *testing.T) {
	h := open(t)
	p := &poster{key: base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))}
	srv := httptest.NewServer(p)
	t.Cleanup(srv.Close)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(p.key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.ways(func(c *inform.Config) {
		c.SMS = inform.Way{URL: srv.URL + "/sms", KeyFile: key}
		c.App = inform.Way{URL: srv.URL + "/app", KeyFile: key}
	})
	e := annas
	e.Channels = []notice.Channel{notice.SMS, notice.App, notice.Letter}
	h.told(e)
	_, ref, _ := h.caseOfAnna()
	all, err := h.Inform(t.Context(), agent, ref, inform.Quarantined, nil)
	if err != nil || len(all) != 3 {
		t.Fatalf("%d messages, %v", len(all), err)
	}
	h.doJobs()
	if len(p.got) != 2 || p.bad != 0 {
		t.Fatalf("%d wrong signatures, got %q", p.bad, p.got)
	}
	sms, app := p.got[0], p.got[1]
	if strings.HasPrefix(sms, "/app") {
		sms, app = app, sms
	}
	if !strings.Contains(sms, `"to":"+32470000000"`) || !strings.Contains(sms, "112") || !strings.Contains(app, `"subscriber":"anna"`) || !strings.Contains(app, `"case":"`+ref+`"`) {
		t.Errorf("sms %s\napp %s", sms, app)
	}
	files, err := filepath.Glob(filepath.Join(h.letters, "*.pdf"))
	if err != nil || len(files) != 1 {
		t.Fatalf("letters %q, %v", files, err)
	}
	pdf, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if all, err = h.Messages(t.Context(), agent, ref); err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.State != "sent" {
			t.Errorf("%s is %s (%s)", m.Channel, m.State, m.Why)
		}
		if m.Channel == notice.Letter {
			again, of, err := h.informing.Letter(t.Context(), agent.Actor(), m.ID)
			if err != nil || of != ref || bytes.Equal(again, pdf) || !bytes.Equal(again, paper(t, m)) {
				t.Errorf("the letter of %s, %v: want the one that was sent, with its code masked", of, err)
			}
		}
		if m.Channel == notice.SMS { // the gateway says that it arrived
			for range 2 {
				if err := h.informing.Told(t.Context(), m.ID, "delivered"); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if n := h.number(`select count(*) from abuse_message where state='delivered' and delivered_at>0`); n != 1 {
		t.Errorf("%d delivered, want 1", n)
	}
	// A gateway that refuses for ever.
	p.status = http.StatusUnprocessableEntity
	if _, err := h.Inform(t.Context(), agent, ref, inform.Reminded, []string{"sms"}); err != nil {
		t.Fatal(err)
	}
	h.doJobs()
	if n := h.number(`select count(*) from abuse_message where state='failed' and why='refused'`); n != 1 {
		t.Errorf("%d refused, want 1", n)
	}
}

// paper is a message as a letter.
func paper(t *testing.T, m inform.Message) []byte {
	t.Helper()
	w, err := notice.NewWriter("Example Telecom", "Europe/Brussels")
	if err != nil {
		t.Fatal(err)
	}
	cfg := inform.DefaultConfig().Letter
	pdf, err := notice.Paper(m.Text, "Example Telecom", w.Dated(m.Lang, m.At), cfg.Window, m.Lang)
	if err != nil {
		t.Fatal(err)
	}
	return pdf
}

// Whoever knows the code answers for the customer and ends the quarantine. So no member of
// the staff sees it; and what a message says, with the address, is for who may decide.
func TestTheCodeIsTheCustomersAlone(t *testing.T) {
	h := open(t)
	h.told(annas)
	id, ref, _ := h.caseOfAnna()
	for _, way := range []string{"mail", "sms", "letter", "app"} {
		h.tell(inform.Letter{Case: id, Kind: inform.Quarantined, Quarantine: way, Who: anna, Channels: []string{way}})
	}
	h.doJobs()
	code := codeIn.FindString(h.mails.sent[0].Body)
	viewer, reads := agent, agent
	viewer.Role = account.Viewer
	reads.By, reads.Scopes = account.ByToken, []account.Scope{account.Read}
	looks := h.number(`select count(*) from abuse_asked where case_id=$1 and actor=$2`, id, agent.Actor().String())
	for name, c := range map[string]struct {
		who  account.Person
		text bool
	}{"a viewer": {viewer, false}, "a token that reads": {reads, false}, "an analyst": {agent, true}} {
		all, err := h.Messages(t.Context(), c.who, ref)
		if err != nil || len(all) < 2 {
			t.Fatalf("%s: %d messages, %v", name, len(all), err)
		}
		for _, m := range all {
			b, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			said := string(b)
			if found := codeIn.FindString(m.Text.Body + m.Text.Code); strings.Contains(said, code) || found != "" && found != "XXXX-XXXX-XXXX" {
				t.Errorf("%s sees a code: %s", name, said)
			}
			if (m.Text.Body != "") != c.text || (len(m.Text.Address) > 0) != (c.text && m.Channel == notice.Letter) || strings.Contains(said, `"text"`) != c.text {
				t.Errorf("%s: %s", name, said)
			}
		}
	}
	letter := h.text(`select id from abuse_message where channel='letter'`)
	if _, _, err := h.informing.Letter(t.Context(), agent.Actor(), letter); err != nil {
		t.Error(err)
	}
	if n := h.number(`select count(*) from abuse_asked where case_id=$1 and actor=$2`, id, agent.Actor().String()); n != looks+4 {
		t.Errorf("%d looks are noted, want 4", n-looks)
	}
}

// An app or a call centre says that a message was seen: once, in the audit trail, and no
// other way is taken then.
func TestAMessageIsSaidToBeSeen(t *testing.T) {
	h := open(t)
	h.told(annas)
	id, ref, _ := h.caseOfAnna()
	h.tell(inform.Letter{Case: id, Kind: inform.Warned, Who: anna, Channels: []string{"mail"}})
	h.doJobs()
	all, err := h.Messages(t.Context(), agent, ref)
	if err != nil || len(all) != 1 || all[0].State != "sent" || !all[0].SeenAt.IsZero() {
		t.Fatalf("messages %+v, %v", all, err)
	}
	h.clock.Add(time.Hour)
	seen := h.clock.Now()
	for range 3 {
		if err := h.informing.Saw(t.Context(), agent.Actor(), all[0].ID); err != nil {
			t.Fatal(err)
		}
		h.clock.Add(time.Minute)
	}
	if n := h.number(`select count(*) from audit where action='abuse.message.seen'`); n != 1 {
		t.Errorf("%d times in the audit trail, want 1", n)
	}
	if err := h.informing.Told(t.Context(), all[0].ID, "failed"); err != nil { // the relay says later that it did not arrive
		t.Fatal(err)
	}
	all, err = h.Messages(t.Context(), agent, ref)
	if err != nil || len(all) != 1 || all[0].State != "failed" || !all[0].SeenAt.Equal(seen) {
		t.Errorf("messages %+v, %v", all, err)
	}
	if err := h.informing.Saw(t.Context(), agent.Actor(), "01900000-0000-7000-8000-000000000009"); !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("a message that is not there: %v", err)
	}
}

func TestNobodyKnownIsSaidOnce(t *testing.T) {
	h := open(t)
	id, ref, _ := h.caseOfAnna()
	for range 3 {
		h.tell(inform.Letter{Case: id, Kind: inform.Warned, Who: anna})
	}
	all, err := h.Messages(t.Context(), agent, ref)
	if err != nil || len(all) != 1 || all[0].State != "unreachable" || all[0].Why != "no_contact" {
		t.Errorf("messages %+v, %v", all, err)
	}
	viewer := agent
	viewer.Role = account.Viewer
	if _, err := h.Inform(t.Context(), viewer, ref, inform.Warned, nil); err == nil {
		t.Error("a viewer sent a notice")
	}
	if _, err := h.Inform(t.Context(), agent, ref, "sold", nil); err == nil {
		t.Error("a notice of no kind was sent")
	}
}

// Events about a reseller's lines are handed on, each once, and no subscriber is written to.
// What is sent is read back: by the desk's reader, and by the command.
func TestAResellerGetsEventsAsXARF(t *testing.T) {
	h := open(t)
	key, err := mail.NewKey("ed25519")
	file := filepath.Join(t.TempDir(), "dkim.pem")
	if err == nil {
		err = os.WriteFile(file, key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	sign, err := mail.NewSigner([]mail.DKIMConfig{{Domain: bolwerk.MustDomain("telecom.example"), Selector: "s", KeyFile: file}})
	if err != nil {
		t.Fatal(err)
	}
	h.told(contact.Entry{Subscriber: "anna", Flags: contact.Flags{Reseller: true}, AbuseMail: "abuse@reseller.example", Lang: bolwerk.EN})
	id, ref, _ := h.caseOfAnna()
	h.hand("feed@example.net", table, head+resolver(noon.Add(-4*time.Hour), "192.0.2.17"))
	h.tell(inform.Letter{Case: id, Kind: inform.Warned, Who: anna})
	at := noon.Add(-3 * time.Hour).UTC().Format(time.RFC3339)
	who := `{"org":"Jan","contact":"jan@net.example","domain":"net.example"}`
	h.hand("jan@net.example", "", `{"xarf_version":"4.2.0","report_id":"9ac39cd1-85f3-4c31-ae87-a0a95f3ebc83","timestamp":"`+at+`","reporter":`+who+`,"sender":`+who+
		`,"source_identifier":"192.0.2.17","source_port":40001,"category":"connection","type":"login_attack","protocol":"tcp","first_seen":"`+at+`","destination_port":22}`)
	h.doJobs()
	type event struct {
		class reading.Class
		port  uint16
		at    string
	}
	saw := func(e reading.Event) event { return event{e.Class, e.SourcePort, e.Time.UTC().Format(time.RFC3339)} }
	hour := func(ago time.Duration) string { return noon.Add(-ago * time.Hour).UTC().Format(time.RFC3339) }
	wants := map[event]bool{{reading.Amplifier, 53, hour(5)}: true, {reading.Amplifier, 53, hour(4)}: true, {reading.BruteForce, 40001, hour(3)}: true} // in whatever order
	if len(h.mails.sent) != len(wants) {
		t.Fatalf("%d mails, want one for each event", len(h.mails.sent))
	}
	for _, m := range h.mails.sent {
		if m.To.String() != "abuse@reseller.example" || strings.Contains(m.Body+string(m.Report), "example.net") || strings.Contains(m.Body+string(m.Report), "net.example") {
			t.Errorf("the mail: %+v", m)
		}
		box := mail.Outbox{Dir: t.TempDir(), Sign: sign}
		if err := box.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		all, _ := filepath.Glob(filepath.Join(box.Dir, "*.eml"))
		raw, err := os.ReadFile(all[0])
		if err != nil || !bytes.HasPrefix(raw, []byte("DKIM-Signature:")) {
			t.Errorf("%v, signed: %.40s", err, raw)
		}
		r := reading.Read("", raw, reading.Option{Received: noon})
		if r.Format != reading.XARF4 || r.Person || len(r.Events) != 1 || r.Events[0].SourceIP.String() != "192.0.2.17" || !wants[saw(r.Events[0])] {
			t.Fatalf("read as %s: %+v, %v", r.Format, r.Events, r.Refused)
		}
		want := saw(r.Events[0])
		delete(wants, want)
		var out bytes.Buffer
		var line reading.Line
		if err := reading.Command(all, true, &out); err != nil {
			t.Error(err)
		}
		if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Event == nil || line.SourceIP.String() != "192.0.2.17" || saw(*line.Event) != want {
			t.Errorf("%v: the command says %s", err, &out)
		}
	}
	if _, err := h.Inform(t.Context(), agent, ref, inform.Warned, nil); err == nil {
		t.Error("a reseller was written to as a subscriber")
	}
	if err := h.informing.Saw(t.Context(), agent.Actor(), h.text(`select min(id) from abuse_message where kind='forwarded'`)); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("a forwarded event was seen by a customer: %v", err)
	}
	if all, _ := h.Messages(t.Context(), agent, ref); len(all) != 2 || all[0].Kind != "forwarded" {
		t.Errorf("messages %+v", all)
	}
}

// The reporter learns what became of the case, and not whose line it was.
func TestAReporterLearnsTheEnd(t *testing.T) {
	h := open(t)
	_, ref, report := h.caseOfAnna()
	if s := h.report(report); s.code != string(Actioned) {
		t.Fatalf("told %s", s.code)
	}
	for _, c := range []struct {
		as   Reason
		want Code
	}{{NoActionTaken, NoAction}, {NotResolvedBy, NotResolvable}, {Cleaned, Actioned}} {
		if err := h.Close(t.Context(), agent, ref, c.as, "seen"); err != nil {
			t.Fatal(err)
		}
		day := h.clock.Now().UTC().Truncate(24 * time.Hour)
		h.tomorrow()
		if s := h.report(report); s.code != string(c.want) {
			t.Errorf("closed as %s the reporter is told %s, want %s", c.as, s.code, c.want)
		}
		for _, st := range h.statuses(ref) {
			if !st.Over || st.Closed != 1 || !st.Changed.Equal(day) {
				t.Errorf("status %+v", st)
			}
		}
		h.clock.Add(time.Second)
		if err := h.Reopen(t.Context(), agent, ref, "again"); err != nil {
			t.Fatal(err)
		}
		h.tomorrow()
		if s := h.report(report); s.code != string(Actioned) {
			t.Errorf("open again, told %s", s.code)
		}
		h.clock.Add(time.Second)
	}
}

// tomorrow has reporters see what became of cases on this day.
func (h *house) tomorrow() {
	h.t.Helper()
	h.doJobs()
	now := h.clock.Now()
	h.clock.Add(now.UTC().Truncate(24 * time.Hour).Add(24*time.Hour + outcomeAt + time.Minute).Sub(now))
	h.doJobs()
}

// statuses are what the reporters see, which names neither the line of anna nor a case.
func (h *house) statuses(ref string) (all []door.Status) {
	h.t.Helper()
	if err := h.db.Read(h.t.Context(), func(tx *store.Tx) error {
		return tx.Each(`select body from copy_entry where copy='public' and id like 'ar:%' order by id`, nil, func(scan func(...any) error) error {
			var st door.Status
			var body []byte
			if err := scan(&body); err != nil {
				return err
			}
			if strings.Contains(string(body), "anna") || strings.Contains(string(body), ref) {
				h.t.Errorf("the status names the line or the case: %s", body)
			}
			all = append(all, st)
			return json.Unmarshal(body, &all[len(all)-1])
		})
	}); err != nil {
		h.t.Fatal(err)
	}
	return all
}

// Whoever asks about two codes again and again sees no moment at which both turn: what
// becomes of a case is seen on the next day, and as a day.
func TestNoMomentTellsWhichReportsAreAboutOneLine(t *testing.T) {
	h := open(t)
	_, ref, first := h.caseOfAnna()
	same := func(when string, before []door.Status) {
		t.Helper()
		if got := h.statuses(ref); !reflect.DeepEqual(got, before) {
			t.Errorf("%s reporters see %+v at once, before %+v", when, got, before)
		}
	}
	h.hand("other@example.org", table, head+resolver(noon.Add(-4*time.Hour), "192.0.2.17"))
	for _, st := range h.statuses(ref) {
		if st.Actioned != 1 || !st.Changed.Equal(st.Changed.Truncate(24*time.Hour)) {
			t.Errorf("a moment: %+v", st)
		}
	}
	before := h.statuses(ref)
	if len(before) != 2 {
		t.Fatalf("statuses %+v", before)
	}
	h.closeCase(NoActionTaken)
	h.doJobs()
	same("closed,", before)
	if err := h.db.Write(t.Context(), store.Intake, func(tx *store.Tx) error { return h.settle(tx, first) }); err != nil { // another event of it, say
		t.Fatal(err)
	}
	same("closed and settled,", before)
	h.tomorrow()
	for _, st := range h.statuses(ref) {
		if !st.Over || st.Code != string(NoAction) {
			t.Errorf("on the next day: %+v", st)
		}
	}
	before = h.statuses(ref)
	// A third report has the case begin again.
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", h.clock.Now())
	h.hand("third@example.org", table, head+resolver(h.clock.Now().Add(-time.Minute), "192.0.2.17"))
	h.clock.Add(2 * time.Minute)
	h.settleAll()
	h.doJobs()
	if n := h.number(`select returned from abuse_case`); n != 1 {
		t.Fatalf("the case returned %d times", n)
	}
	over := 0
	for _, st := range h.statuses(ref) {
		if st.Over {
			over++
		}
	}
	if over != len(before) {
		t.Errorf("a third report turns those before it at once: %+v", h.statuses(ref))
	}
	h.tomorrow()
	for _, st := range h.statuses(ref) {
		if st.Over || !st.Changed.Equal(st.Changed.Truncate(24*time.Hour)) {
			t.Errorf("a day after it began again: %+v", st)
		}
	}
}

func TestAPhishingPageThatIsGone(t *testing.T) {
	for class, want := range map[reading.Class]Code{reading.Phishing: ContentDown, reading.Infected: Actioned} {
		o := outcomes{closed: 1, cleaned: 1}
		if class == reading.Phishing {
			o.down = 1
		}
		if got := o.code(); got != want {
			t.Errorf("%s cleaned: %s, want %s", class, got, want)
		}
	}
}

// Who types the code of a notice sees the page of the quarantine while the line is in
// one, and is let out there by the rules of the edge: once the steps are ticked.
func TestTheHolderOfACodeLeavesTheQuarantine(t *testing.T) {
	net := &network{has: map[string]enforce.Profile{}}
	h := open(t, func(c *Config, p *Parts) {
		c.Quarantine.Mode = "on"
		c.Playbooks = []playbook.Book{{Name: "open", Classes: []string{"vulnerable/*"}, When: playbook.When{Events: 1}, Threat: "a", Necessity: "b", Proportion: "c", Steps: []playbook.Step{
			{Do: playbook.Quarantine, Profile: enforce.Leaky, Days: 30}}}}
		p.Port, p.Proved = net, func(string) bool { return true }
	})
	h.told(annas)
	h.reconcile()
	h.caseOfAnna()
	if _, err := h.playSome(t.Context()); err != nil {
		t.Fatal(err)
	}
	until := func(what string, done func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: never; the line has %q, the quarantine is %q", what, net.profile("s1"), h.text(`select state from abuse_quarantine`))
			}
		}
	}
	until("in quarantine", func() bool { return net.profile("s1") == enforce.Leaky })
	h.doJobs()
	if len(h.mails.sent) != 1 {
		t.Fatalf("%d mails about the quarantine, want one", len(h.mails.sent))
	}
	code, err := door.ParseCaseCode(codeIn.FindString(h.mails.sent[0].Body))
	if err != nil {
		t.Fatal(err)
	}
	published := func() door.Notice { t.Helper(); return h.published(code.Hash()) }
	nth := 0
	say := func(what, step string) {
		t.Helper()
		nth++
		s := door.Said{Code: code.Hash(), Event: garden.Event{ID: fmt.Sprint("e", nth), What: what, Step: step, At: h.clock.Now()}}
		if err := h.Receive(t.Context(), "intake-1", door.KindNotice, fmt.Sprint("x", nth), s.Encode()); err != nil {
			t.Fatal(err)
		}
	}
	n := published()
	if !n.Held() || n.Quarantine != "" || n.SelfLeft != 2 || n.Profile != "leaky" || n.MayRelease() {
		t.Fatalf("published %+v", n)
	}
	say("release", "") // the page does not offer it yet
	if net.profile("s1") != enforce.Leaky || h.text(`select mechanism from abuse_quarantine`) != "" {
		t.Fatal("let out before the steps")
	}
	for _, id := range n.Plan("").Steps() {
		say("done", id)
	}
	if n = published(); !n.MayRelease() {
		t.Fatalf("after the steps: published %+v", n)
	}
	say("release", "")
	until("let out", func() bool { return net.profile("s1") == enforce.Normal })
	until("released", func() bool { return h.text(`select state||' '||mechanism from abuse_quarantine`) == "released self" })
	if n = published(); n.Held() || n.State != "open" {
		t.Errorf("after the release: published %+v", n)
	}
}

// inside is a desk whose playbook has put anna's line into quarantine.
func inside(t *testing.T) *house {
	t.Helper()
	h := open(t, func(c *Config, p *Parts) {
		c.Quarantine.Mode = "on"
		c.Playbooks = []playbook.Book{{Name: "open", Classes: []string{"vulnerable/*"}, When: playbook.When{Events: 1}, Threat: "a", Necessity: "b", Proportion: "c", Steps: []playbook.Step{
			{Do: playbook.Quarantine, Profile: enforce.Leaky, Days: 30}}}}
		p.Port, p.Proved = &network{has: map[string]enforce.Profile{}}, func(string) bool { return true }
	})
	h.told(annas)
	h.caseOfAnna()
	if _, err := h.playSome(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

// Whose case it is cannot be read: the line is let out all the same, and the case says that
// its subscriber was not told.
func TestALetterThatCannotBeWrittenHoldsUpNoRelease(t *testing.T) {
	h := inside(t)
	if err := h.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		_, err := tx.Exec(`update abuse_case set who_sealed=$1`, []byte("spoilt"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Quarantines().Release(t.Context(), agent, h.text(`select id from abuse_quarantine`), false, "clean"); err != nil {
		t.Fatal(err)
	}
	if got := h.text(`select state||' '||mechanism from abuse_quarantine`); got != "releasing staff" {
		t.Errorf("the quarantine is %s", got)
	}
	if n := h.number(`select count(*) from abuse_note where (kind='released' and code='staff') or code='nobody_told:released'`); n != 2 {
		t.Errorf("the case has %d notes of it, want that it was let out and that nobody was told", n)
	}
}

// A restore lets the line out: its case says so, and nobody gets a letter of it.
func TestARestoreTellsTheCaseAndWritesNobody(t *testing.T) {
	h := inside(t)
	h.doJobs()
	sent := len(h.mails.sent)
	if err := h.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		n, err := quarantine.BeginRestore(tx)
		if n != 1 {
			t.Errorf("%d quarantines are ended", n)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := h.Quarantines().Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.doJobs()
	if got := h.text(`select state||' '||mechanism from abuse_quarantine`); got != "releasing restore" {
		t.Errorf("the quarantine is %s", got)
	}
	if n := h.number(`select count(*) from abuse_note where kind='released' and code='restore'`); n != 1 || len(h.mails.sent) != sent {
		t.Errorf("the case has %d notes of it, %d mails were sent", n, len(h.mails.sent)-sent)
	}
}

// A mail that the relay refuses for ever does not wait: the next way is taken, each once,
// and where none is left the case says so.
func TestARefusedMailGoesAnotherWay(t *testing.T) {
	h := open(t)
	h.told(annas)
	_, ref, _ := h.caseOfAnna()
	states := func() string {
		t.Helper()
		all, err := h.Messages(t.Context(), agent, ref)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, m := range all {
			out = append(out, string(m.Channel)+" "+m.State+" "+m.Why+";")
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	h.mails.err = &mail.Refused{Step: "RCPT", Code: 550, Text: "5.1.1 no such user"}
	if _, err := h.Inform(t.Context(), agent, ref, inform.Warned, nil); err != nil {
		t.Fatal(err)
	}
	h.doJobs()
	// No text messages are set up: the letter is next.
	if got := states(); got != "letter sent ; mail failed refused;" {
		t.Fatalf("got %s", got)
	}
	all, err := h.Messages(t.Context(), agent, ref)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(all, func(m inform.Message) bool { return m.Channel == notice.Letter })
	if err := h.informing.Told(t.Context(), all[at].ID, "failed"); err != nil { // it came back
		t.Fatal(err)
	}
	if got := states(); got != " unreachable no_way; letter failed told; mail failed refused;" {
		t.Errorf("got %s", got)
	}
	if n := h.number(`select count(*) from abuse_note where code='nobody_told:warned'`); n != 1 {
		t.Errorf("%d notes that nobody could tell, want 1", n)
	}
}

// A way that was down does not tell of a quarantine after another told of its end.
func TestAMessageThatIsOvertakenIsNotSent(t *testing.T) {
	h := open(t)
	h.told(annas)
	id, ref, _ := h.caseOfAnna()
	tell := func(k inform.Kind, quarantine string) {
		h.tell(inform.Letter{Case: id, Quarantine: quarantine, Kind: k, Who: anna, Channels: []string{"mail"}})
		h.clock.Add(time.Second)
	}
	h.mails.err = &mail.Refused{Step: "RCPT", Code: 451, Text: "later"}
	tell(inform.Quarantined, "q1")
	tell(inform.Quarantined, "q2")
	h.doJobs()
	h.mails.err = nil
	tell(inform.Released, "q1")
	h.doJobs() // what was refused is not due yet
	h.clock.Add(time.Hour)
	h.doJobs()
	all, err := h.Messages(t.Context(), agent, ref)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range all {
		got[string(m.Kind)+" "+m.Quarantine] = m.State + " " + m.Why
	}
	want := map[string]string{"quarantined q1": "failed overtaken", "quarantined q2": "sent ", "released q1": "sent "}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// An app that takes connections and never answers: who is told by another way is told,
// on time and in order.
func TestAnAppThatHangsHoldsUpNoMail(t *testing.T) {
	h := open(t)
	hang := make(chan struct{})
	deaf := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(deaf.Close)
	t.Cleanup(func() { close(hang) })
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))), 0o600); err != nil {
		t.Fatal(err)
	}
	h.ways(func(c *inform.Config) { c.App = inform.Way{URL: deaf.URL, KeyFile: key} })
	h.told(annas)
	id, _, _ := h.caseOfAnna()
	for range 5 {
		h.tell(inform.Letter{Case: id, Quarantine: "q", Kind: inform.Warned, Who: anna, Channels: []string{"app"}})
		h.clock.Add(8 * 24 * time.Hour)
	}
	for _, k := range []inform.Kind{inform.Quarantined, inform.Released} {
		h.tell(inform.Letter{Case: id, Quarantine: "q", Kind: k, Who: anna, Channels: []string{"mail"}})
		h.clock.Add(time.Second)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { h.jobs.Run(ctx) })
	defer func() { stop(); wg.Wait() }()
	for begun := time.Now(); h.number(`select count(*) from abuse_message where channel='mail' and state='sent'`) < 2; time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > 9*time.Second {
			t.Fatal("mails wait behind an app that hangs")
		}
	}
	stop()
	wg.Wait()
	if n := h.number(`select count(*) from abuse_message where channel='app' and state='waiting'`); n != 5 {
		t.Errorf("%d messages of the app wait, want 5", n)
	}
	if m := h.mails.sent; len(m) != 2 || !strings.Contains(m[0].Body, "112") || strings.Contains(m[1].Body, "112") {
		t.Errorf("%d mails, want first that the line is in quarantine, then that it is out", len(m))
	}
}
