package web

import (
	"fmt"
	"html/template"
	"strconv"
	"time"

	"bolwerk"
)

// Stamp is a time as the console shows it, with its zone: "2026-11-23 14:05 CET".
// The zero time is "–".
func Stamp(t time.Time, zone *time.Location) string {
	if t.IsZero() {
		return "–"
	}
	return t.In(zone).Format("2006-01-02 15:04 MST")
}

// Day is a date as the public reads it: "maandag 23 november 2026".
func (t *Texts) Day(lang bolwerk.Lang, at time.Time, zone *time.Location) string {
	at = at.In(zone)
	day := strconv.Itoa(at.Day())
	if at.Day() == 1 && lang == bolwerk.FR {
		day = "1er"
	}
	return t.T(lang, "date.day", t.T(lang, "date.weekday."+strconv.Itoa(int(at.Weekday()))), day,
		t.T(lang, "date.month."+strconv.Itoa(int(at.Month()))), strconv.Itoa(at.Year()))
}

// Moment is a time as the public reads it: "maandag 23 november 2026 om 14.05 uur".
func (t *Texts) Moment(lang bolwerk.Lang, at time.Time, zone *time.Location) string {
	if at.IsZero() {
		return "–"
	}
	local := at.In(zone)
	return t.T(lang, "date.moment", t.Day(lang, at, zone), fmt.Sprintf("%02d", local.Hour()), fmt.Sprintf("%02d", local.Minute()))
}

// Span is a length of time in its largest unit, the same in all languages:
// "45 s", "12 min", "3 h", "5 d".
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d > 0 && d < time.Second:
		return "< 1 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d d", d/(24*time.Hour))
}

// timeTag is a time with the exact moment for programs beside it.
func (f *Frame) timeTag(texts *Texts, lang bolwerk.Lang, at time.Time) template.HTML {
	if at.IsZero() {
		return "–"
	}
	text := ""
	if f.site.Console {
		text = Stamp(at, f.zone)
	} else {
		text = texts.Moment(lang, at, f.zone)
	}
	return template.HTML(`<time datetime="` + at.UTC().Format(time.RFC3339) + `">` + template.HTMLEscapeString(text) + `</time>`)
}
