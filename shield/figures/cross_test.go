package figures

import (
	"fmt"
	"testing"
)

// All tables of two brands and the rest by up to three months are grouped by
// what a reader sees of them, the totals of rows and columns among it: no cell
// from 1 to 4 has one value only.
func TestNothingFollowsFromATable(t *testing.T) {
	const most = 6 // values of a cell: some are shown
	for _, size := range []struct{ rows, cols int }{{2, 2}, {3, 2}, {2, 3}} {
		type group struct {
			values []map[int64]bool
		}
		seen := map[string]*group{}
		n := size.rows * size.cols
		flat := make([]int64, n)
		for {
			cells := make([][]int64, size.rows)
			totals := ""
			for r := range cells {
				cells[r] = flat[r*size.cols : (r+1)*size.cols]
				sum := int64(0)
				for _, v := range cells[r] {
					sum += v
				}
				totals += fmt.Sprint(sum, " ")
			}
			for c := range size.cols {
				sum := int64(0)
				for r := range cells {
					sum += cells[r][c]
				}
				totals += fmt.Sprint("|", sum)
			}
			out, ok := Cross(cells, most)
			if ok {
				k := fmt.Sprint(totals, out)
				g := seen[k]
				if g == nil {
					g = &group{values: make([]map[int64]bool, n)}
					for i := range g.values {
						g.values[i] = map[int64]bool{}
					}
					seen[k] = g
				}
				for i, v := range flat {
					g.values[i][v] = true
				}
			}
			i := 0
			for ; i < n; i++ {
				if flat[i]++; flat[i] <= most {
					break
				}
				flat[i] = 0
			}
			if i == n {
				break
			}
		}
		if len(seen) == 0 {
			t.Fatalf("%v: no table is told", size)
		}
		for k, g := range seen {
			for i, values := range g.values[:n-size.cols] { // the rest is never shown and no kind of its own
				if len(values) > 1 {
					continue
				}
				for v := range values {
					if v > 0 && v < Least {
						t.Fatalf("%v %s: cell %d can only be %d", size, k, i, v)
					}
				}
			}
		}
	}
}

func TestATableThatGivesSomethingAwayIsNotTold(t *testing.T) {
	if _, ok := Cross([][]int64{{7, 3}, {0, 0}}, 4); ok {
		t.Error("a brand of 10 with 7 in one month has 3 in the other: told")
	}
	out, ok := Cross([][]int64{{12, 3, 2}, {2, 8, 3}, {1, 1, 1}}, 4)
	if !ok || out[0][0].N != 12 || out[0][1].Mark != Few || out[1][1].N != 8 {
		t.Errorf("got %v %t", out, ok)
	}
}
