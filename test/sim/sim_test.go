// Package sim is the deterministic simulation: a desk and its edges over a
// network that loses, delays, repeats and reorders, on disks that forget what
// was not synced, under clocks that jump, restores from backups, changes of the
// key, and somebody who forges. What is simulated is only the network, the
// clock and the disk: the code that runs is the desk's handler and the hosts'
// machine with their real octets.
//
// A failure prints its seed and the shortest story that rapid found;
// `go test ./test/sim -rapid.seed=N` tells it again, -rapid.checks=N tells more.
package sim

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/copy/copytest"
	"bolwerk/internal/disk"
	"bolwerk/internal/join/jointest"
)

const (
	operator = "Example Telecom"
	edges    = 3
	names    = 6 // few, so that things happen to the same ones
)

type world struct {
	rt      *rapid.T
	desk    *clock.Fake
	origin  *copytest.Origin
	signer  *copy.Signer
	old     []*copy.Signer // keys that are over
	handler *copy.Handler
	first   ed25519.PublicKey
	keys    []ed25519.PublicKey
	dir     string

	version int64
	backups []copytest.Backup
	history map[copy.Mark]map[string]copy.Entry
	told    map[string]bool // edges that told what they hold since the restore

	edges  []*edge
	posted []message
}

type edge struct {
	name    string
	w       *world
	disk    *disk.Crashing
	clock   *clock.Fake
	m       *copy.Machine
	sink    *copytest.Sink
	wish    *copy.Question // to be sent
	best    copy.Mark      // the furthest it ever served, over all its lives
	removed map[string]int64
}

// message is an answer on its way, or a telling.
type message struct {
	to  *edge
	q   copy.Question
	raw []byte
}

func newWorld(rt *rapid.T, dir string) *world {
	w := &world{rt: rt, dir: dir, desk: clock.NewFake(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), origin: copytest.NewOrigin("blocks"),
		history: map[copy.Mark]map[string]copy.Entry{}, told: map[string]bool{}}
	path := filepath.Join(dir, "copy.key")
	os.Remove(path)
	var err error
	if w.signer, err = copy.OpenSigner(path, operator); err != nil {
		rt.Fatal(err)
	}
	w.first = w.signer.Public()
	w.keys = []ed25519.PublicKey{w.first}
	w.handler = copy.NewHandler(w.origin, w.signer, nil, w.desk, jointest.Quiet())
	asks := rapid.Bool().Draw(rt, "the desk asks the edges after a restore")
	w.handler.Want = func() func(copy.Poll) bool {
		return func(p copy.Poll) bool {
			h, _ := w.origin.Head(context.Background(), "blocks")
			return asks && !p.Nothing && p.Mark.Epoch < h.Epoch && !w.told[p.Host]
		}
	}
	w.note()
	for i := range edges {
		e := &edge{name: fmt.Sprint("edge-", i), w: w, disk: disk.NewCrashing(rapid.Uint64().Draw(rt, "disk")),
			clock: clock.NewFake(w.desk.Now()), removed: map[string]int64{}}
		w.edges = append(w.edges, e)
		e.start()
	}
	return w
}

// note keeps what the desk stands for at this serial.
func (w *world) note() {
	h, _ := w.origin.Head(context.Background(), "blocks")
	w.history[h.Mark()] = w.origin.Entries()
}

func (w *world) publish(entries ...copy.Entry) {
	w.origin.Publish(entries...)
	w.note()
}

// witness is a sink that remembers the withdrawals it was told of.
type witness struct {
	*copytest.Sink
	e *edge
}

func (s witness) Apply(h copy.Head, changes []copy.Entry) error {
	for _, c := range changes {
		if c.Removed {
			s.e.removed[c.ID] = max(s.e.removed[c.ID], c.Version)
		}
	}
	return s.Sink.Apply(h, changes)
}

// start begins a life of the edge, from what is on its disk.
func (e *edge) start() {
	e.sink = copytest.NewSink()
	trust := copy.Trust{Operator: operator, Copy: "blocks", Keys: []ed25519.PublicKey{e.w.first}}
	e.m = copy.NewMachine(copy.NewFiles(e.disk, "/copies/blocks"), witness{e.sink, e}, trust)
	e.wish = nil
	out, err := e.m.Start(e.clock.Now())
	if err != nil && !e.disk.Dead() {
		e.w.rt.Fatalf("%s: start: %v", e.name, err)
	}
	e.outside(out)
	if e.disk.Dead() {
		e.crash()
	}
}

// crash ends a life of the edge: the power goes, or only the process.
func (e *edge) crash() {
	if rapid.Bool().Draw(e.w.rt, "only the process is killed") {
		e.disk.Restart()
	} else {
		e.disk.Crash()
	}
	e.w.posted = slices.DeleteFunc(e.w.posted, func(m message) bool { return m.to == e })
	e.start()
}

// handle gives the edge an event; its machine may stop in the middle.
func (e *edge) handle(ev copy.Event) {
	out := e.m.Handle(ev, e.clock.Now())
	if e.disk.Dead() {
		e.crash()
		return
	}
	e.outside(out)
}

func (e *edge) outside(effects []copy.Effect) {
	for _, f := range effects {
		switch f := f.(type) {
		case copy.Question:
			e.wish = &f
		case copy.Tell:
			e.wish = nil
			e.tell(f)
		}
	}
}

// tell gives the desk what the edge holds: the withdrawals among it win.
func (e *edge) tell(t copy.Tell) {
	w := e.w
	if rapid.IntRange(0, 3).Draw(w.rt, "telling is lost") == 0 {
		e.handle(copy.Told{Err: os.ErrDeadlineExceeded})
		return
	}
	var held bytes.Buffer
	if err := e.m.Held(&held); err != nil {
		w.rt.Fatalf("%s: held: %v", e.name, err)
	}
	var back []copy.Entry
	now := w.origin.Entries()
	seen := map[string]copy.Entry{}
	_, err := copy.ReadHeld(&held, copy.Trust{Operator: operator, Copy: "blocks", Keys: w.keys}, func(c copy.Entry) error {
		seen[c.ID] = c
		return nil
	})
	if err != nil {
		w.rt.Fatalf("%s: what it holds is not what we signed: %v", e.name, err)
	}
	for _, id := range slices.Sorted(maps.Keys(seen)) {
		if c := seen[id]; c.Removed && now[id].ID != "" && now[id].Version <= c.Version {
			back = append(back, c)
		}
	}
	if len(back) > 0 {
		w.publish(back...)
	}
	w.told[e.name] = true
	e.handle(copy.Told{})
}

// post asks the desk and puts the answer on its way.
func (w *world) post(e *edge) {
	if e.wish == nil {
		return
	}
	q := *e.wish
	var b bytes.Buffer
	p := copy.Poll{Host: e.name, Copy: "blocks", Mark: q.Mark, Nothing: q.Nothing}
	if err := w.handler.Answer(context.Background(), &b, p, q.Key, q.Snapshot, 0); err != nil {
		w.rt.Fatalf("the desk answers %s: %v", e.name, err)
	}
	w.posted = append(w.posted, message{e, q, b.Bytes()})
}

// follow is a question and its answer without any trouble.
func (w *world) follow(e *edge) {
	n := len(w.posted)
	w.post(e)
	if len(w.posted) > n {
		m := w.posted[n]
		w.posted = w.posted[:n]
		m.to.deliver(m.q, m.raw)
	}
}

// deliver gives an edge an answer as it came.
func (e *edge) deliver(q copy.Question, raw []byte) {
	ev := e.m.ReadAnswer(q, bytes.NewReader(raw))
	if e.disk.Dead() {
		e.crash()
		return
	}
	e.handle(ev)
}

func (w *world) edge() *edge { return w.edges[rapid.IntRange(0, edges-1).Draw(w.rt, "edge")] }

func (w *world) name() string {
	return fmt.Sprint("n", rapid.IntRange(0, names-1).Draw(w.rt, "name"))
}

// block is a new decision on a name.
func (w *world) block(id string) copy.Entry {
	w.version++
	e := copy.Entry{ID: id, Version: w.version, Body: json.RawMessage(fmt.Sprintf(`{"v":%d}`, w.version))}
	if hours := rapid.IntRange(0, 48).Draw(w.rt, "ends in hours"); hours > 0 {
		e.Until = w.desk.Now().Add(time.Duration(hours) * time.Hour).UnixMicro()
	}
	return e
}

func (w *world) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"block": func(*rapid.T) { w.publish(w.block(w.name()), w.block("x"+w.name())) },
		"withdraw": func(*rapid.T) {
			w.version++
			w.publish(copy.Entry{ID: w.name(), Version: w.version, Removed: true})
		},
		"forget old publications": func(*rapid.T) { w.origin.Forget() },
		"backup":                  func(*rapid.T) { w.backups = append(w.backups, w.origin.Backup()) },
		"restore": func(t *rapid.T) {
			if len(w.backups) == 0 {
				t.Skip()
			}
			w.origin.Restore(w.backups[rapid.IntRange(0, len(w.backups)-1).Draw(t, "backup")])
			clear(w.told)
			w.note()
		},
		"change the key": func(*rapid.T) { w.rotate() },
		"ask":            func(*rapid.T) { w.post(w.edge()) },
		"ask ":           func(*rapid.T) { w.post(w.edge()) },
		"follow":         func(*rapid.T) { w.follow(w.edge()) },
		"follow ":        func(*rapid.T) { w.follow(w.edge()) },
		"all follow": func(*rapid.T) {
			for _, e := range w.edges {
				w.follow(e)
			}
		},
		"deliver": func(t *rapid.T) {
			if len(w.posted) == 0 {
				t.Skip()
			}
			i := rapid.IntRange(0, len(w.posted)-1).Draw(t, "message")
			m := w.posted[i]
			switch rapid.IntRange(0, 9).Draw(t, "fate") {
			case 0: // lost on the way
				w.posted = slices.Delete(w.posted, i, i+1)
				m.to.handle(copy.Failed{N: m.q.N, Err: os.ErrDeadlineExceeded})
				return
			case 1: // comes twice
			case 2: // cut
				w.posted = slices.Delete(w.posted, i, i+1)
				m.to.deliver(m.q, m.raw[:rapid.IntRange(0, len(m.raw)).Draw(t, "cut")])
				return
			default:
				w.posted = slices.Delete(w.posted, i, i+1)
			}
			m.to.deliver(m.q, m.raw)
		},
		"deliver as the answer to another question": func(t *rapid.T) {
			if len(w.posted) == 0 {
				t.Skip()
			}
			e := w.edge()
			if e.wish == nil {
				t.Skip()
			}
			m := w.posted[rapid.IntRange(0, len(w.posted)-1).Draw(t, "message")]
			e.deliver(*e.wish, m.raw)
		},
		"forge": w.forge,
		"crash": func(t *rapid.T) {
			e := w.edge()
			e.disk.StopAt(rapid.IntRange(1, 12).Draw(t, "operations until the power goes"))
		},
		"power cut": func(*rapid.T) { w.edge().crash() },
		"disk full": func(t *rapid.T) {
			e := w.edge()
			e.disk.Room(int64(rapid.IntRange(0, 2000).Draw(t, "bytes free")))
			w.post(e)
			if n := len(w.posted); n > 0 {
				w.posted[n-1].to.deliver(w.posted[n-1].q, w.posted[n-1].raw)
			}
			e.disk.Room(1 << 40)
		},
		"time passes": func(t *rapid.T) {
			d := time.Duration(rapid.IntRange(1, 3600).Draw(t, "seconds")) * time.Second
			w.desk.Add(d)
			for _, e := range w.edges {
				e.clock.Add(d)
				e.handle(copy.Tick{})
			}
		},
		"a clock jumps": func(t *rapid.T) {
			d := time.Duration(rapid.IntRange(-72, 72).Draw(t, "hours")) * time.Hour
			if rapid.Bool().Draw(t, "the desk's") {
				w.desk.Jump(w.desk.Now().Add(d))
				return
			}
			e := w.edge()
			e.clock.Jump(e.clock.Now().Add(d))
			e.handle(copy.Tick{})
		},
		"": func(*rapid.T) { w.check() },
	}
}

// rotate changes the key; somebody keeps the old one.
func (w *world) rotate() {
	stolen, err := copy.OpenSigner(filepath.Join(w.dir, "copy.key"), operator)
	if err == nil {
		err = w.signer.Rotate(w.desk.Now())
	}
	if err != nil {
		w.rt.Fatal(err)
	}
	w.old = append(w.old, stolen)
	w.keys = append(w.keys, w.signer.Public())
}

// forge sends an edge what the desk never signed: another's key, a key that is
// over, or a true answer with something changed.
func (w *world) forge(t *rapid.T) {
	e := w.edge()
	if e.wish == nil {
		t.Skip()
	}
	q := *e.wish
	evil := copytest.NewOrigin("blocks")
	for range rapid.IntRange(1, 3).Draw(t, "forged publications") {
		evil.Publish(copy.Entry{ID: "forged", Version: 1 << 50})
	}
	switch rapid.IntRange(0, 5).Draw(t, "how") {
	case 0: // own key
		path := filepath.Join(w.dir, "evil.key")
		os.Remove(path)
		signer, err := copy.OpenSigner(path, operator)
		if err != nil {
			t.Fatal(err)
		}
		e.answerFrom(t, copy.NewHandler(evil, signer, nil, w.desk, jointest.Quiet()), q)
	case 1: // a stolen key that this edge knows to be over
		w.rotate()
		w.follow(e)
		stolen := w.old[rapid.IntRange(0, len(w.old)-1).Draw(t, "stolen key")]
		keys := e.m.State().Trust.Keys
		if i := slices.IndexFunc(keys, func(k ed25519.PublicKey) bool { return k.Equal(stolen.Public()) }); i < 0 || i == len(keys)-1 || e.wish == nil {
			t.Skip()
		}
		q = *e.wish
		evil = w.origin.Clone() // it continues the true history
		evil.Publish(copy.Entry{ID: "forged", Version: 1 << 50})
		e.answerFrom(t, copy.NewHandler(evil, stolen, nil, w.desk, jointest.Quiet()), q)
	case 2: // a true change with another version
		w.follow(e)
		if e.wish == nil {
			t.Skip()
		}
		q = *e.wish
		w.publish(w.block(w.name()))
		w.post(e)
		raw := w.posted[len(w.posted)-1].raw
		w.posted = w.posted[:len(w.posted)-1]
		if i := bytes.Index(raw, []byte(`"v":`)); i >= 0 && raw[0] == 'B' {
			raw[i+4] = '1' + (raw[i+4]-'0')%9
			e.deliver(q, raw)
		}
	default: // a changed octet in a true answer
		w.post(e)
		raw := bytes.Clone(w.posted[len(w.posted)-1].raw)
		w.posted = w.posted[:len(w.posted)-1]
		if len(raw) < 10 {
			t.Skip() // "Q": not signed, and only a wish
		}
		i := rapid.IntRange(0, len(raw)-1).Draw(t, "octet")
		raw[i] ^= byte(1 << rapid.IntRange(0, 7).Draw(t, "bit"))
		e.deliver(q, raw)
	}
}

func (e *edge) answerFrom(t *rapid.T, h *copy.Handler, q copy.Question) {
	var b bytes.Buffer
	snapshot := rapid.Bool().Draw(t, "a snapshot")
	if err := h.Answer(context.Background(), &b, copy.Poll{Host: e.name, Copy: "blocks", Mark: q.Mark, Nothing: q.Nothing}, q.Key, snapshot, 0); err != nil {
		t.Fatal(err)
	}
	e.deliver(q, b.Bytes())
}

// check holds the promises after every step.
func (w *world) check() {
	for _, e := range w.edges {
		at := e.sink.Head().Mark()
		if e.sink.Head().Copy == "" {
			if e.best != (copy.Mark{}) {
				w.rt.Fatalf("%s: serves nothing, it had %v", e.name, e.best)
			}
			continue
		}
		if at.Before(e.best) {
			w.rt.Fatalf("%s: went back from %v to %v", e.name, e.best, at)
		}
		e.best = at
		want, ok := w.history[at]
		if !ok {
			w.rt.Fatalf("%s: serves %v, which the desk never published", e.name, at)
		}
		got := e.sink.Entries()
		for id, g := range got {
			if !reflect.DeepEqual(g, want[id]) {
				w.rt.Fatalf("%s at %v: serves %+v, the desk's is %+v", e.name, at, g, want[id])
			}
			if v, ok := e.removed[id]; ok && g.Version <= v {
				w.rt.Fatalf("%s at %v: serves %s of version %d again, withdrawn with %d", e.name, at, id, g.Version, v)
			}
		}
		missing := int64(0)
		for id, d := range want {
			if _, ok := got[id]; !ok && e.removed[id] < d.Version {
				missing++ // a withdrawal that it saw as a gap in a snapshot
			}
		}
		if missing > e.m.Withheld() || missing > 0 && at.Epoch == 1 {
			w.rt.Fatalf("%s at %v: does not serve %d entries, and withholds %d", e.name, at, missing, e.m.Withheld())
		}
		for id, s := range e.sink.Serves(e.clock.Now()) {
			if s.Until != 0 && e.clock.Now().UnixMicro() >= s.Until {
				w.rt.Fatalf("%s: serves %s after its end", e.name, id)
			}
		}
	}
}

// heal lets the network work for a while: then all are where the desk is.
func (w *world) heal() {
	w.posted = nil
	w.desk.Add(100 * time.Hour) // past every jump
	for _, e := range w.edges {
		e.disk.StopAt(0)
		e.clock.Jump(w.desk.Now())
	}
	for range 12 {
		w.desk.Add(11 * time.Minute)
		for _, e := range w.edges {
			e.clock.Jump(w.desk.Now())
			e.handle(copy.Tick{})
			for range 4 {
				w.follow(e)
			}
		}
		w.check()
	}
	h, _ := w.origin.Head(context.Background(), "blocks")
	want := w.origin.Entries()
	for _, e := range w.edges {
		if at := e.sink.Head().Mark(); at != h.Mark() {
			w.rt.Fatalf("%s is at %v, the desk at %v; alarms %v", e.name, at, h.Mark(), e.m.State().Alarms())
		}
		got := e.sink.Entries()
		for id, d := range want {
			// What is withheld was withdrawn before a restore that forgot it.
			if _, ok := got[id]; !ok && (h.Epoch == 1 || e.m.Withheld() == 0) {
				w.rt.Fatalf("%s does not serve %+v", e.name, d)
			}
		}
		if a := e.m.State().Alarms(); len(a) != 0 {
			w.rt.Fatalf("%s: alarms %v stay", e.name, a)
		}
	}
	w.version += 1000
	var again []copy.Entry
	for i := range names { // decided anew: it wins over everything
		again = append(again, w.block(fmt.Sprint("n", i)), w.block(fmt.Sprint("xn", i)))
	}
	w.publish(again...)
	for _, e := range w.edges {
		e.handle(copy.Tick{})
		w.follow(e)
		if !reflect.DeepEqual(e.sink.Entries(), w.origin.Entries()) {
			w.rt.Fatalf("%s: serves %v, the desk %v", e.name, e.sink.Entries(), w.origin.Entries())
		}
	}
	w.check()
}

func TestCopies(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt, dir)
		rt.Repeat(w.actions())
		w.heal()
	})
}
