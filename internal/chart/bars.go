package chart

import "html/template"

// Bars are lying bars, one for each row, from zero: what there is of each kind.
type Bars struct {
	About
	Rows []Row
	// Now and Before name the two values of a row where rows have a Before.
	Now, Before string
	Width       float64 // 0 is Width
}

// Row is one kind.
type Row struct {
	Label  string
	Value  Value
	Before *Value // the same of the period before; nil where it is not compared
	Class  string // "harm", "wait", "done" or "": its meaning
}

// hiddenSize is the mark of a number that must not be known.
const hiddenSize = 6.0

// SVG is the picture.
func (b Bars) SVG() template.HTML {
	width := b.Width
	if width == 0 {
		width = Width
	}
	label, told := 0.0, 0.0
	var all []Value
	compared := false
	for _, r := range b.Rows {
		label = max(label, wide(r.Label))
		told = max(told, wide(r.Value.Text))
		all = append(all, r.Value)
		if r.Before != nil {
			compared = true
			all = append(all, *r.Before)
			told = max(told, wide(r.Before.Text))
		}
	}
	label = min(label, width*0.42)
	left := label + 8
	room := max(width-left-told*1.15-8, 40) // what is told is bold
	most := 0.0
	for _, v := range all {
		if v.drawn() {
			most = max(most, v.N)
		}
	}
	step, top := rowHeight, 0.0
	if compared {
		step = rowHeight + 12
		if b.Now != "" {
			top = 20
		}
	}
	c := open(b.About, "bars", width, top+step*float64(len(b.Rows))+4)
	if top > 0 {
		c.key(left, b.Now, b.Before)
	}
	bar := func(class string, v Value, y, h float64, title string) {
		if v.absent() {
			return
		}
		w := hiddenSize
		switch {
		case v.Hidden:
			class = "c-hidden"
		case most > 0:
			w = v.N / most * room
		default:
			w = 0
		}
		c.rect(class, left, y, w, h, title)
		c.text("c-value", left+w+6, y+h/2+4, fromHere, v.Text)
	}
	for i, r := range b.Rows {
		y := top + step*float64(i)
		if r.Before == nil {
			c.fitted("c-label", left-8, y+rowHeight/2+4, toHere, r.Label, label)
			bar(meaning("c-now", r.Class), r.Value, y+5, rowHeight-10, r.Label+": "+r.Value.Text)
			continue
		}
		c.fitted("c-label", left-8, y+step/2+4, toHere, r.Label, label)
		bar(meaning("c-now", r.Class), r.Value, y+4, 14, r.Label+", "+b.Now+": "+r.Value.Text)
		bar("c-before", *r.Before, y+20, 12, r.Label+", "+b.Before+": "+r.Before.Text)
	}
	c.line("c-zero", left, top, left, top+step*float64(len(b.Rows)))
	return c.end()
}

// meaning adds a state's class to a mark's.
func meaning(class, state string) string {
	switch state {
	case "harm", "wait", "done":
		return class + " " + state
	}
	return class
}

// key names the two kinds of marks, each beside a mark of its own.
func (c *canvas) key(x float64, now, before string) {
	c.rect("c-now", x, 4, 10, 10, "")
	c.text("c-label", x+14, 13, fromHere, now)
	x += 14 + wide(now) + 16
	c.rect("c-before", x+0.5, 4.5, 9, 9, "")
	c.text("c-label", x+14, 13, fromHere, before)
}
