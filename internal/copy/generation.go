package copy

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/disk"
	"bolwerk/internal/fault"
)

// Install begins a generation with a staged snapshot that was verified. The one
// before it stays on disk, older ones go.
func (f *Files) Install(st Staged) error {
	m, err := f.trust.manifest(st.Manifest, f.trust.Keys...)
	if err != nil {
		return err
	}
	ghosts, err := f.carry(st, m.Head)
	if err != nil {
		return err
	}
	next := generation(m.Head)
	if err := f.saveGhosts(next, ghosts); err != nil {
		return err
	}
	if err := fault.Point("copy.install.begin"); err != nil {
		return err
	}
	// Changes of an earlier life of this generation would be in the way.
	if next != f.current {
		if err := f.disk.Remove(f.path(next + ".changes")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := f.disk.Rename(st.Name, f.path(next+".snapshot")); err != nil {
		return err
	}
	if err := fault.Point("copy.install.renamed"); err != nil {
		return err
	}
	if err := f.disk.SyncDir(f.dir); err != nil {
		return err
	}
	before := f.current
	if next != f.current {
		f.size, f.named, f.torn, f.places = 0, false, false, nil
	}
	f.current, f.base, f.ghosts = next, m.Head, ghosts
	if err := fault.Point("copy.install.done"); err != nil {
		return err
	}
	return f.sweep(next, before)
}

// sweep removes what belongs to neither of two generations.
func (f *Files) sweep(keep ...string) error {
	names, err := f.disk.List(f.dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		g, _, ok := strings.Cut(n, ".")
		if !ok || len(g) != 33 || slices.Contains(keep, g) {
			continue
		}
		if err := f.disk.Remove(f.path(n)); err != nil {
			return err
		}
	}
	f.damaged = nil
	return nil
}

// carry finds the withdrawals that a new generation starts with: those that we
// were told of, and in the same epoch what the staged snapshot no longer lists.
func (f *Files) carry(st Staged, next Head) (map[string]int64, error) {
	ghosts := maps.Clone(f.ghosts)
	missing := map[string]Entry{} // of the changes, until seen below
	old := &entryReader{}         // the snapshot before; nothing across an epoch
	later := map[string]Entry{}
	if f.current != "" {
		var removed map[string]int64
		var err error
		if later, removed, err = f.later(); err != nil && !errors.Is(err, bolwerk.ErrInvalid) {
			return nil, err
		}
		for id, v := range removed {
			ghosts[id] = max(ghosts[id], v)
		}
		for id, e := range later {
			if !e.Removed && next.Epoch == f.base.Epoch {
				missing[id] = e
			}
		}
		if next.Epoch == f.base.Epoch {
			r, err := f.disk.Open(f.path(f.current + ".snapshot"))
			if err != nil {
				return nil, err
			}
			defer r.Close()
			old.in = newLines(r)
		}
	}
	gone := func(e Entry) {
		if _, named := later[e.ID]; !named && !e.Removed {
			ghosts[e.ID] = max(ghosts[e.ID], e.Version)
		}
	}
	r, err := f.disk.Open(st.Name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	new := &entryReader{in: newLines(r)}
	for old.next(); new.next(); {
		for ; old.ok && old.e.ID < new.e.ID; old.next() {
			gone(old.e)
		}
		if old.ok && old.e.ID == new.e.ID {
			old.next()
		}
		delete(missing, new.e.ID)
	}
	for ; old.ok; old.next() {
		gone(old.e)
	}
	for id, e := range missing {
		ghosts[id] = max(ghosts[id], e.Version)
	}
	if errors.Is(old.err, bolwerk.ErrInvalid) {
		old.err = nil // a bad disk must not keep what is new away
	}
	return bound(ghosts), errors.Join(old.err, new.err)
}

// entryReader reads the entries of a snapshot one by one, ascending by id.
type entryReader struct {
	in  *lines // nil: empty
	e   Entry
	ok  bool
	err error // ended by this
}

func (r *entryReader) next() bool {
	r.ok = false
	if r.in == nil || r.err != nil {
		return false
	}
	line, err := r.in.next()
	if err == nil && line[0] == lineManifest {
		r.in = nil
		return false
	}
	if err == nil && len(line) > 2 {
		r.e, err = parseEntry(line[2:])
	}
	r.err = cut(err)
	r.ok = err == nil
	return r.ok
}

// bound keeps the maxGhosts highest versions.
func bound(ghosts map[string]int64) map[string]int64 {
	if len(ghosts) <= maxGhosts {
		return ghosts
	}
	ids := make([]string, 0, len(ghosts))
	for id := range ghosts {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int { return cmp.Compare(ghosts[b], ghosts[a]) })
	for _, id := range ids[maxGhosts:] {
		delete(ghosts, id)
	}
	return ghosts
}

// saveGhosts writes the withdrawals that a generation carries: JSON lines, and
// their digest as the last line. Without any there is no file.
func (f *Files) saveGhosts(g string, ghosts map[string]int64) error {
	path := f.path(g + ".withdrawn")
	if len(ghosts) == 0 {
		err := f.disk.Remove(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	ids := make([]string, 0, len(ghosts))
	for id := range ghosts {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var b bytes.Buffer
	for _, id := range ids {
		raw, err := marshal(Entry{ID: id, Version: ghosts[id], Removed: true})
		if err != nil {
			return err
		}
		b.Write(raw)
		b.WriteByte('\n')
	}
	sum := sha256.Sum256(b.Bytes())
	b.WriteString("# " + hex.EncodeToString(sum[:]) + "\n")
	return disk.Put(f.disk, path, b.Bytes(), "copy.withdrawn")
}

// loadGhosts is what saveGhosts wrote; a changed file is a bolwerk.ErrInvalid.
func (f *Files) loadGhosts(g string) (map[string]int64, error) {
	ghosts, err := f.readGhosts(g)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]int64{}, nil
	}
	return ghosts, err
}

// readGhosts returns the lines that can be read also with an error.
func (f *Files) readGhosts(g string) (map[string]int64, error) {
	r, err := f.disk.Open(f.path(g + ".withdrawn"))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	ghosts := map[string]int64{}
	sum := sha256.New()
	for sc := bufio.NewScanner(r); sc.Scan(); {
		if text, ok := strings.CutPrefix(sc.Text(), "# "); ok {
			if text == hex.EncodeToString(sum.Sum(nil)) {
				return ghosts, nil
			}
			break
		}
		sum.Write(sc.Bytes())
		sum.Write([]byte{'\n'})
		var e Entry
		if json.Unmarshal(sc.Bytes(), &e) == nil && e.Removed {
			ghosts[e.ID] = max(ghosts[e.ID], e.Version)
		}
	}
	return ghosts, bolwerk.Invalid("withdrawals of generation %s: the file was cut or changed", g)
}

// Held writes the generation in use as it lies on disk, for the desk.
func (f *Files) Held(w io.Writer) error {
	if f.current == "" {
		return nil
	}
	for _, name := range []string{f.current + ".snapshot", f.current + ".changes"} {
		r, err := f.disk.Open(f.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		var in io.Reader = r
		if strings.HasSuffix(name, ".changes") {
			in = io.LimitReader(r, f.size)
		}
		_, err = io.Copy(w, in)
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// ReadHeld reads at the desk what Held wrote at a host. trust holds our own
// signing keys, old ones too: what they did not sign is refused, so that a host
// cannot invent anything. each is told every entry of the snapshot and then
// every change; nothing that it was told counts when ReadHeld returns an error.
func ReadHeld(r io.Reader, trust Trust, each func(Entry) error) (Head, error) {
	in := newLines(r)
	var c counter
	var head Head
	for head.Copy == "" {
		line, err := in.next()
		if err != nil {
			return Head{}, cut(err)
		}
		if line[0] == lineEntry {
			e, err := c.add(line)
			if err == nil {
				err = each(e)
			}
			if err != nil {
				return Head{}, err
			}
			continue
		}
		m, err := trust.manifest(line, trust.Keys...)
		if err == nil {
			err = c.staged("", line).matches(m)
		}
		if err != nil {
			return Head{}, err
		}
		head = m.Head
	}
	var raws [][]byte
	size := 0
	for {
		line, err := in.next()
		if errors.Is(err, io.EOF) && len(raws) == 0 {
			return head, nil
		}
		if err != nil {
			return Head{}, cut(err)
		}
		if line[0] == lineBatch {
			if size += len(line); size > MaxSince+MaxBatch {
				return Head{}, errLong
			}
			raws = append(raws, line[2:])
			continue
		}
		h, batches, err := State{Trust: trust, Head: head}.continues(raws, bytes.Clone(line), trust.Keys...)
		if err != nil {
			return Head{}, err
		}
		for _, b := range batches {
			for _, e := range b.Entries {
				if err := each(e); err != nil {
					return Head{}, err
				}
			}
		}
		head, raws, size = h, nil, 0
	}
}

const (
	auditEvery = time.Hour
	auditKeep  = 31 * 24 // a month of hours
)

// AuditHead is one entry of the history of audit heads, with the desk's
// signature.
type AuditHead struct {
	Head Head
	Line string // "H signature json"
}

// Remember adds a head to the history of audit heads, where the last is an hour
// old. It need not survive a power cut.
func (f *Files) Remember(h Head, line []byte) error {
	if age := h.MadeAt.Sub(f.noted); age >= 0 && age < auditEvery {
		return nil
	}
	have, err := f.Audit()
	if err != nil {
		return err
	}
	f.noted = h.MadeAt
	if n := len(have); n > 0 { // the first since the start
		if age := h.MadeAt.Sub(have[n-1].Head.MadeAt); age >= 0 && age < auditEvery {
			f.noted = have[n-1].Head.MadeAt
			return nil
		}
	}
	have = append(have, AuditHead{h, string(line)})
	if len(have) > auditKeep {
		have = have[len(have)-auditKeep:]
	}
	var b bytes.Buffer
	for _, a := range have {
		b.WriteString(a.Line)
		b.WriteByte('\n')
	}
	return disk.Put(f.disk, f.path("audit"), b.Bytes(), "copy.audit")
}

// Audit is the history of audit heads, oldest first.
func (f *Files) Audit() ([]AuditHead, error) {
	b, err := disk.Read(f.disk, f.path("audit"), 4<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []AuditHead
	for line := range bytes.SplitSeq(bytes.TrimSpace(b), []byte("\n")) {
		if h, err := f.trust.head(line, f.trust.Keys...); err == nil {
			out = append(out, AuditHead{h, string(line)})
		}
	}
	return out, nil
}
