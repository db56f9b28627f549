// Package standin is an access server for tests and the demo: it has sessions, takes
// changes by RADIUS (RFC 5176) as six vendors name them, can be dead, deaf or lazy,
// and tells what it did.
package standin

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"bolwerk/internal/radius"
)

// Mode is how it behaves.
type Mode string

// The modes.
const (
	Well     Mode = ""         // as it should
	Dead     Mode = "dead"     // it answers nothing
	Lazy     Mode = "lazy"     // it acknowledges, and does nothing
	Unsigned Mode = "unsigned" // its answers have no Message-Authenticator
	Forged   Mode = "forged"   // its answers are of another secret
	Slow     Mode = "slow"     // it answers the second time only
	Full     Mode = "full"     // it has no resources (Error-Cause 506)
	Never    Mode = "never"    // it is not allowed to (501)
)

// Session is one that it has.
type Session struct {
	ID, User string
	Addr     netip.Addr
	// Filter is what is in force: a filter, an address list or a service; empty: none.
	Filter string
	// Until is when its own timer ends the service; zero: never.
	Until time.Time
}

// Server is the access server. Its zero value is none: use New.
type Server struct {
	secret []byte
	set    func(Session) error

	mu       sync.Mutex
	mode     Mode
	sessions map[string]Session
	answered map[string][]byte // by who asked, identifier and authenticator: sent again when asked again
	asked    map[string]int
	changes  int // that were made
	packets  int // that came
}

// New is an access server with a secret. set, which may be nil, puts a filter in force
// in a real network; where it fails the change is refused.
func New(secret string, set func(Session) error) *Server {
	return &Server{secret: []byte(secret), set: set, sessions: map[string]Session{}, answered: map[string][]byte{}, asked: map[string]int{}}
}

// Behave changes how it behaves.
func (s *Server) Behave(m Mode) { s.mu.Lock(); s.mode = m; s.mu.Unlock() }

// Add begins a session.
func (s *Server) Add(n Session) { s.mu.Lock(); s.sessions[n.ID] = n; s.mu.Unlock() }

// Drop ends a session.
func (s *Server) Drop(id string) { s.mu.Lock(); delete(s.sessions, id); s.mu.Unlock() }

// Filter is what is in force for a session; false where there is none.
func (s *Server) Filter(id string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.session(id)
	return n.Filter, ok
}

// session is one of its sessions, without a service whose time is over: its network hears
// of that when somebody looks.
func (s *Server) session(id string) (Session, bool) {
	n, ok := s.sessions[id]
	if ok && !n.Until.IsZero() && !n.Until.After(time.Now()) {
		n.Filter, n.Until = "", time.Time{}
		s.sessions[id] = n
		if s.set != nil {
			s.set(n)
		}
	}
	return n, ok
}

// Counts are the packets that came and the changes that were made.
func (s *Server) Counts() (packets, changes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.packets, s.changes
}

// Look answers /SESSION with the name of what is in force, as a page at the server.
func (s *Server) Look(profile func(filter string) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := s.Filter(strings.TrimPrefix(r.URL.Path, "/"))
		if !ok {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintln(w, profile(f))
	})
}

// Run answers until ctx ends; it closes conn.
func (s *Server) Run(ctx context.Context, conn net.PacketConn) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })()
	buf := make([]byte, radius.MaxSize)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if answer := s.take(append([]byte(nil), buf[:n]...), from.String()); answer != nil {
			conn.WriteTo(answer, from)
		}
	}
}

// take answers one packet; nil: not at all.
func (s *Server) take(b []byte, from string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packets++
	p, err := radius.Parse(b)
	if err != nil || s.mode == Dead || p.Code != radius.CoARequest && p.Code != radius.DisconnectRequest || !p.Signed() || !p.Verify(s.secret) {
		return nil
	}
	if at, ok := p.Time(radius.EventTimestamp); !ok || time.Since(at).Abs() > 5*time.Minute {
		return nil // played back (RFC 5176, section 6.3)
	}
	key := fmt.Sprintf("%s %d %x", from, p.ID, p.Authenticator)
	s.asked[key]++
	if again := s.answered[key]; again != nil {
		return again
	}
	if s.mode == Slow && s.asked[key] < 2 {
		return nil
	}
	cause := s.change(p)
	code, attrs := p.Code+1, []radius.Attribute(nil)
	if cause != 0 {
		code, attrs = p.Code+2, []radius.Attribute{radius.Whole(radius.ErrorCause, cause)}
	}
	secret := s.secret
	if s.mode == Forged {
		secret = []byte("another secret")
	}
	answer := p.Reply(code, attrs, s.mode != Unsigned, secret)
	if len(s.answered) > 1<<16 {
		clear(s.answered)
		clear(s.asked)
	}
	s.answered[key] = answer
	return answer
}

// change does what is asked; the cause of a refusal, or 0.
func (s *Server) change(p *radius.Packet) uint32 {
	switch s.mode {
	case Full:
		return radius.CauseResourcesUnavailable
	case Never:
		return radius.CauseAdministrativelyProhibited
	}
	n, ok := s.session(p.Text(radius.AcctSessionID))
	if user := p.Get(radius.UserName); !ok || user != nil && string(user) != n.User {
		return radius.CauseSessionContextNotFound
	}
	if s.mode == Lazy {
		return 0
	}
	if p.Code == radius.DisconnectRequest {
		delete(s.sessions, n.ID)
		s.changes++
		return 0
	}
	filter, cause := wanted(p, n.Filter)
	if cause != 0 {
		return cause
	}
	n.Filter, n.Until = filter, time.Time{}
	for _, v := range p.Vendors(4874, 68) { // ERX-Service-Timeout: a tag, and seconds
		if len(v) == 4 {
			n.Until = time.Now().Add(time.Duration(binary.BigEndian.Uint32(v)&0xffffff) * time.Second)
		}
	}
	if s.set != nil {
		if err := s.set(n); err != nil {
			return radius.CauseResourcesUnavailable
		}
	}
	s.sessions[n.ID] = n
	s.changes++
	return 0
}

// wanted is the filter that a packet asks for.
func wanted(p *radius.Packet, now string) (string, uint32) {
	if v := p.Get(radius.FilterID); v != nil {
		return string(v), 0
	}
	for _, kind := range []struct {
		vendor uint32
		typ    byte
	}{{6527, 134}, {14988, 19}, {2011, 95}} {
		if v := p.Vendors(kind.vendor, kind.typ); len(v) > 0 {
			return string(v[0]), 0
		}
	}
	on, off := "", ""
	for _, v := range p.Vendors(4874, 65) {
		if len(v) > 0 && v[0] < 0x20 { // a tag
			v = v[1:]
		}
		on = string(v)
	}
	for _, v := range p.Vendors(4874, 66) {
		off = string(v)
	}
	command := ""
	for _, v := range p.Vendors(9, 1) {
		k, val, _ := strings.Cut(strings.TrimPrefix(string(v), "subscriber:"), "=")
		switch {
		case k == "command":
			command = val
		case k == "service-name" && command == "activate-service":
			on = val
		case k == "service-name" && command == "deactivate-service":
			off = val
		}
	}
	switch {
	case on != "":
		return on, 0
	case off != "" && off != now:
		return "", radius.CauseInvalidRequest // it is not on
	case off != "":
		return "", 0
	}
	return "", radius.CauseMissingAttribute
}
