package abuse

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/abuse/clean"
	"bolwerk/abuse/door"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
)

// Feed is a source that tells day by day what it sees, such as that of a
// clearing house. That it says nothing of a line means something only on days on
// which it was heard.
type Feed struct {
	// Name is what people call it.
	Name string `toml:"name"`
	// From are the senders of its mails: an address, or a domain with all below it.
	// Files are given to it by name: bolwerk abuse import --feed NAME.
	From []string `toml:"from"`
	// Every is how often it comes. Not heard for twice as long is an alarm.
	Every bolwerk.Duration `toml:"every"`
}

const maxFeeds = 100

func checkFeeds(feeds []Feed) (errs []error) {
	seen := map[string]bool{}
	if len(feeds) > maxFeeds {
		errs = append(errs, bolwerk.Invalid("feeds: %d, at most %d", len(feeds), maxFeeds))
	}
	for _, f := range feeds {
		switch {
		case f.Name == "" || len(f.Name) > 60 || strings.TrimSpace(f.Name) != f.Name:
			errs = append(errs, bolwerk.Invalid("feeds: name %.80q: want 1 to 60 octets", f.Name))
		case seen[f.Name]:
			errs = append(errs, bolwerk.Invalid("feeds: two are called %s", f.Name))
		}
		seen[f.Name] = true
		if f.Every.D() < time.Hour || f.Every.D() > 31*24*time.Hour {
			errs = append(errs, bolwerk.Invalid("feeds: %s: every %s: want 1h to 744h", f.Name, f.Every))
		}
		for _, from := range f.From {
			if _, err := mail.ParseAddress(from); err == nil {
				continue
			}
			if _, err := bolwerk.ParseDomain(from); err != nil {
				errs = append(errs, bolwerk.Invalid("feeds: %s: from %.80q: want an address or a domain", f.Name, from))
			}
		}
	}
	return errs
}

// feedOf is the feed that a report came from; "" for none.
func (c Config) feedOf(in door.Report) string {
	if in.Feed != "" {
		return in.Feed
	}
	a, err := mail.ParseAddress(in.From)
	if err != nil || in.Channel != door.ByMail {
		return ""
	}
	return c.feedFrom(a)
}

// feedFrom is the feed whose mails come from an address; "" for none.
func (c Config) feedFrom(a mail.Address) string {
	domain := a.Domain().String()
	for _, f := range c.Feeds {
		if slices.ContainsFunc(f.From, func(from string) bool {
			if own, err := mail.ParseAddress(from); err == nil {
				return own.Same(a)
			}
			from = strings.ToLower(from)
			return domain == from || strings.HasSuffix(domain, "."+from)
		}) {
			return f.Name
		}
	}
	return ""
}

// oldest is how far back a report may tell of days on which a feed saw something.
const oldest = 31

// heard notes that a feed's report came, and the days of which it told: those of its
// events, so that a table that came late, or was read in later, tells of its own day.
// Events of the report that had been told before told of their day then.
func heard(tx *store.Tx, feed, report string, at time.Time) error {
	if _, err := tx.Exec(`insert into abuse_feed(name,heard_at) values($1,$2) on conflict(name) do update set heard_at=case when abuse_feed.heard_at<excluded.heard_at then excluded.heard_at else abuse_feed.heard_at end`,
		feed, store.Micros(at)); err != nil {
		return err
	}
	last := int64(clean.DayOf(at))
	const day = int64(24 * time.Hour / time.Microsecond)
	_, err := tx.Exec(`insert into abuse_feed_day(name,day,reports,events)
		select $1,e.day,1,e.n from (select at/`+strconv.FormatInt(day, 10)+` as day, count(*) as n from abuse_event where report=$2 and at>=$3 and at<$4 group by 1) e where true
		on conflict(name,day) do update set reports=abuse_feed_day.reports+1, events=abuse_feed_day.events+excluded.events`,
		feed, report, (last-oldest)*day, (last+1)*day)
	return err
}

// FeedRow is how a feed is heard.
type FeedRow struct {
	Name  string    `json:"name"`
	Every string    `json:"every"`
	Heard time.Time `json:"heard_at,omitzero"`
	Late  bool      `json:"late" doc:"not heard for twice as long as it comes"`
	// Days are the events of the last days, the oldest first; -1 where it was not heard.
	Days []int64 `json:"days"`
}

// feedDays is how many days a list of feeds shows.
const feedDays = 30

// Feeds lists the configured feeds.
func (d *Desk) Feeds(ctx context.Context) (out []FeedRow, err error) {
	now := d.clock.Now()
	today := clean.DayOf(now)
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		for _, f := range d.cfg.Feeds {
			row := FeedRow{Name: f.Name, Every: f.Every.String(), Days: slices.Repeat([]int64{-1}, feedDays)}
			var at int64
			err := tx.Row(`select heard_at from abuse_feed where name=$1`, f.Name).Scan(&at)
			if err != nil && !store.None(err) {
				return err
			}
			row.Heard = store.Time(at)
			row.Late = now.Sub(row.Heard) > 2*f.Every.D()
			err = tx.Each(`select day,events from abuse_feed_day where name=$1 and day>$2`, []any{f.Name, int64(today) - feedDays}, func(scan func(...any) error) error {
				var day, events int64
				if err := scan(&day, &events); err != nil {
					return err
				}
				if i := int64(feedDays) - 1 - (int64(today) - day); i >= 0 && i < feedDays {
					row.Days[i] = events
				}
				return nil
			})
			if err != nil {
				return err
			}
			out = append(out, row)
		}
		return nil
	})
	return out, err
}

// watchFeeds says aloud when a feed is late, and when it is back.
func (d *Desk) watchFeeds(ctx context.Context) error {
	late := map[string]bool{}
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	began := d.clock.Now()
	for {
		rows, err := d.Feeds(ctx)
		if err != nil && ctx.Err() == nil {
			d.log.Error("how the feeds of abuse are heard cannot be read", "err", err)
		}
		for i, r := range rows {
			// One that was never heard is late once it could have come twice.
			bad := r.Late && (!r.Heard.IsZero() || d.clock.Now().Sub(began) > 2*d.cfg.Feeds[i].Every.D())
			switch {
			case bad && !late[r.Name]:
				d.log.Error("a feed of abuse is not heard: lines that it tells of do not become clean by themselves", "feed", r.Name, "last", r.Heard, "alarm", true)
			case !bad && late[r.Name]:
				d.log.Info("a feed of abuse is heard again", "feed", r.Name)
			}
			late[r.Name] = bad
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// feedGauges are the times at which feeds were heard, read when they are looked at.
type feedGauges struct{ d *Desk }

var feedHeard = prometheus.NewDesc("bolwerk_abuse_feed_heard_seconds", "When a feed was last heard, in seconds since 1970; 0 is never.", []string{"feed"}, nil)

func (feedGauges) Describe(c chan<- *prometheus.Desc) { c <- feedHeard }

func (g feedGauges) Collect(c chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	rows, err := g.d.Feeds(ctx)
	if err != nil {
		return
	}
	for _, r := range rows {
		at := 0.0
		if !r.Heard.IsZero() {
			at = float64(r.Heard.Unix())
		}
		c <- prometheus.MustNewConstMetric(feedHeard, prometheus.GaugeValue, at, r.Name)
	}
}

// Absent says for how long the line of a case was not seen.
func (d *Desk) Absent(tx *store.Tx, caseID string) (clean.Absence, error) {
	var last int64
	if err := tx.Row(`select last_seen from abuse_case where id=$1`, caseID).Scan(&last); err != nil {
		return clean.Absence{}, err
	}
	feeds, err := store.List(tx, func(scan func(...any) error) (name string, err error) { return name, scan(&name) },
		`select distinct r.feed from abuse_event e join abuse_report r on r.id=e.report where e.case_id=$1 and r.feed<>'' limit `+itoa(maxFeeds), caseID)
	if err != nil || len(feeds) == 0 {
		return clean.Absent(store.Time(last), tx.Now(), nil), err
	}
	in, args := store.In(2, feeds)
	days := map[clean.Day]bool{}
	err = tx.Each(`select distinct day from abuse_feed_day where day>$1 and name in (`+in+`)`, append([]any{int64(clean.DayOf(store.Time(last)))}, args...), func(scan func(...any) error) error {
		var day int64
		err := scan(&day)
		days[clean.Day(day)] = true
		return err
	})
	return clean.Absent(store.Time(last), tx.Now(), days), err
}
