package export

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"bolwerk"
	"bolwerk/internal/idn"
)

// Bounds of a file that is read. What is larger is no list of decisions but a
// feed: evidence, or somebody's orders.
const (
	MaxItems = 200_000
	maxRead  = 256 << 20
	maxLine  = 64 << 10
)

// Item is one row of a file that was read.
type Item struct {
	At int // line, or number of the record
	Row
	Order  string // it came from this order: no decision of our own
	Reason string // as the file gives it
	Legal  string
	Over   string // it is over: "withdrawn", "expired"
	// Bad says why the row cannot be taken; then Text is what stands there.
	Bad, Text string
}

// Guess is the format of files that say by themselves which they are.
const Guess = "guess"

// Readable are the formats that Read takes, beside Guess.
func Readable() []string { return []string{"txt", "hosts", "adblock", "rpz", "csv", "json"} }

// Read reads a list as Write and other programs write it. A row that says no
// name that can be taken is an Item with Bad set; what cannot be read on is an
// error of the kind bolwerk.ErrInvalid.
func Read(r io.Reader, format string) ([]Item, error) {
	limited := &io.LimitedReader{R: r, N: maxRead + 1}
	b := bufio.NewReaderSize(limited, maxLine)
	b.Discard(bom(b)) // what was peeked
	if format == Guess {
		start, _ := b.Peek(maxLine) // a short file, or one that fails below
		format = guess(start)
	}
	in := &items{}
	var err error
	switch format {
	case "json":
		err = in.json(b)
	case "csv":
		err = in.csv(b)
	case "rpz":
		err = in.rpz(b)
	case "txt", "hosts", "adblock":
		err = in.lines(b, map[string]func(int, string){"txt": in.name, "hosts": in.hosts, "adblock": in.adblock}[format])
	default:
		err = bolwerk.Invalid("format %q: want one of %s", format, strings.Join(Readable(), ", "))
	}
	if err == nil && limited.N <= 0 {
		err = bolwerk.Invalid("more than %d MB", maxRead>>20)
	}
	return in.all, err
}

func bom(b *bufio.Reader) int {
	if start, _ := b.Peek(3); bytes.Equal(start, []byte("\ufeff")) {
		return 3
	}
	return 0
}

// guess tells a format by the first line that says something.
func guess(start []byte) string {
	for line := range strings.Lines(string(start)) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		words := strings.Fields(line)
		switch {
		case strings.IndexByte("{", line[0]) == 0:
			return "json"
		case line[0] == '!', strings.HasPrefix(line, "[Adblock"), line[0] == '|', strings.HasPrefix(line, "@@"):
			return "adblock"
		case line[0] == ';', line[0] == '$', len(words) > 2 && slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, "SOA") || strings.EqualFold(w, "CNAME") }):
			return "rpz"
		case line[0] == '#':
			continue
		}
		if _, err := netip.ParseAddr(words[0]); err == nil && len(words) > 1 {
			return "hosts"
		}
		if _, _, ok := heading(line); ok {
			return "csv"
		}
		return "txt"
	}
	return "txt"
}

type items struct{ all []Item }

// add keeps a row. Its name is read here, once for all formats.
func (in *items) add(i Item) {
	if i.Bad == "" {
		d, err := idn.Parse(strings.TrimSuffix(i.Name, "."))
		switch {
		case err != nil && strings.Contains(i.Name, "/"):
			i.Bad, i.Text = "an address, no name: report it instead", i.Name
		case err != nil:
			i.Bad, i.Text = "no name", i.Name
		case !strings.Contains(d.String(), "."):
			i.Bad, i.Text = "no name below a suffix", i.Name
		default:
			i.Name = d.String()
		}
	}
	if i.Scope == "" {
		i.Scope = bolwerk.ScopeHost
	}
	if scopes := []bolwerk.Scope{bolwerk.ScopeHost, bolwerk.ScopeSubtree, bolwerk.ScopeRegistrable}; i.Bad == "" && !slices.Contains(scopes, i.Scope) {
		i.Bad, i.Text = fmt.Sprintf("scope %q is none that DNS blocks", i.Scope), i.Name
	}
	in.all = append(in.all, i)
}

func (in *items) full() error {
	if len(in.all) >= MaxItems {
		return bolwerk.WithHint(bolwerk.Invalid("more than %d rows", MaxItems), "a list of that size is a feed: [[shield.list]] takes it as evidence; or split the file")
	}
	return nil
}

// lines reads a file of one thing a line.
func (in *items) lines(r io.Reader, one func(n int, line string)) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 4<<10), maxLine)
	n := 0
	for sc.Scan() {
		n++
		line := strings.TrimSpace(sc.Text())
		if line == "" || line[0] == '#' && !strings.HasPrefix(line, "##") || line[0] == '!' || line[0] == ';' {
			continue
		}
		if err := in.full(); err != nil {
			return err
		}
		one(n, line)
	}
	if errors.Is(sc.Err(), bufio.ErrTooLong) {
		return bolwerk.Invalid("line %d: longer than %d octets", n+1, maxLine)
	}
	return sc.Err()
}

// name reads a line of a plain list. "*.name" and ".name" mean all below, and the
// name.
func (in *items) name(n int, line string) {
	line, _, _ = strings.Cut(line, " #")
	line = strings.TrimSpace(line)
	name := strings.TrimPrefix(strings.TrimPrefix(line, "*"), ".")
	scope := bolwerk.ScopeHost
	if name != line {
		scope = bolwerk.ScopeSubtree
	}
	in.add(Item{At: n, Row: Row{Name: name, Scope: scope}})
}

// own are the names of the machine itself, with which hosts files begin.
var own = []string{"localhost", "localhost.localdomain", "local", "broadcasthost", "0.0.0.0",
	"ip6-localhost", "ip6-loopback", "ip6-localnet", "ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters", "ip6-allhosts"}

// hosts reads "address name name ... # comment".
func (in *items) hosts(n int, line string) {
	line, _, _ = strings.Cut(line, "#")
	words := strings.Fields(line)
	if len(words) == 0 {
		return
	}
	addr, err := netip.ParseAddr(words[0])
	for _, w := range words[1:] {
		switch {
		case slices.Contains(own, w):
		case err == nil && !addr.IsUnspecified() && !addr.IsLoopback():
			in.add(Item{At: n, Text: w, Bad: "leads to " + addr.String() + ": that is no block"})
		default:
			in.add(Item{At: n, Row: Row{Name: w}})
		}
	}
	if err != nil || len(words) == 1 {
		in.add(Item{At: n, Text: line, Bad: "no line of a hosts file"})
	}
}

// adblock reads "||name^" and "|name^", with "@@" in front for what passes.
func (in *items) adblock(n int, line string) {
	if strings.HasPrefix(line, "[") {
		return // what program it is for
	}
	i := Item{At: n, Text: line}
	rest, pass := strings.CutPrefix(line, "@@")
	i.Pass = pass
	rest, options, _ := strings.Cut(rest, "$")
	var anchored bool
	switch {
	case strings.HasPrefix(rest, "||"):
		i.Scope, rest, anchored = bolwerk.ScopeSubtree, rest[2:], true
	case strings.HasPrefix(rest, "|"):
		rest, anchored = rest[1:], true
	}
	name, ended := strings.CutSuffix(strings.TrimSuffix(rest, "|"), "^")
	switch {
	case options != "" && options != "important" && options != "all":
		i.Bad = "a rule with options: it means less than the name"
	case !anchored || !ended || strings.ContainsAny(name, "/*^#"):
		i.Bad = "a rule that is no name"
	}
	i.Name = name
	in.add(i)
}

// rpz reads a policy zone in master file format. A name and "*." below it are one
// row; "*." alone is none that we have a scope for.
func (in *items) rpz(r io.Reader) error {
	const relative = "policy.invalid."
	p := dns.NewZoneParser(r, relative, "")
	zone, n, at := relative, 0, map[string]int{}
	var below []Item
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		n++
		if err := in.full(); err != nil {
			return err
		}
		owner := strings.ToLower(rr.Header().Name)
		i := Item{At: n, Row: Row{Action: "redirect"}}
		switch v := rr.(type) {
		case *dns.SOA:
			zone = owner
			continue
		case *dns.CNAME:
			switch strings.ToLower(v.Target) {
			case "rpz-passthru.":
				i.Action, i.Pass = "", true
			case ".":
				i.Action = "nxdomain"
			case "*.":
				i.Action = "nodata"
			case "rpz-drop.", "rpz-tcp-only.":
				i.Bad, i.Text = "a policy that is not ours: "+v.Target, owner
			}
		case *dns.A, *dns.AAAA:
		default:
			continue // NS, canary names, signatures
		}
		name, inside := strings.CutSuffix(owner, "."+zone)
		for _, other := range []string{"rpz-ip", "rpz-client-ip", "rpz-nsdname", "rpz-nsip"} {
			if strings.HasSuffix("."+name, "."+other) {
				i.Bad, i.Text = "a trigger that is no name", name
			}
		}
		if !inside {
			i.Bad, i.Text = "outside the zone "+zone, owner
		}
		i.Name = name
		if rest, ok := strings.CutPrefix(name, "*."); ok && i.Bad == "" {
			i.Name = rest
			below = append(below, i)
			continue
		}
		if _, known := at[name]; known && i.Bad == "" {
			continue // more addresses of the same
		}
		at[name] = len(in.all)
		in.add(i)
	}
	if err := p.Err(); err != nil {
		return bolwerk.WithHint(bolwerk.Invalid("record %d of the zone: %v", n+1, err), "named-checkzone says more")
	}
	seen := map[string]bool{}
	for _, i := range below {
		k, ok := at[i.Name]
		switch {
		case seen[i.Name]:
		case ok && in.all[k].Pass == i.Pass:
			in.all[k].Scope = bolwerk.ScopeSubtree
		default:
			i.Bad, i.Text = "only what is below the name is meant: no scope says that", "*."+i.Name
			in.add(i)
		}
		seen[i.Name] = true
	}
	return nil
}

// keys are what a column or a field may be called, by what it is.
var keys = map[string]string{"name": "name", "domain": "name", "hostname": "name", "host": "name", "scope": "scope", "www": "www", "pass": "pass", "action": "action",
	"class": "class", "ground": "ground", "legal": "legal", "until": "until", "valid_until": "until", "state": "state", "ref": "ref", "order": "order", "order_id": "order", "reason": "reason"}

// heading reads the first line of a CSV file.
func heading(line string) (sep rune, columns []string, ok bool) {
	for _, sep := range ",;\t" {
		var out []string
		for _, c := range strings.Split(line, string(sep)) {
			out = append(out, keys[strings.ToLower(strings.Trim(strings.TrimSpace(c), `"`))])
		}
		if slices.Contains(out, "name") && (len(out) > 1 || sep == '\t') {
			return sep, out, true
		}
	}
	return 0, nil, false
}

func (in *items) csv(r *bufio.Reader) error {
	first, err := r.ReadString('\n')
	if err != nil && err != io.EOF {
		return err
	}
	sep, columns, ok := heading(strings.TrimSpace(first))
	if !ok {
		return bolwerk.WithHint(bolwerk.Invalid("the first line names no column of names"), `such as: name,scope,until,reason`)
	}
	c := csv.NewReader(r)
	c.Comma, c.FieldsPerRecord, c.LazyQuotes, c.ReuseRecord = sep, -1, true, true
	for {
		cells, err := c.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return bolwerk.Invalid("CSV: %v", err)
		}
		if err := in.full(); err != nil {
			return err
		}
		line, _ := c.FieldPos(0)
		v := map[string]string{}
		for n, cell := range cells {
			if n < len(columns) && columns[n] != "" {
				v[columns[n]] = plainCell(strings.TrimSpace(cell))
			}
		}
		in.add(itemOf(line+1, v))
	}
}

// plainCell is a cell without the apostrophe that keeps spreadsheets from taking
// it for a formula.
func plainCell(s string) string {
	if len(s) > 1 && s[0] == '\'' && strings.IndexByte("=+-@\t\r", s[1]) >= 0 {
		return s[1:]
	}
	return s
}

// json reads {"items":[...]} as the feed and the commands write it, and one
// object a line as "bolwerk export" does.
func (in *items) json(r io.Reader) error {
	d := json.NewDecoder(r)
	d.UseNumber()
	wrong := func(err error) error { return bolwerk.Invalid("JSON, after %d rows: %v", len(in.all), err) }
	for {
		t, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return wrong(err)
		}
		if t != json.Delim('{') {
			return wrong(errors.New(`want {"items":[...]}, or one object a line`))
		}
		fields, had := map[string]any{}, false
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return wrong(err)
			}
			if key == "items" {
				had = true
				if t, err := d.Token(); err != nil || t != json.Delim('[') {
					return wrong(errors.New("items is no list"))
				}
				for d.More() {
					var row map[string]any
					if err := d.Decode(&row); err != nil {
						return wrong(err)
					}
					if err := in.object(row); err != nil {
						return err
					}
				}
				if _, err := d.Token(); err != nil {
					return wrong(err)
				}
				continue
			}
			var v any
			if err := d.Decode(&v); err != nil {
				return wrong(err)
			}
			fields[fmt.Sprint(key)] = v
		}
		if _, err := d.Token(); err != nil {
			return wrong(err)
		}
		if !had {
			if err := in.object(fields); err != nil {
				return err
			}
		}
	}
}

func (in *items) object(fields map[string]any) error {
	if err := in.full(); err != nil {
		return err
	}
	v := map[string]string{}
	for k, value := range fields {
		switch x := value.(type) {
		case string:
			v[keys[k]] = x
		case bool, json.Number:
			v[keys[k]] = fmt.Sprint(x)
		}
	}
	in.add(itemOf(len(in.all)+1, v))
	return nil
}

// itemOf makes an item of what a row says by name.
func itemOf(at int, v map[string]string) Item {
	i := Item{At: at, Text: v["name"], Reason: v["reason"], Legal: v["legal"], Row: Row{Ref: v["ref"], Name: v["name"], Scope: bolwerk.Scope(strings.ToLower(v["scope"])), Action: v["action"], Class: v["class"], Ground: v["ground"]}}
	i.WWW, i.Pass = v["www"] == "true", v["pass"] == "true" || strings.HasPrefix(v["ref"], "E-")
	if s := v["state"]; s == "withdrawn" || s == "expired" {
		i.Over = s
	}
	if i.Order = v["order"]; i.Order == "" && v["ground"] == "order" {
		i.Order = "an authority"
	}
	if u := v["until"]; u != "" && u != "0" {
		at, err := time.Parse(time.RFC3339, u)
		if micros, numeric := strconv.ParseInt(u, 10, 64); numeric == nil {
			at, err = time.UnixMicro(micros).UTC(), nil
		}
		if err != nil {
			i.Bad = "until " + strconv.Quote(u) + ": want a time such as 2026-11-30T12:00:00Z"
		}
		i.Until = at
	}
	return i
}
