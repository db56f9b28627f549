package reading

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// corpus skips without BOLWERK_DATA, the folder with real mail that is never
// part of the project.
func corpus(t testing.TB, class string) map[string][]byte {
	t.Helper()
	dir := os.Getenv("BOLWERK_DATA")
	if dir == "" {
		t.Skip("BOLWERK_DATA is not set: the real mails are not read")
	}
	files, _ := filepath.Glob(filepath.Join(dir, "mail", class, "*.eml"))
	if len(files) == 0 {
		t.Skipf("no mails in %s/mail/%s", dir, class)
	}
	mails := map[string][]byte{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		mails[filepath.Base(f)] = b
	}
	return mails
}

// TestCorpus reads every real mail as a reporter would hand it in and as the
// evidence itself, and prints what came of it.
func TestCorpus(t *testing.T) {
	for _, class := range []string{"phish", "ham", "spam", "bounces"} {
		t.Run(class, func(t *testing.T) {
			mails := corpus(t, class)
			kinds := map[Kind]int{}
			warnings := map[string]int{}
			var times []time.Duration
			any, wanted, urls := 0, 0, 0
			for name, raw := range mails {
				begin := time.Now()
				r := Mail(raw, Option{})
				times = append(times, time.Since(begin))
				kinds[r.Kind]++
				urls += len(r.URLs)
				if len(r.URLs) > 0 {
					any++
				}
				if len(r.Wanted()) > 0 {
					wanted++
				} else if testing.Verbose() {
					t.Logf("without: %-28s %-12s %v", name, r.Kind, r.Warnings)
				}
				for _, w := range r.Warnings {
					warnings[w]++
				}
				if e := Mail(raw, Option{Evidence: true}); e.Kind != Plain || e.Inner == nil || e.Outer != nil {
					t.Errorf("%s as evidence: kind %s", name, e.Kind)
				}
			}
			slices.Sort(times)
			t.Logf("%d read, %d with a URL, %d with one that is no noise, %d URLs, kinds %v", len(mails), any, wanted, urls, kinds)
			t.Logf("time per mail: median %v, 95%% %v, worst %v", times[len(times)/2], times[len(times)*95/100], times[len(times)-1])
			for w, n := range warnings {
				t.Logf("%4d x %s", n, w)
			}
		})
	}
}

func BenchmarkMail(b *testing.B) {
	var mails [][]byte
	for _, m := range corpus(b, "phish") {
		mails = append(mails, m)
	}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		Mail(mails[n%len(mails)], Option{})
		n++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
}
