package sim

import (
	"fmt"
	"testing"
	"time"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/quarantine"

	"pgregory.net/rapid"
)

// access is an access network: what each session has, and until when it would keep it
// if nobody came back. It may be dead, refuse, be busy, or say that it did and not do it.
type access struct {
	has   map[string]enforce.Profile
	until map[string]time.Time
	open  map[string]bool
}

// garden says that a session is held at a time, whatever the desk does.
func (a *access) garden(key string, now time.Time) bool {
	return a.open[key] && a.has[key] != "" && a.has[key] != enforce.Normal && now.Before(a.until[key])
}

// do carries an order out, or not.
func (a *access) do(how string, key string, p enforce.Profile, until time.Time) enforce.Result {
	switch {
	case how == "silent" || how == "lost":
		if how == "lost" && a.open[key] { // it did it, and its answer got lost
			a.has[key], a.until[key] = p, until
		}
		return enforce.Result{State: enforce.Silent}
	case how == "busy":
		return enforce.Result{State: enforce.Busy, Again: time.Second}
	case how == "refused":
		return enforce.Result{State: enforce.Refused}
	case !a.open[key]:
		return enforce.Result{State: enforce.Offline}
	case how == "lies":
		return enforce.Result{State: enforce.Applied}
	}
	a.has[key], a.until[key] = p, until
	return enforce.Result{State: enforce.Applied, Seen: true}
}

type flight struct {
	key     string
	version int64
	want    enforce.Profile
}

// A line goes into quarantine and comes out over a network that does what it likes, with
// a desk that is killed between sending and writing down. Whatever happens: nothing is
// held past its end or without a decision, a release is never taken back, and once the
// network is honest again nobody is left inside.
func TestNobodyIsLeftInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
		now := start
		q := quarantine.Q{State: quarantine.Requested, Profile: enforce.Leaky, Until: start.Add(time.Duration(rapid.IntRange(1, 72).Draw(t, "hours")) * time.Hour), SelfLeft: rapid.IntRange(0, 2).Draw(t, "self")}
		net := &access{has: map[string]enforce.Profile{}, until: map[string]time.Time{}, open: map[string]bool{}}
		var sent []flight
		n, released := 0, false
		step := func(e quarantine.Event) {
			was := q
			q, _ = quarantine.Step(q, e, now)
			if released && q.State.Holds() {
				t.Fatalf("%T took a release back: %s to %s", e, was.State, q.State)
			}
			released = released || !q.EndedAt.IsZero()
			if q.Until != was.Until {
				t.Fatal("the end moved")
			}
			for _, l := range q.Lines {
				if l.Want != enforce.Normal && !q.State.Holds() {
					t.Fatalf("%s wants %s in state %s", l.Key, l.Want, q.State)
				}
			}
		}
		sessions := func(ended ...string) {
			e := quarantine.Sessions{Open: map[string]string{}, Ended: ended}
			for k, on := range net.open {
				if on {
					e.Open[k] = "bng1"
				}
			}
			step(e)
		}
		login := func() {
			n++
			k := fmt.Sprint("s", n)
			net.open[k] = true
			if q.State.Holds() && now.Before(q.Until) { // what the access network asks at a login
				net.has[k], net.until[k] = q.Profile, q.Until
			}
			sessions()
		}
		send := func(how string) {
			for _, l := range q.Lines {
				if l.Due.IsZero() || l.Due.After(now) {
					continue
				}
				if l.Want != enforce.Normal && !now.Before(q.Until) {
					continue // the desk looks before it sends
				}
				r := net.do(how, l.Key, l.Want, q.Until)
				sent = append(sent, flight{l.Key, l.Version, l.Want})
				if how != "killed" {
					step(quarantine.Answered{Key: l.Key, Version: l.Version, Result: r})
				}
			}
		}
		// account tells what is in force, of now or of a while ago.
		account := func(ago time.Duration) {
			for k, on := range net.open {
				if p := net.has[k]; on {
					if p == "" || !now.Before(net.until[k]) {
						p = enforce.Normal
					}
					step(quarantine.Accounted{Key: k, Profile: p, At: now.Add(-ago)})
				}
			}
		}
		login()
		for range rapid.IntRange(5, 60).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"approve", "login", "logout", "send", "send", "wait", "tick", "self", "staff", "case", "opened", "ticked", "late", "retry", "account"}).Draw(t, "what") {
			case "approve":
				step(quarantine.Approve{})
				sessions()
			case "login":
				login()
			case "logout":
				for k, on := range net.open {
					if on {
						net.open[k] = false
						sessions(k)
						break
					}
				}
			case "send":
				send(rapid.SampledFrom([]string{"honest", "silent", "lost", "busy", "refused", "killed", "lies"}).Draw(t, "network"))
			case "wait":
				now = now.Add(time.Duration(rapid.IntRange(1, 600).Draw(t, "minutes")) * time.Minute)
			case "tick":
				step(quarantine.Tick{})
			case "self":
				step(quarantine.Release{By: quarantine.BySelf})
			case "staff":
				step(quarantine.Release{By: quarantine.ByStaff})
			case "case":
				step(quarantine.Release{By: quarantine.ByCase})
			case "opened":
				step(quarantine.Opened{})
			case "ticked":
				step(quarantine.Ticked{All: rapid.Bool().Draw(t, "all")})
			case "retry":
				step(quarantine.Retry{})
			case "account":
				account(time.Duration(rapid.IntRange(0, 1200).Draw(t, "late")) * time.Second)
			case "late": // an answer of long ago
				if len(sent) > 0 {
					f := rapid.SampledFrom(sent).Draw(t, "answer")
					if f.want == enforce.Normal || q.State.Holds() {
						step(quarantine.Answered{Key: f.key, Version: f.version, Result: enforce.Result{State: enforce.Silent}})
					}
				}
			}
			for k := range net.open {
				if net.garden(k, now) && !now.Before(q.Until) {
					t.Fatalf("%s is held past the end", k)
				}
			}
		}
		// The case is closed, and the network is honest: everybody is let out.
		step(quarantine.Release{By: quarantine.ByCase})
		sessions()
		for range 40 {
			now = now.Add(5 * time.Minute)
			send("honest")
			account(0)
			step(quarantine.Tick{})
		}
		if !q.State.Over() {
			t.Fatalf("it stays %s: %+v", q.State, q.Lines)
		}
		for k := range net.open {
			if net.garden(k, now) {
				t.Fatalf("%s is left inside after the case was closed", k)
			}
		}
		// And again: nothing is done twice.
		version := q.Version
		for range 3 {
			step(quarantine.Release{By: quarantine.ByStaff})
			step(quarantine.Tick{})
		}
		if q.Version != version {
			t.Fatal("a release that was done was done again")
		}
	})
}

// A network that says that it let somebody out and did not is found by its guest, and asked again.
func TestANetworkThatLies(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	net := &access{has: map[string]enforce.Profile{}, until: map[string]time.Time{}, open: map[string]bool{"s1": true}}
	q := quarantine.Q{State: quarantine.Requested, Profile: enforce.Strict, Until: now.Add(time.Hour)}
	do := func(e quarantine.Event) { q, _ = quarantine.Step(q, e, now) }
	send := func(how string) {
		for _, l := range q.Lines {
			if !l.Due.IsZero() && !l.Due.After(now) {
				do(quarantine.Answered{Key: l.Key, Version: l.Version, Result: net.do(how, l.Key, l.Want, q.Until)})
			}
		}
	}
	do(quarantine.Approve{})
	do(quarantine.Sessions{Open: map[string]string{"s1": "bng1"}})
	send("honest")
	do(quarantine.Release{By: quarantine.ByStaff})
	send("lies")
	if q.State != quarantine.Released || !net.garden("s1", now) {
		t.Fatalf("%s, inside %v", q.State, net.garden("s1", now))
	}
	do(quarantine.Inside{}) // its page was opened
	if q.State != quarantine.Stuck {
		t.Fatalf("%s though somebody is inside", q.State)
	}
	send("honest")
	if q.State != quarantine.Released || net.garden("s1", now) {
		t.Fatalf("%s, inside %v", q.State, net.garden("s1", now))
	}
}
