package abuse

import (
	"context"
	"time"

	"bolwerk"
	"bolwerk/abuse/reading"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
	"bolwerk/internal/store"
)

// ExemptionRow is an exemption in the list of all. It names no subscriber.
type ExemptionRow struct {
	ID     string        `json:"id"`
	Case   string        `json:"case" doc:"number of the case that it was made in"`
	Class  reading.Class `json:"class,omitempty" doc:"of which class; absent: of every one"`
	Reason string        `json:"reason"`
	By     bolwerk.Actor `json:"by"`
	At     time.Time     `json:"at"`
	Until  time.Time     `json:"until"`
	Over   bool          `json:"over"`
}

// Exemptions lists the exemptions that hold, the one that ends first before the others;
// with over those that have ended too. after is the id of the last of the page before.
func (d *Desk) Exemptions(ctx context.Context, over bool, after string, limit int) (out []ExemptionRow, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		now, from := tx.NowMicros(), int64(0)
		least := now
		if over {
			least = 0
		}
		if after != "" {
			err := tx.Row(`select until from abuse_exemption where id=$1`, after).Scan(&from)
			if store.None(err) {
				return bolwerk.NotFound("no exemption %.60q", after)
			}
			if err != nil {
				return err
			}
		}
		out, err = store.List(tx, func(scan func(...any) error) (x ExemptionRow, err error) {
			var actor string
			var at, until int64
			if err := scan(&x.ID, &x.Case, (*string)(&x.Class), &x.Reason, &actor, &at, &until); err != nil {
				return x, err
			}
			x.At, x.Until, x.Over = store.Time(at), store.Time(until), until <= now
			x.By, err = bolwerk.ParseActor(actor)
			return x, err
		}, `select x.id,c.ref,x.class,x.reason,x.actor,x.at,x.until from abuse_exemption x join desk_case c on c.id=x.case_id where x.until>$1 and (x.until,x.id)>($2,$3) order by x.until, x.id limit $4`,
			least, from, after, pageSize(limit))
		return err
	})
	return out, err
}

// EndExemptionNow ends an exemption before its time, found by its own id.
func (d *Desk) EndExemptionNow(ctx context.Context, who account.Person, id string) (x ExemptionRow, err error) {
	var caseID string
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		var actor string
		var at int64
		err := tx.Row(`select x.case_id,c.ref,x.class,x.reason,x.actor,x.at from abuse_exemption x join desk_case c on c.id=x.case_id where x.id=$1`, id).Scan(&caseID, &x.Case, (*string)(&x.Class), &x.Reason, &actor, &at)
		if store.None(err) {
			return bolwerk.NotFound("no exemption %.60q", id)
		}
		if err != nil {
			return err
		}
		x.ID, x.At = id, store.Time(at)
		x.By, err = bolwerk.ParseActor(actor)
		return err
	})
	if err != nil {
		return x, err
	}
	x.Until, x.Over = d.clock.Now().UTC(), true
	return x, d.EndExemption(ctx, who, caseID, id)
}

func (d *Desk) exemptionAPI(x *api.Routes) {
	type asked struct {
		api.Window
		Over bool `query:"over" doc:"those that have ended, too"`
	}
	api.Add(x, account.Look, "GET", "/abuse/exemptions", "Exemptions of all subscribers: of which class, why, until when; what ends first stands first. They name nobody.", func(ctx context.Context, in *asked) (*api.Answer[api.Page[ExemptionRow]], error) {
		rows, err := d.Exemptions(ctx, in.Over, in.Cursor, in.Limit)
		return api.Paged(in.Window, rows, func(x ExemptionRow) string { return x.ID }), err
	})
	api.Add(x, account.Decide, "POST", "/abuse/exemptions/{id}/end", "End an exemption before its time.", func(ctx context.Context, in *CaseID) (*api.Answer[ExemptionRow], error) {
		row, err := d.EndExemptionNow(ctx, api.Who(ctx), in.ID)
		return &api.Answer[ExemptionRow]{Body: row}, err
	})
}
