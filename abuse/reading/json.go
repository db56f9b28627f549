package reading

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// object is one JSON object.
type object map[string]any

// json reads one object, an array of them, or one a line (NDJSON); "" says that
// it is no JSON or no known one.
func (r *reader) json(raw []byte) (found Format) {
	if !shallow(raw) {
		r.refuse(TooDeep, 0, "JSON nested deeper than %d", MaxDepth)
		return Unreadable
	}
	each := func(v any, row int) {
		o, ok := v.(map[string]any)
		if !ok {
			r.refuse(BadSyntax, row, "not an object")
			return
		}
		f := r.object(o, row)
		if f == "" {
			r.refuse(UnknownFormat, row, "JSON in no known format")
			return
		}
		if found == "" {
			found = f
		}
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	row, before := 0, r.res.RefusedCount
	if raw[0] == '[' {
		if _, err := d.Token(); err != nil {
			return ""
		}
		for d.More() && !r.full {
			row++
			var v any
			if err := d.Decode(&v); err != nil {
				r.refuse(BadSyntax, row, "%v", err)
				break
			}
			each(v, row)
		}
	} else {
		for !r.full {
			var v any
			err := d.Decode(&v)
			if err != nil {
				rest := bytes.TrimSpace(raw[min(int(d.InputOffset()), len(raw)):])
				if len(rest) == 0 {
					break
				}
				if row == 0 { // the first line is broken: the others may not be
					return r.lines(raw, each, &found)
				}
				return r.linesFrom(rest, row, each, &found)
			}
			row++
			each(v, one(row, raw, d))
		}
	}
	if found == "" && r.res.RefusedCount > before {
		return Unreadable
	}
	return found
}

// one gives row 0 where the object is the whole report.
func one(row int, raw []byte, d *json.Decoder) int {
	if row == 1 && len(bytes.TrimSpace(raw[min(int(d.InputOffset()), len(raw)):])) == 0 {
		return 0
	}
	return row
}

func (r *reader) lines(raw []byte, each func(any, int), found *Format) Format {
	return r.linesFrom(raw, 0, each, found)
}

// linesFrom reads objects one a line after one that is broken, so that a batch
// loses only that one.
func (r *reader) linesFrom(raw []byte, row int, each func(any, int), found *Format) Format {
	for line := range bytes.SplitSeq(raw, []byte("\n")) {
		if line = bytes.TrimSpace(line); len(line) == 0 || r.full {
			continue
		}
		row++
		var v any
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&v); err != nil || d.More() {
			r.refuse(BadSyntax, row, "not one JSON object on the line")
			continue
		}
		each(v, row)
	}
	if *found == "" {
		return Unreadable
	}
	return *found
}

// shallow counts nesting before a parser that recurses sees it.
func shallow(raw []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return false
			}
		case c == '}' || c == ']':
			depth--
		case c == '\n' && depth < 0:
			depth = 0
		}
	}
	return true
}

// object finds the format of one JSON object by its keys.
func (r *reader) object(o object, row int) Format {
	lower := o.lower()
	switch {
	case o["xarf_version"] != nil:
		r.xarf4(o, row)
		return XARF4
	case o["ReporterInfo"] != nil && o["Report"] != nil:
		r.xarf3(o, row)
		return XARF3
	case o["classification.type"] != nil || o["classification.taxonomy"] != nil || o["source.ip"] != nil || o.at("classification")["type"] != nil || o.at("source")["ip"] != nil:
		r.intelmq(o, row)
		return IntelMQ
	case o["category"] != nil && o["time"] != nil && (o["address"] != nil || o["url"] != nil || o["fqdn"] != nil):
		r.n6(o, row)
		return N6
	case lower["indicatorthreattype"] != nil:
		r.ctip(lower, row)
		return CTIP
	case o["DataFeed"] != nil && o["SourceIp"] != nil:
		r.ctipAzure(o, row)
		return CTIP
	case o["_ts"] != nil && (o["src"] != nil || o["env"] != nil):
		r.anubis(o, row)
		return Anubis
	case o["Attribute"] != nil || o["Event"] != nil || o["value"] != nil && o["type"] != nil && o["category"] != nil:
		r.misp(o, row)
		return MISP
	}
	return ""
}

// at is an object within; empty where there is none.
func (o object) at(key string) object {
	m, _ := o[key].(map[string]any)
	return m
}

// lower is the object with keys in lower case.
func (o object) lower() object {
	l := make(object, len(o))
	for k, v := range o {
		l[strings.ToLower(k)] = v
	}
	return l
}

// str is a value as text: strings and numbers; "" for all else.
func (o object) str(key string) string {
	switch v := o[key].(type) {
	case string:
		return text([]byte(v))
	case json.Number:
		return v.String()
	}
	return ""
}

// firstStr is the first of keys that is there.
func (o object) firstStr(keys ...string) string {
	for _, k := range keys {
		if s := o.str(k); s != "" {
			return s
		}
	}
	return ""
}

func (o object) num(key string) float64 {
	f, err := strconv.ParseFloat(o.str(key), 64)
	if err != nil {
		return 0
	}
	return f
}

func (o object) port(key string) uint16 {
	p, _ := port(o.str(key))
	return p
}

// list is the objects of an array within, or the one that stands in its place.
func (o object) list(key string) (os []object) {
	switch v := o[key].(type) {
	case []any:
		for _, e := range v {
			if m, ok := e.(map[string]any); ok {
				os = append(os, m)
			}
		}
	case map[string]any:
		os = append(os, v)
	}
	return os
}

// canonical is an object's bytes, for its digest.
func (o object) canonical() []byte {
	b, err := json.Marshal(o)
	if err != nil {
		return fmt.Append(nil, o)
	}
	return b
}
