package web

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"bolwerk"
)

//go:embed texts/*.toml
var ownTextFiles embed.FS

// Texts are the words of pages in every language, by key ("account.login.title").
// All languages have the same keys with the same places for arguments.
type Texts struct {
	words     map[bolwerk.Lang]map[string]words
	sentences []sentence // what says most comes first
	evidence  []sentence // the same
}

// words is one text; one is empty where the number does not change it.
type words struct{ one, other string }

// ReadTexts reads dir/nl.toml, fr.toml, de.toml and en.toml. A key holds a
// text, or a table with the texts "one" and "other" that the first argument, a
// whole number, chooses from. "{0}" is the place of the first argument. A key
// or place that a language lacks is an error.
func ReadTexts(fsys fs.FS, dir string) (*Texts, error) {
	t := &Texts{words: map[bolwerk.Lang]map[string]words{}}
	for _, lang := range bolwerk.Langs() {
		name := dir + "/" + string(lang) + ".toml"
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		var raw map[string]any
		if err := toml.Unmarshal(b, &raw); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		t.words[lang] = map[string]words{}
		if err := flatten("", raw, t.words[lang]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	var err error
	if t.sentences, err = readSentences(fsys, dir+"/"+sentenceFile); err != nil {
		return nil, err
	}
	if t.evidence, err = readSentences(fsys, dir+"/"+evidenceFile); err != nil {
		return nil, err
	}
	return t, t.complete()
}

func flatten(prefix string, raw map[string]any, into map[string]words) error {
	for k, v := range raw {
		switch v := v.(type) {
		case string:
			into[prefix+k] = words{other: v}
		case map[string]any:
			one, isOne := v["one"].(string)
			other, isOther := v["other"].(string)
			if isOne && isOther && len(v) == 2 {
				into[prefix+k] = words{one, other}
				continue
			}
			if err := flatten(prefix+k+".", v, into); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s%s: want a text", prefix, k)
		}
	}
	return nil
}

var place = regexp.MustCompile(`\{(\d)\}`)

func places(s string) string {
	found := place.FindAllString(s, -1)
	slices.Sort(found)
	return strings.Join(slices.Compact(found), "")
}

func (t *Texts) complete() error {
	var problems []string
	all := map[string]bool{}
	for _, m := range t.words {
		for k := range m {
			all[k] = true
		}
	}
	for _, k := range slices.Sorted(maps.Keys(all)) {
		want := ""
		for i, lang := range bolwerk.Langs() {
			w, ok := t.words[lang][k]
			got := places(w.other)
			switch {
			case !ok:
				problems = append(problems, fmt.Sprintf("%s has no text %q", lang, k))
			case strings.TrimSpace(w.other) == "":
				problems = append(problems, fmt.Sprintf("%s: text %q is empty", lang, k))
			case i > 0 && got != want:
				problems = append(problems, fmt.Sprintf("%s: text %q has places %q, want %q", lang, k, got, want))
			}
			if i == 0 {
				want = got
			}
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("texts: %s", strings.Join(problems, "; "))
	}
	return nil
}

// OwnTexts are those of the frame itself.
func OwnTexts() (*Texts, error) { return ReadTexts(ownTextFiles, "texts") }

// With is t and more together; a key of both is an error.
func (t *Texts) With(more *Texts) (*Texts, error) {
	out := &Texts{words: map[bolwerk.Lang]map[string]words{}}
	for _, lang := range bolwerk.Langs() {
		m := maps.Clone(t.words[lang])
		for k, w := range more.words[lang] {
			if _, ok := m[k]; ok {
				return nil, fmt.Errorf("text %q is there twice", k)
			}
			m[k] = w
		}
		out.words[lang] = m
	}
	for _, s := range more.sentences {
		if t.Knows(s.english) {
			return nil, fmt.Errorf("sentence %q is there twice", s.english)
		}
	}
	out.sentences = slices.Concat(t.sentences, more.sentences)
	out.evidence = slices.Concat(t.evidence, more.evidence)
	bySpeech(out.sentences)
	bySpeech(out.evidence)
	return out, nil
}

// Has says that there is a text of this key.
func (t *Texts) Has(key string) bool { _, ok := t.words[bolwerk.EN][key]; return ok }

// T is the text of key in lang with args in their places: whole numbers with
// the language's grouping, everything else as it prints. An unknown key gives
// the key itself, so that the page still works.
func (t *Texts) T(lang bolwerk.Lang, key string, args ...any) string {
	m := t.words[lang]
	if m == nil {
		m = t.words[bolwerk.EN]
	}
	w, ok := m[key]
	if !ok {
		return key
	}
	s := w.other
	if w.one != "" && len(args) > 0 && single(lang, args[0]) {
		s = w.one
	}
	if len(args) == 0 {
		return s
	}
	return place.ReplaceAllStringFunc(s, func(p string) string {
		i, _ := strconv.Atoi(p[1:2])
		if i >= len(args) {
			return p
		}
		return show(lang, args[i])
	})
}

// single says whether n takes the singular (CLDR plural rules for whole
// numbers: French counts 0 as singular).
func single(lang bolwerk.Lang, n any) bool {
	v, ok := whole(n)
	return ok && (v == 1 || v == 0 && lang == bolwerk.FR)
}

func whole(n any) (int64, bool) {
	switch v := n.(type) {
	case int:
		return int64(v), true
	case int64:
		return v, true
	case uint64:
		return int64(v), v < 1<<63
	case int32:
		return int64(v), true
	}
	return 0, false
}

func show(lang bolwerk.Lang, v any) string {
	switch v := v.(type) {
	case string:
		return v
	case time.Duration:
		return Span(v)
	}
	if n, ok := whole(v); ok {
		return Number(lang, n)
	}
	return fmt.Sprint(v)
}

// A message.Printer is not safe for concurrent use: each call makes its own.
var tags = map[bolwerk.Lang]language.Tag{
	bolwerk.NL: language.Dutch, bolwerk.FR: language.French,
	bolwerk.DE: language.German, bolwerk.EN: language.BritishEnglish,
}

// Number is n with the grouping of the language: 1.204 in Dutch, 1,204 in English.
func Number(lang bolwerk.Lang, n int64) string {
	return message.NewPrinter(tags[lang]).Sprintf("%d", n)
}

// Decimal is v with digits behind the language's decimal mark.
func Decimal(lang bolwerk.Lang, v float64, digits int) string {
	return message.NewPrinter(tags[lang]).Sprintf("%."+strconv.Itoa(digits)+"f", v)
}
