// Package edge is the safe environment at the edge: the page that a line in quarantine is
// shown, what operating systems are answered that look for one, and what guests hand
// in. It knows guests by their address alone, from its last good copy; any doubt is a
// line that is not in quarantine.
package edge

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/abuse/garden"
	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/quota"
	"bolwerk/internal/recent"
	"bolwerk/internal/web"
)

// Paths of the page, in a place of their own (RFC 8615).
const (
	FormPath    = "/.well-known/bolwerk/garden"
	CaptivePath = "/.well-known/bolwerk/captive" // RFC 8908
)

const (
	maxForm     = 16 << 10
	maxTicks    = 240 // an hour, from one line
	maxRequests = 12  // for help or release, the same
	sameWithin  = 10 * time.Minute
	maxSame     = 1 << 12
)

// Parts are what a garden works with.
type Parts struct {
	// HandIn makes what a guest did durable, and sends it to the desk.
	HandIn func(ctx context.Context, kind string, body []byte) error
	// Doubtful says that the copies may be out of date: then nobody is a guest.
	Doubtful func() bool
	Clock    clock.Clock
	Log      *slog.Logger
	Metrics  prometheus.Registerer
}

// Edge is the garden of one edge.
type Edge struct {
	cfg      Config
	p        Parts
	kit      *garden.Kit
	host     string // of the page, with its port
	home     string // the page's address, without final slash
	guests   *guests
	ticks    *quota.Quota
	requests *quota.Quota
	same     *recent.Requests
	shown    *prometheus.CounterVec
	taken    *prometheus.CounterVec
}

// New makes a garden without guests.
func New(cfg Config, look garden.Look, p Parts) (*Edge, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	kit, err := garden.New(look)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, bolwerk.Invalid("abuse.garden: url: %v", err)
	}
	e := &Edge{cfg: cfg, p: p, kit: kit, host: u.Host, home: strings.TrimSuffix(cfg.URL, "/"), guests: newGuests(),
		ticks: quota.New(maxTicks), requests: quota.New(maxRequests), same: recent.NewRequests(sameWithin, maxSame)}
	return e, e.measure()
}

// Guests is the sink of the copy garden.Copy.
func (e *Edge) Guests() copy.Sink { return sink{e} }

// Names are those that guests' questions get the page's address for: of the checks, and
// the page's own where it has one.
func (e *Edge) Names() []bolwerk.Domain {
	names := CheckNames()
	host, _, _ := strings.Cut(e.host, ":")
	if d, err := bolwerk.ParseDomain(host); err == nil {
		names = append(names, d)
	}
	return names
}

// Serve serves the page until ctx ends. Nothing about visitors is logged.
func (e *Edge) Serve(ctx context.Context, l net.Listener) error {
	return web.ServeBriefly(ctx, l, e, e.cfg.Conns)
}

// guest is who asks. The address is the connection's: no header is believed.
func (e *Edge) guest(r *http.Request) (garden.Guest, netip.Prefix, bool) {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || e.p.Doubtful() {
		return garden.Guest{}, netip.Prefix{}, false
	}
	return e.guests.of(ap.Addr().Unmap().WithZone(""), e.p.Clock.Now())
}

// ServeHTTP answers whoever comes, under whatever name: the DNS sent them here.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g, line, in := e.guest(r)
	c, check := checked(r.Host, r.URL.Path)
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case read && r.URL.Path == CaptivePath:
		e.captive(w, in)
	case r.Method == http.MethodPost && r.URL.Path == FormPath && in:
		e.form(w, r, g, line)
	case r.Method == http.MethodPost && r.URL.Path == FormPath: // freed meanwhile: what they sent is of no use any more
		e.page(w, r, http.StatusOK, g, garden.Options{Free: true})
	case !read:
		w.Header().Set("Allow", "GET, HEAD")
		w.Header().Set("Connection", "close") // what comes after the header is never read
		w.WriteHeader(http.StatusMethodNotAllowed)
	case check && !in:
		e.shown.WithLabelValues("check").Inc()
		c.pass(w)
	case !in && r.Host != e.host: // an old answer of the DNS led here
		w.Header().Set("Retry-After", "30")
		e.page(w, r, http.StatusServiceUnavailable, g, garden.Options{Free: true})
	case !in:
		e.page(w, r, http.StatusOK, g, garden.Options{Free: true})
	case r.Host != e.host:
		e.shown.WithLabelValues("redirect").Inc()
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, e.home+"/", http.StatusFound)
	default:
		e.saw(r, g)
		e.page(w, r, http.StatusOK, g, e.options(r.URL.Query().Get("device"), g))
	}
}

func (e *Edge) options(device string, g garden.Guest) garden.Options {
	return garden.Options{Action: FormPath, Token: g.Token(), Chosen: chosen(device), Now: e.p.Clock.Now()}
}

// chosen is a device that a guest may choose, or "".
func chosen(device string) string {
	for _, p := range garden.Chosen() {
		if string(p) == device {
			return device
		}
	}
	return ""
}

// captive is the answer of RFC 8908. seconds-remaining and can-extend-session are about
// time that a session has before it gets captive: nobody's is bounded.
func (e *Edge) captive(w http.ResponseWriter, in bool) {
	answer := map[string]any{"captive": in}
	if in {
		answer["user-portal-url"] = e.home + "/"
	}
	e.shown.WithLabelValues("api").Inc()
	w.Header().Set("Content-Type", "application/captive+json")
	w.Header().Set("Cache-Control", "private, no-store")
	json.NewEncoder(w).Encode(answer)
}

// saw hands in, once for each quarantine, that somebody looked at the page.
func (e *Edge) saw(r *http.Request, g garden.Guest) {
	if r.Method != http.MethodGet || !strings.Contains(r.Header.Get("Accept"), "text/html") || e.guests.wasSeen(g.Quarantine) {
		return
	}
	if err := e.handIn(r.Context(), garden.Event{Quarantine: g.Quarantine, What: "seen"}); err != nil {
		e.p.Log.Error("that a guest saw the page cannot be kept", "err", err)
	}
}

func (e *Edge) handIn(ctx context.Context, ev garden.Event) error {
	ev.ID, ev.At = bolwerk.NewID(e.p.Clock.Now()), e.p.Clock.Now().UTC()
	body, err := json.Marshal(ev)
	if err == nil {
		err = e.p.HandIn(ctx, garden.Kind, body)
	}
	if err != nil {
		e.taken.WithLabelValues(ev.What, "failed").Inc()
		return err
	}
	e.taken.WithLabelValues(ev.What, "taken").Inc()
	e.guests.took(ev)
	return nil
}

// form takes what a guest did. It is acknowledged once it is in the spool.
func (e *Edge) form(w http.ResponseWriter, r *http.Request, g garden.Guest, line netip.Prefix) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := r.ParseForm()
	f := r.PostForm
	o := e.options(f.Get("device"), g)
	o.Text = strings.TrimSpace(strings.ToValidUTF8(strings.ReplaceAll(f.Get("text"), "\r\n", "\n"), "\uFFFD"))
	o.Contact = strings.TrimSpace(strings.ToValidUTF8(f.Get("contact"), "\uFFFD"))
	refuse := func(status int, said string) {
		o.Said = said
		e.taken.WithLabelValues("form", said).Inc()
		e.page(w, r, status, g, o)
	}
	ev := garden.Event{ID: "x", Quarantine: g.Quarantine, What: f.Get("what"), At: e.p.Clock.Now()}
	limit := e.requests
	switch ev.What {
	case "done", "undone":
		ev.Step, limit = f.Get("step"), e.ticks
	case "help":
		ev.Text, ev.Contact = o.Text, o.Contact
	}
	switch {
	case err != nil:
		w.Header().Set("Connection", "close")
		refuse(http.StatusRequestEntityTooLarge, "long")
		return
	case subtle.ConstantTimeCompare([]byte(f.Get("token")), []byte(g.Token())) != 1:
		refuse(http.StatusForbidden, "stale")
		return
	case ev.What == "help" && ev.Text == "":
		refuse(http.StatusUnprocessableEntity, "empty")
		return
	case utf8.RuneCountInString(ev.Text) > garden.MaxText || len(ev.Contact) > garden.MaxContact:
		refuse(http.StatusUnprocessableEntity, "long")
		return
	case ev.What == "seen" || ev.Check() != nil, ev.What == "release" && !g.MayRelease(), ev.What == "test" && !g.MayTest(e.p.Clock.Now()):
		refuse(http.StatusConflict, "stale")
		return
	case limit.Take(e.p.Clock.Now(), line, 1) > 0:
		refuse(http.StatusTooManyRequests, "many")
		return
	}
	if limit == e.ticks {
		err = e.handIn(r.Context(), ev)
	} else { // a second press of the button is the same request
		key := recent.KeyOf(ev.Quarantine + "\x00" + ev.What + "\x00" + ev.Text + "\x00" + ev.Contact)
		_, err = e.same.Wait(r.Context(), e.p.Clock.Now, key, func() (bolwerk.Token, error) { return bolwerk.NewToken(), e.handIn(r.Context(), ev) })
	}
	if err != nil {
		e.p.Log.Error("what a guest did cannot be kept", "what", ev.What, "err", err)
		refuse(http.StatusServiceUnavailable, "busy")
		return
	}
	if ev.What == "help" {
		g = e.guests.fresh(g, e.p.Clock.Now())
		e.page(w, r, http.StatusCreated, g, garden.Options{Action: o.Action, Token: o.Token, Chosen: o.Chosen, Said: "help"})
		return
	}
	to := "/?lang=" + string(e.lang(r))
	if o.Chosen != "" {
		to += "&device=" + o.Chosen
	}
	switch {
	case ev.Step != "":
		to += "#" + ev.Step
	case ev.What == "test":
		to += "#test"
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// lang is the language asked for, else the first of the browser's that we speak.
func (e *Edge) lang(r *http.Request) bolwerk.Lang {
	asked := r.PostForm.Get("lang")
	if asked == "" && len(r.URL.RawQuery) < 4096 {
		asked = r.URL.Query().Get("lang")
	}
	for _, l := range bolwerk.Langs() {
		if asked == string(l) {
			return l
		}
	}
	return web.Accepted(r.Header.Get("Accept-Language"), bolwerk.Langs())
}

func (e *Edge) page(w http.ResponseWriter, r *http.Request, status int, g garden.Guest, o garden.Options) {
	what := "guest"
	if o.Free {
		what = "free"
	}
	e.shown.WithLabelValues(what).Inc()
	lang := e.lang(r)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", string(lang))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Robots-Tag", "noindex")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", e.kit.Policy())
	var b bytes.Buffer
	if err := e.kit.Render(&b, lang, g, o); err != nil {
		e.p.Log.Error("page of the safe environment", "err", err) // a bug: better half a page than none
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(b.Bytes()) // the visitor may be gone: nobody to tell
	}
}

func (e *Edge) measure() error {
	e.shown = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_garden_answers_total", Help: "Answers of the safe environment by what they were: guest, free, redirect, check, api."}, []string{"what"})
	e.taken = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_garden_forms_total", Help: "What guests of the safe environment did, by what became of it."}, []string{"what", "result"})
	lines := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bolwerk_garden_lines", Help: "Prefixes in quarantine that this edge knows."}, func() float64 { return float64(e.guests.count()) })
	if e.p.Metrics == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{e.shown, e.taken, lines} {
		if err := e.p.Metrics.Register(c); err != nil {
			return err
		}
	}
	return nil
}
