package reading

import "bolwerk/shield/unwrap"

// unwrapped is where a rewritten link leads, with the wrappers that were taken
// off, outermost first. Each step is brought to its normal form before the next,
// so that the host that is compared is the host that a browser would ask. What
// is wrapped deeper than unwrap.MaxDepth, or holds no web address, stays.
func unwrapped(u URL) (inner URL, by []string, ok bool) {
	inner = u
	for len(by) < unwrap.MaxDepth {
		to, wrapper, more := unwrap.Once(inner.URL)
		if !more {
			break
		}
		next, valid := Normalise(to)
		if !valid || next.URL == inner.URL {
			break
		}
		inner, by = next, append(by, wrapper)
	}
	return inner, by, len(by) > 0
}
