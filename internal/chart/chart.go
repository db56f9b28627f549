// Package chart draws the few pictures of the house as SVG: bars and columns
// from zero, lines for time, a line of stages, a timeline, a spark. The same
// picture stands on a page and in a report. It has no colour of its own: its
// classes take the colours of the page, light, dark or printed.
//
// Everything that is drawn is also in Title and Desc, and the page puts a table
// behind it: a picture is never the only place of a number.
package chart

import (
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// CSS is the part of the stylesheet that pictures need. The console's and the
// public site's stylesheet have it; a document that stands alone takes it in.
//
//go:embed chart.css
var CSS string

// Width is how wide a picture is drawn where it does not say itself, in pixels:
// readable on a phone, and not much larger on a desk.
const Width = 440

// Value is a number as it is drawn and told.
type Value struct {
	N    float64
	Text string // as it stands beside the mark: "1,204"; "" is not told
	// Hidden is a number that must not be known. It is drawn as a mark of one
	// size, whatever N is, with Text ("< 5").
	Hidden bool
	// None is no number at all: nothing is drawn, a line has a gap.
	None bool
}

// largest is what a picture can measure: nothing that is counted comes near.
const largest = 1e15

// drawn says that v may have a size.
func (v Value) drawn() bool { return !v.Hidden && !v.None && v.N >= 0 && v.N <= largest }

// absent says that there is nothing to draw for v, not even the mark of a hidden one.
func (v Value) absent() bool { return v.None || !v.Hidden && !v.drawn() }

// About is what a picture says of itself to those who do not see it.
type About struct {
	ID    string // of the element, once on a page: letters, digits and "-"
	Title string // what it is: "Reports per month"
	Desc  string // what it shows: "Most in March: 1,204"
}

// Sizes, in pixels of the drawing.
const (
	textSize  = 12.0
	charWidth = 0.58 * textSize // of a system's sans-serif, on average
	rowHeight = 26.0
)

// canvas writes one SVG.
type canvas struct {
	strings.Builder
}

func open(a About, kind string, width, height float64) *canvas {
	c := &canvas{}
	id := safeID(a.ID)
	fmt.Fprintf(c, `<svg class="chart %s" viewBox="0 0 %s %s" width="%s" height="%s" role="img"`, kind, num(width), num(height), num(width), num(height))
	if id != "" {
		fmt.Fprintf(c, ` aria-labelledby="%s-t"`, id)
		if a.Desc != "" {
			fmt.Fprintf(c, ` aria-describedby="%s-d"`, id)
		}
		fmt.Fprintf(c, `><title id="%s-t">%s</title>`, id, esc(a.Title))
		if a.Desc != "" {
			fmt.Fprintf(c, `<desc id="%s-d">%s</desc>`, id, esc(a.Desc))
		}
		return c
	}
	fmt.Fprintf(c, ` aria-label="%s"><title>%s</title>`, esc(a.Title), esc(a.Title))
	if a.Desc != "" {
		fmt.Fprintf(c, `<desc>%s</desc>`, esc(a.Desc))
	}
	return c
}

func (c *canvas) end() template.HTML {
	c.WriteString("</svg>")
	return template.HTML(c.String())
}

func (c *canvas) rect(class string, x, y, w, h float64, title string) {
	fmt.Fprintf(c, `<rect class="%s" x="%s" y="%s" width="%s" height="%s"`, class, num(x), num(y), num(w), num(h))
	if title == "" {
		c.WriteString("/>")
		return
	}
	fmt.Fprintf(c, `><title>%s</title></rect>`, esc(title))
}

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(c, `<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`, class, num(x1), num(y1), num(x2), num(y2))
}

func (c *canvas) dot(class string, x, y, r float64, title string) {
	fmt.Fprintf(c, `<circle class="%s" cx="%s" cy="%s" r="%s"`, class, num(x), num(y), num(r))
	if title == "" {
		c.WriteString("/>")
		return
	}
	fmt.Fprintf(c, `><title>%s</title></circle>`, esc(title))
}

// Where a text stands to its point.
const (
	fromHere = ""
	toHere   = "end"
	around   = "middle"
)

func (c *canvas) text(class string, x, y float64, anchor, s string) {
	if s == "" {
		return
	}
	fmt.Fprintf(c, `<text class="%s" x="%s" y="%s"`, class, num(x), num(y))
	if anchor != "" {
		fmt.Fprintf(c, ` text-anchor="%s"`, anchor)
	}
	fmt.Fprintf(c, `>%s</text>`, esc(s))
}

// fitted is a text of at most width; what does not fit is told when pointed at.
func (c *canvas) fitted(class string, x, y float64, anchor, s string, width float64) {
	room := int(width / charWidth)
	r := []rune(s)
	if len(r) <= room {
		c.text(class, x, y, anchor, s)
		return
	}
	fmt.Fprintf(c, `<text class="%s" x="%s" y="%s"`, class, num(x), num(y))
	if anchor != "" {
		fmt.Fprintf(c, ` text-anchor="%s"`, anchor)
	}
	fmt.Fprintf(c, `><title>%s</title>%s…</text>`, esc(s), esc(strings.TrimRight(string(r[:max(room-1, 1)]), " ")))
}

func wide(s string) float64 { return float64(len([]rune(s))) * charWidth }

// esc makes s safe between tags and in quotes. Control characters are not
// allowed in XML.
func esc(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\t' && r != '\n' || r == 0xFFFE || r == 0xFFFF {
			return 0xFFFD
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return template.HTMLEscapeString(s)
}

func safeID(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, s)
}

func num(f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "0"
	}
	return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64)
}

// scale is an axis from zero to a round number that is not below any value,
// and its marks.
func scale(values ...Value) (top float64, marks []float64) {
	most := 0.0
	for _, v := range values {
		if v.drawn() {
			most = max(most, v.N)
		}
	}
	if most == 0 {
		return 1, nil
	}
	unit := math.Pow(10, math.Floor(math.Log10(most)))
	for _, m := range []float64{1, 1.5, 2, 3, 4, 5, 8, 10} {
		if top = m * unit; top >= most {
			break
		}
	}
	if half := top / 2; top < 1000 && half != math.Trunc(half) {
		return top, []float64{top}
	}
	return top, []float64{top / 2, top}
}

// plain is a number where the caller has no words for it.
func plain(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
