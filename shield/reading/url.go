package reading

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"bolwerk"
	"bolwerk/internal/idn"
)

// Normalise brings an absolute URL of the schemes http, https and ftp to its
// normal form, as browsers read it (WHATWG URL Standard): white space around and
// tabs and newlines inside are gone, backslashes are slashes, the scheme and the
// host are lower case, the host is in A-labels (UTS #46) or a plain address, user
// name, default port and fragment are gone, dot segments are resolved, and
// percent-encoding is in one form (RFC 3986 section 6.2.2). It says false for
// other schemes and for hosts that cannot exist. Role, Via and Text stay empty.
func Normalise(s string) (URL, bool) {
	var u URL
	s = strings.TrimFunc(s, func(r rune) bool { return r <= 0x20 })
	if len(s) > MaxURLBytes {
		s = s[:MaxURLBytes]
		u.note("cut")
	}
	if strings.ContainsAny(s, "\t\r\n") {
		s = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(s)
		u.note("control-characters")
	}
	scheme, rest, ok := strings.Cut(s, ":")
	scheme = strings.ToLower(scheme)
	port := map[string]string{"http": "80", "https": "443", "ftp": "21"}[scheme]
	if !ok || port == "" {
		return URL{}, false
	}
	after := strings.TrimLeft(rest, `/\`)
	if strings.Contains(rest[:len(rest)-len(after)], `\`) {
		u.note("backslash")
	}
	end := strings.IndexAny(after, `/\?#`)
	if end < 0 {
		end = len(after)
	}
	authority, rest := after[:end], after[end:]
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		u.note("userinfo")
		authority = authority[at+1:]
	}
	host, given, ok := splitPort(authority)
	if !ok || !u.setHost(host) {
		return URL{}, false
	}
	rest, fragment, _ := strings.Cut(rest, "#")
	if addressed(fragment) {
		u.note("address-in-fragment")
	}
	if needless(rest) >= 4 {
		u.note("encoded-letters")
	}
	path, query, asked := strings.Cut(rest, "?")
	if strings.Contains(path, `\`) {
		path = strings.ReplaceAll(path, `\`, "/")
		u.note("backslash")
	}
	var b strings.Builder
	b.WriteString(scheme)
	b.WriteString("://")
	if strings.Contains(u.Host, ":") {
		b.WriteString("[" + u.Host + "]")
	} else {
		b.WriteString(u.Host)
	}
	if given != "" && given != port {
		b.WriteString(":" + given)
	}
	b.WriteString(dots(percent(path)))
	if asked && query != "" {
		b.WriteString("?" + percent(query))
	}
	u.URL = b.String()
	return u, true
}

// addressed says that a fragment has a mail address in it, plain or in base64. It
// never reaches a server: only a page's program reads it, to greet its victim.
func addressed(fragment string) bool {
	if len(fragment) < 5 || len(fragment) > 500 {
		return false
	}
	mail := func(s string) bool {
		local, domain, ok := strings.Cut(s, "@")
		const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"
		return ok && local != "" && strings.Trim(local, letters+"_+") == "" && strings.Contains(strings.Trim(domain, "."), ".") && strings.Trim(domain, letters) == ""
	}
	for part := range strings.FieldsFuncSeq(unescape(fragment), func(r rune) bool { return strings.ContainsRune("/?&=#,;!*", r) }) {
		if mail(part) {
			return true
		}
		if len(part) >= 8 && mail(string(base64Tolerant([]byte(part)))) {
			return true
		}
	}
	return false
}

// needless counts the letters and digits that are percent-encoded, which no
// program does and people do to hide a word.
func needless(s string) (n int) {
	for i := 0; i+2 < len(s); i++ {
		if v, ok := hexAt(s, i); ok && (v >= 'a' && v <= 'z' || v >= 'A' && v <= 'Z' || v >= '0' && v <= '9') {
			n++
		}
	}
	return n
}

func (u *URL) note(n string) {
	for _, have := range u.Notes {
		if have == n {
			return
		}
	}
	u.Notes = append(u.Notes, n)
}

// splitPort takes the port off. The port is without leading zeros, at most 65535.
func splitPort(s string) (host, port string, ok bool) {
	if strings.HasPrefix(s, "[") {
		i := strings.IndexByte(s, ']')
		if i < 0 {
			return "", "", false
		}
		host, s = s[:i+1], s[i+1:]
	} else if i := strings.LastIndexByte(s, ':'); i >= 0 {
		host, s = s[:i], s[i:]
	} else {
		return s, "", s != ""
	}
	if s == "" || s == ":" {
		return host, "", host != ""
	}
	n, err := strconv.ParseUint(s[1:], 10, 16)
	if s[0] != ':' || s[1] == '+' || err != nil {
		return "", "", false
	}
	return host, strconv.FormatUint(n, 10), host != ""
}

// setHost fills Host and Name.
func (u *URL) setHost(h string) bool {
	if strings.HasPrefix(h, "[") {
		a, err := netip.ParseAddr(strings.Trim(h, "[]"))
		if err != nil || !a.Is6() || a.Zone() != "" {
			return false
		}
		u.Host = a.String()
		return true
	}
	h = strings.TrimRight(unescape(h), ".")
	// Full-width digits and stops may hide an address.
	if a, isAddress, ok := address(narrow(h)); isAddress {
		if !ok {
			return false
		}
		u.Host = a.String()
		if u.Host != h {
			u.note("encoded-address")
		}
		return true
	}
	d, err := idn.Parse(h)
	if err != nil {
		return false
	}
	u.Host, u.Name = d.String(), d
	return true
}

// address reads an IPv4 address in every form that browsers take: one to four
// parts, each decimal, octal (0..) or hexadecimal (0x..), the last filling the
// remaining octets (WHATWG URL Standard, "IPv4 parser").
func address(h string) (a netip.Addr, isAddress, ok bool) {
	parts := strings.Split(h, ".")
	if !isNumber(parts[len(parts)-1]) {
		return a, false, false
	}
	if len(parts) > 4 {
		return a, true, false
	}
	var v uint64
	for i, p := range parts {
		n, err := number(p)
		room := uint64(255)
		if i == len(parts)-1 {
			room = 1<<(8*(5-len(parts))) - 1
		}
		if err != nil || n > room {
			return a, true, false
		}
		if i == len(parts)-1 {
			v |= n
		} else {
			v |= n << (8 * (3 - i))
		}
	}
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}), true, true
}

func isNumber(p string) bool {
	if len(p) > 2 && (p[:2] == "0x" || p[:2] == "0X") {
		return strings.Trim(p[2:], "0123456789abcdefABCDEF") == ""
	}
	return p != "" && strings.Trim(p, "0123456789") == "" || p == "0x" || p == "0X"
}

func number(p string) (uint64, error) {
	switch {
	case p == "0x" || p == "0X":
		return 0, nil
	case len(p) > 2 && (p[:2] == "0x" || p[:2] == "0X"):
		return strconv.ParseUint(p[2:], 16, 33)
	case len(p) > 1 && p[0] == '0':
		return strconv.ParseUint(p[1:], 8, 33)
	}
	return strconv.ParseUint(p, 10, 33)
}

// narrow maps full-width digits and stops to ASCII.
func narrow(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '０' && r <= '９':
			return r - '０' + '0'
		case r == '。' || r == '．' || r == '｡':
			return '.'
		}
		return r
	}, s)
}

// unescape decodes percent-encoding once; what is no encoding stays.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if v, ok := hexAt(s, i); ok {
			b = append(b, v)
			i += 2
		} else {
			b = append(b, s[i])
		}
	}
	return string(b)
}

func hexAt(s string, i int) (byte, bool) {
	if s[i] != '%' || i+2 >= len(s) {
		return 0, false
	}
	hi, lo := unhex(s[i+1]), unhex(s[i+2])
	return hi<<4 | lo, hi < 16 && lo < 16
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// percent writes path or query in one form: unreserved characters plain,
// everything else that is encoded with upper-case digits, what may not stand in
// a URL encoded, a lone percent sign encoded.
func percent(s string) string {
	const digits = "0123456789ABCDEF"
	plain := true
	for i := range len(s) {
		if s[i] == '%' || !allowed(s[i]) {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	encode := func(c byte) { b = append(b, '%', digits[c>>4], digits[c&15]) }
	for i := 0; i < len(s); i++ {
		v, ok := hexAt(s, i)
		switch {
		case ok && unreserved(v):
			b = append(b, v)
			i += 2
		case ok:
			encode(v)
			i += 2
		case s[i] == '%' || !allowed(s[i]):
			encode(s[i])
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

// unreserved characters mean the same plain and encoded (RFC 3986 section 2.3).
func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

func allowed(c byte) bool { return c > 0x20 && c < 0x7f && strings.IndexByte("\"<>\\^`{|}", c) < 0 }

// dots resolves "." and ".." segments (RFC 3986 section 5.2.4); "" becomes "/".
func dots(path string) string {
	if path == "" {
		return "/"
	}
	if !strings.Contains(path, "/.") {
		return path
	}
	var out []string
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		last := i == len(segments)-1
		switch s {
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		case ".":
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, s)
		}
	}
	return "/" + strings.Join(out, "/")
}

// knownTLD says that a name ends in a suffix that the public suffix list holds
// in its ICANN section, or in one that RFC 2606 keeps for examples and tests.
// more are those that only the caller's list has.
func knownTLD(d bolwerk.Domain, more []string) bool {
	s := d.String()
	tld := s[strings.LastIndexByte(s, '.')+1:]
	return tld == "example" || tld == "test" || icann(tld) || slices.Contains(more, tld)
}
