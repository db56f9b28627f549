package demo

import (
	"fmt"
	"math/rand/v2"
	"time"

	"bolwerk/abuse/reading"
	"bolwerk/abuse/session"
)

// FeedName is the feed of the invented world: a clearing house whose tables come each day.
const FeedName = "clearing house"

// FeedDays is how long the invented operator knows who had an address.
const FeedDays = 30

// FeedFile is a table of the feed in the demo's folder, to try with: sixteen days ago it
// told of a line, and it has not since.
const FeedFile = "feed-16-days-ago.csv"

// FeedTable is that table.
func FeedTable(now time.Time) []byte {
	at := now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -16).Add(4 * time.Hour)
	return []byte(dnsTable + dnsRow(at, "192.0.2.90"))
}

const dnsTable = "timestamp,severity,ip,protocol,port,hostname,tag,asn,geo,region,city,naics,sector,dns_version,min_amplification\n"

func dnsRow(at time.Time, addr string) string {
	return fmt.Sprintf("%q,medium,%s,udp,53,,openresolver,64496,BE,,,0,,,2.1\n", at.UTC().Format(time.DateTime), addr)
}

// FeedCase is a case of the past that rests on the feed.
type FeedCase struct {
	Who            session.Identity
	Class          reading.Class
	Seen           []time.Time
	Opened, Closed time.Time
	Done           string
}

// Feed invents the last three months of the feed: the days on which it came, and the cases
// that it led to. Lines that were put into quarantine became clean within days, of those
// that were told half within two weeks, of the others fewer. The same day has the same past.
func Feed(now time.Time) (days []time.Time, cases []FeedCase) {
	today := now.UTC().Truncate(24 * time.Hour)
	r := rand.New(rand.NewPCG(uint64(today.Unix()), 6))
	on := func(ago int) time.Time { return today.AddDate(0, 0, -ago).Add(5*time.Hour + 12*time.Minute) }
	const first, deaf = 88, 37 // days ago: when it begins, and when it did not come
	for ago := first; ago > 0; ago-- {
		if ago != deaf {
			days = append(days, on(ago))
		}
	}
	const clean = 14 // full days without being seen
	for _, of := range []struct {
		done    string
		n, most int // lines, and for how many days at most they go on
		class   reading.Class
	}{{"quarantined", 14, 6, reading.Infected}, {"informed", 18, 28, reading.Amplifier}, {"nothing", 12, 60, reading.OpenService}} {
		for i := range of.n {
			opened := 20 + r.IntN(first-20)
			lasts := r.IntN(of.most + 1)
			c := FeedCase{Who: session.Identity{Subscriber: fmt.Sprintf("%s-%02d@bolwerk.example", of.done, i+1), Line: fmt.Sprintf("eth 1/5/%d:%d", len(of.done), i+1)}, Class: of.class, Opened: on(opened).Add(3 * time.Minute), Done: of.done}
			for ago := opened; ago >= max(opened-lasts, 1); ago-- {
				if ago != deaf && (ago == opened || ago == max(opened-lasts, 1) || r.IntN(3) > 0) {
					c.Seen = append(c.Seen, on(ago).Add(-time.Hour))
				}
			}
			if len(c.Seen) == 0 {
				c.Seen = append(c.Seen, on(opened).Add(-time.Hour))
			}
			last := int(today.Sub(c.Seen[len(c.Seen)-1].Truncate(24*time.Hour)) / (24 * time.Hour))
			if closed := last - clean - 2; closed > 0 {
				c.Closed = on(closed)
			}
			cases = append(cases, c)
		}
	}
	return days, cases
}
