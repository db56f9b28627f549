// Package privacy is the desk of the privacy officer: what is kept of a subscriber is
// given, erased with two people, or held for a law or an order. What is kept, and what of
// it may be erased, each capability says itself: see desk.Keeper.
package privacy

import (
	"context"
	_ "embed"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
)

//go:embed schema.sql
var schema string

// Schema is the tables of this package.
func Schema() store.Schema { return store.Schema{Name: "privacy", Steps: []string{schema}} }

// Lookups notes that somebody looks at a subscriber, before what is kept is given.
type Lookups interface {
	Noted(ctx context.Context, by bolwerk.Actor, reason, caseID, subscriber string) error
}

// Cases gives a case by its id or number, as its subscriber gets it, and who that is.
type Cases interface {
	Kept(ctx context.Context, ref string) (id, subscriber string, k desk.Kept, err error)
}

// Parts is what the desk is given.
type Parts struct {
	DB      *store.DB
	Clock   clock.Clock
	Log     *slog.Logger
	Holds   *Holds
	Keepers []desk.Keeper
	Lookups Lookups
	Cases   Cases
	// Words is what the pages call a word of a capability, such as a state; nil for none.
	Words    func(lang bolwerk.Lang, word string) (string, bool)
	Operator string
	Zone     *time.Location // of the document for the subscriber
}

// Desk exports, erases and holds. It is safe for concurrent use.
type Desk struct {
	p     Parts
	db    *store.DB
	clock clock.Clock
	vault *vault.Vault
	paper *paper
}

// New keeps what it is given.
func New(p Parts) (*Desk, error) {
	d := &Desk{p: p, db: p.DB, clock: p.Clock, vault: p.Holds.vault}
	var err error
	d.paper, err = newPaper(p)
	return d, err
}

const (
	maxName   = 253 // octets of a name at the access server
	minReason = 3
	maxReason = 500
	maxLegal  = 200
	maxHold   = 5 * 366 * 24 * time.Hour
	maxListed = 200
)

// For what columns are sealed.
const (
	SealedRequest = "privacy.request"
	SealedHold    = "privacy.hold"
	SealedCopy    = "privacy.copy"
)

// Wish is what somebody wants of a subscriber's data, and why.
type Wish struct {
	Subscriber string `json:"subscriber" maxLength:"253" doc:"exactly as accounting names it; the line or device where no subscriber is known"`
	Reason     string `json:"reason" maxLength:"500" doc:"why, such as the number of a letter; kept: name nobody in it"`
}

func (w *Wish) check() error {
	if w.Subscriber = strings.TrimSpace(w.Subscriber); w.Subscriber == "" || len(w.Subscriber) > maxName {
		return bolwerk.Invalid("subscriber: want the name at the access server, 1 to %d octets", maxName)
	}
	return inWords(&w.Reason)
}

func inWords(reason *string) error {
	if *reason = strings.TrimSpace(*reason); len(*reason) < minReason || len(*reason) > maxReason {
		return bolwerk.WithHint(bolwerk.Invalid("a reason of %d to %d octets is needed", minReason, maxReason), "such as the number of the subscriber's letter")
	}
	return nil
}

// Export is all that is kept about a subscriber.
type Export struct {
	Operator   string      `json:"operator"`
	Subscriber string      `json:"subscriber"`
	MadeAt     time.Time   `json:"made_at"`
	Kept       []desk.Kept `json:"kept"`
}

// Export gives all that is kept about a subscriber, once the look is noted.
func (d *Desk) Export(ctx context.Context, by bolwerk.Actor, w Wish) (Export, error) {
	if err := w.check(); err != nil {
		return Export{}, err
	}
	if err := d.p.Lookups.Noted(ctx, by, "export: "+w.Reason, "", w.Subscriber); err != nil {
		return Export{}, err
	}
	out := Export{Operator: d.p.Operator, Subscriber: w.Subscriber, MadeAt: d.clock.Now().UTC(), Kept: []desk.Kept{}}
	var err error
	if out.Kept, err = d.about(ctx, w.Subscriber); err != nil {
		return Export{}, err
	}
	return out, d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		return insert(tx, Request{ID: bolwerk.NewID(tx.Now()), Kind: "export", State: Done, Reason: w.Reason, AskedBy: by, DecidedBy: by, DecidedAt: tx.Now()}, nil, "")
	})
}

func (d *Desk) about(ctx context.Context, subscriber string) ([]desk.Kept, error) {
	out := []desk.Kept{}
	for _, k := range d.p.Keepers {
		some, err := k.About(ctx, subscriber)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	return out, nil
}

// State is where a request stands.
type State string

// The states.
const (
	Waits    State = "waits"    // for a second person
	Approved State = "approved" // under way
	Done     State = "done"
	Declined State = "declined"
	Expired  State = "expired" // nobody approved it in time
)

// Request is an export or an erasure that somebody asked for. Once it is decided it
// names no subscriber any more.
type Request struct {
	ID        string        `json:"id"`
	Kind      string        `json:"kind" enum:"export,erasure"`
	State     State         `json:"state" enum:"waits,approved,done,declined,expired"`
	Reason    string        `json:"reason"`
	AskedBy   bolwerk.Actor `json:"asked_by"`
	AskedAt   time.Time     `json:"asked_at"`
	DecidedBy bolwerk.Actor `json:"decided_by,omitzero"`
	DecidedAt time.Time     `json:"decided_at,omitzero"`
	Report    []desk.Erased `json:"report,omitempty" doc:"what was erased and what stays, and why"`

	// Of an erasure that waits, for who decides it.
	Subscriber string `json:"subscriber,omitempty"`
	Digest     string `json:"digest,omitempty" doc:"what an approval is bound to"`
	proposal   string
}

const requestColumns = `id,kind,state,proposal,reason,asked_by,asked_at,decided_by,decided_at,report`

func readRequest(scan func(...any) error) (r Request, err error) {
	var asker, decider, report string
	var asked, decided int64
	if err := scan(&r.ID, &r.Kind, (*string)(&r.State), &r.proposal, &r.Reason, &asker, &asked, &decider, &decided, &report); err != nil {
		return r, err
	}
	r.AskedAt, r.DecidedAt = store.Time(asked), store.Time(decided)
	if r.AskedBy, err = bolwerk.ParseActor(asker); err != nil {
		return r, err
	}
	if err := r.DecidedBy.UnmarshalText([]byte(decider)); err != nil {
		return r, err
	}
	if report != "" {
		err = json.Unmarshal([]byte(report), &r.Report)
	}
	return r, err
}

func insert(tx *store.Tx, r Request, sealed []byte, proposal string) error {
	_, err := tx.Exec(`insert into privacy_request(id,kind,state,subscriber_sealed,proposal,reason,asked_by,asked_at,decided_by,decided_at,report) values($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,'')`,
		r.ID, r.Kind, string(r.State), sealed, proposal, r.Reason, r.AskedBy.String(), tx.NowMicros(), r.DecidedBy.String(), store.Micros(r.DecidedAt))
	return err
}

// Requests are the last exports and erasures, those that wait first, then the newest.
func (d *Desk) Requests(ctx context.Context) (out []Request, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		out, err = store.List(tx, readRequest, `select `+requestColumns+` from privacy_request order by case when state='waits' then 0 else 1 end, asked_at desc, id desc limit $1`, maxListed)
		return err
	})
	return out, err
}

func mayNot(who account.Person) error {
	return bolwerk.WithHint(bolwerk.Forbidden("the role %s may not do this", who.Role), "ask a privacy officer")
}
