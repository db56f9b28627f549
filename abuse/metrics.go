package abuse

import (
	"github.com/prometheus/client_golang/prometheus"

	"bolwerk/internal/store"
)

type metrics struct {
	reports *prometheus.CounterVec
	events  *prometheus.CounterVec
	cases   *prometheus.CounterVec
	answers *prometheus.CounterVec
	deaths  prometheus.Counter
	took    prometheus.Histogram
}

func newMetrics(r prometheus.Registerer, db *store.DB) *metrics {
	m := &metrics{
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_abuse_reports_total", Help: "Reports of abuse, by format and what became of them: read, person, unreadable."}, []string{"format", "state"}),
		events:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_abuse_events_total", Help: "Events of reports, by where they stand once looked at: joined, person, later, not_ours, no_line, unknown, exempt, or repeated."}, []string{"state"}),
		cases:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_abuse_cases_total", Help: "Cases of abuse that were opened, that returned, and that were closed, by class."}, []string{"class", "what"}),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_abuse_reporters_total", Help: "Reports of abuse by whether the outcome is mailed to who reported: yes, or why not; and the mails written, as mailed."}, []string{"what"}),
		deaths:  prometheus.NewCounter(prometheus.CounterOpts{Name: "bolwerk_abuse_reader_deaths_total", Help: "Reader processes that died over a report of abuse."}),
		took:    prometheus.NewHistogram(prometheus.HistogramOpts{Name: "bolwerk_abuse_report_to_case_seconds", Help: "Time from a report's arrival to its event in a case.", Buckets: []float64{.1, .3, 1, 3, 10, 30, 100, 1000, 10000, 100000}}),
	}
	if r == nil {
		return m
	}
	r.MustRegister(m.reports, m.events, m.cases, m.answers, m.deaths, m.took,
		store.Gauge(db, "bolwerk_abuse_reports_waiting", "Reports of abuse that wait to be read.", `select count(*) from abuse_report where state='received'`),
		store.Gauge(db, "bolwerk_abuse_events_waiting", "Events that wait to be looked at, or to be asked about again.", `select count(*) from abuse_event where due_at>0`),
		store.Gauge(db, "bolwerk_abuse_events_for_a_person", "Events that wait for a person.", `select count(*) from abuse_event where state='person'`),
		store.Gauge(db, "bolwerk_abuse_cases_open", "Cases of abuse that are open.", `select count(*) from desk_case where capability='abuse' and state='waiting'`))
	return m
}
