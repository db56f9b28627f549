package disk

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// ErrCrashed is what every operation on a crashed disk answers.
var ErrCrashed = errors.New("the machine is off")

// Crashing is a disk in memory for tests that loses what was not synced.
//
// Crash keeps what was synced. Of what was not, any part may survive: bytes
// written behind the last Sync are cut at any place or read as zeros; each name
// made, moved or removed since the last SyncDir of its folder is there or not,
// independently of the others. A rename is one step, also between folders, as
// on every journalled file system. Folders themselves are durable at once.
type Crashing struct {
	mu   sync.Mutex
	rng  *rand.Rand
	dirs map[string]*folder
	ops  int
	stop int // the machine stops before this operation; 0: never
	dead bool
	free int64
}

type folder struct {
	names   map[string]*content // as running programs see it
	synced  map[string]*content // as it is after a power cut
	pending []*change           // what leads from synced to names
}

// change is one step in a folder: to gets file, from goes. The two sides of a
// rename between folders share their fate.
type change struct {
	from, to string
	file     *content
	twin     *change
	decided  bool // by a crash, or because the twin is durable
	kept     bool
}

type content struct {
	data   []byte
	synced []byte
}

// NewCrashing makes an empty disk with room for ever; seed decides what
// survives crashes.
func NewCrashing(seed uint64) *Crashing {
	return &Crashing{rng: rand.New(rand.NewPCG(seed, 0)), dirs: map[string]*folder{}, free: 1 << 50}
}

// StopAt switches the machine off before the n-th operation from now that
// changes something (1 is the next); 0 means never.
func (c *Crashing) StopAt(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ops, c.stop = 0, n
}

// Ops is the number of changing operations since the last StopAt.
func (c *Crashing) Ops() int { c.mu.Lock(); defer c.mu.Unlock(); return c.ops }

// Dead says that the machine stopped.
func (c *Crashing) Dead() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.dead }

// Room sets how many bytes may still be written; then writes fail with ENOSPC.
func (c *Crashing) Room(n int64) { c.mu.Lock(); c.free = n; c.mu.Unlock() }

// Crash cuts the power and switches on again. Files open before are dead.
func (c *Crashing) Crash() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, dir := range c.sortedDirs() {
		d := c.dirs[dir]
		for _, ch := range d.pending {
			if !ch.decided {
				ch.decide(c.rng.IntN(2) == 0)
			}
			if ch.kept {
				ch.do(d.synced)
			}
		}
		names := map[string]*content{}
		for _, n := range sortedNames(d.synced) {
			kept := c.survivor(d.synced[n])
			names[n] = &content{data: kept, synced: slices.Clone(kept)}
		}
		c.dirs[dir] = &folder{names: names, synced: cloneNames(names)}
	}
	c.dead, c.stop, c.ops = false, 0, 0
}

// Restart goes on after StopAt as if only the process had been killed: nothing
// is lost yet, and what was not synced still is not.
func (c *Crashing) Restart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead, c.stop, c.ops = false, 0, 0
}

// survivor is what is left of a file.
func (c *Crashing) survivor(f *content) []byte {
	if slices.Equal(f.data, f.synced) {
		return slices.Clone(f.synced)
	}
	if len(f.data) < len(f.synced) || !slices.Equal(f.data[:len(f.synced)], f.synced) {
		if c.rng.IntN(2) == 0 { // a cut or rewritten file: before or after
			return slices.Clone(f.data)
		}
		return slices.Clone(f.synced)
	}
	more := len(f.data) - len(f.synced)
	kept := slices.Clone(f.data[:len(f.synced)+c.rng.IntN(more+1)])
	if c.rng.IntN(4) == 0 { // the length reached the disk, the bytes did not
		for i := len(f.synced); i < len(kept); i++ {
			kept[i] = 0
		}
	}
	return kept
}

// Rot flips one bit of a file, as a bad disk does.
func (c *Crashing) Rot(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.dirs[filepath.Dir(name)]; d != nil {
		if f := d.names[filepath.Base(name)]; f != nil && len(f.data) > 0 {
			i := c.rng.IntN(len(f.data))
			f.data[i] ^= 1 << c.rng.IntN(8)
			f.synced = slices.Clone(f.data)
		}
	}
}

func (ch *change) decide(keep bool) {
	ch.decided, ch.kept = true, keep
	if ch.twin != nil {
		ch.twin.decided, ch.twin.kept = true, keep
	}
}

func (ch *change) do(names map[string]*content) {
	if ch.from != "" {
		delete(names, ch.from)
	}
	if ch.file != nil {
		names[ch.to] = ch.file
	}
}

// step counts a changing operation; c.mu is held.
func (c *Crashing) step() error {
	if c.dead {
		return ErrCrashed
	}
	c.ops++
	if c.stop > 0 && c.ops >= c.stop {
		c.dead = true
		return ErrCrashed
	}
	return nil
}

func (c *Crashing) in(op, name string) (*folder, string, error) {
	d := c.dirs[filepath.Dir(name)]
	if d == nil {
		return nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return d, filepath.Base(name), nil
}

func (c *Crashing) find(op, name string) (*folder, *content, error) {
	if c.dead {
		return nil, nil, ErrCrashed
	}
	d, base, err := c.in(op, name)
	if err != nil {
		return nil, nil, err
	}
	f := d.names[base]
	if f == nil {
		return nil, nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return d, f, nil
}

func (d *folder) change(ch change) *change {
	ch.do(d.names)
	d.pending = append(d.pending, &ch)
	return &ch
}

// Create makes a new file.
func (c *Crashing) Create(name string) (File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.step(); err != nil {
		return nil, err
	}
	d, base, err := c.in("create", name)
	if err != nil {
		return nil, err
	}
	if d.names[base] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	f := &content{}
	d.change(change{to: base, file: f})
	return &crashFile{c: c, f: f}, nil
}

// Append opens an old or new file for writing at its end.
func (c *Crashing) Append(name string) (File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return nil, ErrCrashed
	}
	d, base, err := c.in("append", name)
	if err != nil {
		return nil, err
	}
	f := d.names[base]
	if f == nil {
		if err := c.step(); err != nil {
			return nil, err
		}
		f = &content{}
		d.change(change{to: base, file: f})
	}
	return &crashFile{c: c, f: f}, nil
}

// Open opens an old file for reading.
func (c *Crashing) Open(name string) (File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, f, err := c.find("open", name)
	if err != nil {
		return nil, err
	}
	return &crashFile{c: c, f: f}, nil
}

// Size is the length of a file in bytes.
func (c *Crashing) Size(name string) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, f, err := c.find("size", name)
	if err != nil {
		return 0, err
	}
	return int64(len(f.data)), nil
}

// Truncate cuts a file.
func (c *Crashing) Truncate(name string, size int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.step(); err != nil {
		return err
	}
	_, f, err := c.find("truncate", name)
	if err == nil {
		f.data = slices.Clone(f.data[:min(int(size), len(f.data))])
	}
	return err
}

// Rename moves a file within its folder or to another.
func (c *Crashing) Rename(from, to string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.step(); err != nil {
		return err
	}
	d, f, err := c.find("rename", from)
	if err != nil {
		return err
	}
	t, base, err := c.in("rename", to)
	if err != nil {
		return err
	}
	if t == d {
		d.change(change{from: filepath.Base(from), to: base, file: f})
		return nil
	}
	arrive := t.change(change{to: base, file: f})
	leave := d.change(change{from: filepath.Base(from)})
	arrive.twin, leave.twin = leave, arrive
	return nil
}

// Remove deletes a file.
func (c *Crashing) Remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.step(); err != nil {
		return err
	}
	if d := c.dirs[name]; d != nil && len(d.names) == 0 {
		delete(c.dirs, name)
		return nil
	}
	d, _, err := c.find("remove", name)
	if err == nil {
		d.change(change{from: filepath.Base(name)})
	}
	return err
}

// List is the names in a folder, sorted: files and folders.
func (c *Crashing) List(dir string) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return nil, ErrCrashed
	}
	d := c.dirs[dir]
	if d == nil {
		return nil, &fs.PathError{Op: "list", Path: dir, Err: fs.ErrNotExist}
	}
	names := sortedNames(d.names)
	for _, sub := range c.sortedDirs() {
		if sub != dir && filepath.Dir(sub) == dir {
			names = append(names, filepath.Base(sub))
		}
	}
	slices.Sort(names)
	return names, nil
}

// MakeDir makes a folder.
func (c *Crashing) MakeDir(dir string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return ErrCrashed
	}
	for {
		if c.dirs[dir] == nil {
			c.dirs[dir] = &folder{names: map[string]*content{}, synced: map[string]*content{}}
		}
		up := filepath.Dir(dir)
		if up == dir {
			return nil
		}
		dir = up
	}
}

// SyncDir makes the names in dir durable.
func (c *Crashing) SyncDir(dir string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.step(); err != nil {
		return err
	}
	d := c.dirs[dir]
	if d == nil {
		return &fs.PathError{Op: "sync", Path: dir, Err: fs.ErrNotExist}
	}
	for _, ch := range d.pending {
		ch.decide(true)
	}
	d.synced, d.pending = cloneNames(d.names), nil
	return nil
}

// Free is what Room left.
func (c *Crashing) Free(string) (int64, error) { c.mu.Lock(); defer c.mu.Unlock(); return c.free, nil }

func (c *Crashing) sortedDirs() []string {
	dirs := make([]string, 0, len(c.dirs))
	for n := range c.dirs {
		dirs = append(dirs, n)
	}
	slices.Sort(dirs)
	return dirs
}

func sortedNames(m map[string]*content) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func cloneNames(m map[string]*content) map[string]*content {
	c := make(map[string]*content, len(m))
	for n, f := range m {
		c[n] = f
	}
	return c
}

type crashFile struct {
	c   *Crashing
	f   *content
	pos int
}

func (f *crashFile) Read(p []byte) (int, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if f.c.dead {
		return 0, ErrCrashed
	}
	if f.pos >= len(f.f.data) {
		return 0, io.EOF
	}
	n := copy(p, f.f.data[f.pos:])
	f.pos += n
	return n, nil
}

func (f *crashFile) Write(p []byte) (int, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	before := f.c.dead
	err := f.c.step()
	n := len(p)
	switch {
	case before:
		return 0, err
	case err != nil && n > 0:
		n = f.c.rng.IntN(n) // the power went while writing
	}
	if int64(n) > f.c.free {
		n, err = int(f.c.free), syscall.ENOSPC
	}
	f.c.free -= int64(n)
	f.f.data = append(f.f.data[:len(f.f.data):len(f.f.data)], p[:n]...)
	return n, err
}

func (f *crashFile) Sync() error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if err := f.c.step(); err != nil {
		return err
	}
	f.f.synced = slices.Clone(f.f.data)
	return nil
}

func (f *crashFile) Close() error { return nil }
