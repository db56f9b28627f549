package handin

import (
	"bytes"
	stdctx "context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"bolwerk"
	"bolwerk/internal/disk"
	"bolwerk/internal/fault"
)

const (
	inFlight      = 16       // items on their way at once; the desk commits in batches
	inFlightBytes = 96 << 20 // their size together
	tryFor        = 60 * time.Second
	askEvery      = time.Minute // how often the desk is asked whether it wants a replay

	firstPause, longestPause = 100 * time.Millisecond, 30 * time.Second // the desk is away
	firstWait, longestWait   = time.Second, 5 * time.Minute             // one item fails
)

// Sender gives the items of a spool to the desk.
type Sender struct {
	spool  *Spool
	client *http.Client
	base   string
	log    *slog.Logger
	room   *semaphore.Weighted

	mu    sync.Mutex
	fails int       // in a row, of the way to the desk
	until time.Time // nothing is sent before
}

// NewSender sends to base, such as "https://desk:8090", with client, which
// carries the host's certificate.
func NewSender(s *Spool, client *http.Client, base string, log *slog.Logger) *Sender {
	return &Sender{spool: s, client: client, base: strings.TrimSuffix(base, "/"), log: log,
		room: semaphore.NewWeighted(inFlightBytes)}
}

// Run sends until ctx ends, and asks every minute whether the desk wants a
// replay. Items on their way then are sent again by the next run.
func (s *Sender) Run(ctx stdctx.Context) error {
	var wg sync.WaitGroup
	for range inFlight {
		wg.Go(func() { s.work(ctx) })
	}
	wg.Go(func() { s.keepHouse(ctx) })
	wg.Wait()
	return nil
}

func (s *Sender) work(ctx stdctx.Context) {
	for ctx.Err() == nil {
		if !sleep(ctx, s.pause(), nil) {
			return
		}
		w, wait := s.spool.next(time.Now())
		if w == nil {
			if !sleep(ctx, wait, s.spool.kick) {
				return
			}
			continue
		}
		s.one(ctx, w)
	}
}

// one tries one item.
func (s *Sender) one(ctx stdctx.Context, w *waiting) {
	f, err := s.spool.read(w.id)
	switch {
	case errors.Is(err, bolwerk.ErrInvalid), errors.Is(err, fs.ErrNotExist):
		s.spool.m.sent.WithLabelValues("unreadable").Inc()
		s.spool.setAside(w.id, err)
		s.spool.gone(w)
		return
	case err != nil:
		s.again(w, fmt.Errorf("read: %w", err), longestWait)
		return
	}
	out := s.post(ctx, f)
	switch {
	case ctx.Err() != nil && out.err != nil:
		s.spool.back(w, time.Now(), 0)
	case out.err == nil:
		s.reached()
		if err := fault.Point("handin.sent"); err != nil {
			s.again(w, err, 0)
			return
		}
		if err := s.spool.commit(w); err != nil {
			s.again(w, fmt.Errorf("let go: %w", err), longestWait)
			return
		}
		s.spool.m.sent.WithLabelValues("committed").Inc()
	case out.refused:
		s.reached()
		s.spool.m.sent.WithLabelValues("refused").Inc()
		s.spool.setAside(w.id, out.err)
		s.spool.gone(w)
	case out.away:
		s.away(out.err)
		s.spool.m.sent.WithLabelValues("again").Inc()
		s.spool.back(w, time.Now(), 0)
	default:
		s.reached()
		s.again(w, out.err, backoff(w.tries, firstWait, longestWait))
	}
}

// again keeps an item for another try.
func (s *Sender) again(w *waiting, err error, wait time.Duration) {
	w.tries++
	s.spool.m.sent.WithLabelValues("again").Inc()
	s.log.Warn("item not handed in, it will be tried again", "item", w.id, "tries", w.tries, "wait", wait, "err", err)
	s.spool.back(w, time.Now(), wait)
}

// outcome is what came of a try. Refused is the desk's last word on the item;
// away means that nothing can be handed in now.
type outcome struct {
	err           error
	refused, away bool
}

// post sends one item.
func (s *Sender) post(ctx stdctx.Context, f file) outcome {
	size := int64(len(f.body))
	if err := s.room.Acquire(ctx, size); err != nil {
		return outcome{err: err, away: true}
	}
	defer s.room.Release(size)
	ctx, cancel := stdctx.WithTimeout(ctx, tryFor)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/v1/handin/"+f.kind+"/"+f.id, bytes.NewReader(f.body))
	if err != nil {
		return outcome{err: err, away: true}
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	if f.sealed {
		req.Header.Set(sealedHeader, "1")
	}
	res, err := s.client.Do(req)
	if err != nil {
		return outcome{err: err, away: true}
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 500))
	if res.StatusCode == http.StatusOK {
		return outcome{}
	}
	err = fmt.Errorf("the desk answered %d: %q", res.StatusCode, strings.TrimSpace(string(text)))
	switch c := res.StatusCode; {
	case c >= 400 && c < 500 && res.Header.Get(refusedHeader) != "":
		return outcome{err: err, refused: true}
	case c == http.StatusInternalServerError:
		return outcome{err: err} // this item; the next may pass
	}
	return outcome{err: err, away: true}
}

// reached notes that the desk answered.
func (s *Sender) reached() {
	s.mu.Lock()
	was := s.fails
	s.fails, s.until = 0, time.Time{}
	s.mu.Unlock()
	if was > 0 {
		s.log.Info("the desk takes items again")
	}
}

// away notes that the desk does not take items, and makes everybody wait.
func (s *Sender) away(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Before(s.until) {
		return // another worker has said so
	}
	if s.fails == 0 {
		s.log.Warn("the desk does not take items, they stay in the spool", "err", err)
	}
	s.until = now.Add(backoff(s.fails, firstPause, longestPause))
	s.fails++
}

func (s *Sender) pause() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Until(s.until)
}

// backoff doubles from first to longest and takes up to half of it off, so that
// many doors do not knock at once.
func backoff(tries int, first, longest time.Duration) time.Duration {
	d := longest
	if tries < 20 {
		d = min(longest, first<<tries)
	}
	return d - time.Duration(rand.Int64N(int64(d)/2+1))
}

// sleep waits for d or for a token of early; false when ctx ended.
func sleep(ctx stdctx.Context, d time.Duration, early <-chan struct{}) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
	case <-early:
	}
	return true
}

// keepHouse deletes what is over and asks for replays.
func (s *Sender) keepHouse(ctx stdctx.Context) {
	for sleep(ctx, backoff(0, askEvery, askEvery), nil) {
		if err := s.spool.prune(); err != nil {
			s.log.Warn("spool: old items not deleted", "err", err)
		}
		if err := s.askReplay(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("replay for the desk not finished, it will be tried again", "err", err)
		}
	}
}

// replayWish is the answer of GET /v1/handin.
type replayWish struct {
	Replay string    `json:"replay,omitempty"`
	Since  time.Time `json:"since,omitzero"`
}

// askReplay does the replay that the desk wants, once per wish.
func (s *Sender) askReplay(ctx stdctx.Context) error {
	file, last := s.spool.path("replayed"), ""
	if b, err := disk.Read(s.spool.disk, file, 200); err == nil {
		last = string(b)
	}
	wish, err := s.wish(ctx, last)
	if err != nil || wish.Replay == "" {
		return nil // a desk that is away is not news here
	}
	if id, _, _, _ := readReplayed(last); id == wish.Replay {
		return nil
	}
	n, err := s.replay(ctx, wish.Since, func(n int) {
		if n%replayTold == 0 { // whoever waits for it wants to see it move
			_, _ = s.wish(ctx, replayedLine(wish.Replay, int64(n), false))
		}
	})
	if err != nil {
		return err
	}
	s.log.Info("replay done", "items", n, "since", wish.Since)
	last = replayedLine(wish.Replay, int64(n), true)
	if err := disk.Put(s.spool.disk, file, []byte(last), "handin.replayed"); err != nil {
		return err
	}
	_, _ = s.wish(ctx, last) // told again with the next wish where the desk is away
	return nil
}

// replayTold is after how many items the desk is told how far a replay is.
const replayTold = 200

// wish asks which replay is wanted, and tells how far the last one is.
func (s *Sender) wish(ctx stdctx.Context, far string) (w replayWish, err error) {
	ctx, cancel := stdctx.WithTimeout(ctx, tryFor)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/v1/handin", nil)
	if err != nil {
		return w, err
	}
	if far != "" {
		req.Header.Set(replayedHeader, far)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return w, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return w, fmt.Errorf("the desk answered %d", res.StatusCode)
	}
	err = json.NewDecoder(io.LimitReader(res.Body, 1000)).Decode(&w)
	if len(w.Replay) > 100 {
		return replayWish{}, bolwerk.Invalid("a replay id of %d octets", len(w.Replay))
	}
	return w, err
}

// Replay sends everything again that the desk committed since then and that is
// still kept, one after the other, and returns how many. What the desk has it
// knows by the id. An error ends it; it may be begun again.
func (s *Sender) Replay(ctx stdctx.Context, since time.Time) (n int, err error) {
	return s.replay(ctx, since, func(int) {})
}

// replay is Replay that calls each after every item.
func (s *Sender) replay(ctx stdctx.Context, since time.Time, each func(n int)) (n int, err error) {
	hours, err := s.spool.hours()
	if err != nil {
		return 0, err
	}
	for _, h := range hours {
		if h.Before(since.UTC().Add(-time.Hour).Truncate(time.Hour)) { // an hour for clocks that differ
			continue
		}
		dir := s.spool.path("committed", h.Format(hourName))
		ids, err := s.spool.disk.List(dir)
		if err != nil {
			return n, err
		}
		for _, id := range ids {
			f, err := s.spool.readAt(filepath.Join(dir, id), id)
			if errors.Is(err, bolwerk.ErrInvalid) {
				s.log.Error("kept item is unreadable and not replayed", "item", id, "err", err)
				continue
			}
			if err != nil {
				return n, err
			}
			out := s.post(ctx, f)
			if out.err != nil && !out.refused {
				return n, out.err
			}
			if out.refused {
				s.log.Error("item of a replay refused", "item", id, "err", out.err)
				continue
			}
			s.spool.m.sent.WithLabelValues("replayed").Inc()
			n++
			each(n)
		}
	}
	return n, nil
}
