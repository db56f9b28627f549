// Package reading turns what people hand in into observables: bytes in, URLs
// and the heads of two mails out. It is pure: no network, no files, no clock.
//
// A mail has two sides. The outer mail is the reporter's and holds personal
// data; the inner mail is the evidence. The inner mail comes attached
// (message/rfc822, or a file that holds a mail), or inline below the line that
// the mail program wrote ("Forwarded message", a block of From/Sent/Subject),
// in Dutch, French, German and English. URLs are taken from the inner mail where
// there is one; those of the reporter's own text are listed as noise.
//
// The bytes come from strangers and are meant to hurt. Nothing here recurses on
// their nesting, everything has a bound (see the constants), and the program
// reads them in a child process without network, files or secrets: Child is the
// child's loop, Pool is the desk's side.
//
// Files that hold others (.msg, winmail.dat, ZIP) are opened in mailbag.open. Each
// kind of part has one function that takes a leaf and adds to the collector (see
// leaf.read). A part that is not read is named in the warnings.
//
// Pictures and PDFs take a thousand times as long as text. Option.Fast leaves
// them out, and the result says so.
package reading

import (
	"encoding/json"
	"strings"

	"bolwerk"
)

// Bounds on what one report may take. What exceeds one is left out with a
// warning; it never fails the whole report.
const (
	MaxBytes       = 25 << 20  // of one report: the size that Gmail and most operators' servers accept for a mail
	MaxNesting     = 30        // parts within parts; the deepest mail of 716 real ones had 6
	MaxParts       = 1000      // leaves of one mail; the largest real digest seen has some hundred
	MaxMails       = 50        // attached mails of one report
	MaxHeaderBytes = 256 << 10 // of one header block; Exchange refuses beyond 256 KiB
	MaxFields      = 1000      // header fields of one block
	MaxURLs        = 1000      // wanted ones; a newsletter has some hundred
	MaxNoise       = 1000      // of noise roles, counted apart, so that pictures cannot push out lures
	MaxURLBytes    = 16 << 10  // of one URL; browsers and wrappers stop at 2 to 8 KiB
	MaxUnpacked    = 48 << 20  // that archives and Outlook messages of one report are unpacked to
	MaxTextBytes   = 4 << 20   // of text of one report after transfer decoding; the largest of 716 real ones has 0.3 MB
	MaxExcerpt     = 4000      // bytes of text for the case page
	MaxLinkText    = 200       // bytes of the text of one link
	MaxWarnings    = 50        // of one report
	maxToken       = 2 << 20   // bytes of one HTML token: data: URIs are long, nothing else is
	maxDataURI     = 1 << 20   // bytes of a data: URI that is read as a page
	maxViaEntries  = 16        // derivations kept per URL
	maxFieldValue  = 2000      // bytes of a header value that is handed on
)

// Kind says in which form the evidence came.
type Kind string

// The kinds. Plain is a mail without an inner mail: the whole body is read.
// Bounce is a delivery report (RFC 3464): an answer of ours came back.
const (
	Attached   Kind = "attached_eml"
	Inline     Kind = "inline"
	Plain      Kind = "plain"
	Bounce     Kind = "bounce"
	Alone      Kind = "file" // a file by itself: an archive, a PDF, a page
	FreeText   Kind = "text"
	SingleURL  Kind = "url"
	Unreadable Kind = "unreadable"
)

// Option changes how a mail is read. The zero Option reads a reporter's mail.
type Option struct {
	// Evidence says that the mail itself is the evidence, not a reporter's mail
	// around it: an .eml from the web form, a mail taken out of quarantine.
	Evidence bool `json:"evidence,omitempty"`
	// Fast leaves out what takes long, pictures and PDFs: Result.Later counts it.
	Fast bool `json:"fast,omitempty"`
	// MaxBytes lowers the bound MaxBytes; 0 leaves it.
	MaxBytes int `json:"max_bytes,omitempty"`
	// TLDs are top-level domains that the caller's suffix list has and the compiled one
	// has not. A name without a scheme is a link only below one that there is.
	TLDs []string `json:"tlds,omitempty"`
	// Ask goes to a Look, with what it looks at.
	Ask json.RawMessage `json:"ask,omitempty"`
}

// Result is what was read. It holds personal data (Outer, Excerpt).
type Result struct {
	Kind Kind `json:"kind"`
	// Outer is the reporter's side; nil where there is no mail, or where the
	// mail itself is the evidence.
	Outer *Head `json:"outer,omitempty"`
	// Inner is the evidence's side; nil for Plain, text and URL. Of an inline
	// forward it has only what the mail program copied into the body.
	Inner *Head `json:"inner,omitempty"`
	// URLs are unique by URL, in order of appearance, noise included.
	URLs     []URL    `json:"urls"`
	Warnings []string `json:"warnings"`
	// Others are numbers, accounts and addresses of the evidence's text.
	Others []Other `json:"others,omitempty"`
	// Later counts what Option.Fast left out: the pictures, PDFs and drawings that
	// a second reading looks at.
	Later int `json:"later,omitempty"`
	// Pictures are those in which a person may find an address, where no other
	// was found. They are the reporter's.
	Pictures []Picture `json:"pictures,omitempty"`
	// Excerpt is the beginning of the evidence's text, at most MaxExcerpt bytes
	// of UTF-8. It may hold bidi controls: escape it when it is shown.
	Excerpt string `json:"excerpt,omitempty"`
	// Lang is a guess from frequent words; empty where nothing stands out.
	Lang bolwerk.Lang `json:"lang,omitempty"`
	// Drill is the name of a header that a phishing simulation leaves, or empty.
	Drill string `json:"drill,omitempty"`
	// Delivery is what a Bounce says became of the mail that it is about.
	Delivery *Delivery `json:"delivery,omitempty"`
	// Answer is a Look's.
	Answer json.RawMessage `json:"answer,omitempty"`
}

// Wanted are the URLs without the noise.
func (r Result) Wanted() []URL {
	var w []URL
	for _, u := range r.URLs {
		if !u.Role.Noise() {
			w = append(w, u)
		}
	}
	return w
}

// HasInner says that an inner mail exists.
func (r Result) HasInner() bool { return r.Inner != nil }

// URL is one link. URL is its normal form (see Normalise).
type URL struct {
	URL string `json:"url"`
	// Host is the name in A-labels or the address; Name is zero for an address.
	Host string         `json:"host"`
	Name bolwerk.Domain `json:"name,omitzero"`
	Role Role           `json:"role"`
	// Via are the steps that led to it, outermost first: "message/rfc822",
	// "inline-forward", "base64", "text/html:href", "defanged", "safelinks".
	Via []string `json:"via"`
	// Text is what the link showed, at most MaxLinkText bytes; "" for plain text.
	Text string `json:"text,omitempty"`
	// Notes are tricks that the normal form took away: "userinfo",
	// "encoded-address", "backslash", "control-characters", "encoded-letters",
	// "address-in-fragment" (a mail address, plain or in base64), "cut".
	Notes []string `json:"notes,omitempty"`
}

// Role says what a URL is in its mail.
type Role string

// The roles. Those behind Tracking say that nobody is led there: Noise.
const (
	Lure        Role = "lure"        // a link that a person can follow
	Form        Role = "form"        // where a form sends to
	Script      Role = "script"      // program text that a page loads
	Frame       Role = "frame"       // a page within the page
	Tracking    Role = "tracking"    // a picture of one pixel, a ping
	Image       Role = "image"       // a picture
	Style       Role = "style"       // style sheets, fonts, citations
	Namespace   Role = "namespace"   // XML namespaces, document types
	Wrapper     Role = "wrapper"     // a mail filter's or site's address around one that is listed too
	Unsubscribe Role = "unsubscribe" // leave the list
	Sender      Role = "sender"      // in the sender's or the recipient's line
	Reporter    Role = "reporter"    // in the reporter's own text
)

// InFile says that a step of a derivation is within a file: a PDF, a picture, a
// document. An attached page is told by none.
func InFile(via string) bool {
	return strings.HasPrefix(via, "application/pdf") || via == "image" || via == "qr" || via == "field" || strings.HasPrefix(via, "relationship:")
}

// Noise says that a URL of this role is not a candidate: callers leave it out.
func (r Role) Noise() bool { return r.rank() >= noiseFrom }

const noiseFrom = 4

// rank orders the roles: where one URL has two, the lower rank stays. A link in
// the reporter's own text stays his: it comes before the rest of the noise only.
func (r Role) rank() int {
	switch r {
	case Form:
		return 0
	case Lure:
		return 1
	case Frame:
		return 2
	case Script:
		return 3
	case Unsubscribe:
		return 4
	case Reporter:
		return 5
	case Sender:
		return 6
	case Image:
		return 7
	case Tracking:
		return 8
	case Style:
		return 9
	case Wrapper:
		return 10
	}
	return 11
}

// Text reads an SMS or pasted text.
func Text(s string) Result { return readText(s, Option{}) }

func readText(s string, opt Option) Result {
	var c collector
	c.seen.tlds = opt.TLDs
	s = clean(string(c.clip([]byte(s))))
	c.scanText(s, Lure, []string{"text"})
	c.scanOthers(s)
	return c.result(Result{Kind: FreeText, Excerpt: excerpt(s), Lang: guess(s)})
}

// Link reads one URL as somebody typed or pasted it: defanged, without scheme,
// with text around it. The first URL counts.
func Link(s string) Result { return readLink(s, Option{}) }

func readLink(s string, opt Option) Result {
	var c collector
	c.seen.tlds = opt.TLDs
	s = clean(string(c.clip([]byte(s))))
	c.scanText(s, Lure, []string{"url"})
	if len(c.urls) == 0 {
		if r, _ := refang(s); !hasSpace(r) {
			c.add(withScheme(r), Lure, []string{"url"}, "")
		}
	}
	if len(c.urls) == 0 {
		c.warn("no URL in it")
		return c.result(Result{Kind: Unreadable})
	}
	one := 1
	if len(c.urls) > 1 && c.urls[1].Role == Wrapper {
		one = 2 // the wrapper that the first was in
	}
	if len(c.urls) > one {
		c.warn("more than one URL: the first was taken")
		c.urls = c.urls[:one]
	}
	return c.result(Result{Kind: SingleURL})
}
