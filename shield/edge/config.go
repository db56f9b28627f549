package edge

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"bolwerk"
	"bolwerk/internal/brand"
	"bolwerk/shield/aid"
)

// Config is the edge's part of the configuration.
type Config struct {
	// Operator is the name that visitors see; the whole configuration has it.
	Operator string `toml:"-"`
	// Phone, Mail and Site are how visitors reach the operator; shown as text.
	// Phone and Mail also go into structured DNS errors.
	Phone string `toml:"phone"`
	Mail  string `toml:"mail"`
	Site  string `toml:"site"`
	// Partners are whom people can call; the whole configuration has them.
	Partners aid.Partners `toml:"-"`
	// SubBrand is the id of the [[sub_brand]] whose name and look this edge's page
	// has; empty is [brand].
	SubBrand string `toml:"sub_brand"`
	// Brand is the name and look of the page: that of SubBrand, or the main one.
	Brand brand.Brand `toml:"-"`
	// OptOut says what the operator lets customers choose, such as how to have
	// nothing blocked, by language: nl, fr, de, en. No page of an order shows it.
	OptOut map[string]string `toml:"opt_out"`
	// OptOutSite is the address where they choose; shown as text.
	OptOutSite string `toml:"opt_out_site"`
	// WarningAddresses are the warning page's, IPv4 and IPv6. With none, blocked
	// names have no data.
	WarningAddresses []string `toml:"warning_addresses"`
	// TTL is that of our answers, in seconds: a withdrawal is felt after it.
	TTL uint32 `toml:"ttl"`
	// PreviewHost is the Host for which the page shows an example.
	PreviewHost string `toml:"preview_host"`
	// Zone is the time zone of dates on the page.
	Zone string `toml:"time_zone"`
	// AppealsPerMinute bounds the forms that one edge takes.
	AppealsPerMinute int `toml:"appeals_per_minute"`
	// Conns bounds the open connections of the page and of the TLS door, each.
	Conns int `toml:"connections"`
	// ViewsFile is a file with the lines that have a view of their own, by prefix:
	// opt_out (orders alone) or opt_in (also what is blocked only for those who ask for
	// it). It is read again within ten seconds of a change; docs/do/dns-front.md has
	// its form.
	ViewsFile string `toml:"views_file"`
	// Release lets visitors open a stopped name for some minutes.
	Release ReleaseConfig `toml:"release"`
}

// name is what visitors know the operator by.
func (c Config) name() string {
	if c.Brand.Name != "" {
		return c.Brand.Name
	}
	return c.Operator
}

// DefaultConfig is good enough for a first run. A TTL of 60 s: a withdrawal is
// felt within a minute or two.
func DefaultConfig() Config {
	return Config{Operator: "Your operator", TTL: 60, Zone: "Europe/Brussels", PreviewHost: "preview.bolwerk.example",
		AppealsPerMinute: 30, Conns: 1024, Release: ReleaseConfig{IPv6Line: 56, Classes: []string{"fake_shop", "scam"}}}
}

// Validate tells every problem at once.
func (c Config) Validate() error {
	var problems []error
	bad := func(format string, a ...any) { problems = append(problems, bolwerk.Invalid("edge: "+format, a...)) }
	if c.Operator == "" || len(c.Operator) > 100 {
		bad("operator: want a name of 1 to 100 octets")
	}
	for _, v := range []struct{ key, value string }{{"phone", c.Phone}, {"mail", c.Mail}, {"site", c.Site}, {"opt_out_site", c.OptOutSite}} {
		if len(v.value) > 100 || strings.ContainsAny(v.value, "\r\n\x00") {
			bad("%s: want one line of at most 100 octets", v.key)
		}
	}
	for l, text := range c.OptOut {
		if !slices.Contains(bolwerk.Langs(), bolwerk.Lang(l)) {
			bad("opt_out: %q is not one of nl, fr, de, en", l)
		}
		if utf8.RuneCountInString(text) > maxOptOut {
			bad("opt_out.%s: more than %d characters", l, maxOptOut)
		}
	}
	for _, l := range bolwerk.Langs() {
		if len(c.OptOut) > 0 && strings.TrimSpace(c.OptOut[string(l)]) == "" {
			bad("opt_out: has no text in %s", l)
		}
	}
	if c.OptOutSite != "" && len(c.OptOut) == 0 {
		bad("opt_out_site: say in opt_out what people can choose there")
	}
	if _, _, err := c.addresses(); err != nil {
		problems = append(problems, err)
	}
	if c.TTL > 3600 {
		bad("ttl %d: at most 3600 s, or a withdrawal is not felt", c.TTL)
	}
	if c.AppealsPerMinute < 1 || c.Conns < 1 {
		bad("appeals_per_minute and connections: want at least 1")
	}
	if _, err := time.LoadLocation(c.Zone); err != nil {
		bad("time_zone %q: want a name such as Europe/Brussels", c.Zone)
	}
	c.Release.validate(bad)
	return errors.Join(problems...)
}

const maxOptOut = 400

// addresses are the warning page's as DNS records hold them.
func (c Config) addresses() (v4, v6 []byte, err error) {
	for _, s := range c.WarningAddresses {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return nil, nil, bolwerk.Invalid("edge: warning address %q: want an IP address", s)
		}
		if a = a.Unmap(); a.Is4() {
			v4 = append(v4, a.AsSlice()...)
		} else {
			v6 = append(v6, a.AsSlice()...)
		}
	}
	if len(v4) > 8*4 || len(v6) > 8*16 {
		return nil, nil, bolwerk.Invalid("edge: warning_addresses: at most eight of each family")
	}
	return v4, v6, nil
}

// structured is the JSON of a structured error (draft-ietf-dnsop-structured-dns-error
// section 4) around its justification.
func (c Config) structured() [2]string {
	contacts := []string{}
	if c.Mail != "" {
		contacts = append(contacts, "mailto:"+c.Mail)
	}
	if c.Phone != "" {
		contacts = append(contacts, "tel:"+strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' || r == '+' {
				return r
			}
			return -1
		}, c.Phone))
	}
	head, _ := json.Marshal(contacts)
	tail, _ := json.Marshal(c.Operator)
	return [2]string{`{"c":` + string(head) + `,"j":"`, `","o":` + string(tail) + `,"l":"en"`}
}

// structured renders the error: why, the block's reference, and the sub-error
// where the draft has one and the code allows it.
func (e *Edge) structured(b []byte, f found) []byte {
	b = append(b, e.sde[0]...)
	switch {
	case f.term.ground == ByOrder:
		b = append(b, "Blocked by order of an authority: "...)
	case f.term.class == "phishing":
		b = append(b, "Phishing: "...)
	case f.term.class == "malware":
		b = append(b, "Malware: "...)
	default:
		b = append(b, "Blocked: "...)
	}
	at := len(b)
	b = f.appendBlock(b)
	for i := at; i < len(b); i++ {
		if b[i] < 0x20 || b[i] > 0x7e || b[i] == '"' || b[i] == '\\' {
			b[i] = '?'
		}
	}
	b = append(b, e.sde[1]...)
	if f.term.ede != edeCensored {
		switch f.term.class {
		case "malware":
			b = append(b, `,"s":1`...)
		case "phishing":
			b = append(b, `,"s":2`...)
		}
	}
	return append(b, '}')
}
