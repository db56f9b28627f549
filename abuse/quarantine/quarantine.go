// Package quarantine puts lines into the safe environment and takes them out again. A
// quarantine is a lease of a subscriber: what is wanted, why, by whom, until when.
// Steps are pure (state.go), what holds people back from harm is a list of guards
// (brake.go), and a reconciler tells the access network what is wanted until it says
// that it is so (apply.go).
package quarantine

import (
	_ "embed"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/reading"
	"bolwerk/abuse/session"
	"bolwerk/abuse/view"
	"bolwerk/abuse/who"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
)

//go:embed schema.sql
var schema string

// Schema is the tables of this package.
func Schema() store.Schema { return store.Schema{Name: "abuse_quarantine", Steps: []string{schema}} }

// For what columns are sealed, both with the kept keys.
const (
	SealedWho  = "abuse.quarantine"
	SealedLine = "abuse.quarantine.line"
	markWho    = "abuse.subscriber" // as cases mark theirs
	markLine   = "abuse.quarantine.line"
)

// Gardens gives lines a garden at the edges.
type Gardens interface {
	// Hold gives the subscriber's lines a garden, or another guest in it.
	Hold(tx *store.Tx, h view.Hold) error
	// Free takes it away. What is not there is no error.
	Free(tx *store.Tx, id string) error
}

// Cases is the desk's side of a quarantine.
type Cases interface {
	// Evidence is what was seen of a case, newest first, at most 10, and the family
	// of malware and kind of device as far as known.
	Evidence(tx *store.Tx, caseID string) (seen []garden.Seen, family, device string, err error)
	// Happened writes into the history of the case, and tells the subscriber where
	// what calls for it: quarantined, released, help.
	Happened(tx *store.Tx, q Row, what, code string, by bolwerk.Actor, text string) error
	// Shown says that the page of the case's guest shows something else.
	Shown(tx *store.Tx, caseID string) error
	// Tested is what a test of the case's line asks for, and what the last one found.
	Tested(tx *store.Tx, caseID string) (garden.Tested, error)
	// AskTest has the case's line tested; bolwerk.ErrConflict: it cannot be now.
	AskTest(tx *store.Tx, caseID string, by bolwerk.Actor) error
}

// Flags are what is known of a customer beside the line.
type Flags struct {
	Never, Vulnerable, Business, Reseller bool
}

// Parts is what the desk is given.
type Parts struct {
	DB    *store.DB
	Clock clock.Clock
	Log   *slog.Logger
	Keys  *vault.Vault // those of sessions; what is kept with a case is sealed with the kept ones
	Who   *who.Who
	Cases Cases
	// Gardens may be nil: then the edges show nobody a garden.
	Gardens Gardens
	// Flags may be nil: then only the lists of the configuration are known.
	Flags func(tx *store.Tx, who session.Identity) (Flags, error)
	// Port may be nil: then only the edges know.
	Port enforce.Port
	// Proved says that a session of ours was put into quarantine and released at an
	// access server, so that its settings are known to work. nil: none was.
	Proved func(nas string) bool
	// Stays says that a profile outlives the session at an access server, as a reservation
	// of a device does: it is taken away at the end, whoever is on line. nil: it never does.
	Stays func(nas string) bool
	// Told is the profile that filters of an access server's accounting tell of; false
	// where they tell of none. nil: accounting tells of none.
	Told func(nas string, filters []string) (enforce.Profile, bool)
	// Restoring says that the desk was brought back to an older day and a person has still
	// to look: nobody goes in before. nil: it never was.
	Restoring func(tx *store.Tx) (bool, error)
	// Lied hears of an access server that acknowledges and does not act. May be nil.
	Lied    func(tx *store.Tx, nas, code string) error
	Zone    *time.Location // of the helpdesk's hours; nil is UTC
	Metrics prometheus.Registerer
}

// Desk keeps the quarantines.
type Desk struct {
	cfg   Config
	p     Parts
	db    *store.DB
	log   *slog.Logger
	count *metrics
	wake  chan struct{}
	aside aside

	mu     sync.Mutex
	looked time.Time // when what the brake holds back was looked at last
	after  string    // and up to which, where there is more
}

// New keeps what it is given, and follows the sessions of those in quarantine.
func New(cfg Config, p Parts) *Desk {
	if p.Zone == nil {
		p.Zone = time.UTC
	}
	if p.Port == nil {
		p.Port, p.Proved = edgesOnly{}, func(string) bool { return true }
	}
	d := &Desk{cfg: cfg, p: p, db: p.DB, log: p.Log, wake: make(chan struct{}, 1)}
	d.count = newMetrics(p.Metrics, p.DB)
	p.Who.Follow(d.told)
	return d
}

func (d *Desk) ring() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Why is the record of why a line is restricted, as Regulation (EU) 2015/2120,
// article 3(3)(b), and ENISA's guideline on it ask.
type Why struct {
	Threat     string `json:"threat" doc:"what others are protected from"`
	Necessity  string `json:"necessity" doc:"why nothing milder does"`
	Proportion string `json:"proportion" doc:"why it is not more than that"`
	Legal      string `json:"legal,omitempty" doc:"legal reference: needed for strict; leaky has Regulation (EU) 2015/2120, art. 3(3)(b) where absent"`
}

// DefaultLegal is the reference of a leaky quarantine that names none.
const DefaultLegal = "Regulation (EU) 2015/2120, art. 3(3)(b)"

// Row is a quarantine. It names nobody.
type Row struct {
	ID        string          `json:"id"`
	Ref       string          `json:"ref"`
	CaseID    string          `json:"case"`
	Class     reading.Class   `json:"class"`
	Feed      string          `json:"feed,omitempty"`
	Profile   enforce.Profile `json:"profile" enum:"leaky,strict"`
	State     State           `json:"state" enum:"requested,approved,applying,active,pending,failed,acknowledged,offered,releasing,released,stuck,dropped"`
	Waits     []string        `json:"waits,omitempty" doc:"guards that hold it back, as codes"`
	Automatic bool            `json:"automatic"`
	Needy     bool            `json:"needy,omitempty" doc:"a vulnerable customer: released first"`
	AskedBy   bolwerk.Actor   `json:"asked_by"`
	SecondBy  string          `json:"second_by,omitempty"`
	Digest    string          `json:"digest" doc:"of what is asked for: an approval names it"`
	Why       Why             `json:"why"`
	AskedAt   time.Time       `json:"asked_at"`
	StartAt   time.Time       `json:"start_at,omitzero"`
	ForceAt   time.Time       `json:"force_at,omitzero"`
	Until     time.Time       `json:"until"`
	ReviewAt  time.Time       `json:"review_at"`
	EndedAt   time.Time       `json:"ended_at,omitzero"`
	FreedAt   time.Time       `json:"freed_at,omitzero"`
	Mechanism Mechanism       `json:"mechanism,omitempty"`
	Campaign  string          `json:"release,omitempty" doc:"release of many that it is part of"`
	Ticked    []string        `json:"ticked,omitempty"`
	HelpAt    time.Time       `json:"help_at,omitzero"`
	SeenAt    time.Time       `json:"seen_at,omitzero"`
	SelfLeft  int             `json:"self_left"`

	mark    string
	sealed  []byte
	version int64
	leave   time.Time // when the guest asked to leave before every step was known here
	lines   []line
}

// line is a Line with its session.
type line struct {
	Line
	held []byte // sealed
}

const columns = `id,ref,case_id,mark,who_sealed,class,feed,profile,state,why,automatic,needy,asked_by,second_by,digest,threat,necessity,proportion,legal,asked_at,start_at,force_at,until,review_at,ended_at,freed_at,mechanism,campaign,ticked,help_at,seen_at,self_left,version,leave_at`

func zero(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return store.Time(us)
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return store.Micros(t)
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func read(scan func(...any) error) (q Row, err error) {
	var by, why, ticked string
	var asked, start, force, until, review, ended, freed, help, seen, leave int64
	if err := scan(&q.ID, &q.Ref, &q.CaseID, &q.mark, &q.sealed, (*string)(&q.Class), &q.Feed, (*string)(&q.Profile), (*string)(&q.State), &why, &q.Automatic, &q.Needy, &by, &q.SecondBy, &q.Digest,
		&q.Why.Threat, &q.Why.Necessity, &q.Why.Proportion, &q.Why.Legal, &asked, &start, &force, &until, &review, &ended, &freed, (*string)(&q.Mechanism), &q.Campaign, &ticked, &help, &seen, &q.SelfLeft, &q.version, &leave); err != nil {
		return q, err
	}
	q.AskedAt, q.StartAt, q.ForceAt, q.Until, q.ReviewAt = zero(asked), zero(start), zero(force), zero(until), zero(review)
	q.EndedAt, q.FreedAt, q.HelpAt, q.SeenAt, q.leave = zero(ended), zero(freed), zero(help), zero(seen), zero(leave)
	q.Waits, q.Ticked = split(why), split(ticked)
	q.AskedBy, err = bolwerk.ParseActor(by)
	return q, err
}

// find is a quarantine by its id or number, without its lines.
func find(tx *store.Tx, id string) (Row, error) {
	q, err := read(tx.Row(`select `+columns+` from abuse_quarantine where id=$1 or ref=$1`, id).Scan)
	if store.None(err) {
		return q, bolwerk.WithHint(bolwerk.NotFound("no quarantine %.60q", id), "bolwerk abuse quarantine list shows them")
	}
	return q, err
}

// load is a quarantine with its lines, for a step. Its row is taken first: two answers
// about two lines of one, taken in at the same time, would each leave the other's out, and
// what is over would stay on its way.
func load(tx *store.Tx, id string) (Row, error) {
	if _, err := tx.Exec(`update abuse_quarantine set version=version where id=$1 or ref=$1`, id); err != nil {
		return Row{}, err
	}
	return show(tx, id)
}

// show is a quarantine with its lines, to look at.
func show(tx *store.Tx, id string) (Row, error) {
	q, err := find(tx, id)
	if err != nil {
		return q, err
	}
	q.lines, err = linesOf(tx, q.ID)
	return q, err
}

func linesOf(tx *store.Tx, id string) ([]line, error) {
	return store.List(tx, func(scan func(...any) error) (l line, err error) {
		var due, heard int64
		err = scan(&l.Key, &l.NAS, &l.held, (*string)(&l.Want), &l.Version, &l.Done, &l.Seen, &l.Tries, &due, &l.Code, &l.Against, &heard)
		l.Due, l.Heard = zero(due), zero(heard)
		return l, err
	}, `select skey,nas,held_sealed,want,version,done,seen,tries,due_at,code,against,heard_at from abuse_quarantine_line where quarantine=$1 order by skey`, id)
}

// pure is q as far as its steps go.
func (q *Row) pure() Q {
	p := Q{State: q.State, Profile: q.Profile, Until: q.Until, EndedAt: q.EndedAt, Mechanism: q.Mechanism, SelfLeft: q.SelfLeft, Version: q.version}
	for _, l := range q.lines {
		p.Lines = append(p.Lines, l.Line)
	}
	return p
}

// identity is whose it is.
func (d *Desk) identity(q Row) (i session.Identity, err error) {
	plain, err := d.p.Keys.Kept().Open(SealedWho, q.sealed)
	if err != nil {
		return i, err
	}
	return i, json.Unmarshal(plain, &i)
}
