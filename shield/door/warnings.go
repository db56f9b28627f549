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

// now are the warnings that hold, the last seen first.
func (l *listing) now(t time.Time) (out []Warning) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, w := range l.warnings {
		if w.until == 0 || t.UnixMicro() < w.until {
			out = append(out, w.Warning)
		}
	}
	slices.SortFunc(out, func(a, b Warning) int {
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
	Shown              []shown
}

func (d *Door) view(lang bolwerk.Lang, w Warning) warningView {
	texts := d.frame.Texts()
	v := warningView{Warning: w, Title: texts.T(lang, "door.warning.name", w.Brand)}
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
	for _, n := range w.Names {
		if s := show(n); s.Name != "" {
			v.Shown = append(v.Shown, s)
		}
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
			Summary: strings.TrimSpace(v.Looks + " " + v.Asks + " " + texts.T(lang, "door.warning.do"))})
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
