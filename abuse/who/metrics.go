package who

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk/abuse/session"
)

// Metrics counts what comes in, what is asked and what is forgotten.
type Metrics struct {
	records *prometheus.CounterVec
	asked   *prometheus.CounterVec
	took    prometheus.Histogram
	ends    *prometheus.CounterVec
	forgot  prometheus.Counter
}

func newMetrics() *Metrics {
	return &Metrics{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_abuse_records_total", Help: "Records of sessions, by kind and by what became of them."}, []string{"kind", "result"}),
		asked:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_abuse_lookups_total", Help: "Questions who had an address: one (may be acted on), refused (several, or not sure), nobody, error."}, []string{"result"}),
		took:    prometheus.NewHistogram(prometheus.HistogramOpts{Name: "bolwerk_abuse_lookup_seconds", Help: "How long a question takes.", Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .5, 1}}),
		ends:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_abuse_sessions_ended_unsaid_total", Help: "Sessions without a Stop, by how their end was found: restart of the access server, somebody else has the address, silent for longer than is kept, or the session's name used again."}, []string{"why"}),
		forgot:  prometheus.NewCounter(prometheus.CounterOpts{Name: "bolwerk_abuse_sessions_forgotten_total", Help: "Rows deleted because their days are over."}),
	}
}

// NewMetrics registers the counters of this package.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := newMetrics()
	for _, c := range []prometheus.Collector{m.records, m.asked, m.took, m.ends, m.forgot} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) record(kind, result string, n int) {
	m.records.WithLabelValues(kind, result).Add(float64(n))
}

func (m *Metrics) ended(why string, n int64) { m.ends.WithLabelValues(why).Add(float64(n)) }

func (m *Metrics) looked(a session.Answer, err error, took time.Duration) {
	m.took.Observe(took.Seconds())
	result := "refused"
	if _, ok := a.Act(); ok {
		result = "one"
	}
	switch {
	case err != nil:
		result = "error"
	case len(a.Candidates) == 0:
		result = "nobody"
	}
	m.asked.WithLabelValues(result).Inc()
}
