package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"bolwerk"
)

// record is what the frame knows about a running request.
type record struct {
	id   string
	lang bolwerk.Lang
	body io.ReadCloser // as it came, before its bound
}

type recordKey struct{}

func recordOf(r *http.Request) *record {
	rec, _ := r.Context().Value(recordKey{}).(*record)
	if rec == nil {
		return &record{lang: bolwerk.EN}
	}
	return rec
}

// Func answers a request, or says why not; Frame.Do makes a page of the error.
// It must not have written anything when it returns one.
type Func func(w http.ResponseWriter, r *http.Request) error

// Do makes a handler of fn.
func (f *Frame) Do(fn Func) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := fn(w, r); err != nil {
			f.Fail(w, r, err)
		}
	})
}

// Handler puts the frame around mux: host allow-list, cross-origin protection,
// bounds, headers, language, request id, metrics, and a calm page when there is
// no such page or something breaks. It adds the static files to mux.
func (f *Frame) Handler(mux *http.ServeMux) http.Handler {
	mux.Handle("GET /static/{file}", http.HandlerFunc(f.serveAsset))
	mux.Handle("GET /favicon.ico", http.HandlerFunc(f.favicon))
	inner := f.guard.Handler(f.missing(mux))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &record{id: newRequestID(), lang: f.negotiate(w, r), body: r.Body}
		r = r.WithContext(context.WithValue(r.Context(), recordKey{}, rec))
		seen := &watched{ResponseWriter: w}
		f.headers(w.Header(), rec)
		if r.Body != nil {
			r.Body = http.MaxBytesReader(seen, r.Body, f.site.Config.MaxBody)
		}
		done := f.site.Metrics.begin(f.site.Name)
		defer func() { done(r.Pattern, seen.code(), time.Since(start)) }()
		defer f.recover(seen, r, rec)
		if !f.hosts[hostOnly(r.Host)] {
			// Not Fail: a page would tell a stranger's name what we are.
			http.Error(seen, "This server does not answer under that name.", http.StatusMisdirectedRequest)
			return
		}
		inner.ServeHTTP(seen, r)
	})
}

// recover turns a panic into a calm page, or ends the connection when a part of
// the answer is already on its way.
func (f *Frame) recover(w *watched, r *http.Request, rec *record) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	f.site.Log.Error("page broke", "site", f.site.Name, "route", r.Pattern, "request", rec.id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	f.write(w, r, Problem{Status: http.StatusInternalServerError, Request: rec.id})
}

// missing answers what no route of mux takes with a page of ours; the mux
// itself would write bare text.
func (f *Frame) missing(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		quiet := &headersOnly{header: w.Header()}
		h.ServeHTTP(quiet, r)
		f.write(w, r, Problem{Status: quiet.status, Request: recordOf(r).id})
	})
}

// headers are on every answer. Handlers may replace them before they write.
func (f *Frame) headers(h http.Header, rec *record) {
	csp := "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	if f.site.Console {
		csp += "; script-src 'self'; connect-src 'self'; frame-src 'self'"
	}
	h.Set("Content-Security-Policy", csp)
	h.Set("X-Content-Type-Options", "nosniff")
	// Not no-referrer: with it browsers send "Origin: null" with our own forms
	// (Fetch, "append a request Origin header"), which cannot be told from a
	// stranger's where Sec-Fetch-Site is missing. Nothing leaves the site.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Request-Id", rec.id)
	if f.site.Console {
		h.Set("X-Robots-Tag", "noindex, nofollow")
	}
	if f.secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// Isolate sets the headers of an answer whose content strangers wrote, such as
// a mail's HTML, to be shown in a frame of our own page: no script, nothing
// from elsewhere, no way out, an origin of its own.
func Isolate(h http.Header) {
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'")
	h.Set("Referrer-Policy", "no-referrer")
}

// AllowBody lets this request's body be up to max bytes and take up to wait to
// arrive. Call it before the body is read.
func AllowBody(w http.ResponseWriter, r *http.Request, max int64, wait time.Duration) {
	if rec := recordOf(r); rec.body != nil {
		r.Body = http.MaxBytesReader(w, rec.body, max)
	}
	c := http.NewResponseController(w)
	// Where the connection knows no deadlines (a test's recorder) there is none to move.
	_ = c.SetReadDeadline(time.Now().Add(wait))
	_ = c.SetWriteDeadline(time.Now().Add(wait + writeTimeout))
}

// RequestID is the id of the request, as it stands in the answer, on error
// pages and in the log.
func RequestID(r *http.Request) string { return recordOf(r).id }

// Lang is the language in which the request is answered.
func Lang(r *http.Request) bolwerk.Lang { return recordOf(r).lang }

func newRequestID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Source is the address a request came from: of the connection, or, where one
// of our proxies made it, the last one before our proxies. It is for bounds
// only and belongs in no log. The zero Addr is a local socket.
func (f *Frame) Source(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	a := ap.Addr().Unmap().WithZone("")
	if !f.proxy(a) {
		return a
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && i >= len(hops)-16; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return a
		}
		if a = hop.Unmap().WithZone(""); !f.proxy(a) {
			return a
		}
	}
	return a
}

func (f *Frame) proxy(a netip.Addr) bool {
	for _, p := range f.site.Config.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// watched remembers the status that was written.
type watched struct {
	http.ResponseWriter
	status int
}

func (w *watched) WriteHeader(code int) {
	if w.status == 0 && code >= 200 {
		w.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *watched) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *watched) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// headersOnly takes the status and the headers of an answer, not its body.
type headersOnly struct {
	header http.Header
	status int
}

func (h *headersOnly) Header() http.Header         { return h.header }
func (h *headersOnly) WriteHeader(code int)        { h.status = code }
func (h *headersOnly) Write(b []byte) (int, error) { return len(b), nil }

// tooLarge says that a body went beyond its bound.
func tooLarge(err error) bool {
	var e *http.MaxBytesError
	return errors.As(err, &e)
}
