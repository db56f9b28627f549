package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/shield/capture"
)

// Bounds of one visit. The time is what the sites take; what we wait by
// ourselves so as not to press a host counts apart.
const (
	timeInAll  = 10 * time.Second
	waitInAll  = 30 * time.Second
	keptHead   = 32 << 10 // octets of a header that are kept
	keptURL    = 2000     // of a hop and of the page; of a part a half
	keptNames  = 50
	maxCookies = 50
	maxCookie  = 8 << 10 // octets of a Cookie header
	partHops   = 3
)

// The codes of capture.Capture.Failed.
const (
	dnsFailed     = "dns"
	refused       = "refused"
	connectFailed = "connect"
	tlsFailed     = "tls"
	timedOut      = "timeout"
	tooManyHops   = "too_many_hops"
	looped        = "loop"
	notHTTP       = "not_http"
	overBudget    = "budget"
	personal      = "token"
)

// failure is why there is no page.
type failure struct {
	code string
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// visit is one look at one page. It keeps nothing that another visit could see:
// connections, cookies and TLS sessions end with it.
type visit struct {
	p     *Probe
	out   *out
	b     *capture.Bundle
	names map[string]bool // brands' own hosts
	agent string
	lang  bolwerk.Lang

	jar  http.CookieJar
	wall context.Context

	mu      sync.Mutex // the browser asks from several goroutines
	left    time.Duration
	total   int               // octets of parts so far
	address map[string]string // what was dialed, by host and port as they stand in an address
	certs   map[string]cert   // in the same way
}

// answer is what came of one request.
type answer struct {
	place  place
	status int
	header http.Header
	body   []byte
	cut    bool
	typ    string // media type
}

// cert is what is kept of a certificate.
type cert struct {
	wrong, issuer string
	names         []string
	notBefore     time.Time
}

// visit makes a capture of a page; it always gives one.
func (p *Probe) visit(ctx context.Context, url string, as As, names map[string]bool) *capture.Bundle {
	start := p.clock.Now()
	v := &visit{p: p, out: p.outs[as.Profile], names: names, lang: as.Lang, left: p.inAll, address: map[string]string{}, certs: map[string]cert{},
		b: &capture.Bundle{Capture: capture.Capture{V: 1, URL: clip(url, keptURL), Profile: as.Profile, Lang: as.Lang, At: start.UTC().Truncate(time.Millisecond), Probe: Version, Hops: []capture.Hop{}, Parts: []capture.Part{}}}}
	v.agent = p.cfg.way(as.Profile).Agent
	if v.agent == "" {
		v.agent = agents[as.Profile]
	}
	v.jar, _ = cookiejar.New(nil)
	ctx, cancel := context.WithTimeout(ctx, timeInAll+waitInAll+renderFor)
	defer cancel()
	v.wall = ctx
	began := time.Now()
	if err := v.run(url); err != nil {
		v.fail(err)
	}
	v.b.Took = time.Since(began).Milliseconds()
	fit(v.b)
	return v.b
}

func (v *visit) fail(err error) {
	f := &failure{notHTTP, err}
	errors.As(err, &f)
	v.b.Failed, v.b.Detail = f.code, clip(f.err.Error(), 300)
}

// run follows the redirects to the page and takes what it is made of.
func (v *visit) run(at string) error {
	p, err := parsePlace(at)
	if err != nil {
		return v.unwanted(err)
	}
	via, seen := "asked", map[string]int{}
	for {
		if len(v.b.Hops) > capture.MaxHops {
			return &failure{tooManyHops, fmt.Errorf("more than %d redirects", capture.MaxHops)}
		}
		// A page may send back to itself once, with a cookie set.
		if seen[p.String()]++; seen[p.String()] > 2 {
			return &failure{looped, errors.New("it leads back to itself")}
		}
		if why := Never(p.u, brandOf(p.name, v.names)); why != "" {
			return &failure{personal, errors.New(why)}
		}
		a, err := v.get(p, "document", "")
		if a == nil {
			return err
		}
		v.hop(a, via)
		next, how := "", ""
		var page links
		switch loc := a.header.Get("Location"); {
		case a.status >= 300 && a.status < 400 && a.status != http.StatusNotModified && loc != "":
			next, how = loc, "http_3xx"
		default:
			if next = refresh(a.header.Get("Refresh")); next != "" {
				how = "refresh"
				break
			}
			if isPage(a.typ) {
				page = linksOf(p, a.body)
			}
			if next = page.meta; next != "" {
				how = "meta"
			} else if next = page.js; next != "" {
				how = "js"
			}
		}
		if next != "" {
			to, err := p.join(next)
			if err != nil {
				return v.unwanted(fmt.Errorf("it leads on to %s: %w", clip(next, 100), err))
			}
			// Leading to itself by what stands in the page is how a page stays as it is.
			if to.String() != p.String() || how == "http_3xx" {
				p, via = to, how
				continue
			}
		}
		if err != nil {
			return err
		}
		v.take(a, page)
		return nil
	}
}

// unwanted tells what is no address of the web from one that is forbidden.
func (v *visit) unwanted(err error) error {
	if errors.Is(err, bolwerk.ErrForbidden) {
		return &failure{refused, err}
	}
	return &failure{notHTTP, err}
}

// hop keeps what an answer was.
func (v *visit) hop(a *answer, via string) {
	h := capture.Hop{URL: clip(a.place.String(), keptURL), Via: via, Status: a.status, Header: []capture.Field{}}
	v.mu.Lock()
	h.Address = v.address[a.place.u.Host]
	v.mu.Unlock()
	size := 0
	for _, name := range sortedKeys(a.header) {
		for _, value := range a.header[name] {
			if size += len(name) + len(value); len(h.Header) == capture.MaxHeaders || size > keptHead {
				v.cut("header fields of " + h.URL)
				break
			}
			h.Header = append(h.Header, capture.Field{Name: clip(name, 200), Value: clip(value, capture.MaxValue)})
		}
	}
	if a.place.u.Scheme == "https" {
		v.mu.Lock()
		c := v.certs[a.place.u.Host]
		v.mu.Unlock()
		h.TLS, h.Names, h.NotBefore, h.Issuer = c.wrong, c.names, c.notBefore, c.issuer
	}
	v.b.Hops = append(v.b.Hops, h)
}

func (v *visit) cut(what string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.b.Cut) < 20 && !slices.Contains(v.b.Cut, what) {
		v.b.Cut = append(v.b.Cut, clip(what, 300))
	}
}

// take keeps the page and the files that it names.
func (v *visit) take(a *answer, page links) {
	if !isPage(a.typ) && !isText(a.typ) {
		v.cut("a body of type " + a.typ)
		return
	}
	v.put(capture.HTML, a)
	if !isPage(a.typ) || a.status >= 400 && len(page.refs) == 0 {
		return
	}
	refs := page.refs
	if !slices.ContainsFunc(refs, func(r ref) bool { return r.kind == capture.Icon }) {
		if p, err := a.place.join("/favicon.ico"); err == nil {
			refs = append(refs, ref{capture.Icon, p.String()})
		}
	}
	// What tells one kit from another first; one icon is enough.
	order := []capture.Kind{capture.Icon, capture.Script, capture.Style, capture.Frame}
	slices.SortStableFunc(refs, func(a, b ref) int { return slices.Index(order, a.kind) - slices.Index(order, b.kind) })
	seen, icons, left := map[string]bool{}, 0, 0
	for _, r := range refs {
		if seen[r.url] || r.kind == capture.Icon && icons == 1 {
			continue
		}
		seen[r.url] = true
		if len(v.b.Parts) >= capture.MaxParts-2 || v.over() { // the browser adds two
			left++
			continue
		}
		if r.kind == capture.Icon {
			icons++
		}
		v.part(r, a.place)
	}
	if left > 0 {
		v.cut(fmt.Sprintf("%d of the files that the page names", left))
	}
	v.render(a)
}

// part fetches one file of the page. What fails is left out and named.
func (v *visit) part(r ref, from place) {
	p, err := parsePlace(r.url)
	for range partHops {
		if err != nil {
			break
		}
		if why := Never(p.u, brandOf(p.name, v.names)); why != "" {
			err = errors.New(why)
			break
		}
		var a *answer
		if a, err = v.get(p, dests[r.kind], from.String()); a == nil {
			break
		}
		if loc := a.header.Get("Location"); a.status >= 300 && a.status < 400 && loc != "" {
			p, err = p.join(loc)
			continue
		}
		err = nil
		v.put(r.kind, a)
		return
	}
	what := "redirects"
	if err != nil {
		what = clip(err.Error(), 120)
	}
	v.cut(clip(r.url, 160) + ": " + what)
}

func (v *visit) put(kind capture.Kind, a *answer) {
	body, cut := a.body, a.cut
	v.mu.Lock()
	defer v.mu.Unlock()
	if room := capture.MaxTotal - v.total - roomForPicture; len(body) > room {
		body, cut = body[:max(room, 0)], true
	}
	v.total += len(body)
	v.b.Put(capture.Part{Kind: kind, URL: clip(a.place.String(), keptURL/2), Type: clip(a.typ, 100), Status: a.status, Cut: cut}, body)
}

// over says that the time is used up.
func (v *visit) over() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.left <= 0 || v.wall.Err() != nil
}

// get asks for one file. The answer is nil where nothing answered; both are given
// where a body broke off.
func (v *visit) get(p place, dest, from string) (*answer, error) {
	if v.over() {
		return nil, &failure{timedOut, fmt.Errorf("more than %v in all", v.p.inAll)}
	}
	wait, cancel := context.WithTimeout(v.wall, waitInAll)
	defer cancel()
	if err := v.p.pace.wait(wait, p.host()); err != nil {
		return nil, &failure{overBudget, errors.New("too many requests to this host are waiting")}
	}
	v.mu.Lock()
	left := v.left
	v.mu.Unlock()
	ctx, cancel2 := context.WithTimeout(v.wall, left)
	defer cancel2()
	start := time.Now()
	defer func() { v.mu.Lock(); v.left -= time.Since(start); v.mu.Unlock() }()
	v.p.count.requests.Inc()
	res, err := v.ask(ctx, p, dest, from)
	if err != nil {
		return nil, err
	}
	defer res.close()
	v.keepCookies(p.u, res.Response)
	v.certificate(p, res.tls)
	v.mu.Lock()
	v.address[p.u.Host] = res.address
	v.mu.Unlock()
	a := &answer{place: p, status: res.StatusCode, header: res.Header}
	a.typ, _, _ = mime.ParseMediaType(res.Header.Get("Content-Type"))
	if res.StatusCode == http.StatusSwitchingProtocols || res.StatusCode >= 300 && res.StatusCode < 400 && res.Header.Get("Location") != "" {
		return a, nil
	}
	if a.typ != "" && !isPage(a.typ) && !isText(a.typ) && dest == "document" {
		return a, nil // an archive, a program: not ours to take
	}
	a.body, a.cut, err = readBody(res.Body, res.Header.Get("Content-Encoding"), capture.MaxPart)
	if a.typ == "" {
		a.typ, _, _ = mime.ParseMediaType(http.DetectContentType(a.body))
	}
	switch {
	case err == nil || errors.Is(err, io.ErrUnexpectedEOF) || len(a.body) > 0:
		return a, nil // what came is what there is
	case isTimeout(err):
		return a, &failure{timedOut, errors.New("it answered, and no page came")}
	}
	return a, &failure{notHTTP, errors.New("it answered, and what followed cannot be read: " + clip(err.Error(), 100))}
}

// certificate keeps what a certificate says, and what a browser would say to it.
func (v *visit) certificate(p place, s *tls.ConnectionState) {
	if s == nil || len(s.PeerCertificates) == 0 {
		return
	}
	leaf := s.PeerCertificates[0]
	c := cert{issuer: clip(leaf.Issuer.String(), 200), notBefore: leaf.NotBefore.UTC()}
	for _, n := range leaf.DNSNames[:min(len(leaf.DNSNames), keptNames)] {
		c.names = append(c.names, clip(n, 253))
	}
	between := x509.NewCertPool()
	for _, above := range s.PeerCertificates[1:min(len(s.PeerCertificates), 10)] {
		between.AddCert(above)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{DNSName: strings.Trim(p.host(), "[]"), Intermediates: between, Roots: v.p.roots, CurrentTime: v.p.clock.Now()}); err != nil {
		c.wrong = clip(err.Error(), 200)
	}
	v.mu.Lock()
	v.certs[p.u.Host] = c
	v.mu.Unlock()
}

// keepCookies keeps so many of them for this visit.
func (v *visit) keepCookies(u *url.URL, res *http.Response) {
	lines := res.Header["Set-Cookie"]
	if len(lines) > maxCookies {
		v.cut(fmt.Sprintf("%d cookies of %s", len(lines)-maxCookies, u.Host))
		lines = lines[:maxCookies]
	}
	if len(lines) > 0 {
		v.jar.SetCookies(u, (&http.Response{Header: http.Header{"Set-Cookie": lines}}).Cookies())
	}
}

// isPage and isText tell by the media type what is kept of an answer.
func isPage(typ string) bool {
	return typ == "text/html" || typ == "application/xhtml+xml" || typ == ""
}

func isText(typ string) bool {
	return strings.HasPrefix(typ, "text/") || typ == "application/json" || typ == "application/xml" || typ == "image/svg+xml" || typ == "application/javascript"
}

// fit makes the manifest as small as it must be, by leaving out header fields
// from the first answer on: the last one is the page's.
func fit(b *capture.Bundle) {
	for i := 0; ; i++ {
		m, err := json.Marshal(b.Capture)
		if err == nil && len(m) <= capture.MaxManifest {
			return
		}
		switch {
		case i < len(b.Hops):
			b.Hops[i].Header, b.Hops[i].Names = []capture.Field{}, nil
		case len(b.Requests) > 0:
			b.Requests = b.Requests[:len(b.Requests)/2]
		default:
			return // what is left has bounds that fit
		}
		if i == 0 {
			b.Cut = append(b.Cut, "header fields: the manifest has a bound")
		}
	}
}

// clip cuts text at n octets, at the start of a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return strings.ToValidUTF8(strings.ToValidUTF8(s[:n], ""), "")
}
