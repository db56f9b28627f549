package who

import (
	"net/netip"
	"slices"
	"time"

	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

// Told is what one batch of records changed.
type Told struct {
	Touched   []Touch
	Restarted []Restart
	Heard     time.Time // the newest that an access server told; zero: none did
	Filters   []Filtered
}

// Filtered is what an access server says is in force on a session that goes on.
type Filtered struct {
	NAS, Session string
	Subscriber   string // as the record names him; empty where it does not
	Filters      []string
	At           time.Time
}

// Touch is a prefix, all of its ports, of whose session something is told.
type Touch struct {
	Prefix     netip.Prefix
	Subscriber string // as the record names him; empty where it does not
}

// Restart is an access server that began anew.
type Restart struct {
	NAS string
	At  time.Time
}

// Follow calls fn in the transaction of each batch that is taken. Call it before
// anything is taken.
func (w *Who) Follow(fn func(tx *store.Tx, t Told) error) { w.follow = append(w.follow, fn) }

// Latest is how many holders of a prefix Holders gives at most.
const Latest = 16

// Holders are the last to begin to hold this very prefix, with all of its ports, the
// newest first; and the open sessions that hold a part of it.
func (w *Who) Holders(tx *store.Tx, p netip.Prefix) (same, within []session.Held, err error) {
	const from = `select ` + columns + `,i.identity_sealed from abuse_held h left join abuse_identity i on i.id=h.who `
	rows, err := store.List(tx, scanSealed, from+`where h.net=$1 and h.port=0 order by h.start desc limit $2`, netKey(p), Latest)
	if err != nil {
		return nil, nil, err
	}
	if same, _, err = w.revealed(tx, rows, nil, false); err != nil || p.IsSingleIP() {
		return same, nil, err
	}
	first, last := netKey(p), netKey(p)
	first[16]++
	for i := int(first[16]) - 1; i < 128; i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	last[16] = 0xff
	if rows, err = store.List(tx, scanSealed, from+`where h.net>=$1 and h.net<=$2 and h.ended='' limit $3`, first, last, Latest); err != nil {
		return nil, nil, err
	}
	within, _, err = w.revealed(tx, rows, nil, false)
	return same, within, err
}

func scanSealed(scan func(...any) error) (row, error) {
	var sealed []byte
	r, err := scanRow(scan, &sealed)
	r.sealed = sealed
	return r, err
}

// maxOpen bounds the sessions that one subscriber has at once.
const maxOpen = 100

// Now are the open sessions of a subscriber. One that was heard of last before the month
// before this one is not among them until it is heard again: marks are of a month.
func (w *Who) Now(tx *store.Tx, subscriber string) ([]session.Held, error) {
	return w.heldBy(tx, subscriber, `h.ended=''`)
}

// Lasting is what a subscriber has now beside open sessions: leases that are not over, and
// fixed lines. Of months it is as Now.
func (w *Who) Lasting(tx *store.Tx, subscriber string) ([]session.Held, error) {
	held, err := w.heldBy(tx, subscriber, `h.ended in ('lease','fixed')`)
	return slices.DeleteFunc(held, func(h session.Held) bool { return !h.Until.IsZero() && !h.Until.After(tx.Now()) }), err
}

// heldBy is what a subscriber holds of which where, a partial index of the table, is so,
// the newest first.
func (w *Who) heldBy(tx *store.Tx, subscriber, where string) (out []session.Held, err error) {
	about, err := w.lately(session.Identity{Subscriber: subscriber}.Who())
	if err != nil {
		return nil, err
	}
	in, args := store.In(2, about)
	rows, err := store.List(tx, scanSealed, `select `+columns+`,i.identity_sealed from abuse_identity i join abuse_held h on h.who=i.id and `+where+` where i.about in (`+in+`) order by h.until desc, h.start desc limit $1`, append([]any{maxOpen}, args...)...)
	if err != nil {
		return nil, err
	}
	held, _, err := w.revealed(tx, rows, nil, false)
	for _, h := range held {
		if h.Subscriber == subscriber && (h.Ended == session.Open) == (where == `h.ended=''`) {
			out = append(out, h)
		}
	}
	return out, err
}

// NetKey is a prefix as the store keeps it: 16 octets, an IPv4 one mapped into IPv6,
// and its length there.
func NetKey(p netip.Prefix) []byte { return netKey(p) }

// NetOf reads what NetKey wrote; the zero prefix where it is none.
func NetOf(key []byte) netip.Prefix { return netOf(key) }

// Lengths are those of all prefixes that were ever held, as in NetKey.
func (w *Who) Lengths(tx *store.Tx) ([]int, error) {
	return store.List(tx, func(scan func(...any) error) (n int, err error) { err = scan(&n); return n, err }, `select bits from abuse_shape group by bits`)
}
