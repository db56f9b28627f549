//go:build browser

package browser

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"bolwerk/test/wrap"
)

// comes asks for a page until it says a word.
func comes(t *testing.T, ctx context.Context, page, word string) {
	t.Helper()
	for range 900 {
		do(t, ctx, page, chromedp.Navigate(page), chromedp.WaitVisible(chromedp.CSS("main")))
		if main, err := chromedp.Run(ctx, chromedp.TextContent(chromedp.CSS("main"))); err == nil && strings.Contains(main, word) {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatalf("%s never said %q", page, word)
}

// TestScreenshot is somebody who sends a screenshot of a text message, and a mail
// that Outlook saved, by the form; and a person who reads the one by keyboard,
// without scripts. The machine reads no letters here: that is the default.
func TestScreenshot(t *testing.T) {
	chromium(t)
	dir, link := demo(t)
	ctx := openFor(t, 5*time.Minute) // pictures are read when nobody else wants the processor
	const sms = `<meta charset=utf-8><body style="font:20px sans-serif"><p style="background:#e9e9eb;padding:12px">Merelbank: bevestig uw gegevens via https://merelbank-sms.example/veilig`
	do(t, ctx, "text message", chromedp.EmulateViewport(390, 700), chromedp.Navigate("data:text/html,"+url.PathEscape(sms)))
	shot, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	mail, err := wrap.Parse([]byte("From: Merelbank <a@mailer.example>\r\nSubject: Uw rekening\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<a href=\"https://merelbank-outlook.example/inloggen\">hier</a>\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{"sms.png": shot, "mail.msg": mail.MSG(0)} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, body, 0o600); err != nil {
			t.Fatal(err)
		}
		do(t, ctx, name, chromedp.Navigate(at(8081)+"/?lang=nl"), chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{file}),
			chromedp.Click(chromedp.CSS("form:has(#file) button")), chromedp.WaitVisible(chromedp.CSS(".give")))
	}
	do(t, ctx, "log in", chromedp.Navigate(link), chromedp.Click(chromedp.CSS("main button")), chromedp.WaitVisible(chromedp.CSS(`form[action="/logout"]`)))
	comes(t, ctx, at(8080)+"/queue?q=merelbank-outlook", "merelbank-outlook")
	comes(t, ctx, at(8080)+"/pictures?lang=en", "Address in the picture")
	if os.Getenv("BOLWERK_PICTURES") != "" {
		for _, lang := range []string{"nl", "en"} {
			for _, light := range []string{"light", "dark"} {
				scheme(t, ctx, light)
				do(t, ctx, lang, chromedp.Navigate(at(8080)+"/pictures?lang="+lang), chromedp.WaitVisible(chromedp.CSS("#address")))
				picture(t, ctx, "picture-"+lang+"-"+light)
			}
		}
	}
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, "page", chromedp.EmulateViewport(390, 844), chromedp.Navigate(at(8080)+"/pictures?lang=en"), chromedp.WaitVisible(chromedp.CSS("#address")))
	// The field has the focus: what is typed goes there, and Return sends it.
	do(t, ctx, "type", chromedp.KeyEvent("no address\r"), chromedp.WaitVisible(chromedp.CSS("#wrong")))
	wants(t, ctx, "refused", "type it as it stands in the picture")
	do(t, ctx, "type", chromedp.Clear(chromedp.CSS("#address")), chromedp.SendKeys(chromedp.CSS("#address"), "merelbank-sms.example/veilig\r"), chromedp.WaitVisible(chromedp.CSS(".empty")))
	comes(t, ctx, at(8080)+"/queue?q=merelbank-sms", "merelbank-sms")
	do(t, ctx, "case", chromedp.Click(chromedp.CSS("main a.row")), chromedp.WaitVisible(chromedp.CSS("#confirm-reason")))
	picture(t, ctx, "picture-case")
}
