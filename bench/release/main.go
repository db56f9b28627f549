// Command release measures how many lines get out of quarantine in which time, when
// everybody is let out at once: a store of its own, and an access network that takes
// so many orders a second and no more.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/job"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
)

// network takes pace orders a second, and counts them.
type network struct {
	mu    sync.Mutex
	pace  float64
	next  time.Time
	times map[string]int // releases, by session
	order []string
}

func (n *network) Put(ctx context.Context, o enforce.Order) (enforce.Result, error) {
	n.mu.Lock()
	now := time.Now()
	if o.Profile != enforce.Normal || n.pace <= 0 {
		n.count(o)
		n.mu.Unlock()
		return enforce.Result{State: enforce.Applied, Seen: true}, nil
	}
	at := n.next
	if at.Before(now) {
		at = now
	}
	if wait := at.Sub(now); wait > time.Second { // as a port with a pace of its own does
		n.mu.Unlock()
		return enforce.Result{State: enforce.Busy, Again: wait}, nil
	}
	n.next = at.Add(time.Duration(float64(time.Second) / n.pace))
	n.mu.Unlock()
	select {
	case <-ctx.Done():
		return enforce.Result{}, ctx.Err()
	case <-time.After(at.Sub(now)):
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.count(o)
	return enforce.Result{State: enforce.Applied, Seen: true}, nil
}

func (n *network) count(o enforce.Order) {
	if o.Profile == enforce.Normal {
		n.times[o.Session.Session]++
		n.order = append(n.order, o.Session.Session)
	}
}

type cases struct{}

func (cases) Evidence(*store.Tx, string) ([]garden.Seen, string, string, error) {
	return nil, "", "", nil
}

func (cases) Happened(*store.Tx, quarantine.Row, string, string, bolwerk.Actor, string) error {
	return nil
}

func (cases) Shown(*store.Tx, string) error { return nil }

func (cases) Tested(*store.Tx, string) (garden.Tested, error) { return garden.Tested{}, nil }

func (cases) AskTest(*store.Tx, string, bolwerk.Actor) error { return nil }

func main() {
	lines := flag.Int("lines", 20_000, "lines in quarantine")
	pace := flag.Float64("pace", 50, "orders a second that the access network takes; 0: as many as come")
	dir := flag.String("dir", "", "folder for the store; a new one that is deleted where empty")
	flag.Parse()
	if err := run(context.Background(), *lines, *pace, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, lines int, pace float64, dir string) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "bolwerk-release-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	c := clock.New()
	db, err := store.Open(ctx, store.Config{URL: filepath.Join(dir, "release.db")}, c)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(ctx, audit.Schema(), job.Schema(), account.Schema(), desk.Schema(), who.Schema(), quarantine.Schema()); err != nil {
		return err
	}
	keys, err := vault.Open(dir+"/keys", c)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	w := who.New(who.DefaultConfig(), db, keys, c, log, nil)
	cfg := quarantine.DefaultConfig()
	cfg.Mode, cfg.Brake.Floor, cfg.Brake.PerHour, cfg.Brake.OutsideHours = "on", 100_000, 100_000, 100_000
	net := &network{pace: pace, times: map[string]int{}}
	q := quarantine.New(cfg, quarantine.Parts{DB: db, Clock: c, Log: log, Keys: keys, Who: w, Cases: cases{}, Port: net, Proved: func(string) bool { return true }})

	began := time.Now()
	if err := fill(ctx, db, w, q, lines); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	defer func() { stop(); <-done }()
	if err := until(ctx, q, func(n map[quarantine.State]int64) bool { return n[quarantine.Active] == int64(lines) }); err != nil {
		return err
	}
	fmt.Printf("%d lines are in quarantine after %s\n", lines, time.Since(began).Round(time.Second))

	began = time.Now()
	who := account.Person{ID: bolwerk.NewID(began), Role: account.DutyOfficer, State: account.Active, By: account.BySession}
	if _, err := q.ReleaseAll(ctx, who, "shadowserver", "", "the feed was wrong"); err != nil {
		return err
	}
	for {
		time.Sleep(5 * time.Second)
		all, err := q.Campaigns(ctx, 1)
		if err != nil {
			return err
		}
		fmt.Printf("%6s  %d of %d are out, %d on their way\n", time.Since(began).Round(time.Second), all[0].Released, all[0].Total, all[0].Begun-all[0].Released)
		if all[0].Done() {
			break
		}
	}
	took := time.Since(began)
	twice, needy, last := 0, 0, 0
	for _, n := range net.times {
		if n > 1 {
			twice++
		}
	}
	for i, s := range net.order {
		if needyLine(s) {
			needy++
			last = i + 1
		}
	}
	fmt.Printf("%d lines out in %s: %.0f a second at a pace of %.0f\n", len(net.times), took.Round(time.Second), float64(lines)/took.Seconds(), pace)
	fmt.Printf("lost %d, twice %d; %d in need, the last of them was the %d.\n", lines-len(net.times), twice, needy, last)
	return nil
}

func needyLine(s string) bool { return s[len(s)-2:] == "00" }

// fill puts lines into quarantine: each a subscriber with one session.
func fill(ctx context.Context, db *store.DB, w *who.Who, q *quarantine.Desk, lines int) error {
	for from := 0; from < lines; from += 100 {
		var records []session.Record
		var names []string
		for i := from; i < min(from+100, lines); i++ {
			name := fmt.Sprintf("line%06d", i)
			names = append(names, name)
			a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			records = append(records, session.Record{Kind: session.Start, Source: session.Radius, NAS: "bng1", Session: name, Identity: session.Identity{Subscriber: name}, Prefixes: []netip.Prefix{netip.PrefixFrom(a, 32)}, At: time.Now()})
		}
		if err := w.Take(ctx, records); err != nil {
			return err
		}
		if err := db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			for _, name := range names {
				c, _, err := desk.OpenCase(tx, "abuse", name)
				if err != nil {
					return err
				}
				about := quarantine.About{CaseID: c.ID, Class: "malicious-code/infected-system", Who: session.Identity{Subscriber: name}, One: true, Solid: 1, Feed: "shadowserver"}
				wish := quarantine.Wish{Profile: enforce.Leaky, Days: 30, Why: quarantine.Why{Threat: "a", Necessity: "b", Proportion: "c"}}
				row, ok, err := q.Ask(tx, nil, about, wish)
				if err != nil || !ok {
					return fmt.Errorf("%s: held back by %v: %w", name, row.Waits, err)
				}
				if needyLine(name) {
					if _, err := tx.Exec(`update abuse_quarantine set needy=$1 where id=$2`, true, row.ID); err != nil {
						return err
					}
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

func until(ctx context.Context, q *quarantine.Desk, ok func(map[quarantine.State]int64) bool) error {
	for {
		n, err := q.Counts(ctx)
		if err != nil || ok(n) {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}
