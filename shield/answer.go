package shield

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/job"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
	"bolwerk/shield/door"
)

// Sender hands a mail to the operator's relay.
type Sender interface {
	Send(ctx context.Context, m mail.Message) error
}

// answerJob answers a report for which no decision has come in time.
const answerJob = "shield.answer"

// outcomes in the order in which they matter to a reporter with several links.
var outcomes = []string{"blocked", "waiting", "rejected"}

// outcomeOf says how a report stands: the best of its cases.
func outcomeOf(tx *store.Tx, report string) (outcome string, block Block, err error) {
	states, err := store.List(tx, func(scan func(...any) error) (c [3]string, err error) {
		err = scan(&c[0], &c[1], &c[2])
		return c, err
	}, `select distinct c.state, c.outcome, s.block from shield_link l join shield_observable o on o.id=l.observable
		join desk_case c on c.id=o.case_id join shield_case s on s.id=c.id where l.report=$1 limit 1000`, report)
	if err != nil || len(states) == 0 {
		return "", block, err
	}
	have := map[string]string{}
	for _, c := range states {
		if desk.CaseState(c[0]).Open() {
			have["waiting"] = ""
		} else {
			have[c[1]] = c[2]
		}
	}
	for _, o := range outcomes {
		if id, ok := have[o]; ok {
			if id != "" {
				block, err = findBlock(tx, id)
			}
			return o, block, err
		}
	}
	return "", block, nil
}

// settle brings a report's outcome, receipt and answer up to date. It may be
// called any number of times.
func (s *Shield) settle(tx *store.Tx, report string, late bool) error {
	var r struct {
		state, outcome, receipt, reply, brand, lang string
		received, answered                          int64
		token, to, messageID                        []byte
	}
	err := tx.Row(`select state,outcome,receipt,reply,brand,lang,received_at,answered_at,token_sealed,reply_sealed,message_id_sealed from shield_report where id=$1`, report).
		Scan(&r.state, &r.outcome, &r.receipt, &r.reply, &r.brand, &r.lang, &r.received, &r.answered, &r.token, &r.to, &r.messageID)
	if err != nil || r.state == "received" {
		return err
	}
	outcome, block := r.outcome, Block{}
	if r.state == "read" && r.outcome != "training" {
		if outcome, block, err = outcomeOf(tx, report); err != nil {
			return err
		}
		if outcome == "" {
			outcome = "clean" // every link leads to where it says
		}
		var pictures bool // they may say more
		if err := tx.Row(`select exists(select 1 from shield_picture where report=$1)`, report).Scan(&pictures); err != nil {
			return err
		}
		if pictures && outcome != "blocked" {
			outcome = "waiting"
		}
	}
	state := outcome
	if r.state != "read" {
		state = r.state
	}
	rc := door.Receipt{Kind: "report", State: state, At: store.Time(r.received), Changed: tx.Now()}
	if block.ID != "" {
		rc.Name, rc.Block, rc.Changed = block.Name.String(), block.Ref, block.From
	}
	if rc.Number, rc.Same, err = nth(tx, report); err != nil {
		return err
	}
	s.publishReceipt(tx, r.receipt, rc)
	if _, err := tx.Exec(`update shield_report set outcome=$1 where id=$2`, outcome, report); err != nil {
		return err
	}
	final := state != "waiting"
	if r.answered != 0 || !final && !late {
		return nil
	}
	if _, err := tx.Exec(`update shield_report set answered_at=$1 where id=$2`, tx.NowMicros(), report); err != nil {
		return err
	}
	if r.reply == "yes" {
		if err := s.answer(tx, report, s.voices[r.brand].or(s.voices[""]), bolwerk.Lang(r.lang), state, block, r.token, r.to, r.messageID); err != nil {
			return err
		}
	}
	_, err = tx.Exec(`update shield_report set token_sealed=null, reply_sealed=null, message_id_sealed=null where id=$1`, report)
	return err
}

// nth says how many-eth report about its most reported observable a report is,
// and under which key the public copy counts those reports.
func nth(tx *store.Tx, report string) (number int64, same string, err error) {
	var observable string
	err = tx.Row(`select l.nth, o.id from shield_link l join shield_observable o on o.id=l.observable where l.report=$1 order by o.reports desc limit 1`, report).Scan(&number, &observable)
	if store.None(err) {
		return 0, "", nil
	}
	return number, countKey(observable), err
}

// answer queues the one mail that a reporter gets. It holds nothing of what the
// reporter or the phisher wrote.
func (s *Shield) answer(tx *store.Tx, report string, v voice, lang bolwerk.Lang, state string, block Block, token, to, messageID []byte) error {
	addr, err := s.vault.Open("report.reply", to)
	if err != nil {
		return ignoreGone(err)
	}
	code, err := s.vault.Open("report.token", token)
	if err != nil {
		return ignoreGone(err)
	}
	id, err := s.vault.Open("report.message_id", messageID)
	if err != nil && len(messageID) > 0 {
		return ignoreGone(err)
	}
	t, err := bolwerk.ParseToken(string(code))
	if err != nil {
		return err
	}
	reporter, err := mail.ParseAddress(string(addr))
	if err != nil {
		return err
	}
	subject, text := v.answer(lang, state, t, block)
	m := mail.Message{ID: t.Hash()[:32], From: v.From, FromName: v.Name, To: reporter, Subject: subject, Body: text,
		Lang: lang, Date: tx.Now(), InReplyTo: string(id), Automatic: true}
	if _, err := m.Bytes(); err != nil {
		return fmt.Errorf("compose the answer to report %s: %w", report, err)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	day, err := s.vault.Mark("answer", reporter.Key())
	if err != nil {
		return err
	}
	_, err = desk.AddNotice(tx, s.vault, desk.Notice{Kind: "shield.answer", Ref: report, Lang: lang, To: string(addr), Body: body}, day)
	return err
}

// ignoreGone makes the end of a retention no error: there is nobody to answer.
func ignoreGone(err error) error {
	if errors.Is(err, bolwerk.ErrNotFound) {
		return nil
	}
	return err
}

// answerLater tells a reporter that the case is still open.
func (s *Shield) answerLater(ctx context.Context, j job.Job) error {
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error { return s.settle(tx, j.Ref, true) })
}

// sendNotice gives a waiting notice to the relay.
func (s *Shield) sendNotice(send Sender) job.Handler {
	return func(ctx context.Context, j job.Job) error {
		var n desk.Notice
		err := s.db.Read(ctx, func(tx *store.Tx) (err error) {
			n, err = desk.WaitingNotice(tx, s.vault, j.Ref)
			return err
		})
		if errors.Is(err, bolwerk.ErrNotFound) {
			return nil // sent before, or its retention has ended
		}
		if err != nil {
			return err
		}
		var m mail.Message
		if err := json.Unmarshal(n.Body, &m); err != nil {
			return bolwerk.Invalid("notice %s cannot be read: %v", j.Ref, err)
		}
		if err := send.Send(ctx, m); err != nil {
			return err
		}
		return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error { return desk.NoticeSent(tx, j.Ref) })
	}
}

// settleCase brings the reports of a decided case up to date, some at a time.
func (s *Shield) settleCase(ctx context.Context, caseID string) error {
	const some = 20 // a decision waits behind them
	after := ""
	for {
		var ids []string
		err := s.db.Read(ctx, func(tx *store.Tx) (err error) {
			ids, err = store.List(tx, func(scan func(...any) error) (id string, err error) { err = scan(&id); return id, err },
				`select distinct l.report from shield_link l join shield_observable o on o.id=l.observable where o.case_id=$1 and l.report>$2 order by l.report limit $3`, caseID, after, some)
			return err
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		err = s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			for _, id := range ids {
				if err := s.settle(tx, id, false); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		after = ids[len(ids)-1]
	}
}

// answerAfter is how long a reporter waits for a decision before the answer
// says that we are still looking.
const answerAfter = 4 * time.Hour
