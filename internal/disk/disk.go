// Package disk writes files so that they are whole or not there: temporary
// file, fsync, rename, fsync of the folder.
package disk

import (
	"fmt"
	"os"
	"path/filepath"

	"bolwerk/internal/fault"
)

// Write puts data at path with mode 0600. When it returns nil, data survives a
// power cut on a disk that honours fsync; otherwise path is as it was.
// point names the crash points around it.
func Write(path string, data []byte, point string) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".tmp-*")
	if err != nil {
		return err
	}
	tmp := f.Name()
	undo := func(err error) error {
		f.Close()
		os.Remove(tmp)
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	if err := fault.Point(point + ".begin"); err != nil {
		return undo(err)
	}
	if _, err := f.Write(data); err != nil {
		return undo(err)
	}
	if err := f.Sync(); err != nil {
		return undo(err)
	}
	if err := fault.Point(point + ".synced"); err != nil {
		return undo(err)
	}
	if err := f.Close(); err != nil {
		return undo(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return undo(err)
	}
	if err := fault.Point(point + ".renamed"); err != nil {
		return err
	}
	return SyncDir(dir)
}

// SyncDir makes renames and removals in dir durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// MakeDir makes a folder for our eyes only.
func MakeDir(path string) error { return os.MkdirAll(path, 0o700) }
