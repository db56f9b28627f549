package shield

import (
	"context"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/store"
	"bolwerk/shield/aid"
	"bolwerk/shield/door"
	"bolwerk/shield/judge"
)

// What somebody of a brand may see is read here and nowhere else: names that look
// like the person's own brands, what came of them, and counts. No report, no
// reporter, no mail, no colleague of ours, and no other brand.

// LookalikeState is where a look-alike stands, as its brand sees it.
type LookalikeState string

// The states.
const (
	LookWaiting LookalikeState = "waiting" // for our decision
	LookBlocked LookalikeState = "blocked"
	LookEnded   LookalikeState = "ended" // was blocked
	LookLeft    LookalikeState = "left"  // was not blocked
)

// Lookalike is a name that looks like a brand, as its brand sees it.
type Lookalike struct {
	Case      string         `json:"case" doc:"its number"`
	Name      string         `json:"name"`
	Brand     string         `json:"brand"`
	State     LookalikeState `json:"state" enum:"waiting,blocked,ended,left"`
	Campaign  string         `json:"campaign,omitempty" doc:"its number"`
	FirstSeen time.Time      `json:"first_seen"`
	BlockedAt time.Time      `json:"blocked_at,omitzero"`
	EndedAt   time.Time      `json:"ended_at,omitzero"`
	// Visits are visits to it that were prevented; fewer than 5 are not told.
	Visits   int64      `json:"visits_prevented,omitempty" doc:"to the warning page or its door; 0 is fewer than 5"`
	AskedFor aid.Set    `json:"asked_for,omitempty" doc:"what its page was seen to ask visitors for"`
	Says     judge.Says `json:"answer,omitempty" enum:"imitates,ours,unrelated" doc:"what the brand says of it"`
	id       string     // of the case
}

// TimeToBlock is from the first report to the block; 0 where there is none.
func (l Lookalike) TimeToBlock() time.Duration {
	if l.BlockedAt.IsZero() || l.BlockedAt.Before(l.FirstSeen) {
		return 0
	}
	return l.BlockedAt.Sub(l.FirstSeen)
}

// OwnFilter says which of a person's look-alikes a list shows.
type OwnFilter struct {
	Brand string // empty: all of the person's
	State LookalikeState
	// Open lists those that wait for our decision and for the brand's answer.
	Open  bool
	After string // number of the last case of the page before
	Limit int
}

// brands are those of a filter that the person answers for; none where it asks
// for another's.
func (f OwnFilter) brands(who account.Person) []string {
	if !who.May(account.OwnBrand) {
		return nil
	}
	if f.Brand == "" {
		return who.Brands
	}
	if !slices.Contains(who.Brands, f.Brand) {
		return nil
	}
	return []string{f.Brand}
}

// ofBrands adds that a column is one of some brands; nothing passes where there
// are none.
func ofBrands(w *desk.Where, column string, brands []string) {
	if len(brands) == 0 {
		w.And("1=0")
		return
	}
	var args []any
	for _, b := range brands {
		args = append(args, b)
	}
	w.And(column+" in (?"+strings.Repeat(",?", len(brands)-1)+")", args...)
}

const ownFrom = `shield_case s join desk_case c on c.id=s.id left join shield_campaign k on k.id=s.campaign left join shield_block b on b.id=s.block left join shield_hit_total h on h.block=b.ref`

func (f OwnFilter) where(who account.Person) (w desk.Where) {
	ofBrands(&w, "s.brand", f.brands(who))
	w.And("c.state<>'gathering'")
	switch {
	case f.Open:
		w.And("c.state in ('waiting','second') and s.owner_says=''")
	case f.State == LookWaiting:
		w.And("c.state in ('waiting','second')")
	case f.State == LookBlocked:
		w.And("b.state='in_force'")
	case f.State == LookEnded:
		w.And("c.state in ('decided','closed') and b.state<>'in_force'")
	case f.State == LookLeft:
		w.And("c.state in ('decided','closed') and s.block=''")
	}
	return w
}

func readLookalike(scan func(...any) error) (l Lookalike, err error) {
	var first, made, ended, visits int64
	var state, block, asked string
	if err := scan(&l.id, &l.Case, &l.Name, &state, &l.Brand, &first, &l.Says, &asked, &l.Campaign, &block, &made, &ended, &visits); err != nil {
		return l, err
	}
	l.FirstSeen, l.AskedFor = store.Time(first), aid.Read(asked)
	if made > 0 {
		l.BlockedAt = store.Time(made)
	}
	if ended > 0 {
		l.EndedAt = store.Time(ended)
	}
	if visits >= door.Few {
		l.Visits = visits
	}
	switch open := desk.CaseState(state).Open(); {
	case block == string(InForce):
		l.State = LookBlocked
	case open:
		l.State = LookWaiting
	case block != "":
		l.State = LookEnded
	default:
		l.State = LookLeft
	}
	return l, nil
}

const ownColumns = `c.id,c.ref,c.subject,c.state,s.brand,s.first_seen,s.owner_says,s.asked_for,coalesce(k.ref,''),coalesce(b.state,''),coalesce(b.made_at,0),coalesce(b.ended_at,0),coalesce(h.page,0)+coalesce(h.tls,0)`

// Lookalikes lists what looks like a person's brands, the newest first.
func (s *Shield) Lookalikes(ctx context.Context, who account.Person, f OwnFilter) (out []Lookalike, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		w := f.where(who)
		if f.After != "" {
			last, err := s.own(tx, who, f.After)
			if err != nil {
				return err
			}
			w.And("(s.first_seen,s.id)<(?,?)", store.Micros(last.FirstSeen), last.id)
		}
		limit := f.Limit
		if limit <= 0 {
			limit = rows
		}
		query, args := w.Select(ownColumns+" from "+ownFrom, "s.first_seen desc, s.id desc", limit)
		out, err = store.List(tx, readLookalike, query, args...)
		return err
	})
	return out, err
}

// CountLookalikes counts what Lookalikes lists.
func (s *Shield) CountLookalikes(ctx context.Context, who account.Person, f OwnFilter) (n desk.Counted, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error { n, err = desk.Count(tx, ownFrom, f.where(who)); return err })
	return n, err
}

// own is one look-alike of a person's brands, by the number of its case.
func (s *Shield) own(tx *store.Tx, who account.Person, ref string) (Lookalike, error) {
	w := OwnFilter{}.where(who)
	w.And("c.ref=?", ref)
	query, args := w.Select(ownColumns+" from "+ownFrom, "c.id", 1)
	l, err := readLookalike(tx.Row(query, args...).Scan)
	if store.None(err) {
		return l, errNotYours()
	}
	return l, err
}

// LookalikeView is a look-alike with what was seen of it.
type LookalikeView struct {
	Lookalike
	// Traits are what its name tells, as codes of reasons.
	Traits []string `json:"name_tells" doc:"what makes the name look like the brand, as codes"`
	// Pictures are ids of pictures of its page.
	Pictures []string `json:"pictures" doc:"ids of pictures of its page: the console shows them at /brand/picture/{id}"`
	// Answers are what was said for the brand, newest first.
	Answers []OwnerSaid `json:"answers"`
}

// OwnerSaid is one answer.
type OwnerSaid struct {
	Brand  string        `json:"brand"`
	Name   string        `json:"name"`
	Says   judge.Says    `json:"answer" enum:"imitates,ours,unrelated"`
	Reason string        `json:"reason,omitempty"`
	At     time.Time     `json:"at"`
	Actor  bolwerk.Actor `json:"-"`
	id     string
	caseID string
}

const saidColumns = `id,brand,name,case_id,says,reason,actor,at from shield_owner_answer`

func readSaid(scan func(...any) error) (a OwnerSaid, err error) {
	var actor string
	var at int64
	if err := scan(&a.id, &a.Brand, &a.Name, &a.caseID, &a.Says, &a.Reason, &actor, &at); err != nil {
		return a, err
	}
	a.At = store.Time(at)
	a.Actor, err = bolwerk.ParseActor(actor)
	return a, err
}

// Lookalike is one look-alike of a person's brands.
func (s *Shield) Lookalike(ctx context.Context, who account.Person, ref string) (v LookalikeView, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		if v.Lookalike, err = s.own(tx, who, ref); err != nil {
			return err
		}
		var observable string
		if err := tx.Row(`select observable from shield_case where id=$1`, v.id).Scan(&observable); err != nil {
			return err
		}
		all, err := evidenceOf(tx, observable)
		if err != nil {
			return err
		}
		v.Traits = []string{}
		for _, e := range all {
			if e.Family == judge.FamilyName && (e.Brand == "" || e.Brand == v.Brand) && (e.Verdict == judge.Malicious || e.Verdict == judge.Suspicious) {
				v.Traits = append(v.Traits, e.Reason)
			}
		}
		if v.Pictures, err = texts(tx, `select id from shield_capture where observable=$1 and picture<>'' order by at desc, id desc limit 2`, observable); err != nil {
			return err
		}
		v.Answers, err = store.List(tx, readSaid, `select `+saidColumns+` where case_id=$1 and brand=$2 order by at desc, id desc limit 20`, v.id, v.Brand)
		v.Pictures, v.Answers = orNone(v.Pictures), orNone(v.Answers)
		return err
	})
	return v, err
}

// orNone is a list that a program reads as empty, not as none.
func orNone[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

// OwnPicture is a picture of the page of a look-alike of a person's brands.
func (s *Shield) OwnPicture(ctx context.Context, who account.Person, id string) (png []byte, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		w := OwnFilter{}.where(who)
		w.And("p.id=?", id)
		query, args := w.Select("p.picture from shield_capture p join shield_case s on s.observable=p.observable join desk_case c on c.id=s.id", "c.id desc", 1)
		var digest string
		if err := tx.Row(query, args...).Scan(&digest); err != nil {
			if store.None(err) {
				return errNotYours()
			}
			return err
		}
		png, err = s.readPage(tx, digest)
		return err
	})
	return png, err
}

// OwnNear is a name of a new certificate that looks like a person's brand and that
// nobody has reported.
type OwnNear struct {
	Name  bolwerk.Domain `json:"name"`
	Brand string         `json:"brand"`
	At    time.Time      `json:"first_certificate"`
}

func nearWhere(who account.Person, f OwnFilter) (w desk.Where) {
	ofBrands(&w, "n.brand", f.brands(who))
	w.And("n.at>=0 and n.looked=0 and not exists (select 1 from shield_observable o where o.value=n.name and o.case_id<>'')")
	w.And("not exists (select 1 from shield_owner_answer a where a.brand=n.brand and a.name=n.name)")
	return w
}

// OwnNears lists names of new certificates of which the brand has said nothing yet,
// the newest first.
func (s *Shield) OwnNears(ctx context.Context, who account.Person, f OwnFilter) (out []OwnNear, n desk.Counted, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		w := nearWhere(who, f)
		limit := f.Limit
		if limit <= 0 {
			limit = rows
		}
		if n, err = desk.Count(tx, "shield_certificate n", w); err != nil {
			return err
		}
		query, args := w.Select("n.name,n.brand,n.at from shield_certificate n", "n.at desc, n.name desc", limit)
		out, err = store.List(tx, func(scan func(...any) error) (r OwnNear, err error) {
			var name string
			var at int64
			if err := scan(&name, &r.Brand, &at); err != nil {
				return r, err
			}
			r.At = store.Time(at)
			r.Name, err = bolwerk.ParseDomain(name)
			return r, err
		}, query, args...)
		return err
	})
	return out, n, err
}

// OwnNear is one such name.
func (s *Shield) OwnNear(ctx context.Context, who account.Person, name bolwerk.Domain) (r OwnNear, err error) {
	r.Name = name
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		if r.Brand, err = nearOf(tx, who, name); err != nil {
			return err
		}
		var at int64
		err := tx.Row(`select at from shield_certificate where name=$1`, name.String()).Scan(&at)
		r.At = store.Time(at)
		return err
	})
	return r, err
}

// OwnFigures are a brand's figures of the last thirty days.
type OwnFigures struct {
	Waiting desk.Counted  `json:"waiting"` // for the brand's answer
	InForce int64         `json:"in_force"`
	Blocked int64         `json:"blocked_30d"`
	Visits  int64         `json:"visits_prevented_30d" doc:"of the names blocked in these days; 0 is fewer than 5"`
	Half    time.Duration `json:"first_report_to_block_p50"`
}

const ownDays = 30

// OwnFigures counts for a person's brands.
func (s *Shield) OwnFigures(ctx context.Context, who account.Person, f OwnFilter) (n OwnFigures, err error) {
	_, near, err := s.OwnNears(ctx, who, OwnFilter{Brand: f.Brand, Limit: 1})
	if err != nil {
		return n, err
	}
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		if n.Waiting, err = desk.Count(tx, ownFrom, OwnFilter{Brand: f.Brand, Open: true}.where(who)); err != nil {
			return err
		}
		n.Waiting = n.Waiting.Add(near)
		var of desk.Where
		ofBrands(&of, "b.brand", f.brands(who))
		of.And("not b.pass")
		if err := tx.Row(`select count(*) from shield_block b where `+of.SQL+` and b.state='in_force'`, of.Args...).Scan(&n.InForce); err != nil {
			return err
		}
		of.And("b.made_at>?", store.Micros(tx.Now().AddDate(0, 0, -ownDays)))
		if err := tx.Row(`select count(*),coalesce(sum(h.page),0)+coalesce(sum(h.tls),0) from shield_block b left join shield_hit_total h on h.block=b.ref where `+of.SQL, of.Args...).Scan(&n.Blocked, &n.Visits); err != nil {
			return err
		}
		if n.Visits < door.Few {
			n.Visits = 0
		}
		of.And("b.reported_at>0 and b.made_at>=b.reported_at")
		query, args := of.Select("b.made_at-b.reported_at from shield_block b", "b.made_at desc", manyBlocks)
		took, err := store.List(tx, func(scan func(...any) error) (d int64, err error) { err = scan(&d); return d, err }, query, args...)
		if len(took) > 0 {
			slices.Sort(took)
			n.Half = time.Duration(took[len(took)/2]) * time.Microsecond
		}
		return err
	})
	return n, err
}

// OwnCampaign is a campaign against a brand, as the brand sees it: not under the
// words of its mails.
type OwnCampaign struct {
	Ref       string        `json:"campaign"`
	Brand     string        `json:"brand"`
	State     CampaignState `json:"state" enum:"forming,active,quiet,closed"`
	Cases     int64         `json:"names"`
	Blocks    int64         `json:"blocked"`
	FirstSeen time.Time     `json:"first_seen"`
	LastSeen  time.Time     `json:"last_seen"`
}

// OwnCampaigns lists campaigns against a person's brands, the last seen first.
func (s *Shield) OwnCampaigns(ctx context.Context, who account.Person, f OwnFilter) (out []OwnCampaign, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		var w desk.Where
		ofBrands(&w, "brand", f.brands(who))
		w.And("merged_into=''")
		limit := f.Limit
		if limit <= 0 {
			limit = rows
		}
		query, args := w.Select(campaignColumns, "last_seen desc, id desc", limit)
		all, err := store.List(tx, readCampaign(tx.Now()), query, args...)
		for _, c := range all {
			out = append(out, OwnCampaign{c.Ref, c.Brand, c.State, c.Cases, c.Blocks, c.FirstSeen, c.LastSeen})
		}
		return err
	})
	return out, err
}

// OwnDomains lists the domains that the owners of a person's brands gave, the
// newest first, at most 500.
func (s *Shield) OwnDomains(ctx context.Context, who account.Person, f OwnFilter) (out []OwnDomain, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		var w desk.Where
		ofBrands(&w, "brand", f.brands(who))
		query, args := w.Select(domainColumns, "at desc, id desc", 500)
		out, err = store.List(tx, readDomain, query, args...)
		return err
	})
	return out, err
}
