package lines

import (
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"bolwerk"
	"bolwerk/abuse/session"
)

// Kea writes a line at each change of a lease: who has it, for how many seconds, and
// when that ends. A line of 0 seconds says that the lease was given back, at a time
// that the file does not tell: until the end that was told before, the address may
// still have been theirs, and an answer then names whoever has it by now as well.

const (
	keaAssigned = "0" // the state of a lease that somebody has
	keaPrefix   = "2" // lease_type of a delegated prefix
)

// kea is what both kinds have in common.
func (t table) kea(words []string, p netip.Prefix, device string) (r session.Record, held bool, err error) {
	seconds, err := strconv.ParseInt(t.get(words, "valid_lifetime"), 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<32 {
		return r, false, bolwerk.Invalid("valid_lifetime %.20q: want seconds", t.get(words, "valid_lifetime"))
	}
	expire, err := strconv.ParseInt(t.get(words, "expire"), 10, 64)
	if err != nil || expire < 0 || expire > 1<<33 {
		return r, false, bolwerk.Invalid("expire %.20q: want seconds since 1970", t.get(words, "expire"))
	}
	if s := t.get(words, "state"); seconds == 0 || s != "" && s != keaAssigned {
		return r, false, nil
	}
	r = session.Record{Kind: session.Interim, Source: session.Lease, NAS: t.server, Prefixes: []netip.Prefix{p}, Lasted: -1,
		Identity: session.Identity{Calling: device, Line: relayed(t.get(words, "user_context"))},
		At:       time.Unix(expire-seconds, 0).UTC(), Until: time.Unix(expire, 0).UTC()}
	if r.Who() == "" {
		return r, false, bolwerk.Invalid("names neither device nor line")
	}
	r.Session = name(p, r.Identity)
	return r, true, nil
}

func (t table) kea4(words []string) (r session.Record, held bool, err error) {
	p, err := prefix(t.get(words, "address"))
	if err != nil || !p.IsSingleIP() {
		return r, false, bolwerk.Invalid("address %.60q: want one address", t.get(words, "address"))
	}
	device := t.get(words, "hwaddr")
	if device == "" {
		device = t.get(words, "client_id")
	}
	return t.kea(words, p, device)
}

func (t table) kea6(words []string) (r session.Record, held bool, err error) {
	p, err := prefix(t.get(words, "address"))
	if err != nil || !p.IsSingleIP() || p.Addr().Is4() {
		return r, false, bolwerk.Invalid("address %.60q: want one IPv6 address", t.get(words, "address"))
	}
	if t.get(words, "lease_type") == keaPrefix {
		bits, err := strconv.Atoi(t.get(words, "prefix_len"))
		if err != nil || bits < 1 || bits > 128 {
			return r, false, bolwerk.Invalid("prefix_len %.20q: want 1 to 128", t.get(words, "prefix_len"))
		}
		p = netip.PrefixFrom(p.Addr(), bits).Masked()
	}
	return t.kea(words, p, t.get(words, "duid"))
}

// relayed is the line that the relay agent named: circuit and remote id of option 82,
// interface and remote id of DHCPv6. Kea keeps them in the user context, where a comma
// is written &#x2c.
func relayed(context string) string {
	if !strings.Contains(context, "relay") {
		return ""
	}
	var in struct {
		ISC struct {
			Four json.RawMessage `json:"relay-agent-info"`
			Six  []struct {
				Remote    string `json:"remote-id"`
				Interface string `json:"interface-id"`
				Options   string `json:"options"`
			} `json:"relay-info"`
		}
	}
	if json.Unmarshal([]byte(strings.ReplaceAll(context, "&#x2c", ",")), &in) != nil {
		return ""
	}
	if len(in.ISC.Six) > 0 { // the relay next to the customer stands last
		last := in.ISC.Six[len(in.ISC.Six)-1]
		return joined(octets(last.Interface), octets(last.Remote))
	}
	var raw string
	var parts struct {
		Options string `json:"sub-options"`
		Remote  string `json:"remote-id"`
	}
	if json.Unmarshal(in.ISC.Four, &raw) != nil {
		if json.Unmarshal(in.ISC.Four, &parts) != nil {
			return ""
		}
		raw = parts.Options
	}
	circuit, remote := option82(raw)
	if remote == "" {
		remote = octets(parts.Remote)
	}
	return joined(circuit, remote)
}

// option82 reads sub-options 1 and 2 (RFC 3046) out of hex.
func option82(s string) (circuit, remote string) {
	b, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
	for err == nil && len(b) >= 2 && len(b) >= 2+int(b[1]) {
		switch v := b[2 : 2+int(b[1])]; b[0] {
		case 1:
			circuit = printable(v)
		case 2:
			remote = printable(v)
		}
		b = b[2+int(b[1]):]
	}
	return circuit, remote
}

func octets(s string) string {
	b, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
	if err != nil {
		return ""
	}
	return printable(b)
}

// printable is text as it is, and else hex.
func printable(b []byte) string {
	if s := string(b); utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	return "0x" + hex.EncodeToString(b)
}

func joined(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	s := strings.Join(out, " ")
	return s[:min(len(s), session.MaxName)]
}
