// Package shield is the anti-phishing shield, desk side: reports are read and
// judged, a person decides, the name is blocked on every resolver, the reporter
// is answered, and prevented visits are counted.
package shield

import (
	_ "embed"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"bolwerk/desk"
	"bolwerk/internal/blob"
	"bolwerk/internal/clock"
	"bolwerk/internal/factlog"
	"bolwerk/internal/gate"
	"bolwerk/internal/job"
	"bolwerk/internal/ledger"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
	"bolwerk/shield/reading"
)

//go:embed schema.sql
var schema string

// Schema is the tables of the shield.
func Schema() store.Schema { return store.Schema{Name: "shield", Steps: []string{schema}} }

// Name is the capability's name in cases, facts and addresses.
const Name = "shield"

// The copies that the shield publishes.
const (
	CopyBlocks = "blocks" // rules for edges and for the RPZ zones
	CopyPublic = "public" // what the public may see, for intakes
)

// Shield is the desk side. Its methods may be called from anywhere.
type Shield struct {
	cfg      Config
	db       *store.DB
	clock    clock.Clock
	log      *slog.Logger
	facts    *factlog.Log
	vault    *vault.Vault
	blobs    *blob.Store
	publish  *publish.Desk
	ledger   *ledger.Desk
	holder   Holder
	reader   *reading.Pool
	guard    *guard
	files    feeds
	feed     *Feed
	watch    Watch
	live     liveDay
	reports  *reports // nil where there is no console
	count    *metrics
	wake     chan struct{} // a report came in
	decided  chan struct{} // a case was decided
	alone    chan struct{} // rules are to look at a case
	tripped  tripped
	ask      map[string]netip.AddrPort
	voices   map[string]voice // by sub-brand; "" is the operator's own
	names    [nameKinds]names
	pictured chan struct{} // a report with pictures was read
	slow     *reading.Pool // reads pictures and PDFs
	ocr      *reading.OCR  // nil: a person reads their letters
	heard    struct {
		sync.Mutex
		of map[string]*heard // by name
	}
	asker *http.Client        // of registries and logs: public addresses only, no redirects
	room  *semaphore.Weighted // bytes of the reports that are worked on

	releasing sync.Mutex // of held orders
	pulses    pulses
	asking    Asker   // nil: no host is asked
	touched   touched // blocks of which the public is to be told anew
	visits    visits
}

// Parts is what the shield is given.
type Parts struct {
	DB      *store.DB
	Clock   clock.Clock
	Log     *slog.Logger
	Facts   *factlog.Log
	Vault   *vault.Vault
	Blobs   *blob.Store
	Publish *publish.Desk
	Ledger  *ledger.Desk // the transparency log
	Holder  Holder       // nil: there is no other desk
	Reader  *reading.Pool
	Slow    *reading.Pool // for pictures and PDFs; nil is Reader
	OCR     *reading.OCR  // reads letters in pictures; nil leaves them to a person
	Metrics prometheus.Registerer
	// Resolvers answer "block explain": name and address of each.
	Resolvers map[string]netip.AddrPort
}

// New keeps what it is given and loads nothing.
func New(cfg Config, p Parts) *Shield {
	s := &Shield{
		cfg: cfg, db: p.DB, clock: p.Clock, log: p.Log, facts: p.Facts, vault: p.Vault, blobs: p.Blobs,
		publish: p.Publish, ledger: p.Ledger, reader: p.Reader, guard: newGuard(cfg, p.Log), count: newMetrics(p.Metrics, p.DB),
		asker: gate.New(cfg.FetchAllow).Client(30 * time.Second),
		wake:  make(chan struct{}, 1), decided: make(chan struct{}, 1), alone: make(chan struct{}, 1), ask: p.Resolvers, room: semaphore.NewWeighted(atOnceSize),
	}
	s.pictured, s.slow, s.ocr = make(chan struct{}, 1), p.Slow, p.OCR
	if s.slow == nil {
		s.slow = p.Reader
	}
	if s.holder = p.Holder; s.holder == nil {
		s.holder = onlyDesk{}
	}
	s.heard.of = map[string]*heard{}
	p.Metrics.MustRegister(pulseGauges{s})
	s.visits.ring, s.visits.came = make(chan struct{}, 1), make(chan struct{}, 1)
	return s
}

// Handle gives the runner of jobs the kinds that the shield does.
func (s *Shield) Handle(r *job.Runner, send Sender) {
	r.Handle(desk.NoticeJob, s.sendNotice(send))
	r.Handle(answerJob, s.answerLater)
	r.Handle(noticeMakeJob, s.makeNotices)
	r.Handle(noticeSendJob, s.sendOutside(send))
}
