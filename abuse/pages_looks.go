package abuse

import (
	"context"
	"net/http"
	"time"

	"bolwerk"
	"bolwerk/abuse/who"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
	"bolwerk/internal/store"
)

// LookRow is a look at who somebody is, as the ledger tells it: it names the staff, and
// no subscriber.
type LookRow struct {
	ID     string        `json:"id"`
	At     time.Time     `json:"at"`
	By     bolwerk.Actor `json:"by"`
	Name   string        `json:"name,omitempty" doc:"log-in name; absent where no person looked"`
	Reason string        `json:"reason"`
	Case   string        `json:"case,omitempty" doc:"number of the case"`
	Found  int           `json:"found" doc:"how many subscribers were named"`
}

// maxLooks is how many looks and gaps are told at once, the newest.
const maxLooks = 200

// Ledger is who looked at subscribers, when and why: all of them, or those at one, as
// accounting names it. Of a subscriber it knows as far back as there are keys of the
// months.
func (d *Desk) Ledger(ctx context.Context, subscriber string) (out []LookRow, err error) {
	var all []who.Look
	if subscriber == "" {
		all, err = d.p.Who.Looks(ctx, "", maxLooks)
	} else {
		all, err = d.p.Who.LooksAt(ctx, subscriber, maxLooks)
	}
	if err != nil {
		return nil, err
	}
	var by []bolwerk.Actor
	for _, l := range all {
		by = append(by, l.By)
	}
	names, err := account.Names(ctx, d.db, by...)
	if err != nil {
		return nil, err
	}
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		for _, l := range all {
			row := LookRow{ID: l.ID, At: l.At, By: l.By, Reason: l.Reason, Case: l.Case, Found: l.Found}
			if l.By.IsPerson() {
				row.Name = names[l.By]
			}
			if err := tx.Row(`select ref from desk_case where id=$1`, l.Case).Scan(&row.Case); err != nil && !store.None(err) {
				return err
			}
			out = append(out, row)
		}
		return nil
	})
	return out, err
}

// looksPage is the ledger for who watches over it. Beside it are the times of which
// nothing is known.
type looksPage struct {
	common
	Of   string // the subscriber who is asked about; empty for everybody
	Rows []LookRow
	Gaps []who.Gap
}

func (p *Pages) looks(w http.ResponseWriter, r *http.Request, me account.Person) (err error) {
	v := looksPage{common: commonOf(r, me), Of: clip(r.URL.Query().Get("subscriber"))}
	if v.Rows, err = p.d.Ledger(r.Context(), v.Of); err != nil {
		return err
	}
	if v.Gaps, err = p.d.p.Who.Gaps(r.Context(), maxLooks); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return p.pages.Render(w, r, http.StatusOK, "looks", v)
}

func (d *Desk) looksAPI(x *api.Routes) {
	type asked struct {
		Subscriber string `query:"subscriber" maxLength:"253" doc:"only looks at this one, exactly as accounting names it"`
	}
	api.Add(x, account.Oversee, "GET", "/abuse/looks", "Who looked at whose line it is, and why: the newest 200. They name no subscriber.", func(ctx context.Context, in *asked) (*api.Answer[api.Page[LookRow]], error) {
		rows, err := d.Ledger(ctx, in.Subscriber)
		return api.Paged(api.Window{}, rows, func(l LookRow) string { return l.ID }), err
	})
}
