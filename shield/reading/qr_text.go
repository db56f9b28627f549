package reading

import (
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// Phishers draw QR codes where scanners do not look for pictures: with block
// characters in a text, with the cells of a table. Both are exact: each square
// is there, no camera has come between.

const (
	minModules = 21 // of the smallest QR code
	maxModules = 177 + 16
	maxGrids   = 20 // of one report that are tried
)

// drawnInText looks for what a text draws with its characters.
func (c *collector) drawnInText(s string, role Role, via []string) {
	if role == Lure && blocky(s) && !c.postpone() {
		c.blocks(s, role, via)
	}
}

// drawnInPage looks for what a page draws: with characters, with the cells of
// its tables, with pictures that stand in its own source.
func (c *collector) drawnInPage(src, text string, role Role, via []string) {
	if role != Lure {
		return
	}
	blocks, table, data := blocky(src), manyCells(src), strings.Contains(src, "data:image/")
	if !blocks && !table && !data || c.postpone() {
		return
	}
	if blocks {
		c.blocks(text, role, via)
		c.blocks(asTyped(src), role, via)
	}
	if table {
		c.tableGrids(src, role, via)
	}
	if data {
		c.dataImages(src, role, via)
	}
}

func blocky(src string) bool {
	for _, s := range []string{"█", "▀", "▄", "&#9608", "&#x2588", "&block;"} {
		if strings.Contains(src, s) {
			return true
		}
	}
	return false
}

// asTyped is the text of a page with the white space that is in its source,
// which <pre> and "white-space: pre" show.
func asTyped(src string) string {
	var b strings.Builder
	z := html.NewTokenizer(strings.NewReader(src))
	z.SetMaxBuf(maxToken)
	for b.Len() < MaxTextBytes {
		switch z.Next() {
		case html.ErrorToken:
			return b.String()
		case html.TextToken:
			b.Write(z.Text())
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			if name, _ := z.TagName(); breaking[string(name)] {
				b.WriteByte('\n')
			}
		}
	}
	return b.String()
}

// blocks looks for QR codes drawn with the characters of U+2580 to U+2588.
func (c *collector) blocks(s string, role Role, via []string) {
	if !strings.ContainsAny(s, "█▀▄") {
		return
	}
	var run []string
	flush := func() {
		if len(run)*2 >= minModules {
			c.blockGrid(run, role, via)
		}
		run = nil
	}
	for line := range strings.Lines(s) {
		line = strings.TrimRight(line, "\r\n")
		if !blockLine(line) {
			flush()
			continue
		}
		if len(run) < maxModules {
			run = append(run, line)
		}
	}
	flush()
}

// blockLine says that a line is made of blocks and spaces only. Lines of spaces
// are part of a code on light ground.
func blockLine(s string) bool {
	if s == "" || len(s) > 4*2*maxModules {
		return false
	}
	n := 0
	for _, r := range s {
		switch r {
		case '█', '▀', '▄', '▌', '▐', '░', '▒', '▓', ' ', '\u00a0', '\u2002', '\u2003', '\u2007', '\u3000':
			n++
		default:
			return false
		}
	}
	return n >= 10
}

// blockGrid tries a run of lines: two modules above each other in a character,
// or a module in one or two characters.
func (c *collector) blockGrid(run []string, role Role, via []string) {
	half, wide := false, 0
	for _, l := range run {
		half = half || strings.ContainsAny(l, "▀▄")
		wide = max(wide, len([]rune(l)))
	}
	var grid [][]bool
	for _, l := range run {
		top, bottom := make([]bool, wide), make([]bool, wide)
		x := 0
		for _, r := range l {
			switch r {
			case '█', '▓', '▒', '▌', '▐':
				top[x], bottom[x] = true, true
			case '▀':
				top[x] = true
			case '▄':
				bottom[x] = true
			}
			x++
		}
		grid = append(grid, top)
		if half {
			grid = append(grid, bottom)
		}
	}
	if !half {
		// "██" for a module, mostly.
		if wide >= 2*minModules {
			for y, row := range grid {
				var narrow []bool
				for x := 0; x+1 < len(row); x += 2 {
					narrow = append(narrow, row[x])
				}
				grid[y] = narrow
			}
		}
	}
	c.tryGrid(grid, role, append(slices.Clone(via), "qr:blocks"))
}

// tryGrid decodes a grid, dark on light and light on dark, without its border.
func (c *collector) tryGrid(grid [][]bool, role Role, via []string) {
	if c.seen.grids++; c.seen.grids > maxGrids {
		return
	}
	for _, invert := range []bool{false, true} {
		if text, ok := decodeModules(cropped(grid, invert)); ok {
			if !c.add(strings.TrimSpace(text), role, via, "") {
				c.scanText(string(c.clip([]byte(clean(text)))), role, via)
			}
			return
		}
	}
}

// cropped cuts a grid to what is dark.
func cropped(grid [][]bool, invert bool) [][]bool {
	x0, y0, x1, y1 := 1<<30, 1<<30, -1, -1
	for y, row := range grid {
		for x, d := range row {
			if d != invert {
				x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
			}
		}
	}
	if x1 < 0 {
		return nil
	}
	// A frame of the code's own light ground, drawn on a page that is neither:
	// dark goes to the edge, the corners tell.
	var out [][]bool
	for y := y0; y <= y1; y++ {
		line := make([]bool, x1-x0+1)
		for x := range line {
			if x+x0 < len(grid[y]) {
				line[x] = grid[y][x+x0] != invert
			} else {
				line[x] = false
			}
		}
		out = append(out, line)
	}
	return out
}

func manyCells(src string) bool {
	return strings.Count(src, "<td")+strings.Count(src, "<TD") >= minModules*minModules/4
}

// tableGrids looks for QR codes drawn with the cells of a table. What tells dark
// from light is not asked: two looks of a cell are, and both ways are tried.
func (c *collector) tableGrids(src string, role Role, via []string) {
	type table struct{ rows [][]string }
	var open []*table
	z := html.NewTokenizer(strings.NewReader(src))
	z.SetMaxBuf(maxToken)
	cells := 0
	finish := func() {
		t := open[len(open)-1]
		open = open[:len(open)-1]
		c.tableGrid(t.rows, role, via)
	}
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken && kind != html.EndTagToken {
			continue
		}
		name, more := z.TagName()
		switch tag := string(name); {
		case kind == html.EndTagToken:
			if tag == "table" && len(open) > 0 {
				finish()
			}
		case tag == "table":
			if len(open) < 50 {
				open = append(open, &table{})
			}
		case tag == "tr" && len(open) > 0:
			t := open[len(open)-1]
			if len(t.rows) <= maxModules {
				t.rows = append(t.rows, nil)
			}
		case (tag == "td" || tag == "th") && len(open) > 0 && len(open[len(open)-1].rows) > 0:
			look, span := "", 1
			for n := 0; more && n < 20; n++ {
				var k, v []byte
				k, v, more = z.TagAttr()
				switch string(k) {
				case "bgcolor", "class", "background":
					look += string(k) + "=" + strings.ToLower(string(v)) + ";"
				case "style":
					look += background(string(v))
				case "colspan":
					span = count(string(v))
				}
			}
			if cells += span; cells > 200_000 {
				return
			}
			t := open[len(open)-1]
			row := &t.rows[len(t.rows)-1]
			for range span {
				if len(*row) <= maxModules {
					*row = append(*row, look)
				}
			}
		}
	}
	for len(open) > 0 {
		finish()
	}
}

func count(s string) int {
	n := 0
	for _, r := range strings.TrimSpace(s) {
		if r < '0' || r > '9' || n > maxModules {
			break
		}
		n = n*10 + int(r-'0')
	}
	return max(1, min(n, maxModules))
}

// background is what a style says of the ground.
func background(style string) string {
	for part := range strings.SplitSeq(strings.ToLower(style), ";") {
		if k, v, ok := strings.Cut(part, ":"); ok && strings.HasPrefix(strings.TrimSpace(k), "background") {
			return "ground=" + strings.ReplaceAll(v, " ", "") + ";"
		}
	}
	return ""
}

// tableGrid tries the cells of one table: the two commonest looks are dark and
// light, others are light.
func (c *collector) tableGrid(rows [][]string, role Role, via []string) {
	rows = slices.DeleteFunc(rows, func(r []string) bool { return len(r) < minModules })
	if len(rows) < minModules {
		return
	}
	looks := map[string]int{}
	for _, r := range rows {
		for _, l := range r {
			looks[l]++
		}
	}
	if len(looks) < 2 || len(looks) > 10 {
		return
	}
	var names []string
	for l := range looks {
		names = append(names, l)
	}
	slices.SortFunc(names, func(a, b string) int {
		if looks[a] != looks[b] {
			return looks[b] - looks[a]
		}
		return strings.Compare(a, b)
	})
	grid := make([][]bool, len(rows))
	for y, r := range rows {
		grid[y] = make([]bool, len(r))
		for x, l := range r {
			grid[y][x] = l == names[0]
		}
	}
	c.tryGrid(grid, role, append(slices.Clone(via), "qr:table"))
}
