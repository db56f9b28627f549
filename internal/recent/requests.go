package recent

import (
	"context"
	"sync"
	"time"

	"bolwerk"
)

// Requests make a repeated request have one effect and one code.
type Requests struct {
	mu sync.Mutex
	w  Window[request]
}

type request struct {
	digest Key
	done   bool
	code   bolwerk.Token
}

// NewRequests remembers at most max requests, each for as long as keep.
func NewRequests(keep time.Duration, max int) *Requests {
	return &Requests{w: NewWindow[request](keep, max)}
}

// ErrOtherBody says that a key came again with another request.
var ErrOtherBody = bolwerk.Invalid("this Idempotency-Key was used for another request")

var errRunning = bolwerk.WithHint(bolwerk.Conflict("a request with this Idempotency-Key is still running"), "send it again in a second")

// Once does what a key asks for, or gives the code that it got before. The same
// key with another digest is ErrOtherBody, one that is still running a conflict.
// What failed may be made again.
func (q *Requests) Once(now func() time.Time, key, digest Key, do func() (bolwerk.Token, error)) (bolwerk.Token, error) {
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

// Wait is Once that waits for one that is still running, as long as ctx lets it:
// a browser shows the answer to its second request. The key says it all.
func (q *Requests) Wait(ctx context.Context, now func() time.Time, key Key, do func() (bolwerk.Token, error)) (bolwerk.Token, error) {
	for {
		code, err := q.Once(now, key, key, do)
		if err != errRunning {
			return code, err
		}
		select {
		case <-ctx.Done():
			return code, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (q *Requests) begin(now time.Time, key, digest Key) (code bolwerk.Token, again bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	old, ok := q.w.Find(now, key)
	switch {
	case !ok:
		q.w.Set(now, key, request{digest: digest})
		return code, false, nil
	case old.digest != digest:
		return code, false, ErrOtherBody
	case !old.done:
		return code, false, errRunning
	}
	return old.code, true, nil
}

func (q *Requests) end(now time.Time, key, digest Key, code bolwerk.Token, failed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if failed {
		q.w.Drop(key)
		return
	}
	q.w.Set(now, key, request{digest, true, code})
}
