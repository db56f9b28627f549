package account

import (
	"github.com/prometheus/client_golang/prometheus"

	"bolwerk/internal/store"
)

// metrics count how people come in.
type metrics struct {
	logins *prometheus.CounterVec
	failed *prometheus.CounterVec
	glass  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_account_logins_total", Help: "Log-ins by way in: password, passkey, link, recovery, provider or glass."}, []string{"way"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_account_login_failures_total", Help: "Log-ins that were refused: wrong, or too many tries."}, []string{"why"}),
		glass:  prometheus.NewCounter(prometheus.CounterOpts{Name: "bolwerk_account_glass_opened_total", Help: "Break-glass accounts whose seal was broken. Alarm on any."}),
	}
	if reg != nil {
		reg.MustRegister(m.logins, m.failed, m.glass)
	}
	return m
}

// Measure registers the figures; before anything else is called.
func (s *Accounts) Measure(reg prometheus.Registerer) { s.metrics = newMetrics(reg) }

// count counts a log-in once it is durable.
func (s *Accounts) count(tx *store.Tx, way string) {
	tx.After(func() { s.metrics.logins.WithLabelValues(way).Inc() })
}
