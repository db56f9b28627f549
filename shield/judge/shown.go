package judge

import "strings"

// Shown is the brand whose name the text has as a word of its own, as on a page's
// title or a logo; empty where it names none. It is as sharp as the look at the
// sender's name of a mail.
func (b *Brands) Shown(text string) string { return b.claims(text) }

// ByIcon is the brand that has an icon of that SHA-256 (hex) on its own site;
// empty where nobody told us of one.
func (b *Brands) ByIcon(sum string) string {
	if b == nil {
		return ""
	}
	for i := range b.all {
		for _, icon := range b.all[i].Icons {
			if strings.EqualFold(icon, sum) {
				return b.all[i].Name
			}
		}
	}
	return ""
}

// ByToken is the brand that has the word among its tokens, hyphens and
// underscores aside; empty where none has.
func (b *Brands) ByToken(word string) string {
	if b == nil {
		return ""
	}
	plain := strings.NewReplacer("-", "", "_", "", " ", "").Replace
	for i := range b.all {
		for _, t := range b.all[i].tokens {
			if plain(t.text) == plain(strings.ToLower(word)) {
				return b.all[i].Name
			}
		}
	}
	return ""
}
