package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/handin"
	"bolwerk/internal/store"
)

// Retention is what is kept of one class in one table, and how old the oldest of it is.
type Retention struct {
	Table   string    `json:"table"`
	Class   string    `json:"class"`
	Columns []string  `json:"columns"`
	Keep    string    `json:"keep"`            // the class's limit, in words
	Oldest  time.Time `json:"oldest,omitzero"` // zero: there is none
	Limit   string    `json:"limit,omitempty"` // how old it may be
	State   string    `json:"state"`           // ok, over, empty; with: it goes with another row; unbounded: no person in it
	With    string    `json:"with,omitempty"`  // which
}

// rule says how the age of a class in a table is seen. The oldest is a query that gives
// microseconds, or an id (UUIDv7) with its time in front; {held} in it are
// the cases under a legal hold, {now} is the time.
type rule struct {
	table, class string
	limit        time.Duration // 0: as many days as is configured for the class
	oldest       string
}

const (
	day  = 24 * time.Hour
	year = 366 * day
	// late is how late a row may go: retention runs once an hour, that of cases once a day.
	late = 26 * time.Hour
)

var rules = []rule{
	{"blob", "body", 31 * day, `select min(at) from blob`},
	{"abuse_event", "body", 30 * day, `select min(id) from abuse_event where detail_sealed is not null`},
	{"abuse_report", "body", 30 * day, `select min(received_at) from abuse_report where from_sealed is not null or reply_sealed is not null`},
	{"shield_report", "reply", 7 * day, `select min(received_at) from shield_report where reply_sealed is not null`},
	{"desk_appeal", "reply", 7 * day, `select min(decided_at) from desk_appeal where state='decided' and (text_sealed is not null or contact_sealed is not null)`},
	{"desk_notice", "reply", 7 * day, `select min(made_at) from desk_notice where to_sealed is not null`},
	{"desk_notice_day", "reply", 8 * day, `select min(day)*86400000000 from desk_notice_day`},
	{"abuse_held", "session", 0, `select min(until) from abuse_held where ended<>''`},
	{"abuse_gap", "session", 0, `select min(to_at) from abuse_gap`},
	{"abuse_restart", "session", 0, `select min(at) from abuse_restart where done`},
	{"abuse_nas", "session", 0, `select min(last) from abuse_nas`},
	{"abuse_view_line", "session", 0, `select min(until) from abuse_view_line`},
	{"abuse_view", "view", 0, `select min(until) from abuse_view where until>0`},
	{"abuse_contact", "contact", 0, `select min(at) from abuse_contact`},
	{"abuse_contact_bad", "contact", 30 * day, `select min(at) from abuse_contact_bad`},
	{"abuse_asked", "staff", year, `select min(at) from abuse_asked`},
	{"account", "staff", year, `select min(ended_at) from account where state='disabled' and ended_at>0`},
	{"privacy_request", "privacy", year, `select min(case when decided_at>0 then decided_at else asked_at end) from privacy_request`},
	{"privacy_hold", "privacy", year, `select min(case when ended_at>0 then ended_at else until end) from privacy_hold`},
	{"desk_case", "case", year, `select min(touched_at) from desk_case c where c.id not in ({held}) and c.state in ('decided','closed') and not exists (select 1 from shield_block b where b.case_id=c.id) and not exists (select 1 from abuse_exemption x where x.case_id=c.id and x.until>{now})`},
	{"abuse_report", "case", year + 30*day, `select min(received_at) from abuse_report r where not exists (select 1 from abuse_event e where e.report=r.id)`},
	{"shield_block", "case", year, `select min(ended_at) from shield_block where state<>'in_force'`},
	{"shield_reached", "case", year, `select min(at) from shield_reached`},
	{"shield_certificate", "case", year, `select min(at) from shield_certificate`},
}

// goes says with what a class goes that has no age of its own.
var goes = map[string]string{
	"case": "its case, block or report", "pinned": "its case", "name": "its block", "staff": "its account", "session": "the key of its month",
	"view": "its subscriber's choice", "secret": "its use, change or end",
}

// retentionNow looks at every class of every table of the desk.
func (d *Desk) retentionNow(ctx context.Context) ([]Retention, error) {
	days := map[string]int{"session": d.cfg.Abuse.Who.Days, "contact": d.cfg.Abuse.Contact.Days}
	return lookRetention(ctx, d.db, d.env.Clock, Schemas(), days, d.abuse.HeldCases)
}

func lookRetention(ctx context.Context, db *store.DB, c clock.Clock, schemas []store.Schema, days map[string]int, heldCases func(*store.Tx) ([]string, error)) (out []Retention, err error) {
	for _, col := range store.Columns(schemas) {
		i := slices.IndexFunc(out, func(r Retention) bool { return r.Table == col.Table && r.Class == col.Class })
		if i < 0 {
			out = append(out, Retention{Table: col.Table, Class: col.Class, Keep: store.Keep[col.Class]})
			i = len(out) - 1
		}
		out[i].Columns = append(out[i].Columns, col.Name)
	}
	err = db.Read(ctx, func(tx *store.Tx) error {
		held, err := heldCases(tx)
		if err != nil {
			return err
		}
		for i := range out {
			if err := out[i].look(tx, c.Now(), days, held); err != nil {
				return fmt.Errorf("retention of %s in %s: %w", out[i].Class, out[i].Table, err)
			}
		}
		return nil
	})
	slices.SortStableFunc(out, func(a, b Retention) int { return strings.Compare(a.Table, b.Table) })
	return out, err
}

func (r *Retention) look(tx *store.Tx, now time.Time, days map[string]int, held []string) error {
	i := slices.IndexFunc(rules, func(x rule) bool { return x.table == r.Table && x.class == r.Class })
	if i < 0 {
		switch r.Class {
		case "log", "tech", "figure":
			r.State = "unbounded"
		case "body", "reply":
			return bolwerk.Invalid("there is no rule by which its age is seen")
		default:
			r.State, r.With = "with", goes[r.Class]
		}
		return nil
	}
	limit := rules[i].limit
	if limit == 0 {
		limit = time.Duration(days[r.Class]) * day
	}
	r.Limit = fmt.Sprint(int(limit/day), " days")
	var at any
	q, args := strings.ReplaceAll(rules[i].oldest, "{now}", fmt.Sprint(store.Micros(now))), []any(nil)
	if strings.Contains(q, "{held}") {
		var in string
		in, args = store.In(1, append(held, ""))
		q = strings.Replace(q, "{held}", in, 1)
	}
	if err := tx.Row(q, args...).Scan(&at); err != nil {
		return err
	}
	switch v := at.(type) {
	case int64:
		r.Oldest = store.Time(v)
	case string:
		t, err := handin.ParseID(v)
		if err != nil {
			return err
		}
		r.Oldest = t
	case []byte:
		t, err := handin.ParseID(string(v))
		if err != nil {
			return err
		}
		r.Oldest = t
	}
	switch {
	case r.Oldest.IsZero():
		r.State = "empty"
	case now.Sub(r.Oldest) > limit+late:
		r.State = "over"
	default:
		r.State = "ok"
	}
	return nil
}
