package reading

import (
	"slices"
	"testing"
)

func TestOthers(t *testing.T) {
	for text, want := range map[string][]string{
		"Bel +32 470 12 34 56 of 0031 (0)6-12345678.":                                    {"phone +32470123456", "phone +31612345678"},
		"Bel 06 12 34 56 78, 0470/12.34.56, 0800 12345 of 0900-1234!":                    {"phone 0612345678", "phone 0470123456", "phone 080012345", "phone 09001234"},
		"Stort op NL91 ABNA 0417 1643 00 (BE68539007547034).":                            {"iban NL91ABNA0417164300", "iban BE68539007547034"},
		"NL91ABNA0417164301 en XX91ABNA0417164300 en 1NL91ABNA0417164300":                nil,
		"op 03-02-2026 10:20, order 0123 4567 8901 2345, 0000000000, versie 0.12.345.67": nil,
		"Mail ons: hulp.desk@Bank-Help.example, niet x@y of @naam":                       {"email hulp.desk@bank-help.example"},
		"Nieuw nummer: https://wa.me/31612345678?text=hoi https://t.me/helpdesk":         {"messaging whatsapp:31612345678", "messaging telegram:helpdesk"},
		"id=0612345678 en a0612345678 en 0612345678x":                                    nil,
	} {
		if got := othersOf(Text(text)); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	// In a mail: of the evidence only, and of links that open other programs.
	r := Mail([]byte("From: jan@c.example\nSubject: FW: x\nContent-Type: text/html\n\n<p>Bel mij: 0612345678</p><p>From: a@b.example<br>Sent: now<br>To: jan@c.example<br>Subject: x</p>"+
		"<p>Betaal aan <a href=\"mailto:Pay%40Evil.example?subject=x\">ons</a>, <a href='tel:+32470123456'>bel</a>, <a href='whatsapp://send?phone=31612345678'>app</a> BE68 5390 0754 7034</p>"), Option{})
	if got, want := othersOf(r), []string{"email Pay@evil.example", "phone +32470123456", "messaging whatsapp:31612345678", "iban BE68539007547034"}; !slices.Equal(got, want) || len(r.URLs) > 0 {
		t.Errorf("got %q and %v, want %q", got, r.URLs, want)
	}
}

func othersOf(r Result) (out []string) {
	for _, o := range r.Others {
		out = append(out, string(o.Kind)+" "+o.Value)
	}
	return out
}
