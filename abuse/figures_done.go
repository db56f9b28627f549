package abuse

import (
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/notice"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/reading"
	"bolwerk/internal/store"
)

// FigureClosed is how many cases of a class were closed, and why; each with how it was
// closed last.
type FigureClosed struct {
	Class  reading.Class `json:"class"`
	Reason Reason        `json:"reason"`
	Cases  int64         `json:"cases"`
}

// FigureHeld is what quarantines did. One that begins and ends in the time is in both.
type FigureHeld struct {
	Begun []FigureBegun `json:"begun"`
	Ended []FigureEnded `json:"ended"`
}

// FigureBegun is how many quarantines of a class were decided.
type FigureBegun struct {
	Class       reading.Class   `json:"class"`
	Profile     enforce.Profile `json:"profile"`
	Quarantines int64           `json:"quarantines"`
}

// FigureEnded is how many ended, and how.
type FigureEnded struct {
	Why         quarantine.Mechanism `json:"why"`
	Quarantines int64                `json:"quarantines"`
}

// FigureNotice is how many messages were written, by their way and where they stand.
type FigureNotice struct {
	Channel  notice.Channel `json:"channel" doc:"empty where no way leads to the customer"`
	State    string         `json:"state" enum:"waiting,sent,delivered,failed,unreachable"`
	Messages int64          `json:"messages"`
}

// count lists what a query counts by one or two names.
func count[T any](tx *store.Tx, begin, end int64, row func(a, b string, n int64) T, query string) ([]T, error) {
	out, err := store.List(tx, func(scan func(...any) error) (t T, err error) {
		var a, b string
		var n int64
		err = scan(&a, &b, &n)
		return row(a, b, n), err
	}, query, begin, end)
	if out == nil {
		out = []T{}
	}
	return out, err
}

// work is what was done about lines from begin to end.
func (f *Figures) work(tx *store.Tx, begin, end int64) (err error) {
	f.Closed, err = count(tx, begin, end, func(a, b string, n int64) FigureClosed { return FigureClosed{reading.Class(a), Reason(b), n} },
		`select a.class,c.outcome,count(*) from desk_case c join abuse_case a on a.id=c.id where c.capability='abuse' and c.state='closed' and c.closed_at>=$1 and c.closed_at<$2 group by a.class,c.outcome order by 3 desc,1,2`)
	if err != nil {
		return err
	}
	f.Quarantines.Begun, err = count(tx, begin, end, func(a, b string, n int64) FigureBegun { return FigureBegun{reading.Class(a), enforce.Profile(b), n} },
		`select class,profile,count(*) from abuse_quarantine where start_at>=$1 and start_at<$2 group by class,profile order by 3 desc,1,2`)
	if err != nil {
		return err
	}
	f.Quarantines.Ended, err = count(tx, begin, end, func(a, _ string, n int64) FigureEnded { return FigureEnded{quarantine.Mechanism(a), n} },
		`select mechanism,'',count(*) from abuse_quarantine where ended_at>=$1 and ended_at<$2 group by mechanism order by 3 desc,1`)
	if err != nil {
		return err
	}
	f.Notices, err = count(tx, begin, end, func(a, b string, n int64) FigureNotice { return FigureNotice{notice.Channel(a), b, n} },
		`select channel,state,count(*) from abuse_message where made_at>=$1 and made_at<$2 group by channel,state order by 1,2`)
	return err
}
