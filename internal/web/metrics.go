package web

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the figures of all sites of a process.
type Metrics struct {
	seconds *prometheus.HistogramVec
	running *prometheus.GaugeVec
}

// NewMetrics registers the figures.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "bolwerk_web_request_seconds",
			Help:    "Time to answer a request, by site, route and class of status.",
			Buckets: []float64{.002, .01, .05, .1, .25, 1, 5, 30},
		}, []string{"site", "route", "class"}),
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "bolwerk_web_requests_running",
			Help: "Requests that are being answered now, by site.",
		}, []string{"site"}),
	}
	if err := reg.Register(m.seconds); err != nil {
		return nil, err
	}
	return m, reg.Register(m.running)
}

// begin counts a request; the function it returns is called at its end. The
// route is the pattern, never the path: paths hold codes and names.
func (m *Metrics) begin(site string) func(route string, status int, took time.Duration) {
	if m == nil {
		return func(string, int, time.Duration) {}
	}
	g := m.running.WithLabelValues(site)
	g.Inc()
	return func(route string, status int, took time.Duration) {
		g.Dec()
		if route == "" {
			route = "none"
		}
		m.seconds.WithLabelValues(site, route, strconv.Itoa(status/100)+"xx").Observe(took.Seconds())
	}
}
