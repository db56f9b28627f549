package inform

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/contact"
	"bolwerk/abuse/fact"
	"bolwerk/abuse/notice"
	"bolwerk/internal/disk"
	"bolwerk/internal/job"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
	"bolwerk/internal/webhook"
)

// Handle gives a runner of jobs what this package sends; before its Run.
func (d *Desk) Handle(r *job.Runner) { r.Handle(messageJob, d.send) }

// rules is who does what no person did.
var rules = bolwerk.Rule("abuse")

// errLeft says that a message is no more to be sent.
var errLeft = errors.New("nothing to send")

// errOver says that the subscriber was told meanwhile that it is over.
var errOver = errors.New("it is over, and was said to be")

// outgoing is a message on its way.
type outgoing struct {
	Message
	caseRef string
	first   time.Time // when the case's first report came in
	to      contact.Entry
	who     string // subscriber, as accounting names it
}

// send is one try of a message. The way to the subscriber is looked up now: what was
// known when the notice was written may be old.
func (d *Desk) send(ctx context.Context, j job.Job) error {
	var o outgoing
	err := d.p.DB.Read(ctx, func(tx *store.Tx) (err error) {
		o, err = d.outgoing(tx, j.Ref)
		return err
	})
	if errors.Is(err, errLeft) {
		return nil
	}
	if errors.Is(err, errOver) {
		return d.became(ctx, j.Ref, "failed", "overtaken")
	}
	if errors.Is(err, bolwerk.ErrNotFound) {
		return errors.Join(bolwerk.Invalid("message %s: %v", j.Ref, err), d.became(ctx, j.Ref, "failed", "no_way"))
	}
	if err != nil {
		return err
	}
	switch o.Channel {
	case notice.Mail, notice.XARF:
		err = d.sendMail(ctx, o)
	case notice.SMS:
		err = d.sendSMS(ctx, o)
	case notice.App:
		err = d.sendApp(ctx, o)
	case notice.Letter:
		err = d.sendLetter(ctx, o)
	default:
		err = bolwerk.Invalid("message %s: channel %q", j.Ref, o.Channel)
	}
	if errors.Is(err, bolwerk.ErrInvalid) || errors.Is(err, bolwerk.ErrForbidden) || errors.Is(err, mail.ErrPermanent) {
		return errors.Join(err, d.became(ctx, j.Ref, "failed", "refused"))
	}
	if err != nil && j.Last {
		return errors.Join(err, d.became(ctx, j.Ref, "failed", "given_up"))
	}
	if err != nil {
		return err
	}
	return d.left(ctx, o)
}

func (d *Desk) outgoing(tx *store.Tx, id string) (o outgoing, err error) {
	if o.Message, err = d.message(tx, id); err != nil {
		return o, err
	}
	if o.State != "waiting" {
		return o, errLeft
	}
	if over, err := overtaken(tx, o.Message); err != nil {
		return o, err
	} else if over {
		return o, errOver
	}
	c, err := d.p.Cases.About(tx, o.Case)
	if err != nil {
		return o, err
	}
	o.caseRef, o.first, o.who = c.Ref, c.First, c.Who.Subscriber
	o.to, err = d.p.Book.Find(tx, c.Who)
	if o.Channel == notice.Letter && errors.Is(err, bolwerk.ErrNotFound) {
		err = nil // its address is in it
	}
	return o, err
}

// overtaken says that what a message tells, or asks for, is over, and that the subscriber
// was told so by now: a way that was down for hours must not tell of a quarantine after
// another one told of its end.
func overtaken(tx *store.Tx, m Message) (bool, error) {
	if !m.Kind.Asks() {
		return false, nil
	}
	var n int64
	err := tx.Row(`select count(*) from abuse_message where case_id=$1 and made_at>$2 and sent_at>0 and (kind in ('cleaned','mistaken') or kind='released' and $3='quarantined' and quarantine=$4)`,
		m.Case, store.Micros(m.At), string(m.Kind), m.Quarantine).Scan(&n)
	return n > 0, err
}

func isNotFound(err error) bool { return errors.Is(err, bolwerk.ErrNotFound) }

// left marks a message as sent.
func (d *Desk) left(ctx context.Context, o outgoing) error {
	return d.p.DB.Write(ctx, store.Intake, func(tx *store.Tx) error {
		var sent int64
		if err := tx.Row(`select count(*) from abuse_message where case_id=$1 and sent_at>0 and kind<>'forwarded'`, o.Case).Scan(&sent); err != nil {
			return err
		}
		n, err := tx.Exec(`update abuse_message set state='sent', sent_at=$1 where id=$2 and state='waiting'`, tx.NowMicros(), o.ID)
		if err != nil || n == 0 {
			return err
		}
		d.p.Facts.Append(tx, rules, fact.NoticeSettled, o.ID, fact.Notice{Case: o.Case, Kind: string(o.Kind), Channel: string(o.Channel), Result: "sent"})
		tx.After(func() {
			d.count.messages.WithLabelValues(string(o.Kind), string(o.Channel), "sent").Inc()
			if sent == 0 && !o.first.IsZero() && o.Channel != notice.XARF {
				d.count.took.Observe(tx.Now().Sub(o.first).Seconds())
			}
		})
		return nil
	})
}

// became marks what a message became.
func (d *Desk) became(ctx context.Context, id, state, why string) error {
	return d.p.DB.Write(ctx, store.Intake, func(tx *store.Tx) error {
		return d.set(tx, id, state, why)
	})
}

func (d *Desk) set(tx *store.Tx, id, state, why string) error {
	var caseID, kind, channel string
	err := tx.Row(`update abuse_message set state=$1, why=$2, delivered_at=case when $1='delivered' then $3 else delivered_at end where id=$4 and state in ('waiting','sent') returning case_id,kind,channel`, state, why, tx.NowMicros(), id).Scan(&caseID, &kind, &channel)
	if store.None(err) {
		return nil
	}
	if err != nil {
		return err
	}
	d.p.Facts.Append(tx, rules, fact.NoticeSettled, id, fact.Notice{Case: caseID, Kind: kind, Channel: channel, Result: state})
	tx.After(func() { d.count.messages.WithLabelValues(kind, channel, state).Inc() })
	if state == "failed" && why != "overtaken" {
		return d.otherWay(tx, id)
	}
	return nil
}

// Told takes what a way says of a message that it had: delivered or failed. The same
// again changes nothing.
func (d *Desk) Told(ctx context.Context, id, state string) error {
	if state != "delivered" && state != "failed" {
		return bolwerk.Invalid("state %.20q: want delivered or failed", state)
	}
	return d.p.DB.Write(ctx, store.Intake, func(tx *store.Tx) error {
		m, err := d.message(tx, id)
		if err != nil {
			return err
		}
		if m.State != "sent" {
			if m.State == state {
				return nil
			}
			return bolwerk.Conflict("message %s is %s", id, m.State)
		}
		return d.set(tx, id, state, "told")
	})
}

// mailID is the left part of the Message-ID of a message.
func mailID(id string) string {
	sum := sha256.Sum256([]byte("abuse message " + id))
	return hex.EncodeToString(sum[:16])
}

func (d *Desk) sendMail(ctx context.Context, o outgoing) error {
	to := o.to.Mail
	if o.Channel == notice.XARF {
		to = o.to.AbuseMail
	}
	addr, err := mail.ParseAddress(to)
	if err != nil {
		return bolwerk.Invalid("message %s: no mail address is known any more", o.ID)
	}
	back, err := d.returnPath(o.ID, d.p.Clock.Now())
	if err != nil {
		return err
	}
	return d.p.Mail.Send(ctx, mail.Message{ID: mailID(o.ID), ReturnPath: back, From: d.cfg.From, FromName: d.p.Operator, To: addr, Subject: o.Text.Subject, Body: o.Text.Body,
		Lang: o.Lang, Date: o.At, Automatic: true, Report: o.Text.Report})
}

func (d *Desk) sendSMS(ctx context.Context, o outgoing) error {
	if n, ok := notice.Septets(o.Text.Body); !ok || n > notice.MaxSeptets {
		return bolwerk.Invalid("message %s: a text of %d septets, or with signs that text messages lack", o.ID, n)
	}
	return post(ctx, "sms", d.cfg.SMS, struct {
		ID   string       `json:"id"`
		To   string       `json:"to"`
		Text string       `json:"text"`
		Lang bolwerk.Lang `json:"lang"`
	}{o.ID, contact.Number(o.to.Phone), o.Text.Body, o.Lang})
}

func (d *Desk) sendApp(ctx context.Context, o outgoing) error {
	return post(ctx, "app", d.cfg.App, struct {
		ID         string       `json:"id"`
		Subscriber string       `json:"subscriber"`
		Case       string       `json:"case"`
		Kind       Kind         `json:"kind"`
		Class      string       `json:"class"`
		Lang       bolwerk.Lang `json:"lang"`
		Title      string       `json:"title"`
		Text       string       `json:"text"`
		Code       string       `json:"code,omitempty"`
	}{o.ID, o.who, o.caseRef, o.Kind, string(o.Class), o.Lang, o.Text.Subject, o.Text.Body, o.Text.Code})
}

func (d *Desk) sendLetter(ctx context.Context, o outgoing) error {
	pdf, err := d.pdf(o.Message)
	if err != nil {
		return err
	}
	if d.cfg.Letter.Folder != "" {
		if err := disk.MakeDir(d.cfg.Letter.Folder); err != nil {
			return err
		}
		return disk.Write(filepath.Join(d.cfg.Letter.Folder, o.caseRef+"-"+o.ID[len(o.ID)-12:]+".pdf"), pdf, "abuse.letter")
	}
	return post(ctx, "letter", d.cfg.Letter.Way, struct {
		ID   string       `json:"id"`
		Case string       `json:"case"`
		Lang bolwerk.Lang `json:"lang"`
		PDF  string       `json:"pdf"`
	}{o.ID, o.caseRef, o.Lang, base64.StdEncoding.EncodeToString(pdf)})
}

func (d *Desk) pdf(m Message) ([]byte, error) {
	place := d.w.Dated(m.Lang, m.At)
	if d.cfg.Letter.Place != "" {
		place = d.cfg.Letter.Place + ", " + place
	}
	return notice.Paper(m.Text, d.p.Operator, place, d.cfg.Letter.Window, m.Lang)
}

// Headers of a request to a system of the operator. The signature is as that of a
// webhook: "t=SECONDS,v1=HEX".
const (
	postWithin = 10 * time.Second
)

// post gives a message to a system of the operator. 2xx is taken; another answer of the
// 4xx class but 408, 425 and 429 is a refusal for ever; everything else is tried again
// under the same id.
func post(ctx context.Context, name string, w Way, v any) error {
	if w.URL == "" {
		return bolwerk.Invalid("abuse.inform.%s: no url is configured", name)
	}
	raw, err := os.ReadFile(w.KeyFile)
	if err != nil {
		return fmt.Errorf("abuse.inform.%s.key_file: %w", name, err)
	}
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, postWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Bolwerk/1")
	req.Header.Set(webhook.HeaderSignature, webhook.Sign(time.Now(), body, strings.TrimSpace(string(raw))))
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the address
		}
		return fmt.Errorf("abuse.inform.%s: %w", name, err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	switch c := res.StatusCode; {
	case c >= 200 && c < 300:
		return nil
	case c >= 400 && c < 500 && c != http.StatusRequestTimeout && c != http.StatusTooEarly && c != http.StatusTooManyRequests && c != http.StatusUnauthorized:
		return bolwerk.Invalid("abuse.inform.%s answered %d", name, c)
	default:
		return fmt.Errorf("abuse.inform.%s answered %d", name, c)
	}
}
