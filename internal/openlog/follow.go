package openlog

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/internal/clock"
)

// Follower keeps an intake's log up to date.
type Follower struct {
	store  *Store
	client *http.Client
	base   string
	clock  clock.Clock
	log    *slog.Logger
	bad    prometheus.Counter
}

// Path is where a desk gives its log to intakes, over their mTLS connection.
const Path = "/v1/log"

const (
	waitFor    = 30 * time.Second
	askTimeout = waitFor + time.Minute
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
	// maxAnswer bounds an answer: leaves, salts and the JSON around them.
	maxAnswer = maxLeaves * (MaxLeaf + 256)
)

// NewFollower follows the desk at base into a store.
func NewFollower(s *Store, client *http.Client, base string, c clock.Clock, log *slog.Logger) *Follower {
	return &Follower{store: s, client: client, base: strings.TrimSuffix(base, "/"), clock: c, log: log,
		bad: prometheus.NewCounter(prometheus.CounterOpts{Name: "bolwerk_openlog_refused_total", Help: "Answers of the desk about the transparency log that did not follow from what we hold."})}
}

// Register makes the follower's metrics known.
func (f *Follower) Register(reg prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{f.bad,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bolwerk_openlog_leaves", Help: "Leaves of the transparency log that this intake serves."}, func() float64 {
			h, _ := f.store.Head()
			return float64(h.Size)
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bolwerk_openlog_head_age_seconds", Help: "Age of the head of the transparency log that this intake serves; 0 before the first."}, func() float64 {
			h, signed := f.store.Head()
			if signed == nil {
				return 0
			}
			return f.clock.Now().Sub(h.At).Seconds()
		}),
	} {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// Run follows until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	defer f.store.Close()
	retry := firstRetry
	for {
		err := f.ask(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			retry = firstRetry
			continue
		}
		f.log.Error("transparency log not followed", "alarm", retry > 4*firstRetry, "err", err)
		t := time.NewTimer(retry)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
		retry = min(2*retry, lastRetry)
	}
}

func (f *Follower) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	head, signed := f.store.Head()
	q := url.Values{"forgot": {strconv.FormatInt(f.store.forgot(), 10)}, "wait": {strconv.Itoa(int(waitFor / time.Second))}}
	if signed != nil {
		q.Set("head", base64.RawURLEncoding.EncodeToString(signed))
		q.Set("size", strconv.FormatInt(head.Size, 10))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.base+Path+"?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	res, err := f.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNoContent {
		return nil
	}
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 200))
		return fmt.Errorf("the desk answered %d: %q", res.StatusCode, strings.TrimSpace(string(text)))
	}
	lines, err := ReadLines(res.Body)
	if err != nil {
		return err
	}
	if len(lines) == 1 && lines[0].Want != nil {
		return f.tell(ctx, *lines[0].Want)
	}
	if err := f.store.Take(lines); err != nil {
		f.bad.Inc()
		return err
	}
	return nil
}

// ReadLines reads the answer of a desk.
func ReadLines(r io.Reader) (lines []Line, err error) {
	dec := json.NewDecoder(io.LimitReader(r, maxAnswer))
	for {
		var l Line
		if err := dec.Decode(&l); err == io.EOF {
			return lines, nil
		} else if err != nil {
			return nil, bolwerk.Invalid("an answer about the log that is cut or none: %v", err)
		}
		if lines = append(lines, l); len(lines) > maxLeaves+2*forgetAtOnce {
			return nil, bolwerk.Invalid("an answer about the log of more than %d lines", len(lines)-1)
		}
	}
}

// tell gives the desk what we hold.
func (f *Follower) tell(ctx context.Context, from int64) error {
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(f.store.Tell(w, from))
	}()
	defer func() { r.CloseWithError(io.ErrClosedPipe); <-done }()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, f.base+Path, r)
	if err != nil {
		return err
	}
	res, err := f.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the desk answered %d to what we hold of the log", res.StatusCode)
	}
	return nil
}

func (s *Store) forgot() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.known.Forgot
}
