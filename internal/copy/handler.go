package copy

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/join"
)

// Step is one publication as the desk keeps it for hosts that follow.
type Step struct {
	Serial int64
	Body   []byte // Batch.Encode
	Digest string // of the copy after it
	Count  int64  // entries in force after it
	At     time.Time
}

// Origin is where the desk's copies come from; internal/publish fills it.
type Origin interface {
	// Head is where a copy stands, unsigned. A bolwerk.ErrNotFound: no such copy.
	Head(ctx context.Context, name string) (Head, error)
	// Since are the publications of epoch after serial, oldest first, at most
	// limit. complete is false where the oldest of them are no longer kept, or
	// the epoch is another.
	Since(ctx context.Context, name string, epoch, serial int64, limit int) (steps []Step, complete bool, err error)
	// Snapshot gives the head and then each entry in force, ascending by id, of
	// one moment.
	Snapshot(ctx context.Context, name string, begin func(Head) error, each func(Entry) error) error
	// Changed is closed at the next publication of a copy, or later.
	Changed(name string) <-chan struct{}
}

// Poll is a host's question: what it has, for the desk to know.
type Poll struct {
	Host    string
	Role    join.Role
	Copy    string
	Mark    Mark
	Nothing bool // it has nothing yet
}

const (
	maxWait = 60 * time.Second
	// lookAgain finds publications of another desk on the same database, and
	// bounds the age of a look.
	lookAgain = time.Second
	// sinceLimit is how many publications one answer holds at most.
	sinceLimit = 1000
	// snapshots at once; the next waits its turn.
	snapshots = 4
)

// Handler serves copies to hosts. It stands behind join.Authority.Require.
type Handler struct {
	origin Origin
	signer *Signer
	roles  map[string][]join.Role
	clock  clock.Clock
	log    *slog.Logger
	turn   chan struct{}
	mux    http.ServeMux
	looks  looks
	from   map[string]*Follower // of a relay, in place of origin and signer

	// Current, when not nil, says that what the origin gives is of now. A desk
	// that is not answers nothing: hosts go to another.
	Current func() bool
	// Seen, when not nil, is told of every question before it is answered: it
	// is the proof of what a host has in force.
	Seen func(ctx context.Context, p Poll)
	// Want, when not nil, gives what stands now: whether the desk wants to know
	// what a host holds; Held takes it (see ReadHeld). The host is answered with
	// nothing else until that is false.
	Want func() func(p Poll) bool
	Held func(ctx context.Context, p Poll, files io.Reader) error
	// Gather is how long an answer with changes waits for more of them, by copy.
	// It is for copies that change at every report and that nobody waits for.
	Gather map[string]time.Duration
}

// NewHandler serves each copy in roles to hosts of those roles.
func NewHandler(origin Origin, signer *Signer, roles map[string][]join.Role, c clock.Clock, log *slog.Logger) *Handler {
	h := &Handler{origin: origin, signer: signer, roles: roles, clock: c, log: log, turn: make(chan struct{}, snapshots)}
	h.mux.HandleFunc("GET /v1/copy/{name}", h.serve)
	h.mux.HandleFunc("PUT /v1/copy/{name}/held", h.held)
	return h
}

// ServeHTTP answers questions.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// poll reads who asks for what and refuses who may not.
func (h *Handler) poll(w http.ResponseWriter, r *http.Request) (p Poll, ok bool) {
	host, ok := join.Peer(r.Context())
	if !ok {
		http.Error(w, "a host certificate of this desk is needed", http.StatusUnauthorized)
		return p, false
	}
	p = Poll{Host: host.Name, Role: host.Role, Copy: r.PathValue("name")}
	roles, known := h.roles[p.Copy]
	if !known || !slices.Contains(roles, host.Role) {
		h.log.Warn("host asks for a copy of another role", "host", host.Name, "role", host.Role, "copy", p.Copy)
		http.Error(w, "not for this role", http.StatusForbidden)
		return p, false
	}
	q := r.URL.Query()
	for name, to := range map[string]*int64{"epoch": &p.Mark.Epoch, "serial": &p.Mark.Serial} {
		n, err := strconv.ParseInt(q.Get(name), 10, 64)
		if q.Get(name) != "" && (err != nil || n < 0) {
			http.Error(w, name+" is a number", http.StatusBadRequest)
			return p, false
		}
		*to = n
	}
	p.Nothing = q.Get("epoch") == ""
	return p, true
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) {
	p, ok := h.poll(w, r)
	if !ok {
		return
	}
	q := r.URL.Query()
	seconds, err := strconv.ParseUint(q.Get("wait"), 10, 16)
	if err != nil && q.Get("wait") != "" || len(q.Get("key")) > 64 {
		http.Error(w, "wait is a number of seconds", http.StatusBadRequest)
		return
	}
	wait := min(time.Duration(seconds)*time.Second, maxWait)
	if h.Current != nil && !h.Current() {
		http.Error(w, errCutOff.Error(), http.StatusServiceUnavailable)
		return
	}
	if h.Seen != nil {
		h.Seen(r.Context(), p)
	}
	out := &answerWriter{w: w}
	if f := h.from[p.Copy]; f != nil {
		err = f.answer(r.Context(), out, p, q.Get("key"), q.Get("snapshot") != "", wait, h)
	} else {
		err = h.Answer(r.Context(), out, p, q.Get("key"), q.Get("snapshot") != "", wait)
	}
	switch {
	case err == nil, r.Context().Err() != nil:
	case out.began:
		// The host sees an answer that ends early, which it takes for nothing.
		h.log.Error("copy not sent whole", "copy", p.Copy, "host", p.Host, "err", err)
		panic(http.ErrAbortHandler)
	case errors.Is(err, bolwerk.ErrNotFound):
		http.Error(w, "no such copy", http.StatusNotFound)
	case errors.Is(err, errNotHere):
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		h.log.Error("copy not sent", "copy", p.Copy, "host", p.Host, "err", err)
		http.Error(w, "try again later", http.StatusServiceUnavailable)
	}
}

// errCutOff is what a host hears of a desk that has lost its database.
var errCutOff = errors.New("this desk does not reach its database; ask another")

// answerWriter notes whether anything was sent.
type answerWriter struct {
	w     http.ResponseWriter
	began bool
}

func (a *answerWriter) Write(b []byte) (int, error) {
	if !a.began {
		a.began = true
		a.w.Header().Set("Content-Type", "application/vnd.bolwerk.copy")
	}
	return a.w.Write(b)
}

// Answer writes the answer to a question: at once where there is something new,
// else after wait at the latest. key is the signing key that the host knows.
func (h *Handler) Answer(ctx context.Context, w io.Writer, p Poll, key string, fresh bool, wait time.Duration) error {
	end := time.NewTimer(wait)
	defer end.Stop()
	gather := h.Gather[p.Copy]
	for over := wait <= 0; ; {
		l := h.look(ctx, p.Copy, false)
		if l.err == nil && l.head.Mark().Before(p.Mark) { // what was seen may be a second old
			l = h.look(ctx, p.Copy, true)
		}
		if l.err != nil {
			return l.err
		}
		// Seen after the head: a host whose question waited through a restore is asked too.
		if l.want != nil && l.want(p) {
			_, err := w.Write([]byte{lineWant, '\n'})
			return err
		}
		head := l.head
		switch {
		case fresh || p.Nothing || p.Mark.Epoch < head.Epoch:
			return h.snapshot(ctx, w, p.Copy, key)
		case p.Mark.Before(head.Mark()) && gather > 0 && !over:
			if err := pause(ctx, gather); err != nil {
				return err
			}
			gather = 0
			continue
		case p.Mark.Before(head.Mark()):
			body, err := l.answer(asked{p.Mark, key, KeyID(h.signer.Public())}, func() ([]byte, error) { return h.changes(context.WithoutCancel(ctx), p, key) })
			if errors.Is(err, errSnapshot) {
				return h.snapshot(ctx, w, p.Copy, key)
			}
			return written(w, body, err)
		case over || head.Mark().Before(p.Mark): // the host is ahead: it must know
			body, err := l.answer(asked{p.Mark, key, KeyID(h.signer.Public())}, func() ([]byte, error) {
				return h.lines(key, nil, func() ([]byte, error) { return h.signer.head(head, h.clock.Now()) })
			})
			return written(w, body, err)
		}
		if h.Current != nil && !h.Current() {
			return errCutOff
		}
		look := time.NewTimer(lookAgain)
		select {
		case <-ctx.Done():
			look.Stop()
			return ctx.Err()
		case <-end.C:
			over = true
		case <-l.changed:
		case <-look.C:
		}
		look.Stop()
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func written(w io.Writer, body []byte, err error) error {
	if err == nil {
		_, err = w.Write(body)
	}
	return err
}

// lines are the changes of the key, then body, then a signed line.
func (h *Handler) lines(key string, body []byte, last func() ([]byte, error)) ([]byte, error) {
	line, err := last()
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, k := range h.signer.since(key) {
		all = append(all, k...)
	}
	return append(append(all, body...), line...), nil
}

// errSnapshot says that the changes are too many or not kept.
var errSnapshot = errors.New("a snapshot is needed")

// changes are the publications after p.Mark; errSnapshot where a snapshot has to
// be sent in their place.
func (h *Handler) changes(ctx context.Context, p Poll, key string) ([]byte, error) {
	steps, complete, err := h.origin.Since(ctx, p.Copy, p.Mark.Epoch, p.Mark.Serial, sinceLimit)
	if err != nil {
		return nil, err
	}
	size := 0
	for _, s := range steps {
		size += len(s.Body)
		if len(s.Body) > MaxBatch {
			complete = false
		}
	}
	if !complete || len(steps) == 0 || size > MaxSince {
		return nil, errSnapshot
	}
	head, err := h.origin.Head(ctx, p.Copy) // for its audit head
	if err != nil {
		return nil, err
	}
	if head.Epoch != p.Mark.Epoch {
		return nil, errSnapshot
	}
	body := make([]byte, 0, size+32*len(steps))
	for _, s := range steps {
		body = append(append(body, batchLine(s.Body)...), s.Body...)
	}
	last := steps[len(steps)-1]
	head.Serial, head.Digest, head.Count = last.Serial, last.Digest, last.Count
	if len(steps) > 1 {
		head.Previous = steps[len(steps)-2].Digest
	} else if head.Previous, err = h.before(ctx, p, last, head); err != nil {
		return nil, err
	}
	return h.lines(key, body, func() ([]byte, error) { return h.signer.head(head, h.clock.Now()) })
}

// before is the digest in front of a single step.
func (h *Handler) before(ctx context.Context, p Poll, last Step, head Head) (string, error) {
	steps, _, err := h.origin.Since(ctx, p.Copy, p.Mark.Epoch, p.Mark.Serial-1, 1)
	if err != nil {
		return "", err
	}
	if len(steps) == 1 && steps[0].Serial == p.Mark.Serial {
		return steps[0].Digest, nil
	}
	if now, err := h.origin.Head(ctx, p.Copy); err != nil || now.Mark() == (Mark{head.Epoch, last.Serial}) {
		return now.Previous, err
	}
	return "", fmt.Errorf("copy %s: the publication before %d is not kept", p.Copy, last.Serial)
}

// snapshot sends all entries in force.
func (h *Handler) snapshot(ctx context.Context, w io.Writer, name, key string) error {
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	sum := sha256.New()
	var m Manifest
	var line []byte
	out := bufio.NewWriterSize(w, 64<<10)
	err := h.origin.Snapshot(ctx, name, func(head Head) error {
		m.Head = head
		for _, k := range h.signer.since(key) {
			out.Write(k)
		}
		return nil
	}, func(e Entry) error {
		if m.Entries&1023 == 0 && ctx.Err() != nil {
			return ctx.Err() // also where the host was revoked meanwhile
		}
		var err error
		if line, err = appendEntry(append(line[:0], lineEntry, ' '), e); err != nil {
			return err
		}
		if len(line) > MaxEntry {
			return bolwerk.Invalid("entry %s of copy %s: %d octets, at most %d", e.ID, name, len(line), MaxEntry)
		}
		line = append(line, '\n')
		m.Entries++
		m.Bytes += int64(len(line))
		sum.Write(line)
		_, err = out.Write(line)
		return err
	})
	if err != nil {
		return err
	}
	m.SHA256 = hex.EncodeToString(sum.Sum(nil))
	last, err := h.signer.manifest(m, h.clock.Now())
	if err != nil {
		return err
	}
	out.Write(last)
	return out.Flush()
}

// held takes what a host holds.
func (h *Handler) held(w http.ResponseWriter, r *http.Request) {
	p, ok := h.poll(w, r)
	if !ok {
		return
	}
	if h.Held == nil || h.Want == nil || !h.Want()(p) {
		http.Error(w, "not asked for", http.StatusConflict)
		return
	}
	if err := h.Held(r.Context(), p, io.LimitReader(r.Body, MaxSnapshot)); err != nil {
		h.log.Error("what a host holds was not taken", "host", p.Host, "copy", p.Copy, "err", err)
		http.Error(w, "not taken", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
