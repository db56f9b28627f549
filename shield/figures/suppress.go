package figures

// Suppress gives a total and its parts as they may be shown together. A part of
// 1 to 4 is Few. Where the others and the total would tell what it is, one more
// part is kept back with it, and then both are Held, so that nobody sees which
// of them is the small one. A total below Least takes all of its parts with it.
// Zero is shown, unless all parts are kept back.
//
// A reader who knows these rules and tries every table still has at least two
// values for every number that is not shown.
func Suppress(parts []int64) (total Cell, out []Cell) {
	out = make([]Cell, len(parts))
	var sum, rest, small int64
	next := int64(0) // the smallest that is not small
	for i, n := range parts {
		sum += n
		out[i].N = n
		switch {
		case few(n):
			rest, small = rest+n, small+1
		case n > 0 && (next == 0 || n < next):
			next = n
		}
	}
	keepBack := func(m Mark, which func(int64) bool) {
		for i, n := range parts {
			if which(n) {
				out[i] = Cell{Mark: m}
			}
		}
	}
	switch {
	case sum == 0:
	case sum < Least:
		keepBack(Few, func(int64) bool { return true })
		return Cell{Mark: Few}, out
	case small == 0:
	case next == 0 || small > 1 && (rest == small || rest == (Least-1)*small):
		keepBack(Held, func(int64) bool { return true }) // nothing to hide behind, or all of them 1, or 4
	case small > 1:
		keepBack(Few, few)
	default:
		keepBack(Held, func(n int64) bool { return few(n) || n == next })
	}
	return Cell{N: sum}, out
}

// Alone is a number as it may be shown where no sum of it with others is.
func Alone(n int64) Cell {
	if few(n) {
		return Cell{Mark: Few}
	}
	return Cell{N: n}
}

func few(n int64) bool { return n > 0 && n < Least }
