// Package vault holds the keys of sealed columns and blobs: one key a month,
// in a folder outside the backup. Destroying a month's key destroys what was
// sealed with it, in every copy and backup too.
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/disk"
)

// Vault seals and opens with the month's key. It is safe for concurrent use.
type Vault struct {
	dir   string
	clock clock.Clock
	mu    sync.Mutex
	keys  map[string][]byte // month -> 32 bytes
	kept  *Vault
	name  string // of a key to Agree: name and month
	agree Agree
}

// Agree says whether a key may be used to seal: several desks at one store must
// have the same. digest names the key; it is empty where this desk has none and
// would make one.
type Agree func(name, digest string) error

// With asks agree before a key is first used to seal; name is that of the vault, by
// which the desks tell its keys from those of others. Call it before the vault is used.
func (v *Vault) With(name string, agree Agree) {
	v.agree, v.kept.agree = agree, agree
	v.name, v.kept.name = name+"/", name+"/kept/"
}

// Ahead makes the keys of this month and the next ones, so that there is time to
// bring them to another desk. It tells the first failure of each.
func (v *Vault) Ahead(months int) error {
	now := v.clock.Now().UTC()
	first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	var errs []error
	for i := range months + 1 {
		for _, of := range []*Vault{v, v.kept} {
			_, err := of.key(Month(first.AddDate(0, i, 0)), true)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Open uses the keys in dir, which is made when it is not there.
func Open(dir string, c clock.Clock) (*Vault, error) {
	if err := disk.MakeDir(dir); err != nil {
		return nil, fmt.Errorf("keys of sealed columns: %w", err)
	}
	kept := &Vault{dir: filepath.Join(dir, "kept"), clock: c, keys: map[string][]byte{}}
	return &Vault{dir: dir, clock: c, keys: map[string][]byte{}, kept: kept}, nil
}

// Kept are keys of their own, for what is kept as long as something else and not
// for so many months. Whoever seals with them destroys them.
func (v *Vault) Kept() *Vault { return v.kept }

// Month is the name of the key that is in use at t, such as "2026-11".
func Month(t time.Time) string { return t.UTC().Format("2006-01") }

func (v *Vault) key(month string, make_ bool) ([]byte, error) {
	if _, err := time.Parse("2006-01", month); err != nil {
		return nil, bolwerk.Invalid("%q is not a month", month)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if k := v.keys[month]; k != nil {
		return k, nil
	}
	path, made := filepath.Join(v.dir, month+".key"), false
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if !make_ {
			return nil, bolwerk.NotFound("the key of %s is destroyed: its retention has ended", month)
		}
		if v.agree != nil {
			if err := v.agree(v.name+month, ""); err != nil {
				return nil, err
			}
		}
		b, made, err = create(path)
	}
	if err != nil {
		return nil, fmt.Errorf("key of %s: %w", month, err)
	}
	if len(b) != 32 {
		return nil, fmt.Errorf("key of %s: %d bytes, want 32", month, len(b))
	}
	if make_ && v.agree != nil {
		sum := sha256.Sum256(append([]byte("bolwerk month key "), b...))
		if err := v.agree(v.name+month, hex.EncodeToString(sum[:])); err != nil {
			if made && errors.Is(err, bolwerk.ErrConflict) {
				os.Remove(path) // another desk made one in the same moment: nothing is sealed with ours
			}
			return nil, err
		}
	}
	v.keys[month] = b
	return b, nil
}

// create makes a key, or reads the one that another desk has made in the same moment in
// a folder of both.
func create(path string) (key []byte, made bool, err error) {
	key = make([]byte, 32)
	rand.Read(key)
	if err := disk.MakeDir(filepath.Dir(path)); err != nil {
		return nil, false, err
	}
	fresh := disk.TempName(path)
	if err := disk.Write(fresh, key, "vault.key"); err != nil {
		return nil, false, err
	}
	defer os.Remove(fresh)
	if err := os.Link(fresh, path); errors.Is(err, os.ErrExist) {
		key, err = os.ReadFile(path)
		return key, false, err
	} else if err != nil {
		return nil, false, err
	}
	return key, true, disk.SyncDir(filepath.Dir(path))
}

func (v *Vault) aead(month, purpose string, make_ bool) (cipher.AEAD, error) {
	k, err := v.key(month, make_)
	if err != nil {
		return nil, err
	}
	sub, err := hkdf.Key(sha256.New, k, nil, "bolwerk column "+purpose, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sub)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Seal encrypts plain with the key of this month for a purpose such as
// "report.reporter". The result names its month in the clear.
func (v *Vault) Seal(purpose string, plain []byte) ([]byte, error) {
	month := Month(v.clock.Now())
	a, err := v.aead(month, purpose, true)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 7+a.NonceSize(), 7+a.NonceSize()+len(plain)+a.Overhead())
	copy(out, month)
	rand.Read(out[7:])
	return a.Seal(out, out[7:], plain, []byte(month)), nil
}

// Open decrypts what Seal made for the same purpose. bolwerk.ErrNotFound says
// that the month's key has been destroyed.
func (v *Vault) Open(purpose string, sealed []byte) ([]byte, error) {
	if len(sealed) < 7 {
		return nil, bolwerk.Invalid("sealed value of %d bytes", len(sealed))
	}
	a, err := v.aead(string(sealed[:7]), purpose, false)
	if err != nil {
		return nil, err
	}
	if len(sealed) < 7+a.NonceSize() {
		return nil, bolwerk.Invalid("sealed value of %d bytes", len(sealed))
	}
	nonce, box := sealed[7:7+a.NonceSize()], sealed[7+a.NonceSize():]
	plain, err := a.Open(nil, nonce, box, sealed[:7])
	if err != nil {
		return nil, fmt.Errorf("open a sealed %s: %w", purpose, err)
	}
	return plain, nil
}

// Mark is a keyed hash of value under this month's key, in hex: enough to see
// that two reports of a month are from one sender, and nothing afterwards.
func (v *Vault) Mark(purpose, value string) (string, error) {
	k, err := v.key(Month(v.clock.Now()), true)
	if err != nil {
		return "", err
	}
	return markWith(k, purpose, value), nil
}

// Lately are the marks of value under this month's key and those of some months before,
// the newest first, without those that there is no key of: for what is compared across
// the end of a month.
func (v *Vault) Lately(purpose, value string, before int) ([]string, error) {
	mark, err := v.Mark(purpose, value)
	if err != nil {
		return nil, err
	}
	all := []string{mark}
	now := v.clock.Now().UTC()
	first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	for i := range before {
		k, err := v.key(Month(first.AddDate(0, -1-i, 0)), false)
		if errors.Is(err, bolwerk.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, markWith(k, purpose, value))
	}
	return all, nil
}

// Marks are the marks of value under the keys of every month that there are, the
// newest first: for what was marked in an earlier month and is kept longer.
func (v *Vault) Marks(purpose, value string) (all []string, err error) {
	names, err := os.ReadDir(v.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // nothing was ever marked
	}
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		month, ok := strings.CutSuffix(n.Name(), ".key")
		if !ok {
			continue
		}
		k, err := v.key(month, false)
		if errors.Is(err, bolwerk.ErrNotFound) {
			continue // destroyed just now
		}
		if err != nil {
			return nil, err
		}
		all = append(all, markWith(k, purpose, value))
	}
	slices.Reverse(all) // ReadDir sorts by name: months
	return all, nil
}

func markWith(k []byte, purpose, value string) string {
	m := hmac.New(sha256.New, k)
	fmt.Fprintf(m, "mark %s\x00%s", purpose, value)
	return hex.EncodeToString(m.Sum(nil)[:16])
}

// Destroy removes the keys of all months before month and returns which.
func (v *Vault) Destroy(before string) ([]string, error) {
	names, err := os.ReadDir(v.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // nothing was ever sealed
	}
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for month, k := range v.keys { // another desk may have removed the file
		if month < before {
			clear(k)
			delete(v.keys, month)
		}
	}
	var gone []string
	for _, n := range names {
		month, ok := strings.CutSuffix(n.Name(), ".key")
		if !ok || month >= before {
			continue
		}
		if err := os.Remove(filepath.Join(v.dir, n.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return gone, err
		}
		gone = append(gone, month)
	}
	return gone, disk.SyncDir(v.dir)
}
