package lease

import (
	"context"

	"bolwerk"
	"bolwerk/internal/store"
)

// Agree says whether this desk has the key that the desks at the store use under a
// name. digest tells keys apart; it is empty where this desk has none and would make
// one. The first desk that names a digest decides.
func Agree(ctx context.Context, db *store.DB, name, digest string) error {
	if !db.Postgres() {
		return nil // there is no other desk
	}
	have := ""
	err := db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if digest != "" {
			if _, err := tx.Exec(`insert into desk_key(name,digest,at) values($1,$2,$3) on conflict(name) do nothing`, name, digest, tx.NowMicros()); err != nil {
				return err
			}
		}
		err := tx.Row(`select digest from desk_key where name=$1`, name).Scan(&have)
		if store.None(err) {
			return nil
		}
		return err
	})
	switch {
	case err != nil || have == digest:
		return err
	case digest == "":
		err = bolwerk.Conflict("key %s: another desk at this store has made it, and it is not here", name)
	default:
		err = bolwerk.Conflict("key %s: it is another than the one that the desks at this store use", name)
	}
	return bolwerk.WithHint(err, "copy the folder desk/keys from the first desk's data folder to this one's, with the same owner and modes")
}
