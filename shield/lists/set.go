package lists

import (
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"slices"
	"sort"
	"strings"

	"bolwerk"
)

// Set is one loaded version of a list of names. It never changes, so any number
// of goroutines may use it. A name takes 17 to 34 bytes (measured).
//
// The names stand in one block of memory, with their labels turned round
// ("com.example.www"), sorted, so that a name, the names above it and the names
// below it are each found by binary search.
type Set struct {
	name    string
	version string
	arena   string
	at      []uint32 // where each name begins; one more than there are names
	flags   []flag
	rank    []uint32 // position in the file from 1; nil where the list is not ranked
	top     int      // what every name of an unranked popularity list is within
	urls    []uint64 // of entries that are an address of a page, not of a host; sorted
	Count   Count
}

type flag uint8

const (
	itself flag = 1 << iota // the list names the host
	below                   // ... and says that it means all below (an RPZ wildcard)
	byURL                   // only pages on the host are listed
)

// Count says what became of the lines of a file.
type Count struct {
	Lines    int // read
	Names    int // kept, without repetition
	URLs     int // kept
	Suffixes int // left out: a public suffix is nobody's name
	Bad      int // left out: no name in them
	Passes   int // RPZ lines that exempt (rpz-passthru) or trigger on something else than a name
}

// Name is what the operator calls the list.
func (s *Set) Name() string { return s.name }

// Version is "sha256:" and the digest of the file. Decisions store it.
func (s *Set) Version() string { return s.version }

// Len is the number of names.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return len(s.flags)
}

// Bytes is about how much memory the set holds.
func (s *Set) Bytes() int {
	return len(s.arena) + 4*len(s.at) + len(s.flags) + 4*len(s.rank) + 8*len(s.urls)
}

// Has says whether the list names d itself.
func (s *Set) Has(d bolwerk.Domain) bool {
	i, ok := s.find(turn(d.String()))
	return ok && s.flags[i]&(itself|below) != 0
}

// HasURL says whether the list names this very page. Scheme, host and path are
// compared without the fragment; the host without regard to case.
func (s *Set) HasURL(url string) bool {
	if s == nil || len(s.urls) == 0 {
		return false
	}
	_, ok := slices.BinarySearch(s.urls, urlKey(url))
	return ok
}

// HasURLOn says whether the list names a page on host d, and not d itself.
func (s *Set) HasURLOn(d bolwerk.Domain) bool {
	i, ok := s.find(turn(d.String()))
	return ok && s.flags[i] == byURL
}

// Above is the nearest entry that is d or stands above it. Whether an entry
// above d says anything about d is for the asker: one for a public suffix or a
// platform does not.
func (s *Set) Above(d bolwerk.Domain) (bolwerk.Domain, bool) {
	for p := d; !p.IsZero(); p = p.Parent() {
		if s.Has(p) {
			return p, true
		}
	}
	return bolwerk.Domain{}, false
}

// Taken is an entry that a block of name with scope would take, if there is
// one. www is set where the scope is host and "www." + name is taken too.
func (s *Set) Taken(name bolwerk.Domain, scope bolwerk.Scope, www bool) (bolwerk.Domain, bool) {
	d, _, ok := s.taken(name, scope, www)
	return d, ok
}

// Best is the entry of best rank that a block of name with scope would take.
// The names of an unranked list are all within its top.
func (s *Set) Best(name bolwerk.Domain, scope bolwerk.Scope, www bool) (d bolwerk.Domain, rank int, ok bool) {
	return s.taken(name, scope, www)
}

func (s *Set) taken(name bolwerk.Domain, scope bolwerk.Scope, www bool) (best bolwerk.Domain, rank int, ok bool) {
	at := 0
	for i := range s.caught(name, scope, www) {
		if r := s.rankAt(i); !ok || r < rank {
			at, rank, ok = i, r, true
		}
		if s.rank == nil {
			break // all the same rank
		}
	}
	if ok {
		best = s.domain(at)
	}
	return best, rank, ok
}

// Caught are all the entries that a block of name with scope would take, with
// their ranks. www is set where the scope is host and "www." + name is taken too.
func (s *Set) Caught(name bolwerk.Domain, scope bolwerk.Scope, www bool) iter.Seq2[bolwerk.Domain, int] {
	return func(yield func(bolwerk.Domain, int) bool) {
		for i := range s.caught(name, scope, www) {
			if !yield(s.domain(i), s.rankAt(i)) {
				return
			}
		}
	}
}

func (s *Set) caught(name bolwerk.Domain, scope bolwerk.Scope, www bool) iter.Seq[int] {
	return func(yield func(int) bool) {
		if s.Len() == 0 || name.IsZero() {
			return
		}
		key := turn(name.String())
		if i, found := s.find(key); found && !yield(i) {
			return
		}
		switch scope {
		case bolwerk.ScopeHost:
			if i, found := s.find(key + ".www"); www && found {
				yield(i)
			}
		case bolwerk.ScopeSubtree, bolwerk.ScopeRegistrable:
			under := key + "."
			for i, _ := s.find(under); i < s.Len() && strings.HasPrefix(s.key(i), under); i++ {
				if !yield(i) {
					return
				}
			}
		}
	}
}

// Rank is the position of d from 1, or the top that an unranked list was
// declared to be; ok is false where the list does not have d.
func (s *Set) Rank(d bolwerk.Domain) (rank int, ok bool) {
	i, ok := s.find(turn(d.String()))
	if !ok {
		return 0, false
	}
	return s.rankAt(i), true
}

func (s *Set) rankAt(i int) int {
	if s.rank != nil {
		return int(s.rank[i])
	}
	return s.top
}

// All yields every name in the order of the set (labels turned round).
func (s *Set) All(yield func(bolwerk.Domain) bool) {
	for i := range s.Len() {
		if !yield(s.domain(i)) {
			return
		}
	}
}

func (s *Set) key(i int) string { return s.arena[s.at[i]:s.at[i+1]] }

func (s *Set) domain(i int) bolwerk.Domain { return bolwerk.MustDomain(turn(s.key(i))) }

// find is where key stands or would stand.
func (s *Set) find(key string) (int, bool) {
	n := s.Len()
	if key == "" || n == 0 {
		return 0, false
	}
	i := sort.Search(n, func(i int) bool { return s.key(i) >= key })
	return i, i < n && s.key(i) == key
}

// turn writes the labels of a name in the other order. Turned twice it is the
// name again.
func turn(name string) string {
	var buf [256]byte
	b := buf[:0]
	for end := len(name); end > 0; {
		i := strings.LastIndexByte(name[:end], '.')
		b = append(b, name[i+1:end]...)
		if i >= 0 {
			b = append(b, '.')
		}
		end = i
	}
	return string(b)
}

// urlKey is the first 64 bits of the SHA-256 of the address without scheme,
// fragment, the case of the host, and a slash that stands alone.
func urlKey(url string) uint64 {
	_, rest, ok := strings.Cut(url, "://")
	if !ok {
		rest = url
	}
	rest, _, _ = strings.Cut(rest, "#")
	i := strings.IndexAny(rest, "/?")
	if i < 0 {
		i = len(rest)
	}
	host, path := strings.ToLower(rest[:i]), rest[i:]
	if path == "/" {
		path = ""
	}
	sum := sha256.Sum256([]byte(host + path))
	return binary.BigEndian.Uint64(sum[:])
}

// builder collects entries in the order of the file.
type builder struct {
	arena []byte
	at    []uint32
	flags []flag
	urls  []uint64
}

func (b *builder) add(d bolwerk.Domain, f flag) {
	b.at = append(b.at, uint32(len(b.arena)))
	b.arena = append(b.arena, turn(d.String())...)
	b.flags = append(b.flags, f)
}

// set sorts and joins repeated names: flags add up, the best rank stays.
func (b *builder) set(ranked bool) *Set {
	n := len(b.at)
	b.at = append(b.at, uint32(len(b.arena)))
	key := func(i uint32) []byte { return b.arena[b.at[i]:b.at[i+1]] }
	order := make([]uint32, n)
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(x, y uint32) int {
		if c := slices.Compare(key(x), key(y)); c != 0 {
			return c
		}
		return int(x) - int(y) // the better rank first
	})
	s := &Set{at: make([]uint32, 0, n+1), flags: make([]flag, 0, n)}
	var arena strings.Builder
	arena.Grow(len(b.arena))
	for i, x := range order {
		if i > 0 && string(key(order[i-1])) == string(key(x)) {
			s.flags[len(s.flags)-1] |= b.flags[x]
			continue
		}
		s.at = append(s.at, uint32(arena.Len()))
		arena.Write(key(x))
		s.flags = append(s.flags, b.flags[x])
		if ranked {
			s.rank = append(s.rank, x+1)
		}
	}
	s.arena = arena.String()
	s.at = append(s.at, uint32(arena.Len()))
	slices.Sort(b.urls)
	s.urls = slices.Clip(slices.Compact(b.urls))
	return s
}
