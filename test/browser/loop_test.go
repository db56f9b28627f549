//go:build browser

package browser

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// press types keys as somebody does who has no mouse.
func press(t *testing.T, ctx context.Context, keys string) {
	t.Helper()
	do(t, ctx, "press "+keys, chromedp.KeyEvent(keys))
}

// eval is what an expression is worth on the page.
func eval[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits for an expression to hold; a page that is on its way counts as not yet.
func until(t *testing.T, ctx context.Context, expression string) {
	t.Helper()
	for range 200 {
		if ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression)); err == nil && ok {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("after 10 s it does not hold that %s; the page is %s:\n%s", expression, eval[string](t, ctx, "location.href"), text(t, ctx))
}

// scheme sets what the reader prefers: light or dark.
func scheme(t *testing.T, ctx context.Context, value string) {
	t.Helper()
	do(t, ctx, value, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}}})
		return err
	}))
}

// queueOf logs in and waits until the invented world has brought so many cases.
func queueOf(t *testing.T, ctx context.Context, link string, cases int) {
	do(t, ctx, "log in", chromedp.EmulateViewport(1440, 900), chromedp.Navigate(link), chromedp.Click(chromedp.CSS("main button")))
	until(t, ctx, `!location.pathname.startsWith("/welcome") && document.readyState === "complete"`)
	for range 300 {
		do(t, ctx, "queue", chromedp.Navigate(at(8080)+"/queue?state=waiting&lang=en"), chromedp.WaitVisible(chromedp.CSS("main")))
		if eval[int](t, ctx, `document.querySelectorAll("[data-item]").length`) >= cases {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatalf("not %d cases after a minute", cases)
}

const focused = `document.activeElement`

// TestTenCasesByKeyboard works ten cases without a mouse, half of them in the
// dark: from the queue into a case, a reason, Enter, and the next one is there.
func TestTenCasesByKeyboard(t *testing.T) {
	chromium(t)
	_, link := demo(t)
	ctx := open(t)
	scheme(t, ctx, "light")
	queueOf(t, ctx, link, 14)

	press(t, ctx, "?")
	until(t, ctx, `document.querySelector("#keys").open`)
	press(t, ctx, "j") // the sheet has the keys now
	if eval[bool](t, ctx, focused+`.matches("[data-item]")`) {
		t.Error("j walks the queue behind the sheet")
	}
	press(t, ctx, "\x1b")
	until(t, ctx, `!document.querySelector("#keys").open`)
	press(t, ctx, "/")
	until(t, ctx, focused+`.id === "find"`)
	press(t, ctx, "\x1bf")
	until(t, ctx, focused+`.id === "q"`)
	press(t, ctx, "c") // typed, not done
	until(t, ctx, `document.querySelector("#q").value.endsWith("c")`)
	press(t, ctx, "\x1b")
	press(t, ctx, "jjk")
	until(t, ctx, focused+` === document.querySelectorAll("[data-item]")[0]`)
	press(t, ctx, "jx")
	until(t, ctx, `document.querySelector("[data-ticked]").textContent === "1"`)
	picture(t, ctx, "queue-light")
	do(t, ctx, "size", chromedp.EmulateViewport(1440, 900))
	press(t, ctx, "xk")

	press(t, ctx, "c") // into the first case, at its reasons
	until(t, ctx, `location.pathname.startsWith("/case/")`)
	seen := map[string]bool{}
	for n := 0; len(seen) < 10; n++ {
		if n == 40 {
			t.Fatalf("only %d cases were decided in 40 steps", len(seen))
		}
		if len(seen) == 5 {
			scheme(t, ctx, "dark")
		}
		until(t, ctx, `document.readyState === "complete"`)
		here := eval[string](t, ctx, "location.pathname")
		key, field := "c", "confirm"
		if n%3 == 2 || !eval[bool](t, ctx, `!!document.querySelector("#confirm")`) {
			key, field = "r", "reject"
		}
		press(t, ctx, key)
		until(t, ctx, focused+`.closest("#`+field+`") !== null`)
		press(t, ctx, "2")
		until(t, ctx, focused+`.checked && `+focused+` === document.querySelectorAll("#`+field+` [data-nth]")[1]`)
		if len(seen) == 0 || len(seen) == 5 {
			picture(t, ctx, map[int]string{0: "case-light", 5: "case-dark"}[len(seen)])
			do(t, ctx, "size", chromedp.EmulateViewport(1440, 900))
		}
		press(t, ctx, "\r")
		until(t, ctx, `location.pathname !== "`+here+`" || document.querySelector("#wrong") !== null`)
		to, err := url.Parse(eval[string](t, ctx, "location.href"))
		if err != nil {
			t.Fatal(err)
		}
		was := to.Query().Get("was")
		if was == "" { // the guards refused it: on to the next
			press(t, ctx, "\x1bn")
			until(t, ctx, `location.pathname !== "`+to.Path+`"`)
			continue
		}
		if !strings.HasSuffix(here, was) || !strings.HasPrefix(to.Path, "/case/") || to.Query().Get("from") != "state=waiting" {
			t.Fatalf("after %s the page is %s, want the next case of the same filter", here, to)
		}
		seen[was] = true
	}
	until(t, ctx, `document.readyState === "complete"`)
	here := eval[string](t, ctx, "location.pathname")
	press(t, ctx, "n")
	until(t, ctx, `location.pathname.startsWith("/case/") && location.pathname !== "`+here+`" && document.readyState === "complete"`)
	ref := strings.TrimPrefix(eval[string](t, ctx, "location.pathname"), "/case/")
	press(t, ctx, "u")
	until(t, ctx, `location.pathname === "/queue"`)
	until(t, ctx, focused+`.closest("tr") !== null && `+focused+`.closest("tr").id === "`+ref+`"`)
	for was := range seen {
		do(t, ctx, was, chromedp.Navigate(at(8080)+"/case/"+was), chromedp.WaitVisible(chromedp.CSS("main")))
		if got := text(t, ctx); !strings.Contains(got, "decided") && !strings.Contains(got, "second person") {
			t.Errorf("%s is not decided:\n%s", was, got)
		}
	}
	// Back shows the page again; nothing is decided twice and nothing breaks.
	before := eval[string](t, ctx, "location.href")
	eval[any](t, ctx, "history.back()")
	until(t, ctx, `location.href !== "`+before+`" && document.querySelector("main h1") !== null`)
}

// TestTenCasesWithoutJavaScript does the same by forms alone.
func TestTenCasesWithoutJavaScript(t *testing.T) {
	chromium(t)
	_, link := demo(t)
	ctx := open(t)
	queueOf(t, ctx, link, 14)
	do(t, ctx, "no script", chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}), chromedp.Navigate(at(8080)+"/queue?state=waiting"), chromedp.WaitVisible(chromedp.CSS("main")))
	if eval[bool](t, ctx, `document.documentElement.classList.contains("js")`) {
		t.Fatal("scripts run")
	}
	// Three together: tick, look, confirm.
	for _, nth := range []string{"1", "2", "3"} {
		do(t, ctx, "tick "+nth, chromedp.Click(chromedp.CSS(".queue tbody tr:nth-child("+nth+") input")))
	}
	do(t, ctx, "preview", chromedp.Click(chromedp.CSS(`.several button[value="reject"]`)), chromedp.WaitVisible(chromedp.CSS("#reject")))
	wants(t, ctx, "preview", "Reject 3 cases", "Nothing has happened yet.")
	picture(t, ctx, "several")
	do(t, ctx, "several", chromedp.EmulateViewport(1440, 900), chromedp.Click(chromedp.CSS("#reject .chips label")), chromedp.Click(chromedp.CSS("p.act button")), chromedp.WaitVisible(chromedp.CSS("main a.button")))
	wants(t, ctx, "result", "3 of 3 decided.")
	// Seven one by one.
	do(t, ctx, "back to the queue", chromedp.Click(chromedp.CSS("main a.button")))
	until(t, ctx, `location.pathname === "/queue" && document.readyState === "complete"`) // the result has items of its own
	do(t, ctx, "first case", chromedp.Click(chromedp.CSS("a[data-item]")), chromedp.WaitVisible(chromedp.CSS("#reject")))
	done := 0
	for n := 0; done < 7; n++ {
		if n == 20 {
			t.Fatalf("only %d cases were decided in 20 steps", done)
		}
		form := "#reject"
		if n%2 == 0 && eval[bool](t, ctx, `!!document.querySelector("#confirm")`) {
			form = "#confirm"
		}
		here := eval[string](t, ctx, "location.href")
		do(t, ctx, form, chromedp.Click(chromedp.CSS(form+" .chips label")), chromedp.Click(chromedp.CSS(form+" button")))
		until(t, ctx, `location.href !== "`+here+`" && document.readyState === "complete"`)
		if strings.Contains(eval[string](t, ctx, "location.href"), "was=C-") {
			done++
			continue
		}
		do(t, ctx, "next", chromedp.Click(chromedp.CSS("a.next")), chromedp.WaitVisible(chromedp.CSS("#reject")))
	}
}
