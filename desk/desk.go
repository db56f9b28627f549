// Package desk is what every desk shares, in words and rows: receipt, case,
// proposal and approval, order, appeal, notice, retention. It knows no
// capability. All functions work inside the caller's transaction.
package desk

import (
	_ "embed"
	"fmt"

	"bolwerk/internal/store"
)

//go:embed schema.sql
var schema string

// Schema is the tables of this package.
func Schema() store.Schema { return store.Schema{Name: "desk", Steps: []string{schema}} }

// Number gives the next number of a kind in this year as people write it:
// Number(tx, "B") is "B-2026-000147".
func Number(tx *store.Tx, kind string) (string, error) {
	year := tx.Now().Year()
	var n int64
	err := tx.Row(`insert into desk_number(kind,year,last) values($1,$2,1)
		on conflict(kind,year) do update set last=desk_number.last+1 returning last`, kind, year).Scan(&n)
	return fmt.Sprintf("%s-%d-%06d", kind, year, n), err
}

// AddReceipt remembers what a code is the receipt of. hash is Token.Hash.
func AddReceipt(tx *store.Tx, hash, kind, ref string) error {
	_, err := tx.Exec(`insert into desk_receipt(hash,kind,ref,made_at) values($1,$2,$3,$4) on conflict(hash) do nothing`, hash, kind, ref, tx.NowMicros())
	return err
}
