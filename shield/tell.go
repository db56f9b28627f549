package shield

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/copy"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/shield/door"
	"bolwerk/shield/edge"
)

// What the public is told of counts goes into entries of its own, that receipts
// refer to: one for what is reported, one for a block. A campaign of a million
// reports then changes two entries, at most once in tellEvery.
const (
	tellEvery = 10 * time.Second
	tellSome  = 100 // of each kind in one go; the rest waits for the next
	warnEvery = 6   // times: once a minute
)

// touched are blocks that were hit since the public was last told. It is kept in
// memory: what a restart forgets is told with the next hit.
type touched struct {
	mu     sync.Mutex
	blocks map[string]bool
}

func (s *Shield) touch(counts []edge.Count) {
	s.touched.mu.Lock()
	defer s.touched.mu.Unlock()
	if s.touched.blocks == nil {
		s.touched.blocks = map[string]bool{}
	}
	for _, c := range counts {
		s.touched.blocks[c.Block] = true
	}
}

// some takes up to n of them.
func (t *touched) some(n int) (refs []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for ref := range t.blocks {
		if len(refs) == n {
			break
		}
		refs = append(refs, ref)
		delete(t.blocks, ref)
	}
	return refs
}

// tellAll keeps the public counts up to date until ctx ends.
func (s *Shield) tellAll(ctx context.Context) error {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		err := s.tellCounts(ctx)
		if n%warnEvery == 0 {
			err = errors.Join(err, s.tellWarnings(ctx))
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("public counts and warnings not brought up to date", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// tellCounts publishes the counts that have changed, some of them.
func (s *Shield) tellCounts(ctx context.Context) error {
	if err := s.tellReports(ctx); err != nil {
		return err
	}
	for _, ref := range s.touched.some(tellSome) {
		if err := s.tellBlock(ctx, ref); err != nil {
			s.touch([]edge.Count{{Block: ref}})
			return err
		}
	}
	return nil
}

// countKey is the key of an observable's count in the public copy. The copy says
// nothing of what it is.
func countKey(observable string) string {
	sum := sha256.Sum256([]byte("public count of " + observable))
	return hex.EncodeToString(sum[:8])
}

// tellReports tells how often something was reported; fewer than door.Few times
// are nobody's business.
func (s *Shield) tellReports(ctx context.Context) error {
	type row struct {
		id      string
		reports int64
	}
	var due []row
	err := s.db.Read(ctx, func(tx *store.Tx) (err error) { // in the words of its index
		due, err = store.List(tx, func(scan func(...any) error) (r row, err error) { err = scan(&r.id, &r.reports); return r, err },
			`select id,reports from shield_observable where reports>=5 and reports<>told order by reports-told desc limit $1`, tellSome)
		return err
	})
	if err != nil || len(due) == 0 {
		return err
	}
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		for _, r := range due {
			if _, err := tx.Exec(`update shield_observable set told=$1 where id=$2`, r.reports, r.id); err != nil {
				return err
			}
			s.publishAs(tx, door.CountEntry+countKey(r.id), door.Count{Reports: r.reports})
		}
		return nil
	})
}

// tellBlock tells how many visits a block has stopped.
func (s *Shield) tellBlock(ctx context.Context, ref string) error {
	b := Block{Ref: ref}
	err := s.db.Read(ctx, func(tx *store.Tx) error { _, err := countHits(tx, &b); return err })
	visits := b.Hits.visits()
	if err != nil || visits < door.Few {
		return err
	}
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		t, err := tallyOf(tx, ref)
		if err != nil || t.Visits >= visits {
			return err
		}
		t.Visits = visits
		s.publishAs(tx, door.TallyEntry+ref, t)
		return nil
	})
}

// tallyOf is what the public was told last of a block.
func tallyOf(tx *store.Tx, ref string) (t door.Tally, err error) {
	e, err := publish.Entry(tx, CopyPublic, door.TallyEntry+ref)
	if errors.Is(err, bolwerk.ErrNotFound) {
		return t, nil
	}
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(e.Body, &t)
}

// visits are what came to the door of the blocked site and no further: requests
// to the warning page, and connections by TLS that it ended. A question to the
// DNS alone is no visit: programs ask too, and ahead of time.
func (h Hits) visits() int64 { return h.Page + h.TLS }

// forgetPublic takes what is over out of the public copy: receipts at the end of
// their days, and what they referred to. Who looks has not seen them since.
func (s *Shield) forgetPublic(ctx context.Context) error {
	const some, rounds = 500, 40
	for range rounds {
		var over []copy.Entry
		err := s.db.Read(ctx, func(tx *store.Tx) (err error) {
			over, err = publish.Over(tx, CopyPublic, tx.Now().Add(-time.Hour), some)
			return err
		})
		if err != nil || len(over) == 0 {
			return err
		}
		err = s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			for _, e := range over {
				s.publish.Append(tx, CopyPublic, copy.Entry{ID: e.ID, Version: e.Version + 1, Removed: true}, nil)
			}
			return nil
		})
		if err != nil || len(over) < some {
			return err
		}
	}
	return nil
}
