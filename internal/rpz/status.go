package rpz

import (
	"time"

	"bolwerk"

	"github.com/prometheus/client_golang/prometheus"
)

// Delivery is where one secondary stands with one zone. Times are zero where it
// did not happen since the start.
type Delivery struct {
	Secondary string         `json:"secondary"`
	Zone      bolwerk.Domain `json:"zone"`
	// Watched says that it is expected to keep up; see Secondary.Watched.
	Watched bool `json:"watched"`
	// Notified is the serial last told, Acked the last acknowledged.
	Notified   uint32    `json:"notified,omitempty"`
	NotifiedAt time.Time `json:"notified_at,omitzero"`
	Acked      uint32    `json:"acked,omitempty"`
	AckedAt    time.Time `json:"acked_at,omitzero"`
	// Holds is the serial that it has: it showed it, or we delivered it to the
	// end. Proof that it answers by it is the canary alone.
	Holds   uint32    `json:"holds,omitempty"`
	HoldsAt time.Time `json:"holds_at,omitzero"`
	// Kind of the last transfer: "ixfr", "axfr", or "axfr_for_ixfr" where it
	// asked for changes and got the whole zone.
	Kind       string    `json:"kind,omitempty"`
	TransferAt time.Time `json:"transfer_at,omitzero"`
	// Lag is for how long there has been something newer than it holds.
	Lag time.Duration `json:"lag"`
	// Ahead is set where it has a newer serial than we: it ignores us until
	// ours is newer (see Primary.Seen).
	Ahead   bool   `json:"ahead,omitempty"`
	Problem string `json:"problem,omitempty"` // with the last NOTIFY
}

// Secondaries is where each secondary stands with each zone, in the order of
// the configuration.
func (p *Primary) Secondaries() []Delivery {
	now := p.clock.Now()
	var out []Delivery
	for _, q := range p.peers {
		for _, c := range q.couriers {
			if !p.speaks() { // it stands with another desk
				out = append(out, Delivery{Secondary: q.Name, Zone: c.zone.cfg.Name, Watched: q.Watched()})
				continue
			}
			out = append(out, c.delivery(q.Secondary, now))
		}
	}
	return out
}

func (c *courier) delivery(q Secondary, now time.Time) Delivery {
	c.zone.mu.RLock()
	serial, at := c.zone.serial, c.zone.at
	c.zone.mu.RUnlock()
	c.mu.Lock()
	d := Delivery{
		Secondary: q.Name, Zone: c.zone.cfg.Name, Watched: q.Watched(),
		Notified: c.serial, NotifiedAt: c.sentAt, Acked: c.acked, AckedAt: c.ackedAt,
		Holds: c.holds, HoldsAt: c.holdsAt, Kind: c.kind, TransferAt: c.transfer, Problem: c.problem,
	}
	c.mu.Unlock()
	switch {
	case serial == 0 || d.Holds == serial:
	case d.Holds == 0:
		d.Lag = now.Sub(at)
	case Newer(d.Holds, serial):
		d.Ahead = true
	default:
		if t := c.zone.since(d.Holds); !t.IsZero() {
			d.Lag = now.Sub(t)
		}
	}
	return d
}

// counters are the primary's metrics.
type counters struct {
	transfers, notifies, refused, queries *prometheus.CounterVec
}

func newCounters(p *Primary, r prometheus.Registerer) counters {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_rpz_" + name, Help: help}, labels)
	}
	c := counters{
		transfers: vec("transfers_total", "Zone transfers sent to the end.", "zone", "kind"),
		notifies:  vec("notifies_total", "NOTIFY messages sent, by what came of them.", "secondary", "result"),
		refused:   vec("refused_total", "Questions and connections not served, by reason.", "reason"),
		queries:   vec("queries_total", "Ordinary questions answered, SOA polls among them.", "zone"),
	}
	if r != nil {
		r.MustRegister(c.transfers, c.notifies, c.refused, c.queries, gauges{p})
	}
	return c
}

// gauges reads the figures that stand when they are asked for.
type gauges struct{ p *Primary }

var (
	serialDesc  = prometheus.NewDesc("bolwerk_rpz_serial", "Serial of the zone.", []string{"zone"}, nil)
	recordsDesc = prometheus.NewDesc("bolwerk_rpz_records", "Policy records in the zone.", []string{"zone"}, nil)
	lagDesc     = prometheus.NewDesc("bolwerk_rpz_lag_seconds", "For how long a secondary has been behind.", []string{"secondary", "zone"}, nil)
	aheadDesc   = prometheus.NewDesc("bolwerk_rpz_ahead", "1 where a secondary has a newer serial than we.", []string{"secondary", "zone"}, nil)
)

// Describe names the figures.
func (gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{serialDesc, recordsDesc, lagDesc, aheadDesc} {
		ch <- d
	}
}

// Collect reads them.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for name := range g.p.zones {
		if s, records, ok := g.p.At(name); ok {
			gauge(serialDesc, float64(s.Serial), name.String())
			gauge(recordsDesc, float64(records), name.String())
		}
	}
	for _, d := range g.p.Secondaries() {
		if !d.Watched {
			continue
		}
		gauge(lagDesc, d.Lag.Seconds(), d.Secondary, d.Zone.String())
		ahead := 0.0
		if d.Ahead {
			ahead = 1
		}
		gauge(aheadDesc, ahead, d.Secondary, d.Zone.String())
	}
}

// Held is the oldest serial of a zone that a secondary has, 0 where one of them
// has shown none yet; all is set where there are no secondaries.
func (p *Primary) Held(zone bolwerk.Domain) (serial uint32, all bool) {
	all = true
	for _, q := range p.peers {
		for _, c := range q.couriers {
			if c.zone.cfg.Name != zone {
				continue
			}
			c.mu.Lock()
			holds := c.holds
			c.mu.Unlock()
			if holds == 0 {
				return 0, false
			}
			if all || Newer(serial, holds) {
				serial = holds
			}
			all = false
		}
	}
	return serial, all
}
