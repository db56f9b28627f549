// Program log measures the transparency log when it is long: what a decision pays
// for its leaf, how an intake takes the log up and starts again, what tiles and
// names cost to serve, and what a check from outside takes.
//
//	go run ./bench/log                                    # SQLite in a new folder
//	go run ./test/pg go run ./bench/log --postgres        # PostgreSQL
//	go run ./bench/log --names 100000
//
// Desk, intake and checker are in one process, over HTTP on loopback: the times
// are those of all three together.
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/join"
	"bolwerk/internal/ledger"
	"bolwerk/internal/openlog"
	"bolwerk/internal/openlog/check"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

var (
	names    = flag.Int("names", 1_000_000, "names in the log; each third one has ended")
	singles  = flag.Int("singles", 1000, "decisions of one name, at the end of the log")
	postgres = flag.Bool("postgres", false, "PostgreSQL at "+storetest.Env+" instead of SQLite")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *names < 1000 || *names > 20_000_000 || *singles < 1 {
		fmt.Fprintln(os.Stderr, "bench/log: --names is 1000 to 20000000, --singles at least 1")
		os.Exit(2)
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench/log:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "bolwerk-log-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	at, engine := filepath.Join(dir, "store.db"), "SQLite"
	if *postgres {
		if at, engine = os.Getenv(storetest.Env), "PostgreSQL"; at == "" {
			return fmt.Errorf("%s names no PostgreSQL: go run ./test/pg go run ./bench/log --postgres", storetest.Env)
		}
	}
	fmt.Printf("%s, %s, %d processors, %s, %d names\n\n", time.Now().Format(time.DateOnly), runtime.Version(), runtime.NumCPU(), engine, *names)
	fmt.Printf("%-58s %10s %10s\n", "what", "time", "cpu")
	c := clock.New()
	db, err := store.Open(ctx, store.Config{URL: at}, c)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(ctx, ledger.Schema()); err != nil {
		return err
	}
	key, err := ledger.OpenKey(filepath.Join(dir, "log.key"), "shield.example/log")
	if err != nil {
		return err
	}
	d := &desk{Desk: ledger.New(db, key, c), db: db}
	d.handler = ledger.NewHandler(d.Desk, c, slog.New(slog.DiscardHandler))
	if err := d.fill(ctx); err != nil {
		return err
	}
	in, err := follow(ctx, d, filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer in.Close()
	if err := serve(ctx, d, in); err != nil {
		return err
	}
	at = octets(dir, "store.db")
	if *postgres {
		if at, err = tables(ctx, db); err != nil {
			return err
		}
	}
	fmt.Printf("%-58s %10s\n", "disk of the desk's log", at)
	fmt.Printf("%-58s %10s\n", "disk of the intake's log", octets(filepath.Join(dir, "log"), ""))
	return nil
}

// tables is what the log's tables and indices take at PostgreSQL.
func tables(ctx context.Context, db *store.DB) (string, error) {
	var n int64
	err := db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select coalesce(sum(pg_total_relation_size(oid)),0)::bigint from pg_class where relkind='r' and relname like 'log\_%'`).Scan(&n)
	})
	return fmt.Sprintf("%d MB", n>>20), err
}

// timed runs fn and prints what it took.
func timed(what string, fn func() error) error {
	start, before := time.Now(), computed()
	err := fn()
	fmt.Printf("%-58s %10s %10s\n", what, short(time.Since(start)), short(computed()-before))
	return err
}

// each runs fn n times and prints the middle one and the 99th of a hundred.
func each(what string, n int, fn func(i int) error) error {
	var took []time.Duration
	before := computed()
	for i := range n {
		start := time.Now()
		if err := fn(i); err != nil {
			return err
		}
		took = append(took, time.Since(start))
	}
	cpu := (computed() - before) / time.Duration(n)
	slices.Sort(took)
	fmt.Printf("%-58s %10s %10s   p99 %s\n", what, short(took[n/2]), short(cpu), short(took[(n*99+99)/100-1]))
	return nil
}

func computed() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// short gives three digits or so.
func short(d time.Duration) string {
	switch {
	case d > time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d > time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	default:
		return d.Round(time.Microsecond).String()
	}
}

// octets is the size of the files below dir, of those that begin with start.
func octets(dir, start string) string {
	var n int64
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasPrefix(e.Name(), start) {
			return err
		}
		i, err := e.Info()
		if err == nil {
			n += i.Size()
		}
		return err
	})
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d MB", n>>20)
}

// desk writes the log.
type desk struct {
	*ledger.Desk
	db      *store.DB
	handler http.Handler
}

func ref(i int) string  { return fmt.Sprintf("B-2026-%07d", i) }
func name(i int) string { return fmt.Sprintf("bad-%d.example", i) }

// inForce says that a name has not ended.
func inForce(i int) bool { return i%3 != 0 }

func (d *desk) place(tx *store.Tx, i int) {
	d.Append(tx, openlog.Leaf{Kind: openlog.Placed, Ref: ref(i), Scope: "host", Action: "nxdomain", Class: "phishing", Ground: "policy", Epoch: 1, Serial: int64(i + 1)}, name(i))
}

const batch = 1000

// fill writes all names, most of them a thousand in a transaction, as an import does.
func (d *desk) fill(ctx context.Context) error {
	err := timed(fmt.Sprintf("%d names placed and a third ended, %d a transaction", *names-*singles, batch), func() error {
		for from := 0; from < *names-*singles; from += batch {
			err := d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
				to := min(from+batch, *names-*singles)
				for i := from; i < to; i++ {
					d.place(tx, i)
				}
				for i := from; i < to; i++ {
					if !inForce(i) {
						d.Append(tx, openlog.Leaf{Kind: openlog.Ended, Ref: ref(i), Cause: "expired", Epoch: 1, Serial: int64(i + 1)}, "")
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := each("a decision of one name, with its commit", *singles, func(i int) error {
		return d.db.Write(ctx, store.Decision, func(tx *store.Tx) error { d.place(tx, *names-*singles+i); return nil })
	}); err != nil {
		return err
	}
	if err := each("a signed head", 200, func(int) error { _, err := d.Head(ctx); return err }); err != nil {
		return err
	}
	if err := each("leaves of one block with their proofs, at the desk", 200, func(i int) error {
		_, _, err := d.About(ctx, ref(i**names/200))
		return err
	}); err != nil {
		return err
	}
	return timed("bolwerk audit verify: the whole log at the desk", func() error { _, err := d.Verify(ctx); return err })
}

// ask is one question of an intake, over HTTP without the certificates.
func ask(ctx context.Context, client *http.Client, base string, in *openlog.Store) (took int, err error) {
	head, signed := in.Head()
	q := url.Values{"forgot": {"0"}, "size": {strconv.FormatInt(head.Size, 10)}}
	if signed != nil {
		q.Set("head", base64.RawURLEncoding.EncodeToString(signed))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+openlog.Path+"?"+q.Encode(), nil)
	if err != nil {
		return 0, err
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNoContent {
		return 0, nil
	}
	lines, err := openlog.ReadLines(res.Body)
	if err != nil {
		return 0, err
	}
	if err := in.Take(lines); err != nil {
		return 0, err
	}
	return len(lines) - 1, nil
}

// follow takes the log up as a new intake does, and starts that again.
func follow(ctx context.Context, d *desk, dir string) (*openlog.Store, error) {
	in, err := openlog.Open(dir)
	if err != nil {
		return nil, err
	}
	id := join.Identity{Name: "intake-1", Role: join.Intake}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.handler.ServeHTTP(w, r.WithContext(join.WithPeer(r.Context(), id)))
	}))
	defer s.Close()
	err = timed("a new intake takes the log up", func() error {
		for {
			if n, err := ask(ctx, s.Client(), s.URL, in); err != nil || n == 0 {
				return err
			}
		}
	})
	if err == nil {
		err = each("one more leaf reaches the intake", 100, func(i int) error {
			err := d.db.Write(ctx, store.Decision, func(tx *store.Tx) error { d.place(tx, *names+i); return nil })
			if err == nil {
				_, err = ask(ctx, s.Client(), s.URL, in)
			}
			return err
		})
	}
	in.Close()
	if err != nil {
		return nil, err
	}
	in = nil
	before := held()
	err = timed("the intake starts again", func() error { in, err = openlog.Open(dir); return err })
	if err == nil {
		fmt.Printf("%-58s %10d MB\n", "memory of the intake's log", (held()-before)>>20)
	}
	return in, err
}

// held is what lives on the heap.
func held() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// site is the log on a public site.
func site(in *openlog.Store) *httptest.Server {
	mux := http.NewServeMux()
	for pattern, fn := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /log/key":        func(w http.ResponseWriter, r *http.Request) error { return in.ServeKey(w, r) },
		"GET /log/checkpoint": func(w http.ResponseWriter, r *http.Request) error { return in.ServeCheckpoint(w, r) },
		"GET /log/tile/":      in.ServeTile,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := fn(w, r); err != nil {
				http.Error(w, err.Error(), http.StatusNotFound)
			}
		})
	}
	return httptest.NewServer(mux)
}

func serve(ctx context.Context, d *desk, in *openlog.Store) error {
	s := site(in)
	defer s.Close()
	head, _ := in.Head()
	get := func(path string) error {
		res, err := s.Client().Get(s.URL + openlog.Prefix + path)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", path, res.Status)
		}
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
	full := int(head.Size / 256)
	at := func(i int) int { return i * 7919 % full }
	if err := each("a tile of hashes, over HTTP", 2000, func(i int) error { return get("tile/8/0/" + tileNumber(at(i))) }); err != nil {
		return err
	}
	if err := each("a bundle of 256 leaves, over HTTP", 2000, func(i int) error { return get("tile/8/data/" + tileNumber(at(i))) }); err != nil {
		return err
	}
	if err := each("a name opened with its proofs", 2000, func(i int) error {
		_, err := in.Look(bolwerk.MustDomain(name(i * 7919 % *names)))
		return err
	}); err != nil {
		return err
	}
	l, err := check.New(s.URL, d.Key(), s.Client())
	if err != nil {
		return err
	}
	return outside(ctx, l, d, in)
}

// outside is "bolwerk log verify".
func outside(ctx context.Context, l *check.Log, d *desk, in *openlog.Store) error {
	head, _, err := l.Head(ctx)
	if err != nil {
		return err
	}
	var half openlog.Range
	err = timed("log verify: every leaf read and hashed", func() error {
		return l.Leaves(ctx, head, func(n int64, _ openlog.Leaf, body []byte) error {
			if n < head.Size/2 {
				half.Add(tlog.RecordHash(body))
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	old := head
	old.Size, old.Root = half.Size, half.Root()
	if err := timed("log verify --state: grown from half of it", func() error { return l.Follows(ctx, old, head) }); err != nil {
		return err
	}
	opens, err := openings(ctx, d)
	if err != nil {
		return err
	}
	z := &check.Zone{Name: "b.rpz.", Serial: uint32(*names + 1000), Owners: map[check.Owner]string{}}
	for i := range *names + 100 {
		if i >= *names-*singles || inForce(i) {
			z.Owners[check.Owner{Name: name(i)}] = "nxdomain"
		}
	}
	return timed(fmt.Sprintf("log verify --zone --openings: %d names", len(z.Owners)), func() error {
		got, err := l.Compare(ctx, head, z, func(_ context.Context, name string) ([]check.Opening, error) { return opens[name], nil })
		if err == nil && (len(got.Differences) > 0 || got.InForce != len(z.Owners)) {
			err = fmt.Errorf("%d differences, %d in force of %d", len(got.Differences), got.InForce, len(z.Owners))
		}
		return err
	})
}

// openings are what "log openings" gives.
func openings(ctx context.Context, d *desk) (map[string][]check.Opening, error) {
	out := map[string][]check.Opening{}
	err := d.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Each(`select l.n,l.ref,s.salt from log_leaf l join log_salt s on s.n=l.n`, nil, func(scan func(...any) error) error {
			var o check.Opening
			var r string
			if err := scan(&o.Index, &r, &o.Salt); err != nil {
				return err
			}
			if len(r) < 8 {
				return errors.New("reference " + r)
			}
			i, err := strconv.Atoi(r[7:])
			out[name(i)] = append(out[name(i)], o)
			return err
		})
	})
	return out, err
}

// tileNumber writes N as tlog does.
func tileNumber(n int) string {
	if n < 1000 {
		return fmt.Sprintf("%03d", n)
	}
	return fmt.Sprintf("x%03d/%03d", n/1000, n%1000)
}
