package shield

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/klauspost/compress/zstd"

	"bolwerk"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
	"bolwerk/shield/probe"
)

// Captures are kept content-addressed, compressed and sealed, as long as their
// case. They show a stranger's page, which may show whom it was made for: their
// keys are destroyed with the last of a month, in every backup too.

const purposePage = "shield.page"

func (s *Shield) pack(b []byte) (digest string, sealed []byte, err error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return "", nil, err
	}
	sum := sha256.Sum256(b)
	sealed, err = s.vault.Kept().Seal(purposePage, enc.EncodeAll(b, nil))
	return hex.EncodeToString(sum[:]), sealed, err
}

func putPage(tx *store.Tx, digest string, size int, sealed []byte) error {
	_, err := tx.Exec(`insert into shield_page(digest,size,month,body_sealed,at) values($1,$2,$3,$4,$5) on conflict(digest) do nothing`,
		digest, size, string(sealed[:len("2006-01")]), sealed, tx.NowMicros())
	return err
}

// readPage gives a capture or a picture by its digest.
func (s *Shield) readPage(tx *store.Tx, digest string) ([]byte, error) {
	var sealed []byte
	if err := tx.Row(`select body_sealed from shield_page where digest=$1`, digest).Scan(&sealed); err != nil {
		if store.None(err) {
			err = bolwerk.NotFound("what a probe saw is kept no longer")
		}
		return nil, err
	}
	packed, err := s.vault.Kept().Open(purposePage, sealed)
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(probe.MaxVisit), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	return dec.DecodeAll(packed, nil)
}

// forgetPages forgets captures and pictures that nothing names any more.
func forgetPages(tx *store.Tx) (int, error) {
	digests, err := texts(tx, `select digest from shield_page p where not exists (select 1 from shield_capture c where c.bundle=p.digest or c.picture=p.digest) limit $1`, forgetSome)
	if err != nil {
		return 0, err
	}
	return len(digests), each(tx, digests, `delete from shield_page where digest=$1`)
}

// firstPageMonth is the month of the oldest key that a capture still needs: those
// of earlier months can go.
func firstPageMonth(tx *store.Tx) (month string, err error) {
	err = tx.Row(`select coalesce(min(month),$1) from shield_page`, vault.Month(tx.Now())).Scan(&month)
	return month, err
}
