package reading

import (
	"slices"
	"testing"

	"bolwerk"
	"bolwerk/test/wrap"
)

// TestStyles reads a mail forwarded inline in every style and language: the
// sender and the link are the evidence's, the reporter's own link is noise.
func TestStyles(t *testing.T) {
	m := wrap.Mail{From: "info@bank.example", FromName: "Bank, Klantendienst", To: "jan@voorbeeld.example", Subject: "Uw pas: verloopt", Date: "Mon, 2 Feb 2026 10:00:00 +0100",
		HTML: "<html><body><p>Beste klant,</p><p><a href=\"https://login.evil.example/bank?a=1&amp;b=2\">Verleng uw pas</a></p></body></html>"}
	for _, s := range wrap.Styles {
		for _, lang := range bolwerk.Langs() {
			t.Run(s.Name+"/"+string(lang), func(t *testing.T) {
				raw := wrap.Inline(m, s, lang)
				r := Mail(raw, Option{})
				if r.Kind != Inline || r.Inner == nil || r.Inner.From != m.From || r.Inner.Subject != m.Subject || r.Inner.Date != m.Date {
					t.Errorf("got %s, %+v\n%s", r.Kind, r.Inner, raw)
				}
				if got := wantedURLs(r); !slices.Equal(got, []string{"https://login.evil.example/bank?a=1&b=2"}) {
					t.Errorf("got %q\n%s", got, raw)
				}
				for _, u := range r.URLs {
					if u.Host == "jan.reporter.example" && u.Role != Reporter {
						t.Errorf("%+v", u)
					}
				}
			})
		}
	}
}

// A thread that a phisher made up below his link does not make the link the
// reporter's: his mail comes redirected, and nothing says "forwarded".
func TestMadeUpThread(t *testing.T) {
	const thread = "Zie https://login.evil.example/\n\nVan: Collega <collega@bank.example>\nVerzonden: maandag\nAan: jan\nOnderwerp: offerte\n\nhttps://www.bank.example/\n"
	for subject, want := range map[string][]string{
		"Offerte":     {"https://login.evil.example/", "https://www.bank.example/"},
		"FW: Offerte": {"https://www.bank.example/"},
	} {
		r := Mail([]byte("From: x@y.example\nSubject: "+subject+"\n\n"+thread), Option{})
		if got := wantedURLs(r); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", subject, got, want)
		}
	}
}
