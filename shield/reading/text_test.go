package reading

import (
	"slices"
	"strings"
	"testing"
)

func urlsOf(r Result) (out []string) {
	for _, u := range r.URLs {
		out = append(out, u.URL)
	}
	return out
}

func TestText(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"plain", "go to https://bank.example/login now", []string{"https://bank.example/login"}},
		{"end of a sentence", "See http://a.example/x. Or (http://b.example/y)! \"http://c.example/z\", ok?", []string{"http://a.example/x", "http://b.example/y", "http://c.example/z"}},
		{"brackets that belong to it", "http://a.example/x_(y) and [http://b.example/(]", []string{"http://a.example/x_(y)", "http://b.example/("}},
		{"without scheme", "Your parcel: bank-login.top/x, www.bank.example and evil.be", []string{"http://bank-login.top/x", "http://www.bank.example/", "http://evil.be/"}},
		{"with port", "a.example:8080/x and b.example:443", []string{"http://a.example:8080/x", "http://b.example:443/"}},
		{"no links", "invoice.zip main.rs done.So see 3.14 v1.2.3 me@bank.example e.g. i.e. a.b.c 1.Click ok.maybe", nil},
		{"hxxp", "hxxps://evil[.]example/x hXXp://a(dot)b.example h**p://c.example", []string{"https://evil.example/x", "http://a.b.example/", "http://c.example/"}},
		{"brackets everywhere", "hxxp[:]//a[.]example http[://]b.example https[:][/][/]c{.}example d [dot] example/x", []string{"http://a.example/", "http://b.example/", "https://c.example/", "http://d.example/x"}},
		{"words of four languages", "aa[punt]example bb(point)example cc[punkt]example", []string{"http://aa.example/", "http://bb.example/", "http://cc.example/"}},
		{"backslashed", `evil\.example/x`, []string{"http://evil.example/x"}},
		{"zero width", "ht\u200btp://ev\u200cil.exa\u00admple/\ufeffx", []string{"http://evil.example/x"}},
		{"internationalised", "http://münchen.example/ä bänk.example/x", []string{"http://xn--mnchen-3ya.example/%C3%A4", "http://xn--bnk-qla.example/x"}},
		{"two in one word", "http://a.example,http://b.example http://c.example/?u=http://d.example http://e.examplehttp://f.example", []string{"http://a.example/", "http://b.example/", "http://c.example/?u=http://d.example", "http://e.example", "http://f.example/"}},
		{"angle brackets over lines", "<http://a.example/one\n two>", []string{"http://a.example/onetwo"}},
		{"angle brackets that end", "click<https://a.example/x>here", []string{"https://a.example/x"}},
		{"once each", "http://a.example HTTP://A.EXAMPLE:80/#x a.example", []string{"http://a.example/"}},
		{"address", "http://192.0.2.7/x 192.0.2.8/y 192.0.2.9 http://[2001:db8::1]/", []string{"http://192.0.2.7/x", "http://192.0.2.8/y", "http://[2001:db8::1]/"}},
		{"after a word", "Link:https://a.example/x", []string{"https://a.example/x"}},
		{"quotes of other languages", "„http://a.example/x“ «http://b.example/y»", []string{"http://a.example/x", "http://b.example/y"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := slices.Clone(c.want)
			for i, w := range want {
				if strings.HasSuffix(w, "e.example") {
					want[i] = w + "/"
				}
			}
			if got := urlsOf(Text(c.text)); !slices.Equal(got, want) {
				t.Errorf("Text(%q):\n got %q\nwant %q", c.text, got, want)
			}
		})
	}
}

func TestDefangedIsSaid(t *testing.T) {
	for text, want := range map[string]bool{
		"hxxp://a.example/x":                            true,
		"http://a[.]example":                            true,
		"http://a.example/x and (dot) and h[.] ":        false,
		"http://a.example/ hxxp://b.example":            false,
		"first evil[.]test/a then http://a.example/x/y": false,
	} {
		r := Text(text)
		for _, u := range r.URLs {
			if u.Host == "a.example" && slices.Contains(u.Via, "defanged") != want {
				t.Errorf("%q: got via %v", text, u.Via)
			}
		}
	}
}

func TestLink(t *testing.T) {
	for _, c := range []struct {
		text, want string
		kind       Kind
	}{
		{" https://Bank.example/Login ", "https://bank.example/Login", SingleURL},
		{"bank.example", "http://bank.example/", SingleURL},
		{"host.unknown-suffix/x", "http://host.unknown-suffix/x", SingleURL},
		{"hxxp://evil[.]example", "http://evil.example/", SingleURL},
		{"http://a.example http://b.example", "http://a.example/", SingleURL},
		{"192.0.2.1", "http://192.0.2.1/", SingleURL},
		{"http:/a.example/x", "http://a.example/x", SingleURL},
		{"javascript:alert(1)", "", Unreadable},
		{"no link here", "", Unreadable},
		{"", "", Unreadable},
	} {
		r := Link(c.text)
		got := strings.Join(urlsOf(r), " ")
		if got != c.want || r.Kind != c.kind {
			t.Errorf("Link(%q): got %s %q, want %s %q", c.text, r.Kind, got, c.kind, c.want)
		}
	}
}

func TestLanguage(t *testing.T) {
	for text, want := range map[string]string{
		"Geachte klant, uw rekening is niet meer veilig. Wij vragen u om deze voor morgen bij te werken": "nl",
		"Bonjour, nous avons suspendu votre compte. Cliquez pour le réactiver, vous avez 24 heures":      "fr",
		"Sehr geehrter Kunde, bitte bestätigen Sie Ihre Daten und wir senden das Paket nicht zurück":     "de",
		"Dear customer, your parcel is waiting for you. Please pay the fee of this delivery":             "en",
		"12345 http://a.example": "",
	} {
		if got := string(Text(text).Lang); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
