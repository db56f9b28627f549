package rpz

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"bolwerk"
	"bolwerk/internal/clock"

	"github.com/miekg/dns"
)

// What the catalog says is what RFC 9432 asks for. Its serial stands beside it: when
// this list changes, catalogSerial goes up.
func TestCatalog(t *testing.T) {
	cfg := testConfig()
	cfg.Catalog = bolwerk.MustDomain("catalog.rpz")
	p := newPrimary(t, cfg, clock.New())
	transfer := new(dns.Msg).SetAxfr("catalog.rpz.")
	var got []string
	for _, m := range ask(t, p, transfer, local, true) {
		for _, r := range m.Answer {
			got = append(got, strings.Join(strings.Fields(r.String()), " "))
		}
	}
	soa := "catalog.rpz. 60 IN SOA localhost. hostmaster.localhost. 1 60 15 1209600 60"
	want := []string{soa, "catalog.rpz. 60 IN NS invalid.", `version.catalog.rpz. 60 IN TXT "2"`, "p-rpz.zones.catalog.rpz. 60 IN PTR p.rpz.",
		"h-rpz.zones.catalog.rpz. 60 IN PTR h.rpz.", "b-rpz.zones.catalog.rpz. 60 IN PTR b.rpz.", soa}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for q, want := range map[string]int{"version.catalog.rpz.": dns.RcodeSuccess, "zones.catalog.rpz.": dns.RcodeSuccess, "x.zones.catalog.rpz.": dns.RcodeNameError} {
		if r := ask(t, p, new(dns.Msg).SetQuestion(q, dns.TypeTXT), local, false)[0]; r.Rcode != want || (len(r.Answer) == 1) != (q == "version.catalog.rpz.") {
			t.Errorf("%s: got %s with %v", q, dns.RcodeToString[r.Rcode], r.Answer)
		}
	}
	if r := ask(t, p, new(dns.Msg).SetIxfr("catalog.rpz.", 1, "localhost.", "hostmaster.localhost."), local, true)[0]; len(r.Answer) != 1 {
		t.Errorf("changes since its own serial: got %v, want its SOA alone", r.Answer)
	}
	if r := ask(t, p, transfer, netip.MustParseAddr("192.0.2.9"), true)[0]; r.Rcode != dns.RcodeRefused {
		t.Errorf("a stranger got %s, want REFUSED", dns.RcodeToString[r.Rcode])
	}
	for _, d := range p.Secondaries() {
		if d.Zone == cfg.Catalog {
			t.Errorf("the catalog is counted as a zone that resolvers block by: %+v", d)
		}
	}
}

func TestCatalog_refused(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"above a zone":        func(c *Config) { c.Catalog = bolwerk.MustDomain("rpz") },
		"below a zone":        func(c *Config) { c.Catalog = bolwerk.MustDomain("x.b.rpz") },
		"too long":            func(c *Config) { c.Catalog = bolwerk.MustDomain(strings.Repeat("abcdefghi.", 16) + "rpz") },
		"taken and not there": func(c *Config) { c.Secondaries[0].Catalog = true },
		"the name of a zone":  func(c *Config) { c.Catalog = bZone },
	} {
		c := testConfig()
		if change(&c); c.Validate() == nil {
			t.Errorf("%s: passes", name)
		}
	}
}

// A secondary that is known not to take a zone is neither told of it nor behind with
// it, and may transfer it all the same.
func TestSecondaryWithoutAZone(t *testing.T) {
	cfg := testConfig()
	hot := bolwerk.MustDomain("h.rpz")
	cfg.Secondaries[1].Without = []bolwerk.Domain{hot}
	p := newPrimary(t, cfg, clock.New())
	for _, z := range []bolwerk.Domain{pZone, hot, bZone} {
		mustLoad(t, p, z, 7)
	}
	var got []string
	for _, d := range p.Secondaries() {
		got = append(got, d.Secondary+" "+d.Zone.String())
	}
	if want := []string{"keyed p.rpz", "keyed h.rpz", "keyed b.rpz", "listed p.rpz", "listed b.rpz"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, m := range []*dns.Msg{new(dns.Msg).SetAxfr("h.rpz."), new(dns.Msg).SetIxfr("h.rpz.", 7, "localhost.", "hostmaster.localhost.")} {
		if r := ask(t, p, m, local, true); len(r) == 0 || len(r[0].Answer) == 0 {
			t.Errorf("%s: got %v", dns.TypeToString[m.Question[0].Qtype], r)
		}
	}
}
