package shield

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bolwerk"
	"bolwerk/internal/mail"
	"bolwerk/shield/door"
)

// bounce hands in what a mail server writes when a mail does not arrive.
func (p *post) bounce(id, action, status string, m mail.Message) {
	p.c.t.Helper()
	raw := "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.harbour.example\r\nTo: abuse@harbour.example\r\nSubject: Undelivered Mail Returned to Sender\r\nAuto-Submitted: auto-replied\r\nIn-Reply-To: <" + m.ID + "@harbour.example>\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nI am sorry.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n" +
		"Reporting-MTA: dns; mx.harbour.example\r\n\r\nFinal-Recipient: rfc822; " + m.To.String() + "\r\nAction: " + action + "\r\nStatus: " + status + "\r\nDiagnostic-Code: smtp; 550 no such user\r\n--b\r\n" +
		"Content-Type: text/rfc822-headers\r\n\r\nFrom: abuse@harbour.example\r\nTo: " + m.To.String() + "\r\nMessage-ID: <" + m.ID + "@harbour.example>\r\n\r\n--b--\r\n"
	r := door.Report{Channel: door.ByMail, ReceivedAt: p.c.clock.Now(), Token: bolwerk.NewToken().Reveal(), Lang: bolwerk.EN, Form: door.Mail, Body: []byte(raw)}
	if err := p.c.Receive(p.c.t.Context(), "intake-1", door.KindReport, id, r.Encode()); err != nil {
		p.c.t.Fatal(err)
	}
	ids, err := p.c.claim(p.c.t.Context())
	if err != nil || len(ids) != 1 {
		p.c.t.Fatal(ids, err)
	}
	if err := p.c.readOne(p.c.t.Context(), ids[0]); err != nil {
		p.c.t.Fatal(err)
	}
}

// A notice that came back is no receipt: its address is struck off, the next contact
// of the registrar is told instead, the desk sees it, and a duty officer may have it
// used again.
func TestAnAddressThatBouncedIsUsedNoMore(t *testing.T) {
	p := telling(t)
	c := p.c
	p.registration("anchorbank-pay7.example", "abuse@names.example", "noc@names.example")
	c.report(lure("Your card is stopped", "https://"+toldName+"/in"))
	p.confirm(toldName)
	p.run()
	p.letAll()
	p.run()
	sent := p.mailTo("abuse@names.example")
	if len(sent) != 1 {
		t.Fatalf("%d mails to the registrar", len(sent))
	}
	p.bounce("late", "delayed", "4.4.1", sent[0])
	if got := p.states()["Names & Co"]; got != "sent" {
		t.Fatalf("a delay makes it %s", got)
	}
	p.bounce("back", "failed", "5.1.1", sent[0])
	if got := p.states()["Names & Co"]; got != "returned" {
		t.Fatalf("it came back and is %s", got)
	}
	if got := c.one(`select outcome from shield_report where id='back'`); got != "bounce" {
		t.Errorf("the report of the server is %q", got)
	}
	ref := c.one(`select ref from shield_notice where who='Names & Co'`)
	wantText(t, c.get(c.anna, "/notice/"+ref), "came back", "5.1.1 smtp; 550 no such user", "no notice goes there any more", "A duty officer lets")
	wantText(t, c.get(c.anna, "/case/"+c.caseOf(toldName)), "came back")

	// A stranger who does not know the Message-ID strikes nobody off.
	other := p.mailTo("phishing@anchorbank.example")[0]
	other.ID = "0123456789abcdef0123456789abcdef"
	p.bounce("forged", "failed", "5.1.1", other)
	if got := p.states()["anchor"]; got != "sent" {
		t.Errorf("a forged report makes it %s", got)
	}

	// The next case of the same registrar goes to its next contact.
	again := "login.anchorbank-pay9.example"
	p.registration("anchorbank-pay9.example", "ABUSE@names.example", "noc@names.example")
	c.report(lure("Your card is stopped", "https://"+again+"/in"))
	p.confirm(again)
	p.run()
	if len(p.mailTo("abuse@names.example")) != 1 || len(p.mailTo("noc@names.example")) != 1 {
		t.Errorf("to the address that bounced: %d mails; to the next: %d", len(p.mailTo("abuse@names.example")), len(p.mailTo("noc@names.example")))
	}
	// Where it was the only one, the case says so; a withdrawal corrects who was told.
	third := "login.anchorbank-pay6.example"
	p.registration("anchorbank-pay6.example", "abuse@names.example", "abuse@x."+"anchorbank-pay6.example", "call us")
	c.report(lure("Your card is stopped", "https://"+third+"/in"))
	p.confirm(third)
	p.run()
	wantText(t, c.get(c.anna, "/case/"+c.caseOf(third)), "Who could not be told", "Registrar: Names & Co", "no abuse contact found", "Mail to abuse@names.example came back on 2026-11-23.",
		"abuse@x.anchorbank-pay6.example lies below the name itself", "“call us” is no mail address.")
	p.mails = nil
	c.post(c.anna, "/block/"+c.blockOf(toldName).Ref+"/withdraw", url.Values{"cause": {"false_positive"}, "reason": {"we were wrong"}})
	p.run()
	if n := len(p.mailTo("abuse@names.example")); n != 0 {
		t.Errorf("%d corrections to an address that never had it", n)
	}

	if w := c.do(c.anna, "/notice/"+ref+"/again", url.Values{}); w.Code != http.StatusForbidden {
		t.Errorf("an analyst lets it go again: %d", w.Code)
	}
	c.post(c.dora, "/notice/"+ref+"/again", url.Values{})
	if got := c.one(`select cast(count(*) as text) from shield_notice_returned`); got != "0" {
		t.Errorf("%s addresses are still struck off", got)
	}
	wantText(t, c.get(c.dora, "/audit"), "shield.notice.use_again")
}

// What was tried to find a contact stands on the case and in the API.
func TestNoAbuseContactIsShownWithWhatWasTried(t *testing.T) {
	p := telling(t)
	c := p.c
	c.cfg.Notices.To = nil
	tried := func(name string) string {
		t.Helper()
		v, err := c.Case(t.Context(), c.caseOf(name))
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, u := range v.Untold {
			for _, tr := range u.Tried {
				out = append(out, strings.TrimRight(u.Kind+" "+tr.What+" "+tr.About+" "+tr.Detail, " "))
			}
		}
		return strings.Join(out, "; ")
	}
	next := func(name string) string {
		t.Helper()
		c.report(lure("Your card is stopped", "https://"+name+"/in"))
		p.confirm(name)
		p.run()
		return tried(name)
	}
	if got, want := next("a.anchorbank-pay1.example"), "host no_resolver; host no_networks; registrar no_rdap"; got != want {
		t.Errorf("nothing is configured: got %q, want %q", got, want)
	}
	wantText(t, c.get(c.anna, "/case/"+c.caseOf("a.anchorbank-pay1.example")), "Who could not be told", "No resolver is configured", "No registry (RDAP) is configured")

	// A registry of addresses that knows the network and no contact, and one that is away.
	rdap := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/ip/192.0.2.7") {
			w.Header().Set("Content-Type", "application/rdap+json")
			w.Write([]byte(`{"objectClassName":"ip network","handle":"NET-1","name":"HARBOUR-HOSTING","startAddress":"192.0.2.0","endAddress":"192.0.2.255"}`))
			return
		}
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(rdap.Close)
	c.asker = rdap.Client()
	boot := filepath.Join(c.dir, "ipv4.json")
	b, _ := json.Marshal(map[string]any{"services": [][][]string{{{"192.0.2.0/24", "198.51.100.0/24"}, {rdap.URL + "/"}}}})
	if err := os.WriteFile(boot, b, 0o600); err != nil {
		t.Fatal(err)
	}
	c.cfg.Lookup.Networks, c.cfg.Lookup.RDAP = []string{boot}, "dns.json"
	k, _ := json.Marshal(map[string]any{"registration": map[string]any{"registrar": "Quiet Names"}, "dns": map[string]any{"addresses": []string{"192.0.2.7", "198.51.100.9"}}})
	c.report(lure("Your card is stopped", "https://anchorbank-pay2.example/in"))
	c.put(`update shield_registration set state='known', known=$1 where name='anchorbank-pay2.example'`, string(k)) // as if they had been asked
	p.confirm("anchorbank-pay2.example")
	p.run()
	got := tried("anchorbank-pay2.example")
	for _, want := range []string{"host addresses anchorbank-pay2.example 192.0.2.7, 198.51.100.9", "host network_without 192.0.2.7 HARBOUR-HOSTING", "host network_failed 198.51.100.9", "registrar registrar_without Quiet Names"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
	if strings.Contains(got, "no_resolver") {
		t.Errorf("the address was known: %q", got)
	}
}
