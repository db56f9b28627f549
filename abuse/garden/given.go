package garden

import (
	"maps"
	"slices"
	"time"
)

// believeAsked is how long a page says that release was asked for, without a word of the
// desk.
const believeAsked = 15 * time.Minute

// Given is what guests did on pages of this process and the desk has not told back, by
// the key that the pages know them by: so a page shows a tick at once. Whoever has it
// locks it.
type Given map[string]*given

type given struct {
	ticks map[string]bool
	asked time.Time // for release
	help  bool
	test  time.Time // of the line, asked for
	seen  bool      // the page was looked at, and that is handed in
}

// With is a guest with what was given here.
func (all Given) With(key string, g Guest, now time.Time) Guest {
	s := all[key]
	if s == nil {
		return g
	}
	g.Done = slices.Clone(g.Done)
	for _, id := range slices.Sorted(maps.Keys(s.ticks)) {
		g.Done = slices.DeleteFunc(g.Done, func(d string) bool { return d == id })
		if s.ticks[id] {
			g.Done = append(g.Done, id)
		}
	}
	if s.test.After(g.TestAt) {
		g.Test, g.TestAt = TestAsked, s.test
	}
	switch {
	case g.State != "active" && g.State != "open":
	case g.Held() && !s.asked.IsZero() && now.Before(s.asked.Add(believeAsked)):
		g.State = Requested
	case s.help:
		g.State = "asked"
	}
	return g
}

// Took remembers what was handed in.
func (all Given) Took(key string, e Event) {
	s := all[key]
	if s == nil {
		s = &given{ticks: map[string]bool{}}
		all[key] = s
	}
	switch e.What {
	case "done", "undone":
		s.ticks[e.Step] = e.What == "done"
	case "release":
		s.asked = e.At
	case "help":
		s.help = true
	case "test":
		s.test = e.At
	case "seen":
		s.seen = true
	}
}

// Told forgets what the desk tells back of a guest.
func (all Given) Told(key string, g Guest) {
	s := all[key]
	if s == nil {
		return
	}
	maps.DeleteFunc(s.ticks, func(id string, done bool) bool { return slices.Contains(g.Done, id) == done })
	if g.State != "active" {
		s.asked, s.help = time.Time{}, false
	}
}

// Seen says that it is handed in that the guest saw the page.
func (all Given) Seen(key string) bool { return all[key] != nil && all[key].seen }

// Keep forgets all others.
func (all Given) Keep(keys map[string]bool) {
	maps.DeleteFunc(all, func(key string, _ *given) bool { return !keys[key] })
}
