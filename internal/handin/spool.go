package handin

import (
	"container/heap"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/disk"
	"bolwerk/internal/seal"
)

// Config bounds a spool.
type Config struct {
	MaxItems int           // waiting at once; more are refused
	MaxBytes int64         // waiting at once
	MinFree  int64         // bytes that must stay free on the disk
	Keep     time.Duration // how long committed items are kept for a replay
}

// DefaultConfig is good for a first run.
func DefaultConfig() Config {
	return Config{MaxItems: 200_000, MaxBytes: 8 << 30, MinFree: 512 << 20, Keep: 48 * time.Hour}
}

// Validate says what is wrong with c.
func (c Config) Validate() error {
	if c.MaxItems < 1 || c.MaxBytes < 1 || c.MinFree < 0 || c.Keep < time.Hour {
		return bolwerk.Invalid("spool: max_items and max_bytes must be at least 1, min_free at least 0, keep at least 1h")
	}
	return nil
}

// Spool keeps items on the disk of the door until the desk has them:
//
//	new/ID               acknowledged, not yet at the desk
//	committed/HOUR/ID    at the desk since that hour (UTC), kept for a replay
//	bad/ID               unreadable, or refused by the desk: for a person
type Spool struct {
	disk  disk.Disk
	dir   string
	cfg   Config
	pub   seal.PublicKey
	clock clock.Clock
	log   *slog.Logger
	m     *metrics

	mu      sync.Mutex
	waiting map[string]*waiting
	ready   []*waiting // first in, first out; order is not promised
	later   laterHeap
	bytes   int64 // of waiting and of what is being written
	items   int
	bad     int
	kick    chan struct{} // one token: somebody look
}

// waiting is an item in new/.
type waiting struct {
	id    string
	at    time.Time
	size  int64
	tries int
	due   time.Time // monotonic; when it may be tried again
}

// Open opens or makes the spool in dir and finds what an earlier run left.
// With a pub that is not zero every body is sealed to it.
func Open(d disk.Disk, dir string, cfg Config, pub seal.PublicKey, c clock.Clock, log *slog.Logger) (*Spool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Spool{disk: d, dir: dir, cfg: cfg, pub: pub, clock: c, log: log,
		waiting: map[string]*waiting{}, kick: make(chan struct{}, 1)}
	s.m = newMetrics(s)
	for _, sub := range []string{"new", "committed", "bad"} {
		if err := d.MakeDir(filepath.Join(dir, sub)); err != nil {
			return nil, fmt.Errorf("spool %s: %w", dir, err)
		}
	}
	if err := s.recover(); err != nil {
		return nil, fmt.Errorf("spool %s: %w", dir, err)
	}
	return s, nil
}

// recover takes up what is in new/ and sweeps half-written files away: nobody
// was told that those had arrived.
func (s *Spool) recover() error {
	names, err := s.disk.List(s.path("new"))
	if err != nil {
		return err
	}
	for _, name := range names {
		path := s.path("new", name)
		if disk.IsTemp(name) {
			if err := s.disk.Remove(path); err != nil {
				return err
			}
			continue
		}
		at, err := ParseID(name)
		if err != nil {
			s.setAside(name, err)
			continue
		}
		size, err := s.disk.Size(path)
		if err != nil {
			return err
		}
		w := &waiting{id: name, at: at, size: size}
		s.waiting[name] = w
		s.ready = append(s.ready, w)
		s.items++
		s.bytes += size
	}
	bad, err := s.disk.List(s.path("bad"))
	if err != nil {
		return err
	}
	s.bad = len(bad)
	if n := len(s.ready); n > 0 {
		s.log.Info("spool holds items of an earlier run", "items", n)
		s.wake()
	}
	return nil
}

func (s *Spool) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// Put keeps body. When it returns an id, body survives a power cut and will
// reach the desk: now it may be acknowledged. No room in the spool or on its
// disk is a bolwerk.ErrFull; the sender should try again later.
func (s *Spool) Put(kind string, body []byte) (id string, err error) {
	return s.put(bolwerk.NewID(s.clock.Now()), kind, body)
}

// PutAs keeps body under an id of the caller's, a UUIDv7. What may have been put
// before (by a door that fetches, and was killed before it knew) is put again: the
// desk takes an id once.
func (s *Spool) PutAs(id, kind string, body []byte) error {
	if _, err := ParseID(id); err != nil {
		return err
	}
	s.mu.Lock()
	_, here := s.waiting[id]
	s.mu.Unlock()
	if here {
		return nil
	}
	_, err := s.put(id, kind, body)
	return err
}

func (s *Spool) put(id, kind string, body []byte) (_ string, err error) {
	defer func() { s.m.putDone(kind, err) }()
	if _, err := ParseKind(kind); err != nil {
		return "", err
	}
	if len(body) > MaxBody {
		return "", bolwerk.Invalid("%s of %d octets: at most %d", kind, len(body), MaxBody)
	}
	now := s.clock.Now()
	f := file{kind: kind, id: id, body: body}
	if !s.pub.IsZero() {
		f.sealed = true
		if f.body, err = seal.Seal(s.pub, context(kind, f.id), body); err != nil {
			return "", err
		}
	}
	b := f.bytes()
	size := int64(len(b))
	if err := s.reserve(size); err != nil {
		return "", err
	}
	if err := disk.Put(s.disk, s.path("new", f.id), b, "handin.put"); err != nil {
		// It may be there all the same (the error came after the rename). It is
		// taken away, and where that fails too it is sent once more than the
		// door knows: the safe side.
		s.disk.Remove(s.path("new", f.id))
		s.release(size)
		return "", fmt.Errorf("spool: %w", err)
	}
	w := &waiting{id: f.id, at: now, size: size}
	s.mu.Lock()
	s.waiting[w.id] = w
	s.ready = append(s.ready, w)
	s.mu.Unlock()
	s.wake()
	return f.id, nil
}

// reserve takes room for an item, or says that there is none.
func (s *Spool) reserve(size int64) error {
	free, err := s.disk.Free(s.dir)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case free-size < s.cfg.MinFree:
		return fmt.Errorf("spool: %d bytes free on its disk, %d must stay: %w", free, s.cfg.MinFree, bolwerk.ErrFull)
	case s.items+1 > s.cfg.MaxItems:
		return fmt.Errorf("spool: %d items wait, as many as may: %w", s.items, bolwerk.ErrFull)
	case s.bytes+size > s.cfg.MaxBytes:
		return fmt.Errorf("spool: %d bytes wait, %d may: %w", s.bytes, s.cfg.MaxBytes, bolwerk.ErrFull)
	}
	s.items++
	s.bytes += size
	return nil
}

func (s *Spool) release(size int64) {
	s.mu.Lock()
	s.items--
	s.bytes -= size
	s.mu.Unlock()
}

func (s *Spool) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// next takes an item that may be sent now. Without one it says how long to wait
// for the next; a day where there is none at all.
func (s *Spool) next(now time.Time) (*waiting, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.later) > 0 && !s.later[0].due.After(now) {
		s.ready = append(s.ready, heap.Pop(&s.later).(*waiting))
	}
	if len(s.ready) == 0 {
		if len(s.later) > 0 {
			return nil, s.later[0].due.Sub(now)
		}
		return nil, 24 * time.Hour
	}
	w := s.ready[0]
	s.ready[0] = nil
	s.ready = s.ready[1:]
	if len(s.ready) > 0 {
		s.wake() // for the next worker
	}
	return w, 0
}

// back gives an item back that could not be sent; it is tried again after wait.
func (s *Spool) back(w *waiting, now time.Time, wait time.Duration) {
	s.mu.Lock()
	w.due = now.Add(wait)
	heap.Push(&s.later, w)
	s.mu.Unlock()
	s.wake()
}

// read is the item in new/.
func (s *Spool) read(id string) (file, error) { return s.readAt(s.path("new", id), id) }

func (s *Spool) readAt(path, id string) (file, error) {
	b, err := disk.Read(s.disk, path, int64(maxFile))
	if err != nil {
		return file{}, err
	}
	f, err := parseFile(b)
	if err == nil && f.id != id {
		err = bolwerk.Invalid("spool file %s: holds %s", id, f.id)
	}
	return f, err
}

// hourName is how a folder of committed items is called.
const hourName = "2006-01-02T15"

// commit lets go of an item that the desk has. The move need not be durable:
// an item that is in new/ again after a power cut is sent again and known by
// its id.
func (s *Spool) commit(w *waiting) error {
	hour := s.path("committed", s.clock.Now().Format(hourName))
	if err := s.disk.MakeDir(hour); err != nil {
		return err
	}
	if err := s.disk.Rename(s.path("new", w.id), filepath.Join(hour, w.id)); err != nil {
		return err
	}
	s.gone(w)
	return nil
}

func (s *Spool) gone(w *waiting) {
	s.mu.Lock()
	delete(s.waiting, w.id)
	s.items--
	s.bytes -= w.size
	s.mu.Unlock()
}

// setAside moves a file out of the way of the others, for a person.
func (s *Spool) setAside(name string, why error) {
	s.log.Error("item set aside", "item", name, "reason", why)
	if err := s.disk.Rename(s.path("new", name), s.path("bad", name)); err != nil {
		s.log.Error("item could not be set aside", "item", name, "err", err)
		return
	}
	s.mu.Lock()
	s.bad++
	s.mu.Unlock()
}

// prune deletes committed items whose time is over. While the clock is suspect
// nothing is deleted.
func (s *Spool) prune() error {
	if s.clock.Suspect() {
		return nil
	}
	end := s.clock.Now().Add(-s.cfg.Keep - time.Hour)
	hours, err := s.hours()
	if err != nil {
		return err
	}
	for _, h := range hours {
		if !h.Before(end) {
			break
		}
		dir := s.path("committed", h.Format(hourName))
		names, err := s.disk.List(dir)
		if err != nil {
			return err
		}
		for _, n := range names {
			if err := s.disk.Remove(filepath.Join(dir, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if err := s.disk.Remove(dir); err != nil {
			return err
		}
	}
	return nil
}

// hours are the hours in committed/, oldest first.
func (s *Spool) hours() ([]time.Time, error) {
	names, err := s.disk.List(s.path("committed"))
	if err != nil {
		return nil, err
	}
	var hours []time.Time
	for _, n := range names {
		if h, err := time.Parse(hourName, n); err == nil {
			hours = append(hours, h)
		}
	}
	return hours, nil
}

// Depth is how many items wait for the desk, their bytes, and when the door
// took the oldest (zero: none waits).
func (s *Spool) Depth() (items int, bytes int64, oldest time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.waiting {
		if oldest.IsZero() || w.at.Before(oldest) {
			oldest = w.at
		}
	}
	return s.items, s.bytes, oldest
}

// SetAside is how many items lie in bad/.
func (s *Spool) SetAside() int { s.mu.Lock(); defer s.mu.Unlock(); return s.bad }

// laterHeap orders by due.
type laterHeap []*waiting

func (h laterHeap) Len() int           { return len(h) }
func (h laterHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h laterHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *laterHeap) Push(x any)        { *h = append(*h, x.(*waiting)) }
func (h *laterHeap) Pop() any {
	old := *h
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return w
}
