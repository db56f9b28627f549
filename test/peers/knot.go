package peers

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Knot starts Knot DNS as a secondary that hands the zones on. It applies no policy:
// what it holds is read by a transfer from it, for which it asks no key. A name in
// Catalog is the zone that it takes its list of zones from, in the place of Zones.
func Knot(t testing.TB, s Setup) *Resolver {
	t.Helper()
	binary := Need(t, "knotd")
	dir, addr := s.dir(t), s.listen(t)
	var b strings.Builder
	key := ""
	if s.KeyName != "" {
		fmt.Fprintf(&b, "key:\n  - id: %q\n    algorithm: %s\n    secret: %q\n", s.KeyName, s.KeyAlgorithm, s.secret(t))
		key = fmt.Sprintf("\n    key: %q", s.KeyName)
	}
	fmt.Fprintf(&b, `server:
    rundir: %[1]q
    listen: %[2]s@%[3]d
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "%[1]s/db"
log:
  - target: stderr
    any: info
remote:
  - id: desk
    address: %[4]s@%[5]d%[6]s
acl:
  - id: notified
    address: %[4]s
    action: notify%[6]s
  - id: shown
    address: 127.0.0.0/8
    action: transfer
template:
  - id: default
    storage: %[1]q
  - id: policy
    storage: %[1]q
    master: desk
    acl: [notified, shown]
    refresh-min-interval: 2
    retry-min-interval: 2
zone:
  - domain: ready.example.
    file: ready.zone
`, dir, addr.Addr(), addr.Port(), s.Primary.Addr(), s.Primary.Port(), key)
	for _, z := range s.Zones {
		fmt.Fprintf(&b, "  - domain: %s.\n    template: policy\n", z)
	}
	if s.Catalog != "" {
		fmt.Fprintf(&b, "  - domain: %s.\n    template: policy\n    catalog-role: interpret\n    catalog-template: policy\n", s.Catalog)
	}
	b.WriteString(s.More)
	if err := os.MkdirAll(dir+"/db", 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "knot.conf", b.String())
	write(t, dir, "ready.zone", "ready.example. 60 SOA ns.ready.example. hostmaster.ready.example. 1 60 60 60 60\nready.example. 60 NS ns.ready.example.\nready.example. 60 A 192.0.2.7\nns.ready.example. 60 A 192.0.2.7\n")
	return start(t, "knot", binary, dir, addr, "-c", "knot.conf")
}
