package inform

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/notice"
	"bolwerk/abuse/reading"
	"bolwerk/internal/store"
)

// Message is what one subscriber, or a reseller, was told by one way.
type Message struct {
	ID          string         `json:"id"`
	Case        string         `json:"case_id"`
	Quarantine  string         `json:"quarantine,omitempty"`
	Kind        Kind           `json:"kind" enum:"warned,quarantined,reminded,released,cleaned,mistaken,forwarded"`
	Channel     notice.Channel `json:"channel,omitempty" enum:"mail,sms,letter,app,xarf" doc:"absent where no way is known"`
	Lang        bolwerk.Lang   `json:"lang,omitempty"`
	Class       reading.Class  `json:"class"`
	State       string         `json:"state" enum:"waiting,sent,delivered,failed,unreachable"`
	Why         string         `json:"why,omitempty" enum:"no_contact,no_way,refused,told,given_up,bounced,overtaken"`
	Actor       bolwerk.Actor  `json:"actor"`
	At          time.Time      `json:"made_at"`
	SentAt      time.Time      `json:"sent_at,omitzero"`
	DeliveredAt time.Time      `json:"delivered_at,omitzero"`
	SeenAt      time.Time      `json:"seen_at,omitzero" doc:"when its code was typed at the public site, or when your app or a person said that the customer saw it"`
	Text        notice.Text    `json:"text,omitzero" doc:"what it says, for who may decide. The code in it is masked"`
}

const messageColumns = `id,case_id,quarantine,kind,channel,lang,class,state,why,actor,made_at,sent_at,delivered_at,seen_at,text_sealed`

func (d *Desk) readMessage(scan func(...any) error) (m Message, err error) {
	var actor string
	var made, sent, delivered, seen int64
	var sealed []byte
	if err := scan(&m.ID, &m.Case, &m.Quarantine, (*string)(&m.Kind), (*string)(&m.Channel), (*string)(&m.Lang), (*string)(&m.Class), &m.State, &m.Why, &actor, &made, &sent, &delivered, &seen, &sealed); err != nil {
		return m, err
	}
	m.At, m.SentAt, m.DeliveredAt, m.SeenAt = store.Time(made), store.Time(sent), store.Time(delivered), store.Time(seen)
	if m.Actor, err = bolwerk.ParseActor(actor); err != nil || len(sealed) == 0 {
		return m, err
	}
	plain, err := d.p.Keys.Open(SealedText, sealed)
	if errors.Is(err, bolwerk.ErrNotFound) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(plain, &m.Text)
}

func (d *Desk) message(tx *store.Tx, id string) (Message, error) {
	m, err := d.readMessage(tx.Row(`select `+messageColumns+` from abuse_message where id=$1`, id).Scan)
	if store.None(err) {
		return m, bolwerk.NotFound("no message %.60q", id)
	}
	return m, err
}

// maxListed is how many messages of a case are shown.
const maxListed = 100

// Of are the messages of a case, newest first, with their codes masked.
func (d *Desk) Of(ctx context.Context, caseID string) (out []Message, err error) {
	err = d.p.DB.Read(ctx, func(tx *store.Tx) error {
		out, err = store.List(tx, d.masked, `select `+messageColumns+` from abuse_message where case_id=$1 order by id desc limit $2`, caseID, maxListed)
		return err
	})
	return out, err
}

// masked is a message as it is shown. Whoever knows its code answers for the customer and
// ends the quarantine: nobody but the customer gets it.
func (d *Desk) masked(scan func(...any) error) (Message, error) {
	m, err := d.readMessage(scan)
	if m.Text.Code != "" {
		m.Text.Body = strings.ReplaceAll(m.Text.Body, m.Text.Code, exampleCode)
		m.Text.Code = exampleCode
	}
	return m, err
}

// Letter is a letter as PDF with its code masked, and the number of its case. That by
// looks is noted.
func (d *Desk) Letter(ctx context.Context, by bolwerk.Actor, id string) (pdf []byte, ref string, err error) {
	var m Message
	err = d.p.DB.Write(ctx, store.Decision, func(tx *store.Tx) error {
		m, err = d.masked(tx.Row(`select `+messageColumns+` from abuse_message where id=$1`, id).Scan)
		if store.None(err) {
			return bolwerk.NotFound("no message %.60q", id)
		}
		if err != nil {
			return err
		}
		c, err := d.p.Cases.About(tx, m.Case)
		if err != nil {
			return err
		}
		ref = c.Ref
		return d.p.Who.Note(tx, by, "letter of case "+ref, c.ID, c.Who)
	})
	if err != nil {
		return nil, "", err
	}
	if m.Channel != notice.Letter {
		return nil, "", bolwerk.NotFound("message %s is no letter", id)
	}
	pdf, err = d.pdf(m)
	return pdf, ref, err
}

// Draft is what a person sees before sending.
type Draft struct {
	Channel notice.Channel `json:"channel"`
	Lang    bolwerk.Lang   `json:"lang"`
	Text    notice.Text    `json:"text"`
	// Septets is the length of a text message, of at most 306.
	Septets int `json:"septets,omitempty"`
}

// exampleCode stands for the code where a notice is looked at.
const exampleCode = "XXXX-XXXX-XXXX"

// Show writes a notice without sending it: for the ways that lead to the subscriber of
// the case. The look is noted.
func (d *Desk) Show(ctx context.Context, by bolwerk.Actor, caseID string, kind Kind, channels []string) (out []Draft, err error) {
	if err := checkAsk(kind, channels); err != nil {
		return nil, err
	}
	err = d.p.DB.Write(ctx, store.Decision, func(tx *store.Tx) error {
		out = nil
		c, err := d.p.Cases.About(tx, caseID)
		if err != nil {
			return err
		}
		if err := d.p.Who.Note(tx, by, "notice of case "+c.Ref, c.ID, c.Who); err != nil {
			return err
		}
		e, err := d.p.Book.Find(tx, c.Who)
		if err != nil {
			return err
		}
		var want []notice.Channel
		for _, s := range channels {
			want = append(want, notice.Channel(s))
		}
		m := d.about(tx, Letter{Kind: kind}, c)
		if kind.Asks() {
			m.Code = exampleCode
		}
		for _, way := range e.Reach(want) {
			out = append(out, d.draft(m, d.langOf(e), way))
		}
		return nil
	})
	return out, err
}

func (d *Desk) draft(m notice.Matter, lang bolwerk.Lang, way notice.Channel) Draft {
	out := Draft{Channel: way, Lang: lang, Text: d.w.Write(m, lang, way)}
	if way == notice.SMS {
		out.Septets, _ = notice.Septets(out.Text.Body)
	}
	return out
}

// Example is a notice as it would be for a kind of trouble, in a language.
func (d *Desk) Example(kind Kind, group string, lang bolwerk.Lang) []Draft {
	now := d.p.Clock.Now()
	m := notice.Matter{Kind: kind, Ref: "AB-" + now.Format("2006") + "-000001", Class: exampleOf(group), Until: now.AddDate(0, 0, 30), Valid: now.AddDate(0, 0, d.cfg.CodeDays), Seen: []garden.Seen{{At: now.Add(-3 * time.Hour), What: "UDP 53"}}}
	if kind.Asks() {
		m.Code = exampleCode
	}
	return []Draft{d.draft(m, lang, notice.Mail), d.draft(m, lang, notice.SMS)}
}

func exampleOf(group string) reading.Class {
	for _, c := range []reading.Class{reading.Infected, reading.Spam, reading.DDoS, reading.Amplifier, reading.Vulnerable, reading.Phishing, reading.SysCompromise} {
		if notice.GroupOf(c) == group {
			return c
		}
	}
	return reading.Other
}

func checkAsk(kind Kind, channels []string) error {
	if !slices.Contains(notice.Kinds(), kind) {
		return bolwerk.Invalid("kind %.20q: want warned, quarantined, reminded, released, cleaned or mistaken", kind)
	}
	for _, c := range channels {
		if !slices.Contains(notice.Channels(), notice.Channel(c)) {
			return bolwerk.Invalid("channel %.20q: want mail, sms, letter or app", c)
		}
	}
	return nil
}

// Send writes and sends a notice because a person wants it, whatever was told before.
// Give it the right before.
func (d *Desk) Send(ctx context.Context, by bolwerk.Actor, caseID string, kind Kind, channels []string) (ids []string, err error) {
	if err := checkAsk(kind, channels); err != nil {
		return nil, err
	}
	err = d.p.DB.Write(ctx, store.Decision, func(tx *store.Tx) error {
		c, err := d.p.Cases.About(tx, caseID)
		if err != nil {
			return err
		}
		flags, err := d.p.Book.Flags(tx, c.Who)
		if err != nil {
			return err
		}
		if flags.Reseller {
			return bolwerk.WithHint(bolwerk.Conflict("the line is a reseller's: events are forwarded, its customers are not ours to write to"), "look at what was forwarded in the case")
		}
		ids, err = d.tell(tx, Letter{Case: c.ID, Kind: kind, Who: c.Who, Class: c.Class, Channels: channels, By: by})
		return err
	})
	return ids, err
}
