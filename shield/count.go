package shield

import (
	"context"

	"bolwerk/desk"
	"bolwerk/internal/store"
)

// CountCases counts what Cases lists with f on all its pages.
func (s *Shield) CountCases(ctx context.Context, f desk.CaseFilter) (n desk.Counted, err error) {
	f.Capability = Name
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		if f.Query == "" {
			n, err = desk.CountCases(tx, f)
			return err
		}
		few, ok, err := s.searchCases(tx, f)
		if err == nil && !ok {
			states := f.Every()
			n, err = searched(tx, "desk_case", len(states), func(i int) desk.Where { return f.In(states[i]) })
			return err
		}
		n.N = int64(len(few))
		return err
	})
	return n, err
}

// CountBlocks counts what Blocks lists with f on all its pages.
func (s *Shield) CountBlocks(ctx context.Context, f BlockFilter) (all desk.Counted, err error) {
	states := f.states()
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		if f.Query != "" {
			f.After, f.Limit = "", 0
			few, ok, err := s.searchBlocks(tx, f)
			if err == nil && !ok {
				all, err = searched(tx, "shield_block", len(states), func(i int) desk.Where { return f.in(states[i]) })
				return err
			}
			all.N = int64(len(few))
			return err
		}
		for _, state := range states {
			n, err := desk.Count(tx, "shield_block", f.in(state))
			if err != nil {
				return err
			}
			all = all.Add(n)
		}
		return nil
	})
	return all, err
}

// CountOrders counts what Orders lists with f on all its pages.
func (s *Shield) CountOrders(ctx context.Context, f desk.OrderFilter) (n desk.Counted, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		if f.Query == "" {
			n, err = desk.CountOrders(tx, f)
			return err
		}
		f.After, f.Limit = "", 0
		few, ok, err := s.searchOrders(tx, f)
		if err == nil && !ok {
			states := f.Every()
			n, err = searched(tx, "desk_order", len(states), func(i int) desk.Where { return f.In(states[i]) })
			return err
		}
		n.N = int64(len(few))
		return err
	})
	return n, err
}

// CountAppeals counts what Appeals lists with f on all its pages.
func (s *Shield) CountAppeals(ctx context.Context, f desk.AppealFilter) (n desk.Counted, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error { n, err = desk.CountAppeals(tx, f); return err })
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
