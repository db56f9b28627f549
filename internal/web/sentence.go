package web

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"

	"bolwerk"
)

// What refuses speaks English: to programs, in the terminal, in the log and in
// what is stored. A page says it in its reader's language. The English sentence
// is the key, with its places as fmt has them, and the values are found in what
// was said: an error needs to know nothing of languages.

// They lie beside the texts of a package, where it has them: for each sentence
// its words in the other languages, with "{0}" for its first place. One file has
// what refuses, the other what evidence saw.
const (
	sentenceFile = "sentences.toml"
	evidenceFile = "evidence.toml"
)

// maxSentence bounds what is looked up: longer is no sentence of ours.
const maxSentence = 2000

// sentence is one that is known. Its literals stand around its places.
type sentence struct {
	english  string
	literals []string
	words    map[bolwerk.Lang]string
}

var verb = regexp.MustCompile(`%\+?(?:\.\d+)?[a-zA-Z]|%%`)

// parseSentence cuts a format of fmt at its places.
func parseSentence(format string) sentence {
	s := sentence{english: format}
	from, literal := 0, ""
	for _, at := range verb.FindAllStringIndex(format, -1) {
		literal += format[from:at[0]]
		if from = at[1]; format[at[0]:at[1]] == "%%" {
			literal += "%"
			continue
		}
		s.literals, literal = append(s.literals, literal), ""
	}
	s.literals = append(s.literals, literal+format[from:])
	return s
}

// match finds the values in what was said.
func (s sentence) match(said string) (values []string, ok bool) {
	last := len(s.literals) - 1
	if last == 0 {
		return nil, said == s.literals[0]
	}
	if said, ok = strings.CutPrefix(said, s.literals[0]); !ok {
		return nil, false
	}
	for _, l := range s.literals[1:last] {
		value, rest, found := strings.Cut(said, l)
		if !found || l == "" {
			return nil, false
		}
		values, said = append(values, value), rest
	}
	value, ok := strings.CutSuffix(said, s.literals[last])
	return append(values, value), ok
}

// weight is how much a sentence says by itself.
func (s sentence) weight() int { return len(strings.Join(s.literals, "")) }

func readSentences(fsys fs.FS, name string) ([]sentence, error) {
	b, err := fs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var raw map[string]map[bolwerk.Lang]string
	if err := toml.Unmarshal(b, &raw); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var out []sentence
	var problems []string
	for _, english := range slices.Sorted(maps.Keys(raw)) {
		s := parseSentence(english)
		s.words = raw[english]
		want := ""
		for i := range len(s.literals) - 1 {
			want += "{" + strconv.Itoa(i) + "}"
		}
		for _, lang := range bolwerk.Langs() {
			if w := s.words[lang]; lang != bolwerk.EN && (strings.TrimSpace(w) == "" || places(w) != want) {
				problems = append(problems, fmt.Sprintf("%q has places %q in %s, want %q", english, places(w), lang, want))
			}
		}
		out = append(out, s)
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("%s: %s", name, strings.Join(problems, "; "))
	}
	bySpeech(out)
	return out, nil
}

// bySpeech puts first what says most: "{0} is exempt already" before "{0} is {1} already".
func bySpeech(all []sentence) {
	slices.SortStableFunc(all, func(a, b sentence) int { return cmp.Compare(b.weight(), a.weight()) })
}

// Knows says that a sentence, as the source has it, is there in every language.
func (t *Texts) Knows(english string) bool {
	return slices.ContainsFunc(t.sentences, func(s sentence) bool { return s.english == english })
}

// Told is an English sentence of ours in lang, with what stands in its places;
// sentences with "; " between them one by one, and so words with ", ". What is no sentence of ours stays
// as it is.
func (t *Texts) Told(lang bolwerk.Lang, said string) string {
	if lang == bolwerk.EN || said == "" || len(said) > maxSentence {
		return said
	}
	return told(t.sentences, lang, said, 0)
}

// Seen is Told of what evidence saw.
func (t *Texts) Seen(lang bolwerk.Lang, said string) string {
	if lang == bolwerk.EN || said == "" || len(said) > maxSentence {
		return said
	}
	return told(t.evidence, lang, said, 0)
}

// maxInside is how deep one sentence may stand in a place of another.
const maxInside = 3

func told(all []sentence, lang bolwerk.Lang, said string, deep int) string {
	for _, s := range all {
		values, ok := s.match(said)
		if !ok {
			continue
		}
		return place.ReplaceAllStringFunc(s.words[lang], func(p string) string {
			i, _ := strconv.Atoi(p[1:2])
			if i >= len(values) {
				return p
			}
			if deep < maxInside {
				return told(all, lang, values[i], deep+1)
			}
			return values[i]
		})
	}
	for _, between := range []string{"; ", ", "} {
		if parts := strings.Split(said, between); len(parts) > 1 && deep < maxInside {
			for i, part := range parts {
				parts[i] = told(all, lang, part, maxInside)
			}
			return strings.Join(parts, between)
		}
	}
	return said
}

// Advice is a hint in lang; empty where it is a command to type, for a page is
// not where one types it.
func (t *Texts) Advice(lang bolwerk.Lang, hint string) string {
	if strings.HasPrefix(hint, "bolwerk ") {
		return ""
	}
	return t.Told(lang, hint)
}

// Told is an explanation in the language of the request, for a page.
func (f *Frame) Told(r *http.Request, p Problem) Problem {
	texts, lang := f.Texts(), Lang(r)
	p.Detail, p.Hint = texts.Told(lang, p.Detail), texts.Advice(lang, p.Hint)
	return p
}

// Sentence makes a refusal, which stands inside other words elsewhere, a sentence
// of its own: with a capital, unless it begins with a name or a quotation, and
// a full stop.
func Sentence(said string) string {
	if said == "" {
		return ""
	}
	word, _, _ := strings.Cut(said, " ")
	if first, size := utf8.DecodeRuneInString(said); !strings.ContainsAny(word, ".:/@-_0123456789\"") {
		said = string(unicode.ToUpper(first)) + said[size:]
	}
	if !strings.ContainsAny(said[len(said)-1:], ".!?") {
		said += "."
	}
	return said
}

// Sentences are the English ones that are known.
func (t *Texts) Sentences() (out []string) {
	for _, s := range t.sentences {
		out = append(out, s.english)
	}
	return out
}
