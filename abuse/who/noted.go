package who

import (
	"context"
	"strings"

	"bolwerk"
	"bolwerk/abuse/session"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// Noted notes that a person looks at a subscriber who is known already, such as the
// one of a case: it stands beside the questions about addresses.
func (w *Who) Noted(ctx context.Context, by bolwerk.Actor, reason, caseID string, about session.Identity) error {
	return w.db.Write(ctx, store.Decision, func(tx *store.Tx) error { return w.Note(tx, by, reason, caseID, about) })
}

// Note is Noted in the caller's transaction: a person looks, or a rule reaches for how
// the subscriber is told.
func (w *Who) Note(tx *store.Tx, by bolwerk.Actor, reason, caseID string, about session.Identity) error {
	sealed, err := w.vault.Seal(SealedQuestion, []byte("{}"))
	if err != nil {
		return err
	}
	mark, err := w.mark(about.Who())
	if err != nil {
		return err
	}
	id := bolwerk.NewID(tx.Now())
	if _, err := tx.Exec(`insert into abuse_asked(id,at,actor,reason,case_id,question_sealed,found,acted) values($1,$2,$3,$4,$5,$6,1,$7)`,
		id, tx.NowMicros(), by.String(), strings.TrimSpace(reason), caseID, sealed, true); err != nil {
		return err
	}
	if _, err := tx.Exec(`insert into abuse_asked_about(asked,mark) values($1,$2) on conflict do nothing`, id, mark); err != nil {
		return err
	}
	audit.Append(tx, by, "abuse.who.look", id, caseID, nil)
	return nil
}
