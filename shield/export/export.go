// Package export writes what is in force as other programs read it: plain names,
// a hosts file, an ad-block list, an RPZ zone, CSV and JSON. It writes row by row
// and holds none.
package export

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"io"
	"net/netip"
	"strings"
	"time"

	"bolwerk"
)

// About is what a file says about itself.
type About struct {
	Operator      string
	Epoch, Serial int64
	At            time.Time // of the publication
	Landing       []netip.Addr
}

// Row is a block, or with Pass an exemption.
type Row struct {
	Ref    string        `json:"ref"`
	Name   string        `json:"name"`
	Scope  bolwerk.Scope `json:"scope"`
	WWW    bool          `json:"www,omitempty"` // "www." and the name too
	Pass   bool          `json:"pass,omitempty"`
	Action string        `json:"action,omitempty"`
	Class  string        `json:"class,omitempty"`
	Ground string        `json:"ground,omitempty"`
	Since  time.Time     `json:"since"`
	Until  time.Time     `json:"until,omitzero"`
}

// below says that all below the name is meant too.
func (r Row) below() bool { return r.Scope != bolwerk.ScopeHost }

// names are the names that are meant themselves.
func (r Row) names() []string {
	if r.WWW && !r.below() {
		return []string{r.Name, "www." + r.Name}
	}
	return []string{r.Name}
}

// Format is a kind of file.
type Format struct {
	Name string // in its path: blocks.NAME
	Type string // of content
	What string // for people
	// Exact says that the format has no way to say "passes": a row that an
	// exemption covers is left out.
	Exact bool
	begin func(w *bufio.Writer, a About) writer
}

// writer writes the rows of one file: exemptions first.
type writer interface {
	row(r Row) error
	end() error
}

// Formats are all there are.
func Formats() []Format {
	return []Format{
		{"txt", "text/plain; charset=utf-8", "one name a line", true, plain("")},
		{"hosts", "text/plain; charset=utf-8", "a hosts file", true, plain("0.0.0.0 ")},
		{"adblock", "text/plain; charset=utf-8", "an ad-block list for DNS filters", false, adblock},
		{"rpz", "text/dns; charset=utf-8", "an RPZ zone in master file format", false, rpz},
		{"csv", "text/csv; charset=utf-8; header=present", "CSV with a header line", false, table},
		{"json", "application/json", "JSON", false, object},
	}
}

// Write writes a file. rows gives exemptions first, then blocks.
func Write(w io.Writer, f Format, a About, rows func(each func(Row) error) error) error {
	b := bufio.NewWriterSize(w, 64<<10)
	out := f.begin(b, a)
	if err := rows(out.row); err != nil {
		return err
	}
	if err := out.end(); err != nil {
		return err
	}
	return b.Flush()
}

// head is what each line-based file begins with.
func head(w *bufio.Writer, mark string, a About) {
	fmt.Fprintf(w, "%s What %s blocks, %s; serial %d.%d\n", mark, strings.Join(strings.Fields(a.Operator), " "), a.At.UTC().Format(time.RFC3339), a.Epoch, a.Serial)
}

type lines struct {
	w    *bufio.Writer
	line func(w *bufio.Writer, r Row)
}

func (l lines) row(r Row) error {
	l.line(l.w, r)
	return nil // the writer remembers its error until Flush
}

func (l lines) end() error { return nil }

func plain(before string) func(*bufio.Writer, About) writer {
	return func(w *bufio.Writer, a About) writer {
		head(w, "#", a)
		return lines{w, func(w *bufio.Writer, r Row) {
			for _, n := range r.names() {
				if !r.Pass {
					w.WriteString(before)
					w.WriteString(n)
					w.WriteByte('\n')
				}
			}
		}}
	}
}

// In the syntax of DNS filters "|name^" is the name alone and "||name^" the name
// with all below.
func adblock(w *bufio.Writer, a About) writer {
	head(w, "!", a)
	return lines{w, func(w *bufio.Writer, r Row) {
		mark := "|"
		if r.below() {
			mark = "||"
		}
		if r.Pass {
			mark = "@@" + mark
		}
		for _, n := range r.names() {
			fmt.Fprintf(w, "%s%s^\n", mark, n)
		}
	}}
}

// rpz writes exemptions and blocks as one zone: of two rows at the same owner the
// one that came first stands. It remembers 8 octets an owner.
func rpz(w *bufio.Writer, a About) writer {
	head(w, ";", a)
	fmt.Fprintf(w, "$TTL 60\n@ SOA localhost. hostmaster.localhost. %d 300 60 259200 60\n@ NS localhost.\n", uint32(a.Serial))
	seed, known := maphash.MakeSeed(), map[uint64]struct{}{}
	return lines{w, func(w *bufio.Writer, r Row) {
		owners := r.names()
		if r.below() {
			owners = append(owners, "*."+r.Name)
		}
		for _, o := range owners {
			h := maphash.String(seed, o)
			if _, ok := known[h]; !ok {
				known[h] = struct{}{}
				rpzOwner(w, o, r, a)
			}
		}
	}}
}

func rpzOwner(w *bufio.Writer, owner string, r Row, a About) {
	switch {
	case r.Pass:
		fmt.Fprintf(w, "%s CNAME rpz-passthru.\n", owner)
	case r.Action == "nxdomain":
		fmt.Fprintf(w, "%s CNAME .\n", owner)
	case r.Action == "nodata" || len(a.Landing) == 0:
		fmt.Fprintf(w, "%s CNAME *.\n", owner)
	default:
		for _, addr := range a.Landing {
			kind := "A"
			if addr.Is6() {
				kind = "AAAA"
			}
			fmt.Fprintf(w, "%s %s %s\n", owner, kind, addr)
		}
	}
}

type tableRows struct{ w *csv.Writer }

func table(w *bufio.Writer, _ About) writer {
	t := tableRows{csv.NewWriter(w)}
	t.w.Write([]string{"name", "scope", "www", "pass", "action", "class", "ground", "since", "until", "ref"})
	return t
}

func (t tableRows) row(r Row) error {
	stamp := func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return at.UTC().Format(time.RFC3339)
	}
	yes := map[bool]string{true: "true", false: "false"}
	return t.w.Write([]string{r.Name, string(r.Scope), yes[r.WWW], yes[r.Pass], r.Action, r.Class, r.Ground, stamp(r.Since), stamp(r.Until), r.Ref})
}

func (t tableRows) end() error { t.w.Flush(); return t.w.Error() }

type objectRows struct {
	w *bufio.Writer
	n int
}

func object(w *bufio.Writer, a About) writer {
	operator, err := json.Marshal(a.Operator)
	if err != nil {
		panic(err) // a string
	}
	fmt.Fprintf(w, `{"operator":%s,"epoch":%d,"serial":%d,"at":%q,"items":[`, operator, a.Epoch, a.Serial, a.At.UTC().Format(time.RFC3339))
	return &objectRows{w: w}
}

func (o *objectRows) row(r Row) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if o.n++; o.n > 1 {
		o.w.WriteByte(',')
	}
	o.w.WriteByte('\n')
	_, err = o.w.Write(b)
	return err
}

func (o *objectRows) end() error { _, err := o.w.WriteString("\n]}\n"); return err }
