package clean

import "time"

// Day is a day of UTC, in days since 1970.
type Day int64

// DayOf is the day of a time.
func DayOf(t time.Time) Day { return Day(t.Unix() / 86400) }

// Absence is for how long a line was not seen.
type Absence struct {
	// Days are the full days since the line was last seen on which the feeds that told
	// of it were heard.
	Days int `json:"days"`
	// Deaf are the other full days: nothing can be said of them.
	Deaf int `json:"deaf_days,omitempty"`
	// Watched says that a feed tells of such lines day by day. False: it was told once
	// by somebody, and days count as they pass.
	Watched bool `json:"watched"`
}

// Absent counts from the day after the line was last seen to the day before today.
// heard has the days on which one of the feeds that told of the line was heard; nil
// where no feed told of it.
func Absent(last, now time.Time, heard map[Day]bool) Absence {
	a := Absence{Watched: heard != nil}
	for d := DayOf(last) + 1; d < DayOf(now); d++ {
		if heard == nil || heard[d] {
			a.Days++
		} else {
			a.Deaf++
		}
	}
	return a
}

// Counted is for how many days the absence counts: of days on which nobody looked,
// every second one.
func (a Absence) Counted() int {
	if !a.Watched {
		return a.Days / 2
	}
	return a.Days
}

// Clean says whether a line that was not seen for so long is taken to be clean: after
// days where a feed watches it, after twice as many where none does.
func (a Absence) Clean(days int) bool { return a.Counted() >= days }
