package hosts

import (
	"context"
	"encoding/json"

	"bolwerk/internal/copy"
	"bolwerk/internal/join"
	"bolwerk/internal/publish"
	"bolwerk/internal/relay"
	"bolwerk/internal/store"
)

// Relays serve edges in the desk's place, so they have to know which edges are in.
// That is a copy of its own: it changes in the transaction that lets an edge in or
// puts it out.

// Publish has every change told to relays from now on, and tells what they have not
// been told yet.
func (l *List) Publish(ctx context.Context, p *publish.Desk) error {
	l.publish = p
	return l.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		all, err := Every(tx)
		if err != nil {
			return err
		}
		for _, h := range all {
			if err := l.tell(tx, h.Name); err != nil {
				return err
			}
		}
		return nil
	})
}

// tell publishes a host as it stands, where relays do not have it so.
func (l *List) tell(tx *store.Tx, name string) error {
	if l.publish == nil {
		return nil
	}
	var now relay.In
	var revoked int64
	if err := tx.Row(`select role,join_id,revoked_at from host where name=$1`, name).Scan(&now.Role, &now.Join, &revoked); err != nil {
		return err
	}
	in := now.Role == join.Edge && revoked == 0
	var version int64
	var body string
	err := tx.Row(`select version,body from copy_entry where copy=$1 and id=$2`, relay.Copy, name).Scan(&version, &body)
	if err != nil && !store.None(err) {
		return err
	}
	had := err == nil
	raw, err := json.Marshal(now)
	if err != nil || had == in && (!in || body == string(raw)) {
		return err
	}
	e := copy.Entry{ID: name, Version: max(version+1, tx.NowMicros()), Removed: !in}
	if in {
		e.Body = raw
	}
	l.publish.Append(tx, relay.Copy, e, nil)
	return nil
}

// BeginRestore begins a new epoch of the copy, after a store was brought back to an
// older day. A relay that has seen an edge put out goes on keeping it out.
func BeginRestore(tx *store.Tx, p *publish.Desk, floor int64) error {
	_, _, err := p.NewEpoch(tx, relay.Copy, floor, 0)
	return err
}

// Edges are the names of the edges that are in.
func (l *List) Edges(ctx context.Context) (map[string]bool, error) {
	all, err := l.All(ctx)
	in := map[string]bool{}
	for _, h := range all {
		if h.Role == string(join.Edge) && h.State == "in" {
			in[h.Name] = true
		}
	}
	return in, err
}
