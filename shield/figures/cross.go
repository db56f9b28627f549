package figures

// Table is a figure by kind and by month at once, beside the same a year before.
// It is told only where nothing that is kept back can be worked out from it
// together with the figure's totals by kind and by month.
type Table struct {
	Figure  string     `json:"figure"`  // whose kinds these are
	By      string     `json:"by"`      // of the rows, such as brand
	Columns []string   `json:"columns"` // months
	Rows    []TableRow `json:"rows"`    // kinds whose total is shown, in its order; none where the table is not told
}

// TableRow is one kind.
type TableRow struct {
	Key         string `json:"key"`
	Total       Cell   `json:"total"`
	TotalBefore Cell   `json:"total_before"`
	Now         []Cell `json:"now"` // for each column
	Before      []Cell `json:"before"`
}

// Cross gives the cells of a table as they may be shown beside the totals of its
// rows and columns, which are known. The last row is all that has no row of its
// own; its cells are never shown, and of its kinds most says how many there may
// be in one cell. A cell below Least is Few, zero too: otherwise the zeros would
// tell the others. ok is false where some cell from 1 to 4 would still follow
// from the rest; nothing is shown then.
//
// Cells that are not shown are those of all tables with the same totals and the
// same shown cells. From the true one to any other leads a cycle of cells that
// take turns to give and to get one; a cell on no such cycle is the same in all.
// So whether ok is true depends on nothing but what is shown.
func Cross(cells [][]int64, most int64) (out [][]Cell, ok bool) {
	rows := len(cells)
	if rows == 0 {
		return nil, true
	}
	cols := len(cells[0])
	hidden := func(r, c int) bool { return r == rows-1 || cells[r][c] < Least }
	room := func(r int) int64 {
		if r == rows-1 {
			return most
		}
		return Least - 1
	}
	// Nodes are rows, then columns. A row leads to a column where the cell can get
	// one more, a column to a row where it can give one.
	changes := func(r, c int) bool {
		seen := make([]bool, rows+cols)
		for _, up := range []bool{true, false} { // the cell gets one, or gives one
			if up && cells[r][c] >= room(r) || !up && cells[r][c] == 0 {
				continue
			}
			from, to := rows+c, r
			if !up {
				from, to = r, rows+c
			}
			clear(seen)
			stack := []int{from}
			seen[from] = true
			for len(stack) > 0 {
				at := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				if at == to {
					return true
				}
				if at < rows {
					for j := range cols {
						if !seen[rows+j] && !(at == r && j == c) && hidden(at, j) && cells[at][j] < room(at) {
							seen[rows+j] = true
							stack = append(stack, rows+j)
						}
					}
					continue
				}
				for i := range rows {
					if j := at - rows; !seen[i] && !(i == r && j == c) && hidden(i, j) && cells[i][j] > 0 {
						seen[i] = true
						stack = append(stack, i)
					}
				}
			}
		}
		return false
	}
	for r := range rows - 1 {
		line := make([]Cell, cols)
		for c := range cols {
			if line[c].N = cells[r][c]; hidden(r, c) {
				line[c] = Cell{Mark: Few}
				if cells[r][c] > 0 && !changes(r, c) {
					return nil, false
				}
			}
		}
		out = append(out, line)
	}
	return out, true
}
