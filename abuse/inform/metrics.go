package inform

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk/internal/store"
)

type metrics struct {
	messages *prometheus.CounterVec
	said     *prometheus.CounterVec
	bounces  *prometheus.CounterVec
	took     prometheus.Histogram
}

func newMetrics(r prometheus.Registerer, db *store.DB) *metrics {
	m := &metrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_abuse_messages_total", Help: "Messages to subscribers and resellers, by kind, channel and what became of them: made, sent, delivered, failed, unreachable."}, []string{"kind", "channel", "what"}),
		said:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_abuse_said_total", Help: "What holders of a notice's code did at the public site: seen, done, undone, help, statement, release."}, []string{"what"}),
		bounces:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_abuse_bounces_total", Help: "Mails that came to a return path of a notice: failed, delayed, late (its message is not on its way), forged, or other."}, []string{"what"}),
		took:     prometheus.NewHistogram(prometheus.HistogramOpts{Name: "bolwerk_abuse_report_to_notice_seconds", Help: "Time from the arrival of a case's first report to the first notice to its subscriber that left.", Buckets: []float64{1, 10, 60, 600, 3600, 6 * 3600, 24 * 3600, 72 * 3600, 168 * 3600}}),
	}
	if r == nil {
		return m
	}
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bolwerk_abuse_messages_waiting", Help: "Messages that wait to be sent."}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		var n float64
		if err := db.Read(ctx, func(tx *store.Tx) error {
			return tx.Row(`select count(*) from abuse_message where state='waiting'`).Scan(&n)
		}); err != nil {
			return -1
		}
		return n
	})
	r.MustRegister(m.messages, m.said, m.bounces, m.took, waiting)
	return m
}
