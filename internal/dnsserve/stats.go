package dnsserve

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// result is how a question ended.
type result uint8

const (
	byPolicy result = iota
	byCache
	byResolver
	failed
	refused
	bad
	ignored
	limited
	slipped
	results
)

var resultNames = [results]string{"policy", "cache", "resolver", "failed", "refused", "malformed", "ignored", "limited", "slipped"}

type stats struct {
	udp, tcp, tls, https, quic [results]atomic.Uint64
	tries                      atomic.Uint64 // questions sent to resolvers
	errors                     atomic.Uint64 // without a good answer
	full                       atomic.Uint64 // not sent: too many under way
	zoneFull                   atomic.Uint64 // those of them with room elsewhere
	delayed                    atomic.Uint64
	hedges, stale, prefetches  atomic.Uint64
	turnedAway                 atomic.Uint64 // connections
	noProxy                    atomic.Uint64
	inFlight                   atomic.Int64
}

func (s *Server) register(reg prometheus.Registerer) error {
	count := func(name, help string, labels prometheus.Labels, v *atomic.Uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels},
			func() float64 { return float64(v.Load()) })
	}
	var cs []prometheus.Collector
	for i, r := range resultNames {
		help := "DNS questions by how they ended."
		cs = append(cs,
			count("bolwerk_dns_queries_total", help, prometheus.Labels{"transport": "udp", "result": r}, &s.stats.udp[i]),
			count("bolwerk_dns_queries_total", help, prometheus.Labels{"transport": "tcp", "result": r}, &s.stats.tcp[i]),
			count("bolwerk_dns_queries_total", help, prometheus.Labels{"transport": "tls", "result": r}, &s.stats.tls[i]),
			count("bolwerk_dns_queries_total", help, prometheus.Labels{"transport": "https", "result": r}, &s.stats.https[i]),
			count("bolwerk_dns_queries_total", help, prometheus.Labels{"transport": "quic", "result": r}, &s.stats.quic[i]))
	}
	cs = append(cs,
		count("bolwerk_dns_upstream_tries_total", "Questions sent to resolvers.", nil, &s.stats.tries),
		count("bolwerk_dns_upstream_errors_total", "Questions to resolvers without a good answer.", nil, &s.stats.errors),
		count("bolwerk_dns_upstream_full_total", "Questions not sent because too many were under way.", nil, &s.stats.full),
		count("bolwerk_dns_upstream_zone_full_total", "Those of them that were too many under one registrable domain.", nil, &s.stats.zoneFull),
		count("bolwerk_dns_delayed_total", "Questions over TCP and TLS that waited because their client asks too often.", nil, &s.stats.delayed),
		count("bolwerk_dns_upstream_hedges_total", "Questions sent to a second resolver because the first was slow.", nil, &s.stats.hedges),
		count("bolwerk_dns_stale_total", "Answers given after their time because no resolver answered.", nil, &s.stats.stale),
		count("bolwerk_dns_prefetches_total", "Answers refreshed before their time was over.", nil, &s.stats.prefetches),
		count("bolwerk_dns_connections_refused_total", "Connections closed at once: too many were open, or too many of one client.", nil, &s.stats.turnedAway),
		count("bolwerk_dns_proxy_refused_total", "Questions and connections of a listed proxy without a PROXY header that can be read.", nil, &s.stats.noProxy),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bolwerk_dns_connections", Help: "Open connections over TCP, TLS, HTTPS and QUIC."},
			func() float64 { return float64(s.doors.count()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bolwerk_dns_upstream_in_flight", Help: "Questions that wait for a resolver."},
			func() float64 { return float64(s.stats.inFlight.Load()) }))
	if s.pair != nil {
		cs = append(cs, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bolwerk_dns_certificate_ends_seconds", Help: "When the certificate for DNS over TLS and HTTPS ends, in seconds since 1970."},
			func() float64 { return float64(s.pair.Ends().Unix()) }))
	}
	cs = append(cs, resolvers{s.up})
	for _, c := range cs {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// resolvers tells of those that are configured at the moment.
type resolvers struct{ u *upstream }

var (
	upDesc     = prometheus.NewDesc("bolwerk_dns_upstream_up", "1 while the resolver answers, 0 while it is only checked.", []string{"resolver"}, nil)
	answerDesc = prometheus.NewDesc("bolwerk_dns_upstream_answer_seconds", "How long the resolver's answers take, smoothed.", []string{"resolver"}, nil)
)

func (c resolvers) Describe(out chan<- *prometheus.Desc) { out <- upDesc; out <- answerDesc }

func (c resolvers) Collect(out chan<- prometheus.Metric) {
	for _, r := range c.u.all() {
		up := 1.0
		if r.down.Load() {
			up = 0
		}
		out <- prometheus.MustNewConstMetric(upDesc, prometheus.GaugeValue, up, r.addr)
		out <- prometheus.MustNewConstMetric(answerDesc, prometheus.GaugeValue, r.expected().Seconds(), r.addr)
	}
}
