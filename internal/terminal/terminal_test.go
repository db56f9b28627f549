package terminal

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// hidden is what must never reach a terminal as it is: ESC, DEL, CSI, a bidi
// override, a zero-width joiner, a tag character and a line separator.
const hidden = "a\x1b[31m\x7f\u009b\u202e\u200d\U000e0041\u2028b"

func TestJSONShowsNoHiddenCharacterAndMeansTheSame(t *testing.T) {
	var out bytes.Buffer
	term := &Terminal{Out: &out}
	if err := term.JSON(map[string]string{"name": hidden, "url": "http://a.example/?b=1&c=<2>"}); err != nil {
		t.Fatal(err)
	}
	for _, r := range out.String() {
		if r > 0x7e || r < ' ' && r != '\n' {
			t.Errorf("character %U in %q", r, out.String())
		}
	}
	if !strings.Contains(out.String(), "b=1&c=<2>") {
		t.Errorf("an address is made unreadable: %s", out.String())
	}
	var back map[string]string
	if err := json.Unmarshal(out.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if back["name"] != hidden {
		t.Errorf("got %q back, want %q", back["name"], hidden)
	}
}

func TestJSONKeepsLetters(t *testing.T) {
	b, err := Encode("münchen Straße 東京 🙂")
	if err != nil || string(b) != `"münchen Straße 東京 🙂"` {
		t.Errorf("got %s, %v", b, err)
	}
}

func TestListIsOneObjectWhateverComes(t *testing.T) {
	for n := range 3 {
		var out bytes.Buffer
		l := (&Terminal{Out: &out}).List()
		for i := range n {
			if err := l.Add(map[string]int{"id": i}); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		var got struct{ Items []map[string]int }
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || len(got.Items) != n || got.Items == nil {
			t.Errorf("%d items: %q, %v", n, out.String(), err)
		}
	}
}

func TestClipCountsWhatIsSeen(t *testing.T) {
	for in, want := range map[string]string{"abcdef": "abc", Red + "ab" + Plain + "cd": Red + "ab" + Plain + "c", "éèàü": "éèà", "ab": "ab", "ab\x1b[": "ab"} {
		if got := Clip(in, 3); got != want {
			t.Errorf("Clip(%q) = %q, want %q", in, got, want)
		}
	}
	if got := Uncolour(Red + "a" + Plain + "b\x1b["); got != "ab" {
		t.Errorf("got %q", got)
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestNoScreenWithoutATerminal(t *testing.T) {
	var out bytes.Buffer
	if _, ok := (&Terminal{In: strings.NewReader(""), Out: &out}).Screen(); ok || out.Len() > 0 {
		t.Errorf("a screen was drawn into a buffer: %q", out.String())
	}
}
