package shield

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk/internal/store"
)

type metrics struct {
	read      prometheus.Histogram
	letters   prometheus.Histogram
	deaths    prometheus.Counter
	captures  *prometheus.CounterVec
	verdicts  *prometheus.CounterVec
	decided   *prometheus.CounterVec
	withdrawn *prometheus.CounterVec
	lookups   *prometheus.CounterVec
	logged    *prometheus.CounterVec
	notices   *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, db *store.DB) *metrics {
	m := &metrics{
		read: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "bolwerk_shield_read_seconds", Help: "Time to read one report in a reader process.", Buckets: []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10}}),
		captures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_shield_visits_total", Help: "Looks of probes at suspect pages, by what came of them: page, refused_page, unreadable, or why there was no page."},
			[]string{"outcome"}),
		letters:   prometheus.NewHistogram(prometheus.HistogramOpts{Name: "bolwerk_shield_letters_seconds", Help: "Time to read the letters of one picture.", Buckets: []float64{.3, 1, 2, 5, 10, 20, 40}}),
		deaths:    prometheus.NewCounter(prometheus.CounterOpts{Name: "bolwerk_shield_reader_deaths_total", Help: "Reader processes that died over a report."}),
		verdicts:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_shield_verdicts_total", Help: "Verdicts made, by word."}, []string{"verdict"}),
		decided:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_shield_cases_decided_total", Help: "Cases decided, by outcome."}, []string{"outcome"}),
		withdrawn: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_shield_withdrawals_total", Help: "Blocks withdrawn by a person, by cause."}, []string{"cause"}),
	}
	m.lookups = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_shield_lookups_total", Help: "Domains that registry and DNS were asked about, by what became of it (known, waiting to be asked again, failed)."}, []string{"state"})
	m.logged = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_shield_certificates_total", Help: "Certificates of transparency logs, by log and whether they were read, skipped, or near a brand."}, []string{"log", "what"})
	m.notices = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_shield_notices_total", Help: "Notices to others, by kind of recipient and whether they left, were refused or given up, or came back (sent, failed, returned)."}, []string{"kind", "result"})
	r.MustRegister(m.notices, m.lookups, m.logged, m.captures, m.read, m.letters, m.deaths, m.verdicts, m.decided, m.withdrawn,
		store.Gauge(db, "bolwerk_shield_reports_waiting", "Reports that wait to be read.", `select count(*) from shield_report where state='received'`),
		store.Gauge(db, "bolwerk_shield_pictures_waiting", "Reports whose pictures and PDFs wait to be read.", `select count(*) from shield_picture where state='queued'`),
		store.Gauge(db, "bolwerk_shield_pictures_for_a_person", "Reports whose pictures wait for a person to look at them.", `select count(*) from shield_picture where state='person'`),
		store.Gauge(db, "bolwerk_shield_cases_waiting", "Cases that wait for a person.", `select count(*) from desk_case where capability='shield' and state in ('waiting','second')`),
		store.Gauge(db, "bolwerk_shield_blocks_in_force", "Blocks in force.", `select count(*) from shield_block where state='in_force' and pass=false`),
		store.Gauge(db, "bolwerk_shield_appeals_waiting", "Appeals that wait for a decision.", `select count(*) from desk_appeal where state='received'`),
	)
	return m
}

// pulseGauges reads what the pulse shows when it is looked at.
type pulseGauges struct{ s *Shield }

var (
	pulseTook    = prometheus.NewDesc("bolwerk_shield_in_force_seconds", "Time from the desk's last decision over its own name to in force, by edge, agent or resolver.", []string{"kind", "name"}, nil)
	pulseLate    = prometheus.NewDesc("bolwerk_shield_in_force_late", "1 where decisions do not come into force in time.", []string{"kind", "name"}, nil)
	serviceAway  = prometheus.NewDesc("bolwerk_shield_dns_unavailable_seconds", "For how long no edge, agent or resolver has resolved a name; significant by Regulation (EU) 2024/2690 above 1800.", nil, nil)
	serviceTimes = prometheus.NewDesc("bolwerk_shield_dns_response_seconds", "Average time to resolve a name in the last hour; significant by Regulation (EU) 2024/2690 above 10.", nil, nil)
)

// Describe names the figures.
func (pulseGauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{pulseTook, pulseLate, serviceAway, serviceTimes} {
		ch <- d
	}
}

// Collect reads them.
func (g pulseGauges) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	var p Pulse
	err := g.s.db.Read(ctx, func(tx *store.Tx) (err error) {
		if p, err = g.s.pulse(tx, 5*time.Minute); err == nil {
			p.Service, err = service(tx, serviceNow)
		}
		return err
	})
	if err != nil {
		return
	}
	for _, t := range p.Targets {
		late := 0.0
		if t.Late() {
			late = 1
		}
		gauge(pulseTook, t.Took.Seconds(), t.Kind, t.Name)
		gauge(pulseLate, late, t.Kind, t.Name)
	}
	for _, i := range p.Service.Indicators {
		switch i.Key {
		case "unavailable":
			gauge(serviceAway, i.Now.Seconds())
		case "response_time":
			gauge(serviceTimes, i.Now.Seconds())
		}
	}
}
