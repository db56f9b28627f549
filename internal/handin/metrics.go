package handin

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
)

// metrics count what comes in, what goes out and what waits.
type metrics struct {
	put, sent *prometheus.CounterVec
	all       []prometheus.Collector
}

func newMetrics(s *Spool) *metrics {
	m := &metrics{
		put: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bolwerk_handin_put_total",
			Help: "Items offered to the spool, by kind and result (kept, full, refused, error).",
		}, []string{"kind", "result"}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bolwerk_handin_sent_total",
			Help: "Tries to give an item to the desk, by result (committed, again, refused, unreadable, replayed).",
		}, []string{"result"}),
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	m.all = []prometheus.Collector{m.put, m.sent,
		gauge("bolwerk_handin_queue_items", "Items that wait for the desk.", func() float64 {
			n, _, _ := s.Depth()
			return float64(n)
		}),
		gauge("bolwerk_handin_queue_bytes", "Bytes that wait for the desk.", func() float64 {
			_, b, _ := s.Depth()
			return float64(b)
		}),
		gauge("bolwerk_handin_queue_oldest_seconds", "Age of the oldest item that waits.", func() float64 {
			if _, _, at := s.Depth(); !at.IsZero() {
				return s.clock.Now().Sub(at).Seconds()
			}
			return 0
		}),
		gauge("bolwerk_handin_set_aside_items", "Items in bad/: unreadable, or refused by the desk. Above 0 a person must look.", func() float64 {
			return float64(s.SetAside())
		}),
	}
	return m
}

// Register makes the spool's metrics known.
func (s *Spool) Register(reg prometheus.Registerer) error {
	for _, c := range s.m.all {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return nil
}

func (m *metrics) putDone(kind string, err error) {
	result := "kept"
	switch {
	case errors.Is(err, bolwerk.ErrFull):
		result = "full"
	case errors.Is(err, bolwerk.ErrInvalid):
		kind, result = "", "refused" // the kind may be what is wrong
	case err != nil:
		result = "error"
	}
	m.put.WithLabelValues(kind, result).Inc()
}
