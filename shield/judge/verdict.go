package judge

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"
)

// Verdict is what the evidence amounts to: a word with named reasons, never a
// blended score.
type Verdict struct {
	Word    Word     `json:"verdict"`
	Reasons []Reason `json:"reasons"`
	// Because says why a verdict is inconclusive: low_coverage, fetch_failed or
	// contradiction. Empty otherwise.
	Because string `json:"inconclusive_reason,omitempty"`
	// Brand is the brand that the evidence against the name speaks of, empty
	// where it speaks of none or of several.
	Brand   string `json:"brand,omitempty"`
	Ruleset string `json:"ruleset"`
}

// Judge applies these rules; the first that fits gives the word, and every piece
// of evidence that speaks for it gives a reason:
//
//  1. No source of tier 1 or 2 answered: inconclusive.
//  2. Rule 3 or 4 would fit and tier 1 says clean: inconclusive, a contradiction.
//  3. Tier 1 says malicious: malicious.
//  4. Two sources of tier 2 say malicious, and not both from the name: malicious.
//  5. Anything else says malicious or suspicious: suspicious. So evidence of the
//     name alone, or of tier 3 alone, never says more.
//  6. Tier 1 says clean: clean.
//  7. Otherwise: inconclusive.
//
// How many people reported it (family crowd) changes nothing. What the name
// alone says counts as tier 2 at most. No data and failures never count as clean.
// The order of the evidence does not matter.
func Judge(evidence []Evidence) Verdict {
	var of [3][]Evidence // malicious of tier 1, 2, 3
	var suspects, cleans, failures []Evidence
	answered := false
	for _, e := range evidence {
		if e.Family == FamilyCrowd {
			continue
		}
		tier := min(max(e.Tier, 1), 3)
		if e.Family == FamilyName && e.Verdict != Clean {
			tier = max(tier, 2)
		}
		switch e.Verdict {
		case Malicious:
			of[tier-1] = append(of[tier-1], e)
		case Suspicious:
			suspects = append(suspects, e)
		case Clean:
			if tier == 1 {
				cleans = append(cleans, e)
			}
		case Failed:
			failures = append(failures, e)
			continue
		default:
			continue
		}
		answered = answered || tier <= 2
	}
	bad := len(of[0]) > 0 || confirmed(of[1])
	against := slices.Concat(of[0], of[1], of[2], suspects)
	switch {
	case !answered && len(failures) > 0:
		return verdict(Inconclusive, "fetch_failed", append(failures, against...))
	case !answered:
		return verdict(Inconclusive, "low_coverage", against)
	case bad && len(cleans) > 0:
		return verdict(Inconclusive, "contradiction", slices.Concat(of[0], of[1], cleans))
	case bad:
		return verdict(Malicious, "", against)
	case len(against) > 0:
		return verdict(Suspicious, "", against)
	case len(cleans) > 0:
		return verdict(Clean, "", cleans)
	}
	return verdict(Inconclusive, "low_coverage", nil)
}

// rulesets are the rules that this program has, by the version that a verdict
// names. A change of Judge's rules that can change a verdict gets a new version,
// and the old one stays here, so that old verdicts can be made again.
//
// 2026.2 and 2026.3 make other evidence of names and mails than the version before,
// and the same verdict of the same evidence.
var rulesets = map[string]func([]Evidence) Verdict{Ruleset: Judge, "2026.2": as("2026.2", Judge), "2026.1": as("2026.1", Judge)}

// as is rules under the name of an earlier version that judged by the same.
func as(version string, rules func([]Evidence) Verdict) func([]Evidence) Verdict {
	return func(evidence []Evidence) Verdict {
		v := rules(evidence)
		v.Ruleset = version
		return v
	}
}

// JudgeBy is Judge by the rules of an earlier version, where the program has
// them.
func JudgeBy(version string, evidence []Evidence) (v Verdict, known bool) {
	rules, known := rulesets[version]
	if !known {
		return Verdict{Word: Inconclusive, Ruleset: version}, false
	}
	return rules(evidence), true
}

// confirmed says that two different sources agree and the name is not all there is.
func confirmed(tier2 []Evidence) bool {
	for i, a := range tier2 {
		for _, b := range tier2[i+1:] {
			if (a.Family != b.Family || a.Source != b.Source) && (a.Family != FamilyName || b.Family != FamilyName) {
				return true
			}
		}
	}
	return false
}

func verdict(w Word, because string, from []Evidence) Verdict {
	v := Verdict{Word: w, Because: because, Ruleset: Ruleset}
	brands := map[string]bool{}
	for _, e := range from {
		text := fmt.Sprintf("%s (%s, tier %d) says %s", e.Source, e.Family, e.Tier, e.Verdict)
		if e.Detail != "" {
			text += ": " + e.Detail
		}
		v.Reasons = append(v.Reasons, Reason{e.Reason, text})
		if e.Brand != "" && e.Verdict != Clean {
			brands[e.Brand] = true
			v.Brand = e.Brand
		}
	}
	if len(brands) > 1 {
		v.Brand = ""
	}
	if because != "" {
		v.Reasons = append(v.Reasons, Reason{because, map[string]string{
			"low_coverage":  "no source that we trust said anything",
			"fetch_failed":  "the sources that were asked did not answer",
			"contradiction": "sources that we trust fully contradict each other: a person looks",
		}[because]})
	}
	slices.SortFunc(v.Reasons, func(a, b Reason) int {
		if c := strings.Compare(a.Code, b.Code); c != 0 {
			return c
		}
		return strings.Compare(a.Text, b.Text)
	})
	v.Reasons = slices.Compact(v.Reasons)
	return v
}

// Priority orders the queue: the larger, the sooner a person looks. It is the
// product of three steps and means nothing by itself: reporters (each doubling
// counts one, up to 64 reporters, so that a flood buys little), whether a brand
// is imitated, and how fresh the first report is. It never touches a verdict.
func Priority(reporters int, brand bool, sinceFirst time.Duration) int {
	p := 1 + min(bits.Len(uint(max(reporters, 0))), 7)
	if brand {
		p *= 2
	}
	switch {
	case sinceFirst <= time.Hour:
		p *= 3
	case sinceFirst <= 24*time.Hour:
		p *= 2
	}
	return p
}
