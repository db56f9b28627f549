package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"bolwerk"
)

func key(t testing.TB) PrivateKey {
	t.Helper()
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestOnlyTheRightKeyAndContextOpen(t *testing.T) {
	a, b := key(t), key(t)
	for _, text := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("mail "), 20000)} {
		sealed, err := Seal(a.Public(), "report/1", text)
		if err != nil {
			t.Fatal(err)
		}
		if len(sealed) != len(text)+Overhead {
			t.Errorf("sealed %d octets into %d, want %d", len(text), len(sealed), len(text)+Overhead)
		}
		if got, err := Open(sealed, "report/1", b, a); err != nil || !bytes.Equal(got, text) {
			t.Errorf("open: %d octets, %v, want %d", len(got), err, len(text))
		}
		if _, err := Open(sealed, "report/2", a); !errors.Is(err, bolwerk.ErrInvalid) {
			t.Errorf("another context: %v", err)
		}
		if _, err := Open(sealed, "report/1", b); !errors.Is(err, bolwerk.ErrNotFound) {
			t.Errorf("another key: %v", err)
		}
		again, _ := Seal(a.Public(), "report/1", text)
		if bytes.Equal(again, sealed) {
			t.Error("sealed twice the same")
		}
	}
}

func TestEveryChangedOctetIsFound(t *testing.T) {
	k := key(t)
	sealed, _ := Seal(k.Public(), "c", []byte("short"))
	for i := 0; i < len(sealed); i += 1 + i/64 {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := Open(bad, "c", k); err == nil {
			t.Errorf("octet %d changed: still opens", i)
		}
	}
	for n := range len(sealed) {
		if _, err := Open(sealed[:n], "c", k); err == nil {
			t.Errorf("cut to %d octets: still opens", n)
		}
	}
}

func TestKeysAreFilesForOurEyesOnly(t *testing.T) {
	p := filepath.Join(t.TempDir(), "seal.key")
	if _, err := Load(p); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	k := key(t)
	if err := k.Save(p); err != nil {
		t.Fatal(err)
	}
	st, _ := os.Stat(p)
	if st.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", st.Mode())
	}
	back, err := Load(p)
	if err != nil || back.Public().ID() != k.Public().ID() {
		t.Fatalf("loaded %v", err)
	}
	var pub PublicKey
	text, _ := k.Public().MarshalText()
	if err := pub.UnmarshalText(text); err != nil || pub.ID() != k.Public().ID() {
		t.Fatalf("public key as text: %v", err)
	}
	sealed, _ := Seal(pub, "c", []byte("x"))
	if _, err := Open(sealed, "c", back); err != nil {
		t.Error(err)
	}
	if s := fmt.Sprintf("%v %+v %#v %s", k, k, k, k); s != "*** *** *** ***" {
		t.Errorf("a private key prints as %s", s)
	}
	os.WriteFile(p, []byte("no key"), 0o600)
	if _, err := Load(p); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("a file that is no key: %v", err)
	}
}

func TestTooLongIsRefused(t *testing.T) {
	if _, err := Seal(key(t).Public(), "c", make([]byte, MaxText+1)); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	k := key(f)
	good, _ := Seal(k.Public(), "c", []byte("text"))
	f.Add(good)
	f.Add(good[:40])
	f.Add([]byte("BWS1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if text, err := Open(b, "c", k); err == nil && (!bytes.Equal(b, good) || string(text) != "text") {
			t.Errorf("opened %d octets that nobody sealed", len(b))
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	k := key(b)
	text := make([]byte, 20000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		Seal(k.Public(), "c", text)
	}
}

func BenchmarkOpen(b *testing.B) {
	k := key(b)
	sealed, _ := Seal(k.Public(), "c", make([]byte, 20000))
	for b.Loop() {
		Open(sealed, "c", k)
	}
}
