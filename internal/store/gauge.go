package store

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Gauge is a metric that counts rows when it is looked at, for at most two seconds;
// -1 where they cannot be counted.
func Gauge(db *DB, name, help, query string) prometheus.GaugeFunc {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		var n float64
		if err := db.Read(ctx, func(tx *Tx) error { return tx.Row(query).Scan(&n) }); err != nil {
			return -1
		}
		return n
	})
}
