package quarantine

import (
	"context"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

// Filter says which quarantines a list shows.
type Filter struct {
	State string // a state, "open" for all that are not over, "person" for what waits for one, "second" and "help" of these; "any" or "" is all
	Case  string // id of a case
	Feed  string
	Class string
	After string // id of the last of the page before
	Limit int    // 1 to 500
}

var states = []State{Requested, Approved, Applying, Active, Pending, Failed, Acknowledged, Offered, Releasing, Released, Stuck, Dropped}

func join(all []State) string {
	var out []string
	for _, s := range all {
		out = append(out, string(s))
	}
	return strings.Join(out, ", ")
}

// List are quarantines, the newest first. They name nobody.
func (d *Desk) List(ctx context.Context, f Filter) (out []Row, err error) {
	where, args := ` where ($1='' or case_id=$1) and ($2='' or feed=$2) and ($3='' or class=$3) and ($4='' or id<$4)`, []any{f.Case, f.Feed, f.Class, f.After}
	switch f.State {
	case "", "any":
		f.State = ""
	case "open":
		where += ` and state not in ('released','dropped')`
	case "person":
		where += ` and (state in ('failed','stuck') or ` + waiting["second"] + ` or ` + waiting["help"] + `)`
	case "second", "help":
		where += ` and ` + waiting[f.State]
	default:
		if !slices.Contains(states, State(f.State)) {
			return nil, bolwerk.WithHint(bolwerk.Invalid("%.40q: no state of a quarantine", f.State), "open, person, second, help, any, or one of: "+join(states))
		}
		where += ` and state=$6`
	}
	args = append(args, min(max(f.Limit, 1), 500))
	if slices.Contains(states, State(f.State)) {
		args = append(args, f.State)
	}
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		out, err = store.List(tx, read, `select `+columns+` from abuse_quarantine`+where+` order by id desc limit $5`, args...)
		return err
	})
	return out, err
}

// waiting is which quarantines wait for what a person does.
var waiting = map[string]string{
	"stuck":  `state='stuck'`,
	"failed": `state='failed'`,
	"help":   `help_at>0 and state in ` + holdsSQL,
	"second": `state='requested' and why like '%second%'`,
}

// Waiting is how many wait for a person, and for what: the worst first, without those
// of which there are none. What is a state that Filter takes.
func (d *Desk) Waiting(ctx context.Context) (out []Waits, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		for _, what := range []string{"stuck", "failed", "help", "second"} {
			w := Waits{What: what}
			if err := tx.Row(`select count(*) from abuse_quarantine where ` + waiting[what]).Scan(&w.N); err != nil {
				return err
			}
			if w.N > 0 {
				out = append(out, w)
			}
		}
		return nil
	})
	return out, err
}

// Waits is how many quarantines wait for one thing.
type Waits struct {
	What string
	N    int64
}

// Of are the quarantines of a case, newest first.
func Of(tx *store.Tx, caseID string) ([]Row, error) {
	return store.List(tx, read, `select `+columns+` from abuse_quarantine where case_id=$1 order by id desc limit 20`, caseID)
}

// Counts are how many there are in each state that is not over.
func (d *Desk) Counts(ctx context.Context) (map[State]int64, error) {
	out := map[State]int64{}
	err := d.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Each(`select state,count(*) from abuse_quarantine where state not in ('released','dropped') group by state`, nil, func(scan func(...any) error) error {
			var s State
			var n int64
			err := scan(&s, &n)
			out[s] = n
			return err
		})
	})
	return out, err
}

// View is a quarantine with its sessions. It names nobody but the access servers.
type View struct {
	Row
	Number string `json:"case_number"`
	Lines  []Part `json:"lines"`
}

// Part is what one session is to have, and has.
type Part struct {
	NAS   string          `json:"nas"`
	Want  enforce.Profile `json:"want"`
	Done  bool            `json:"done" doc:"the access network said so"`
	Seen  bool            `json:"seen" doc:"and accounting, or somebody who looked, shows it so"`
	Lied  bool            `json:"lied,omitempty" doc:"it acknowledged, and accounting shows that it did not act"`
	Tries int             `json:"tries,omitempty"`
	Due   time.Time       `json:"due,omitzero"`
	Code  string          `json:"code,omitempty" doc:"what the access network said last"`
}

// Show is one quarantine, by its id or number.
func (d *Desk) Show(ctx context.Context, id string) (v View, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		if v.Row, err = show(tx, id); err != nil {
			return err
		}
		v.Lines = []Part{}
		for _, l := range v.lines {
			v.Lines = append(v.Lines, Part{NAS: l.NAS, Want: l.Want, Done: l.Done, Seen: l.Seen, Lied: l.Lied(), Tries: l.Tries, Due: l.Due, Code: l.Code})
		}
		err := tx.Row(`select ref from desk_case where id=$1`, v.CaseID).Scan(&v.Number)
		if store.None(err) {
			err = nil
		}
		return err
	})
	return v, err
}

// Wanted is what a subscriber's next session is to have, and until when: for the
// access network to ask while somebody logs in. Every doubt is Normal.
func (d *Desk) Wanted(ctx context.Context, subscriber string) (p enforce.Profile, until time.Time, err error) {
	p = enforce.Normal
	marks, err := d.p.Keys.Kept().Marks(markWho, session.Identity{Subscriber: subscriber}.Who())
	if err != nil || len(marks) == 0 || subscriber == "" || d.named(subscriber) || d.p.Clock.Suspect() {
		return enforce.Normal, until, err
	}
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		in, args := store.In(2, marks)
		rows, err := store.List(tx, read, `select `+columns+` from abuse_quarantine where until>$1 and state in `+holdsSQL+` and mark in (`+in+`)`, append([]any{tx.NowMicros()}, args...)...)
		for _, q := range rows {
			if p == enforce.Normal || q.Profile == enforce.Strict && p == enforce.Leaky {
				p, until = q.Profile, q.Until
			}
		}
		return err
	})
	if err != nil {
		return enforce.Normal, time.Time{}, err
	}
	return p, until, nil
}

// Row gives a quarantine without its lines, by its id or number.
func (d *Desk) Row(ctx context.Context, id string) (q Row, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error { q, err = find(tx, id); return err })
	return q, err
}
