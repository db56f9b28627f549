package edge

import (
	"cmp"
	"context"
	"encoding/json"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bolwerk"
)

// Which names customers ask for most is counted so that a block does not take
// what they use every day. Counted are names, never who asked. Each DNS worker
// has a table of its own that only it touches: a name that is not in it takes
// the place of the one that was asked for least, or makes it lose one, so that
// what is asked for often stays and a flood of names that nobody repeats does
// not push it out. Counts are therefore a little too low, never too high.

const (
	askedSets  = 1024 // of askedWays names, in each worker's table
	askedWays  = 4
	askedName  = 96      // octets of a name that is counted
	askedMost  = 20_000  // names of a day that one edge keeps
	askedTell  = 2_000   // names of a day that one edge tells
	askedLeast = 50      // a day: who is asked for less is not told
	maxAsked   = 1 << 40 // of one name in a day
)

// KindAsked is the kind of what an edge tells of names.
const KindAsked = "shield.asked"

// Asked is how often names were asked for at one edge, since one of its starts,
// on one day of UTC: about, and never who asked.
type Asked struct {
	Boot  string      `json:"boot"`
	Day   time.Time   `json:"day"`
	Names []AskedName `json:"names"`
}

// AskedName is one name and about how often it was asked for.
type AskedName struct {
	Name bolwerk.Domain `json:"name"`
	N    uint64         `json:"n"`
}

// DecodeAsked reads what an edge tells of names.
func DecodeAsked(b []byte) (Asked, error) {
	var a Asked
	if err := json.Unmarshal(b, &a); err != nil {
		return a, bolwerk.Invalid("names asked for: %v", err)
	}
	if a.Boot == "" || len(a.Boot) > 64 || a.Day.IsZero() || len(a.Names) > askedTell {
		return a, bolwerk.Invalid("names asked for: boot, day or number of names out of bounds")
	}
	for _, n := range a.Names {
		if n.Name.IsZero() || n.N > maxAsked {
			return a, bolwerk.Invalid("names asked for: a name or a count out of bounds")
		}
	}
	return a, nil
}

// askedSlot is one name in wire format with its count.
type askedSlot struct {
	key  uint64
	n    uint32
	size uint8
	name [askedName]byte
}

type askedTable struct {
	slots [askedSets * askedWays]askedSlot
}

// add counts one question. It allocates nothing.
func (t *askedTable) add(key uint64, name []byte) {
	set := t.slots[key%askedSets*askedWays:][:askedWays]
	least := 0
	for i := range set {
		if set[i].key == key {
			set[i].n++
			return
		}
		if set[i].n < set[least].n {
			least = i
		}
	}
	s := &set[least]
	if s.n > 1 {
		s.n--
		return
	}
	s.key, s.n, s.size = key, 1, uint8(copy(s.name[:], name))
}

// asked are the tables of all workers and the sums of a day.
type asked struct {
	seed    maphash.Seed
	workers []askedWorker

	mu   sync.Mutex // what is below: everybody who is not a worker
	day  int64
	sums map[string]uint64 // by name in wire format
	told uint64
}

type askedWorker struct {
	now  *askedTable // of the worker alone
	want atomic.Bool // somebody wants it
	out  atomic.Pointer[askedTable]
	_    [40]byte
}

func newAsked(workers int) *asked {
	return &asked{seed: maphash.MakeSeed(), workers: make([]askedWorker, workers), sums: map[string]uint64{}}
}

// count counts a question of a worker. Questions of others are few and not
// counted.
func (a *asked) count(worker int, name []byte) {
	if worker < 0 || worker >= len(a.workers) || len(name) > askedName || len(name) < 4 {
		return
	}
	w := &a.workers[worker]
	if w.now == nil || w.want.Load() && w.out.Load() == nil {
		if w.now != nil {
			w.out.Store(w.now)
		}
		w.want.Store(false)
		w.now = new(askedTable)
	}
	key := maphash.Bytes(a.seed, name)
	w.now.add(key|1, name)
}

// gather adds what the workers gave out to the day of now, and asks them for
// more. What was of another day is counted to the day on which it is gathered:
// that is a minute of it.
func (a *asked) gather(day int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if day != a.day {
		a.day, a.told = day, 0
		clear(a.sums)
	}
	for i := range a.workers {
		w := &a.workers[i]
		if t := w.out.Swap(nil); t != nil {
			for j := range t.slots {
				if s := &t.slots[j]; s.n > 0 {
					a.sums[string(s.name[:s.size])] += uint64(s.n)
				}
			}
		}
		w.want.Store(true)
	}
	if len(a.sums) > 2*askedMost {
		all := a.sorted()
		clear(a.sums)
		for _, n := range all[:askedMost] {
			a.sums[n.wire] = n.n
		}
	}
}

type askedSum struct {
	wire string
	n    uint64
}

func (a *asked) sorted() []askedSum {
	all := make([]askedSum, 0, len(a.sums))
	for name, n := range a.sums {
		all = append(all, askedSum{name, n})
	}
	slices.SortFunc(all, func(x, y askedSum) int { return cmp.Or(cmp.Compare(y.n, x.n), cmp.Compare(x.wire, y.wire)) })
	return all
}

// top are the names of the day that are told, most first, and their sum.
func (a *asked) top() (names []AskedName, sum uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.sorted() {
		if s.n < askedLeast || len(names) == askedTell {
			break
		}
		d := nameAt([]byte(s.wire), 0)
		if d.IsZero() || d.Labels() < 2 {
			continue // no host name: nobody can report it
		}
		names = append(names, AskedName{d, min(s.n, maxAsked)})
		sum += s.n
	}
	return names, sum
}

const (
	askedGather = time.Minute
	askedEvery  = 10 * time.Minute
)

// tellAsked hands in the day so far, where there is more than the last time.
func (e *Edge) tellAsked(ctx context.Context) {
	if e.handIn == nil {
		return
	}
	names, sum := e.asked.top()
	e.asked.mu.Lock()
	day, same := e.asked.day, sum == e.asked.told
	e.asked.mu.Unlock()
	if len(names) == 0 || same {
		return
	}
	body, err := json.Marshal(Asked{Boot: e.hits.boot, Day: time.Unix(day*86400, 0).UTC(), Names: names})
	if err == nil {
		err = e.handIn(ctx, KindAsked, body)
	}
	if err != nil {
		e.log.Error("names asked for cannot be handed in; tried again", "err", err)
		return
	}
	e.asked.mu.Lock()
	e.asked.told = sum
	e.asked.mu.Unlock()
}

// countAsked gathers every minute and tells every ten, until ctx ends.
func (e *Edge) countAsked(ctx context.Context) {
	tick := time.NewTicker(askedGather)
	defer tick.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			day := e.now.Load() / 86400
			e.asked.mu.Lock()
			over := e.asked.day != 0 && e.asked.day != day
			e.asked.mu.Unlock()
			if over || now.Sub(last) >= askedEvery {
				e.tellAsked(ctx) // the old day, before it is forgotten
				last = now
			}
			e.asked.gather(day)
		}
	}
}
