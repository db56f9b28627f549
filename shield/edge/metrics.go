package edge

import "github.com/prometheus/client_golang/prometheus"

// Register shows the edge's state. DNS and TLS counts per block are no metrics:
// they are handed in.
func (e *Edge) Register(reg prometheus.Registerer) error {
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	for _, c := range []prometheus.Collector{
		gauge("bolwerk_edge_rules", "Rules of the copy blocks that are loaded.", func() float64 { return float64(e.set.Len()) }),
		gauge("bolwerk_edge_rules_bytes", "Memory of the loaded rules.", func() float64 { return float64(e.set.Bytes()) }),
		gauge("bolwerk_edge_rules_unreadable", "Entries of the copy blocks that could not be read. Above 0 a person must look.",
			func() float64 { e.mu.Lock(); defer e.mu.Unlock(); return float64(e.bad) }),
		gauge("bolwerk_edge_copy_epoch", "Epoch of the copy blocks that is served.", func() float64 { return float64(e.Head().Epoch) }),
		gauge("bolwerk_edge_copy_serial", "Serial of the copy blocks that is served.", func() float64 { return float64(e.Head().Serial) }),
		gauge("bolwerk_edge_copy_age_seconds", "Time since the served copy was made at the desk; 0 before the first.", func() float64 {
			h := e.Head()
			if h.MadeAt.IsZero() {
				return 0
			}
			return e.clock.Now().Sub(h.MadeAt).Seconds()
		}),
		gauge("bolwerk_edge_local_passes", "Names that were let pass at this edge itself and still are.", func() float64 {
			e.mu.Lock()
			defer e.mu.Unlock()
			n := 0
			for _, p := range e.passes {
				if p.Until.After(e.clock.Now()) {
					n++
				}
			}
			return float64(n)
		}),
		gauge("bolwerk_edge_view_lines", "Lines of the file of views that have a view of their own.", func() float64 {
			if f := e.views.fixed.Load(); f != nil {
				return float64(len(f.rows))
			}
			return 0
		}),
		gauge("bolwerk_edge_view_lines_unreadable", "Lines of the file of views that could not be read, or name a prefix twice. Above 0 a person must look.",
			func() float64 { return float64(e.views.bad.Load()) }),
		gauge("bolwerk_edge_view_sessions", "Addresses and prefixes of sessions that were told to this edge.", func() float64 { return float64(e.views.some.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "bolwerk_edge_tls_unknown_total", Help: "TLS connections without a blocked name in their SNI."},
			func() float64 { return float64(e.page.tlsUnknown.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "bolwerk_edge_appeals_refused_total", Help: "Appeals that were not taken: over the rate, or not stored."},
			func() float64 { return float64(e.page.appealsRefused.Load()) }),
		gauge("bolwerk_edge_releases", "Stopped names that a line has opened for itself just now.", func() float64 { return float64(e.released.some.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "bolwerk_edge_releases_total", Help: "Stopped names that lines have opened for themselves."},
			func() float64 { return float64(e.released.given.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "bolwerk_edge_releases_refused_total", Help: "Forms to open a stopped name that were refused: not from our page, not that line's, or too many open."},
			func() float64 { return float64(e.released.no.Load()) }),
	} {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return nil
}
