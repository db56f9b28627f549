// Package cdb writes constant databases: files of keys and values that programs
// such as dnsdist look names up in without reading them into memory. The format is
// D. J. Bernstein's: 256 hash tables behind the records.
package cdb

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"time"

	"bolwerk"
)

const header = 256 * 8

type place struct{ hash, at uint32 }

// Write makes the file of pairs, whose keys differ, and puts it in the place of
// path in one step: whoever reads sees the old one or the new one. The file may be
// read by everybody, as its reader is another user.
func Write(path string, pairs iter.Seq2[[]byte, []byte]) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			if gone := os.Remove(f.Name()); !errors.Is(gone, fs.ErrNotExist) {
				err = errors.Join(err, gone)
			}
		}
	}()
	if err = write(f, pairs); err != nil {
		return err
	}
	// dnsdist sees a new file by its time in whole seconds.
	at := time.Now()
	if old, err := os.Stat(path); err == nil && at.Unix() <= old.ModTime().Unix() {
		at = old.ModTime().Add(time.Second)
	}
	if err = errors.Join(f.Chmod(0o644), f.Sync(), f.Close(), os.Chtimes(f.Name(), at, at)); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func write(f *os.File, pairs iter.Seq2[[]byte, []byte]) error {
	if _, err := f.Seek(header, 0); err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<16)
	var tables [256][]place
	at := uint64(header)
	var b []byte
	for key, value := range pairs {
		b = binary.LittleEndian.AppendUint32(b[:0], uint32(len(key)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
		b = append(append(b, key...), value...)
		if at+uint64(len(b)) > math.MaxUint32 {
			return bolwerk.Invalid("%s: a constant database has at most 4 GiB", f.Name())
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		h := hash(key)
		tables[h&255] = append(tables[h&255], place{h, uint32(at)})
		at += uint64(len(b))
	}
	var head []byte
	for _, t := range tables {
		head = binary.LittleEndian.AppendUint32(head, uint32(at))
		head = binary.LittleEndian.AppendUint32(head, uint32(2*len(t)))
		slots := make([]place, 2*len(t))
		for _, p := range t {
			i := int(p.hash>>8) % len(slots)
			for slots[i].at != 0 {
				i = (i + 1) % len(slots)
			}
			slots[i] = p
		}
		b = b[:0]
		for _, s := range slots {
			b = binary.LittleEndian.AppendUint32(b, s.hash)
			b = binary.LittleEndian.AppendUint32(b, s.at)
		}
		if at += uint64(len(b)); at > math.MaxUint32 {
			return bolwerk.Invalid("%s: a constant database has at most 4 GiB", f.Name())
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := f.WriteAt(head, 0)
	return err
}

func hash(key []byte) uint32 {
	h := uint32(5381)
	for _, c := range key {
		h = (h<<5 + h) ^ uint32(c)
	}
	return h
}
