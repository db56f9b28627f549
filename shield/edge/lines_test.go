package edge

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	copies "bolwerk/internal/copy"
	"bolwerk/internal/lineview"
)

func lineEntry(prefix, view string, until time.Time) copies.Entry {
	return copies.Entry{ID: prefix, Version: 1, Until: until.UnixMicro(), Body: json.RawMessage(fmt.Sprintf(`{"prefix":%q,"view":%q}`, prefix, view))}
}

func TestLines(t *testing.T) {
	e, _ := viewsEdge(t, "203.0.113.0/24 opt_in L-1\n")
	c := e.clock.(interface {
		Add(time.Duration)
		Jump(time.Time)
	})
	head := copies.Head{MadeAt: noon}
	alive := func(until time.Time) copies.Entry {
		return copies.Entry{ID: lineview.Alive, Version: 1, Until: until.UnixMicro(), Body: json.RawMessage(`{}`)}
	}
	check := func(what string, want map[string]string) {
		t.Helper()
		for from, w := range want {
			if got := sees(e, from); got != w {
				t.Errorf("%s: %s sees %q, want %q", what, from, got, w)
			}
		}
	}
	all := []copies.Entry{lineEntry("198.51.100.7/32", "opt_out", noon.Add(time.Hour)), lineEntry("2001:db8:0:100::/56", "opt_in", noon.Add(time.Hour)),
		lineEntry("203.0.113.9/32", "opt_out", noon.Add(time.Hour)), lineEntry("198.51.100.8/32", "opt_out", noon.Add(-time.Second)), // over
		lineEntry("100.64.0.7/32", "opt_out", noon.Add(time.Hour)), lineEntry("0.0.0.0/0", "opt_out", noon.Add(time.Hour)), lineEntry("198.51.100.10/32", "none", noon.Add(time.Hour)),
		lineEntry("198.51.100.11/32", "opt_out", noon.Add(48*time.Hour)), {ID: "x", Version: 1, Body: json.RawMessage(`[]`)}}
	reset := func(entries ...copies.Entry) {
		t.Helper()
		if err := e.Lines().Reset(head, func(yield func(copies.Entry) bool) {
			for _, en := range entries {
				yield(en)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	reset(all...)
	check("not known whether accounting comes in", map[string]string{"198.51.100.7": defaults, "203.0.113.9": defaults, "203.0.113.8": optedIn})
	apply := func(entries ...copies.Entry) {
		t.Helper()
		if err := e.Lines().Apply(head, entries); err != nil {
			t.Fatal(err)
		}
	}
	apply(alive(noon.Add(2 * time.Minute)))
	check("accounting comes in", map[string]string{"198.51.100.7": optedOut, "198.51.100.8": defaults, "2001:db8:0:1ff::1": optedIn, "203.0.113.9": optedOut, "100.64.0.7": defaults,
		"198.51.100.10": defaults, "198.51.100.11": defaults, "192.0.2.9": defaults})
	apply(copies.Entry{ID: "198.51.100.7/32", Version: 2, Removed: true})
	check("taken away", map[string]string{"198.51.100.7": defaults, "203.0.113.9": optedOut})
	apply(lineEntry("203.0.113.9/32", "everything", noon.Add(time.Hour)))
	check("what cannot be read is the default", map[string]string{"203.0.113.9": optedIn}) // the file's, as if nothing was told
	c.Add(2 * time.Minute)
	e.tick()
	check("no accounting comes in", map[string]string{"2001:db8:0:100::1": defaults})
	head.MadeAt = noon.Add(3 * time.Minute)
	apply(alive(noon.Add(5 * time.Minute)))
	check("our clock is behind the desk's", map[string]string{"2001:db8:0:100::1": defaults})
	head.MadeAt = noon.Add(2 * time.Minute)
	apply()
	check("it is not any more", map[string]string{"2001:db8:0:100::1": optedIn})
	if err := e.Session(Session{ID: "nas1/1", Prefixes: nil, View: "opt_in", Until: noon.Add(time.Hour)}); err == nil {
		t.Error("a session without prefixes was taken")
	}
	reset(alive(noon.Add(5 * time.Minute)))
	check("another copy without them", map[string]string{"2001:db8:0:100::1": defaults})
	reset(append(all, alive(noon.Add(5*time.Minute)))...)
	check("and with them", map[string]string{"2001:db8:0:100::1": optedIn})
	c.Jump(noon.Add(150 * time.Second))
	e.tick()
	check("the clock jumped", map[string]string{"2001:db8:0:100::1": defaults})
}
