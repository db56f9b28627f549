package figures

import (
	"testing"

	"bolwerk"
)

// Every figure, rate and clock has its name and its definition in every language.
func TestEverythingIsDefined(t *testing.T) {
	texts, err := Texts()
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, k := range append(Keys(), FalsePositives, PageShare, AnswerShare) {
		keys = append(keys, "figures."+k, "figures."+k+".what")
	}
	for _, k := range Clocks() {
		keys = append(keys, "figures."+k)
	}
	for _, k := range keys {
		if !texts.Has(k) {
			t.Errorf("there is no text %s", k)
		}
	}
	for _, lang := range bolwerk.Langs() {
		d := Document{Figures: []Figure{{Key: Visits}}, Rates: []Rate{{Key: PageShare}}, Clocks: []Clock{{Key: ClockHit}}}
		d.Define(texts, lang)
		if d.Figures[0].Definition == "figures."+Visits+".what" || d.Rates[0].Definition == "" || d.Clocks[0].Definition == "" {
			t.Errorf("%s: %+v", lang, d)
		}
	}
}
