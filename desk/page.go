package desk

import "bolwerk/internal/store"

// CasesByAge lists cases newest first, for programs that follow every page: a
// case's place does not move while they do, as it does with its priority.
func CasesByAge(tx *store.Tx, f CaseFilter) ([]Case, error) {
	in := [5]string{string(Gathering), string(Waiting), string(Second), string(Decided), string(Closed)}
	if len(f.States) > 0 {
		in = [5]string{}
		for i, s := range f.States[:min(len(f.States), len(in))] {
			in[i] = string(s)
		}
	}
	return store.List(tx, readCase, `select `+caseColumns+` from desk_case
		where capability=$1 and state in ($2,$3,$4,$5,$6) and subject like $7 escape '\' and (id<$8 or $8='') order by id desc limit $9`,
		f.Capability, in[0], in[1], in[2], in[3], in[4], "%"+EscapeLike(f.Query)+"%", f.After, pageSize(f.Limit))
}

// AppealsByAge lists appeals in a state ("" is any) from the newest id, for
// programs that follow every page.
func AppealsByAge(tx *store.Tx, state, after string, limit int) ([]Appeal, error) {
	return store.List(tx, readAppeal, `select `+appealColumns+` from desk_appeal where (state=$1 or $1='') and (id<$2 or $2='') order by id desc limit $3`,
		state, after, pageSize(limit))
}

// pageSize is how many rows a page has: 50 where nobody says, 500 at most.
func pageSize(limit int) int {
	if limit <= 0 {
		return 50
	}
	return min(limit, 500)
}
