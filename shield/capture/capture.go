// Package capture is what a probe saw of one page, as it is kept for ever after:
// a manifest that names every part by its SHA-256, and the parts. The probe makes
// it, the judge reads it, and a verdict can be made again from it. It knows
// nothing of networks or databases.
package capture

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"bolwerk"
)

// Bounds of one capture. A probe stops at them and says so; a reader refuses
// what is beyond.
const (
	MaxHops     = 10       // redirects that are followed
	MaxPart     = 2 << 20  // octets of a page, a script, a style, a picture after decompression
	MaxParts    = 40       // parts beside the page
	MaxTotal    = 12 << 20 // octets of all parts of one capture
	MaxManifest = 512 << 10
	MaxHeaders  = 200  // header fields kept per hop
	MaxValue    = 4000 // octets kept of one header value
)

// Profile says as whom a page was asked for.
type Profile string

// The profiles.
const (
	Desktop Profile = "desktop"
	Phone   Profile = "phone"
)

// Capture is one visit.
type Capture struct {
	V       int          `json:"v"` // 1
	URL     string       `json:"url"`
	Profile Profile      `json:"profile"`
	Lang    bolwerk.Lang `json:"lang"`
	At      time.Time    `json:"at"`
	Took    int64        `json:"took_ms"`
	// Probe is the collector's version: two versions may see different things.
	Probe string `json:"probe"`
	// Hops are all answers in order, the last one being the page. Empty where
	// nothing answered.
	Hops []Hop `json:"hops"`
	// Parts are in the order in which they were fetched; the page is first.
	Parts []Part `json:"parts"`
	// Failed is a stable code of why there is no page: dns, refused (a forbidden
	// address), connect, tls, timeout, too_many_hops, loop, not_http, budget,
	// token (what looks like somebody's personal link is never fetched). Detail is
	// for people.
	Failed string `json:"failed,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Cut names what was left out at a bound.
	Cut []string `json:"cut,omitempty"`
	// Look is the 64-bit perceptual hash of the screenshot, in hex.
	Look string `json:"look,omitempty"`
	// Requests are the URLs that the rendered page asked for, in order.
	Requests []string `json:"requests,omitempty"`
}

// Hop is one answer on the way.
type Hop struct {
	URL     string `json:"url"`
	Via     string `json:"via"` // how it was reached: asked, http_3xx, refresh, meta, js
	Address string `json:"address"`
	Status  int    `json:"status"`
	// Header has the names in canonical form; values are cut at MaxValue.
	Header []Field `json:"header"`
	// TLS is why the certificate would not be believed by a browser; "" where it
	// would, or where there is none.
	TLS string `json:"tls,omitempty"`
	// Names and NotBefore are of the certificate.
	Names     []string  `json:"names,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	Issuer    string    `json:"issuer,omitempty"`
}

// Field is one header field.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Kind says what a part is.
type Kind string

// The kinds. HTML is the page as the server sent it, DOM the page after its
// scripts ran in a browser.
const (
	HTML       Kind = "html"
	DOM        Kind = "dom"
	Script     Kind = "script"
	Style      Kind = "style"
	Icon       Kind = "icon"
	Frame      Kind = "frame"
	Screenshot Kind = "screenshot" // PNG
)

// Part is one file of a capture.
type Part struct {
	Kind   Kind   `json:"kind"`
	URL    string `json:"url"`
	Type   string `json:"type"` // media type as the server named it
	Status int    `json:"status"`
	SHA256 string `json:"sha256"`
	Size   int    `json:"size"`
	Cut    bool   `json:"cut,omitempty"` // there was more
}

// Bundle is a capture with the octets of its parts, by SHA-256 in hex.
type Bundle struct {
	Capture
	Data map[string][]byte
}

// Put adds a part and keeps its octets once.
func (b *Bundle) Put(p Part, data []byte) {
	sum := sha256.Sum256(data)
	p.SHA256, p.Size = hex.EncodeToString(sum[:]), len(data)
	if b.Data == nil {
		b.Data = map[string][]byte{}
	}
	b.Data[p.SHA256] = data
	b.Parts = append(b.Parts, p)
}

// Of gives the octets of the first part of a kind; nil where there is none.
func (b *Bundle) Of(k Kind) []byte {
	for _, p := range b.Parts {
		if p.Kind == k {
			return b.Data[p.SHA256]
		}
	}
	return nil
}

// Final is the URL of the last hop, or the URL that was asked for.
func (c *Capture) Final() string {
	if n := len(c.Hops); n > 0 {
		return c.Hops[n-1].URL
	}
	return c.URL
}

// Encode gives the manifest, one line of JSON, and behind it the octets of the
// parts, each once, in the order of their first mention. The same capture gives
// the same octets.
func (b *Bundle) Encode() ([]byte, error) {
	m, err := json.Marshal(b.Capture)
	if err != nil {
		return nil, err
	}
	out := append(m, '\n')
	seen := map[string]bool{}
	for _, p := range b.Parts {
		if !seen[p.SHA256] {
			seen[p.SHA256] = true
			out = append(out, b.Data[p.SHA256]...)
		}
	}
	return out, nil
}

// Decode reads what Encode wrote and refuses what is beyond the bounds or does
// not have the hash that it is named by.
func Decode(in []byte) (*Bundle, error) {
	line, rest, ok := bytes.Cut(in, []byte{'\n'})
	if !ok || len(line) > MaxManifest || len(rest) > MaxTotal {
		return nil, bolwerk.Invalid("a capture without a manifest, or one beyond %d octets", MaxTotal)
	}
	b := &Bundle{Data: map[string][]byte{}}
	if err := json.Unmarshal(line, &b.Capture); err != nil {
		return nil, bolwerk.Invalid("a capture whose manifest is not JSON of a capture")
	}
	if b.V != 1 || len(b.Hops) > MaxHops+1 || len(b.Parts) > MaxParts+1 {
		return nil, bolwerk.Invalid("a capture of version %d with %d hops and %d parts: want version 1, at most %d and %d", b.V, len(b.Hops), len(b.Parts), MaxHops+1, MaxParts+1)
	}
	for _, p := range b.Parts {
		if _, ok := b.Data[p.SHA256]; ok {
			continue
		}
		if p.Size < 0 || p.Size > MaxPart || p.Size > len(rest) {
			return nil, bolwerk.Invalid("a capture whose part of %d octets is cut or too long", p.Size)
		}
		data := rest[:p.Size:p.Size]
		rest = rest[p.Size:]
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != p.SHA256 {
			return nil, bolwerk.Invalid("a capture whose part is not what its hash names")
		}
		b.Data[p.SHA256] = data
	}
	if len(rest) > 0 {
		return nil, bolwerk.Invalid("a capture with %d octets that no part names", len(rest))
	}
	return b, nil
}
