package shield

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/fault"
	"bolwerk/internal/job"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
	"bolwerk/shield/reading"
)

const (
	noticeTries  = 12 // about nine hours with the waits of jobs
	noticeLater  = 10 * time.Minute
	maxAnswerAPI = 64 << 10
)

// sendOutside is the job that sends one notice. It leaves once: a second try after
// a crash has the same Message-ID or Idempotency-Key.
func (s *Shield) sendOutside(send Sender) job.Handler {
	return func(ctx context.Context, j job.Job) error {
		var n Notice
		ready := false
		err := s.db.Write(ctx, store.Intake, func(tx *store.Tx) (err error) {
			ready = false
			n, err = findNotice(tx, j.Ref)
			if errors.Is(err, bolwerk.ErrNotFound) {
				return nil
			}
			if err != nil || n.Say != NoticeWaiting {
				return err
			}
			ok, err := stillTrue(tx, n)
			if err != nil {
				return err
			}
			if !ok {
				return s.setNotice(tx, n, NoticeDropped, dropped("what it tells no longer holds"))
			}
			if back, err := cameBackFrom(tx, n); err != nil || back {
				if err == nil {
					err = s.setNotice(tx, n, NoticeDropped, dropped("mail to this address came back"))
				}
				return err
			}
			if s.cfg.Notices.DryRun {
				return s.setNotice(tx, n, NoticeDry, "")
			}
			if full, err := s.overNotices(tx, n); err != nil || full {
				if err == nil { // not a try: it waits for its turn
					err = sendAt(tx, n, tx.Now().Add(noticeLater))
				}
				return err
			}
			ready = true
			_, err = tx.Exec(`update shield_notice set tries=tries+1 where id=$1`, n.ID)
			return err
		})
		if err != nil || !ready {
			return err
		}
		receipt, sent := s.hand(ctx, send, n)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := fault.Point("notice.handed"); err != nil { // the recipient has it, and we have not written that down
			return err
		}
		done := true
		err = s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			done = true
			switch {
			case sent == nil:
				return s.noticeLeft(tx, n, receipt)
			case refusedForGood(sent):
				return s.setNotice(tx, n, NoticeRefused, short(sent))
			case n.Tries+1 >= noticeTries:
				return s.setNotice(tx, n, NoticeGivenUp, short(sent))
			}
			done = false
			_, err := tx.Exec(`update shield_notice set error=$1 where id=$2`, short(sent), n.ID)
			return err
		})
		switch {
		case err != nil:
			return err
		case sent != nil && done:
			s.log.Error("a notice did not leave", "alarm", true, "notice", n.Ref, "kind", n.Kind, "err", sent)
			s.count.notices.WithLabelValues(n.Kind, "failed").Inc()
			return nil
		case sent == nil:
			s.count.notices.WithLabelValues(n.Kind, "sent").Inc()
		}
		return sent
	}
}

func refusedForGood(err error) bool {
	return errors.Is(err, mail.ErrPermanent) || errors.Is(err, bolwerk.ErrInvalid) || errors.Is(err, bolwerk.ErrForbidden)
}

func (s *Shield) setNotice(tx *store.Tx, n Notice, state NoticeState, why string) error {
	_, err := tx.Exec(`update shield_notice set state=$1, error=$2 where id=$3 and state='waiting'`, string(state), why, n.ID)
	return err
}

// noticeLeft notes that a notice left. Where it was taken back meanwhile, it is
// corrected.
func (s *Shield) noticeLeft(tx *store.Tx, n Notice, receipt string) error {
	if _, err := tx.Exec(`update shield_notice set state='sent', error='', sent_at=$1 where id=$2 and state in ('waiting','dropped')`, tx.NowMicros(), n.ID); err != nil {
		return err
	}
	if receipt != "" {
		if err := keepReceipt(tx, n.ID, receipt); err != nil {
			return err
		}
	}
	ok, err := stillTrue(tx, n)
	if err != nil || ok {
		return err
	}
	return s.correct(tx, n, string(ByMistake))
}

// overNotices says that a recipient, or all of them, got as many as they may.
// Corrections are not counted: nothing holds up the way back.
func (s *Shield) overNotices(tx *store.Tx, n Notice) (bool, error) {
	if n.Fix {
		return false, nil
	}
	perDay := noticePerDay
	if to, ok := s.cfg.Notices.recipient(n.Who); ok && to.PerDay > 0 {
		perDay = to.PerDay
	}
	var one, all int
	if err := tx.Row(`select count(*) from (select 1 from shield_notice where sent_at>$1 and to_text=$2 limit $3) x`, store.Micros(tx.Now().Add(-24*time.Hour)), n.To, perDay).Scan(&one); err != nil {
		return false, err
	}
	err := tx.Row(`select count(*) from (select 1 from shield_notice where sent_at>$1 limit $2) x`, store.Micros(tx.Now().Add(-time.Hour)), s.cfg.Notices.PerHour).Scan(&all)
	return one >= perDay || all >= s.cfg.Notices.PerHour, err
}

// hand gives a notice to the relay or to an API. receipt is what an API answered.
func (s *Shield) hand(ctx context.Context, send Sender, n Notice) (receipt string, err error) {
	if n.api {
		return s.post(ctx, n)
	}
	to, err := mail.ParseAddress(n.To)
	if err != nil {
		return "", err
	}
	m := mail.Message{ID: n.messageID, From: s.noticeFrom(), FromName: s.cfg.Operator, To: to, ReturnPath: s.noticeFrom(), Subject: n.Subject, Body: n.Body,
		Lang: bolwerk.Lang(n.Lang), Date: n.MadeAt, Report: []byte(n.Report)}
	if err := send.Send(ctx, m); err != nil {
		return "", err
	}
	return "", nil
}

// post gives a notice to an API, behind the address gate and without following
// redirects.
func (s *Shield) post(ctx context.Context, n Notice) (string, error) {
	to, ok := s.cfg.Notices.recipient(n.Who)
	if !ok || to.URL != n.To {
		return "", bolwerk.Invalid("the configuration no longer has %s", n.Who)
	}
	if n.Report == "" {
		return "", bolwerk.Invalid("%s takes no corrections: tell it by hand", n.Who)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, strings.NewReader(n.Report))
	if err != nil {
		return "", bolwerk.Invalid("%v", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Bolwerk-Notice/1")
	req.Header.Set("Idempotency-Key", n.messageID)
	if to.KeyFile != "" {
		key, err := os.ReadFile(to.KeyFile)
		if err != nil {
			return "", fmt.Errorf("key of %s: %w", n.Who, err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
	}
	res, err := s.asker.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the address
		}
		if errors.Is(err, bolwerk.ErrForbidden) {
			return "", bolwerk.Forbidden("%s: %v", n.Who, err)
		}
		return "", fmt.Errorf("%s: %w", n.Who, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerAPI))
	switch refused, taken := statusOf(res.StatusCode); {
	case taken:
		return receiptIn(body, res.StatusCode), nil // an answer that broke off was an answer
	case refused:
		return "", bolwerk.Invalid("%s answered %d", n.Who, res.StatusCode)
	}
	return "", errors.Join(fmt.Errorf("%s answered %d", n.Who, res.StatusCode), err)
}

// receiptIn is what an API calls what it was told: the first of the usual names in
// its answer, else that it said yes.
func receiptIn(body []byte, status int) string {
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if d.Decode(&fields) == nil {
		for _, key := range []string{"receipt", "ticket", "reference", "uuid", "id", "name"} {
			switch v := fields[key].(type) {
			case string, json.Number:
				if text := oneLine(fmt.Sprint(v)); text != "" {
					return text
				}
			}
		}
	}
	return fmt.Sprintf("HTTP %d", status)
}

// oneLine is a stranger's text as a receipt keeps it: one line without what a page
// would not show.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " ")
	out := ""
	for _, r := range text {
		if len(out)+len(string(r)) > maxReceipt {
			break
		}
		if plain(string(r), 1, false) {
			out += string(r)
		}
	}
	return strings.TrimSpace(out)
}

// answeredNotice says to which of our messages a mail answers, by their ids, and
// what it is as a receipt: its subject and Message-ID.
func (s *Shield) answeredNotice(r reading.Result) (ids []string, receipt string) {
	if r.Outer == nil || !s.cfg.Notices.any() {
		return nil, ""
	}
	ours := "@" + s.noticeFrom().Domain().String() + ">"
	about := r.Outer.Answers
	if r.Delivery != nil {
		about = append([]string{r.Delivery.About}, about...)
	}
	for _, id := range about {
		if left, ok := strings.CutSuffix(strings.TrimPrefix(id, "<"), ours); ok {
			ids = append(ids, left)
		}
	}
	return ids, oneLine(r.Outer.Subject + " " + r.Outer.MessageID)
}

// noticeAnswered keeps an answer to a notice as its receipt. The ids are random:
// who names one was told it.
func noticeAnswered(tx *store.Tx, ids []string, receipt string) (bool, error) {
	for _, id := range ids {
		var notice, have string
		err := tx.Row(`select id,receipt from shield_notice where message_id=$1 and sent_at>0`, id).Scan(&notice, &have)
		if store.None(err) {
			continue
		}
		if err != nil || have != "" { // the first answer has the ticket's number
			return err == nil, err
		}
		return true, keepReceipt(tx, notice, orElse(receipt, "answered"))
	}
	return false, nil
}
