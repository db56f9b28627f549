package aid

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/internal/clock"
)

func TestSet(t *testing.T) {
	s, err := ParseSet([]string{"otp", "card", "otp"})
	if err != nil || s.String() != "card,otp" || Read(s.String()) != s || !s.Has(OTP) || s.Has(ID) {
		t.Fatalf("got %q, %v", s, err)
	}
	b, _ := json.Marshal(struct {
		A Set `json:"a,omitempty"`
		B Set `json:"b,omitempty"`
	}{A: s})
	if string(b) != `{"a":["card","otp"]}` {
		t.Errorf("got %s", b)
	}
	if err := json.Unmarshal([]byte(`["card","shoe size","id"]`), &s); err != nil || s != Of(Card, ID) {
		t.Errorf("a kind of a later version: got %q, %v", s, err)
	}
	if Read("card,shoe size,,id") != Of(Card, ID) || Read("") != 0 {
		t.Error("a column of a later version")
	}
	if _, err := ParseSet([]string{"shoe size"}); err == nil || !strings.Contains(err.Error(), "want card, otp, money") {
		t.Errorf("got %v", err)
	}
	for _, k := range Kinds() {
		if len(helps[k]) == 0 {
			t.Errorf("nobody helps with %s", k)
		}
	}
}

const day = 24 * time.Hour

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func read(t *testing.T, text string) Partners {
	t.Helper()
	var c struct {
		Partners Partners `toml:"partners"`
	}
	d := toml.NewDecoder(strings.NewReader(text))
	if err := d.DisallowUnknownFields().Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c.Partners
}

const shut = `
[[partners]]
kind = "card_stop"
name = "Kaart Dicht"
names = { fr = "Carte Fermée" }
phone = "078 000 001"
abroad = "+32 78 000 001"
hours = { nl = "altijd", fr = "toujours", de = "immer", en = "always" }
reviewed = 2026-05-01
[[partners]]
kind = "bank"
name = "Merelbank"
phone = "(02) 000-00.02"
languages = ["nl"]
country = "NL"
note = { nl = "Vraag naar fraude." }
reviewed = 2026-11-01
review_after = "30d"
`

func TestPartners(t *testing.T) {
	ps := read(t, shut)
	if err := ps.Validate(); err != nil {
		t.Fatal(err)
	}
	got := ps.With("BE").For(OTP, bolwerk.NL)
	if len(got) != 2 || got[0].Name != "Kaart Dicht" || got[0].Hours != "altijd" || got[0].Dial != "078000001" || got[1].Name != "Merelbank (NL)" || got[1].Note != "Vraag naar fraude." {
		t.Errorf("got %+v", got)
	}
	if got := ps.For(OTP, bolwerk.FR); len(got) != 1 || got[0].Name != "Carte Fermée" {
		t.Errorf("got %+v", got)
	}
	if got := ps.With("NL").For(Card, bolwerk.NL); got[1].Name != "Merelbank" {
		t.Errorf("the operator's own country is named: %+v", got)
	}
}

func TestPartners_that_we_know_stand_where_the_operator_names_none(t *testing.T) {
	if err := known.Validate(); err != nil {
		t.Error(err)
	}
	if got := (Partners{}).With("BE").Of(bolwerk.EN, CardStop); len(got) != 1 || got[0].Phone != "078 170 170" || !strings.Contains(got[0].Note, "never calls you") {
		t.Errorf("got %+v", got)
	}
	if got := read(t, shut).With("BE").Of(bolwerk.EN, CardStop); len(got) != 1 || got[0].Phone != "078 000 001" {
		t.Errorf("got %+v", got)
	}
	if got := (Partners{}).With(""); len(got) != 0 {
		t.Errorf("no country: got %+v", got)
	}
}

func TestPartners_refused(t *testing.T) {
	good := read(t, shut)[0]
	for want, change := range map[string]func(*Partner){
		"kind":                  func(p *Partner) { p.Kind = "friend" },
		"name":                  func(p *Partner) { p.Name = "" },
		"name: want one":        func(p *Partner) { p.Name = "a\nb" },
		"phone":                 func(p *Partner) { p.Phone = "call me" },
		"abroad":                func(p *Partner) { p.Abroad = "javascript:1" },
		"nothing to tell":       func(p *Partner) { p.Phone, p.URL = "", "" },
		"country":               func(p *Partner) { p.Country = "be" },
		"languages":             func(p *Partner) { p.Languages = []bolwerk.Lang{"es"} },
		"hours: has no text in": func(p *Partner) { p.Hours = map[string]string{"nl": "altijd"} },
		"note: \"es\"":          func(p *Partner) { p.Note = map[string]string{"es": "hola"} },
		"at most 200":           func(p *Partner) { p.Note = map[string]string{"nl": strings.Repeat("x", 201)} },
		"reviewed":              func(p *Partner) { p.Reviewed = toml.LocalDate{} },
		"review_after":          func(p *Partner) { p.ReviewAfter = -1 },
	} {
		p := good
		change(&p)
		if err := (Partners{p}).Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := make(Partners, maxPartners+1).Validate(); err == nil || !strings.Contains(err.Error(), "at most 40") {
		t.Errorf("got %v", err)
	}
}

// A number past its date is still shown, and told.
func TestPartners_late(t *testing.T) {
	ps := read(t, shut)
	if w := ps.Warnings(noon); len(w) != 1 || !strings.Contains(w[0], "Kaart Dicht (card_stop) was last checked on 2026-05-01") {
		t.Errorf("got %q", w)
	}
	if len(ps.For(Card, bolwerk.NL)) != 2 {
		t.Error("a late partner is not shown")
	}
	reg := prometheus.NewRegistry()
	if err := append(ps, ps[0]).Register(reg, clock.NewFake(noon)); err != nil {
		t.Fatal(err)
	}
	got, err := reg.Gather()
	if err != nil || len(got) != 1 || len(got[0].Metric) != 2 {
		t.Fatalf("got %v, %v", got, err)
	}
	for _, m := range got[0].Metric {
		want := 0.0
		if m.Label[0].GetValue() == "card_stop" {
			want = (28*day + 12*time.Hour).Seconds()
		}
		if m.Gauge.GetValue() != want {
			t.Errorf("%v: got %v, want %v", m.Label, m.Gauge.GetValue(), want)
		}
	}
}
