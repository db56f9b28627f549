package desk

import (
	"cmp"
	"time"

	"bolwerk"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
)

// AppealTime is how long an appeal may wait for its decision. After that the
// capability withdraws what was appealed against, unless it is an order.
const AppealTime = 48 * time.Hour

// Appeal says "this is a mistake" about a measure.
type Appeal struct {
	ID         string        `json:"id"`
	Ref        string        `json:"ref"`
	Receipt    string        `json:"-"`
	Capability string        `json:"capability"`
	Object     string        `json:"object"` // reference of the measure; empty where the name is not blocked
	Subject    string        `json:"subject"`
	Role       string        `json:"role"`
	Text       string        `json:"text,omitempty"`
	Contact    string        `json:"contact,omitempty"`
	State      string        `json:"state"`
	Decision   string        `json:"decision,omitempty"`
	Actor      bolwerk.Actor `json:"actor,omitzero"`
	Reason     string        `json:"reason,omitempty"`
	ReceivedAt time.Time     `json:"received_at"`
	DueAt      time.Time     `json:"due_at"`
	DecidedAt  time.Time     `json:"decided_at,omitzero"`
}

// AddAppeal keeps an appeal. There is one open appeal a measure: a further one
// is added to it only by its receipt, and the first one's due time stands.
func AddAppeal(tx *store.Tx, v *vault.Vault, a Appeal) (Appeal, bool, error) {
	if a.Object != "" {
		open, err := readAppeal(tx.Row(`select `+appealColumns+` from desk_appeal where object=$1 and state='received'`, a.Object).Scan)
		if err == nil {
			return open, false, AddReceipt(tx, a.Receipt, "appeal", open.ID)
		}
		if !store.None(err) {
			return a, false, err
		}
	}
	text, err := v.Seal("appeal.text", []byte(a.Text))
	if err != nil {
		return a, false, err
	}
	var contact []byte
	if a.Contact != "" {
		if contact, err = v.Seal("appeal.contact", []byte(a.Contact)); err != nil {
			return a, false, err
		}
	}
	if a.Ref, err = Number(tx, "A"); err != nil {
		return a, false, err
	}
	a.State = "received"
	if a.ReceivedAt.IsZero() {
		a.ReceivedAt = tx.Now()
	}
	a.DueAt = a.ReceivedAt.Add(AppealTime)
	_, err = tx.Exec(`insert into desk_appeal(id,ref,receipt,capability,object,subject,role,text_sealed,contact_sealed,state,decision,actor,reason,received_at,due_at,decided_at)
		values($1,$2,$3,$4,$5,$6,$7,$8,$9,'received','','','',$10,$11,0) on conflict(id) do nothing`,
		a.ID, a.Ref, a.Receipt, a.Capability, a.Object, a.Subject, a.Role, text, contact, store.Micros(a.ReceivedAt), store.Micros(a.DueAt))
	if err != nil {
		return a, false, err
	}
	return a, true, AddReceipt(tx, a.Receipt, "appeal", a.ID)
}

const appealColumns = `id,ref,receipt,capability,object,subject,role,state,decision,actor,reason,received_at,due_at,decided_at`

func readAppeal(scan func(...any) error) (a Appeal, err error) {
	var actor string
	var received, due, decided int64
	if err := scan(&a.ID, &a.Ref, &a.Receipt, &a.Capability, &a.Object, &a.Subject, &a.Role, &a.State, &a.Decision, &actor, &a.Reason, &received, &due, &decided); err != nil {
		return a, err
	}
	a.ReceivedAt, a.DueAt, a.DecidedAt = store.Time(received), store.Time(due), store.Time(decided)
	if actor != "" {
		a.Actor, err = bolwerk.ParseActor(actor)
	}
	return a, err
}

// FindAppeal gives an appeal by id or number, with its text and contact as far
// as they are still kept.
func FindAppeal(tx *store.Tx, v *vault.Vault, id string) (Appeal, error) {
	a, err := readAppeal(tx.Row(`select `+appealColumns+` from desk_appeal where id=$1 or ref=$1`, id).Scan)
	if store.None(err) {
		return a, bolwerk.NotFound("no appeal %q", id)
	}
	if err != nil {
		return a, err
	}
	var text, contact []byte
	if err := tx.Row(`select text_sealed, contact_sealed from desk_appeal where id=$1`, a.ID).Scan(&text, &contact); err != nil {
		return a, err
	}
	if b, err := v.Open("appeal.text", text); err == nil {
		a.Text = string(b)
	}
	if b, err := v.Open("appeal.contact", contact); err == nil {
		a.Contact = string(b)
	}
	return a, nil
}

// AppealFilter says which appeals a list shows.
type AppealFilter struct {
	State string // received or decided; both where empty
	Query string // part of the name
	After string // id of the last one of the page before
	Limit int    // 1 to 500; 50 where 0
}

func (f AppealFilter) states() []string {
	if f.State == "" {
		return []string{"received", "decided"}
	}
	return []string{f.State}
}

func (f AppealFilter) in(state string) (w Where) {
	w.And("state=?", state)
	w.Like("subject", f.Query)
	return w
}

// Appeals lists appeals: of those that wait the ones that are due first, of
// those that are decided the newest first.
func Appeals(tx *store.Tx, f AppealFilter) ([]Appeal, error) {
	var due int64
	if f.After != "" {
		if err := tx.Row(`select due_at from desk_appeal where id=$1`, f.After).Scan(&due); err != nil {
			if store.None(err) {
				return nil, bolwerk.NotFound("no appeal %q", f.After)
			}
			return nil, err
		}
	}
	limit := pageSize(f.Limit)
	w, order := f.in(f.State), "due_at, id"
	if f.State == "decided" {
		order = "due_at desc, id desc"
		if f.After != "" {
			w.And("(due_at,id)<(?,?)", due, f.After)
		}
	} else if f.After != "" {
		w.And("(due_at,id)>(?,?)", due, f.After)
	}
	query, args := w.Select(appealColumns+" from desk_appeal", order, limit)
	return store.List(tx, readAppeal, query, args...)
}

// AppealsByAge lists appeals newest first, for programs that follow every page.
func AppealsByAge(tx *store.Tx, f AppealFilter) ([]Appeal, error) {
	return EachState(f.states(), pageSize(f.Limit), func(state string, limit int) ([]Appeal, error) {
		w := f.in(state)
		w.And("id<?", below(f.After))
		query, args := w.Select(appealColumns+" from desk_appeal", "id desc", limit)
		return store.List(tx, readAppeal, query, args...)
	}, func(a, b Appeal) int { return cmp.Compare(b.ID, a.ID) })
}

// CountAppeals counts what f lists on all its pages.
func CountAppeals(tx *store.Tx, f AppealFilter) (all Counted, err error) {
	for _, state := range f.states() {
		n, err := Count(tx, "desk_appeal", f.in(state))
		if err != nil {
			return all, err
		}
		all = all.Add(n)
	}
	return all, nil
}

// AppealsAbout lists the appeals against a measure, oldest first.
func AppealsAbout(tx *store.Tx, object string) ([]Appeal, error) {
	return store.List(tx, readAppeal, `select `+appealColumns+` from desk_appeal where object=$1 order by received_at limit 100`, object)
}

// DecideAppeal ends an appeal: decision is "upheld" or "rejected".
func DecideAppeal(tx *store.Tx, a Appeal, decision, reason string, actor bolwerk.Actor) error {
	if decision != "upheld" && decision != "rejected" {
		return bolwerk.Invalid("decision %q: want upheld or rejected", decision)
	}
	n, err := tx.Exec(`update desk_appeal set state='decided', decision=$1, reason=$2, actor=$3, decided_at=$4 where id=$5 and state='received'`,
		decision, reason, actor.String(), tx.NowMicros(), a.ID)
	if err == nil && n == 0 {
		return bolwerk.Conflict("appeal %s is decided already", a.Ref)
	}
	return err
}
