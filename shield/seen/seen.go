// Package seen is what the desk takes from a capture: facts, evidence, and a
// picture that is safe to show. It reads strangers' bytes and is run in the
// reader child; like all that judges, it gives the same answer to the same bytes.
package seen

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"net/url"
	"strings"
	"sync"

	"bolwerk"
	"bolwerk/internal/suffix"
	"bolwerk/shield/capture"
	"bolwerk/shield/content"
	"bolwerk/shield/judge"
	"bolwerk/shield/kit"
	"bolwerk/shield/reading"
)

// Task is the child's task; what it looks at is a capture as capture.Bundle.Encode
// gives it.
const Task reading.Task = "capture"

// Ask is the question: the brands of the operator, the operator's own rules
// for kits with what they are called in evidence, and the operator's public suffix
// list where it is not the compiled one.
type Ask struct {
	Brands []judge.Brand `json:"brands"`
	Set    string        `json:"set,omitempty"`
	Kits   []kit.File    `json:"kits,omitempty"`
	// Suffixes is the text of the list that the desk judges by.
	Suffixes string `json:"suffixes,omitempty"`
}

// Bounds of a picture.
const (
	maxSide    = 4096
	maxPicture = 2 << 20 // octets of the picture that is shown
)

// Seen is the answer.
type Seen struct {
	content.Facts
	Profile  capture.Profile  `json:"profile"`
	Spoken   bolwerk.Lang     `json:"spoken"` // the language that was asked for
	Detail   string           `json:"detail,omitempty"`
	Hops     []Hop            `json:"hops"`
	Parts    int              `json:"parts"`
	Left     []string         `json:"left,omitempty"` // out of the capture
	Requests int              `json:"requests,omitempty"`
	Parked   bool             `json:"parked,omitempty"`
	Evidence []judge.Evidence `json:"evidence"`
	Hits     []kit.Hit        `json:"hits,omitempty"` // rules that know the page
	// Picture is the screenshot, written anew; Look its perceptual hash.
	Picture []byte `json:"picture,omitempty"`
	Look    string `json:"look,omitempty"`
	// By names what it was read by: the program's rules, brands and rules for kits.
	// The same capture read by the same gives the same answer.
	By string `json:"by,omitempty"`
	// Wrong is why there is nothing else.
	Wrong string `json:"wrong,omitempty"`
}

// Hop is one answer on the way to the page.
type Hop struct {
	URL     string `json:"url"`
	Via     string `json:"via"`
	Address string `json:"address"`
	Status  int    `json:"status"`
	TLS     string `json:"tls,omitempty"` // why the certificate is not to be believed
	Issuer  string `json:"issuer,omitempty"`
	Since   string `json:"since,omitempty"` // first day of the certificate
}

// Looks are the tasks of this package for the child.
func Looks() map[reading.Task]reading.Look {
	var asked []byte
	var by *reader
	return map[reading.Task]reading.Look{Task: func(raw []byte, ask json.RawMessage) json.RawMessage {
		if by == nil || !bytes.Equal(ask, asked) { // they are the same for weeks
			var err error
			if by, err = readerOf(ask); err != nil {
				by = nil
				return encode(Seen{Wrong: err.Error(), Hops: []Hop{}, Evidence: []judge.Evidence{}})
			}
			asked = bytes.Clone(ask)
		}
		s := Look(raw, by.brands, by.psl, by.kits...)
		s.By = by.name
		return encode(s)
	}}
}

// reader is what captures are read by.
type reader struct {
	name   string
	brands *judge.Brands
	psl    *suffix.List
	kits   []*kit.Set
}

func readerOf(ask json.RawMessage) (*reader, error) {
	var a Ask
	if err := json.Unmarshal(ask, &a); err != nil {
		return nil, fmt.Errorf("the question cannot be read: %w", err)
	}
	psl := suffix.Builtin()
	if a.Suffixes != "" {
		var err error
		if psl, err = suffix.Load(strings.NewReader(a.Suffixes), nil); err != nil {
			return nil, err
		}
	}
	brands, err := judge.NewBrands(psl, judge.KnownBrands(a.Brands...)...)
	if err != nil {
		return nil, fmt.Errorf("the brands cannot be read: %w", err)
	}
	r := &reader{name: By(ask), brands: brands, psl: psl, kits: []*kit.Set{OwnKits()}}
	if len(a.Kits) > 0 {
		// What cannot be read was left out, and named, where the folder was loaded.
		set, err := kit.Of(a.Set, a.Kits)
		if set.Len() == 0 {
			return nil, fmt.Errorf("the rules for kits cannot be read: %w", err)
		}
		r.kits = append(r.kits, set)
	}
	return r, nil
}

// OwnKits are the rules for kits that come with the program, read once.
var OwnKits = sync.OnceValue(kit.Own)

// By names what a question has captures read by.
func By(ask []byte) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %s\n", judge.Ruleset, OwnKits().Version())
	sum.Write(ask)
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

func encode(s Seen) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings, numbers and bytes: cannot fail
	}
	return b
}

// Look tells what a capture shows.
func Look(raw []byte, brands *judge.Brands, psl *suffix.List, kits ...*kit.Set) Seen {
	b, err := capture.Decode(raw)
	if err != nil {
		return Seen{Wrong: err.Error(), Hops: []Hop{}, Evidence: []judge.Evidence{}}
	}
	s := Seen{Profile: b.Profile, Spoken: b.Lang, Detail: b.Detail, Parts: len(b.Parts), Left: b.Cut, Requests: len(b.Requests), Hops: []Hop{}}
	s.Facts, s.Evidence = content.Look(b, brands, psl)
	var known []judge.Evidence
	s.Hits, known = kit.Look(b, brands, kits...)
	s.Evidence = append(s.Evidence, known...)
	for _, h := range b.Hops {
		hop := Hop{URL: h.URL, Via: h.Via, Address: h.Address, Status: h.Status, TLS: h.TLS, Issuer: h.Issuer}
		if !h.NotBefore.IsZero() {
			hop.Since = h.NotBefore.UTC().Format("2006-01-02")
		}
		s.Hops = append(s.Hops, hop)
	}
	page := b.Of(capture.DOM)
	if page == nil {
		page = b.Of(capture.HTML)
	}
	s.Parked = parked(s.URL, s.Title, page)
	if shot := b.Of(capture.Screenshot); shot != nil {
		if img, err := decode(shot); err != nil {
			s.Left = append(s.Left, "the picture: "+err.Error())
		} else {
			s.Look = fmt.Sprintf("%016x", capture.Hash(img))
			s.Picture = again(img)
		}
	}
	return s
}

func decode(b []byte) (image.Image, error) {
	c, err := png.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		return nil, bolwerk.Invalid("it is no PNG")
	}
	if c.Width < 1 || c.Height < 1 || c.Width > maxSide || c.Height > maxSide {
		return nil, bolwerk.Invalid("it is %d by %d", c.Width, c.Height)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, bolwerk.Invalid("it is no whole PNG")
	}
	return img, nil
}

// again writes a picture anew, so that the browser of an analyst gets nothing
// that a stranger wrote. nil where it is too large.
func again(img image.Image) []byte {
	flat := image.NewRGBA(img.Bounds())
	draw.Draw(flat, flat.Bounds(), img, img.Bounds().Min, draw.Src)
	var out bytes.Buffer
	if err := png.Encode(&out, flat); err != nil || out.Len() > maxPicture {
		return nil
	}
	return out.Bytes()
}

// Signs of a page that stands for a name which nobody uses: the words of those
// who sell names, and their hosts.
var (
	parkedWords = []string{"domain is for sale", "domain may be for sale", "domain name is for sale", "buy this domain", "this domain is parked", "domain parking", "parked free",
		"domein is te koop", "domeinnaam is te koop", "ce domaine est à vendre", "nom de domaine est à vendre", "diese domain steht zum verkauf", "domain steht zum verkauf", "domain ist zu verkaufen"}
	parkedHosts = []string{"sedoparking.com", "parkingcrew.net", "bodis.com", "above.com", "dan.com", "afternic.com", "hugedomains.com", "parklogic.com", "sedo.com"}
)

func parked(at, title string, page []byte) bool {
	if u, err := url.Parse(at); err == nil {
		for _, h := range parkedHosts {
			if host := u.Hostname(); host == h || strings.HasSuffix(host, "."+h) {
				return true
			}
		}
	}
	text := strings.ToLower(title + "\n" + string(page[:min(len(page), 64<<10)]))
	for _, w := range parkedWords {
		if strings.Contains(text, w) {
			return true
		}
	}
	for _, h := range parkedHosts {
		if len(page) < 32<<10 && (strings.Contains(text, "//"+h) || strings.Contains(text, "."+h+"/")) {
			return true
		}
	}
	return false
}
