package content

import (
	"hash/fnv"
	"math/bits"
	"slices"
	"strings"

	"bolwerk/shield/judge"
)

// shingles are the tags of a page in threes, each tag with its attributes'
// names and with what its makers chose and visitors do not: the type and name of
// a field, the class. A page that is made of the same kit has nearly the same ones,
// whatever names, amounts and tokens are filled in.
type shingles struct {
	last [2]string
	n    int
	sums [64]int
}

// minShingles is how long a page has to be for its hash to say anything: a bare
// log-in form of ten tags looks like every other one.
const minShingles = 25

// maxShingles bounds the work on an endless page.
const maxShingles = 20_000

func (s *shingles) add(tag string, names []string, attrs map[string]string) {
	if s.n >= maxShingles || tag == "br" {
		return
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteString(tag)
	for _, n := range names {
		if strings.HasPrefix(n, "data-") || strings.HasPrefix(n, "on") || n == "nonce" || n == "style" {
			continue // made anew for each visitor
		}
		b.WriteByte(' ')
		b.WriteString(n)
		if n == "type" || n == "name" || n == "class" {
			v := attrs[n]
			b.WriteByte('=')
			b.WriteString(judge.Digitless(v[:min(len(v), 80)]))
		}
	}
	this := b.String()
	h := fnv.New64a()
	h.Write([]byte(s.last[0]))
	h.Write([]byte{0})
	h.Write([]byte(s.last[1]))
	h.Write([]byte{0})
	h.Write([]byte(this))
	sum := mix(h.Sum64())
	for i := range s.sums {
		s.sums[i] += int(sum>>i&1)*2 - 1
	}
	s.n++
	s.last = [2]string{s.last[1], this}
}

// mix spreads FNV's weak high bits (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (s *shingles) hash() (out uint64) {
	if s.n < minShingles {
		return 0
	}
	for i, n := range s.sums {
		if n > 0 {
			out |= 1 << i
		}
	}
	return out
}

// Distance is how many of the 64 bits of two simhashes differ.
func Distance(a, b uint64) int { return bits.OnesCount64(a ^ b) }
