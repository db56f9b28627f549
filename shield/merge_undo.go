package shield

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
	"bolwerk/shield/judge"
)

// A merge notes what went over, so that it can be undone: whose the cases and hits
// were, and what was counted until then. What comes later is counted for the
// campaign that stayed, and remains there.

// Merged is a campaign that was merged into another one.
type Merged struct {
	Ref    string    `json:"ref"`   // of the campaign that ended
	Title  string    `json:"title"` // of it
	Cases  int64     `json:"cases"` // that went over
	By     string    `json:"by"`    // login
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
	by     bolwerk.Actor
}

// keptMerge is what was counted of the campaign that ended.
type keptMerge struct {
	Cases, Reports, Blocks int64
	Hits                   Hits
	IntoFirst              int64 // first report of the one that stayed
}

type keptKey struct {
	Strong bool
	Full   string
	At     int64
	New    bool // the campaign that stayed did not have it
}

type keptSibling struct {
	Why, Beside string
	At          int64
}

// noteMerge keeps what a merge is about to move.
func noteMerge(tx *store.Tx, m Merging, by bolwerk.Actor, reason string) error {
	id, a, b := bolwerk.NewID(tx.Now()), m.From.ID, m.Into.ID
	kept, err := json.Marshal(keptMerge{m.From.Cases, m.From.Reports, m.From.Blocks, m.From.Hits, store.Micros(m.Into.FirstSeen)})
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`insert into shield_campaign_merge(id,from_id,into_id,kept,actor,reason,at,undone_at) values($1,$2,$3,$4,$5,$6,$7,0)`, id, a, b, string(kept), by.String(), reason, tx.NowMicros()); err != nil {
		return err
	}
	for _, q := range []string{
		`insert into shield_campaign_moved(merge,what,ref,kept) select $1,'case',id,'' from shield_case where campaign=$2`,
		`insert into shield_campaign_moved(merge,what,ref,kept) select $1,'hit',block,'' from shield_hit_total where campaign=$2`,
		`insert into shield_campaign_moved(merge,what,ref,kept) select $1,'merged',id,'' from shield_campaign where merged_into=$2`,
	} {
		if _, err := tx.Exec(q, id, a); err != nil {
			return err
		}
	}
	type row struct {
		what, ref string
		kept      any
	}
	var rows []row
	err = tx.Each(`select key,strong,full_hash,at,(select count(*) from shield_key o where o.key=k.key and o.holder=$2) from shield_key k where holder=$1`, []any{a, b}, func(scan func(...any) error) error {
		var key string
		var k keptKey
		var have int64
		if err := scan(&key, &k.Strong, &k.Full, &k.At, &have); err != nil {
			return err
		}
		k.New = have == 0
		rows = append(rows, row{"key", key, k})
		return nil
	})
	if err != nil {
		return err
	}
	err = tx.Each(`select name,why,beside,at from shield_sibling where campaign=$1`, []any{a}, func(scan func(...any) error) error {
		var name string
		var k keptSibling
		if err := scan(&name, &k.Why, &k.Beside, &k.At); err != nil {
			return err
		}
		rows = append(rows, row{"sibling", name, k})
		return nil
	})
	if err != nil {
		return err
	}
	err = tx.Each(`select hour,cases,reports,blocks,dns,page,tls from shield_campaign_hour where campaign=$1`, []any{a}, func(scan func(...any) error) error {
		var hour int64
		var h CampaignHour
		if err := scan(&hour, &h.Cases, &h.Reports, &h.Blocks, &h.Hits.DNS, &h.Hits.Page, &h.Hits.TLS); err != nil {
			return err
		}
		h.At = store.Time(hour)
		rows = append(rows, row{"hour", h.At.Format(time.RFC3339), h})
		return nil
	})
	if err != nil {
		return err
	}
	for _, r := range rows {
		text, err := json.Marshal(r.kept)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`insert into shield_campaign_moved(merge,what,ref,kept) values($1,$2,$3,$4)`, id, r.what, r.ref, string(text)); err != nil {
			return err
		}
	}
	return nil
}

// mergedInto are the campaigns that were merged into one and could come out again,
// newest first.
func mergedInto(tx *store.Tx, campaign string) ([]Merged, error) {
	out, err := store.List(tx, func(scan func(...any) error) (m Merged, err error) {
		var kept, by string
		var at int64
		if err = scan(&m.Ref, &m.Title, &kept, &by, &m.Reason, &at); err != nil {
			return m, err
		}
		var k keptMerge
		err = json.Unmarshal([]byte(kept), &k)
		m.Cases, m.At = k.Cases, store.Time(at)
		if err == nil {
			m.by, err = bolwerk.ParseActor(by)
		}
		return m, err
	}, `select c.ref,c.title,m.kept,m.actor,m.reason,m.at from shield_campaign_merge m join shield_campaign c on c.id=m.from_id
		where m.into_id=$1 and m.undone_at=0 and c.merged_into=$1 order by m.at desc limit 50`, campaign)
	for i := range out {
		if err != nil {
			break
		}
		var p account.Person
		if p, err = account.ByID(tx, out[i].by.Ref()); errors.Is(err, bolwerk.ErrNotFound) {
			err = nil // whoever left has no name any more
		}
		out[i].By = p.Login
	}
	return out, err
}

// UndoMerge takes a campaign out of the one that it was merged into: its cases, the
// hits of their blocks and what was counted until the merge are its own again, under
// its own number. What was counted since stays where it was counted, so sums over all
// campaigns stay what they were. The later of two merges is undone first.
func (s *Shield) UndoMerge(ctx context.Context, who judge.Person, from, reason string) (out CampaignRow, err error) {
	if reason = strings.TrimSpace(reason); reason == "" {
		return out, bolwerk.WithHint(bolwerk.Invalid("to undo a merge needs a reason"), "say in a few words why they are two")
	}
	if len(reason) > 500 {
		return out, bolwerk.Invalid("a reason of %d octets: at most 500", len(reason))
	}
	if err := judge.May(who, judge.Confirm); err != nil {
		return out, err
	}
	err = s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		read := func(id string) (c CampaignRow, err error) {
			c, err = readCampaign(tx.Now())(tx.Row(`select `+campaignColumns+` where id=$1 or ref=$1`, id).Scan)
			if store.None(err) {
				err = bolwerk.NotFound("no campaign %q", id)
			}
			return c, err
		}
		a, err := read(from)
		if err != nil {
			return err
		}
		if a.MergedInto == "" {
			return bolwerk.Conflict("%s is merged into no other one", a.Ref)
		}
		b, err := read(a.MergedInto)
		if err != nil {
			return err
		}
		var id, text string
		err = tx.Row(`select id,kept from shield_campaign_merge where from_id=$1 and into_id=$2 and undone_at=0 order by at desc limit 1`, a.ID, b.ID).Scan(&id, &text)
		if store.None(err) {
			return bolwerk.WithHint(bolwerk.Conflict("%s came into %s by another campaign", a.Ref, b.Ref), "undo that later merge first")
		}
		if err != nil {
			return err
		}
		var kept keptMerge
		if err := json.Unmarshal([]byte(text), &kept); err != nil {
			return err
		}
		if err := moveBack(tx, id, a.ID, b.ID, kept); err != nil {
			return err
		}
		if _, err := tx.Exec(`update shield_campaign_merge set undone_at=$1 where id=$2`, tx.NowMicros(), id); err != nil {
			return err
		}
		audit.Append(tx, bolwerk.Person(who.ID), "shield.campaign.undo_merge", a.Ref, reason, map[string]any{"out_of": b.Ref, "cases": kept.Cases, "reports": kept.Reports, "blocks": kept.Blocks})
		out, err = read(a.ID)
		return err
	})
	return out, err
}

func moveBack(tx *store.Tx, merge, a, b string, k keptMerge) error {
	for _, q := range []string{
		`update shield_case set campaign=$1 where campaign=$2 and id in (select ref from shield_campaign_moved where merge=$3 and what='case')`,
		`update shield_hit_total set campaign=$1 where campaign=$2 and block in (select ref from shield_campaign_moved where merge=$3 and what='hit')`,
		`update shield_campaign set merged_into=$1 where merged_into=$2 and id in (select ref from shield_campaign_moved where merge=$3 and what='merged')`,
	} {
		if _, err := tx.Exec(q, a, b, merge); err != nil {
			return err
		}
	}
	type row struct{ what, ref, kept string }
	rows, err := store.List(tx, func(scan func(...any) error) (r row, err error) { err = scan(&r.what, &r.ref, &r.kept); return r, err },
		`select what,ref,kept from shield_campaign_moved where merge=$1 and what in ('key','sibling','hour') order by what, ref`, merge)
	if err != nil {
		return err
	}
	for _, r := range rows {
		switch r.what {
		case "key":
			err = keyBack(tx, merge, a, b, r.ref, r.kept)
		case "sibling":
			var s keptSibling
			if err = json.Unmarshal([]byte(r.kept), &s); err == nil {
				_, err = tx.Exec(`insert into shield_sibling(campaign,name,why,beside,at) values($1,$2,$3,$4,$5) on conflict(campaign,name) do nothing`, a, r.ref, s.Why, s.Beside, s.At)
			}
			if err == nil {
				_, err = tx.Exec(`delete from shield_sibling where campaign=$1 and name=$2 and why=$3 and beside=$4 and at=$5`, b, r.ref, s.Why, s.Beside, s.At)
			}
		case "hour":
			err = hourBack(tx, a, b, r.kept)
		}
		if err != nil {
			return err
		}
	}
	if _, err := tx.Exec(`update shield_campaign set merged_into='', cases=$1, reports=$2, blocks=$3, dns=$4, page=$5, tls=$6 where id=$7`, k.Cases, k.Reports, k.Blocks, k.Hits.DNS, k.Hits.Page, k.Hits.TLS, a); err != nil {
		return err
	}
	_, err = tx.Exec(`update shield_campaign set cases=cases-$1, reports=reports-$2, blocks=blocks-$3, dns=dns-$4, page=page-$5, tls=tls-$6,
		first_seen=coalesce((select min(c.first_seen) from shield_case c where c.campaign=$7), cast($8 as bigint)) where id=$7`,
		k.Cases, k.Reports, k.Blocks, k.Hits.DNS, k.Hits.Page, k.Hits.TLS, b, k.IntoFirst)
	return err
}

// keyBack gives a trait back. The campaign that stayed keeps it where it had it
// before, or where another campaign brought it too.
func keyBack(tx *store.Tx, merge, a, b, key, text string) error {
	var k keptKey
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		return err
	}
	if _, err := tx.Exec(`insert into shield_key(key,holder,is_case,strong,full_hash,at) values($1,$2,false,$3,$4,$5) on conflict(key,holder) do nothing`, key, a, k.Strong, k.Full, k.At); err != nil || !k.New {
		return err
	}
	_, err := tx.Exec(`delete from shield_key where key=$1 and holder=$2 and not exists (select 1 from shield_campaign_moved o join shield_campaign_merge m on m.id=o.merge
		where o.what='key' and o.ref=$1 and m.into_id=$2 and m.undone_at=0 and m.id<>$3)`, key, b, merge)
	return err
}

// hourBack gives back what was counted in an hour that is still kept.
func hourBack(tx *store.Tx, a, b, text string) error {
	var h CampaignHour
	if err := json.Unmarshal([]byte(text), &h); err != nil {
		return err
	}
	at := store.Micros(h.At)
	n, err := tx.Exec(`update shield_campaign_hour set cases=cases-$1, reports=reports-$2, blocks=blocks-$3, dns=dns-$4, page=page-$5, tls=tls-$6 where campaign=$7 and hour=$8`,
		h.Cases, h.Reports, h.Blocks, h.Hits.DNS, h.Hits.Page, h.Hits.TLS, b, at)
	if err != nil || n == 0 {
		return err
	}
	if _, err := tx.Exec(`delete from shield_campaign_hour where campaign=$1 and hour=$2 and cases=0 and reports=0 and blocks=0 and dns=0 and page=0 and tls=0`, b, at); err != nil {
		return err
	}
	_, err = tx.Exec(`insert into shield_campaign_hour(campaign,hour,cases,reports,blocks,dns,page,tls) values($1,$2,$3,$4,$5,$6,$7,$8)`, a, at, h.Cases, h.Reports, h.Blocks, h.Hits.DNS, h.Hits.Page, h.Hits.TLS)
	return err
}
