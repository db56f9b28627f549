package abuse

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk/abuse/clearing"
	"bolwerk/abuse/contact"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/inform"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/retest"
	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
	"bolwerk/desk"
	"bolwerk/internal/blob"
	"bolwerk/internal/clock"
	"bolwerk/internal/factlog"
	"bolwerk/internal/mail"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
)

//go:embed schema.sql
var schema string

// Schema is the tables of the desk's side.
func Schema() store.Schema { return store.Schema{Name: "abuse", Steps: []string{schema}} }

// Name is the capability's name in cases and addresses.
const Name = "abuse"

// CopyPublic is the copy that intakes follow.
const CopyPublic = "public"

// ErrDied says that a reader process died over the bytes that it was given.
var ErrDied = errors.New("the reader died over it")

// Reader has strangers' bytes read where they can do no harm. An error that is
// ErrDied counts against the report.
type Reader interface {
	Look(ctx context.Context, task string, raw []byte, ask any) (json.RawMessage, error)
}

// Holds tells which cases and subscribers are held just now.
type Holds interface {
	Held(tx *store.Tx) ([]desk.Hold, error)
}

// Holder runs work while this desk is the one that does it.
type Holder interface {
	While(ctx context.Context, name string, work func(ctx context.Context) error) error
}

// Parts is what the desk is given.
type Parts struct {
	DB    *store.DB
	Clock clock.Clock
	Log   *slog.Logger
	Facts *factlog.Log // nil: none are told
	Vault *vault.Vault // seals what is kept as long as a report's body
	Blobs *blob.Store
	// Sessions are the keys of the map of addresses: what is kept as long as a case
	// is sealed with those that it keeps for pins.
	Sessions *vault.Vault
	Who      *who.Who
	Contacts *contact.Book
	Publish  *publish.Desk
	Holder   Holder
	Reader   Reader
	// Of quarantines; see quarantine.Parts. All of them may be nil.
	Gardens quarantine.Gardens
	Port    enforce.Port
	Proved  func(nas string) bool
	// Stays, Told and Lied, which may be nil, are as in quarantine.Parts.
	Stays func(nas string) bool
	Told  func(nas string, filters []string) (enforce.Profile, bool)
	Lied  func(tx *store.Tx, nas, code string) error
	Zone  *time.Location
	// Holds are what a law or an order keeps from being erased and forgotten; nil for
	// nothing.
	Holds Holds
	// Clearing is whose reports are fetched every FetchEvery, as those of FetchFeed;
	// nil for none.
	Clearing   *clearing.House
	FetchEvery time.Duration
	FetchFeed  string
	// AuthservIDs are the names under which the operator's mail servers write who sent a
	// mail, OwnAddresses all that it writes from: neither is answered otherwise.
	AuthservIDs  []string
	OwnAddresses []mail.Address
	Metrics      prometheus.Registerer
}

// Desk is the desk's side: reports are read, events resolved, cases opened.
type Desk struct {
	cfg   Config
	p     Parts
	db    *store.DB
	clock clock.Clock
	log   *slog.Logger
	count *metrics
	wake  chan struct{} // a report came in
	found chan struct{} // events wait to be looked at

	inform  *inform.Desk                                                             // nil: nobody is told
	answers func(ctx context.Context, at netip.Addr, s retest.Service) (bool, error) // asks a line
	plays   chan struct{}                                                            // a step of a playbook may be due

	quarantines *quarantine.Desk
}

// New keeps what it is given.
func New(cfg Config, p Parts) *Desk {
	d := &Desk{cfg: cfg, p: p, db: p.DB, clock: p.Clock, log: p.Log, wake: make(chan struct{}, 1), found: make(chan struct{}, 1), plays: make(chan struct{}, 1), answers: retest.Answers}
	d.count = newMetrics(p.Metrics, p.DB)
	d.quarantines = quarantine.New(cfg.Quarantine, quarantine.Parts{DB: p.DB, Clock: p.Clock, Log: p.Log, Keys: p.Sessions, Who: p.Who, Cases: cases{d}, Gardens: p.Gardens, Flags: d.flags,
		Port: p.Port, Proved: p.Proved, Stays: p.Stays, Told: p.Told, Restoring: publish.RestoreOpen, Lied: p.Lied, Zone: p.Zone, Metrics: p.Metrics})
	if p.Metrics != nil {
		p.Metrics.MustRegister(feedGauges{d})
	}
	return d
}

// Run does the desk's work until ctx ends.
func (d *Desk) Run(ctx context.Context) error {
	if err := d.unclaim(ctx); err != nil && ctx.Err() == nil {
		d.log.Error("reports of abuse that an earlier run had taken on wait for their claims", "err", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.work(ctx) })
	g.Go(func() error { return d.p.Holder.While(ctx, "abuse events", d.resolveAll) })
	g.Go(func() error { return d.p.Holder.While(ctx, "abuse retention", d.forgetAll) })
	g.Go(func() error { return d.p.Holder.While(ctx, "abuse feeds", d.watchFeeds) })
	g.Go(func() error { return d.p.Holder.While(ctx, "abuse clearing house", d.fetchAll) })
	g.Go(func() error { return d.p.Holder.While(ctx, "abuse playbooks", d.playAll) })
	if d.cfg.Retest {
		g.Go(func() error { return d.p.Holder.While(ctx, "abuse tests of lines", d.retestAll) })
	}
	g.Go(func() error { return d.p.Holder.While(ctx, "abuse quarantines", d.quarantines.Run) })
	return g.Wait()
}

func ring(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// For what columns are sealed.
const (
	SealedFrom   = "abuse.from"  // with the keys of bodies
	SealedReply  = "abuse.reply" // with the keys of bodies
	SealedEvent  = "abuse.event" // with the keys of bodies
	SealedWho    = "abuse.case"  // with the kept keys of sessions
	SealedNote   = "abuse.note"  // with the kept keys of sessions
	markReporter = "abuse.reporter"
	markEvent    = "abuse.event"
	markWho      = "abuse.subscriber"
	markSession  = "abuse.session"
)

// markOf is under which mark a subscriber's new case is found, and marks under
// which earlier ones are.
func (d *Desk) markOf(i session.Identity) (string, error) {
	return d.p.Sessions.Kept().Mark(markWho, i.Who())
}

func (d *Desk) marks(i session.Identity) ([]string, error) {
	return d.p.Sessions.Kept().Marks(markWho, i.Who())
}

// marksNamed are the marks of all whom a name may mean; see session.Named.
func (d *Desk) marksNamed(name string) (all []string, err error) {
	for _, i := range session.Named(name) {
		some, err := d.marks(i)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}
