package copy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"bolwerk/internal/clock"
	"bolwerk/internal/disk"
	"bolwerk/internal/join"
)

// A relay hands a copy on from its own files: they are the desk's lines as they
// came, with the desk's signatures. It signs nothing, and who takes from it
// verifies as if the desk had answered.

// NewRelay serves what followers have to hosts of roles. It stands behind
// join.Gate.Require. What it cannot answer it says so (503): hosts ask the desk then.
func NewRelay(from map[string]*Follower, roles []join.Role, c clock.Clock, log *slog.Logger) *Handler {
	all := map[string][]join.Role{}
	for name := range from {
		all[name] = roles
	}
	h := NewHandler(nil, nil, all, c, log)
	h.from = from
	return h
}

// given is what a relay answers from: where a follower stands, and the part of its
// files that no longer changes.
type given struct {
	head  Head
	line  []byte   // the newest head, signed by the present key; nil: none yet
	keys  []string // ids of the signing keys, the first is that of the join
	lines [][]byte // K lines, each from one of keys to the next

	dir, generation string
	base            Head // of its snapshot
	places          []place
	disk            disk.Disk
}

// Heard says whether a head came from the desk, since this process began and in the
// last so long, that was younger than the one before.
func (f *Follower) Heard(in time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.renewed.IsZero() && f.cfg.Clock.Now().Sub(f.renewed) <= in
}

// Head is the head in use; Copy is empty where there is none.
func (f *Follower) Head() Head { f.mu.Lock(); defer f.mu.Unlock(); return f.seen.Head }

// soon says that the desk is to answer at once: after a start, to know whether what
// lies here is of now, and after a snapshot, which brings no head to hand on.
func (f *Follower) soon() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.cfg.HandsOn || !f.renewed.IsZero() && f.given.line != nil {
		return false
	}
	if now := f.cfg.Clock.Now(); now.Sub(f.asked).Abs() > 5*time.Second {
		f.asked, f.often = now, 0
	}
	f.often++
	return f.often <= 3 // a desk whose clock went back renews nothing
}

// oldFor is how long heads may come that are no younger than the last: one is made
// every 30 s.
const oldFor = 2 * time.Minute

// doubtOld doubts who answers with heads that are never renewed, or not at all.
func (f *Follower) doubtOld() {
	f.mu.Lock()
	now := f.cfg.Clock.Now()
	old := f.cfg.Doubt != nil && !f.renewed.IsZero() && now.Sub(f.renewed) > oldFor
	if old {
		f.renewed = now // looked at again after as long
	}
	f.mu.Unlock()
	if old {
		f.cfg.Doubt()
	}
}

// give notes what is answered from now on. f.mu is held, f.seen is what was before.
func (f *Follower) give(s State) {
	if s.Head.Copy == "" || s.broken && f.given.head.Copy == "" {
		return
	}
	if !s.Head.MadeAt.Equal(f.seen.Head.MadeAt) && f.seen.Trust.Keys != nil {
		f.renewed = f.cfg.Clock.Now()
	}
	files := f.m.files
	g := given{head: s.Head, line: s.line, keys: f.given.keys, lines: f.given.lines,
		dir: files.dir, generation: files.current, base: files.base, places: files.places, disk: files.disk}
	if len(g.keys) != len(s.Trust.Keys) {
		var err error
		if g.keys, g.lines, err = files.keyLines(f.m.trust); err != nil || len(g.keys) != len(s.Trust.Keys) {
			f.cfg.Log.Error("changes of the signing key cannot be handed on", "copy", f.cfg.Copy, "err", err)
			g.keys, g.line = nil, nil
		}
	}
	moved := string(g.line) != string(f.given.line) || g.generation != f.given.generation || g.head.Mark() != f.given.head.Mark()
	f.given = g
	if moved {
		close(f.moved)
		f.moved = make(chan struct{})
	}
}

// keyLines are the keys from that of the join on, and the lines between them.
func (f *Files) keyLines(trust Trust) (ids []string, lines [][]byte, err error) {
	b, err := disk.Read(f.disk, f.path("keys"), 1<<20)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	ids = []string{KeyID(trust.now())}
	for line := range bytes.SplitSeq(bytes.TrimSpace(b), []byte("\n")) {
		if next, err := trust.follow([][]byte{line}); err == nil && len(next.Keys) > len(trust.Keys) {
			trust = next
			ids, lines = append(ids, KeyID(trust.now())), append(lines, append(bytes.Clone(line), '\n'))
		}
	}
	return ids, lines, nil
}

// since are the lines that lead from a key to the present one, all where it is unknown.
func (g given) since(key string) (out []byte) {
	from := 0
	for i, id := range g.keys {
		if id == key {
			from = i
		}
	}
	for _, l := range g.lines[min(from, len(g.lines)):] {
		out = append(out, l...)
	}
	return out
}

// catchUp is how long a host waits that has seen more at the desk than its relay has:
// mostly a moment.
const catchUp = 3 * time.Second

// errNotHere is what a host hears of a relay that cannot answer it.
var errNotHere = errors.New("this relay cannot answer that now; ask the desk")

// answer writes the answer to a question: at once where there is something new,
// else after wait at the latest. One snapshot in turn at a time goes out.
func (f *Follower) answer(ctx context.Context, w io.Writer, p Poll, key string, fresh bool, wait time.Duration, h *Handler) error {
	end, look := time.NewTimer(wait), time.NewTicker(lookAgain)
	defer end.Stop()
	defer look.Stop()
	begun := time.Now()
	for over := wait <= 0; ; {
		f.mu.Lock()
		g, moved := f.given, f.moved
		f.mu.Unlock()
		have := g.head.Mark()
		switch whole := p.Nothing || p.Mark.Before(g.base.Mark()) || fresh && !g.base.Mark().Before(p.Mark); {
		case have.Before(p.Mark) && time.Since(begun) < catchUp: // it has seen more at the desk
		case g.head.Copy == "" || have.Before(p.Mark):
			return errNotHere
		case whole && g.base.KeyID != g.now():
			return errNotHere // signed by a key that is over
		case whole:
			return g.snapshot(ctx, w, key, h.turn)
		case g.line == nil && over:
			return errNotHere
		case g.line != nil && (over || p.Mark.Before(have)):
			return g.changes(w, p.Mark, key)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-end.C:
			over = true
		case <-moved:
		case <-look.C:
			if h.Current != nil && !h.Current() {
				return errNotHere
			}
		}
	}
}

// now is the id of the present signing key.
func (g given) now() string {
	if len(g.keys) == 0 {
		return ""
	}
	return g.keys[len(g.keys)-1]
}

// open opens a file of the generation; one that is over by now is not here.
func (g given) open(ext string) (disk.File, error) {
	r, err := g.disk.Open(filepath.Join(g.dir, g.generation+ext))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNotHere
	}
	return r, err
}

// changes hands the publications after a mark on, and the newest head behind them.
func (g given) changes(w io.Writer, from Mark, key string) error {
	i, _ := slices.BinarySearchFunc(g.places, from.Serial+1, func(p place, serial int64) int { return cmp.Compare(p.serial, serial) })
	out := g.since(key)
	if todo := g.places[i:]; len(todo) > 0 {
		size := todo[len(todo)-1].end - todo[0].start
		if size > MaxSince {
			return errNotHere
		}
		r, err := g.open(".changes")
		if err != nil {
			return err
		}
		defer r.Close()
		if err := skip(r, todo[0].start); err != nil {
			return err
		}
		raw := make([]byte, size)
		if _, err := io.ReadFull(r, raw); err != nil {
			return err
		}
		for _, p := range todo { // without the heads between
			out = append(out, raw[p.start-todo[0].start:p.end-todo[0].start]...)
		}
	}
	_, err := w.Write(append(append(out, g.line...), '\n'))
	return err
}

// skip goes forward in a file.
func skip(r io.Reader, n int64) error {
	if s, ok := r.(io.Seeker); ok {
		_, err := s.Seek(n, io.SeekStart)
		return err
	}
	_, err := io.CopyN(io.Discard, r, n)
	return err
}

// snapshot hands the snapshot file on.
func (g given) snapshot(ctx context.Context, w io.Writer, key string, turn chan struct{}) error {
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	r, err := g.open(".snapshot")
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := w.Write(g.since(key)); err != nil {
		return err
	}
	_, err = io.Copy(w, ctxReader{ctx, r})
	return err
}

// ctxReader ends with its context, also where a host was revoked meanwhile.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
