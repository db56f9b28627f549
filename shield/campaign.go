package shield

import (
	"context"
	"encoding/json"
	"errors"
	"html/template"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/store"
	"bolwerk/shield/aid"
	"bolwerk/shield/judge"
	"bolwerk/shield/reading"
)

// A campaign's counts are kept, not counted: a large one has tens of thousands
// of reports. What is added to it is added to its hour too, for the timeline.

// CampaignRow is a campaign with its counts.
type CampaignRow struct {
	ID        string        `json:"id"`
	Ref       string        `json:"ref"`
	Brand     string        `json:"brand"`
	Title     string        `json:"title"`
	State     CampaignState `json:"state"`
	Cases     int64         `json:"cases"`
	Reports   int64         `json:"reports"`
	Blocks    int64         `json:"blocks"`
	Hits      Hits          `json:"hits"`
	FirstSeen time.Time     `json:"first_seen"`
	LastSeen  time.Time     `json:"last_seen"`
	// LivelyAt is the last report or hit. ReopenedAt is when it came back after it
	// was over; zero is never.
	LivelyAt   time.Time `json:"lively_at"`
	ReopenedAt time.Time `json:"reopened_at,omitzero"`
	// MergedInto is the reference of the campaign that has its cases now.
	MergedInto string  `json:"merged_into,omitempty"`
	AskedFor   aid.Set `json:"asked_for"` // what its sites are known to ask for
}

// VisibleTitle is the title for a page.
func (c CampaignRow) VisibleTitle() template.HTML { return Visible(c.Title) }

// CampaignState is how lively a campaign is.
type CampaignState string

// The states of a campaign.
const (
	Forming CampaignState = "forming" // fewer than three names
	Active  CampaignState = "active"
	Quiet   CampaignState = "quiet" // no report and no hit for three days
	Ended   CampaignState = "closed"
)

const (
	formingCases = 3
	quietAfter   = 72 * time.Hour
	closedAfter  = 30 * 24 * time.Hour
)

func stateOf(now time.Time, c CampaignRow) CampaignState {
	switch age := now.Sub(c.LivelyAt); {
	case age > closedAfter:
		return Ended
	case age > quietAfter:
		return Quiet
	case c.Cases < formingCases:
		return Forming
	}
	return Active
}

const campaignColumns = `id,ref,brand,title,cases,reports,blocks,dns,page,tls,first_seen,last_seen,lively_at,reopened_at,asked_for,coalesce((select m.ref from shield_campaign m where m.id=shield_campaign.merged_into),'') from shield_campaign`

func readCampaign(now time.Time) func(scan func(...any) error) (CampaignRow, error) {
	return func(scan func(...any) error) (c CampaignRow, err error) {
		var first, last, lively, reopened int64
		var asked string
		err = scan(&c.ID, &c.Ref, &c.Brand, &c.Title, &c.Cases, &c.Reports, &c.Blocks, &c.Hits.DNS, &c.Hits.Page, &c.Hits.TLS, &first, &last, &lively, &reopened, &asked, &c.MergedInto)
		c.FirstSeen, c.LastSeen = store.Time(first), store.Time(last)
		c.LivelyAt, c.AskedFor = store.Time(lively), aid.Read(asked)
		if reopened > 0 {
			c.ReopenedAt = store.Time(reopened)
		}
		c.State = stateOf(now, c)
		return c, err
	}
}

// CampaignFilter says which campaigns a list shows.
type CampaignFilter struct {
	State CampaignState // all where empty; active has those that form too
	Query string        // part of the title, brand and name shape
	After string        // id of the last one of the page before
	Limit int           // 1 to 500; 50 where 0
}

func (f CampaignFilter) where(now time.Time) (w desk.Where) {
	quiet, over := store.Micros(now.Add(-quietAfter)), store.Micros(now.Add(-closedAfter))
	switch f.State {
	case Active, Forming:
		w.And("lively_at>=?", quiet)
	case Quiet:
		w.And("lively_at<? and lively_at>=?", quiet, over)
	case Ended:
		w.And("lively_at<?", over)
	default:
		w.And("last_seen>=0")
	}
	w.And("merged_into=''")
	w.Like("title", f.Query)
	return w
}

// Campaigns lists campaigns, those seen last first.
func (s *Shield) Campaigns(ctx context.Context, f CampaignFilter) (out []CampaignRow, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error { out, err = campaigns(tx, f); return err })
	return out, err
}

func campaigns(tx *store.Tx, f CampaignFilter) ([]CampaignRow, error) {
	w := f.where(tx.Now())
	if f.After != "" {
		var seen int64
		if err := tx.Row(`select last_seen from shield_campaign where id=$1`, f.After).Scan(&seen); err != nil {
			if store.None(err) {
				return nil, bolwerk.NotFound("no campaign %q", f.After)
			}
			return nil, err
		}
		w.And("(last_seen,id)<(?,?)", seen, f.After)
	}
	limit := f.Limit
	if limit <= 0 {
		limit = rows
	}
	query, args := w.Select(campaignColumns, "last_seen desc, id desc", min(limit, 500))
	return store.List(tx, readCampaign(tx.Now()), query, args...)
}

// CountCampaigns counts what Campaigns lists with f on all its pages.
func (s *Shield) CountCampaigns(ctx context.Context, f CampaignFilter) (n desk.Counted, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error { n, err = desk.Count(tx, "shield_campaign", f.where(tx.Now())); return err })
	return n, err
}

// grew is what is added to a campaign.
type grew struct{ cases, reports, blocks, dns, page, tls int64 }

// growCampaign adds to the counts of a campaign, and of the hour in which it happened.
func growCampaign(tx *store.Tx, campaign string, at time.Time, g grew) error {
	if campaign == "" || g == (grew{}) {
		return nil
	}
	// What reports say is news of it. Hits are of a block that has long been there:
	// they only say that it still lives.
	now, seen, lively := store.Micros(at), int64(0), int64(0)
	if g.reports > 0 {
		seen = now
	}
	if g.reports > 0 || g.dns+g.page+g.tls > 0 {
		lively = now
	}
	if _, err := tx.Exec(`update shield_campaign set cases=cases+$1, reports=reports+$2, blocks=blocks+$3, dns=dns+$4, page=page+$5, tls=tls+$6,
		last_seen=case when $7>last_seen then $7 else last_seen end,
		reopened_at=case when $8-lively_at>$9 and lively_at>0 then $8 else reopened_at end,
		lively_at=case when $8>lively_at then $8 else lively_at end where id=$10`,
		g.cases, g.reports, g.blocks, g.dns, g.page, g.tls, seen, lively, closedAfter.Microseconds(), campaign); err != nil {
		return err
	}
	_, err := tx.Exec(`insert into shield_campaign_hour(campaign,hour,cases,reports,blocks,dns,page,tls) values($1,$2,$3,$4,$5,$6,$7,$8)
		on conflict(campaign,hour) do update set cases=shield_campaign_hour.cases+excluded.cases, reports=shield_campaign_hour.reports+excluded.reports, blocks=shield_campaign_hour.blocks+excluded.blocks,
		dns=shield_campaign_hour.dns+excluded.dns, page=shield_campaign_hour.page+excluded.page, tls=shield_campaign_hour.tls+excluded.tls`,
		campaign, store.Micros(at.Truncate(time.Hour)), g.cases, g.reports, g.blocks, g.dns, g.page, g.tls)
	return err
}

// campaignOf is the campaign of a case; empty without one.
func campaignOf(tx *store.Tx, caseID string) (id string, err error) {
	err = tx.Row(`select campaign from shield_case where id=$1`, caseID).Scan(&id)
	if store.None(err) {
		err = nil
	}
	return id, err
}

// addHitRow counts in what an edge handed in. A count is absolute for its boot and
// bucket: the highest one wins, so that a roll-up that comes twice or late
// changes nothing. What it adds is added to the block's total, to its campaign
// and to the hour.
func addHitRow(tx *store.Tx, host, boot string, bucket time.Time, block string, now Hits) (campaign string, more Hits, err error) {
	at := store.Micros(bucket)
	for range 5 { // two desks may take the same roll-up in at once
		n, err := tx.Exec(`insert into shield_hits(edge,boot,bucket,block,dns,page,tls) values($1,$2,$3,$4,$5,$6,$7) on conflict(edge,boot,bucket,block) do nothing`,
			host, boot, at, block, now.DNS, now.Page, now.TLS)
		if err != nil {
			return "", Hits{}, err
		}
		var was Hits
		if n == 0 {
			if err := tx.Row(`select dns,page,tls from shield_hits where edge=$1 and boot=$2 and bucket=$3 and block=$4`, host, boot, at, block).Scan(&was.DNS, &was.Page, &was.TLS); err != nil {
				return "", Hits{}, err
			}
			most := Hits{max(was.DNS, now.DNS), max(was.Page, now.Page), max(was.TLS, now.TLS)}
			if most == was {
				return "", Hits{}, nil
			}
			if n, err = tx.Exec(`update shield_hits set dns=$1, page=$2, tls=$3 where edge=$4 and boot=$5 and bucket=$6 and block=$7 and dns=$8 and page=$9 and tls=$10`,
				most.DNS, most.Page, most.TLS, host, boot, at, block, was.DNS, was.Page, was.TLS); err != nil {
				return "", Hits{}, err
			}
			now = most
		}
		if n == 0 {
			continue
		}
		more = Hits{now.DNS - was.DNS, now.Page - was.Page, now.TLS - was.TLS}
		err = tx.Row(`insert into shield_hit_total(block,campaign,dns,page,tls,first)
			values($1,coalesce((select c.campaign from shield_block b join shield_case c on c.id=b.case_id where b.ref=$1),''),$2,$3,$4,$5)
			on conflict(block) do update set dns=shield_hit_total.dns+excluded.dns, page=shield_hit_total.page+excluded.page, tls=shield_hit_total.tls+excluded.tls,
			first=case when excluded.first<shield_hit_total.first then excluded.first else shield_hit_total.first end returning campaign`,
			block, more.DNS, more.Page, more.TLS, at).Scan(&campaign)
		return campaign, more, err
	}
	return "", Hits{}, bolwerk.Conflict("the counts of %s at %s change all the time", block, host)
}

// sumHits adds what is new in a roll-up to its hour and to the campaigns.
func sumHits(tx *store.Tx, bucket time.Time, all Hits, campaigns map[string]Hits) error {
	if all == (Hits{}) {
		return nil
	}
	if _, err := tx.Exec(`insert into shield_hit_hour(hour,dns,page,tls) values($1,$2,$3,$4)
		on conflict(hour) do update set dns=shield_hit_hour.dns+excluded.dns, page=shield_hit_hour.page+excluded.page, tls=shield_hit_hour.tls+excluded.tls`,
		store.Micros(bucket.Truncate(time.Hour)), all.DNS, all.Page, all.TLS); err != nil {
		return err
	}
	ids := make([]string, 0, len(campaigns))
	for id := range campaigns {
		ids = append(ids, id)
	}
	slices.Sort(ids) // everybody in the same order: nobody waits for another in a ring
	for _, id := range ids {
		h := campaigns[id]
		if err := growCampaign(tx, id, bucket, grew{dns: h.DNS, page: h.Page, tls: h.TLS}); err != nil {
			return err
		}
	}
	return nil
}

// CampaignView is a campaign with what a page shows of it.
type CampaignView struct {
	CampaignRow
	Key     string         `json:"key"`     // shape of its names
	Waiting desk.Counted   `json:"waiting"` // names that wait for a person
	Hours   []CampaignHour `json:"hours"`   // the last sixty days in which something was, oldest first
	Lures   []Lure         `json:"lures"`   // of its newest reports
	Others  []CampaignRow  `json:"others"`  // of the same brand in the same days
	Alike   []CampaignRow  `json:"alike"`   // that share more than the brand with it
	Traits  []judge.Key    `json:"traits"`  // what it is held together by, one of each kind
	// Siblings are names that nobody reported, for a person to look at.
	Siblings []Sibling `json:"siblings"`
	// Merged are campaigns that were merged into it and can be taken out again.
	Merged []Merged `json:"merged"`
}

// CampaignHour is what came to a campaign within an hour.
type CampaignHour struct {
	At      time.Time `json:"at"`
	Cases   int64     `json:"cases"`
	Reports int64     `json:"reports"`
	Blocks  int64     `json:"blocks"`
	Hits    Hits      `json:"hits"`
}

// Lure is a mail or text with which people were led on. It names no reporter.
type Lure struct {
	Report  string    `json:"report"`
	Subject string    `json:"subject,omitempty"`
	Text    string    `json:"text"` // how it begins
	At      time.Time `json:"at"`   // when the report came in
}

const (
	campaignHours = 60 * 24 * time.Hour
	maxLures      = 6
	lureText      = 200 // runes
	sameDays      = 72 * time.Hour
)

// Campaign gives a campaign by its id or number.
func (s *Shield) Campaign(ctx context.Context, id string) (v CampaignView, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		v.CampaignRow, err = readCampaign(tx.Now())(tx.Row(`select `+campaignColumns+` where id=$1 or ref=$1`, id).Scan)
		if store.None(err) {
			return bolwerk.NotFound("no campaign %q", id)
		}
		if err != nil {
			return err
		}
		if err := tx.Row(`select key from shield_campaign where id=$1`, v.ID).Scan(&v.Key); err != nil {
			return err
		}
		if v.Waiting, err = desk.Count(tx, `desk_case d join shield_case c on c.id=d.id`, desk.Where{SQL: `d.capability='shield' and d.state='waiting' and c.campaign=$1`, Args: []any{v.ID}}); err != nil {
			return err
		}
		v.Hours, err = store.List(tx, func(scan func(...any) error) (h CampaignHour, err error) {
			var at int64
			err = scan(&at, &h.Cases, &h.Reports, &h.Blocks, &h.Hits.DNS, &h.Hits.Page, &h.Hits.TLS)
			h.At = store.Time(at)
			return h, err
		}, `select hour,cases,reports,blocks,dns,page,tls from shield_campaign_hour where campaign=$1 and hour>=$2 order by hour`, v.ID, store.Micros(v.LastSeen.Add(-campaignHours)))
		if err != nil {
			return err
		}
		near := desk.Where{}
		near.And("merged_into='' and brand<>'' and brand=? and last_seen>=? and first_seen<=? and id<>?", v.Brand, store.Micros(v.FirstSeen.Add(-sameDays)), store.Micros(v.LastSeen.Add(sameDays)), v.ID)
		query, args := near.Select(campaignColumns, "last_seen desc, id desc", 5)
		if v.Others, err = store.List(tx, readCampaign(tx.Now()), query, args...); err != nil {
			return err
		}
		if v.Alike, err = alike(tx, v.ID); err != nil {
			return err
		}
		v.Others = slices.DeleteFunc(v.Others, func(o CampaignRow) bool {
			return slices.ContainsFunc(v.Alike, func(a CampaignRow) bool { return a.ID == o.ID })
		})
		if v.Traits, err = traitsOf(tx, v.ID); err != nil {
			return err
		}
		if v.Siblings, err = siblingsOf(tx, v.ID); err != nil {
			return err
		}
		if v.Merged, err = mergedInto(tx, v.ID); err != nil {
			return err
		}
		v.Lures, err = s.lures(tx, v.ID)
		return err
	})
	return v, err
}

// lures reads how the newest reports about a campaign begin, each text once, as
// far as they are still kept.
func (s *Shield) lures(tx *store.Tx, campaign string) (out []Lure, err error) {
	type one struct {
		report, ref string
		at          int64
	}
	found, err := store.List(tx, func(scan func(...any) error) (o one, err error) {
		err = scan(&o.report, &o.ref, &o.at)
		return o, err
	}, `select r.id,r.reading_ref,r.received_at from (select observable from shield_case where campaign=$1 order by first_seen desc limit 12) c
		join shield_link l on l.observable=c.observable and l.at>=(select max(x.at) from shield_link x where x.observable=c.observable)
		join shield_report r on r.id=l.report where r.reading_ref<>'' order by r.received_at desc limit 12`, campaign)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, o := range found {
		b, err := s.blobs.Read(tx, o.ref)
		if errors.Is(err, bolwerk.ErrNotFound) {
			continue // no longer kept
		}
		if err != nil {
			return nil, err
		}
		var r reading.Result
		if err := json.Unmarshal(b, &r); err != nil {
			return nil, err
		}
		l := Lure{Report: o.report, Text: begin(r.Excerpt, lureText), At: store.Time(o.at)}
		if r.Inner != nil {
			l.Subject = r.Inner.Subject
		}
		if key := l.Subject + "\x00" + l.Text; (l.Subject != "" || l.Text != "") && !seen[key] {
			seen[key] = true
			out = append(out, l)
		}
		if len(out) == maxLures {
			break
		}
	}
	return out, nil
}

// begin is the first n runes of a text, in one line.
func begin(text string, n int) string {
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > n {
		return string(r[:n]) + "…"
	}
	return text
}

// members lists the cases of a campaign, newest first, from the one behind the
// case of the id after.
func (s *Shield) members(ctx context.Context, campaign, after string, limit int) (out []CaseRow, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		seen := int64(1) << 62
		if after != "" {
			if err := tx.Row(`select first_seen from shield_case where id=$1`, after).Scan(&seen); err != nil {
				if store.None(err) {
					return bolwerk.NotFound("no case %q", after)
				}
				return err
			}
		}
		var err error
		out, err = store.List(tx, readCaseRow, `select `+queueColumns+memberTables+` and (s.first_seen,s.id)<($2,$3) order by s.first_seen desc, s.id desc limit $4`, campaign, seen, after, limit)
		return err
	})
	return out, err
}
