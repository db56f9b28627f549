// Package inform tells subscribers what was seen of their line and what to do, by the
// ways that they prefer; and resellers what is reported of their customers. A notice has
// no link: it carries a code that is typed at the site that the customer knows.
package inform

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/abuse/contact"
	"bolwerk/abuse/door"
	"bolwerk/abuse/fact"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/notice"
	"bolwerk/abuse/reading"
	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/factlog"
	"bolwerk/internal/job"
	"bolwerk/internal/mail"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
)

//go:embed schema.sql
var schema string

// Schema is the tables of this package.
func Schema() store.Schema { return store.Schema{Name: "abuse_inform", Steps: []string{schema}} }

// Case is what a notice is told of a case.
type Case struct {
	ID, Ref string
	Class   reading.Class
	Who     session.Identity
	Open    bool
	Outcome string
	Closed  time.Time
	First   time.Time // when the first report of it came in
	Opened  time.Time
	Family  string // of malware, as far as known
	Device  string
	Seen    []garden.Seen // newest first, at most 10
	garden.Tested
}

// Cases asks the desk about its cases.
type Cases interface {
	// About gives a case by id or number.
	About(tx *store.Tx, id string) (Case, error)
	// Event gives an event as it was read; bolwerk.ErrNotFound once it is forgotten.
	Event(tx *store.Tx, id string) (reading.Event, error)
	// AskTest has the case's line tested; bolwerk.ErrConflict: it cannot be now.
	AskTest(tx *store.Tx, id string, by bolwerk.Actor) error
	// Say writes into a case's history.
	Say(tx *store.Tx, id, kind string, by bolwerk.Actor, code, text string) error
}

// Gardens knows who is in quarantine.
type Gardens interface {
	// GuestOf is what the guest of a case's quarantine sees; false: the case has none now.
	GuestOf(tx *store.Tx, caseID string) (garden.Guest, bool, error)
	// Take takes what a guest did.
	Take(ctx context.Context, all []garden.Event) error
}

// Sender hands a mail to the operator's relay.
type Sender interface {
	Send(ctx context.Context, m mail.Message) error
}

// Parts is what a Desk is given.
type Parts struct {
	DB    *store.DB
	Clock clock.Clock
	Log   *slog.Logger
	Facts *factlog.Log // nil: none are told
	// Keys seal what is kept as long as a case.
	Keys    *vault.Vault
	Book    *contact.Book
	Who     *who.Who
	Publish *publish.Desk
	Mail    Sender
	Cases   Cases
	Metrics prometheus.Registerer
	// Gardens are the quarantines; nil: there are none.
	Gardens Gardens
	// Operator is its name; Zone where times are told; Country the operator's own;
	// Lang the language of whom none is known.
	Operator, Zone, Country string
	Lang                    bolwerk.Lang
}

// Desk informs.
type Desk struct {
	cfg   Config
	p     Parts
	w     *notice.Writer
	count *metrics
}

// New reads the words.
func New(cfg Config, p Parts) (*Desk, error) {
	w, err := notice.NewWriter(p.Operator, p.Zone)
	if err != nil {
		return nil, err
	}
	return &Desk{cfg: cfg, p: p, w: w, count: newMetrics(p.Metrics, p.DB)}, nil
}

// Kind is why somebody is told.
type Kind = notice.Kind

// The kinds.
const (
	Warned      = notice.Warned
	Quarantined = notice.Quarantined
	Reminded    = notice.Reminded
	Released    = notice.Released
	Cleaned     = notice.Cleaned
	Mistaken    = notice.Mistaken
	forwarded   = Kind("forwarded") // an event, to a reseller
)

// SealedText is for what the texts of notices are sealed.
const SealedText = "abuse.message"

// messageJob sends one message; its Ref is the message's ID.
const messageJob = "abuse.message"

// Letter says whom to tell what.
type Letter struct {
	Case       string // id of the case
	Quarantine string // id of the quarantine, where it is about one
	Kind       Kind
	Who        session.Identity
	Class      reading.Class
	// Channels are the ways, best first; empty: those that the subscriber prefers. A
	// way that does not lead to the subscriber is left out.
	Channels []string
	Until    time.Time     // end of the quarantine; zero is not told
	By       bolwerk.Actor // zero: the rules
}

// oncePer is for how long nobody is told the same again.
const oncePer = 7 * 24 * time.Hour

// Tell writes the messages of a notice and asks for them to be sent; it is done with the
// transaction. Each kind is told once in a week for each case, one about a quarantine
// once for each: asked again it does nothing. A reseller gets events, and no notice.
// Somebody whom no way is known to has a message in state unreachable, which a person
// sees. The case may be closed.
func (d *Desk) Tell(tx *store.Tx, l Letter) error {
	var lately int64
	if err := tx.Row(`select count(*) from abuse_message where case_id=$1 and kind=$2 and made_at>$3 and (quarantine=$4 or kind in ('warned','reminded','cleaned','mistaken'))`,
		l.Case, string(l.Kind), store.Micros(tx.Now().Add(-oncePer)), l.Quarantine).Scan(&lately); err != nil || lately > 0 {
		return err
	}
	flags, err := d.p.Book.Flags(tx, l.Who)
	if err != nil || flags.Reseller {
		return err
	}
	_, err = d.tell(tx, l)
	return err
}

// tell writes the messages, whatever was told before, and gives their ids.
func (d *Desk) tell(tx *store.Tx, l Letter) (ids []string, err error) {
	if l.By == (bolwerk.Actor{}) {
		l.By = bolwerk.Rule("abuse")
	}
	c, err := d.p.Cases.About(tx, l.Case)
	if err != nil {
		return nil, err
	}
	l.Class = c.Class
	e, err := d.p.Book.Find(tx, l.Who)
	known := !errors.Is(err, bolwerk.ErrNotFound)
	if err != nil && known {
		return nil, err
	}
	if known {
		if err := d.p.Who.Note(tx, l.By, "notice of case "+c.Ref, c.ID, l.Who); err != nil {
			return nil, err
		}
	}
	var ways []notice.Channel
	if known {
		var want []notice.Channel
		for _, s := range l.Channels {
			want = append(want, notice.Channel(s))
		}
		ways = e.Reach(want)
	}
	if ids, err = d.write(tx, l, c, e, ways); err != nil {
		return ids, err
	}
	if len(ways) == 0 {
		why := "no_contact"
		if known {
			why = "no_way"
		}
		id, err := d.unreachable(tx, l, why)
		if err != nil {
			return ids, err
		}
		ids = append(ids, id)
	}
	audit.Append(tx, l.By, "abuse.inform", c.Ref, "", map[string]any{"kind": l.Kind, "channels": ways})
	return ids, nil
}

// write writes a notice for each of ways, with one code, and notes it in the case.
func (d *Desk) write(tx *store.Tx, l Letter, c Case, e contact.Entry, ways []notice.Channel) (ids []string, err error) {
	if len(ways) == 0 {
		return nil, nil
	}
	m := d.about(tx, l, c)
	hash := ""
	if l.Kind.Asks() {
		if hash, err = d.newCode(tx, l, c, &m); err != nil {
			return nil, err
		}
	}
	lang := d.langOf(e)
	for _, way := range ways {
		t := d.w.Write(m, lang, way)
		if way == notice.Letter {
			t.Address = notice.AddressLines(e.Name, e.Street, e.Postcode, e.City, e.Country, d.p.Country)
		}
		if err := notice.Linkless(t); err != nil {
			return ids, err
		}
		id, err := d.add(tx, l, way, lang, hash, "", t)
		if err != nil {
			return ids, err
		}
		ids = append(ids, id)
	}
	return ids, d.p.Cases.Say(tx, c.ID, "informed", l.By, string(l.Kind)+":"+join(ways), "")
}

// join writes ways one after the other: mail+letter.
func join(ways []notice.Channel) string {
	var out []string
	for _, w := range ways {
		out = append(out, string(w))
	}
	return strings.Join(out, "+")
}

func (d *Desk) langOf(e contact.Entry) bolwerk.Lang {
	if e.Lang != "" {
		return e.Lang
	}
	return d.p.Lang
}

func (d *Desk) about(tx *store.Tx, l Letter, c Case) notice.Matter {
	return notice.Matter{Kind: l.Kind, Ref: c.Ref, Class: c.Class, Device: notice.Harmless(c.Device), Seen: c.Seen, Until: l.Until, Valid: tx.Now().AddDate(0, 0, d.cfg.CodeDays)}
}

// newCode draws the code of a notice and tells the public site what its holder sees.
func (d *Desk) newCode(tx *store.Tx, l Letter, c Case, m *notice.Matter) (hash string, err error) {
	code := door.NewCaseCode()
	hash, m.Code = code.Hash(), code.Reveal()
	if _, err := tx.Exec(`insert into abuse_code(hash,case_id,made_at,until,seen_at) values($1,$2,$3,$4,0)`, hash, c.ID, tx.NowMicros(), store.Micros(m.Valid)); err != nil {
		return "", err
	}
	return hash, d.publish(tx, c)
}

// add keeps one message and asks for it to be sent.
func (d *Desk) add(tx *store.Tx, l Letter, way notice.Channel, lang bolwerk.Lang, hash, event string, t notice.Text) (id string, err error) {
	plain, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	sealed, err := d.p.Keys.Seal(SealedText, plain)
	if err != nil {
		return "", err
	}
	id = bolwerk.NewID(tx.Now())
	if _, err := tx.Exec(`insert into abuse_message(id,case_id,quarantine,kind,channel,lang,class,state,why,actor,event,code,text_sealed,made_at,sent_at,delivered_at,seen_at) values($1,$2,$3,$4,$5,$6,$7,'waiting','',$8,$9,$10,$11,$12,0,0,0)`,
		id, l.Case, l.Quarantine, string(l.Kind), string(way), string(lang), string(l.Class), l.By.String(), event, hash, sealed, tx.NowMicros()); err != nil {
		return "", err
	}
	tx.After(func() { d.count.messages.WithLabelValues(string(l.Kind), string(way), "made").Inc() })
	return id, job.AddBy(tx, messageJob, string(way), id, id, tx.Now())
}

func (d *Desk) unreachable(tx *store.Tx, l Letter, why string) (id string, err error) {
	id = bolwerk.NewID(tx.Now())
	tx.After(func() { d.count.messages.WithLabelValues(string(l.Kind), "", "unreachable").Inc() })
	_, err = tx.Exec(`insert into abuse_message(id,case_id,quarantine,kind,channel,lang,class,state,why,actor,event,code,made_at,sent_at,delivered_at,seen_at) values($1,$2,$3,$4,'','',$5,'unreachable',$6,$7,'','',$8,0,0,0)`,
		id, l.Case, l.Quarantine, string(l.Kind), string(l.Class), why, l.By.String(), tx.NowMicros())
	d.p.Facts.Append(tx, l.By, fact.NoticeSettled, id, fact.Notice{Case: l.Case, Kind: string(l.Kind), Result: "unreachable"})
	return id, err
}

// Forget deletes what belongs to a case that is forgotten, and takes what the holders of
// its codes see off the public site. site is who publishes; nil where nobody does.
func Forget(tx *store.Tx, site *publish.Desk, caseID string) error {
	if err := withdraw(tx, site, caseID); err != nil {
		return err
	}
	for _, q := range []string{`delete from abuse_message where case_id=$1`, `delete from abuse_code where case_id=$1`, `delete from abuse_said where case_id=$1`} {
		if _, err := tx.Exec(q, caseID); err != nil {
			return err
		}
	}
	return nil
}
