package blob_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/blob"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
	"bolwerk/internal/vault"
)

var start = time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)

type house struct {
	*blob.Store
	db    *store.DB
	time  *clock.Fake
	vault *vault.Vault
}

func open(t *testing.T) house {
	t.Helper()
	h := house{time: clock.NewFake(start)}
	var err error
	if h.vault, err = vault.Open(filepath.Join(t.TempDir(), "keys"), h.time); err != nil {
		t.Fatal(err)
	}
	h.Store, h.db = blob.New(h.vault), storetest.Open(t, h.time, blob.Schema())
	return h
}

func (h house) put(t *testing.T, body []byte) string {
	t.Helper()
	s, err := h.Seal(body)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.db.Write(t.Context(), store.Intake, func(tx *store.Tx) error { return h.Put(tx, s) }); err != nil {
		t.Fatal(err)
	}
	return s.Ref
}

func (h house) read(t *testing.T, ref string) (body []byte, err error) {
	t.Helper()
	err = h.db.Read(t.Context(), func(tx *store.Tx) (err error) { body, err = h.Read(tx, ref); return err })
	return body, err
}

func (h house) rows(t *testing.T) (n int) {
	t.Helper()
	if err := h.db.Read(t.Context(), func(tx *store.Tx) error { return tx.Row(`select count(*) from blob`).Scan(&n) }); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestABodyComesBackAsItWent(t *testing.T) {
	h := open(t)
	noise := make([]byte, 3<<20)
	rand.Read(noise)
	for _, body := range [][]byte{{}, []byte("From: klant@klant.example\r\n\r\nverdacht"), {0, 255, 0}, bytes.Repeat([]byte("a"), 8<<20), noise} {
		ref := h.put(t, body)
		if got, err := h.read(t, ref); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d bytes came back as %d, %v", len(body), len(got), err)
		}
	}
}

func TestTheSameBodyOfAMonthIsKeptOnce(t *testing.T) {
	h := open(t)
	a, b := h.put(t, []byte("the same")), h.put(t, []byte("the same"))
	if a != b || h.rows(t) != 1 || !strings.HasPrefix(a, "2026-11/") {
		t.Errorf("%s and %s in %d rows", a, b, h.rows(t))
	}
	h.time.Add(31 * 24 * time.Hour)
	if c := h.put(t, []byte("the same")); c == a || h.rows(t) != 2 {
		t.Errorf("the month after: %s in %d rows, want one more", c, h.rows(t))
	}
}

func TestABodyIsBounded(t *testing.T) {
	h := open(t)
	h.put(t, make([]byte, blob.MaxSize))
	if _, err := h.Seal(make([]byte, blob.MaxSize+1)); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestABodyEndsWithItsMonth(t *testing.T) {
	h := open(t)
	old := h.put(t, []byte("of november"))
	h.time.Add(31 * 24 * time.Hour)
	young := h.put(t, []byte("of december"))
	// The key first: what a backup still holds cannot be read any more.
	if gone, err := h.vault.Destroy("2026-12"); err != nil || len(gone) != 1 {
		t.Fatalf("destroyed %q, %v", gone, err)
	}
	if _, err := h.read(t, old); !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("without its key: %v, want not found", err)
	}
	if err := h.db.Write(t.Context(), store.Intake, func(tx *store.Tx) error {
		n, err := h.Expire(tx, "2026-12")
		if n != 1 {
			t.Errorf("%d expired, want 1", n)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.read(t, old); !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("expired: %v, want not found", err)
	}
	if got, err := h.read(t, young); err != nil || string(got) != "of december" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, ref := range []string{"", "x", "2026-12", "2026-12/", "2026-12/00", "../../x/1"} {
		if _, err := h.read(t, ref); !errors.Is(err, bolwerk.ErrNotFound) {
			t.Errorf("%q: %v, want not found", ref, err)
		}
	}
}

func TestABodyThatWasChangedIsNotRead(t *testing.T) {
	h := open(t)
	ref := h.put(t, []byte("as it came"))
	month, digest, _ := strings.Cut(ref, "/")
	if err := h.db.Write(t.Context(), store.Intake, func(tx *store.Tx) error {
		var body []byte
		if err := tx.Row(`select body from blob where month=$1 and digest=$2`, month, digest).Scan(&body); err != nil {
			return err
		}
		body[len(body)-1] ^= 1
		_, err := tx.Exec(`update blob set body=$1`, body)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if got, err := h.read(t, ref); err == nil {
		t.Errorf("read %q", got)
	}
}

func TestNoBodyStandsInTheFilesInTheClear(t *testing.T) {
	h := open(t)
	h.put(t, []byte("planted@klant.example"))
	if h.db.Postgres() {
		t.Skip("reads the SQLite files")
	}
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(h.db.Path() + suffix)
		if err != nil || bytes.Contains(b, []byte("planted")) {
			t.Errorf("store%s: in the clear, or %v", suffix, err)
		}
	}
}
