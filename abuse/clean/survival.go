// Package clean says whether lines became clean, and how fast: absence counts only on
// days on which the feeds that told of the line were heard, and what is not over yet
// is not left out. Pure.
package clean

import (
	"math"
	"slices"
)

// Life is one case as a curve takes it: from when it began until the line was last
// seen, or until now where it may still go on.
type Life struct {
	Days float64
	// Ended says that the line was seen for the last time then. False: it may be seen
	// again, all that is known is that it went on so long (the case is censored).
	Ended bool
}

// Point is a step of a curve.
type Point struct {
	Day   float64 // since the beginning
	Left  float64 // share of the lines that are not clean yet, 0 to 1
	Low   float64 // of 95 in 100 bounds, 0 to 1
	High  float64
	Known int // lives that went on just before
}

// Curve is how many of the lines are not clean yet as time goes on (E. L. Kaplan,
// P. Meier, "Nonparametric estimation from incomplete observations", 1958), with bounds
// by Greenwood's variance on the scale log(-log), which stay within 0 and 1. It begins
// at day 0 with all of them, and ends with the longest life: of later days nothing is
// known, unless all were clean by then.
func Curve(lives []Life) []Point {
	all := slices.Clone(lives)
	slices.SortFunc(all, func(a, b Life) int {
		switch {
		case a.Days < b.Days:
			return -1
		case a.Days > b.Days:
			return 1
		}
		return 0
	})
	out := []Point{{Day: 0, Left: 1, Low: 1, High: 1, Known: len(all)}}
	left, sum := 1.0, 0.0
	for i := 0; i < len(all); {
		at, known := all[i].Days, len(all)-i
		ended := 0
		for ; i < len(all) && all[i].Days == at; i++ {
			if all[i].Ended {
				ended++
			}
		}
		if ended == 0 {
			continue
		}
		left *= 1 - float64(ended)/float64(known)
		if known > ended {
			sum += float64(ended) / (float64(known) * float64(known-ended))
		}
		p := Point{Day: at, Left: left, Known: known}
		p.Low, p.High = bounds(left, sum)
		out = append(out, p)
	}
	if end := out[len(out)-1]; len(all) > 0 && all[len(all)-1].Days > end.Day {
		end.Day, end.Known = all[len(all)-1].Days, 0
		for _, l := range all {
			if l.Days == end.Day {
				end.Known++
			}
		}
		out = append(out, end)
	}
	return out
}

const z95 = 1.959964 // of the normal distribution, 95 in 100 in the middle

func bounds(left, sum float64) (low, high float64) {
	if left <= 0 {
		return 0, 0
	}
	if left >= 1 {
		return 1, 1
	}
	l := math.Log(left)
	w := z95 * math.Sqrt(sum) / l
	return math.Pow(left, math.Exp(-w)), math.Pow(left, math.Exp(w))
}

// Median is after how many days half of the lines are clean; false where fewer are.
func Median(curve []Point) (float64, bool) {
	for _, p := range curve {
		if p.Left <= 0.5 {
			return p.Day, true
		}
	}
	return 0, false
}

// At is the share of lines that are not clean after so many days; false where nobody was
// observed for so long.
func At(curve []Point, day float64) (left float64, known bool) {
	for _, p := range curve {
		if p.Day > day {
			return left, true
		}
		left, known = p.Left, p.Day == day || p.Left == 0
	}
	return left, known
}
