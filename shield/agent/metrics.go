package agent

import "github.com/prometheus/client_golang/prometheus"

// Register shows the agent's state.
func (a *Agent) Register(reg prometheus.Registerer) error {
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { a.mu.Lock(); defer a.mu.Unlock(); return f() })
	}
	counter := func(name, help string, f func() uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(f()) })
	}
	for _, c := range []prometheus.Collector{
		gauge("bolwerk_agent_rules", "Rules of the copy blocks that are loaded.", func() float64 { return float64(a.zones.Rules()) }),
		gauge("bolwerk_agent_rules_unreadable", "Entries of the copy blocks that could not be read. Above 0 a person must look.", func() float64 { return float64(a.bad) }),
		gauge("bolwerk_agent_force_serial", "The last serial that is proved to be in force at the resolver.", func() float64 { return float64(a.force.Serial) }),
		gauge("bolwerk_agent_lag_seconds", "For how long the resolver has lacked something that was published; 0: it has everything.", func() float64 {
			if a.pending.IsZero() {
				return 0
			}
			return a.with.Clock.Now().Sub(a.pending).Seconds()
		}),
		counter("bolwerk_agent_answers_total", "Answers that the resolver told of, by dnstap, protobuf or its log.", a.hits.told.Load),
		counter("bolwerk_agent_hits_total", "Of those, the ones that a block made.", a.hits.stopped.Load),
		counter("bolwerk_agent_streams_refused_total", "Connections of a resolver that were refused or that said something else.", a.hits.refused.Load),
	} {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return nil
}
