package door

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"

	"bolwerk"
)

// window keeps values for some time, at most max of them: the oldest goes first.
// It is not safe for concurrent use.
type window[V any] struct {
	keep  time.Duration
	max   int
	known map[[sha256.Size]byte]*list.Element
	order list.List // of *kept[V], oldest first
}

type kept[V any] struct {
	key [sha256.Size]byte
	at  time.Time
	v   V
}

func newWindow[V any](keep time.Duration, max int) window[V] {
	return window[V]{keep: keep, max: max, known: map[[sha256.Size]byte]*list.Element{}}
}

func (w *window[V]) find(now time.Time, key [sha256.Size]byte) (V, bool) {
	for e := w.order.Front(); e != nil && now.Sub(e.Value.(*kept[V]).at) >= w.keep; e = w.order.Front() {
		w.drop(e.Value.(*kept[V]).key)
	}
	if e, ok := w.known[key]; ok {
		return e.Value.(*kept[V]).v, true
	}
	var none V
	return none, false
}

func (w *window[V]) set(now time.Time, key [sha256.Size]byte, v V) {
	w.drop(key)
	if len(w.known) >= w.max {
		w.drop(w.order.Front().Value.(*kept[V]).key)
	}
	w.known[key] = w.order.PushBack(&kept[V]{key, now, v})
}

func (w *window[V]) drop(key [sha256.Size]byte) {
	if e, ok := w.known[key]; ok {
		w.order.Remove(e)
		delete(w.known, key)
	}
}

// What the desk has not told of yet, and requests that may come again.
const (
	keepIssued  = 48 * time.Hour // as long as the spool keeps what it handed in
	maxIssued   = 1 << 16
	keepRequest = 24 * time.Hour
	maxRequests = 1 << 16
)

// issued are the receipts that this process gave, until the desk tells of them.
type issued struct {
	mu sync.Mutex
	w  window[Receipt]
}

func (i *issued) add(now time.Time, code bolwerk.Token, r Receipt) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.w.set(now, keyOf(code.Hash()), r)
}

func (i *issued) find(now time.Time, code bolwerk.Token) (Receipt, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.w.find(now, keyOf(code.Hash()))
}

// requests make a repeated request have one effect, in this process and for
// keepRequest: a restart of the intake forgets them.
type requests struct {
	mu sync.Mutex
	w  window[request]
}

type request struct {
	digest [sha256.Size]byte
	done   bool
	code   bolwerk.Token
}

// begin claims a key, or gives the code that the same request got. The same key
// with another body is errOtherBody; one that is still running is a conflict.
func (q *requests) begin(now time.Time, key, digest [sha256.Size]byte) (code bolwerk.Token, again bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	old, ok := q.w.find(now, key)
	switch {
	case !ok:
		q.w.set(now, key, request{digest: digest})
		return code, false, nil
	case old.digest != digest:
		return code, false, errOtherBody
	case !old.done:
		return code, false, errRunning
	}
	return old.code, true, nil
}

// end keeps what a request got; failed forgets it, so that it may be made again.
func (q *requests) end(now time.Time, key, digest [sha256.Size]byte, code bolwerk.Token, failed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if failed {
		q.w.drop(key)
		return
	}
	q.w.set(now, key, request{digest, true, code})
}

// once does what a key asks for, or gives the code that it got before.
func (q *requests) once(now func() time.Time, key, digest [sha256.Size]byte, do func() (bolwerk.Token, error)) (bolwerk.Token, error) {
	code, again, err := q.begin(now(), key, digest)
	if err != nil || again {
		return code, err
	}
	failed := true
	defer func() { q.end(now(), key, digest, code, failed) }()
	code, err = do()
	failed = err != nil
	return code, err
}

var errRunning = bolwerk.WithHint(bolwerk.Conflict("a request with this Idempotency-Key is still running"), "send it again in a second")

var errOtherBody = bolwerk.Invalid("this Idempotency-Key was used for another request")

func keyOf(s string) [sha256.Size]byte { return sha256.Sum256([]byte(s)) }
