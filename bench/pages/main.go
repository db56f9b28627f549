// Pages measures how long the desk takes to make its lists and searches when
// its store is full: a million reports, a hundred thousand cases.
//
//	go run ./bench/pages                                   # SQLite in a new folder
//	go run ./bench/pages --store DIR                       # the same, kept and used again
//	go run ./test/pg go run ./bench/pages --postgres       # PostgreSQL
//	go run ./bench/pages --find 'search|blocks' --times 50 # only some of them
//
// It asks console, API and public look-up in process, without a network, and
// prints the time that the server took: the middle one and the 99th of a
// hundred, and the size of the first page. What takes longer than --aim, or is
// larger than 100 kB, is marked and makes the exit code 1. Beside it stands the
// processor time, which other work on the machine does not make longer: of this
// process, and of PostgreSQL where it runs on the same machine.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

type options struct {
	sizes
	dir      string
	postgres bool
	find     *regexp.Regexp
	times    int
	aim      time.Duration
	follow   int
	server   *server
}

// maxBytes is how large a first page may be.
const maxBytes = 100_000

func main() {
	var o options
	flag.IntVar(&o.reports, "reports", 1_000_000, "reports in the store")
	flag.IntVar(&o.cases, "cases", 100_000, "cases")
	flag.IntVar(&o.blocks, "blocks", 60_000, "blocks, half of them in force")
	flag.IntVar(&o.campaigns, "campaigns", 3_000, "campaigns")
	flag.IntVar(&o.orders, "orders", 20_000, "orders")
	flag.IntVar(&o.appeals, "appeals", 5_000, "appeals")
	flag.IntVar(&o.hits, "hits", 1_000_000, "rows of counts: one a block, edge and five minutes")
	flag.IntVar(&o.audit, "audit", 300_000, "audit entries")
	flag.StringVar(&o.dir, "store", "", "folder of the store, kept; empty: a new one that is deleted")
	flag.BoolVar(&o.postgres, "postgres", false, "PostgreSQL at "+storetest.Env+" instead of SQLite")
	find := flag.String("find", "", "regular expression: only what it matches")
	flag.IntVar(&o.times, "times", 100, "requests for each")
	flag.IntVar(&o.follow, "follow", 3, "further pages of each list")
	flag.DurationVar(&o.aim, "aim", 100*time.Millisecond, "what the 99th of a hundred may take")
	flag.Parse()
	var err error
	if o.find, err = regexp.Compile(*find); err != nil {
		fmt.Fprintln(os.Stderr, "bench/pages: --find:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	over, err := run(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/pages:", err)
		os.Exit(1)
	}
	if over > 0 {
		fmt.Printf("\n%d above the aim\n", over)
		os.Exit(1)
	}
	fmt.Println("\nall within the aim")
}

func run(ctx context.Context, o options) (over int, err error) {
	if err := o.check(); err != nil {
		return 0, err
	}
	dir := o.dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "bolwerk-pages-"); err != nil {
			return 0, err
		}
		defer os.RemoveAll(dir)
	}
	at := filepath.Join(dir, "store.db")
	if o.postgres {
		if at = os.Getenv(storetest.Env); at == "" {
			return 0, fmt.Errorf("%s names no PostgreSQL: go run ./test/pg go run ./bench/pages --postgres", storetest.Env)
		}
	}
	c := clock.New()
	db, err := open(ctx, at, c)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var have int
	if err := db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select count(*) from (select 1 from desk_case limit 1) x`).Scan(&have)
	}); err != nil {
		return 0, err
	}
	f := &filler{db: db, z: o.sizes, now: c.Now().Truncate(time.Hour)}
	if have == 0 {
		if err := f.fill(ctx, func(s string) { fmt.Println("filled", s) }); err != nil {
			return 0, err
		}
		if o.postgres {
			if err := settle(ctx, at); err != nil {
				return 0, err
			}
		}
	} else {
		for i := range o.cases {
			f.names = append(f.names, f.name(i))
		}
	}
	s, err := newSite(ctx, db, dir, c)
	if err != nil {
		return 0, err
	}
	engine := "SQLite"
	if o.postgres {
		engine = "PostgreSQL"
		if o.server, err = newServer(at); err != nil {
			return 0, err
		}
		defer o.server.close()
	}
	fmt.Printf("%s, %s, %s, %d processors, %d reports, %d cases\n", time.Now().Format(time.DateOnly), engine, runtime.Version(), runtime.NumCPU(), o.reports, o.cases)
	fmt.Printf("\n%-40s %8s %8s %8s %8s %8s %9s\n", "what", "p50 ms", "p99 ms", "max ms", "p50 cpu", "p99 cpu", "bytes")
	for _, l := range lists(o.sizes, f.names) {
		if !o.find.MatchString(l.what) {
			continue
		}
		if w := s.get(l.paths[0]); w.Code == http.StatusNotFound {
			fmt.Printf("%-40s is not there\n", l.what)
			continue
		}
		if ctx.Err() != nil {
			return over, ctx.Err()
		}
		m, err := measure(s, l, o)
		if err != nil {
			return over, err
		}
		over += show(l.what, m, o.aim)
	}
	if o.find.MatchString("public look-up") {
		n, err := public(o, f.names)
		return over + n, err
	}
	return over, nil
}

// show prints a line and says whether it is above the aim.
func show(what string, m measured, aim time.Duration) int {
	mark, over := "", 0
	if m.p99 > aim || m.bytes > maxBytes {
		mark, over = "  <- above: "+m.slowest, 1
	}
	fmt.Printf("%-40s %8.1f %8.1f %8.1f %8.1f %8.1f %9d%s\n", what, ms(m.p50), ms(m.p99), ms(m.max), ms(m.cpu50), ms(m.cpu99), m.bytes, mark)
	return over
}

// settle does what PostgreSQL's own housekeeping does in the first minutes.
func settle(ctx context.Context, url string) error {
	pg, err := sql.Open("pgx", url)
	if err != nil {
		return errors.New("not a PostgreSQL address")
	}
	defer pg.Close()
	_, err = pg.ExecContext(ctx, "vacuum analyze")
	return err
}

// list is something that is asked for, in each of its ways.
type list struct {
	what  string
	paths []string
}

func lists(z sizes, names []string) []list {
	n := func(kind string, of int) []string { return []string{ref(kind, 0), ref(kind, of/2), ref(kind, of-1)} }
	each := func(pattern string, with []string) (out []string) {
		for _, w := range with {
			out = append(out, fmt.Sprintf(pattern, w))
		}
		return out
	}
	// Typed into a search: common, rare, whole, one that nothing has.
	typed := []string{"anchorbank", "login", "shop97", "99421", names[len(names)/3], "nothing-has-this", "example", "xn--"}
	cases, blocks, campaigns := n("C", z.cases), n("B", z.blocks), n("K", z.campaigns)
	return []list{
		{"GET /", []string{"/"}},
		{"GET /queue", []string{"/queue", "/queue?state=waiting", "/queue?state=second"}},
		{"GET /queue?state=all|decided|closed", []string{"/queue?state=all", "/queue?state=decided", "/queue?state=closed"}},
		{"GET /queue?q= (waiting)", each("/queue?q=%s", typed)},
		{"GET /queue?q=&state=all", each("/queue?state=all&q=%s", typed)},
		{"GET /case/", each("/case/%s", cases)},
		{"GET /proposals", []string{"/proposals"}},
		{"GET /appeals", []string{"/appeals", "/appeals?state=decided"}},
		{"GET /appeal/", each("/appeal/%s", n("A", z.appeals))},
		{"GET /blocks", []string{"/blocks", "/blocks?state=in_force", "/blocks?state=expired", "/blocks?state=withdrawn"}},
		{"GET /blocks?q=", each("/blocks?q=%s", typed)},
		{"GET /blocks?q=&state=withdrawn", each("/blocks?state=withdrawn&q=%s", typed)},
		{"GET /blocks?kind=exemptions", []string{"/blocks?kind=exemptions", "/blocks?kind=exemptions&q=partner7"}},
		{"GET /block/", append(each("/block/%s", blocks), "/block/"+ref("B", z.blocks-8))},
		{"GET /name?name=", each("/name?name=%s", []string{names[0], names[len(names)/2], "busy.example"})},
		{"GET /orders", []string{"/orders", "/orders?state=held", "/orders?state=lifted", "/orders?issuer=court", "/orders?issuer=court&state=refused", "/orders?issuer=cert&state=in_force"}},
		{"GET /audit", []string{"/audit", "/audit?q=" + cases[0], "/audit?q=" + blocks[1], "/audit?q=none-such"}},
		{"GET /campaigns", []string{"/campaigns", "/campaigns?state=quiet", "/campaigns?q=anchor"}},
		{"GET /campaign/", each("/campaign/%s", campaigns)},
		{"GET /search?q=", each("/search?q=%s", append(typed, "hxxps://"+names[7]+"/in", "münchen"))},
		{"API /today", []string{"/api/v1/today"}},
		{"API /cases", []string{"/api/v1/cases", "/api/v1/cases?state=waiting", "/api/v1/cases?state=decided,closed"}},
		{"API /cases?q=", each("/api/v1/cases?q=%s", typed)},
		{"API /cases/", each("/api/v1/cases/%s", append(cases, names[5]))},
		{"API /blocks", []string{"/api/v1/blocks", "/api/v1/blocks?state=in_force", "/api/v1/blocks?state=withdrawn"}},
		{"API /blocks?q=", each("/api/v1/blocks?q=%s", typed)},
		{"API /blocks/", each("/api/v1/blocks/%s", append(blocks, names[0]))},
		{"API /exemptions", []string{"/api/v1/exemptions"}},
		{"API /orders", []string{"/api/v1/orders", "/api/v1/orders?state=held", "/api/v1/orders?issuer=court&state=refused"}},
		{"API /appeals", []string{"/api/v1/appeals", "/api/v1/appeals?state=received"}},
		{"API /proposals", []string{"/api/v1/proposals"}},
		{"API /audit", []string{"/api/v1/audit", "/api/v1/audit?object=" + cases[2], "/api/v1/audit?object=none-such"}},
		{"API /names/", each("/api/v1/names/%s", []string{names[3], "busy.example"})},
	}
}

type measured struct {
	p50, p99, max time.Duration
	cpu50, cpu99  time.Duration // of this process and PostgreSQL: what others on the machine do is not in it
	bytes         int
	slowest       string // path of the longest
}

var nextPage = regexp.MustCompile(`href="([^"]+)" rel="next"`)

// next is where the page after this one is; empty on the last.
func next(path, body string) string {
	if m := nextPage.FindStringSubmatch(body); m != nil {
		return html.UnescapeString(m[1])
	}
	var page struct {
		Next string `json:"next"`
	}
	if strings.HasPrefix(path, "/api/") && json.Unmarshal([]byte(body), &page) == nil && page.Next != "" {
		u, err := url.Parse(path)
		if err != nil {
			return ""
		}
		q := u.Query()
		q.Set("cursor", page.Next)
		u.RawQuery = q.Encode()
		return u.String()
	}
	return ""
}

func measure(s *site, l list, o options) (m measured, err error) {
	var paths []string
	for _, p := range l.paths {
		for range o.follow + 1 {
			w := s.get(p)
			if w.Code != http.StatusOK && w.Code != http.StatusSeeOther {
				return m, fmt.Errorf("GET %s: %d %.300s", p, w.Code, w.Body)
			}
			if len(paths) == 0 || slices.Contains(l.paths, p) {
				m.bytes = max(m.bytes, w.Body.Len())
			}
			paths = append(paths, p)
			if p = next(p, w.Body.String()); p == "" {
				break
			}
		}
	}
	if err := o.server.look(); err != nil {
		return m, err
	}
	slowest := m.time(o.server, max(o.times, len(paths)), func(i int) { s.get(paths[i%len(paths)]) })
	m.slowest = paths[slowest%len(paths)]
	return m, nil
}

// time runs fn n times, notes what that took, and says which one took longest.
func (m *measured) time(s *server, n int, fn func(i int)) (slowest int) {
	var took, computed []time.Duration
	for i := range n {
		start, before := time.Now(), s.computed()
		fn(i)
		took, computed = append(took, time.Since(start)), append(computed, s.computed()-before)
		if took[i] > took[slowest] {
			slowest = i
		}
	}
	m.max = took[slowest]
	m.p50, m.p99 = spread(took)
	m.cpu50, m.cpu99 = spread(computed)
	return slowest
}

// spread gives the middle one and the 99th of a hundred.
func spread(all []time.Duration) (p50, p99 time.Duration) {
	slices.Sort(all)
	return all[len(all)/2], all[(len(all)*99+99)/100-1]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
