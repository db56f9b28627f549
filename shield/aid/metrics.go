package aid

import (
	"github.com/prometheus/client_golang/prometheus"

	"bolwerk/internal/clock"
)

// Register shows how late each partner's review is.
func (ps Partners) Register(reg prometheus.Registerer, c clock.Clock) error {
	return reg.Register(&late{ps, c, prometheus.NewDesc("bolwerk_partner_review_late_seconds",
		"Time since a partner of the public pages had to be looked at again; 0 while that is not due. Above 2592000 (30 days) somebody must look now.", []string{"kind", "name"}, nil)})
}

type late struct {
	ps    Partners
	clock clock.Clock
	desc  *prometheus.Desc
}

func (l *late) Describe(out chan<- *prometheus.Desc) { out <- l.desc }

// Collect gives one figure for each kind and name, the latest of those that
// share both.
func (l *late) Collect(out chan<- prometheus.Metric) {
	type key struct{ kind, name string }
	worst := map[key]float64{}
	for _, p := range l.ps {
		k := key{string(p.Kind), p.Name}
		worst[k] = max(worst[k], l.clock.Now().Sub(p.Due()).Seconds(), 0)
	}
	for k, v := range worst {
		out <- prometheus.MustNewConstMetric(l.desc, prometheus.GaugeValue, v, k.kind, k.name)
	}
}
