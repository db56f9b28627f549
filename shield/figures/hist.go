package figures

import "math"

// A histogram of durations whose days can be added up: eight steps to each
// doubling, so that what is told is at most 9 % above what was measured.

// steps is how many steps a doubling has.
const steps = 8

// Bucket is the step of a histogram that a duration of so many seconds falls into.
func Bucket(seconds float64) int {
	if !(seconds > 1) {
		return 0
	}
	return min(int(math.Ceil(steps*math.Log2(seconds))), 40*steps) // 2^40 s: 35,000 years
}

// Upper is the longest that falls into a step, in seconds.
func Upper(bucket int) int64 { return int64(math.Ceil(math.Exp2(float64(bucket) / steps))) }

// Percentiles reads a histogram: how many fell into each step. It knows nothing
// of fewer than Least.
func Percentiles(h map[int]int64) Times {
	var n int64
	last := 0
	for b, c := range h {
		n += c
		last = max(last, b)
	}
	if n < Least {
		return Times{}
	}
	at := func(share float64) int64 {
		want, sum := int64(math.Ceil(share*float64(n))), int64(0)
		for b := 0; b <= last; b++ {
			if sum += h[b]; sum >= want {
				return Upper(b)
			}
		}
		return Upper(last)
	}
	return Times{true, at(0.5), at(0.95)}
}
