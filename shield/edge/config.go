package edge

import (
	"encoding/json"
	"net/netip"
	"strings"
	"time"

	"bolwerk"
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
}

// DefaultConfig is good enough for a first run. A TTL of 60 s: a withdrawal is
// felt within a minute or two.
func DefaultConfig() Config {
	return Config{Operator: "Your operator", TTL: 60, Zone: "Europe/Brussels", PreviewHost: "preview.bolwerk.example",
		AppealsPerMinute: 30, Conns: 1024}
}

// Validate tells the first thing that is wrong.
func (c Config) Validate() error {
	if c.Operator == "" || len(c.Operator) > 100 {
		return bolwerk.Invalid("edge: operator: want a name of 1 to 100 octets")
	}
	for key, v := range map[string]string{"phone": c.Phone, "mail": c.Mail, "site": c.Site} {
		if len(v) > 100 || strings.ContainsAny(v, "\r\n\x00") {
			return bolwerk.Invalid("edge: %s: want one line of at most 100 octets", key)
		}
	}
	if _, _, err := c.addresses(); err != nil {
		return err
	}
	if c.TTL > 3600 {
		return bolwerk.Invalid("edge: ttl %d: at most 3600 s, or a withdrawal is not felt", c.TTL)
	}
	if c.AppealsPerMinute < 1 || c.Conns < 1 {
		return bolwerk.Invalid("edge: appeals_per_minute and connections: want at least 1")
	}
	if _, err := time.LoadLocation(c.Zone); err != nil {
		return bolwerk.Invalid("edge: time_zone %q: want a name such as Europe/Brussels", c.Zone)
	}
	return nil
}

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
