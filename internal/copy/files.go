package copy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/disk"
)

// Files keeps the last two good generations of one copy in a folder:
//
//	EPOCH-SERIAL.snapshot    E lines and the M line, as they came
//	EPOCH-SERIAL.changes     B and H lines since, as they came
//	EPOCH-SERIAL.withdrawn   withdrawals from before the snapshot
//	keys                     K lines
//	audit                    H lines, at most one an hour
//
// They hold the desk's own signatures and can be given back to it. A torn end
// of changes is what a crash leaves, and is cut.
type Files struct {
	disk disk.Disk
	dir  string

	trust   Trust
	current string // base name of the generation in use; empty: none
	base    Head   // of its snapshot
	size    int64  // of its changes, whole
	named   bool   // the name of its changes is durable
	torn    bool   // there may be more octets behind size
	ghosts  map[string]int64
	noted   time.Time // when the last audit head was kept
	// withheld counts entries that the desk lists and an older withdrawal keeps
	// out.
	withheld int64
	damaged  []string // generations passed over by Load
	places   []place  // of the publications in the changes; see given
}

// place is where the B line of a publication lies in the changes. The slice only
// grows at its end until a generation ends: who has a part of it may keep it.
type place struct{ serial, start, end int64 }

// maxGhosts bounds the withdrawals that are carried on: the highest versions
// stay. At a hundred a day it is two years, longer than backups are kept.
const maxGhosts = 1 << 16

// NewFiles keeps a copy in dir.
func NewFiles(d disk.Disk, dir string) *Files { return &Files{disk: d, dir: dir} }

// Loaded is what was found.
type Loaded struct {
	Trust             Trust
	Head              Head // Copy is empty where there is nothing
	Floor             Mark
	Snapshot, Changes int64
	Line              []byte // of the last changes
	Damaged           bool   // a newer generation could not be used
	Why               error  // why not
}

func (f *Files) path(name string) string { return filepath.Join(f.dir, name) }

// Load finds the newest generation that is whole. trust names the key of the
// join; changes of the key that were stored are followed.
func (f *Files) Load(trust Trust) (l Loaded, err error) {
	*f = Files{disk: f.disk, dir: f.dir, ghosts: map[string]int64{}}
	if err := f.disk.MakeDir(f.dir); err != nil {
		return l, err
	}
	names, err := f.disk.List(f.dir)
	if err == nil {
		err = f.disk.SyncDir(f.dir) // a killed process may not have come to it
	}
	if err != nil {
		return l, err
	}
	if f.trust, err = f.loadKeys(trust); err != nil {
		return l, err
	}
	l.Trust = f.trust
	var gens []string
	for _, n := range names {
		if disk.IsTemp(n) {
			if err := f.disk.Remove(f.path(n)); err != nil {
				return l, err
			}
		}
		if g, ok := strings.CutSuffix(n, ".snapshot"); ok {
			gens = append(gens, g)
		}
	}
	slices.Sort(gens)
	slices.Reverse(gens)
	for _, g := range gens {
		head, bytes, err := f.verifySnapshot(g)
		if err == nil {
			err = f.use(g, head, bytes, &l)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, bolwerk.ErrInvalid) && !errors.Is(err, bolwerk.ErrForbidden) {
			return l, fmt.Errorf("copy %s: %w", trust.Copy, err)
		}
		l.Damaged, l.Why = true, fmt.Errorf("generation %s: %w", g, err)
		f.damaged = append(f.damaged, g)
	}
	// What a damaged generation still tells: how far we were, and what was
	// withdrawn. Neither is ever taken back.
	for _, g := range f.damaged {
		f.salvage(g, &l)
	}
	if l.Floor.Before(l.Head.Mark()) {
		l.Floor = l.Head.Mark()
	}
	return l, nil
}

// use makes g the generation in use, with as many changes as are whole.
func (f *Files) use(g string, head Head, bytes int64, l *Loaded) error {
	ghosts, err := f.loadGhosts(g)
	if err != nil {
		return err
	}
	f.current, f.base, f.ghosts, f.size, f.places = g, head, ghosts, 0, nil
	l.Head, l.Snapshot, l.Line = head, bytes, nil
	err = f.changes(g, func(c group) bool {
		l.Head, l.Line, f.size = c.head, c.line, c.end
		f.places = append(f.places, c.places...)
		return true
	}, head)
	if err != nil {
		return err
	}
	total, err := f.disk.Size(f.path(g + ".changes"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f.torn = total > f.size
	l.Changes = f.size
	return f.settle(err == nil)
}

// settle makes durable what a killed process may have left in the system's
// memory: it is about to be used.
func (f *Files) settle(changes bool) error {
	f.named = changes
	if !changes {
		return nil
	}
	w, err := f.disk.Append(f.path(f.current + ".changes"))
	if err != nil {
		return err
	}
	return errors.Join(w.Sync(), w.Close())
}

// verifySnapshot checks every octet of a snapshot.
func (f *Files) verifySnapshot(g string) (Head, int64, error) {
	r, err := f.disk.Open(f.path(g + ".snapshot"))
	if err != nil {
		return Head{}, 0, err
	}
	defer r.Close()
	var c counter
	for in := newLines(r); ; {
		line, err := in.next()
		if err != nil {
			return Head{}, 0, cut(err)
		}
		if line[0] == lineEntry {
			if _, err := c.add(line); err != nil {
				return Head{}, 0, err
			}
			continue
		}
		st := c.staged("", line)
		m, err := f.trust.manifest(line, f.trust.Keys...)
		if err != nil {
			return Head{}, 0, err
		}
		if err := st.matches(m); err != nil {
			return Head{}, 0, err
		}
		return m.Head, m.Bytes, nil
	}
}

// cut is the error of a file that ends early.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errLong) {
		return bolwerk.Invalid("file cut or changed: %v", err)
	}
	return err
}

// group is what ends with one head in a changes file.
type group struct {
	head    Head
	line    []byte // its H line
	batches []Batch
	places  []place
	end     int64 // in the file
}

// changes reads the changes of g from head on, group by group: what ends with a
// good head is told. Anything else ends it: a crash or a bad disk.
func (f *Files) changes(g string, each func(group) bool, head Head) error {
	r, err := f.disk.Open(f.path(g + ".changes"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	in := newLines(r)
	var raws [][]byte
	var places []place
	size := 0
	for {
		start := in.read
		line, err := in.next()
		if err != nil {
			if errors.Is(cut(err), bolwerk.ErrInvalid) {
				return nil
			}
			return err
		}
		switch line[0] {
		case lineBatch:
			if size += len(line); size > MaxSince+MaxBatch {
				return nil
			}
			raws, places = append(raws, line[2:]), append(places, place{start: start, end: in.read})
		case lineHead:
			line = bytes.Clone(line)
			s := State{Trust: f.trust, Head: head}
			h, batches, err := s.continues(raws, line, f.trust.Keys...)
			if err != nil || len(batches) == 0 {
				return nil
			}
			for i, b := range batches {
				places[i].serial = b.Serial
			}
			if !each(group{h, line, batches, places, in.read}) {
				return nil
			}
			head, raws, places, size = h, nil, nil, 0
		default:
			return nil
		}
	}
}

// salvage reads what can be read of a damaged generation.
func (f *Files) salvage(g string, l *Loaded) {
	if ghosts, _ := f.readGhosts(g); ghosts != nil {
		for id, v := range ghosts {
			f.ghost(id, v)
		}
	}
	for _, ext := range []string{".snapshot", ".changes"} {
		r, err := f.disk.Open(f.path(g + ext))
		if err != nil {
			continue
		}
		in := newLines(r)
		for {
			line, err := in.next()
			if err != nil && !errors.Is(err, bolwerk.ErrInvalid) && !errors.Is(err, errLong) {
				break
			}
			if err != nil {
				continue
			}
			var h Head
			switch line[0] {
			case lineHead:
				h, err = f.trust.head(line, f.trust.Keys...)
			case lineManifest:
				var m Manifest
				m, err = f.trust.manifest(line, f.trust.Keys...)
				h = m.Head
			case lineBatch:
				if b, err := DecodeBatch(line[2:]); err == nil {
					for _, e := range b.Entries {
						if e.Removed {
							f.ghost(e.ID, e.Version)
						}
					}
				}
				continue
			default:
				continue
			}
			if err == nil && l.Floor.Before(h.Mark()) {
				l.Floor = h.Mark()
			}
		}
		r.Close()
	}
}

// ghost notes a withdrawal.
func (f *Files) ghost(id string, version int64) {
	if have, ok := f.ghosts[id]; !ok || have < version {
		f.ghosts[id] = version
	}
}

// withdrawn says that e is older than a withdrawal of its id that we know of.
// That withdrawal stands for ever, also after a younger decision: a restored
// desk may have forgotten both.
func (f *Files) withdrawn(e Entry) bool {
	v, ok := f.ghosts[e.ID]
	return ok && !e.Removed && e.Version <= v
}

// Entries yields every entry in force by the files, once, in no order.
func (f *Files) Entries(yield func(Entry) bool) error {
	if f.current == "" {
		return nil
	}
	later, _, err := f.later()
	if err != nil {
		return err
	}
	more := true
	f.withheld = 0
	err = f.snapshot(f.current, func(e Entry) bool {
		if _, ok := later[e.ID]; ok {
			return true
		}
		if f.withdrawn(e) {
			f.withheld++
			return true
		}
		more = yield(e)
		return more
	})
	if err != nil || !more {
		return err
	}
	for _, e := range later {
		if !e.Removed && !yield(e) {
			return nil
		}
	}
	return nil
}

// later is what the changes made of each entry that they name, and the highest
// version of each withdrawal among them.
func (f *Files) later() (later map[string]Entry, removed map[string]int64, err error) {
	later, removed = map[string]Entry{}, map[string]int64{}
	end := int64(0)
	err = f.changes(f.current, func(c group) bool {
		for _, b := range c.batches {
			for _, e := range b.Entries {
				if e.Removed {
					removed[e.ID] = max(removed[e.ID], e.Version)
				}
				if !f.withdrawn(e) {
					later[e.ID] = e
				}
			}
		}
		end = c.end
		return c.end < f.size
	}, f.base)
	if err == nil && end != f.size {
		err = bolwerk.Invalid("changes of generation %s: %d octets are whole, %d were", f.current, end, f.size)
	}
	return later, removed, err
}

// snapshot yields the entries of a snapshot file and checks them once more.
func (f *Files) snapshot(g string, yield func(Entry) bool) error {
	r, err := f.disk.Open(f.path(g + ".snapshot"))
	if err != nil {
		return err
	}
	defer r.Close()
	var c counter
	for in := newLines(r); ; {
		line, err := in.next()
		if err != nil {
			return cut(err)
		}
		if line[0] != lineEntry {
			m, err := f.trust.manifest(line, f.trust.Keys...)
			if err != nil {
				return err
			}
			return c.staged("", line).matches(m)
		}
		e, err := c.add(line)
		if err != nil {
			return err
		}
		if !e.Removed && !yield(e) {
			return nil
		}
	}
}

// Append adds a group of changes that was verified. When it returns nil they
// survive a power cut.
func (f *Files) Append(batches [][]byte, head []byte) error {
	path := f.path(f.current + ".changes")
	if f.torn {
		if err := f.disk.Truncate(path, f.size); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	var b bytes.Buffer
	places, serial := f.places, f.serial()
	for i, raw := range batches {
		start := f.size + int64(b.Len())
		b.Write(batchLine(raw))
		b.Write(raw)
		places = append(places, place{serial + int64(i) + 1, start, f.size + int64(b.Len())})
	}
	b.Write(head)
	b.WriteByte('\n')
	w, err := f.disk.Append(path)
	if err != nil {
		return err
	}
	f.torn = true // until it is known to be whole
	err = disk.WriteSynced(w, b.Bytes(), "copy.append")
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err == nil && !f.named {
		err = f.disk.SyncDir(f.dir)
	}
	if err != nil {
		return disk.Full(err)
	}
	f.named = true
	f.size += int64(b.Len())
	f.torn, f.places = false, places
	return nil
}

// serial is the last publication of the generation in use.
func (f *Files) serial() int64 {
	if n := len(f.places); n > 0 {
		return f.places[n-1].serial
	}
	return f.base.Serial
}

// SaveKeys adds changes of the key.
func (f *Files) SaveKeys(lines [][]byte) error {
	trust, err := f.trust.follow(lines)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	old, err := disk.Read(f.disk, f.path("keys"), 1<<20)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b.Write(old)
	for _, l := range lines {
		b.Write(l)
		b.WriteByte('\n')
	}
	if err := disk.Put(f.disk, f.path("keys"), b.Bytes(), "copy.keys"); err != nil {
		return err
	}
	f.trust = trust
	return nil
}

func (f *Files) loadKeys(trust Trust) (Trust, error) {
	b, err := disk.Read(f.disk, f.path("keys"), 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return trust, nil
	}
	if err != nil {
		return trust, err
	}
	// The host may have joined again since: lines that do not follow from the
	// key of the join are of no use.
	for line := range bytes.SplitSeq(bytes.TrimSpace(b), []byte("\n")) {
		if next, err := trust.follow([][]byte{line}); err == nil {
			trust = next
		}
	}
	return trust, nil
}

func generation(h Head) string { return fmt.Sprintf("%016x-%016x", h.Epoch, h.Serial) }
