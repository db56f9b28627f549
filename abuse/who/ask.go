package who

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/session"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
)

// Look is a person's question, and what stays of it.
type Look struct {
	session.Question
	By     bolwerk.Actor `json:"by"`
	Reason string        `json:"reason"`
	Case   string        `json:"case,omitempty"`
	ID     string        `json:"id"`
	At     time.Time     `json:"looked_at"`
	Found  int           `json:"found"` // candidates
	Acted  bool          `json:"one"`   // there was exactly one who may be acted on
}

const (
	maxReason = 500 // octets
	minReason = 3
)

// Ask answers a person. The answer is given only once it is noted who looked, when
// and why: the privacy officer sees it, and the subscriber may.
func (w *Who) Ask(ctx context.Context, l Look) (a session.Answer, err error) {
	l.Reason = strings.TrimSpace(l.Reason)
	switch {
	case len(l.Reason) < minReason || len(l.Reason) > maxReason:
		return a, bolwerk.WithHint(bolwerk.Invalid("a look at who had an address needs a reason of %d to %d octets", minReason, maxReason), "say in a few words why, such as the number of the report")
	case len(l.Case) > 64:
		return a, bolwerk.Invalid("case %.70q: want an id", l.Case)
	}
	if a, err = w.Resolve(ctx, l.Question); err != nil {
		return a, err
	}
	_, l.Acted = a.Act()
	l.Found = len(a.Candidates)
	plain, err := json.Marshal(a.Question)
	if err != nil {
		return session.Answer{}, err
	}
	sealed, err := w.vault.Seal(SealedQuestion, plain)
	if err != nil {
		return session.Answer{}, err
	}
	err = w.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		l.ID, l.At = bolwerk.NewID(tx.Now()), tx.Now()
		if _, err := tx.Exec(`insert into abuse_asked(id,at,actor,reason,case_id,question_sealed,found,acted) values($1,$2,$3,$4,$5,$6,$7,$8)`,
			l.ID, store.Micros(l.At), l.By.String(), l.Reason, l.Case, sealed, l.Found, l.Acted); err != nil {
			return err
		}
		for _, c := range a.Candidates {
			mark, err := w.mark(c.Who())
			if err != nil {
				return err
			}
			if _, err := tx.Exec(`insert into abuse_asked_about(asked,mark) values($1,$2) on conflict do nothing`, l.ID, mark); err != nil {
				return err
			}
		}
		audit.Append(tx, l.By, "abuse.who.ask", l.ID, l.Case, map[string]any{"found": l.Found, "one": l.Acted})
		return nil
	})
	if err != nil {
		return session.Answer{}, err
	}
	return a, nil
}

// mark is a keyed hash of a subscriber, of this month, in the order of months.
func (w *Who) mark(who string) (string, error) {
	m, err := w.vault.Mark("abuse.asked", who)
	return vault.Month(w.clock.Now()) + "." + m, err
}

// lately are the marks of a subscriber of this month and the one before.
func (w *Who) lately(who string) ([]string, error) {
	all, err := w.vault.Lately("abuse.asked", who, 1)
	at := w.clock.Now().UTC()
	for i := range all {
		all[i] = vault.Month(at) + "." + all[i]
		at = time.Date(at.Year(), at.Month()-1, 1, 0, 0, 0, 0, time.UTC)
	}
	return all, err
}

// Looks are the last looks, the newest first: all of them, or this month's that named
// a subscriber. Whose month's key is destroyed has no address any more.
func (w *Who) Looks(ctx context.Context, subscriber string, limit int) (out []Look, err error) {
	where, args := ``, []any{min(max(limit, 1), 1000)}
	if subscriber != "" {
		mark, err := w.mark(session.Identity{Subscriber: subscriber}.Who())
		if err != nil {
			return nil, err
		}
		where, args = ` where exists (select 1 from abuse_asked_about m where m.asked=a.id and m.mark=$2)`, append(args, mark)
	}
	err = w.db.Read(ctx, func(tx *store.Tx) (err error) {
		out, err = store.List(tx, func(scan func(...any) error) (l Look, err error) {
			var by string
			var at int64
			var sealed []byte
			if err := scan(&l.ID, &at, &by, &l.Reason, &l.Case, &sealed, &l.Found, &l.Acted); err != nil {
				return l, err
			}
			if l.By, err = bolwerk.ParseActor(by); err != nil {
				return l, err
			}
			if plain, err := w.vault.Open(SealedQuestion, sealed); err == nil {
				err = json.Unmarshal(plain, &l.Question)
				if err != nil {
					return l, err
				}
			} else {
				l.Question.Addr = netip.Addr{}
			}
			l.ID, l.At = strings.Clone(l.ID), store.Time(at)
			return l, nil
		}, `select a.id,a.at,a.actor,a.reason,a.case_id,a.question_sealed,a.found,a.acted from abuse_asked a`+where+` order by a.at desc, a.id desc limit $1`, args...)
		return err
	})
	return out, err
}

// Pin keeps an answer as long as the case that rests on it, whatever is forgotten.
func (w *Who) Pin(tx *store.Tx, caseID string, a session.Answer) error {
	plain, err := json.Marshal(a)
	if err != nil {
		return err
	}
	sealed, err := w.vault.Kept().Seal(SealedAnswer, plain)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`insert into abuse_pinned(case_id,n,answer_sealed,at) select $1,coalesce(max(n),0)+1,$2,$3 from abuse_pinned where case_id=$1`, caseID, sealed, tx.NowMicros())
	return err
}

// Unpin lets go of what a case pinned: the case's own time is over.
func (w *Who) Unpin(tx *store.Tx, caseID string) error {
	_, err := tx.Exec(`delete from abuse_pinned where case_id=$1`, caseID)
	return err
}

// Pinned are the answers that a case rests on, oldest first.
func (w *Who) Pinned(ctx context.Context, caseID string) (out []session.Answer, err error) {
	err = w.db.Read(ctx, func(tx *store.Tx) error { out, err = w.PinnedOf(tx, caseID); return err })
	return out, err
}

// PinnedOf is Pinned in the caller's transaction.
func (w *Who) PinnedOf(tx *store.Tx, caseID string) ([]session.Answer, error) {
	return store.List(tx, func(scan func(...any) error) (a session.Answer, err error) {
		var sealed []byte
		if err := scan(&sealed); err != nil {
			return a, err
		}
		plain, err := w.vault.Kept().Open(SealedAnswer, sealed)
		if err != nil {
			return a, err
		}
		return a, json.Unmarshal(plain, &a)
	}, `select answer_sealed from abuse_pinned where case_id=$1 order by n`, caseID)
}

// Gap is a time of which an access server told nothing.
type Gap struct {
	NAS  string    `json:"nas"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Why  string    `json:"why" enum:"silent,restart"`
}

// Gaps are the last gaps, the newest first.
func (w *Who) Gaps(ctx context.Context, limit int) (out []Gap, err error) {
	err = w.db.Read(ctx, func(tx *store.Tx) (err error) {
		out, err = store.List(tx, func(scan func(...any) error) (g Gap, err error) {
			var from, to int64
			err = scan(&g.NAS, &from, &to, &g.Why)
			g.From, g.To = store.Time(from), store.Time(to)
			return g, err
		}, `select nas,from_at,to_at,why from abuse_gap order by to_at desc limit $1`, min(max(limit, 1), 1000))
		return err
	})
	return out, err
}
