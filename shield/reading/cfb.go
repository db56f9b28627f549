package reading

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
)

// Bounds on one compound file (MS-CFB), the file system in a file that .msg and
// old Office files are.
const (
	maxCFBEntries = 20_000 // storages and streams; a mail with 100 attachments has some 4,000
	cfbNone       = 0xffffffff
	cfbLast       = 0xfffffffa // sector numbers above say "end", "free", "table"
)

var cfbMagic = []byte{0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1}

// cfb is an open compound file. Nothing in it is believed: chains may be circles,
// sizes may be lies, two streams may share their sectors.
type cfb struct {
	raw     []byte
	shift   uint     // of a sector
	cutoff  uint32   // streams below it lie in the small sectors
	table   []uint32 // sectors of the allocation table
	small   []byte   // allocation table of the small sectors
	mini    []byte   // the small sectors
	entries []cfbEntry
}

type cfbEntry struct {
	name               string
	kind               byte // 1 storage, 2 stream, 5 root
	left, right, child uint32
	start              uint32
	size               uint64
}

// openCFB reads the tables; false says that it is no compound file.
func openCFB(raw []byte) (*cfb, bool) {
	if len(raw) < 512 || !bytes.HasPrefix(raw, cfbMagic) {
		return nil, false
	}
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(raw[at:]) }
	f := &cfb{raw: raw, shift: uint(binary.LittleEndian.Uint16(raw[30:])), cutoff: min(u32(56), 4096)}
	if f.shift != 9 && f.shift != 12 {
		return nil, false
	}
	sectors := len(raw)>>f.shift + 1
	for i := range 109 {
		if n := u32(76 + 4*i); n < cfbLast {
			f.table = append(f.table, n)
		}
	}
	per := 1<<f.shift/4 - 1
	for n, step := u32(68), 0; n < cfbLast && step < sectors; step++ {
		s := f.sector(n)
		if s == nil {
			break
		}
		for i := 0; i < per && len(f.table) < sectors; i++ {
			if t := binary.LittleEndian.Uint32(s[4*i:]); t < cfbLast {
				f.table = append(f.table, t)
			}
		}
		n = binary.LittleEndian.Uint32(s[4*per:])
	}
	f.small = f.chain(u32(60), uint64(len(raw)))
	for at, dir := 0, f.chain(u32(48), maxCFBEntries*128); at+128 <= len(dir); at += 128 {
		f.entries = append(f.entries, readCFBEntry(dir[at:at+128], f.shift))
	}
	if len(f.entries) == 0 {
		return nil, false
	}
	f.mini = f.chain(f.entries[0].start, min(f.entries[0].size, uint64(len(raw))))
	return f, true
}

func readCFBEntry(b []byte, shift uint) cfbEntry {
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	n := min(int(binary.LittleEndian.Uint16(b[64:]))/2, 32)
	units := make([]uint16, 0, n)
	for i := range n {
		if u := binary.LittleEndian.Uint16(b[2*i:]); u != 0 {
			units = append(units, u)
		}
	}
	e := cfbEntry{name: string(utf16.Decode(units)), kind: b[66], left: u32(68), right: u32(72), child: u32(76),
		start: u32(116), size: binary.LittleEndian.Uint64(b[120:])}
	if shift == 9 {
		e.size &= 0xffffffff // version 3 leaves the upper half undefined
	}
	return e
}

// sector is nil where there is none; the last one may be short in broken files,
// and is filled up.
func (f *cfb) sector(n uint32) []byte {
	size := 1 << f.shift
	at := (int64(n) + 1) << f.shift
	if at >= int64(len(f.raw)) {
		return nil
	}
	s := f.raw[at:min(int(at)+size, len(f.raw))]
	if len(s) < size {
		s = append(make([]byte, 0, size), s...)[:size]
	}
	return s
}

// next is the sector behind n.
func (f *cfb) next(n uint32) uint32 {
	per := uint32(1) << f.shift / 4
	if n/per >= uint32(len(f.table)) {
		return cfbNone
	}
	s := f.sector(f.table[n/per])
	if s == nil {
		return cfbNone
	}
	return binary.LittleEndian.Uint32(s[4*(n%per):])
}

// chain gives the sectors from n on, at most limit octets and never more than
// the file holds: a circle ends there.
func (f *cfb) chain(n uint32, limit uint64) []byte {
	limit = min(limit, uint64(len(f.raw)))
	var b []byte
	for n < cfbLast && uint64(len(b)) < limit {
		s := f.sector(n)
		if s == nil {
			break
		}
		b = append(b, s[:min(uint64(len(s)), limit-uint64(len(b)))]...)
		n = f.next(n)
	}
	return b
}

// stream gives the octets of a stream, at most limit.
func (f *cfb) stream(i int, limit int) []byte {
	e := f.entries[i]
	size := min(e.size, uint64(max(limit, 0)))
	if e.size >= uint64(f.cutoff) {
		return f.chain(e.start, size)
	}
	var b []byte
	for n := e.start; n < cfbLast && uint64(len(b)) < size; {
		at := int64(n) * 64
		if at+64 > int64(len(f.mini)) {
			break
		}
		b = append(b, f.mini[at:at+int64(min(64, size-uint64(len(b))))]...)
		if int64(n)*4+4 > int64(len(f.small)) {
			break
		}
		n = binary.LittleEndian.Uint32(f.small[4*n:])
	}
	return b
}

// children are the entries of a storage, in the order of their names' tree.
func (f *cfb) children(i int) []int {
	var out []int
	seen := map[uint32]bool{}
	todo := []uint32{f.entries[i].child}
	for len(todo) > 0 && len(out) < maxCFBEntries {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if n >= uint32(len(f.entries)) || seen[n] || n == 0 {
			continue
		}
		seen[n] = true
		out = append(out, int(n))
		todo = append(todo, f.entries[n].right, f.entries[n].left)
	}
	return out
}
