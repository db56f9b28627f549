// Package lines reads files that say who has which address: leases of a DHCP server,
// and tables of fixed lines. Bytes in, records of sessions out; it knows no store.
package lines

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/session"
)

// Bounds of a file.
const (
	MaxLine = 64 << 10 // octets of a line
	MaxBad  = 20       // bad lines that are told; the rest is a number
)

// Form is how a file is written; its first line tells.
type Form string

// The forms.
const (
	Kea4   Form = "kea4"   // memfile of Kea's DHCPv4
	Kea6   Form = "kea6"   // memfile of Kea's DHCPv6
	Leases Form = "leases" // address,subscriber,line,device,from,until
	Fixed  Form = "fixed"  // prefix,customer,line,from,until,reseller
)

// Bad is a line that cannot be read.
type Bad struct {
	Line int    `json:"line"`
	Why  string `json:"why"`
}

// Result is what came of a file.
type Result struct {
	Form Form `json:"form"`
	// Taken is how many records were given on; LeftOut how many lines tell of no
	// holder: declined, released, over without having been held.
	Taken   int `json:"taken"`
	LeftOut int `json:"left_out"`
	// Bad are the first MaxBad lines that cannot be read; BadCount is all of them.
	Bad      []Bad `json:"bad"`
	BadCount int   `json:"bad_count"`
}

// table reads the lines of one form.
type table struct {
	form   Form
	server string
	column map[string]int
}

// forms are told by the columns that they must have.
var forms = []struct {
	form Form
	need []string
	read func(table, []string) (session.Record, bool, error)
}{
	{Kea6, []string{"address", "duid", "valid_lifetime", "expire", "lease_type", "prefix_len"}, table.kea6},
	{Kea4, []string{"address", "hwaddr", "valid_lifetime", "expire"}, table.kea4},
	{Fixed, []string{"prefix", "customer"}, table.fixed},
	{Leases, []string{"address", "from", "until"}, table.lease},
}

// Read reads a file of one of the forms and gives its records on, at most
// session.MaxRecords at once. server names the DHCP server in what is kept. A line that cannot be read costs only
// itself; an error of give ends it, and may be tried again from the start: what was
// taken before changes nothing.
func Read(in io.Reader, server string, may []Form, give func([]session.Record) error) (res Result, err error) {
	res.Bad = []Bad{}
	scan := bufio.NewScanner(in)
	scan.Buffer(make([]byte, 4096), MaxLine)
	t := table{server: server}
	var read func(table, []string) (session.Record, bool, error)
	var batch []session.Record
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := give(batch)
		res.Taken += len(batch)
		batch = batch[:0:0]
		return err
	}
	n := 0
	for scan.Scan() {
		n++
		text := strings.TrimRight(strings.TrimPrefix(scan.Text(), "\uFEFF"), "\r")
		if strings.TrimSpace(text) == "" || strings.HasPrefix(text, "#") {
			continue
		}
		words, err := split(text)
		if err == nil && read == nil {
			if t.column, t.form, read = header(words); read == nil {
				return res, bolwerk.WithHint(bolwerk.Invalid("line %d: the columns are those of no file that is known: %.200q", n, text),
					"Kea's memfile, or: address,subscriber,line,device,from,until for leases, or: prefix,customer,line,from,until,reseller for fixed lines")
			}
			if res.Form = t.form; !slices.Contains(may, t.form) {
				return res, bolwerk.WithHint(bolwerk.Invalid("line %d: the columns are those of %s", n, t.form), "leases are taken by: bolwerk abuse leases import, fixed lines by: bolwerk abuse lines import")
			}
			continue
		}
		var r session.Record
		held := true
		if err == nil {
			if r, held, err = read(t, words); err == nil && held {
				err = r.Check()
			}
		}
		switch {
		case err != nil:
			if res.BadCount++; len(res.Bad) < MaxBad {
				res.Bad = append(res.Bad, Bad{n, err.Error()})
			}
		case !held:
			res.LeftOut++
		default:
			if batch = append(batch, r); len(batch) == session.MaxRecords {
				if err := flush(); err != nil {
					return res, err
				}
			}
		}
	}
	switch err := scan.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return res, errors.Join(bolwerk.Invalid("line %d: longer than %d octets", n+1, MaxLine), flush())
	case err != nil:
		return res, err
	case read == nil:
		return res, bolwerk.Invalid("nothing in it")
	}
	return res, flush()
}

func header(words []string) (map[string]int, Form, func(table, []string) (session.Record, bool, error)) {
	column := map[string]int{}
	for i, w := range words {
		column[strings.ToLower(strings.TrimSpace(w))] = i
	}
	for _, f := range forms {
		if !slices.ContainsFunc(f.need, func(c string) bool { _, ok := column[c]; return !ok }) {
			return column, f.form, f.read
		}
	}
	return nil, "", nil
}

// split cuts a line of comma-separated values; values may stand in double quotes.
func split(line string) (out []string, err error) {
	for {
		if !strings.HasPrefix(line, `"`) {
			word, rest, more := strings.Cut(line, ",")
			if out = append(out, word); !more {
				return out, nil
			}
			line = rest
			continue
		}
		var b strings.Builder
		line = line[1:]
		for {
			at := strings.IndexByte(line, '"')
			if at < 0 {
				return nil, bolwerk.Invalid("a quote is not closed")
			}
			b.WriteString(line[:at])
			if line = line[at+1:]; !strings.HasPrefix(line, `"`) {
				break
			}
			b.WriteByte('"')
			line = line[1:]
		}
		out = append(out, b.String())
		switch {
		case line == "":
			return out, nil
		case line[0] != ',':
			return nil, bolwerk.Invalid("text behind a closing quote")
		}
		line = line[1:]
	}
}

func (t table) get(words []string, name string) string {
	if i, ok := t.column[name]; ok && i < len(words) {
		return strings.TrimSpace(words[i])
	}
	return ""
}

// prefix reads an address or a prefix.
func prefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p != p.Masked() {
		return p, bolwerk.Invalid("%.60q: want an address, or a prefix such as 198.51.100.0/29", s)
	}
	return p, nil
}

// moment reads a time; a day begins in UTC.
func moment(name, s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, s); err == nil {
			return at.UTC().Truncate(time.Microsecond), nil
		}
	}
	return time.Time{}, bolwerk.Invalid("%s %.40q: want a time such as 2026-11-26T12:00:00Z, or a day", name, s)
}

// lease is a line of our own form.
func (t table) lease(words []string) (r session.Record, held bool, err error) {
	p, err := prefix(t.get(words, "address"))
	if err != nil {
		return r, false, err
	}
	from, err := moment("from", t.get(words, "from"))
	if err != nil {
		return r, false, err
	}
	until, err := moment("until", t.get(words, "until"))
	if err != nil {
		return r, false, err
	}
	r, err = Lease(t.server, p, session.Identity{Subscriber: t.get(words, "subscriber"), Line: t.get(words, "line"), Calling: t.get(words, "device")}, from, until)
	return r, err == nil, err
}

// Lease is a lease from its beginning to its end. Told again with a later end it is the
// same one, renewed.
func Lease(server string, p netip.Prefix, who session.Identity, from, until time.Time) (session.Record, error) {
	r := session.Record{Kind: session.Start, Source: session.Lease, NAS: server, Session: name(p, who), Identity: who, Prefixes: []netip.Prefix{p}, At: from.UTC(), Until: until.UTC()}
	switch {
	case who.Who() == "":
		return r, bolwerk.Invalid("names no subscriber, line or device")
	case !r.Until.After(r.At):
		return r, bolwerk.Invalid("until %s is not after from", until.Format(time.RFC3339))
	}
	return r, r.Check()
}

// always is since when a fixed line is taken to be where nobody says.
var always = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// fixed is a line of the table of who has a prefix for good.
func (t table) fixed(words []string) (r session.Record, held bool, err error) {
	r = session.Record{Kind: session.Start, Source: session.Table, NAS: "table", At: always,
		Identity: session.Identity{Subscriber: t.get(words, "customer"), Line: t.get(words, "line")}}
	if r.Subscriber == "" {
		return r, false, bolwerk.Invalid("names no customer")
	}
	switch s := strings.ToLower(t.get(words, "reseller")); s {
	case "", "no", "false", "0":
	case "yes", "true", "1":
		r.Reseller = true
	default:
		return r, false, bolwerk.Invalid("reseller %.20q: want yes or no", s)
	}
	p, err := prefix(t.get(words, "prefix"))
	if err != nil {
		return r, false, err
	}
	r.Prefixes = []netip.Prefix{p}
	if s := t.get(words, "from"); s != "" {
		if r.At, err = moment("from", s); err != nil {
			return r, false, err
		}
	}
	if s := t.get(words, "until"); s != "" {
		if r.Until, err = moment("until", s); err != nil {
			return r, false, err
		}
		if !r.Until.After(r.At) {
			return r, false, bolwerk.Invalid("until %s is not after from", s)
		}
	}
	r.Session = name(p, r.Identity)
	return r, true, nil
}

// name is what tells a lease or a fixed line from others: the same line read again
// is the same one. It stands in the store as it is, so it is a digest: it names nobody.
func name(p netip.Prefix, i session.Identity) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s %s", p, i.Who()))
	return hex.EncodeToString(h[:16])
}
