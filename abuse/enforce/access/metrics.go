package access

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	orders  *prometheus.CounterVec
	took    prometheus.Histogram
	dropped *prometheus.CounterVec
	logins  *prometheus.CounterVec
	lied    *prometheus.CounterVec
}

func newMetrics() *metrics {
	return &metrics{
		orders:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_abuse_enforce_orders_total", Help: "Orders to the access network, by way, profile and what came of them: applied, offline, refused, busy, silent, unproved or error."}, []string{"name", "profile", "state"}),
		took:    prometheus.NewHistogram(prometheus.HistogramOpts{Name: "bolwerk_abuse_enforce_seconds", Help: "How long an order takes, its turn at the access server's pace included.", Buckets: []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10, 30}}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_abuse_enforce_answers_dropped_total", Help: "Answers of access servers that were not taken: forged, unsigned, other or malformed."}, []string{"name", "why"}),
		logins:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_abuse_enforce_logins_total", Help: "Questions of AAA servers at a login, by answer: normal, leaky, strict; doubt and unproved are answered with normal; refused showed no token."}, []string{"result"}),
		lied:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_abuse_enforce_lied_total", Help: "Times that accounting showed that an access server acknowledged and did not act; its proof is withdrawn."}, []string{"name"}),
	}
}

func (m *metrics) register(r prometheus.Registerer, a *Access) error {
	if r == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{m.orders, m.took, m.dropped, m.logins, m.lied, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bolwerk_abuse_enforce_unproved", Help: "Ways to the access network that are not used, because their canary was not put in and taken out again within two days."}, func() (n float64) {
		for _, p := range a.Proofs() {
			if !p.OK {
				n++
			}
		}
		return n
	})} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}
