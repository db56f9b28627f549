package probe

import (
	"github.com/prometheus/client_golang/prometheus"

	"bolwerk/shield/capture"
)

type metrics struct {
	requests prometheus.Counter
	visits   *prometheus.CounterVec
	took     prometheus.Histogram
	bytes    prometheus.Counter
	rendered *prometheus.CounterVec
}

func newMetrics() *metrics {
	return &metrics{
		requests: prometheus.NewCounter(prometheus.CounterOpts{Name: "bolwerk_probe_requests_total", Help: "Requests that went out to suspect hosts."}),
		visits:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_probe_visits_total", Help: "Visits by profile and outcome: page, or why there was none."}, []string{"profile", "outcome"}),
		took:     prometheus.NewHistogram(prometheus.HistogramOpts{Name: "bolwerk_probe_visit_seconds", Help: "How long visits took, our own waiting included.", Buckets: []float64{.1, .3, 1, 3, 10, 30, 60}}),
		bytes:    prometheus.NewCounter(prometheus.CounterOpts{Name: "bolwerk_probe_kept_bytes_total", Help: "Octets of pages and their files that were handed in."}),
		rendered: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_probe_rendered_total", Help: "Pages whose scripts were run in the browser, by outcome: done, failed, busy."}, []string{"outcome"}),
	}
}

// Register shows what the probe does.
func (p *Probe) Register(reg prometheus.Registerer) error {
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	for _, c := range []prometheus.Collector{p.count.requests, p.count.visits, p.count.took, p.count.bytes, p.count.rendered,
		gauge("bolwerk_probe_waiting", "Pages that are still to be visited.", func() float64 { return float64(p.Waiting()) }),
		gauge("bolwerk_probe_browser", "1 where the browser runs in its sandbox, 0 where scripts of pages are not run.", func() float64 {
			if p.look.why() == "" {
				return 1
			}
			return 0
		}),
	} {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return nil
}

func (m *metrics) done(b *capture.Bundle) {
	outcome := "page"
	if b.Failed != "" {
		outcome = b.Failed
	}
	m.visits.WithLabelValues(string(b.Profile), outcome).Inc()
	m.took.Observe(float64(b.Took) / 1000)
	for _, d := range b.Data {
		m.bytes.Add(float64(len(d)))
	}
}
