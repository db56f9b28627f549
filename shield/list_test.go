package shield

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"bolwerk/desk"
	"bolwerk/internal/store"
)

func TestAListIsAFileToo(t *testing.T) {
	c := newConsole(t)
	c.fill()
	for path, want := range map[string]struct {
		rows int
		has  string
	}{
		"/queue?state=all":              {5, "https://pages.example/someone/login"},
		"/queue?state=decided":          {1, "pay-parcel.example"},
		"/queue?q=pay12":                {1, "anchorbank-pay12.example"},
		"/blocks?state=in_force":        {1, "B-2026-000001,false,"},
		"/blocks?state=withdrawn":       {0, ""},
		"/orders?state=held":            {2, "ordered-one.example"},
		"/orders?q=two":                 {1, "ordered-two.example"},
		"/appeals":                      {1, "A-2026-000001"},
		"/proposals":                    {1, "harbour-partner.example"},
		"/audit?q=B-2026-000001":        {1, "shield.block.confirm"},
		"/blocks?kind=exemptions&q=x.y": {0, ""},
	} {
		sep := "?"
		if strings.Contains(path, "?") {
			sep = "&"
		}
		w := c.do(c.victor, path+sep+"format=csv", nil)
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/csv") || !strings.HasPrefix(w.Header().Get("Content-Disposition"), `attachment; filename="`) {
			t.Errorf("%s: got %d %s", path, w.Code, w.Header())
			continue
		}
		all, err := csv.NewReader(strings.NewReader(w.Body.String())).ReadAll()
		if err != nil || len(all) != want.rows+1 || !strings.Contains(w.Body.String(), want.has) {
			t.Errorf("%s: got %d rows, %v, want %d with %q:\n%s", path, len(all)-1, err, want.rows, want.has, w.Body)
		}
		if strings.Count(w.Body.String(), "\r\n") != want.rows+1 {
			t.Errorf("%s: lines do not end as RFC 4180 wants", path)
		}
		page := c.get(c.victor, path)
		if want.rows > 0 && !strings.Contains(page, "format=csv") {
			t.Errorf("%s has no link to its file", path)
		}
	}
}

func TestAFileSaysWhatPasses(t *testing.T) {
	c := newConsole(t)
	c.post(c.anna, "/exempt", url.Values{"name": {"parts.example"}, "scope": {"host"}, "for": {"24h"}, "reason": {"a complaint"}})
	if file := c.get(c.anna, "/blocks?kind=exemptions&format=csv"); !strings.HasPrefix(file, "ref,pass,name,") || !strings.Contains(file, "E-2026-000001,true,parts.example,") {
		t.Errorf("got %s", file)
	}
}

func TestAFileHoldsEveryPageOnce(t *testing.T) {
	c := newConsole(t)
	const n = 1203 // more than two reads
	err := c.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		for i := range n {
			if _, err := tx.Exec(`insert into desk_order(id,ref,issuer,external,version,action,subject,scope,ground,valid_from,valid_until,state,reason,object,received_at,changed_at)
				values($1,$2,'cert',$3,1,'block',$4,'host','=1+1',0,0,$5,'','',0,0)`, fmt.Sprintf("%08x-0000-7000-8000-000000000000", i), fmt.Sprint("O-", i), fmt.Sprint(i), fmt.Sprintf("n%d.example", i),
				[]string{"held", "in_force", "lifted"}[i%3]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all, err := csv.NewReader(strings.NewReader(c.do(c.anna, "/orders?format=csv", nil).Body.String())).ReadAll()
	if err != nil || len(all) != n+1 {
		t.Fatalf("got %d rows, %v, want %d", len(all)-1, err, n)
	}
	for i, row := range all[1:] {
		if want := fmt.Sprintf("n%d.example", n-1-i); row[3] != want || row[5] != "'=1+1" {
			t.Fatalf("row %d: got %q, want %s and no formula", i+1, row, want)
		}
	}
}

func TestAFileEndsAtItsBound(t *testing.T) {
	w := httptest.NewRecorder()
	l := listOf[int]{name: "numbers", id: func(i int) string { return fmt.Sprint(i) },
		rows: func(after string, limit int) (out []int, _ error) {
			from := 0
			fmt.Sscan(after, &from)
			for i := range limit {
				out = append(out, from+1+i)
			}
			return out, nil
		},
		columns: []column[int]{{"n", func(i int) string { return fmt.Sprint(i) }}},
	}
	if err := l.file(w, httptest.NewRequest("GET", "/numbers", nil), newShield(t).clock); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(w.Body.String(), "\r\n"); got != maxFile+1 {
		t.Errorf("got %d lines, want %d", got, maxFile+1)
	}
}

func TestHarmless(t *testing.T) {
	for in, want := range map[string]string{"": "", "=cmd|' /C calc'!A0": "'=cmd|' /C calc'!A0", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\tx": "'\tx", "＝1": "'＝1", "a=1": "a=1", "münchen": "münchen"} {
		if got := harmless(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestLongListsSayThatTheyAreLong(t *testing.T) {
	for _, c := range []struct {
		n    int64
		want string
	}{{1, "1 order"}, {desk.MaxCount, "10,000 orders"}} {
		if got := (desk.Counted{}).Add(desk.Counted{N: c.n}); got.More {
			t.Errorf("%d: got more", c.n)
		}
	}
	if got := (desk.Counted{N: desk.MaxCount}).Add(desk.Counted{N: 1}); got != (desk.Counted{N: desk.MaxCount, More: true}) {
		t.Errorf("got %+v, want 10,000 and more", got)
	}
}

// What is kept counted of a campaign is what counting gives.
func TestACampaignsCountsAreKept(t *testing.T) {
	c := newConsole(t)
	c.fill()
	c.post(c.anna, "/case/"+c.caseOf("login.anchorbank-pay7.example")+"/confirm", url.Values{"scope": {""}, "reason": {"a copy"}})
	for range 2 { // the same roll-up twice counts once
		hits := `{"boot":"b1","bucket":"2026-11-23T13:20:00Z","counts":[{"block":"B-2026-000002","dns_hits":40,"page_views":3}]}`
		if err := c.receiveHits(t.Context(), "edge-1", []byte(hits)); err != nil {
			t.Fatal(err)
		}
	}
	more := `{"boot":"b1","bucket":"2026-11-23T13:20:00Z","counts":[{"block":"B-2026-000002","dns_hits":55,"page_views":2}]}`
	if err := c.receiveHits(t.Context(), "edge-1", []byte(more)); err != nil {
		t.Fatal(err)
	}
	all, err := c.Campaigns(t.Context(), CampaignFilter{})
	if err != nil || len(all) != 2 {
		t.Fatalf("got %+v %v, want two campaigns", all, err)
	}
	k := all[1]
	if k.Cases != 2 || k.Reports != 4 || k.Blocks != 1 || k.Hits != (Hits{55, 3, 0}) || k.State != Forming {
		t.Errorf("got %+v, want 2 names, 4 reports, 1 block, 55 and 3 hits", k)
	}
	var cases, reports, dns int64
	err = c.db.Read(t.Context(), func(tx *store.Tx) error {
		if err := tx.Row(`select sum(cases),sum(reports),sum(dns) from shield_campaign_hour where campaign=$1`, k.ID).Scan(&cases, &reports, &dns); err != nil {
			return err
		}
		var kept, counted int64
		if err := tx.Row(`select (select sum(dns) from shield_hit_total), (select sum(dns) from shield_hits)`).Scan(&kept, &counted); err != nil {
			return err
		}
		if kept != counted {
			t.Errorf("%d DNS answers are kept, %d counted", kept, counted)
		}
		return nil
	})
	if err != nil || cases != k.Cases || reports != k.Reports || dns != k.Hits.DNS {
		t.Errorf("its hours have %d names, %d reports, %d answers (%v), want what the campaign has", cases, reports, dns, err)
	}
}
