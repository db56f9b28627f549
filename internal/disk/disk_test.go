package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"bolwerk"
)

func TestPutIsWholeOrAsBefore(t *testing.T) {
	for seed := range uint64(200) {
		for stop := 1; ; stop++ {
			d := NewCrashing(seed)
			d.MakeDir("/s")
			if err := Put(d, "/s/a", []byte("the old text"), "t"); err != nil {
				t.Fatal(err)
			}
			d.StopAt(stop)
			err := Put(d, "/s/a", []byte("the new text"), "t")
			crashed := d.Dead()
			d.Crash()
			got, rerr := Read(d, "/s/a", 100)
			if rerr != nil {
				t.Fatalf("seed %d, stopped at %d: %v", seed, stop, rerr)
			}
			switch s := string(got); {
			case err == nil && s != "the new text":
				t.Fatalf("seed %d, stopped at %d: acknowledged, but holds %q", seed, stop, s)
			case s != "the new text" && s != "the old text":
				t.Fatalf("seed %d, stopped at %d: holds %q", seed, stop, s)
			}
			if !crashed {
				break
			}
		}
	}
}

func TestCrashingForgetsWhatWasNotSynced(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(300) {
		d := NewCrashing(seed)
		d.MakeDir("/s")
		f, _ := d.Create("/s/a")
		f.Write([]byte("ab"))
		f.Sync()
		d.SyncDir("/s")
		f.Write([]byte("cd"))
		d.Rename("/s/a", "/s/b")
		d.Crash()
		a, aerr := Read(d, "/s/a", 10)
		b, berr := Read(d, "/s/b", 10)
		if (aerr == nil) == (berr == nil) {
			t.Fatalf("seed %d: a rename must leave one name: %v, %v", seed, aerr, berr)
		}
		seen[fmt.Sprintf("%q", append(a, b...))]++
	}
	for _, want := range []string{`"ab"`, `"abc"`, `"abcd"`, `"ab\x00"`} {
		if seen[want] == 0 {
			t.Errorf("after a crash never saw %s: %v", want, seen)
		}
	}
}

func TestFullDiskIsErrFull(t *testing.T) {
	d := NewCrashing(1)
	d.MakeDir("/s")
	d.Room(3)
	if err := Put(d, "/s/a", []byte("four"), "t"); !errors.Is(err, bolwerk.ErrFull) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want ErrFull", err)
	}
	if names, _ := d.List("/s"); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
}

func TestSystemKeepsFilesPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "x", "y")
	if err := MakeDir(dir); err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(dir, "a")
	for _, text := range []string{"one", "two"} {
		if err := Write(p, []byte(text), "t"); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(System{}, p, 3); err != nil || string(got) != text {
			t.Fatalf("got %q, %v, want %q", got, err, text)
		}
	}
	st, _ := os.Stat(p)
	if st.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", st.Mode())
	}
	if _, err := Read(System{}, p, 2); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("a file longer than the bound: %v", err)
	}
	if n, err := (System{}).Free(dir); err != nil || n <= 0 {
		t.Errorf("free: %d, %v", n, err)
	}
	if names, _ := (System{}).List(dir); len(names) != 1 {
		t.Errorf("names %v, want one", names)
	}
}
