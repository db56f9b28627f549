package handin

import "testing"

// FuzzReplayed: what a host tells of its replay is read as it was written, and
// anything else is nothing.
func FuzzReplayed(f *testing.F) {
	for _, line := range []string{"r1 200 going", "0190-x 0 done", "", "r1 -1 done", "r1 9999999999999999999 done", "a b c", " 1 done", "r1 +1 done"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		id, n, done, ok := readReplayed(line)
		if !ok {
			return
		}
		if id == "" || n < 0 {
			t.Errorf("%q: %q %d", line, id, n)
		}
		id2, n2, done2, ok := readReplayed(replayedLine(id, n, done))
		if !ok || id2 != id || n2 != n || done2 != done {
			t.Errorf("%q: read %q %d %v, then %q %d %v %v", line, id, n, done, id2, n2, done2, ok)
		}
	})
}
