//go:build peers

package peers

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/rpz"

	"github.com/miekg/dns"
)

// Whoever takes the catalog has every policy zone with no word about it in its own
// configuration, and keeps up with them. Without the key it gets nothing.
func TestCatalogOfZones(t *testing.T) {
	for name, begin := range map[string]func(testing.TB, Setup) *Resolver{"knot": Knot, "bind": Bind} {
		t.Run(name, func(t *testing.T) {
			w := &world{t: t, whole: t, cfg: rpz.DefaultConfig(), at: FreePort(t), serial: map[bolwerk.Domain]uint32{pZone: 100, bZone: 100},
				records: map[bolwerk.Domain][]rpz.Record{bZone: blocked("bad.example")}, journal: map[bolwerk.Domain][]rpz.Change{}}
			s := Setup{Primary: w.at, Catalog: "catalog.rpz", Upstream: Upstream(t), Listen: FreePort(t),
				KeyName: "fleet.example", KeyAlgorithm: "hmac-sha256", KeyFile: keyFile(t, "fleet", "only a key for this test, 32 octets and more")}
			key, err := rpz.ReadKey(s.KeyName, s.KeyAlgorithm, s.KeyFile)
			if err != nil {
				t.Fatal(err)
			}
			w.cfg.Catalog, w.cfg.Keys = bolwerk.MustDomain("catalog.rpz"), []rpz.Key{key}
			w.cfg.Zones = slices.DeleteFunc(w.cfg.Zones, func(z rpz.Zone) bool { return z.Name != pZone && z.Name != bZone })
			w.cfg.Secondaries = []rpz.Secondary{{Name: name, Notify: s.Listen, Key: s.KeyName, Catalog: true}}
			w.serve(false)
			r := begin(t, s)
			has := func(what, owner string) {
				t.Helper()
				soon(t, t.Context(), time.Minute, fmt.Sprintf("%s has %s", name, what), func() error {
					in, err := dns.Exchange(new(dns.Msg).SetQuestion(owner, dns.TypeA), r.Addr.String())
					if err == nil && len(in.Answer) == 0 {
						err = fmt.Errorf("it answers %s", dns.RcodeToString[in.Rcode])
					}
					return err
				})
			}
			has("b.rpz, which only the catalog names", "bad.example.b.rpz.")
			w.change(bZone, nil, blocked("next.example"), true)
			has("the next block", "next.example.b.rpz.")
			if log := r.Log(); strings.Contains(log, "bad catalog") || strings.Contains(log, "invalid catalog") {
				t.Errorf("%s complains of the catalog:\n%s", name, log)
			}
			if m := new(dns.Msg).SetAxfr("catalog.rpz."); true {
				if came, err := new(dns.Transfer).In(m, w.at.String()); err == nil {
					if e := <-came; e.Error == nil {
						t.Error("the catalog was given without the key")
					}
				}
			}
		})
	}
}

// BIND does not take the zones of a response-policy from a catalog, and says so
// before it starts: the documents tell to name them. When this fails, mend those.
func TestCatalogIsNoPolicyForBind(t *testing.T) {
	check := Need(t, "named-checkconf")
	dir := t.TempDir()
	write(t, dir, "named.conf", `options { directory "."; response-policy { zone "b.rpz"; };
	catalog-zones { zone "catalog.rpz" default-primaries { 127.0.0.1; }; }; };
zone "catalog.rpz" { type secondary; primaries { 127.0.0.1; }; file "catalog.db"; };
`)
	out, err := exec.Command(check, filepath.Join(dir, "named.conf")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "response-policy zone 'b.rpz' is not a primary or secondary zone") {
		t.Errorf("named-checkconf: %v: %s", err, out)
	}
}
