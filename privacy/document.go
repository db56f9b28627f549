package privacy

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/idn"
	"bolwerk/internal/web"
)

//go:embed document.html
var documentHTML string

// paper writes an export for the subscriber to read: one file, without scripts, without
// anything from elsewhere.
type paper struct {
	words func(lang bolwerk.Lang, word string) (string, bool)
	zone  *time.Location
	texts *web.Texts
	page  *template.Template
}

func newPaper(of Parts) (*paper, error) {
	texts, err := Texts()
	if err != nil {
		return nil, err
	}
	dates, err := web.OwnTexts()
	if err == nil {
		texts, err = dates.With(texts)
	}
	if err != nil {
		return nil, err
	}
	p := &paper{words: of.Words, zone: of.Zone, texts: texts}
	if p.zone == nil {
		p.zone = time.UTC
	}
	if p.words == nil {
		p.words = func(bolwerk.Lang, string) (string, bool) { return "", false }
	}
	p.page, err = template.New("document").Parse(documentHTML)
	return p, err
}

// ParseLang reads the language of a document; the first of ours where it is empty.
func ParseLang(s string) (bolwerk.Lang, error) {
	for _, l := range bolwerk.Langs() {
		if s == string(l) || s == "" {
			return l, nil
		}
	}
	return "", bolwerk.Invalid("language %.10q: want nl, fr, de or en", s)
}

// Document is Export as the subscriber can read it: a page of HTML in a language.
func (d *Desk) Document(ctx context.Context, by bolwerk.Actor, w Wish, lang bolwerk.Lang) ([]byte, error) {
	x, err := d.Export(ctx, by, w)
	if err != nil {
		return nil, err
	}
	return d.paper.write(x, lang)
}

// thing is one thing that is kept, in words.
type thing struct {
	Title, ID, At, Kept string
	Fields              []field
}

// field is a line of it: a text, or fields below.
type field struct {
	Label, Text string
	Below       []field
}

type section struct {
	Title string
	All   []thing
}

func (p *paper) write(x Export, lang bolwerk.Lang) ([]byte, error) {
	t := func(key string, args ...any) string { return p.texts.T(lang, "privacy.doc."+key, args...) }
	v := struct {
		Lang                              bolwerk.Lang
		Title, For, Made, Nothing         string
		Lead, Rights                      []string
		Sections                          []section
		Subscriber, RightsTitle, Operator string
	}{Lang: lang, Title: t("title"), For: t("for"), Made: p.texts.Moment(lang, x.MadeAt, p.zone), Nothing: t("nothing"), Subscriber: idn.EscapeLines(x.Subscriber), RightsTitle: t("rights"), Operator: x.Operator,
		Lead: []string{t("lead", x.Operator), t("why"), t("left")}, Rights: []string{t("rights.wrong"), t("rights.erase"), t("rights.complain")}}
	if len(x.Kept) > 0 {
		v.Nothing = ""
	}
	for _, k := range x.Kept {
		title := p.word(lang, "what", k.What)
		if n := len(v.Sections); n == 0 || v.Sections[n-1].Title != title {
			v.Sections = append(v.Sections, section{Title: title})
		}
		fields, err := p.fields(lang, k.Data)
		if err != nil {
			return nil, fmt.Errorf("document: %s %s: %w", k.What, k.ID, err)
		}
		one := thing{Title: title, ID: idn.EscapeLines(k.ID), Fields: fields, Kept: t("kept") + " " + p.until(lang, k.What, k.Days)}
		if k.What == "look" {
			one.ID = "" // a name of ours that says nothing
		}
		if !k.At.IsZero() {
			one.At = p.texts.Moment(lang, k.At, p.zone)
		}
		last := &v.Sections[len(v.Sections)-1]
		last.All = append(last.All, one)
	}
	var b bytes.Buffer
	err := p.page.Execute(&b, v)
	return b.Bytes(), err
}

// until says how long something is kept.
func (p *paper) until(lang bolwerk.Lang, what string, days int) string {
	if days > 0 {
		return p.texts.T(lang, "privacy.doc.days", days)
	}
	return p.word(lang, "until", what)
}

// word is the text of a word of ours in a language; the word itself where there is none.
func (p *paper) word(lang bolwerk.Lang, kind, word string) string {
	if key := "privacy.doc." + kind + "." + word; p.texts.Has(key) {
		return p.texts.T(lang, key)
	}
	return idn.EscapeLines(word)
}

// fields are the fields of anything that has a JSON form, in their order.
func (p *paper) fields(lang bolwerk.Lang, data any) ([]field, error) {
	b, err := json.Marshal(data)
	if err != nil || data == nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	f, err := p.value(lang, dec, "")
	return f.Below, err
}

// verbatim are the fields with somebody's own words, and left out those that say
// nothing to a reader: they are in the JSON.
var (
	verbatim = []string{"text", "reason", "subject", "body", "name", "street", "city", "threat", "necessity", "proportion", "legal", "subscriber", "line"}
	leftOut  = []string{"skew", "report"}
)

// value reads the next value of a document.
func (p *paper) value(lang bolwerk.Lang, dec *json.Decoder, key string) (f field, err error) {
	f.Label = p.word(lang, "field", key)
	tok, err := dec.Token()
	if err != nil {
		return f, err
	}
	switch v := tok.(type) {
	case json.Delim:
		for i := 1; dec.More(); i++ {
			name := ""
			if v == '{' {
				k, err := dec.Token()
				if err != nil {
					return f, err
				}
				name, _ = k.(string)
			}
			below, err := p.value(lang, dec, name)
			if err != nil {
				return f, err
			}
			switch {
			case below.Text == "" && below.Below == nil, slices.Contains(leftOut, name):
			case v == '[' && below.Below != nil:
				below.Label = fmt.Sprint(i)
				f.Below = append(f.Below, below)
			case v == '[':
				f.Text = strings.TrimPrefix(f.Text+", "+below.Text, ", ")
			default:
				f.Below = append(f.Below, below)
			}
		}
		_, err = dec.Token() // the end
	case string:
		f.Text = idn.EscapeLines(v)
		if !slices.Contains(verbatim, key) {
			f.Text = p.text(lang, v)
		}
	case bool:
		f.Text = p.texts.T(lang, "privacy.doc.no")
		if v {
			f.Text = p.texts.T(lang, "privacy.doc.yes")
		}
	case json.Number:
		f.Text = v.String()
	}
	return f, err
}

func (p *paper) text(lang bolwerk.Lang, s string) string {
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		if at.IsZero() {
			return ""
		}
		return p.texts.Moment(lang, at, p.zone)
	}
	word := s
	if _, last, ok := strings.Cut(s, "/"); ok && !strings.ContainsAny(last, "/. ") {
		word = last // a class is written taxonomy/type
	}
	if key := "privacy.doc.value." + word; p.texts.Has(key) {
		return p.texts.T(lang, key)
	}
	if text, ok := p.words(lang, word); ok {
		return text
	}
	return idn.EscapeLines(s)
}
