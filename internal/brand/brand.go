// Package brand is the operator's own name and look, the same on console, public
// site and warning page, and those of its sub-brands.
package brand

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"bolwerk"
	"bolwerk/internal/mail"
)

// Brand is a name and a look. The zero value is Bolwerk's own.
type Brand struct {
	// Name is what people know it by; empty is the operator's name.
	Name string `toml:"name"`
	// Accent is the colour of what can be clicked, #rrggbb on light paper; empty
	// is harbour blue. Its contrast must be 7:1 at least: the warning page has it.
	Accent string `toml:"accent"`
	// AccentDark is the same on dark paper.
	AccentDark string `toml:"accent_dark"`
	// Logo is the path of an SVG or PNG of at most 5 KiB, shown 24 to 32 px high.
	// It is that small because the warning page carries it within itself.
	Logo string `toml:"logo"`
	// Texts is a folder with nl.toml, fr.toml, de.toml and en.toml, which hold the
	// texts of pages that the operator words differently, and only those.
	Texts string `toml:"texts"`
	// Legal is the line at the foot of public pages, such as the company and its
	// registered office, by language: nl, fr, de, en.
	Legal map[string]string `toml:"legal"`
}

// Sub is a brand of the same operator beside its main one. What it leaves empty
// is that of the main brand.
type Sub struct {
	// ID is how warning.sub_brand names it.
	ID string `toml:"id"`
	// Hosts are the names under which the public site shows it.
	Hosts []string `toml:"hosts"`
	// ReportAddresses are those of smtp.addresses, or of a mailbox, that its
	// customers write to: the answer is in its name then, and links to the first of
	// Hosts.
	ReportAddresses []mail.Address `toml:"report_addresses"`
	// AnswerFrom is the sender of those answers; empty is shield.answer_from.
	AnswerFrom mail.Address `toml:"answer_from"`
	Brand
}

// The papers on which the accent must be readable, of bolwerk.css and page.css.
var (
	LightPapers = []string{"#ffffff", "#f4f6f8"}
	DarkPapers  = []string{"#0c1217", "#121a21", "#1c252f"}
)

// MinContrast is what WCAG 2.2 asks of text at its highest level (criterion
// 1.4.6): people in fear read the warning page.
const MinContrast = 7

const (
	maxLogo  = 5 << 10 // 7 KiB as a data: address, of 20 kB for the whole page
	maxName  = 60
	maxLegal = 300
)

// Over is b, with base where b says nothing.
func (b Brand) Over(base Brand) Brand {
	for _, f := range []struct{ to, from *string }{{&b.Name, &base.Name}, {&b.Accent, &base.Accent}, {&b.AccentDark, &base.AccentDark}, {&b.Logo, &base.Logo}, {&b.Texts, &base.Texts}} {
		if *f.to == "" {
			*f.to = *f.from
		}
	}
	if len(b.Legal) == 0 {
		b.Legal = base.Legal
	}
	return b
}

// Validate tells every problem at once. The texts are checked by who knows the
// pages.
func (b Brand) Validate() error {
	var problems []error
	bad := func(format string, a ...any) { problems = append(problems, bolwerk.Invalid(format, a...)) }
	if !line(b.Name, maxName) {
		bad("name: want one line of at most %d characters", maxName)
	}
	for _, v := range []struct {
		name, colour string
		papers       []string
	}{{"accent", b.Accent, LightPapers}, {"accent_dark", b.AccentDark, DarkPapers}} {
		if v.colour == "" {
			continue
		}
		for _, paper := range v.papers {
			c, err := Contrast(v.colour, paper)
			if err != nil {
				bad("%s: %v", v.name, err)
				break
			}
			if c < MinContrast {
				bad("%s %s: its contrast with the page (%s) is %.1f, at least %d is needed to read it", v.name, v.colour, paper, c, MinContrast)
				break
			}
		}
	}
	if _, _, err := b.Picture(); err != nil {
		bad("logo: %v", err)
	}
	for l, s := range b.Legal {
		if !slices.Contains(bolwerk.Langs(), bolwerk.Lang(l)) {
			bad("legal: %q is not one of nl, fr, de, en", l)
		}
		if !line(s, maxLegal) {
			bad("legal.%s: want one line of at most %d characters", l, maxLegal)
		}
	}
	for _, l := range bolwerk.Langs() {
		if len(b.Legal) > 0 && b.Legal[string(l)] == "" {
			bad("legal: has no text in %s", l)
		}
	}
	return errors.Join(problems...)
}

func line(s string, most int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// Picture is the logo as a file; no name where there is none.
func (b Brand) Picture() (name string, data []byte, err error) {
	if b.Logo == "" {
		return "", nil, nil
	}
	switch lower := strings.ToLower(b.Logo); {
	case strings.HasSuffix(lower, ".svg"):
		name = "logo.svg"
	case strings.HasSuffix(lower, ".png"):
		name = "logo.png"
	default:
		return "", nil, bolwerk.Invalid("%s: want an .svg or a .png", b.Logo)
	}
	s, err := os.Stat(b.Logo)
	if err != nil {
		return "", nil, err
	}
	if s.Size() > maxLogo {
		return "", nil, bolwerk.Invalid("%s: %d bytes, at most %d: the warning page carries it within itself", b.Logo, s.Size(), maxLogo)
	}
	if data, err = os.ReadFile(b.Logo); err != nil {
		return "", nil, err
	}
	text := string(data)
	if name == "logo.svg" && !strings.Contains(text, "<svg") || name == "logo.png" && !strings.HasPrefix(text, "\x89PNG\r\n") {
		return "", nil, bolwerk.Invalid("%s: is not what its name says", b.Logo)
	}
	return name, data, nil
}

// DataURI is the logo as an address that holds the picture itself; empty where
// there is none.
func (b Brand) DataURI() (string, error) {
	name, data, err := b.Picture()
	if err != nil || name == "" {
		return "", err
	}
	kind := "image/png"
	if name == "logo.svg" {
		kind = "image/svg+xml"
	}
	return "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(data), nil
}

// Contrast is the ratio of two colours #rrggbb, 1 to 21, as WCAG 2.2 defines it.
func Contrast(a, b string) (float64, error) {
	x, err := luminance(a)
	if err != nil {
		return 0, err
	}
	y, err := luminance(b)
	if err != nil {
		return 0, err
	}
	return (max(x, y) + 0.05) / (min(x, y) + 0.05), nil
}

func luminance(colour string) (float64, error) {
	rgb, err := hex.DecodeString(strings.TrimPrefix(colour, "#"))
	if err != nil || len(rgb) != 3 || colour[0] != '#' {
		return 0, bolwerk.Invalid("%q is not a colour: want #rrggbb", colour)
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		v := float64(rgb[i]) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum, nil
}
