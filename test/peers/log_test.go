//go:build peers

package peers

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolwerk/bench/product"
)

// "log verify --axfr" reads a zone whose transfers are signed, from our primary
// and from a BIND that has it, and is refused with another key and without one.
func TestVerifyOfSignedTransfers(t *testing.T) {
	Need(t, "named")
	ctx, dir := t.Context(), t.TempDir()
	binary, err := product.Build(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	key, wrong := keyFile(t, "key", "only a key for this test, 32 octets and more"), keyFile(t, "wrong", "another key of this test, 32 octets and more")
	at := FreePort(t)
	p, err := product.Start(ctx, product.Options{Binary: binary, Dir: data, Upstream: Upstream(t),
		RPZ: fmt.Sprintf("[[rpz.secondary]]\nname = \"bind\"\nnotify = %q\nkey = \"transfer.example\"\n[[rpz.key]]\nname = \"transfer.example\"\nalgorithm = \"hmac-sha256\"\nfile = %q\n", at, key)})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	for _, name := range []string{"one.boevenbende.example", "two.boevenbende.example"} {
		if _, err := p.Block(ctx, name, "subtree"); err != nil {
			t.Fatal(err)
		}
	}
	bind := Bind(t, Setup{Primary: p.RPZ, Zones: []string{"p.rpz", "h.rpz", "b.rpz"}, Upstream: Upstream(t), KeyName: "transfer.example", KeyAlgorithm: "hmac-sha256", KeyFile: key, Listen: at})

	var console int
	if _, err := fmt.Sscanf(p.Console, "http://localhost:%d", &console); err != nil {
		t.Fatal(err)
	}
	public := fmt.Sprintf("http://localhost:%d", console+1) // product puts it there
	verify := func(server netip.AddrPort, more ...string) (string, error) {
		out, err := exec.CommandContext(ctx, binary, append([]string{"log", "verify", "--url", public, "--axfr", server.String(), "--zone", "b.rpz"}, more...)...).CombinedOutput()
		return string(out), err
	}
	signed := []string{"--key-name", "transfer.example", "--key-file"}
	for who, server := range map[string]netip.AddrPort{"our primary": p.RPZ, "BIND": bind.Addr} {
		// The site and BIND follow within seconds of the decision.
		var out string
		var err error
		for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
			if out, err = verify(server, append(signed[:3:3], key)...); err == nil && strings.Contains(out, "2 in force in the log") {
				break
			}
		}
		if err != nil || !strings.Contains(out, "zone and log say the same") || !strings.Contains(out, "2 in force in the log") {
			t.Errorf("%s, signed: %v\n%s", who, err, out)
		}
		for what, more := range map[string][]string{"another key": append(signed[:3:3], wrong), "no key": nil} {
			if out, err := verify(server, more...); err == nil {
				t.Errorf("%s gives the zone to who has %s:\n%s", who, what, out)
			}
		}
	}
	if t.Failed() {
		t.Logf("BIND wrote:\n%s\nthe program:\n%s", bind.Log(), p.Log())
	}
}
