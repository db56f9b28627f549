package door

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
	"time"

	copies "bolwerk/internal/copy"
	"bolwerk/internal/web"
	"bolwerk/shield/aid"

	"bolwerk"
)

// Warning is a campaign that people are warned of: one of which a name was
// blocked, and that was reported lately.
type Warning struct {
	Ref      string    `json:"ref" doc:"number of the campaign"`
	Brand    string    `json:"brand" doc:"whom the messages pretend to come from"`
	Class    string    `json:"class" doc:"phishing, fake_shop, malware, scam or other"`
	Channels []string  `json:"channels,omitempty" doc:"how people got it: mail, text or link, the most frequent first"`
	Since    time.Time `json:"since" doc:"first report"`
	Last     time.Time `json:"last" doc:"last report, to the hour"`
	Reports  int64     `json:"reports,omitempty" doc:"how many reports, two digits of it; left out below 5"`
	Names    []string  `json:"names,omitempty" doc:"some of the blocked names"`
	Asked    []string  `json:"asked_for,omitempty" doc:"what the websites ask for"`
	// A warning that a person wrote has words of its own, and an end.
	Until time.Time     `json:"until,omitzero" doc:"when a warning that a person wrote ends"`
	Texts []WarningText `json:"texts,omitempty" doc:"the words of a warning that a person wrote, in each language"`
}

// WarningText is a warning in the words of the person who wrote it.
type WarningText struct {
	Lang  bolwerk.Lang `json:"lang" doc:"nl, fr, de or en"`
	Title string       `json:"title"`
	Text  string       `json:"text" doc:"paragraphs with an empty line between them"`
}

// written are the words in a language; false is a warning that no person wrote.
func (w Warning) written(lang bolwerk.Lang) (WarningText, bool) {
	for _, t := range w.Texts {
		if t.Lang == lang {
			return t, true
		}
	}
	if len(w.Texts) > 0 {
		return w.Texts[0], true
	}
	return WarningText{}, false
}

// about says that the warning names name, or a name above it.
func (w Warning) about(name bolwerk.Domain) bool {
	for _, n := range w.Names {
		if d, err := bolwerk.ParseDomain(n); err == nil && bolwerk.ScopeSubtree.Covers(d, name, false) {
			return true
		}
	}
	return false
}

// warningRow is a warning until it is over.
type warningRow struct {
	Warning
	until int64
}

func (l *listing) putWarning(ref string, e copies.Entry) bool {
	if !read(l.warnings, ref, e) {
		return false
	}
	if w, ok := l.warnings[ref]; ok {
		w.until = e.Until
		l.warnings[ref] = w
	}
	return true
}

// now are the warnings that hold: those that a person wrote, then the last seen first.
func (l *listing) now(t time.Time) (out []Warning) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, w := range l.warnings {
		if w.until == 0 || t.UnixMicro() < w.until {
			out = append(out, w.Warning)
		}
	}
	slices.SortFunc(out, func(a, b Warning) int {
		if c := first(len(a.Texts) > 0) - first(len(b.Texts) > 0); c != 0 {
			return c
		}
		if c := b.Last.Compare(a.Last); c != 0 {
			return c
		}
		return strings.Compare(b.Ref, a.Ref)
	})
	return out
}

// warningView is a warning in words.
type warningView struct {
	Warning
	Title, Looks, Asks string
	Says               []string // paragraphs of a person, instead of the two
	Shown              []shown
}

func (d *Door) view(lang bolwerk.Lang, w Warning) warningView {
	texts := d.frame.Texts()
	v := warningView{Warning: w, Title: texts.T(lang, "door.warning.name", w.Brand)}
	for _, n := range w.Names {
		if s := show(n); s.Name != "" {
			v.Shown = append(v.Shown, s)
		}
	}
	if own, ok := w.written(lang); ok {
		v.Title, v.Says = own.Title, strings.Split(own.Text, "\n\n")
		return v
	}
	channel, class := "link", "other"
	if len(w.Channels) > 0 && (w.Channels[0] == "mail" || w.Channels[0] == "text") {
		channel = w.Channels[0]
	}
	switch w.Class {
	case "phishing", "fake_shop", "malware", "scam":
		class = w.Class
	}
	v.Looks = texts.T(lang, "door.warning.by."+channel, w.Brand) + " " + texts.T(lang, "door.warning.leads."+class, w.Brand)
	var asked []string
	for _, k := range askedFor(w).Kinds() {
		asked = append(asked, texts.T(lang, "door.warning.asks."+string(k)))
	}
	if len(asked) > 0 {
		v.Asks = texts.T(lang, "door.warning.asks", strings.Join(asked, ", "))
	}
	return v
}

// askedFor are the kinds of data that we have words for.
func askedFor(w Warning) aid.Set {
	kinds := make([]aid.Kind, len(w.Asked))
	for i, k := range w.Asked {
		kinds[i] = aid.Kind(k)
	}
	return aid.Of(kinds...)
}

func (d *Door) views(lang bolwerk.Lang, most int) (out []warningView) {
	for _, w := range d.list.now(d.clock.Now()) {
		if len(out) < most {
			out = append(out, d.view(lang, w))
		}
	}
	return out
}

// aside are warnings beside the answer about a name: those about this name, in
// full, then what a person warns of now.
func (d *Door) aside(lang bolwerk.Lang, name bolwerk.Domain) (out []asideView) {
	for _, w := range d.list.now(d.clock.Now()) {
		if about := !name.IsZero() && w.about(name); len(w.Texts) > 0 && len(out) < homeWarnings || about {
			out = append(out, asideView{d.view(lang, w), about})
		}
	}
	slices.SortStableFunc(out, func(a, b asideView) int { return first(a.About) - first(b.About) })
	return out[:min(len(out), homeWarnings)]
}

// asideView is a warning on the page of something else; About says that it is of that.
type asideView struct {
	warningView
	About bool
}

func first(is bool) int {
	if is {
		return 0
	}
	return 1
}

// maxWarnings bounds what a page and the feed show.
const maxWarnings = 50

type warningsPage struct {
	page
	Warnings []warningView
	Ready    bool // the copy has come
}

func (d *Door) warningsPage(w http.ResponseWriter, r *http.Request) error {
	return d.pages.Render(w, r, http.StatusOK, "warnings", warningsPage{page: d.page(r), Warnings: d.views(web.Lang(r), maxWarnings), Ready: d.list.has()})
}

// WarningsAnswer are the current warnings.
type WarningsAnswer struct {
	Warnings []Warning `json:"warnings" doc:"the last seen first"`
}

func (d *Door) apiWarnings(w http.ResponseWriter, _ *http.Request) error {
	if !d.list.has() {
		return errNoCopy
	}
	all := d.list.now(d.clock.Now())
	w.Header().Set("Cache-Control", "public, max-age=60")
	return web.WriteJSON(w, http.StatusOK, WarningsAnswer{append([]Warning{}, all[:min(len(all), maxWarnings)]...)})
}

// summary is the warning without its title; do is what to do about messages.
func (v warningView) summary(do string) string {
	if len(v.Says) > 0 {
		return strings.Join(v.Says, "\n\n")
	}
	return strings.TrimSpace(v.Looks + " " + v.Asks + " " + do)
}

// feed is an Atom feed (RFC 4287).
type feed struct {
	XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
	Lang    string      `xml:"xml:lang,attr"`
	ID      string      `xml:"id"`
	Title   string      `xml:"title"`
	Updated string      `xml:"updated"`
	Author  string      `xml:"author>name"`
	Links   []feedLink  `xml:"link"`
	Entries []feedEntry `xml:"entry"`
}

type feedLink struct {
	Rel  string `xml:"rel,attr"`
	Type string `xml:"type,attr"`
	Href string `xml:"href,attr"`
}

type feedEntry struct {
	ID        string   `xml:"id"`
	Title     string   `xml:"title"`
	Published string   `xml:"published"`
	Updated   string   `xml:"updated"`
	Link      feedLink `xml:"link"`
	Summary   string   `xml:"summary"`
}

// atom is the feed of current warnings, in the language of the request.
func (d *Door) atom(w http.ResponseWriter, r *http.Request) error {
	if !d.list.has() {
		return errNoCopy
	}
	lang := web.Lang(r)
	texts, to := d.frame.Texts(), "?lang="+string(lang)
	f := feed{Lang: string(lang), ID: d.frame.URL("/warnings"), Title: d.cfg.Operator + ": " + texts.T(lang, "door.warnings.title"), Author: d.cfg.Operator,
		Links: []feedLink{{"self", "application/atom+xml", d.frame.URL("/warnings.atom" + to)}, {"alternate", "text/html", d.frame.URL("/warnings" + to)}}}
	newest := time.Unix(0, 0)
	for _, v := range d.views(lang, maxWarnings) {
		page := d.frame.URL("/warnings" + to + "#" + v.Ref)
		f.Entries = append(f.Entries, feedEntry{ID: d.frame.URL("/warnings#" + v.Ref), Title: v.Title, Published: v.Since.UTC().Format(time.RFC3339),
			Updated: v.Last.UTC().Format(time.RFC3339), Link: feedLink{"alternate", "text/html", page},
			Summary: v.summary(texts.T(lang, "door.warning.do"))})
		if v.Last.After(newest) {
			newest = v.Last
		}
	}
	f.Updated = newest.UTC().Format(time.RFC3339)
	b, err := xml.MarshalIndent(f, "", " ")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/atom+xml; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Set("Content-Language", string(lang))
	w.Header().Set("Vary", "Accept-Language")
	if _, err = w.Write([]byte(xml.Header)); err == nil {
		_, err = w.Write(append(b, '\n'))
	}
	return err
}
