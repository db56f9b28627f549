package abuse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/contact"
	"bolwerk/abuse/door"
	"bolwerk/abuse/inform"
	"bolwerk/abuse/notice"
	"bolwerk/abuse/session"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
	"bolwerk/internal/terminal"
)

// back gives the desk a mail that came to a return path.
func (h *house) back(to, action, status string) {
	h.t.Helper()
	h.clock.Add(time.Second)
	b := door.Bounce{To: to, Body: []byte("From: MAILER-DAEMON@mx.example\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\nAction: " +
		action + "\r\nStatus: " + status + "\r\n--x--\r\n")}
	for range 2 { // the intake sends again what it has no answer for
		if err := h.Receive(h.t.Context(), "intake-1", door.KindBounce, "b1", b.Encode()); err != nil {
			h.t.Fatal(err)
		}
	}
}

// found is a desk that answers with a contact.
type found struct{ contact.Entry }

func (f found) Call(context.Context, *terminal.Terminal, string, string, string, string, any) (json.RawMessage, error) {
	return json.Marshal(f.Entry)
}

func (found) Pages(context.Context, *terminal.Terminal, string, string, string, url.Values, func(json.RawMessage) error) error {
	return nil
}

func (found) Upload(context.Context, *terminal.Terminal, string, string, string, url.Values, []byte) (json.RawMessage, error) {
	return nil, nil
}

// tried are the messages of the one case: way, state and why, oldest first.
func (h *house) tried() string {
	h.t.Helper()
	var out []string
	if err := h.db.Read(h.t.Context(), func(tx *store.Tx) (err error) {
		out, err = store.List(tx, func(scan func(...any) error) (string, error) {
			var a, b, c string
			err := scan(&a, &b, &c)
			return strings.TrimSpace(a + " " + b + " " + c), err
		}, `select channel,state,why from abuse_message order by made_at, id`)
		return err
	}); err != nil {
		h.t.Fatal(err)
	}
	return strings.Join(out, ", ")
}

func withBounces(c *inform.Config) { c.Bounce = mail.MustAddress("bounce@telecom.example") }

func TestAMailThatComesBackGoesTheNextWay(t *testing.T) {
	h := open(t)
	h.ways(withBounces)
	h.told(annas)
	id, _, _ := h.caseOfAnna()
	h.tell(inform.Letter{Case: id, Kind: inform.Warned, Who: anna})
	h.doJobs()
	path := h.mails.sent[0].ReturnPath.String()
	if !strings.HasPrefix(path, "bounce+") || !strings.HasSuffix(path, "@telecom.example") || strings.Contains(path, "anna") {
		t.Fatalf("return path %s", path)
	}
	// What is forged, of another, or of a mail that is only late changes nothing.
	at := strings.IndexByte(path, '@')
	turned := "a"
	if path[at-3] == 'a' {
		turned = "b"
	}
	for _, to := range []string{"", "bounce@telecom.example", "bounce+x@telecom.example", path[:at-3] + turned + path[at-2:], "bounce+" + strings.Repeat("a", 45) + "@telecom.example", path[:at-2] + path[at:]} {
		h.back(to, "failed", "5.1.1")
	}
	h.back(path, "delayed", "4.4.1")
	h.back(path, "delivered", "2.0.0")
	if got := h.tried(); got != "mail sent" {
		t.Fatalf("after what is no bounce: %s", got)
	}
	h.back(strings.ToUpper(path), "failed", "5.1.1") // some servers change the case
	h.doJobs()
	if got := h.tried(); got != "mail failed bounced, letter sent" {
		t.Fatalf("messages: %s", got)
	}
	if n := h.number(`select count(*) from abuse_note where kind='step' and code='mail_back:5.1.1'`); n != 1 {
		t.Errorf("the case says %d times that the mail came back, want once", n)
	}
	// The address is not used again; desk sees why; another address is.
	e, err := h.ContactOf(t.Context(), agent.Actor(), anna, "look", id)
	if err != nil || e.MailBack != "5.1.1" || e.Mail != annas.Mail {
		t.Errorf("the book says %+v, %v", e, err)
	}
	var out bytes.Buffer
	if err := (&contactShow{Subscriber: "anna", Reason: "look"}).Run(t.Context(), &terminal.Terminal{Out: &out, Err: io.Discard}, found{e}); err != nil || !regexp.MustCompile(`(?m)^mail_back +5\.1\.1$`).Match(out.Bytes()) {
		t.Errorf("%v: the command shows\n%s", err, &out)
	}
	h.told(annas)
	h.clock.Add(time.Second)
	h.tell(inform.Letter{Case: id, Kind: inform.Cleaned, Who: anna})
	h.doJobs()
	if got := h.tried(); !strings.HasSuffix(got, ", letter sent") {
		t.Errorf("messages: %s", got)
	}
	other := annas
	other.Mail, other.MailBack = "anna@new.example", "5.1.1"
	h.told(other)
	h.clock.Add(time.Second)
	h.tell(inform.Letter{Case: id, Kind: inform.Mistaken, Who: anna})
	h.doJobs()
	if got := h.tried(); !strings.HasSuffix(got, ", mail sent") {
		t.Errorf("messages: %s", got)
	}
}

func TestABounceIsBelievedForSomeDays(t *testing.T) {
	h := open(t)
	h.ways(withBounces)
	h.told(annas)
	id, _, _ := h.caseOfAnna()
	h.tell(inform.Letter{Case: id, Kind: inform.Warned, Who: anna})
	h.doJobs()
	// Made in November, back in December, with a status that is not the address's fault.
	h.clock.Add(10 * 24 * time.Hour)
	h.back(h.mails.sent[0].ReturnPath.String(), "failed", "5.7.1")
	if got := h.tried(); got != "mail failed bounced, letter waiting" {
		t.Errorf("after a policy refused it: %s", got)
	}
	if n := h.number(`select count(*) from abuse_contact_bad`); n != 0 {
		t.Errorf("%d addresses are marked for a policy that refused us", n)
	}
	h.clock.Add(time.Second)
	h.tell(inform.Letter{Case: id, Kind: inform.Cleaned, Who: anna})
	h.doJobs()
	h.clock.Add(15 * 24 * time.Hour)
	h.back(h.mails.sent[1].ReturnPath.String(), "failed", "5.1.1")
	if got := h.tried(); !strings.HasSuffix(got, ", mail sent") {
		t.Errorf("after 15 days: %s", got)
	}
}

func TestAMessageGivenUpGoesTheNextWay(t *testing.T) {
	h := open(t)
	h.told(annas)
	id, _, _ := h.caseOfAnna()
	h.mails.err = errors.Join(errors.New("no route"), mail.ErrTemporary)
	h.tell(inform.Letter{Case: id, Kind: inform.Warned, Who: anna})
	for range 15 {
		h.doJobs()
		h.clock.Add(7 * time.Hour)
	}
	if got := h.tried(); got != "mail waiting" {
		t.Fatalf("before the last try: %s", got)
	}
	h.doJobs()
	h.doJobs()
	if got := h.tried(); got != "mail failed given_up, letter sent" {
		t.Errorf("messages: %s", got)
	}
}

func TestAResellersMailComesBack(t *testing.T) {
	h := open(t)
	h.ways(withBounces)
	e := annas
	e.Reseller, e.AbuseMail = true, "abuse@reseller.example"
	h.told(e)
	id, _, _ := h.caseOfAnna()
	h.doJobs()
	h.back(h.mails.sent[0].ReturnPath.String(), "failed", "5.1.10")
	if got := h.tried(); got != string(notice.XARF)+" failed bounced" {
		t.Errorf("messages: %s", got)
	}
	if e, err := h.ContactOf(t.Context(), agent.Actor(), anna, "look", id); err != nil || e.MailBack != "5.1.10" {
		t.Errorf("the book says %+v, %v", e, err)
	}
	// What comes meanwhile is not sent there, and that is said once.
	for i := range 2 {
		h.clock.Add(time.Minute)
		h.hand("feed@example.net", table, head+resolver(noon.Add(-time.Duration(3+i)*time.Hour), "192.0.2.17"))
	}
	h.doJobs()
	if got := h.tried(); got != string(notice.XARF)+" failed bounced, unreachable bounced" || len(h.mails.sent) != 1 {
		t.Errorf("messages: %s; %d mails", got, len(h.mails.sent))
	}
	h.clock.Add(31 * 24 * time.Hour)
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", h.clock.Now())
	h.hand("feed@example.net", table, head+resolver(h.clock.Now().Add(-time.Minute), "192.0.2.17"))
	h.clock.Add(2 * time.Minute)
	h.settleAll()
	h.doJobs()
	if len(h.mails.sent) != 2 {
		t.Errorf("%d mails after 31 days: %s", len(h.mails.sent), h.tried())
	}
}

func TestTheReaderDiesOverABounce(t *testing.T) {
	h := open(t)
	h.ways(withBounces)
	h.reader.dies = 2
	h.back("bounce+x@telecom.example", "failed", "5.1.1")
	if h.reader.dies != 0 {
		t.Error("it was not read")
	}
	if err := h.Receive(t.Context(), "intake-1", door.KindBounce, "b2", []byte("no head")); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("without a head: %v", err)
	}
}
