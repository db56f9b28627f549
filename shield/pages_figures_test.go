package shield

import (
	"encoding/csv"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/shield/figures"
)

// invent keeps the days from January of the year before start until the day
// before it: as even as no real year is.
func (s *testShield) invent() {
	s.t.Helper()
	var days []InventedDay
	for day := time.Date(start.Year()-1, 1, 1, 0, 0, 0, 0, time.UTC); day.Before(start.Truncate(24 * time.Hour)); day = day.AddDate(0, 0, 1) {
		n := int64(day.Month())
		c := map[string]map[string]int64{
			figures.Reports + ".channel": {"mail": 40 * n, "web": 9 * n, "api": 1},
			figures.Reporters:            {"": 31 * n}, figures.Answered: {"": 28 * n},
			figures.Blocks + ".class": {"phishing": 5 + n, "fake_shop": 2}, figures.Blocks + ".scope": {"host": 7 + n}, figures.Blocks + ".ground": {"own": 6 + n, "order": 1},
			figures.Visits: {"": 300 * n}, figures.DNSHits: {"": 900 * n}, figures.PageViews: {"": 20 * n}, figures.TLSAttempts: {"": 290 * n},
			figures.ClockDecided: {"77": 3, "90": 1}, figures.ClockHit: {"70": 2}, figures.ReportsFirst: {"": 12},
		}
		if day.Day() <= 8 {
			c[figures.Campaigns+".brand"] = map[string]int64{"Anchor Bank": 1}
		}
		if day.Day() == 9 && day.Month() == time.May {
			c[figures.Campaigns+".brand"] = map[string]int64{"<b>Harbour & Co</b>": 3}
			c[figures.Withdrawals+".cause"] = map[string]int64{"false_positive": 3, "cleaned": 12}
			c[figures.AppealsDone+".outcome"], c[figures.Appeals] = map[string]int64{"upheld": 2}, map[string]int64{"": 2}
		}
		days = append(days, InventedDay{day, c})
	}
	if err := s.Invent(s.t.Context(), days); err != nil {
		s.t.Fatal(err)
	}
}

// The year can be read in the first line, with the year before beside it, and
// each figure has its definition, a picture and a table.
func TestFiguresPage(t *testing.T) {
	c := newConsole(t)
	wantText(t, c.get(c.victor, "/figures"), "Figures of 2026", "0 visits prevented. 0 campaigns")
	c.invent()
	page := c.get(c.victor, "/figures?year=2025")
	wantText(t, page, "714,600 visits prevented. 99 campaigns (2024: 0).", "These figures are invented", "Numbers below 5 are not shown",
		"a browser that tries https and then http is one visit", "at most 0.4\u00a0%", "half within",
		"At a glance Figure 2025 2024 Change Visits prevented 714,600 0")
	for _, part := range []string{`<svg class="chart columns"`, `<svg class="chart bars"`, `<svg class="chart lines"`, `<td>2025-03</td>`, `href="/figures/report?year=2025&amp;format=pdf"`, `href="/api/v1/figures?year=2025"`} {
		if !strings.Contains(page, part) {
			t.Errorf("%s is not on the page", part)
		}
	}
	if strings.Contains(page, "<b>Harbour") {
		t.Error("a brand's name is not text")
	}
	if strings.Contains(page, "style=") {
		t.Error("the page has styles that its policy forbids")
	}
	for path, want := range map[string]string{
		"/figures?month=2026-11": "Figures of 2026-11", "/figures?day=2026-02-03": "Figures of 2026-02-03",
		"/figures?from=2026-01-05&to=2026-02-04": "Figures of 2026-01-05 – 2026-02-04", "/figures?year=2026": "(2025\u00a0to\u00a023\u00a0Nov: 91)",
	} {
		wantText(t, c.get(c.victor, path), want)
	}
	if w := c.do(c.victor, "/figures?from=2026-02-05&to=2026-02-04", nil); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "the first day comes first") {
		t.Errorf("a period that ends before it begins: %d", w.Code)
	}
	if w := c.do("", "/figures", nil); w.Code == http.StatusOK {
		t.Error("strangers may look")
	}
}

// The report is one file in the reader's language that needs no other.
func TestYearlyReport(t *testing.T) {
	c := newConsole(t)
	c.invent()
	for _, lang := range bolwerk.Langs() {
		w := c.do(c.victor, "/figures/report?year=2025&lang="+string(lang), nil)
		if w.Code != http.StatusOK || w.Header().Get("Content-Disposition") != `attachment; filename="figures-2025-`+string(lang)+`.html"` {
			t.Fatalf("%s: %d %v", lang, w.Code, w.Header())
		}
		got := w.Body.String()
		for _, bad := range []string{"figures.", "src=\"http", "href=", "<script", "url("} {
			if strings.Contains(got, bad) {
				t.Errorf("%s: the report has %q", lang, bad)
			}
		}
		if !strings.Contains(got, "Harbour Telecom") || !strings.Contains(got, `lang="`+string(lang)+`"`) {
			t.Errorf("%s: the report is nobody's", lang)
		}
		path := filepath.Join("testdata", "report", "figures-2025-"+string(lang)+".html")
		if *update {
			if err := os.WriteFile(path, w.Body.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is not what it was; -update rewrites it", path)
		}
	}
	if w := c.do(c.victor, "/figures/report?year=2025&format=doc", nil); w.Code == http.StatusOK {
		t.Error("a format that there is not is made")
	}
	c.reports.print.Path = filepath.Join(c.dir, "none")
	if w := c.do(c.victor, "/figures/report?year=2025&format=pdf", nil); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "shield.chromium") {
		t.Errorf("without a browser: %d", w.Code)
	}
}

// In no period of the page is a number below 5, and the rows of what is shown in
// full add up.
func TestFiguresAreKeptBack(t *testing.T) {
	s := newShield(t)
	s.invent()
	for _, p := range []Period{{start.AddDate(0, 0, -60), start, "day", "custom"}, {start.AddDate(-1, 0, 0), start, "month", "custom"}} {
		d, err := s.Figures(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		few := 0
		for _, f := range d.Figures {
			for _, by := range f.By {
				var sum int64
				hidden := 0
				for _, r := range by.Rows {
					for _, c := range []figures.Cell{r.Now, r.Before} {
						if c.Mark == figures.Shown && c.N > 0 && c.N < figures.Least {
							t.Errorf("%s by %s: %d is shown", f.Key, by.By, c.N)
						}
					}
					if sum += r.Now.N; r.Now.Mark != figures.Shown {
						hidden++
					}
				}
				few += hidden
				if f.Now.Mark == figures.Shown && (hidden == 1 || hidden == 0 && sum != f.Now.N) {
					t.Errorf("%s by %s: %d rows are kept back, the others are %d of %v", f.Key, by.By, hidden, sum, f.Now)
				}
			}
		}
		if few == 0 {
			t.Error("nothing was kept back: the test tests nothing")
		}
		rows, err := csv.NewReader(strings.NewReader(string(figuresCSV(d)))).ReadAll()
		if err != nil || len(rows) < 50 {
			t.Errorf("%d rows of CSV: %v", len(rows), err)
		}
	}
}
