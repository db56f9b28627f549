package shield

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/store"
)

// QueueFilter says which cases the queue shows, as its form and its address
// have it. The zero value is what waits.
type QueueFilter struct {
	State    string // a key of queueStates; empty is "open"
	Query    string // part of the subject, or a case's number
	Verdict  string
	Brand    string
	Campaign string // its number
	Channel  string // by which a report came
	Scope    string // proposed; "none" is no DNS measure
	Age      string // of the first report: "hour", "day", "week", or "older" than that

	few []string // ids of the cases that have Query in them, where they are few; see searchNames
}

// queueStates are what the filter offers.
var queueStates = map[string][]desk.CaseState{
	"open":    {desk.Waiting, desk.Second},
	"waiting": {desk.Waiting},
	"second":  {desk.Second},
	"decided": {desk.Decided},
	"closed":  {desk.Closed},
	"all":     {desk.Waiting, desk.Second, desk.Decided, desk.Closed},
}

// The words of the filter, in the order in which the form offers them.
var (
	queueStateWords = []string{"open", "waiting", "second", "decided", "closed", "all"}
	queueVerdicts   = []string{"malicious", "suspicious", "inconclusive", "clean"}
	queueChannels   = []string{"mail", "web", "api"}
	queueScopes     = []string{"host", "subtree", "registrable", "none"}
	queueAges       = []string{"hour", "day", "week", "older"}
)

var ages = map[string]time.Duration{"hour": time.Hour, "day": 24 * time.Hour, "week": 7 * 24 * time.Hour, "older": 7 * 24 * time.Hour}

// queueFilter reads a filter from an address. What it does not know is left out:
// an old bookmark still shows something.
func queueFilter(q url.Values) QueueFilter {
	one := func(key string, words []string) string {
		if v := q.Get(key); slices.Contains(words, v) {
			return v
		}
		return ""
	}
	f := QueueFilter{State: one("state", queueStateWords), Query: strings.TrimSpace(clip(q.Get("q"))), Verdict: one("verdict", queueVerdicts), Brand: clip(q.Get("brand")),
		Campaign: strings.ToUpper(strings.TrimSpace(clip(q.Get("campaign")))), Channel: one("channel", queueChannels), Scope: one("scope", queueScopes), Age: one("age", queueAges)}
	if f.State == "open" {
		f.State = ""
	}
	return f
}

// Values is the filter as an address has it: only what is set.
func (f QueueFilter) Values() url.Values {
	q := url.Values{}
	for k, v := range map[string]string{"state": f.State, "q": f.Query, "verdict": f.Verdict, "brand": f.Brand, "campaign": f.Campaign, "channel": f.Channel, "scope": f.Scope, "age": f.Age} {
		if v != "" {
			q.Set(k, v)
		}
	}
	return q
}

// where is the filter's part of a query over desk_case c and shield_case s, with
// its arguments after those that are there.
func (f QueueFilter) where(now time.Time, args []any) (string, []any) {
	var b strings.Builder
	and := func(sql string, arg any) {
		args = append(args, arg)
		b.WriteString(" and " + strings.ReplaceAll(sql, "?", fmt.Sprintf("$%d", len(args))))
	}
	if f.Query != "" && f.few == nil { // a number is no part of many names: searchNames has found it
		and(`c.subject like ? escape '\'`, "%"+desk.EscapeLike(asStored(f.Query))+"%")
	}
	if f.Verdict != "" {
		and("s.verdict=?", f.Verdict)
	}
	if f.Brand != "" {
		and("s.brand=?", f.Brand)
	}
	if f.Campaign != "" {
		and("s.campaign=(select case when merged_into<>'' then merged_into else id end from shield_campaign where ref=?)", f.Campaign)
	}
	if f.Channel != "" {
		and("s.channels like ?", "% "+f.Channel+" %")
	}
	switch f.Scope {
	case "":
	case "none":
		b.WriteString(" and s.scope in ('','url_only')")
	default:
		and("s.scope=?", f.Scope)
	}
	switch f.Age {
	case "":
	case "older":
		and("s.first_seen<=?", store.Micros(now.Add(-ages[f.Age])))
	default:
		and("s.first_seen>?", store.Micros(now.Add(-ages[f.Age])))
	}
	return b.String(), args
}

// ofShield says that f asks for what only shield_case has.
func (f QueueFilter) ofShield() bool {
	return f.Verdict != "" || f.Brand != "" || f.Campaign != "" || f.Channel != "" || f.Scope != "" || f.Age != ""
}

func (f QueueFilter) states() []desk.CaseState { return queueStates[cmp.Or(f.State, "open")] }

// place is where a case stands in the queue: what comes first has the larger.
type place struct {
	priority, opened int64
	id               string
}

func placeOf(c desk.Case) place { return place{c.Priority, store.Micros(c.OpenedAt), c.ID} }

func (a place) compare(b place) int {
	return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(b.opened, a.opened), strings.Compare(b.id, a.id))
}

const queueColumns = `c.id,c.ref,c.capability,c.subject,c.state,c.outcome,c.priority,c.why_first,c.opened_at,c.touched_at,c.closed_at,
	s.verdict,s.brand,coalesce((select k.ref from shield_campaign k where k.id=s.campaign),''),s.target,s.scope,s.reports,s.reporters,s.first_seen,s.block`

func readCaseRow(scan func(...any) error) (r CaseRow, err error) {
	var opened, touched, closed, first int64
	err = scan(&r.ID, &r.Ref, &r.Capability, &r.Subject, &r.State, &r.Outcome, &r.Priority, &r.WhyFirst, &opened, &touched, &closed,
		&r.Verdict, &r.Brand, &r.Campaign, &r.Target, &r.Scope, &r.Reports, &r.Reporters, &first, &r.Block)
	r.Name, r.OpenedAt, r.TouchedAt, r.ClosedAt, r.FirstSeen = r.Subject, store.Time(opened), store.Time(touched), store.Time(closed), store.Time(first)
	return r, err
}

// queue lists what matches, first what comes first. Each state is asked for by
// itself: its rows come in the order of an index, so that a page costs a page
// and not a sort of all.
func (f QueueFilter) list(tx *store.Tx, states []desk.CaseState, after *place, limit int) ([]CaseRow, error) {
	var out []CaseRow
	if f.few != nil {
		return f.listFew(tx, states, after, limit)
	}
	for _, state := range states {
		args := []any{Name, string(state)}
		from := ""
		if after != nil {
			args = append(args, after.priority, after.opened, after.id)
			from = " and (c.priority<$3 or (c.priority=$3 and (c.opened_at<$4 or (c.opened_at=$4 and c.id<$5))))"
		}
		where, args := f.where(tx.Now(), args)
		args = append(args, limit)
		some, err := store.List(tx, readCaseRow, fmt.Sprintf(`select `+queueColumns+` from desk_case c join shield_case s on s.id=c.id
			where c.capability=$1 and c.state=$2%s%s order by c.priority desc, c.opened_at desc, c.id desc limit $%d`, from, where, len(args)), args...)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	slices.SortFunc(out, func(a, b CaseRow) int { return placeOf(a.Case).compare(placeOf(b.Case)) })
	return out[:min(len(out), limit)], nil
}

// listFew is list where a search found few names: each is looked up, and what
// the page has is read.
func (f QueueFilter) listFew(tx *store.Tx, states []desk.CaseState, after *place, limit int) (out []CaseRow, err error) {
	all, err := f.placesOfFew(tx, states)
	if err != nil {
		return nil, err
	}
	if after != nil {
		all = slices.DeleteFunc(all, func(p place) bool { return after.compare(p) >= 0 })
	}
	var ids []string
	for _, p := range all[:min(len(all), limit)] {
		ids = append(ids, p.id)
	}
	for part := range slices.Chunk(ids, rowsPerQuery) {
		places, args := idsOf(part)
		some, err := store.List(tx, readCaseRow, `select `+queueColumns+` from desk_case c join shield_case s on s.id=c.id where c.id in (`+places+`)`, args...)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	slices.SortFunc(out, func(a, b CaseRow) int { return placeOf(a.Case).compare(placeOf(b.Case)) })
	return out, nil
}

// placesOfFew says where in the queue stands what matches of the few.
func (f QueueFilter) placesOfFew(tx *store.Tx, states []desk.CaseState) (out []place, err error) {
	join := ""
	if f.ofShield() {
		join = " join shield_case s on s.id=c.id"
	}
	for part := range slices.Chunk(f.few, rowsPerQuery) {
		places, args := idsOf(part)
		where, args := f.where(tx.Now(), args)
		err := tx.Each(`select c.id,c.state,c.priority,c.opened_at from desk_case c`+join+` where c.id in (`+places+`)`+where, args, func(scan func(...any) error) error {
			var p place
			var state desk.CaseState
			err := scan(&p.id, &state, &p.priority, &p.opened)
			if err == nil && slices.Contains(states, state) {
				out = append(out, p)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, place.compare)
	return out, nil
}

// searchNames looks for the cases that have f's text in their name or as their
// number; where they are many, the list itself is walked.
func (s *Shield) searchNames(tx *store.Tx, f QueueFilter) (QueueFilter, error) {
	if f.Query == "" || f.few != nil {
		return f, nil
	}
	ids, few, err := s.names[caseNames].find(tx, caseNames, asStored(f.Query))
	if err != nil || !few {
		return f, err
	}
	var id string
	err = tx.Row(`select id from desk_case where ref=$1`, strings.ToUpper(f.Query)).Scan(&id)
	if err == nil {
		ids = append(ids, id)
	} else if !store.None(err) {
		return f, err
	}
	f.few = append([]string{}, ids...)
	return f, nil
}

// Queue lists cases by priority, those after the case with id or number after.
func (s *Shield) Queue(ctx context.Context, f QueueFilter, after string, limit int) (out []CaseRow, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		var from *place
		if after != "" {
			c, err := desk.FindCase(tx, after)
			if err != nil {
				return err
			}
			p := placeOf(c)
			from = &p
		}
		if f, err = s.searchNames(tx, f); err != nil {
			return err
		}
		out, err = f.list(tx, f.states(), from, limit)
		return err
	})
	return out, err
}

// CountQueue counts what Queue lists on all its pages.
func (s *Shield) CountQueue(ctx context.Context, f QueueFilter) (all desk.Counted, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		if f, err = s.searchNames(tx, f); err != nil {
			return err
		}
		if f.few != nil {
			some, err := f.placesOfFew(tx, f.states())
			all.N = int64(len(some))
			return err
		}
		most := int64(desk.MaxCount)
		if f.Query != "" {
			most = fewNames
		}
		for _, state := range f.states() {
			if all.N > most {
				all = desk.Counted{N: most, More: true}
				break
			}
			n, err := f.count(tx, state, time.Time{}, most+1)
			if err != nil {
				return err
			}
			all = all.Add(desk.Counted{N: n})
		}
		if all.N > most {
			all = desk.Counted{N: most, More: true}
		}
		return nil
	})
	return all, err
}

// count counts what matches in one state and was opened after since, up to most.
func (f QueueFilter) count(tx *store.Tx, state desk.CaseState, since time.Time, most int64) (n int64, err error) {
	if f.few != nil {
		some, err := f.placesOfFew(tx, []desk.CaseState{state})
		some = slices.DeleteFunc(some, func(p place) bool { return p.opened <= max(store.Micros(since), 0) })
		return min(int64(len(some)), most), err
	}
	where, args := f.where(tx.Now(), []any{Name, string(state), max(store.Micros(since), 0), most})
	join := ""
	if f.ofShield() {
		join = " join shield_case s on s.id=c.id"
	}
	err = tx.Row(`select count(*) from (select 1 from desk_case c`+join+` where c.capability=$1 and c.state=$2 and c.opened_at>$3`+where+` limit $4) x`, args...).Scan(&n)
	return n, err
}

// maxFresh is up to how many new cases are counted.
const maxFresh = 100

// CountSince counts what came into the queue since a moment, up to maxFresh.
func (s *Shield) CountSince(ctx context.Context, f QueueFilter, since time.Time) (all int64, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		if f, err = s.searchNames(tx, f); err != nil {
			return err
		}
		for _, state := range f.states() {
			n, err := f.count(tx, state, since, maxFresh)
			if err != nil {
				return err
			}
			all += n
		}
		return nil
	})
	return min(all, maxFresh), err
}

// NextInQueue is the case that comes after one, which may no longer match
// itself; at the end it begins at the top again. Cases that wait for a second
// person are passed over unless the filter asks for them. Empty without another.
func (s *Shield) NextInQueue(ctx context.Context, f QueueFilter, id string) (ref string, err error) {
	states := f.states()
	if f.State == "" || f.State == "all" {
		states = []desk.CaseState{desk.Waiting}
	}
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		c, err := desk.FindCase(tx, id)
		if err != nil {
			return err
		}
		p := placeOf(c)
		if f, err = s.searchNames(tx, f); err != nil {
			return err
		}
		for _, from := range []*place{&p, nil} {
			rows, err := f.list(tx, states, from, 2)
			if err != nil {
				return err
			}
			for _, r := range rows {
				if r.ID != c.ID {
					ref = r.Ref
					return nil
				}
			}
		}
		return nil
	})
	return ref, err
}

// SavedFilter is a filter that a person keeps under a name.
type SavedFilter struct {
	ID    string
	Name  string
	Query string // as an address has it
}

// maxFilters is how many filters one person keeps.
const maxFilters = 20

// Filters are the filters that a person keeps, by name.
func (s *Shield) Filters(ctx context.Context, person string) (out []SavedFilter, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		out, err = store.List(tx, func(scan func(...any) error) (f SavedFilter, err error) {
			err = scan(&f.ID, &f.Name, &f.Query)
			return f, err
		}, `select id,name,query from shield_filter where person=$1 order by name`, person)
		return err
	})
	return out, err
}

// SaveFilter keeps a filter for a person; one of the same name is replaced.
func (s *Shield) SaveFilter(ctx context.Context, person, name string, f QueueFilter) error {
	name = strings.TrimSpace(name)
	if name == "" || len([]rune(name)) > 40 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return bolwerk.Invalid("a filter needs a name of at most 40 letters")
	}
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		var others int
		if err := tx.Row(`select count(*) from shield_filter where person=$1 and name<>$2`, person, name).Scan(&others); err != nil {
			return err
		}
		if others >= maxFilters {
			return bolwerk.WithHint(bolwerk.Conflict("you keep %d filters already", others), "forget one that you no longer use")
		}
		_, err := tx.Exec(`insert into shield_filter(id,person,name,query,at) values($1,$2,$3,$4,$5) on conflict(person,name) do update set query=excluded.query, at=excluded.at`,
			bolwerk.NewID(tx.Now()), person, name, f.Values().Encode(), tx.NowMicros())
		return err
	})
}

// ForgetFilter removes a filter of a person; one that is gone is no error.
func (s *Shield) ForgetFilter(ctx context.Context, person, id string) error {
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		_, err := tx.Exec(`delete from shield_filter where id=$1 and person=$2`, id, person)
		return err
	})
}
