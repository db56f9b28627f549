package shield

import (
	"context"

	"bolwerk/desk"
	"bolwerk/internal/store"
)

// CountCases counts what Cases lists with f on all its pages.
func (s *Shield) CountCases(ctx context.Context, f desk.CaseFilter) (n int64, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		for _, state := range f.States {
			var some int64
			if err := tx.Row(`select count(*) from desk_case where capability=$1 and state=$2 and subject like $3 escape '\'`,
				Name, string(state), "%"+desk.EscapeLike(f.Query)+"%").Scan(&some); err != nil {
				return err
			}
			n += some
		}
		return nil
	})
	return n, err
}

// CountBlocks counts what Blocks lists with f on all its pages.
func (s *Shield) CountBlocks(ctx context.Context, f BlockFilter) (n int64, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select count(*) from shield_block where pass=$1 and (state=$2 or $2='') and name like $3 escape '\'`,
			f.Pass, string(f.State), "%"+desk.EscapeLike(f.Query)+"%").Scan(&n)
	})
	return n, err
}

// CountOrders counts what Orders lists on all its pages.
func (s *Shield) CountOrders(ctx context.Context, issuer, state string) (n int64, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select count(*) from desk_order where (issuer=$1 or $1='') and (state=$2 or $2='')`, issuer, state).Scan(&n)
	})
	return n, err
}

// HeldOrders is how many orders of an issuer are held back, and why.
type HeldOrders struct {
	Issuer string `json:"issuer"`
	Why    string `json:"why"`
	Count  int64  `json:"orders"`
}

// HeldBack lists what waits for ReleaseOrders.
func (s *Shield) HeldBack(ctx context.Context) (out []HeldOrders, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		out, err = store.List(tx, func(scan func(...any) error) (h HeldOrders, err error) {
			err = scan(&h.Issuer, &h.Why, &h.Count)
			return h, err
		}, `select issuer,reason,count(*) from desk_order where state='held' group by issuer,reason order by issuer,reason`)
		return err
	})
	return out, err
}
