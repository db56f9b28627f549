package shield

import (
	"net/http"
	"strconv"
	"strings"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/web"
)

type pictureData struct {
	common
	Look    *PictureLook
	Typed   string
	Machine bool // a program reads letters here
}

// Nth counts as people do.
func (eyes) Nth(i int) int { return i + 1 }

// pictures shows the report that has waited longest for a person to read its
// pictures: one question, and what follows of its answer.
func (p *Pages) pictures(w http.ResponseWriter, r *http.Request, who account.Person) error {
	l, err := p.s.NextPicture(r.Context(), clip(r.URL.Query().Get("after")))
	if err != nil {
		return err
	}
	return p.pages.Render(w, r, http.StatusOK, "picture", pictureData{common: commonOf(r, who), Look: l, Typed: l.guess(), Machine: p.s.ocr != nil})
}

// typePicture takes what a person read.
func (p *Pages) typePicture(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	report, typed := r.PathValue("report"), r.PostForm.Get("address")
	done := "picture"
	var err error
	switch {
	case r.PostForm.Get("what") == "nothing":
		typed, done = "", "no-picture"
	case strings.TrimSpace(typed) == "":
		err = bolwerk.Invalid("no address was typed")
	}
	if err == nil {
		err = p.s.TypePicture(r.Context(), bolwerk.Person(who.ID), report, typed)
	}
	if err == nil {
		return goTo(w, r, "/pictures", done)
	}
	c := commonOf(r, who)
	status, err := c.beside("picture", err)
	if err != nil {
		return err
	}
	l, err := p.s.PictureLook(r.Context(), report)
	if err != nil {
		return err
	}
	return p.pages.Render(w, r, status, "picture", pictureData{common: c, Look: l, Typed: typed, Machine: p.s.ocr != nil})
}

// reportPicture is one picture of a report, drawn anew by the reader, or what is around
// a guess.
func (p *Pages) reportPicture(w http.ResponseWriter, r *http.Request, _ account.Person) error {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil {
		return bolwerk.NotFound("no such picture")
	}
	guess := -1
	if g := r.PathValue("guess"); g != "" {
		if guess, err = strconv.Atoi(g); err != nil || guess < 0 {
			return bolwerk.NotFound("no such picture")
		}
	}
	b, kind, err := p.s.PictureOf(r.Context(), r.PathValue("report"), n, guess)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	_, err = w.Write(b)
	return err
}
