package abuse

import (
	"bytes"
	"context"
	"net/http"
	"slices"

	"bolwerk"
	"bolwerk/abuse/garden"
	"bolwerk/internal/account"
	"bolwerk/internal/web"
)

// Guests knows what the page of a quarantine shows now.
type Guests interface {
	Guest(ctx context.Context, quarantine string) (garden.Guest, error)
}

// Garden lets the helpdesk see the page of the safe environment as a guest sees it. Call
// it before Routes.
func (p *Pages) Garden(k *garden.Kit, g Guests) { p.kit, p.guests = k, g }

// guest is that page, to read. It names nobody.
func (p *Pages) guest(w http.ResponseWriter, r *http.Request, _ account.Person) error {
	g, err := p.guests.Guest(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	lang := web.Lang(r)
	if in := bolwerk.Lang(r.URL.Query().Get("in")); slices.Contains(bolwerk.Langs(), in) {
		lang = in
	}
	var b bytes.Buffer
	if err := p.kit.Render(&b, lang, g, garden.Options{Staff: true, Chosen: r.URL.Query().Get("device")}); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Security-Policy", p.kit.Policy())
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.Write(b.Bytes()) // who asked may be gone: nobody to tell
	return nil
}
