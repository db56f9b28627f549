// Package door is where the abuse desk's sources come in: accounting of access
// servers. It answers only once what was told is durable.
package door

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/abuse/session"
	"bolwerk/internal/clock"
	"bolwerk/internal/radius"
)

// KindSessions is what is handed in.
const KindSessions = "abuse.sessions"

const (
	gatherMost = 200                  // records made durable at once
	gatherTime = 5 * time.Millisecond // how long the first waits for others
	queueMost  = 4096                 // packets that wait; who is not answered sends again
	writers    = 2                    // batches that are made durable at once
	shortest   = 8                    // octets of a secret
	maxAhead   = 5 * time.Minute      // a clock that runs further ahead is not believed
	maxLate    = 72 * time.Hour       // nor one that says so long ago
	repeatTime = 30 * time.Second     // a packet that comes again within it is the same one
	maxRepeats = 1 << 16
)

// Accounting takes RADIUS accounting (RFC 2866).
type Accounting struct {
	cfg     Config
	clients []client
	put     func(kind string, body []byte) (string, error)
	clock   clock.Clock
	log     *slog.Logger
	m       *metrics
	said    map[string]time.Time // what was logged when, so that a flood is one line

	mu       sync.Mutex
	now, old map[repeat]*waiting // packets under way or answered, of this half minute and the last
	turned   time.Time
}

type client struct {
	Client
	secret bolwerk.Secret
}

// repeat is what tells a packet that comes again: RFC 5080, section 2.2.2.
type repeat struct {
	from netip.AddrPort
	id   byte
	auth [16]byte
}

// waiting is a packet under way.
type waiting struct {
	packet *radius.Packet
	record session.Record
	from   netip.AddrPort
	secret bolwerk.Secret
	came   time.Time
	key    repeat
	done   bool // answered: answered again when it comes again
}

// NewAccounting reads the secrets. put keeps what is handed in; what it returned
// an id for survives a power cut.
func NewAccounting(cfg Config, put func(kind string, body []byte) (string, error), c clock.Clock, log *slog.Logger, reg prometheus.Registerer) (*Accounting, error) {
	a := &Accounting{cfg: cfg, put: put, clock: c, log: log, m: newMetrics(), said: map[string]time.Time{}, now: map[repeat]*waiting{}, old: map[repeat]*waiting{}}
	for _, cl := range cfg.Clients {
		b, err := os.ReadFile(cl.SecretFile)
		if err != nil {
			return nil, fmt.Errorf("client %s: secret_file: %w", cl.Name, err)
		}
		line, _, _ := strings.Cut(string(b), "\n")
		if line = strings.TrimRight(line, "\r"); len(line) < shortest {
			return nil, bolwerk.WithHint(bolwerk.Invalid("client %s: %s holds a secret of %d octets, at least %d are needed", cl.Name, cl.SecretFile, len(line), shortest), "openssl rand -hex 16 makes one")
		}
		a.clients = append(a.clients, client{cl, bolwerk.NewSecret(line)})
	}
	return a, a.m.register(reg)
}

// Run answers until ctx ends; it closes conn. What is under way is finished.
func (a *Accounting) Run(ctx context.Context, conn net.PacketConn) error {
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		conn.Close()
		return fmt.Errorf("accounting: %T is not UDP", conn)
	}
	udp.SetReadBuffer(4 << 20) // a burst after a restart of an access server; what the system allows
	queue := make(chan *waiting, queueMost)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() { a.write(udp, queue) })
	}
	defer udp.Close()
	defer wg.Wait()
	defer close(queue)
	defer context.AfterFunc(ctx, func() { udp.SetReadDeadline(time.Unix(1, 0)) })()
	buf := make([]byte, radius.MaxSize)
	for ctx.Err() == nil {
		n, from, err := udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			a.log.Warn("accounting: a packet cannot be read", "err", err)
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		w := a.take(append([]byte(nil), buf[:n]...), from)
		if w == nil {
			continue
		}
		if w.done {
			a.answer(udp, w)
			continue
		}
		select {
		case queue <- w:
		default:
			a.forget(w)
			a.m.count(w.name(a), "busy")
		}
	}
	return nil
}

func (w *waiting) name(a *Accounting) string {
	if c := a.client(w.from.Addr()); c != nil {
		return c.Name
	}
	return ""
}

func (a *Accounting) client(from netip.Addr) *client {
	for i := range a.clients {
		for _, p := range a.clients[i].From {
			if p.Contains(from) {
				return &a.clients[i]
			}
		}
	}
	return nil
}

// take checks a packet; nil is one that is not answered now.
func (a *Accounting) take(b []byte, from netip.AddrPort) *waiting {
	c := a.client(from.Addr())
	if c == nil {
		a.refuse("unknown", "unknown_client", from, "it is none of accounting.client")
		return nil
	}
	p, err := radius.Parse(b)
	switch {
	case err != nil:
		a.refuse(c.Name, "malformed", from, err.Error())
		return nil
	case p.Code != radius.AccountingRequest:
		a.refuse(c.Name, "not_accounting", from, fmt.Sprintf("code %d is not an Accounting-Request", p.Code))
		return nil
	case !p.Verify([]byte(c.secret.Reveal())):
		a.refuse(c.Name, "wrong_secret", from, "its authenticator does not fit the secret")
		return nil
	}
	w := &waiting{packet: p, from: from, secret: c.secret, came: a.clock.Now(), key: repeat{from, p.ID, p.Authenticator}}
	if again := a.remember(w); again != nil {
		a.m.count(c.Name, "repeated")
		a.mu.Lock()
		defer a.mu.Unlock()
		if again.done {
			return again
		}
		return nil // it is under way
	}
	var odd bool
	if w.record, odd, err = a.record(p, w.came, from.Addr()); err != nil {
		// It will never be more than that: it is answered, or it comes for ever.
		a.refuse(c.Name, "no_session", from, err.Error())
		w.done = true
		return w
	}
	if odd {
		a.m.count(c.Name, "odd_clock")
	}
	return w
}

// refuse counts what is not taken, and says so once a minute a client and reason.
func (a *Accounting) refuse(name, result string, from netip.AddrPort, why string) {
	a.m.count(name, result)
	key := name + "/" + result
	if now := a.clock.Now(); now.Sub(a.said[key]) > time.Minute {
		a.said[key] = now
		a.log.Warn("accounting not taken; said once a minute", "client", name, "from", from.Addr(), "why", why)
	}
}

// remember keeps a packet for as long as it may come again; what it was then.
func (a *Accounting) remember(w *waiting) *waiting {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w.came.Sub(a.turned) > repeatTime || len(a.now) >= maxRepeats {
		a.old, a.now, a.turned = a.now, map[repeat]*waiting{}, w.came
	}
	if again := a.now[w.key]; again != nil {
		return again
	}
	if again := a.old[w.key]; again != nil {
		return again
	}
	a.now[w.key] = w
	return nil
}

func (a *Accounting) forget(w *waiting) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.now, w.key)
	delete(a.old, w.key)
}

// gather waits a while for what comes after the first, so that one write to the disk
// serves many.
func gather[T any](first T, queue <-chan T, most int, wait time.Duration) []T {
	batch := []T{first}
	end := time.NewTimer(wait)
	defer end.Stop()
	for len(batch) < most {
		select {
		case next, ok := <-queue:
			if !ok {
				return batch
			}
			batch = append(batch, next)
		case <-end.C:
			return batch
		}
	}
	return batch
}

// write makes batches durable, and answers what they hold.
func (a *Accounting) write(udp *net.UDPConn, queue <-chan *waiting) {
	for first := range queue {
		batch := gather(first, queue, gatherMost, gatherTime)
		records := make([]session.Record, len(batch))
		for i, w := range batch {
			records[i] = w.record
		}
		_, err := a.put(KindSessions, session.Encode(records))
		if err != nil {
			// Nobody is answered: the AAA servers keep it and send again.
			a.log.Error("accounting cannot be made durable, and is not answered", "alarm", true, "records", len(records), "err", err)
		}
		for _, w := range batch {
			if err != nil {
				a.forget(w)
				a.m.count(w.name(a), "not_durable")
				continue
			}
			a.mu.Lock()
			w.done = true
			a.mu.Unlock()
			a.answer(udp, w)
			a.m.count(w.name(a), "answered")
			a.m.took.Observe(a.clock.Now().Sub(w.came).Seconds())
		}
	}
}

func (a *Accounting) answer(udp *net.UDPConn, w *waiting) {
	if _, err := udp.WriteToUDPAddrPort(w.packet.Answer([]byte(w.secret.Reveal())), w.from); err != nil {
		a.log.Warn("accounting: an answer cannot be sent", "to", w.from.Addr(), "err", err)
	}
}
