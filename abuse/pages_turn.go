package abuse

import (
	"strings"
	"time"

	"bolwerk/abuse/quarantine"
	"bolwerk/desk"
)

// turn is what is next about a case: one sentence, and where it is done.
type turn struct {
	Key   string // of the sentence: abuse.turn.KEY
	Path  string // where a person does it; empty: nothing is to be done now
	Do    string // what the rules do next, where they go on
	Until time.Time
}

// Turn is the one thing that is next: what nobody but a person can end before what the
// rules do, and that before what a person may do.
func (d caseData) Turn() turn {
	c := d.C
	if c.State == desk.Closed {
		return turn{Key: "closed"}
	}
	worst := map[string]int{"stuck": 4, "failed": 3, "help": 2, "second": 1}
	var most turn
	for _, q := range c.Quarantines {
		what := waitsFor(q)
		if worst[what] > worst[most.Key] {
			most = turn{Key: what, Path: "/abuse/quarantine/" + q.Ref}
		}
	}
	switch {
	case most.Key != "":
		return most
	case c.Play != nil && c.Play.State == "running" && c.Play.Do != "":
		return turn{Key: "rules", Do: string(c.Play.Do), Until: c.Play.Due}
	case c.Held():
		return turn{Key: "held", Path: "/abuse/case/" + c.Ref + "/messages"}
	}
	return turn{Key: "tell", Path: "/abuse/case/" + c.Ref + "/messages"}
}

// waitsFor is what a person has to do about a quarantine; empty for nothing.
func waitsFor(q quarantine.Row) string {
	switch {
	case q.State == quarantine.Stuck, q.State == quarantine.Failed:
		return string(q.State)
	case q.State == quarantine.Requested && strings.Contains(strings.Join(q.Waits, ","), "second"):
		return "second"
	case q.State.Holds() && !q.HelpAt.IsZero():
		return "help"
	}
	return ""
}

// OpenOthers is how many of the subscriber's other cases are open.
func (d caseData) OpenOthers() (n int) {
	for _, c := range d.C.Others {
		if c.State == desk.Waiting {
			n++
		}
	}
	return n
}

// codeWord is a part of a note's code with the key of its word.
type codeWord struct{ Key, Code string }

// Words are the words of the note's code: what it is depends on what kind the note is of.
func (n noteData) Words() (out []codeWord) {
	if n.Code == "" || n.Kind == "exempted" { // a day
		return nil
	}
	what, rest, _ := strings.Cut(n.Code, ":")
	add := func(prefix, code string) { out = append(out, codeWord{prefix + code, code}) }
	switch n.Kind {
	case "quarantined":
		add("abuse.q.profile.", n.Code)
	case "tested":
		add("abuse.q.test.", n.Code)
	case "released":
		add("abuse.q.by.", n.Code)
	case "informed", "seen":
		add("abuse.message.kind.", what)
		if rest != "" {
			add("abuse.message.channel.", rest)
		}
	case "step":
		add("abuse.step.", what)
		for _, r := range strings.FieldsFunc(rest, func(c rune) bool { return c == ',' }) {
			add(map[string]string{"left": "abuse.play.do.", "held": "abuse.q.guard.", "nobody_told": "abuse.message.kind."}[what], r)
		}
	default:
		add("abuse.reason.", n.Code)
	}
	return out
}
