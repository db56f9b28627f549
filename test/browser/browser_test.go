//go:build browser

// Package browser walks through console, public site and warning page with a
// real Chromium, and takes pictures of them.
package browser

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"bolwerk/test/live"
)

// offset is this run's own for as long as it lasts.
var offset, giveBack, errOffset = live.Offset()

func TestMain(m *testing.M) {
	code := m.Run()
	if errOffset == nil {
		giveBack()
	}
	os.Exit(code)
}

func at(port int) string { return fmt.Sprintf("http://localhost:%d", port+offset) }

// chromium is the browser's path. In CI it must be there.
func chromium(t *testing.T) string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			return p
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("chromium is not installed: test/peers/install.sh installs it")
	}
	t.Skip("chromium is not installed: test/peers/install.sh installs it")
	return ""
}

// demo starts the product and gives the log-in link that it prints.
func demo(t *testing.T) (dir, link string) {
	if errOffset != nil {
		t.Fatal(errOffset)
	}
	dir = t.TempDir()
	bin := filepath.Join(dir, "bolwerk")
	build := exec.Command("go", "build", "-o", bin, "bolwerk/cmd/bolwerk")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	cmd := exec.Command(bin, "demo", "--data", filepath.Join(dir, "demo"), "--port-offset", fmt.Sprint(offset))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	cmd.Stderr = io.MultiWriter(os.Stderr, log)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() })
	found := make(chan string, 1)
	go func() {
		re := regexp.MustCompile(`http://localhost:\d+/welcome/\S+`)
		link := ""
		for sc := bufio.NewScanner(out); sc.Scan(); {
			if m := re.FindString(sc.Text()); m != "" && link == "" {
				link = m
			}
			if sc.Text() == "ready" {
				found <- link
			}
		}
		close(found) // it ended
	}()
	select {
	case link = <-found:
	case <-time.After(90 * time.Second):
		t.Fatal("the demo was not ready after 90 s")
	}
	if link == "" {
		t.Fatal("the demo printed no log-in link")
	}
	return dir, link
}

func open(t *testing.T) context.Context { return openFor(t, 90*time.Second) }

// openFor is a browser with one page, for at most some time.
func openFor(t *testing.T, most time.Duration) context.Context {
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(alloc)
	ctx, timeout := context.WithTimeout(ctx, most)
	t.Cleanup(func() { timeout(); cancel(); stop() })
	return ctx
}

func do(t *testing.T, ctx context.Context, what string, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	start := time.Now()
	err := chromedp.Do(ctx, steps...)
	t.Logf("%s: %s", what, time.Since(start).Round(time.Millisecond))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// text is what the page says; one that goes away under the question is asked again.
func text(t *testing.T, ctx context.Context) string {
	t.Helper()
	s, err := chromedp.Run(ctx, chromedp.TextContent(chromedp.CSS("body")))
	for i := 0; i < 200 && err != nil; i++ {
		time.Sleep(50 * time.Millisecond)
		s, err = chromedp.Run(ctx, chromedp.TextContent(chromedp.CSS("body")))
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wants holds that a page says all parts, now or after it has come: what was
// waited for may have stood on the page before it.
func wants(t *testing.T, ctx context.Context, where string, parts ...string) {
	t.Helper()
	said := func(got string) bool {
		return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(got, p) })
	}
	got := text(t, ctx)
	for i := 0; i < 200 && !said(got); i++ {
		time.Sleep(50 * time.Millisecond)
		got = text(t, ctx)
	}
	for _, p := range parts {
		if !strings.Contains(got, p) {
			t.Errorf("%s: %q is not on the page:\n%s", where, p, got)
		}
	}
}

// picture keeps a picture of the page where BOLWERK_PICTURES names a folder.
func picture(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("BOLWERK_PICTURES")
	if dir == "" {
		return
	}
	for _, width := range []int64{390, 1440} {
		do(t, ctx, "size", chromedp.EmulateViewport(width, 900))
		b, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d.png", name, width)), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// visitor opens a page as somebody does who followed the link: a browser of
// their own, in which the name leads to the warning page as our DNS would.
func visitor(t *testing.T, url string, parts ...string) {
	t.Helper()
	flags := []string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--user-data-dir=" + t.TempDir(), fmt.Sprintf("--host-resolver-rules=MAP *.example:80 127.0.0.1:%d", 8082+offset),
		// Browsers try https first and warn of plain http: here it is the
		// warning page itself that is looked at.
		"--disable-features=HttpsUpgrades,HttpsFirstBalancedMode,HttpsFirstBalancedModeAutoEnable"}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	got, err := exec.CommandContext(ctx, chromium(t), append(flags, "--dump-dom", url)...).Output()
	if err != nil {
		t.Fatalf("visitor: %v", err)
	}
	for _, p := range parts {
		if !strings.Contains(string(got), p) {
			t.Errorf("warning page: %q is not on the page:\n%s", p, got)
		}
	}
	if dir := os.Getenv("BOLWERK_PICTURES"); dir != "" {
		for _, width := range []int{500, 1440} { // headless windows are not narrower
			shot := fmt.Sprintf("--screenshot=%s", filepath.Join(dir, fmt.Sprintf("warning-%d.png", width)))
			if err := exec.CommandContext(ctx, chromium(t), append(flags, fmt.Sprintf("--window-size=%d,900", width), shot, url)...).Run(); err != nil {
				t.Errorf("picture of the warning page: %v", err)
			}
		}
	}
}

// TestWalk is a duty officer's first quarter of an hour, and a visitor's.
func TestWalk(t *testing.T) {
	chromium(t)
	dir, link := demo(t)
	ctx := open(t)
	do(t, ctx, "log in", chromedp.EmulateViewport(1440, 900), chromedp.Navigate(link), chromedp.Click(chromedp.CSS("main button")), chromedp.WaitVisible(chromedp.CSS(`form[action="/logout"]`)))
	wants(t, ctx, "today", "joris")
	picture(t, ctx, "today")

	report := exec.Command(filepath.Join(dir, "bolwerk"), "report", "mail", filepath.Join(dir, "demo", "phish.eml"), "--server", at(8081))
	if out, err := report.CombinedOutput(); err != nil {
		t.Fatalf("report: %v\n%s", err, out)
	}
	const name = "merelbank-ontgrendelen.example"
	for i := 0; ; i++ {
		do(t, ctx, "queue", chromedp.Navigate(at(8080)+"/queue?q=ontgrendelen"), chromedp.WaitVisible(chromedp.CSS("main")))
		if strings.Contains(text(t, ctx), "ontgrendelen") {
			break
		}
		if i == 50 {
			t.Fatal("the case is not in the queue after 10 s")
		}
		time.Sleep(200 * time.Millisecond)
	}
	do(t, ctx, "whole queue", chromedp.Navigate(at(8080)+"/queue"), chromedp.WaitVisible(chromedp.CSS("main")))
	picture(t, ctx, "queue")
	do(t, ctx, "case", chromedp.Navigate(at(8080)+"/queue?q=ontgrendelen"), chromedp.Click(chromedp.CSS("main a.row")), chromedp.WaitVisible(chromedp.CSS("#confirm-reason")))
	wants(t, ctx, "case", "Merelbank", "DMARC")
	picture(t, ctx, "case")
	do(t, ctx, "confirm", chromedp.EmulateViewport(1440, 900), chromedp.SendKeys(chromedp.CSS("#confirm-reason"), "asks for the bank password\r"), chromedp.WaitVisible(chromedp.CSS("main")))
	until(t, ctx, `new URLSearchParams(location.search).get("done") === "blocked"`)
	do(t, ctx, "block", chromedp.Navigate(at(8080)+"/block/"+name), chromedp.WaitVisible(chromedp.CSS("main")))
	wants(t, ctx, "block", "asks for the bank password")
	picture(t, ctx, "block")

	visitor(t, "http://"+name+"/login?card=1", name, "Polder Telecom")
	for _, p := range []struct{ name, path string }{{"public", "/"}, {"public-name", "/name?name=" + name}} {
		do(t, ctx, p.name, chromedp.Navigate(at(8081)+p.path), chromedp.WaitVisible(chromedp.CSS("main")))
		picture(t, ctx, p.name)
	}
	for _, page := range []string{"blocks", "orders", "appeals", "name?name=" + name, "mail", "audit", "account"} {
		do(t, ctx, page, chromedp.Navigate(at(8080)+"/"+page), chromedp.WaitVisible(chromedp.CSS("main")))
		picture(t, ctx, strings.Split(page, "?")[0])
	}
	if _, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", 8080+offset), time.Second); err != nil {
		t.Errorf("the console no longer answers: %v", err)
	}
}
