// Package probe is what runs of the shield at the probe: it follows the copy
// "probe" of what is to be visited, looks at each page as a visitor would,
// without doing anything there, and hands in what it saw. It holds nothing: a
// probe that is killed in mid-visit visits again.
package probe

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	copies "bolwerk/internal/copy"
	"bolwerk/internal/fault"
	"bolwerk/internal/gate"
	"bolwerk/shield/capture"
)

// Entries of the copy "probe".
const (
	TaskEntry  = "task:" // and the id of the task; its body is a Task
	NamesEntry = "names" // brands' own names; its body is a list of them
)

// Task is one page that is to be looked at.
type Task struct {
	URL string `json:"url"`
	As  []As   `json:"as"`
}

// As is as whom a page is asked for.
type As struct {
	Profile capture.Profile `json:"profile"`
	Lang    bolwerk.Lang    `json:"lang"`
}

// KindVisit is the kind of what a probe hands in: a Seen.
const KindVisit = "visit"

// MaxVisit bounds it.
const MaxVisit = capture.MaxTotal + capture.MaxManifest + 1<<10

// Seen is what is handed in of one visit: which task it was for, and the capture
// as capture.Bundle.Encode gives it.
type Seen struct {
	Task    string
	Capture []byte
}

// Encode is the octets that are handed in.
func (s Seen) Encode() []byte { return append([]byte(s.Task+"\n"), s.Capture...) }

// DecodeSeen reads what Encode wrote.
func DecodeSeen(b []byte) (Seen, error) {
	task, rest, ok := bytes.Cut(b[:min(len(b), 100)], []byte("\n"))
	if !ok || len(task) != 36 || len(b) > MaxVisit {
		return Seen{}, bolwerk.Invalid("a visit without the task that it was for, or one of more than %d octets", MaxVisit)
	}
	_ = rest
	return Seen{Task: string(task), Capture: b[len(task)+1:]}, nil
}

// maxDeaths is how often the probe may end in the middle of one visit: then the
// visit is handed in as failed, and others get their turn.
const maxDeaths = 3

// maxTasks bounds what is remembered of a copy that grew without end.
const maxTasks = 10_000

// Probe visits. It implements copy.Sink: Reset and Apply come from one goroutine
// at a time.
type Probe struct {
	cfg   Config
	dir   string
	clock clock.Clock
	put   func(kind string, body []byte) (string, error)
	log   *slog.Logger
	outs  map[capture.Profile]*out
	pace  *pace
	roots *x509.CertPool // nil: those of the machine
	count *metrics
	look  *browser
	inAll time.Duration // of a visit, on the side of the sites

	mu    sync.Mutex
	tasks map[string]*task
	names map[string]bool
	ring  chan struct{}
}

type task struct {
	Task
	until time.Time
	done  int // visits that were handed in or are under way
	busy  bool
	retry time.Time // when the spool had no room
}

// With is what a probe is given.
type With struct {
	// Dir is a folder of its own.
	Dir   string
	Clock clock.Clock
	Log   *slog.Logger
	// Put hands in; it returns when that is durable here.
	Put func(kind string, body []byte) (string, error)
	// Roots are the authorities that browsers believe; nil: those of the machine.
	Roots *x509.CertPool
}

// New makes a probe.
func New(cfg Config, w With) *Probe {
	g := gate.New(cfg.Allow).Refuse(cfg.Refuse)
	ask := resolver(cfg.Resolver)
	p := &Probe{cfg: cfg, dir: w.Dir, clock: w.Clock, put: w.Put, log: w.Log, roots: w.Roots, tasks: map[string]*task{}, names: map[string]bool{}, ring: make(chan struct{}, 1),
		inAll: timeInAll, pace: newPace(time.Second, time.Second/time.Duration(max(cfg.PerSecond, 1))), outs: map[capture.Profile]*out{}, count: newMetrics()}
	for _, profile := range []capture.Profile{capture.Desktop, capture.Phone} {
		if w := cfg.way(profile); !w.Off {
			p.outs[profile] = &out{gate: g, resolve: ask, way: w}
		}
	}
	p.look = newBrowser(cfg.Browser, w.Log)
	return p
}

// Reset replaces everything that is to be visited.
func (p *Probe) Reset(_ copies.Head, seq func(func(copies.Entry) bool)) error {
	tasks, names := map[string]*task{}, map[string]bool{}
	for e := range seq {
		p.add(tasks, &names, e)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, t := range tasks { // what is under way is not begun again
		if old := p.tasks[id]; old != nil {
			t.done, t.busy, t.retry = old.done, old.busy, old.retry
		}
	}
	p.tasks, p.names = tasks, names
	p.wake()
	return nil
}

// Apply adds and removes.
func (p *Probe) Apply(_ copies.Head, changes []copies.Entry) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range changes {
		p.add(p.tasks, &p.names, e)
	}
	p.wake()
	return nil
}

func (p *Probe) add(tasks map[string]*task, names *map[string]bool, e copies.Entry) {
	if e.ID == NamesEntry {
		var list []string
		if json.Unmarshal(e.Body, &list) == nil {
			*names = map[string]bool{}
			for _, n := range list {
				(*names)[n] = true
			}
		}
		return
	}
	id, ok := strings.CutPrefix(e.ID, TaskEntry)
	switch {
	case !ok:
	case e.Removed:
		delete(tasks, id)
	case tasks[id] != nil || len(tasks) >= maxTasks:
	default:
		t := &task{until: time.UnixMicro(e.Until)}
		if err := json.Unmarshal(e.Body, &t.Task); err != nil || len(id) != 36 {
			p.log.Error("a task that cannot be read", "task", id, "err", err)
			return
		}
		tasks[id] = t
	}
}

func (p *Probe) wake() {
	select {
	case p.ring <- struct{}{}:
	default:
	}
}

// Run visits until ctx ends.
func (p *Probe) Run(ctx context.Context) error {
	if err := os.MkdirAll(p.trying(""), 0o700); err != nil {
		return err
	}
	p.look.begin(ctx)
	if len(p.outs) == 0 {
		p.log.Warn("both profiles are off: this probe visits nothing")
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	free := make(chan struct{}, p.cfg.AtOnce)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case free <- struct{}{}:
		}
		id, t, as, ok := p.next()
		if !ok {
			<-free
			select {
			case <-ctx.Done():
				return nil
			case <-p.ring:
			case <-tick.C:
			}
			continue
		}
		wg.Go(func() {
			defer func() { <-free; p.wake() }()
			p.one(ctx, id, t, as)
		})
	}
}

// next takes the oldest task of which a visit is to be made.
func (p *Probe) next() (id string, t *task, as As, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	for k, one := range p.tasks {
		for one.done < len(one.As) && p.outs[one.As[one.done].Profile] == nil {
			one.done++ // another probe's
		}
		if one.busy || one.done >= len(one.As) || !one.until.After(now) || one.retry.After(now) {
			continue
		}
		if !ok || k < id {
			id, t, ok = k, one, true
		}
	}
	if ok {
		t.busy = true
		as = t.As[t.done]
	}
	return id, t, as, ok
}

// one makes one visit and hands it in.
func (p *Probe) one(ctx context.Context, id string, t *task, as As) {
	var err error
	defer func() {
		p.mu.Lock()
		t.busy = false
		if err == nil {
			t.done++
		} else {
			t.retry = p.clock.Now().Add(10 * time.Second)
		}
		p.mu.Unlock()
	}()
	mark := p.trying(id)
	deaths := p.deaths(mark)
	p.mu.Lock()
	names := p.names
	p.mu.Unlock()
	var b *capture.Bundle
	if deaths >= maxDeaths {
		b = nothing(t.URL, as, p.clock.Now(), "error", fmt.Sprintf("the probe ended %d times while it looked at this page", deaths))
	} else {
		if err = os.WriteFile(mark, []byte(strconv.Itoa(deaths+1)), 0o600); err != nil {
			p.log.Error("visit not begun", "task", id, "err", err)
			return
		}
		if err = fault.Point("probe.visit"); err != nil {
			return
		}
		b = p.safely(ctx, t.URL, as, names)
	}
	if ctx.Err() != nil {
		err = ctx.Err()
		os.Remove(mark) // it was asked to end: not the page's doing
		return
	}
	body, err2 := b.Encode()
	if err = err2; err == nil {
		_, err = p.put(KindVisit, Seen{Task: id, Capture: body}.Encode())
	}
	if err == nil {
		err = fault.Point("probe.put")
	}
	if err != nil {
		p.log.Error("visit not handed in", "task", id, "err", err)
		os.Remove(mark)
		return
	}
	os.Remove(mark)
	p.count.done(b)
}

// safely turns a bug of ours over a stranger's page into a failed visit.
func (p *Probe) safely(ctx context.Context, url string, as As, names map[string]bool) (b *capture.Bundle) {
	defer func() {
		if r := recover(); r != nil {
			p.log.Error("a visit failed by a bug of ours", "alarm", true, "err", r)
			b = nothing(url, as, p.clock.Now(), "error", "a bug of the probe")
		}
	}()
	return p.visit(ctx, url, as, names)
}

// nothing is a capture without an answer.
func nothing(url string, as As, at time.Time, code, detail string) *capture.Bundle {
	return &capture.Bundle{Capture: capture.Capture{V: 1, URL: clip(url, keptURL), Profile: as.Profile, Lang: as.Lang, At: at.UTC().Truncate(time.Millisecond), Probe: Version,
		Hops: []capture.Hop{}, Parts: []capture.Part{}, Failed: code, Detail: detail}}
}

// trying is where it stands that a visit is under way.
func (p *Probe) trying(id string) string { return filepath.Join(p.dir, "visiting", id) }

// deaths is how often the probe ended during this visit.
func (p *Probe) deaths(mark string) int {
	b, err := os.ReadFile(mark)
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	n, _ := strconv.Atoi(string(b))
	return n
}

// Waiting is how many tasks have visits that are still to be made.
func (p *Probe) Waiting() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.tasks {
		if t.done < len(t.As) {
			n++
		}
	}
	return n
}
