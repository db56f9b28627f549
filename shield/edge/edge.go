// Package edge is what runs of the shield at the edge: the answer to each DNS
// question, the warning page, and the counters. It works from its last good
// copy and never asks the desk per query.
package edge

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"crypto/rand"
	"crypto/sha256"

	"bolwerk"
	"bolwerk/internal/clock"
	copies "bolwerk/internal/copy"
	"bolwerk/internal/disk"
	"bolwerk/internal/dnsserve"
	"bolwerk/internal/nameset"
)

// HandIn gives the desk something through the edge's spool. It returns nil when
// it is durable here.
type HandIn func(ctx context.Context, kind string, body []byte) error

// Edge holds the rules of the copy "blocks" and answers by them. It implements
// copy.Sink. Reset and Apply come from one goroutine at a time, all else from
// any.
type Edge struct {
	cfg    Config
	clock  clock.Clock
	handIn HandIn
	log    *slog.Logger
	page   *page

	set      *nameset.Set
	local    *nameset.Set // names passed at this edge itself
	seed     [2]uint64    // of the keys of the set
	recall   *recall      // nil: nothing is kept
	terms    terms
	hits     *hits
	asked    *asked
	released *releases
	views    views
	garden   *garden // nil: lines in quarantine are answered as others are
	// viewsStamp is which file of views was read; readViews alone has it.
	viewsStamp string
	grown      chan struct{}

	turn   atomic.Pointer[Turn] // of the pulse, the last that came
	feeler atomic.Pointer[Feeler]

	addr4, addr6 []byte // the warning page's addresses, as DNS answers them
	// sde is the JSON of a structured error, before and after its justification.
	sde [2]string

	now   atomic.Int64 // seconds since 1970, what rules are held against
	begun atomic.Int64 // the same or later: by what they begin

	mu     sync.Mutex
	good   time.Time // the wall clock when it was last trusted,
	goodAt time.Time // and the monotonic one at that moment
	desk   time.Time // what the desk signed as its time, the latest,
	deskAt time.Time // and the monotonic clock when that came
	behind bool      // our clock is, and it was told
	head   copies.Head
	fresh  time.Time // when the last copy or change was taken
	bad    int64     // entries that could not be read
	passes []localPass
	dir    string
}

// New makes an edge that blocks nothing yet. dir keeps what people let pass here;
// it is read now. workers is how many DNS workers will ask.
func New(cfg Config, dir string, workers int, c clock.Clock, handIn HandIn, log *slog.Logger) (*Edge, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	var boot [16]byte
	rand.Read(boot[:])
	var seed [16]byte
	rand.Read(seed[:])
	e := &Edge{cfg: cfg, clock: c, handIn: handIn, log: log, dir: dir, set: nameset.New(), local: nameset.New(),
		hits: newHits(hex.EncodeToString(boot[:]), workers), asked: newAsked(workers), grown: make(chan struct{}, 1)}
	e.seed = [2]uint64{binary.LittleEndian.Uint64(seed[:]), binary.LittleEndian.Uint64(seed[8:])}
	e.addr4, e.addr6, _ = cfg.addresses()
	e.sde = cfg.structured()
	e.released = newReleases(cfg.Release)
	var err error
	if e.page, err = newPage(cfg); err != nil {
		return nil, err
	}
	e.good, e.goodAt = c.Now(), time.Now()
	e.now.Store(e.good.Unix())
	e.begun.Store(e.good.Unix())
	e.readViews()
	if dir == "" {
		return e, nil
	}
	e.recall = &recall{dir: dir, written: make(chan struct{}, 1)}
	e.recallNames()
	b, err := os.ReadFile(e.passFile())
	if err == nil {
		if err = json.Unmarshal(b, &e.passes); err == nil {
			err = e.showPasses()
		}
	} else if os.IsNotExist(err) {
		err = nil
	}
	if err != nil {
		// Serving goes on: the file only makes holes in the blocks.
		log.Error("names passed at this edge cannot be read", "file", passesName, "err", err, "alarm", true)
	}
	return e, nil
}

const (
	tickEvery   = 100 * time.Millisecond // how late a rule begins or ends at most
	clockLate   = 10 * time.Second       // behind the desk's: somebody has to look at it
	rollUpEvery = 10 * time.Second
)

// Run keeps the time, folds changes into the base and hands the counts in, until
// ctx ends; the last counts are handed in before it returns.
func (e *Edge) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-e.grown:
				if e.set.Grown() {
					if err := e.set.Compact(); err != nil {
						e.log.Error("the list of names could not be rebuilt; the old one serves on", "err", err)
					}
				}
				if e.recall.due(e.set.Bytes()) {
					e.saveNames()
				}
			}
		}
	})
	wg.Go(func() { e.syncChanges(ctx) })
	wg.Go(func() { e.countAsked(ctx) })
	wg.Go(func() { e.followViews(ctx) })
	wg.Go(func() {
		every := time.NewTicker(rollUpEvery)
		defer every.Stop()
		for {
			select {
			case <-ctx.Done():
				last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
				e.rollUp(last)
				cancel()
				return
			case <-every.C:
				e.rollUp(ctx)
				e.tellPasses(ctx)
				e.released.sweep(e.now.Load())
				e.views.sweep(e.now.Load())
			}
		}
	})
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			wg.Wait()
			return nil
		case <-tick.C:
			e.tick()
		}
	}
}

// tick takes the time. After a jump of the wall clock rules neither end nor
// begin by it: time goes on from where it was trusted, by the monotonic clock. They
// begin by the desk's time too: a machine whose clock is an hour late would hold back a
// block for that hour. They never end by it: one desk whose clock runs ahead would end
// every block at every edge.
func (e *Edge) tick() {
	now := e.clock.Now()
	e.views.suspect.Store(e.clock.Suspect())
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.clock.Suspect() {
		now = e.good.Add(time.Since(e.goodAt))
	} else {
		e.good, e.goodAt = now, time.Now()
	}
	desk := e.desk.Add(time.Since(e.deskAt))
	begun := now
	if late := desk.Sub(now); !e.desk.IsZero() && late > 0 {
		begun = desk
		if late > clockLate && !e.behind {
			e.behind = true
			e.log.Error("the clock of this machine is behind the desk's; blocks begin by the desk's", "by", late.Round(time.Second), "alarm", true)
		}
	} else if e.behind {
		e.behind = false
		e.log.Info("the clock of this machine is no longer behind the desk's")
	}
	e.now.Store(now.Unix())
	e.begun.Store(begun.Unix())
}

// Reset replaces all rules. An entry that cannot be read is skipped and counted:
// it must not hold up the others.
func (e *Edge) Reset(head copies.Head, seq func(yield func(copies.Entry) bool)) error {
	e.forgetNames() // what this copy no longer has must not come back with a crash
	bad := int64(0)
	var pulse copies.Entry
	err := e.set.Reset(func(yield func(nameset.Item) bool) {
		seq(func(en copies.Entry) bool {
			if en.ID == PulseEntry {
				pulse = en
			}
			it, ok, err := e.item(en)
			if err != nil {
				bad++
				e.log.Error("a block cannot be read", "entry", en.ID, "err", err, "alarm", true)
			}
			return !ok || yield(it)
		})
	})
	if err != nil {
		return err
	}
	e.took(head, bad, true)
	e.felt(pulse)
	e.saveNames()
	if e.set.Len() > 100_000 {
		debug.FreeOSMemory() // what reading so many entries left behind
	}
	return nil
}

// Apply takes the changes of one answer: questions see all of them or none. Of
// several changes of one entry, as of a block that was withdrawn before this edge
// heard of it, the highest version stands, and of equal ones the last.
func (e *Edge) Apply(head copies.Head, changes []copies.Entry) error {
	bad, err := e.change(changes)
	if err != nil {
		return err
	}
	e.took(head, bad, false)
	for _, en := range changes {
		e.felt(en)
	}
	e.noteChange(changes)
	if e.set.Grown() || e.recall.due(e.set.Bytes()) {
		select {
		case e.grown <- struct{}{}:
		default:
		}
	}
	return nil
}

// change takes entries into the set; bad counts those that cannot be read.
func (e *Edge) change(changes []copies.Entry) (bad int64, err error) {
	type fate struct {
		version uint32
		item    nameset.Item
		there   bool
	}
	fates := make(map[uint64]fate, len(changes))
	for _, en := range changes {
		it, ok, err := e.item(en)
		if err != nil {
			bad++
			e.log.Error("a block cannot be read", "entry", en.ID, "err", err, "alarm", true)
			continue // what stood under this id stands on
		}
		key, version := e.key(en.ID), clip(en.Version)
		if f, twice := fates[key]; twice && f.version > version {
			continue
		}
		if old, have := e.set.Find(key); have && readPayload(old.Payload).version > version {
			continue
		}
		fates[key] = fate{version, it, ok}
	}
	put, gone := make([]nameset.Item, 0, len(fates)), make([]uint64, 0, len(fates))
	for key, f := range fates {
		if f.there {
			put = append(put, f.item)
		} else {
			gone = append(gone, key)
		}
	}
	if err := e.set.Apply(put, gone); err != nil {
		return bad, err
	}
	return bad, nil
}

func (e *Edge) took(head copies.Head, bad int64, all bool) {
	e.mu.Lock()
	if head.MadeAt.After(e.desk) {
		e.desk, e.deskAt = head.MadeAt, time.Now()
	}
	e.mu.Unlock()
	e.tick()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.head, e.fresh = head, e.good
	if all {
		e.bad = 0
	}
	e.bad += bad
}

// item makes a name of the set from an entry; false is an entry that our own
// edges do not have.
func (e *Edge) item(en copies.Entry) (nameset.Item, bool, error) {
	if en.Removed {
		return nameset.Item{}, false, nil
	}
	r, err := ParseRule(en)
	if err != nil || r.FeedOnly {
		return nameset.Item{}, false, err
	}
	return e.itemOf(e.key(en.ID), r, en.From, en.Until, en.Version), true, nil
}

// key is the entry's identity in the set. Its seed is kept with the names, so that
// changes of the next run find them.
func (e *Edge) key(id string) uint64 {
	var b [64]byte
	in := binary.LittleEndian.AppendUint64(b[:0], e.seed[0])
	in = binary.LittleEndian.AppendUint64(in, e.seed[1])
	sum := sha256.Sum256(append(in, id...))
	return binary.LittleEndian.Uint64(sum[:])
}

// found is the rule that decides about a name.
type found struct {
	ok, pass bool
	labels   int
	suffix   int
	payload
	term *term
}

// find looks for the rule that decides about a name in wire format: an exemption
// if there is one, else the most specific block that the asker's view has; of two at
// the same name an order. The zero address has the default view.
func (e *Edge) find(name []byte, from netip.Addr) (f found) {
	now, begun := e.now.Load(), e.begun.Load()
	view, known := DefaultView, false
	e.set.Lookup(name, func(h nameset.Hit) bool {
		p := readPayload(h.Payload)
		if !p.valid(now, begun) {
			return true
		}
		t := e.terms.at(p.term)
		if t.pass {
			f = found{true, true, h.Labels, h.Suffix, p, t}
			return false
		}
		if !known {
			view, known = e.views.of(from, now), true
		}
		if !t.pulse && !view.sees(t.ground) {
			return true
		}
		if !f.ok || h.Labels > f.labels || t.ground == ByOrder && f.term.ground != ByOrder {
			f = found{true, false, h.Labels, h.Suffix, p, t}
		}
		return true
	})
	if f.ok && !f.pass && e.local.Len() > 0 {
		e.local.Lookup(name, func(h nameset.Hit) bool {
			f.pass = f.pass || readPayload(h.Payload).valid(now, begun)
			return !f.pass
		})
	}
	return f
}

// Answer is the dnsserve.Policy.
func (e *Edge) Answer(q *dnsserve.Question) (dnsserve.Answer, bool) {
	if e.handIn != nil {
		e.asked.count(q.Worker, q.Name)
	}
	f := e.find(q.Name, q.From)
	if !f.ok || f.pass || e.released.has(q.From, &f, e.now.Load()) {
		return e.guest(q)
	}
	t := f.term
	if t.compromised && (q.Type == dnsserve.TypeMX || q.Type == dnsserve.TypeTXT || q.Type == dnsserve.TypeNS) {
		return e.guest(q) // a hacked site keeps its mail
	}
	if !t.pulse {
		e.hits.dns(q.Worker, f.hitKey(), e.now.Load())
	}
	a := dnsserve.Answer{TTL: e.cfg.TTL, Zone: f.suffix, EDE: t.ede}
	switch {
	case t.action == NXDomain, t.action == Redirect && q.Structured:
		a.Rcode = dnsserve.NXDomain
	case t.action == Redirect && q.Type == dnsserve.TypeA:
		a.Addrs = e.addr4
	case t.action == Redirect && q.Type == dnsserve.TypeAAAA:
		a.Addrs = e.addr6
	}
	if len(a.Addrs) > 0 {
		a.EDE = edeForged
	}
	if q.EDNS {
		if q.Structured {
			a.Text = e.structured(q.Scratch, f)
		} else {
			a.Text = f.appendBlock(append(q.Scratch, "blocked: "...))
		}
	}
	return a, true
}

// Explanation is why a name is answered as it is.
type Explanation struct {
	Name bolwerk.Domain `json:"name"`
	// Result is "open", "blocked" or "passed".
	Result string `json:"result"`
	// Rule is the one that decides; nil where the name is open or passed at
	// this edge itself.
	Rule *Rule `json:"rule,omitempty"`
	// Others catch the name too, with those whose time has not come or is over.
	Others []Rule `json:"others,omitempty"`
	// LocalUntil is set where somebody let the name pass at this edge itself.
	LocalUntil time.Time   `json:"local_until,omitzero"`
	Head       copies.Head `json:"head"` // the copy that decided
}

// Explain says which rule decides about the name.
func (e *Edge) Explain(name bolwerk.Domain) Explanation {
	wire := nameset.AppendWire(nil, name)
	f := e.find(wire, netip.Addr{})
	x := Explanation{Name: name, Result: "open", Head: e.Head()}
	now, begun := e.now.Load(), e.begun.Load()
	e.local.Lookup(wire, func(h nameset.Hit) bool {
		if p := readPayload(h.Payload); p.valid(now, begun) {
			x.LocalUntil = time.Unix(p.until, 0).UTC()
		}
		return true
	})
	seen := false
	e.set.Lookup(wire, func(h nameset.Hit) bool {
		p := readPayload(h.Payload)
		r := e.terms.rule(nameAt(wire, h.Suffix), p)
		if f.ok && !seen && p == f.payload && h.Labels == f.labels && (!f.pass || f.term.pass) {
			seen, x.Rule = true, &r
		} else {
			x.Others = append(x.Others, r)
		}
		return true
	})
	switch {
	case f.ok && f.pass:
		x.Result = "passed"
	case f.ok:
		x.Result = "blocked"
	}
	return x
}

// Head is the head of the copy that is served; zero before the first.
func (e *Edge) Head() copies.Head {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.head
}

// Rules is how many rules are loaded.
func (e *Edge) Rules() int { return e.set.Len() }

const (
	passesName = "passes.json"
	passFor    = 24 * time.Hour
	maxPasses  = 1000
)

type localPass struct {
	Pass
	Told bool `json:"told"`
}

func (e *Edge) passFile() string { return filepath.Join(e.dir, passesName) }

// Pass lets the name and all below it through at this edge for 24 hours. It acts
// at once, survives a restart, and is handed in to the desk as soon as that works.
func (e *Edge) Pass(ctx context.Context, name bolwerk.Domain) (until time.Time, err error) {
	if e.dir == "" {
		return until, bolwerk.Forbidden("pass %s: this edge keeps no state", name)
	}
	e.tick()
	now := e.clock.Now()
	e.mu.Lock()
	keep := e.passes[:0:0]
	for _, p := range e.passes {
		if p.Until.After(now) && p.Name != name || !p.Told {
			keep = append(keep, p)
		}
	}
	if len(keep) >= maxPasses {
		e.mu.Unlock()
		return until, bolwerk.ErrFull
	}
	until = now.Add(passFor)
	before := e.passes
	e.passes = append(keep, localPass{Pass: Pass{Name: name, Until: until, At: now}})
	if err = e.writePasses(); err != nil {
		e.passes = before
	} else {
		err = e.showPasses()
	}
	e.mu.Unlock()
	if err == nil {
		e.log.Warn("name passed at this edge", "name", name, "until", until)
		e.tellPasses(ctx)
	}
	return until, err
}

func (e *Edge) writePasses() error {
	b, err := json.Marshal(e.passes)
	if err != nil {
		return err
	}
	if err := disk.MakeDir(e.dir); err != nil {
		return err
	}
	return disk.Write(e.passFile(), b, "edge.pass")
}

func (e *Edge) showPasses() error {
	return e.local.Reset(func(yield func(nameset.Item) bool) {
		for i, p := range e.passes {
			if !p.Name.IsZero() && !yield(nameset.Item{Key: uint64(i), Name: p.Name, Flags: nameset.Self | nameset.Below,
				Payload: payload{until: p.Until.Unix()}.append(nil)}) {
				return
			}
		}
	})
}

// tellPasses hands in what the desk does not know yet.
func (e *Edge) tellPasses(ctx context.Context) {
	e.mu.Lock()
	todo := append([]localPass(nil), e.passes...)
	e.mu.Unlock()
	told := false
	for i, p := range todo {
		if p.Told || e.handIn == nil {
			continue
		}
		body, err := json.Marshal(p.Pass)
		if err == nil {
			err = e.handIn(ctx, KindPass, body)
		}
		if err != nil {
			e.log.Error("a pass cannot be handed in; tried again", "name", p.Name, "err", err)
			break
		}
		todo[i].Told, told = true, true
	}
	if !told {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.passes {
		for _, p := range todo {
			if p.Told && p.Pass == e.passes[i].Pass {
				e.passes[i].Told = true
			}
		}
	}
	if err := e.writePasses(); err != nil && !os.IsNotExist(err) {
		e.log.Error("names passed at this edge cannot be written", "err", err)
	}
}
