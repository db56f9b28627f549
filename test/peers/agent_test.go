//go:build peers

package peers

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bolwerk/bench/product"
)

// beside is a resolver with an agent of ours beside it.
type beside struct {
	kind     string
	agent    string // its folder
	resolver *Resolver
}

// startAgent runs "bolwerk agent" in a folder until the test ends.
func startAgent(t *testing.T, binary, config string) (stop func()) {
	t.Helper()
	out := &record{}
	cmd := exec.Command(binary, "agent", "--config", config)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	for !strings.Contains(out.String(), "ready") {
		select {
		case <-ended:
			t.Fatalf("the agent ended at once:\n%s", out)
		case <-time.After(20 * time.Millisecond):
		}
	}
	stop = func() { cmd.Process.Signal(syscall.SIGTERM); <-ended }
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("the agent of %s wrote:\n%s", config, tail(out.String(), 4000))
		}
	})
	return stop
}

// An agent beside each of four resolvers: a decision at the desk is in force there,
// is proved to be, is undone, is counted without anybody's address, and outlives the
// desk, the agent and the resolver.
func TestAgent(t *testing.T) {
	const warning, real = "192.0.2.1", "203.0.113.7"
	ctx, dir := t.Context(), t.TempDir()
	binary, err := product.Build(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	upstream := Upstream(t)
	p, err := product.Start(ctx, product.Options{Binary: binary, Dir: data, Upstream: upstream})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	defer func() {
		if t.Failed() {
			t.Logf("the desk wrote:\n%s", tail(p.Log(), 4000))
		}
	}()
	if _, err := p.Block(ctx, "before.bende.example", "subtree"); err != nil {
		t.Fatal(err)
	}

	var all []*beside
	configs := map[string]string{}
	for _, kind := range []string{"bind", "unbound", "pdns", "dnsdist"} {
		own := filepath.Join(dir, kind)
		config := filepath.Join(own, "bolwerk.toml")
		at, zones, tap, metrics := FreePort(t), FreePort(t), FreePort(t), FreePort(t)
		work := t.TempDir()
		if err := os.Mkdir(own, 0o700); err != nil {
			t.Fatal(err)
		}
		s := Setup{Primary: zones, Zones: []string{"p.rpz", "h.rpz", "b.rpz"}, Upstream: upstream, Listen: at, Dir: work}
		source := ""
		var startPeer func(testing.TB, Setup) *Resolver
		switch kind {
		case "bind":
			startPeer = Bind
			log := filepath.Join(work, "rpz.log")
			source = fmt.Sprintf("log = %q", log)
			s.More = fmt.Sprintf("logging { channel rpz { file %q; print-time yes; severity info; }; category rpz { rpz; }; };\n", log)
		case "unbound":
			startPeer = Unbound
			socket := filepath.Join(own, "tap")
			source = fmt.Sprintf("dnstap = %q", socket)
			s.More = fmt.Sprintf("dnstap:\n\tdnstap-enable: yes\n\tdnstap-socket-path: %q\n\tdnstap-log-client-response-messages: yes\n", socket)
		case "pdns":
			startPeer = PowerDNS
			source = fmt.Sprintf("protobuf = %q\nwipe = [%q, %q, \"wipe-cache\"]", tap, Need(t, "rec_control"), "--socket-dir="+work)
			s.More = fmt.Sprintf("protobufServer(%q)\n", tap)
		case "dnsdist":
			startPeer = DNSDist
			source = fmt.Sprintf("dnstap = %q\nfolder = %q", tap, filepath.Join(own, "files"))
			s.More = fmt.Sprintf("dofile(%q)\nlocal tap = newFrameStreamTcpLogger(%q)\naddSelfAnsweredResponseAction(AllRule(), DnstapLogResponseAction(\"dnsdist\", tap))\n", filepath.Join(own, "files", "bolwerk.lua"), tap)
		}
		text := fmt.Sprintf(`data = %q
metrics = { listen = %q }
smtp = { addresses = ["suspicious@bolwerk.example"] }
dns = { upstream = [%q] }
warning = { warning_addresses = [%q] }
[agent]
resolver = %q
ask = %q
listen = %q
%s
`, own, metrics, upstream, warning, kind, at, zones, source)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		line, err := exec.CommandContext(ctx, binary, "host", "add", "agent-"+kind, "--role", "agent", "--data", data).Output()
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(string(line))
		if out, err := exec.CommandContext(ctx, binary, "join", "--config", config, words[len(words)-1]).CombinedOutput(); err != nil {
			t.Fatalf("join: %v: %s", err, out)
		}
		startAgent(t, binary, config)
		configs[kind] = config
		all = append(all, &beside{kind: kind, agent: own, resolver: startPeer(t, s)})
	}
	every := func(what, name, address string, since time.Time) {
		t.Helper()
		for _, b := range all {
			took, err := product.Until(ctx, b.resolver.Addr, name, address, since, time.Minute)
			if err != nil {
				t.Fatalf("%s: %s: %v", what, b.kind, err)
			}
			t.Logf("%s at %s after %d ms", what, b.kind, took.Milliseconds())
		}
	}
	every("what stood before", "x.before.bende.example", warning, time.Now())

	// A name that each has in its cache is blocked, and let pass again.
	every("passes", "fresh.bende.example", real, time.Now())
	since := time.Now()
	if _, err := p.Block(ctx, "fresh.bende.example", "subtree"); err != nil {
		t.Fatal(err)
	}
	every("blocked", "fresh.bende.example", warning, since)
	every("blocked below", "a.fresh.bende.example", warning, since)

	// The desk knows what is in force, as of what was proved.
	proved := func() error {
		var now struct {
			Stands []struct {
				Name, Kind, State string
				Serial            int64
			} `json:"stands"`
		}
		if err := p.API(ctx, "GET", "/now", nil, &now); err != nil {
			return err
		}
		n := 0
		for _, s := range now.Stands {
			if s.Kind == "agent" && s.State == "current" && s.Serial > 0 {
				n++
			}
		}
		if n != len(all) {
			return fmt.Errorf("%d of %d agents are current: %+v", n, len(all), now.Stands)
		}
		return nil
	}
	soon(t, ctx, 30*time.Second, "every agent has proved it", proved)

	// Counted, each by its own way, with nobody's address.
	for range 5 {
		for _, b := range all {
			product.Answers(ctx, b.resolver.Addr, "fresh.bende.example", warning)
		}
	}
	soon(t, ctx, 40*time.Second, "every resolver's hits are counted", func() error {
		for _, b := range all {
			var n int
			for line := range strings.Lines(metricsOf(t, configs[b.kind])) {
				if strings.HasPrefix(line, "bolwerk_agent_hits_total") {
					fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &n)
				}
			}
			if n < 5 {
				return fmt.Errorf("%s: %d hits", b.kind, n)
			}
		}
		return nil
	})
	soon(t, ctx, 40*time.Second, "the desk has the counts", func() error {
		var x struct {
			By struct {
				Hits struct {
					DNS int64 `json:"dns_hits"`
				} `json:"hits"`
			} `json:"by"`
		}
		if err := p.API(ctx, "GET", "/names/fresh.bende.example", nil, &x); err != nil {
			return err
		}
		if x.By.Hits.DNS < 20 {
			return fmt.Errorf("%d hits at the desk, want 20 or more", x.By.Hits.DNS)
		}
		return nil
	})
	for _, b := range all {
		err := filepath.WalkDir(b.agent, func(path string, d os.DirEntry, err error) error {
			if os.IsNotExist(err) {
				return nil // handed in meanwhile
			}
			if err != nil || d.IsDir() || d.Type()&os.ModeSocket != 0 || filepath.Base(path) == "bolwerk.toml" || filepath.Base(path) == "host.json" {
				return nil
			}
			text, err := os.ReadFile(path)
			if os.IsNotExist(err) {
				return nil
			}
			if strings.Contains(string(text), "127.0.0.1") {
				t.Errorf("an address of a client is in %s", path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}

	since = time.Now()
	if out, err := p.Run(ctx, "block", "withdraw", "fresh.bende.example", "--reason", "an error"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	every("withdrawn", "fresh.bende.example", real, since)

	// The desk away: the resolvers go on.
	p.Stop()
	time.Sleep(2 * time.Second)
	every("without the desk", "y.before.bende.example", warning, time.Now())
}

// soon tries until it works.
func soon(t *testing.T, ctx context.Context, most time.Duration, what string, try func() error) {
	t.Helper()
	for end := time.Now().Add(most); ; time.Sleep(100 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) || ctx.Err() != nil {
			t.Fatalf("%s: not in %v: %v", what, most, err)
		}
	}
}

// metricsOf are the metrics of the agent with a configuration.
func metricsOf(t *testing.T, config string) string {
	t.Helper()
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), `metrics = { listen = "`)
	at, _, _ := strings.Cut(rest, `"`)
	out, err := exec.CommandContext(t.Context(), Need(t, "curl"), "-s", "http://"+netip.MustParseAddrPort(at).String()+"/metrics").Output()
	if err != nil {
		return ""
	}
	return string(out)
}
