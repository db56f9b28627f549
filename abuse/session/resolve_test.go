package session_test

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	. "bolwerk/abuse/session"
)

const tick = 10 * time.Minute // longer than what two records of a session may disagree by

var (
	noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	v4   = netip.MustParsePrefix("198.51.100.7/32")
	v6   = netip.MustParsePrefix("2001:db8:0:100::/56")
)

func at(n int) time.Time { return noon.Add(time.Duration(n) * tick) }

// book is what is known, without a store.
type book map[string][]Held

func (b book) tell(r Record) {
	key := r.NAS + "/" + r.Session
	for _, w := range Apply(b[key], r) {
		if w.Was != nil {
			b[key] = slices.DeleteFunc(b[key], func(h Held) bool { return h == *w.Was })
		}
		b[key] = append(b[key], w.Now)
	}
}

func (b book) find(a netip.Addr) (out []Held) {
	for _, held := range b {
		for _, h := range held {
			if h.Prefix.Contains(a) {
				out = append(out, h)
			}
		}
	}
	return out
}

func (b book) rows() []Held {
	var all []Held
	for _, held := range b {
		all = append(all, held...)
	}
	slices.SortFunc(all, func(x, y Held) int {
		return cmp.Or(cmp.Compare(x.Session, y.Session), x.Start.Compare(y.Start), cmp.Compare(x.Prefix.String(), y.Prefix.String()))
	})
	return all
}

func rec(k Kind, who, id string, when int, lasted int, nets ...netip.Prefix) Record {
	r := Record{Kind: k, Source: Radius, NAS: "bng1", Session: id, Identity: Identity{Subscriber: who, Line: "line of " + who}, Prefixes: nets, At: at(when), Lasted: -1}
	if lasted >= 0 {
		r.Lasted = time.Duration(lasted) * tick
	}
	return r
}

// world is what truly was, and what was told of it.
type world struct {
	truth []life
	told  []Record
}

type life struct {
	who, id    string
	net        netip.Prefix
	begin, end int // end is past the last tick
}

// worlds draws sessions one after the other on two prefixes. Each Start is told;
// Interims and Stops may be lost. Names of sessions may be used again after a while.
func worlds(t *rapid.T, loseStops bool) world {
	var w world
	for _, net := range []netip.Prefix{v4, v6} {
		now := rapid.IntRange(0, 3).Draw(t, "first")
		for i := range rapid.IntRange(1, 6).Draw(t, "sessions") {
			l := life{who: rapid.SampledFrom([]string{"anna", "bram", "chris"}).Draw(t, "who"), net: net, begin: now}
			l.id = fmt.Sprintf("%s-%d", net, i)
			if rapid.Bool().Draw(t, "again") {
				l.id = net.String() + "-again"
			}
			l.end = now + rapid.IntRange(1, 8).Draw(t, "ticks")
			w.truth = append(w.truth, l)
			w.told = append(w.told, rec(Start, l.who, l.id, l.begin, 0, net))
			for at := l.begin + 1; at < l.end; at++ {
				if rapid.Bool().Draw(t, "interim") {
					w.told = append(w.told, rec(Interim, l.who, l.id, at, at-l.begin, net))
				}
			}
			if !loseStops || rapid.Bool().Draw(t, "stop") {
				w.told = append(w.told, rec(Stop, l.who, l.id, l.end, l.end-l.begin, net))
			}
			now = l.end + rapid.IntRange(1, 4).Draw(t, "free")
		}
	}
	return w
}

func (w world) holder(net netip.Prefix, when int) string {
	for _, l := range w.truth {
		if l.net == net && l.begin <= when && when < l.end {
			return l.who
		}
	}
	return ""
}

func ask(t *rapid.T) (net netip.Prefix, when, skew int) {
	return rapid.SampledFrom([]netip.Prefix{v4, v6}).Draw(t, "net"), rapid.IntRange(0, 60).Draw(t, "when"), rapid.IntRange(0, 3).Draw(t, "skew")
}

// Whoever truly had it stands among the candidates, and nobody else is ever acted
// on, whatever order the records come in and whichever Stops are lost.
func TestWhoTrulyHadItIsAmongTheCandidates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := worlds(t, true)
		b := book{}
		for _, r := range rapid.Permutation(w.told).Draw(t, "order") {
			b.tell(r)
		}
		net, truly, skew := ask(t)
		who := w.holder(net, truly)
		said := truly + rapid.IntRange(-skew, skew).Draw(t, "clock")
		policy := Policy{Interim: time.Duration(rapid.IntRange(0, 2).Draw(t, "interval")) * tick}
		a := Resolve(Question{Addr: net.Addr(), At: at(said), Skew: time.Duration(skew) * tick}, policy, b.find)
		if who == "" {
			return
		}
		if !slices.ContainsFunc(a.Candidates, func(c Candidate) bool { return c.Subscriber == who }) {
			t.Fatalf("%s had it, got %+v", who, a)
		}
		if c, ok := a.Act(); ok && c.Subscriber != who {
			t.Fatalf("%s had it, acted on %s", who, c.Subscriber)
		}
	})
}

// Records that come late, twice or in another order tell the same.
func TestTheOrderOfRecordsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := worlds(t, true)
		a, b := book{}, book{}
		for _, r := range w.told {
			a.tell(r)
		}
		for _, r := range append(rapid.Permutation(w.told).Draw(t, "order"), rapid.SliceOfN(rapid.SampledFrom(w.told), 0, 5).Draw(t, "again")...) {
			b.tell(r)
		}
		if !reflect.DeepEqual(a.rows(), b.rows()) {
			t.Fatalf("in order\n%+v\nelse\n%+v", a.rows(), b.rows())
		}
	})
}

// The rules, tick by tick: who may have had it at any moment of the window, without
// those who are only thought to where somebody surely had it all the time.
func TestResolveAnswersAsAModelThatLooksAtEachMoment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := worlds(t, true)
		b := book{}
		for _, r := range w.told {
			if rapid.IntRange(0, 5).Draw(t, "lost") > 0 { // Starts too
				b.tell(r)
			}
		}
		net, when, skew := ask(t)
		a := Resolve(Question{Addr: net.Addr(), At: at(when), Skew: time.Duration(skew) * tick}, Policy{}, b.find)
		var got []string
		for _, c := range a.Candidates {
			got = append(got, c.Subscriber)
		}
		if want := model(b.find(net.Addr()), when-skew, when+skew); !slices.Equal(sorted(got), want) {
			t.Fatalf("got %v want %v from %+v", got, want, b.rows())
		}
		if _, ok := a.Act(); ok && len(got) != 1 {
			t.Fatalf("acts on one of %v", got)
		}
	})
}

func model(rows []Held, lo, hi int) []string {
	surely := func(h Held, n int) bool { return !at(n).Before(h.Start) && !at(n).After(h.Seen) }
	maybe := func(h Held, n int) bool {
		if surely(h, n) {
			return true
		}
		if at(n).Before(h.Start) { // nobody told when it began, and it has not been somebody else's since
			return h.Guessed && !slices.ContainsFunc(rows, func(o Held) bool { return o.Start.Before(h.Start) && o.Seen.After(at(n)) })
		}
		if h.Ended == Stopped {
			return !at(n).After(h.Until)
		}
		return !slices.ContainsFunc(rows, func(o Held) bool { return o.Start.After(h.Start) && o.Start.Before(at(n)) })
	}
	var all, some, thought []string
	for _, h := range rows {
		whole, touched, vouched := true, false, false
		for n := lo; n <= hi; n++ {
			whole = whole && surely(h, n)
			vouched = vouched || surely(h, n)
			touched = touched || maybe(h, n)
		}
		switch {
		case whole:
			all = append(all, h.Subscriber)
		case vouched:
			some = append(some, h.Subscriber)
		case touched:
			thought = append(thought, h.Subscriber)
		}
	}
	if len(all) == 0 {
		some = append(some, thought...)
	}
	return sorted(append(all, some...))
}

func sorted(s []string) []string {
	slices.Sort(s)
	return slices.Compact(s)
}
