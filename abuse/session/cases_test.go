package session_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	. "bolwerk/abuse/session"
)

func held(who string, net string, start, seen int, end End) Held {
	h := Held{Identity: Identity{Subscriber: who}, NAS: "bng1", Session: "s-" + who, Source: Radius, Prefix: netip.MustParsePrefix(net), Start: at(start), Seen: at(seen), Ended: end}
	if end == Stopped || end == Restarted {
		h.Until = h.Seen
	}
	return h
}

func ports(h Held, first, last uint16) Held { h.Ports = Ports{first, last}; return h }

func until(h Held, n int) Held { h.Until = at(n); return h }

func inside(h Held, a string) Held {
	h.Inside, h.Identity = netip.MustParseAddr(a), Identity{}
	return h
}

func TestResolve(t *testing.T) {
	const addr = "198.51.100.7/32"
	for _, c := range []struct {
		name  string
		held  []Held
		port  uint16
		when  int
		skew  int
		level Level
		why   []Reason // of the answer and of its first candidate
		who   []string // all candidates
		act   bool
	}{
		{"during a session", []Held{held("anna", addr, 0, 9, Stopped)}, 0, 5, 1, Certain, []Reason{Whole}, []string{"anna"}, true},
		{"nobody", []Held{held("anna", addr, 0, 9, Stopped)}, 0, 20, 1, "", []Reason{Nobody}, nil, false},
		{"a clock that may be wrong over two sessions", []Held{held("anna", addr, 0, 9, Stopped), held("bram", addr, 10, 20, Stopped)}, 0, 10, 1, Likely, []Reason{Churn, Edge}, []string{"bram", "anna"}, false},
		{"the same customer again", []Held{held("anna", addr, 0, 9, Stopped), held("anna", addr, 10, 20, Stopped)}, 0, 10, 1, Likely, []Reason{Edge}, []string{"anna"}, true},
		{"no Stop, and nobody since", []Held{held("anna", addr, 0, 2, Open)}, 0, 3, 0, Likely, []Reason{NoEnd}, []string{"anna"}, true},
		{"no Stop, silent for longer than it should", []Held{held("anna", addr, 0, 2, Open)}, 0, 30, 0, Possible, []Reason{NoEnd, Silent}, []string{"anna"}, false},
		{"no Stop, but somebody else since", []Held{held("anna", addr, 0, 2, Open), held("bram", addr, 4, 20, Stopped)}, 0, 6, 1, Certain, []Reason{Whole}, []string{"bram"}, true},
		{"the access server began anew", []Held{until(held("anna", addr, 0, 2, Restarted), 8)}, 0, 6, 0, Possible, []Reason{NoEnd, AfterRestart}, []string{"anna"}, false},
		{"after the access server began anew", []Held{until(held("anna", addr, 0, 2, Restarted), 8)}, 0, 9, 0, "", []Reason{Nobody}, nil, false},
		{"sources disagree", []Held{held("anna", addr, 0, 9, Stopped), held("bram", addr, 2, 20, Stopped)}, 0, 5, 0, Certain, []Reason{Churn, Conflict, Whole}, []string{"bram", "anna"}, false},
		{"a shared address without a port", []Held{ports(held("anna", addr, 0, 9, Stopped), 1024, 2047), ports(held("bram", addr, 0, 9, Stopped), 2048, 3071)}, 0, 5, 0, Certain, []Reason{NeedsPort, Churn}, []string{"anna", "bram"}, false},
		{"a shared address without a port, one known", []Held{ports(held("anna", addr, 0, 9, Stopped), 1024, 2047)}, 0, 5, 0, Certain, []Reason{NeedsPort}, []string{"anna"}, false},
		{"a shared address with a port", []Held{ports(held("anna", addr, 0, 9, Stopped), 1024, 2047), ports(held("bram", addr, 0, 9, Stopped), 2048, 3071)}, 2048, 5, 0, Certain, []Reason{Whole}, []string{"bram"}, true},
		{"behind a translator", []Held{ports(inside(held("", addr, 0, 9, Stopped), "100.64.0.9"), 1024, 2047), held("anna", "100.64.0.9/32", 0, 9, Stopped), held("bram", "100.64.0.8/32", 0, 9, Stopped)}, 1030, 5, 0, Certain, []Reason{Whole, Behind}, []string{"anna"}, true},
		{"behind a translator, nobody known", []Held{ports(inside(held("", addr, 0, 9, Stopped), "100.64.0.9"), 1024, 2047)}, 1030, 5, 0, Possible, []Reason{Whole, NobodyBehind}, []string{""}, false},
		{"a customer's session within a reseller's network", []Held{held("reseller", "198.51.100.0/24", 0, 0, Fixed), held("anna", addr, 0, 9, Stopped)}, 0, 5, 1, Certain, []Reason{Whole}, []string{"anna"}, true},
		{"a reseller's network without sessions", []Held{held("reseller", "198.51.100.0/24", 0, 0, Fixed)}, 0, 5, 1, Certain, []Reason{Whole}, []string{"reseller"}, true},
		{"a reseller's network and a session that may be over", []Held{held("reseller", "198.51.100.0/24", 0, 0, Fixed), held("anna", addr, 0, 2, Open)}, 0, 5, 1, Certain, []Reason{Churn, Whole}, []string{"reseller", "anna"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			find := func(a netip.Addr) (out []Held) {
				for _, h := range c.held {
					if h.Prefix.Contains(a) {
						out = append(out, h)
					}
				}
				return out
			}
			a := Resolve(Question{Addr: netip.MustParseAddr("198.51.100.7"), Port: c.port, At: at(c.when), Skew: time.Duration(c.skew) * tick}, Policy{Interim: 2 * tick}, find)
			var who []string
			why := slices.Clone(a.Why)
			for i, cand := range a.Candidates {
				who = append(who, cand.Subscriber)
				if i == 0 {
					why = append(why, cand.Why...)
					if cand.Level != c.level {
						t.Errorf("level %s want %s", cand.Level, c.level)
					}
				}
			}
			if !slices.Equal(who, c.who) {
				t.Errorf("candidates %q want %q", who, c.who)
			}
			for _, r := range c.why {
				if !slices.Contains(why, r) {
					t.Errorf("reasons %q want also %q", why, r)
				}
			}
			if _, ok := a.Act(); ok != c.act {
				t.Errorf("act %v want %v", ok, c.act)
			}
		})
	}
}

// An address that came into a session later was not the session's from its begin.
func TestAPrefixThatCameLaterIsNotHeldFromTheBegin(t *testing.T) {
	b := book{}
	b.tell(rec(Start, "anna", "1", 0, 0, v4))
	b.tell(rec(Interim, "anna", "1", 5, 5, v4, v6))
	a := Resolve(Question{Addr: v6.Addr(), At: at(2)}, Policy{}, b.find)
	if c, ok := a.Act(); ok {
		t.Errorf("acts on %+v before the prefix was seen", c)
	}
	if a = Resolve(Question{Addr: v6.Addr(), At: at(5)}, Policy{}, b.find); len(a.Candidates) != 1 || a.Candidates[0].Level != Certain {
		t.Errorf("once seen: %+v", a)
	}
}

// An access server that began anew uses the names of its sessions again.
func TestANameThatIsUsedAgainIsAnotherSession(t *testing.T) {
	b := book{}
	b.tell(rec(Start, "anna", "0000001", 0, 0, v4))
	b.tell(rec(Start, "bram", "0000001", 6, 0, v4))
	b.tell(rec(Stop, "bram", "0000001", 9, 3, v4))
	for when, want := range map[int]string{2: "anna", 7: "bram"} {
		c, ok := Resolve(Question{Addr: v4.Addr(), At: at(when)}, Policy{}, b.find).Act()
		if !ok || c.Subscriber != want {
			t.Errorf("at %d: %v %q want %q", when, ok, c.Subscriber, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"kind":"start","source":"radius","nas":"b","session":"1","subscriber":"anna","prefixes":["198.51.100.7/32"],"at":"2026-11-26T12:00:00Z","lasted":0}`))
	f.Add([]byte(`{"kind":"stop","source":"nat","session":"1","prefixes":["198.51.100.7/32"],"ports":{"first":1024,"last":2047},"inside":"100.64.0.1","at":"2026-11-26T12:00:00+01:00","lasted":-1}`))
	f.Add([]byte(`{"kind":"on","source":"radius","nas":"b","at":"2026-11-26T12:00:00Z"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		Decode(b) // whatever is packed in it
		got, err := DecodeLines(b)
		if err != nil {
			return
		}
		again, err := Decode(Encode(got))
		if err != nil || len(again) != len(got) {
			t.Fatalf("%q: read %d, written again %d (%v)", b, len(got), len(again), err)
		}
		for _, r := range got {
			Apply(nil, r)
		}
	})
}
