package translation

import (
	"bytes"
	"time"

	"bolwerk"
)

// How far a line's own time may be from when it came: a sender keeps what it cannot send,
// so it may be late (as accounting may); it cannot be early, but clocks differ.
const (
	maxLate  = 72 * time.Hour
	maxEarly = maxAway
)

// When is when a line of syslog says that it was written: the TIMESTAMP of RFC 5424, a
// time of RFC 3339 in its place in the older header, or, where zone is not nil, the
// TIMESTAMP of RFC 3164 in that zone, of the year that fits best. A time that is more
// than 72 h before it came or five minutes after is none.
func When(line []byte, zone *time.Location, came time.Time) (time.Time, error) {
	at, ok := stamp(header(line), zone, came)
	if !ok {
		return at, bolwerk.WithHint(bolwerk.Invalid("a line without a time of its own and its zone: it may have waited"), "have the sender write times of RFC 3339, or say the translator's zone")
	}
	if d := came.Sub(at); d > maxLate || d < -maxEarly {
		return at, bolwerk.Invalid("a line of %s that came at %s: its clock is not believed", at.UTC().Format(time.RFC3339), came.UTC().Format(time.RFC3339))
	}
	return at.UTC(), nil
}

// header is a line from its time on: without priority and version.
func header(line []byte) []byte {
	if i := bytes.IndexByte(line, '>'); i > 0 && i <= 4 && line[0] == '<' {
		line = line[i+1:]
	}
	if len(line) > 2 && line[0] == '1' && line[1] == ' ' {
		line = line[2:]
	}
	return line
}

func stamp(line []byte, zone *time.Location, came time.Time) (time.Time, bool) {
	word, _, _ := bytes.Cut(line[:min(len(line), 64)], []byte(" "))
	if at, err := time.Parse(time.RFC3339Nano, string(word)); err == nil {
		return at, true
	}
	if zone == nil || len(line) < len(time.Stamp) {
		return time.Time{}, false
	}
	said, err := time.Parse(time.Stamp, string(line[:len(time.Stamp)]))
	if err != nil {
		return time.Time{}, false
	}
	// The year is not said, and at the end of summer time an hour is there twice: what is
	// nearest to when it came is meant.
	best, found := time.Time{}, false
	for year := came.Year() - 1; year <= came.Year()+1; year++ {
		at := time.Date(year, said.Month(), said.Day(), said.Hour(), said.Minute(), said.Second(), 0, zone)
		if at.Day() != said.Day() {
			continue // 29 February
		}
		for _, at := range []time.Time{at, at.Add(-time.Hour), at.Add(time.Hour)} {
			if at.Hour() == said.Hour() && (!found || came.Sub(at).Abs() < came.Sub(best).Abs()) {
				best, found = at, true
			}
		}
	}
	return best, found
}
