package abuse

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/contact"
	"bolwerk/abuse/door"
	"bolwerk/abuse/inform"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/blob"
	"bolwerk/internal/clock"
	"bolwerk/internal/factlog"
	"bolwerk/internal/job"
	"bolwerk/internal/mail"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
	"bolwerk/internal/vault"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// here reads in this process, and dies when it is told to.
type here struct {
	dies  int
	pages int
}

func (h *here) Look(_ context.Context, task string, raw []byte, ask any) (json.RawMessage, error) {
	if h.dies > 0 {
		h.dies--
		return nil, fmt.Errorf("%w: told to", ErrDied)
	}
	h.pages++
	q, err := json.Marshal(ask)
	if task == BounceTask {
		return LookBounce(raw, q), nil
	}
	if err != nil || task != ReadTask {
		return nil, fmt.Errorf("task %s: %v", task, err)
	}
	return Look(raw, q), nil
}

type alone struct{}

func (alone) While(ctx context.Context, _ string, work func(context.Context) error) error {
	return work(ctx)
}

type house struct {
	*Desk
	t      *testing.T
	clock  *clock.Fake
	reader *here
	who    *who.Who
	n      int

	book      *contact.Book
	informing *inform.Desk
	mails     *outgoing
	letters   string
	ways      func(func(*inform.Config))
	jobs      *job.Runner
}

// outgoing is the relay: it keeps what was sent.
type outgoing struct {
	mu   sync.Mutex // jobs of several ways
	sent []mail.Message
	err  error
}

func (o *outgoing) Send(_ context.Context, m mail.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.sent = append(o.sent, m)
	}
	return o.err
}

var agent = account.Person{ID: "01900000-0000-7000-8000-000000000001", Login: "mila", Role: account.Analyst, State: account.Active, By: account.BySession}

func schemas() []store.Schema {
	return []store.Schema{audit.Schema(), factlog.Schema(), blob.Schema(), job.Schema(), publish.Schema(), account.Schema(), desk.Schema(), who.Schema(), contact.Schema(), inform.Schema(), quarantine.Schema(), Schema()}
}

func open(t *testing.T, change ...func(*Config, *Parts)) *house {
	t.Helper()
	c := clock.NewFake(noon)
	db := storetest.Open(t, c, schemas()...)
	v, err := vault.Open(t.TempDir(), c)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := vault.Open(t.TempDir(), c)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	h := &house{t: t, clock: c, reader: &here{}, who: who.New(who.DefaultConfig(), db, keys, c, log, nil)}
	cfg := DefaultConfig()
	cfg.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	own, err := vault.Open(t.TempDir(), c)
	if err != nil {
		t.Fatal(err)
	}
	pub := publish.New(db, "Example")
	h.book = contact.New(contact.DefaultConfig(), db, own, c, nil)
	parts := Parts{DB: db, Clock: c, Log: log, Facts: factlog.New(db, log), Vault: v, Blobs: blob.New(v), Sessions: keys, Who: h.who, Contacts: h.book, Publish: pub, Holder: alone{}, Reader: h.reader}
	for _, f := range change {
		f(&cfg, &parts)
	}
	h.who = parts.Who
	h.Desk = New(cfg, parts)
	h.mails, h.letters = &outgoing{}, filepath.Join(t.TempDir(), "letters")
	h.ways = func(set func(*inform.Config)) {
		told := inform.DefaultConfig()
		told.From = mail.MustAddress("desk@telecom.example")
		told.Letter.Folder = h.letters
		set(&told)
		h.informing, err = inform.New(told, inform.Parts{DB: db, Clock: c, Log: log, Facts: parts.Facts, Keys: keys.Kept(), Book: h.book, Who: h.who, Publish: pub, Mail: h.mails, Cases: h.Desk, Gardens: h.Desk.Quarantines(), Operator: "Example Telecom", Zone: "Europe/Brussels", Country: "BE", Lang: bolwerk.NL})
		if err != nil {
			t.Fatal(err)
		}
		h.Informing(h.informing)
		h.jobs = job.New(db, c, log)
		h.Handle(h.jobs)
		h.informing.Handle(h.jobs)
	}
	h.ways(func(*inform.Config) {})
	return h
}

func (h *house) session(kind session.Kind, who, id, net string, at time.Time) {
	h.t.Helper()
	r := session.Record{Kind: kind, Source: session.Radius, NAS: "bng1", Session: id, Identity: session.Identity{Subscriber: who, Line: "line of " + who}, Prefixes: []netip.Prefix{netip.MustParsePrefix(net)}, At: at, Lasted: -1}
	if kind == session.Start {
		r.Lasted = 0
	}
	if err := h.who.Take(h.t.Context(), []session.Record{r}); err != nil {
		h.t.Fatal(err)
	}
}

// hand gives the desk a report and has it read and looked at.
func (h *house) hand(from, name, body string) string {
	h.t.Helper()
	r := door.Report{Channel: door.ByMail, From: from, Name: name}
	if name != "" { // only a file has one
		r.Feed, r.Channel = h.cfg.feedOf(r), door.ByFile
	}
	return h.take(r, body)
}

// take gives the desk a report that came by some way, and has it read and looked at.
func (h *house) take(r door.Report, body string) string {
	h.t.Helper()
	h.n++
	id := fmt.Sprintf("01900000-0000-7000-8000-%012d", h.n)
	r.ReceivedAt, r.Token, r.Form, r.Body = h.clock.Now(), bolwerk.NewToken().Reveal(), door.Any, []byte(body)
	if err := h.Receive(h.t.Context(), "intake-1", door.KindReport, id, r.Encode()); err != nil {
		h.t.Fatal(err)
	}
	h.settleAll()
	return id
}

func (h *house) settleAll() {
	h.t.Helper()
	for {
		id, err := h.claim(h.t.Context())
		if err != nil {
			h.t.Fatal(err)
		}
		if id == "" {
			break
		}
		if err := h.readOne(h.t.Context(), id); err != nil {
			h.t.Fatal(err)
		}
	}
	for {
		n, err := h.resolveSome(h.t.Context())
		if err != nil {
			h.t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

func (h *house) report(id string) (s standing) {
	h.t.Helper()
	if err := h.db.Read(h.t.Context(), func(tx *store.Tx) (err error) { s, err = standingOf(tx, id); return err }); err != nil {
		h.t.Fatal(err)
	}
	return s
}

func (h *house) number(q string, args ...any) (n int64) {
	h.t.Helper()
	if err := h.db.Read(h.t.Context(), func(tx *store.Tx) error { return tx.Row(q, args...).Scan(&n) }); err != nil {
		h.t.Fatal(err)
	}
	return n
}

func (h *house) text(q string, args ...any) (s string) {
	h.t.Helper()
	if err := h.db.Read(h.t.Context(), func(tx *store.Tx) error { return tx.Row(q, args...).Scan(&s) }); err != nil {
		h.t.Fatal(err)
	}
	return s
}

const head = "timestamp,severity,ip,protocol,port,hostname,tag,asn,geo,region,city,naics,sector,dns_version,min_amplification\n"

func resolver(at time.Time, addr string) string {
	return fmt.Sprintf("%q,medium,%s,udp,53,,openresolver,64496,BE,,,0,,,2.1\n", at.UTC().Format(time.DateTime), addr)
}

const table = "2026-11-26-scan_dns-example-asn.csv"

func xarf(at time.Time, addr string, port, nth int) string {
	return fmt.Sprintf(`{"xarf_version":"4.0.0","report_id":"7d3c1a52-6c1e-4b7e-9f2a-%012d","timestamp":%q,"reporter":{"org":"Hosting","contact":"abuse@hosting.example","domain":"hosting.example"},"sender":{"org":"Hosting","contact":"abuse@hosting.example","domain":"hosting.example"},"source_identifier":%q,"source_port":%d,"category":"connection","type":"login_attack","protocol":"tcp","first_seen":%q}`+"\n",
		nth, at.UTC().Format(time.RFC3339), addr, port, at.UTC().Format(time.RFC3339))
}

func TestAFeedBecomesCases(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Minute))
	h.session(session.Start, "bert", "s2", "192.0.2.18/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "bert", "s2", "192.0.2.18/32", noon.Add(-time.Minute))
	at := noon.Add(-5 * time.Hour)
	id := h.hand("feed@example.net", table, head+resolver(at, "192.0.2.17")+resolver(at.Add(time.Hour), "192.0.2.17")+resolver(at, "192.0.2.18")+resolver(at, "198.51.100.9")+resolver(at, "192.0.2.99"))
	s := h.report(id)
	if s.total != 5 || s.joined != 3 || s.notOurs != 1 || s.later != 1 || s.fresh != 0 {
		t.Errorf("the report stands at %+v", s)
	}
	if s.code != string(Processing) { // one still waits for accounting
		t.Errorf("the reporter is told %s", s.code)
	}
	if n := h.number(`select count(*) from desk_case where capability='abuse' and state='waiting'`); n != 2 {
		t.Errorf("%d cases, want one for each subscriber", n)
	}
	if n := h.number(`select max(events) from abuse_case`); n != 2 {
		t.Errorf("%d events in the larger case, want 2", n)
	}
	// A case pins the session that it rests on, once.
	if n := h.number(`select count(*) from abuse_pinned`); n != 2 {
		t.Errorf("%d answers pinned, want 2", n)
	}
	// The same table again changes nothing but a count.
	again := h.hand("feed@example.net", table, head+resolver(at, "192.0.2.17"))
	if s := h.report(again); s.repeated != 1 || s.joined != 0 || s.state != "done" || s.code != string(NoAction) {
		t.Errorf("the report told again stands at %+v", s)
	}
	if n := h.number(`select sum(events) from abuse_case`); n != 3 {
		t.Errorf("%d events in cases after a report came again, want 3", n)
	}
	// Another reporter's word is another event.
	h.hand("other@example.org", table, head+resolver(at, "192.0.2.17"))
	if n := h.number(`select max(reporters) from abuse_case`); n != 2 {
		t.Errorf("%d reporters, want 2", n)
	}
}

func TestAccountingThatComesLateIsAskedAgain(t *testing.T) {
	h := open(t)
	at := noon.Add(-2 * time.Hour)
	id := h.hand("feed@example.net", table, head+resolver(at, "192.0.2.30"))
	if s := h.report(id); s.later != 1 {
		t.Fatalf("the report stands at %+v", s)
	}
	h.session(session.Start, "carl", "s3", "192.0.2.30/32", noon.Add(-9*time.Hour))
	h.session(session.Interim, "carl", "s3", "192.0.2.30/32", noon)
	h.settleAll()
	if s := h.report(id); s.later != 1 {
		t.Errorf("asked again before its time: %+v", s)
	}
	h.clock.Add(2 * time.Minute)
	h.settleAll()
	if s := h.report(id); s.joined != 1 || s.later != 0 || s.code != string(Actioned) {
		t.Errorf("after accounting came the report stands at %+v", s)
	}
}

func TestWhatIsNeverKnownEndsWithTheMap(t *testing.T) {
	h := open(t)
	id := h.hand("feed@example.net", table, head+resolver(noon.Add(-time.Hour), "192.0.2.31"))
	for range 60 {
		h.clock.Add(12 * time.Hour)
		h.settleAll()
	}
	if s := h.report(id); s.unknown != 1 || s.later != 0 || s.code != string(NotResolvable) || s.state != "done" {
		t.Errorf("the report stands at %+v", s)
	}
	if n := h.number(`select count(*) from abuse_event where due_at>0`); n != 0 {
		t.Errorf("%d events are asked about for ever", n)
	}
}

func TestTwoCandidatesWaitForAPerson(t *testing.T) {
	h := open(t)
	change := noon.Add(-3 * time.Hour)
	h.session(session.Start, "dora", "s4", "192.0.2.40/32", noon.Add(-20*time.Hour))
	h.session(session.Stop, "dora", "s4", "192.0.2.40/32", change)
	h.session(session.Start, "emil", "s5", "192.0.2.40/32", change.Add(5*time.Second))
	h.session(session.Interim, "emil", "s5", "192.0.2.40/32", noon)
	id := h.hand("", "", xarf(change, "192.0.2.40", 50000, 1))
	if s := h.report(id); s.person != 1 || s.state != "person" {
		t.Fatalf("the report stands at %+v", s)
	}
	event := h.text(`select id from abuse_event`)
	if err := h.Take(t.Context(), agent, event, keyOf(session.Identity{Subscriber: "nobody"}), "a guess"); err == nil {
		t.Error("a candidate who is none was taken")
	}
	if err := h.Take(t.Context(), agent, event, keyOf(session.Identity{Subscriber: "emil"}), "the log of the NAS says 09:00:07"); err != nil {
		t.Fatal(err)
	}
	if s := h.report(id); s.joined != 1 || s.person != 0 || s.code != string(Actioned) {
		t.Errorf("the report stands at %+v", s)
	}
	if err := h.Take(t.Context(), agent, event, keyOf(session.Identity{Subscriber: "dora"}), "the other one"); err == nil {
		t.Error("an event was taken twice")
	}
}

// letterAbout is a mail in no format.
func letterAbout(addr string) string {
	return strings.ReplaceAll("From: joke@buren.example\nSubject: mijn NAS\nDate: Thu, 26 Nov 2026 11:00:00 +0000\nMessage-ID: <1@buren.example>\n\n2026-11-26T09:00:00Z sshd[1]: Failed password for admin from "+addr+" port 50112 ssh2\n", "\n", "\r\n")
}

func TestALetterWaitsForAPerson(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon)
	id := h.hand("joke@buren.example", "", letterAbout("192.0.2.17"))
	s := h.report(id)
	if s.person == 0 || s.joined != 0 || s.state != "person" {
		t.Fatalf("the letter stands at %+v", s)
	}
	if err := h.PutAside(t.Context(), agent, id, "", NoAction, "one failed log-in"); err != nil {
		t.Fatal(err)
	}
	if s := h.report(id); s.state != "done" || s.code != string(NoAction) {
		t.Errorf("put aside the letter stands at %+v", s)
	}
}

// As many events as one transaction takes are put aside, and the trail says so.
func TestPutAside_as_many_as_one_transaction_takes(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon)
	var b strings.Builder
	b.WriteString("From: joke@buren.example\r\nSubject: mijn NAS\r\nDate: Thu, 26 Nov 2026 11:00:00 +0000\r\nMessage-ID: <2@buren.example>\r\n\r\n")
	for i := range writeSome {
		fmt.Fprintf(&b, "2026-11-26T09:00:%02dZ sshd[1]: Failed password for admin from 192.0.2.%d port 50112 ssh2\r\n", i, 17+i)
	}
	id := h.hand("joke@buren.example", "", b.String())
	if s := h.report(id); s.person != writeSome {
		t.Fatalf("the letter stands at %+v", s)
	}
	if err := h.PutAside(t.Context(), agent, id, "", NoAction, "failed log-ins"); err != nil {
		t.Fatal(err)
	}
	if s := h.report(id); s.state != "done" || s.person != 0 {
		t.Errorf("put aside the letter stands at %+v", s)
	}
	if n := h.number(`select count(*) from audit where action='abuse.report.aside'`); n != 1 {
		t.Errorf("%d entries in the trail, want 1", n)
	}
	if err := h.PutAside(t.Context(), agent, id, "", NoAction, "again"); err == nil {
		t.Error("put aside twice")
	}
}

func TestAReportThatKillsThreeReaders(t *testing.T) {
	h := open(t)
	h.reader.dies = 3
	id := h.hand("feed@example.net", table, head+resolver(noon.Add(-time.Hour), "192.0.2.17"))
	if s := h.report(id); s.state != "unreadable" || s.code != string(NeedMore) {
		t.Errorf("the report stands at %+v", s)
	}
	h.reader.dies = 2
	id = h.hand("feed@example.net", table, head+resolver(noon.Add(-time.Hour), "192.0.2.18"))
	if s := h.report(id); s.state == "unreadable" || s.total != 1 {
		t.Errorf("after two deaths the report stands at %+v", s)
	}
}

func TestAReportOfManyEventsIsReadInPages(t *testing.T) {
	h := open(t)
	var b strings.Builder
	b.WriteString(head)
	for i := range pageEvents + 30 {
		b.WriteString(resolver(noon.Add(-time.Duration(i)*time.Second), fmt.Sprintf("198.51.%d.%d", i/250%250, i%250)))
	}
	id := h.hand("feed@example.net", table, b.String())
	if s := h.report(id); s.total != pageEvents+30 || s.notOurs != pageEvents+30 {
		t.Errorf("the report stands at %+v", s)
	}
	if h.reader.pages != 2 {
		t.Errorf("read in %d pages, want 2", h.reader.pages)
	}
}

// What was written before a kill is not written again after it.
func TestReadingGoesOnWhereItWas(t *testing.T) {
	h := open(t)
	body := head
	for i := range writeSome + 20 {
		body += resolver(noon.Add(-time.Duration(i)*time.Minute), "192.0.2.17")
	}
	r := door.Report{Channel: door.ByFile, ReceivedAt: noon, Token: bolwerk.NewToken().Reveal(), From: "feed@example.net", Name: table, Form: door.Any, Body: []byte(body)}
	const id = "01900000-0000-7000-8000-00000000aaaa"
	if err := h.Receive(t.Context(), "intake-1", door.KindReport, id, r.Encode()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.claim(t.Context()); err != nil {
		t.Fatal(err)
	}
	q, _ := json.Marshal(question{Name: table, Form: door.Any, Received: noon})
	var p readPage
	if err := json.Unmarshal(Look([]byte(body), q), &p); err != nil {
		t.Fatal(err)
	}
	p.Events = p.Events[:writeSome] // the desk is killed here
	if err := h.keep(t.Context(), id, r, 0, p); err != nil {
		t.Fatal(err)
	}
	if err := h.unclaim(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.clock.Add(claimTime + time.Second) // on PostgreSQL the claim has to run out
	h.settleAll()
	if s := h.report(id); s.total != writeSome+20 || s.repeated != 0 {
		t.Errorf("the report stands at %+v", s)
	}
	if n := h.number(`select count(*) from abuse_event`); n != writeSome+20 {
		t.Errorf("%d events, want %d", n, writeSome+20)
	}
}

func TestACaseEndsAndBeginsAgain(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon)
	h.hand("", "", xarf(noon.Add(-time.Hour), "192.0.2.17", 50000, 1))
	ref := h.text(`select ref from desk_case where capability='abuse'`)
	if err := h.Close(t.Context(), agent, ref, "bored", "x"); err == nil {
		t.Error("closed without a known reason")
	}
	viewer := agent
	viewer.Role = account.Viewer
	if err := h.Close(t.Context(), viewer, ref, Cleaned, "router reset"); err == nil {
		t.Error("a viewer closed a case")
	}
	if err := h.Close(t.Context(), agent, ref, Cleaned, "router reset, the customer says"); err != nil {
		t.Fatal(err)
	}
	// What happened before the end changes nothing.
	h.hand("", "", xarf(noon.Add(-2*time.Hour), "192.0.2.17", 50001, 2))
	if s := h.text(`select state from desk_case where ref=$1`, ref); s != "closed" {
		t.Errorf("an old event opened the case again: %s", s)
	}
	// What happens after it does.
	h.clock.Add(24 * time.Hour)
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", h.clock.Now())
	h.hand("", "", xarf(h.clock.Now().Add(-time.Hour), "192.0.2.17", 50002, 3))
	if s := h.text(`select state from desk_case where ref=$1`, ref); s != "waiting" {
		t.Errorf("the case is %s after the same happened again", s)
	}
	if n := h.number(`select returned from abuse_case`); n != 1 {
		t.Errorf("returned %d times", n)
	}
	// Long after, it is a new case.
	if err := h.Close(t.Context(), agent, ref, Cleaned, "again"); err != nil {
		t.Fatal(err)
	}
	h.clock.Add(40 * 24 * time.Hour)
	h.session(session.Start, "anna", "s9", "192.0.2.17/32", h.clock.Now().Add(-2*time.Hour))
	h.session(session.Interim, "anna", "s9", "192.0.2.17/32", h.clock.Now())
	h.hand("", "", xarf(h.clock.Now().Add(-time.Hour), "192.0.2.17", 50003, 4))
	if n := h.number(`select count(*) from desk_case where capability='abuse'`); n != 2 {
		t.Errorf("%d cases, want a new one", n)
	}
}

func TestAnExemptionLeavesALineAlone(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon)
	h.hand("", "", xarf(noon.Add(-time.Hour), "192.0.2.17", 50000, 1))
	ref := h.text(`select ref from desk_case where capability='abuse'`)
	if err := h.Except(t.Context(), agent, ref, false, 30, "penetration tester, contract seen"); err != nil {
		t.Fatal(err)
	}
	id := h.hand("", "", xarf(noon.Add(-time.Minute), "192.0.2.17", 50001, 2))
	if s := h.report(id); s.exempt != 1 || s.code != string(NoAction) {
		t.Errorf("the report stands at %+v", s)
	}
	// Another class is not exempted.
	h.hand("feed@example.net", table, head+resolver(noon.Add(-time.Hour), "192.0.2.17"))
	if n := h.number(`select count(*) from desk_case where capability='abuse' and state='waiting'`); n != 1 {
		t.Errorf("%d cases are open, want that of the other class", n)
	}
	h.clock.Add(31 * 24 * time.Hour)
	h.session(session.Start, "anna", "s8", "192.0.2.17/32", h.clock.Now().Add(-2*time.Hour))
	h.session(session.Interim, "anna", "s8", "192.0.2.17/32", h.clock.Now())
	id = h.hand("", "", xarf(h.clock.Now().Add(-time.Hour), "192.0.2.17", 50002, 3))
	if s := h.report(id); s.joined != 1 {
		t.Errorf("after the exemption the report stands at %+v", s)
	}
}

func TestWhatIsOverIsForgotten(t *testing.T) {
	h := open(t)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon)
	h.hand("feed@example.net", table, head+resolver(noon.Add(-time.Hour), "192.0.2.17"))
	ref := h.text(`select ref from desk_case where capability='abuse'`)
	if err := h.Close(t.Context(), agent, ref, Cleaned, "closed"); err != nil {
		t.Fatal(err)
	}
	h.clock.Add(32 * 24 * time.Hour)
	if err := h.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := h.number(`select count(*) from abuse_event where detail_sealed is not null`); n != 0 {
		t.Errorf("%d events keep their addresses after a month", n)
	}
	if n := h.number(`select count(*) from abuse_pinned`); n != 1 {
		t.Errorf("%d pinned while the case is kept, want 1", n)
	}
	h.clock.Add(366 * 24 * time.Hour)
	if err := h.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"abuse_case", "abuse_event", "abuse_report", "abuse_note", "abuse_pinned", "abuse_case_session", "abuse_case_reporter", "desk_case"} {
		if n := h.number(`select count(*) from ` + q); n != 0 {
			t.Errorf("%d rows left in %s a year after the case was closed", n, q)
		}
	}
}
