package reading

import (
	"regexp"
	"strings"
	"time"
)

// zones are the names of zones that mails and logs use, in seconds. A name means
// nothing by itself (IST is three zones): those left out are not guessed.
var zones = map[string]int{
	"UT": 0, "UTC": 0, "GMT": 0, "Z": 0, "WET": 0, "BST": 1, "WEST": 1, "CET": 1, "MET": 1, "CEST": 2, "MEST": 2, "EET": 2, "EEST": 3, "MSK": 3,
	"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8, "HST": -10,
	"JST": 9, "KST": 9, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13,
}

var (
	comment   = regexp.MustCompile(`\([^()]*\)`)
	wideColon = regexp.MustCompile(`(\d): +(\d)`)
	zoneName  = regexp.MustCompile(`([ \d])([A-Z]{1,4})$`)
	weekday   = regexp.MustCompile(`^(?i:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? +`)
	offset    = regexp.MustCompile(`([+-])(\d\d):?(\d\d)$`)
)

var withZone = []string{
	"2006-01-02T15:04:05-0700", "2006-01-02T15:04-0700", "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05-0700", "2006-01-02 15:04 -0700",
	"2 Jan 2006 15:04:05 -0700", "2 Jan 2006 15:04 -0700", "2 January 2006 15:04:05 -0700", "2 Jan 06 15:04:05 -0700",
	"2 Jan 2006 3:04PM -0700", "02/Jan/2006:15:04:05 -0700", "Jan 2 15:04:05 2006 -0700", "Jan 2, 2006 15:04:05 -0700", "January 02 2006 15:04:05 -0700",
}

// when reads a time as mails, tables and logs write it. zone is what was written
// of a zone: "" where there was none, and then UTC is taken. ok is false where it
// is no time.
func when(s string) (t time.Time, zone string, ok bool) {
	if s == "" || len(s) > 200 {
		return time.Time{}, "", false
	}
	if t, err := time.Parse(time.DateTime, s); err == nil { // what the large feeds write
		return in(t, "")
	}
	s = strings.TrimSpace(comment.ReplaceAllString(s, ""))
	s = wideColon.ReplaceAllString(s, "$1:$2") // one reporter writes 21: 09:11
	s = strings.Join(strings.Fields(weekday.ReplaceAllString(s, "")), " ")
	switch m := zoneName.FindStringSubmatch(s); {
	case offset.MatchString(s):
		zone = offset.FindString(s)
		s = offset.ReplaceAllString(s, "$1$2$3")
	case m != nil && !(m[2] == "AM" || m[2] == "PM"):
		hours, known := zones[m[2]]
		if !known {
			return time.Time{}, "", false
		}
		zone = m[2]
		base := strings.TrimSpace(s[:len(s)-len(m[2])])
		for _, layout := range withZone {
			t, err := time.Parse(layout, base+gap(layout)+"+0000")
			if err == nil {
				return in(t.Add(-time.Duration(hours)*time.Hour), zone)
			}
		}
		return time.Time{}, "", false
	default:
		s += " +0000"
		if t, _, ok := parse(s); ok {
			return in(t, "")
		}
		s = strings.Replace(s, " +0000", "+0000", 1)
	}
	t, _, ok = parse(s)
	if !ok {
		return time.Time{}, "", false
	}
	return in(t, zone)
}

// gap is what stands before the zone in a layout.
func gap(layout string) string {
	if strings.HasSuffix(layout, " -0700") {
		return " "
	}
	return ""
}

func parse(s string) (time.Time, string, bool) {
	for _, layout := range withZone {
		if t, err := time.Parse(layout, s); err == nil {
			return t, "", true
		}
	}
	return time.Time{}, "", false
}

// in refuses years that no report means: the store and the look-ups count in
// microseconds from 1970.
func in(t time.Time, zone string) (time.Time, string, bool) {
	t = t.UTC()
	if t.Year() < 1990 || t.Year() > 2100 {
		return time.Time{}, "", false
	}
	return t, zone, true
}

// at sets the time of an event from a text. zone is what the format says of
// tables without one: "UTC".
func (e *Event) at(s, zone string) bool {
	t, written, ok := when(s)
	if !ok {
		return false
	}
	if written == "" {
		written = zone
	}
	e.Time, e.Zone = t, written
	return true
}

// span sets From and To; texts that are no times are left out.
func (e *Event) span(from, to string) {
	a, _, okA := when(from)
	b, _, okB := when(to)
	switch {
	case okA && okB:
		e.From, e.To = a, b
	case okA && a.Before(e.Time):
		e.From, e.To = a, e.Time
	case okB && b.After(e.Time) && !e.Time.IsZero():
		e.From, e.To = e.Time, b
	case okA && a.After(e.Time):
		e.warn("begins-after-its-time")
	}
}

// seconds is a time as seconds since 1970.
func seconds(f float64) (time.Time, bool) {
	if !(f > 6e8 && f < 4.2e9) {
		return time.Time{}, false
	}
	return time.UnixMicro(int64(f * 1e6)).UTC(), true
}
