package web

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"bolwerk"
)

func sentenceTexts(t testing.TB) *Texts {
	t.Helper()
	fsys := fstest.MapFS{"texts/sentences.toml": {Data: []byte(`
["decided"]
nl = "beslist"
fr = "décidé"
de = "entschieden"
["%s is %s already"]
nl = "{0} is al {1}"
fr = "{0} est déjà {1}"
de = "{0} ist schon {1}"
["%s is exempt already"]
nl = "{0} is al vrijgesteld"
fr = "{0} est déjà exempté"
de = "{0} ist schon ausgenommen"
["more than %.0f %%"]
nl = "meer dan {0} %"
fr = "plus de {0} %"
de = "mehr als {0} %"
["url: %v"]
nl = "adres: {0}"
fr = "adresse : {0}"
de = "Adresse: {0}"
["log in again"]
nl = "log opnieuw in"
fr = "connectez-vous de nouveau"
de = "melden Sie sich noch einmal an"
`)}}
	for _, lang := range bolwerk.Langs() {
		fsys["texts/"+string(lang)+".toml"] = &fstest.MapFile{}
	}
	texts, err := ReadTexts(fsys, "texts")
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

func TestTold(t *testing.T) {
	texts := sentenceTexts(t)
	for said, want := range map[string]string{
		"log in again":                       "log opnieuw in",
		"evil.example is exempt already":     "evil.example is al vrijgesteld",
		"C-1 is decided already":             "C-1 is al beslist",
		"more than 50 %":                     "meer dan 50 %",
		"url: a.example is exempt already":   "adres: a.example is al vrijgesteld",
		"log in again; url: x; nobody knows": "log opnieuw in; adres: x; nobody knows",
		"nobody knows this":                  "nobody knows this",
		"":                                   "",
	} {
		if got := texts.Told(bolwerk.NL, said); got != want {
			t.Errorf("%q is told as %q, want %q", said, got, want)
		}
		if got := texts.Told(bolwerk.EN, said); got != said {
			t.Errorf("%q is told in English as %q", said, got)
		}
	}
	for hint, want := range map[string]string{"log in again": "log opnieuw in", "bolwerk case list shows the cases": ""} {
		if got := texts.Advice(bolwerk.NL, hint); got != want {
			t.Errorf("hint %q becomes %q, want %q", hint, got, want)
		}
	}
}

// A sentence that a language lacks, or whose places differ, is found when the
// texts are read.
func TestASentenceIsThereInEveryLanguage(t *testing.T) {
	for text, want := range map[string]string{
		"[\"no case %q\"]\nnl = \"geen zaak {0}\"\nfr = \"pas de dossier {0}\"\n":                          "de",
		"[\"no case %q\"]\nnl = \"geen zaak {0}\"\nfr = \"pas de dossier\"\nde = \"kein Fall {0}\"\n":      "fr",
		"[\"no case %q\"]\nnl = \"geen zaak {0} {1}\"\nfr = \"dossier {0}\"\nde = \"kein Fall {0}\"\n":     "nl",
		"[\"over\"]\nnl = \"voorbij\"\nfr = \" \"\nde = \"vorbei\"\n":                                      "fr",
		"[\"%d of %d\"]\nnl = \"{0} van {1}\"\nfr = \"{1} des {0}\"\nde = \"{0} von {1}\"\nen = \"own\"\n": "",
	} {
		fsys := fstest.MapFS{"texts/sentences.toml": {Data: []byte(text)}}
		for _, lang := range bolwerk.Langs() {
			fsys["texts/"+string(lang)+".toml"] = &fstest.MapFile{}
		}
		if _, err := ReadTexts(fsys, "texts"); (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), "in "+want) {
			t.Errorf("%s: %v, want an error about %q", text, err, want)
		}
	}
}

// Whatever stands in the places comes out again, and nothing else is lost.
func FuzzTold(f *testing.F) {
	texts := sentenceTexts(f)
	for _, s := range []string{"evil.example", "decided", "{0}", "%s", "url: url: url: url: x", "; ; ;", strings.Repeat("log in again; ", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if len(value) > 200 {
			value = value[:200]
		}
		got := texts.Told(bolwerk.NL, fmt.Sprintf("more than %s %%", value))
		if want := "meer dan " + told(texts.sentences, bolwerk.NL, value, 1) + " %"; got != want {
			t.Errorf("%q became %q, want %q", value, got, want)
		}
		texts.Told(bolwerk.NL, value)
	})
}

// What was refused stands on a page as a sentence; a name keeps its letters.
func TestSentence(t *testing.T) {
	for said, want := range map[string]string{
		"":                              "",
		"the role viewer may not do it": "The role viewer may not do it.",
		"évitez cela":                   "Évitez cela.",
		"bad.example: already blocked":  "bad.example: already blocked.",
		"\"x\" is no name":              "\"x\" is no name.",
		"Is it gone?":                   "Is it gone?",
	} {
		if got := Sentence(said); got != want {
			t.Errorf("%q: got %q, want %q", said, got, want)
		}
	}
}
