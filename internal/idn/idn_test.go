package idn

import (
	"errors"
	"strings"
	"testing"

	"bolwerk"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"Bank.example", "bank.example"},
		{"bank.example.", "bank.example"},
		{"münchen.example", "xn--mnchen-3ya.example"},
		{"MÜNCHEN.example", "xn--mnchen-3ya.example"},
		{"faß.example", "xn--fa-hia.example"}, // non-transitional
		{"xn--mnchen-3ya.example", "xn--mnchen-3ya.example"},
		{"ｂａｎｋ。example", "bank.example"}, // full width, ideographic stop
		{"ba\u00adnk.exämple", "bank.xn--exmple-cua"},
		{"_dmarc.bänk.example", "_dmarc.xn--bnk-qla.example"},
		{"a--b.example", "a--b.example"},
		{"xn--zzzzzz99999.example", "xn--zzzzzz99999.example"}, // nonsense, but the DNS takes it
		{"раураl.example", "xn--l-7sba6dbr.example"},           // mixed scripts are the attacker's, not an error
	} {
		got, err := Parse(c.text)
		if err != nil || got.String() != c.want {
			t.Errorf("Parse(%q): got %q, %v, want %q", c.text, got, err, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{"", ".", "a..example", "b nk.example", "bänk .example", "\xff.example",
		"127.0.0.1", "１２７.0.0.１", strings.Repeat("ä", 300) + ".example", strings.Repeat("a", 5000), "a\u202eb.example"} {
		if d, err := Parse(s); !errors.Is(err, bolwerk.ErrInvalid) {
			t.Errorf("Parse(%q): got %q, %v, want a refusal", s, d, err)
		}
	}
}

func TestShow(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"bank.example", "bank.example"},
		{"xn--mnchen-3ya.example", "münchen.example"},
		{"xn--zzzzzz99999.example", "xn--zzzzzz99999.example"},
		{"xn--a.example", "xn--a.example"},
		{"xn--mnchen-3ya.xn--zzzzzz99999", "münchen.xn--zzzzzz99999"},
	} {
		if got := Show(bolwerk.MustDomain(c.name)); got != c.want {
			t.Errorf("Show(%s): got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestEscape(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"Crédit agricole: 5 €", "Crédit agricole: 5 €"},
		{"a\nb\x1b[31m", `a\u{000a}b\u{001b}[31m`},
		{"exe.\u202efdp", `exe.\u{202e}fdp`},
		{"a\u200bb\u2066c\u2028", `a\u{200b}b\u{2066}c\u{2028}`},
		{"a\xffb", `a\x{ff}b`},
		{"\u007f\u0085", `\u{007f}\u{0085}`},
	} {
		if got := Escape(c.text); got != c.want {
			t.Errorf("Escape(%q): got %q, want %q", c.text, got, c.want)
		}
	}
}

func TestEscapeLines(t *testing.T) {
	if got, want := EscapeLines("a\tb\r\nc\u202ed\n"), "a    b\nc\\u{202e}d\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"münchen.example", "xn--mnchen-3ya.example", "a\u202eb", "ｂ。c", "xn--", "٠.example", "xn--mnchen-33ya.xn--"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := Parse(s)
		if err != nil {
			return
		}
		if again, err := Parse(d.String()); err != nil || again != d {
			t.Fatalf("Parse(%q) = %q, read again: %q, %v", s, d, again, err)
		}
		shown := Show(d)
		if strings.ContainsFunc(shown, hidden) {
			t.Fatalf("Show(%q) = %q hides something", d, shown)
		}
		if back, err := Parse(shown); err == nil && back != d {
			t.Fatalf("Show(%q) = %q names %q", d, shown, back)
		}
	})
}
