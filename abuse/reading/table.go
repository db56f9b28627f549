package reading

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"net/url"
	"strings"
)

// csvTable is a table with a header, read row by row.
type csvTable struct {
	in   *csv.Reader
	cols map[string]int
	row  []string
	line int
}

// newTable reads the header; nil where there is none.
func newTable(raw []byte, comma rune) *csvTable {
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	if len(line) > MaxRow || bytes.IndexByte(line, byte(comma)) < 0 {
		return nil
	}
	in := csv.NewReader(bytes.NewReader(raw))
	in.Comma, in.LazyQuotes, in.FieldsPerRecord, in.ReuseRecord = comma, true, -1, true
	head, err := in.Read()
	if err != nil || len(head) < 3 || len(head) > 1000 {
		return nil
	}
	t := &csvTable{in: in, cols: map[string]int{}}
	for i, name := range head {
		name = strings.ToLower(strings.TrimSpace(name))
		if _, there := t.cols[name]; !there {
			t.cols[name] = i
		}
	}
	return t
}

// each calls fn for each row; fn reads cells.
func (t *csvTable) each(r *reader, fn func(row int)) {
	for !r.full {
		row, err := t.in.Read()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				r.refuse(BadSyntax, t.line+1, "%v", err)
			}
			return
		}
		line, _ := t.in.FieldPos(0)
		t.row, t.line = row, line
		switch {
		case len(row) == 1 && strings.TrimSpace(row[0]) == "":
			continue
		case len(row) < 3 || len(row) > 1000:
			r.refuse(BadRow, line, "%d fields", len(row))
		default:
			fn(line)
		}
	}
}

// col is the place of a column, -1 where there is none.
func (t *csvTable) col(name string) int {
	if i, ok := t.cols[name]; ok {
		return i
	}
	return -1
}

// any is the first of columns that is there.
func (t *csvTable) any(names ...string) int {
	for _, n := range names {
		if i := t.col(n); i >= 0 {
			return i
		}
	}
	return -1
}

// cell is a value of the row; "" where the row ends before it.
func (t *csvTable) cell(i int) string {
	if i < 0 || i >= len(t.row) || len(t.row[i]) > MaxRow {
		return ""
	}
	s := strings.TrimSpace(t.row[i])
	if !plain(s) {
		s = text([]byte(s))
	}
	return s
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 || s[i] == 0 {
			return false
		}
	}
	return true
}

func (t *csvTable) named(name string) string { return t.cell(t.col(name)) }

// table reads the tables that are known; "" says that it is none.
func (r *reader) table(name string, raw []byte) Format {
	if f := r.lists(raw); f != "" {
		return f
	}
	t := newTable(raw, ',')
	if t == nil {
		return ""
	}
	has := func(names ...string) bool { return t.any(names...) >= 0 }
	switch {
	case has("reliable_notifier") && has("src_ip"):
		r.abusehub(t)
		return AbuseHub
	case has("defacement_id"):
		r.zoneH(t)
		return ZoneH
	case isShadowserver(t):
		return r.shadowserver(name, t)
	}
	return ""
}

func urlPort(s string) uint16 {
	u, err := url.Parse(s)
	if err != nil {
		return 0
	}
	p, ok := port(u.Port())
	switch {
	case ok:
		return p
	case u.Scheme == "http":
		return 80
	case u.Scheme == "https":
		return 443
	}
	return 0
}

// abusehub reads the table of the Dutch exchange, which hands on others' reports.
func (r *reader) abusehub(t *csvTable) {
	t.each(r, func(row int) {
		e := Event{Row: row, Reporter: t.named("reliable_notifier"), Kind: t.named("report_type"), Malware: t.named("infection_type"), Basis: Claim}
		kind := strings.ToLower(e.Kind)
		switch {
		case strings.Contains(kind, "drone") || strings.Contains(kind, "sinkhole") || strings.Contains(kind, "bot"):
			e.Class, e.Basis = Infected, Contact
		case strings.Contains(kind, "spam"):
			e.Class = Spam
		case strings.Contains(kind, "phish"):
			e.Class = Phishing
		case strings.Contains(kind, "brute"):
			e.Class = BruteForce
		case strings.Contains(kind, "open") || strings.Contains(kind, "accessible"):
			e.Class, e.Basis = OpenService, Answered
		case strings.Contains(kind, "malware"):
			e.Class, e.Basis = MalwareSite, Content
		}
		e.source(first(t.named("src_ip"), t.named("src_url"), t.named("src_hostname")))
		e.SourcePort, _ = port(t.named("src_port"))
		e.SourceDomain = first(e.SourceDomain, t.named("src_hostname"))
		e.DestinationIP, _ = addr(t.named("dst_ip"))
		e.DestinationPort, _ = port(t.named("dst_port"))
		e.DestinationName = t.named("dst_hostname")
		e.transport(t.named("protocol"))
		switch {
		case e.Basis == Contact && e.Protocol == "tcp":
			e.Basis = Sinkhole
		case e.Basis == Contact && e.Protocol == "udp":
			e.Basis = UDP
		}
		// Its times are in the Netherlands' own zone, and say so only in the mail.
		zone := r.hubZone
		if !e.at(t.named("event_date")+" "+t.named("event_time")+zone, "") && !e.at(t.named("event_date")+" "+t.named("event_time"), "") {
			r.refuse(BadRow, row, "no time")
			return
		}
		r.emit(e)
	})
}

// zoneH reads lists of defaced pages.
func (r *reader) zoneH(t *csvTable) {
	t.each(r, func(row int) {
		e := Event{Class: AppCompromise, Basis: Content, Row: row, Reporter: "zone-h", Kind: "defacement", Protocol: "tcp", Application: "http"}
		e.SourceIP, _ = addr(t.named("ip_address"))
		e.SourceURL = short(t.named("domain"), MaxField)
		e.SourcePort = urlPort(e.SourceURL)
		if u, err := url.Parse(e.SourceURL); err == nil {
			e.SourceDomain = u.Hostname()
		}
		if !e.at(t.named("add_date"), "") {
			r.refuse(BadRow, row, "no time")
			return
		}
		e.ReportID = t.named("defacement_id")
		r.emit(e)
	})
}
