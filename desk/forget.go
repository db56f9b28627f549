package desk

import (
	"time"

	"bolwerk"
	"bolwerk/internal/store"
)

// Forget removes at most some rows of each kind that belong to no case and that
// were over before a time: orders without a measure, appeals, notices, proposals.
// It returns how many; 0 is the end.
func Forget(tx *store.Tx, before time.Time, some int) (total int, err error) {
	us, id := store.Micros(before), bolwerk.IDsFrom(before)
	for _, q := range []struct {
		text string
		args []any
	}{
		{`delete from desk_order where id in (select id from desk_order where state in ('lifted','ended','refused') and id<$1 and changed_at<$2 limit $3)`, []any{id, us, some}},
		{`delete from desk_receipt where hash in (select receipt from desk_appeal where state='decided' and id<$1 and decided_at<$2 order by id limit $3)`, []any{id, us, some}},
		{`delete from desk_appeal where id in (select id from desk_appeal where state='decided' and id<$1 and decided_at<$2 order by id limit $3)`, []any{id, us, some}},
		{`delete from desk_notice where id in (select id from desk_notice where id<$1 limit $2)`, []any{id, some}},
		{`delete from desk_approval where proposal in (select id from desk_proposal where state<>'open' and id<$1 and case_id='' order by id limit $2)`, []any{id, some}},
		{`delete from desk_proposal where id in (select id from desk_proposal where state<>'open' and id<$1 and case_id='' order by id limit $2)`, []any{id, some}},
	} {
		n, err := tx.Exec(q.text, q.args...)
		if err != nil {
			return total, err
		}
		total += int(n)
	}
	return total, nil
}
