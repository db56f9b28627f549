// Package unwrap undoes, without asking anybody, what mail filters and sites do
// to links: it finds the address inside a rewritten one. It also takes out of an
// address what would tell the site whose copy of the mail was looked at (Strip).
//
// A wrapper is known by its exact host, or by a suffix that one company has as
// a whole: an address that merely contains a wrapper's name is not one. What can
// be read only at the company (Mimecast, LinkedIn's slink, shorteners) is left
// as it is.
package unwrap

import (
	"encoding/base64"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Bounds: wrappers of mail filters stop at 8 KiB, and nobody needs more than a
// filter in a filter in a redirect of a site.
const (
	MaxDepth = 5        // wrappers within wrappers
	MaxBytes = 16 << 10 // of an address, wrapped or not
)

// Once finds the address inside a wrapped one and says by which wrapper. The
// argument is an absolute http or https URL in normal form (the host in lower
// case); the result is as the wrapper holds it and wants to be normalised. It
// says false for everything that is no wrapper of ours or does not hold an
// absolute address.
func Once(address string) (target, by string, ok bool) {
	if len(address) > MaxBytes {
		return "", "", false
	}
	l, ok := split(address)
	if !ok {
		return "", "", false
	}
	w, ok := wrapperOf(l.host)
	if !ok {
		return "", "", false
	}
	for _, f := range w.find {
		if t := f(l); t != "" && len(t) <= MaxBytes {
			if t, ok = absolute(t); ok {
				return t, w.name, true
			}
		}
	}
	return "", "", false
}

// Wraps says that a host belongs to a wrapper that Once knows.
func Wraps(host string) bool {
	_, ok := wrapperOf(host)
	return ok
}

// link is an address taken apart: no more than the wrappers ask for.
type link struct {
	host, path, query string
	rest              string // path and query as they stand
}

func split(address string) (l link, ok bool) {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return l, false
	}
	rest, _, _ = strings.Cut(rest, "#")
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	l.host, l.rest = rest[:end], rest[end:]
	if strings.ContainsAny(l.host, `@\`) {
		return l, false // not in normal form: whose host it is depends on who reads it
	}
	l.host, _, _ = strings.Cut(l.host, ":")
	l.path, l.query, _ = strings.Cut(l.rest, "?")
	return l, true
}

// param is the first value of a query parameter, decoded. Links that were
// copied out of HTML have "amp;" in front of the names.
func (l link) param(name string) string {
	raw := l.raw(name)
	if v, err := url.QueryUnescape(raw); err == nil {
		return v
	}
	return raw
}

func (l link) raw(name string) string {
	for pair := range strings.SplitSeq(l.query, "&") {
		k, v, _ := strings.Cut(pair, "=")
		if strings.TrimPrefix(k, "amp;") == name && v != "" {
			return v
		}
	}
	return ""
}

// absolute makes an absolute address of what a wrapper held.
func absolute(t string) (string, bool) {
	t = strings.TrimSpace(t)
	for n := 0; n < 2 && !strings.Contains(t, "/"); n++ { // encoded twice
		u, err := url.PathUnescape(t)
		if err != nil || u == t {
			break
		}
		t = u
	}
	scheme, rest, ok := strings.Cut(t, ":")
	switch strings.ToLower(scheme) {
	case "http", "https":
	default:
		return "", false
	}
	// Gateways collapse the slashes of an address within a path.
	rest = strings.TrimLeft(rest, `/\`)
	if !ok || rest == "" || !utf8.ValidString(rest) {
		return "", false
	}
	return strings.ToLower(scheme) + "://" + rest, true
}

// fromBase64 decodes either alphabet, with or without padding.
func fromBase64(s string) (string, bool) {
	s = strings.TrimRight(strings.NewReplacer("+", "-", "/", "_", " ", "-").Replace(s), "=")
	b, err := base64.RawURLEncoding.DecodeString(s)
	return string(b), err == nil && utf8.Valid(b)
}
