package web

import (
	"net/http"
	"slices"

	"golang.org/x/text/language"

	"bolwerk"
)

// langCookie keeps what a reader chose with ?lang=.
const langCookie = "lang"

// negotiate gives the language of an answer: ?lang=, else what was chosen
// before, else Accept-Language, else the site's first.
func (f *Frame) negotiate(w http.ResponseWriter, r *http.Request) bolwerk.Lang {
	speaks := f.site.Config.Languages
	if l := bolwerk.Lang(r.URL.Query().Get("lang")); slices.Contains(speaks, l) {
		if f.site.NoCookies {
			return l
		}
		http.SetCookie(w, &http.Cookie{Name: langCookie, Value: string(l), Path: "/", MaxAge: 365 * 24 * 3600, HttpOnly: true, Secure: f.secure, SameSite: http.SameSiteLaxMode})
		return l
	}
	if c, err := r.Cookie(langCookie); err == nil && !f.site.NoCookies && slices.Contains(speaks, bolwerk.Lang(c.Value)) {
		return bolwerk.Lang(c.Value)
	}
	return Accepted(r.Header.Get("Accept-Language"), speaks)
}

// Accepted is the language of speaks that an Accept-Language header likes best
// (RFC 9110 section 12.5.4); the first of speaks where it likes none. More than
// 256 bytes of header are not read.
func Accepted(header string, speaks []bolwerk.Lang) bolwerk.Lang {
	if len(header) > 256 {
		header = ""
	}
	asked, _, err := language.ParseAcceptLanguage(header)
	if err != nil {
		return speaks[0]
	}
	for _, tag := range asked {
		base, _ := tag.Base()
		if l := bolwerk.Lang(base.String()); slices.Contains(speaks, l) {
			return l
		}
	}
	return speaks[0]
}
