package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"bolwerk/internal/lease"
	"bolwerk/internal/store"
)

// The keys that all desks at one store have in common, besides those of the months.
var sharedKeys = []string{"ca.pem", "copies.pem", "seal.pem", "log.key"}

// aheadMonths is how many months' keys are made before they are needed: there is
// time to bring them to the other desk.
const aheadMonths = 2

// agreeKeys refuses to start a desk whose keys are others than those of the desks
// at the store, or are missing where there are some. It makes none.
func agreeKeys(ctx context.Context, db *store.DB, keys string) error {
	var errs []error
	for _, name := range sharedKeys {
		digest := ""
		b, err := os.ReadFile(filepath.Join(keys, name))
		if err == nil {
			sum := sha256.Sum256(b)
			digest = hex.EncodeToString(sum[:])
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		errs = append(errs, lease.Agree(ctx, db, name, digest))
	}
	return errors.Join(errs...)
}

// makeAhead makes the keys of the coming months, and alarms where another desk
// has made one that is not here yet.
func (d *Desk) makeAhead() {
	if err := d.vault.Ahead(aheadMonths); err != nil {
		d.env.Log.Error("the keys of the coming months are not all here", "alarm", true, "err", err)
	}
}

// keepAhead does so four times a day, until ctx ends.
func (d *Desk) keepAhead(ctx context.Context) error {
	tick := time.NewTicker(6 * time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			d.makeAhead()
		}
	}
}
