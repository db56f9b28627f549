package shield

import (
	"net/http"
	"slices"
	"strconv"

	"bolwerk/internal/account"
	"bolwerk/internal/store"
)

// Looks are the visits that the page of a case shows: the last one of each
// profile, and where that showed nothing the last one that did.
func (d caseData) Looks() (out []Visit) {
	last, page := map[string]bool{}, map[string]bool{}
	for _, v := range d.CaseView.Visits { // newest first
		who := string(v.Profile) + "/" + string(v.Lang)
		if !last[who] || v.OK() && !page[who] {
			out = append(out, v)
		}
		last[who], page[who] = true, page[who] || v.OK()
	}
	slices.SortStableFunc(out, func(a, b Visit) int {
		if a.Profile != b.Profile {
			return len(b.Profile) - len(a.Profile) // desktop first
		}
		return b.At.Compare(a.At)
	})
	return out
}

// BadTLS is why a browser would not believe the page's certificate.
func (v Visit) BadTLS() string {
	if n := len(v.Seen.Hops); n > 0 {
		return v.Seen.Hops[n-1].TLS
	}
	return ""
}

// Asked are the kinds of data that the page asks for.
func (v Visit) Asked() []string { return v.Seen.Aid().Names() }

// picture is what a page looked like, written anew by our own code.
func (p *Pages) picture(w http.ResponseWriter, r *http.Request, _ account.Person) error {
	var png []byte
	err := p.s.db.Read(r.Context(), func(tx *store.Tx) error {
		var digest string
		err := tx.Row(`select picture from shield_capture where id=$1`, r.PathValue("id")).Scan(&digest)
		if err != nil && !store.None(err) {
			return err
		}
		png, err = p.s.readPage(tx, digest)
		return err
	})
	if err != nil {
		return err
	}
	return writePicture(w, png)
}

func writePicture(w http.ResponseWriter, png []byte) error {
	h := w.Header()
	h.Set("Content-Type", "image/png")
	h.Set("Content-Length", strconv.Itoa(len(png)))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "private, max-age=3600")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'")
	_, err := w.Write(png)
	return err
}
