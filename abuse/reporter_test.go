package abuse

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/door"
	"bolwerk/abuse/session"
	"bolwerk/desk"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
)

const border = "mx.telecom.example"

// answering is a desk that knows which of its servers says who sent a mail.
func answering(c *Config, p *Parts) {
	p.AuthservIDs = []string{border}
	p.OwnAddresses = []mail.Address{mail.MustAddress("desk@telecom.example")}
	c.Feeds = []Feed{{Name: "daily", From: []string{"daily.example"}, Every: bolwerk.Duration(24 * time.Hour)}}
}

// letter is a mail with one report in it.
func letter(from, fields, body string) string {
	domain := from[strings.IndexByte(from, '@')+1:]
	return "Authentication-Results: " + border + "; dmarc=pass header.from=" + domain + "\r\nFrom: Nora Sender <" + from + ">\r\nTo: abuse@telecom.example\r\nSubject: Attack\r\nDate: Thu, 26 Nov 2026 11:00:00 +0000\r\nMessage-ID: <m1@" + domain +
		">\r\nMIME-Version: 1.0\r\n" + fields + "Content-Type: application/json; name=xarf.json\r\n\r\n" + body
}

// outcomes are the mails to reporters that wait to be sent.
func (h *house) outcomes() (all []mail.Message) {
	h.t.Helper()
	if err := h.db.Read(h.t.Context(), func(tx *store.Tx) error {
		ids, err := store.List(tx, func(scan func(...any) error) (id string, err error) { return id, scan(&id) }, `select id from desk_notice where kind=$1 and state='waiting' order by id`, answerKind)
		for _, id := range ids {
			n, err := desk.WaitingNotice(tx, h.p.Vault, id)
			if err != nil {
				return err
			}
			var m mail.Message
			if err := json.Unmarshal(n.Body, &m); err != nil {
				return err
			}
			all = append(all, m)
		}
		return err
	}); err != nil {
		h.t.Fatal(err)
	}
	return all
}

func (h *house) closeCase(reason Reason) {
	h.t.Helper()
	if err := h.Close(h.t.Context(), agent, h.text(`select ref from desk_case where capability='abuse'`), reason, "seen to"); err != nil {
		h.t.Fatal(err)
	}
}

// morning has the desk's own jobs done: those that settle, and those of the morning after.
func (h *house) morning() {
	h.t.Helper()
	h.tomorrow()
	h.clock.Add(answerAt - outcomeAt)
	h.doJobs()
}

func TestTheReporterIsMailedTheOutcome(t *testing.T) {
	h := open(t, answering)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Minute))
	for i := range 2 { // two reports about one line
		h.hand("nora@hosting.example", "", letter("nora@hosting.example", "Content-Language: fr-BE\r\n", xarf(noon.Add(-time.Duration(3+i)*time.Hour), "192.0.2.17", 40000, i)))
	}
	h.morning()
	if n := len(h.outcomes()); n != 0 {
		t.Fatalf("%d mails while the case is open", n)
	}
	h.closeCase(Cleaned)
	h.doJobs()
	if n := len(h.outcomes()); n != 0 {
		t.Fatalf("%d mails at the moment of closing: it would say which reports are about one line", n)
	}
	h.morning()
	h.morning()
	all := h.outcomes()
	if len(all) != 1 {
		t.Fatalf("%d mails, want one for the reporter", len(all))
	}
	m := all[0]
	if m.To.String() != "nora@hosting.example" || m.From.String() != "desk@telecom.example" || m.Lang != bolwerk.FR || !m.Automatic || !m.ReturnPath.IsZero() {
		t.Errorf("the mail: %+v", m)
	}
	raw, err := m.Bytes()
	if err != nil || !strings.Contains(string(raw), "Auto-Submitted: auto-replied") {
		t.Errorf("%v\n%s", err, raw)
	}
	year := noon.Format("2006")
	if !strings.Contains(m.Body, "AR-"+year+"-000001, AR-"+year+"-000002 (ACTIONED)") || !strings.Contains(m.Body, "26 novembre 2026") {
		t.Errorf("the mail does not say what became of both:\n%s", m.Body)
	}
	for _, never := range []string{"anna", "192.0.2", "40000", "AB-", "11:", "12:", "Attack", "hosting"} {
		if strings.Contains(m.Subject+m.Body, never) {
			t.Errorf("the mail has %q in it:\n%s", never, m.Body)
		}
	}
	// The case returns with a new report and is closed again: only that is told.
	h.hand("nora@hosting.example", "", letter("nora@hosting.example", "", xarf(h.clock.Now().Add(-time.Minute), "192.0.2.17", 40000, 7)))
	if n := h.number(`select returned from abuse_case`); n != 1 {
		h.session(session.Interim, "anna", "s1", "192.0.2.17/32", h.clock.Now())
		h.clock.Add(2 * time.Minute)
		h.settleAll()
	}
	h.closeCase(NoActionTaken)
	h.morning()
	all = h.outcomes()
	if len(all) != 2 || !strings.Contains(all[1].Body, "AR-"+year+"-000003 (REVIEWED_NO_ACTION)") || strings.Contains(all[1].Body, "000001") || all[1].Lang != bolwerk.EN || all[1].InReplyTo != "m1@hosting.example" && all[1].InReplyTo != "<m1@hosting.example>" {
		t.Errorf("mails after the case returned: %+v", all)
	}
	if n := h.number(`select count(*) from abuse_report where reply_sealed is not null`); n != 0 {
		t.Errorf("%d addresses are kept after the mail", n)
	}
}

func TestACaseThatBeginsAgainBeforeTheMorningIsNotTold(t *testing.T) {
	h := open(t, answering)
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon.Add(-time.Minute))
	h.hand("nora@hosting.example", "", letter("nora@hosting.example", "", xarf(noon.Add(-3*time.Hour), "192.0.2.17", 40000, 1)))
	h.closeCase(Cleaned)
	h.doJobs()
	h.clock.Add(time.Hour)
	if err := h.Reopen(t.Context(), agent, h.text(`select ref from desk_case where capability='abuse'`), "too early"); err != nil {
		t.Fatal(err)
	}
	h.morning()
	if n := len(h.outcomes()); n != 0 {
		t.Fatalf("%d mails about a case that goes on", n)
	}
	h.closeCase(Cleaned)
	h.morning()
	if n := len(h.outcomes()); n != 1 {
		t.Errorf("%d mails after it was closed for good, want 1", n)
	}
}

// Who is no person, or has proved nothing, is not written to.
func TestWhoIsNotMailed(t *testing.T) {
	h := open(t, answering)
	forged := strings.Replace(letter("nora@hosting.example", "", "{}"), border, "mx.elsewhere.example", 1)
	for i, c := range []struct{ from, raw, want string }{
		{"nora@hosting.example", letter("nora@hosting.example", "", "{}"), "yes"},
		{"nora@hosting.example", forged, "unproved"},
		{"", letter("nora@hosting.example", "", "{}"), "null_path"},
		{"noreply@hosting.example", letter("noreply@hosting.example", "", "{}"), "robot"},
		{"nora@hosting.example", letter("nora@hosting.example", "Auto-Submitted: auto-generated\r\n", "{}"), "automatic"},
		{"nora@hosting.example", letter("nora@hosting.example", "Precedence: bulk\r\n", "{}"), "bulk"},
		{"nora@hosting.example", letter("nora@hosting.example", "List-Id: <cert.example>\r\n", "{}"), "list"},
		{"nora@hosting.example", letter("nora@hosting.example", "X-Auto-Response-Suppress: All\r\n", "{}"), "suppressed"},
		{"nora@hosting.example", strings.Replace(letter("nora@hosting.example", "", "{}"), "application/json; name=xarf.json", "multipart/report; report-type=feedback-report; boundary=x", 1), "machine"},
		{"nora@hosting.example", letter("nora@hosting.example", "From: other@hosting.example\r\n", "{}"), "no_sender"},
		{"desk@telecom.example", letter("desk@telecom.example", "", "{}"), "own_address"},
		{"bot@daily.example", letter("bot@daily.example", "", xarf(noon, "198.51.100.9", 1, 9)), "feed"},
	} {
		id := h.hand(c.from, "", c.raw)
		if got := h.text(`select reply from abuse_report where id=$1`, id); got != c.want {
			t.Errorf("%d: %s, want %s", i, got, c.want)
		}
	}
	r := door.Report{Channel: door.ByWeb, ReceivedAt: noon, Token: bolwerk.NewToken().Reveal(), From: "anybody@home.example", Form: door.Any, Body: []byte("{}")}
	if err := h.Receive(t.Context(), "intake-1", door.KindReport, "01900000-0000-7000-8000-000000000999", r.Encode()); err != nil {
		t.Fatal(err)
	}
	h.settleAll()
	if got := h.text(`select reply from abuse_report where id='01900000-0000-7000-8000-000000000999'`); got != "not_mail" {
		t.Errorf("a form: %s", got)
	}
}

// A reporter of many things has one mail a day, however many there are.
func TestManyOutcomesAreOneMailADay(t *testing.T) {
	h := open(t, answering)
	for i := range answerMost + 5 {
		h.hand("nora@hosting.example", "", letter("nora@hosting.example", "", xarf(noon.Add(-time.Hour), fmt.Sprintf("198.51.100.%d", i), 1, i)))
	}
	h.morning()
	all := h.outcomes()
	if len(all) != 1 || !strings.Contains(all[0].Body, "(NOT_OURS)") || strings.Count(all[0].Body, "AR-") != answerMost {
		t.Fatalf("%d mails, the first:\n%s", len(all), all[0].Body)
	}
	h.morning()
	if all = h.outcomes(); len(all) != 2 || strings.Count(all[1].Body, "AR-") != 5 {
		t.Errorf("%d mails a day later", len(all))
	}
}
