package shield

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/store"
	"bolwerk/shield/aid"
	"bolwerk/shield/edge"
	"bolwerk/shield/judge"
	"bolwerk/shield/reading"
)

// CaseRow is a case as a list shows it.
type CaseRow struct {
	desk.Case
	Name      string        `json:"name"` // the subject: host name or page
	Verdict   string        `json:"verdict"`
	Brand     string        `json:"brand,omitempty"`
	Campaign  string        `json:"campaign,omitempty"` // its number
	Target    string        `json:"target,omitempty"`   // name that would be blocked
	Scope     bolwerk.Scope `json:"scope"`              // proposed
	Reports   int64         `json:"reports"`
	Reporters int64         `json:"reporters"` // different ones this month
	FirstSeen time.Time     `json:"first_seen"`
	Block     string        `json:"block,omitempty"` // id of what came of it
}

// CaseView is a case with all that a person decides on.
type CaseView struct {
	CaseRow
	ScopeWhy  []judge.Reason   `json:"scope_why"`
	Evidence  []judge.Evidence `json:"evidence"`
	Verdicts  []VerdictView    `json:"verdicts"`           // newest first
	Sightings []Sighting       `json:"reports_seen"`       // newest first, at most 50
	Proposal  *desk.Proposal   `json:"proposal,omitempty"` // that waits for a second person
	Similar   []CaseRow        `json:"similar,omitempty"`  // of the same campaign
	Placed    *Block           `json:"placed,omitempty"`
	// Replay is how the newest verdict stands up when it is made again.
	Replay string `json:"replay,omitempty" enum:"same,different,broken,unknown_rules"`
	// AskedFor is what the sites of its campaign are known to ask visitors for.
	AskedFor aid.Set `json:"asked_for,omitempty"`
	// Visits are looks of probes at the page, newest first; Live is what the last
	// round of them found, Unvisited why there was none.
	Visits    []Visit `json:"visits,omitempty"`
	Live      string  `json:"live,omitempty"`
	Unvisited string  `json:"unvisited,omitempty"`
	// Notices are what others were told of it, oldest first; Untold is who was to be
	// told and was not, because no address was found.
	Notices []Notice `json:"notices,omitempty"`
	Untold  []Untold `json:"untold,omitempty"`
}

// VerdictView is one verdict of a case.
type VerdictView struct {
	Verdict string         `json:"verdict"`
	Because string         `json:"inconclusive_reason,omitempty"`
	Reasons []judge.Reason `json:"reasons"`
	Ruleset string         `json:"ruleset"`
	At      time.Time      `json:"at"`
}

// Sighting is one report of what a case is about. It names no reporter.
type Sighting struct {
	Report     string    `json:"report"`
	Channel    string    `json:"channel"`
	ReceivedAt time.Time `json:"received_at"`
	Form       string    `json:"form"`
	Role       string    `json:"role"`
	Via        string    `json:"via"`
}

const caseRowColumns = `s.id,s.verdict,s.brand,coalesce(k.ref,''),s.target,s.scope,s.reports,s.reporters,s.first_seen,s.block from shield_case s left join shield_campaign k on k.id=s.campaign`

func (r *CaseRow) read(scan func(...any) error) (id string, err error) {
	var first int64
	err = scan(&id, &r.Verdict, &r.Brand, &r.Campaign, &r.Target, &r.Scope, &r.Reports, &r.Reporters, &first, &r.Block)
	r.FirstSeen = store.Time(first)
	return id, err
}

func rowOf(tx *store.Tx, c desk.Case) (CaseRow, error) {
	r := CaseRow{Case: c, Name: c.Subject}
	_, err := r.read(tx.Row(`select `+caseRowColumns+` where s.id=$1`, c.ID).Scan)
	return r, err
}

// rowsPerQuery is how many rows are read in one query where each has an id.
const rowsPerQuery = 50

// idsOf is "$1,...,$50" and ids as that many arguments; of fewer ids the last
// one stands for the rest.
func idsOf(ids []string) (places string, args []any) {
	args = make([]any, rowsPerQuery)
	for i := range args {
		args[i] = ids[min(i, len(ids)-1)]
	}
	return allPlaces, args
}

var allPlaces = func() string {
	b := []byte("$1")
	for i := range rowsPerQuery - 1 {
		b = fmt.Appendf(b, ",$%d", i+2)
	}
	return string(b)
}()

// rowsOf adds to cases what the shield knows of them.
func rowsOf(tx *store.Tx, cases []desk.Case) ([]CaseRow, error) {
	rows := make([]CaseRow, len(cases))
	at := map[string]int{}
	var ids []string
	for i, c := range cases {
		rows[i].Case, rows[i].Name = c, c.Subject
		at[c.ID] = i
		ids = append(ids, c.ID)
	}
	for part := range slices.Chunk(ids, rowsPerQuery) {
		places, args := idsOf(part)
		err := tx.Each(`select `+caseRowColumns+` where s.id in (`+places+`)`, args, func(scan func(...any) error) error {
			var r CaseRow
			id, err := r.read(scan)
			if err == nil {
				r.Case, r.Name = rows[at[id]].Case, rows[at[id]].Name
				rows[at[id]] = r
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// Cases lists cases of the shield; those that have no proposal yet are left out
// unless a state is asked for.
func (s *Shield) Cases(ctx context.Context, f desk.CaseFilter) (rows []CaseRow, err error) {
	f.Capability = Name
	if len(f.States) == 0 {
		f.States = []desk.CaseState{desk.Waiting, desk.Second, desk.Decided, desk.Closed}
	}
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		cases, few, err := s.searchCases(tx, f)
		if err == nil && few {
			slices.SortFunc(cases, desk.First)
			cases = cut(cases, func(c desk.Case) string { return c.ID }, f.After, asked(f.Limit))
		} else if err == nil {
			cases, err = desk.Cases(tx, f)
		}
		if err != nil {
			return err
		}
		rows, err = rowsOf(tx, cases)
		return err
	})
	return rows, err
}

// searchCases gives all cases that f searches for, where they are few.
func (s *Shield) searchCases(tx *store.Tx, f desk.CaseFilter) ([]desk.Case, bool, error) {
	if f.Query == "" {
		return nil, false, nil
	}
	ids, few, err := s.names[caseNames].find(tx, caseNames, f.Query)
	if err != nil || !few {
		return nil, false, err
	}
	states := f.Every()
	all, err := among(tx, ids, 0, desk.ReadCase, `select `+desk.CaseColumns+` from desk_case`, func(c desk.Case) bool { return slices.Contains(states, c.State) })
	return all, true, err
}

// Case gives a case by its id or number.
func (s *Shield) Case(ctx context.Context, id string) (v CaseView, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		c, err := desk.FindCase(tx, id)
		if err != nil {
			return err
		}
		v, err = s.view(tx, c)
		return err
	})
	return v, err
}

func (s *Shield) view(tx *store.Tx, c desk.Case) (v CaseView, err error) {
	if v.CaseRow, err = rowOf(tx, c); err != nil {
		return v, err
	}
	var observable, campaign, why string
	if err := tx.Row(`select observable,campaign,scope_why from shield_case where id=$1`, c.ID).Scan(&observable, &campaign, &why); err != nil {
		return v, err
	}
	if err := json.Unmarshal([]byte(why), &v.ScopeWhy); err != nil {
		return v, err
	}
	if v.Evidence, err = evidenceOf(tx, observable); err != nil {
		return v, err
	}
	use, err := useOf(tx, observable, s.limits())
	if err != nil {
		return v, err
	}
	if use.Reason != "" {
		v.Evidence = append(v.Evidence, use)
	}
	v.Verdicts, err = store.List(tx, func(scan func(...any) error) (x VerdictView, err error) {
		var reasons string
		var at int64
		if err := scan(&x.Verdict, &x.Because, &reasons, &x.Ruleset, &at); err != nil {
			return x, err
		}
		x.At = store.Time(at)
		return x, json.Unmarshal([]byte(reasons), &x.Reasons)
	}, `select verdict,why,reasons,ruleset,at from shield_verdict where observable=$1 order by at desc limit 20`, observable)
	if err != nil {
		return v, err
	}
	again, _, _, err := replay(tx, c)
	if err != nil {
		return v, err
	}
	v.Replay = again.State
	v.Sightings, err = store.List(tx, func(scan func(...any) error) (x Sighting, err error) {
		var at int64
		err = scan(&x.Report, &x.Channel, &at, &x.Form, &x.Role, &x.Via)
		x.ReceivedAt = store.Time(at)
		return x, err
	}, `select r.id,r.channel,r.received_at,r.form,l.role,l.via from shield_link l join shield_report r on r.id=l.report where l.observable=$1 order by l.at desc limit 50`, observable)
	if err != nil {
		return v, err
	}
	if err := s.viewVisits(tx, observable, &v); err != nil {
		return v, err
	}
	if v.Notices, err = noticesOf(tx, c.ID); err != nil {
		return v, err
	}
	if v.Untold, err = untoldOf(tx, c.ID); err != nil {
		return v, err
	}
	if c.State == desk.Second {
		p, err := desk.OpenProposal(tx, c.ID)
		if err != nil {
			return v, err
		}
		v.Proposal = &p
	}
	if v.Block != "" {
		b, err := findBlock(tx, v.Block)
		if err != nil {
			return v, err
		}
		v.Placed = &b
	}
	var asked, known string
	if err := tx.Row(`select s.asked_for,coalesce(k.asked_for,'') from shield_case s left join shield_campaign k on k.id=s.campaign where s.id=$1`, c.ID).Scan(&asked, &known); err != nil {
		return v, err
	}
	v.AskedFor |= aid.Read(asked) | aid.Read(known)
	if campaign == "" {
		return v, nil
	}
	v.Similar, err = membersOf(tx, campaign, c.ID, 20)
	return v, err
}

// memberTables are the cases of a campaign, as queueColumns names them.
const memberTables = ` from shield_case s join desk_case c on c.id=s.id where s.campaign=$1`

// membersOf are the newest cases of a campaign, without one of them.
func membersOf(tx *store.Tx, campaign, but string, limit int) ([]CaseRow, error) {
	return store.List(tx, readCaseRow, `select `+queueColumns+memberTables+` and s.id<>$2 order by s.first_seen desc, s.id desc limit $3`, campaign, but, limit)
}

// Reading gives what was read of a report, while it is kept. It holds personal
// data: the reporter's side is left out.
func (s *Shield) Reading(ctx context.Context, report string) (r reading.Result, err error) {
	err = s.kept(ctx, "reading_ref", report, &r)
	r.Outer = nil
	return r, err
}

// kept decodes what one column of a report refers to.
func (s *Shield) kept(ctx context.Context, column, report string, to any) error {
	return s.db.Read(ctx, func(tx *store.Tx) error {
		var ref string
		if err := tx.Row(`select `+column+` from shield_report where id=$1`, report).Scan(&ref); err != nil {
			if store.None(err) {
				return bolwerk.NotFound("no report %s", report)
			}
			return err
		}
		b, err := s.blobs.Read(tx, ref)
		if err != nil {
			return err
		}
		return json.Unmarshal(b, to)
	})
}

// Blocks lists blocks or exemptions, newest first.
func (s *Shield) Blocks(ctx context.Context, f BlockFilter) (out []Block, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		var few bool
		if out, few, err = s.searchBlocks(tx, f); err == nil && few {
			out = newest(out, func(b Block) string { return b.ID }, f.After, asked(f.Limit))
		} else if err == nil {
			out, err = listBlocks(tx, f)
		}
		if err != nil {
			return err
		}
		return addHits(tx, out)
	})
	return out, err
}

// searchBlocks gives the newest blocks that f searches for, at least f.Limit of
// them where that is set, where all of them are few.
func (s *Shield) searchBlocks(tx *store.Tx, f BlockFilter) ([]Block, bool, error) {
	if f.Query == "" {
		return nil, false, nil
	}
	ids, few, err := s.names[blockNames].find(tx, blockNames, f.Query)
	if err != nil || !few {
		return nil, false, err
	}
	all, err := among(tx, behind(ids, f.After), f.Limit, readBlock, `select `+blockColumns+` from shield_block`, func(b Block) bool { return b.Pass == f.Pass && (f.State == "" || b.State == f.State) })
	return all, true, err
}

// addHits fills in what was counted for blocks.
func addHits(tx *store.Tx, blocks []Block) error {
	at := map[string]int{}
	var refs []string
	for i, b := range blocks {
		at[b.Ref] = i
		refs = append(refs, b.Ref)
	}
	for part := range slices.Chunk(refs, rowsPerQuery) {
		places, args := idsOf(part)
		err := tx.Each(`select block,dns,page,tls,first from shield_hit_total where block in (`+places+`)`, args, func(scan func(...any) error) error {
			var ref string
			var h Hits
			var first int64
			err := scan(&ref, &h.DNS, &h.Page, &h.TLS, &first)
			if err == nil {
				blocks[at[ref]].Hits, blocks[at[ref]].firstHit = h, store.Time(first)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// countHits fills in what was counted for a block, and says when the first was.
func countHits(tx *store.Tx, b *Block) (first time.Time, err error) {
	var us int64
	err = tx.Row(`select dns,page,tls,first from shield_hit_total where block=$1`, b.Ref).Scan(&b.Hits.DNS, &b.Hits.Page, &b.Hits.TLS, &us)
	if store.None(err) {
		err = nil
	}
	return store.Time(us), err
}

// BlockView is a block with its whole life.
type BlockView struct {
	Block
	// InForceAt is when each edge and resolver had it, GoneAt when it had that it
	// was over.
	InForceAt []Reached `json:"in_force_at"`
	GoneAt    []Reached `json:"gone_at,omitempty"`
	// Hours are its hits by the hour, oldest first.
	Hours   []CampaignHour `json:"-"`
	Clock   StageClock     `json:"clock"`
	Appeals []desk.Appeal  `json:"appeals"`
}

// Hits are counts of one block or of all. None of them are persons.
type Hits struct {
	DNS  int64 `json:"dns_hits"`
	Page int64 `json:"page_views"`
	TLS  int64 `json:"tls_attempts"`
}

func (h Hits) plus(o Hits) Hits { return Hits{h.DNS + o.DNS, h.Page + o.Page, h.TLS + o.TLS} }

// StageClock is when each stage of a block was reached; zero where it was not.
type StageClock struct {
	Received  time.Time `json:"received,omitzero"` // first report
	Read      time.Time `json:"read,omitzero"`     // first report read
	Decided   time.Time `json:"decided,omitzero"`
	Published time.Time `json:"published,omitzero"`
	FirstHit  time.Time `json:"first_hit,omitzero"` // begin of its five minutes
	Ended     time.Time `json:"ended,omitzero"`
}

// clock is the stage clock of a block, with what was counted first.
func (b Block) clock(first time.Time) StageClock {
	if first.IsZero() {
		first = b.firstHit
	}
	return StageClock{Received: b.ReportedAt, Read: b.ReadAt, Decided: b.MadeAt, Published: b.MadeAt, FirstHit: first, Ended: b.EndedAt}
}

// hitHours sums the hits of a block by the hour.
func hitHours(tx *store.Tx, ref string) ([]CampaignHour, error) {
	return store.List(tx, func(scan func(...any) error) (h CampaignHour, err error) {
		var hour int64
		err = scan(&hour, &h.Hits.DNS, &h.Hits.Page, &h.Hits.TLS)
		h.At = store.Time(hour * time.Hour.Microseconds())
		return h, err
	}, `select bucket/3600000000,sum(dns),sum(page),sum(tls) from shield_hits where block=$1 group by bucket/3600000000 order by bucket/3600000000`, ref)
}

// Block gives a block or exemption by id, reference or name.
func (s *Shield) Block(ctx context.Context, id string) (v BlockView, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		if v.Block, err = findBlock(tx, id); err != nil {
			return err
		}
		first, err := countHits(tx, &v.Block)
		if err != nil {
			return err
		}
		v.Clock = v.clock(first)
		if v.InForceAt, err = reachedBy(tx, v.Epoch, v.Serial); err != nil {
			return err
		}
		if v.GoneAt, err = reachedBy(tx, v.Epoch, v.EndedSerial); err != nil {
			return err
		}
		if v.Hours, err = hitHours(tx, v.Ref); err != nil {
			return err
		}
		v.Appeals, err = desk.AppealsAbout(tx, v.Ref)
		return err
	})
	return v, err
}

// firstReport is when the first report about a case came in, and when the first
// was read: of the first hundred, for a flood of them changes neither.
func firstReport(tx *store.Tx, caseID string) (received, read time.Time, err error) {
	var in, done int64
	err = tx.Row(`select coalesce(min(r.received_at),0), coalesce(min(case when r.read_at>0 then r.read_at end),0) from
		(select l.report from shield_case c join shield_link l on l.observable=c.observable where c.id=$1 order by l.at limit 100) f join shield_report r on r.id=f.report`, caseID).Scan(&in, &done)
	return store.Time(in), store.Time(done), err
}

// Orders lists orders, newest first.
func (s *Shield) Orders(ctx context.Context, f desk.OrderFilter) (out []desk.Order, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		var few bool
		if out, few, err = s.searchOrders(tx, f); err == nil && few {
			out = newest(out, func(o desk.Order) string { return o.ID }, f.After, asked(f.Limit))
		} else if err == nil {
			out, err = desk.Orders(tx, f)
		}
		return err
	})
	return out, err
}

// searchOrders gives the newest orders that f searches for, at least f.Limit of
// them where that is set, where all of them are few.
func (s *Shield) searchOrders(tx *store.Tx, f desk.OrderFilter) ([]desk.Order, bool, error) {
	if f.Query == "" {
		return nil, false, nil
	}
	ids, few, err := s.names[orderNames].find(tx, orderNames, f.Query)
	if err != nil || !few {
		return nil, false, err
	}
	states := f.Every()
	all, err := among(tx, behind(ids, f.After), f.Limit, desk.ReadOrder, `select `+desk.OrderColumns+` from desk_order`, func(o desk.Order) bool {
		return slices.Contains(states, o.State) && (f.Issuer == "" || o.Issuer == f.Issuer)
	})
	return all, true, err
}

// Order gives an order by id or number.
func (s *Shield) Order(ctx context.Context, id string) (o desk.Order, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error { o, err = desk.FindOrder(tx, id); return err })
	return o, err
}

// Appeals lists appeals: those that are due first, or the newest decided ones.
func (s *Shield) Appeals(ctx context.Context, f desk.AppealFilter) (out []desk.Appeal, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error { out, err = desk.Appeals(tx, f); return err })
	return out, err
}

// Appeal gives an appeal by id or number, with what the appellant wrote.
func (s *Shield) Appeal(ctx context.Context, id string) (a desk.Appeal, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error { a, err = desk.FindAppeal(tx, s.vault, id); return err })
	return a, err
}

// Proposals lists what waits for a second person.
func (s *Shield) Proposals(ctx context.Context, after string, limit int) (out []desk.Proposal, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error { out, err = desk.OpenProposals(tx, after, limit); return err })
	return out, err
}

// Today is the picture that the desk opens with.
type Today struct {
	Cases     map[desk.CaseState]int64 `json:"cases"` // that are not decided, by state
	InForce   int64                    `json:"blocks_in_force"`
	Orders    int64                    `json:"orders_in_force"`
	Reports   int64                    `json:"reports_24h"`
	Unread    int64                    `json:"reports_unread"`
	Hits      Hits                     `json:"hits_24h"`
	Total     Hits                     `json:"hits_total"`
	Appeals   int64                    `json:"appeals_waiting"`
	Lists     []ListState              `json:"lists"`
	Campaigns []CampaignRow            `json:"campaigns"`
}

// ListState is how a loaded list stands.
type ListState struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	Size    int64     `json:"size"`
	State   string    `json:"state"` // loaded, held, failed
	Why     string    `json:"why,omitempty"`
	At      time.Time `json:"at"`
}

// Today counts what the desk looks at first.
func (s *Shield) Today(ctx context.Context) (t Today, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		if t.Cases, err = desk.CountOpen(tx, Name); err != nil {
			return err
		}
		day := tx.Now().Add(-24 * time.Hour)
		var published, passing, undoing, own int64
		for _, q := range []struct {
			sql  string
			args []any
			to   []any
		}{
			// What is published is counted where it is published: a feed of orders has
			// hundreds of thousands of names.
			{`select coalesce(sum(count),0)-(select count(*) from copy_entry where copy=$1 and id='` + edge.PulseEntry + `') from copy_head where copy=$1`, []any{CopyBlocks}, []any{&published}},
			{`select count(*) from shield_block where pass=true and state='in_force'`, nil, []any{&passing}},
			{`select count(*) from shield_undo`, nil, []any{&undoing}},
			{`select count(*) from shield_block where state='in_force' and order_id='' and pass=false`, nil, []any{&own}},
			{`select count(*) from shield_report where received_at>$1`, []any{store.Micros(day)}, []any{&t.Reports}},
			{`select count(*) from shield_report where state='received'`, nil, []any{&t.Unread}},
			{`select coalesce(sum(dns),0),coalesce(sum(page),0),coalesce(sum(tls),0) from shield_hit_hour where hour>$1`, []any{store.Micros(day.Truncate(time.Hour))}, []any{&t.Hits.DNS, &t.Hits.Page, &t.Hits.TLS}},
			{`select coalesce(sum(dns),0),coalesce(sum(page),0),coalesce(sum(tls),0) from shield_hit_hour`, nil, []any{&t.Total.DNS, &t.Total.Page, &t.Total.TLS}},
			{`select count(*) from desk_appeal where state='received'`, nil, []any{&t.Appeals}},
		} {
			if err := tx.Row(q.sql, q.args...).Scan(q.to...); err != nil {
				return err
			}
		}
		t.InForce = max(own, published-passing-undoing)
		t.Orders = t.InForce - own
		t.Lists, err = store.List(tx, func(scan func(...any) error) (l ListState, err error) {
			var at int64
			err = scan(&l.Name, &l.Version, &l.Size, &l.State, &l.Why, &at)
			l.At = store.Time(at)
			return l, err
		}, `select name,version,size,state,why,at from shield_list order by name`)
		if err != nil {
			return err
		}
		t.Campaigns, err = campaigns(tx, CampaignFilter{State: Active, Limit: 10})
		return err
	})
	return t, err
}

// Published says whether anything was ever published: until then an account
// made over the admin socket is a founding one.
func Published(tx *store.Tx) (bool, error) {
	var n int64
	err := tx.Row(`select count(*) from (select 1 from shield_block limit 1) x`).Scan(&n)
	return n > 0, err
}
