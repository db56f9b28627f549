package account

import (
	"time"

	"bolwerk/internal/store"
)

// glassInUse is the break-glass account that somebody has opened and that has
// not ended; the zero Glass where there is none.
func glassInUse(tx *store.Tx, now time.Time) (g Glass, err error) {
	var until int64
	err = tx.Row(`select login,glass_until from account where glass_opened>0 and glass_until>$1 and state='active' order by glass_opened limit 1`, store.Micros(now)).Scan(&g.Login, &until)
	if store.None(err) {
		return Glass{}, nil
	}
	g.Until = store.Time(until)
	return g, err
}
