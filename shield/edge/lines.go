package edge

import (
	"net/netip"
	"time"

	copies "bolwerk/internal/copy"
	"bolwerk/internal/lineview"
)

// maxAhead is how far the desk's clock may be before ours: behind it, what has ended
// would seem to go on.
const maxAhead = 30 * time.Second

// lineViews takes the copy "views": prefixes whose session has a view of its own just
// now. Its Reset and Apply come from one goroutine at a time.
type lineViews struct{ e *Edge }

// Lines is the sink of the copy "views".
func (e *Edge) Lines() copies.Sink { return lineViews{e} }

// Reset replaces all views that came by the copy. What cannot be read is left out:
// the default view is always safe.
func (l lineViews) Reset(head copies.Head, seq func(yield func(copies.Entry) bool)) error {
	var all []copies.Entry
	seq(func(en copies.Entry) bool {
		all = append(all, en)
		return len(all) < maxSessions
	})
	l.e.views.forget()
	return l.Apply(head, all)
}

// Apply takes changes; of several of one prefix the last stands.
func (l lineViews) Apply(head copies.Head, changes []copies.Entry) error {
	e := l.e
	e.tick()
	now := time.Unix(e.now.Load(), 0)
	e.views.behind.Store(head.MadeAt.Sub(now) > maxAhead)
	for _, en := range changes {
		switch {
		case en.ID == lineview.Alive && en.Removed:
			e.views.alive.Store(0)
		case en.ID == lineview.Alive:
			e.views.alive.Store(en.Until / int64(time.Second/time.Microsecond))
		case en.Removed:
			e.views.end(copyID + en.ID)
		default:
			if err := l.line(en, now); err != nil {
				e.views.end(copyID + en.ID)
				e.log.Error("the view of a line cannot be taken; it has the default view", "err", err, "alarm", true)
			}
		}
	}
	return nil
}

// copyID begins the id of a session that the copy told: another than any that
// somebody on this machine tells.
const copyID = "copy\x00"

func (l lineViews) line(en copies.Entry, now time.Time) error {
	in, err := lineview.Parse(en)
	if err != nil {
		return err
	}
	if !en.Valid(now) {
		l.e.views.end(copyID + en.ID)
		return nil
	}
	return l.e.views.start(Session{ID: copyID + en.ID, Prefixes: []netip.Prefix{in.Prefix}, View: in.View, Until: time.UnixMicro(en.Until)}, now)
}

// forget drops what the copy told.
func (v *views) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for id := range v.nets {
		if told(id) {
			v.drop(id)
		}
	}
	v.alive.Store(0)
}

// told says that a session came by the copy.
func told(id string) bool { return len(id) > len(copyID) && id[:len(copyID)] == copyID }

// doubt says that what the copy told of sessions may be out of date.
func (v *views) doubt(now int64) bool {
	return v.suspect.Load() || v.behind.Load() || v.alive.Load() <= now
}
