package edge

import (
	"bytes"
	"context"
	"html/template"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bolwerk"
	"bolwerk/internal/idn"
	"bolwerk/internal/nameset"
	"bolwerk/internal/recent"
	"bolwerk/internal/web"
	"bolwerk/shield/aid"
)

// The warning page: one request, no script, no cookie, nothing from elsewhere.
// Path and query of the visitor are never kept; a form other than ours is
// answered 405 and its body thrown away.

type page struct {
	*look
	zone *time.Location

	tlsUnknown, appealsRefused atomic.Uint64

	kept *keptPages

	mu     sync.Mutex
	tokens float64 // room for appeals
	filled time.Time

	appeals *recent.Requests
}

func newPage(cfg Config) (*page, error) {
	zone, err := time.LoadLocation(cfg.Zone)
	if err != nil {
		return nil, err
	}
	l, err := newLook(cfg)
	return &page{look: l, zone: zone, kept: newKeptPages(), appeals: recent.NewRequests(keepAppeal, maxAppeals), tokens: float64(cfg.AppealsPerMinute)}, err
}

type langLink struct {
	Code, Name, Link string
	Here             bool
}

type reach struct{ Label, Text string }

// view is what the template shows.
type view struct {
	Lang                         bolwerk.Lang
	Langs                        []langLink
	Kind, Title, Operator, Who   string // Kind is stopped, open, thanks or released
	Host, ALabels                string
	Why, Brand, Since, By, Block string
	Hacked, Order, Preview       bool
	WasPassed                    bool
	Asked, Else                  []template.HTML // steps after kinds of data
	Error, Field, Role, Text     string
	Contact, Code, Due           string
	Action, Release              string
	OptOut, OptOutSite, Ticket   string
	Minutes                      int
	Reach                        []reach
	Legal                        string

	look *look
	rule Rule
}

// Page is the warning page for plain HTTP.
func (e *Edge) Page() http.Handler { return http.HandlerFunc(e.servePage) }

// ServePage serves the page until ctx ends. Nothing about visitors is logged:
// net/http would write their addresses.
func (e *Edge) ServePage(ctx context.Context, l net.Listener) error {
	return web.ServeBriefly(ctx, l, e.Page(), e.cfg.Conns)
}

// hostName is the name in a Host header, with or without port and final dot; the
// zero Domain where it is none.
func hostName(host string) bolwerk.Domain {
	if len(host) > 300 {
		return bolwerk.Domain{}
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.Trim(host[i+1:], "0123456789") == "" {
		host = host[:i]
	}
	d, err := bolwerk.ParseDomain(host)
	if err != nil {
		return bolwerk.Domain{}
	}
	return d
}

func (e *Edge) servePage(w http.ResponseWriter, r *http.Request) {
	s := e.visit(r)
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		e.page.headers(w.Header(), s.lang)
		if r.Method == http.MethodGet {
			e.page.kept.write(w, s, func(s visit) []byte { return e.render(e.view(s), true) })
		}
		return
	}
	v := e.view(s)
	switch {
	case r.Method == http.MethodPost && r.URL.Path == AppealPath:
		e.appeal(w, r, s.name, v)
	case r.Method == http.MethodPost && r.URL.Path == ReleasePath && e.cfg.Release.Minutes > 0:
		e.release(w, r, s, v)
	default:
		h := w.Header()
		h.Set("Allow", "GET, HEAD")
		h.Set("Connection", "close") // what comes after the header is never read
		e.show(w, http.StatusMethodNotAllowed, v)
	}
}

// visit is what a request says.
type visit struct {
	name          bolwerk.Domain // zero: none
	lang          bolwerk.Lang
	preview       bool
	found                // what decides about the name
	stopped       bool   // a block does
	host, aLabels string // the name as people read it, and as the DNS does
	ticket        string // the line may open it
}

// visit looks up what the visitor asked for, and counts a page view.
func (e *Edge) visit(r *http.Request) visit {
	s := visit{name: hostName(r.Host)}
	asked := ""
	if r.Method != http.MethodPost && len(r.URL.RawQuery) < 4096 {
		asked = r.URL.Query().Get("lang")
	}
	s.lang = choose(asked, r.Header.Get("Accept-Language"))
	if s.name.IsZero() {
		return s
	}
	s.host, s.aLabels = idn.Show(s.name), s.name.String()
	if e.cfg.PreviewHost != "" && s.aLabels == e.cfg.PreviewHost {
		s.preview = true
		s.host = example.Name.String()
		s.aLabels = s.host
		return s
	}
	s.found = e.find(nameset.AppendWire(nil, s.name), sourceOf(r))
	if s.stopped = s.ok && !s.pass && !s.term.pulse; !s.stopped {
		return s
	}
	if r.Method == http.MethodGet && r.URL.Path != AppealPath && r.URL.Path != ReleasePath && strings.Contains(r.Header.Get("Accept"), "text/html") {
		// Only a page that somebody looks at is a page view: pictures and
		// scripts of the blocked site are asked for too.
		e.hits.other(hitPage, s.hitKey(), e.now.Load())
	}
	if line, fixed := e.released.lineOf(sourceOf(r)); fixed && e.released.may(s.term) {
		s.ticket = e.released.ticket(line, s.hitKey(), e.now.Load())
	}
	return s
}

// example is what the page shows under the preview's name.
var example = Rule{Block: "B-0000-000000", Name: bolwerk.MustDomain("login.bank.example"), Class: "phishing", Brand: "Bank", AskedFor: aid.Of(aid.Card, aid.OTP)}

// view fills in everything but what a form says.
func (e *Edge) view(s visit) *view {
	v := &view{Operator: e.cfg.name(), Action: AppealPath, Release: ReleasePath, Kind: "open", Host: s.host, ALabels: s.aLabels,
		WasPassed: s.ok && s.pass, Preview: s.preview, Ticket: s.ticket, Minutes: e.cfg.Release.Minutes}
	switch {
	case s.preview:
		v.rule = example
		v.rule.Since = e.clock.Now()
	case s.stopped:
		v.rule = e.terms.rule(s.name, s.payload)
	}
	if s.stopped || s.preview {
		v.Kind = "stopped"
		v.Block, v.Brand, v.Hacked, v.Order = v.rule.Block, v.rule.Brand, v.rule.Compromised, v.rule.Ground == ByOrder
		if v.By = v.rule.By; v.By == "" {
			v.By = v.Operator
		}
		if !v.Order { // orders are not opted out of
			v.OptOutSite = e.cfg.OptOutSite
		}
	}
	v.in(e.page, s.lang, e.cfg)
	return v
}

// in sets the language and all that follows from it.
func (v *view) in(p *page, l bolwerk.Lang, cfg Config) {
	v.Lang, v.look = l, p.look
	v.Legal = cfg.Brand.Legal[string(l)]
	if v.Kind != "stopped" {
		return
	}
	v.Asked, v.Else = v.look.entered(l, v.rule.AskedFor)
	v.Why = v.look.why(l, v.rule.Class)
	if !v.rule.Since.IsZero() {
		v.Since = v.look.date(l, v.rule.Since.In(p.zone))
	}
	if !v.Order {
		v.OptOut = cfg.OptOut[string(l)]
	}
}

// t is a text in the view's language.
func (v *view) t(key string, args ...any) string { return v.look.texts.T(v.Lang, key, args...) }

// fill puts in what every page has; langs is the switch between languages.
func (e *Edge) fill(v *view, langs bool) {
	switch v.Kind {
	case "open":
		v.Title = v.t("warning.open.title")
	case "thanks":
		v.Title = v.t("warning.thanks.title")
	case "released":
		v.Title = v.t("warning.choice.done_title")
	default:
		v.Title = v.t("warning.title")
	}
	v.Who = v.t("warning.who_text", v.Operator)
	for _, c := range []reach{{v.t("warning.phone"), e.cfg.Phone}, {v.t("warning.mail"), e.cfg.Mail}, {v.t("warning.site"), e.cfg.Site}} {
		if c.Text != "" {
			v.Reach = append(v.Reach, c)
		}
	}
	if !langs {
		return
	}
	for _, l := range bolwerk.Langs() {
		v.Langs = append(v.Langs, langLink{string(l), languageNames[l], "/?lang=" + string(l), l == v.Lang})
	}
}

// render makes the page.
func (e *Edge) render(v *view, langs bool) []byte {
	e.fill(v, langs)
	var b bytes.Buffer
	if err := e.page.pages[v.Lang].Execute(&b, v); err != nil {
		// New has rendered one, so that only a bug can lead here: better half a page
		// than none.
		e.log.Error("warning page", "err", err)
	}
	return b.Bytes()
}

func (p *page) headers(h http.Header, l bolwerk.Lang) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", string(l))
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Language")
	h.Set("X-Robots-Tag", "noindex")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", p.csp)
}

// show answers a form. There is no switch between languages: what a form got
// cannot be had again.
func (e *Edge) show(w http.ResponseWriter, status int, v *view) {
	e.page.headers(w.Header(), v.Lang)
	w.WriteHeader(status)
	w.Write(e.render(v, false)) // the visitor may be gone: nobody to tell
}

// choose picks a language: the one asked for, else the first of Accept-Language
// (RFC 9110 section 12.5.4) by weight, else Dutch. It reads 200 octets at most.
func choose(asked, accept string) bolwerk.Lang {
	for _, l := range bolwerk.Langs() {
		if asked == string(l) {
			return l
		}
	}
	best, weight := bolwerk.NL, -1
	for part := range strings.SplitSeq(accept[:min(len(accept), 200)], ",") {
		tag, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		w := 1000
		if v, ok := strings.CutPrefix(strings.TrimSpace(q), "q="); ok {
			w = 0
			for i, c := range []byte(v) { // "0.8", "1", "0.125"
				if c >= '0' && c <= '9' && i < 5 {
					w += int(c-'0') * [5]int{1000, 0, 100, 10, 1}[i]
				}
			}
		}
		tag, _, _ = strings.Cut(strings.ToLower(tag), "-")
		for _, l := range bolwerk.Langs() {
			if tag == string(l) && w > 0 && w > weight {
				best, weight = l, w
			}
		}
	}
	return best
}
