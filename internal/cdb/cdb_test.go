package cdb

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// find looks a key up as the format says, apart from how it is written.
func find(t *rapid.T, b, key []byte) (string, bool) {
	word := func(at int) int { return int(binary.LittleEndian.Uint32(b[at:])) }
	h := hash(key)
	pos, slots := word(int(h&255)*8), word(int(h&255)*8+4)
	for i := range slots {
		at := pos + (int(h>>8)+i)%slots*8
		if word(at+4) == 0 {
			return "", false
		}
		if word(at) != int(h) {
			continue
		}
		rec := word(at + 4)
		k, v := word(rec), word(rec+4)
		if bytes.Equal(b[rec+8:rec+8+k], key) {
			return string(b[rec+8+k : rec+8+k+v]), true
		}
	}
	return "", false
}

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.cdb")
	rapid.Check(t, func(rt *rapid.T) {
		all := rapid.MapOfN(rapid.String(), rapid.String(), 0, 400).Draw(rt, "pairs")
		if err := Write(path, func(yield func(k, v []byte) bool) {
			for k, v := range maps.All(all) {
				if !yield([]byte(k), []byte(v)) {
					return
				}
			}
		}); err != nil {
			rt.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			rt.Fatal(err)
		}
		for k, want := range all {
			if got, ok := find(rt, b, []byte(k)); !ok || got != want {
				rt.Fatalf("%q: got %q %v, want %q", k, got, ok, want)
			}
		}
		for i := range 50 {
			k := fmt.Sprint("none", i)
			if _, there := all[k]; there {
				continue
			}
			if got, ok := find(rt, b, []byte(k)); ok {
				rt.Fatalf("%q: got %q, want nothing", k, got)
			}
		}
	})
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("files beside it: %v", left)
	}
}

// Who looks at a file's time in whole seconds sees every new file.
func TestWrite_each_file_is_a_second_newer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.cdb")
	last := int64(0)
	for range 5 {
		if err := Write(path, func(func(k, v []byte) bool) {}); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st.ModTime().Unix() <= last {
			t.Fatalf("a new file is of second %d, the one before of %d", st.ModTime().Unix(), last)
		}
		last = st.ModTime().Unix()
	}
}

func TestWrite_known_file(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.cdb")
	if err := Write(path, func(yield func(k, v []byte) bool) { yield([]byte("one"), []byte("Hello")) }); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The example of the format's description: the record stands first, behind 2048 octets.
	if want := "\x03\x00\x00\x00\x05\x00\x00\x00oneHello"; string(b[2048:2048+len(want)]) != want || len(b) != 2048+16+16 {
		t.Errorf("got %d octets, record %q", len(b), b[2048:])
	}
}
