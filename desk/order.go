package desk

import (
	"cmp"
	"time"

	"bolwerk"
	"bolwerk/internal/store"
)

// Order is a decision that somebody else has the right to make: a national
// CERT, a court, a regulator. Issuer, ground, validity and action are theirs.
type Order struct {
	ID         string    `json:"id"`
	Ref        string    `json:"ref"`
	Issuer     string    `json:"issuer"`
	External   string    `json:"external"` // the issuer's own number
	Version    int64     `json:"version"`  // the issuer's version or time of change: an older one changes nothing
	Action     string    `json:"action"`
	Subject    string    `json:"name"`
	Scope      string    `json:"scope"`
	Ground     string    `json:"ground"`
	ValidFrom  time.Time `json:"valid_from,omitzero"`
	ValidUntil time.Time `json:"valid_until,omitzero"`
	State      string    `json:"state"` // held, in_force, refused, lifted, ended
	Reason     string    `json:"reason,omitempty"`
	Object     string    `json:"object,omitempty"` // the measure that carries it out
	ReceivedAt time.Time `json:"received_at"`
	ChangedAt  time.Time `json:"changed_at"`
}

// OrderColumns are the columns that ReadOrder reads.
const OrderColumns = `id,ref,issuer,external,version,action,subject,scope,ground,valid_from,valid_until,state,reason,object,received_at,changed_at`

// ReadOrder reads a row of OrderColumns.
func ReadOrder(scan func(...any) error) (o Order, err error) {
	var from, until, received, changed int64
	err = scan(&o.ID, &o.Ref, &o.Issuer, &o.External, &o.Version, &o.Action, &o.Subject, &o.Scope, &o.Ground, &from, &until, &o.State, &o.Reason, &o.Object, &received, &changed)
	o.ValidFrom, o.ValidUntil, o.ReceivedAt, o.ChangedAt = store.Time(from), store.Time(until), store.Time(received), store.Time(changed)
	return o, err
}

// PutOrder keeps an order as it stands now.
func PutOrder(tx *store.Tx, o Order) (Order, error) {
	if o.ID == "" {
		o.ID, o.ReceivedAt = bolwerk.NewID(tx.Now()), tx.Now()
		var err error
		if o.Ref, err = Number(tx, "O"); err != nil {
			return o, err
		}
	}
	o.ChangedAt = tx.Now()
	_, err := tx.Exec(`insert into desk_order(`+OrderColumns+`) values($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16)
		on conflict(id) do update set version=excluded.version, action=excluded.action, subject=excluded.subject, scope=excluded.scope, ground=excluded.ground,
		valid_from=excluded.valid_from, valid_until=excluded.valid_until, state=excluded.state, reason=excluded.reason, object=excluded.object, changed_at=excluded.changed_at`,
		o.ID, o.Ref, o.Issuer, o.External, o.Version, o.Action, o.Subject, o.Scope, o.Ground, store.Micros(o.ValidFrom), store.Micros(o.ValidUntil),
		o.State, o.Reason, o.Object, store.Micros(o.ReceivedAt), store.Micros(o.ChangedAt))
	return o, err
}

// IssuerOrder gives an issuer's order by its own number.
func IssuerOrder(tx *store.Tx, issuer, external string) (Order, error) {
	o, err := ReadOrder(tx.Row(`select `+OrderColumns+` from desk_order where issuer=$1 and external=$2`, issuer, external).Scan)
	if store.None(err) {
		return o, bolwerk.NotFound("no order %s of %s", external, issuer)
	}
	return o, err
}

// FindOrder gives an order by its id or our number.
func FindOrder(tx *store.Tx, id string) (Order, error) {
	o, err := ReadOrder(tx.Row(`select `+OrderColumns+` from desk_order where id=$1 or ref=$1`, id).Scan)
	if store.None(err) {
		return o, bolwerk.WithHint(bolwerk.NotFound("no order %q", id), "bolwerk order list shows the orders and their ids")
	}
	return o, err
}

// OrderFilter says which orders a list shows.
type OrderFilter struct {
	Issuer string // all where empty
	State  string // all where empty
	Query  string // part of the name
	After  string // id of the last one of the page before
	Limit  int    // 50 where 0
}

// Every gives the states that f lists.
func (f OrderFilter) Every() []string {
	if f.State == "" {
		return []string{"held", "in_force", "refused", "lifted", "ended"}
	}
	return []string{f.State}
}

// In is the condition of the orders in one state that f lists.
func (f OrderFilter) In(state string) (w Where) {
	if f.Issuer != "" {
		w.And("issuer=?", f.Issuer)
	}
	w.And("state=?", state)
	w.Like("subject", f.Query)
	return w
}

// Orders lists orders, newest first.
func Orders(tx *store.Tx, f OrderFilter) ([]Order, error) {
	if f.Limit <= 0 {
		f.Limit = pageSize(0)
	}
	return EachState(f.Every(), f.Limit, func(state string, limit int) ([]Order, error) {
		w := f.In(state)
		w.And("id<?", below(f.After))
		query, args := w.Select(OrderColumns+" from desk_order", "id desc", limit)
		return store.List(tx, ReadOrder, query, args...)
	}, func(a, b Order) int { return cmp.Compare(b.ID, a.ID) })
}

// CountOrders counts what Orders lists with f on all its pages.
func CountOrders(tx *store.Tx, f OrderFilter) (all Counted, err error) {
	for _, state := range f.Every() {
		n, err := Count(tx, "desk_order", f.In(state))
		if err != nil {
			return all, err
		}
		all = all.Add(n)
	}
	return all, nil
}

// HeldOrders lists the oldest orders of an issuer that are held back, and were
// so before a time.
func HeldOrders(tx *store.Tx, issuer string, before time.Time, limit int) ([]Order, error) {
	return store.List(tx, ReadOrder, `select `+OrderColumns+` from desk_order where issuer=$1 and state='held' and changed_at<=$2 order by id limit $3`, issuer, store.Micros(before), limit)
}
