// Package idem makes a repeated request have one effect: the answer to a POST
// with an Idempotency-Key is kept for 24 h and given again.
package idem

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
	"bolwerk/internal/web"
)

//go:embed schema.sql
var schema string

// Schema is the table of this package.
func Schema() store.Schema { return store.Schema{Name: "idem", Steps: []string{schema}} }

const (
	keep      = 24 * time.Hour
	maxAnswer = 1 << 20
	maxKey    = 255
	purpose   = "idempotency.answer"
)

// What a row's status is while it is no answer's.
const (
	claimed  = 0 // nothing is done yet, as far as the store knows
	effected = 1 // something is: the mark is in the transaction of the effect
)

// Keeper keeps answers.
type Keeper struct {
	db    *store.DB
	vault *vault.Vault
	log   *slog.Logger

	mu      sync.Mutex
	running map[[2]string]bool // person and key of the requests that are being answered here
}

// New keeps what it is given. Answers are sealed by v: one may hold a token.
func New(db *store.DB, v *vault.Vault, log *slog.Logger) *Keeper {
	return &Keeper{db: db, vault: v, log: log, running: map[[2]string]bool{}}
}

type row struct {
	digest, kind string
	status       int
	answer       []byte
}

// claim is a request that holds its key.
type claim struct {
	k           *Keeper
	person, key string
	token       string // of this try alone
}

// Wrap gives a POST with an Idempotency-Key one effect. person is whose key it
// is: two people may use the same key. The same key with another request is
// answered with 422, one that is still running with 409. An answer of 500 and
// above is not kept: the request may be made again.
//
// Each write under the request's context marks the key in its own transaction. A
// request that was cut off, as by a kill, is made again when nothing of it was done;
// when something was, it is answered with 409 and that it was: the answer is lost
// then, the effect neither lost nor doubled. Where two try under one
// key, at two desks, the writes of the one that began first fail.
func (k *Keeper) Wrap(person func(*http.Request) string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		if r.Method != http.MethodPost || key == "" {
			next.ServeHTTP(w, r)
			return
		}
		if err := k.serve(w, r, person(r), key, next); err != nil {
			p := web.Explain(err)
			p.Request = web.RequestID(r)
			if p.Status == http.StatusInternalServerError {
				k.log.Error("idempotency key", "request", p.Request, "err", err)
			}
			p.Write(w)
		}
	})
}

func (k *Keeper) serve(w http.ResponseWriter, r *http.Request, person, key string, next http.Handler) error {
	if len(key) > maxKey {
		return bolwerk.Invalid("Idempotency-Key of %d bytes: at most %d are allowed", len(key), maxKey)
	}
	body, err := io.ReadAll(r.Body) // bounded by the frame
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	c := &claim{k: k, person: person, key: sum([]byte(key)), token: rand.Text()}
	digest := sum([]byte(r.Method + " " + r.URL.RequestURI() + "\n" + r.Header.Get("Content-Type") + "\n" + string(body)))
	first := k.begin(c)
	if first {
		defer k.end(c)
	}
	old, err := k.take(r.Context(), c, digest, first)
	if errors.Is(err, bolwerk.ErrFull) {
		// The disk is full: nothing can be done twice but what takes out of force,
		// and that is the same once and twice.
		next.ServeHTTP(w, r)
		return nil
	}
	if err != nil {
		return err
	}
	if old != nil {
		return k.again(w, r, old, digest)
	}
	rec := &recorder{header: w.Header()}
	defer func() {
		if p := recover(); p != nil {
			k.release(r.Context(), c)
			panic(p)
		}
	}()
	next.ServeHTTP(rec, r.WithContext(store.Fenced(r.Context(), c.mark)))
	if rec.code() >= 500 || rec.body.Len() > maxAnswer {
		k.release(r.Context(), c)
	} else if err := k.db.Write(context.WithoutCancel(r.Context()), store.Decision, func(tx *store.Tx) error {
		return c.put(tx, rec.code(), rec.header.Get("Content-Type"), rec.body.Bytes())
	}); err != nil {
		// The work is done and the caller shall know.
		k.log.Error("answer not kept for its key", "request", web.RequestID(r), "err", err)
	}
	w.WriteHeader(rec.code())
	_, _ = w.Write(rec.body.Bytes()) // a broken connection is all that can go wrong
	return nil
}

// begin says whether no other request under the key is being answered here.
func (k *Keeper) begin(c *claim) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := [2]string{c.person, c.key}
	if k.running[id] {
		return false
	}
	k.running[id] = true
	return true
}

func (k *Keeper) end(c *claim) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.running, [2]string{c.person, c.key})
}

// take takes the key when first, or gives the row of the request that took it before.
func (k *Keeper) take(ctx context.Context, c *claim, digest string, first bool) (old *row, err error) {
	err = k.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		old = nil
		if err := Expire(tx); err != nil {
			return err
		}
		if first {
			// A claim that is not running here was cut off, or runs at another desk and
			// loses it.
			n, err := tx.Exec(`insert into idempotency(person,key,digest,status,kind,answer,at,claim) values($1,$2,$3,$4,'',$5,$6,$7)
				on conflict(person,key) do update set at=excluded.at, claim=excluded.claim where idempotency.status=$4 and idempotency.digest=excluded.digest`,
				c.person, c.key, digest, claimed, []byte{}, tx.NowMicros(), c.token)
			if err != nil || n == 1 {
				return err
			}
		}
		old = &row{digest: digest, status: claimed}
		err := tx.Row(`select digest,status,kind,answer from idempotency where person=$1 and key=$2`, c.person, c.key).
			Scan(&old.digest, &old.status, &old.kind, &old.answer)
		if !first && errors.Is(err, sql.ErrNoRows) {
			return nil // the other has not taken it yet, or gives it back
		}
		return err
	})
	return old, err
}

func (k *Keeper) again(w http.ResponseWriter, r *http.Request, old *row, digest string) error {
	p := web.Problem{Request: web.RequestID(r)}
	switch {
	case old.digest != digest:
		p.Status, p.Detail, p.Hint = http.StatusUnprocessableEntity, "this Idempotency-Key was used for another request", "use a new key for a new request"
	case old.status == claimed:
		p.Status, p.Detail, p.Hint, p.After = http.StatusConflict, "the first request with this Idempotency-Key is still being answered", "try again in a few seconds", 5
	case old.status == effected:
		p.Status, p.Detail, p.Hint = http.StatusConflict, "the desk carried this request out and could not answer it", "look at what the request was about; nothing is done again under this Idempotency-Key"
	default:
		body, err := k.vault.Open(purpose, old.answer)
		if err != nil {
			return fmt.Errorf("kept answer: %w", err)
		}
		if old.kind != "" {
			w.Header().Set("Content-Type", old.kind)
		}
		w.Header().Set("Idempotency-Replayed", "true")
		w.WriteHeader(old.status)
		_, _ = w.Write(body)
		return nil
	}
	p.Write(w)
	return nil
}

// release gives the key back, where nothing was done.
func (k *Keeper) release(ctx context.Context, c *claim) {
	err := k.db.Write(context.WithoutCancel(ctx), store.Decision, func(tx *store.Tx) error {
		_, err := tx.Exec(`delete from idempotency where person=$1 and key=$2 and status=$3 and claim=$4`, c.person, c.key, claimed, c.token)
		return err
	})
	if err != nil {
		k.log.Warn("idempotency key not released", "err", err) // the next who comes with it takes it
	}
}

// mark says in the transaction of an effect that there is one.
func (c *claim) mark(tx *store.Tx) error {
	n, err := tx.Exec(`update idempotency set status=$1 where person=$2 and key=$3 and status in ($1,$4) and claim=$5`, effected, c.person, c.key, claimed, c.token)
	return lost(n, err)
}

func (c *claim) put(tx *store.Tx, status int, contentType string, body []byte) error {
	box, err := c.k.vault.Seal(purpose, body)
	if err != nil {
		return err
	}
	n, err := tx.Exec(`update idempotency set status=$1, kind=$2, answer=$3 where person=$4 and key=$5 and status in ($6,$7) and claim=$8`,
		status, contentType, box, c.person, c.key, claimed, effected, c.token)
	return lost(n, err)
}

func lost(n int64, err error) error {
	if err == nil && n == 0 {
		err = bolwerk.Conflict("the same request was made again meanwhile")
	}
	return err
}

// Expire deletes answers older than 24 h.
func Expire(tx *store.Tx) error {
	_, err := tx.Exec(`delete from idempotency where at<$1`, store.Micros(tx.Now().Add(-keep)))
	return err
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// recorder holds an answer back until it is kept.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(c int) {
	if r.status == 0 {
		r.status = c
	}
}
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
func (r *recorder) code() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}
