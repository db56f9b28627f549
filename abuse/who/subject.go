package who

import (
	"context"
	"fmt"

	"bolwerk"
	"bolwerk/abuse/session"
	"bolwerk/desk"
	"bolwerk/internal/store"
)

// lookAbout is a look at a subscriber as the subscriber gets it: that it was, when
// and why; not who of the staff it was.
type lookAbout struct {
	Reason string `json:"reason"`
	Case   string `json:"case,omitempty"`
	By     string `json:"by"` // staff, or the program by a rule
}

// maxAbout bounds the sessions and the looks that are given at once.
const maxAbout = 10_000

// About gives the sessions of a subscriber, and who looked at them and why; see
// desk.Keeper.
func (w *Who) About(ctx context.Context, subscriber string) (out []desk.Kept, err error) {
	held, err := w.sessionsOf(ctx, subscriber)
	if err != nil {
		return nil, err
	}
	until := fmt.Sprintf("%d days after it ended: %s", w.cfg.Days, w.cfg.Legal)
	for _, h := range held {
		out = append(out, desk.Kept{What: "session", ID: h.Prefix.String(), At: h.Start, Until: until, Days: w.cfg.Days, Data: h})
	}
	looks, err := w.LooksAt(ctx, subscriber, maxAbout)
	if err != nil {
		return nil, err
	}
	for _, l := range looks {
		by := "staff"
		if l.By.Kind() == "rule" {
			by = "rule"
		}
		out = append(out, desk.Kept{What: "look", ID: l.ID, At: l.At, Until: store.Keep["staff"], Data: lookAbout{l.Reason, l.Case, by}})
	}
	return out, nil
}

// marksOf are the marks of all whom a name may mean, of every month that there are keys
// of, without the month in front.
func (w *Who) marksOf(subscriber string) (in func(first int) (string, []any), none bool, err error) {
	var marks []string
	for _, i := range session.Named(subscriber) {
		some, err := w.vault.Marks("abuse.asked", i.Who())
		if err != nil {
			return nil, true, err
		}
		marks = append(marks, some...)
	}
	return func(first int) (string, []any) { return store.In(first, marks) }, len(marks) == 0, err
}

func (w *Who) sessionsOf(ctx context.Context, subscriber string) (out []session.Held, err error) {
	in, none, err := w.marksOf(subscriber)
	if err != nil || none {
		return nil, err
	}
	list, args := in(2)
	err = w.db.Read(ctx, func(tx *store.Tx) error {
		rows, err := store.List(tx, scanSealed, `select `+columns+`,i.identity_sealed from abuse_held h join abuse_identity i on i.id=h.who
			where substr(i.about,9) in (`+list+`) order by h.start desc limit $1`, append([]any{maxAbout}, args...)...)
		if err != nil {
			return err
		}
		out, _, err = w.revealed(tx, rows, nil, false)
		return err
	})
	return out, err
}

// LooksAt are the last looks at a subscriber, the newest first, of every month whose
// key there is.
func (w *Who) LooksAt(ctx context.Context, subscriber string, limit int) (out []Look, err error) {
	in, none, err := w.marksOf(subscriber)
	if err != nil || none {
		return nil, err
	}
	list, args := in(2)
	err = w.db.Read(ctx, func(tx *store.Tx) (err error) {
		out, err = store.List(tx, func(scan func(...any) error) (l Look, err error) {
			var by string
			var at int64
			if err := scan(&l.ID, &at, &by, &l.Reason, &l.Case, &l.Found, &l.Acted); err != nil {
				return l, err
			}
			l.At = store.Time(at)
			l.By, err = bolwerk.ParseActor(by)
			return l, err
		}, `select a.id,a.at,a.actor,a.reason,a.case_id,a.found,a.acted from abuse_asked a where exists (select 1 from abuse_asked_about m where m.asked=a.id and substr(m.mark,9) in (`+list+`))
			order by a.at desc, a.id desc limit $1`, append([]any{limit}, args...)...)
		return err
	})
	return out, err
}

// Erase erases nothing: it says what is kept of a subscriber, and under which duty; see
// desk.Keeper.
func (w *Who) Erase(ctx context.Context, _ bolwerk.Actor, subscriber string) ([]desk.Erased, error) {
	held, err := w.sessionsOf(ctx, subscriber)
	if err != nil {
		return nil, err
	}
	looks, err := w.LooksAt(ctx, subscriber, maxAbout)
	return []desk.Erased{
		{What: "sessions", Kept: len(held), Why: fmt.Sprintf("%s; each goes by itself %d days after it ended, with its key", w.cfg.Legal, w.cfg.Days)},
		{What: "who looked", Kept: len(looks), Why: "GDPR art. 5(2) and 32: who looked and why is itself a safeguard; the name in it goes with its month's key, the rest after a year"},
	}, err
}
