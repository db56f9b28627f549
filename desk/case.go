package desk

import (
	"cmp"
	"slices"
	"time"

	"bolwerk"
	"bolwerk/internal/store"
)

// Case gathers what came in about one subject until it is decided.
type Case struct {
	ID         string    `json:"id"`
	Ref        string    `json:"ref"`
	Capability string    `json:"capability"`
	Subject    string    `json:"subject"`
	State      CaseState `json:"state"`
	Outcome    string    `json:"outcome,omitempty"`
	Priority   int64     `json:"priority"`
	WhyFirst   string    `json:"why_first"`
	OpenedAt   time.Time `json:"opened_at"`
	TouchedAt  time.Time `json:"touched_at"`
	ClosedAt   time.Time `json:"closed_at,omitzero"`
}

// CaseState is where a case stands.
type CaseState string

// The states of a case, in their order.
const (
	Gathering CaseState = "gathering" // no proposal stands yet: not in the queue
	Waiting   CaseState = "waiting"   // for a person
	Second    CaseState = "second"    // for a second person
	Decided   CaseState = "decided"   // done; more reports on it are answered at once
	Closed    CaseState = "closed"    // over: what was decided has ended or was withdrawn
)

// Open says that the case still waits for somebody.
func (s CaseState) Open() bool { return s == Gathering || s == Waiting || s == Second }

// CaseColumns are the columns that ReadCase reads.
const CaseColumns = `id,ref,capability,subject,state,outcome,priority,why_first,opened_at,touched_at,closed_at`

// ReadCase reads a row of CaseColumns.
func ReadCase(scan func(...any) error) (c Case, err error) {
	var opened, touched, closed int64
	err = scan(&c.ID, &c.Ref, &c.Capability, &c.Subject, &c.State, &c.Outcome, &c.Priority, &c.WhyFirst, &opened, &touched, &closed)
	c.OpenedAt, c.TouchedAt, c.ClosedAt = store.Time(opened), store.Time(touched), store.Time(closed)
	return c, err
}

// caseNumbers are how the numbers of a capability's cases begin: people tell by it
// whose a case is.
var caseNumbers = map[string]string{"shield": "C", "abuse": "AB"}

// OpenCase gives the open case about subject, or opens one in state Gathering.
// fresh says that it was opened now.
func OpenCase(tx *store.Tx, capability, subject string) (c Case, fresh bool, err error) {
	c, err = ReadCase(tx.Row(`select `+CaseColumns+` from desk_case where capability=$1 and subject=$2 and state in ('gathering','waiting','second')`, capability, subject).Scan)
	if err == nil || !store.None(err) {
		return c, false, err
	}
	ref, err := Number(tx, caseNumbers[capability])
	if err != nil {
		return c, false, err
	}
	c = Case{ID: bolwerk.NewID(tx.Now()), Ref: ref, Capability: capability, Subject: subject, State: Gathering, OpenedAt: tx.Now(), TouchedAt: tx.Now()}
	_, err = tx.Exec(`insert into desk_case(`+CaseColumns+`) values($1,$2,$3,$4,$5,'',0,'',$6,$7,0)`, c.ID, c.Ref, c.Capability, c.Subject, string(c.State), tx.NowMicros(), tx.NowMicros())
	return c, true, err
}

// LastCase gives the newest case about subject, open or not.
func LastCase(tx *store.Tx, capability, subject string) (Case, error) {
	c, err := ReadCase(tx.Row(`select `+CaseColumns+` from desk_case where capability=$1 and subject=$2 order by opened_at desc, id desc limit 1`, capability, subject).Scan)
	if store.None(err) {
		return c, bolwerk.NotFound("no case about %s", subject)
	}
	return c, err
}

// FindCase gives a case by its id or its number.
func FindCase(tx *store.Tx, id string) (Case, error) {
	c, err := ReadCase(tx.Row(`select `+CaseColumns+` from desk_case where id=$1 or ref=$1`, id).Scan)
	if store.None(err) {
		return c, bolwerk.WithHint(bolwerk.NotFound("no case %q", id), "bolwerk case list shows the cases and their ids")
	}
	return c, err
}

// SetCase moves a case to a state. from is what the caller believes it is in:
// somebody else may have been faster, which is bolwerk.ErrConflict.
func SetCase(tx *store.Tx, c Case, from, to CaseState, outcome string) error {
	closed := int64(0)
	if !to.Open() {
		closed = tx.NowMicros()
	}
	n, err := tx.Exec(`update desk_case set state=$1, outcome=$2, touched_at=$3, closed_at=$4 where id=$5 and state=$6`,
		string(to), outcome, tx.NowMicros(), closed, c.ID, string(from))
	if err == nil && n == 0 {
		return bolwerk.WithHint(bolwerk.Conflict("case %s is no longer %s: somebody else decided meanwhile", c.Ref, from), "look at the case again")
	}
	return err
}

// Prioritise sets how early a case is looked at, and why.
func Prioritise(tx *store.Tx, caseID string, priority int64, why string) error {
	_, err := tx.Exec(`update desk_case set priority=$1, why_first=$2, touched_at=$3 where id=$4`, priority, why, tx.NowMicros(), caseID)
	return err
}

// CaseFilter says which cases a list shows.
type CaseFilter struct {
	Capability string
	States     []CaseState // all where empty
	Query      string      // part of the subject
	After      string      // id of the last case of the page before
	Limit      int         // 1 to 500; 50 where 0
}

// Every gives the states that f lists.
func (f CaseFilter) Every() []CaseState {
	if len(f.States) == 0 {
		return []CaseState{Gathering, Waiting, Second, Decided, Closed}
	}
	return f.States
}

// In is the condition of the cases in one state that f lists.
func (f CaseFilter) In(state CaseState) (w Where) {
	w.And("capability=? and state=?", f.Capability, string(state))
	w.Like("subject", f.Query)
	return w
}

// Cases lists cases: those that wait by priority, then the newest first.
func Cases(tx *store.Tx, f CaseFilter) ([]Case, error) {
	prio, opened := int64(1)<<60, int64(1)<<60
	if f.After != "" {
		c, err := FindCase(tx, f.After)
		if err != nil {
			return nil, err
		}
		prio, opened = c.Priority, store.Micros(c.OpenedAt)
	}
	return EachState(f.Every(), pageSize(f.Limit), func(state CaseState, limit int) ([]Case, error) {
		w := f.In(state)
		w.And("(priority,opened_at,id)<(?,?,?)", prio, opened, below(f.After))
		query, args := w.Select(CaseColumns+" from desk_case", "priority desc, opened_at desc, id desc", limit)
		return store.List(tx, ReadCase, query, args...)
	}, First)
}

// First is the order of Cases.
func First(a, b Case) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), b.OpenedAt.Compare(a.OpenedAt), cmp.Compare(b.ID, a.ID))
}

// CasesByAge lists cases newest first, for programs that follow every page: a
// case's place does not move while they do, as it does with its priority.
//
// A search over most states walks all cases, newest first, and drops here what is
// not asked for: names that are looked for this way are frequent. Asked for each
// state, or with the states as a condition, PostgreSQL reads most of the table once
// it plans for any text.
func CasesByAge(tx *store.Tx, f CaseFilter) (out []Case, err error) {
	states, want := f.Every(), pageSize(f.Limit)
	for f.Query != "" && len(states) > 3 {
		var w Where
		w.Like("subject", f.Query)
		w.And("id<?", below(f.After))
		query, args := w.Select(CaseColumns+" from desk_case", "id desc", want)
		some, err := store.List(tx, ReadCase, query, args...)
		if err != nil {
			return nil, err
		}
		for _, c := range some {
			if c.Capability == f.Capability && slices.Contains(states, c.State) {
				out = append(out, c)
			}
		}
		if len(some) < want || len(out) >= want {
			return out[:min(len(out), want)], nil
		}
		f.After = some[len(some)-1].ID
	}
	return EachState(f.Every(), pageSize(f.Limit), func(state CaseState, limit int) ([]Case, error) {
		w := f.In(state)
		w.And("id<?", below(f.After))
		query, args := w.Select(CaseColumns+" from desk_case", "id desc", limit)
		return store.List(tx, ReadCase, query, args...)
	}, func(a, b Case) int { return cmp.Compare(b.ID, a.ID) })
}

// CountCases counts what Cases lists with f on all its pages.
func CountCases(tx *store.Tx, f CaseFilter) (all Counted, err error) {
	for _, state := range f.Every() {
		n, err := Count(tx, "desk_case", f.In(state))
		if err != nil {
			return all, err
		}
		all = all.Add(n)
	}
	return all, nil
}

// CountOpen counts the cases of a capability that are not decided, by state.
func CountOpen(tx *store.Tx, capability string) (map[CaseState]int64, error) {
	out := map[CaseState]int64{}
	err := tx.Each(`select state, count(*) from desk_case where capability=$1 and state in ('gathering','waiting','second') group by state`, []any{capability}, func(scan func(...any) error) error {
		var s CaseState
		var n int64
		err := scan(&s, &n)
		out[s] = n
		return err
	})
	return out, err
}
