package shield

import (
	"testing"

	"bolwerk"
	"bolwerk/shield/reading"
)

// TestMessageOf: what the judge looks at is of the evidence's header, whole where the
// mail came as a file, and without what a forward leaves out.
func TestMessageOf(t *testing.T) {
	raw := "Return-Path: <bounce@mailer.example>\nFrom: \"Example Bank\" <info974555@shop.example>\nTo: info974555@shop.example\n" +
		"DKIM-Signature: v=1; d=signer.example; s=x; b=y\nMessage-ID: <1@localhost>\nX-PHP-Originating-Script: 33:mail.php\n" +
		"Subject: Look\nDate: Mon, 23 Nov 2026 12:00:00 +0000\nContent-Type: text/html\n\n<a href=\"https://evil.example/#jan@home.example\">here</a>\n"
	m := MessageOf(reading.Mail([]byte(raw), reading.Option{Evidence: true}))
	d := bolwerk.MustDomain
	if m.Local != "info974555" || m.Return != d("mailer.example") || len(m.Signed) != 1 || m.Signed[0] != d("signer.example") ||
		m.ID != "localhost" || !m.Head || !m.Script || !m.ToSelf || m.Recipients != 1 || m.List || m.Answer || m.FilesOnly {
		t.Errorf("%+v", m)
	}
	if len(m.Links) != 1 || len(m.Links[0].Notes) != 1 || m.Links[0].Notes[0] != "address-in-fragment" {
		t.Errorf("links %+v", m.Links)
	}
	list := MessageOf(reading.Mail([]byte("From: Ann <ann@home.example>\nList-Post: <mailto:club@lists.example>\nIn-Reply-To: <2@home.example>\nMessage-ID: <3@home.example>\nSubject: Re: x\n\nhi https://club.example/\n"), reading.Option{Evidence: true}))
	if !list.List || !list.Answer {
		t.Errorf("a list's post: %+v", list)
	}
	copied := MessageOf(reading.Mail([]byte("From: Ann <ann@home.example>\nTo: desk@operator.example\nMessage-ID: <4@home.example>\nSubject: Fwd: x\n\n---------- Forwarded message ---------\nFrom: Bank <info@shop.example>\nDate: Mon, 23 Nov 2026\nSubject: x\nTo: ann@home.example\n\nhttps://evil.example/\n"), reading.Option{}))
	if copied.Head || copied.From != d("shop.example") {
		t.Errorf("what a mail program copied is no whole header: %+v", copied)
	}
}
