package app

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/hosts"
	"bolwerk/internal/join"
	"bolwerk/internal/publish"
	"bolwerk/internal/relay"
	"bolwerk/shield"
)

// watch remembers how far each host has followed its copy, from its questions.
type watch struct {
	clock   clock.Clock
	publish *publish.Desk

	mu    sync.Mutex
	hosts map[string]*followed
}

type followed struct {
	copy.Poll
	at     time.Time
	own    bool      // it asked this desk
	behind time.Time // since when it was seen behind; zero: it is not
}

func newWatch(c clock.Clock, p *publish.Desk) *watch {
	return &watch{clock: c, publish: p, hosts: map[string]*followed{}}
}

// seen is told of every question of a host, which has proved its name.
func (w *watch) seen(_ context.Context, p copy.Poll) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.set(p, w.clock.Now(), true)
}

func (w *watch) set(p copy.Poll, at time.Time, own bool) {
	f := w.hosts[p.Host]
	if f == nil {
		f = &followed{}
		w.hosts[p.Host] = f
	}
	if f.Mark.Before(p.Mark) {
		f.behind = time.Time{}
	}
	f.Poll, f.at, f.own = p, at, own
}

// told is how far edges are that ask a relay.
func (w *watch) told(edges []relay.Edge) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clock.Now()
	for _, e := range edges {
		at := now.Add(-time.Duration(e.Ago) * time.Millisecond)
		if f := w.hosts[e.Name]; f != nil && f.at.After(at) {
			continue // it asked the desk since
		}
		w.set(copy.Poll{Host: e.Name, Role: join.Edge, Copy: copyBlocks, Mark: copy.Mark{Epoch: e.Epoch, Serial: e.Serial}}, at, false)
	}
}

// shareEvery is how often desks at one store tell each other whom they heard.
const shareEvery = 2 * time.Second

// share keeps up with what other desks heard, until ctx ends: a host asks one of
// them, and its questions to that one are proof for all. probe is told of a probe.
func (w *watch) share(ctx context.Context, list *hosts.List, probe func()) error {
	tick := time.NewTicker(shareEvery)
	defer tick.Stop()
	var written time.Time
	for {
		now := w.clock.Now()
		var mine []hosts.Heard
		w.mu.Lock()
		for _, f := range w.hosts {
			if f.own && f.at.After(written) {
				mine = append(mine, hosts.Heard{Host: f.Host, Role: string(f.Role), Copy: f.Copy, Epoch: f.Mark.Epoch, Serial: f.Mark.Serial, At: f.at})
			}
		}
		w.mu.Unlock()
		all, err := list.Share(ctx, mine, now.Add(-time.Hour))
		if err == nil {
			written = now
			w.mu.Lock()
			for _, h := range all {
				if f := w.hosts[h.Host]; f != nil && !f.at.Before(h.At) {
					continue
				}
				w.set(copy.Poll{Host: h.Host, Role: join.Role(h.Role), Copy: h.Copy, Mark: copy.Mark{Epoch: h.Epoch, Serial: h.Serial}}, h.At, false)
				if h.Role == string(join.Probe) {
					probe()
				}
			}
			w.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// now is where each host stands, by name.
func (w *watch) now(ctx context.Context) ([]shield.HostNow, error) {
	heads := map[string]copy.Mark{}
	for _, name := range []string{copyBlocks, copyPublic, copyProbe} {
		h, err := w.publish.Head(ctx, name)
		if err != nil {
			return nil, err
		}
		heads[name] = h.Mark()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now, out := w.clock.Now(), []shield.HostNow{}
	for _, f := range w.hosts {
		h := shield.HostNow{Name: f.Host, Role: string(f.Role), Serial: f.Mark.Serial, Heard: f.at.UTC(), Behind: f.Mark.Before(heads[f.Copy])}
		switch {
		case !h.Behind:
			f.behind = time.Time{}
		case f.behind.IsZero():
			f.behind = now
		default:
			h.Lag = now.Sub(f.behind)
		}
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b shield.HostNow) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// alarms remembers the lines of the log that want a person.
type alarms struct {
	slog.Handler
	kept *keptAlarms
}

type keptAlarms struct {
	mu  sync.Mutex
	all []keptAlarm // the newest last, each message once
}

type keptAlarm struct {
	text string
	at   time.Time
}

const (
	maxAlarms   = 20
	alarmStands = time.Hour
)

func newAlarms(h slog.Handler) alarms { return alarms{h, &keptAlarms{}} }

// Handle keeps what has alarm=true, and passes everything on.
func (a alarms) Handle(ctx context.Context, r slog.Record) error {
	r.Attrs(func(at slog.Attr) bool {
		if at.Key == "alarm" && at.Value.Kind() == slog.KindBool && at.Value.Bool() {
			a.kept.add(r.Message, r.Time)
			return false
		}
		return true
	})
	return a.Handler.Handle(ctx, r)
}

// WithAttrs keeps for the same list.
func (a alarms) WithAttrs(as []slog.Attr) slog.Handler {
	return alarms{a.Handler.WithAttrs(as), a.kept}
}

// WithGroup keeps for the same list.
func (a alarms) WithGroup(name string) slog.Handler { return alarms{a.Handler.WithGroup(name), a.kept} }

func (k *keptAlarms) add(text string, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = slices.DeleteFunc(k.all, func(o keptAlarm) bool { return o.text == text })
	k.all = append(k.all, keptAlarm{text, at})
	if len(k.all) > maxAlarms {
		k.all = slices.Delete(k.all, 0, 1)
	}
}

// recent are those of the last hour, the newest first.
func (k *keptAlarms) recent(now time.Time) (out []string) {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, a := range slices.Backward(k.all) {
		if now.Sub(a.at) < alarmStands {
			out = append(out, a.at.UTC().Format("15:04")+" "+a.text)
		}
	}
	return out
}
