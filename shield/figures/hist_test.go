package figures

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Days added up tell the same as all of it at once, never less than what was
// measured, and at most 9 % more.
func TestPercentiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Float64Range(1, 3e7), Least, 60).Draw(t, "seconds")
		sum := map[int]int64{}
		for _, s := range all {
			sum[Bucket(s)]++
		}
		slices.Sort(all)
		got := Percentiles(sum)
		for p, v := range map[float64]int64{0.5: got.P50, 0.95: got.P95} {
			want := all[max(int(float64(len(all))*p+0.9999999)-1, 0)]
			if float64(v) < want-1e-6 || float64(v) > want*1.0906+1 {
				t.Fatalf("p%v of %v is %d, want %v", 100*p, all, v, want)
			}
		}
	})
	if got := Percentiles(map[int]int64{3: 4}); got.Known {
		t.Errorf("four are told: %v", got)
	}
}
