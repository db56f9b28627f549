package quarantine

import (
	"context"
	"time"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

// Told is a quarantine as the subscriber whom it is about gets it: all that is kept of
// it, and who of the staff asked for it left out.
type Told struct {
	Number    string          `json:"number"`
	State     State           `json:"state"`
	Profile   enforce.Profile `json:"profile"`
	Why       Why             `json:"why"`
	Automatic bool            `json:"asked_for_by_a_rule"`
	Second    bool            `json:"approved_by_a_second_person"`
	Waits     []string        `json:"waits,omitempty"`
	Needy     bool            `json:"released_first,omitempty"` // as a vulnerable customer
	AskedAt   time.Time       `json:"asked_at"`
	StartAt   time.Time       `json:"decided_at,omitzero"`
	ForceAt   time.Time       `json:"in_force_at,omitzero"`
	Until     time.Time       `json:"until"`
	ReviewAt  time.Time       `json:"review_at"`
	EndedAt   time.Time       `json:"ended_at,omitzero"`
	FreedAt   time.Time       `json:"freed_at,omitzero"`
	Mechanism Mechanism       `json:"ended_by,omitempty"`
	Ticked    []string        `json:"steps_done,omitempty"`
	SeenAt    time.Time       `json:"page_seen_at,omitzero"`
	HelpAt    time.Time       `json:"help_asked_at,omitzero"`
	SelfLeft  int             `json:"times_to_end_it_alone"`
	Lines     []LineTold      `json:"sessions,omitempty"`
}

// LineTold is a session that the quarantine held, and what it has.
type LineTold struct {
	Session session.Held    `json:"session"`
	Want    enforce.Profile `json:"profile"`
	Done    bool            `json:"in_force"`
}

// Told are the quarantines of a case, newest first, for its subscriber.
func (d *Desk) Told(ctx context.Context, caseID string) (out []Told, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		out = nil
		rows, err := store.List(tx, read, `select `+columns+` from abuse_quarantine where case_id=$1 order by id desc limit 1000`, caseID)
		if err != nil {
			return err
		}
		for _, q := range rows {
			t := Told{Number: q.Ref, State: q.State, Profile: q.Profile, Why: q.Why, Automatic: q.Automatic, Second: q.SecondBy != "", Waits: q.Waits, Needy: q.Needy, AskedAt: q.AskedAt, StartAt: q.StartAt,
				ForceAt: q.ForceAt, Until: q.Until, ReviewAt: q.ReviewAt, EndedAt: q.EndedAt, FreedAt: q.FreedAt, Mechanism: q.Mechanism, Ticked: q.Ticked, SeenAt: q.SeenAt, HelpAt: q.HelpAt, SelfLeft: q.SelfLeft}
			lines, err := linesOf(tx, q.ID)
			if err != nil {
				return err
			}
			for _, l := range lines {
				held, err := d.heldOf(l)
				if err != nil {
					return err
				}
				t.Lines = append(t.Lines, LineTold{held, l.Want, l.Done})
			}
			out = append(out, t)
		}
		return nil
	})
	return out, err
}
