package shield

import (
	"context"
	"time"

	"bolwerk"
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
	// Stands are the edges, agents and resolvers with what each has in force.
	Stands []Stand `json:"stands"`
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

// Now tells what look gathered as "bolwerk top" draws it, with the rates of the
// last minutes.
func (s *Shield) Now(ctx context.Context) (n Now, err error) {
	l, err := s.look(ctx)
	if err != nil {
		return n, err
	}
	n = Now{At: l.at.UTC(), Operator: s.cfg.Operator, Waiting: l.Cases[desk.Waiting], Second: l.Cases[desk.Second], Unread: l.Today.Unread, Appeals: l.Appeals,
		OldestCase: l.Oldest, OldestReport: l.Picture.Unread, InForce: l.InForce, Hosts: append([]HostNow{}, l.hosts...), Resolvers: []ResolverNow{}, Stands: append([]Stand{}, l.Stands...), Alarms: []string{}}
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		now := tx.Now()
		from := now.Truncate(5 * time.Minute).Add(-5 * time.Minute)
		for _, q := range []struct {
			sql  string
			args []any
			to   []any
		}{
			{`select count(*) from shield_report where received_at>$1`, []any{store.Micros(now.Add(-time.Minute))}, []any{&n.ReportsMinute}},
			{`select count(*) from shield_report where received_at>$1`, []any{store.Micros(now.Add(-time.Hour))}, []any{&n.ReportsHour}},
			{`select coalesce(sum(dns),0),coalesce(sum(page),0),coalesce(sum(tls),0) from shield_hits where bucket>=$1 and bucket<$2`,
				[]any{store.Micros(from), store.Micros(from.Add(5 * time.Minute))}, []any{&n.Hits.DNS, &n.Hits.Page, &n.Hits.TLS}},
		} {
			if err := tx.Row(q.sql, q.args...).Scan(q.to...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return n, err
	}
	if s.feed != nil {
		for _, d := range s.feed.Deliveries() {
			if !d.Watched {
				continue
			}
			n.Resolvers = append(n.Resolvers, ResolverNow{d.Secondary, d.Zone.String(), d.Holds, d.Lag, d.Problem})
		}
	}
	texts, err := Texts()
	if err != nil {
		return n, err
	}
	for _, a := range l.alarms {
		n.Alarms = append(n.Alarms, a.say(texts, bolwerk.EN))
	}
	if s.watch.Alarms != nil {
		n.Alarms = append(n.Alarms, s.watch.Alarms()...)
	}
	return n, nil
}

// Watch is what the desk around the shield knows of its hosts and its log. Nil
// fields say nothing.
type Watch struct {
	Hosts  func(context.Context) ([]HostNow, error)
	Alarms func() []string // of the log, in the last hour
}

// Watching gives the shield what Now shows of the desk around it. Call it before Run.
func (s *Shield) Watching(w Watch) { s.watch = w }
