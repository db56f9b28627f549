package lists

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"

	"bolwerk"
	"bolwerk/internal/idn"
	"bolwerk/internal/suffix"
)

// Bounds of a file. The largest public feeds of 2026 have about 3 million lines.
const (
	MaxLines = 5_000_000
	MaxBytes = 512 << 20
	MaxLine  = 16 << 10
)

// sentinels are suffixes that no feed and no allow list may have: with one of
// them everything below is bad, or good. Other suffixes are only left out: an
// owner's own top-level domain (barclays) stands in real allow lists.
var sentinels = []string{"com", "net", "org", "info", "biz", "io", "app", "dev", "top", "xyz",
	"eu", "be", "nl", "fr", "de", "lu", "uk", "co.uk", "com.br", "com.au"}

// read turns a file into a set. sentinel is one that the file has, zero without.
func read(r io.Reader, source Source, psl *suffix.List) (_ *Set, sentinel bolwerk.Domain, _ error) {
	hash := sha256.New()
	limited := &io.LimitedReader{R: r, N: MaxBytes + 1}
	lines := bufio.NewScanner(io.TeeReader(limited, hash))
	lines.Buffer(make([]byte, 0, 4<<10), MaxLine)
	var b builder
	var c Count
	take := func(text string, f flag) {
		d, page, ok := entry(text)
		switch {
		case !ok:
			c.Bad++
		case page:
			b.urls = append(b.urls, urlKey(text))
			b.add(d, byURL)
		case psl.Is(d):
			c.Suffixes++
			if slices.Contains(sentinels, d.String()) {
				sentinel = d
			}
		default:
			b.add(d, f)
		}
	}
	zone := zone{}
	for lines.Scan() {
		if c.Lines++; c.Lines > MaxLines {
			return nil, sentinel, bolwerk.Invalid("list %s: more than %d lines", source.Name, MaxLines)
		}
		line := strings.TrimPrefix(lines.Text(), "\ufeff")
		if source.Format == RPZ {
			zone.line(line, take, &c)
			continue
		}
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		switch source.Format {
		case Hosts:
			hostsLine(line, take, &c)
		case CSV:
			f, ok := field(line, max(source.Field, 1), separator(source))
			if !ok {
				c.Bad++
				continue
			}
			if c.Lines == 1 && !strings.Contains(f, ".") {
				continue // the heading
			}
			take(f, itself)
		default:
			line, _, _ = strings.Cut(line, " #")
			take(line, itself)
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return nil, sentinel, bolwerk.Invalid("list %s line %d: longer than %d bytes", source.Name, c.Lines+1, MaxLine)
		}
		return nil, sentinel, err
	}
	if limited.N <= 0 {
		return nil, sentinel, bolwerk.Invalid("list %s: more than %d bytes", source.Name, MaxBytes)
	}
	s := b.set(source.Kind == Popular && source.Ranked)
	s.name, s.version = source.Name, "sha256:"+hex.EncodeToString(hash.Sum(nil))
	if s.top = source.Top; s.top == 0 {
		s.top = s.Len()
	}
	c.Names, c.URLs = s.Len(), len(s.urls)
	s.Count = c
	return s, sentinel, nil
}

func separator(s Source) byte {
	if s.Separator == "" {
		return ','
	}
	return s.Separator[0]
}

// entry reads a name or an address of a page. page says that it means one page
// and not the whole host.
func entry(text string) (d bolwerk.Domain, page, ok bool) {
	text = strings.TrimSpace(text)
	if _, rest, found := strings.Cut(text, "://"); found {
		host, path := rest, ""
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			host, path = rest[:i], rest[i:]
		}
		host = host[strings.LastIndexByte(host, '@')+1:]
		host, _, _ = strings.Cut(host, ":")
		d, ok = name(host)
		return d, path != "" && path != "/", ok
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "||"), "^")
	text = strings.TrimPrefix(strings.TrimPrefix(text, "*"), ".")
	d, ok = name(text)
	return d, false, ok
}

// name reads a host name in A- or U-labels.
func name(text string) (bolwerk.Domain, bool) {
	d, err := idn.Parse(text)
	return d, err == nil
}

// hostsLine reads "address name name ... # comment". The names of the machine
// itself, which every hosts file begins with, are not entries.
func hostsLine(line string, take func(string, flag), c *Count) {
	line, _, _ = strings.Cut(line, "#")
	words := strings.Fields(line)
	if len(words) == 0 {
		return
	}
	address, _, _ := strings.Cut(words[0], "%")
	if _, err := netip.ParseAddr(address); err != nil {
		c.Bad++
		return
	}
	for _, w := range words[1:] {
		switch w {
		case "localhost", "localhost.localdomain", "local", "broadcasthost", "0.0.0.0",
			"ip6-localhost", "ip6-loopback", "ip6-localnet", "ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters", "ip6-allhosts":
		default:
			take(w, itself)
		}
	}
}

// field is the n-th field of a line, from 1.
func field(line string, n int, sep byte) (string, bool) {
	for ; ; n-- {
		var text string
		if strings.HasPrefix(line, `"`) {
			var b strings.Builder
			rest := line[1:]
			for {
				i := strings.IndexByte(rest, '"')
				if i < 0 {
					return "", false
				}
				b.WriteString(rest[:i])
				if rest = rest[i+1:]; !strings.HasPrefix(rest, `"`) {
					break
				}
				b.WriteByte('"')
				rest = rest[1:]
			}
			text, line = b.String(), rest
			if line != "" && line[0] != sep {
				return "", false
			}
		} else if i := strings.IndexByte(line, sep); i >= 0 {
			text, line = line[:i], line[i:]
		} else {
			text, line = line, ""
		}
		if n == 1 {
			return text, true
		}
		if line == "" {
			return "", false
		}
		line = line[1:]
	}
}

// zone follows the origin of an RPZ zone file.
type zone struct{ origin string }

// line reads one record: a name with any policy but rpz-passthru is an entry.
// Records over several lines (only the SOA is ever written so) are told by
// their white space or by not being a policy.
func (z *zone) line(line string, take func(string, flag), c *Count) {
	line, _, _ = strings.Cut(line, ";")
	words := strings.Fields(line)
	if len(words) == 0 {
		return
	}
	if strings.EqualFold(words[0], "$ORIGIN") && len(words) > 1 {
		z.origin = strings.ToLower(strings.TrimSuffix(words[1], "."))
		return
	}
	if words[0][0] == '$' || line[0] == ' ' || line[0] == '\t' {
		return
	}
	owner, rest := strings.ToLower(words[0]), words[1:]
	for len(rest) > 0 && (strings.EqualFold(rest[0], "IN") || strings.Trim(rest[0], "0123456789smhdwSMHDW") == "") {
		rest = rest[1:]
	}
	if len(rest) < 2 {
		c.Bad++
		return
	}
	switch kind, target := strings.ToUpper(rest[0]), strings.ToLower(rest[1]); {
	case kind == "SOA":
		if owner != "@" && z.origin == "" {
			z.origin = strings.TrimSuffix(owner, ".")
		}
		return
	case owner == "@" || kind == "NS" || kind == "DNSKEY" || kind == "RRSIG" || kind == "NSEC":
		return
	case kind == "CNAME" && (target == "rpz-passthru." || target == "rpz-passthru"):
		c.Passes++
		return
	}
	if name, ok := strings.CutSuffix(owner, "."); ok {
		owner = name
		if z.origin != "" {
			if owner, ok = strings.CutSuffix(owner, "."+z.origin); !ok {
				if owner != z.origin {
					c.Bad++
				}
				return
			}
		}
	}
	for _, other := range []string{"rpz-ip", "rpz-client-ip", "rpz-nsdname", "rpz-nsip"} {
		if strings.HasSuffix(owner, "."+other) {
			c.Passes++
			return
		}
	}
	if name, ok := strings.CutPrefix(owner, "*."); ok {
		take(name, below)
	} else {
		take(owner, itself)
	}
}
