//go:build browser

package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// hostile mails carry in each part that we show what a stranger would like a
// browser to do.
var hostile = []string{
	"From: \"<script>pwned()</script>\" <a@mailer.example>\r\nTo: you@home.example\r\nSubject: =?utf-8?q?=3Cimg_src=3Dx_onerror=3Dpwned()=3E?= '\"><svg onload=pwned()>\r\n" +
		"Date: Mon, 23 Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" +
		"<script>pwned()</script><img src=x onerror=pwned()><a href=\"https://merelbank-xss.example/%3Cscript%3Epwned()%3C/script%3E?q='-pwned()-'\">javascript:pwned()</a><a href=\"javascript:pwned()\">x</a>",
	"From: \"\u202eknableverem\u202c\" <b@mailer.example>\r\nSubject: =?utf-8?b?4oCu4oCuZXhl4oCs?= " + strings.Repeat("W", 900) + "\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" +
		"https://xn--mrelbank-c1a.example/" + strings.Repeat("a", 1500) + " https://merelbank-" + strings.Repeat("x", 50) + ".example/\"onmouseover=\"pwned()\r\n",
	"From: =HYPERLINK(\"http://merelbank-csv.example\") <c@mailer.example>\r\nSubject: =cmd|' /C calc'!A0 {{.}} ${7*7}\r\nContent-Type: text/html\r\n\r\n<base href=//evil.example><form action=https://merelbank-form.example/><meta http-equiv=refresh content=0;url=https://merelbank-meta.example/>",
}

// watch notes in the page what it must not do.
const watch = `window.seen=[];window.pwned=()=>window.seen.push('a script of a stranger ran');window.alert=window.confirm=window.prompt=window.pwned;
document.addEventListener('securitypolicyviolation',e=>window.seen.push('against the policy: '+e.violatedDirective+' '+e.blockedURI));
window.addEventListener('error',e=>window.seen.push('a script broke: '+e.message));`

// look is how a page is looked at.
type look struct {
	name  string
	width int64
	dark  bool
}

var looks = []look{{"1440", 1440, false}, {"1440-dark", 1440, true}, {"390", 390, false}}

// narrow are the widths at which the longest words must still fit.
var narrow = []look{{"1280", 1280, false}, {"320", 320, false}}

// links are where a page leads on its own site, frames included.
const links = `[...document.querySelectorAll('a[href],iframe[src]')].map(e=>e.href||e.src)`

// wide names what is wider than the window, where the page can be pushed sideways.
const wide = `(()=>{const w=document.documentElement.clientWidth;if(document.documentElement.scrollWidth<=w+1)return'';
return [...document.querySelectorAll('body *')].filter(e=>e.getBoundingClientRect().right>w+1).slice(-3).map(e=>e.tagName+'.'+e.className+' '+(e.textContent||'').trim().slice(0,60)).join(' | ')||'the page'})()`

const axe = `axe.run(document,{iframes:false,resultTypes:['violations'],runOnly:['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','best-practice']}).then(r=>r.violations.map(v=>v.impact+': '+v.id+': '+v.help+': '+v.nodes.slice(0,3).map(n=>n.html.slice(0,160)+' '+(n.any[0]||n.all[0]||n.none[0]||{message:''}).message.slice(0,160)).join(' | ')))`

// shape is a page's address without what is particular to one: pages of a shape
// are looked at once or twice.
func shape(u *url.URL) string {
	path := regexp.MustCompile(`/(?:[A-Z]{1,2}-20\d\d-\d+|K-[^/]+|[0-9a-f-]{36}|[^/]*\.example|[a-z2-9]{26}|[^/]*%[^/]*|\d+)(/|$)`).ReplaceAllString(u.EscapedPath(), "/*$1")
	var keys []string
	for k := range u.Query() {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return path + "?" + strings.Join(keys, "&")
}

// crawl looks at every page that a person can reach by links, and tells what is
// wrong with it.
func crawl(t *testing.T, ctx context.Context, name, from, script string, looks []look, most int, skip func(*url.URL) bool) {
	base, err := url.Parse(from)
	if err != nil {
		t.Fatal(err)
	}
	queue, seen, times := []string{from}, map[string]bool{from: true}, map[string]int{}
	pages := 0
	for len(queue) > 0 && pages < most {
		at := queue[0]
		queue = queue[1:]
		u, err := url.Parse(at)
		if err != nil {
			t.Errorf("%s: a link that is no address: %q", name, at)
			continue
		}
		if times[shape(u)]++; times[shape(u)] > 2 {
			continue
		}
		pages++
		where := name + " " + u.RequestURI()
		t.Log(where)
		for i, l := range looks {
			if times[shape(u)] > 1 && i > 0 {
				break // its like was looked at in every way
			}
			if !see(t, ctx, where, at, name, shape(u), script, l, times[shape(u)] == 1) {
				break
			}
			if i > 0 {
				continue
			}
			next, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](links))
			if err != nil {
				t.Errorf("%s: %v", where, err)
			}
			for _, n := range next {
				n, _, _ = strings.Cut(n, "#")
				v, err := url.Parse(n)
				if err != nil || seen[n] || v.Host != base.Host || skip(v) {
					continue
				}
				seen[n] = true
				queue = append(queue, n)
			}
		}
	}
	if pages == most && most > 1 {
		t.Errorf("%s: more than %d pages", name, most)
	}
	t.Logf("%s: %d pages of %d shapes", name, pages, len(times))
}

// see looks at one page in one way; first is the first page of its shape.
func see(t *testing.T, ctx context.Context, where, at, name, shape, script string, l look, first bool) bool {
	ctx, done := context.WithTimeout(ctx, 30*time.Second)
	defer done()
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "light"}}
	if l.dark {
		features[0].Value = "dark"
	}
	media := chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
		return err
	})
	if err := chromedp.Do(ctx, media, chromedp.EmulateViewport(l.width, 900), chromedp.Navigate(at), chromedp.WaitReady(chromedp.CSS("body"))); err != nil {
		t.Errorf("%s: %v", where, err)
		return false
	}
	if over, err := chromedp.Run(ctx, chromedp.Evaluate[string](wide)); err != nil {
		t.Errorf("%s: %v", where, err)
	} else if over != "" {
		t.Errorf("%s, %s: wider than the window: %s", where, l.name, over)
	}
	if l.width > 1000 && script != "" && first {
		found, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](script+";"+axe, chromedp.EvalAwaitPromise))
		if err != nil {
			t.Errorf("%s: axe: %v", where, err)
		}
		for _, f := range found {
			if strings.HasPrefix(f, "serious") || strings.HasPrefix(f, "critical") {
				t.Errorf("%s, %s: %s", where, l.name, f)
			}
		}
	}
	if bad, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](`window.seen||[]`)); err != nil {
		t.Errorf("%s: %v", where, err)
	} else if len(bad) > 0 {
		t.Errorf("%s, %s: %s", where, l.name, strings.Join(bad, "; "))
	}
	if dir := os.Getenv("BOLWERK_PICTURES"); dir != "" && first {
		b, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		if err != nil {
			t.Errorf("%s: picture: %v", where, err)
		}
		file := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(shape), "-"), "-")
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%s-%s.png", strings.ReplaceAll(name, " ", "-"), file, l.name)), b, 0o644); err != nil {
			t.Error(err)
		}
	}
	return true
}

// files are what a browser would keep and not show, and the mails of strangers:
// they stand in a frame without scripts, on the page of their case.
func files(u *url.URL) bool {
	return strings.HasPrefix(u.Path, "/api/") || strings.HasPrefix(u.Path, "/static/") || strings.HasPrefix(u.Path, "/log/") || u.Path == "/logout" || strings.HasPrefix(u.Path, "/report/") || strings.HasSuffix(u.Path, "/picture") || u.Query().Has("format") ||
		slices.Contains([]string{".xml", ".atom", ".pdf", ".csv", ".json", ".txt", ".eml"}, filepath.Ext(u.Path)) || strings.Contains(u.Path, "/feed")
}

// TestEveryPage walks all pages of console and public site with what strangers
// sent in the store: nothing of theirs runs, the strict policy is never broken,
// axe finds nothing serious, nothing can be pushed sideways on a phone.
func TestEveryPage(t *testing.T) {
	chromium(t)
	found, err := filepath.Glob("../../.peers/axe-*.min.js")
	if err != nil {
		t.Fatal(err)
	}
	script := ""
	if len(found) > 0 {
		b, err := os.ReadFile(found[0])
		if err != nil {
			t.Fatal(err)
		}
		script = string(b)
	} else if os.Getenv("CI") != "" {
		t.Fatal("axe-core is not there: test/browser/axe.sh fetches it")
	} else {
		t.Log("axe-core is not there, so nobody asks about accessibility: test/browser/axe.sh fetches it")
	}
	dir, link := demo(t)
	for i, m := range hostile {
		file := filepath.Join(dir, fmt.Sprintf("hostile-%d.eml", i))
		if err := os.WriteFile(file, []byte(m), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(filepath.Join(dir, "bolwerk"), "report", "mail", file, "--server", at(8081)).CombinedOutput(); err != nil {
			t.Fatalf("report: %v\n%s", err, out)
		}
	}
	raw, err := exec.Command(filepath.Join(dir, "bolwerk"), "report", "url", "https://merelbank-link.example/\"><script>pwned()</script>", "--server", at(8081), "--json").CombinedOutput()
	if err != nil {
		t.Fatalf("report: %v\n%s", err, raw)
	}
	var receipt struct {
		Receipt string `json:"receipt"`
	}
	if err := json.Unmarshal(raw, &receipt); err != nil {
		t.Logf("%s: %v", raw, err)
	}
	time.Sleep(3 * time.Second) // they are read and judged

	ctx := openFor(t, 25*time.Minute) // several hundred looks, on a machine that may be busy
	do(t, ctx, "watch", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watch})
		return err
	}))
	do(t, ctx, "log in", chromedp.EmulateViewport(1440, 900), chromedp.Navigate(link), chromedp.Click(chromedp.CSS("main button")), chromedp.WaitVisible(chromedp.CSS(`form[action="/logout"]`)))
	crawl(t, ctx, "console", at(8080)+"/?lang=en", script, looks, 150, func(u *url.URL) bool { return files(u) || u.Query().Has("lang") })
	crawl(t, ctx, "console de", at(8080)+"/?lang=de", "", narrow, 150, func(u *url.URL) bool {
		return files(u) || u.Query().Has("lang") || strings.HasPrefix(u.Path, "/docs/") // those are in English only
	})
	for _, lang := range []string{"nl", "en"} {
		crawl(t, ctx, "public "+lang, at(8081)+"/?lang="+lang, script, looks, 80, func(u *url.URL) bool { return files(u) || u.Query().Has("lang") })
	}
	if receipt.Receipt != "" {
		crawl(t, ctx, "receipt", at(8081)+"/receipt/"+receipt.Receipt, script, looks, 1, files)
	}
}
