//go:build peers

package peers

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolwerk/bench/product"
	"bolwerk/internal/mail"
)

// From a forwarded mail to a blocked name on everybody's resolvers, and back:
// the real program, with BIND, Unbound and PowerDNS Recursor as its secondaries.
func TestStory(t *testing.T) {
	const name, warning, real = "merelbank-ontgrendelen.example", "192.0.2.1", "203.0.113.7"
	for _, binary := range []string{"named", "unbound", "pdns_recursor"} {
		Need(t, binary)
	}
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
	at := map[string]netip.AddrPort{"bind": FreePort(t), "unbound": FreePort(t), "pdns": FreePort(t)}
	var secondaries strings.Builder
	for kind, addr := range at {
		word := "notify"
		if kind == "pdns" {
			word = "ask" // it polls
		}
		fmt.Fprintf(&secondaries, "[[rpz.secondary]]\nname = %q\nfrom = [\"127.0.0.0/8\"]\n%s = %q\n", kind, word, addr)
	}
	p, err := product.Start(ctx, product.Options{Binary: binary, Dir: data, Upstream: upstream, RPZ: secondaries.String(),
		More: "[[shield.brand]]\nname = \"Merelbank\"\ntokens = [\"merelbank\"]\ndomains = [\"merelbank.example\"]\n"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	defer func() {
		if t.Failed() {
			t.Logf("the program wrote:\n%s", p.Log())
		}
	}()
	resolvers := map[string]netip.AddrPort{"edge": p.DNS}
	var powerdns *Resolver
	for kind, start := range map[string]func(testing.TB, Setup) *Resolver{"bind": Bind, "unbound": Unbound, "pdns": PowerDNS} {
		r := start(t, Setup{Primary: p.RPZ, Zones: []string{"p.rpz", "h.rpz", "b.rpz"}, Upstream: upstream, Listen: at[kind]})
		resolvers[kind] = r.Addr
		if kind == "pdns" {
			powerdns = r
		}
	}
	everywhere := func(what, address string, since time.Time) {
		t.Helper()
		for _, kind := range []string{"edge", "bind", "unbound", "pdns"} {
			took, err := product.Until(ctx, resolvers[kind], name, address, since, 90*time.Second)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			t.Logf("%-9s %-8s %4d ms", what, kind, took.Milliseconds())
		}
	}
	everywhere("resolves", real, time.Now())

	begun := time.Now()
	forward(t, ctx, p, name)
	id := waitingCase(t, ctx, p, name)
	t.Logf("mail sent -> case proposed %d ms", time.Since(begun).Milliseconds())

	begun = time.Now()
	if out, err := p.Run(ctx, "case", "confirm", id, "--reason", "asks for the bank password", "--json"); err != nil || !strings.Contains(out, `"blocked"`) {
		t.Fatalf("case confirm: %v: %s", err, out)
	}
	everywhere("blocked", warning, begun)
	agree(t, ctx, p, name, "blocks")

	begun = time.Now()
	if out, err := p.Run(ctx, "block", "withdraw", name, "--reason", "the owner has cleaned it", "--json"); err != nil || !strings.Contains(out, `"withdrawn"`) {
		t.Fatalf("block withdraw: %v: %s", err, out)
	}
	// Names in PowerDNS's packet cache stay blocked until their TTL, unless the
	// operator empties it, once the zone has come.
	for _, kind := range []string{"edge", "bind", "unbound"} {
		took, err := product.Until(ctx, resolvers[kind], name, real, begun, 90*time.Second)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		t.Logf("%-9s %-8s %4d ms", "withdrawn", kind, took.Milliseconds())
	}
	for deadline := begun.Add(90 * time.Second); ; {
		powerdns.Flush(t, name)
		took, err := product.Until(ctx, resolvers["pdns"], name, real, begun, time.Since(begun)+200*time.Millisecond)
		if err == nil {
			t.Logf("%-9s %-8s %4d ms", "withdrawn", "pdns", took.Milliseconds())
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("pdns: %v", err)
		}
	}
	agree(t, ctx, p, name, "passes")
}

// forward hands a lure in by mail, as a customer does.
func forward(t *testing.T, ctx context.Context, p *product.Product, name string) {
	t.Helper()
	lure := "From: Merelbank <service@" + name + ">\r\nTo: you@customer.example\r\nSubject: Your account is closed today\r\nDate: Mon, 02 Nov 2026 10:00:00 +0100\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\n\r\nUnlock it: https://" + name + "/login\r\n"
	from := mail.MustAddress("reporter@customer.example")
	raw, err := mail.Forward(from, product.ReportTo, "suspicious", "Is this real?\n", []byte(lure), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	client := mail.NewClient(mail.Target{Addr: p.SMTP, Name: "customer.example", TLS: mail.TLSNone}, (&net.Dialer{}).DialContext)
	defer client.Close()
	if _, err := client.Submit(ctx, from, []mail.Address{product.ReportTo}, raw); err != nil {
		t.Fatal(err)
	}
}

// waitingCase waits for the case about name, and gives its id.
func waitingCase(t *testing.T, ctx context.Context, p *product.Product, name string) string {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var list struct {
			Items []struct{ ID, Name string }
		}
		if err := p.API(ctx, "GET", "/cases?state=waiting&q="+name, nil, &list); err != nil {
			t.Fatal(err)
		}
		for _, c := range list.Items {
			if c.Name == name {
				return c.ID
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no case about %s", name)
		}
	}
}

// agree has the program ask every resolver what it does with name; the edge is
// asked as a resolver of the desk's, and asks itself.
func agree(t *testing.T, ctx context.Context, p *product.Product, name, want string) {
	t.Helper()
	out, err := p.Run(ctx, "block", "explain", name, "--json")
	if err != nil {
		t.Fatal(err)
	}
	var e struct {
		Disagree  bool
		Resolvers []struct {
			Name, State string
			Agrees      bool
		}
	}
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		t.Fatalf("block explain wrote %s: %v", out, err)
	}
	if e.Disagree || len(e.Resolvers) != 5 {
		t.Errorf("block explain: want four resolvers and the edge by itself, which agree, got %s", out)
	}
	for _, r := range e.Resolvers {
		if r.State != want || !r.Agrees {
			t.Errorf("block explain: %s %s, want %s", r.Name, r.State, want)
		}
	}
	t.Logf("block explain: %d resolvers, each %s and agrees", len(e.Resolvers), want)
}
