package contact

import (
	"strconv"
	"strings"
	"time"

	"bolwerk/internal/store"
)

// badTime is for how long a mail address to which a mail came back is not used: after it
// a full mailbox may have been emptied, and it is tried again. An import of another
// address counts at once.
const badTime = 30 * 24 * time.Hour

const markAddress = "abuse.contact.address"

// CameBack notes that a mail to an address came back, with the status of RFC 3463.
func (b *Book) CameBack(tx *store.Tx, address, status string) error {
	m, err := b.keys.Mark(markAddress, strings.ToLower(address))
	if err != nil || address == "" {
		return err
	}
	_, err = tx.Exec(`insert into abuse_contact_bad(mark,status,at) values($1,$2,$3) on conflict(mark) do update set status=excluded.status, at=excluded.at`, m, status, tx.NowMicros())
	return err
}

// badness is the status with which mail to an address came back lately; "" for none.
func (b *Book) badness(tx *store.Tx, address string) (status string, err error) {
	if address == "" {
		return "", nil
	}
	marks, err := b.keys.Marks(markAddress, strings.ToLower(address))
	if err != nil {
		return "", err
	}
	list, args := in(marks)
	err = tx.Row(`select coalesce(max(status),'') from abuse_contact_bad where mark in (`+list+`) and at>$`+strconv.Itoa(len(args)+1), append(args, store.Micros(tx.Now().Add(-badTime)))...).Scan(&status)
	return status, err
}
