package brand

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// 7:1 for every text (WCAG 2.2, 1.4.6), light and dark, on each paper.
func TestStyle_contrast(t *testing.T) {
	for _, text := range []string{"ink", "soft", "accent", "bad", "good"} {
		for _, paper := range []string{"paper", "field"} {
			for _, pair := range [][2]string{{"$" + text, "$" + paper}, {"$" + strings.ToUpper(text[:1]) + text[1:], "$" + strings.ToUpper(paper[:1]) + paper[1:]}} {
				if r, err := Contrast(colours[pair[0]], colours[pair[1]]); err != nil || r < 7 {
					t.Errorf("%s on %s: %.1f:1, %v", pair[0], pair[1], r, err)
				}
			}
		}
	}
	for tokens, papers := range map[string][]string{"$paper $field": LightPapers, "$Paper $Field": DarkPapers} {
		for token := range strings.FieldsSeq(tokens) {
			if !slices.Contains(papers, colours[token]) {
				t.Errorf("%s is no paper that a brand's accent is held against", token)
			}
		}
	}
}

// No other colour is used than those, and nothing that old telephones do not know.
func TestStyle(t *testing.T) {
	css := Brand{}.Style(".x{color:$good}\n")
	for _, c := range regexp.MustCompile(`#[0-9a-f]{3,6}\b|\$\w+`).FindAllString(css, -1) {
		if !slices.Contains(slices.Collect(maps.Values(colours)), c) && c != "#fff" && c != "#000" { // the last two are the printer's
			t.Errorf("page.css uses %s", c)
		}
	}
	if strings.Contains(css, "var(") || strings.Contains(css, "grid") || strings.Contains(css, "\n") || !strings.HasSuffix(css, ".x{color:"+colours["$good"]+"}") {
		t.Errorf("page.css asks for a browser of our days, or is not whole: %s", css)
	}
	if css := (Brand{Accent: "#123456", AccentDark: "#abcdef"}).Style(""); !strings.Contains(css, "#123456") || !strings.Contains(css, "#abcdef") || strings.Contains(css, colours["$accent"]) {
		t.Error("the brand's accent is not used")
	}
}
