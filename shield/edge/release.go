package edge

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A release opens one stopped name for one line for some minutes. It is off by
// default, and only for names of which the desk was not sure or whose owner was
// hacked: never for phishing, never for an order. It is kept in memory, ends by
// the clock, and is told to nobody.

// ReleasePath takes "open it anyway".
const ReleasePath = "/.well-known/bolwerk/release"

const (
	maxRelease  = 30 // minutes
	maxReleases = 4096
	maxPerLine  = 5
	ticketEvery = 600 // seconds; a ticket holds for this long at least, twice at most
)

// ReleaseConfig says who may open a stopped name for some minutes.
type ReleaseConfig struct {
	// Minutes is for how long, 30 at most; 0 is never.
	Minutes int `toml:"minutes"`
	// Lines are the networks of fixed lines whose DNS this edge answers. Never name
	// a network behind which subscribers share an address.
	Lines []netip.Prefix `toml:"lines"`
	// IPv6Line is how many bits of an IPv6 address are one line.
	IPv6Line int `toml:"ipv6_line"`
	// Classes are what may be opened, where the desk was not sure or the site is
	// a hacked one: fake_shop, scam, malware. Phishing never is, nor an order.
	Classes []string `toml:"classes"`
}

// shared is the address space behind carrier-grade NAT (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

func (c ReleaseConfig) validate(bad func(string, ...any)) {
	if c.Minutes < 0 || c.Minutes > maxRelease {
		bad("release: minutes %d: want 0 to %d", c.Minutes, maxRelease)
	}
	if c.Minutes > 0 && len(c.Lines) == 0 {
		bad("release: lines: name the networks of the fixed lines")
	}
	if c.IPv6Line < 32 || c.IPv6Line > 64 {
		bad("release: ipv6_line %d: want 32 to 64", c.IPv6Line)
	}
	for _, p := range c.Lines {
		if !p.IsValid() || p.Bits() == 0 || p.Overlaps(shared) {
			bad("release: lines: %s would hold subscribers who share an address", p)
		}
	}
	for _, k := range c.Classes {
		switch k {
		case "fake_shop", "scam", "malware":
		case "phishing":
			bad("release: classes: phishing is never opened: it takes one page to lose an account")
		default:
			bad("release: classes: %q: want fake_shop, scam or malware", k)
		}
	}
}

type releases struct {
	cfg    ReleaseConfig
	secret [32]byte

	some  atomic.Int64 // how many there are: questions look here first
	given atomic.Uint64
	no    atomic.Uint64

	mu    sync.RWMutex
	until map[release]int64 // seconds since 1970
}

// release is one block that one line does not see.
type release struct {
	line  [16]byte
	block uint64 // hitKey
}

func newReleases(cfg ReleaseConfig) *releases {
	r := &releases{cfg: cfg, until: map[release]int64{}}
	rand.Read(r.secret[:])
	return r
}

// lineOf is the line that an address belongs to; false where it is none of the
// fixed lines.
func (r *releases) lineOf(a netip.Addr) (line [16]byte, ok bool) {
	if r.cfg.Minutes == 0 {
		return line, false
	}
	a = a.Unmap().WithZone("")
	if !slices.ContainsFunc(r.cfg.Lines, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return line, false
	}
	if a.Is6() {
		p, err := a.Prefix(r.cfg.IPv6Line)
		if err != nil {
			return line, false
		}
		a = p.Addr()
	}
	return a.As16(), true
}

// may says whether what the term stands for can be opened at all.
func (r *releases) may(t *term) bool {
	return r.cfg.Minutes > 0 && (t.compromised || t.suspicious) && t.ground != ByOrder && t.class != "phishing" && t.action == Redirect &&
		slices.Contains(r.cfg.Classes, t.class)
}

// has says whether the asker's line has opened what f found.
func (r *releases) has(from netip.Addr, f *found, now int64) bool {
	if r.some.Load() == 0 || !r.may(f.term) {
		return false
	}
	line, ok := r.lineOf(from)
	if !ok {
		return false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.until[release{line, f.hitKey()}] > now
}

// open opens it until the time that it gives. False: the line has opened as many
// as it may, or all lines together have.
func (r *releases) open(line [16]byte, block uint64, now int64) (until int64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	mine := 0
	for k, end := range r.until {
		if end <= now {
			delete(r.until, k)
		} else if k.line == line && k.block != block {
			mine++
		}
	}
	defer func() { r.some.Store(int64(len(r.until))) }()
	if _, again := r.until[release{line, block}]; mine >= maxPerLine || len(r.until) >= maxReleases && !again {
		return 0, false
	}
	until = now + int64(r.cfg.Minutes)*60
	r.until[release{line, block}] = until
	return until, true
}

// sweep forgets what is over.
func (r *releases) sweep(now int64) {
	if r.some.Load() == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, end := range r.until {
		if end <= now {
			delete(r.until, k)
		}
	}
	r.some.Store(int64(len(r.until)))
}

// ticket is in the form: only a page that we gave to this line for this block
// has it. Browsers say where a form comes from only on secure pages, so that
// their word is not enough.
func (r *releases) ticket(line [16]byte, block uint64, now int64) string {
	m := hmac.New(sha256.New, r.secret[:])
	m.Write(line[:])
	m.Write(binary.BigEndian.AppendUint64(nil, block))
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(now/ticketEvery)))
	return hex.EncodeToString(m.Sum(nil)[:16])
}

func (r *releases) genuine(ticket string, line [16]byte, block uint64, now int64) bool {
	return hmac.Equal([]byte(ticket), []byte(r.ticket(line, block, now))) || hmac.Equal([]byte(ticket), []byte(r.ticket(line, block, now-ticketEvery)))
}

// sameOrigin says that nothing speaks against the form being of our own page.
func sameOrigin(r *http.Request) bool {
	if s := r.Header.Get("Sec-Fetch-Site"); s != "" && s != "same-origin" {
		return false
	}
	// "null": the page sends no referrer, and browsers then keep the origin back.
	o := r.Header.Get("Origin")
	if o == "" || o == "null" {
		return true
	}
	u, err := url.Parse(o)
	return err == nil && u.Host == r.Host
}

func sourceOf(r *http.Request) netip.Addr { return addrOf(r.RemoteAddr) }

// addrOf is the address of host:port; zero where it is none.
func addrOf(s string) netip.Addr {
	ap, _ := netip.ParseAddrPort(s)
	return ap.Addr()
}

// release takes the form.
func (e *Edge) release(w http.ResponseWriter, r *http.Request, s visit, v *view) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := r.ParseForm()
	v.in(e.page, choose(r.PostForm.Get("lang"), r.Header.Get("Accept-Language")), e.cfg)
	now := e.now.Load()
	refuse := func(status int, key string) {
		e.released.no.Add(1)
		v.Field, v.Error = "release", v.t(key)
		e.show(w, status, v)
	}
	line, fixed := e.released.lineOf(sourceOf(r))
	switch {
	case !s.stopped:
		e.show(w, http.StatusOK, v) // nothing is stopped any more
		return
	case err != nil, !fixed, !e.released.may(s.term), !sameOrigin(r), !e.released.genuine(r.PostForm.Get("ticket"), line, s.hitKey(), now):
		refuse(http.StatusForbidden, "warning.choice.refused")
		return
	}
	until, ok := e.released.open(line, s.hitKey(), now)
	if !ok {
		refuse(http.StatusTooManyRequests, "warning.choice.full")
		return
	}
	e.released.given.Add(1)
	v.Kind, v.Due = "released", v.look.hour(v.Lang, time.Unix(until, 0).In(e.page.zone))
	e.show(w, http.StatusOK, v)
}
