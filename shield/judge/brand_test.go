package judge

import (
	"strings"
	"testing"

	"bolwerk"
	"bolwerk/internal/idn"
)

func TestLook(t *testing.T) {
	b := brands(t)
	for _, c := range []struct{ name, want string }{
		{"examplebank.example", ""}, {"www.login.examplebank.example", ""}, {"exbank.be", ""},
		{"exbank.nl", "Example Bank:tld_swap"},
		{"my-examplebank-login.example", "Example Bank:combosquat"},
		{"secureexamplebank24.example", "Example Bank:combosquat"},
		{"exbank-login.example", "Example Bank:combosquat"},
		{"exbanking.example", "Example Bank:combosquat"},
		{"flexbankers.example", ""}, // a token of 6 letters in the middle of a word
		{"examp1ebank.example", "Example Bank:swapped"},
		{"my-exarnplebank.example", "Example Bank:swapped"},
		{"exanplebank.example", "Example Bank:typo"},
		{"exmaplebank.example", "Example Bank:typo"},
		{"example-bank.example", "Example Bank:typo"},
		{"examplebnk-login.example", "Example Bank:typo"},
		{"xbank-online.example", ""},       // one letter away from exbank, and too short to tell
		{"xn--exmplebank-rij.example", ""}, // not a label that converts back
		{"examplebank.example.evil.example", "Example Bank:brand_subdomain"},
		{"login.examplebank.evil.example", "Example Bank:brand_subdomain"},
		{"kpx-betaal.example", "KPX:combosquat"}, {"kpx24.example", "KPX:combosquat"},
		{"skpxl.example", ""}, {"kpy.example", ""}, {"kpx.evil.example", "KPX:brand_subdomain"},
		{"examplebank-login.pages.example", "Example Bank:combosquat"},
		{"evil.example", ""}, {"co.uk", ""}, {"short.example", ""},
	} {
		var got []string
		for _, l := range b.Look(place(t, c.name)) {
			got = append(got, l.Brand+":"+l.Kind)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("Look(%s) = %q, want %q", c.name, s, c.want)
		}
	}
	for _, text := range []string{"ехamplebank", "exаmplebank", "éxamplebank", "examplebańk", "ехamplebаnk"} { // Cyrillic and accents
		ascii := toASCII(t, text)
		if ascii == text {
			t.Fatalf("%s is ASCII", text)
		}
		p := place(t, ascii+".example")
		if got := b.Look(p); len(got) != 1 || got[0].Kind != "idn_skeleton" {
			t.Errorf("Look(%s.example) = %+v, want idn_skeleton", text, got)
		}
	}
	if !mixed("аpple") || mixed("яблоко") || mixed("äpfel") || mixed("日本語テスト") || mixed("abcかな漢") {
		t.Error("mixed: Cyrillic with Latin is mixed, Japanese and accents are not")
	}
}

func TestNewBrands_refuses(t *testing.T) {
	_, err := NewBrands(psl, Brand{}, Brand{Name: "deep", Domains: []bolwerk.Domain{d("bank.deep.example")}}, Brand{Name: "x", Domains: []bolwerk.Domain{d("co.uk")}, Tokens: []string{"ab", "ü€x"}})
	for _, want := range []string{"no name", "no domain", "no token", "co.uk is a public suffix", `token "ab"`, `token "ü€x"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	var none *Brands
	if none.Look(place(t, "evil.example")) != nil || none.Owner(d("evil.example")) != "" {
		t.Error("without brands nothing looks like one")
	}
}

func toASCII(t testing.TB, label string) string {
	t.Helper()
	n, err := idn.Parse(label + ".example")
	if err != nil {
		t.Fatal(err)
	}
	return n.String()[:len(n.String())-len(".example")]
}
