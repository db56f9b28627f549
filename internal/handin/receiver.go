package handin

import (
	stdctx "context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"bolwerk"
	"bolwerk/internal/join"
	"bolwerk/internal/seal"
)

// Kind says who may hand what in.
type Kind struct {
	Roles  []join.Role
	Max    int64 // octets of a body before sealing; 0 is MaxBody
	Sealed bool  // it must come sealed
}

// Receiver is the desk's end. It stands behind join.Authority.Require.
type Receiver struct {
	kinds  map[string]Kind
	keys   []seal.PrivateKey
	accept func(stdctx.Context, Item) error
	replay func(ctx stdctx.Context, host string) (id string, since time.Time, err error)
	log    *slog.Logger
	room   *semaphore.Weighted
	mux    http.ServeMux

	// Replayed is told how far a host is with a replay; nil is told nothing.
	Replayed func(ctx stdctx.Context, host, id string, items int64, done bool) error
}

// receiveBytes bounds the bodies in memory at once.
const receiveBytes = 256 << 20

// NewReceiver gives items to accept, which returns nil once the item is
// committed, also when it knew its id already. A bolwerk.ErrInvalid from it
// refuses the item for ever; every other error asks the host to try again.
// keys open sealed bodies. replay says which replay is wanted of a host: an id,
// empty for none, at most 100 octets, and its start; nil wants none.
func NewReceiver(kinds map[string]Kind, keys []seal.PrivateKey, accept func(stdctx.Context, Item) error,
	replay func(ctx stdctx.Context, host string) (string, time.Time, error), log *slog.Logger) *Receiver {
	r := &Receiver{kinds: kinds, keys: keys, accept: accept, replay: replay, log: log, room: semaphore.NewWeighted(receiveBytes)}
	r.mux.HandleFunc("POST /v1/handin/{kind}/{id}", r.take)
	r.mux.HandleFunc("GET /v1/handin", r.wish)
	return r
}

// ServeHTTP takes items and answers wishes.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) { r.mux.ServeHTTP(w, q) }

// refuse is the desk's last word on an item.
func refuse(w http.ResponseWriter, code int, err error) {
	w.Header().Set(refusedHeader, "yes")
	http.Error(w, err.Error(), code)
}

func (r *Receiver) take(w http.ResponseWriter, q *http.Request) {
	host, ok := join.Peer(q.Context())
	if !ok {
		http.Error(w, "a host certificate of this desk is needed", http.StatusUnauthorized)
		return
	}
	item := Item{Host: host.Name, Role: string(host.Role), Kind: q.PathValue("kind"), ID: q.PathValue("id"), Sealed: q.Header.Get(sealedHeader) != ""}
	kind, ok := r.kinds[item.Kind]
	if !ok || !slices.Contains(kind.Roles, host.Role) {
		// Not for ever: a desk of another version may know better.
		r.log.Warn("host hands in what its role may not", "host", host.Name, "role", host.Role, "kind", item.Kind)
		http.Error(w, "not for this role", http.StatusForbidden)
		return
	}
	at, err := ParseID(item.ID)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	item.At = at
	body, done, ok := r.body(w, q, item, kind)
	if !ok {
		return
	}
	defer done()
	if item.Body, err = r.open(item, kind, body); err != nil {
		r.log.Error("item cannot be opened", "host", host.Name, "kind", item.Kind, "item", item.ID, "err", err)
		if errors.Is(err, bolwerk.ErrNotFound) { // a key that we do not have now
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		refuse(w, http.StatusUnprocessableEntity, err)
		return
	}
	switch err := r.accept(q.Context(), item); {
	case err == nil:
		w.WriteHeader(http.StatusOK)
	case errors.Is(err, bolwerk.ErrInvalid):
		r.log.Warn("item refused", "host", host.Name, "kind", item.Kind, "item", item.ID, "err", err)
		refuse(w, http.StatusUnprocessableEntity, err)
	case errors.Is(err, bolwerk.ErrFull):
		busy(w)
	default:
		r.log.Error("item not taken", "host", host.Name, "kind", item.Kind, "item", item.ID, "err", err)
		http.Error(w, "try again later", http.StatusInternalServerError)
	}
}

func busy(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "try again later", http.StatusServiceUnavailable)
}

// body reads what was sent; done gives its room back.
func (r *Receiver) body(w http.ResponseWriter, q *http.Request, item Item, kind Kind) (body []byte, done func(), ok bool) {
	most := kind.Max
	if most == 0 {
		most = MaxBody
	}
	if item.Sealed {
		most += int64(seal.Overhead)
	}
	if q.ContentLength < 0 {
		http.Error(w, "the length must be said", http.StatusLengthRequired)
		return nil, nil, false
	}
	if q.ContentLength > most {
		refuse(w, http.StatusRequestEntityTooLarge, fmt.Errorf("%s of %d octets: at most %d", item.Kind, q.ContentLength, most))
		return nil, nil, false
	}
	if !r.room.TryAcquire(q.ContentLength) {
		busy(w)
		return nil, nil, false
	}
	done = func() { r.room.Release(q.ContentLength) }
	body = make([]byte, q.ContentLength)
	if _, err := io.ReadFull(q.Body, body); err != nil {
		done()
		http.Error(w, "the body ended early", http.StatusRequestTimeout)
		return nil, nil, false
	}
	return body, done, true
}

func (r *Receiver) open(item Item, kind Kind, body []byte) ([]byte, error) {
	if item.Sealed {
		return seal.Open(body, context(item.Kind, item.ID), r.keys...)
	}
	if kind.Sealed {
		return nil, bolwerk.Invalid("%s must be sealed", item.Kind)
	}
	return body, nil
}

func (r *Receiver) wish(w http.ResponseWriter, q *http.Request) {
	host, ok := join.Peer(q.Context())
	if !ok {
		http.Error(w, "a host certificate of this desk is needed", http.StatusUnauthorized)
		return
	}
	if id, n, done, ok := readReplayed(q.Header.Get(replayedHeader)); ok && r.Replayed != nil {
		if err := r.Replayed(q.Context(), host.Name, id, n, done); err != nil {
			r.log.Error("how far a replay is cannot be noted", "host", host.Name, "err", err)
		}
	}
	var wish replayWish
	if r.replay != nil {
		id, since, err := r.replay(q.Context(), host.Name)
		if err != nil {
			r.log.Error("wanted replay cannot be looked up", "host", host.Name, "err", err)
			http.Error(w, "try again later", http.StatusInternalServerError)
			return
		}
		if id != "" {
			wish = replayWish{Replay: strings.TrimSpace(id), Since: since.UTC()}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(wish)
}

// replayedHeader tells how far a host is with a replay: its id, how many items
// were given again, and "done" or "going".
const replayedHeader = "Bolwerk-Replayed"

func replayedLine(id string, items int64, done bool) string {
	state := "going"
	if done {
		state = "done"
	}
	return fmt.Sprintf("%s %d %s", id, items, state)
}

func readReplayed(line string) (id string, items int64, done, ok bool) {
	part := strings.Split(line, " ")
	if len(line) > 150 || len(part) != 3 || part[0] == "" || part[2] != "done" && part[2] != "going" {
		return "", 0, false, false
	}
	items, err := strconv.ParseInt(part[1], 10, 64)
	return part[0], items, part[2] == "done", err == nil && items >= 0
}
