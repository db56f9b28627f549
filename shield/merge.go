package shield

import (
	"context"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
	"bolwerk/shield/judge"
)

// Merging is what would become of two campaigns.
type Merging struct {
	From   CampaignRow     `json:"from"`   // whose cases go over
	Into   CampaignRow     `json:"into"`   // which keeps its number
	Result CampaignRow     `json:"result"` // what it would then say
	Shared []judge.KeyKind `json:"shared"` // in which kinds of key they agree
}

// Merging previews a merge, and changes nothing.
func (s *Shield) Merging(ctx context.Context, from, into string) (m Merging, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error { m, err = merging(tx, from, into); return err })
	return m, err
}

func merging(tx *store.Tx, from, into string) (m Merging, err error) {
	read := func(id string) (c CampaignRow, err error) {
		c, err = readCampaign(tx.Now())(tx.Row(`select `+campaignColumns+` where id=$1 or ref=$1`, id).Scan)
		if store.None(err) {
			err = bolwerk.NotFound("no campaign %q", id)
		}
		return c, err
	}
	if m.From, err = read(from); err != nil {
		return m, err
	}
	if m.Into, err = read(into); err != nil {
		return m, err
	}
	if m.From.ID == m.Into.ID {
		return m, bolwerk.Invalid("%s cannot be merged into itself", m.From.Ref)
	}
	if m.Into.MergedInto != "" {
		return m, bolwerk.WithHint(bolwerk.Conflict("%s was merged into %s", m.Into.Ref, m.Into.MergedInto), "merge into that one")
	}
	m.Result = m.Into
	r, f := &m.Result, m.From
	r.Cases, r.Reports, r.Blocks = r.Cases+f.Cases, r.Reports+f.Reports, r.Blocks+f.Blocks
	r.Hits = Hits{r.Hits.DNS + f.Hits.DNS, r.Hits.Page + f.Hits.Page, r.Hits.TLS + f.Hits.TLS}
	r.AskedFor |= f.AskedFor
	r.FirstSeen, r.LastSeen, r.LivelyAt = olderOf(r.FirstSeen, f.FirstSeen), later(r.LastSeen, f.LastSeen), later(r.LivelyAt, f.LivelyAt)
	r.State = stateOf(tx.Now(), *r)
	m.Shared, err = sharedKinds(tx, m.From.ID, m.Into.ID)
	return m, err
}

func olderOf(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// sharedKinds are the kinds of key that two campaigns have in common.
func sharedKinds(tx *store.Tx, a, b string) (out []judge.KeyKind, err error) {
	seen := map[judge.KeyKind]bool{}
	err = tx.Each(`select x.key from shield_key x join shield_key y on y.key=x.key where x.holder=$1 and y.holder=$2 order by x.key limit 200`, []any{a, b}, func(scan func(...any) error) error {
		var key string
		if err := scan(&key); err != nil {
			return err
		}
		kind, _, _ := strings.Cut(key, "|")
		if k := judge.KeyKind(kind); !seen[k] {
			seen[k] = true
			out = append(out, k)
		}
		return nil
	})
	return out, err
}

// MergeCampaigns gives all cases of one campaign, with what is counted of them, to
// another. The number of the one that ends leads to the other for ever, and what
// comes later by its keys goes there. Sums over all campaigns stay what they were.
// Done twice it is done once. UndoMerge takes it back.
func (s *Shield) MergeCampaigns(ctx context.Context, who judge.Person, from, into, reason string) (out CampaignRow, err error) {
	if reason = strings.TrimSpace(reason); reason == "" {
		return out, bolwerk.WithHint(bolwerk.Invalid("to merge campaigns needs a reason"), "say in a few words what they have in common")
	}
	if len(reason) > 500 {
		return out, bolwerk.Invalid("a reason of %d octets: at most 500", len(reason))
	}
	if err := judge.May(who, judge.Confirm); err != nil {
		return out, err
	}
	err = s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		m, err := merging(tx, from, into)
		if err != nil {
			return err
		}
		if out = m.Result; m.From.MergedInto == m.Into.Ref {
			out = m.Into // it was done
			return nil
		}
		if m.From.MergedInto != "" {
			return bolwerk.Conflict("%s was merged into %s", m.From.Ref, m.From.MergedInto)
		}
		a, b := m.From.ID, m.Into.ID
		if err := noteMerge(tx, m, bolwerk.Person(who.ID), reason); err != nil {
			return err
		}
		for _, q := range []string{
			`update shield_case set campaign=$1 where campaign=$2`,
			`update shield_hit_total set campaign=$1 where campaign=$2`,
			`insert into shield_campaign_hour(campaign,hour,cases,reports,blocks,dns,page,tls) select $1,hour,cases,reports,blocks,dns,page,tls from shield_campaign_hour where campaign=$2
				on conflict(campaign,hour) do update set cases=shield_campaign_hour.cases+excluded.cases, reports=shield_campaign_hour.reports+excluded.reports, blocks=shield_campaign_hour.blocks+excluded.blocks,
				dns=shield_campaign_hour.dns+excluded.dns, page=shield_campaign_hour.page+excluded.page, tls=shield_campaign_hour.tls+excluded.tls`,
			`insert into shield_key(key,holder,is_case,strong,full_hash,at) select key,$1,false,strong,full_hash,at from shield_key where holder=$2 on conflict(key,holder) do nothing`,
			`insert into shield_sibling(campaign,name,why,beside,at) select $1,name,why,beside,at from shield_sibling where campaign=$2 on conflict(campaign,name) do nothing`,
			`update shield_campaign set merged_into=$1 where merged_into=$2`,
			`update shield_campaign set merged_into=$1, cases=0, reports=0, blocks=0, dns=0, page=0, tls=0 where id=$2`,
		} {
			if _, err := tx.Exec(q, b, a); err != nil {
				return err
			}
		}
		for _, q := range []string{`delete from shield_campaign_hour where campaign=$1`, `delete from shield_key where holder=$1`, `delete from shield_sibling where campaign=$1`} {
			if _, err := tx.Exec(q, a); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(`update shield_campaign set cases=cases+$1, reports=reports+$2, blocks=blocks+$3, dns=dns+$4, page=page+$5, tls=tls+$6, first_seen=$7, last_seen=$8, lively_at=$9, asked_for=$10 where id=$11`,
			m.From.Cases, m.From.Reports, m.From.Blocks, m.From.Hits.DNS, m.From.Hits.Page, m.From.Hits.TLS,
			store.Micros(out.FirstSeen), store.Micros(out.LastSeen), store.Micros(out.LivelyAt), out.AskedFor.String(), b); err != nil {
			return err
		}
		audit.Append(tx, bolwerk.Person(who.ID), "shield.campaign.merge", m.Into.Ref, reason, map[string]any{"from": m.From.Ref, "cases": m.From.Cases, "reports": m.From.Reports, "blocks": m.From.Blocks})
		return nil
	})
	return out, err
}

// Sibling is a name that nobody reported and that has something in common with a
// campaign's.
type Sibling struct {
	Name   bolwerk.Domain `json:"name"`
	Why    string         `json:"why"`    // certificate, template
	Beside string         `json:"beside"` // the member that it stands beside
	At     time.Time      `json:"at"`
}

// siblingsOf are the proposed names of a campaign that still nobody reported.
func siblingsOf(tx *store.Tx, campaign string) ([]Sibling, error) {
	return store.List(tx, func(scan func(...any) error) (b Sibling, err error) {
		var name string
		var at int64
		if err = scan(&name, &b.Why, &b.Beside, &at); err == nil {
			b.At = store.Time(at)
			b.Name, err = bolwerk.ParseDomain(name)
		}
		return b, err
	}, `select n.name,n.why,n.beside,n.at from shield_sibling n where n.campaign=$1 and not exists (select 1 from shield_observable o where o.name=n.name)
		and not exists (select 1 from shield_block b where b.name=n.name and b.state='in_force') order by n.at desc, n.name limit 50`, campaign)
}

// traitsOf are the kinds of key that a campaign is held together by, with one
// value of each for people.
func traitsOf(tx *store.Tx, campaign string) (out []judge.Key, err error) {
	seen := map[judge.KeyKind]bool{}
	err = tx.Each(`select key,strong from shield_key where holder=$1 order by key limit 500`, []any{campaign}, func(scan func(...any) error) error {
		var text string
		var k judge.Key
		if err := scan(&text, &k.Strong); err != nil {
			return err
		}
		kind, value, _ := strings.Cut(text, "|")
		if k.Kind, k.Value = judge.KeyKind(kind), value; !seen[k.Kind] {
			seen[k.Kind] = true
			out = append(out, k)
		}
		return nil
	})
	return out, err
}

// alike are campaigns that share a telling key with one, the newest first.
func alike(tx *store.Tx, campaign string) ([]CampaignRow, error) {
	return store.List(tx, readCampaign(tx.Now()), `select `+campaignColumns+` where merged_into='' and id in (select y.holder from shield_key x join shield_key y on y.key=x.key
		where x.holder=$1 and y.holder<>$1 and x.key<'K7' and not y.is_case limit 200) order by last_seen desc, id desc limit 5`, campaign)
}
