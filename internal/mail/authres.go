package mail

import (
	"slices"
	"strings"

	"bolwerk"
)

const (
	maxResults      = 16 << 10 // octets of one Authentication-Results field
	maxResultParts  = 200      // methods and properties in it
	maxCommentDepth = 8
	maxDKIMDomains  = 10
)

// Proved says whether the sender of a mail is proved: our own border server
// (its authserv-id is one of ids) wrote that DMARC passed for the domain of
// from. dkim are the domains whose DKIM signatures it found good, each once, at
// most ten; they are there whether or not DMARC passed.
//
// results are the values of the mail's own Authentication-Results fields from
// top to bottom (RFC 8601). Only the topmost counts: a server writes above what
// it received, so a field below may be the sender's own text; so is every field
// inside an attached mail. A field that does not follow the grammar proves
// nothing. Microsoft 365 writes none with an authserv-id: mail from there is
// proved by its gateway's address in OwnNetworks, or not at all.
func Proved(results []string, ids []string, from Address) (ok bool, dkim []bolwerk.Domain) {
	if len(results) == 0 || from.IsZero() {
		return false, nil
	}
	id, methods, valid := parseResults(results[0])
	ours := func(own string) bool { return strings.EqualFold(own, id) }
	if !valid || !slices.ContainsFunc(ids, ours) {
		return false, nil
	}
	failed := false
	for _, m := range methods {
		passed := strings.EqualFold(m.result, "pass")
		switch m.name {
		case "dmarc":
			d, err := parseDomain(m.properties["header.from"])
			if passed && err == nil && d == from.Domain() {
				ok = true
			} else {
				failed = true // two opinions are none
			}
		case "dkim":
			if d, err := parseDomain(signer(m)); passed && err == nil && !slices.Contains(dkim, d) && len(dkim) < maxDKIMDomains {
				dkim = append(dkim, d)
			}
		}
	}
	return ok && !failed, dkim
}

// signer is the domain of a DKIM result: header.d, or what is behind the @ of
// header.i.
func signer(m method) string {
	if d := m.properties["header.d"]; d != "" {
		return d
	}
	i := m.properties["header.i"]
	return i[strings.LastIndexByte(i, '@')+1:]
}

// method is one result of the field: dmarc=pass header.from=bank.example.
type method struct {
	name, result string
	properties   map[string]string // lower-case ptype.property; the first of a name counts
}

// parseResults reads the value of an Authentication-Results field (RFC 8601
// section 2.2) with its comments and quoted strings. Splitting at semicolons, as
// github.com/emersion/go-msgauth v0.7.0 does, would let a sender write results
// of his own into a quoted local part or into what a server repeats in a comment.
func parseResults(value string) (id string, methods []method, ok bool) {
	if len(value) > maxResults {
		return "", nil, false
	}
	p := resultParser{rest: value, left: maxResultParts}
	if id, ok = p.value(); !ok || id == "" {
		return "", nil, false
	}
	if p.blank(); !p.at(';') && !p.at(0) { // a version: 1 is the only one
		if v, ok := p.value(); !ok || v != "1" {
			return "", nil, false
		}
	}
	for p.blank(); !p.at(0); p.blank() {
		if !p.take(';') {
			return "", nil, false
		}
		p.blank()
		if p.at(';') || p.at(0) {
			continue // an empty result; some servers end with a semicolon
		}
		m, ok := p.method()
		if !ok {
			return "", nil, false
		}
		if m.name != "none" {
			methods = append(methods, m)
		}
	}
	return id, methods, !p.broken
}

type resultParser struct {
	rest   string
	left   int  // parts that may still come
	broken bool // a comment does not end, or is too deep
}

// at says that c is next; 0 is the end.
func (p *resultParser) at(c byte) bool {
	if p.rest == "" || p.broken {
		return c == 0
	}
	return p.rest[0] == c
}

func (p *resultParser) take(c byte) bool {
	if c == 0 || !p.at(c) {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// blank skips white space and comments (RFC 5322 section 3.2.2).
func (p *resultParser) blank() {
	depth, i := 0, 0
	for ; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		case c == '(':
			depth++
		case depth == 0:
			p.rest = p.rest[i:]
			return
		case c == ')':
			depth--
		case c == '\\':
			i++
		}
		if depth > maxCommentDepth {
			break
		}
	}
	p.broken = p.broken || depth > 0 || i > len(p.rest)
	p.rest = ""
}

// method reads name=result and the properties up to the next semicolon.
func (p *resultParser) method() (method, bool) {
	m := method{properties: map[string]string{}}
	name, ok := p.key()
	if !ok {
		return m, false
	}
	m.name, _, _ = strings.Cut(name, "/") // dkim/1
	if m.name == "none" && !p.at('=') {
		return m, p.at(';') || p.at(0)
	}
	if m.result, ok = p.assigned(); !ok {
		return m, false
	}
	for p.blank(); !p.at(';') && !p.at(0); p.blank() {
		key, ok := p.key()
		if !ok {
			return m, false
		}
		value, ok := p.assigned()
		if !ok {
			return m, false
		}
		if _, twice := m.properties[key]; twice && (key == "header.from" || key == "header.d") {
			return m, false
		}
		m.properties[key] = value
	}
	return m, true
}

// key reads the lower-case text before an equal sign.
func (p *resultParser) key() (string, bool) {
	if p.left--; p.left < 0 {
		return "", false
	}
	n := strings.IndexAny(p.rest, "=;()\" \t\r\n")
	if n < 0 {
		n = len(p.rest)
	}
	key := strings.ToLower(p.rest[:n])
	p.rest = p.rest[n:]
	p.blank()
	return key, key != ""
}

func (p *resultParser) assigned() (string, bool) {
	if !p.take('=') {
		return "", false
	}
	return p.value()
}

// value reads a token, a quoted string, or an address whose local part may be
// quoted. An empty value is one: some servers write smtp.mailfrom= for <>.
func (p *resultParser) value() (string, bool) {
	// White space may follow the equal sign; it ends the value only when
	// what follows is no value.
	p.blank()
	var b strings.Builder
	for i := 0; i < len(p.rest); i++ {
		switch c := p.rest[i]; c {
		case ' ', '\t', '\r', '\n', ';', '(':
			p.rest = p.rest[i:]
			return b.String(), !p.broken
		case '"':
			end := i + 1
			for ; end < len(p.rest) && p.rest[end] != '"'; end++ {
				if p.rest[end] == '\\' {
					end++
				}
				if end < len(p.rest) {
					b.WriteByte(p.rest[end])
				}
			}
			if end >= len(p.rest) {
				return "", false
			}
			i = end
		default:
			b.WriteByte(c)
		}
	}
	p.rest = ""
	return b.String(), !p.broken
}
