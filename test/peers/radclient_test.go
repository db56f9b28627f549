//go:build peers

package peers

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk/abuse/door"
	"bolwerk/abuse/session"
	"bolwerk/internal/clock"
)

// FreeRADIUS's radclient sends accounting, and believes our answers.
func TestRadclientSendsAccounting(t *testing.T) {
	radclient := Need(t, "radclient")
	dir := t.TempDir()
	file := filepath.Join(dir, "secret")
	if err := os.WriteFile(file, []byte("a secret of aaa1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := door.DefaultConfig()
	cfg.Clients = []door.Client{{Name: "aaa1", From: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, SecretFile: file}}
	var mu sync.Mutex
	var kept []session.Record
	a, err := door.NewAccounting(cfg, func(_ string, body []byte) (string, error) {
		records, err := session.Decode(body)
		mu.Lock()
		defer mu.Unlock()
		kept = append(kept, records...)
		return "id", err
	}, clock.New(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, conn) }()
	defer func() { stop(); <-ended }()
	send := func(secret, packet string) (string, error) {
		cmd := exec.Command(radclient, "-x", "-r", "1", "-t", "20", conn.LocalAddr().String(), "acct", secret)
		if secret == "another" {
			cmd.Args[5] = "1" // it is not answered
		}
		cmd.Stdin = strings.NewReader(packet)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	const packet = `Acct-Status-Type = Start, Acct-Session-Id = "0000a1", User-Name = "anna@isp.example", NAS-Identifier = "bng1", NAS-Port-Id = "eth 1/1/7:100",
Framed-IP-Address = 198.51.100.7, Framed-IPv6-Prefix = 2001:db8:1:2::/64, Delegated-IPv6-Prefix = 2001:db8:1:100::/56, Framed-IPv6-Address = 2001:db8:1:2::9,
Event-Timestamp = "Nov 26 2026 12:00:00 UTC", Acct-Delay-Time = 3, Proxy-State = 0x616263`
	for name, more := range map[string]string{"without": "", "with": ", Message-Authenticator = 0x00"} {
		out, err := send("a secret of aaa1", packet+more)
		if err != nil || !strings.Contains(out, "Received Accounting-Response") || !strings.Contains(out, "Proxy-State = 0x616263") {
			t.Fatalf("%s Message-Authenticator: %v\n%s", name, err, out)
		}
	}
	if out, err := send("another", packet); err == nil {
		t.Errorf("a wrong secret is answered:\n%s", out)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(kept) != 2 {
		t.Fatalf("%d records, want 2", len(kept))
	}
	r := kept[0]
	var nets []string
	for _, n := range r.Prefixes {
		nets = append(nets, n.String())
	}
	slices.Sort(nets)
	if want := []string{"198.51.100.7/32", "2001:db8:1:100::/56", "2001:db8:1:2::/64", "2001:db8:1:2::9/128"}; !slices.Equal(nets, want) {
		t.Errorf("prefixes %q want %q", nets, want)
	}
	if r.Kind != session.Start || r.Subscriber != "anna@isp.example" || r.Line != "eth 1/1/7:100" || r.NAS != "bng1" || r.Session != "0000a1" {
		t.Errorf("record %+v", r)
	}
}
