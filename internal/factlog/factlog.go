// Package factlog is how the parts of the desk tell each other what happened:
// facts in the past tense, written in the transaction that made them true, read
// by readers that keep their place.
package factlog

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/store"
)

//go:embed schema.sql
var schema string

// Schema is the tables of this package.
func Schema() store.Schema { return store.Schema{Name: "factlog", Steps: []string{schema}} }

// Fact is one thing that happened. It carries references, never personal data.
type Fact struct {
	ID      string          `json:"id"`
	Seq     int64           `json:"seq"`
	Subject string          `json:"subject"` // capability.noun.verb, such as shield.block.placed
	Version int             `json:"version"` // of the body's shape
	Ref     string          `json:"ref"`     // what it is about
	Actor   bolwerk.Actor   `json:"actor"`
	At      time.Time       `json:"at"`
	Body    json.RawMessage `json:"body"`
}

// Log appends facts and runs their readers.
type Log struct {
	db   *store.DB
	log  *slog.Logger
	mu   sync.Mutex
	wake map[chan struct{}]bool
}

// New keeps what it is given.
func New(db *store.DB, log *slog.Logger) *Log {
	return &Log{db: db, log: log, wake: map[chan struct{}]bool{}}
}

type key struct{}

// Append tells a fact when the transaction commits. body is marshalled to JSON. A nil Log
// tells nobody.
func (l *Log) Append(tx *store.Tx, actor bolwerk.Actor, subject, ref string, body any) {
	if l == nil {
		return
	}
	b, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("fact %s: %v", subject, err)) // a bug: facts are plain data
	}
	tx.Collect(key{}, Fact{ID: bolwerk.NewID(tx.Now()), Subject: subject, Version: 1, Ref: ref, Actor: actor, At: tx.Now(), Body: b}, l.write)
}

func (l *Log) write(tx *store.Tx, items []any) error {
	var seq int64
	if err := tx.Row(`select coalesce(max(seq),0) from fact`).Scan(&seq); err != nil {
		return err
	}
	for _, it := range items {
		f := it.(Fact)
		seq++
		if _, err := tx.Exec(`insert into fact(seq,id,subject,version,ref,actor,at,body) values($1,$2,$3,$4,$5,$6,$7,$8)`,
			seq, f.ID, f.Subject, f.Version, f.Ref, f.Actor.String(), store.Micros(f.At), string(f.Body)); err != nil {
			return err
		}
	}
	tx.After(l.ring)
	return nil
}

func (l *Log) ring() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.wake {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Reader hears facts of some subjects, in order, each at least once; its
// writes and its place move in one transaction.
type Reader struct {
	Name     string // its place is kept under this name
	Subjects []string
	// Handle takes one fact. An error is tried again a few times; then the fact
	// is set aside with an alarm, so that it holds up nothing behind it.
	Handle func(tx *store.Tx, f Fact) error
}

// tries is how often a fact is tried before it is set aside.
const tries = 5

// Run reads until ctx ends. Other desks' facts are seen within a second.
func (l *Log) Run(ctx context.Context, r Reader) error {
	wake := make(chan struct{}, 1)
	l.mu.Lock()
	l.wake[wake] = true
	l.mu.Unlock()
	defer func() { l.mu.Lock(); delete(l.wake, wake); l.mu.Unlock() }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	failed := map[string]int{}
	for {
		for _, subject := range r.Subjects {
			for more := true; more && ctx.Err() == nil; {
				var err error
				if more, err = l.step(ctx, r, subject, failed); err != nil && ctx.Err() == nil {
					l.log.Error("fact not handled", "reader", r.Name, "subject", subject, "err", err)
					more = false
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		case <-tick.C:
		}
	}
}

// step handles the next fact of a subject and says whether there may be more.
func (l *Log) step(ctx context.Context, r Reader, subject string, failed map[string]int) (bool, error) {
	var f Fact
	err := l.db.Read(ctx, func(tx *store.Tx) error {
		var place int64
		if err := tx.Row(`select seq from fact_place where reader=$1 and subject=$2`, r.Name, subject).Scan(&place); err != nil && !store.None(err) {
			return err
		}
		var err error
		f, err = scan(tx.Row(`select `+columns+` from fact where subject=$1 and seq>$2 order by seq limit 1`, subject, place).Scan)
		return err
	})
	if store.None(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = l.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		// The place moves first: of two desks one wins.
		n, err := tx.Exec(`insert into fact_place(reader,subject,seq) values($1,$2,$3)
			on conflict(reader,subject) do update set seq=excluded.seq where fact_place.seq < excluded.seq`, r.Name, subject, f.Seq)
		if err != nil || n == 0 {
			return err
		}
		return r.Handle(tx, f)
	})
	if err == nil {
		delete(failed, f.ID)
		return true, nil
	}
	if ctx.Err() != nil {
		return false, err
	}
	if failed[f.ID]++; failed[f.ID] < tries {
		return false, err
	}
	delete(failed, f.ID)
	l.log.Error("fact set aside", "alarm", true, "reader", r.Name, "subject", subject, "fact", f.ID, "err", err)
	return true, l.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		if _, err := tx.Exec(`insert into fact_aside(reader,seq,error,at) values($1,$2,$3,$4) on conflict(reader,seq) do nothing`,
			r.Name, f.Seq, err.Error(), tx.NowMicros()); err != nil {
			return err
		}
		_, err := tx.Exec(`insert into fact_place(reader,subject,seq) values($1,$2,$3)
			on conflict(reader,subject) do update set seq=excluded.seq where fact_place.seq < excluded.seq`, r.Name, subject, f.Seq)
		return err
	})
}

const columns = `seq,id,subject,version,ref,actor,at,body`

func scan(scan func(...any) error) (Fact, error) {
	var f Fact
	var actor, body string
	var at int64
	if err := scan(&f.Seq, &f.ID, &f.Subject, &f.Version, &f.Ref, &actor, &at, &body); err != nil {
		return f, err
	}
	f.At, f.Body = store.Time(at), json.RawMessage(body)
	if actor == "" {
		return f, nil
	}
	var err error
	f.Actor, err = bolwerk.ParseActor(actor)
	return f, err
}

// About gives the facts about a reference, oldest first.
func About(tx *store.Tx, ref string, limit int) ([]Fact, error) {
	return store.List(tx, scan, `select `+columns+` from fact where ref=$1 order by seq limit $2`, ref, limit)
}

// Find gives a fact by its number; a read of no rows where it is not kept.
func Find(tx *store.Tx, seq int64) (Fact, error) {
	return scan(tx.Row(`select `+columns+` from fact where seq=$1`, seq).Scan)
}

// Aside counts the facts that were set aside; each is an alarm.
func Aside(tx *store.Tx) (n int64, err error) {
	err = tx.Row(`select count(*) from fact_aside`).Scan(&n)
	return n, err
}
