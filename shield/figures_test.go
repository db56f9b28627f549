package shield

import (
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/store"
	"bolwerk/shield/door"
	"bolwerk/shield/edge"
	"bolwerk/shield/figures"
)

// put writes rows as they are after what they stand for has happened.
func (s *testShield) put(query string, args ...any) {
	s.t.Helper()
	if err := s.db.Write(s.t.Context(), store.Intake, func(tx *store.Tx) error { _, err := tx.Exec(query, args...); return err }); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testShield) putReports(n int, channel string, mark func(int) string, at time.Time) {
	s.t.Helper()
	for i := range n {
		s.put(`insert into shield_report(id,channel,host,received_at,committed_at,read_at,answered_at,state,outcome,tries,claimed_until,receipt,reply,mark,dkim,lang,form,body_ref,reading_ref,warnings)
			values($1,$2,'intake',$3,$3,$3,0,'read','waiting',0,0,$1,'',$4,'','nl','text','','',0)`, bolwerk.NewID(at), channel, store.Micros(at), mark(i))
	}
}

func (s *testShield) putBlock(ref, why string, made, ended time.Time) {
	s.t.Helper()
	state := "in_force"
	if why != "" {
		state = "withdrawn"
	}
	s.put(`insert into shield_block(id,ref,pass,case_id,order_id,name,scope,www,action,class,brand,ground,legal,by_public,reason,actor,second,compromised,lists,valid_from,valid_until,state,version,epoch,serial,ended_at,ended_by,ended_why,ended_reason,ended_serial,made_at,reported_at,read_at)
		values($1,$1,false,'','',$2,'host',false,'redirect','phishing','','own','','','','','',false,'[]',$3,0,$4,1,1,1,$5,'',$6,'',0,$3,0,0)`,
		ref, ref+".example", store.Micros(made), state, store.Micros(ended), why)
}

func (s *testShield) putHits(block string, bucket time.Time, dns, page, tls int) {
	s.t.Helper()
	s.put(`insert into shield_hits(edge,boot,bucket,block,dns,page,tls) values('edge','b',$1,$2,$3,$4,$5)
		on conflict(edge,boot,bucket,block) do update set dns=excluded.dns, page=excluded.page, tls=excluded.tls`, store.Micros(bucket), block, dns, page, tls)
}

func (s *testShield) yearOf(year string) figures.Document {
	s.t.Helper()
	p, err := ParsePeriod(s.clock.Now(), year, "", "", "", "")
	if err != nil {
		s.t.Fatal(err)
	}
	d, err := s.Figures(s.t.Context(), p)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// A day is counted once it is over, tells the same before and after, keeps its
// counts when what they were counted from is forgotten, and is opened again by
// what comes late.
func TestDaysAreCounted(t *testing.T) {
	s := newShield(t)
	day := s.clock.Now().UTC().Truncate(24 * time.Hour)
	at := day.Add(9 * time.Hour)
	s.putReports(12, "mail", func(i int) string { return "m" + string(rune('a'+i%7)) }, at)
	s.putReports(6, "web", func(int) string { return "" }, at)
	for i := range 8 {
		why, ended := "", time.Time{}
		if i < 5 {
			why, ended = "false_positive", at.Add(time.Hour)
		}
		s.putBlock("B-"+string(rune('a'+i)), why, at, ended)
	}
	s.putHits("B-a", at, 100, 20, 30)
	s.putHits("B-a", at.Add(5*time.Minute), 50, 40, 10)

	check := func(when string, visits int64) {
		t.Helper()
		d := s.yearOf(day.Format("2006"))
		for key, want := range map[string]int64{figures.Reports: 18, figures.Reporters: 7, figures.Blocks: 8, figures.Withdrawals: 5, figures.Visits: visits, figures.DNSHits: 150, figures.Campaigns: 0} {
			if got := d.Figure(key).Now; got != (figures.Cell{N: want}) {
				t.Errorf("%s: %s is %v, want %d", when, key, got, want)
			}
		}
		if got, want := d.Rates[0].Now, (figures.Percent{Known: true, Value: 62.5}); got != want {
			t.Errorf("%s: false positives %v, want %v", when, got, want)
		}
		if d.Missing != 0 || d.Invented {
			t.Errorf("%s: %d days missing, invented %v", when, d.Missing, d.Invented)
		}
	}
	check("live", 70)
	s.clock.Add(26*time.Hour + day.Add(24*time.Hour).Sub(s.clock.Now()))
	for range 2 { // twice is once
		if err := s.closeDays(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("closed", 70)
	}
	s.put(`delete from shield_report`)
	s.put(`delete from shield_block where ended_at>0`)
	s.putHits("B-a", at.Add(10*time.Minute), 0, 5, 0)
	if err := s.closeDays(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("not opened again", 70)
	s.put(`delete from shield_day_closed where day=$1`, dayOf(day)) // as reopen does
	if err := s.closeDays(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("late, and the rest forgotten", 75)
}

// Hits that an edge kept while it was cut off are counted on their day, and so
// are reports that an intake kept.
func TestWhatComesLateOpensItsDay(t *testing.T) {
	s := newShield(t)
	day := s.clock.Now()
	s.putBlock("B-2026-000001", "", day, time.Time{})
	s.clock.Add(72 * time.Hour)
	if err := s.closeDays(t.Context()); err != nil {
		t.Fatal(err)
	}
	hits := `{"boot":"b1","bucket":"` + day.UTC().Truncate(5*time.Minute).Format(time.RFC3339) + `","counts":[{"block":"B-2026-000001","dns_hits":7,"page_views":6,"tls_attempts":9}]}`
	if err := s.Receive(t.Context(), "edge-1", edge.KindHits, "hits-1", []byte(hits)); err != nil {
		t.Fatal(err)
	}
	if d := s.yearOf(day.Format("2006")); d.Missing != 1 {
		t.Errorf("%d days are to be counted, want 1", d.Missing)
	}
	if err := s.closeDays(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := s.yearOf(day.Format("2006"))
	if got := d.Figure(figures.Visits).Now.N; got != 9 || d.Missing != 0 {
		t.Errorf("%d visits, want 9; %d days missing", got, d.Missing)
	}
	report := door.Report{Channel: door.ByWeb, ReceivedAt: day, Token: bolwerk.NewToken().Reveal(), Lang: bolwerk.NL, Form: door.Text, Body: []byte("x")}
	if err := s.Receive(t.Context(), "intake-1", door.KindReport, bolwerk.NewID(day), report.Encode()); err != nil {
		t.Fatal(err)
	}
	var closed int
	if err := s.db.Read(t.Context(), func(tx *store.Tx) error {
		return tx.Row(`select count(*) from shield_day_closed where day=$1`, dayOf(day)).Scan(&closed)
	}); err != nil || closed != 0 {
		t.Errorf("a report that came late leaves its day closed: %v", err)
	}
}

// A period stands beside the same days of the year before.
func TestPeriods(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct{ year, month, day, from, to, want string }{
		{want: "2026-01-01 2026-12-31 month 2025-01-01 2025-11-25"},
		{year: "2025", want: "2025-01-01 2025-12-31 month 2024-01-01 2024-12-31"},
		{month: "2026-02", want: "2026-02-01 2026-02-28 day 2025-02-01 2025-02-28"},
		{month: "2025-02", want: "2025-02-01 2025-02-28 day 2024-02-01 2024-02-29"},
		{day: "2026-03-01", want: "2026-03-01 2026-03-01 day 2026-02-28 2026-02-28"},
		{from: "2026-01-15", to: "2026-08-14", want: "2026-01-15 2026-08-14 month 2025-01-15 2025-08-14"},
		{from: "2026-02-01", to: "2026-01-01"}, {from: "1999-01-01", to: "2026-01-01"}, {year: "x"}, {month: "2026-13"}, {from: "2026-01-01"}, {from: "2001-01-01", to: "2199-01-01"},
	} {
		p, err := ParsePeriod(now, c.year, c.month, c.day, c.from, c.to)
		b := p.before(now)
		got := p.From.Format(dateForm) + " " + p.To.Format(dateForm) + " " + p.Unit + " " + b.From.Format(dateForm) + " " + b.To.Format(dateForm)
		if c.want == "" && err == nil || c.want != "" && (err != nil || got != c.want) {
			t.Errorf("%+v is %s, %v", c, got, err)
		}
	}
}

// What the public sees holds the months that are over, no month below five, and
// no total that would tell one.
func TestPublicFigures(t *testing.T) {
	s := newShield(t)
	now := s.clock.Now().UTC()
	day := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC).AddDate(-2, 0, 0)
	var days []InventedDay
	for ; day.Before(now.Truncate(24 * time.Hour)); day = day.AddDate(0, 0, 1) {
		n := int64(10)
		if day.Month() == time.March && day.Day() > 3 {
			n = 0 // three in the month
		}
		days = append(days, InventedDay{day, map[string]map[string]int64{figures.Reports + ".channel": {"mail": 2 * n}, figures.Withdrawals + ".cause": {"cleaned": min(n, 1)}, figures.Blocks + ".class": {"phishing": 4}}})
	}
	if err := s.Invent(t.Context(), days); err != nil {
		t.Fatal(err)
	}
	if err := s.publishFigures(t.Context()); err != nil {
		t.Fatal(err)
	}
	d, err := s.PublicFigures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !d.Invented || len(d.Years) != 3 {
		t.Fatalf("%d years, invented %v: %+v", len(d.Years), d.Invented, d)
	}
	for _, y := range d.Years {
		for _, f := range y.Figures {
			var sum int64
			hidden := false
			for _, c := range f.Months {
				sum += c.N
				hidden = hidden || c.Mark != figures.Shown
				if c.N > 0 && c.N < figures.Least {
					t.Errorf("%d %s: %d is shown", y.Year, f.Key, c.N)
				}
			}
			if f.Total.N != sum || f.AtLeast != hidden || hidden && len(f.By) > 0 {
				t.Errorf("%d %s tells more than its months: %+v", y.Year, f.Key, f)
			}
		}
	}
	var rows int
	if err := s.db.Read(t.Context(), func(tx *store.Tx) error {
		return tx.Row(`select count(*) from copy_entry where copy=$1 and id=$2`, CopyPublic, figures.PublicEntry).Scan(&rows)
	}); err != nil || rows != 1 {
		t.Errorf("%d entries in the public's copy: %v", rows, err)
	}
}
