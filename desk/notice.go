package desk

import (
	"time"

	"bolwerk"
	"bolwerk/internal/job"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
)

// Notice is one mail that tells somebody outside something.
type Notice struct {
	ID   string
	Kind string // which text, such as "shield.answer"
	Ref  string // what it answers: one notice of a kind for each
	Lang bolwerk.Lang
	To   string
	Body []byte // the whole message, ready for the relay
}

// NoticeJob is the kind of job that sends notices; its Ref is the notice's ID.
const NoticeJob = "notice"

// AddNotice keeps a notice and asks for it to be sent. day, where not empty, is
// a keyed hash of the address: it gets at most one mail a UTC day, and false is
// returned where it had one already. Asking twice for the same kind and ref
// sends once.
func AddNotice(tx *store.Tx, v *vault.Vault, n Notice, day string) (bool, error) {
	var have int64
	if err := tx.Row(`select count(*) from desk_notice where kind=$1 and ref=$2`, n.Kind, n.Ref).Scan(&have); err != nil || have > 0 {
		return false, err
	}
	state := "waiting"
	if day != "" {
		took, err := tx.Exec(`insert into desk_notice_day(mark,day) values($1,$2) on conflict(mark,day) do nothing`, day, tx.Now().Unix()/86400)
		if err != nil {
			return false, err
		}
		if took == 0 {
			state = "dropped"
		}
	}
	id := bolwerk.NewID(tx.Now())
	var to, body []byte
	if state == "waiting" {
		var err error
		if to, err = v.Seal("notice.to", []byte(n.To)); err != nil {
			return false, err
		}
		if body, err = v.Seal("notice.body", n.Body); err != nil {
			return false, err
		}
	}
	if _, err := tx.Exec(`insert into desk_notice(id,kind,ref,lang,to_sealed,body_sealed,state,made_at,sent_at) values($1,$2,$3,$4,$5,$6,$7,$8,0)`,
		id, n.Kind, n.Ref, string(n.Lang), to, body, state, tx.NowMicros()); err != nil || state != "waiting" {
		return false, err
	}
	return true, job.AddBy(tx, NoticeJob, n.Kind, id, id, tx.Now()) // an alarm does not wait behind a thousand answers
}

// WaitingNotice gives a notice that is still to be sent, opened.
func WaitingNotice(tx *store.Tx, v *vault.Vault, id string) (Notice, error) {
	n := Notice{ID: id}
	var to, body []byte
	err := tx.Row(`select kind,ref,lang,to_sealed,body_sealed from desk_notice where id=$1 and state='waiting'`, id).Scan(&n.Kind, &n.Ref, &n.Lang, &to, &body)
	if store.None(err) {
		return n, bolwerk.NotFound("no notice %s waits", id)
	}
	if err != nil {
		return n, err
	}
	addr, err := v.Open("notice.to", to)
	if err != nil {
		return n, err
	}
	n.To = string(addr)
	n.Body, err = v.Open("notice.body", body)
	return n, err
}

// NoticeSent forgets the address and the text of a notice that went out.
func NoticeSent(tx *store.Tx, id string) error {
	_, err := tx.Exec(`update desk_notice set state='sent', sent_at=$1, to_sealed=null, body_sealed=null where id=$2 and state='waiting'`, tx.NowMicros(), id)
	return err
}

// NoticeTime is how long how to reach people is kept after the answer.
const NoticeTime = 7 * 24 * time.Hour

// Expire forgets what the retention of this package says, and returns how many
// rows it touched.
func Expire(tx *store.Tx) (int64, error) {
	old := store.Micros(tx.Now().Add(-NoticeTime))
	var total int64
	for _, q := range []string{
		`update desk_notice set to_sealed=null, body_sealed=null, state=case when state='waiting' then 'failed' else state end where made_at<$1 and to_sealed is not null`,
		`update desk_appeal set text_sealed=null, contact_sealed=null where state='decided' and decided_at<$1 and text_sealed is not null`,
	} {
		n, err := tx.Exec(q, old)
		if err != nil {
			return total, err
		}
		total += n
	}
	n, err := tx.Exec(`delete from desk_notice_day where day<$1`, tx.Now().Unix()/86400-7)
	return total + n, err
}
