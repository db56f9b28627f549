package shield

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/ledger"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
	"bolwerk/shield/judge"
)

// Picture is what the first page shows besides the counts of Today: how long people
// wait, where what was published is in force, and what is wrong.
type Picture struct {
	Malicious  int64     `json:"waiting_malicious"` // cases that wait, by verdict
	Suspicious int64     `json:"waiting_suspicious"`
	Rest       int64     `json:"waiting_rest"`
	Oldest     time.Time `json:"oldest_waiting,omitzero"` // opened first of those that wait
	Unread     time.Time `json:"oldest_unread,omitzero"`  // received first of those not read

	// Blocked are the blocks of the last 24 hours that came of reports; the times
	// are from the first report to the block.
	Blocked  int             `json:"blocked_24h"`
	Half     time.Duration   `json:"report_to_block_p50"`
	Most     time.Duration   `json:"report_to_block_p95"`
	PerHour  []time.Duration `json:"-"` // the middle one of each of the last 24 hours; 0 is none
	HitHours []int64         `json:"-"` // dns_hits of each of the last 24 hours

	Proposals  desk.Counted `json:"proposals"` // for a second person
	Stands     []Stand      `json:"stands"`
	Slow       []Target     `json:"late"`       // where decisions do not come into force in time
	Over       []Indicator  `json:"dns_limits"` // of the DNS service that are over
	Late       int64        `json:"appeals_late"`
	Withdrawn  int64        `json:"withdrawn_1h"` // by people
	Unreadable int64        `json:"unreadable_24h"`
	Unsent     int64        `json:"answers_failed"`
	Pictures   int64        `json:"pictures_waiting"` // reports whose pictures wait for a person
	ByRules
	Full     bool   `json:"disk_full"`
	Restore  string `json:"restore,omitempty"` // asking or held
	Unlogged int64  `json:"unlogged"`          // withdrawals that wait for the transparency log
}

// manyBlocks bounds the blocks of a day whose times are looked at: the newest.
const manyBlocks = 5000

// Picture looks at what waits, and at what is wrong.
func (s *Shield) Picture(ctx context.Context) (n Picture, err error) {
	if n.Restore, _, err = s.publish.Restoring(ctx); err != nil {
		return n, err
	}
	n.Full = s.db.OnlyWithdrawals()
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		now := tx.Now()
		day := store.Micros(now.Add(-24 * time.Hour))
		var oldest, unread int64
		for _, q := range []struct {
			sql  string
			args []any
			to   []any
		}{
			{`select count(*),coalesce(sum(case when priority>=300 then 1 else 0 end),0),coalesce(sum(case when priority>=200 and priority<300 then 1 else 0 end),0),coalesce(min(opened_at),0)
				from desk_case where capability='shield' and state='waiting'`, nil, []any{&n.Rest, &n.Malicious, &n.Suspicious, &oldest}},
			{`select coalesce(min(received_at),0) from shield_report where state='received'`, nil, []any{&unread}},
			{`select count(*) from desk_appeal where state='received' and due_at<$1`, []any{store.Micros(now)}, []any{&n.Late}},
			{`select count(*) from shield_block where state<>'in_force' and ended_at>$1 and state='withdrawn' and ended_by like 'person:%'`, []any{store.Micros(now.Add(-time.Hour))}, []any{&n.Withdrawn}},
			{`select count(*) from shield_report where state='unreadable' and received_at>$1`, []any{day}, []any{&n.Unreadable}},
			{`select count(*) from desk_notice where state='failed' and made_at>$1`, []any{day}, []any{&n.Unsent}},
			{`select count(*) from shield_picture where state='person'`, nil, []any{&n.Pictures}},
		} {
			if err := tx.Row(q.sql, q.args...).Scan(q.to...); err != nil {
				return err
			}
		}
		n.Rest -= n.Malicious + n.Suspicious
		n.Oldest, n.Unread = store.Time(oldest), store.Time(unread)
		if err := n.times(tx, day); err != nil {
			return err
		}
		if n.Proposals, err = desk.CountProposals(tx); err != nil {
			return err
		}
		if n.Unlogged, err = ledger.Waiting(tx); err != nil {
			return err
		}
		if n.ByRules, err = s.byRules(tx); err != nil {
			return err
		}
		if n.Stands, err = s.stands(tx); err != nil {
			return err
		}
		return n.slow(s, tx)
	})
	return n, err
}

// slow looks where the pulse is late, and how the DNS service does.
func (n *Picture) slow(s *Shield, tx *store.Tx) error {
	p, err := s.pulse(tx, 5*time.Minute)
	if err != nil {
		return err
	}
	n.Slow = slices.DeleteFunc(p.Targets, func(t Target) bool { return !t.Late() })
	d, err := service(tx, serviceNow)
	n.Over = slices.DeleteFunc(d.Indicators, func(i Indicator) bool { return !i.Over })
	return err
}

// times reads how long it took from report to block, and the hits of each hour.
func (n *Picture) times(tx *store.Tx, day int64) error {
	var took []time.Duration
	hours := make([][]time.Duration, 24)
	err := tx.Each(`select made_at,reported_at from shield_block where made_at>$1 and reported_at>0 order by made_at desc limit $2`, []any{day, manyBlocks}, func(scan func(...any) error) error {
		var made, reported int64
		if err := scan(&made, &reported); err != nil {
			return err
		}
		d := max(time.Duration(made-reported)*time.Microsecond, 0)
		took = append(took, d)
		h := min(int((made-day)/time.Hour.Microseconds()), 23)
		hours[h] = append(hours[h], d)
		return nil
	})
	if err != nil {
		return err
	}
	n.Blocked, n.Half, n.Most = len(took), quantile(took, 50), quantile(took, 95)
	for _, h := range hours {
		n.PerHour = append(n.PerHour, quantile(h, 50))
	}
	n.HitHours = make([]int64, 24)
	first := store.Micros(tx.Now().Truncate(time.Hour).Add(-23 * time.Hour))
	return tx.Each(`select hour,dns from shield_hit_hour where hour>=$1`, []any{first}, func(scan func(...any) error) error {
		var hour, dns int64
		err := scan(&hour, &dns)
		if at := (hour - first) / time.Hour.Microseconds(); err == nil && at >= 0 && at < 24 {
			n.HitHours[at] = dns
		}
		return err
	})
}

// quantile is the nearest rank of a hundred; 0 without any.
func quantile(all []time.Duration, of int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[(len(all)*of+99)/100-1]
}

// Alarm is something that is wrong, with the page on which to do something.
type Alarm struct {
	Why  string // as whoever noticed it says, where that is more
	Also string // the same, where the first page tells it further below
	Key  string // text of what is wrong
	Args []any
	Help string // text of what to do
	Link string // where; empty where it is done elsewhere
	Harm bool   // customers are not protected as wanted
}

// say is the alarm in words: what is wrong, and why where somebody said so.
func (a Alarm) say(t *web.Texts, lang bolwerk.Lang) string {
	text := t.T(lang, a.Key, a.Args...)
	if why := strings.TrimSpace(cmp.Or(a.Why, a.Also)); why != "" {
		text += " (" + why + ")"
	}
	return text
}

// looked is the desk at a moment, gathered once for whoever tells it: the first
// page, the API, "bolwerk top".
type looked struct {
	Today
	Picture
	at     time.Time
	hosts  []HostNow // nil where the desk around knows of none
	alarms []Alarm
}

func (s *Shield) look(ctx context.Context) (l looked, err error) {
	l.at = s.clock.Now()
	if l.Today, err = s.Today(ctx); err != nil {
		return l, err
	}
	if l.Picture, err = s.Picture(ctx); err != nil {
		return l, err
	}
	for i := range l.Stands {
		if x := &l.Stands[i]; x.known {
			n := max(l.InForce+x.more, 0)
			x.InForce = &n
		}
	}
	held, err := s.HeldBack(ctx)
	if err != nil {
		return l, err
	}
	if s.watch.Hosts != nil {
		if l.hosts, err = s.watch.Hosts(ctx); err != nil {
			return l, err
		}
	}
	for _, h := range l.hosts { // edges and agents stand in the picture; of the others it is enough to hear
		if !ours(h.Role) && l.at.Sub(h.Heard) > silentAfter {
			l.Stands = append(l.Stands, Stand{Name: h.Name, Kind: h.Role, At: h.Heard, State: "silent"})
		}
	}
	l.alarms = l.Picture.alarms(l.at, l.Today, held, s.cfg.Partners.Late(l.at))
	return l, nil
}

// alarms are what is wrong, the worst first; late are partners whose number
// somebody has to check again.
func (n Picture) alarms(now time.Time, t Today, held []HeldOrders, late []string) (out []Alarm) {
	add := func(when, harm bool, key, link string, args ...any) {
		if when {
			out = append(out, Alarm{Key: "shield.alarm." + key, Args: args, Help: "shield.alarm." + key + ".do", Link: link, Harm: harm})
		}
	}
	add(n.Full, true, "disk", "")
	add(n.Restore == "asking" || n.Restore == "held", true, "restore", "")
	add(n.Restore == "" && n.Unlogged > 0, true, "unlogged", "", n.Unlogged)
	for _, x := range n.Stands {
		add(x.State == "silent", true, "silent", "/search?q="+x.Name, x.Name, now.Sub(x.At))
		add(x.State == "behind" && x.Late, true, "behind", "/name", x.Name, now.Sub(x.Behind))
	}
	for _, i := range n.Over {
		add(true, true, i.Key, "/in-force", i.Now)
	}
	for _, t := range n.Slow {
		same := func(x Stand) bool { // it is told already
			return x.Name == t.Name && (x.State == "silent" || x.State == "behind" && x.Late)
		}
		if !slices.ContainsFunc(n.Stands, same) {
			add(true, true, "pulse", "/in-force", t.Name, now.Sub(t.LateSince))
			out[len(out)-1].Why = t.Problem
		}
	}
	for _, t := range n.Trips {
		add(t.Did == judge.TripSuspend, true, "suspended", "/case/"+t.Case, t.Name, t.Hits)
		add(t.Did == judge.TripAlert, true, "tripped", "/block/"+t.Block, t.Name, t.Hits)
	}
	add(n.Paused, false, "paused", "#lists", n.KnownGood, n.Needed)
	add(n.Braked > 0, false, "braked", "/queue?state=waiting", n.Braked)
	add(!n.Unread.IsZero() && now.Sub(n.Unread) > 5*time.Minute, true, "unread", "", now.Sub(n.Unread))
	add(n.Late > 0, false, "appeals", "/appeals", n.Late)
	for _, h := range held {
		add(true, false, "held", "/orders?state=held&issuer="+h.Issuer, h.Count, h.Issuer)
		out[len(out)-1].Why = h.Why
	}
	for _, l := range t.Lists {
		if !slices.Contains([]string{"failed", "held"}, l.State) {
			continue
		}
		add(l.State == "failed", false, "list.failed", "#lists", l.Name)
		add(l.State == "held", false, "list.held", "#lists", l.Name)
		out[len(out)-1].Also = l.Why
	}
	add(n.Withdrawn > busyWithdrawals, false, "withdrawn", "/blocks?state=withdrawn", n.Withdrawn)
	add(n.Unreadable > 0, false, "unreadable", "/by-hand", n.Unreadable)
	add(n.Unsent > 0, false, "unsent", "", n.Unsent)
	add(len(late) > 0, false, "partners", "", len(late), strings.Join(late, ", "))
	slices.SortStableFunc(out, func(a, b Alarm) int { return order(a.Harm) - order(b.Harm) })
	return out
}

func order(harm bool) int {
	if harm {
		return 0
	}
	return 1
}

// waiting are the cases that come first.
func (s *Shield) waiting(ctx context.Context, n int) ([]CaseRow, error) {
	return s.Cases(ctx, desk.CaseFilter{States: []desk.CaseState{desk.Waiting}, Limit: n})
}
