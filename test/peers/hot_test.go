//go:build peers

package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/bench/product"
	"bolwerk/internal/rpz"
)

// BIND blocks a new name by the hot zone while the cold one rests, lets it pass
// at once when it is withdrawn, and goes on blocking what has moved to the cold
// zone, at no moment less. The real program, with a list large enough that the
// cold zone rests for a moment.
func TestHotZone(t *testing.T) {
	const names, warning, real = 3_000, "192.0.2.1", "203.0.113.7"
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
	list := filepath.Join(dir, "orders")
	f, err := os.Create(list)
	if err != nil {
		t.Fatal(err)
	}
	for i := range names {
		fmt.Fprintf(f, "listed-%d.example\n", i)
	}
	fmt.Fprintln(f, "sentinel.list-of-orders.example")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	upstream, at := Upstream(t), FreePort(t)
	p, err := product.Start(ctx, product.Options{Binary: binary, Dir: data, Upstream: upstream,
		RPZ:  fmt.Sprintf("[[rpz.secondary]]\nname = \"bind\"\nfrom = [\"127.0.0.0/8\"]\nnotify = %q\n", at),
		More: fmt.Sprintf("[[shield.issuer]]\nname = \"cert\"\npublic = \"CERT\"\nground = \"law of the test\"\nfile = %q\nmust_have = \"sentinel.list-of-orders.example\"\n", list)})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	defer func() {
		if t.Failed() {
			t.Logf("the program wrote:\n%s", tail(p.Log(), 6000))
		}
	}()
	until := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: not in three minutes", what)
			}
		}
	}
	until("the list is held", func() bool {
		_, err := p.Run(ctx, "order", "release", "cert")
		return err == nil
	})
	until("the list is in force", func() bool { n, err := p.Today(ctx); return err == nil && n.InForce >= names })
	bind := Bind(t, Setup{Primary: p.RPZ, Zones: []string{"p.rpz", "h.rpz", "b.rpz"}, Upstream: upstream, Listen: at})
	last := fmt.Sprintf("listed-%d.example", names-1)
	if _, err := product.Until(ctx, bind.Addr, last, warning, time.Now(), time.Minute); err != nil {
		t.Fatal(err)
	}
	// in says in which of the two zones the desk has a name.
	in := func(name string) (hot, cold bool) {
		for zone, has := range map[string]*bool{"h.rpz": &hot, "b.rpz": &cold} {
			a, err := rpz.Ask(ctx, p.RPZ, bolwerk.MustDomain(name+"."+zone), "A")
			if err != nil {
				t.Fatal(err)
			}
			*has = len(a.Addresses) > 0
		}
		return hot, cold
	}
	block := func(name string) {
		t.Helper()
		if _, err := p.Block(ctx, name, "subtree"); err != nil {
			t.Fatal(err)
		}
	}

	// Two decisions close together: the second meets a cold zone that rests.
	block("first.bende.example")
	until("the cold zone has the first", func() bool { _, cold := in("first.bende.example"); return cold })
	begun := time.Now()
	block("fresh.bende.example")
	took, err := product.Until(ctx, bind.Addr, "fresh.bende.example", warning, begun, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	hot, cold := in("fresh.bende.example")
	t.Logf("blocked at BIND after %d ms; in the hot zone %v, in the cold one %v", took.Milliseconds(), hot, cold)
	if !hot {
		t.Error("the hot zone does not have the new name")
	}
	// Until the cold zone has it, and BIND has that: blocked at every look.
	until("the cold zone has it", func() bool {
		if !product.Answers(ctx, bind.Addr, "n"+fmt.Sprint(time.Now().UnixNano())+".fresh.bende.example", warning) {
			t.Fatal("fresh.bende.example passes while it moves to the cold zone")
		}
		_, cold := in("fresh.bende.example")
		return cold
	})
	for range 40 {
		if !product.Answers(ctx, bind.Addr, "n"+fmt.Sprint(time.Now().UnixNano())+".fresh.bende.example", warning) {
			t.Fatal("fresh.bende.example passes after it has moved to the cold zone")
		}
		time.Sleep(25 * time.Millisecond)
	}
	// Withdrawn, while both zones of BIND have it.
	begun = time.Now()
	if out, err := p.Run(ctx, "block", "withdraw", "fresh.bende.example", "--reason", "an error"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if took, err = product.Until(ctx, bind.Addr, "fresh.bende.example", real, begun, time.Minute); err != nil {
		t.Fatal(err)
	}
	pass, err := rpz.Ask(ctx, p.RPZ, bolwerk.MustDomain("fresh.bende.example.p.rpz"), "CNAME")
	if err != nil || len(pass.Records) == 0 {
		t.Errorf("p.rpz does not let it pass: %+v, %v", pass, err)
	}
	t.Logf("answered again at BIND after %d ms", took.Milliseconds())
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if !product.Answers(ctx, bind.Addr, "n"+fmt.Sprint(time.Now().UnixNano())+".fresh.bende.example", real) {
			t.Fatal("fresh.bende.example is blocked again")
		}
	}
	if !product.Answers(ctx, bind.Addr, "listed-1.example", warning) {
		t.Error("the list is not in force any more")
	}
}
