// Package disk writes files so that they are whole or not there: temporary
// file, fsync, rename, fsync of the folder.
//
// What keeps promises about files is given a Disk: System in the program,
// Crashing in tests, which forgets what was not synced.
package disk

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"bolwerk"
	"bolwerk/internal/fault"
)

// Disk keeps files. Names are paths; files are for our eyes only (0600).
// Nothing survives a power cut before Sync of the file and SyncDir of its folder.
type Disk interface {
	Create(name string) (File, error) // a new file; an old one of that name is an error
	Append(name string) (File, error) // an old or a new file, written at its end
	Open(name string) (File, error)   // an old file, read from its start
	Size(name string) (int64, error)
	Truncate(name string, size int64) error
	Rename(from, to string) error // replaces to, at once or not at all
	Remove(name string) error
	List(dir string) ([]string, error) // names in it, sorted
	MakeDir(dir string) error          // and what is above it; 0700
	SyncDir(dir string) error          // makes names made, moved and removed in dir durable
	Free(dir string) (int64, error)    // bytes that may still be written
}

// File is an open file.
type File interface {
	io.Reader
	io.Writer
	io.Closer
	Sync() error // what was written survives a power cut once this returned nil
}

// tempMark begins the name of a file that is being written.
const tempMark = ".tmp-"

// TempName is a fresh name in the folder of path for what will be renamed to it.
func TempName(path string) string {
	var b [8]byte
	rand.Read(b[:])
	return filepath.Join(filepath.Dir(path), tempMark+hex.EncodeToString(b[:]))
}

// IsTemp says that a file of this name was left behind by a crash.
func IsTemp(name string) bool { return strings.HasPrefix(filepath.Base(name), tempMark) }

// Write is Put on the machine's own disk.
func Write(path string, data []byte, point string) error { return Put(System{}, path, data, point) }

// Put puts data at path with mode 0600. When it returns nil, data survives a
// power cut on a disk that honours fsync; when it returns an error, path holds
// what it held before or all of data. A full disk is a bolwerk.ErrFull.
// point names the crash points around it.
func Put(d Disk, path string, data []byte, point string) error {
	tmp := TempName(path)
	if err := put(d, tmp, path, data, point); err != nil {
		d.Remove(tmp) // after the rename there is none
		return fmt.Errorf("write %s: %w", filepath.Base(path), Full(err))
	}
	return nil
}

func put(d Disk, tmp, path string, data []byte, point string) error {
	f, err := d.Create(tmp)
	if err != nil {
		return err
	}
	if err := fault.Point(point + ".begin"); err != nil {
		f.Close()
		return err
	}
	if err := WriteSynced(f, data, point); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := d.Rename(tmp, path); err != nil {
		return err
	}
	if err := fault.Point(point + ".renamed"); err != nil {
		return err
	}
	if err := d.SyncDir(filepath.Dir(path)); err != nil {
		return err
	}
	return fault.Point(point + ".done")
}

// WriteSynced writes data to f and syncs it. point names the crash points.
func WriteSynced(f File, data []byte, point string) error {
	if fault.Torn(point + ".write") {
		f.Write(data[:len(data)/2])
		fault.Kill()
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := fault.Point(point + ".written"); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return fault.Point(point + ".synced")
}

// Read is the whole file, at most max bytes; a longer one is an error.
func Read(d Disk, name string, max int64) ([]byte, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > max {
		return nil, bolwerk.Invalid("file %s: longer than %d bytes", filepath.Base(name), max)
	}
	return b, nil
}

// Exists says that there is a file of this name.
func Exists(d Disk, name string) (bool, error) {
	_, err := d.Size(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Full turns "no space left" and "over quota" into a bolwerk.ErrFull.
func Full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", bolwerk.ErrFull, err)
	}
	return err
}
