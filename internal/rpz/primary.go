package rpz

import (
	"context"
	"iter"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"

	"bolwerk"
	"bolwerk/internal/clock"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// Primary serves the zones. All its methods may be called from any goroutine.
type Primary struct {
	cfg   Config
	clock clock.Clock
	log   *slog.Logger
	keys  keyring
	zones map[bolwerk.Domain]*zone
	peers []*peer
	count counters
	ours  func() bool   // nil: always
	noise *rate.Limiter // answers to those who may not ask

	mu    sync.Mutex // of the connections
	conns map[net.Conn]netip.Addr
}

// peer is a secondary and where it stands with each zone.
type peer struct {
	Secondary
	key      string     // with final dot, or empty
	all      []*courier // of every zone that may be transferred
	couriers []*courier // of the zones that it takes
}

// New remembers the configuration, which it validates. r may be nil.
func New(cfg Config, c clock.Clock, log *slog.Logger, r prometheus.Registerer) (*Primary, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	keys, err := newKeyring(cfg.Keys)
	if err != nil {
		return nil, err
	}
	p := &Primary{
		cfg: cfg, clock: c, log: log, keys: keys,
		zones: map[bolwerk.Domain]*zone{},
		conns: map[net.Conn]netip.Addr{},
		noise: rate.NewLimiter(200, 200),
	}
	var canaries []bolwerk.Domain
	for _, z := range cfg.Zones {
		if !z.Canary.IsZero() {
			canaries = append(canaries, z.Canary)
		}
	}
	for _, z := range cfg.Zones {
		p.zones[z.Name] = newZone(z, cfg.Server, cfg.Contact, canaries, cfg.JournalRecords)
	}
	if !cfg.Catalog.IsZero() {
		p.zones[cfg.Catalog] = newCatalog(cfg)
	}
	for _, s := range cfg.Secondaries {
		q := &peer{Secondary: s}
		if s.Key != "" {
			q.key = s.Key + "."
		}
		for _, z := range cfg.Zones {
			c := newCourier(p.zones[z.Name])
			if q.all = append(q.all, c); !slices.Contains(s.Without, z.Name) {
				q.couriers = append(q.couriers, c)
			}
		}
		if z := p.zones[cfg.Catalog]; z != nil {
			c := newCourier(z)
			c.fixed = true
			q.all = append(q.all, c)
		}
		p.peers = append(p.peers, q)
	}
	p.count = newCounters(p, r)
	return p, nil
}

// Only has the primary speak while ours says so: else it answers as one whose
// zones are not loaded, and sends no NOTIFY. Of two desks one numbers the zones,
// and secondaries go on to it. Call it before Run.
func (p *Primary) Only(ours func() bool) { p.ours = ours }

func (p *Primary) speaks() bool { return p.ours == nil || p.ours() }

// Forget unloads the zones: what is served next may have another history.
func (p *Primary) Forget() {
	for _, z := range p.zones {
		if z.fixed == nil {
			z.forget()
		}
	}
}

// State is where a zone stands.
type State struct {
	Serial uint32
	Epoch  int64
}

// Load fills a zone with records, or replaces what it has; readers see the old
// zone or the new one. The journal, oldest first, ends with the change that led
// to s, so that secondaries go on by IXFR; of its first change only serial and
// epoch count: it says where the journal begins. An error from records, a record
// that cannot be published, or a serial that is not newer leaves all as it was.
func (p *Primary) Load(name bolwerk.Domain, s State, records iter.Seq2[Record, error], journal []Change) error {
	z := p.zones[name]
	if z == nil {
		return bolwerk.NotFound("zone %s: is not served here", name)
	}
	if err := z.load(s.Serial, s.Epoch, records, journal, p.clock.Now()); err != nil {
		return err
	}
	p.tell(z)
	return nil
}

// Commit makes one change, all at once for readers, and tells the secondaries
// now. It is refused as a whole: a serial that does not come after the current
// one (bolwerk.ErrConflict), a record that is there already or stands beside a
// CNAME (ErrConflict), one to delete that is not there (ErrNotFound), and what
// can never be published (ErrInvalid). The caller does not touch c afterwards.
func (p *Primary) Commit(name bolwerk.Domain, c Change) error {
	z := p.zones[name]
	if z == nil {
		return bolwerk.NotFound("zone %s: is not served here", name)
	}
	if err := z.commit(c, p.clock.Now()); err != nil {
		return err
	}
	p.tell(z)
	return nil
}

// Check says what Commit would say to the records of c, whatever its serial,
// and does nothing.
func (p *Primary) Check(name bolwerk.Domain, c Change) error {
	z := p.zones[name]
	if z == nil {
		return bolwerk.NotFound("zone %s: is not served here", name)
	}
	z.mu.Lock() // it may intern a set
	defer z.mu.Unlock()
	if !z.loaded {
		return bolwerk.NotFound("zone %s: is not loaded", name)
	}
	_, err := z.plan(c)
	return err
}

// At is where the zone stands, and how many records it has; ok is false before
// it is loaded.
func (p *Primary) At(name bolwerk.Domain) (s State, records int, ok bool) {
	z := p.zones[name]
	if z == nil {
		return State{}, 0, false
	}
	z.mu.RLock()
	defer z.mu.RUnlock()
	return State{z.serial, z.epoch}, z.records, z.loaded
}

// Seen is the highest serial of the zone that anybody has: published here, or
// shown by a secondary that asked. After a restore the next serial must be
// newer than this one, else secondaries keep what they have.
func (p *Primary) Seen(name bolwerk.Domain) uint32 {
	z := p.zones[name]
	if z == nil {
		return 0
	}
	z.mu.RLock()
	defer z.mu.RUnlock()
	return z.seen
}

// tell wakes the couriers of a zone.
func (p *Primary) tell(z *zone) {
	for _, q := range p.peers {
		for _, c := range q.couriers {
			if c.zone == z {
				c.poke()
			}
		}
	}
}

// Run serves on udp, which may be nil, and on listeners for TCP or TLS, and
// carries NOTIFY until ctx ends; then it closes them, ends every transfer and
// returns.
func (p *Primary) Run(ctx context.Context, udp net.PacketConn, listeners ...net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	errs := make(chan error, 1+len(listeners))
	serve := func(f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				errs <- err
				stop()
			}
		})
	}
	if udp != nil {
		serve(func(ctx context.Context) error { return p.serveUDP(udp) })
	}
	for _, l := range listeners {
		serve(func(ctx context.Context) error { return p.serveTCP(ctx, l) })
	}
	var from netip.Addr
	if udp != nil {
		if a, ok := udp.LocalAddr().(*net.UDPAddr); ok && !a.IP.IsUnspecified() {
			from = a.AddrPort().Addr().Unmap() // secondaries take NOTIFY from the primary's address only
		}
	}
	for _, q := range p.peers {
		if !q.Notify.IsValid() {
			continue
		}
		for _, c := range q.couriers {
			wg.Go(func() { p.carry(ctx, q, c, from) })
		}
		if q.Catalog {
			wg.Go(func() { p.carry(ctx, q, q.courier(p.zones[p.cfg.Catalog]), from) })
		}
	}
	<-ctx.Done()
	if udp != nil {
		udp.Close()
	}
	for _, l := range listeners {
		l.Close()
	}
	p.mu.Lock()
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}
