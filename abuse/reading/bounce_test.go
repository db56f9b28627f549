package reading

import (
	"strings"
	"testing"
)

func TestBounceOf(t *testing.T) {
	mail := func(kind, part string) string {
		return "From: MAILER-DAEMON@mx.example\r\nTo: <bounce+abc@telecom.example>\r\nContent-Type: " + kind + "; boundary=x\r\n\r\n--x\r\n\r\nIt failed: Status: 5.9.9\r\n--x\r\nContent-Type: message/delivery-status\r\n\r\n" + part +
			"\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: ours\r\nStatus: 5.0.0\r\nAction: failed\r\n\r\nx\r\n--x--\r\n"
	}
	const report = "multipart/report; report-type=delivery-status"
	const us = "Reporting-MTA: dns; mx.example\r\nArrival-Date: x\r\n\r\n"
	for name, c := range map[string]struct{ raw, action, status string }{
		"failed":            {mail(report, us+"Final-Recipient: rfc822; anna@home.example\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 no anna"), "failed", "5.1.1"},
		"folded, comments":  {mail(report, us+"Action: Failed (really)\r\nStatus: 5.2.2 (mailbox\r\n full)"), "failed", "5.2.2"},
		"delayed":           {mail(report, us+"Action: delayed\r\nStatus: 4.4.1\r\nWill-Retry-Until: x"), "delayed", "4.4.1"},
		"given up":          {mail(report, us+"Action: failed\r\nStatus: 4.4.7"), "failed", "4.4.7"},
		"the one that fell": {mail(report, us+"Action: delivered\r\nStatus: 2.0.0\r\n\r\nAction: failed\r\nStatus: 5.7.1"), "failed", "5.7.1"},
		"no status":         {mail(report, us+"Action: failed"), "", ""},
		"a status of ours":  {mail(report, us+"Action: failed\r\nStatus: 5.1.1.1"), "", ""},
		"a read receipt":    {mail("multipart/report; report-type=disposition-notification", us+"Action: failed\r\nStatus: 5.1.1"), "", ""},
		"no report":         {mail("multipart/mixed", us+"Action: failed\r\nStatus: 5.1.1"), "", ""},
	} {
		b := BounceOf([]byte(c.raw))
		if b.Action != c.action || b.Status != c.status || len(b.To) != 1 || b.To[0] != "bounce+abc@telecom.example" {
			t.Errorf("%s: %+v, want %s %s", name, b, c.action, c.status)
		}
	}
	if b := BounceOf([]byte(strings.Repeat("To: a@b.example\r\n", 100))); len(b.To) != maxBounceTo {
		t.Errorf("%d addresses", len(b.To))
	}
}
