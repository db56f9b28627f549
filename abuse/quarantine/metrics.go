package quarantine

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk/internal/store"
)

type metrics struct {
	begun, ended, refused, orders, said *prometheus.CounterVec
	stuck                               prometheus.Counter
	force, freed                        prometheus.Histogram
}

func newMetrics(r prometheus.Registerer, db *store.DB) *metrics {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_abuse_quarantine_" + name + "_total", Help: help}, labels)
	}
	buckets := []float64{.1, .3, 1, 2, 5, 10, 60, 300, 900, 3600}
	m := &metrics{
		begun:   vec("begun", "Quarantines that were decided, by class and profile.", "class", "profile"),
		ended:   vec("ended", "Quarantines whose way back began, by how.", "how"),
		refused: vec("held_back", "Wishes for a quarantine that a guard refused or holds back, by guard.", "guard"),
		orders:  vec("orders", "Orders to the access network, by profile and what came of them.", "profile", "state"),
		said:    vec("guest", "What guests did on their pages.", "what"),
		stuck:   prometheus.NewCounter(prometheus.CounterOpts{Name: "bolwerk_abuse_quarantine_stuck_total", Help: "Times that the access network did not release a line: somebody was locked in."}),
		force:   prometheus.NewHistogram(prometheus.HistogramOpts{Name: "bolwerk_abuse_quarantine_to_force_seconds", Help: "Time from the decision to the access network's word that it is in force.", Buckets: buckets}),
		freed:   prometheus.NewHistogram(prometheus.HistogramOpts{Name: "bolwerk_abuse_quarantine_to_freed_seconds", Help: "Time from the release to the access network's word that every line is out.", Buckets: buckets}),
	}
	if r == nil {
		return m
	}
	gauge := func(name, help, query string) prometheus.GaugeFunc {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bolwerk_abuse_quarantine" + name, Help: help}, func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			var n float64
			if err := db.Read(ctx, func(tx *store.Tx) error { return tx.Row(query).Scan(&n) }); err != nil {
				return -1
			}
			return n
		})
	}
	r.MustRegister(m.begun, m.ended, m.refused, m.orders, m.said, m.stuck, m.force, m.freed,
		gauge("s_open", "Lines in quarantine, or on their way there.", `select count(*) from abuse_quarantine where state in `+holdsSQL),
		gauge("s_waiting", "Quarantines that a guard or a second person holds back.", `select count(*) from abuse_quarantine where state='requested'`),
		gauge("s_releasing", "Quarantines on their way back.", `select count(*) from abuse_quarantine where state='releasing'`),
		gauge("s_locked_in", "Quarantines whose way back fails.", `select count(*) from abuse_quarantine where state='stuck'`),
		gauge("_orders_waiting", "Orders to the access network that wait to be sent.", `select count(*) from abuse_quarantine_line where due_at>0`))
	return m
}
