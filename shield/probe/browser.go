package probe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Bounds of one run of the browser.
const (
	renderFor      = 25 * time.Second
	roomForPicture = 1 << 20
	browserMemory  = 1200 << 20 // of all its processes
	browserCPU     = "60"       // seconds of each
	browserFile    = "204800"   // blocks of 512 octets of a file that it writes
	lookAtMemory   = 200 * time.Millisecond
	openFor        = 15 * time.Second
)

// browser runs pages' scripts in a Chromium that is installed, in its own sandbox
// and in namespaces without any network: what a page asks for is fetched by the
// probe, by its rules, and handed over. It is started for one page and killed.
type browser struct {
	wanted string // of the configuration
	log    *slog.Logger
	slot   chan struct{} // one at a time

	mu     sync.Mutex
	path   string
	reason string // why it does not run
}

func newBrowser(wanted string, log *slog.Logger) *browser {
	return &browser{wanted: wanted, log: log, slot: make(chan struct{}, 1), reason: "not looked for yet"}
}

// why says why pages' scripts are not run; "" where they are.
func (b *browser) why() string { b.mu.Lock(); defer b.mu.Unlock(); return b.reason }

func (b *browser) set(path, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.path, b.reason = path, reason
}

// begin finds the browser and tries once whether it runs in its sandbox.
func (b *browser) begin(ctx context.Context) {
	if b.wanted == "off" {
		b.set("", "it is off")
		return
	}
	names := []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome"}
	if b.wanted != "" {
		names = []string{b.wanted}
	}
	for _, n := range names {
		path, err := exec.LookPath(n)
		if err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, openFor)
		defer cancel()
		r, err := b.open(ctx, path)
		if err == nil {
			var out struct{ Product string }
			if err = r.call(ctx, "", "Browser.getVersion", struct{}{}, &out); err == nil {
				b.log.Info("scripts of pages are run", "browser", out.Product)
			}
			err = errors.Join(err, r.end(err))
		}
		if err != nil {
			b.set("", "it cannot be run in a sandbox: "+clip(err.Error(), 300))
			b.log.Warn("scripts of pages are not run: the browser cannot be started in a sandbox", "browser", path, "err", err)
			return
		}
		b.set(path, "")
		return
	}
	b.set("", "no Chromium is installed")
	if b.wanted != "" {
		b.log.Warn("scripts of pages are not run: no browser is there", "browser", b.wanted)
	}
}

// run is a browser that runs.
type run struct {
	*cdp
	cmd  *exec.Cmd
	dir  string
	told *tail
	stop context.CancelFunc
	done chan struct{}
	over error // why it was killed
}

// open starts a browser with a folder of its own.
func (b *browser) open(ctx context.Context, path string) (*run, error) {
	dir, err := os.MkdirTemp("", "bolwerk-page-")
	if err != nil {
		return nil, err
	}
	toBrowser, w, err1 := os.Pipe()
	r, fromBrowser, err2 := os.Pipe()
	if err := errors.Join(err1, err2); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	args := []string{"-c", "ulimit -c 0; ulimit -t " + browserCPU + "; ulimit -f " + browserFile + `; exec "$0" "$@"`, path,
		"--headless", "--remote-debugging-pipe", "--user-data-dir=" + filepath.Join(dir, "profile"), "--no-first-run", "--no-default-browser-check",
		"--disable-gpu", "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-domain-reliability",
		"--disable-breakpad", "--disable-crash-reporter", "--no-pings", "--mute-audio", "--hide-scrollbars", "--disable-dev-shm-usage", "--block-new-web-contents", "--disable-site-isolation-trials",
		"--renderer-process-limit=2", "--js-flags=--max-old-space-size=256", "--disk-cache-size=16777216", "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
		"--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9", "--proxy-bypass-list=<-loopback>", "about:blank"}
	life, stop := context.WithTimeout(ctx, openFor+renderFor)
	cmd := exec.CommandContext(life, "/bin/sh", args...)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=/usr/bin:/bin", "LANG=C.UTF-8"}
	cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser} // 3 and 4
	out := &run{cmd: cmd, dir: dir, told: &tail{}, stop: stop, done: make(chan struct{})}
	cmd.Stderr = out.told
	cmd.WaitDelay = time.Second
	apart(cmd)
	err = cmd.Start()
	toBrowser.Close()
	fromBrowser.Close()
	if err != nil {
		stop()
		w.Close()
		r.Close()
		os.RemoveAll(dir)
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	out.cdp = newCDP(r, w)
	go func() {
		defer close(out.done)
		cmd.Wait()
		w.Close()
		r.Close()
	}()
	go out.watch(life)
	return out, nil
}

// watch kills a browser that takes too much memory.
func (r *run) watch(ctx context.Context) {
	tick := time.NewTicker(lookAtMemory)
	defer tick.Stop()
	for {
		select {
		case <-r.done:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
			if memoryOf(r.cmd.Process.Pid) > browserMemory {
				r.over = fmt.Errorf("it took more than %d MiB of memory", browserMemory>>20)
				r.stop()
				return
			}
		}
	}
}

// end kills it with all its processes and removes its folder. err is what went
// wrong before; what it said itself is added.
func (r *run) end(err error) error {
	r.stop()
	<-r.done
	killGroup(r.cmd.Process.Pid)
	os.RemoveAll(r.dir)
	if r.over != nil {
		return r.over
	}
	if err != nil {
		if last := r.told.String(); last != "" {
			return errors.New(last)
		}
	}
	return nil
}

// tail keeps the last line that says something of what a browser tells.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if len(t.text) > 8<<10 {
		t.text = t.text[len(t.text)-8<<10:]
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for line := range strings.SplitSeq(string(t.text), "\n") {
		if strings.Contains(line, "FATAL") || strings.Contains(strings.ToLower(line), "sandbox") {
			return clip(line, 250)
		}
	}
	return ""
}
