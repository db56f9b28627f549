package clean

import (
	"math"
	"testing"
	"time"
)

// The times of the six in the worked example of Kaplan and Meier's method that text
// books begin with: 1 ended, 2 goes on, 3 ended twice, 4 goes on, 5 ended.
func TestCurve(t *testing.T) {
	c := Curve([]Life{{3, true}, {1, true}, {2, false}, {3, true}, {4, false}, {5, true}})
	want := []struct {
		day, left float64
		known     int
	}{{0, 1, 6}, {1, 5. / 6, 6}, {3, 5. / 6 * 2 / 4, 4}, {5, 0, 1}}
	if len(c) != len(want) {
		t.Fatalf("%d points: %+v", len(c), c)
	}
	for i, w := range want {
		p := c[i]
		if p.Day != w.day || math.Abs(p.Left-w.left) > 1e-12 || p.Known != w.known || p.Low > p.Left || p.High < p.Left {
			t.Errorf("point %d is %+v, want %+v", i, p, w)
		}
	}
	if m, ok := Median(c); !ok || m != 3 {
		t.Errorf("median %v %v, want 3", m, ok)
	}
	if m, ok := Median(Curve([]Life{{2, false}, {9, false}})); ok {
		t.Errorf("median %v of lines of which none is clean", m)
	}
	if got, ok := At(c, 4.9); !ok || math.Abs(got-5./12) > 1e-12 {
		t.Errorf("at 4.9 days %v, %v", got, ok)
	}
	if c := Curve(nil); len(c) != 1 || c[0].Known != 0 {
		t.Errorf("of none: %+v", c)
	}
}

// What is not over yet must not make a curve fall, and leaving it out would.
func TestCurve_goes_on(t *testing.T) {
	var lives []Life
	for range 10 {
		lives = append(lives, Life{1, true}, Life{30, false})
	}
	if got, ok := At(Curve(lives), 29); !ok || got != 0.5 {
		t.Errorf("half went on, the curve says %v, %v", got, ok)
	}
}

// Where nobody was observed any more a curve ends: two weeks say nothing of sixty days.
// Where all were clean it stays at none.
func TestCurve_ends(t *testing.T) {
	two := Curve([]Life{{2, true}, {9, false}, {14, false}, {14, false}})
	if end := two[len(two)-1]; len(two) != 3 || end.Day != 14 || end.Left != 0.75 || end.Known != 2 || end.Low != two[1].Low {
		t.Errorf("curve %+v", two)
	}
	all := Curve([]Life{{1, true}, {14, true}})
	for _, c := range []struct {
		name  string
		curve []Point
		day   float64
		left  float64
		known bool
	}{{"at its beginning", two, 0, 1, true}, {"within", two, 13, 0.75, true}, {"at its end", two, 14, 0.75, true}, {"behind", two, 15, 0.75, false}, {"long behind", two, 60, 0.75, false},
		{"all are clean", all, 60, 0, true}, {"of none", Curve(nil), 1, 1, false}, {"nobody became clean", Curve([]Life{{3, false}}), 3, 1, true}, {"nobody was seen longer", Curve([]Life{{3, false}}), 4, 1, false}} {
		if left, known := At(c.curve, c.day); left != c.left || known != c.known {
			t.Errorf("%s: %v, %v, want %v, %v", c.name, left, known, c.left, c.known)
		}
	}
}

func TestAbsent(t *testing.T) {
	last := time.Date(2026, 11, 1, 23, 0, 0, 0, time.UTC)
	now := time.Date(2026, 11, 11, 1, 0, 0, 0, time.UTC)
	heard := map[Day]bool{}
	for d := DayOf(last); d <= DayOf(now); d++ {
		heard[d] = d != DayOf(last)+3
	}
	if a := Absent(last, now, heard); a != (Absence{Days: 8, Deaf: 1, Watched: true}) || !a.Clean(8) || a.Clean(9) {
		t.Errorf("heard on all days but one: %+v", a)
	}
	if a := Absent(last, now, nil); a != (Absence{Days: 9}) || a.Clean(5) || !a.Clean(4) {
		t.Errorf("nobody watches: %+v", a)
	}
	if a := Absent(now, last, heard); a.Days+a.Deaf != 0 {
		t.Errorf("seen after now: %+v", a)
	}
}
