//go:build peers

package peers

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	gardenedge "bolwerk/abuse/edge"
	"bolwerk/abuse/garden"
	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
)

// A guest behind the line opens a browser: the check of its system leads to the page, the
// steps are ticked, release is asked for, and the check passes again. Pictures are kept
// where BOLWERK_PICTURES names a folder.
//
//	browser 198.51.100.7 --- world 192.0.2.10: the page
func TestABrowserBehindALineInQuarantine(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: network namespaces need root")
	}
	Need(t, "ip")
	Need(t, "chromium")
	line, world := newSpace(t, "guest"), newSpace(t, "net")
	line.run("ip", "link", "add", "acc0", "type", "veth", "peer", "name", "acc1", "netns", world.name)
	line.run("ip", "addr", "add", "198.51.100.7/24", "dev", "acc0")
	line.run("ip", "link", "set", "acc0", "up")
	world.run("ip", "addr", "add", "198.51.100.1/24", "dev", "acc1")
	world.run("ip", "addr", "add", "192.0.2.10/32", "dev", "acc1")
	world.run("ip", "link", "set", "acc1", "up")
	line.run("ip", "route", "add", "default", "via", "198.51.100.1")
	const check = "connectivitycheck.gstatic.com"
	world.names("198.51.100.1:53", map[string]string{check + ".": "192.0.2.10"}) // as the guest's DNS view does
	etc := filepath.Join("/etc/netns", line.name)
	if err := os.MkdirAll(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(etc) })
	if err := os.WriteFile(filepath.Join(etc, "resolv.conf"), []byte("nameserver 198.51.100.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}

	var mu sync.Mutex
	did := map[string]int{}
	cfg := gardenedge.DefaultConfig()
	cfg.Listen, cfg.URL, cfg.Addresses = "192.0.2.10:80", "http://192.0.2.10", []netip.Addr{netip.MustParseAddr("192.0.2.10")}
	edge, err := gardenedge.New(cfg, garden.Look{Operator: "Polder Telecom", Phone: "078 000 000"}, gardenedge.Parts{
		Clock: clock.New(), Log: slog.New(slog.DiscardHandler), Doubtful: func() bool { return false },
		HandIn: func(_ context.Context, _ string, body []byte) error {
			var ev garden.Event
			err := json.Unmarshal(body, &ev)
			mu.Lock()
			did[ev.What]++
			mu.Unlock()
			return err
		}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	guest, err := json.Marshal(garden.Guest{Quarantine: "q1", Ref: "Q-2026-000012", Case: "AB-2026-000031", Class: "malicious-code/infected-system", Family: "mirai", Profile: "leaky",
		Seen: []garden.Seen{{At: now.Add(-40 * time.Minute), What: "TCP 23"}}, Since: now.Add(-30 * time.Minute), Until: now.AddDate(0, 0, 30), SelfLeft: 2, State: "active"})
	if err != nil {
		t.Fatal(err)
	}
	tell := func(version int64, free bool) {
		en := copy.Entry{ID: "198.51.100.7/32", Version: version, Removed: free, Until: now.Add(time.Hour).UnixMicro()}
		if !free {
			en.Body = guest
		}
		if err := edge.Guests().Apply(copy.Head{}, []copy.Entry{en}); err != nil {
			t.Fatal(err)
		}
	}
	tell(1, false)
	world.within(func() error {
		l, err := net.Listen("tcp", cfg.Listen)
		if err != nil {
			return err
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- edge.Serve(ctx, l) }()
		t.Cleanup(func() { stop(); <-ended })
		return nil
	})

	// The browser runs in the line's namespace; it is driven by a pipe.
	wrap := filepath.Join(t.TempDir(), "browser")
	if err := os.WriteFile(wrap, fmt.Appendf(nil, "#!/bin/sh\nexec ip netns exec %s chromium \"$@\"\n", line.name), 0o755); err != nil {
		t.Fatal(err)
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(wrap), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("accept-lang", "nl"),
		chromedp.Flag("disable-features", "HttpsUpgrades,HttpsFirstBalancedMode,HttpsFirstBalancedModeAutoEnable"))...)
	defer stop()
	ctx, cancel := chromedp.NewContext(alloc)
	defer cancel()
	ctx, late := context.WithTimeout(ctx, 90*time.Second)
	defer late()
	do := func(what string, steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	says := func(want string) {
		t.Helper()
		if got, err := chromedp.Run(ctx, chromedp.TextContent(chromedp.CSS("body"))); err != nil || !strings.Contains(got, want) {
			t.Fatalf("%q is not on the page (%v):\n%s", want, err, got)
		}
	}
	picture := func(name string) {
		t.Helper()
		dir := os.Getenv("BOLWERK_PICTURES")
		if dir == "" {
			return
		}
		b, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "line-"+name+".png"), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	do("the check", chromedp.EmulateViewport(390, 844), chromedp.Navigate("http://"+check+"/generate_204"), chromedp.WaitVisible(chromedp.CSS("h1")))
	if where, err := chromedp.Run(ctx, chromedp.Location()); err != nil || where != cfg.URL+"/" {
		t.Fatalf("the check led to %s (%v)", where, err)
	}
	do("in Dutch", chromedp.Navigate(cfg.URL+"/?lang=nl"), chromedp.WaitVisible(chromedp.CSS("h1")))
	says("Uw internet staat in de veilige omgeving")
	picture("page")
	for i := range garden.Thing.Steps() {
		do("tick", chromedp.Click(chromedp.CSS("button[value=done]")), chromedp.WaitVisible(chromedp.CSS(fmt.Sprintf(".plan li:nth-child(%d).done", i+1))))
	}
	picture("ticked")
	do("release", chromedp.Click(chromedp.CSS("button[value=release]")), chromedp.WaitVisible(chromedp.CSS(".now .button")))
	says("U hebt gevraagd uw internet te openen")
	picture("asked")
	mu.Lock()
	if did["seen"] != 1 || did["done"] != len(garden.Thing.Steps()) || did["release"] != 1 {
		t.Errorf("handed in: %v", did)
	}
	mu.Unlock()
	tell(2, true)
	do("out", chromedp.Navigate(cfg.URL+"/?lang=nl"), chromedp.WaitVisible(chromedp.CSS("h1")))
	says("Deze lijn staat niet in de veilige omgeving")
	picture("free")
	out, err := exec.Command("ip", "netns", "exec", line.name, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-m", "10", "http://"+check+"/generate_204").Output()
	if err != nil || string(out) != fmt.Sprint(http.StatusNoContent) {
		t.Errorf("the check of a free line: %s (%v)", out, err)
	}
}
