package door

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
)

// metrics count what comes in and what is turned away. No label is chosen by a
// stranger.
type metrics struct {
	reports, appeals, looks *prometheus.CounterVec
	slowed                  prometheus.Counter
	all                     []prometheus.Collector
}

func newMetrics(l *listing) *metrics {
	m := &metrics{
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_door_reports_total",
			Help: "Reports by channel, form and result (kept, full, error)."}, []string{"channel", "form", "result"}),
		appeals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_door_appeals_total",
			Help: "Appeals from the public site, by result (kept, full, error)."}, []string{"result"}),
		looks: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_door_lookups_total",
			Help: "Look-ups of receipts and names, by result (found, none, wrong)."}, []string{"what", "result"}),
		slowed: prometheus.NewCounter(prometheus.CounterOpts{Name: "bolwerk_door_slowed_total",
			Help: "Requests put off because their network had used up its rate."}),
	}
	gauge := func(name, help string, f func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			l.mu.RLock()
			defer l.mu.RUnlock()
			return float64(f())
		})
	}
	m.all = []prometheus.Collector{m.reports, m.appeals, m.looks, m.slowed,
		gauge("bolwerk_door_receipts", "Receipts that can be looked up.", func() int { return len(l.receipts) }),
		gauge("bolwerk_door_blocks", "Blocks that can be looked up.", func() int { return len(l.refs) }),
		gauge("bolwerk_door_unreadable_entries", "Entries of the public copy that could not be read since its last snapshot.", func() int { return l.bad }),
		gauge("bolwerk_door_copy_serial", "Serial of the public copy.", func() int { return int(l.head.Serial) }),
	}
	return m
}

func (m *metrics) register(reg prometheus.Registerer) error {
	for _, c := range m.all {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return nil
}

func result(err error) string {
	switch {
	case err == nil:
		return "kept"
	case errors.Is(err, bolwerk.ErrFull):
		return "full"
	}
	return "error"
}

// looked counts a look-up.
func (m *metrics) looked(what string, found bool, err error) {
	r := "none"
	switch {
	case errors.Is(err, bolwerk.ErrInvalid):
		r = "wrong"
	case err == nil && found:
		r = "found"
	}
	m.looks.WithLabelValues(what, r).Inc()
}
