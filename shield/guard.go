package shield

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"bolwerk"
	"bolwerk/internal/store"
	"bolwerk/internal/suffix"
	"bolwerk/shield/judge"
	"bolwerk/shield/kit"
	"bolwerk/shield/lists"
	"bolwerk/shield/seen"
)

// ListConfig is one list and where it comes from.
type ListConfig struct {
	lists.Source
	// File is a path, URL an address that is asked again every Every.
	File  string           `toml:"file"`
	URL   string           `toml:"url"`
	Every bolwerk.Duration `toml:"every"`
	// Tier is how much a feed or allow list is trusted: 1 authoritative, 2
	// strong, 3 context.
	Tier judge.Tier `toml:"tier"`
}

// Validate says what is wrong with the list's configuration.
func (l ListConfig) Validate() error {
	errs := []error{l.Source.Validate()}
	if (l.File == "") == (l.URL == "") {
		errs = append(errs, fmt.Errorf("list %q: give a file or a url", l.Name))
	}
	if (l.Kind == lists.Feed || l.Kind == lists.Allow) && (l.Tier < 1 || l.Tier > 3) {
		errs = append(errs, fmt.Errorf("list %q: tier %d: want 1, 2 or 3", l.Name, l.Tier))
	}
	if l.URL != "" && l.Every.D() < time.Minute {
		errs = append(errs, fmt.Errorf("list %q: every %s: want a minute or more", l.Name, l.Every))
	}
	return errors.Join(errs...)
}

// rules are the lists as they are loaded, at one moment. They never change; a
// new version replaces them whole.
type rules struct {
	psl       *suffix.List
	platforms *judge.Platforms
	brands    *judge.Brands
	never     *judge.NeverBlock
	popular   lists.Popularity
	good      []*lists.Set
	canaries  *judge.NeverBlock // what must resolve through every publication
	feeds     []judge.Feed
	ask       json.RawMessage // of a reader, with each capture
	tlds      []string        // of a reader, with each report: those that the compiled suffix list does not have
	versions  map[string]string
	// given are the domains that brands' owners gave and that were taken over, and
	// own the configured brands and those with such domains, with all of theirs.
	given []givenDomain
	own   []judge.Brand
}

// place finds where a name stands.
func (r *rules) place(d bolwerk.Domain) judge.Place { return judge.PlaceOf(d, r.psl, r.platforms) }

// guard keeps the rules up to date.
type guard struct {
	cfg  Config
	log  *slog.Logger
	http fetcher

	mu   sync.Mutex // one loader
	sets map[string]*lists.Set
	kits *kit.Set // the operator's rules for kits
	now  atomic.Pointer[rules]
}

func newGuard(cfg Config, log *slog.Logger) *guard {
	return &guard{cfg: cfg, log: log, http: newFetcher(cfg.FetchAllow), sets: map[string]*lists.Set{}}
}

// rules are those in force.
func (g *guard) rules() *rules { return g.now.Load() }

// load reads everything that the configuration names. A list that cannot be
// read or is held back is left as it was, with an alarm; the rest goes on.
func (g *guard) load(ctx context.Context, db *store.DB) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	psl := suffix.Builtin()
	if g.cfg.SuffixFile != "" {
		f, err := os.Open(g.cfg.SuffixFile)
		if err != nil {
			return fmt.Errorf("shield.suffix_file: %w", err)
		}
		defer f.Close()
		var before *suffix.List
		if r := g.rules(); r != nil {
			before = r.psl
		}
		if psl, err = suffix.Load(f, before); err != nil {
			return fmt.Errorf("shield.suffix_file: %w", err)
		}
	}
	for _, l := range g.cfg.Lists {
		if _, loaded := g.sets[l.Name]; loaded && l.URL != "" {
			continue // refreshed by its own clock
		}
		g.refresh(ctx, db, l, psl)
	}
	g.loadKits(ctx, db)
	return g.rebuild(ctx, db, psl)
}

// refresh loads one list and records how that went.
func (g *guard) refresh(ctx context.Context, db *store.DB, l ListConfig, psl *suffix.List) {
	set, err := g.fetch(ctx, l, psl)
	state, why := "loaded", ""
	var held *lists.Held
	switch {
	case errors.As(err, &held):
		state, why = "held", err.Error()
	case err != nil:
		state, why = "failed", err.Error()
	default:
		g.sets[l.Name] = set
	}
	if err != nil {
		g.log.Error("list not taken over: the last good one stays", "alarm", true, "list", l.Name, "err", err)
	}
	version := ""
	if s := g.sets[l.Name]; s != nil {
		version = s.Version()
	}
	err = db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		return recordList(tx, l.Name, version, g.sets[l.Name].Len(), state, why)
	})
	if err != nil && ctx.Err() == nil {
		g.log.Error("state of a list not recorded", "list", l.Name, "err", err)
	}
}

func recordList(tx *store.Tx, name, version string, size int, state, why string) error {
	_, err := tx.Exec(`insert into shield_list(name,version,size,state,why,at) values($1,$2,$3,$4,$5,$6)
		on conflict(name) do update set version=excluded.version, size=excluded.size, state=excluded.state, why=excluded.why, at=excluded.at`,
		name, version, size, state, why, tx.NowMicros())
	return err
}

// maxListBytes bounds a list that is fetched or read.
const maxListBytes = 1 << 30

func (g *guard) fetch(ctx context.Context, l ListConfig, psl *suffix.List) (*lists.Set, error) {
	var in io.ReadCloser
	if l.File != "" {
		f, err := os.Open(l.File)
		if err != nil {
			return nil, err
		}
		in = f
	} else {
		body, err := g.http.get(ctx, l.URL)
		if err != nil {
			return nil, err
		}
		in = body
	}
	defer in.Close()
	return lists.Load(io.LimitReader(in, maxListBytes), l.Source, g.sets[l.Name], psl)
}

// rebuild makes the rules of what is loaded now.
func (g *guard) rebuild(ctx context.Context, db *store.DB, psl *suffix.List) error {
	r := &rules{psl: psl, tlds: psl.More(), versions: map[string]string{"suffix": psl.Version(), "rules": judge.Ruleset}}
	var err error
	if r.platforms, err = judge.NewPlatforms(g.cfg.Platforms...); err != nil {
		return err
	}
	if err := r.readBrands(ctx, db, g.cfg.Brands); err != nil {
		return err
	}
	if r.ask, err = question(r.own, g.kits, psl); err != nil {
		return err
	}
	r.versions["kits"] = seen.OwnKits().Version()
	if g.kits != nil {
		r.versions[kitRules] = g.kits.Version()
	}
	rows := []judge.NeverRow{}
	for _, d := range g.cfg.OwnNames {
		rows = append(rows, judge.NeverRow{Name: d, Below: true, Why: "the operator's own name"})
	}
	for _, b := range g.cfg.Brands {
		for _, d := range b.Domains {
			rows = append(rows, judge.NeverRow{Name: d, Below: true, Why: b.Name + "'s own name"})
		}
	}
	for _, d := range r.given {
		rows = append(rows, judge.NeverRow{Name: d.name, Below: true, Why: d.brand + "'s own name"})
	}
	r.never = judge.NewNeverBlock(rows...)
	for _, l := range g.cfg.Lists {
		set := g.sets[l.Name]
		if set != nil {
			r.versions[l.Name] = set.Version()
		}
		switch l.Kind {
		case lists.Feed, lists.Allow:
			r.feeds = append(r.feeds, judge.Feed{Name: l.Name, Set: set, Tier: l.Tier, Allow: l.Kind == lists.Allow})
		case lists.Popular:
			if set != nil {
				r.popular = append(r.popular, set)
			}
		case lists.KnownGood:
			if set != nil {
				r.good = append(r.good, set)
			}
		}
	}
	r.canaries = canaries(rows, r.good, r.popular)
	g.now.Store(r)
	return g.canary(ctx, db, r)
}

// What a candidate publication is tried on, besides the never-block list.
const (
	topCanaries  = 1000   // of each ranked list of most used names
	longEnough   = 10_000 // names, or a list is none of the world's most used
	goodCanaries = 50_000 // of each known-good list
)

// canaries are the names that must resolve through every publication: those that
// are never blocked, the known-good lists, and the most used names themselves.
func canaries(never []judge.NeverRow, good []*lists.Set, popular lists.Popularity) *judge.NeverBlock {
	rows := slices.Clone(never)
	for _, set := range good {
		n := 0
		for d := range set.All {
			if n++; n > goodCanaries {
				break
			}
			rows = append(rows, judge.NeverRow{Name: d, Why: "the known-good set"})
		}
	}
	for _, set := range popular {
		if set.Len() < longEnough {
			continue
		}
		for d := range set.All {
			if rank, ok := set.Rank(d); ok && rank <= topCanaries {
				rows = append(rows, judge.NeverRow{Name: d, Why: "one of the 1,000 most used names"})
			}
		}
	}
	return judge.NewNeverBlock(rows...)
}

// canary alarms where a block in force takes a name of the known-good set as it
// is loaded now. It withdraws nothing: a person does.
func (g *guard) canary(ctx context.Context, db *store.DB, r *rules) error {
	return db.Read(ctx, func(tx *store.Tx) error {
		return tx.Each(`select ref,name,scope from shield_block where state='in_force' and not pass`, nil, func(scan func(...any) error) error {
			var ref, name, scope string
			if err := scan(&ref, &name, &scope); err != nil {
				return err
			}
			d, err := bolwerk.ParseDomain(name)
			if err != nil {
				return err
			}
			if good, hit := r.canaries.Taken(r.place(d), bolwerk.Scope(scope)); hit {
				g.log.Error("a block in force takes a name of the known-good set", "alarm", true, "block", ref, "name", d, "known_good", good.Name)
			}
			return nil
		})
	})
}

// fileStamp changes when a file does; empty where there is none.
func fileStamp(path string) string {
	st, err := os.Stat(path)
	if path == "" || err != nil {
		return ""
	}
	return st.ModTime().String() + " " + strconv.FormatInt(st.Size(), 10)
}

// run asks again for the lists that have an address, and reads files that have
// changed, until ctx ends.
func (g *guard) run(ctx context.Context, db *store.DB) error {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	seen := g.look(time.Now())
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if err := g.again(ctx, db, now, seen); err != nil {
				g.log.Error("lists not taken over", "alarm", true, "err", err)
			}
		}
	}
}

// sight is when a list was asked for, and how its file looked then.
type sight struct {
	at    time.Time
	stamp string
}

// look notes how the lists are that were loaded.
func (g *guard) look(now time.Time) map[string]sight {
	seen := map[string]sight{}
	for _, l := range g.cfg.Lists {
		seen[l.Name] = sight{now, fileStamp(l.File)}
	}
	seen[kitRules] = sight{now, folderStamp(g.cfg.KitRules)}
	return seen
}

// again loads the lists that are due or have changed since they were seen.
func (g *guard) again(ctx context.Context, db *store.DB, now time.Time, seen map[string]sight) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	changed := false
	for _, l := range g.cfg.Lists {
		// A file that is being replaced is looked at again when it is there.
		was, is := seen[l.Name], fileStamp(l.File)
		if l.URL != "" && now.Sub(was.at) >= l.Every.D() || is != "" && is != was.stamp {
			seen[l.Name] = sight{now, is}
			g.refresh(ctx, db, l, g.rules().psl)
			changed = true
		}
	}
	if is := folderStamp(g.cfg.KitRules); is != "" && is != seen[kitRules].stamp {
		seen[kitRules] = sight{now, is}
		g.loadKits(ctx, db)
		changed = true
	}
	given, err := givenDomains(ctx, db)
	if err != nil {
		return err
	}
	if !changed && slices.Equal(given, g.rules().given) {
		return nil
	}
	return g.rebuild(ctx, db, g.rules().psl)
}

// Warnings says what the guards lack, for "check": nothing is refused for it.
func (c Config) Warnings() []string {
	var out []string
	have := map[lists.Kind]bool{}
	for _, l := range c.Lists {
		have[l.Kind] = true
	}
	if !have[lists.Popular] {
		out = append(out, "shield: no popularity list: popular names are protected by the compiled never-block list only")
	}
	if !have[lists.KnownGood] {
		out = append(out, "shield: no known-good list: publications are checked against the compiled never-block list only; a set of 1,000 names or more is advised")
	}
	return append(out, c.kitWarnings()...)
}
