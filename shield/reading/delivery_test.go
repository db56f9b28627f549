package reading

import (
	"slices"
	"strings"
	"testing"
)

// bounceOf is a delivery report as servers write it: its second part and its third.
func bounceOf(status, kind, original string) string {
	return "Return-Path: <>\nFrom: Mail Delivery System <MAILER-DAEMON@mx.example>\nTo: abuse@harbour.example\nSubject: Undelivered Mail Returned to Sender\nMIME-Version: 1.0\n" +
		"Content-Type: multipart/report; report-type=delivery-status; boundary=\"b/1\"\n\n--b/1\nContent-Type: text/plain\n\nI am sorry.\n--b/1\nContent-Type: message/delivery-status\n\n" +
		status + "\n--b/1\nContent-Type: " + kind + "\n\n" + original + "\n--b/1--\n"
}

func TestDeliveryReports(t *testing.T) {
	const original = "From: abuse@harbour.example\nTo: abuse@host.example\nSubject: x\nMessage-ID: <qq11@harbour.example>\n\nbody\n"
	postfix := "Reporting-MTA: dns; mx.example\nX-Postfix-Queue-ID: 1\nArrival-Date: Mon, 23 Nov 2026 12:00:00 +0000 (UTC)\n\nFinal-Recipient: rfc822; abuse@host.example\nOriginal-Recipient: rfc822;abuse@host.example\nAction: failed\nStatus: 5.1.1\nRemote-MTA: dns; mx.host.example\nDiagnostic-Code: smtp; 550 5.1.1 <abuse@host.example>: Recipient address rejected:\n    User unknown\n"
	for _, c := range []struct {
		what, mail string
		want       Delivery
		failed     bool
	}{
		{"the mail came back whole", bounceOf(postfix, "message/rfc822", original), Delivery{"<qq11@harbour.example>", "failed", "5.1.1", "smtp; 550 5.1.1 <abuse@host.example>: Recipient address rejected: User unknown"}, true},
		{"only its header came back", bounceOf(postfix, "text/rfc822-headers", strings.Replace(original, "\n\nbody", "", 1)), Delivery{"<qq11@harbour.example>", "failed", "5.1.1", "smtp; 550 5.1.1 <abuse@host.example>: Recipient address rejected: User unknown"}, true},
		{"it is only late", bounceOf("Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; a@host.example\nAction: delayed\nStatus: 4.4.1\n", "message/rfc822", original), Delivery{"<qq11@harbour.example>", "delayed", "4.4.1", ""}, false},
		{"the second recipient failed", bounceOf("Reporting-MTA: dns; x\n\nAction: delivered\nStatus: 2.0.0\n\nAction: FAILED\nStatus: 5.2.1\n", "message/rfc822", original), Delivery{"<qq11@harbour.example>", "failed", "5.2.1", ""}, true},
		{"nothing of the mail in it", bounceOf("Reporting-MTA: dns; x\n\nAction: failed\nStatus: 5.0.0", "text/plain", "-"), Delivery{"", "failed", "5.0.0", ""}, true},
	} {
		r := Mail([]byte(strings.ReplaceAll(c.mail, "\n", "\r\n")), Option{})
		if r.Kind != Bounce || r.Delivery == nil || *r.Delivery != c.want || r.Delivery.Failed() != c.failed {
			t.Errorf("%s: got %s %+v, want %+v", c.what, r.Kind, r.Delivery, c.want)
		}
	}
	if r := Mail([]byte(bounceOf("no fields", "text/plain", "-")), Option{}); r.Delivery != nil || r.Delivery.Failed() {
		t.Errorf("a report without fields says %+v", r.Delivery)
	}
	if r := Mail([]byte(original), Option{}); r.Delivery != nil {
		t.Errorf("no report says %+v", r.Delivery)
	}
}

func FuzzDelivery(f *testing.F) {
	f.Add([]byte("Reporting-MTA: dns; x\n\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 no\n such user"))
	f.Add([]byte("\n\n:\n \nAction: \xff\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := deliveryOf(b)
		if d == nil {
			return
		}
		if !slices.Contains(actions, d.Action) || len(d.Status) > maxFieldValue || len(d.Why) > maxFieldValue {
			t.Errorf("%+v", d)
		}
	})
}
