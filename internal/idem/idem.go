// Package idem makes a repeated request have one effect: the answer to a POST
// with an Idempotency-Key is kept for 24 h and given again.
package idem

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
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
	claim     = 2 * time.Minute // after which a request that gave no answer may be made again
	maxAnswer = 1 << 20
	maxKey    = 255
	purpose   = "idempotency.answer"
)

// Keeper keeps answers.
type Keeper struct {
	db    *store.DB
	vault *vault.Vault
	log   *slog.Logger
	run   string // of this desk: several may be at work

	mu    sync.Mutex
	ended map[[2]string][]int64 // person and key of claims that could not be released -> when they were made
}

// New keeps what it is given. Answers are sealed by v: one may hold a token.
func New(db *store.DB, v *vault.Vault, log *slog.Logger) *Keeper {
	return &Keeper{db: db, vault: v, log: log, run: rand.Text()}
}

type row struct {
	digest, kind string
	status       int
	answer       []byte
	at           int64
}

type claimKey struct{}

// claimed is the row that a running request holds.
type claimed struct {
	k           *Keeper
	person, key string
	at          int64
	kept        bool
}

// Wrap gives a POST with an Idempotency-Key one effect. person is whose key it
// is: two people may use the same key. The same key with another request is
// answered with 422, one that is still running with 409. An answer of 500 and
// above is not kept: the request may be made again.
//
// An effect and its answer are one when the handler calls Answer in the
// transaction of the effect; otherwise the answer is kept after the handler.
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
	c := &claimed{k: k, person: person, key: sum([]byte(key))}
	digest := sum([]byte(r.Method + " " + r.URL.RequestURI() + "\n" + r.Header.Get("Content-Type") + "\n" + string(body)))
	old, err := k.claim(r.Context(), c, digest)
	if errors.Is(err, bolwerk.ErrFull) {
		// The disk is full: nothing can be done twice but what takes out of force,
		// and that is the same once and twice.
		next.ServeHTTP(w, r)
		return nil
	}
	if err != nil {
		k.remember(c) // it may be there all the same: the store did not say
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
	next.ServeHTTP(rec, r.WithContext(context.WithValue(r.Context(), claimKey{}, c)))
	switch {
	case c.kept:
	case rec.code() >= 500 || rec.body.Len() > maxAnswer:
		k.release(r.Context(), c)
	default:
		err := k.db.Write(context.WithoutCancel(r.Context()), store.Decision, func(tx *store.Tx) error {
			return c.put(tx, rec.code(), rec.header.Get("Content-Type"), rec.body.Bytes())
		})
		if err != nil {
			// The work is done and the caller shall know; a repetition is refused
			// by what was done, or is done again after the claim.
			k.log.Error("answer not kept for its key", "request", web.RequestID(r), "err", err)
		}
	}
	w.WriteHeader(rec.code())
	_, _ = w.Write(rec.body.Bytes()) // a broken connection is all that can go wrong
	return nil
}

// claim takes the key, or gives the row of the request that took it before.
func (k *Keeper) claim(ctx context.Context, c *claimed, digest string) (old *row, err error) {
	err = k.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		old, c.at = nil, tx.NowMicros()
		if err := Expire(tx); err != nil {
			return err
		}
		n, err := tx.Exec(`insert into idempotency(person,key,digest,status,kind,answer,at,holder) values($1,$2,$3,0,'',$4,$5,$6) on conflict(person,key) do nothing`,
			c.person, c.key, digest, []byte{}, c.at, k.run)
		if err != nil || n == 1 {
			return err
		}
		// A claim that gave no answer was cut off, as by a crash. Its effect may be
		// there, without its answer: for two minutes nobody says more than that it is
		// not known.
		n, err = tx.Exec(`update idempotency set at=$1, holder=$6 where person=$2 and key=$3 and digest=$4 and status=0 and at<$5`,
			c.at, c.person, c.key, digest, store.Micros(tx.Now().Add(-claim)), k.run)
		if err != nil || n == 1 {
			return err
		}
		for _, at := range k.dead(c) {
			n, err = tx.Exec(`update idempotency set at=$1, holder=$6 where person=$2 and key=$3 and digest=$4 and status=0 and at=$5`, c.at, c.person, c.key, digest, at, k.run)
			if err != nil || n == 1 {
				return err
			}
		}
		old = &row{}
		return tx.Row(`select digest,status,kind,answer,at from idempotency where person=$1 and key=$2`, c.person, c.key).
			Scan(&old.digest, &old.status, &old.kind, &old.answer, &old.at)
	})
	return old, err
}

func (k *Keeper) again(w http.ResponseWriter, r *http.Request, old *row, digest string) error {
	if old.digest != digest {
		web.Problem{Status: http.StatusUnprocessableEntity, Detail: "this Idempotency-Key was used for another request", Hint: "use a new key for a new request", Request: web.RequestID(r)}.Write(w)
		return nil
	}
	if old.status == 0 {
		web.Problem{Status: http.StatusConflict, Detail: "the first request with this Idempotency-Key is still being answered", Hint: "try again in a few seconds", Request: web.RequestID(r), After: 5}.Write(w)
		return nil
	}
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

func (k *Keeper) release(ctx context.Context, c *claimed) {
	err := k.db.Write(context.WithoutCancel(ctx), store.Decision, func(tx *store.Tx) error {
		_, err := tx.Exec(`delete from idempotency where person=$1 and key=$2 and status=0 and at=$3 and holder=$4`, c.person, c.key, c.at, k.run)
		return err
	})
	if err != nil {
		k.log.Warn("idempotency key not released", "err", err) // it frees itself
		k.remember(c)
	}
}

// remember keeps that the request of a claim has ended without an answer.
func (k *Keeper) remember(c *claimed) {
	if c.at == 0 {
		return // it never got as far as the store
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended == nil || len(k.ended) >= maxEnded {
		k.ended = map[[2]string][]int64{}
	}
	id := [2]string{c.person, c.key}
	if all := k.ended[id]; len(all) < maxTries {
		k.ended[id] = append(all, c.at)
	}
}

// maxTries bounds the ended claims under one key that are remembered.
const maxTries = 32

// maxEnded bounds the claims of which we remember that they could not be released.
const maxEnded = 10_000

// dead are the times of the claims under this key whose requests have ended here
// without an answer, though the store, which was away, may not know.
func (k *Keeper) dead(c *claimed) []int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ended[[2]string{c.person, c.key}]
}

// Answer keeps the answer in the transaction of the effect, for the request
// whose context ctx is. Without a key it does nothing. The handler must then
// give that very answer.
func Answer(ctx context.Context, tx *store.Tx, status int, contentType string, body []byte) error {
	c, _ := ctx.Value(claimKey{}).(*claimed)
	if c == nil {
		return nil
	}
	if err := c.put(tx, status, contentType, body); err != nil {
		return err
	}
	tx.After(func() { c.kept = true })
	return nil
}

func (c *claimed) put(tx *store.Tx, status int, contentType string, body []byte) error {
	box, err := c.k.vault.Seal(purpose, body)
	if err != nil {
		return err
	}
	n, err := tx.Exec(`update idempotency set status=$1, kind=$2, answer=$3 where person=$4 and key=$5 and status=0 and at=$6 and holder=$7`,
		status, contentType, box, c.person, c.key, c.at, c.k.run)
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
