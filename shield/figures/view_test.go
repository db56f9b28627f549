package figures

import (
	"reflect"
	"testing"
	"time"

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

// What is to come has no number, neither now nor in the period that stands beside
// it: that was counted as far as now.
func TestWhatIsToComeHasNoNumber(t *testing.T) {
	texts, err := Texts()
	if err != nil {
		t.Fatal(err)
	}
	d := Document{From: "2026-01-01", To: "2026-12-31", BeforeFrom: "2025-01-01", BeforeTo: "2025-11-26", Unit: "month", Open: true,
		Figures: []Figure{{Key: Visits, By: []Breakdown{{By: "month", Rows: []Row{{Key: "2026-11", Now: Cell{N: 1204}, Before: Cell{N: 900}}, {Key: "2026-12"}}}}}},
		Clocks:  []Clock{{Key: ClockDecided, Now: Times{P50: 60, P95: 120, Known: true}, Steps: []Times{{P50: 60, P95: 120, Known: true}, {}}}}}
	a := NewView(texts, bolwerk.EN, d, time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)).Annex()
	if got := a.Rows[0]; !reflect.DeepEqual(got.Now, []string{"1,204", ""}) || !reflect.DeepEqual(got.Before, []string{"900", ""}) {
		t.Errorf("visits: %q beside %q", got.Now, got.Before)
	}
	for _, r := range a.Rows {
		if len(r.Now) != len(a.Steps) {
			t.Errorf("%s has %d of %d steps", r.Title, len(r.Now), len(a.Steps))
		}
	}
}
