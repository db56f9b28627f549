package copy

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"

	"bolwerk"
	"bolwerk/internal/disk"
)

// Staged is a snapshot that was received and not yet verified.
type Staged struct {
	Name                 string // of its temporary file
	Entries, Live, Bytes int64
	SHA256               string
	Manifest             []byte // the M line
}

// matches says whether it is what the desk signed.
func (s Staged) matches(m Manifest) error {
	if s.Entries != m.Entries || s.Bytes != m.Bytes || s.SHA256 != m.SHA256 || s.Live != m.Head.Count {
		return bolwerk.Forbidden("snapshot of %s: its %d entries are not those that the desk signed", m.Head.Copy, s.Entries)
	}
	return nil
}

// counter measures the E lines of a snapshot as they pass.
type counter struct {
	sum                  hash.Hash
	entries, live, bytes int64
	last                 string
}

func (c *counter) add(line []byte) (Entry, error) {
	if c.sum == nil {
		c.sum = sha256.New()
	}
	if len(line) < 3 {
		return Entry{}, bolwerk.Invalid("an empty entry")
	}
	e, err := parseEntry(line[2:])
	if err != nil {
		return e, err
	}
	if c.entries > 0 && e.ID <= c.last {
		return e, bolwerk.Invalid("entry %.80q comes after %.80q", e.ID, c.last)
	}
	c.last = e.ID
	c.entries++
	if !e.Removed {
		c.live++
	}
	c.bytes += int64(len(line)) + 1
	if c.bytes > MaxSnapshot {
		return e, bolwerk.Invalid("snapshot of more than %d octets", int64(MaxSnapshot))
	}
	c.sum.Write(line)
	c.sum.Write([]byte{'\n'})
	return e, nil
}

func (c *counter) staged(name string, manifest []byte) Staged {
	if c.sum == nil {
		c.sum = sha256.New()
	}
	return Staged{Name: name, Entries: c.entries, Live: c.live, Bytes: c.bytes,
		SHA256: hex.EncodeToString(c.sum.Sum(nil)), Manifest: bytes.Clone(manifest)}
}

// stage writes a snapshot that comes from in, whose first E line is first, to a
// temporary file.
func (f *Files) stage(first []byte, in *lines) (st Staged, err error) {
	name := disk.TempName(f.path("x"))
	file, err := f.disk.Create(name)
	if err != nil {
		return st, disk.Full(err)
	}
	defer func() {
		if cerr := file.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			f.disk.Remove(name)
			err = disk.Full(err)
		}
	}()
	w := bufio.NewWriterSize(file, 256<<10)
	var c counter
	for line := first; ; {
		w.Write(line)
		if err := w.WriteByte('\n'); err != nil {
			return st, err
		}
		if line[0] == lineManifest {
			st = c.staged(name, line)
			break
		}
		if line[0] != lineEntry {
			return st, bolwerk.Invalid("snapshot: line %c in it", line[0])
		}
		if _, err := c.add(line); err != nil {
			return st, err
		}
		if line, err = in.next(); err != nil {
			return st, fmt.Errorf("snapshot: %w", err)
		}
	}
	if err := w.Flush(); err != nil {
		return st, err
	}
	return st, file.Sync()
}

// Drop forgets a staged snapshot.
func (f *Files) Drop(st Staged) { f.disk.Remove(st.Name) }
