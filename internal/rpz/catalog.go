package rpz

import (
	"strings"
	"time"

	"bolwerk"

	"github.com/miekg/dns"
)

// A catalog zone (RFC 9432) lists the zones, for fleets that take their list of
// zones from it. What it says follows from the configuration alone, so it is the
// same at every desk and after every start.

// catalogSerial is that of what the catalog says. Raise it when other zones stand
// in it: secondaries keep what they have under a serial.
const catalogSerial = 1

// maxCatalog leaves room for the names in a catalog (RFC 1035 section 2.3.4).
const maxCatalog = 150

// fixed is a record that never changes.
type fixed struct {
	name bolwerk.Domain // relative to the zone
	typ  uint16
	tail []byte
}

// newCatalog makes the catalog of the zones.
func newCatalog(cfg Config) *zone {
	z := newZone(Zone{Name: cfg.Catalog, TTL: time.Minute, Refresh: time.Minute, Retry: 15 * time.Second, Expire: cfg.Zones[0].Expire}, cfg.Server, cfg.Contact, nil, 0)
	z.clear()
	z.loaded, z.serial, z.seen = true, catalogSerial, catalogSerial
	z.base = step{Change: Change{Serial: catalogSerial}}
	add := func(name string, typ uint16, rdata []byte) {
		z.fixed = append(z.fixed, fixed{bolwerk.MustDomain(name), typ, tail(typ, seconds(z.cfg.TTL), rdata)})
	}
	add("version", dns.TypeTXT, []byte("\x012"))
	for _, m := range cfg.Zones {
		// The label of a member stays as long as the member: a new one would have
		// secondaries begin its zone anew.
		add(strings.ReplaceAll(m.Name.String(), ".", "-")+".zones", dns.TypePTR, appendName(nil, m.Name))
	}
	z.records = len(z.fixed)
	return z
}
