package desk

import (
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

// Appeals lists appeals in a state, those due first.
func Appeals(tx *store.Tx, state string, limit int) ([]Appeal, error) {
	return store.List(tx, readAppeal, `select `+appealColumns+` from desk_appeal where state=$1 order by due_at limit $2`, state, limit)
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
