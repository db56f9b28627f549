package vault_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/vault"
)

func open(t *testing.T, dir string, now time.Time) (*vault.Vault, *clock.Fake) {
	t.Helper()
	c := clock.NewFake(now)
	v, err := vault.Open(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	return v, c
}

func seal(t *testing.T, v *vault.Vault, purpose, plain string) []byte {
	t.Helper()
	b, err := v.Seal(purpose, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var november = time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)

func TestWhatIsSealedOpensForItsPurposeOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	v, c := open(t, dir, november)
	box := seal(t, v, "report.reporter", "klant@klant.example")
	if bytes.Contains(box, []byte("klant")) || bytes.Equal(box, seal(t, v, "report.reporter", "klant@klant.example")) {
		t.Error("sealed in the clear, or twice the same")
	}
	c.Add(40 * 24 * time.Hour) // another month's key is in use
	again, _ := open(t, dir, c.Now())
	for _, v := range []*vault.Vault{v, again} {
		if got, err := v.Open("report.reporter", box); err != nil || string(got) != "klant@klant.example" {
			t.Errorf("got %q, %v", got, err)
		}
		if got, err := v.Open("report.subject", box); err == nil {
			t.Errorf("opened for another purpose: %q", got)
		}
	}
	for i := range box {
		bad := slices.Clone(box)
		bad[i] ^= 1
		if got, err := v.Open("report.reporter", bad); err == nil {
			t.Errorf("byte %d changed: opened as %q", i, got)
		}
		if _, err := v.Open("report.reporter", box[:i]); err == nil {
			t.Errorf("cut to %d bytes: opened", i)
		}
	}
}

func TestADestroyedKeyOpensNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	v, c := open(t, dir, november)
	old := seal(t, v, "x", "old")
	c.Add(30 * 24 * time.Hour)
	young := seal(t, v, "x", "young")
	gone, err := v.Destroy("2026-12")
	if err != nil || !slices.Equal(gone, []string{"2026-11"}) {
		t.Fatalf("destroyed %q, %v", gone, err)
	}
	if _, err := v.Open("x", old); !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
	if got, err := v.Open("x", young); err != nil || string(got) != "young" {
		t.Errorf("got %q, %v", got, err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("%d key files, want one: opening made none", len(names))
	}
}

func TestAMarkSaysSameSenderWithinAMonthOnly(t *testing.T) {
	v, c := open(t, filepath.Join(t.TempDir(), "keys"), november)
	mark := func(purpose, value string) string {
		m, err := v.Mark(purpose, value)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	first := mark("reporter", "klant@klant.example")
	if first != mark("reporter", "klant@klant.example") || len(first) != 32 {
		t.Errorf("mark %q, and another for the same", first)
	}
	if first == mark("reporter", "ander@klant.example") || first == mark("other", "klant@klant.example") {
		t.Error("the same mark for another value or purpose")
	}
	c.Add(30 * 24 * time.Hour)
	if first == mark("reporter", "klant@klant.example") {
		t.Error("the same mark in another month")
	}
	other, _ := open(t, filepath.Join(t.TempDir(), "keys"), november)
	if m, err := other.Mark("reporter", "klant@klant.example"); err != nil || m == first {
		t.Errorf("the same mark in another installation: %v", err)
	}
}

func TestKeysAreForTheirOwnerAloneAndWhole(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	v, _ := open(t, dir, november)
	seal(t, v, "x", "y")
	path := filepath.Join(dir, "2026-11.key")
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 || st.Size() != 32 {
		t.Errorf("key file %v, %v", st, err)
	}
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken, _ := open(t, dir, november)
	if _, err := broken.Seal("x", []byte("y")); err == nil || !strings.Contains(err.Error(), "5 bytes, want 32") {
		t.Errorf("a broken key was used: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	v, err := vault.Open(filepath.Join(f.TempDir(), "keys"), clock.NewFake(november))
	if err != nil {
		f.Fatal(err)
	}
	box, err := v.Seal("x", []byte("y"))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{nil, box, []byte("2026-11"), []byte("../../.1234567890123456789012345678901234"), []byte("2026-13xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if plain, err := v.Open("x", b); err == nil && !bytes.Equal(b, box) {
			t.Errorf("%q opened as %q", b, plain)
		}
	})
}

func TestMarksOfLately(t *testing.T) {
	v, c := open(t, filepath.Join(t.TempDir(), "keys"), november)
	first, err := v.Lately("reporter", "klant@klant.example", 2)
	if err != nil || len(first) != 1 {
		t.Fatalf("%q, %v: there is one key", first, err)
	}
	c.Add(10 * 24 * time.Hour)
	next, err := v.Lately("reporter", "klant@klant.example", 2)
	if err != nil || len(next) != 2 || next[1] != first[0] || next[0] == first[0] {
		t.Errorf("a month later %q, before %q, %v", next, first, err)
	}
	c.Add(31 * 24 * time.Hour)
	if all, err := v.Lately("reporter", "klant@klant.example", 1); err != nil || len(all) != 2 || all[1] != next[0] {
		t.Errorf("two months later %q, %v", all, err)
	}
}

// agreed is what the desks of a store agree on, as the store does.
func agreed(t *testing.T) (of func(*vault.Vault, string), names map[string]string) {
	names = map[string]string{}
	return func(v *vault.Vault, name string) {
		v.With(name, func(key, digest string) error {
			if names[key] == "" && digest != "" {
				names[key] = digest
			}
			if names[key] != digest {
				return bolwerk.Conflict("key %s", key)
			}
			return nil
		})
	}, names
}

func copyKeys(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
}

func TestTwoDesksSealWithTheSameKeys(t *testing.T) {
	with, names := agreed(t)
	first, second := t.TempDir(), t.TempDir()
	a, c := open(t, first, november)
	with(a, "contacts")
	if err := a.Ahead(2); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"contacts/2026-11", "contacts/kept/2026-11", "contacts/2027-01", "contacts/kept/2027-01"} {
		if names[key] == "" {
			t.Errorf("no key %s is made ahead", key)
		}
	}
	other, _ := open(t, t.TempDir(), november)
	with(other, "views")
	seal(t, other, "x", "y") // another vault has a key of the same month

	copyKeys(t, second, first)
	for range 3 {
		b, err := vault.Open(second, c)
		if err != nil {
			t.Fatal(err)
		}
		with(b, "contacts")
		for i, from := range []*vault.Vault{a, a.Kept(), b, b.Kept()} {
			to := []*vault.Vault{b, b.Kept(), a, a.Kept()}[i]
			if got, err := to.Open("x", seal(t, from, "x", "y")); err != nil || string(got) != "y" {
				t.Errorf("%s, %d: %q, %v", vault.Month(c.Now()), i, got, err)
			}
			one, err := from.Mark("x", "y")
			if two, err2 := to.Mark("x", "y"); err != nil || err2 != nil || one != two {
				t.Errorf("%s, %d: marks %s and %s, %v, %v", vault.Month(c.Now()), i, one, two, err, err2)
			}
		}
		c.Add(31 * 24 * time.Hour)
	}

	// Nobody has brought the keys: the second seals nothing and makes none.
	seal(t, a, "x", "y")
	b, err := vault.Open(second, c)
	if err != nil {
		t.Fatal(err)
	}
	with(b, "contacts")
	if _, err := b.Seal("x", []byte("y")); !errors.Is(err, bolwerk.ErrConflict) || !strings.Contains(err.Error(), "contacts/2027-02") {
		t.Errorf("got %v, want a refusal that names the key", err)
	}
	if _, err := os.Stat(filepath.Join(second, "2027-02.key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a key of its own: %v", err)
	}
}

// A key that two desks make in the same moment: that of the slower one is not left
// behind, where a copy would bring it to the others.
func TestAKeyThatWasNotAgreedOnIsNotLeftBehind(t *testing.T) {
	dir := t.TempDir()
	v, _ := open(t, dir, november)
	v.With("views", func(_, digest string) error {
		if digest == "" {
			return nil
		}
		return bolwerk.Conflict("another was quicker")
	})
	if _, err := v.Seal("x", []byte("y")); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("left behind %v, %v", names, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "2026-11.key"), make([]byte, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := v.Ahead(0); err == nil {
		t.Error("a key that was not agreed on is used")
	}
	if _, err := os.Stat(filepath.Join(dir, "2026-11.key")); err != nil {
		t.Errorf("a key that was there is removed: %v", err)
	}
}

func TestTwoDesksWithOneFolderMakeOneKey(t *testing.T) {
	dir := t.TempDir()
	a, _ := open(t, dir, november)
	b, _ := open(t, dir, november)
	var box []byte
	a.With("views", func(_, digest string) error {
		if digest == "" { // now it makes one
			box = seal(t, b, "x", "y")
		}
		return nil
	})
	if got, err := b.Open("x", seal(t, a, "x", "z")); err != nil || string(got) != "z" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := a.Open("x", box); err != nil || string(got) != "y" {
		t.Errorf("got %q, %v", got, err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("%v, want the key alone", names)
	}
}
