package quarantine

import (
	"time"

	"bolwerk/internal/store"
)

// BeginRestore ends what is in quarantine, or waits for it, in a store that was brought
// back to an older day: who was let out since nobody knows, and any doubt is the normal
// profile. From now on nobody is given the profile for it; the desk lets the lines out
// when it runs, as at any end. It returns how many that are.
func BeginRestore(tx *store.Tx) (int64, error) {
	return tx.Exec(`update abuse_quarantine set until=$1, mechanism='restore' where state='requested' or state in `+holdsSQL, tx.NowMicros())
}

// EndedBy are the quarantines that the restore of that time ended, newest first.
func EndedBy(tx *store.Tx, restore time.Time) ([]Row, error) {
	return store.List(tx, read, `select `+columns+` from abuse_quarantine where mechanism='restore' and until=$1 order by id desc`, store.Micros(restore))
}
