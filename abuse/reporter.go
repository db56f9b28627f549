package abuse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"bolwerk"
	"bolwerk/abuse/clean"
	"bolwerk/abuse/door"
	"bolwerk/abuse/notice"
	"bolwerk/abuse/reading"
	"bolwerk/desk"
	"bolwerk/internal/job"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
)

// answerJob writes one mail to a reporter with the outcomes of a day; its Ref is the
// keyed hash of whom it goes to.
const answerJob = "abuse.answer"

const (
	// answerAt is when on a day (UTC) a mail with outcomes is written, once reporters see
	// them (outcomeAt). All that came to an end on a day is told at one time: the moment
	// of a mail would say which reports are about one line.
	answerAt    = 6 * time.Hour
	answerSoon  = 10 * time.Minute // what ends so short before it is told a day later: its job may run already
	answerMost  = 100              // reports in one mail; the rest is told a day later
	markAnswer  = "abuse.answer"
	answerKind  = "abuse.outcome"
	replyYes    = "yes"
	replyFeed   = "feed"     // it comes every day, and a program reads it
	replyNoMail = "not_mail" // its sender holds a code, or nobody proved who it was
)

// reply is how a reporter is written to.
type reply struct {
	To        string       `json:"to"`
	MessageID string       `json:"message_id,omitempty"`
	Lang      bolwerk.Lang `json:"lang"`
}

// replyOf says to whom the outcome of a report is mailed, or why to nobody: only a
// person who sent a mail, and whose address is proved, is written to.
func (d *Desk) replyOf(in door.Report, format reading.Format, feed string, o *reading.Outer) (r reply, why string) {
	switch {
	case in.Channel != door.ByMail || o == nil:
		return r, replyNoMail
	case feed != "" || slices.Contains(programs, format):
		return r, replyFeed
	}
	var from mail.Address
	if len(o.From) == 1 {
		from, _ = mail.ParseAddress(o.From[0])
	}
	proved, _ := mail.Proved(o.Auth, d.p.AuthservIDs, from)
	to, silence := mail.MayAnswer(mail.Outer{From: o.From, ReturnPath: in.From, AutoSubmitted: o.AutoSubmitted, Precedence: o.Precedence, Suppress: o.Suppress,
		ContentType: o.ContentType, List: o.List, Proved: proved || in.OwnNetwork}, append(slices.Clone(d.p.OwnAddresses), d.cfg.Addresses...))
	if silence != "" {
		return r, string(silence)
	}
	r = reply{To: to.String(), MessageID: o.MessageID, Lang: bolwerk.EN} // the language of the field
	if slices.Contains(bolwerk.Langs(), bolwerk.Lang(o.Lang)) {
		r.Lang = bolwerk.Lang(o.Lang)
	}
	return r, replyYes
}

// programs are formats that only programs send, unasked and day by day.
var programs = []reading.Format{reading.Shadowserver, reading.AbuseHub, reading.SpamCop, reading.Cyscon, reading.HoneyPot, reading.Webiron, reading.SafeBrowsing,
	reading.N6, reading.Cymru, reading.Spamhaus, reading.Anubis, reading.CTIP, reading.ZoneH}

// end is what a reporter is told once a report is over.
type end struct {
	reply, answer string
	answered      int64
	sealed        []byte
}

// answer plans the mail with a report's outcome, or takes the plan back where a case
// began again before it was written. code is what the reporter sees now.
func (d *Desk) answer(tx *store.Tx, id string, s standing, code Code, over bool) error {
	if d.inform == nil || s.total > 0 && s.repeated == s.total {
		return nil // all of it was told before: so is its outcome
	}
	var e end
	err := tx.Row(`select reply,answer,answered_at,reply_sealed from abuse_report where id=$1`, id).Scan(&e.reply, &e.answer, &e.answered, &e.sealed)
	if err != nil || e.reply != replyYes || e.answered > 0 {
		return err
	}
	over = s.state == "done" && (over || s.joined == 0)
	switch {
	case !over && e.answer != "":
		_, err := tx.Exec(`update abuse_report set answer='' where id=$1`, id)
		return err
	case !over || e.answer != "" || len(e.sealed) == 0:
		return nil
	}
	r, err := d.openReply(e.sealed)
	if errors.Is(err, bolwerk.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	to, err := mail.ParseAddress(r.To)
	if err != nil {
		return err
	}
	mark, err := d.p.Vault.Mark(markAnswer, to.Key())
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`update abuse_report set answer=$1 where id=$2`, mark, id); err != nil {
		return err
	}
	return answerNext(tx, mark)
}

// answerNext has the mail written at the next time for it.
func answerNext(tx *store.Tx, mark string) error {
	day := tx.Now().UTC().Add(answerSoon - answerAt).Truncate(24 * time.Hour).Add(24 * time.Hour)
	return job.Add(tx, answerJob, mark+"/"+strconv.FormatInt(int64(clean.DayOf(day)), 10), mark, day.Add(answerAt))
}

func (d *Desk) openReply(sealed []byte) (r reply, err error) {
	plain, err := d.p.Vault.Open(SealedReply, sealed)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(plain, &r)
}

// answerReporter writes the mail of a day: one for each reporter.
func (d *Desk) answerReporter(ctx context.Context, j job.Job) error {
	return d.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		var to reply
		var all []notice.Outcome
		var ids []string
		err := tx.Each(`select id,ref,code,received_at,not_ours,total,joined,reply_sealed from abuse_report where answer=$1 and answered_at=0 order by id limit $2`, []any{j.Ref, answerMost}, func(scan func(...any) error) error {
			var id string
			var o notice.Outcome
			var at, notOurs, total, joined int64
			var sealed []byte
			if err := scan(&id, &o.Ref, &o.Code, &at, &notOurs, &total, &joined, &sealed); err != nil {
				return err
			}
			ids = append(ids, id)
			if len(sealed) == 0 {
				return nil // its time is over
			}
			r, err := d.openReply(sealed)
			if errors.Is(err, bolwerk.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			if to.To == "" {
				to = r
			}
			o.Day = store.Time(at)
			if o.Code == string(NotResolvable) && total > 0 && notOurs == total {
				o.Code = notice.NotOurs
			}
			all = append(all, o)
			return nil
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if _, err := tx.Exec(`update abuse_report set answered_at=$1, reply_sealed=null where id=$2`, tx.NowMicros(), id); err != nil {
				return err
			}
		}
		if len(ids) == answerMost {
			if err := answerNext(tx, j.Ref); err != nil {
				return err
			}
		}
		if len(all) == 0 {
			return nil
		}
		return d.sendOutcome(tx, j.ID, to, all)
	})
}

// sendOutcome gives the mail to the notices of the desk, which forget it once it left.
func (d *Desk) sendOutcome(tx *store.Tx, id string, to reply, all []notice.Outcome) error {
	addr, err := mail.ParseAddress(to.To)
	if err != nil {
		return err
	}
	m := d.inform.Outcome(id, addr, to.Lang, all, tx.Now())
	if len(all) == 1 {
		m.InReplyTo = to.MessageID
	}
	if _, err := m.Bytes(); err != nil {
		return fmt.Errorf("compose the outcome for a reporter: %w", err)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	tx.After(func() { d.count.answers.WithLabelValues("mailed").Inc() })
	_, err = desk.AddNotice(tx, d.p.Vault, desk.Notice{Kind: answerKind, Ref: id, Lang: to.Lang, To: to.To, Body: body}, "")
	return err
}
