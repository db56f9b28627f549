package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// System is the machine's own disk.
type System struct{}

// Create makes a new file.
func (System) Create(name string) (File, error) {
	return open(name, os.O_CREATE|os.O_EXCL|os.O_RDWR)
}

// Append opens an old or new file for writing at its end.
func (System) Append(name string) (File, error) {
	return open(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY)
}

// Open opens an old file for reading.
func (System) Open(name string) (File, error) { return open(name, os.O_RDONLY) }

func open(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err // not a nil *os.File in an interface
	}
	return f, nil
}

// Size is the length of a file in bytes.
func (System) Size(name string) (int64, error) {
	st, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// Truncate cuts a file.
func (System) Truncate(name string, size int64) error { return os.Truncate(name, size) }

// Rename moves a file.
func (System) Rename(from, to string) error { return os.Rename(from, to) }

// Remove deletes a file or an empty folder.
func (System) Remove(name string) error { return os.Remove(name) }

// List is the names in a folder, sorted.
func (System) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// MakeDir makes a folder for our eyes only.
func (System) MakeDir(dir string) error { return os.MkdirAll(dir, 0o700) }

// SyncDir makes renames and removals in dir durable.
func (System) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Free is what a process without privileges may still write.
func (System) Free(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// SyncDir makes renames and removals in dir durable.
func SyncDir(dir string) error { return System{}.SyncDir(dir) }

// MakeDir makes a folder for our eyes only.
func MakeDir(path string) error { return System{}.MakeDir(path) }
