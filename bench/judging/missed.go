package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"bolwerk/shield/judge"
	"bolwerk/shield/reading"
)

// causeList are the causes for which a mail is missed, in the order in which they
// are asked for. Each is computed from what reading and judging made of the mail,
// so that nobody has to look at a mail to count it.
var causeList = []struct {
	name string
	fits func(judged) bool
}{
	{"no name: nothing that could be read", func(j judged) bool {
		return len(j.names) == 0 && len(j.r.Wanted()) == 0 && len(strings.Fields(j.r.Excerpt)) < 5
	}},
	{"no name: a link that leads nowhere", func(j judged) bool { return len(j.names) == 0 && len(j.r.Wanted()) > 0 }},
	{"no name: an answer by mail or a call is asked for", func(j judged) bool { return len(j.names) == 0 && len(j.r.Others) > 0 }},
	{"no name: text without a link", func(j judged) bool { return len(j.names) == 0 }},
	{"links in an attachment only", func(j judged) bool {
		return all(j, func(n judgedName) bool { return viaAttachment(j.r, n) })
	}},
	{"links to a brand's own pages only", func(j judged) bool {
		return all(j, func(n judgedName) bool { return says(n, "own_name") })
	}},
	{"links to popular names only", func(j judged) bool {
		return all(j, func(n judgedName) bool { return n.popular || says(n, "own_name") })
	}},
	{"links to shared names only (forms, clicks, shorteners), or popular ones", func(j judged) bool {
		return all(j, func(n judgedName) bool { return n.place.Shared || n.popular || says(n, "own_name") })
	}},
	{"links to the sender's own pages", func(j judged) bool {
		return slices.ContainsFunc(j.names, func(n judgedName) bool { return n.own && !says(n, "own_name") })
	}},
	{"words in a language without phrases", func(j judged) bool { return j.r.Lang == "" && !latin(j.r.Excerpt) }},
	{"hardly a word", func(j judged) bool { return len(strings.Fields(j.r.Excerpt)) < 12 }},
	{"one reason that is context", func(j judged) bool { return len(contexts(j)) == 1 }},
	{"several reasons that are context", func(j judged) bool { return len(contexts(j)) > 1 }},
	{"nothing is against it", func(judged) bool { return true }},
}

func causeOf(j judged) string {
	for _, c := range causeList {
		if c.fits(j) {
			return c.name
		}
	}
	return ""
}

func all(j judged, fits func(judgedName) bool) bool {
	for _, n := range j.names {
		if !fits(n) {
			return false
		}
	}
	return len(j.names) > 0
}

func says(n judgedName, reason string) bool {
	return slices.ContainsFunc(n.evidence, func(e judge.Evidence) bool { return e.Reason == reason })
}

// viaAttachment says that a name was found in a file only.
func viaAttachment(r reading.Result, n judgedName) bool {
	for _, u := range r.Wanted() {
		if u.Name == n.place.Name && !slices.ContainsFunc(u.Via, reading.InFile) {
			return false
		}
	}
	return true
}

// latin says that most letters of a text are Latin ones.
func latin(text string) bool {
	a, other := 0, 0
	for _, r := range text {
		switch {
		case r < 0x250:
			a++
		default:
			other++
		}
	}
	return a >= other
}

// contexts are the reasons against the names of a mail that count as context.
func contexts(j judged) map[string]bool {
	out := map[string]bool{}
	for _, n := range j.names {
		for _, e := range n.evidence {
			if e.Verdict == judge.Suspicious || e.Verdict == judge.Malicious {
				out[e.Reason] = true
			}
		}
	}
	return out
}

// causes counts the missed mails of one half.
type causes struct {
	count map[string]int
	only  map[string]int // which reason it was that is context
}

func (c *causes) add(j judged) {
	cause := causeOf(j)
	c.count[cause]++
	if cause == "one reason that is context" {
		for r := range contexts(j) {
			c.only[r]++
		}
	}
}

// print shows the half in view beside the sums of the other, where it was measured.
func (c *causes) print(other *causes) {
	fmt.Printf("  %-72s %8s %10s\n", "cause", inView, heldBack)
	for _, cause := range causeList {
		back := "-"
		if other != nil {
			back = fmt.Sprint(other.count[cause.name])
		}
		fmt.Printf("  %-72s %8d %10s\n", cause.name, c.count[cause.name], back)
	}
	list := func(m map[string]int) (out []string) {
		for _, r := range slices.Sorted(maps.Keys(m)) {
			out = append(out, fmt.Sprintf("%s %d", r, m[r]))
		}
		return out
	}
	fmt.Printf("  the one reason, in view: %s\n", strings.Join(list(c.only), ", "))
	if other != nil {
		fmt.Printf("  held back: %s\n", strings.Join(list(other.only), ", "))
	}
}
