// Package blob keeps bodies and evidence: rows named by the hash of their
// content, compressed, encrypted with a key a month.
package blob

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"strings"

	"github.com/klauspost/compress/zstd"

	"bolwerk"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
)

//go:embed schema.sql
var schema string

// Schema is the table of this package.
func Schema() store.Schema { return store.Schema{Name: "blob", Steps: []string{schema}} }

// MaxSize bounds one body: what the doors accept (25 MiB) and room for its
// envelope.
const MaxSize = 32 << 20

// Store keeps bodies.
type Store struct {
	vault *vault.Vault
	enc   *zstd.Encoder
	dec   *zstd.Decoder
}

// New uses the vault's keys.
func New(v *vault.Vault) *Store {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err) // fixed options
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(MaxSize), zstd.WithDecoderConcurrency(2))
	if err != nil {
		panic(err)
	}
	return &Store{vault: v, enc: enc, dec: dec}
}

// Sealed is a body ready to be written. Sealing costs time, so it is done
// before the transaction.
type Sealed struct {
	Ref  string // month/sha256
	body []byte
	size int
}

// Seal compresses and encrypts body.
func (s *Store) Seal(body []byte) (Sealed, error) {
	if len(body) > MaxSize {
		return Sealed{}, bolwerk.Invalid("body of %d bytes: at most %d are kept", len(body), MaxSize)
	}
	sum := sha256.Sum256(body)
	box, err := s.vault.Seal("blob", s.enc.EncodeAll(body, nil))
	if err != nil {
		return Sealed{}, err
	}
	return Sealed{Ref: string(box[:7]) + "/" + hex.EncodeToString(sum[:]), body: box, size: len(body)}, nil
}

// Put writes a sealed body; the same content of the same month is kept once.
func (s *Store) Put(tx *store.Tx, b Sealed) error {
	month, digest, _ := strings.Cut(b.Ref, "/")
	_, err := tx.Exec(`insert into blob(month,digest,size,body,at) values($1,$2,$3,$4,$5) on conflict(month,digest) do nothing`,
		month, digest, b.size, b.body, tx.NowMicros())
	return err
}

// Size is how many bytes Read gives; at most MaxSize.
func (s *Store) Size(tx *store.Tx, ref string) (size int, err error) {
	month, digest, _ := strings.Cut(ref, "/")
	err = tx.Row(`select size from blob where month=$1 and digest=$2`, month, digest).Scan(&size)
	if store.None(err) {
		return 0, errGone()
	}
	return size, err
}

func errGone() error { return bolwerk.NotFound("the body is deleted: its retention has ended") }

// Read gives the content of ref. bolwerk.ErrNotFound says that it is gone.
func (s *Store) Read(tx *store.Tx, ref string) ([]byte, error) {
	month, digest, ok := strings.Cut(ref, "/")
	if !ok {
		return nil, bolwerk.NotFound("no body is kept")
	}
	var box []byte
	if err := tx.Row(`select body from blob where month=$1 and digest=$2`, month, digest).Scan(&box); err != nil {
		if store.None(err) {
			return nil, errGone()
		}
		return nil, err
	}
	packed, err := s.vault.Open("blob", box)
	if err != nil {
		return nil, err
	}
	return s.dec.DecodeAll(packed, nil)
}

// Expire deletes the bodies of the months before month.
func (s *Store) Expire(tx *store.Tx, before string) (int64, error) {
	return tx.Exec(`delete from blob where month < $1`, before)
}
