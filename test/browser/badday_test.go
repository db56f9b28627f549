//go:build browser

package browser

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// another is a second browser window with cookies of its own: another person.
func another(t *testing.T, ctx context.Context) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	return ctx
}

// stranger is a site on the same machine that is not ours. It notes what it is
// asked and from where.
type stranger struct {
	url  string
	mu   sync.Mutex
	from []string // Referer of each question, behind its path
}

func newStranger(t *testing.T, body string) *stranger {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stranger{url: fmt.Sprintf("http://localhost:%d", l.Addr().(*net.TCPAddr).Port)}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.from = append(s.from, r.URL.Path+" "+r.Referer())
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, body)
	})}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return s
}

func (s *stranger) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.from...)
}

// logIn logs in with the demo's password.
func logIn(t *testing.T, ctx context.Context, dir, who string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "demo", "demo.password"))
	if err != nil {
		t.Fatal(err)
	}
	do(t, ctx, "log in as "+who, chromedp.EmulateViewport(1440, 900), chromedp.Navigate(at(8080)+"/login?next=/account&lang=en"), chromedp.WaitVisible(chromedp.CSS("#password")),
		chromedp.SendKeys(chromedp.CSS("#login"), who), chromedp.SendKeys(chromedp.CSS("#password"), strings.TrimSpace(string(b))+"\r"))
	onPage(t, ctx, "/account")
}

// reject decides the case on the page with the first reason at hand.
func reject(t *testing.T, ctx context.Context) {
	t.Helper()
	do(t, ctx, "reject", chromedp.Click(chromedp.CSS("#reject .chips label")), chromedp.Click(chromedp.CSS("#reject button")))
}

// TestBadDaysAtTheConsole is what goes wrong between people, browsers and
// sessions: two decide at once, a session ends in the middle of a decision, another site puts ours into a frame or waits for what the
// address of a page gives away.
func TestBadDaysAtTheConsole(t *testing.T) {
	chromium(t)
	dir, link := demo(t)
	anna := openFor(t, 6*time.Minute)
	queueOf(t, anna, link, 6)
	const refs = `[...document.querySelectorAll("a[data-item]")].map(e => e.getAttribute("href").split("?")[0]).filter(p => p.startsWith("/case/"))`
	cases := eval[[]string](t, anna, refs)
	if len(cases) < 6 {
		t.Fatalf("cases: %v", cases)
	}
	open := func(ctx context.Context, path string) {
		t.Helper()
		do(t, ctx, path, chromedp.Navigate(at(8080)+path), chromedp.WaitVisible(chromedp.CSS("#reject-reason")))
	}
	amira := another(t, anna)
	logIn(t, amira, dir, "amira")

	t.Run("two decide at once", func(t *testing.T) {
		open(anna, cases[0])
		open(amira, cases[0])
		reject(t, anna)
		until(t, anna, `new URLSearchParams(location.search).get("done") === "rejected"`)
		// The page of the slower one may have heard of it by itself; its form is
		// sent all the same, as by who was pressing Enter.
		do(t, amira, "the slower one", chromedp.SendKeys(chromedp.CSS("#reject-reason"), "me too"))
		eval[any](t, amira, `document.querySelector("#reject").form.requestSubmit(), null`)
		wants(t, amira, "slower", "Decided meanwhile by joris", "changed nothing")
	})
	t.Run("back and send again", func(t *testing.T) {
		open(anna, cases[4])
		do(t, anna, "reason", chromedp.SendKeys(chromedp.CSS("#reject-reason"), "only advertising"), chromedp.Click(chromedp.CSS("#reject button")))
		until(t, anna, `new URLSearchParams(location.search).get("done") === "rejected"`)
		eval[any](t, anna, `history.back(), null`)
		until(t, anna, `location.pathname === "`+cases[4]+`" && document.readyState === "complete"`)
		// The page as it was, or as it is by now: either way nothing is lost and
		// nothing happens twice.
		if eval[bool](t, anna, `document.querySelector("#reject-reason") !== null`) {
			eval[any](t, anna, `document.querySelector("#reject-reason").value = "only advertising", document.querySelector("#reject").form.requestSubmit(), null`)
			wants(t, anna, "sent again", "You have decided this already", "only advertising", "changed nothing")
		} else {
			wants(t, anna, "went back", "only advertising")
		}
	})
	t.Run("a session ends in a decision", func(t *testing.T) {
		open(amira, cases[2])
		do(t, amira, "reason", chromedp.SendKeys(chromedp.CSS("#reject-reason"), `their own "lesson" <b>`))
		cookies := chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, network.ClearBrowserCookies, cdp.Empty{})
			return err
		})
		do(t, amira, "the session ends", cookies, chromedp.KeyEvent("\r"), chromedp.WaitVisible(chromedp.CSS("#password")))
		b, _ := os.ReadFile(filepath.Join(dir, "demo", "demo.password"))
		do(t, amira, "log in again", chromedp.SendKeys(chromedp.CSS("#login"), "amira"), chromedp.SendKeys(chromedp.CSS("#password"), strings.TrimSpace(string(b))+"\r"))
		until(t, amira, `document.querySelector("#reject-reason") !== null && document.readyState === "complete"`)
		if got := eval[string](t, amira, `document.querySelector("#reject-reason").value`); got != `their own "lesson" <b>` {
			t.Errorf("the reason is %q after the log-in", got)
		}
		do(t, amira, "send it", chromedp.Click(chromedp.CSS("#reject button")))
		until(t, amira, `new URLSearchParams(location.search).get("done") === "rejected"`)
	})
	t.Run("in a frame", func(t *testing.T) {
		for name, to := range map[string]string{"console": at(8080) + cases[3], "log-in": at(8080) + "/login", "public": at(8081) + "/", "report": at(8081) + "/name?q=merelbank.example"} {
			s := newStranger(t, `<iframe src="`+to+`" onload="document.title='loaded'"></iframe>`)
			do(t, anna, name, chromedp.Navigate(s.url+"/"))
			until(t, anna, `document.title === "loaded"`)
			tree, err := chromedp.Call(anna, page.GetFrameTree, cdp.Empty{})
			if err != nil {
				t.Fatal(err)
			}
			if len(tree.FrameTree.ChildFrames) != 1 {
				t.Fatalf("%s: %d frames", name, len(tree.FrameTree.ChildFrames))
			}
			// A browser puts a page of its own in the place of one that it refused.
			if f := tree.FrameTree.ChildFrames[0].Frame; f.UnreachableURL == "" || strings.HasPrefix(f.URL, "http") {
				t.Errorf("%s stands in a frame of another site: %s", name, f.URL)
			}
		}
	})
	t.Run("what an address gives away", func(t *testing.T) {
		s := newStranger(t, "<h1>stranger</h1>")
		do(t, anna, "report", chromedp.Navigate(at(8081)+"/?lang=en"), chromedp.WaitVisible(chromedp.CSS("#text")), chromedp.SendKeys(chromedp.CSS("#text"), "https://merelbank-verwijzing.example/"), chromedp.Click(chromedp.CSS("main form button")), chromedp.WaitVisible(chromedp.CSS(".give")))
		receipt := eval[string](t, anna, "location.href")
		if !strings.Contains(receipt, "/r/") {
			t.Fatalf("the receipt is at %s", receipt)
		}
		for name, from := range map[string]string{"receipt": receipt, "console": at(8080) + cases[3], "log-in link": link} {
			do(t, anna, name, chromedp.Navigate(from), chromedp.WaitVisible(chromedp.CSS("main")))
			eval[any](t, anna, `(() => { const a = document.createElement("a"); a.href = "`+s.url+`/from"; document.body.append(a); a.click() })(), null`)
			until(t, anna, `location.pathname === "/from"`)
		}
		asked := 0
		for _, q := range s.asked() {
			if path, referrer, _ := strings.Cut(q, " "); path == "/from" {
				asked++
				if referrer != "" {
					t.Errorf("a stranger's site was told %q", referrer)
				}
			}
		}
		if asked != 3 {
			t.Errorf("the stranger was asked %d times, want 3: %v", asked, s.asked())
		}
	})
}
