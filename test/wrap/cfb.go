package wrap

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf16"
)

// storage is a folder in a compound file (MS-CFB).
type storage struct {
	streams  map[string][]byte
	storages map[string]*storage
}

func newStorage() *storage {
	return &storage{streams: map[string][]byte{}, storages: map[string]*storage{}}
}

const (
	sectorSize = 512
	miniSize   = 64
	miniCutoff = 4096
	endOfChain = 0xfffffffe
	freeSector = 0xffffffff
	fatSector  = 0xfffffffd
	noEntry    = 0xffffffff
)

type entry struct {
	name               string
	kind               byte
	left, right, child uint32
	start              uint32
	size               int
	data               []byte
}

// cfb writes a compound file of version 3: 512-octet sectors, small streams in
// the mini stream, siblings in a balanced tree.
func (s *storage) cfb() []byte {
	entries := []entry{{name: "Root Entry", kind: 5, left: noEntry, right: noEntry, child: noEntry}}
	entries[0].child = s.place(&entries)
	var body, mini bytes.Buffer
	var fat, miniFAT []uint32
	chain := func(b []byte) uint32 {
		if len(b) == 0 {
			return endOfChain
		}
		first := uint32(len(fat))
		n := (len(b) + sectorSize - 1) / sectorSize
		for i := range n {
			next := first + uint32(i) + 1
			if i == n-1 {
				next = endOfChain
			}
			fat = append(fat, next)
		}
		body.Write(b)
		body.Write(make([]byte, n*sectorSize-len(b)))
		return first
	}
	for i := range entries {
		e := &entries[i]
		switch {
		case e.kind != 2:
		case len(e.data) == 0:
			e.start = endOfChain
		case len(e.data) < miniCutoff:
			e.start = uint32(len(miniFAT))
			n := (len(e.data) + miniSize - 1) / miniSize
			for j := range n {
				next := e.start + uint32(j) + 1
				if j == n-1 {
					next = endOfChain
				}
				miniFAT = append(miniFAT, next)
			}
			mini.Write(e.data)
			mini.Write(make([]byte, n*miniSize-len(e.data)))
		default:
			e.start = chain(e.data)
		}
		e.size = len(e.data)
	}
	entries[0].start, entries[0].size = chain(mini.Bytes()), mini.Len()
	smallTable := chain(words(miniFAT))
	var dir bytes.Buffer
	for _, e := range entries {
		dir.Write(e.bytes())
	}
	for dir.Len()%sectorSize != 0 {
		e := entry{left: noEntry, right: noEntry, child: noEntry}
		dir.Write(e.bytes())
	}
	directory := chain(dir.Bytes())
	// The table covers its own sectors and those that list them.
	tables, lists := 0, 0
	for {
		t := (len(fat) + tables + lists + 127) / 128
		l := (max(t-109, 0) + 126) / 127
		if t == tables && l == lists {
			break
		}
		tables, lists = t, l
	}
	firstTable := uint32(len(fat))
	for range tables {
		fat = append(fat, fatSector)
	}
	firstList := uint32(len(fat))
	for range lists {
		fat = append(fat, 0xfffffffc)
	}
	for len(fat)%128 != 0 {
		fat = append(fat, freeSector)
	}
	head := make([]byte, sectorSize)
	copy(head, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
	put16, put32 := binary.LittleEndian.PutUint16, binary.LittleEndian.PutUint32
	put16(head[24:], 0x3e)
	put16(head[26:], 3)
	put16(head[28:], 0xfffe)
	put16(head[30:], 9)
	put16(head[32:], 6)
	put32(head[44:], uint32(tables))
	put32(head[48:], directory)
	put32(head[56:], miniCutoff)
	put32(head[60:], smallTable)
	put32(head[64:], uint32((len(miniFAT)*4+sectorSize-1)/sectorSize))
	put32(head[68:], endOfChain)
	if lists > 0 {
		put32(head[68:], firstList)
		put32(head[72:], uint32(lists))
	}
	for i := range 109 {
		put32(head[76+4*i:], freeSector)
		if i < tables {
			put32(head[76+4*i:], firstTable+uint32(i))
		}
	}
	out := append(head, body.Bytes()...)
	out = append(out, words(fat)...)
	for l := range lists {
		list := make([]uint32, 128)
		for i := range 127 {
			list[i] = freeSector
			if n := 109 + l*127 + i; n < tables {
				list[i] = firstTable + uint32(n)
			}
		}
		list[127] = endOfChain
		if l < lists-1 {
			list[127] = firstList + uint32(l) + 1
		}
		out = append(out, words(list)...)
	}
	return out
}

func words(v []uint32) []byte {
	b := make([]byte, 4*len(v))
	for i, w := range v {
		binary.LittleEndian.PutUint32(b[4*i:], w)
	}
	return b
}

// place puts the entries of a storage into the directory and gives the root of
// their tree.
func (s *storage) place(all *[]entry) uint32 {
	var names []string
	for n := range s.streams {
		names = append(names, n)
	}
	for n := range s.storages {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(strings.ToUpper(a), strings.ToUpper(b))
	})
	at := map[string]uint32{}
	for _, n := range names {
		at[n] = uint32(len(*all))
		*all = append(*all, entry{name: n, kind: 2, left: noEntry, right: noEntry, child: noEntry, data: s.streams[n]})
	}
	for _, n := range names {
		if sub := s.storages[n]; sub != nil {
			child := sub.place(all)
			(*all)[at[n]].kind, (*all)[at[n]].child = 1, child
		}
	}
	var tree func(names []string) uint32
	tree = func(names []string) uint32 {
		if len(names) == 0 {
			return noEntry
		}
		m := len(names) / 2
		left, right := tree(names[:m]), tree(names[m+1:])
		(*all)[at[names[m]]].left, (*all)[at[names[m]]].right = left, right
		return at[names[m]]
	}
	return tree(names)
}

func (e *entry) bytes() []byte {
	b := make([]byte, 128)
	units := utf16.Encode([]rune(e.name))
	for i, u := range units {
		binary.LittleEndian.PutUint16(b[2*i:], u)
	}
	if e.name != "" {
		binary.LittleEndian.PutUint16(b[64:], uint16(2*len(units)+2))
	}
	b[66], b[67] = e.kind, 1
	binary.LittleEndian.PutUint32(b[68:], e.left)
	binary.LittleEndian.PutUint32(b[72:], e.right)
	binary.LittleEndian.PutUint32(b[76:], e.child)
	binary.LittleEndian.PutUint32(b[116:], e.start)
	binary.LittleEndian.PutUint32(b[120:], uint32(e.size))
	return b
}
