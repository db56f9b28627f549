package edge

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"bolwerk"
	copies "bolwerk/internal/copy"
	"bolwerk/internal/disk"
	"bolwerk/internal/nameset"
	"bolwerk/shield/aid"
)

// recall keeps the edge's names on disk in the form in which they are served, so
// that an edge that starts again blocks from its first question: reading and
// verifying the signed copy of a million entries takes seconds. The copy comes
// right after and replaces all of it; what recall has is never more than that.
//
//	names.N.snapshot   the set (nameset.Save), with its terms
//	names.N.changes    what was taken since: octets 4, CRC-32C 4, entries in JSON
//
// A change lies in the newest changes file; each snapshot begins one before it is
// made, so that none is missed. A withdrawal that could not be written ends
// the snapshot: better none than one that blocks what is withdrawn. The system has a
// change when it is in force; the disk has it a moment later, so that the next change
// does not wait for that. The copy had it on disk before.
type recall struct {
	dir     string
	written chan struct{} // something is to be synced

	mu      sync.Mutex
	number  uint64 // of the changes file that is written; 0: nothing is kept
	changes *os.File
	size    int64

	saving sync.Mutex // one snapshot at a time
}

const (
	recallName = "names."
	// A new snapshot is worth it when the changes have so many octets, and of what
	// the names take one in so many: a snapshot of ten million has 400 MB.
	leastChanges = 8 << 20
	changesShare = 8
	// maxChange bounds one record; what is longer gets a snapshot.
	maxChange = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// savedTerms is what a snapshot has beside the names.
type savedTerms struct {
	Seed  [2]uint64   `json:"seed"` // of the keys
	Terms []savedTerm `json:"terms"`
}

type savedTerm struct {
	Scope       bolwerk.Scope `json:"scope"`
	WWW         bool          `json:"www,omitempty"`
	Pass        bool          `json:"pass,omitempty"`
	Compromised bool          `json:"compromised,omitempty"`
	Suspicious  bool          `json:"suspicious,omitempty"`
	Pulse       bool          `json:"pulse,omitempty"`
	Asked       aid.Set       `json:"asked,omitempty"`
	Action      Action        `json:"action"`
	Ground      Ground        `json:"ground,omitempty"`
	Class       string        `json:"class,omitempty"`
	Brand       string        `json:"brand,omitempty"`
	By          string        `json:"by,omitempty"`
	Prefix      string        `json:"prefix,omitempty"`
	Width       int           `json:"width,omitempty"`
	EDE         uint16        `json:"ede"`
}

func (r *recall) path(n uint64, kind string) string {
	return filepath.Join(r.dir, recallName+strconv.FormatUint(n, 10)+"."+kind)
}

// numbers are those of the files of a kind, ascending.
func (r *recall) numbers(kind string) (out []uint64) {
	all, _ := filepath.Glob(filepath.Join(r.dir, recallName+"*."+kind))
	for _, f := range all {
		s := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(f), recallName), "."+kind)
		if n, err := strconv.ParseUint(s, 10, 63); err == nil && n > 0 {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// recallNames loads what the last run served. It only ever helps: whatever is
// wrong with the files, the copy comes.
func (e *Edge) recallNames() {
	start := time.Now()
	snapshots := e.recall.numbers("snapshot")
	for _, n := range slices.Backward(snapshots) {
		if err := e.recallFrom(n); err != nil {
			e.log.Warn("the names of the last run cannot be read; the copy brings them", "file", filepath.Base(e.recall.path(n, "snapshot")), "err", err)
			continue
		}
		e.log.Info("names of the last run serve", "names", e.set.Len(), "load", time.Since(start).Round(time.Millisecond))
		return
	}
}

func (e *Edge) recallFrom(n uint64) error {
	f, err := os.Open(e.recall.path(n, "snapshot"))
	if err != nil {
		return err
	}
	defer f.Close()
	meta, err := e.set.Restore(f)
	if err == nil {
		err = e.recallRest(n, meta)
	}
	if err != nil {
		e.set.Reset(func(func(nameset.Item) bool) {})
		e.terms.clear()
	}
	return err
}

func (e *Edge) recallRest(n uint64, meta []byte) error {
	var saved savedTerms
	if err := json.Unmarshal(meta, &saved); err != nil {
		return bolwerk.Invalid("snapshot: its terms: %v", err)
	}
	e.terms.clear()
	for _, s := range saved.Terms {
		e.terms.intern(term{scope: s.Scope, www: s.WWW, pass: s.Pass, compromised: s.Compromised, suspicious: s.Suspicious, pulse: s.Pulse, asked: s.Asked,
			action: s.Action, ground: s.Ground, class: s.Class, brand: s.Brand, by: s.By, prefix: s.Prefix, width: s.Width, ede: s.EDE})
	}
	bad := false
	terms := uint32(len(saved.Terms))
	e.set.Each(func(it nameset.Item) bool {
		p, ok := checkedPayload(it.Payload)
		bad = !ok || p.term >= terms
		return !bad
	})
	if bad {
		return bolwerk.Invalid("snapshot: a name without terms")
	}
	e.seed = saved.Seed
	for _, c := range e.recall.numbers("changes") {
		if c < n {
			continue
		}
		if err := e.replay(e.recall.path(c, "changes")); err != nil {
			return err
		}
	}
	return nil
}

// replay takes the changes of a file up to a torn end.
func (e *Edge) replay(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	for {
		var head [8]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return nil
		}
		n := binary.LittleEndian.Uint32(head[:])
		if n > maxChange {
			return nil
		}
		b, err := io.ReadAll(io.LimitReader(in, int64(n)))
		if err != nil || len(b) < int(n) || crc32.Checksum(b, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
			return nil
		}
		var entries []copies.Entry
		if json.Unmarshal(b, &entries) != nil {
			return nil
		}
		if _, err := e.change(entries); err != nil {
			return err
		}
	}
}

// begin opens the next changes file. The caller holds r.mu.
func (r *recall) begin() error {
	next := r.number + 1
	for _, n := range append(r.numbers("snapshot"), r.numbers("changes")...) {
		next = max(next, n+1)
	}
	f, err := os.OpenFile(r.path(next, "changes"), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if old := r.changes; old != nil {
		err = errors.Join(old.Sync(), old.Close())
	}
	r.number, r.changes, r.size = next, f, 0
	return err
}

// saveNames writes a snapshot of what is served now.
func (e *Edge) saveNames() {
	r := e.recall
	if r == nil {
		return
	}
	r.saving.Lock()
	defer r.saving.Unlock()
	if err := e.trySave(); err != nil {
		e.forgetNames()
		e.log.Warn("the names cannot be kept for the next start, which will wait for the copy", "err", err)
	}
}

func (e *Edge) trySave() error {
	r := e.recall
	if err := disk.MakeDir(r.dir); err != nil {
		return err
	}
	r.mu.Lock()
	err := r.begin()
	n := r.number
	r.mu.Unlock()
	if err != nil {
		return err
	}
	d, path := disk.System{}, r.path(n, "snapshot")
	tmp := disk.TempName(path)
	f, err := d.Create(tmp)
	if err != nil {
		return err
	}
	defer d.Remove(tmp) // after the rename there is none
	w := bufio.NewWriterSize(f, 1<<20)
	err = e.set.Save(w, func() ([]byte, error) { return json.Marshal(e.savedTerms()) })
	err = errors.Join(err, w.Flush())
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return disk.Full(err)
	}
	r.mu.Lock()
	if r.changes == nil || r.number != n { // a change was lost meanwhile, or everything is replaced
		err = bolwerk.Conflict("snapshot %d: overtaken", n)
	} else {
		err = d.Rename(tmp, path)
	}
	r.mu.Unlock()
	if err != nil {
		return err
	}
	if err := d.SyncDir(r.dir); err != nil {
		return err
	}
	for _, kind := range []string{"snapshot", "changes"} {
		for _, old := range r.numbers(kind) {
			if old < n {
				if err := d.Remove(r.path(old, kind)); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			}
		}
	}
	return nil
}

func (e *Edge) savedTerms() savedTerms {
	s := savedTerms{Seed: e.seed}
	if list := e.terms.list.Load(); list != nil {
		for _, m := range *list {
			s.Terms = append(s.Terms, savedTerm{m.scope, m.www, m.pass, m.compromised, m.suspicious, m.pulse, m.asked, m.action, m.ground, m.class, m.brand, m.by, m.prefix, m.width, m.ede})
		}
	}
	return s
}

// due says that a new snapshot is worth it where the names take so many octets.
func (r *recall) due(names int) bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changes != nil && r.size > max(leastChanges, int64(names)/changesShare)
}

// noteChange adds what was just taken to the changes file.
func (e *Edge) noteChange(entries []copies.Entry) {
	r := e.recall
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changes == nil {
		return
	}
	b, err := json.Marshal(entries)
	if err == nil && len(b) > maxChange {
		err = fmt.Errorf("%d octets of changes at once", len(b))
	}
	if err == nil {
		rec := binary.LittleEndian.AppendUint32(make([]byte, 0, 8+len(b)), uint32(len(b)))
		rec = append(binary.LittleEndian.AppendUint32(rec, crc32.Checksum(b, castagnoli)), b...)
		_, err = r.changes.Write(rec)
		r.size += int64(len(rec))
		select {
		case r.written <- struct{}{}:
		default:
		}
	}
	if err != nil {
		r.forget()
		e.log.Warn("a change cannot be kept for the next start, which will wait for the copy", "err", err)
	}
}

// syncChanges has the disk keep what was written, all of it that came meanwhile at
// once, until ctx ends.
func (e *Edge) syncChanges(ctx context.Context) {
	r := e.recall
	if r == nil {
		return
	}
	for over := false; !over; {
		select {
		case <-ctx.Done():
			over = true
		case <-r.written:
		}
		r.mu.Lock()
		f := r.changes
		r.mu.Unlock()
		if f == nil {
			continue
		}
		if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) { // who closes it has synced it
			e.forgetNames()
			e.log.Warn("changes cannot be kept for the next start, which will wait for the copy", "err", err)
		}
	}
}

// forgetNames removes what is kept.
func (e *Edge) forgetNames() {
	if r := e.recall; r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.forget()
	}
}

// forget is forgetNames for who holds r.mu.
func (r *recall) forget() {
	if r.changes != nil {
		r.changes.Close()
		r.changes = nil
	}
	for _, kind := range []string{"snapshot", "changes"} { // the snapshot first: changes alone do nothing
		for _, n := range r.numbers(kind) {
			os.Remove(r.path(n, kind))
		}
	}
}
