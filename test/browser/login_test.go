//go:build browser

package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// passkeys gives the browser an authenticator of its own: a phone that knows its
// owner.
func passkeys(t *testing.T, ctx context.Context) {
	t.Helper()
	if _, err := chromedp.Call(ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true,
		IsUserVerified: true, AutomaticPresenceSimulation: true}}); err != nil {
		t.Fatal(err)
	}
}

// onPage waits until the page of path is there.
func onPage(t *testing.T, ctx context.Context, path string) {
	t.Helper()
	for i := 0; ; i++ {
		got, err := chromedp.Run(ctx, chromedp.Location())
		if err == nil && strings.HasPrefix(strings.TrimPrefix(got, at(8080)), path) {
			do(t, ctx, path, chromedp.WaitVisible(chromedp.CSS("main")))
			return
		}
		if i == 100 {
			t.Fatalf("at %s after 10 s, want %s: %v\n%s", got, path, err, text(t, ctx))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// shots keeps pictures of a page: light and dark, nl, fr, de and en, phone and desktop.
func shots(t *testing.T, ctx context.Context, path, name string) {
	t.Helper()
	if os.Getenv("BOLWERK_PICTURES") == "" {
		return
	}
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	for _, c := range []struct{ lang, scheme string }{{"nl", "light"}, {"fr", "light"}, {"de", "light"}, {"en", "dark"}, {"en", "light"}} {
		if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: c.scheme}}}); err != nil {
			t.Fatal(err)
		}
		do(t, ctx, name, chromedp.Navigate(at(8080)+path+sep+"lang="+c.lang), chromedp.WaitVisible(chromedp.CSS("main")))
		picture(t, ctx, name+"-"+c.lang+"-"+c.scheme)
	}
}

// TestPasskeys is a duty officer who makes a passkey, logs in with it, and
// approves on a phone in the night.
func TestPasskeys(t *testing.T) {
	chromium(t)
	dir, _ := demo(t)
	b, err := os.ReadFile(filepath.Join(dir, "demo", "demo.password"))
	if err != nil {
		t.Fatal(err)
	}
	password := strings.TrimSpace(string(b))
	ctx := open(t)
	do(t, ctx, "start", chromedp.EmulateViewport(1440, 900), chromedp.Navigate(at(8080)+"/login?next=/account"), chromedp.WaitVisible(chromedp.CSS("#password")))
	passkeys(t, ctx)
	shots(t, ctx, "/login?next=/account", "login")
	if seen, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`[...document.querySelectorAll("[hidden]")].some((e) => e.getClientRects().length > 0)`)); err != nil || seen {
		t.Errorf("something hidden is seen: %v", err)
	}
	do(t, ctx, "log-in page", chromedp.EmulateViewport(1440, 900), chromedp.Navigate(at(8080)+"/login?next=/account"), chromedp.WaitVisible(chromedp.CSS("#password")))
	do(t, ctx, "password", chromedp.SendKeys(chromedp.CSS("#login"), "amira"), chromedp.SendKeys(chromedp.CSS("#password"), password+"\r"))
	onPage(t, ctx, "/account")

	do(t, ctx, "make a passkey", chromedp.SendKeys(chromedp.CSS("#passkey-name"), "my phone\r"))
	onPage(t, ctx, "/account?done=passkey")
	wants(t, ctx, "account", "my phone", "1 passkey")
	shots(t, ctx, "/account", "account")
	do(t, ctx, "recovery codes", chromedp.Navigate(at(8080)+"/account"), chromedp.Click(chromedp.CSS(`form[action^="/account/recovery"] button`)), chromedp.WaitVisible(chromedp.CSS(".codes")))
	picture(t, ctx, "codes")
	do(t, ctx, "log out", chromedp.EmulateViewport(1440, 900), chromedp.Click(chromedp.CSS(`form[action="/logout"] button`)))
	onPage(t, ctx, "/login")

	do(t, ctx, "log in with it", chromedp.Navigate(at(8080)+"/login?next=/account"), chromedp.Click(chromedp.CSS("form[data-passkey] button")))
	onPage(t, ctx, "/account")
	wants(t, ctx, "account", "amira")

	add := exec.Command(filepath.Join(dir, "bolwerk"), "block", "add", "boevenbende.example", "--scope", "registrable", "--reason", "all of it", "--json",
		"--server", at(8080), "--token-file", filepath.Join(dir, "demo", "demo.token"))
	out, err := add.Output()
	var decided struct {
		State    string
		Proposal struct{ ID, Digest string }
	}
	if err != nil || json.Unmarshal(out, &decided) != nil || decided.State != "second" {
		t.Fatalf("%v: %s", err, out)
	}
	// The link of the mail, on a phone. A proof of 5 minutes ago is asked for again.
	path := "/approve/" + decided.Proposal.ID
	do(t, ctx, "phone", chromedp.EmulateViewport(390, 844), chromedp.Navigate(at(8080)+"/proof?next="+path), chromedp.WaitVisible(chromedp.CSS("form[data-passkey] button")))
	shots(t, ctx, "/proof?next="+path, "proof")
	do(t, ctx, "show who it is", chromedp.EmulateViewport(390, 844), chromedp.Navigate(at(8080)+"/proof?next="+path), chromedp.WaitVisible(chromedp.CSS("form[data-passkey] button")), chromedp.Click(chromedp.CSS("form[data-passkey] button")))
	onPage(t, ctx, path)
	wants(t, ctx, "approve", "boevenbende.example", decided.Proposal.Digest, "registrable")
	shots(t, ctx, path, "approve")
	do(t, ctx, "back on the phone", chromedp.EmulateViewport(390, 844), chromedp.Navigate(at(8080)+path), chromedp.WaitVisible(chromedp.CSS("form.big button")))
	size, err := chromedp.Run(ctx, chromedp.Evaluate[string](`(() => { const b = document.querySelector("form.big button").getBoundingClientRect(); return [Math.floor(b.width), Math.floor(b.height), document.documentElement.scrollWidth, Math.ceil(b.bottom)].join(" ") })()`))
	if err != nil {
		t.Fatal(err)
	}
	var width, height, page, bottom int
	if _, err := fmt.Sscan(size, &width, &height, &page, &bottom); err != nil || height < 44 || width < 300 || page > 390 || bottom > 844 {
		t.Errorf("button and page on a phone: %s, want at least 300 x 44, no wider than 390, and the button on the screen", size)
	}
	do(t, ctx, "approve", chromedp.Click(chromedp.CSS("form.big button")))
	onPage(t, ctx, "/block/")
	wants(t, ctx, "block", "boevenbende.example", "approved by amira")
}

// TestPeople is two administrators, a change that takes both, and an envelope
// that is opened.
func TestPeople(t *testing.T) {
	chromium(t)
	dir, _ := demo(t)
	b, err := os.ReadFile(filepath.Join(dir, "demo", "demo.password"))
	if err != nil {
		t.Fatal(err)
	}
	password := strings.TrimSpace(string(b))
	ctx := open(t)
	login := func(name, password, next string) {
		t.Helper()
		do(t, ctx, "log in "+name, chromedp.EmulateViewport(1440, 900), chromedp.Navigate(at(8080)+"/login?next="+next), chromedp.WaitVisible(chromedp.CSS("#password")),
			chromedp.SendKeys(chromedp.CSS("#login"), name), chromedp.SendKeys(chromedp.CSS("#password"), password+"\r"))
		onPage(t, ctx, next)
	}
	logout := func() {
		t.Helper()
		do(t, ctx, "log out", chromedp.EmulateViewport(1440, 900), chromedp.Click(chromedp.CSS(`form[action="/logout"] button`)))
		onPage(t, ctx, "/login")
	}
	login("ilse", password, "/people/tom")
	do(t, ctx, "propose", chromedp.SetValue(chromedp.CSS("#role"), "analyst"), chromedp.SendKeys(chromedp.CSS("#role-reason"), "joins the night shift\r"))
	onPage(t, ctx, "/people/tom?done=proposed")
	shots(t, ctx, "/people/tom", "person")
	shots(t, ctx, "/people", "people")
	do(t, ctx, "the proposal", chromedp.Navigate(at(8080)+"/people"), chromedp.Click(chromedp.CSS(`a[href^="/approve/people/"]`)))
	onPage(t, ctx, "/approve/people/")
	wants(t, ctx, "own proposal", "tom", "Analyst", "You proposed this, or it is about you")
	path, err := chromedp.Run(ctx, chromedp.Location())
	if err != nil {
		t.Fatal(err)
	}
	path = strings.TrimPrefix(path, at(8080))
	logout()

	// With one administrator in the demo, the second is in the envelope.
	out, err := exec.Command(filepath.Join(dir, "bolwerk"), "user", "glass", "glass-1", "--role", "admin", "--reason", "the safe", "--json", "--data", filepath.Join(dir, "demo")).Output()
	var envelope struct{ Password string }
	if err != nil || json.Unmarshal(out, &envelope) != nil {
		t.Fatalf("%v: %s", err, out)
	}
	login("glass-1", envelope.Password, "/account")
	wants(t, ctx, "every page", "The break-glass account glass-1 is in use until")
	do(t, ctx, "young", chromedp.Navigate(at(8080)+path), chromedp.Click(chromedp.CSS("form.big button")), chromedp.WaitVisible(chromedp.CSS(".notice.harm[role=alert]")))
	wants(t, ctx, "an envelope of today", "younger than 24 hours")
	shots(t, ctx, path, "change")
}
