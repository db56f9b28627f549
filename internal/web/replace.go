package web

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"bolwerk"
)

// Replacements are texts of pages that an operator words differently: a folder
// with nl.toml, fr.toml, de.toml and en.toml, which hold only the keys that
// differ. nil replaces nothing.
type Replacements struct {
	dir   string
	words map[bolwerk.Lang]map[string]words
	lines map[bolwerk.Lang]map[string]int
}

const (
	maxReplaced     = 600       // characters: a text of a page, not a page
	maxReplacedFile = 256 << 10 // bytes
)

// ReadReplacements reads a folder; "" is none. A file that is not there replaces
// nothing in its language.
func ReadReplacements(dir string) (*Replacements, error) {
	if dir == "" {
		return nil, nil
	}
	if s, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !s.IsDir() {
		return nil, bolwerk.Invalid("%s: want a folder with nl.toml, fr.toml, de.toml and en.toml", dir)
	}
	r := &Replacements{dir: dir, words: map[bolwerk.Lang]map[string]words{}, lines: map[bolwerk.Lang]map[string]int{}}
	for _, lang := range bolwerk.Langs() {
		name := r.file(lang)
		s, err := os.Stat(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		if s.Size() > maxReplacedFile {
			return nil, bolwerk.Invalid("%s: %d bytes, at most %d", name, s.Size(), maxReplacedFile)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var raw map[string]any
		if err := toml.Unmarshal(b, &raw); err != nil {
			var at *toml.DecodeError
			if errors.As(err, &at) {
				row, _ := at.Position()
				return nil, bolwerk.Invalid("%s, line %d: %s", name, row, at.Error())
			}
			return nil, bolwerk.Invalid("%s: %v", name, err)
		}
		r.words[lang] = map[string]words{}
		if err := flatten("", raw, r.words[lang]); err != nil {
			return nil, bolwerk.Invalid("%s: %v", name, err)
		}
		r.lines[lang] = linesOf(b)
	}
	return r, nil
}

func (r *Replacements) file(l bolwerk.Lang) string { return filepath.Join(r.dir, string(l)+".toml") }

// linesOf gives the line on which each key stands.
func linesOf(b []byte) map[string]int {
	lines := map[string]int{}
	var p unstable.Parser
	p.Reset(b)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind != unstable.Table && e.Kind != unstable.KeyValue {
			continue
		}
		var keys []string
		row := 0
		for it := e.Key(); it.Next(); {
			n := it.Node()
			if row == 0 {
				row = p.Shape(n.Raw).Start.Line
			}
			keys = append(keys, string(n.Data))
		}
		key := strings.Join(keys, ".")
		if e.Kind == unstable.Table {
			table = key + "."
		} else {
			lines[table+key] = row
		}
	}
	return lines
}

// at is where a key stands, for a message.
func (r *Replacements) at(l bolwerk.Lang, key string) string {
	for _, k := range []string{key, key + ".one", key + ".other"} {
		if row := r.lines[l][k]; row > 0 {
			return fmt.Sprintf("%s, line %d", r.file(l), row)
		}
	}
	return r.file(l)
}

// Check tells every problem at once, each with its file and line: a key that no
// page has, other places for arguments than the text it replaces, a language
// that is missing.
func (r *Replacements) Check(pages ...*Texts) error {
	if r == nil {
		return nil
	}
	var problems []error
	bad := func(l bolwerk.Lang, key, format string, a ...any) {
		problems = append(problems, bolwerk.Invalid("%s: text %q %s", r.at(l, key), key, fmt.Sprintf(format, a...)))
	}
	for _, lang := range bolwerk.Langs() {
		for _, key := range slices.Sorted(maps.Keys(r.words[lang])) {
			w, own := r.words[lang][key], words{}
			i := slices.IndexFunc(pages, func(t *Texts) bool { return t.Has(key) })
			if i < 0 {
				bad(lang, key, "is in no page: docs/do/brand.md says where the keys are")
				continue
			}
			own = pages[i].words[lang][key]
			switch {
			case strings.TrimSpace(w.other) == "":
				bad(lang, key, "is empty")
			case utf8.RuneCountInString(w.other) > maxReplaced || utf8.RuneCountInString(w.one) > maxReplaced:
				bad(lang, key, "has more than %d characters", maxReplaced)
			case (w.one == "") != (own.one == ""):
				if own.one == "" {
					bad(lang, key, "has one form, not one and other")
				} else {
					bad(lang, key, "needs two forms, one and other")
				}
			case places(w.other) != places(own.other):
				bad(lang, key, "has places %q, want %q", places(w.other), places(own.other))
			case places(w.one) != places(own.one):
				bad(lang, key, "has places %q in one, want %q", places(w.one), places(own.one))
			}
			for _, other := range bolwerk.Langs() {
				if _, ok := r.words[other][key]; !ok {
					bad(lang, key, "is not replaced in %s", other)
				}
			}
		}
	}
	return errors.Join(problems...)
}

// Replaced is t with the operator's texts in the place of ours. What r has for
// other pages is left out.
func (t *Texts) Replaced(r *Replacements) *Texts {
	if r == nil {
		return t
	}
	out := &Texts{words: map[bolwerk.Lang]map[string]words{}, sentences: t.sentences, evidence: t.evidence}
	for lang, m := range t.words {
		out.words[lang] = maps.Clone(m)
		for k, w := range r.words[lang] {
			if _, ok := m[k]; ok {
				out.words[lang][k] = w
			}
		}
	}
	return out
}
