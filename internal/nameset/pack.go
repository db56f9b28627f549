package nameset

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"

	"bolwerk"
)

// A name has 39 different characters, and 40*40*40 is less than 65,536: three
// characters fit two octets. Symbol 0 ends the name. 22 characters take 16
// octets instead of 23.

const alphabet = "\x00abcdefghijklmnopqrstuvwxyz0123456789-_."

var symbol = func() (s [256]uint8) {
	for i := range s {
		s[i] = 255 // no symbol: equal to nothing that is stored
	}
	for i := 1; i < len(alphabet); i++ {
		s[alphabet[i]] = uint8(i)
	}
	return s
}()

const dot = 39

// packedSize is how many octets a name of n characters takes: n symbols and at
// least one end.
func packedSize(n int) int { return 2 * (n/3 + 1) }

func pack(b []byte, name string) {
	for i := 0; i <= len(name); i += 3 {
		var v uint16
		for j := i; j < i+3; j++ {
			v *= 40
			if j < len(name) {
				v += uint16(symbol[name[j]])
			}
		}
		binary.LittleEndian.PutUint16(b, v)
		b = b[2:]
	}
}

// packedLen is the length of the packed name that b begins with.
func packedLen(b []byte) int {
	for i := 0; ; i += 2 {
		if binary.LittleEndian.Uint16(b[i:])%40 == 0 {
			return i + 2
		}
	}
}

func unpack(b []byte) bolwerk.Domain {
	var buf [256]byte
	n := 0
	for i := 0; i < len(b); i += 2 {
		v := binary.LittleEndian.Uint16(b[i:])
		for _, s := range [3]uint16{v / 1600, v / 40 % 40, v % 40} {
			if s != 0 {
				buf[n] = alphabet[s]
				n++
			}
		}
	}
	return bolwerk.MustDomain(string(buf[:n]))
}

func packedLabels(b []byte) int {
	n := 1
	for i := 0; i < len(b); i += 2 {
		v := binary.LittleEndian.Uint16(b[i:])
		for _, s := range [3]uint16{v / 1600, v / 40 % 40, v % 40} {
			if s == dot {
				n++
			}
		}
	}
	return n
}

// samePacked compares a packed name with one in wire format without final zero.
func samePacked(b, wire []byte) bool {
	p, label := 0, 0 // label: octets left of the current label
	next := func() uint16 {
		if label == 0 {
			if p > 0 && p < len(wire) {
				label = int(wire[p])
				p++
				return dot
			}
			if p >= len(wire) {
				return 0
			}
			label = int(wire[p])
			p++
		}
		label--
		c := symbol[wire[p]]
		p++
		if c == dot { // a dot inside a label is not a separator
			return 255
		}
		return uint16(c)
	}
	for ; ; b = b[2:] {
		v := binary.LittleEndian.Uint16(b)
		if v/1600 != next() || v/40%40 != next() || v%40 != next() {
			return false
		}
		if v%40 == 0 {
			return true
		}
	}
}

// The hash is keyed per process: nobody outside can look for names that crowd
// one bucket.
var seed = func() (s [3]uint64) {
	var b [24]byte
	rand.Read(b[:])
	for i := range s {
		s[i] = binary.LittleEndian.Uint64(b[8*i:]) | 1
	}
	return s
}()

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^seed[0], b^seed[1])
	return hi ^ lo
}

// hashLabel goes on with the hash of the labels to the right. label has its
// length octet in front, so that a.bc and ab.c differ.
func hashLabel(h uint64, label []byte) uint64 {
	for len(label) > 8 {
		h = mix(h^word(label), seed[2])
		label = label[8:]
	}
	return mix(h^word(label), seed[2]^uint64(len(label)))
}

// packedGood is how long the packed name is that b begins with and how many labels
// it has, 0 where it is none: what comes from a file is not believed.
func packedGood(b []byte) (n, labels int) {
	chars, label := 0, 0
	number := true // the label has nothing but digits
	labels = 1
	for ; n+2 <= len(b); n += 2 {
		v := binary.LittleEndian.Uint16(b[n:])
		for _, s := range [3]uint16{v / 1600, v / 40 % 40, v % 40} {
			switch {
			case s == 0:
				if label == 0 || number || v%40 != 0 || v < 1600 && v != 0 { // nothing follows the end
					return 0, 0
				}
				return n + 2, labels
			case s == dot:
				if label == 0 {
					return 0, 0
				}
				labels++
				label, number = 0, true
			case s >= 40 || v >= 64000:
				return 0, 0
			default:
				if label++; label > 63 {
					return 0, 0
				}
				number = number && alphabet[s] >= '0' && alphabet[s] <= '9'
			}
			if chars++; chars > 253 {
				return 0, 0
			}
		}
	}
	return 0, 0
}

// hashPacked is the hash of a stored name.
func hashPacked(b []byte) uint64 {
	var wire [256]byte
	var starts [129]uint8
	n, p := 0, 1 // label n begins at starts[n]
	for ; ; b = b[2:] {
		v := uint32(binary.LittleEndian.Uint16(b))
		for _, s := range [3]uint32{v / 1600, v / 40 % 40, v % 40} {
			if s == 0 {
				wire[starts[n]] = byte(p - int(starts[n]) - 1)
				h := uint64(0)
				for ; n >= 0; n-- {
					h = hashLabel(h, wire[starts[n]:p])
					p = int(starts[n])
				}
				return h
			}
			if s == dot {
				wire[starts[n]] = byte(p - int(starts[n]) - 1)
				n++
				starts[n] = uint8(p)
			} else {
				wire[p] = alphabet[s]
			}
			p++
		}
	}
}

// spread takes the upper bits of h to one of n; tagOf takes the lower ones. A tag
// is never 0, which is an empty slot, nor 1: find would take the empty slot above
// a hit for another hit, and visit the first record of the arena twice.
func spread(h uint64, n int) int {
	hi, _ := bits.Mul64(h, uint64(n))
	return int(hi)
}

func tagOf(h uint64) uint64 {
	if t := h & 0xff; t > 1 {
		return t
	}
	return 2
}
