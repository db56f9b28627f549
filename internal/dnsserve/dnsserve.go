// Package dnsserve is a DNS server in front of resolvers: it asks a policy first,
// then its small cache, then the resolvers behind it. The policy comes before the
// cache, so that a new block and a withdrawal act on the next question.
//
// It knows DNS and nothing else; what is blocked and why is its asker's matter.
// The path of a blocked or cached question is parsed by hand, takes one receiving
// and one sending system call for up to 64 questions, and allocates nothing.
package dnsserve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/internal/keypair"
)

// Policy answers a question itself (true) or leaves it to the cache and the
// resolvers. It is called from several goroutines at once, for each question of
// class IN, and must not keep anything that q or the answer points to.
type Policy func(q *Question) (Answer, bool)

// Answer is what a policy answers. AD is never set on it.
type Answer struct {
	Rcode uint8
	// Addrs holds the addresses one behind the other, of 4 octets for a question
	// of type A, of 16 for AAAA. Empty means no data: an SOA record is made up
	// (RFC 2308 section 3).
	Addrs []byte
	TTL   uint32 // seconds, of the addresses and of the SOA
	// Zone is the place in the question's name at which the SOA's owner begins.
	Zone int
	// EDE and Text are the extended DNS error (RFC 8914) for askers with EDNS.
	// EDE 0 sends none. Text is left out where it does not fit.
	EDE  uint16
	Text []byte
}

// Config is what an operator sets.
type Config struct {
	// Upstream are the resolvers behind: address:port, or tls://address:port#name for
	// DNS over TLS (RFC 7858), with the name that its certificate has. The
	// fastest is asked; of equals the first.
	Upstream []string `toml:"upstream"`
	// Stub are zones for which others are asked.
	Stub []Stub `toml:"stub"`
	// UpstreamCA is a file with the certificates (PEM) that sign those of the
	// tls:// resolvers; empty is the system's.
	UpstreamCA string `toml:"upstream_ca"`
	// Allow are the prefixes whose hosts may ask. Everybody else is refused.
	Allow []string `toml:"allow"`
	// Workers is how many sockets share the load; 0 is one for each processor.
	Workers int `toml:"workers"`
	// CacheBytes bounds the cache; 0 is no cache.
	CacheBytes int `toml:"cache_bytes"`
	// MaxTTL and MaxNegativeTTL bound how long an answer stays in the cache.
	MaxTTL         Duration `toml:"max_ttl"`
	MaxNegativeTTL Duration `toml:"max_negative_ttl"`
	// MaxStale is how long an answer whose time is over is given while no resolver
	// answers (RFC 8767); 0 is never.
	MaxStale Duration `toml:"max_stale"`
	// InFlight bounds the questions that wait for a resolver; beyond it the
	// answer is SERVFAIL at once.
	InFlight int `toml:"in_flight"`
	// ZoneInFlight bounds those of them that lie under one registrable domain, so
	// that a flood of names below it, or its dead servers, do not take all.
	ZoneInFlight int `toml:"zone_in_flight"`
	// ClientRate is how many questions a second one client (an IPv4 address, an IPv6
	// /64) gets answered; 0 is no bound. Beyond it half of the questions over UDP get no
	// answer and half one that sends the client to TCP; over TCP and TLS they
	// wait, over HTTPS the answer is 429.
	ClientRate int `toml:"client_rate"`
	// ClientRateExempt are prefixes without that bound: addresses that many share,
	// other resolvers.
	ClientRateExempt []string `toml:"client_rate_exempt"`
	// ProxyFrom are the prefixes of load balancers, dnsdist among them, that say with the
	// PROXY protocol, version 2, whose question they pass on. From there each
	// question and connection must have it, from elsewhere none is read. Allow and
	// ClientRate are then about who is behind the proxy.
	ProxyFrom []string `toml:"proxy_from"`
	// TryTimeout is how long one resolver may take, Timeout how long the asker
	// waits in all before SERVFAIL.
	TryTimeout Duration `toml:"try_timeout"`
	Timeout    Duration `toml:"timeout"`
	// TCPConns bounds the open connections, over TLS too; one client has at most an
	// eighth and eight more.
	TCPConns int `toml:"tcp_connections"`
	// SDEOption is the EDNS option code by which an asker says that it reads
	// structured errors (draft-ietf-dnsop-structured-dns-error); 0 is none. A
	// question with an EDE option, as earlier drafts had it, counts too.
	SDEOption uint16 `toml:"sde_option"`
	Encrypted
	About
	DNS64
	times times // no settings; tests shorten them
}

// Duration is a time as the configuration writes it.
type Duration = bolwerk.Duration

// DefaultConfig serves loopback and private addresses (RFC 1918, RFC 4193, and
// RFC 6598 for customers behind a carrier's NAT). It names no resolver.
func DefaultConfig() Config {
	return Config{
		Allow: []string{"127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
			"100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10"},
		CacheBytes:       4 << 20,
		MaxTTL:           Duration(time.Hour),
		MaxNegativeTTL:   Duration(5 * time.Minute),
		MaxStale:         Duration(24 * time.Hour),
		InFlight:         2048,
		ZoneInFlight:     256,
		ClientRate:       1000, // ten times what a busy household asks
		ClientRateExempt: []string{"127.0.0.0/8", "::1/128"},
		TryTimeout:       Duration(1200 * time.Millisecond),
		Timeout:          Duration(4 * time.Second),
		TCPConns:         512,
		times:            times{hello: 5 * time.Second, idle: 10 * time.Second, busy: 2 * time.Second, write: 5 * time.Second},
	}
}

// Validate tells the first thing that is wrong.
func (c Config) Validate() error {
	if len(c.Upstream) == 0 {
		return bolwerk.Invalid("dns: no upstream: name at least one resolver, such as 192.0.2.53:53")
	}
	if err := validateUpstream(c.Upstream); err != nil {
		return err
	}
	if err := validateStubs(c.Stub); err != nil {
		return err
	}
	if err := c.DNS64.validate(); err != nil {
		return err
	}
	for _, prefixes := range [][]string{c.Allow, c.ClientRateExempt, c.ProxyFrom} {
		if _, err := newACL(prefixes); err != nil {
			return err
		}
	}
	for _, v := range []struct {
		key      string
		n        int
		min, max int
	}{
		{"workers", c.Workers, 0, 1024}, {"cache_bytes", c.CacheBytes, 0, 1 << 36},
		{"in_flight", c.InFlight, 1, 1 << 20}, {"zone_in_flight", c.ZoneInFlight, 1, 1 << 20}, {"client_rate", c.ClientRate, 0, 100_000},
		{"tcp_connections", c.TCPConns, 1, 1 << 20},
	} {
		if v.n < v.min || v.n > v.max {
			return bolwerk.Invalid("dns: %s %d: want %d to %d", v.key, v.n, v.min, v.max)
		}
	}
	if c.TryTimeout <= 0 || c.Timeout < c.TryTimeout {
		return bolwerk.Invalid("dns: timeout %v and try_timeout %v: want timeout >= try_timeout > 0", time.Duration(c.Timeout), time.Duration(c.TryTimeout))
	}
	for _, d := range []Duration{c.MaxTTL, c.MaxNegativeTTL, c.MaxStale} {
		if d < 0 || time.Duration(d) > 30*24*time.Hour {
			return bolwerk.Invalid("dns: max_ttl, max_negative_ttl and max_stale: want 0 to 30 days")
		}
	}
	if err := c.About.validate(c.Encrypted); err != nil {
		return err
	}
	return c.Encrypted.Validate()
}

// Dial opens a connection to a resolver; net.Dialer.DialContext is one.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Server answers DNS questions.
type Server struct {
	cfg    Config
	policy Policy
	live   atomic.Pointer[live]
	cache  *cache
	up     *upstream
	doors  *doors
	nsid   []byte
	ddr    [][]byte      // SVCB records of resolver.arpa
	altSvc string        // where HTTP/3 is (RFC 7838); empty: nowhere
	pair   *keypair.Pair // nil: nothing is served over TLS
	log    *slog.Logger
	start  atomic.Int64 // nanoseconds after loaded
	stats  stats
	waits  sync.WaitGroup // questions under way at a resolver
	alone  sync.Pool      // of *worker, for questions that come alone

	reloading sync.Mutex
}

// New remembers. A nil dial is the system's; a nil registerer counts for nobody.
func New(cfg Config, policy Policy, dial Dial, reg prometheus.Registerer, log *slog.Logger) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	s := &Server{cfg: cfg, policy: policy, log: log, doors: newDoors(cfg.TCPConns), nsid: cfg.nsid()}
	s.alone.New = func() any { return s.worker(-1) }
	s.start.Store(int64(time.Since(loaded)))
	s.live.Store(cfg.live(nil))
	s.cache = newCache(cfg.CacheBytes)
	ca, err := cfg.readCA()
	if err != nil {
		return nil, err
	}
	s.up = newUpstream(cfg, dial)
	if err := s.up.use(cfg, ca); err != nil {
		return nil, err
	}
	if cfg.Encrypted.any() {
		if s.pair, err = keypair.Load(cfg.CertFile, cfg.KeyFile, log); err != nil {
			return nil, fmt.Errorf("dns: %w", err)
		}
	}
	if reg != nil {
		if err := s.register(reg); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// readCA reads what signs the tls:// resolvers; nil is the system's.
func (c Config) readCA() ([]byte, error) {
	if c.UpstreamCA == "" {
		return nil, nil
	}
	b, err := os.ReadFile(c.UpstreamCA)
	if err != nil {
		return nil, fmt.Errorf("dns: upstream_ca: %w", err)
	}
	return b, nil
}

func rootsOf(file string, ca []byte) (*tls.Config, error) {
	if file == "" {
		return &tls.Config{}, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, bolwerk.Invalid("dns: upstream_ca %s: no certificate in PEM", file)
	}
	return &tls.Config{RootCAs: pool}, nil
}

// Workers is how many workers ask the policy: Question.Worker is below it.
func (c Config) WorkerCount() int {
	if c.Workers > 0 {
		return c.Workers
	}
	return processors
}

// processors is how many this process may use, as the runtime saw it when it began.
var processors = runtime.GOMAXPROCS(0)

// leavePlace lets more threads run Go than there are workers. A worker holds its place
// while it receives and sends, and as long as questions come it does nothing else: what
// waits for the resolvers would wait for it, and a worker whose place was taken meanwhile
// for whoever rebuilds a list. So the system's scheduler shares a processor between them.
func leavePlace(workers int) {
	if runtime.GOMAXPROCS(0) < workers+placesLeft {
		runtime.GOMAXPROCS(workers + placesLeft)
	}
}

// placesLeft is one each for a rebuild, the collector, what changes, and all else.
const placesLeft = 4

// Run serves the sockets and the doors (nil: none) until ctx ends and closes them; it returns
// when every goroutine has ended. A socket that breaks ends it with the error.
func (s *Server) Run(ctx context.Context, d *Doors, socks ...*Sockets) error {
	leavePlace(s.cfg.WorkerCount())
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	s.ddr, s.altSvc = s.cfg.designations(d), d.altSvc()
	s.checkDDR(ctx, socks)
	var wg sync.WaitGroup
	serve := func(f func() error) {
		wg.Go(func() {
			if err := f(); err != nil && ctx.Err() == nil {
				stop(err)
			}
		})
	}
	for _, k := range socks {
		for i, c := range k.udp {
			serve(func() error { return s.serveUDP(ctx, c, i%s.cfg.WorkerCount(), k.wildcard) })
		}
		serve(func() error { return s.serveTCP(ctx, k.tcp) })
	}
	serve(func() error { return s.serveTLS(ctx, d) })
	serve(func() error { return s.serveHTTPS(ctx, d) })
	serve(func() error { return s.serveQUIC(ctx, d) })
	serve(func() error { return s.serveHTTP3(ctx, d) })
	wg.Go(func() { s.check(ctx) })
	<-ctx.Done()
	for _, k := range socks {
		k.stop()
	}
	d.Close()
	wg.Wait()
	s.waits.Wait()
	for _, k := range socks {
		k.Close()
	}
	s.up.closeRetired(0)
	for _, r := range s.up.all() {
		r.close()
	}
	if err := context.Cause(ctx); err != context.Canceled && err != context.DeadlineExceeded {
		return err
	}
	return nil
}

// now is seconds since the server was made, on the monotonic clock: what the
// cache counts in.
func (s *Server) now() uint32 { return s.seconds(time.Since(loaded)) }

func (s *Server) seconds(t time.Duration) uint32 {
	return uint32((t - time.Duration(s.start.Load())) / time.Second)
}

// micros is what the limiter counts in.
func micros() uint64 { return uint64(time.Since(loaded) / time.Microsecond) }

var loaded = time.Now()
