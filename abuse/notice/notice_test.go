package notice

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/reading"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func writerOf(t *testing.T, operator string) *Writer {
	t.Helper()
	w, err := NewWriter(operator, "Europe/Brussels")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// all gives every notice that there can be.
func all(t *testing.T, w *Writer, fn func(name string, m Matter, lang bolwerk.Lang)) {
	for _, k := range Kinds() {
		for _, c := range []reading.Class{reading.Infected, reading.Spam, reading.DDoS, reading.Amplifier, reading.Vulnerable, reading.Phishing, reading.SysCompromise, reading.Other} {
			for _, lang := range bolwerk.Langs() {
				m := Matter{Kind: k, Ref: "AB-2026-000001", Class: c, Until: noon.AddDate(0, 0, 30), Valid: noon.AddDate(0, 0, 60)}
				for i := range 10 {
					m.Seen = append(m.Seen, garden.Seen{At: noon.Add(-time.Duration(i) * 7 * time.Hour), What: "UDP 53"})
				}
				if k.Asks() {
					m.Code = "W7KD-X3RQ-9FTV"
				}
				fn(fmt.Sprintf("%s %s %s", k, c, lang), m, lang)
			}
		}
	}
}

// Who is let out may have steps left: staff did it, or the time was over. Nobody of them is
// told that nothing is to be done any more, as who is clean is.
func TestWhoIsLetOutMayHaveStepsLeft(t *testing.T) {
	w := writerOf(t, "Example Telecom")
	for lang, over := range map[bolwerk.Lang]string{bolwerk.EN: "nothing more", bolwerk.NL: "niets meer te doen", bolwerk.FR: "plus rien à faire", bolwerk.DE: "nichts mehr tun"} {
		for _, ch := range Channels() {
			m := Matter{Kind: Released, Ref: "AB-2026-000001", Class: reading.Infected}
			if text := w.Write(m, lang, ch).Body; strings.Contains(text, over) {
				t.Errorf("%s by %s: %s", lang, ch, text)
			}
			if m.Kind = Cleaned; !strings.Contains(w.Write(m, lang, ch).Body, over) {
				t.Errorf("%s by %s: who is clean is not told %q", lang, ch, over)
			}
		}
	}
}

// No program finds something to click in a notice, whatever the operator is called.
func TestNothingInANoticeCanBeClicked(t *testing.T) {
	w := writerOf(t, "Telecom.example B.V.")
	n := 0
	all(t, w, func(name string, m Matter, lang bolwerk.Lang) {
		for _, ch := range Channels() {
			n++
			text := w.Write(m, lang, ch)
			if err := Linkless(text); err != nil {
				t.Errorf("%s by %s: %v", name, ch, err)
			}
			if got := strings.Contains(text.Body, "W7KD-X3RQ-9FTV"); got != m.Kind.Asks() {
				t.Errorf("%s by %s: the code is in it: %v", name, ch, got)
			}
			if strings.Contains(text.Subject+text.Body, "inform.") || strings.Contains(text.Body, "{") {
				t.Errorf("%s by %s: a word is missing:\n%s", name, ch, text.Body)
			}
		}
	})
	if n != 6*8*4*4 {
		t.Errorf("%d notices", n)
	}
	for _, s := range []string{"see https://isp.example", "isp.example", "mail desk@isp", "www isp", "done.Next", "tel:112"} {
		if Linkless(Text{Body: s}) == nil {
			t.Errorf("%q passes for a text without links", s)
		}
	}
}

// What a report says never reaches a notice but for what a number may be.
func TestNoReportersWordsInANotice(t *testing.T) {
	w := writerOf(t, "Example Telecom")
	m := Matter{Kind: Warned, Ref: "AB-2026-000001", Class: reading.Infected, Code: "W7KD-X3RQ-9FTV", Valid: noon}
	for _, s := range []string{"call <0800>", "http://evil.example", "pay now: BE68", "a.b", strings.Repeat("x", 41), "naïve"} {
		m.Seen = []garden.Seen{{At: noon, What: s}}
		if text := w.Write(m, bolwerk.EN, Mail); strings.Contains(text.Body, s) {
			t.Errorf("%q reached the notice", s)
		}
	}
}

func TestATextMessageFitsInTwo(t *testing.T) {
	w := writerOf(t, "Een Heel Lange Naam Van Een Telecombedrijf")
	longest := 0
	all(t, w, func(name string, m Matter, lang bolwerk.Lang) {
		text := w.Write(m, lang, SMS)
		n, ok := Septets(text.Body)
		if !ok || n > MaxSeptets {
			t.Errorf("%s: %d septets, %v: %s", name, n, ok, text.Body)
		}
		longest = max(longest, n)
	})
	t.Logf("the longest has %d septets", longest)
	for s, want := range map[string]int{"": 0, "abc": 3, "é€": 3, "[x]": 5} {
		if n, ok := Septets(s); n != want || !ok {
			t.Errorf("Septets(%q) = %d, %v, want %d", s, n, ok, want)
		}
	}
	if _, ok := Septets("ç"); ok {
		t.Error("ç passes for a sign of the alphabet")
	}
}

var inStream = regexp.MustCompile(`(?s)<< /Length (\d+) /Filter /FlateDecode >>\nstream\n`)

// drawn is what stands on the page, as the content stream says it.
func drawn(t *testing.T, pdf []byte) string {
	t.Helper()
	at := inStream.FindIndex(pdf)
	if at == nil {
		t.Fatal("no content")
	}
	r, err := zlib.NewReader(bytes.NewReader(pdf[at[1]:]))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestALetterIsOnePage(t *testing.T) {
	w := writerOf(t, "Example Telecom")
	dir := os.Getenv("LETTERS") // to look at them
	all(t, w, func(name string, m Matter, lang bolwerk.Lang) {
		text := w.Write(m, lang, Letter)
		text.Address = AddressLines("Mevr. A. Voorbeeld-Lange Achternaam", "Kerkstraat 1 bus 3", "1000", "Brussel", "BE", "BE")
		for _, window := range []Window{Left, Right} {
			pdf, err := Paper(text, "Example Telecom", "Brussel, "+w.Dated(lang, noon), window, lang)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			again, _ := Paper(text, "Example Telecom", "Brussel, "+w.Dated(lang, noon), window, lang)
			if !bytes.Equal(pdf, again) {
				t.Errorf("%s: the same letter has other bytes", name)
			}
			if n := bytes.Count(pdf, []byte("/Type /Page ")); n != 1 {
				t.Errorf("%s: %d pages", name, n)
			}
			page := drawn(t, pdf)
			x, y := pt(windowLeft), pt(pageHigh-windowTop)
			if window == Right {
				x = pt(windowRight)
			}
			if !strings.Contains(page, fmt.Sprintf("%.2f %.2f Td <%x> Tj", x, y, "Mevr. A. Voorbeeld-Lange Achternaam")) {
				t.Errorf("%s: the name does not stand in the window", name)
			}
			if m.Kind.Asks() && !strings.Contains(page, fmt.Sprintf("<%x>", m.Code)) {
				t.Errorf("%s: the code does not stand by itself", name)
			}
			if dir != "" && m.Class == reading.Infected {
				os.WriteFile(fmt.Sprintf("%s/%s-%s-%s.pdf", dir, m.Kind, lang, window), pdf, 0o600)
			}
		}
	})
	long := Text{Subject: "x", Body: strings.Repeat("word ", 5000)}
	if _, err := Paper(long, "x", "x", Left, bolwerk.EN); err == nil {
		t.Error("a letter of several pages was made")
	}
}
