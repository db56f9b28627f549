package door

import (
	"strings"
	"testing"
)

func TestCaseCodeAsPeopleTypeIt(t *testing.T) {
	for range 200 {
		c := NewCaseCode()
		shown := c.Reveal()
		for _, typed := range []string{shown, strings.ToLower(shown), strings.ReplaceAll(shown, "-", ""), " " + strings.ReplaceAll(shown, "-", " ") + "\n", strings.ReplaceAll(shown, "0", "o")} {
			got, err := ParseCaseCode(typed)
			if err != nil || got != c {
				t.Fatalf("%q: %v", typed, err)
			}
		}
	}
	if s := NewCaseCode().String(); s != "***" {
		t.Errorf("a code prints as %s", s)
	}
}

// Each wrong sign and each two that changed places are found.
func TestCaseCodeFindsTypingErrors(t *testing.T) {
	text := strings.ReplaceAll(NewCaseCode().Reveal(), "-", "")
	for i := range codeLen {
		for _, r := range codeSigns {
			wrong := text[:i] + string(r) + text[i+1:]
			if _, err := ParseCaseCode(wrong); wrong != text && err == nil {
				t.Errorf("%s for %s is not found", wrong, text)
			}
		}
		if i > 0 {
			b := []byte(text)
			b[i], b[i-1] = b[i-1], b[i]
			if _, err := ParseCaseCode(string(b)); string(b) != text && err == nil {
				t.Errorf("%s for %s is not found", b, text)
			}
		}
	}
	for _, s := range []string{"", "A", strings.Repeat("B", 11), strings.Repeat("B", 13), strings.Repeat("É", 12), strings.Repeat("x", 1000)} {
		if _, err := ParseCaseCode(s); err == nil {
			t.Errorf("%.20q passes for a code", s)
		}
	}
}

func FuzzCaseCode(f *testing.F) {
	f.Add("B7KD-X3RQ-9FTV")
	f.Add("\x00é")
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := ParseCaseCode(s); err == nil {
			if again, err := ParseCaseCode(c.Reveal()); err != nil || again != c {
				t.Errorf("%q is read, and what it shows is not", s)
			}
		}
	})
}

func FuzzSaid(f *testing.F) {
	f.Add([]byte(`{"id":"x","what":"seen","at":"2026-11-26T12:00:00Z","code":"` + strings.Repeat("a", 40) + `"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := DecodeSaid(b); err == nil && (len(s.Text) > MaxSaid || s.At.IsZero()) {
			t.Errorf("%q is taken", b)
		}
	})
}
