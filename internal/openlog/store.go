package openlog

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"bolwerk"
	"bolwerk/internal/disk"
)

// Store is the log as an intake keeps it: files that only grow, and the head
// that says how much of them counts. It is safe for concurrent use.
//
//	leaves    every leaf behind its length, as bundles hold them
//	bundles   where each bundle of 256 leaves begins
//	hash-0    hash of each leaf; hash-8 of each 256 of them; and so on: tiles are parts of it
//	names     of each leaf what opens its name (zeros where it is forgotten) and where it ended
//	head      the last signed head
type Store struct {
	dir string

	mu     sync.RWMutex
	known  known
	key    note.Verifier
	signed []byte
	head   Head
	tree   Range

	leaves, bundles, names *os.File
	level                  []*os.File // hash-0, hash-8 ...
	octets                 int64      // of leaves
	byTag                  map[uint64]uint32
	before                 []uint32 // for each leaf, one more than the leaf before with the same tag
}

// known is what the store keeps beside the leaves.
type known struct {
	Key    string `json:"key"`
	Forgot int64  `json:"forgot"`
}

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	nameSize   = TagSize + 8 + SaltSize
	maxLevels  = 5 // 256^5 leaves are more than there will be
)

// Open opens the log in dir, which is made where it is not there. A log that its
// own head does not fit is moved aside: the desk gives it anew.
func Open(dir string) (*Store, error) {
	s := &Store{dir: dir}
	if err := s.open(); err == nil || !errors.Is(err, bolwerk.ErrInvalid) {
		return s, err
	}
	return s, s.aside("damaged")
}

func (s *Store) open() error {
	if err := disk.MakeDir(s.dir); err != nil {
		return err
	}
	s.known, s.key, s.signed, s.head, s.tree = known{}, nil, nil, Head{}, Range{}
	s.byTag, s.before, s.octets = map[uint64]uint32{}, nil, 0
	for name, f := range map[string]**os.File{"leaves": &s.leaves, "bundles": &s.bundles, "names": &s.names} {
		var err error
		if *f, err = s.file(name); err != nil {
			return err
		}
	}
	s.level = nil
	for i := range maxLevels {
		f, err := s.file(fmt.Sprintf("hash-%d", i*tileHeight))
		if err != nil {
			return err
		}
		s.level = append(s.level, f)
	}
	b, err := disk.Read(disk.System{}, filepath.Join(s.dir, "known.json"), 4<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return s.cut()
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &s.known); err != nil {
		return bolwerk.Invalid("the log in %s: %v", s.dir, err)
	}
	if s.key, err = ParseKey(s.known.Key); err != nil {
		return err
	}
	b, err = disk.Read(disk.System{}, filepath.Join(s.dir, "head"), MaxHead)
	if errors.Is(err, fs.ErrNotExist) {
		return s.cut()
	}
	if err != nil {
		return err
	}
	if s.head, err = OpenHead(b, s.key); err != nil {
		return bolwerk.Invalid("the log in %s: %v", s.dir, err)
	}
	s.signed = b
	return s.load()
}

func (s *Store) file(name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(s.dir, name), os.O_CREATE|os.O_RDWR, 0o600)
}

// load takes up what the head counts, and cuts off what a crash left behind it.
func (s *Store) load() error {
	n := s.head.Size
	var err error
	if s.tree, err = s.rangeAt(n); err != nil || s.tree.Root() != s.head.Root {
		return bolwerk.Invalid("the log in %s does not fit its head", s.dir)
	}
	last := make([]byte, 8)
	if n > 0 {
		at := (n - 1) / tileWidth
		if _, err := s.bundles.ReadAt(last, at*8); err != nil {
			return bolwerk.Invalid("the log in %s: %v", s.dir, err)
		}
		s.octets = int64(binary.BigEndian.Uint64(last))
		for range n - at*tileWidth {
			if _, err := s.leaves.ReadAt(last[:2], s.octets); err != nil {
				return bolwerk.Invalid("the log in %s: %v", s.dir, err)
			}
			s.octets += 2 + int64(binary.BigEndian.Uint16(last))
		}
	}
	names := io.NewSectionReader(s.names, 0, n*nameSize)
	buf := make([]byte, nameSize*tileWidth)
	for i := int64(0); i < n; {
		k := min(n-i, tileWidth)
		if _, err := io.ReadFull(names, buf[:k*nameSize]); err != nil {
			return bolwerk.Invalid("the log in %s: %v", s.dir, err)
		}
		for j := range k {
			s.index(i+j, binary.BigEndian.Uint64(buf[j*nameSize:]))
		}
		i += k
	}
	return s.cut()
}

// index remembers where a tag is; 0 is none.
func (s *Store) index(n int64, tag uint64) {
	s.before = append(s.before, 0)
	if tag == 0 {
		return
	}
	s.before[n] = s.byTag[tag]
	s.byTag[tag] = uint32(n + 1)
}

func (s *Store) cut() error {
	n := s.tree.Size
	errs := []error{s.leaves.Truncate(s.octets), s.bundles.Truncate((n + tileWidth - 1) / tileWidth * 8), s.names.Truncate(n * nameSize)}
	for i, f := range s.level {
		errs = append(errs, f.Truncate(n>>(i*tileHeight)*tlog.HashSize))
	}
	return errors.Join(errs...)
}

// aside moves the log out of the way and begins an empty one.
func (s *Store) aside(why string) error {
	s.close()
	to := s.dir + "." + why
	for i := 1; ; i++ {
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			break
		}
		to = fmt.Sprintf("%s.%s-%d", s.dir, why, i)
	}
	if err := os.Rename(s.dir, to); err != nil {
		return err
	}
	return s.open()
}

func (s *Store) close() {
	for _, f := range append([]*os.File{s.leaves, s.bundles, s.names}, s.level...) {
		if f != nil {
			f.Close()
		}
	}
}

// Close closes the files.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.close()
}

// Head is the last head with its signature; nothing before the first.
func (s *Store) Head() (Head, []byte) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.head, s.signed
}

// Key is the log's public key; empty before the first head.
func (s *Store) Key() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.known.Key
}

// hashes reads the nodes of the tree by their tlog index.
func (s *Store) hashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, 0, len(indexes))
	for _, i := range indexes {
		level, n := tlog.SplitStoredHashIndex(i)
		file, shift := level/tileHeight, level%tileHeight
		if file >= len(s.level) {
			return nil, bolwerk.Invalid("a node of level %d", level)
		}
		b := make([]byte, tlog.HashSize<<shift)
		if _, err := s.level[file].ReadAt(b, n<<shift*tlog.HashSize); err != nil {
			return nil, fmt.Errorf("the log: node %d of level %d: %w", n, level, err)
		}
		var r Range
		for ; len(b) > 0; b = b[tlog.HashSize:] {
			r.Add(tlog.Hash(b[:tlog.HashSize]))
		}
		out = append(out, r.Edge[0])
	}
	return out, nil
}

func (s *Store) rangeAt(size int64) (Range, error) {
	r := Range{Size: size}
	var at int64
	for level := 62; level >= 0; level-- {
		if size>>level&1 == 0 {
			continue
		}
		h, err := s.hashes([]int64{tlog.StoredHashIndex(level, at>>level)})
		if err != nil {
			return r, err
		}
		r.Edge = append(r.Edge, h[0])
		at += 1 << level
	}
	return r, nil
}

// Take takes an answer of the desk: leaves that follow on ours, what to forget,
// and the head that they lead to. Nothing of it counts where the head is not
// signed with the log's key or does not fit.
func (s *Store) Take(lines []Line) error {
	if len(lines) == 0 || lines[len(lines)-1].Head == "" {
		return bolwerk.Invalid("an answer about the log without a head")
	}
	last := lines[len(lines)-1]
	s.mu.Lock()
	defer s.mu.Unlock()
	key := s.key
	if key == nil {
		var err error
		if key, err = ParseKey(last.Key); err != nil {
			return err
		}
	} else if last.Key != s.known.Key {
		return bolwerk.Conflict("the log has another key than the one that we know, %s", s.known.Key)
	}
	head, err := OpenHead([]byte(last.Head), key)
	if err != nil {
		return err
	}
	if s.signed != nil && head.Origin != s.head.Origin { // begun anew after a restore
		if err := s.aside("until-" + head.At.UTC().Format("20060102T150405Z")); err != nil {
			return err
		}
	}
	s.key, s.known.Key = key, last.Key
	if head.Size < s.tree.Size {
		return bolwerk.Conflict("the desk's log has %d leaves, ours %d", head.Size, s.tree.Size)
	}
	if err := s.append(lines[:len(lines)-1], head); err != nil {
		return errors.Join(err, s.cut())
	}
	if err := s.commit(head, []byte(last.Head)); err != nil {
		s.close()
		return errors.Join(err, s.open()) // what is on disk counts
	}
	return nil
}

// append writes leaves behind those that count.
func (s *Store) append(lines []Line, head Head) error {
	tree, err := ReadRange(s.tree.Size, s.tree.Bytes())
	if err != nil {
		return err
	}
	var leaves, bundles, names []byte
	level := make([][]byte, len(s.level))
	tree.Watch(func(l int, _ int64, h tlog.Hash) {
		if l%tileHeight == 0 && l/tileHeight < len(level) {
			level[l/tileHeight] = append(level[l/tileHeight], h[:]...)
		}
	})
	var ends [][2]int64
	forgot := s.known.Forgot
	var forget []int64
	for _, l := range lines {
		if l.Leaf == "" {
			forget, forgot = append(forget, l.Forgotten...), l.Forgot
			continue
		}
		leaf, err := ParseLeaf([]byte(l.Leaf))
		if err != nil {
			return err
		}
		if leaf.Of > 0 && leaf.Of >= tree.Size {
			return bolwerk.Invalid("leaf %d is about leaf %d, which is not before it", tree.Size, leaf.Of)
		}
		if leaf.Kind == Ended && leaf.Of > 0 {
			ends = append(ends, [2]int64{leaf.Of, tree.Size})
		}
		if tree.Size%tileWidth == 0 {
			bundles = binary.BigEndian.AppendUint64(bundles, uint64(s.octets+int64(len(leaves))))
		}
		leaves = AppendBundle(leaves, []byte(l.Leaf))
		names = append(names, nameOf(l)...)
		h := tlog.RecordHash([]byte(l.Leaf))
		level[0] = append(level[0], h[:]...)
		tree.Add(h)
	}
	if tree.Size != head.Size || tree.Root() != head.Root {
		return bolwerk.Conflict("the leaves that the desk gave do not lead from our log of %d leaves to its head of %d", s.tree.Size, head.Size)
	}
	n := s.tree.Size
	for _, w := range []struct {
		f  *os.File
		b  []byte
		at int64
	}{{s.leaves, leaves, s.octets}, {s.bundles, bundles, (n + tileWidth - 1) / tileWidth * 8}, {s.names, names, n * nameSize}} {
		if _, err := w.f.WriteAt(w.b, w.at); err != nil {
			return err
		}
	}
	for i, b := range level {
		if _, err := s.level[i].WriteAt(b, n>>(i*tileHeight)*tlog.HashSize); err != nil {
			return err
		}
	}
	for _, e := range ends {
		if _, err := s.names.WriteAt(binary.BigEndian.AppendUint64(nil, uint64(e[1])), e[0]*nameSize+TagSize); err != nil {
			return err
		}
	}
	for _, i := range forget { // where it ended stays
		if i < 0 || i >= tree.Size {
			continue
		}
		if _, err := s.names.WriteAt(make([]byte, TagSize), i*nameSize); err != nil {
			return err
		}
		if _, err := s.names.WriteAt(make([]byte, SaltSize), i*nameSize+TagSize+8); err != nil {
			return err
		}
	}
	for len(names) > 0 {
		s.index(int64(len(s.before)), binary.BigEndian.Uint64(names))
		names = names[nameSize:]
	}
	s.known.Forgot = forgot
	s.octets += int64(len(leaves))
	tree.Watch(nil)
	s.tree = tree
	return nil
}

// nameOf is the row of a leaf in the file names.
func nameOf(l Line) []byte {
	row := make([]byte, nameSize)
	tag, err1 := hex.DecodeString(l.Tag)
	salt, err2 := hex.DecodeString(l.Salt)
	if err1 == nil && err2 == nil && len(tag) == TagSize && len(salt) == SaltSize {
		copy(row, tag)
		copy(row[TagSize+8:], salt)
	}
	return row
}

// commit makes what was written count.
func (s *Store) commit(head Head, signed []byte) error {
	for _, f := range append([]*os.File{s.leaves, s.bundles, s.names}, s.level...) {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	b, err := json.Marshal(s.known)
	if err != nil {
		return err
	}
	if err := disk.Write(filepath.Join(s.dir, "known.json"), b, "openlog.known"); err != nil {
		return err
	}
	if err := disk.Write(filepath.Join(s.dir, "head"), signed, "openlog.head"); err != nil {
		return err
	}
	s.head, s.signed = head, signed
	return nil
}

// Tell writes what we hold from leaf from on, for a desk that was brought back
// to an older day: leaves with what opens them, what is forgotten, and the head.
func (s *Store) Tell(w io.Writer, from int64) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	if s.signed == nil {
		return nil
	}
	row := make([]byte, nameSize)
	gone := Line{Forgot: s.known.Forgot}
	flush := func() error {
		if len(gone.Forgotten) == 0 {
			return nil
		}
		err := out.Encode(gone)
		gone.Forgotten = nil
		return err
	}
	for n := range s.tree.Size {
		if _, err := s.names.ReadAt(row, n*nameSize); err != nil {
			return err
		}
		l := Line{}
		if salt := row[TagSize+8:]; strings.Trim(string(salt), "\x00") != "" {
			l.Salt, l.Tag = hex.EncodeToString(salt), hex.EncodeToString(row[:TagSize])
		}
		if n < from && l.Salt != "" {
			continue
		}
		leaf, err := s.leaf(n)
		if err != nil {
			return err
		}
		if parsed, err := ParseLeaf(leaf); err == nil && parsed.Kind == Placed && l.Salt == "" {
			if gone.Forgotten = append(gone.Forgotten, n); len(gone.Forgotten) == forgetAtOnce {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		if n < from {
			continue
		}
		l.Leaf = string(leaf)
		if err := out.Encode(l); err != nil {
			return err
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return out.Encode(Line{Head: string(s.signed)})
}

// leaf gives the octets of a leaf.
func (s *Store) leaf(n int64) ([]byte, error) {
	b, err := s.bundle(n/tileWidth, int(n%tileWidth)+1)
	if err != nil {
		return nil, err
	}
	all, err := ParseBundle(b, int(n%tileWidth)+1)
	if err != nil {
		return nil, err
	}
	return all[len(all)-1], nil
}

// bundle gives the first width leaves of a bundle.
func (s *Store) bundle(n int64, width int) ([]byte, error) {
	at := make([]byte, 8)
	if _, err := s.bundles.ReadAt(at, n*8); err != nil {
		return nil, err
	}
	start := int64(binary.BigEndian.Uint64(at))
	end := s.octets
	if _, err := s.bundles.ReadAt(at, n*8+8); err == nil {
		end = int64(binary.BigEndian.Uint64(at))
	}
	if end < start || end-start > tileWidth*(MaxLeaf+2) {
		return nil, fmt.Errorf("the log: bundle %d of %d octets", n, end-start)
	}
	b := make([]byte, end-start)
	if _, err := s.leaves.ReadAt(b, start); err != nil {
		return nil, err
	}
	size := 0
	for range width {
		if size+2 > len(b) {
			return nil, fmt.Errorf("the log: bundle %d is short", n)
		}
		size += 2 + int(binary.BigEndian.Uint16(b[size:]))
	}
	if size > len(b) {
		return nil, fmt.Errorf("the log: bundle %d is short", n)
	}
	return b[:size], nil
}
