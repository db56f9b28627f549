//go:build browser

package browser

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Whatever strangers can write, in every field that they are given, and what it
// would do in a page, in a log and in a spreadsheet.
const (
	inPage  = `"'><script>pwned()</script><img src=x onerror=pwned()><svg/onload=pwned()>{{.}}`
	inSheet = `=HYPERLINK("http://evil.example";"x")`
	inLog   = "x\nlevel=ERROR msg=\"made up by a stranger\" alarm=true"
)

// clean opens a page on a phone and holds that nothing of a stranger ran on it,
// that the policy was kept and that nothing pushes it sideways.
func clean(t *testing.T, ctx context.Context, to string) {
	t.Helper()
	do(t, ctx, to, chromedp.EmulateViewport(390, 844), chromedp.Navigate(to), chromedp.WaitReady(chromedp.CSS("body")))
	cleanHere(t, ctx, to)
}

func cleanHere(t *testing.T, ctx context.Context, where string) {
	t.Helper()
	if bad := eval[[]string](t, ctx, `window.seen||['the page was not watched']`); len(bad) > 0 {
		t.Errorf("%s: %s", where, strings.Join(bad, "; "))
	}
	if over := eval[string](t, ctx, wide); over != "" {
		t.Errorf("%s: wider than the window: %s", where, over)
	}
}

func watched(t *testing.T, ctx context.Context) {
	t.Helper()
	do(t, ctx, "watch", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watch})
		return err
	}))
}

// attached is a mail whose attachments are named by somebody who thinks of who
// reads their names.
func attached(link string, names ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "From: %s <a@mailer.example>\r\nSubject: %s %s\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nsee %s\r\n", inSheet, inSheet, inPage, link)
	for _, n := range names {
		fmt.Fprintf(&b, "--b\r\nContent-Type: application/pdf; name*=utf-8''%s\r\nContent-Disposition: attachment; filename*=utf-8''%s\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQK\r\n", url.PathEscape(n), url.PathEscape(n))
	}
	return b.String() + "--b--\r\n"
}

// TestStrangersInEveryField sends what a stranger can send through each door and
// then looks at each page, file and log that shows it.
func TestStrangersInEveryField(t *testing.T) {
	chromium(t)
	dir, link := demo(t)
	const lured = "merelbank-bijlage.example"
	file := filepath.Join(dir, "attached.eml")
	mail := attached("https://"+lured+"/", inPage+".pdf", inSheet+".csv", inLog+".html", "\u202efdp.exe", "../../etc/passwd", strings.Repeat("W", 600)+".zip")
	if err := os.WriteFile(file, []byte(mail), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(filepath.Join(dir, "bolwerk"), "report", "mail", file, "--server", at(8081)).CombinedOutput(); err != nil {
		t.Fatalf("report: %v\n%s", err, out)
	}

	ctx := openFor(t, 8*time.Minute)
	watched(t, ctx)
	public := func(path string) string { return at(8081) + path + "?lang=en" }
	typed := func(selector, text string) chromedp.Action[chromedp.Void] {
		return chromedp.SendKeys(chromedp.CSS(selector), strings.ReplaceAll(text, "\n", "\r"))
	}

	// The form of a report: what is refused stands in it again as it was typed,
	// what is taken is on the case.
	do(t, ctx, "refused report", chromedp.EmulateViewport(390, 844), chromedp.Navigate(public("/")), chromedp.WaitVisible(chromedp.CSS("#text")), typed("#text", inPage+inSheet), chromedp.Click(chromedp.CSS("main form button")))
	until(t, ctx, `document.readyState === "complete" && location.pathname !== "/" || document.querySelector("#text-fault *") !== null`)
	cleanHere(t, ctx, "a report without a link")
	do(t, ctx, "report", chromedp.Navigate(public("/")), chromedp.WaitVisible(chromedp.CSS("#text")), typed("#text", `https://merelbank-formulier.example/`+inPage+" "+inSheet), chromedp.Click(chromedp.CSS("main form button")), chromedp.WaitVisible(chromedp.CSS(".give")))
	cleanHere(t, ctx, "receipt")

	// A person of the desk with a browser that calls itself something.
	do(t, ctx, "browser's name", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: inSheet + inPage})
		return err
	}))
	do(t, ctx, "log in", chromedp.Navigate(link), chromedp.Click(chromedp.CSS("main button")), chromedp.WaitVisible(chromedp.CSS(`form[action="/logout"]`)))
	// An appeal at the public site: a refused one, then one that is taken.
	const name = "merelbank-formulier.example"
	var said []byte
	var err error
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		if said, err = exec.Command(filepath.Join(dir, "bolwerk"), "case", "confirm", name, "--reason", inSheet+inPage, "--server", at(8080), "--token-file", filepath.Join(dir, "demo", "demo.token"), "--json").CombinedOutput(); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("no case to confirm: %s", said)
		}
	}
	block := regexp.MustCompile(`B-20\d\d-\d+`).FindString(string(said))
	for end := time.Now().Add(20 * time.Second); !strings.Contains(send(t, public("/name")+"&q="+name, "", "", nil), `id="why"`); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the public site does not know the block")
		}
	}
	do(t, ctx, "appeal", chromedp.Navigate(public("/name")+"&q="+name), chromedp.WaitVisible(chromedp.CSS("#why")), chromedp.Click(chromedp.CSS(`input[name="role"][value="owner"]`)), typed("#why", inPage+inSheet), typed("#contact", inPage), chromedp.Click(chromedp.CSS(`form[action^="/appeal"] button`)))
	until(t, ctx, `document.readyState === "complete" && location.pathname !== "/name" && window.seen !== undefined`)
	cleanHere(t, ctx, "an appeal with a contact that is none")
	if got := eval[string](t, ctx, `document.querySelector("#why")?.value ?? ""`); got != "" && got != inPage+inSheet {
		t.Errorf("the form that was refused says %q, want what was typed", got)
	}
	// What a form cannot send, a program does: each value of each field.
	for _, form := range []url.Values{
		{"name": {name}, "role": {"owner"}, "text": {inPage + inSheet + inLog}, "contact": {`"<script>pwned()</script>"@mailer.example`}},
		{"name": {name}, "role": {inPage}, "text": {inSheet}, "contact": {"=1+1@mailer.example"}},
		{"name": {inPage}, "role": {"visitor"}, "text": {inPage}, "contact": {""}},
		{"name": {name}, "role": {"visitor"}, "text": {inSheet}, "contact": {"+1@mailer.example"}},
	} {
		echoed(t, "appeal", send(t, at(8081)+"/appeal?lang=en", "", "", form))
	}

	// The warning page: under the name, with a language, an address and headers
	// of a stranger's, and by its form.
	warning := at(8082)
	for _, h := range []string{name, "www." + name, inPage, "xn--" + strings.Repeat("a", 50) + ".example", "<script>pwned()</script>.example", name + ":80\"><script>pwned()</script>"} {
		echoed(t, "warning page of "+h, send(t, warning+"/?lang="+url.QueryEscape(inPage)+"&x="+url.QueryEscape(inPage), h, inPage, nil))
	}
	for _, form := range []url.Values{
		{"block": {block}, "lang": {"en"}, "role": {"owner"}, "text": {inPage + inSheet + inLog}, "contact": {`"<b>"@mailer.example`}},
		{"block": {inPage}, "lang": {inPage}, "role": {inPage}, "text": {inPage}, "contact": {inPage}},
	} {
		echoed(t, "mistake", send(t, warning+"/.well-known/bolwerk/appeal", name, inPage, form))
	}
	for _, to := range []string{at(8080), at(8081)} {
		for _, h := range []string{"<script>pwned()</script>", "evil.example", "localhost\"><script>pwned()</script>"} {
			echoed(t, to+" as "+h, send(t, to+"/", h, inPage, nil))
		}
		echoed(t, to+" nowhere", send(t, to+"/"+url.PathEscape(inPage), "", inPage, nil))
	}
	do(t, ctx, "wrong log-in", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		echoed(t, "log-in", send(t, at(8080)+"/login", "", inPage+inSheet, url.Values{"login": {inSheet + inPage + inLog}, "password": {inPage}, "next": {"//evil.example/" + inPage}}))
		return nil
	}))

	// Every list with every filter of a stranger's making.
	q := url.QueryEscape(inPage + inSheet)
	var all []string
	for _, path := range []string{"/queue", "/blocks", "/orders", "/campaigns", "/audit", "/search", "/appeals", "/proposals", "/notices", "/figures", "/near", "/name", "/queue/decide", "/block", "/exempt", "/account", "/people", "/hosts", "/lists", "/webhooks", "/warnings", "/brands", "/automatic", "/mail"} {
		all = append(all, at(8080)+path+"?lang=en&q="+q+"&name="+q+"&state="+q+"&issuer="+q+"&campaign="+q+"&brand="+q+"&after="+q+"&done="+q+"&was="+q+"&from="+q+"&case="+q+"&year="+q+"&kind="+q+"&sort="+q, at(8080)+path+"?lang=en&q="+q)
	}
	for _, path := range []string{"/", "/r", "/name", "/r/" + url.PathEscape(inPage), "/first-aid", "/warnings", "/learn", "/learn/" + url.PathEscape(inPage), "/transparency"} {
		all = append(all, public(path)+"&q="+q+"&code="+q+"&year="+q+"&name="+q+"&what="+q+"&kind="+q)
	}
	for _, at := range all {
		clean(t, ctx, at)
	}

	// Every case, appeal and block that came of it.
	seen := 0
	for _, list := range []string{"/queue?state=all&lang=en", "/appeals", "/blocks", "/account", "/people", "/audit"} {
		clean(t, ctx, at(8080)+list)
		for _, path := range eval[[]string](t, ctx, `[...new Set([...document.querySelectorAll('main a[href]')].map(a=>a.getAttribute('href')).filter(h=>/^\/(case|appeal|block)\//.test(h)))].slice(0,40)`) {
			clean(t, ctx, at(8080)+path)
			seen++
		}
	}
	if seen < 10 {
		t.Errorf("only %d cases, appeals and blocks were there to look at", seen)
	}
	clean(t, ctx, at(8080)+"/search?q="+lured+"&lang=en")
	wants(t, ctx, "the case of the attachments", lured)

	// Files for a spreadsheet: no cell is a formula.
	for _, path := range []string{"/queue?state=all&format=csv", "/blocks?format=csv", "/appeals?format=csv", "/orders?format=csv", "/campaigns?format=csv", "/audit?format=csv", "/proposals?format=csv", "/notices?format=csv", "/api/v1/figures/csv"} {
		body := eval2(t, ctx, `fetch(`+"`"+path+"`"+`).then(r=>r.ok?r.text():'')`)
		rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		t.Logf("%s: %d rows", path, len(rows))
		for _, row := range rows {
			for _, cell := range row {
				if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r\n") {
					t.Errorf("%s: a cell is a formula: %q", path, cell)
				}
			}
		}
	}

	// The log: one line is one thing that the program says.
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(log), "\n") {
		if strings.HasPrefix(line, "level=ERROR msg=\"made up") || strings.HasPrefix(line, "<script") {
			t.Errorf("a stranger wrote a line of the log: %s", line)
		}
	}
}

// echoed holds that an answer says nothing of a stranger's as markup.
func echoed(t *testing.T, what, body string) {
	t.Helper()
	for _, bad := range []string{"<script>pwned", "<img src=x", "<svg/onload"} {
		if strings.Contains(body, bad) {
			t.Errorf("%s: the answer holds %s:\n%s", what, bad, body)
		}
	}
}

// send asks as a program does, with any Host and name of a browser; with a form
// it sends that.
func send(t *testing.T, to, host, agent string, form url.Values) string {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.DialTimeout("tcp", u.Host, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	method, body := "GET", ""
	if form != nil {
		method, body = "POST", form.Encode()
	}
	if host == "" {
		host = u.Host
	}
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nAccept: text/html\r\nX-Forwarded-For: %s\r\nReferer: %s\r\nOrigin: %s\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		method, u.RequestURI(), host, agent, inPage, inPage, u.Scheme+"://"+u.Host, len(body), body)
	b, err := io.ReadAll(io.LimitReader(c, 1<<20))
	if err != nil && len(b) == 0 {
		t.Errorf("%s: %v", to, err)
	}
	return string(b)
}

// eval2 is eval of a promise.
func eval2(t *testing.T, ctx context.Context, script string) string {
	t.Helper()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return s
}
