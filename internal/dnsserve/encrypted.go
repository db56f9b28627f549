package dnsserve

import (
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
	"os"
	"strconv"
	"sync"
	"time"

	"bolwerk"
)

// Encrypted says where questions are taken over TLS. Both need a certificate.
type Encrypted struct {
	// ListenTLS is host:port for DNS over TLS (RFC 7858), usually port 853; empty is
	// none.
	ListenTLS string `toml:"listen_tls"`
	// ListenHTTPS is host:port for DNS over HTTPS (RFC 8484) at /dns-query, usually
	// port 443; empty is none.
	ListenHTTPS string `toml:"listen_https"`
	// Certificate and Key are files in PEM. They are read again when they change.
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
}

// Validate tells the first thing that is wrong.
func (e Encrypted) Validate() error {
	for _, v := range [][2]string{{"listen_tls", e.ListenTLS}, {"listen_https", e.ListenHTTPS}} {
		if v[1] == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(v[1]); err != nil {
			return bolwerk.Invalid("dns: %s %q: want host:port", v[0], v[1])
		}
		if e.Certificate == "" || e.Key == "" {
			return bolwerk.Invalid("dns: %s needs certificate and key", v[0])
		}
	}
	return nil
}

// pair is a certificate that follows its files.
type pair struct {
	cert, key string

	mu   sync.Mutex
	at   [2]time.Time // when the files that are in use were written
	seen time.Time    // when they were looked at last
	now  *tls.Certificate
}

const lookEvery = 10 * time.Second

func loadPair(cert, key string) (*pair, error) {
	p := &pair{cert: cert, key: key}
	_, err := p.serve(nil)
	return p, err
}

// serve is tls.Config.GetCertificate. Files that cannot be read leave the one that
// is in use.
func (p *pair) serve(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now != nil && time.Since(p.seen) < lookEvery {
		return p.now, nil
	}
	p.seen = time.Now()
	var at [2]time.Time
	var err error
	for i, name := range []string{p.cert, p.key} {
		var st os.FileInfo
		if st, err = os.Stat(name); err != nil {
			break
		}
		at[i] = st.ModTime()
	}
	if err == nil && (p.now == nil || at != p.at) {
		var c tls.Certificate
		if c, err = tls.LoadX509KeyPair(p.cert, p.key); err == nil {
			p.now, p.at = &c, at
		}
	}
	if p.now == nil {
		return nil, fmt.Errorf("dns: certificate: %w", err)
	}
	return p.now, nil
}

// Doors are the open sockets of Encrypted.
type Doors struct {
	tls, https net.Listener
	pair       *pair
}

// ListenEncrypted opens what e names; nothing is nothing.
func ListenEncrypted(ctx context.Context, e Encrypted) (d *Doors, err error) {
	d = &Doors{}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	if e.ListenTLS == "" && e.ListenHTTPS == "" {
		return d, nil
	}
	if d.pair, err = loadPair(e.Certificate, e.Key); err != nil {
		return d, err
	}
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
	return d, nil
}

// Close closes them; RunEncrypted does it too.
func (d *Doors) Close() error {
	for _, l := range []net.Listener{d.tls, d.https} {
		if l != nil {
			l.Close()
		}
	}
	return nil
}

// RunEncrypted serves the doors until ctx ends; it returns when every goroutine has
// ended. It runs beside Run, not without it.
func (s *Server) RunEncrypted(ctx context.Context, d *Doors) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	serve := func(l net.Listener, f func(context.Context, net.Listener) error, protocols ...string) {
		if l == nil {
			return
		}
		c := &tls.Config{GetCertificate: d.pair.serve, MinVersion: tls.VersionTLS12, NextProtos: protocols}
		wg.Go(func() {
			if err := f(ctx, tls.NewListener(door{l, s.doors}, c)); err != nil && ctx.Err() == nil {
				stop(err)
			}
		})
	}
	serve(d.tls, s.serveTLS, "dot")
	serve(d.https, s.serveHTTPS, "h2", "http/1.1")
	<-ctx.Done()
	d.Close()
	wg.Wait()
	if err := context.Cause(ctx); err != context.Canceled && err != context.DeadlineExceeded {
		return err
	}
	return nil
}

func (s *Server) serveTLS(ctx context.Context, l net.Listener) error {
	return s.serveStream(ctx, l, true)
}

// serveHTTPS answers over HTTP (RFC 8484).
func (s *Server) serveHTTPS(ctx context.Context, l net.Listener) error {
	h := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.overHTTP(ctx, w, r) }),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 15 * time.Second, IdleTimeout: 60 * time.Second,
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
	err := h.Serve(l)
	if !stop() {
		<-done
	}
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
		text := r.URL.Query().Get("dns")
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
	ask := s.worker(-1)
	ask.encrypted = true
	ip := from.Addr().WithZone("").As16()
	ask.q.From = netip.AddrFrom16(ip)
	out := make([]byte, maxReply)
	n, forward := ask.handle(out, msg, s.acl.has(ip), maxReply, s.now())
	if forward {
		n = ask.slow(ctx, out, maxReply)
	} else if ask.leaves {
		s.refresh(ctx, &ask.q, ask.q.cacheKey(ask.key[:0]))
	}
	ask.count(&s.stats.https)
	if n == 0 {
		http.Error(w, "that is an answer, not a question", http.StatusBadRequest)
		return
	}
	n = ask.q.pad(out, n, maxReply)
	w.Header().Set("Content-Type", dnsMessage)
	w.Header().Set("Content-Length", strconv.Itoa(n))
	w.Header().Set("Cache-Control", "max-age="+strconv.Itoa(int(leastTTL(out[:n]))))
	if r.Method != http.MethodHead {
		w.Write(out[:n]) // the client may be gone: nobody to tell
	}
}

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
// padded its question, so that its length says little.
func (q *Question) pad(out []byte, n, limit int) int {
	if !q.padded || q.optAt == 0 || n+4 > limit {
		return n
	}
	fill := (answerPadding - (n+4)%answerPadding) % answerPadding
	fill = min(fill, limit-n-4)
	length := out[q.optAt+9 : q.optAt+11]
	binary.BigEndian.PutUint16(length, binary.BigEndian.Uint16(length)+4+uint16(fill))
	o := out[n : n+4+fill]
	clear(o)
	o[1] = optPadding
	binary.BigEndian.PutUint16(o[2:], uint16(fill))
	return n + 4 + fill
}
