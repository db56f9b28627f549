package brand

import (
	_ "embed"
	"strings"
)

//go:embed page.css
var pageCSS string

// The colours of pages that an edge shows, light and dark; $Accent is the dark one. A
// test holds 7:1 for every text.
var colours = map[string]string{
	"$paper": "#ffffff", "$ink": "#16202b", "$soft": "#3c4855", "$line": "#8a95a1", "$field": "#f4f6f8", "$accent": "#0b4a7d", "$bad": "#8a1010", "$good": "#0d4f26",
	"$Paper": "#121a21", "$Ink": "#f0f3f6", "$Soft": "#c3ccd5", "$Line": "#6c7885", "$Field": "#1c252f", "$Accent": "#9fd0fb", "$Bad": "#ffb4ab", "$Good": "#a6e3b8",
}

// Style is the stylesheet of a page that an edge shows, which carries it within itself:
// what all of them share, and more, with the brand's colours. They are written out: a
// telephone that is ten years old knows no custom properties.
func (b Brand) Style(more string) string {
	var pairs []string
	for token, colour := range colours {
		switch {
		case token == "$accent" && b.Accent != "":
			colour = b.Accent
		case token == "$Accent" && b.AccentDark != "":
			colour = b.AccentDark
		}
		pairs = append(pairs, token, colour)
	}
	return strings.NewReplacer(pairs...).Replace(strings.ReplaceAll(pageCSS+strings.TrimSpace(more), "\n", ""))
}
