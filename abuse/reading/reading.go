// Package reading turns reports of abuse into events: bytes in, who did what and
// when out. It is pure: no network, no files, no clock.
//
// A report comes in one of the field's many formats, alone or in a mail. Read
// looks at the bytes, finds the format and gives events of one shape; what cannot
// be read is refused with a code that a reporter may be told. A mail in no format
// is searched for addresses, times and ports, and marked for a person: nothing is
// ever done by itself with what was only found in a text.
//
// The bytes come from strangers and are meant to hurt. Everything has a bound
// (see the constants), nesting is counted before a parser sees it, and the time
// that reading takes grows with the bytes alone.
package reading

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds on one report. What exceeds one is refused or left out with a warning.
const (
	MaxBytes       = 64 << 20 // of a report; a day of the largest feed for one network is about 40 MB
	MaxMailBytes   = 25 << 20 // of a mail: what most operators' servers accept
	MaxEvents      = 200_000
	MaxRefused     = 1000   // rows that are named; the rest is counted
	MaxBad         = 50_000 // things refused; then the rest of the report is not read
	MaxWarnings    = 50
	MaxDepth       = 32 // of JSON, XML and MIME
	MaxParts       = 200
	MaxRow         = 256 << 10 // bytes of one row or line; the widest real one has 5 KB
	MaxUnpacked    = 64 << 20  // that the archives of one report are unpacked to
	MaxField       = 2000      // bytes of a text that is handed on
	MaxSearched    = 1 << 20   // bytes of a text that is searched by patterns
	MaxFound       = 50        // addresses in a mail for a person
	maxRatio       = 200       // unpacked to packed; CSV reaches about 20, a made bomb 1,000
	maxFiles       = 50        // of one archive
	maxHeaderBytes = 256 << 10
	maxFields      = 1000
	maxNodes       = 100_000 // of one XML document
)

// Format names how a report was written.
type Format string

// The formats.
const (
	XARF4        Format = "xarf-4"
	XARF3        Format = "xarf-3"
	XARF02       Format = "x-arf-0.2" // and 0.1: YAML in a mail
	ARF          Format = "arf"       // RFC 5965 with RFC 6591, 6650 and 6692; feedback loops
	Shadowserver Format = "shadowserver"
	AbuseHub     Format = "abusehub"
	SpamCop      Format = "spamcop"
	Cyscon       Format = "cyscon"
	HoneyPot     Format = "project-honeypot"
	Webiron      Format = "webiron"
	SafeBrowsing Format = "safe-browsing"
	IODEF        Format = "iodef"
	IntelMQ      Format = "intelmq"
	N6           Format = "n6"
	Cymru        Format = "cymru"
	Spamhaus     Format = "spamhaus"
	Anubis       Format = "anubis"
	CTIP         Format = "microsoft-ctip"
	MISP         Format = "misp"
	ZoneH        Format = "zone-h"
	PlainMail    Format = "mail" // no format: for a person
	PlainText    Format = "text" // the same, without a mail around it
	Unreadable   Format = "unreadable"
)

// Code is why something was refused. Reporters see it.
type Code string

// The codes.
const (
	Empty         Code = "empty"
	TooLarge      Code = "too-large"
	TooDeep       Code = "too-deep"
	TooMany       Code = "too-many-events"
	UnknownFormat Code = "unknown-format"
	BadSyntax     Code = "bad-syntax" // of JSON, XML or CSV
	BadSchema     Code = "schema"     // not what the format asks for
	BadVersion    Code = "version"
	BadRow        Code = "bad-row"
	NoSource      Code = "no-source"
	BadAddress    Code = "bad-address"
	BadArchive    Code = "archive" // locked, broken, or grows beyond its bound
	NothingFound  Code = "nothing-found"
)

// Refusal is one thing that was not read, and why.
type Refusal struct {
	Code Code   `json:"code"`
	Why  string `json:"why"`
	// Row is the line of a table or of a batch, from 1; 0 is the whole report.
	Row int `json:"row,omitempty"`
}

// Error says it in a line.
func (r Refusal) Error() string {
	if r.Row > 0 {
		return fmt.Sprintf("row %d: %s: %s", r.Row, r.Code, r.Why)
	}
	return fmt.Sprintf("%s: %s", r.Code, r.Why)
}

// Option is what the bytes do not say.
type Option struct {
	// Received is when the report came. An event without a time gets it, and says
	// so; one that is later than a day after it is marked. Zero: neither.
	Received time.Time
}

// Result is what was read.
type Result struct {
	Format Format  `json:"format"`
	SHA256 string  `json:"sha256"` // of the report's bytes: the address of the evidence
	Events []Event `json:"events"`
	// Person says that somebody has to look: no format was found, and Events are
	// what a text names.
	Person bool `json:"for_person,omitempty"`
	// Refused are the first MaxRefused things not read; RefusedCount is all.
	Refused      []Refusal `json:"refused,omitempty"`
	RefusedCount int       `json:"refused_count,omitempty"`
	Warnings     []string  `json:"warnings,omitempty"`
}

// Read reads one report. name is the file's, where it has one: it tells the type
// of a table. It never fails as a whole: a report that gives no event has a
// refusal of row 0.
func Read(name string, raw []byte, opt Option) Result {
	r := &reader{opt: opt, name: name}
	if len(raw) > MaxBytes {
		r.refuse(TooLarge, 0, "%d bytes; at most %d are read", len(raw), MaxBytes)
		return r.result(Unreadable, nil)
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		r.refuse(Empty, 0, "nothing in it")
		return r.result(Unreadable, raw)
	}
	format := r.file(name, raw, 0)
	if format == "" {
		format = PlainText
		r.plain(text(raw))
	}
	if len(r.res.Events) == 0 && r.whole == 0 {
		r.refuse(NothingFound, 0, "no event in it")
	}
	return r.result(format, raw)
}

// reader collects one Result.
type reader struct {
	opt      Option
	res      Result
	name     string
	whole    int       // refusals of the whole report
	unpacked int       // bytes out of archives
	reported time.Time // when the mail around says that it was written
	reporter string    // who the mail around says it is from
	reportID string
	hubZone  string // the zone that AbuseHUB's mail names for its table
	full     bool
}

func (r *reader) result(f Format, raw []byte) Result {
	r.res.Format = f
	sum := sha256.Sum256(raw)
	r.res.SHA256 = hex.EncodeToString(sum[:])
	if r.res.Events == nil {
		r.res.Events = []Event{}
	}
	r.res.Person = r.res.Person || f == PlainMail || f == PlainText
	return r.res
}

// refuse notes what was not read. Only the first are kept: a made table of a
// million bad rows costs a counter.
func (r *reader) refuse(code Code, row int, format string, args ...any) {
	r.res.RefusedCount++
	if row == 0 {
		r.whole++
	}
	if len(r.res.Refused) < MaxRefused {
		r.res.Refused = append(r.res.Refused, Refusal{code, short(fmt.Sprintf(format, args...), 300), row})
	}
	if r.res.RefusedCount == MaxBad && !r.full {
		r.full = true
		r.warn("more than %d things that cannot be read: the rest is not looked at", MaxBad)
	}
}

func (r *reader) warn(format string, args ...any) {
	w := short(fmt.Sprintf(format, args...), 300)
	if len(r.res.Warnings) < MaxWarnings && !slices.Contains(r.res.Warnings, w) {
		r.res.Warnings = append(r.res.Warnings, w)
	}
}

// file reads bytes of any kind; "" says that they are of no known format. depth
// counts archives and attached mails.
func (r *reader) file(name string, raw []byte, depth int) Format {
	body := bytes.TrimLeft(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")), "\r\n \t")
	switch {
	case bytes.HasPrefix(body, []byte("PK\x03\x04")):
		return r.zip(body, depth)
	case bytes.HasPrefix(body, []byte("\x1f\x8b")):
		return r.gzip(name, body, depth)
	case bytes.HasPrefix(body, []byte("{")) || bytes.HasPrefix(body, []byte("[")):
		if f := r.json(body); f != "" {
			return f
		}
	case bytes.HasPrefix(body, []byte("<")):
		if f := r.xml(body); f != "" {
			return f
		}
	case looksLikeMail(body):
		if len(body) > MaxMailBytes {
			r.refuse(TooLarge, 0, "a mail of %d bytes; at most %d are read", len(body), MaxMailBytes)
			return Unreadable
		}
		return r.mail(body, depth)
	}
	if f := r.table(name, body); f != "" {
		return f
	}
	if f, ok := yamlFields(text(body)); ok {
		return r.xarf02(f)
	}
	return ""
}

// emit completes an event and keeps it.
func (r *reader) emit(e Event) {
	switch {
	case !e.hasSource():
		r.refuse(NoSource, e.Row, "no address, name or link of a source")
		return
	case len(r.res.Events) >= MaxEvents:
		if !r.full {
			r.full = true
			r.refuse(TooMany, e.Row, "more than %d events: the rest is not read", MaxEvents)
		}
		return
	}
	if e.Reporter == "" {
		e.Reporter = r.reporter
	}
	if e.ReportID == "" {
		e.ReportID = r.reportID
	}
	r.when(&e)
	e.complete()
	r.res.Events = append(r.res.Events, e)
}

// when gives an event without a time that of its report. Of one that lies in the future,
// or goes on into it, nobody can know yet whose line it was.
func (r *reader) when(e *Event) {
	if e.Time.IsZero() {
		for _, t := range []time.Time{r.reported, r.opt.Received} {
			if !t.IsZero() {
				e.Time, e.TimeKind = t, OfReport
				break
			}
		}
	}
	switch {
	case e.Time.IsZero():
		e.warn("no-time")
		e.Person = true
	case !r.opt.Received.IsZero() && (e.Time.After(r.opt.Received.Add(24*time.Hour)) || e.To.After(r.opt.Received.Add(24*time.Hour))):
		e.warn("time-in-the-future")
		e.Person = true
	}
}

// text is bytes as UTF-8 without NUL.
func text(b []byte) string {
	s := strings.ToValidUTF8(string(b), "\uFFFD")
	return strings.ReplaceAll(s, "\x00", "")
}

// short cuts a text to at most n bytes, at the end of a character.
func short(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
