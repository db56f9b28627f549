// Package siem sends the audit trail to other systems as well: syslog (RFC 5424)
// over TCP or TLS, JSON lines to a file or by HTTPS. Every entry arrives at
// least once and in order; the place is kept in the database. What is sent are
// references, never the words that a person typed as a reason.
package siem

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
)

//go:embed schema.sql
var schema string

// Schema is the table of this package.
func Schema() store.Schema { return store.Schema{Name: "siem", Steps: []string{schema}} }

// Config is where the audit trail is sent to as well. Each entry is sent at
// least once and in order, without the reason that a person typed.
type Config struct {
	// Syslog is host:port of a collector for RFC 5424 over TCP with octet
	// counting (RFC 6587); empty is none.
	Syslog string `toml:"syslog"`
	// SyslogTLS reaches it by TLS (RFC 5425). SyslogCA is a file of certificates
	// that are trusted; empty is the machine's own.
	SyslogTLS bool   `toml:"syslog_tls"`
	SyslogCA  string `toml:"syslog_ca"`
	// File gets a line of JSON for each entry, mode 0600; empty is none.
	File string `toml:"file"`
	// URL gets lines of JSON by POST, at most 100 at a time; empty is none.
	// TokenFile holds the bearer token for it.
	URL       string `toml:"url"`
	TokenFile string `toml:"token_file"`
}

// Validate tells every problem at once.
func (c Config) Validate() error {
	var problems []error
	bad := func(format string, a ...any) { problems = append(problems, bolwerk.Invalid(format, a...)) }
	if c.Syslog != "" {
		if host, port, err := net.SplitHostPort(c.Syslog); err != nil || host == "" || port == "" {
			bad("syslog = %q: want host:port", c.Syslog)
		}
	}
	if c.SyslogCA != "" {
		if !c.SyslogTLS {
			bad("syslog_ca: is for syslog_tls = true")
		}
		if _, err := pool(c.SyslogCA); err != nil {
			problems = append(problems, fmt.Errorf("syslog_ca: %w", err))
		}
	}
	if u, err := url.Parse(c.URL); c.URL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && !loopback(u)) {
		bad("url = %q: want https://...", c.URL)
	}
	return errors.Join(problems...)
}

func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// sink is one place that entries are sent to.
type sink interface {
	// send returns nil once all entries have arrived.
	send(ctx context.Context, entries []audit.Entry) error
	close()
}

// Exporter reads the trail and feeds the sinks.
type Exporter struct {
	db    *store.DB
	clock clock.Clock
	log   *slog.Logger
	sinks map[string]sink
	wait  func(context.Context, time.Duration) // between looks

	behind *prometheus.GaugeVec
	sent   *prometheus.CounterVec
	failed *prometheus.CounterVec
}

const (
	batch    = 100
	look     = time.Second
	longest  = 5 * time.Minute // between tries
	alarmAge = 5 * time.Minute
	attempt  = 30 * time.Second // that one try may take
)

// New builds the sinks of a configuration that is valid. dial opens
// connections; net.Dialer.DialContext is one.
func New(cfg Config, db *store.DB, dial func(ctx context.Context, network, address string) (net.Conn, error), log *slog.Logger, reg prometheus.Registerer) (*Exporter, error) {
	e := &Exporter{db: db, clock: db.Clock(), log: log, sinks: map[string]sink{}, wait: pause,
		behind: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "bolwerk_audit_export_behind_seconds", Help: "Age of the oldest audit entry that has not arrived yet; 0 where all have."}, []string{"sink"}),
		sent:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_audit_export_sent_total", Help: "Audit entries that have arrived, each counted again when it was sent again."}, []string{"sink"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_audit_export_failures_total", Help: "Tries to send audit entries that failed."}, []string{"sink"}),
	}
	if reg != nil {
		reg.MustRegister(e.behind, e.sent, e.failed)
	}
	if cfg.Syslog != "" {
		s, err := newSyslog(cfg, dial)
		if err != nil {
			return nil, err
		}
		e.sinks["syslog"] = s
	}
	if cfg.File != "" {
		e.sinks["file"] = &fileSink{path: cfg.File}
	}
	if cfg.URL != "" {
		s, err := newHTTP(cfg, dial)
		if err != nil {
			return nil, err
		}
		e.sinks["url"] = s
	}
	return e, nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Run feeds every sink, each at its own pace, until ctx ends.
func (e *Exporter) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for name, s := range e.sinks {
		wg.Go(func() { e.feed(ctx, name, s) })
	}
	<-ctx.Done()
	wg.Wait()
	return nil
}

func (e *Exporter) feed(ctx context.Context, name string, s sink) {
	defer s.close()
	back, alarmed := look, false
	for ctx.Err() == nil {
		n, oldest, err := e.round(ctx, name, s)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			e.failed.WithLabelValues(name).Inc()
			e.log.Warn("audit trail not sent", "sink", name, "err", err, "again_in", back)
		}
		age := time.Duration(0)
		if !oldest.IsZero() && (err != nil || n == batch) {
			age = e.clock.Now().Sub(oldest)
		}
		e.behind.WithLabelValues(name).Set(age.Seconds())
		if late := age > alarmAge; late != alarmed {
			if alarmed = late; late {
				e.log.Error("audit trail is behind", "alarm", true, "sink", name, "by", age.Round(time.Second), "err", err)
			} else {
				e.log.Info("audit trail has caught up", "sink", name)
			}
		}
		switch {
		case err != nil:
			e.wait(ctx, back)
			back = min(2*back, longest)
		case n < batch:
			back = look
			e.wait(ctx, look)
		default:
			back = look
		}
	}
}

// round sends what comes next and moves the place. oldest is when the first of
// it was written; zero where nothing waited.
func (e *Exporter) round(ctx context.Context, name string, s sink) (n int, oldest time.Time, err error) {
	var place int64
	var entries []audit.Entry
	err = e.db.Read(ctx, func(tx *store.Tx) error {
		err := tx.Row(`select seq from siem_place where sink=$1`, name).Scan(&place)
		if err != nil && !store.None(err) {
			return err
		}
		entries, err = audit.After(tx, place, batch)
		return err
	})
	if err != nil || len(entries) == 0 {
		return 0, oldest, err
	}
	oldest = entries[0].At
	try, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	if err := s.send(try, entries); err != nil {
		return 0, oldest, err
	}
	last := entries[len(entries)-1].Seq
	err = e.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		// Never back: another desk may have sent more meanwhile.
		_, err := tx.Exec(`insert into siem_place(sink,seq) values($1,$2) on conflict(sink) do update set seq=excluded.seq where siem_place.seq<excluded.seq`, name, last)
		return err
	})
	if err == nil {
		e.sent.WithLabelValues(name).Add(float64(len(entries)))
	}
	return len(entries), oldest, err
}

// line is an entry as it leaves the house: no reason, for people may have typed
// anything there. hash and prev are those of the chain, so that what has arrived
// can be compared with the trail.
func line(e audit.Entry) ([]byte, error) {
	v := struct {
		Seq    int64           `json:"seq"`
		At     time.Time       `json:"at"`
		Actor  bolwerk.Actor   `json:"actor"`
		Action string          `json:"action"`
		Object string          `json:"object,omitempty"`
		Detail json.RawMessage `json:"detail,omitempty"`
		Prev   string          `json:"prev"`
		Hash   string          `json:"hash"`
	}{e.Seq, e.At.UTC(), e.Actor, e.Action, e.Object, nil, e.Prev, e.Hash}
	if json.Valid([]byte(e.Detail)) {
		v.Detail = json.RawMessage(e.Detail)
	}
	return json.Marshal(v)
}

// fileSink appends to a file and makes it durable.
type fileSink struct{ path string }

func (s *fileSink) send(_ context.Context, entries []audit.Entry) error {
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	var out []byte
	// A line that a crash has cut is ended, so that the next one can be read.
	if st, err := f.Stat(); err == nil && st.Size() > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, st.Size()-1); err == nil && last[0] != '\n' {
			out = append(out, '\n')
		}
	}
	for _, e := range entries {
		b, err := line(e)
		if err != nil {
			return errors.Join(err, f.Close())
		}
		out = append(append(out, b...), '\n')
	}
	_, err = f.Write(out)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (s *fileSink) close() {}
