package view

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
	"bolwerk/internal/lineview"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
)

// Hold is a subscriber in quarantine: wherever their sessions are, edges give the
// view and the page of the safe environment, over what the subscriber chose.
type Hold struct {
	ID         string          `json:"-"` // of the quarantine
	Subscriber string          `json:"subscriber"`
	Profile    enforce.Profile `json:"-"` // leaky or strict
	Until      time.Time       `json:"-"` // when edges end it by themselves
	Guest      garden.Guest    `json:"guest"`
}

// SealedHold is for what holds are sealed.
const SealedHold = "abuse.view.hold"

// markHold is for what whose hold it is gets marked.
const markHold = "abuse.view.hold"

// maxGuest bounds what a page shows, in octets.
const maxGuest = 16 << 10

func (h Hold) view() string {
	if h.Profile == enforce.Strict {
		return lineview.GardenStrict
	}
	return lineview.GardenLeaky
}

// page is the body of the copy of gardens, and its digest.
func (h Hold) page() (body []byte, digest string, err error) {
	body, err = json.Marshal(h.Guest)
	sum := sha256.Sum256(body)
	return body, hex.EncodeToString(sum[:8]), err
}

// Hold gives a subscriber's lines the safe environment: at once those of the sessions
// that are open, later ones as they begin, with what their page shows in the copy
// garden.Copy. Called again it changes what it gave. Of several holds of a subscriber
// the strictest counts, of equal ones the newest. A line of which it is not sure who
// has it gets none. It writes no audit: who decided does.
func (s *Views) Hold(tx *store.Tx, h Hold) error {
	h.Until = h.Until.UTC().Truncate(time.Microsecond)
	switch {
	case h.ID == "" || h.ID != h.Guest.Quarantine:
		return bolwerk.Invalid("hold %q: its page is of quarantine %q", h.ID, h.Guest.Quarantine)
	case h.Subscriber == "" || len(h.Subscriber) > session.MaxName:
		return bolwerk.Invalid("hold %s: want a subscriber of 1 to %d octets", h.ID, session.MaxName)
	case h.Profile != enforce.Leaky && h.Profile != enforce.Strict:
		return bolwerk.Invalid("hold %s: profile %q: want leaky or strict", h.ID, h.Profile)
	case !h.Until.After(tx.Now()):
		return bolwerk.Invalid("hold %s: until %s is over", h.ID, h.Until.Format(time.RFC3339))
	}
	plain, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if len(plain) > maxGuest {
		return bolwerk.Invalid("hold %s: a page of %d octets, at most %d", h.ID, len(plain), maxGuest)
	}
	box, err := s.vault.Seal(SealedHold, plain)
	if err != nil {
		return err
	}
	mark, err := s.vault.Mark(markHold, h.Subscriber)
	if err != nil {
		return err
	}
	if err := begin(tx); err != nil {
		return err
	}
	if _, err := tx.Exec(`insert into abuse_view_hold(id,profile,until,month,mark,hold_sealed,at) values($1,$2,$3,$4,$5,$6,$7)
		on conflict(id) do update set profile=excluded.profile,until=excluded.until,month=excluded.month,mark=excluded.mark,hold_sealed=excluded.hold_sealed`,
		h.ID, string(h.Profile), store.Micros(h.Until), vault.Month(s.clock.Now()), mark, box, tx.NowMicros()); err != nil {
		return err
	}
	return s.settleOf(tx, h.ID, h.Subscriber)
}

// Free takes it away, at once. Of one that there is not it does nothing.
func (s *Views) Free(tx *store.Tx, id string) error {
	if err := begin(tx); err != nil {
		return err
	}
	rows, err := store.List(tx, readSealed, `select id,hold_sealed from abuse_view_hold where id=$1`, id)
	if err != nil || len(rows) == 0 {
		return err
	}
	if _, err := tx.Exec(`delete from abuse_view_hold where id=$1`, id); err != nil {
		return err
	}
	h, err := s.openHold(rows[0].box)
	if err != nil {
		// The way back is never blocked: whose it was cannot be read, but which lines have it.
		s.log.Error("a hold that is freed cannot be read; its lines are freed", "hold", id, "err", err, "alarm", true)
	}
	return s.settleOf(tx, id, h.Subscriber)
}

func (s *Views) settleOf(tx *store.Tx, id, subscriber string) error {
	touched, err := s.of(tx, id, subscriber)
	if err != nil {
		return err
	}
	all, err := s.chosen(tx)
	if err != nil {
		return err
	}
	return s.settle(tx, touched, all)
}

func (s *Views) openHold(box []byte) (h Hold, err error) {
	plain, err := s.vault.Open(SealedHold, box)
	if err != nil {
		return h, err
	}
	return h, json.Unmarshal(plain, &h)
}

// holdOf is the hold that counts for a subscriber.
func (s *Views) holdOf(tx *store.Tx, subscriber string) (h Hold, ok bool, err error) {
	marks, err := s.vault.Marks(markHold, subscriber)
	if err != nil || len(marks) == 0 {
		return h, false, err
	}
	in, args := store.In(2, marks)
	type row struct {
		Hold
		box []byte
	}
	rows, err := store.List(tx, func(scan func(...any) error) (r row, err error) {
		var until int64
		err = scan(&r.ID, (*string)(&r.Profile), &until, &r.box)
		r.Until = store.Time(until)
		return r, err
	}, `select id,profile,until,hold_sealed from abuse_view_hold where mark in (`+in+`) and until>$1 order by profile desc, at desc, id desc`, append([]any{tx.NowMicros()}, args...)...)
	if err != nil {
		return h, false, err
	}
	for _, r := range rows { // strict sorts before leaky
		full, err := s.openHold(r.box)
		if err != nil { // accounting goes on, and the line has no garden
			s.log.Error("a hold cannot be read; its lines have none", "hold", r.ID, "err", err, "alarm", true)
			continue
		}
		if full.Subscriber == subscriber {
			full.ID, full.Profile, full.Until = r.ID, r.Profile, r.Until
			return full, true, nil
		}
	}
	return h, false, nil
}

// held says which of the subscribers that a batch names have a hold.
func (s *Views) held(tx *store.Tx, touched []who.Touch) (map[string]bool, error) {
	names := map[string]string{} // by mark
	seen, out := map[string]bool{}, map[string]bool{}
	var marks []string
	for _, t := range touched {
		if t.Subscriber == "" || seen[t.Subscriber] {
			continue
		}
		seen[t.Subscriber] = true
		all, err := s.vault.Marks(markHold, t.Subscriber)
		if err != nil {
			return nil, err
		}
		for _, m := range all {
			names[m] = t.Subscriber
		}
		marks = append(marks, all...)
	}
	for len(marks) > 0 {
		n := min(len(marks), store.ListMost)
		in, args := store.In(1, marks[:n])
		some, err := store.List(tx, func(scan func(...any) error) (m string, err error) { return m, scan(&m) }, `select mark from abuse_view_hold where mark in (`+in+`)`, args...)
		if err != nil {
			return nil, err
		}
		for _, m := range some {
			out[names[m]] = true
		}
		marks = marks[n:]
	}
	return out, nil
}

// Guest is what the page of a hold shows now.
func (s *Views) Guest(ctx context.Context, id string) (g garden.Guest, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		rows, err := store.List(tx, readSealed, `select id,hold_sealed from abuse_view_hold where id=$1 and until>$2`, id, tx.NowMicros())
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return bolwerk.NotFound("no line is in the safe environment for the quarantine %.60q", id)
		}
		h, err := s.openHold(rows[0].box)
		g = h.Guest
		return err
	})
	return g, err
}

// Held are the prefixes that have the hold's view just now.
func (s *Views) Held(tx *store.Tx, id string) (out []netip.Prefix, err error) {
	lines, err := s.lines(tx, `where choice=$1`, id)
	for _, l := range lines {
		out = append(out, l.prefix)
	}
	return out, err
}

func (s *Views) holdsAnew(tx *store.Tx, month string) error {
	rows, err := store.List(tx, readSealed, `select id,hold_sealed from abuse_view_hold where month<$1 limit $2`, month, sweepMost)
	if err != nil {
		return err
	}
	for _, r := range rows {
		h, err := s.openHold(r.box)
		if err != nil {
			return err
		}
		plain, err := json.Marshal(h)
		if err != nil {
			return err
		}
		if r.box, err = s.vault.Seal(SealedHold, plain); err != nil {
			return err
		}
		mark, err := s.vault.Mark(markHold, h.Subscriber)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`update abuse_view_hold set month=$1, mark=$2, hold_sealed=$3 where id=$4`, month, mark, r.box, r.id); err != nil {
			return err
		}
	}
	return nil
}
