package chart

import (
	"html/template"
	"time"
)

// Stages is a line of what happens one after the other, at equal distances,
// with the time between: the life of a block.
type Stages struct {
	About
	Steps []Stage
	// Small leaves out all words, for a row of a list: what is said is in About.
	Small bool
	Width float64 // 0 is 720, or 120 where it is small
}

// Stage is one stop of the line.
type Stage struct {
	Label string // "decided"
	At    string // when, in the reader's words; "" is not reached
	Gap   string // how long after the stop before: "12 min"
	Class string // "harm", "wait", "done" or ""
}

// SVG is the picture.
func (s Stages) SVG() template.HTML {
	width, height, y := s.Width, 64.0, 22.0
	if s.Small {
		height, y = 16, 8
	}
	if width == 0 {
		width = 720
		if s.Small {
			width = 120
		}
	}
	c := open(s.About, "stages", width, height)
	if len(s.Steps) == 0 {
		return c.end()
	}
	step := width / float64(len(s.Steps))
	if s.Small {
		step = (width - 16) / max(float64(len(s.Steps)-1), 1)
	}
	x := func(i int) float64 { return 8 + step*float64(i) }
	for i, st := range s.Steps {
		class := "c-stage"
		if st.At == "" {
			class = "c-stage open"
		}
		if i > 0 {
			c.line(class, x(i-1), y, x(i), y)
		}
	}
	for i, st := range s.Steps {
		class, title := meaning("c-stop", st.Class), st.Label+": "+st.At
		if st.At == "" {
			class, title = "c-stop open", st.Label
		}
		r := 6.0
		if s.Small {
			r = 4
		}
		c.dot(class, x(i), y, r, title)
		if s.Small {
			continue
		}
		if i > 0 && st.Gap != "" {
			c.text("c-axis", x(i)-step/2, y-8, around, st.Gap)
		}
		c.fitted("c-value", x(i)-6, y+20, fromHere, st.Label, step-8)
		c.fitted("c-axis", x(i)-6, y+36, fromHere, st.At, step-8)
	}
	return c.end()
}

// Timeline is rows over one true axis of time: what a campaign's names went
// through.
type Timeline struct {
	About
	From, To time.Time
	Rows     []TimeRow
	// Tell is a time on the axis, in the reader's words.
	Tell  func(time.Time) string
	Width float64 // 0 is 720
}

// TimeRow is one row: spans, and moments on them. What lies outside From and To
// is cut off at the edge.
type TimeRow struct {
	Label   string
	Spans   []Span
	Moments []Moment
}

// Span is from one time to another; a zero end is still going on.
type Span struct {
	From, To time.Time
	Title    string
	Class    string // "harm", "wait", "done" or ""
}

// Moment is a mark at one time.
type Moment struct {
	At    time.Time
	Title string
	Class string
}

// SVG is the picture.
func (t Timeline) SVG() template.HTML {
	width := t.Width
	if width == 0 {
		width = 720
	}
	tell := t.Tell
	if tell == nil {
		tell = func(at time.Time) string { return at.UTC().Format("2006-01-02 15:04") }
	}
	label := 0.0
	for _, r := range t.Rows {
		label = max(label, wide(r.Label))
	}
	label = min(label, width*0.35)
	left, right, floor := label+12, width-8, rowHeight*float64(len(t.Rows))+6
	c := open(t.About, "timeline", width, floor+22)
	length := t.To.Sub(t.From)
	if length <= 0 {
		length = 1
	}
	x := func(at time.Time) float64 {
		return left + min(max(float64(at.Sub(t.From))/float64(length), 0), 1)*(right-left)
	}
	marks := 4 // as many times as stand beside each other
	for told := max(wide(tell(t.From)), wide(tell(t.To))); marks > 1 && (right-left)/float64(marks) < 1.5*told+8; {
		marks--
	}
	for i := range marks + 1 {
		at := t.From.Add(length / time.Duration(marks) * time.Duration(i))
		c.line("c-grid", x(at), 0, x(at), floor)
		anchor := around
		switch i {
		case 0:
			anchor = fromHere
		case marks:
			anchor = toHere
		}
		c.text("c-axis", x(at), floor+16, anchor, tell(at))
	}
	c.line("c-zero", left, floor, right, floor)
	for i, r := range t.Rows {
		y := rowHeight * float64(i)
		c.fitted("c-label", left-8, y+rowHeight/2+4, toHere, r.Label, label)
		c.line("c-grid", left, y+rowHeight/2, right, y+rowHeight/2)
		for _, s := range r.Spans {
			to := s.To
			if to.IsZero() {
				to = t.To
			}
			if to.Before(t.From) || s.From.After(t.To) {
				continue
			}
			c.rect(meaning("c-now", s.Class), x(s.From), y+7, max(x(to)-x(s.From), 2), rowHeight-14, s.Title)
		}
		for _, m := range r.Moments {
			if m.At.Before(t.From) || m.At.After(t.To) {
				continue
			}
			c.dot(meaning("c-stop", m.Class), x(m.At), y+rowHeight/2, 4, m.Title)
		}
	}
	return c.end()
}
