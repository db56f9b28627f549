package chart

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
)

// Lines are values over time, from zero, each line named at its end.
type Lines struct {
	About
	Steps  []string // labels of the steps of time
	Series []Line   // at most three: more cannot be told apart
	Axis   func(float64) string
	Width  float64 // 0 is Width
	Height float64 // 0 is 180
}

// Line is one line; it has a gap where a value is hidden or none.
type Line struct {
	Name   string
	Points []Value // one for each step
}

// SVG is the picture.
func (l Lines) SVG() template.HTML {
	width, height := l.Width, l.Height
	if width == 0 {
		width = Width
	}
	if height == 0 {
		height = 180
	}
	var all []Value
	name := 0.0
	for _, s := range l.Series {
		all = append(all, s.Points...)
		name = max(name, wide(s.Name))
	}
	f := newField(open(l.About, "lines", width, height), width, height, false, l.Axis, all)
	f.ceil = 14
	name = min(name, width*0.3)
	key := 0.0 // a piece of the line before its name: ends may lie on each other
	if len(l.Series) > 1 {
		key = 22
	}
	end := f.right - name - key - 8
	step := 0.0
	if len(l.Steps) > 1 {
		step = (end - f.left - 8) / float64(len(l.Steps)-1)
	}
	x := func(i int) float64 { return f.left + 4 + step*float64(i) }
	var names []ending
	for i, s := range l.Series {
		class := fmt.Sprintf("c-line c-line-%d", min(i, 2))
		y, any := f.path(class, s, x)
		if any {
			names = append(names, ending{s.Name, class, y})
		}
	}
	slices.SortFunc(names, func(a, b ending) int { return int(a.y - b.y) })
	for i := range names { // two names never stand on each other
		if i > 0 && names[i].y < names[i-1].y+14 {
			names[i].y = names[i-1].y + 14
		}
	}
	for i, last := len(names)-1, f.y(0)-4; i >= 0; i, last = i-1, last-14 { // nor below the axis
		names[i].y = min(names[i].y, last)
	}
	for _, n := range names {
		if key > 0 {
			f.line(n.class, end+6, n.y, end+key, n.y)
		}
		f.fitted("c-label", end+6+key, n.y+4, fromHere, n.name, name+charWidth)
	}
	f.below(l.Steps, x)
	return f.end()
}

type ending struct {
	name, class string
	y           float64
}

// path draws a line and gives the height of its last value.
func (f *field) path(class string, s Line, x func(int) float64) (last float64, any bool) {
	var d strings.Builder
	pen := false
	for i, v := range s.Points {
		if !v.drawn() {
			pen = false
			continue
		}
		cmd := "L"
		if !pen {
			cmd = "M"
		}
		fmt.Fprintf(&d, "%s%s %s", cmd, num(x(i)), num(f.y(v.N)))
		pen, any, last = true, true, f.y(v.N)
	}
	if !any {
		return 0, false
	}
	fmt.Fprintf(f, `<path class="%s" d="%s"/>`, class, d.String())
	for i, v := range s.Points {
		alone := (i == 0 || !s.Points[i-1].drawn()) && (i == len(s.Points)-1 || !s.Points[i+1].drawn())
		if v.drawn() && (alone || len(s.Points) <= 31) {
			f.dot(strings.Replace(class, "c-line ", "c-dot ", 1), x(i), f.y(v.N), 2.5, s.Name+": "+v.Text)
		}
	}
	return last, true
}

// Spark is a line without words, for a row of a table: the number stands beside it.
type Spark struct {
	About
	Points []float64
	Width  float64 // 0 is 80
}

// SVG is the picture, 20 pixels high, from zero.
func (s Spark) SVG() template.HTML {
	width := s.Width
	if width == 0 {
		width = 80
	}
	c := open(s.About, "spark", width, 20)
	most := 0.0
	for _, p := range s.Points {
		if (Value{N: p}).drawn() {
			most = max(most, p)
		}
	}
	c.line("c-grid", 0, 18.5, width, 18.5)
	if len(s.Points) == 0 {
		return c.end()
	}
	step := 0.0
	if len(s.Points) > 1 {
		step = (width - 6) / float64(len(s.Points)-1)
	}
	y := func(p float64) float64 {
		if most == 0 || !(Value{N: p}).drawn() {
			return 18
		}
		return 18 - p/most*15
	}
	c.WriteString(`<path class="c-line c-line-0" d="`)
	for i, p := range s.Points {
		cmd := "L"
		if i == 0 {
			cmd = "M"
		}
		fmt.Fprintf(c, "%s%s %s", cmd, num(3+step*float64(i)), num(y(p)))
	}
	c.WriteString(`"/>`)
	last := len(s.Points) - 1
	c.dot("c-dot c-line-0", 3+step*float64(last), y(s.Points[last]), 2.5, "")
	return c.end()
}
