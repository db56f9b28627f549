package door

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/abuse/session"
	"bolwerk/abuse/translation"
	"bolwerk/internal/clock"
)

// TranslationsConfig is where translators tell of the blocks of ports that they give.
type TranslationsConfig struct {
	// Syslog and IPFIX are host:port, UDP, in the management network; empty: not taken.
	Syslog string `toml:"syslog"`
	IPFIX  string `toml:"ipfix"`
	// Translators are who may send.
	Translators []Translator `toml:"translator"`
	// Patterns are how lines of the log say it.
	Patterns []translation.Pattern `toml:"pattern"`
}

// Translator is who may send.
type Translator struct {
	// Name is for people; sessions are kept under it.
	Name string `toml:"name"`
	// From are the addresses that it sends from.
	From []netip.Prefix `toml:"from"`
}

// Validate says what is wrong with c.
func (c TranslationsConfig) Validate() error {
	var errs []error
	_, err := translation.NewLines(c.Patterns)
	errs = append(errs, err)
	for _, s := range []string{c.Syslog, c.IPFIX} {
		if _, _, err := net.SplitHostPort(s); s != "" && err != nil {
			errs = append(errs, bolwerk.Invalid("%q: want host:port", s))
		}
	}
	if c.Syslog == "" && c.IPFIX == "" {
		return errors.Join(errs...)
	}
	if len(c.Translators) == 0 {
		errs = append(errs, bolwerk.WithHint(bolwerk.Invalid("translator: nobody may send"), "name each translator with its addresses"))
	}
	if c.Syslog != "" && len(c.Patterns) == 0 {
		errs = append(errs, bolwerk.Invalid("pattern: without one no line of a log says anything"))
	}
	for i, t := range c.Translators {
		if t.Name == "" || len(t.Name) > session.MaxName || len(t.From) == 0 {
			errs = append(errs, bolwerk.Invalid("translator %d: name and from are needed", i+1))
		}
	}
	return errors.Join(errs...)
}

// Translations takes what translators tell. There is no answer over UDP: what is lost on
// the way is lost, and a block whose beginning is not known names nobody.
type Translations struct {
	cfg   TranslationsConfig
	lines *translation.Lines
	put   func(kind string, body []byte) (string, error)
	clock clock.Clock
	log   *slog.Logger
	count *prometheus.CounterVec

	mu   sync.Mutex
	said map[string]time.Time
}

// NewTranslations checks the patterns. put keeps what is handed in.
func NewTranslations(cfg TranslationsConfig, put func(kind string, body []byte) (string, error), c clock.Clock, log *slog.Logger, reg prometheus.Registerer) (*Translations, error) {
	lines, err := translation.NewLines(cfg.Patterns)
	if err != nil {
		return nil, err
	}
	t := &Translations{cfg: cfg, lines: lines, put: put, clock: c, log: log, said: map[string]time.Time{},
		count: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_abuse_translations_total", Help: "Blocks of ports that translators told of, and what came beside them: taken (durable), other (no pattern fits), malformed, busy or not_durable (lost), unknown (of nobody who may send)."}, []string{"translator", "result"})}
	return t, reg.Register(t.count)
}

// Syslog reads lines until ctx ends; it closes conn.
func (t *Translations) Syslog(ctx context.Context, conn net.PacketConn) error {
	return t.run(ctx, conn, func(b []byte, _ netip.Addr, name string, at time.Time) ([]session.Record, error) {
		r, ok, err := t.lines.Read(b, name, at)
		if err != nil || !ok {
			return nil, err
		}
		return []session.Record{r}, nil
	})
}

// IPFIX reads messages until ctx ends; it closes conn.
func (t *Translations) IPFIX(ctx context.Context, conn net.PacketConn) error {
	exporters := map[netip.Addr]*translation.Exporter{} // of networks that may send
	return t.run(ctx, conn, func(b []byte, from netip.Addr, name string, at time.Time) ([]session.Record, error) {
		x := exporters[from]
		if x == nil {
			if len(exporters) >= maxExporters {
				return nil, bolwerk.Invalid("more than %d exporters", maxExporters)
			}
			x = translation.NewExporter()
			exporters[from] = x
		}
		return x.Read(b, name, at)
	})
}

const (
	maxExporters = 1000
	maxDatagram  = 65535
)

func (t *Translations) run(ctx context.Context, conn net.PacketConn, read func(b []byte, from netip.Addr, name string, at time.Time) ([]session.Record, error)) error {
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		conn.Close()
		return fmt.Errorf("translations: %T is not UDP", conn)
	}
	udp.SetReadBuffer(8 << 20)
	queue := make(chan session.Record, queueMost)
	var wg sync.WaitGroup
	wg.Go(func() { t.keep(queue) })
	defer udp.Close()
	defer wg.Wait()
	defer close(queue)
	defer context.AfterFunc(ctx, func() { udp.SetReadDeadline(time.Unix(1, 0)) })()
	buf := make([]byte, maxDatagram)
	for ctx.Err() == nil {
		n, from, err := udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			t.log.Warn("translations: a datagram cannot be read", "err", err)
			continue
		}
		name := t.name(from.Addr().Unmap())
		if name == "" {
			t.refuse("unknown", "unknown", from, "it is none of translations.translator")
			continue
		}
		records, err := read(buf[:n], from.Addr().Unmap(), name, t.clock.Now())
		if err != nil {
			t.refuse(name, "malformed", from, err.Error())
		} else if len(records) == 0 {
			t.count.WithLabelValues(name, "other").Inc()
		}
		for _, r := range records {
			select {
			case queue <- r:
			default:
				t.refuse(name, "busy", from, "more comes than can be made durable")
			}
		}
	}
	return nil
}

func (t *Translations) name(from netip.Addr) string {
	for _, tr := range t.cfg.Translators {
		for _, p := range tr.From {
			if p.Contains(from) {
				return tr.Name
			}
		}
	}
	return ""
}

// refuse counts what is not taken, and says so once a minute for each reason.
func (t *Translations) refuse(name, result string, from netip.AddrPort, why string) {
	t.count.WithLabelValues(name, result).Inc()
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := t.clock.Now(); now.Sub(t.said[name+"/"+result]) > time.Minute {
		t.said[name+"/"+result] = now
		t.log.Warn("translations not taken; said once a minute", "translator", name, "from", from.Addr(), "why", why)
	}
}

// translationsWait is how long the first block waits for others: each batch is a write to
// the disk, and nobody waits for an answer.
const translationsWait = 100 * time.Millisecond

// keep makes batches durable until the queue is closed.
func (t *Translations) keep(queue <-chan session.Record) {
	for first := range queue {
		batch := gather(first, queue, session.MaxRecords, translationsWait)
		result := "taken"
		if _, err := t.put(KindSessions, session.Encode(batch)); err != nil {
			result = "not_durable"
			t.log.Error("blocks of ports cannot be made durable, and are lost", "alarm", true, "records", len(batch), "err", err)
		}
		for _, r := range batch {
			t.count.WithLabelValues(r.NAS, result).Inc()
		}
	}
}
