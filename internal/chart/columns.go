package chart

import "html/template"

// Columns are standing bars from zero, one for each step of time.
type Columns struct {
	About
	Steps []Step
	// Now and Before name the values where steps have a Before.
	Now, Before string
	// Axis tells a number of the axis; nil prints it bare.
	Axis   func(float64) string
	Width  float64 // 0 is Width
	Height float64 // 0 is 180
}

// Step is one step of time.
type Step struct {
	Label  string // below the axis: "Mar"
	Value  Value
	Before *Value // the same step of the period before
}

// widest is how wide a column is at most: one alone is no wall.
const widest = 56.0

// SVG is the picture. The highest value is told beside its column.
func (d Columns) SVG() template.HTML {
	width, height := d.Width, d.Height
	if width == 0 {
		width = Width
	}
	if height == 0 {
		height = 180
	}
	var all []Value
	compared := false
	for _, s := range d.Steps {
		all = append(all, s.Value)
		if s.Before != nil {
			compared, all = true, append(all, *s.Before)
		}
	}
	f := newField(open(d.About, "columns", width, height), width, height, compared && d.Now != "", d.Axis, all)
	if f.keyed {
		f.key(f.left, d.Now, d.Before)
	}
	if len(d.Steps) == 0 {
		return f.end()
	}
	step := (f.right - f.left) / float64(len(d.Steps))
	gap := max(step*0.16, 0.5)
	highest := -1
	for i, s := range d.Steps {
		if s.Value.drawn() && s.Value.Text != "" && (highest < 0 || s.Value.N > d.Steps[highest].Value.N) {
			highest = i
		}
	}
	for i, s := range d.Steps {
		w := min(step-2*gap, widest)
		x := f.left + step*(float64(i)+0.5) - w/2
		if s.Before != nil {
			f.column("c-before", *s.Before, x, w*0.46, s.Label+", "+d.Before)
			f.column("c-now", s.Value, x+w*0.5, w*0.5, s.Label+", "+d.Now)
			x, w = x+w*0.5, w*0.5
		} else {
			f.column("c-now", s.Value, x, w, s.Label)
		}
		if i == highest && s.Value.N > 0 {
			at := min(max(x+w/2, f.left+wide(s.Value.Text)/2), f.right-wide(s.Value.Text)/2)
			f.text("c-value", at, f.y(s.Value.N)-4, around, s.Value.Text)
		}
	}
	labels := make([]string, len(d.Steps))
	for i, s := range d.Steps {
		labels[i] = s.Label
	}
	f.below(labels, func(i int) float64 { return f.left + step*(float64(i)+0.5) })
	return f.end()
}

func (f *field) column(class string, v Value, x, w float64, title string) {
	if v.absent() {
		return
	}
	if v.Text != "" {
		title += ": " + v.Text
	}
	if v.Hidden {
		f.rect("c-hidden", x, f.floor-hiddenSize, w, hiddenSize, title)
		return
	}
	f.rect(class, x, f.y(v.N), w, f.floor-f.y(v.N), title)
}

// field is the part of a picture between the axes.
type field struct {
	*canvas
	left, right, ceil, floor float64
	top                      float64 // the number at the ceiling
	keyed                    bool
}

func newField(c *canvas, width, height float64, keyed bool, axis func(float64) string, all []Value) *field {
	if axis == nil {
		axis = plain
	}
	f := &field{canvas: c, right: width - 4, ceil: 18, floor: height - 22, keyed: keyed}
	if keyed {
		f.ceil = 38
	}
	top, marks := scale(all...)
	f.top = top
	f.left = wide("0")
	for _, m := range marks {
		f.left = max(f.left, wide(axis(m)))
	}
	f.left += 8
	for _, m := range marks {
		f.line("c-grid", f.left, f.y(m), f.right, f.y(m))
		f.text("c-axis", f.left-6, f.y(m)+4, toHere, axis(m))
	}
	f.text("c-axis", f.left-6, f.floor+4, toHere, "0")
	f.line("c-zero", f.left, f.floor, f.right, f.floor)
	return f
}

func (f *field) y(n float64) float64 { return f.floor - n/f.top*(f.floor-f.ceil) }

// below writes the steps' labels, leaving out what does not fit; the first and
// every so many-eth stay.
func (f *field) below(labels []string, x func(int) float64) {
	longest := 0.0
	for _, l := range labels {
		longest = max(longest, wide(l))
	}
	every := 1
	if len(labels) > 1 {
		for (x(1)-x(0))*float64(every) < longest+6 && every < len(labels) {
			every++
		}
	}
	for i := 0; i < len(labels); i += every {
		at := x(i)
		half := wide(labels[i]) / 2
		if at+half > f.right+4 {
			continue
		}
		f.text("c-axis", max(at, half), f.floor+16, around, labels[i])
	}
}
