// Package translation reads what translators (carrier-grade NAT) tell of the blocks of
// ports that they give to customers: lines of a log, by the operator's own patterns,
// and IPFIX (RFC 8158). Bytes in, records out, with bounds, pure.
package translation

import (
	"net/netip"
	"regexp"
	"strconv"
	"time"

	"bolwerk"
	"bolwerk/abuse/session"
)

// Pattern is how a translator's log says that a block is given or taken back.
type Pattern struct {
	// Name is for people and metrics.
	Name string `toml:"name"`
	// Start and Stop are regular expressions (RE2) with the groups inside, outside,
	// first and last; last may be missing where first is one port. What a line has
	// beside them is free: they need not match all of it.
	Start string `toml:"start"`
	Stop  string `toml:"stop"`
}

// Bounds.
const (
	MaxLine     = 2048 // octets of a line
	maxPatterns = 20
	maxPattern  = 500 // octets of an expression
)

// Lines reads lines of a log by patterns.
type Lines struct{ rules []rule }

type rule struct {
	kind                         session.Kind
	re                           *regexp.Regexp
	inside, outside, first, last int
}

// NewLines checks the patterns.
func NewLines(patterns []Pattern) (*Lines, error) {
	if len(patterns) > maxPatterns {
		return nil, bolwerk.Invalid("pattern: %d, at most %d", len(patterns), maxPatterns)
	}
	l := &Lines{}
	for _, p := range patterns {
		for kind, text := range map[session.Kind]string{session.Start: p.Start, session.Stop: p.Stop} {
			if text == "" && kind == session.Stop {
				continue // some translators say only what they give
			}
			if text == "" || len(text) > maxPattern {
				return nil, bolwerk.Invalid("pattern %s: %s: want 1 to %d octets", p.Name, kind, maxPattern)
			}
			re, err := regexp.Compile(text)
			if err != nil {
				return nil, bolwerk.Invalid("pattern %s: %s: %v", p.Name, kind, err)
			}
			r := rule{kind, re, re.SubexpIndex("inside"), re.SubexpIndex("outside"), re.SubexpIndex("first"), re.SubexpIndex("last")}
			if r.inside < 0 || r.outside < 0 || r.first < 0 {
				return nil, bolwerk.WithHint(bolwerk.Invalid("pattern %s: %s: groups are missing", p.Name, kind), `want (?P<inside>...), (?P<outside>...), (?P<first>...) and (?P<last>...)`)
			}
			l.rules = append(l.rules, r)
		}
	}
	return l, nil
}

// Read gives the record of a line of at most MaxLine octets that was written at a time by
// a translator; false where no pattern fits. An error is a line that a pattern fits and
// that makes no sense.
func (l *Lines) Read(line []byte, nas string, at time.Time) (r session.Record, ok bool, err error) {
	if len(line) > MaxLine {
		return r, false, ErrLong // half a number is a number too
	}
	for _, rule := range l.rules {
		m := rule.re.FindSubmatch(line)
		if m == nil {
			continue
		}
		inside, err1 := netip.ParseAddr(string(m[rule.inside]))
		outside, err2 := netip.ParseAddr(string(m[rule.outside]))
		first, err3 := strconv.ParseUint(string(m[rule.first]), 10, 16)
		last, err4 := first, error(nil)
		if rule.last >= 0 && len(m[rule.last]) > 0 {
			last, err4 = strconv.ParseUint(string(m[rule.last]), 10, 16)
		}
		for _, err := range []error{err1, err2, err3, err4} {
			if err != nil {
				return r, true, bolwerk.Invalid("line of a translator: %v", err)
			}
		}
		r, err = record(rule.kind, nas, inside, outside, uint16(first), uint16(last), at)
		return r, true, err
	}
	return r, false, nil
}

// record is a block of ports, given or taken back.
func record(kind session.Kind, nas string, inside, outside netip.Addr, first, last uint16, at time.Time) (session.Record, error) {
	inside, outside = inside.Unmap(), outside.Unmap()
	if inside.Zone() != "" || outside.Zone() != "" || last < first || first == 0 && last == 0 {
		return session.Record{}, bolwerk.Invalid("translator: block %d to %d of %s", first, last, outside)
	}
	r := session.Record{Kind: kind, Source: session.NAT, NAS: nas, Session: inside.String() + " " + outside.String() + ":" + strconv.Itoa(int(first)), Inside: inside,
		Prefixes: []netip.Prefix{netip.PrefixFrom(outside, outside.BitLen())}, Ports: session.Ports{First: first, Last: last}, At: at, Lasted: -1}
	if kind == session.Start {
		r.Lasted = 0
	}
	return r, r.Check()
}
