//go:build peers

package peers

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"bolwerk/internal/dnsserve"
)

// front runs an edge's DNS server with all its doors; blocked.example and all below is
// blocked. asker is who asked last, as the policy saw it.
func front(t *testing.T, change func(*dnsserve.Config)) (at map[string]netip.AddrPort, dir string, asker func() string) {
	t.Helper()
	dir = t.TempDir()
	certificate(t, filepath.Join(dir, "dns"), "dns.front.example")
	at = map[string]netip.AddrPort{"plain": FreePort(t), "tls": FreePort(t), "https": FreePort(t), "quic": FreePort(t)}
	cfg := dnsserve.DefaultConfig()
	cfg.Upstream = []string{Upstream(t).String()}
	cfg.Encrypted = dnsserve.Encrypted{ListenTLS: at["tls"].String(), ListenHTTPS: at["https"].String(), ListenQUIC: at["quic"].String(), HTTP3: true,
		CertFile: filepath.Join(dir, "dns.pem"), KeyFile: filepath.Join(dir, "dns.key")}
	cfg.NSID, cfg.Chaos, cfg.DDRName, cfg.DDRAddresses = "edge-3.ams", true, "dns.front.example", []netip.Addr{netip.MustParseAddr("192.0.2.53")}
	change(&cfg)
	var mu sync.Mutex
	var last string
	policy := func(q *dnsserve.Question) (dnsserve.Answer, bool) {
		mu.Lock()
		defer mu.Unlock()
		last = q.From.Unmap().String()
		return dnsserve.Answer{Rcode: dnsserve.NXDomain, TTL: 60, EDE: 15}, strings.HasSuffix(string(q.Name), "\x07blocked\x07example\x00")
	}
	s, err := dnsserve.New(cfg, policy, nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	k, err := dnsserve.Listen(ctx, at["plain"].String(), cfg.WorkerCount())
	if err != nil {
		t.Fatal(err)
	}
	d, err := dnsserve.ListenEncrypted(ctx, cfg.Encrypted)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, d, k) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return at, dir, func() string { mu.Lock(); defer mu.Unlock(); return last }
}

func output(t *testing.T, binary string, args ...string) string {
	t.Helper()
	b, err := exec.CommandContext(t.Context(), binary, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", filepath.Base(binary), strings.Join(args, " "), err, b)
	}
	return string(b)
}

// kdig, which checks the certificate, gets the same over TLS, HTTPS and QUIC.
func TestFront_kdig(t *testing.T) {
	kdig := Need(t, "kdig")
	at, dir, _ := front(t, func(*dnsserve.Config) {})
	trust := []string{"+tls-ca=" + filepath.Join(dir, "dns.pem"), "+tls-hostname=dns.front.example", "+padding", "+retry=0"}
	for door, how := range map[string][]string{"tls": {"+tls"}, "https": {"+https=/dns-query"}, "quic": {"+quic"}} {
		args := slices.Concat([]string{"@127.0.0.1", "-p", fmt.Sprint(at[door].Port())}, trust, how) // what comes last decides
		if out := output(t, kdig, append(args, "www.blocked.example")...); !strings.Contains(out, "status: NXDOMAIN") || !strings.Contains(out, "EDE: 15") {
			t.Errorf("%s: a blocked name:\n%s", door, out)
		}
		if out := output(t, kdig, append(args, "ready.example")...); !strings.Contains(out, "status: NOERROR") || !strings.Contains(out, "PADDING") {
			t.Errorf("%s: another name:\n%s", door, out)
		}
	}
}

// dig sees which edge answers, and where it speaks TLS.
func TestFront_dig(t *testing.T) {
	dig := Need(t, "dig")
	at, _, _ := front(t, func(*dnsserve.Config) {})
	args := []string{"@127.0.0.1", "-p", fmt.Sprint(at["plain"].Port())}
	if out := output(t, dig, append(args, "+nsid", "www.blocked.example")...); !strings.Contains(out, `("edge-3.ams")`) {
		t.Errorf("NSID:\n%s", out)
	}
	if out := output(t, dig, append(args, "+short", "CH", "TXT", "id.server")...); strings.TrimSpace(out) != `"edge-3.ams"` {
		t.Errorf("id.server:\n%s", out)
	}
	out := output(t, dig, append(args, "+short", "_dns.resolver.arpa", "SVCB")...)
	for i, alpn := range []string{"dot", "doq", "h3,h2"} {
		door := []string{"tls", "quic", "https"}[i]
		if want := fmt.Sprintf(`%d dns.front.example. alpn="%s" port=%d ipv4hint=192.0.2.53`, i+1, alpn, at[door].Port()); !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}

// dnsdist says whose question it is, over UDP and TCP.
func TestFront_behindDnsdist(t *testing.T) {
	binary, dig := Need(t, "dnsdist"), Need(t, "dig")
	at, dir, asker := front(t, func(c *dnsserve.Config) { c.ProxyFrom = []string{"127.0.0.1/32"} })
	own := FreePort(t)
	write(t, dir, "dnsdist.conf", fmt.Sprintf("setLocal('%s')\nsetACL('127.0.0.0/8')\nnewServer({address='%s', useProxyProtocol=true})\n", own, at["plain"]))
	start(t, "dnsdist", binary, dir, own, "--supervised", "--disable-syslog", "-C", filepath.Join(dir, "dnsdist.conf"))
	for i, how := range []string{"+notcp", "+tcp"} {
		from := fmt.Sprintf("127.0.7.%d", i+1)
		out := output(t, dig, "@127.0.0.1", "-p", fmt.Sprint(own.Port()), "-b", from, how, fmt.Sprintf("x%d.blocked.example", i))
		if !strings.Contains(out, "NXDOMAIN") || asker() != from {
			t.Errorf("%s: asked as %s, want %s\n%s", how, asker(), from, out)
		}
	}
}

// BIRD takes what the guide to several edges has an operator paste.
func TestAnycastAsTheDocumentsSay(t *testing.T) {
	binary := Need(t, "bird")
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "do", "anycast.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "bird.conf", "router id 192.0.2.2;\n"+fenced(t, string(page), "bird"))
	output(t, binary, "-p", "-c", filepath.Join(dir, "bird.conf"))
}
