package edge

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/net/netutil"

	"bolwerk"
	"bolwerk/internal/idn"
	"bolwerk/internal/nameset"
	"bolwerk/shield/aid"
)

// The warning page: one request, no script, no cookie, nothing from elsewhere.
// Path and query of the visitor are never kept; a form other than ours is
// answered 405 and its body thrown away.

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// AppealPath takes "this is a mistake" (RFC 8615 for its place).
const AppealPath = "/.well-known/bolwerk/appeal"

const (
	answerWithin = 48 * time.Hour
	maxForm      = 16 << 10
)

type page struct {
	tmpl  *template.Template
	style template.CSS
	csp   string
	zone  *time.Location

	tlsUnknown, appealsRefused atomic.Uint64

	mu     sync.Mutex
	tokens float64 // room for appeals
	filled time.Time
}

func newPage(cfg Config) *page {
	css := strings.ReplaceAll(strings.TrimSpace(pageCSS), "\n", "")
	sum := sha256.Sum256([]byte(css))
	zone, err := time.LoadLocation(cfg.Zone)
	if err != nil {
		zone = time.UTC // Validate has refused it
	}
	return &page{tmpl: template.Must(template.New("page").Parse(pageHTML)), style: template.CSS(css), zone: zone,
		tokens: float64(cfg.AppealsPerMinute),
		csp: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"}
}

type langLink struct {
	Code, Name, Link string
	Here             bool
}

type reach struct{ Label, Text string }

// view is what the template shows.
type view struct {
	W                            *words
	Lang                         bolwerk.Lang
	Langs                        []langLink
	Style                        template.CSS
	Kind, Title, Operator, Who   string
	Host, ALabels                string
	Why, Brand, Since, By, Block string
	Hacked, Order, Preview       bool
	WasPassed                    bool
	CardPhone, Action            string
	Error, Field, Role, Text     string
	Contact, Code, Due           string
	Reach                        []reach
}

// Page is the warning page for plain HTTP.
func (e *Edge) Page() http.Handler { return http.HandlerFunc(e.servePage) }

// ServePage serves the page until ctx ends. Nothing about visitors is logged:
// net/http would write their addresses.
func (e *Edge) ServePage(ctx context.Context, l net.Listener) error {
	s := &http.Server{Handler: e.Page(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: 15 * time.Second, MaxHeaderBytes: 16 << 10, ErrorLog: log.New(io.Discard, "", 0)}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if s.Shutdown(last) != nil {
			s.Close()
		}
	})
	err := s.Serve(netutil.LimitListener(l, e.cfg.Conns))
	if stop() {
		return err
	}
	<-stopped
	return nil
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
	name := hostName(r.Host)
	v := e.view(r, name)
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		e.show(w, r, http.StatusOK, v)
	case r.Method == http.MethodPost && r.URL.Path == AppealPath:
		e.appeal(w, r, name, v)
	default:
		h := w.Header()
		h.Set("Allow", "GET, HEAD")
		h.Set("Connection", "close") // what comes after the header is never read
		e.show(w, r, http.StatusMethodNotAllowed, v)
	}
}

// view fills in everything but what a form says.
func (e *Edge) view(r *http.Request, name bolwerk.Domain) *view {
	asked := ""
	if r.Method != http.MethodPost && len(r.URL.RawQuery) < 4096 {
		asked = r.URL.Query().Get("lang")
	}
	v := &view{Operator: e.cfg.Operator, Style: e.page.style, Action: AppealPath, Kind: "open"}
	if !name.IsZero() {
		v.Host, v.ALabels = idn.Show(name), name.String()
	}
	rule, ok, passed := e.ruleOf(name)
	v.WasPassed = passed
	if name.String() == e.cfg.PreviewHost && e.cfg.PreviewHost != "" {
		ok, v.Preview = true, true
		rule = Rule{Block: "B-0000-000000", Name: bolwerk.MustDomain("login.bank.example"), Class: "phishing", Brand: "Bank", Since: e.clock.Now().Add(-3 * time.Hour)}
		v.Host, v.ALabels = "login.bank.example", "login.bank.example"
	} else if ok && r.Method == http.MethodGet && r.URL.Path != AppealPath && strings.Contains(r.Header.Get("Accept"), "text/html") {
		// Only a page that somebody looks at is a page view: pictures and
		// scripts of the blocked site are asked for too.
		f := e.find(nameset.AppendWire(nil, name))
		if f.ok && !f.pass {
			e.hits.other(hitPage, f.hitKey(), e.now.Load())
		}
	}
	v.in(choose(asked, r.Header.Get("Accept-Language")))
	if !ok {
		return v
	}
	v.Kind = "stopped"
	v.Block, v.Brand, v.Hacked, v.Order, v.By = rule.Block, rule.Brand, rule.Compromised, rule.Ground == ByOrder, rule.By
	if v.By == "" {
		v.By = e.cfg.Operator
	}
	v.Why = v.W.why(rule.Class)
	if !rule.Since.IsZero() {
		v.Since = v.W.date(rule.Since.In(e.page.zone))
	}
	return v
}

// in sets the language.
func (v *view) in(l bolwerk.Lang) { v.Lang, v.W = l, texts[l] }

// ruleOf is the block that stops the name, or whether an exemption lets it pass.
func (e *Edge) ruleOf(name bolwerk.Domain) (r Rule, blocked, passed bool) {
	if name.IsZero() {
		return r, false, false
	}
	wire := nameset.AppendWire(nil, name)
	f := e.find(wire)
	if !f.ok || f.pass {
		return r, false, f.ok
	}
	return e.terms.rule(nameAt(wire, f.suffix), f.payload), true, false
}

func (e *Edge) show(w http.ResponseWriter, r *http.Request, status int, v *view) {
	v.Title = v.W.Title
	switch v.Kind {
	case "open":
		v.Title = v.W.OpenTitle
	case "thanks":
		v.Title = v.W.ThanksTitle
	}
	v.Who = fmt.Sprintf(v.W.Who, e.cfg.Operator)
	if to := e.cfg.Partners.Of(v.Lang, aid.CardStop); len(to) > 0 {
		v.CardPhone = to[0].Phone
	}
	for _, c := range []reach{{v.W.Phone, e.cfg.Phone}, {v.W.Mail, e.cfg.Mail}, {v.W.Site, e.cfg.Site}} {
		if c.Text != "" {
			v.Reach = append(v.Reach, c)
		}
	}
	for _, l := range bolwerk.Langs() {
		v.Langs = append(v.Langs, langLink{string(l), languageNames[l], "/?lang=" + string(l), l == v.Lang})
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", string(v.Lang))
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Language")
	h.Set("X-Robots-Tag", "noindex")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", e.page.csp)
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	e.page.tmpl.Execute(w, v) // the visitor may be gone: nobody to tell
}

// appeal takes the form.
func (e *Edge) appeal(w http.ResponseWriter, r *http.Request, name bolwerk.Domain, v *view) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	fail := func(status int, field, text string) {
		v.Field, v.Error = field, text
		e.show(w, r, status, v)
	}
	if err := r.ParseForm(); err != nil {
		w.Header().Set("Connection", "close")
		fail(http.StatusRequestEntityTooLarge, "text", v.W.ErrLong)
		return
	}
	f := r.PostForm
	v.in(choose(f.Get("lang"), r.Header.Get("Accept-Language")))
	if rule, ok, _ := e.ruleOf(name); ok {
		v.Why = v.W.why(rule.Class)
		if !rule.Since.IsZero() {
			v.Since = v.W.date(rule.Since.In(e.page.zone))
		}
	}
	if v.Kind != "stopped" || v.Preview {
		e.show(w, r, http.StatusOK, v) // nothing to appeal against any more
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
		fail(http.StatusUnprocessableEntity, "text", v.W.ErrEmpty)
		return
	case utf8.RuneCountInString(v.Text) > MaxAppealText:
		fail(http.StatusUnprocessableEntity, "text", v.W.ErrLong)
		return
	case len(v.Contact) > MaxAppealContact:
		fail(http.StatusUnprocessableEntity, "contact", v.W.ErrContact)
		return
	}
	token, now := bolwerk.NewToken(), e.clock.Now()
	a := Appeal{Receipt: token.Hash(), Name: name, Block: v.Block, Role: v.Role, Text: v.Text, Contact: v.Contact, At: now}
	body, err := json.Marshal(a)
	if err == nil {
		err = bolwerk.ErrFull
		if e.handIn != nil && e.page.take(now, e.cfg.AppealsPerMinute) {
			err = e.handIn(r.Context(), KindAppeal, body)
		}
	}
	if err != nil {
		e.page.appealsRefused.Add(1)
		e.log.Error("an appeal cannot be kept", "block", v.Block, "err", err)
		fail(http.StatusServiceUnavailable, "form", v.W.ErrBusy)
		return
	}
	v.Kind, v.Code = "thanks", token.Grouped()
	v.Due = v.W.hour(now.Add(answerWithin).In(e.page.zone))
	e.show(w, r, http.StatusCreated, v)
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
