package figures

import (
	"encoding/json"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// key is all that a reader sees.
func key(total Cell, out []Cell) string { return fmt.Sprint(total, out) }

// No number that is not shown can be worked out from those that are, even by a
// reader who knows the rules and tries every table: all tables of up to four
// parts are grouped by what is shown of them, and in each group every part that
// is not shown has at least two values.
func TestNothingCanBeWorkedOut(t *testing.T) {
	for size, most := range map[int]int64{1: 40, 2: 40, 3: 24, 4: 14, 5: 10, 6: 7} {
		type group struct{ values []map[int64]bool }
		seen := map[string]*group{}
		shown := map[string][]Cell{}
		parts := make([]int64, size)
		for {
			total, out := Suppress(parts)
			var sum int64
			for _, n := range parts {
				sum += n
			}
			k := fmt.Sprint(sum > most, key(total, out)) // above it not every table was tried
			g := seen[k]
			if g == nil {
				g = &group{make([]map[int64]bool, size+1)}
				for i := range g.values {
					g.values[i] = map[int64]bool{}
				}
				seen[k], shown[k] = g, append(out, total)
			}
			for i, n := range parts {
				g.values[i][n] = true
			}
			g.values[size][sum] = true
			i := 0
			for ; i < size; i++ {
				if parts[i]++; parts[i] <= most {
					break
				}
				parts[i] = 0
			}
			if i == size {
				break
			}
		}
		bad := 0
		for k, g := range seen {
			if k[0] == 't' {
				continue
			}
			for i, c := range shown[k] {
				if c.Mark != Shown && len(g.values[i]) < 2 {
					if bad++; bad < 5 {
						t.Errorf("%d parts: %s gives part %d away: %v", size, k, i, g.values[i])
					}
				}
			}
		}
		if bad > 0 {
			t.Errorf("%d parts: %d of %d tables give a number away", size, bad, len(seen))
		}
	}
}

// What is shown is true, and what must not be is not, in tables of any size.
func TestSuppress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(0, 8), rapid.Int64Range(0, 1e6)), 0, 40).Draw(t, "parts")
		total, out := Suppress(parts)
		var sum, hidden, rest int64
		for i, c := range out {
			sum += parts[i]
			switch c.Mark {
			case Shown:
				if c.N != parts[i] || c.N > 0 && c.N < Least {
					t.Fatalf("part %d of %v is shown as %v", i, parts, c)
				}
			case Few, Held:
				hidden++
				rest += parts[i]
				if c.N != 0 {
					t.Fatalf("part %d of %v is not shown, and is %v", i, parts, c)
				}
			}
		}
		switch {
		case total.Mark == Shown && total.N != sum, total.Mark == Shown && sum > 0 && sum < Least:
			t.Fatalf("the total of %v is shown as %v", parts, total)
		case total.Mark == Shown && hidden == 1:
			t.Fatalf("%v less %v is the only number that is not shown of %v", total, out, parts)
		case total.Mark == Shown && hidden > 0 && rest == hidden:
			t.Fatalf("what is not shown of %v adds up to as many as there are: each is 1", parts)
		}
		b, err := json.Marshal(append(out, total))
		if err != nil {
			t.Fatal(err)
		}
		var back []Cell
		if err := json.Unmarshal(b, &back); err != nil || key(total, out) != key(back[len(out)], back[:len(out)]) {
			t.Fatalf("%s comes back as %v: %v", b, back, err)
		}
	})
}

// A share tells no more than the numbers beside it.
func TestShare(t *testing.T) {
	few, held, n := Cell{Mark: Few}, Cell{Mark: Held}, func(n int64) Cell { return Cell{N: n} }
	for _, c := range []struct {
		whole Cell
		parts []Cell
		want  Percent
	}{
		{n(200), []Cell{n(10), n(0)}, Percent{true, false, 5}},
		{n(200), []Cell{few, n(5)}, Percent{true, true, 4.5}},
		{n(200), []Cell{held}, Percent{}},
		{few, []Cell{few}, Percent{}},
		{n(0), []Cell{n(0)}, Percent{}},
	} {
		if got := Share(c.whole, c.parts...); got != c.want {
			t.Errorf("%v of %v is %v, want %v", c.parts, c.whole, got, c.want)
		}
	}
}
