package mail

import "github.com/prometheus/client_golang/prometheus"

// metrics of the door. None has a label that a stranger chooses.
type metrics struct {
	open       prometheus.Gauge
	conns      *prometheus.CounterVec // result: accepted, full, full_network
	mails      *prometheus.CounterVec // result: accepted, or why not
	recipients *prometheus.CounterVec // reason of a refused recipient
	bytes      prometheus.Counter
	seconds    prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, m *memory, total int64) *metrics {
	v := &metrics{
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "bolwerk_smtp_connections", Help: "Connections that are open."}),
		conns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bolwerk_smtp_connections_total", Help: "Connections that came in, by what became of them."}, []string{"result"}),
		mails: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bolwerk_smtp_mails_total", Help: "Mails that came in, by what became of them."}, []string{"result"}),
		recipients: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bolwerk_smtp_recipients_refused_total", Help: "Recipients that were refused."}, []string{"reason"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "bolwerk_smtp_bytes_total", Help: "Bytes of accepted mails."}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "bolwerk_smtp_handin_seconds", Help: "From the end of a mail to its acknowledgement.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}}),
	}
	reg.MustRegister(v.open, v.conns, v.mails, v.recipients, v.bytes, v.seconds,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "bolwerk_smtp_memory_bytes", Help: "Memory that mails on their way in take."},
			func() float64 { return float64(total - m.free.Load()) }))
	return v
}
