package door

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	packets *prometheus.CounterVec
	took    prometheus.Histogram
}

func newMetrics() *metrics {
	return &metrics{
		packets: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_abuse_accounting_packets_total", Help: "Accounting packets, by client and what became of them: answered (durable), repeated, busy or not_durable (not answered: they come again), odd_clock (taken with our time), no_session (answered, nothing in it), unknown_client, wrong_secret, malformed, not_accounting."}, []string{"client", "result"}),
		took:    prometheus.NewHistogram(prometheus.HistogramOpts{Name: "bolwerk_abuse_accounting_seconds", Help: "From an accounting packet to its answer.", Buckets: []float64{.002, .005, .01, .02, .05, .1, .2, .5, 1, 3}}),
	}
}

func (m *metrics) register(reg prometheus.Registerer) error {
	if err := reg.Register(m.packets); err != nil {
		return err
	}
	return reg.Register(m.took)
}

func (m *metrics) count(client, result string) { m.packets.WithLabelValues(client, result).Inc() }
