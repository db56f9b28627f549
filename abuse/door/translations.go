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
	// SyslogTCP and SyslogTLS are host:port, TCP: syslog as RFC 6587 and, mostly at port
	// 6514, RFC 5425 have it. Each line must say when it was written: over a connection it
	// may have waited.
	SyslogTCP string `toml:"syslog_tcp"`
	SyslogTLS string `toml:"syslog_tls"`
	// CertFile and KeyFile are the certificate of SyslogTLS in PEM, ClientCAFile whose
	// certificates translators show; empty: their addresses are enough.
	CertFile     string `toml:"cert_file"`
	KeyFile      string `toml:"key_file"`
	ClientCAFile string `toml:"client_ca_file"`
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
	// Zone is where its clock is set, as Europe/Brussels, where its lines over TCP and TLS
	// say the time without year and zone (RFC 3164); empty: they say both.
	Zone string `toml:"zone"`
}

// Taken says whether anything is listened to.
func (c TranslationsConfig) Taken() bool {
	return c.Syslog != "" || c.IPFIX != "" || c.SyslogTCP != "" || c.SyslogTLS != ""
}

// Validate says what is wrong with c.
func (c TranslationsConfig) Validate() error {
	var errs []error
	_, err := translation.NewLines(c.Patterns)
	errs = append(errs, err)
	for _, s := range []string{c.Syslog, c.IPFIX, c.SyslogTCP, c.SyslogTLS} {
		if _, _, err := net.SplitHostPort(s); s != "" && err != nil {
			errs = append(errs, bolwerk.Invalid("%q: want host:port", s))
		}
	}
	if !c.Taken() {
		return errors.Join(errs...)
	}
	if c.SyslogTLS != "" && (c.CertFile == "" || c.KeyFile == "") {
		errs = append(errs, bolwerk.Invalid("syslog_tls: cert_file and key_file are needed"))
	}
	if len(c.Translators) == 0 {
		errs = append(errs, bolwerk.WithHint(bolwerk.Invalid("translator: nobody may send"), "name each translator with its addresses"))
	}
	if (c.Syslog != "" || c.SyslogTCP != "" || c.SyslogTLS != "") && len(c.Patterns) == 0 {
		errs = append(errs, bolwerk.Invalid("pattern: without one no line of a log says anything"))
	}
	for i, t := range c.Translators {
		if t.Name == "" || len(t.Name) > session.MaxName || len(t.From) == 0 {
			errs = append(errs, bolwerk.Invalid("translator %d: name and from are needed", i+1))
		}
		_, err := zone(t.Zone)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func zone(name string) (*time.Location, error) {
	if name == "" {
		return nil, nil
	}
	z, err := time.LoadLocation(name)
	if err != nil {
		return nil, bolwerk.WithHint(bolwerk.Invalid("translator: zone %q: not known", name), "as Europe/Brussels, or UTC")
	}
	return z, nil
}

// Translations takes what translators tell. There is no answer over UDP: what is lost on
// the way is lost, and a block whose beginning is not known names nobody.
type Translations struct {
	senders []translator
	lines   *translation.Lines
	put     func(kind string, body []byte) (string, error)
	clock   clock.Clock
	log     *slog.Logger
	count   *prometheus.CounterVec
	streams *prometheus.GaugeVec

	mu   sync.Mutex
	said map[string]time.Time
}

type translator struct {
	Translator
	zone *time.Location // nil: its lines say theirs
}

// NewTranslations checks the patterns and zones. put keeps what is handed in.
func NewTranslations(cfg TranslationsConfig, put func(kind string, body []byte) (string, error), c clock.Clock, log *slog.Logger, reg prometheus.Registerer) (*Translations, error) {
	lines, err := translation.NewLines(cfg.Patterns)
	senders := make([]translator, len(cfg.Translators))
	for i, tr := range cfg.Translators {
		z, zerr := zone(tr.Zone)
		senders[i], err = translator{tr, z}, errors.Join(err, zerr)
	}
	if err != nil {
		return nil, err
	}
	t := &Translations{senders: senders, lines: lines, put: put, clock: c, log: log, said: map[string]time.Time{},
		count:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_abuse_translations_total", Help: "Blocks of ports that translators told of, and what came beside them: taken (durable), other (no pattern fits), malformed, torn (the connection ended within it), no_time (over a connection, and does not say when it was), busy or not_durable (lost, or a connection too many), unknown (of nobody who may send)."}, []string{"translator", "result"}),
		streams: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "bolwerk_abuse_translation_connections", Help: "Connections of translators that send syslog over TCP or TLS."}, []string{"translator"})}
	return t, errors.Join(reg.Register(t.count), reg.Register(t.streams))
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
		name := t.who(from.Addr().Unmap()).Name
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

// who sends from an address; nobody has no name.
func (t *Translations) who(from netip.Addr) translator {
	for _, tr := range t.senders {
		for _, p := range tr.From {
			if p.Contains(from) {
				return tr
			}
		}
	}
	return translator{}
}

// refuse counts what is not taken, and says so once a minute for each reason.
func (t *Translations) refuse(name, result string, from netip.AddrPort, why string) {
	t.count.WithLabelValues(name, result).Inc()
	t.say(name, result, func() {
		t.log.Warn("translations not taken; said once a minute", "translator", name, "from", from.Addr(), "why", why)
	})
}

// say says what is so once a minute.
func (t *Translations) say(name, what string, log func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := t.clock.Now(); now.Sub(t.said[name+"/"+what]) > time.Minute {
		t.said[name+"/"+what] = now
		log()
	}
}

// translationsWait is how long the first block waits for others: each batch is a write to
// the disk, and nobody waits for an answer.
const translationsWait = 100 * time.Millisecond

// keep makes batches durable until the queue is closed.
func (t *Translations) keep(queue <-chan session.Record) {
	for first := range queue {
		batch := gather(first, queue, session.MaxRecords, translationsWait)
		_, err := t.put(KindSessions, session.Encode(batch))
		t.kept(batch, err)
	}
}

// kept counts what became of a batch.
func (t *Translations) kept(batch []session.Record, err error) {
	result := "taken"
	if err != nil {
		result = "not_durable"
		t.log.Error("blocks of ports cannot be made durable, and are lost", "alarm", true, "records", len(batch), "err", err)
	}
	for _, r := range batch {
		t.count.WithLabelValues(r.NAS, result).Inc()
	}
}
