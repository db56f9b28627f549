package shield

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/url"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/store"
	"bolwerk/shield/door"
)

// qrPNG is a picture with a QR code.
func qrPNG(t *testing.T, text string) []byte {
	t.Helper()
	m, err := qrcode.NewQRCodeWriter().Encode(text, gozxing.BarcodeFormat_QR_CODE, 200, 200, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// plainPNG is a picture in which nothing can be read.
func plainPNG(t *testing.T) []byte {
	t.Helper()
	g := image.NewGray(image.Rect(0, 0, 400, 700))
	for i := range g.Pix {
		g.Pix[i] = uint8(i % 200)
	}
	g.Set(3, 3, color.Gray{255})
	var b bytes.Buffer
	if err := png.Encode(&b, g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// reporter is who sends the mails of these tests.
const reporter = "jan.janssens@home.example"

// mailOf is a mail of the reporter with a picture.
func mailOf(text string, picture []byte) []byte {
	return []byte("From: " + reporter + "\r\nTo: report@harbour.example\r\nSubject: look\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
		"--b\r\nContent-Type: text/plain\r\n\r\n" + text + "\r\n--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		base64.StdEncoding.EncodeToString(picture) + "\r\n--b--\r\n")
}

// reportIn hands in a report of the public site, or a mail, and has its text read.
func (s *testShield) reportIn(id string, form door.Form, body []byte) string {
	s.t.Helper()
	token := bolwerk.NewToken().Reveal()
	r := door.Report{Channel: door.ByWeb, ReceivedAt: s.clock.Now(), Token: token, Lang: bolwerk.NL, Form: form, Body: body}
	if form == door.Mail {
		r.Channel, r.MailFrom = door.ByMail, reporter
	}
	if err := s.Receive(s.t.Context(), "intake-1", door.KindReport, id, r.Encode()); err != nil {
		s.t.Fatal(err)
	}
	ids, err := s.claim(s.t.Context())
	if err != nil || len(ids) != 1 {
		s.t.Fatalf("claim: got %v %v, want one report", ids, err)
	}
	if err := s.readOne(s.t.Context(), ids[0]); err != nil {
		s.t.Fatal(err)
	}
	return id
}

// stands is the state and outcome of a report, and for whom its pictures wait.
func (s *testShield) stands(id string) (out string) {
	s.t.Helper()
	err := s.db.Read(s.t.Context(), func(tx *store.Tx) error {
		var state, outcome, wait string
		if err := tx.Row(`select state,outcome from shield_report where id=$1`, id).Scan(&state, &outcome); err != nil {
			return err
		}
		err := tx.Row(`select state from shield_picture where report=$1`, id).Scan(&wait)
		if store.None(err) {
			err = nil
		}
		out = strings.TrimSpace(state + " " + outcome + " " + wait)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *testShield) secondPass() {
	s.t.Helper()
	again, err := s.readPictures(s.t.Context())
	if err != nil || !again {
		s.t.Fatalf("second pass: %v %v", again, err)
	}
}

// TestPictureLater: a mail is linked with what its text says before its pictures
// are read; these add what they hold, once.
func TestPictureLater(t *testing.T) {
	s := newShield(t)
	id := s.reportIn("mail", door.Evidence, mailOf("https://anchorbank-text.example/x", qrPNG(t, "https://anchorbank-picture.example/x")))
	if got := s.stands(id); got != "read waiting queued" {
		t.Fatalf("after the first pass: %s", got)
	}
	s.caseOf("anchorbank-text.example")
	s.secondPass()
	s.caseOf("anchorbank-picture.example")
	if got := s.stands(id); got != "read waiting" {
		t.Errorf("after the second pass: %s", got)
	}
	var reports int64
	err := s.db.Read(t.Context(), func(tx *store.Tx) error {
		return tx.Row(`select reports from shield_observable where value='anchorbank-text.example'`).Scan(&reports)
	})
	if err != nil || reports != 1 {
		t.Errorf("reports of the name in the text: got %d, %v", reports, err)
	}
	if again, err := s.readPictures(t.Context()); again || err != nil {
		t.Errorf("a third pass: %v, %v", again, err)
	}
}

// TestPictureForAPerson: a screenshot in which no address was read waits for a
// person, who types what stands there; nothing is blocked by it.
func TestPictureForAPerson(t *testing.T) {
	c := newConsole(t)
	id := c.reportIn("shot", door.Picture, plainPNG(t))
	if got := c.stands(id); got != "read waiting queued" {
		t.Fatalf("after the first pass: %s", got)
	}
	c.secondPass()
	if got := c.stands(id); got != "read waiting person" {
		t.Fatalf("after the second pass: %s", got)
	}
	page := c.get(c.anna, "/pictures")
	if !strings.Contains(page, `src="/picture/shot/0"`) || !strings.Contains(page, `action="/pictures/shot"`) {
		t.Fatalf("the page: %s", page)
	}
	if b, kind, err := c.PictureOf(t.Context(), id, 0, -1); err != nil || kind != "image/jpeg" || !bytes.HasPrefix(b, []byte("\xff\xd8\xff")) {
		t.Errorf("picture: %d bytes, %s, %v", len(b), kind, err)
	}
	who := c.person("bob", account.Analyst)
	for _, wrong := range []string{"no address at all", "https://", strings.Repeat("x", 20000)} {
		if err := c.TypePicture(t.Context(), bolwerk.Person(who.ID), id, wrong); err == nil {
			t.Errorf("%.30q was taken", wrong)
		}
	}
	c.post(c.anna, "/pictures/shot", url.Values{"address": {"anchorbank-sms.example/login"}})
	c.caseOf("anchorbank-sms.example")
	if got := c.stands(id); got != "read waiting" {
		t.Errorf("after it was typed: %s", got)
	}
	if err := c.TypePicture(t.Context(), bolwerk.Person(who.ID), id, "other.example"); err == nil {
		t.Error("a second person typed another address")
	}
	var blocks int64
	err := c.db.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(`select count(*) from shield_block`).Scan(&blocks) })
	if err != nil || blocks != 0 {
		t.Errorf("blocks: got %d, %v", blocks, err)
	}
	// Nothing in it: the report ends as one without a link.
	id = c.reportIn("shot-2", door.Picture, plainPNG(t))
	c.secondPass()
	c.post(c.anna, "/pictures/shot-2", url.Values{"what": {"nothing"}})
	if got := c.stands(id); got != "no_observable seen" {
		t.Errorf("with nothing in it: %s", got)
	}
}

// TestPictureWithCode: a QR code alone is a report like any other, and no person
// has to look at the picture.
func TestPictureWithCode(t *testing.T) {
	s := newShield(t)
	id := s.reportIn("code", door.Picture, qrPNG(t, "https://anchorbank-code.example/"))
	s.secondPass()
	s.caseOf("anchorbank-code.example")
	if got := s.stands(id); got != "read waiting" {
		t.Errorf("got %s", got)
	}
	if _, _, err := s.PictureOf(t.Context(), id, 0, -1); err == nil {
		t.Error("a picture is kept whose address is known")
	}
}

// TestPictureUnderASignature: the links that stand under all mails of a reporter
// do not hide the screenshot that he sends, and none of them is the last word.
func TestPictureUnderASignature(t *testing.T) {
	c := newConsole(t)
	id := c.reportIn("signed", door.Mail, mailOf("I got this.\r\n\r\n-- \r\nJan, https://anchorbank-club.example", plainPNG(t)))
	c.secondPass()
	if got := c.stands(id); got != "read waiting person" {
		t.Fatalf("after the second pass: %s", got)
	}
	c.post(c.anna, "/case/"+c.caseOf("anchorbank-club.example")+"/reject", url.Values{"reason": {"his own site"}})
	if err := c.settleSome(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.stands(id); got != "read waiting person" {
		t.Errorf("when the link was rejected: %s", got)
	}
	c.post(c.anna, "/pictures/signed", url.Values{"what": {"nothing"}})
	if got := c.stands(id); got != "read rejected" {
		t.Errorf("when a person has looked: %s", got)
	}
}

// TestPictureNamesNobody: what stands in a picture leaves without the reporter's
// address, as what stands in the text does.
func TestPictureNamesNobody(t *testing.T) {
	c := newConsole(t)
	mark := fmt.Sprintf("%x", sha256.Sum256([]byte(reporter))) // as senders of mail mark copies
	c.reportIn("code", door.Mail, mailOf("I got this.", qrPNG(t, "https://anchorbank-code.example/o/"+mark+"/x")))
	c.secondPass()
	c.reportIn("shot", door.Mail, mailOf("I got this.", plainPNG(t)))
	c.secondPass()
	c.post(c.anna, "/pictures/shot", url.Values{"address": {"https://anchorbank-typed.example/o/" + mark + "/x"}})
	var visits []string
	err := c.db.Read(t.Context(), func(tx *store.Tx) (err error) {
		visits, err = texts(tx, `select url from shield_visit order by url`)
		return err
	})
	if err != nil || len(visits) != 2 || !strings.Contains(visits[0], "anchorbank-code") || !strings.Contains(visits[1], "anchorbank-typed") {
		t.Fatalf("visits: %q, %v", visits, err)
	}
	for _, v := range visits {
		if strings.Contains(v, mark) {
			t.Errorf("a visit tells who reported: %s", v)
		}
	}
}
