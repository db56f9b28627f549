package openlog

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func FuzzLeaf(f *testing.F) {
	f.Add(Leaf{Kind: Placed, Ref: "B-2026-000001", Name: strings.Repeat("0a", 32)}.Encode())
	f.Add(Leaf{Kind: Ended, Ref: "B-2026-000001", Of: 3, Cause: "cleaned"}.Encode())
	f.Add([]byte(`{"v":1,"kind":"placed","ref":"x","name":"` + strings.Repeat("Z", 64) + `"}`))
	f.Add([]byte(`{"v":1,"kind":"later","ref":"` + strings.Repeat("<", 1500) + `"}`))
	f.Add([]byte("{\"v\":1,\"kind\":\"r\xdeaced\"}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseLeaf(b)
		if err != nil {
			return
		}
		// What a reader took was never written anew; written by Go it may be longer.
		if written := l.Encode(); len(written) > MaxLeaf {
			return
		} else if again, err := ParseLeaf(written); err != nil || again.Kind != l.Kind || again.Ref != l.Ref || again.Of != l.Of {
			t.Errorf("%q: %+v, then %+v, %v", b, l, again, err)
		}
		l.Opens(make([]byte, SaltSize), "a.example")
	})
}

func FuzzHead(f *testing.F) {
	secret, public, err := note.GenerateKey(rand.Reader, "shield.example/log")
	if err != nil {
		f.Fatal(err)
	}
	signer, _ := note.NewSigner(secret)
	key, _ := note.NewVerifier(public)
	h := Head{Origin: "shield.example/log", Size: 7, Epoch: 1, At: time.Unix(1795608000, 0)}
	signed, _ := note.Sign(&note.Note{Text: h.Text()}, signer)
	f.Add(signed)
	f.Add([]byte(h.Text()))
	f.Add([]byte("a\n01\nAAAA\nepoch 0\nat now\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := OpenHead(b, key); err == nil && !bytes.Contains(b, []byte(got.Text())) {
			t.Errorf("%q was never signed", b)
		}
		if got, err := ParseHead(string(b)); err == nil && !strings.HasPrefix(string(b), got.Origin+"\n") {
			t.Errorf("%q: %+v", b, got)
		}
	})
}

func FuzzBundle(f *testing.F) {
	f.Add(AppendBundle(AppendBundle(nil, []byte("one")), nil), 2)
	f.Add([]byte{0xff, 0xff}, 1)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		all, err := ParseBundle(b, n)
		if err != nil {
			return
		}
		var again []byte
		for _, l := range all {
			again = AppendBundle(again, l)
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%x, then %x", b, again)
		}
	})
}

func FuzzTilePath(f *testing.F) {
	for _, p := range []string{"tile/8/0/000", "tile/8/data/x001/234.p/5", "tile/0/000", "tile/entries/000.p/1", "tile/8/-1/000", "tile/9/0/000"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		tile, err := ParseTile(p)
		if err != nil {
			return
		}
		if again, err := ParseTile(tile.Path()); err != nil || again != tile || tile.H != 8 || tile.N < 0 || tile.L < -1 {
			t.Errorf("%q: %+v, then %+v, %v", p, tile, again, err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"leaf":"{}","salt":"00","tag":"00"}` + "\n" + `{"forgot":1,"forgotten":[-1,0,9999999]}` + "\n" + `{"key":"a","head":"b"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		lines, err := ReadLines(bytes.NewReader(b))
		if err != nil {
			return
		}
		s, err := Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if s.Take(lines) == nil {
			t.Errorf("%q was taken without a signature", b)
		}
	})
}

func TestRangeIsTheTree(t *testing.T) {
	var r Range
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(idx []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range idx {
			out = append(out, stored[i])
		}
		return out, nil
	})
	for n := int64(0); n < 600; n++ {
		want, err := tlog.TreeHash(n, reader)
		if err != nil {
			t.Fatal(err)
		}
		if r.Root() != want || r.Size != n {
			t.Fatalf("root of %d leaves: %s, want %s", n, r.Root(), want)
		}
		again, err := ReadRange(r.Size, r.Bytes())
		if err != nil || again.Root() != want {
			t.Fatalf("read again: %v", err)
		}
		data := []byte{byte(n), byte(n >> 8)}
		more, err := tlog.StoredHashes(n, data, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
		r.Add(tlog.RecordHash(data))
	}
}
