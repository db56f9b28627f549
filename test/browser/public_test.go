//go:build browser

package browser

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// fits says by how much the page is wider than the window.
func fits(t *testing.T, ctx context.Context, where string) {
	t.Helper()
	over, err := chromedp.Run(ctx, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
	if err != nil {
		t.Fatal(err)
	}
	if over > 0 {
		t.Errorf("%s: %d px wider than the window", where, over)
	}
}

// TestReporterOnAPhone is somebody who got a suspicious link: reports it, reads
// the receipt until it says blocked, and looks what to do.
func TestReporterOnAPhone(t *testing.T) {
	chromium(t)
	dir, _ := demo(t)
	ctx := open(t)
	const name = "merelbank-kaartpas.example"
	do(t, ctx, "report", chromedp.EmulateViewport(390, 844), chromedp.Navigate(at(8081)+"/?lang=nl"), chromedp.WaitVisible(chromedp.CSS("#text")))
	wants(t, ctx, "first page", "Meld een verdacht bericht", "Eerste hulp")
	fits(t, ctx, "first page")
	do(t, ctx, "send", chromedp.SendKeys(chromedp.CSS("#text"), "https://"+name+"/inloggen?klant=7"), chromedp.Click(chromedp.CSS("main form button")), chromedp.WaitVisible(chromedp.CSS(".give")))
	bookmark, err := chromedp.Run(ctx, chromedp.Location())
	if err != nil {
		t.Fatal(err)
	}
	code, err := chromedp.Run(ctx, chromedp.TextContent(chromedp.CSS(".give")))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(bookmark, "/r/"+strings.ReplaceAll(code, "-", "")) || !strings.Contains(bookmark, "lang=nl") {
		t.Errorf("the bookmark is %s, the code %s", bookmark, code)
	}
	fits(t, ctx, "receipt")
	picture(t, ctx, "public-received")

	confirm := func() error {
		cmd := exec.Command(filepath.Join(dir, "bolwerk"), "case", "confirm", name, "--reason", "asks for the card", "--server", at(8080), "--token-file", filepath.Join(dir, "demo", "demo.token"))
		return cmd.Run()
	}
	for end := time.Now().Add(20 * time.Second); confirm() != nil; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no case to confirm after 20 s")
		}
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		do(t, ctx, "look again", chromedp.EmulateViewport(390, 844), chromedp.Navigate(bookmark), chromedp.WaitVisible(chromedp.CSS("h1")))
		if strings.Contains(text(t, ctx), "De website is geblokkeerd") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("not blocked after 20 s:\n%s", text(t, ctx))
		}
	}
	wants(t, ctx, "receipt", name, "U mag het bericht nu verwijderen", "na uw melding")
	picture(t, ctx, "public-blocked")

	do(t, ctx, "already entered", chromedp.EmulateViewport(390, 844), chromedp.Click(chromedp.CSS(`.part a.button[href^="/first-aid"]`)), chromedp.WaitVisible(chromedp.CSS("#card")))
	wants(t, ctx, "first aid", "Laat nu uw kaart blokkeren", "078 000 001")
	do(t, ctx, "look up", chromedp.Navigate(at(8081)+"/name?lang=nl"), chromedp.SendKeys(chromedp.CSS("#q"), "hxxps://"+strings.ReplaceAll(name, ".", "[.]")+"/inloggen\r"), chromedp.WaitVisible(chromedp.CSS("#appeal")))
	wants(t, ctx, "look-up", "Geblokkeerd", "Beslist door")

	// The smallest window in use, every page, with the longest words.
	for _, lang := range []string{"nl", "de"} {
		for _, path := range []string{"/", "/r", "/name", "/name?q=" + name, "/warnings", "/first-aid", "/learn", "/learn/phishing", "/learn/helpdesk", "/learn/shop", "/learn/call", "/learn/password", "/learn/owner", "/transparency"} {
			to := path + "?lang=" + lang
			if strings.Contains(path, "?") {
				to = path + "&lang=" + lang
			}
			do(t, ctx, to, chromedp.EmulateViewport(320, 640), chromedp.Navigate(at(8081)+to), chromedp.WaitVisible(chromedp.CSS("h1")))
			fits(t, ctx, to)
		}
	}
}
