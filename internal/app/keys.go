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

	"bolwerk/internal/clock"
	"bolwerk/internal/lease"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
)

// The keys that all desks at one store have in common, besides those of the months.
var sharedKeys = []string{"ca.pem", "copies.pem", "seal.pem", "log.key"}

// aheadMonths is how many months' keys are made before they are needed: there is
// time to bring them to the other desk, and to a copy in another place.
const aheadMonths = 2

// keysOf are the keys of the months that a name has, such as "sessions": of each kind of
// what is sealed its own, since each is destroyed at a time of its own. Whoever seals as a
// desk asks openKeys for them.
func keysOf(cfg Config, name string, c clock.Clock) (*vault.Vault, error) {
	return vault.Open(filepath.Join(cfg.Data, "desk", "keys", name), c)
}

// openKeys gives the desk the keys of a name: the same at all desks of the store, and
// made ahead. It refuses where this month's are others than those of the other desks.
func (d *Desk) openKeys(ctx context.Context, name string) (*vault.Vault, error) {
	v, err := keysOf(d.cfg, name, d.env.Clock)
	if err != nil {
		return nil, err
	}
	v.With(name, func(key, digest string) error {
		ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return lease.Agree(ask, d.db, key, digest)
	})
	d.months = append(d.months, v)
	if d.db.Postgres() {
		err = v.Ahead(0)
	}
	return v, err
}

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

// makeAhead makes the keys of the coming months: a copy of the folder that is made now
// holds them. It alarms where another desk has made one that is not here yet.
func (d *Desk) makeAhead() {
	for _, v := range d.months {
		if err := v.Ahead(aheadMonths); err != nil {
			d.env.Log.Error("the keys of the coming months are not all here", "alarm", true, "err", err)
		}
	}
}

// destroyOver destroys the keys of months that are over where one desk forgets the rows of
// all. Keys of columns and of sessions are destroyed by each desk's own sweep.
func (d *Desk) destroyOver(ctx context.Context) {
	for _, destroy := range []func(context.Context) error{d.views.DestroyKeys, d.contacts.DestroyKeys, d.privacy.DestroyKeys} {
		if err := destroy(ctx); err != nil && ctx.Err() == nil {
			d.env.Log.Error("keys of months that are over are still here", "alarm", true, "err", err)
		}
	}
}

// keepKeys makes keys ahead four times a day, and destroys those that are over, until ctx
// ends.
func (d *Desk) keepKeys(ctx context.Context) error {
	tick := time.NewTicker(6 * time.Hour)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			d.makeAhead()
			d.destroyOver(ctx)
		}
	}
}
