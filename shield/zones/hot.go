package zones

import (
	"cmp"
	"slices"
	"time"

	"bolwerk/internal/rpz"
)

// The blocks lie in two zones. A resolver such as BIND builds its index of a
// policy zone anew at every change, in proportion to the zone: seconds of a core
// for a million names. So what is new goes into h.rpz, the small hot zone, at
// once, and into b.rpz, the cold zone, together with what else has changed since
// the last time. What is hot stays so for a day, and in any case until every
// secondary has been given the cold zone that has it too: there is no moment at
// which a resolver has it in neither.
//
// h.rpz comes before b.rpz, so a changed entry is right at once as well. A block
// that ends leaves h.rpz at once; in b.rpz it stands until the next time, and
// p.rpz, before both, lets the name pass until then. Where p.rpz does not, the
// cold zone changes at once too.

const (
	hotFor  = 24 * time.Hour
	hotMost = 20_000 // owners in h.rpz: ten thousand names with all below them; BIND takes them up in a tenth of a second
	// mergePace is how long the cold zone rests between two changes, for each
	// owner in it: a hundred times what a change costs BIND 9.18 (3.5 s of a core
	// for two million owners), so that following the zone takes a hundredth of a
	// core. A list of a thousand names is merged every third of a second, one of
	// a million every six minutes.
	mergePace = 175 * time.Microsecond
	mergeMost = 50_000 // owners that wait for the cold zone
)

// hotZone is what stands in h.rpz, and what b.rpz does not have yet.
type hotZone struct {
	at    map[owner]*hotEntry
	order []hotPlace // oldest first; a place whose entry is another's is over
	// cold is what b.rpz says at the owners at which it is not up to date.
	cold   map[owner][]rpz.Record
	merged time.Time // when b.rpz was last changed
}

type hotEntry struct {
	records []rpz.Record
	since   time.Time
	cold    uint32 // serial of the cold zone that has the same; 0: none yet
}

type hotPlace struct {
	owner owner
	entry *hotEntry
}

func newHotZone() hotZone {
	return hotZone{at: map[owner]*hotEntry{}, cold: map[owner][]rpz.Record{}}
}

// put makes e the entry of o, the newest of all.
func (h *hotZone) put(o owner, e *hotEntry) {
	h.at[o] = e
	h.order = append(h.order, hotPlace{o, e})
}

// take brings the hot zone up to date with what blocks say now, and notes what
// the cold zone lacks. urgent is set where something cannot wait for it: there
// is no room in the hot zone, or what ends is let pass by nobody.
func (h *hotZone) take(now time.Time, changes []said, passes func(owner) bool) (c rpz.Change, urgent bool) {
	for _, d := range changes {
		if _, there := h.cold[d.at]; !there {
			h.cold[d.at] = d.was
		}
		old := h.at[d.at]
		if old != nil {
			c.Del = append(c.Del, old.records...)
			delete(h.at, d.at)
		}
		switch {
		case len(d.is) == 0:
			urgent = urgent || len(h.cold[d.at]) > 0 && !passes(d.at)
		case len(h.at) >= hotMost:
			urgent = true
		default:
			h.put(d.at, &hotEntry{records: d.is, since: now})
			c.Add = append(c.Add, d.is...)
		}
	}
	return c, urgent
}

// leave takes out of the hot zone what has been there long enough and is in the
// cold zone that every secondary has: held is the oldest of theirs, and all is
// set where there is none that could lack it.
func (h *hotZone) leave(now time.Time, held uint32, all bool) (del []rpz.Record) {
	for ; len(h.order) > 0; h.order = h.order[1:] {
		p := h.order[0]
		if h.at[p.owner] != p.entry {
			continue
		}
		age := now.Sub(p.entry.since)
		if age < hotFor && len(h.at) < hotMost*3/4 {
			break // nothing is old, and there is room
		}
		has := p.entry.cold != 0 && (all || held != 0 && !rpz.Newer(p.entry.cold, held))
		if !has && (p.entry.cold == 0 || age < UndoAtMost) {
			break
		}
		del = append(del, p.entry.records...)
		delete(h.at, p.owner)
	}
	return del
}

// due says whether it is time to change the cold zone, which has so many owners.
func (h *hotZone) due(now time.Time, owners int) bool {
	if len(h.cold) == 0 {
		return false
	}
	since := now.Sub(h.merged)
	return len(h.cold) >= mergeMost || since < 0 || since >= time.Duration(owners)*mergePace
}

// merge is what brings the cold zone up to date, which then is at serial.
func (h *hotZone) merge(now time.Time, serial uint32, is func(owner) []rpz.Record) rpz.Change {
	var c rpz.Change
	for o, was := range h.cold {
		now := is(o)
		del, add := difference(was, now)
		c.Del, c.Add = append(c.Del, del...), append(c.Add, add...)
		if e := h.at[o]; e != nil {
			e.cold = serial
		}
	}
	h.cold, h.merged = map[owner][]rpz.Record{}, now
	return c
}

// warm fills the hot zone of a desk that has just started with the blocks of
// the last day, the newest where they are too many. The cold zone has them too.
func (h *hotZone) warm(now time.Time, serial uint32, rules map[string]*rule, published map[string]time.Time, is func(owner) []rpz.Record) {
	h.merged = now
	since := map[owner]time.Time{}
	for id, r := range rules {
		at := time.UnixMicro(r.since)
		if p := published[id]; p.After(at) {
			at = p
		}
		if at = earlier(at, now); r.pass || now.Sub(at) >= hotFor {
			continue
		}
		for _, o := range owners(r) {
			if old, ok := since[o]; !ok || at.After(old) {
				since[o] = at
			}
		}
	}
	all := make([]owner, 0, len(since))
	for o := range since {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b owner) int {
		return cmp.Or(since[a].Compare(since[b]), cmp.Compare(a.name.String(), b.name.String()))
	})
	for _, o := range all[max(0, len(all)-hotMost):] {
		if records := is(o); len(records) > 0 {
			h.put(o, &hotEntry{records: records, since: since[o], cold: serial})
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// said is what a zone said at an owner, and what it says now.
type said struct {
	at      owner
	was, is []rpz.Record
}

// difference is what leads from was to is.
func difference(was, is []rpz.Record) (del, add []rpz.Record) {
	for _, r := range was {
		if !slices.Contains(is, r) {
			del = append(del, r)
		}
	}
	for _, r := range is {
		if !slices.Contains(was, r) {
			add = append(add, r)
		}
	}
	return del, add
}

// UndoAtMost is how long a passthru entry stays where a secondary never comes
// back, and how long such a one holds up what leaves the hot zone: longer than the
// EXPIRE of b.rpz (3 days), after which it has dropped that zone.
const UndoAtMost = 7 * 24 * time.Hour

// hotShown is how long after a withdrawal a secondary that takes the hot zone
// has surely shown itself: the serial goes up every minute.
const hotShown = time.Hour

// Outgrown says that no secondary can still have a block that a publication
// took out, so long ago.
func Outgrown(ds []rpz.Delivery, serial uint32, age time.Duration) bool {
	if age > UndoAtMost {
		return true
	}
	if age <= time.Minute { // the TTL of its own answers
		return false
	}
	for _, d := range ds {
		switch {
		case d.Zone == Pass, d.Zone == Hot && d.Holds == 0 && age > hotShown:
		case d.Holds == 0 || rpz.Newer(serial, d.Holds):
			return false
		}
	}
	return true
}
