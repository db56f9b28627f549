package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/prometheus/client_golang/prometheus"

	"bolwerk/internal/clock"
)

// Envelope is a mail as it came through the door: bytes, unread.
type Envelope struct {
	// ID is the id under which the mail is kept; "" for a new one. A mail that was
	// fetched may come again, with the same id.
	ID string
	// Peer is the client's address. It is for quotas and for the question
	// whether it is ours; whoever keeps the envelope keeps Network(Peer) at most.
	Peer       netip.Addr
	OwnNetwork bool     // Peer is in Config.OwnNetworks
	Helo       string   // what the client called itself, at most 255 octets; its own words
	MailFrom   string   // return path, unproved; "" is the null path <>
	Rcpt       []string // which of Config.Addresses, at least one
	TLS        bool     // it came encrypted
	ReceivedAt time.Time
	// Raw is the mail, byte for byte behind the dot-stuffing: no header is
	// added, lines keep their ends, NUL bytes stay. The receiver may keep it.
	Raw []byte
}

// Accept takes a mail over. When it returns nil, the mail survives a power cut:
// the client is told 250 then, with the reference. ErrFull puts the client off
// (452), ErrInvalid and ErrForbidden refuse the mail for good (554), any other
// error puts it off (451). ctx ends when the door has no more time to stop.
type Accept func(ctx context.Context, e Envelope) (reference string, err error)

// Door is the SMTP server that takes reports and nothing else: no relaying, no
// log-in, no reading of what it takes.
type Door struct {
	cfg     Config
	accept  Accept
	clock   clock.Clock
	log     *slog.Logger
	metrics *metrics
	quota   *quota
	memory  memory
	reports map[string]Address // by lower-case text
	domains map[string]bool    // domains of the report addresses

	mu       sync.Mutex
	conns    map[*conn]struct{}
	networks map[netip.Prefix]int // open connections
	work     sync.WaitGroup       // mails that are being taken
}

// NewDoor makes the door. cfg has passed Validate.
func NewDoor(cfg Config, accept Accept, clk clock.Clock, log *slog.Logger, reg prometheus.Registerer) *Door {
	d := &Door{
		cfg: cfg, accept: accept, clock: clk, log: log,
		quota:    newQuota(cfg.MailsPerHour, cfg.BytesPerHour, quotaNetworks),
		reports:  map[string]Address{},
		domains:  map[string]bool{},
		conns:    map[*conn]struct{}{},
		networks: map[netip.Prefix]int{},
	}
	d.memory.free.Store(cfg.MaxMemory)
	d.metrics = newMetrics(reg, &d.memory, cfg.MaxMemory)
	for _, a := range cfg.Addresses {
		d.reports[folded(a)] = a
		d.domains[a.domain.String()] = true
	}
	return d
}

// Run serves ln until ctx ends, and closes it. Then it takes no new mail,
// finishes those that are being sent for at most StopTimeout, and returns when
// every connection is closed and no Accept runs any more.
func (d *Door) Run(ctx context.Context, ln net.Listener) error {
	cert, err := d.certificate()
	if err != nil {
		ln.Close()
		return err
	}
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := d.server(working, cert)

	served := make(chan error, 1)
	go func() { served <- server.Serve(&listener{ln, d}) }()
	var failed error
	select {
	case <-ctx.Done():
		ln.Close()
		<-served
	case failed = <-served:
		failed = fmt.Errorf("smtp door on %s: %w", ln.Addr(), failed)
		ln.Close()
	}
	d.each((*conn).stop)
	grace := time.AfterFunc(d.cfg.StopTimeout, func() {
		cancel()
		d.each(func(c *conn) { c.Close() })
	})
	defer grace.Stop()
	// Shutdown waits for every connection to end; its error is that the
	// listener is closed already.
	_ = server.Shutdown(context.Background())
	d.work.Wait()
	return failed
}

func (d *Door) server(ctx context.Context, cert func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *smtp.Server {
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return d.session(ctx, c)
	}))
	s.Domain = d.cfg.Hostname
	s.MaxMessageBytes = d.cfg.MaxBytes
	s.MaxRecipients = d.cfg.MaxRecipients
	s.MaxLineLength = lineBytes
	s.ReadTimeout = d.cfg.CommandTimeout
	s.WriteTimeout = time.Minute
	s.EnableSMTPUTF8 = true
	s.ErrorLog = quietLog{d.log}
	s.TLSConfig = &tls.Config{GetCertificate: cert, MinVersion: tls.VersionTLS12}
	return s
}

// enter gives the client a place, or says why there is none.
func (d *Door) enter(nc net.Conn) (*conn, string) {
	c := &conn{Conn: nc, door: d, peer: peerOf(nc), born: time.Now()}
	c.network, c.own = Network(c.peer), d.cfg.own(c.peer)
	room := d.cfg.MaxConns
	if !c.own {
		room -= d.cfg.MaxConns / 4
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case len(d.conns) >= room:
		d.metrics.conns.WithLabelValues("full").Inc()
		return nil, "too many connections"
	case !c.own && d.networks[c.network] >= d.cfg.MaxConnsPerNetwork:
		d.metrics.conns.WithLabelValues("full_network").Inc()
		return nil, "too many connections from your network"
	}
	d.conns[c] = struct{}{}
	d.networks[c.network]++
	d.metrics.conns.WithLabelValues("accepted").Inc()
	d.metrics.open.Inc()
	return c, ""
}

func (d *Door) leave(c *conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
	if d.networks[c.network]--; d.networks[c.network] == 0 {
		delete(d.networks, c.network)
	}
	d.metrics.open.Dec()
}

// busy says that half of all connections are taken.
func (d *Door) busy() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.conns) > d.cfg.MaxConns/2
}

// each does f for every open connection.
func (d *Door) each(f func(*conn)) {
	d.mu.Lock()
	all := make([]*conn, 0, len(d.conns))
	for c := range d.conns {
		all = append(all, c)
	}
	d.mu.Unlock()
	for _, c := range all {
		f(c)
	}
}

// quietLog takes what the SMTP library wants to tell and leaves the client's
// address out.
type quietLog struct{ log *slog.Logger }

func (q quietLog) Printf(format string, v ...any) {
	for i, a := range v {
		switch a := a.(type) {
		case net.Addr:
			v[i] = "a client"
		case error:
			v[i] = plain(a)
		}
	}
	q.log.Warn("smtp session went wrong", "what", fmt.Sprintf(format, v...))
}

func (q quietLog) Println(v ...any) { q.Printf("%v", v...) }

// plain is an error's text without the addresses that net puts into it.
func plain(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}
