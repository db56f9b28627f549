package copy

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/disk"
)

func testSigner(t testing.TB) *Signer {
	t.Helper()
	s, err := OpenSigner(filepath.Join(t.TempDir(), "copy.key"), "Example Telecom")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func trustIn(s *Signer) Trust {
	return Trust{Operator: "Example Telecom", Copy: "blocks", Keys: []ed25519.PublicKey{s.Public()}}
}

// known says whether an error is one that a stranger may cause.
func known(err error) bool {
	return errors.Is(err, bolwerk.ErrInvalid) || errors.Is(err, bolwerk.ErrForbidden) || errors.Is(err, bolwerk.ErrConflict) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errLong)
}

// FuzzHead shows that only what the desk signed is a head.
func FuzzHead(f *testing.F) {
	s := testSigner(f)
	good, _ := s.head(Head{Copy: "blocks", Epoch: 1, Serial: 2}, time.Unix(1e9, 0))
	other, _ := s.head(Head{Copy: "public", Epoch: 1, Serial: 2}, time.Unix(1e9, 0))
	good = bytes.TrimSuffix(good, []byte("\n"))
	f.Add(good)
	f.Add(bytes.TrimSuffix(other, []byte("\n")))
	f.Add([]byte("H  {}"))
	f.Add([]byte("H"))
	f.Fuzz(func(t *testing.T, line []byte) {
		_, err := trustIn(s).head(line, s.Public())
		if err == nil && !bytes.Equal(line, good) {
			// Base64 may be written with stray bits or line feeds; the octets that count are the same.
			if i := bytes.LastIndexByte(good, '{'); !bytes.HasSuffix(line, good[i:]) {
				t.Errorf("a head that nobody signed: %q", line)
			}
		}
		if err != nil && !known(err) {
			t.Errorf("an error of another kind: %v", err)
		}
	})
}

func FuzzBatch(f *testing.F) {
	f.Add(Batch{Epoch: 1, Serial: 2, Entries: []Entry{{ID: "a", Version: 1, Body: json.RawMessage(`{"x":"<&>"}`)}, {ID: "b", Version: 2, Removed: true}}}.Encode())
	f.Add([]byte(`{"epoch":1,"serial":1,"count":1}` + "\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := DecodeBatch(raw)
		if err != nil {
			if !known(err) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		again, err := DecodeBatch(b.Encode())
		if err != nil || len(again.Entries) != len(b.Entries) || again.Serial != b.Serial {
			t.Errorf("written and read again: %+v, %v, want %+v", again, err, b)
		}
	})
}

// FuzzEntry holds the fast way of reading an entry against encoding/json.
func FuzzEntry(f *testing.F) {
	for _, s := range []string{`{"id":"a","v":1}`, `{"id":"a","v":1,"from":2,"until":3,"removed":true,"body":{"a":[1]}}`,
		`{"id":"a","v":01}`, `{"id":"a","v":-1}`, `{"id":"a","v":1,"body":1,"v":2}`, `{"id":"a\"","v":1}`,
		`{"id":"a","v":123456789012345678}`, `{"id":"a","v":1,"removed":false}`, `{"id":"a","v":1,"body": 1 }`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		fast, ok := plainEntry(raw)
		if ok {
			var slow Entry
			if err := json.Unmarshal(raw, &slow); err != nil || !reflect.DeepEqual(fast, slow) {
				t.Fatalf("%q: fast %+v, slow %+v, %v", raw, fast, slow, err)
			}
		}
		e, err := parseEntry(raw)
		if err != nil {
			return
		}
		line, err := appendEntry(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseEntry(line)
		if err != nil || again.ID != e.ID || again.Version != e.Version || again.Removed != e.Removed || !json.Valid(line) || bytes.IndexByte(line, '\n') >= 0 {
			t.Fatalf("%q was written as %q and read as %+v, %v", raw, line, again, err)
		}
	})
}

// FuzzAnswer gives a follower any octets: nothing comes of what is not signed.
func FuzzAnswer(f *testing.F) {
	s := testSigner(f)
	head, _ := s.head(Head{Copy: "blocks", Epoch: 1, Serial: 1}, time.Unix(1e9, 0))
	body := []byte("E {\"id\":\"a\",\"v\":1}\n")
	m, _ := s.manifest(Manifest{Head: Head{Copy: "blocks", Epoch: 1, Serial: 1, Count: 1}, Entries: 1, Bytes: int64(len(body)),
		SHA256: "0000"}, time.Unix(1e9, 0))
	f.Add(head)
	f.Add(append(body, m...))
	f.Add([]byte("B 3\nabc"))
	f.Add([]byte("B 99999999\n"))
	f.Add([]byte("Q\n"))
	f.Add([]byte("K x {}\nQ\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := disk.NewCrashing(1)
		machine := NewMachine(NewFiles(d, "/c"), nil, trustIn(s))
		out, err := machine.Start(time.Unix(1e9, 0))
		if err != nil {
			t.Fatal(err)
		}
		ev := machine.ReadAnswer(out[0].(Question), bytes.NewReader(raw))
		if failed, ok := ev.(Failed); ok && !known(failed.Err) {
			t.Errorf("an error of another kind: %v", failed.Err)
		}
		machine.Handle(ev, time.Unix(1e9, 0))
		if machine.State().Head.Copy != "" {
			t.Errorf("took %q", raw)
		}
		if names, _ := d.List("/c"); len(names) != 0 {
			t.Errorf("left behind %v", names)
		}
		ReadHeld(bytes.NewReader(raw), trustIn(s), func(Entry) error { return nil })
	})
}
