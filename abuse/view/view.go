// Package view takes the DNS views that subscribers chose to where their sessions
// are: a Start gives the session's addresses the subscriber's view at every edge, a
// Stop takes it away. A line in quarantine has the view of its garden instead, and its
// page. The copies that edges follow name only prefixes whose view is another than the
// default; every doubt is the default.
package view

import (
	"cmp"
	"context"
	_ "embed"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/lineview"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
)

//go:embed schema.sql
var schema string

// Schema is the tables of this package.
func Schema() store.Schema { return store.Schema{Name: "abuse_view", Steps: []string{schema}} }

// Copy is what edges follow.
const Copy = lineview.Copy

// Sealed is for what subscribers are sealed.
const Sealed = "abuse.view"

const (
	maxChoices = 200_000
	sweepEvery = 10 * time.Second
	sweepMost  = 500
)

// Config is how views follow sessions.
type Config struct {
	// Silence is how long no accounting at all may come in before every line has the
	// default view: addresses may have changed hands unsaid.
	Silence bolwerk.Duration `toml:"silence"`
}

// DefaultConfig is good for a network of some hundred lines or more.
func DefaultConfig() Config { return Config{Silence: bolwerk.Duration(2 * time.Minute)} }

// Validate says what is wrong with c.
func (c Config) Validate() error {
	if c.Silence.D() < 10*time.Second || c.Silence.D() > time.Hour {
		return bolwerk.Invalid("silence %s: want 10s to 1h", c.Silence)
	}
	return nil
}

// Choice is a view that a subscriber has.
type Choice struct {
	ID         string    `json:"id"`
	Subscriber string    `json:"subscriber"`
	View       string    `json:"view" enum:"opt_out,opt_in"`
	Until      time.Time `json:"until,omitzero"` // when it ends by itself
	At         time.Time `json:"at"`
	// Lines are the prefixes that have it just now.
	Lines []netip.Prefix `json:"lines"`
}

// Views keeps what subscribers chose, and the copy.
type Views struct {
	cfg     Config
	interim time.Duration
	db      *store.DB
	who     *who.Who
	publish *publish.Desk
	vault   *vault.Vault
	clock   clock.Clock
	log     *slog.Logger

	mu      sync.Mutex
	turn    int64
	choices map[string]Choice // by subscriber, as of turn; never changed in place
}

// New follows w. interim is as in the configuration of w. v seals who chose.
func New(cfg Config, interim time.Duration, db *store.DB, w *who.Who, p *publish.Desk, v *vault.Vault, c clock.Clock, log *slog.Logger) *Views {
	s := &Views{cfg: cfg, interim: interim, db: db, who: w, publish: p, vault: v, clock: c, log: log, turn: -1}
	w.Follow(s.told)
	return s
}

func (s *Views) rules(tx *store.Tx) rules { return rules{tx.Now(), s.interim} }

// chosen are the choices of now, by subscriber.
func (s *Views) chosen(tx *store.Tx) (map[string]Choice, error) {
	var turn int64
	if err := tx.Row(`select coalesce(max(turn),0) from abuse_view_turn`).Scan(&turn); err != nil {
		return nil, err
	}
	s.mu.Lock()
	all, known := s.choices, s.turn == turn
	s.mu.Unlock()
	if known {
		return all, nil
	}
	all, err := s.read(tx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn, s.choices = turn, all
	return all, nil
}

func (s *Views) read(tx *store.Tx) (map[string]Choice, error) {
	all := map[string]Choice{}
	err := tx.Each(`select id,view,until,subscriber_sealed,at from abuse_view`, nil, func(scan func(...any) error) error {
		var c Choice
		var until, at int64
		var sealed []byte
		if err := scan(&c.ID, &c.View, &until, &sealed, &at); err != nil {
			return err
		}
		plain, err := s.vault.Open(Sealed, sealed)
		if err != nil { // accounting and the way out of a garden go on; the subscriber has the default
			s.log.Error("a choice cannot be read; its lines have the default view", "choice", c.ID, "err", err, "alarm", true)
			return nil
		}
		c.Subscriber, c.At = string(plain), store.Time(at)
		if until != 0 {
			c.Until = store.Time(until)
		}
		all[c.Subscriber] = c
		return nil
	})
	return all, err
}

// Set gives a subscriber a view, until then or until it is taken away. It acts on the
// sessions that are open at once, in the same transaction.
func (s *Views) Set(ctx context.Context, by bolwerk.Actor, subscriber, view string, until time.Time, reason string) (c Choice, err error) {
	subscriber, reason = strings.TrimSpace(subscriber), strings.TrimSpace(reason)
	now := s.clock.Now()
	switch {
	case subscriber == "" || len(subscriber) > session.MaxName:
		return c, bolwerk.Invalid("view: subscriber: want the name at the access server, 1 to %d octets", session.MaxName)
	case view != "opt_out" && view != "opt_in" && view != "default":
		return c, bolwerk.Invalid("view %.40q: want opt_out, opt_in or default", view)
	case !until.IsZero() && !until.After(now):
		return c, bolwerk.Invalid("view: until %s is over", until.Format(time.RFC3339))
	case len(reason) > 500:
		return c, bolwerk.Invalid("view: a reason of %d octets, at most 500", len(reason))
	}
	until = until.UTC().Truncate(time.Microsecond)
	err = s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if err := begin(tx); err != nil {
			return err
		}
		all, err := s.chosen(tx)
		if err != nil {
			return err
		}
		all = maps.Clone(all) // not kept: this transaction may be undone
		if _, err := tx.Exec(`update abuse_view_turn set turn=$1`, another()); err != nil {
			return err
		}
		old, had := all[subscriber]
		if had {
			if _, err := tx.Exec(`delete from abuse_view where id=$1`, old.ID); err != nil {
				return err
			}
		}
		c = Choice{Subscriber: subscriber, View: view, Until: until, At: tx.Now(), ID: old.ID, Lines: []netip.Prefix{}}
		if !had {
			c.ID = bolwerk.NewID(tx.Now())
		}
		if view != "default" {
			if !had && len(all) >= maxChoices {
				return bolwerk.Conflict("view: %d subscribers have one already, which is the most", maxChoices)
			}
			sealed, err := s.vault.Seal(Sealed, []byte(subscriber))
			if err != nil {
				return err
			}
			end := int64(0)
			if !until.IsZero() {
				end = store.Micros(until)
			}
			if _, err := tx.Exec(`insert into abuse_view(id,view,until,month,subscriber_sealed,at) values($1,$2,$3,$4,$5,$6)`,
				c.ID, view, end, vault.Month(s.clock.Now()), sealed, tx.NowMicros()); err != nil {
				return err
			}
		}
		audit.Append(tx, by, "abuse.view.set", c.ID, reason, map[string]any{"view": view, "until": until})
		if delete(all, subscriber); view != "default" {
			all[subscriber] = c
		}
		touched, err := s.of(tx, c.ID, subscriber)
		if err != nil {
			return err
		}
		if err := s.settle(tx, touched, all); err != nil {
			return err
		}
		lines, err := s.lines(tx, `where choice=$1`, c.ID)
		if err != nil {
			return err
		}
		for _, l := range lines {
			c.Lines = append(c.Lines, l.prefix)
		}
		return nil
	})
	return c, err
}

// of are the prefixes that a choice or a hold may change: those that have it, and those
// of the sessions that the subscriber has open.
func (s *Views) of(tx *store.Tx, id, subscriber string) (map[netip.Prefix]bool, error) {
	touched := map[netip.Prefix]bool{}
	lines, err := s.lines(tx, `where choice=$1`, id)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		touched[l.prefix] = true
	}
	held, err := s.who.Now(tx, subscriber)
	if err != nil {
		return nil, err
	}
	for _, h := range held {
		touched[h.Prefix] = true
	}
	return touched, nil
}

// List are the choices, with the lines that have them, at most limit.
func (s *Views) List(ctx context.Context, limit int) (out []Choice, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		all, err := s.chosen(tx)
		if err != nil {
			return err
		}
		lines, err := s.lines(tx, ``)
		if err != nil {
			return err
		}
		of := map[string][]netip.Prefix{}
		for _, l := range lines {
			of[l.choice] = append(of[l.choice], l.prefix)
		}
		for _, c := range all {
			if c.Lines = of[c.ID]; c.Lines == nil {
				c.Lines = []netip.Prefix{}
			}
			out = append(out, c)
		}
		return nil
	})
	slices.SortFunc(out, func(a, b Choice) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID)) })
	return out[:min(len(out), limit)], err
}

// line is a prefix that has a view at the edges.
type line struct {
	prefix netip.Prefix
	choice string
	view   string
	nas    string
	guest  string // digest of page
	until  int64

	page []byte // of a line in quarantine, what the copy of gardens says; nil: nothing
}

func (s *Views) lines(tx *store.Tx, where string, args ...any) ([]line, error) {
	return store.List(tx, func(scan func(...any) error) (l line, err error) {
		var net []byte
		err = scan(&net, &l.choice, &l.view, &l.nas, &l.guest, &l.until)
		l.prefix = who.NetOf(net)
		return l, err
	}, `select net,choice,view,nas,guest,until from abuse_view_line `+where, args...)
}

// told hears what a batch of records changed, in its transaction.
func (s *Views) told(tx *store.Tx, t who.Told) error {
	if err := begin(tx); err != nil {
		return err
	}
	var some, have, holds int64
	if err := tx.Row(`select (select count(*) from (select 1 from abuse_view limit 1) a), (select count(*) from (select 1 from abuse_view_line limit 1) b), (select count(*) from (select 1 from abuse_view_hold limit 1) c)`).Scan(&some, &have, &holds); err != nil {
		return err
	}
	if some == 0 && have == 0 && holds == 0 {
		return s.alive(tx, t.Heard) // the first line with a view has it at once
	}
	all, err := s.chosen(tx)
	if err != nil {
		return err
	}
	touched := map[netip.Prefix]bool{}
	var nets [][]byte
	held := map[string]bool{}
	if holds > 0 {
		if held, err = s.held(tx, t.Touched); err != nil {
			return err
		}
	}
	for _, p := range t.Touched {
		if _, ok := all[p.Subscriber]; ok || held[p.Subscriber] {
			touched[p.Prefix] = true
		}
		nets = append(nets, who.NetKey(p.Prefix))
	}
	if have > 0 {
		more, err := s.known(tx, t, nets)
		if err != nil {
			return err
		}
		for _, p := range more {
			touched[p] = true
		}
	}
	if err := s.settle(tx, touched, all); err != nil {
		return err
	}
	return s.alive(tx, t.Heard)
}

// known are the prefixes with a view that a batch may have changed: those that it
// names, those around what it names, and those of access servers that began anew.
func (s *Views) known(tx *store.Tx, t who.Told, nets [][]byte) (out []netip.Prefix, err error) {
	bits, err := s.who.Lengths(tx)
	if err != nil {
		return nil, err
	}
	ask := map[string]bool{}
	for _, n := range nets {
		for _, b := range bits {
			if b <= int(n[16]) && b > 0 {
				a, ok := netip.AddrFromSlice(n[:16])
				p, err := a.Prefix(b)
				if !ok || err != nil {
					continue
				}
				k := p.Addr().As16()
				ask[string(append(k[:], byte(b)))] = true
			}
		}
	}
	var keys [][]byte
	for k := range ask {
		keys = append(keys, []byte(k))
	}
	for len(keys) > 0 {
		n := min(len(keys), store.ListMost)
		in, args := store.In(1, keys[:n])
		some, err := s.lines(tx, `where net in (`+in+`)`, args...)
		if err != nil {
			return nil, err
		}
		for _, l := range some {
			out = append(out, l.prefix)
		}
		keys = keys[n:]
	}
	for _, r := range t.Restarted {
		some, err := s.lines(tx, `where nas=$1`, r.NAS)
		if err != nil {
			return nil, err
		}
		for _, l := range some {
			out = append(out, l.prefix)
		}
	}
	return out, nil
}

// BeginRestore empties the copies of a store that was brought back to an older day:
// whose sessions those were nobody knows. Choices come back with the next signs of life;
// holds are forgotten: quarantine.BeginRestore ends what they are of.
func BeginRestore(tx *store.Tx, p *publish.Desk, floor int64) error {
	for _, q := range []string{`delete from abuse_view_line`, `delete from abuse_view_hold`} {
		if _, err := tx.Exec(q); err != nil {
			return err
		}
	}
	for _, name := range []string{Copy, garden.Copy} {
		for _, q := range []string{`delete from copy_entry where copy=$1`, `delete from copy_batch where copy=$1`} {
			if _, err := tx.Exec(q, name); err != nil {
				return err
			}
		}
		if _, _, err := p.NewEpoch(tx, name, floor, 0); err != nil {
			return err
		}
		if _, err := tx.Exec(`update copy_head set count=0 where copy=$1`, name); err != nil {
			return err
		}
	}
	return nil
}
