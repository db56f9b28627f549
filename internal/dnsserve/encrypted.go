package dnsserve

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bolwerk"
)

// Encrypted says where questions are taken over TLS. All need a certificate.
type Encrypted struct {
	// ListenTLS is host:port for DNS over TLS (RFC 7858), usually port 853; empty is
	// none.
	ListenTLS string `toml:"listen_tls"`
	// ListenHTTPS is host:port for DNS over HTTPS (RFC 8484) at /dns-query, usually
	// port 443; empty is none.
	ListenHTTPS string `toml:"listen_https"`
	// ListenQUIC is host:port for DNS over QUIC (RFC 9250), UDP, usually port 853; empty
	// is none.
	ListenQUIC string `toml:"listen_quic"`
	// HTTP3 has HTTPS served over HTTP/3 too, on the same address over UDP.
	HTTP3 bool `toml:"http3"`
	// CertFile and KeyFile are PEM. They are read again when they change.
	CertFile string `toml:"cert_file"`
	KeyFile  string `toml:"key_file"`
}

// Validate tells the first thing that is wrong.
func (e Encrypted) Validate() error {
	for _, v := range [][2]string{{"listen_tls", e.ListenTLS}, {"listen_https", e.ListenHTTPS}, {"listen_quic", e.ListenQUIC}} {
		if v[1] == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(v[1]); err != nil {
			return bolwerk.Invalid("dns: %s %q: want host:port", v[0], v[1])
		}
		if e.CertFile == "" || e.KeyFile == "" {
			return bolwerk.Invalid("dns: %s needs cert_file and key_file", v[0])
		}
	}
	if e.HTTP3 && e.ListenHTTPS == "" {
		return bolwerk.Invalid("dns: http3 needs listen_https")
	}
	return nil
}

// Doors are the open sockets of Encrypted.
type Doors struct {
	tls, https  net.Listener
	quic, http3 net.PacketConn
}

// ListenEncrypted opens what e names; nothing is nothing.
func ListenEncrypted(ctx context.Context, e Encrypted) (d *Doors, err error) {
	d = &Doors{}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	var lc net.ListenConfig
	if e.ListenTLS != "" {
		if d.tls, err = lc.Listen(ctx, "tcp", e.ListenTLS); err != nil {
			return d, fmt.Errorf("dns.listen_tls: %w", err)
		}
	}
	if e.ListenHTTPS != "" {
		if d.https, err = lc.Listen(ctx, "tcp", e.ListenHTTPS); err != nil {
			return d, fmt.Errorf("dns.listen_https: %w", err)
		}
	}
	if e.ListenQUIC != "" {
		if d.quic, err = lc.ListenPacket(ctx, "udp", e.ListenQUIC); err != nil {
			return d, fmt.Errorf("dns.listen_quic: %w", err)
		}
	}
	if e.HTTP3 { // the port of listen_https, which may have been any
		if d.http3, err = lc.ListenPacket(ctx, "udp", d.https.Addr().String()); err != nil {
			return d, fmt.Errorf("dns.http3: %w", err)
		}
	}
	return d, nil
}

// Close closes them; Run does it too.
func (d *Doors) Close() error {
	if d == nil {
		return nil
	}
	for _, l := range []net.Listener{d.tls, d.https} {
		if l != nil {
			l.Close()
		}
	}
	for _, c := range []net.PacketConn{d.quic, d.http3} {
		if c != nil {
			c.Close()
		}
	}
	return nil
}

// any says that something is served over TLS.
func (e Encrypted) any() bool { return e.ListenTLS != "" || e.ListenHTTPS != "" || e.ListenQUIC != "" }

// behindTLS has the connections of l counted and encrypted.
func (s *Server) behindTLS(l net.Listener, protocols ...string) net.Listener {
	return tls.NewListener(door{l, s}, &tls.Config{GetCertificate: s.pair.Serve, MinVersion: tls.VersionTLS12, NextProtos: protocols})
}

// serveTLS answers over TLS (RFC 7858).
func (s *Server) serveTLS(ctx context.Context, d *Doors) error {
	if d == nil || d.tls == nil {
		return nil
	}
	return s.serveStream(ctx, s.behindTLS(d.tls, "dot"), true)
}

// serveHTTPS answers over HTTP (RFC 8484).
func (s *Server) serveHTTPS(ctx context.Context, d *Doors) error {
	if d == nil || d.https == nil {
		return nil
	}
	var answering sync.RWMutex // Close of an http.Server does not wait for its handlers
	ended := false
	h := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answering.RLock()
			defer answering.RUnlock()
			if !ended {
				s.overHTTP(ctx, w, r)
			}
		}),
		ReadHeaderTimeout: s.cfg.times.hello, ReadTimeout: s.cfg.times.idle, WriteTimeout: s.cfg.times.write + time.Duration(s.cfg.Timeout), IdleTimeout: 6 * s.cfg.times.idle,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       log.New(io.Discard, "", 0), // it names clients' addresses
		HTTP2:          &http.HTTP2Config{MaxConcurrentStreams: 100},
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if h.Shutdown(end) != nil {
			h.Close()
		}
	})
	err := h.Serve(s.behindTLS(d.https, "h2", "http/1.1"))
	if !stop() {
		<-done
	}
	h.Close()
	answering.Lock()
	ended = true
	answering.Unlock()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

const (
	dnsMessage = "application/dns-message"
	dohPath    = "/dns-query"
	maxQuery   = 4096
)

// overHTTP answers one request. ctx is the server's: a question that a client gives
// up may be others' too.
func (s *Server) overHTTP(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	refuse := func(code int, why string) {
		s.stats.https[bad].Add(1)
		http.Error(w, why, code)
	}
	if r.URL.Path != dohPath {
		refuse(http.StatusNotFound, "questions go to "+dohPath)
		return
	}
	var msg []byte
	var err error
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		text := dnsOf(r.URL)
		if len(text) > base64.RawURLEncoding.EncodedLen(maxQuery) {
			refuse(http.StatusRequestURITooLong, "no question is that long")
			return
		}
		msg, err = base64.RawURLEncoding.DecodeString(text)
		if err != nil || len(msg) == 0 {
			refuse(http.StatusBadRequest, "want ?dns= with a message in base64url without padding")
			return
		}
	case http.MethodPost:
		if r.Header.Get("Content-Type") != dnsMessage {
			refuse(http.StatusUnsupportedMediaType, "want "+dnsMessage)
			return
		}
		if msg, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxQuery)); err != nil {
			refuse(http.StatusRequestEntityTooLarge, "no question is that long")
			return
		}
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		refuse(http.StatusMethodNotAllowed, "want GET or POST")
		return
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		refuse(http.StatusBadRequest, "no address")
		return
	}
	ip := from.Addr().WithZone("").As16()
	l := s.live.Load()
	if l.limit.after(ip, true, micros()) > 0 {
		s.stats.https[limited].Add(1)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many questions", http.StatusTooManyRequests)
		return
	}
	out := s.single(ctx, msg, ip, &s.stats.https)
	if len(out) == 0 {
		http.Error(w, "that is an answer, not a question", http.StatusBadRequest)
		return
	}
	h := w.Header()
	if s.altSvc != "" {
		h["Alt-Svc"] = []string{s.altSvc}
	}
	h["Content-Type"] = contentType
	h["Content-Length"] = []string{strconv.Itoa(len(out))}
	h["Cache-Control"] = []string{"max-age=" + strconv.Itoa(int(leastTTL(out)))}
	if r.Method != http.MethodHead {
		w.Write(out) // the client may be gone: nobody to tell
	}
}

var contentType = []string{dnsMessage}

// dnsOf is the parameter "dns". Where nothing is escaped, as it is in base64url, it is
// read without a map of all parameters.
func dnsOf(u *url.URL) string {
	if strings.ContainsAny(u.RawQuery, "%+;") {
		return u.Query().Get("dns")
	}
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		if key, value, _ := strings.Cut(part, "="); key == "dns" {
			return value
		}
	}
	return ""
}

// single answers one question that came alone over an encrypted way, padded where it was;
// empty is an answer that somebody sent us.
func (s *Server) single(ctx context.Context, msg []byte, ip [16]byte, to *[results]atomic.Uint64) []byte {
	ask := s.alone.Get().(*worker)
	defer func() {
		ask.q.From, ask.q.msg, ask.stale = netip.Addr{}, nil, nil
		s.alone.Put(ask)
	}()
	ask.encrypted = true
	ask.q.From = netip.AddrFrom16(ip)
	room := wide.Get().(*[maxReply]byte)
	n, forward := ask.handle(room[:], msg, s.live.Load().acl.has(ip), maxReply, s.now())
	if forward && !ask.enter() {
		n, forward = ask.full(room[:], maxReply), false
	}
	out := bytes.Clone(room[:n]) // while a client reads slowly, only as much as it has to read is held
	wide.Put(room)
	if forward {
		out = ask.slow(ctx, 0, maxReply)
	} else if ask.leaves {
		s.refresh(ctx, &ask.q, ask.q.cacheKey(ask.key[:0]))
	}
	ask.count(to)
	if len(out) > 0 {
		out = ask.q.pad(out, 0)
	}
	return out
}

var wide = sync.Pool{New: func() any { return new([maxReply]byte) }}

// leastTTL is the shortest time that a record of the answer may be kept; of an
// answer without records none (RFC 8484 section 5.1).
func leastTTL(msg []byte) uint32 {
	p := headerLen
	if msg[5] == 1 {
		p += skipName(msg[p:]) + 4
	}
	least, any := uint32(1<<31), false
	for range binary.BigEndian.Uint16(msg[6:]) + binary.BigEndian.Uint16(msg[8:]) {
		p += skipName(msg[p:])
		least, any = min(least, binary.BigEndian.Uint32(msg[p+4:])), true
		p += 10 + int(binary.BigEndian.Uint16(msg[p+8:]))
	}
	if !any || msg[3]&0xf != Success && msg[3]&0xf != NXDomain {
		return 0
	}
	return least
}

const answerPadding = 468 // RFC 8467 section 4.1

// pad fills the OPT record of an answer on an encrypted way, where the asker
// padded its question, so that its length says little. The answer begins at the
// place at of out.
func (q *Question) pad(out []byte, at int) []byte {
	n := len(out) - at
	if !q.padded || q.optAt == 0 || n+4 > maxReply {
		return out
	}
	fill := (answerPadding - (n+4)%answerPadding) % answerPadding
	fill = min(fill, maxReply-n-4)
	length := out[at+q.optAt+9 : at+q.optAt+11]
	binary.BigEndian.PutUint16(length, binary.BigEndian.Uint16(length)+4+uint16(fill))
	out = append(out, 0, optPadding, byte(fill>>8), byte(fill))
	return append(out, zeros[:fill]...)
}

var zeros [answerPadding]byte
