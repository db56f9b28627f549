package shield

import (
	"strings"
	"testing"
	"time"

	"bolwerk/internal/store"
	"bolwerk/shield/figures"
)

// What customers asked our DNS before a block is counted from the first report
// on, with its www., and without what the block itself answered.
func TestQuestionsBeforeTheBlock(t *testing.T) {
	s := newShield(t)
	at := s.clock.Now()
	today := dayOf(at)
	for _, ref := range []string{"B-a", "B-b", "B-c"} {
		s.putBlock(ref, "", at, time.Time{})
	}
	s.put(`update shield_block set reported_at=$1, www=true where ref='B-a'`, store.Micros(at.Add(-30*time.Hour)))
	s.put(`update shield_block set reported_at=$1 where ref='B-b'`, store.Micros(at.Add(-time.Hour)))
	// Nobody reported B-c: an order, or a list.
	for _, a := range []struct {
		name string
		day  int64
		n    int
	}{{"B-a.example", today - 3, 9000}, {"B-a.example", today - 1, 200}, {"B-a.example", today, 150}, {"www.B-a.example", today, 60}, {"www.B-b.example", today, 700}, {"B-b.example", today, 80}, {"B-c.example", today, 5000}} {
		s.put(`insert into shield_asked(name,registrable,day,edge,boot,n) values($1,$1,$2,'edge-1','b',$3)`, a.name, a.day, a.n)
	}
	s.putHits("B-a", at, 100, 0, 0)
	s.putHits("B-b", at, 90, 0, 0) // more than was told of it: nothing is left, and nothing is taken from the others
	d := s.yearOf(at.Format("2006"))
	if got := d.Figure(figures.AskedFirst).Now; got.N != 200+150+60-100 {
		t.Errorf("got %v, want 310", got)
	}
}

// How long an own decision took to each edge and resolver: those that have it.
func TestDecisionUntilInForceAtEach(t *testing.T) {
	s := newShield(t)
	at := s.clock.Now()
	for i := range 6 {
		ref := "B-" + string(rune('a'+i))
		s.putBlock(ref, "", at.Add(time.Duration(i)*time.Minute), time.Time{})
		s.put(`update shield_block set serial=$1 where ref=$2`, 10+i, ref)
	}
	s.put(`update shield_block set order_id='o' where ref='B-f'`) // not our decision
	s.put(`insert into shield_stand(name,kind,epoch,serial,at,behind) values('ns1','resolver',1,15,0,0),('ns2','resolver',1,0,0,0)`)
	for i := range 5 { // each 20 s after its block, but that of B-b, which came with B-c's
		if i != 1 {
			s.put(`insert into shield_reached(epoch,name,serial,at) values(1,'ns1',$1,$2)`, 10+i, store.Micros(at.Add(time.Duration(i)*time.Minute+20*time.Second)))
		}
	}
	d := s.yearOf(at.Format("2006"))
	if len(d.Reached) != 1 || d.Reached[0].Key != figures.ClockReached+"ns1" || !d.Reached[0].Now.Known || d.Reached[0].Now.P50 < 20 || d.Reached[0].Now.P50 > 22 || d.Reached[0].Now.P95 < 80 || d.Reached[0].Now.P95 > 88 {
		t.Errorf("got %+v, want 20 s and 80 s for ns1, nothing for ns2", d.Reached)
	}
	if csv := string(figuresCSV(d)); !strings.Contains(csv, "clock_reached/ns1,seconds,p50,") {
		t.Errorf("csv: %s", csv)
	}
}

// Brands by month stand in one table with the year before: page, CSV, report.
func TestBrandsByMonth(t *testing.T) {
	c := newConsole(t)
	var days []InventedDay
	for day := time.Date(start.Year()-1, 1, 1, 0, 0, 0, 0, time.UTC); day.Before(start.Truncate(24 * time.Hour)); day = day.AddDate(0, 0, 1) {
		brands := map[string]int64{"Anchor Bank": 1}
		if day.Day()%14 == 1 {
			brands["Held Back"] = 1 // with the rare one
		}
		if day.Day()%10 == 1 {
			brands["Harbour Parcel"], brands["Tide Energy"] = 1, 1
		}
		if day.Day() == 28 && day.Month() == time.March {
			brands["Rare & Co"] = 2 // too few for a row of its own
		}
		days = append(days, InventedDay{day, map[string]map[string]int64{figures.Campaigns + ".brand": brands}})
	}
	if err := c.Invent(t.Context(), days); err != nil {
		t.Fatal(err)
	}
	d := c.yearOf("2026")
	if len(d.Tables) != 1 || len(d.Tables[0].Rows) != 3 {
		t.Fatalf("got %+v", d.Tables)
	}
	for _, r := range d.Tables[0].Rows {
		switch march := r.Now[2]; {
		case r.Key == "Anchor Bank" && march.N != 31, r.Key == "Harbour Parcel" && march.Mark != figures.Few, r.Key == "Rare & Co", r.Key == "Held Back":
			t.Errorf("%s: %+v", r.Key, march)
		}
	}
	wantText(t, c.get(c.victor, "/figures?year=2026"), "by imitated brand and month", "Anchor Bank 31 31 28 28")
	if csv := string(figuresCSV(d)); !strings.Contains(csv, "campaigns,brand month,Anchor Bank 2026-03,2026-01-01,2026-12-31,31,") || !strings.Contains(csv, "campaigns,brand month,Harbour Parcel 2026-03,2026-01-01,2026-12-31,few,") {
		t.Error("the table is not in the CSV")
	}
	f, err := c.Report(t.Context(), "2026", "nl", "html")
	if err != nil || !strings.Contains(string(f.Body), "per nagebootst merk en maand") {
		t.Errorf("the report has no table: %v", err)
	}
}
