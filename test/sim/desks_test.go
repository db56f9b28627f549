package sim

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bolwerk/internal/lease"
)

// The desks: two of them at one store, each with the real lease.Watch. They are
// paused between any two steps, crash, lose answers of the store, and their clocks
// run apart and jump. The store is what PostgreSQL promises: rows, transactions
// that are there or not, a lock that a taking of the lease waits for, and an end for
// sessions that say nothing.

// publication is a row of copy_batch.
type publication struct {
	serial int64
	token  int64 // under which the desk that publishes by the clock wrote it; 0: a decision
	desk   string
}

type stored struct {
	lease     lease.Row
	log       []publication
	decisions map[string]bool
	open      []*writing // transactions that hold the shared lock
}

func (s *stored) serial() int64 {
	if len(s.log) == 0 {
		return 1
	}
	return s.log[len(s.log)-1].serial
}

// writing is a transaction under a token, checked and not yet committed.
type writing struct {
	by    *deskProcess
	token int64
	over  bool // the store has ended its session
}

// deskProcess is one desk: what it has in memory.
type deskProcess struct {
	w      *desks
	n      int
	life   int
	rate   float64 // of its monotonic clock
	wall   time.Duration
	paused bool

	watch *lease.Watch
	move  lease.Move
	row   lease.Row
	began time.Time // of the look under way; zero: none
	write *writing

	loaded int64 // token under which it has loaded the zones
	serves int64 // serial
}

type desks struct {
	rt    *rapid.T
	now   time.Duration // real
	store stored
	desks [2]*deskProcess

	acked  []string
	count  int
	seen   int64           // serial that the secondary has
	tenure map[int64]int64 // serial -> token under which it was served
	owner  map[int64]string
}

func (d *deskProcess) name() string { return fmt.Sprint("desk-", d.n, "-", d.life) }

// mono is the desk's monotonic clock. Its wall clock has no part in anything here.
func (d *deskProcess) mono() time.Time {
	return time.Unix(1_000_000, 0).Add(time.Duration(float64(d.w.now) * d.rate))
}

func (d *deskProcess) begin() {
	d.life++
	d.watch = lease.NewWatch(d.name())
	d.began, d.write, d.loaded, d.serves, d.paused = time.Time{}, nil, 0, 0, false
}

// lost draws what becomes of a commit: done and known, done and the answer lost,
// or not done.
func (d *deskProcess) lost() (done, known bool) {
	switch rapid.IntRange(0, 9).Draw(d.w.rt, "the commit") {
	case 0:
		return true, false
	case 1:
		return false, false
	}
	return true, true
}

// look is the first half of a sign of life: the row is read. What is done about it
// comes later, after anything.
func (d *deskProcess) look() {
	d.began = d.mono()
	d.row = d.w.store.lease
	d.move = d.watch.Look(d.row, d.mono())
}

// act is the second half.
func (d *deskProcess) act() {
	s := &d.w.store
	began := d.began
	d.began = time.Time{}
	switch d.move {
	case lease.Renew:
		if s.lease.Holder != d.row.Holder || s.lease.Token != d.row.Token {
			return
		}
		done, known := d.lost()
		if done {
			s.lease.Beat++
		}
		if known {
			d.watch.Renewed(began)
		}
	case lease.Take:
		for _, w := range s.open {
			if !w.over {
				d.began = began // it waits for the lock
				return
			}
		}
		began = d.mono() // the taking is a transaction of its own
		if s.lease.Token != d.row.Token || s.lease.Beat != d.row.Beat {
			return
		}
		done, known := d.lost()
		if done {
			s.lease = lease.Row{Holder: d.name(), Token: d.row.Token + 1}
		}
		if known {
			d.watch.Taken(d.row.Token+1, began)
		}
	}
}

// prepare begins a write of the holder: what it found by its own clock.
func (d *deskProcess) prepare() {
	if t := d.watch.Held(d.mono()); t != 0 {
		d.write = &writing{by: d, token: t, over: true} // no lock yet
	}
}

// check is the fence: it takes the shared lock and looks.
func (d *deskProcess) check() {
	s := &d.w.store
	if s.lease.Holder != d.name() || s.lease.Token != d.write.token {
		d.write = nil
		return
	}
	d.write.over = false
	s.open = append(s.open, d.write)
}

// commit ends the write: a publication by the clock, with which the zones are loaded
// where they were not.
func (d *deskProcess) commit() {
	w, s := d.write, &d.w.store
	d.write = nil
	if w.over {
		return // the session has ended: nothing is written
	}
	w.over = true
	done, known := d.lost()
	if done {
		s.log = append(s.log, publication{s.serial() + 1, w.token, d.name()})
	}
	if known {
		d.loaded, d.serves = w.token, s.serial()
	}
}

// follow brings the zones up to date: what others decided meanwhile.
func (d *deskProcess) follow() {
	if t := d.watch.Held(d.mono()); t != 0 && t == d.loaded {
		d.serves = d.w.store.serial()
	}
}

// ask is the secondary's question to a desk.
func (w *desks) ask(d *deskProcess) {
	t := d.watch.Held(d.mono())
	if d.paused || t == 0 || t != d.loaded {
		return // SERVFAIL
	}
	if d.serves < w.seen {
		w.rt.Fatalf("%s serves serial %d after %d was served", d.name(), d.serves, w.seen)
	}
	w.seen = d.serves
	if was, ok := w.tenure[d.serves]; ok && was != t {
		w.rt.Fatalf("serial %d was served under token %d and %d: two contents of one serial", d.serves, was, t)
	}
	w.tenure[d.serves] = t
}

// decide is a person's decision at a desk. It needs no lease: it takes its serial
// in its own transaction.
func (w *desks) decide(d *deskProcess) {
	w.count++
	name := fmt.Sprint("decision-", w.count)
	done, known := d.lost()
	if done {
		w.store.decisions[name] = true
		w.store.log = append(w.store.log, publication{serial: w.store.serial() + 1, desk: d.name()})
	}
	if known {
		w.acked = append(w.acked, name)
	}
}

func (w *desks) awake() *deskProcess {
	d := w.desks[rapid.IntRange(0, 1).Draw(w.rt, "desk")]
	if d.paused {
		w.rt.Skip("paused")
	}
	return d
}

// step is one thing that a desk does: what it has begun, or something new.
func (d *deskProcess) step() {
	switch {
	case d.write != nil && d.write.over && !d.inOpen():
		d.check()
	case d.write != nil:
		d.commit()
	case !d.began.IsZero():
		d.act()
	case rapid.Bool().Draw(d.w.rt, "a sign of life"):
		d.look()
	default:
		d.prepare()
	}
}

func (d *deskProcess) inOpen() bool {
	for _, w := range d.w.store.open {
		if w == d.write {
			return true
		}
	}
	return false
}

func (w *desks) check(*rapid.T) {
	holders := 0
	for _, d := range w.desks {
		if d.watch.Held(d.mono()) != 0 {
			holders++
		}
	}
	if holders > 1 {
		w.rt.Fatal("both desks believe that they hold the lease")
	}
	last, token := int64(1), int64(0)
	for _, p := range w.store.log {
		if p.serial != last+1 {
			w.rt.Fatalf("serial %d after %d", p.serial, last)
		}
		last = p.serial
		if p.token == 0 {
			continue
		}
		if p.token < token {
			w.rt.Fatalf("a publication under token %d after one under %d", p.token, token)
		}
		token = p.token
		if was, ok := w.owner[p.token]; ok && was != p.desk {
			w.rt.Fatalf("token %d published by %s and %s", p.token, was, p.desk)
		}
		w.owner[p.token] = p.desk
	}
	for _, name := range w.acked {
		if !w.store.decisions[name] {
			w.rt.Fatalf("%s was acknowledged and is lost", name)
		}
	}
}

func TestTwoDesksAndTheLease(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &desks{rt: rt, store: stored{decisions: map[string]bool{}}, tenure: map[int64]int64{}, owner: map[int64]string{}}
		for i := range w.desks {
			w.desks[i] = &deskProcess{w: w, n: i, rate: rapid.Float64Range(0.96, 1.04).Draw(rt, "rate")}
			w.desks[i].begin()
		}
		step := func(*rapid.T) { w.awake().step() }
		moments := func(t *rapid.T) {
			w.now += time.Duration(rapid.IntRange(1, 1500).Draw(t, "milliseconds")) * time.Millisecond
		}
		rt.Repeat(map[string]func(*rapid.T){
			"step": step, "step ": step, "step  ": step, "step   ": step,
			"moments": moments,
			"a long time": func(t *rapid.T) {
				w.now += time.Duration(rapid.IntRange(2, 12).Draw(t, "seconds")) * time.Second
			},
			"a second in order": func(*rapid.T) {
				w.now += lease.Every
				for _, d := range w.desks {
					for range 4 {
						if !d.paused {
							d.step()
						}
					}
				}
			},
			"decide": func(*rapid.T) { w.decide(w.awake()) },
			"follow": func(*rapid.T) { w.awake().follow() },
			"ask": func(*rapid.T) {
				for _, d := range w.desks {
					w.ask(d)
				}
			},
			"pause":    func(*rapid.T) { w.awake().paused = true },
			"continue": func(*rapid.T) { w.desks[0].paused, w.desks[1].paused = false, false },
			"crash": func(t *rapid.T) {
				d := w.awake()
				if d.write != nil && rapid.Bool().Draw(t, "the store notices") {
					d.write.over = true
				}
				d.begin()
			},
			"wall clock jumps": func(t *rapid.T) {
				w.awake().wall += time.Duration(rapid.IntRange(-90, 90).Draw(t, "minutes")) * time.Minute
			},
			"the store ends silent sessions": func(*rapid.T) {
				for _, o := range w.store.open {
					o.over = true
				}
			},
			"": w.check,
		})
	})
}
