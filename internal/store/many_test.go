package store_test

import (
	"fmt"
	"slices"
	"testing"

	"bolwerk/internal/store"
)

func TestManyRowsAreWrittenAndFoundWithFewStatements(t *testing.T) {
	db := open(t)
	for _, n := range []int{0, 1, 3, 127, 128, 300} {
		err := db.Write(t.Context(), store.Intake, func(tx *store.Tx) error {
			if _, err := tx.Exec(`delete from line`); err != nil {
				return err
			}
			var rows [][]any
			var ids []string
			for i := range n {
				ids = append(ids, fmt.Sprintf("%04d", i))
				rows = append(rows, []any{ids[i], 7})
			}
			if err := store.Rows(tx, `insert into line(name,n)`, rows, ` on conflict(name) do update set n=8`); err != nil {
				return err
			}
			found := 0
			for part := range slices.Chunk(append(ids, "none"), store.ListMost) {
				in, args := store.In(2, part)
				var got int
				if err := tx.Row(`select count(*) from line where n=$1 and name in (`+in+`)`, append([]any{7}, args...)...).Scan(&got); err != nil {
					return err
				}
				found += got
			}
			if found != n {
				t.Errorf("%d of %d rows found", found, n)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
