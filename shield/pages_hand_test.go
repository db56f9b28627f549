package shield

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"bolwerk/desk"
)

// A message without a link, and one that calls itself an exercise, wait for a
// person until one has said what came of them.
func TestAMessageWithoutALinkWaitsForAPerson(t *testing.T) {
	c := newConsole(t)
	c.report("From: boss@harbour.example\r\nSubject: Urgent transfer\r\n\r\nPay NL91 ABNA 0417 1643 00 today and call +32 470 12 34 56. <script>\r\n")
	c.report("From: it@training.example\r\nSubject: Renew your password\r\nX-PHISHTEST: 1\r\n\r\nhttps://training.example/renew\r\n")
	page := c.get(c.victor, "/by-hand")
	wantText(t, page, "2 reports", "without a link", "Urgent transfer", "account NL91ABNA0417164300", "telephone +32470123456")
	if strings.Contains(page, "<script>\r") || strings.Contains(page, "/seen") {
		t.Errorf("a viewer's page: %s", page)
	}
	wantText(t, c.get(c.victor, "/by-hand?state=exercise"), "1 report", "Renew your password", "x-phishtest")
	if cases, err := c.Cases(t.Context(), desk.CaseFilter{}); err != nil || len(cases) != 0 {
		t.Errorf("got %v, %v; neither has a name to judge", cases, err)
	}
	all, err := c.ByHand(t.Context(), "", "", 10)
	if err != nil || len(all) != 2 {
		t.Fatalf("got %+v, %v", all, err)
	}
	path := "/by-hand/" + all[1].ID + "/seen"
	if w := c.do(c.victor, path, url.Values{"reason": {"x"}}); w.Code != http.StatusForbidden {
		t.Errorf("a viewer's decision: got %d", w.Code)
	}
	if w := c.do(c.anna, path, url.Values{"reason": {" "}}); w.Code == http.StatusSeeOther {
		t.Error("closed without a word about what came of it")
	}
	if w := c.do(c.anna, path, url.Values{"reason": {"told the bank"}}); w.Code != http.StatusSeeOther {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := c.do(c.anna, path, url.Values{"reason": {"told the bank"}}); w.Code == http.StatusSeeOther {
		t.Error("closed twice")
	}
	wantText(t, c.get(c.anna, "/by-hand"), "1 report", "exercise")
	wantText(t, c.post(c.anna, "/by-hand/"+all[0].ID+"/seen", url.Values{"reason": {"ours, asked the vendor"}}), "0 reports", "Nothing waits.", "Seen. It is in the audit trail.")
	wantText(t, c.get(c.anna, "/by-hand?state=seen"), "2 reports", "Urgent transfer")
	wantText(t, c.get(c.anna, "/audit"), "shield.report.seen", "told the bank")
}
