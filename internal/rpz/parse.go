package rpz

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"bolwerk"
)

// Limits bound what ParseZone reads; zero takes DefaultLimits' value.
type Limits struct {
	Bytes   int64 // of the whole file
	Records int   // policy records
	Errors  int   // lines that cannot be used, before it gives up
}

// DefaultLimits hold the largest public lists (about 5 million records) with
// room to spare.
func DefaultLimits() Limits { return Limits{Bytes: 1 << 30, Records: 20_000_000, Errors: 1000} }

const maxLine = 4096 // octets; a record of ours has at most 600

// Entry is one record of a zone that somebody else publishes.
type Entry struct {
	Record
	Line   int    // where it stands
	Serial uint32 // of the SOA record, 0 before it
}

// ParseZone reads a response policy zone in zone-file form (RFC 1035 section 5)
// and yields its records in order. A line that cannot be used (another kind of
// trigger, another type, a name that is none) is yielded as bolwerk.ErrInvalid
// with its line number, and reading goes on: one bad line must not cost the
// list. A broken read or a limit (bolwerk.ErrFull) ends it: what came before is
// not the whole list.
//
// origin is the zone's name; zero: the first owner of an SOA record, or
// $ORIGIN before it, says it. Zones without either have names relative to
// nothing. $INCLUDE and $GENERATE are refused.
func ParseZone(r io.Reader, origin bolwerk.Domain, l Limits) iter.Seq2[Entry, error] {
	d := DefaultLimits()
	if l.Bytes <= 0 {
		l.Bytes = d.Bytes
	}
	if l.Records <= 0 {
		l.Records = d.Records
	}
	if l.Errors <= 0 {
		l.Errors = d.Errors
	}
	return func(yield func(Entry, error) bool) {
		p := parser{zone: origin, origin: origin.String()}
		in := &io.LimitedReader{R: r, N: min(l.Bytes, math.MaxInt64-1) + 1}
		s := bufio.NewScanner(in)
		s.Buffer(make([]byte, 0, maxLine), maxLine)
		records, bad := 0, 0
		for s.Scan() {
			if in.N == 0 {
				break
			}
			p.line++
			e, ok, err := p.read(s.Text())
			if err != nil {
				if bad++; bad > l.Errors {
					yield(Entry{Line: p.line}, fmt.Errorf("line %d: more than %d lines that cannot be used: %w", p.line, l.Errors, bolwerk.ErrFull))
					return
				}
				if !yield(Entry{Line: p.line}, fmt.Errorf("line %d: %w", p.line, err)) {
					return
				}
				continue
			}
			if !ok {
				continue
			}
			if records++; records > l.Records {
				yield(Entry{Line: p.line}, fmt.Errorf("line %d: more than %d records: %w", p.line, l.Records, bolwerk.ErrFull))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		switch err := s.Err(); {
		case in.N == 0:
			yield(Entry{Line: p.line}, fmt.Errorf("zone of more than %d bytes: %w", l.Bytes, bolwerk.ErrFull))
		case errors.Is(err, bufio.ErrTooLong):
			yield(Entry{Line: p.line + 1}, fmt.Errorf("line %d: more than %d octets: %w", p.line+1, maxLine, bolwerk.ErrFull))
		case err != nil:
			yield(Entry{Line: p.line}, fmt.Errorf("read line %d: %w", p.line+1, err))
		case p.depth > 0:
			yield(Entry{Line: p.line}, bolwerk.Invalid("line %d: a parenthesis is not closed: the end is missing", p.line))
		}
	}
}

// parser is the state between lines.
type parser struct {
	zone   bolwerk.Domain
	origin string // without final dot; what relative names are completed with
	owner  string // last one, complete, without final dot
	line   int
	serial uint32
	depth  int      // open parentheses
	fields []string // of the record so far
	blank  bool     // the record began with white space: the last owner again
}

// read takes one line; ok says that it ends a policy record.
func (p *parser) read(line string) (e Entry, ok bool, err error) {
	if p.depth == 0 {
		p.fields = p.fields[:0]
		p.blank = line != "" && (line[0] == ' ' || line[0] == '\t')
	}
	if err := p.split(line); err != nil {
		p.depth = 0
		return Entry{}, false, err
	}
	if p.depth > 0 || len(p.fields) == 0 {
		return Entry{}, false, nil
	}
	f := p.fields
	if !p.blank && strings.HasPrefix(f[0], "$") {
		return Entry{}, false, p.directive(f)
	}
	if !p.blank {
		p.owner = p.complete(f[0])
		f = f[1:]
	}
	// TTL and class may come in either order, and neither matters to us.
	for len(f) > 0 && (isTTL(f[0]) || strings.EqualFold(f[0], "IN")) {
		f = f[1:]
	}
	if len(f) == 0 {
		return Entry{}, false, bolwerk.Invalid("no type")
	}
	return p.record(strings.ToUpper(f[0]), f[1:])
}

// split adds the line's fields; comments, quotes and parentheses are seen here.
func (p *parser) split(line string) error {
	for i := 0; i < len(line); {
		switch c := line[i]; {
		case c == ';':
			return nil
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case c == '(':
			if p.depth++; p.depth > 1 {
				return bolwerk.Invalid("a parenthesis inside a parenthesis")
			}
			i++
		case c == ')':
			if p.depth--; p.depth < 0 {
				return bolwerk.Invalid("a parenthesis closes that was not opened")
			}
			i++
		case c == '"':
			n := quoted(line[i+1:])
			if n < 0 {
				return bolwerk.Invalid("a quote is not closed")
			}
			p.fields = append(p.fields, line[i:i+n+2])
			i += n + 2
		default:
			n := i
			for n < len(line) && !strings.ContainsRune(" \t\r;()\"", rune(line[n])) {
				if line[n] == '\\' && n+1 < len(line) {
					n++
				}
				n++
			}
			p.fields = append(p.fields, line[i:n])
			i = n
		}
		if len(p.fields) > 64 {
			return bolwerk.Invalid("a record of more than 64 fields")
		}
	}
	return nil
}

// quoted is the length of the text before the closing quote, or -1.
func quoted(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

func (p *parser) directive(f []string) error {
	switch strings.ToUpper(f[0]) {
	case "$TTL":
		return nil
	case "$ORIGIN":
		if len(f) != 2 {
			return bolwerk.Invalid("$ORIGIN wants one name")
		}
		p.origin = p.complete(f[1])
		return nil
	}
	return bolwerk.Invalid("directive %.20q is not allowed", f[0])
}

// complete makes a name whole, without final dot. It does not look at letters.
func (p *parser) complete(name string) string {
	name = strings.ToLower(name)
	switch {
	case name == "@":
		return p.origin
	case strings.HasSuffix(name, "."):
		return name[:len(name)-1]
	case p.origin == "":
		return name
	}
	return name + "." + p.origin
}

// isTTL says whether f is a number with optional units (BIND's 1h30m).
func isTTL(f string) bool {
	if f[0] < '0' || f[0] > '9' || len(f) > 20 {
		return false
	}
	return strings.Trim(strings.ToLower(f), "0123456789smhdw") == ""
}

// record reads what stands behind owner, TTL and class.
func (p *parser) record(typ string, f []string) (Entry, bool, error) {
	if typ == "SOA" {
		if len(f) != 7 {
			return Entry{}, false, bolwerk.Invalid("an SOA record has 7 fields, this one %d", len(f))
		}
		n, err := strconv.ParseUint(f[2], 10, 32)
		if err != nil {
			return Entry{}, false, bolwerk.Invalid("serial %.20q of the SOA record", f[2])
		}
		if p.zone.IsZero() && p.owner != "" {
			if p.zone, err = bolwerk.ParseDomain(p.owner); err != nil {
				return Entry{}, false, err
			}
			if p.origin == "" {
				p.origin = p.owner
			}
		}
		p.serial = uint32(n)
		return Entry{}, false, nil
	}
	if typ == "NS" {
		return Entry{}, false, nil // the apex's, which every zone must have
	}
	rel := p.owner
	if zone := p.zone.String(); zone != "" {
		if rel == zone {
			return Entry{}, false, bolwerk.Invalid("%.10s record at the name of the zone", typ)
		}
		var in bool
		if rel, in = strings.CutSuffix(rel, "."+zone); !in {
			return Entry{}, false, bolwerk.Invalid("name %.80q is outside the zone %s", p.owner, zone)
		}
	}
	rest, below := strings.CutPrefix(rel, "*.")
	name, err := bolwerk.ParseDomain(rest)
	if err != nil {
		if i := strings.LastIndexByte(rest, '.'); i >= 0 && strings.HasPrefix(rest[i+1:], "rpz-") {
			return Entry{}, false, bolwerk.Invalid("trigger %.20s is not for names", rest[i+1:])
		}
		return Entry{}, false, err
	}
	if t := trigger(name); t != "" {
		return Entry{}, false, bolwerk.Invalid("trigger %s is not for query names", t)
	}
	if len(f) != 1 {
		return Entry{}, false, bolwerk.Invalid("%.10s record of %d fields", typ, len(f))
	}
	data, err := p.data(typ, f[0])
	if err != nil {
		return Entry{}, false, err
	}
	return Entry{Record{name, below, data}, p.line, p.serial}, true, nil
}

// data reads the policy of a record.
func (p *parser) data(typ, value string) (Data, error) {
	switch typ {
	case "A", "AAAA":
		a, err := netip.ParseAddr(value)
		if err != nil || a.Is4() != (typ == "A") || a.Zone() != "" || a.Is4In6() {
			return "", bolwerk.Invalid("%s record with %.60q", typ, value)
		}
		return Address(a), nil
	case "CNAME":
		switch value {
		case ".":
			return NXDomain, nil
		case "*.":
			return NoData, nil
		}
		to, err := bolwerk.ParseDomain(p.complete(value))
		if err != nil {
			return "", err
		}
		return Alias(to), nil
	}
	return "", bolwerk.Invalid("%.10s records are no policy that is read here", typ)
}
