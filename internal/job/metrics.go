package job

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk/internal/store"
)

var (
	waitingDesc = prometheus.NewDesc("bolwerk_jobs_waiting", "Jobs that are due, or were tried and wait for their next try, by kind and way; a way without any is not there.", []string{"kind", "way"}, nil)
	lateDesc    = prometheus.NewDesc("bolwerk_jobs_late_seconds", "How long the first of the jobs that wait has been due, by kind and way; a try that failed makes a job due later, and 0 is none due yet.", []string{"kind", "way"}, nil)
)

// queues counts the jobs that wait when it is looked at, for at most two seconds;
// what cannot be counted is not there.
type queues struct{ r *Runner }

// Measure tells of the jobs of the store that wait.
func (r *Runner) Measure(reg prometheus.Registerer) { reg.MustRegister(queues{r}) }

func (queues) Describe(out chan<- *prometheus.Desc) { out <- waitingDesc; out <- lateDesc }

func (q queues) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	now := store.Micros(q.r.clock.Now())
	_ = q.r.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Each(`select kind,way,count(*),min(due) from job where state='waiting' and (due<=$1 or tries>0) group by kind,way`, []any{now}, func(scan func(...any) error) error {
			var kind, way string
			var n, due int64
			if err := scan(&kind, &way, &n, &due); err != nil {
				return err
			}
			out <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, float64(n), kind, way)
			out <- prometheus.MustNewConstMetric(lateDesc, prometheus.GaugeValue, max(0, float64(now-due)/1e6), kind, way)
			return nil
		})
	})
}
