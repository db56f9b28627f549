package contact

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"bolwerk"
	"bolwerk/abuse/notice"
)

// Bounds of a file.
const (
	MaxLine = 16 << 10 // octets of a line
	MaxBad  = 20       // bad lines that are told; the rest is a number
)

// Columns are those of a table. subscriber or line is needed; the others may be left
// out, and stand in any order.
var Columns = []string{"subscriber", "line", "name", "mail", "phone", "street", "postcode", "city", "country", "lang", "channels", "vulnerable", "business", "reseller", "abuse_mail", "never"}

// Bad is a line that is not taken.
type Bad struct {
	Line int    `json:"line"`
	Why  string `json:"why"` // names the field, never what stands in it
}

// Result is what came of a file.
type Result struct {
	Taken    int   `json:"taken"`
	Bad      []Bad `json:"bad"` // the first MaxBad
	BadCount int   `json:"bad_count"`
}

// Read reads a table (comma-separated, the first line names the columns) or lines of
// JSON, and gives its entries on, at most MaxBatch at once. A line that cannot be taken
// costs only itself; an error of give ends it. Read again, a file changes nothing.
func Read(from io.Reader, give func([]Entry) error) (res Result, err error) {
	res.Bad = []Bad{}
	scan := bufio.NewScanner(from)
	scan.Buffer(make([]byte, 4096), MaxLine)
	var batch []Entry
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := give(batch)
		if err == nil {
			res.Taken += len(batch)
		}
		batch = nil
		return err
	}
	var columns []string
	for n := 1; scan.Scan(); n++ {
		text := strings.TrimRight(strings.TrimPrefix(scan.Text(), "\uFEFF"), "\r")
		if strings.TrimSpace(text) == "" || strings.HasPrefix(text, "#") {
			continue
		}
		var e Entry
		switch {
		case strings.HasPrefix(text, "{"):
			e, err = object(text)
		case columns == nil:
			if columns, err = header(text); err != nil {
				return res, bolwerk.WithHint(bolwerk.Invalid("line %d: %v", n, err), "the first line of a table names its columns, of: "+strings.Join(Columns, ","))
			}
			continue
		default:
			e, err = row(columns, text)
		}
		if err == nil {
			err = e.Check()
		}
		if err != nil {
			if res.BadCount++; len(res.Bad) < MaxBad {
				res.Bad = append(res.Bad, Bad{n, err.Error()})
			}
			continue
		}
		if batch = append(batch, e); len(batch) == MaxBatch {
			if err := flush(); err != nil {
				return res, err
			}
		}
	}
	if err := scan.Err(); errors.Is(err, bufio.ErrTooLong) {
		return res, errors.Join(bolwerk.Invalid("a line is longer than %d octets", MaxLine), flush())
	} else if err != nil {
		return res, err
	}
	if err := flush(); err != nil {
		return res, err
	}
	if res.Taken == 0 && res.BadCount == 0 {
		return res, bolwerk.Invalid("nothing in it")
	}
	return res, nil
}

func object(text string) (e Entry, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		var typ *json.UnmarshalTypeError
		switch {
		case errors.As(err, &typ):
			return e, bolwerk.Invalid("%s: not of the kind that is wanted", typ.Field)
		case strings.HasPrefix(err.Error(), "json: unknown field"):
			return e, bolwerk.Invalid("a field that is not known: want %s", strings.Join(Columns, ", "))
		}
		return e, bolwerk.Invalid("not a line of JSON")
	}
	if d.More() {
		return e, bolwerk.Invalid("more than one object on a line")
	}
	return e, nil
}

func words(text string) ([]string, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	w, err := r.Read()
	if err != nil {
		return nil, bolwerk.Invalid("a quote is not closed, or stands where none may")
	}
	return w, nil
}

func header(text string) ([]string, error) {
	w, err := words(text)
	if err != nil {
		return nil, err
	}
	for i := range w {
		w[i] = strings.ToLower(strings.TrimSpace(w[i]))
		if !slices.Contains(Columns, w[i]) || slices.Contains(w[:i], w[i]) {
			return nil, bolwerk.Invalid("column %d has a name that is not known, or is there twice", i+1)
		}
	}
	if !slices.Contains(w, "subscriber") && !slices.Contains(w, "line") {
		return nil, bolwerk.Invalid("there is no column subscriber")
	}
	return w, nil
}

func row(columns []string, text string) (e Entry, err error) {
	w, err := words(text)
	if err != nil {
		return e, err
	}
	if len(w) != len(columns) {
		return e, bolwerk.Invalid("%d columns, the first line has %d", len(w), len(columns))
	}
	for i, name := range columns {
		v := strings.TrimSpace(w[i])
		switch name {
		case "subscriber":
			e.Subscriber = v
		case "line":
			e.Line = v
		case "name":
			e.Name = v
		case "mail":
			e.Mail = v
		case "phone":
			e.Phone = v
		case "street":
			e.Street = v
		case "postcode":
			e.Postcode = v
		case "city":
			e.City = v
		case "country":
			e.Country = strings.ToUpper(v)
		case "lang":
			e.Lang = bolwerk.Lang(strings.ToLower(v))
		case "channels":
			for _, c := range strings.Fields(strings.ToLower(v)) {
				e.Channels = append(e.Channels, notice.Channel(c))
			}
		case "abuse_mail":
			e.AbuseMail = v
		default:
			flag := map[string]*bool{"vulnerable": &e.Vulnerable, "business": &e.Business, "reseller": &e.Reseller, "never": &e.Never}[name]
			switch strings.ToLower(v) {
			case "", "no", "false", "0":
			case "yes", "true", "1":
				*flag = true
			default:
				return e, bolwerk.Invalid("%s: want yes or no", name)
			}
		}
	}
	return e, nil
}
