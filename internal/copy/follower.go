package copy

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/disk"
)

// Config says what a follower follows.
type Config struct {
	Operator string
	Copy     string
	Key      ed25519.PublicKey // the signing key of the join line
	Disk     disk.Disk
	Dir      string // of this copy alone
	Base     string // https://desk:port
	Client   *http.Client
	Clock    clock.Clock
	Log      *slog.Logger

	// Doubt, when not nil, is told that what comes is forged, older than what we
	// have, or no longer renewed: where a relay gave it, the desk is asked.
	Doubt func()
	// HandsOn says that others ask this host for the copy: it asks at once for what
	// it needs for that.
	HandsOn bool
}

// Follower keeps one copy of a host up to date and gives it to a sink. It
// serves the last good copy from disk while the desk is away.
type Follower struct {
	cfg Config
	m   *Machine

	ready chan struct{} // closed when the copy on disk is in use
	mu    sync.Mutex
	seen  State
	held  int64 // entries withheld
	audit []AuditHead
	given given
	moved chan struct{} // closed when given changes
	// renewed is when a head came that is younger than the one before; zero: not
	// since the start.
	renewed time.Time
	asked   time.Time // when a head was asked for at once
	often   int       // and how often since
}

// New follows into sink.
func New(cfg Config, sink Sink) *Follower {
	cfg.Base = strings.TrimSuffix(cfg.Base, "/")
	trust := Trust{Operator: cfg.Operator, Copy: cfg.Copy, Keys: []ed25519.PublicKey{cfg.Key}}
	return &Follower{cfg: cfg, m: NewMachine(NewFiles(cfg.Disk, cfg.Dir), sink, trust),
		ready: make(chan struct{}), moved: make(chan struct{})}
}

// Ready is closed when the sink has a copy, from disk or from the desk.
func (f *Follower) Ready() <-chan struct{} { return f.ready }

// Status is where a follower stands.
type Status struct {
	Head   Head // Copy is empty where there is nothing yet
	Heard  time.Time
	Alarms []Alarm
	// Withheld counts entries that the desk lists again after a restore though
	// it had withdrawn them; they are not used.
	Withheld int64
}

// Status is where the follower stands now.
func (f *Follower) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Status{f.seen.Head, f.seen.Heard, f.seen.Alarms(), f.held}
}

// AuditHeads are the audit heads that the desk has signed and we have seen, at
// most one an hour for a month, oldest first, and the last one: what `audit
// verify --against` asks for.
func (f *Follower) AuditHeads() []AuditHead {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]AuditHead(nil), f.audit...)
}

// Run follows until ctx ends. It returns an error at once where the folder
// cannot be read.
func (f *Follower) Run(ctx context.Context) error {
	outside, err := f.m.Start(f.cfg.Clock.Now())
	if err != nil {
		return err
	}
	f.note()
	var (
		wg     sync.WaitGroup
		events = make(chan Event)
		stop   = func() {} // the question under way
	)
	defer func() { stop(); wg.Wait() }()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	do := func(effects []Effect) {
		for _, e := range effects {
			switch e := e.(type) {
			case Question, Tell:
				stop()
				wg.Wait() // files belong to one goroutine at a time
				var sub context.Context
				sub, stop = context.WithCancel(ctx)
				wg.Go(func() {
					if ev := f.outside(sub, e); ev != nil {
						select {
						case events <- ev:
						case <-sub.Done():
							f.forget(ev)
						}
					}
				})
			case Raise:
				f.raise(e)
			}
		}
	}
	do(outside)
	for {
		var e Event
		select {
		case <-ctx.Done():
			return nil
		case e = <-events:
		case <-tick.C:
			e = Tick{}
			f.doubtOld()
		}
		out := f.m.Handle(e, f.cfg.Clock.Now())
		f.note()
		do(out)
	}
}

// forget drops the snapshot of an answer that nobody wants any more.
func (f *Follower) forget(e Event) {
	if a, ok := e.(Answered); ok && a.Staged != nil {
		f.m.files.Drop(*a.Staged)
	}
}

func (f *Follower) outside(ctx context.Context, e Effect) Event {
	switch e := e.(type) {
	case Question:
		t := time.NewTimer(e.After)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		return f.ask(ctx, e)
	case Tell:
		return Told{f.tell(ctx, e.Mark)}
	}
	return nil
}

func (f *Follower) url() string { return f.cfg.Base + "/v1/copy/" + url.PathEscape(f.cfg.Copy) }

func (f *Follower) ask(ctx context.Context, q Question) Event {
	wait := waitFor
	if f.soon() {
		wait = 0
	}
	v := url.Values{"key": {q.Key}, "wait": {strconv.Itoa(int(wait / time.Second))}}
	if !q.Nothing {
		v.Set("epoch", strconv.FormatInt(q.Mark.Epoch, 10))
		v.Set("serial", strconv.FormatInt(q.Mark.Serial, 10))
	}
	if q.Snapshot {
		v.Set("snapshot", "1")
	}
	// A desk that stops in the middle of an answer must not hold us for ever.
	ctx, cancel := context.WithTimeout(ctx, askAgain-time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url()+"?"+v.Encode(), nil)
	if err != nil {
		return Failed{q.N, err}
	}
	res, err := f.cfg.Client.Do(req)
	if err != nil {
		return Failed{q.N, err}
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 200))
		return Failed{q.N, fmt.Errorf("the desk answered %d: %q", res.StatusCode, strings.TrimSpace(string(text)))}
	}
	e := f.m.ReadAnswer(q, res.Body)
	if bad, ok := e.(Failed); ok && f.cfg.Doubt != nil && ctx.Err() == nil && !errors.Is(bad.Err, bolwerk.ErrFull) {
		f.cfg.Doubt() // an answer that ends early or cannot be read
	}
	return e
}

// tell gives the desk our files.
func (f *Follower) tell(ctx context.Context, at Mark) error {
	ctx, cancel := context.WithTimeout(ctx, askAgain-time.Minute)
	defer cancel()
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(f.m.Held(w))
	}()
	defer func() { r.CloseWithError(io.ErrClosedPipe); <-done }()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, fmt.Sprintf("%s/held?epoch=%d&serial=%d", f.url(), at.Epoch, at.Serial), r)
	if err != nil {
		return err
	}
	res, err := f.cfg.Client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the desk answered %d", res.StatusCode)
	}
	return nil
}

func (f *Follower) raise(r Raise) {
	switch {
	case !r.On:
		f.cfg.Log.Info("copy alarm over", "copy", f.cfg.Copy, "alarm", r.Alarm.String())
	case errors.Is(r.Why, context.Canceled):
	default:
		if f.cfg.Doubt != nil && slices.Contains([]Alarm{AlarmStale, AlarmForged, AlarmBehind}, r.Alarm) {
			f.cfg.Doubt()
		}
		f.cfg.Log.Error("copy alarm", "copy", f.cfg.Copy, "alarm", r.Alarm.String(), "err", r.Why)
	}
}

// note shows others where we stand.
func (f *Follower) note() {
	s := f.m.State()
	f.mu.Lock()
	defer f.mu.Unlock()
	moved := s.Head.Audit != f.seen.Head.Audit || f.audit == nil
	f.give(s)
	f.seen, f.held = s, f.m.Withheld()
	if s.Head.Copy == "" {
		return
	}
	if !s.broken {
		select {
		case <-f.ready:
		default:
			close(f.ready)
		}
	}
	if !moved {
		return
	}
	if audit, err := f.m.files.Audit(); err == nil {
		f.audit = audit
	}
}

// Register makes the follower's metrics known.
func (f *Follower) Register(reg prometheus.Registerer) error {
	labels := prometheus.Labels{"copy": f.cfg.Copy}
	gauge := func(name, help string, value func(State) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 {
			f.mu.Lock()
			defer f.mu.Unlock()
			return value(f.seen)
		})
	}
	all := []prometheus.Collector{
		gauge("bolwerk_copy_epoch", "Epoch of the copy in use.", func(s State) float64 { return float64(s.Head.Epoch) }),
		gauge("bolwerk_copy_serial", "Serial of the copy in use.", func(s State) float64 { return float64(s.Head.Serial) }),
		gauge("bolwerk_copy_entries", "Entries of the copy in use, as its head says.", func(s State) float64 { return float64(s.Head.Count) }),
		gauge("bolwerk_copy_withheld_entries", "Entries that a restored desk lists though it had withdrawn them; they are not used.", func(State) float64 { return float64(f.held) }),
		gauge("bolwerk_copy_fresh_seconds", "Seconds until the head is no longer fresh; negative when it is not.", func(s State) float64 {
			return s.Head.Fresh.Sub(f.cfg.Clock.Now()).Seconds()
		}),
		gauge("bolwerk_copy_heard_seconds", "Seconds since the last good head came from the desk.", func(s State) float64 {
			return f.cfg.Clock.Now().Sub(s.Heard).Seconds()
		}),
	}
	for a := range alarmKinds {
		c := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "bolwerk_copy_alarm", Help: "1 while the alarm stands.",
			ConstLabels: prometheus.Labels{"copy": f.cfg.Copy, "alarm": a.String()}}, func() float64 {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.seen.alarms[a] {
				return 1
			}
			return 0
		})
		all = append(all, c)
	}
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return nil
}
