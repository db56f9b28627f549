package shield

import (
	"context"
	"fmt"
	"strings"
	"time"

	"bolwerk/desk"
	"bolwerk/internal/store"
)

// Now is the desk at this moment: what waits, what is in force, how far it has
// got, and what wants a person. It is what "bolwerk top" draws.
type Now struct {
	At       time.Time `json:"at"`
	Operator string    `json:"operator"`
	// Waiting are cases for a person, Second those for a second one, Unread
	// reports that were not read yet.
	Waiting int64 `json:"cases_waiting"`
	Second  int64 `json:"cases_second"`
	Unread  int64 `json:"reports_unread"`
	Appeals int64 `json:"appeals_waiting"`
	// OldestCase and OldestReport have waited longest; absent where none waits.
	OldestCase   time.Time `json:"oldest_case,omitzero"`
	OldestReport time.Time `json:"oldest_report,omitzero"`
	// Reports came in in the last minute and in the last hour.
	ReportsMinute int64 `json:"reports_minute"`
	ReportsHour   int64 `json:"reports_hour"`
	InForce       int64 `json:"blocks_in_force"`
	// Hits are those of the last five minutes that are whole: edges count by five.
	Hits      Hits          `json:"hits_5m"`
	Hosts     []HostNow     `json:"hosts"`
	Resolvers []ResolverNow `json:"resolvers"`
	// Alarms are what wants a person, in words.
	Alarms []string `json:"alarms"`
}

// HostNow is how far a host has followed its copy.
type HostNow struct {
	Name   string `json:"name"`
	Role   string `json:"role"`
	Serial int64  `json:"serial"`
	// Behind says that there is something newer; Lag is for how long it has been
	// seen so. Heard is when it last asked: an idle host asks once a minute.
	Behind bool          `json:"behind"`
	Lag    time.Duration `json:"lag"`
	Heard  time.Time     `json:"heard"`
}

// ResolverNow is how far a secondary has followed a zone.
type ResolverNow struct {
	Name    string        `json:"name"`
	Zone    string        `json:"zone"`
	Holds   uint32        `json:"holds"` // 0: nothing was delivered since the desk started
	Lag     time.Duration `json:"lag"`
	Problem string        `json:"problem,omitempty"`
}

// Bounds of patience with a host and a resolver.
const (
	silentAfter = 90 * time.Second // a host asks at least every 60 s
	lateAfter   = time.Minute      // a withdrawal that takes longer wants a person
)

// Now looks.
func (s *Shield) Now(ctx context.Context) (n Now, err error) {
	today, err := s.Today(ctx)
	if err != nil {
		return n, err
	}
	n = Now{At: s.clock.Now().UTC(), Operator: s.cfg.Operator, Waiting: today.Cases[desk.Waiting], Second: today.Cases[desk.Second], Unread: today.Unread, Appeals: today.Appeals,
		InForce: today.InForce, Hosts: []HostNow{}, Resolvers: []ResolverNow{}, Alarms: []string{}}
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		now := tx.Now()
		from := now.Truncate(5 * time.Minute).Add(-5 * time.Minute)
		var oldest, unread int64
		for _, q := range []struct {
			sql  string
			args []any
			to   []any
		}{
			{`select count(*) from shield_report where received_at>$1`, []any{store.Micros(now.Add(-time.Minute))}, []any{&n.ReportsMinute}},
			{`select count(*) from shield_report where received_at>$1`, []any{store.Micros(now.Add(-time.Hour))}, []any{&n.ReportsHour}},
			{`select coalesce((select opened_at from desk_case where capability=$1 and state='waiting' order by id limit 1),0)`, []any{Name}, []any{&oldest}},
			{`select coalesce(min(received_at),0) from shield_report where state='received'`, nil, []any{&unread}},
			{`select coalesce(sum(dns),0),coalesce(sum(page),0),coalesce(sum(tls),0) from shield_hits where bucket>=$1 and bucket<$2`,
				[]any{store.Micros(from), store.Micros(from.Add(5 * time.Minute))}, []any{&n.Hits.DNS, &n.Hits.Page, &n.Hits.TLS}},
		} {
			if err := tx.Row(q.sql, q.args...).Scan(q.to...); err != nil {
				return err
			}
		}
		if oldest > 0 {
			n.OldestCase = store.Time(oldest)
		}
		if unread > 0 {
			n.OldestReport = store.Time(unread)
		}
		return nil
	})
	if err != nil {
		return n, err
	}
	if s.watch.Hosts != nil {
		if n.Hosts, err = s.watch.Hosts(ctx); err != nil {
			return n, err
		}
	}
	if s.feed != nil {
		for _, d := range s.feed.Deliveries() {
			n.Resolvers = append(n.Resolvers, ResolverNow{d.Secondary, d.Zone.String(), d.Holds, d.Lag, d.Problem})
		}
	}
	held, err := s.HeldBack(ctx)
	if err != nil {
		return n, err
	}
	n.alarms(today, held)
	if s.watch.Alarms != nil {
		n.Alarms = append(n.Alarms, s.watch.Alarms()...)
	}
	return n, nil
}

// alarms says in words what of the picture wants a person.
func (n *Now) alarms(t Today, held []HeldOrders) {
	add := func(format string, a ...any) { n.Alarms = append(n.Alarms, fmt.Sprintf(format, a...)) }
	for _, h := range n.Hosts {
		if n.At.Sub(h.Heard) > silentAfter {
			add("%s %s was last heard %s ago", h.Role, h.Name, n.At.Sub(h.Heard).Truncate(time.Second))
		}
	}
	for _, r := range n.Resolvers {
		if r.Lag > lateAfter {
			add("%s is %s behind with %s", r.Name, r.Lag.Truncate(time.Second), r.Zone)
		}
	}
	for _, h := range held {
		add("%d orders of %s are held: %s", h.Count, h.Issuer, h.Why)
	}
	for _, l := range t.Lists {
		if l.State != "loaded" {
			add("list %s is %s: %s", l.Name, l.State, strings.TrimSpace(l.Why))
		}
	}
}

// Watch is what the desk around the shield knows of its hosts and its log. Nil
// fields say nothing.
type Watch struct {
	Hosts  func(context.Context) ([]HostNow, error)
	Alarms func() []string // of the log, in the last hour
}

// Watching gives the shield what Now shows of the desk around it. Call it before Run.
func (s *Shield) Watching(w Watch) { s.watch = w }
