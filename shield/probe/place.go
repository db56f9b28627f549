package probe

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"bolwerk"
	"bolwerk/internal/idn"
)

// place is a URL as it will be asked for: http or https, a name or an address, a
// port, no user and no fragment.
type place struct {
	u    *url.URL
	name string     // lower case, A-labels; "" where it is an address
	addr netip.Addr // zero where it is a name
	port uint16
}

// maxURL bounds an address; browsers stop near there too.
const maxURL = 8 << 10

// badPorts are those that browsers refuse (Fetch standard, "bad port"): other
// protocols listen there, and a request could be a command to them.
var badPorts = []uint16{1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123,
	135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723,
	2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080}

// parsePlace reads an absolute address as a browser does, as far as it matters for
// where a connection goes: numbers in any base are IPv4 addresses.
func parsePlace(text string) (place, error) {
	text = strings.TrimFunc(text, func(r rune) bool { return r <= ' ' })
	if len(text) > maxURL {
		return place{}, bolwerk.Invalid("an address of %d octets", len(text))
	}
	// Browsers leave these out of an address wherever they stand.
	u, err := url.Parse(strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(text))
	if err != nil {
		return place{}, bolwerk.Invalid("no address of a page")
	}
	return placeOf(u)
}

func placeOf(u *url.URL) (place, error) {
	c := *u
	c.User, c.Fragment, c.RawFragment = nil, "", ""
	p := place{u: &c}
	switch c.Scheme = strings.ToLower(c.Scheme); c.Scheme {
	case "http":
		p.port = 80
	case "https":
		p.port = 443
	default:
		return p, bolwerk.Invalid("an address that begins with %.20q is not of the web", c.Scheme)
	}
	if c.Opaque != "" || c.Host == "" {
		return p, bolwerk.Invalid("an address without a host")
	}
	host := c.Hostname()
	if text := c.Port(); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return p, bolwerk.Invalid("port %.10q", text)
		}
		p.port = uint16(n)
	}
	if slices.Contains(badPorts, p.port) {
		return p, bolwerk.Forbidden("port %d is of another protocol", p.port)
	}
	if strings.HasPrefix(c.Host, "[") {
		a, err := netip.ParseAddr(host)
		if err != nil || !a.Is6() {
			return p, bolwerk.Invalid("host %.60q is no address", host)
		}
		p.addr = a.WithZone("")
	} else if a, number, err := number4(host); number {
		if err != nil {
			return p, err
		}
		p.addr = a
	} else {
		d, err := idn.Parse(host)
		if err != nil {
			return p, bolwerk.Invalid("host %.60q is no name", host)
		}
		// What the mapping made of full-width digits may be a number as well.
		if a, number, err := number4(d.String()); number {
			if err != nil {
				return p, err
			}
			p.addr = a
		} else {
			p.name = d.String()
		}
	}
	c.Host = p.host()
	if p.port != 80 && c.Scheme == "http" || p.port != 443 && c.Scheme == "https" {
		c.Host += ":" + strconv.Itoa(int(p.port))
	}
	if c.Path == "" {
		c.Path = "/"
	}
	c.RawQuery = escapeQuery(c.RawQuery)
	if n := len(p.String()); n > maxURL { // escapes made it longer
		return p, bolwerk.Invalid("an address of %d octets", n)
	}
	return p, nil
}

// host is how the host stands in an address.
func (p place) host() string {
	switch {
	case p.name != "":
		return p.name
	case p.addr.Is6():
		return "[" + p.addr.String() + "]"
	}
	return p.addr.String()
}

func (p place) String() string { return p.u.String() }

// join is where a reference on a page leads.
func (p place) join(ref string) (place, error) {
	ref = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(strings.TrimFunc(ref, func(r rune) bool { return r <= ' ' }))
	if len(ref) > maxURL {
		return place{}, bolwerk.Invalid("an address of %d octets", len(ref))
	}
	// Browsers take a backslash for a slash, up to the query.
	path, rest := ref, ""
	if i := strings.IndexAny(ref, "?#"); i >= 0 {
		path, rest = ref[:i], ref[i:]
	}
	u, err := p.u.Parse(strings.ReplaceAll(path, `\`, "/") + rest)
	if err != nil {
		return place{}, bolwerk.Invalid("no address of a page")
	}
	return placeOf(u)
}

// number4 reads a host that ends in a number as browsers do (URL standard, "IPv4
// parser"): one to four parts, each decimal, octal or in hex. number says that it
// is one, be it a wrong one: then no name is asked for.
func number4(host string) (a netip.Addr, number bool, err error) {
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	last := parts[len(parts)-1]
	if _, ok := digits4(last); !ok && strings.Trim(last, "0123456789") != "" || last == "" {
		return a, false, nil
	}
	wrong := bolwerk.Invalid("host %.60q is no address", host)
	if len(parts) > 4 {
		return a, true, wrong
	}
	var sum uint64
	for i, part := range parts {
		n, ok := digits4(part)
		if !ok {
			return a, true, wrong
		}
		if i < len(parts)-1 {
			if n > 255 {
				return a, true, wrong
			}
			sum |= n << (8 * (3 - i))
			continue
		}
		if n >= 1<<(8*(4-i)) {
			return a, true, wrong
		}
		sum |= n
	}
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}), true, nil
}

func digits4(s string) (uint64, bool) {
	base := 10
	switch {
	case len(s) > 1 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X'):
		if s, base = s[2:], 16; s == "" {
			return 0, true
		}
	case len(s) > 1 && s[0] == '0':
		s, base = s[1:], 8
	}
	if s == "" || s[0] == '+' || s[0] == '-' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, base, 33)
	return n, err == nil
}

// escapeQuery escapes what may not stand in a request line.
func escapeQuery(q string) string {
	var b strings.Builder
	for i := range len(q) {
		if c := q[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' {
			b.WriteString("%" + strings.ToUpper(strconv.FormatUint(uint64(c)|0x100, 16)[1:]))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
