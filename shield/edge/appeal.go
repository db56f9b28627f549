package edge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"bolwerk"
	"bolwerk/internal/recent"
	"bolwerk/internal/web"
)

// AppealPath takes "this is a mistake" (RFC 8615 for its place).
const AppealPath = "/.well-known/bolwerk/appeal"

const (
	answerWithin = 48 * time.Hour
	maxForm      = 16 << 10

	keepAppeal = 10 * time.Minute // how long the same words are the same appeal
	maxAppeals = 1 << 12
)

// appeal takes the form.
func (e *Edge) appeal(w http.ResponseWriter, r *http.Request, name bolwerk.Domain, v *view) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	fail := func(status int, field, text string) {
		v.Field, v.Error = field, text
		e.show(w, status, v)
	}
	if err := r.ParseForm(); err != nil {
		w.Header().Set("Connection", "close")
		fail(http.StatusRequestEntityTooLarge, "text", v.t("warning.mistake.long"))
		return
	}
	f := r.PostForm
	v.in(e.page, choose(f.Get("lang"), r.Header.Get("Accept-Language")), e.cfg)
	if v.Kind != "stopped" || v.Preview {
		e.show(w, http.StatusOK, v) // nothing to appeal against any more
		return
	}
	v.Role = "visitor"
	if f.Get("role") == "owner" {
		v.Role = "owner"
	}
	// A browser sends the line breaks of a text as two octets and counts them as one.
	v.Text = strings.TrimSpace(strings.ToValidUTF8(strings.ReplaceAll(f.Get("text"), "\r\n", "\n"), "\uFFFD"))
	v.Contact = strings.TrimSpace(strings.ToValidUTF8(f.Get("contact"), "\uFFFD"))
	switch {
	case v.Text == "":
		fail(http.StatusUnprocessableEntity, "text", v.t("warning.mistake.empty"))
		return
	case utf8.RuneCountInString(v.Text) > MaxAppealText:
		fail(http.StatusUnprocessableEntity, "text", v.t("warning.mistake.long"))
		return
	case len(v.Contact) > MaxAppealContact:
		fail(http.StatusUnprocessableEntity, "contact", v.t("warning.mistake.contact_long"))
		return
	}
	now := e.clock.Now()
	a := Appeal{Name: name, Block: v.Block, Role: v.Role, Text: v.Text, Contact: v.Contact}
	// A second press of the button, or a page that is sent again.
	key := recent.KeyOf(fmt.Sprintf("%s %q", web.Network(sourceOf(r)), a))
	token, err := e.page.appeals.Wait(r.Context(), e.clock.Now, key, func() (bolwerk.Token, error) {
		token := bolwerk.NewToken()
		a.Receipt, a.At = token.Hash(), now
		body, err := json.Marshal(a)
		if err == nil {
			err = bolwerk.ErrFull
			if e.handIn != nil && e.page.take(now, e.cfg.AppealsPerMinute) {
				err = e.handIn(r.Context(), KindAppeal, body)
			}
		}
		return token, err
	})
	if err != nil {
		e.page.appealsRefused.Add(1)
		e.log.Error("an appeal cannot be kept", "block", v.Block, "err", err)
		fail(http.StatusServiceUnavailable, "form", v.t("warning.mistake.busy"))
		return
	}
	v.Kind, v.Code = "thanks", token.Grouped()
	v.Due = v.look.hour(v.Lang, now.Add(answerWithin).In(e.page.zone))
	e.show(w, http.StatusCreated, v)
}

// take takes room for one appeal.
func (p *page) take(now time.Time, perMinute int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.filled.IsZero() {
		p.tokens = min(float64(perMinute), p.tokens+max(0, now.Sub(p.filled).Minutes())*float64(perMinute))
	}
	p.filled = now
	if p.tokens < 1 {
		return false
	}
	p.tokens--
	return true
}
