// Program who measures who had an address: how many records of sessions a second are
// kept, and how long a question takes once millions of sessions of a week are there.
//
//	go run ./bench/who                                    # SQLite in a new folder
//	go run ./test/pg go run ./bench/who --postgres        # PostgreSQL
//	go run ./bench/who --sessions 1000000 --dir /var/tmp
//
// The sessions are of a week: a tenth behind shared addresses with blocks of 512
// ports, a fifth with a delegated IPv6 prefix. Questions are for random addresses and
// times, a tenth of them with a port. Tables of Shadowserver are read and asked about,
// from their bytes to who had each address, on two hands.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
	"bolwerk/internal/vault"
)

var (
	sessions = flag.Int("sessions", 10_000_000, "sessions of seven days that are kept")
	batch    = flag.Int("batch", 200, "records handed in at once, 1 to 500")
	doors    = flag.Int("doors", 2, "hands that give batches at once")
	asks     = flag.Int("questions", 20_000, "questions")
	rows     = flag.Int("rows", 50_000, "rows of Shadowserver tables that are read and asked about, in tables of 5000")
	profile  = flag.String("profile", "", "write a CPU profile of the tables to this file, and of the questions beside it")
	dir      = flag.String("dir", "", "folder for the SQLite store; empty: a new one in the temporary folder")
	postgres = flag.Bool("postgres", false, "PostgreSQL at "+storetest.Env+" instead of SQLite")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *sessions < 10_000 || *sessions > 100_000_000 || *batch < 1 || *batch > session.MaxRecords || *doors < 1 || *asks < 100 {
		fmt.Fprintln(os.Stderr, "bench/who: --sessions is 10000 to 100000000, --batch 1 to 500, --doors at least 1, --questions at least 100")
		os.Exit(2)
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench/who:", err)
		os.Exit(1)
	}
}

const week = 7 * 24 * time.Hour

func run(ctx context.Context) error {
	folder, err := os.MkdirTemp(*dir, "bolwerk-who-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	at, engine := filepath.Join(folder, "store.db"), "SQLite"
	if *postgres {
		if at, engine = os.Getenv(storetest.Env), "PostgreSQL"; at == "" {
			return fmt.Errorf("%s names no PostgreSQL: go run ./test/pg go run ./bench/who --postgres", storetest.Env)
		}
	}
	fmt.Printf("%s, %s, %d processors, %s, %d sessions, batches of %d from %d doors\n\n", time.Now().Format(time.DateOnly), runtime.Version(), runtime.NumCPU(), engine, *sessions, *batch, *doors)
	c := clock.New()
	db, err := store.Open(ctx, store.Config{URL: at}, c)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(ctx, audit.Schema(), who.Schema()); err != nil {
		return err
	}
	v, err := vault.Open(filepath.Join(folder, "keys"), c)
	if err != nil {
		return err
	}
	w := who.New(who.DefaultConfig(), db, v, c, slog.New(slog.DiscardHandler), nil)
	world := newWorld(c.Now())
	if err := fill(ctx, w, world, 0, world.lines, false); err != nil {
		return err
	}
	if err := world.before(ctx, db); err != nil {
		return err
	}
	few := min(20_000, world.lines)
	if err := fill(ctx, w, world.later(), 0, few, true); err != nil {
		return err
	}
	if st, err := os.Stat(at); err == nil {
		fmt.Printf("%-52s %d octets a session\n", "disk", st.Size()/int64(*sessions))
	}
	if err := profiled(*profile, func() error { return tables(ctx, w, world) }); err != nil {
		return err
	}
	for _, load := range []bool{false, true} {
		file := ""
		if *profile != "" && !load {
			file = *profile + ".questions"
		}
		if err := profiled(file, func() error { return questions(ctx, w, world, load) }); err != nil {
			return err
		}
	}
	return nil
}

// turns are how many sessions a line has in the week.
const turns = 50

// world is a week of sessions, made from numbers: session n is always the same one,
// of line n modulo lines, as many turns ago as the lines go into n.
type world struct {
	last  time.Time // when the last turn begins
	lines int
	each  time.Duration
	name  string
}

func newWorld(now time.Time) world {
	each := (week - 4*time.Hour) / turns
	return world{last: now.Add(-each - time.Hour), lines: *sessions / turns, each: each}
}

// later is the same world a turn later.
func (w world) later() world { w.last, w.name = w.last.Add(w.each), "later"; return w }

func (w world) about(n int) (start session.Record, stop session.Record) {
	line, ago := n%w.lines, n/w.lines
	r := rand.New(rand.NewPCG(uint64(line), 7))
	from := w.last.Add(time.Duration(r.Int64N(int64(w.each / 4)))).Truncate(time.Microsecond)
	lasted := (w.each/2 + time.Duration(r.Int64N(int64(w.each/8)))).Truncate(time.Microsecond)
	from = from.Add(-time.Duration(ago) * w.each)
	rec := session.Record{Kind: session.Start, Source: session.Radius, NAS: fmt.Sprintf("bng%03d.example", line%200), Session: fmt.Sprintf("%s%012x", w.name, line),
		Identity: session.Identity{Subscriber: fmt.Sprintf("customer%08d@isp.example", line), Line: fmt.Sprintf("eth 1/1/%d:%d.%d", line%24, line%4094, line%100)}, At: from, Lasted: 0}
	rec.Prefixes, rec.Ports = w.holds(line)
	stop = rec
	stop.Kind, stop.At, stop.Lasted = session.Stop, from.Add(lasted), lasted
	return rec, stop
}

// before makes the turns before the last one of its rows, within the database, in the
// order of the key and before the other indexes are made: what is measured is a full
// store, not how it was filled. Each row is as real ones are: it names the sealed
// identity of its line.
func (w world) before(ctx context.Context, db *store.DB) error {
	start, before := time.Now(), computed()
	write := func(text string, args ...any) (n int64, err error) {
		err = db.Write(ctx, store.Intake, func(tx *store.Tx) (err error) { n, err = tx.Exec(text, args...); return err })
		return n, err
	}
	var indexes []string
	for line := range strings.Lines(who.Schema().Steps[0]) {
		if name, ok := strings.CutPrefix(line, "create index abuse_held_"); ok {
			indexes = append(indexes, line)
			if _, err := write("drop index abuse_held_" + strings.Fields(name)[0]); err != nil {
				return err
			}
		}
	}
	ago := "select 1 as ago"
	for n := 2; n < turns; n++ {
		ago += fmt.Sprintf(" union all select %d", n)
	}
	var rows int64
	const parts = 32
	for part := range int64(parts) {
		from := math.MinInt64 + part*(math.MaxInt64/parts*2)
		to := from + math.MaxInt64/parts*2
		if part == parts-1 {
			to = math.MaxInt64 - turns
		}
		n, err := write(`insert into abuse_held(net,port,start,skey,last_port,seen,until,ended,guessed,source,nas,session,who,inside)
			select h.net,h.port,h.start-cast($1 as bigint)*a.ago,h.skey+a.ago,h.last_port,h.seen-cast($1 as bigint)*a.ago,h.until-cast($1 as bigint)*a.ago,h.ended,h.guessed,h.source,h.nas,h.session,h.who,h.inside
			from abuse_held h cross join (`+ago+`) a where h.skey>=$2 and h.skey<$3 and h.start>=$4 order by h.skey,a.ago on conflict do nothing`, w.each.Microseconds(), from, to, store.Micros(w.last))
		if err != nil {
			return err
		}
		rows += n
	}
	for _, text := range indexes {
		if _, err := write(text); err != nil {
			return err
		}
	}
	fmt.Printf("%-52s %.0f/s, %.1f us of this program's CPU each\n", fmt.Sprintf("%d rows of %d turns before, made in the store in %s", rows, turns-1, time.Since(start).Round(time.Second)), float64(rows)/time.Since(start).Seconds(), float64((computed()-before).Microseconds())/float64(rows))
	return nil
}

// holds is what is at a place: an address, an address and a prefix, or a block of ports.
func (w world) holds(place int) ([]netip.Prefix, session.Ports) {
	n := uint32(place)
	switch place % 10 {
	case 0:
		block := (place / 10) % 126
		a := 0xcb000000 + n/1260
		return []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}), 32)}, session.Ports{First: uint16(1024 + 512*block), Last: uint16(1024 + 512*block + 511)}
	case 1, 2:
		six := netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(n >> 16), byte(n >> 8), byte(n)}), 56)
		return []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 32), six}, session.Ports{}
	}
	return []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 32)}, session.Ports{}
}

// fill keeps sessions from..to: with Start and Stop each, or by their Stops alone.
func fill(ctx context.Context, w *who.Who, world world, from, to int, both bool) error {
	type part struct{ records []session.Record }
	parts := make(chan part, 2**doors)
	var wg sync.WaitGroup
	errs := make([]error, *doors)
	var mu sync.Mutex
	var took []time.Duration
	for i := range *doors {
		wg.Go(func() {
			for p := range parts {
				start := time.Now()
				if err := w.Take(ctx, p.records); err != nil && errs[i] == nil {
					errs[i] = err
				}
				mu.Lock()
				took = append(took, time.Since(start))
				mu.Unlock()
			}
		})
	}
	start, before := time.Now(), computed()
	mark, marked := start, from
	records := 0
	var next []session.Record
	give := func(r session.Record) {
		if next = append(next, r); len(next) == *batch {
			parts <- part{next}
			next = nil
		}
		records++
	}
	for n := from; n < to && ctx.Err() == nil; {
		// Everybody begins, then everybody ends, a thousand at a time; or a Stop alone,
		// which tells all of a session.
		end := min(n+1000, to)
		for i := n; i < end && both; i++ {
			s, _ := world.about(i)
			give(s)
		}
		for i := n; i < end; i++ {
			_, s := world.about(i)
			give(s)
		}
		n = end
		if n-marked >= (to-from)/10 && to-from >= 100_000 {
			fmt.Printf("  %d sessions: %.0f/s\n", n, float64(n-marked)/time.Since(mark).Seconds())
			mark, marked = time.Now(), n
		}
	}
	if len(next) > 0 {
		parts <- part{next}
	}
	close(parts)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	wall := time.Since(start)
	slices.Sort(took)
	what := fmt.Sprintf("%d sessions by their Stop, in %s", records, wall.Round(time.Second))
	if both {
		what = fmt.Sprintf("then %d records, Start and Stop, in %s", records, wall.Round(time.Second))
	}
	fmt.Printf("%-52s %.0f/s, %.1f us of this program's CPU each\n", what, float64(records)/wall.Seconds(), float64((computed()-before).Microseconds())/float64(records))
	fmt.Printf("%-52s p50 %s p99 %s\n", "a batch, until it is durable", took[len(took)/2].Round(time.Microsecond), took[len(took)*99/100].Round(time.Microsecond))
	return nil
}

// questions asks, alone or while a thousand records a second come in.
func questions(ctx context.Context, w *who.Who, world world, load bool) error {
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	what := "a question"
	if load {
		what = "a question while 2,000 records/s come in"
		busy := world.later()
		busy.name = "busy"
		wg.Go(func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for n := 0; ; n += 200 {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				var records []session.Record
				for i := range 200 {
					s, _ := busy.about((n + i) % world.lines)
					records = append(records, s)
				}
				w.Take(ctx, records)
			}
		})
	}
	r := rand.New(rand.NewPCG(3, 4))
	var took []time.Duration
	hit, wrong := 0, 0
	begin := computed()
	for range *asks {
		q, s := world.question(r)
		start := time.Now()
		a, err := w.Resolve(ctx, q)
		if err != nil {
			stop()
			return err
		}
		took = append(took, time.Since(start))
		if c, ok := a.Act(); ok && c.Subscriber == s.Subscriber {
			hit++
		} else if ok {
			wrong++
		}
	}
	spent := computed() - begin
	stop()
	wg.Wait()
	slices.Sort(took)
	fmt.Printf("%-52s p50 %s p99 %s max %s, %d us of this program's CPU; %d of %d found, %d wrong\n", what, took[len(took)/2].Round(time.Microsecond), took[len(took)*99/100].Round(time.Microsecond), took[len(took)-1].Round(time.Microsecond), spent.Microseconds()/int64(*asks), hit, *asks, wrong)
	return nil
}

// computed is the processor time that this program has used.
func computed() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// profiled runs f under a profile, where one is asked for.
func profiled(file string, f func() error) error {
	if file == "" {
		return f()
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return f()
}
