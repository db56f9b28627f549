package shield

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"bolwerk/desk"
	"bolwerk/internal/store"
)

func TestSearchLeadsToWhatIsMeant(t *testing.T) {
	c := newConsole(t)
	c.fill()
	var report, caseID string
	err := c.db.Read(t.Context(), func(tx *store.Tx) error {
		if err := tx.Row(`select id from shield_report where id='report-1'`).Scan(&report); err != nil {
			return err
		}
		return tx.Row(`select id from desk_case where subject='pay-parcel.example'`).Scan(&caseID)
	})
	if err != nil {
		t.Fatal(err)
	}
	for typed, want := range map[string]string{
		"B-2026-000001": "/block/B-2026-000001", " b-2026-1 ": "/block/B-2026-000001", "C-2026-000001": "/case/C-2026-000001", "K-2026-000001": "/campaign/K-2026-000001",
		"A-2026-000001": "/appeal/A-2026-000001", "O-2026-000001": "/orders?q=ordered-one.example", caseID: "/case/" + c.caseOf("pay-parcel.example"),
	} {
		w := c.do(c.victor, "/search?q="+url.QueryEscape(typed), nil)
		if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != want {
			t.Errorf("%q: got %d %s, want %s", typed, w.Code, got, want)
		}
	}
	for _, nothing := range []string{"B-2026-999999", "Q-2026-000001", "01a2087d-f838-7218-8160-000000000000"} {
		wantText(t, c.get(c.victor, "/search?q="+nothing), "Nothing has this in its name or number.")
	}
}

func TestSearchLooksEverywhere(t *testing.T) {
	c := newConsole(t)
	c.fill()
	wantText(t, c.get(c.anna, "/search?q=anchorbank"), "login.anchorbank-pay7.example", "Cases", "Campaigns", "K-2026-000001")
	for _, typed := range []string{"pay-parcel.example", "hxxps://PAY-parcel[.]example/x?y=1", "parcel"} {
		wantText(t, c.get(c.anna, "/search?q="+url.QueryEscape(typed)), "Cases", "Blocks", "B-2026-000001", "Appeals", "A-2026-000001")
	}
	wantText(t, c.get(c.anna, "/search?q=pay-parcel.example"), "What happens to pay-parcel.example")
	wantText(t, c.get(c.anna, "/search?q=ordered-two"), "Orders", "O-2026-000002")
	wantText(t, c.get(c.anna, "/search?q=someone/login"), "https://pages.example/someone/login")
	wantText(t, c.get(c.anna, "/search?q="), "Type a number (C-2026-000001)")
	if page := c.get(c.anna, "/search?q=dora"); strings.Contains(text(page), "People") {
		t.Error("an analyst finds people")
	}
	c.person("ada", "admin")
	wantText(t, c.get(c.session("ada"), "/search?q=dor"), "People", "dora")
	// What people wrote is not searched.
	wantText(t, c.get(c.anna, "/search?q=This+is+my+shop"), "Nothing has this in its name or number.")
	if !strings.Contains(c.get(c.anna, "/"), `action="/search"`) || !strings.Contains(c.get(c.anna, "/search?q=a%22b"), `value="a&#34;b"`) {
		t.Error("no search field stands on a page, or it forgets what was typed")
	}
}

// A name is found by any part of it, however many there are, and what comes
// later is found too.
func TestNamesAreFoundByAnyPart(t *testing.T) {
	s := newShield(t)
	put := func(from, to int) {
		err := s.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
			for i := from; i < to; i++ {
				if _, err := tx.Exec(`insert into desk_case(id,ref,capability,subject,state,outcome,priority,why_first,opened_at,touched_at,closed_at) values($1,$2,'shield',$3,$4,'',$5,'',$6,0,0)`,
					fmt.Sprintf("%08x-0000-7000-8000-%012x", 1000+i/7, i), fmt.Sprint("C-", i), fmt.Sprintf("a%dz.bank.example", i), []string{"waiting", "decided"}[i%2], i%5, i+1); err != nil {
					return err
				}
				if _, err := tx.Exec(`insert into shield_case(id,observable,campaign,verdict,brand,class,target,scope,scope_why,reports,reporters,first_seen,block,channels) values($1,'','','','','','','','[]',1,1,0,'','')`,
					fmt.Sprintf("%08x-0000-7000-8000-%012x", 1000+i/7, i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// every page of a search, and its count, against the plain truth
	check := func(f desk.CaseFilter, want []string) {
		t.Helper()
		for _, byAge := range []bool{false, true} {
			var got []string
			for f.After = ""; ; {
				f.Limit = 7
				list := s.Cases
				if byAge {
					list = s.CasesByAge
				}
				rows, err := list(t.Context(), f)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range rows {
					got = append(got, r.Name)
					f.After = r.ID
				}
				if len(rows) < f.Limit {
					break
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%q %v by age %v: got %d %v, want %d %v", f.Query, f.States, byAge, len(got), got[:min(3, len(got))], len(want), want[:min(3, len(want))])
			}
		}
		var queue []string
		q := QueueFilter{State: "all", Query: f.Query}
		if len(f.States) == 1 {
			q.State = string(f.States[0])
		}
		for after := ""; ; {
			rows, err := s.Queue(t.Context(), q, after, 7)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				queue = append(queue, r.Name)
				after = r.ID
			}
			if len(rows) < 7 {
				break
			}
		}
		slices.Sort(queue)
		if got, err := s.CountQueue(t.Context(), q); err != nil || !slices.Equal(queue, want) || len(want) <= fewNames && got.N != int64(len(want)) {
			t.Errorf("queue %+v: got %d %v, counted %+v %v, want %d", q, len(queue), queue[:min(3, len(queue))], got, err, len(want))
		}
		n, err := s.CountCases(t.Context(), f)
		if short := len(want) <= fewNames; err != nil || short && (n.N != int64(len(want)) || n.More) || !short && n.N != fewNames {
			t.Errorf("%q %v: counted %+v %v, want %d", f.Query, f.States, n, err, len(want))
		}
	}
	all := func(from, to int, keep func(i int) bool) (out []string) {
		for i := from; i < to; i++ {
			if keep(i) {
				out = append(out, fmt.Sprintf("a%dz.bank.example", i))
			}
		}
		return out
	}
	has := func(part string) func(int) bool {
		return func(i int) bool { return strings.Contains(fmt.Sprintf("a%dz.bank.example", i), part) }
	}
	put(0, 700)
	check(desk.CaseFilter{Query: "a12"}, all(0, 700, has("a12")))
	check(desk.CaseFilter{Query: "69z.b"}, all(0, 700, has("69z.b")))
	check(desk.CaseFilter{Query: "bank"}, all(0, 700, has("bank"))) // many
	check(desk.CaseFilter{Query: "bank", States: []desk.CaseState{desk.Waiting}}, all(0, 700, func(i int) bool { return i%2 == 0 }))
	check(desk.CaseFilter{Query: "a1", States: []desk.CaseState{desk.Decided}}, all(0, 700, func(i int) bool { return i%2 == 1 && has("a1")(i) }))
	check(desk.CaseFilter{Query: "e\na"}, nil)
	put(700, 720)
	check(desk.CaseFilter{Query: "a71"}, all(0, 720, has("a71")))
	check(desk.CaseFilter{Query: "A719Z"}, []string{"a719z.bank.example"})
}

func TestCampaignPage(t *testing.T) {
	c := newConsole(t)
	wantText(t, c.get(c.anna, "/campaigns"), "0 campaigns", "No campaign yet.")
	c.fill()
	wantText(t, c.get(c.anna, "/campaigns"), "2 campaigns", "K-2026-000001", "Anchor Bank: [Anchor Bank]-payN.example", "forming")
	wantText(t, c.get(c.anna, "/campaigns?state=closed"), "Nothing matches this filter.")
	page := c.get(c.anna, "/campaign/K-2026-000001")
	wantText(t, page, "Cases 2", "Reports 4", "Names blocked 0", "Look at the 2 names that wait", "Hour by hour", "login.anchorbank-pay7.example", "anchorbank-pay12.example",
		"Your card is stopped", "Perhaps the same people", "K-2026-000002")
	if !strings.Contains(page, `href="/queue?campaign=K-2026-000001&amp;state=waiting"`) || strings.Count(page, "<svg") != 3 {
		t.Error("no way to what waits, or no pictures")
	}
	if strings.Contains(page, "someone@") {
		t.Error("the page names a reporter")
	}
	if w := c.do(c.anna, "/campaign/K-2026-999999", nil); w.Code != http.StatusNotFound {
		t.Errorf("no such campaign: got %d", w.Code)
	}
	if w := c.do(c.anna, "/campaign/K-2026-000001?format=csv", nil); strings.Count(w.Body.String(), "\r\n") != 3 {
		t.Errorf("its names as a file: %s", w.Body)
	}
}

func TestBehind(t *testing.T) {
	ids := []string{"e", "c", "b"}
	for after, want := range map[string]string{"": "ecb", "e": "cb", "d": "cb", "b": "", "a": "", "f": "ecb"} {
		if got := strings.Join(behind(ids, after), ""); got != want {
			t.Errorf("behind %q: got %q, want %q", after, got, want)
		}
	}
}

// Blocks and orders are searched page by page as they are listed.
func TestSearchedListsHaveTheirPages(t *testing.T) {
	c := newConsole(t)
	for i := range 120 {
		if err := c.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
			_, err := tx.Exec(`insert into desk_order(id,ref,issuer,external,version,action,subject,scope,ground,valid_from,valid_until,state,reason,object,received_at,changed_at)
				values($1,$2,'cert',$3,1,'block',$4,'host','',0,0,$5,'','',0,0)`, fmt.Sprintf("%08x-0000-7000-8000-000000000000", 16+i), fmt.Sprint("O-", i), fmt.Sprint(i), fmt.Sprintf("n%d.found.example", i), []string{"held", "in_force"}[i%2])
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	for state, want := range map[string]int{"": 120, "held": 60} {
		seen := map[string]bool{}
		f := desk.OrderFilter{Query: "found", State: state, Limit: 25}
		for {
			rows, err := c.Orders(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range rows {
				seen[o.Ref] = true
				f.After = o.ID
			}
			if len(rows) < f.Limit {
				break
			}
		}
		n, err := c.CountOrders(t.Context(), f)
		if len(seen) != want || err != nil || n.N != int64(want) {
			t.Errorf("state %q: got %d on all pages, counted %+v %v, want %d", state, len(seen), n, err, want)
		}
	}
}

// What was decided about what is found stands beside it.
func TestSearchShowsTheAuditTrail(t *testing.T) {
	c := newConsole(t)
	c.post(c.anna, "/block-a-name", url.Values{"name": {"pay.harbour-parcel.example"}, "reason": {"seen by the desk"}, "scope": {"host"}})
	page := c.get(c.victor, "/search?q=harbour-parcel")
	wantText(t, page, "Audit trail", "shield.block.confirm", "B-2026-000001 anna: seen by the desk")
	if page := c.get(c.victor, "/search?q=nothing-has-this"); strings.Contains(page, "shield.block.confirm") {
		t.Error("entries about something else")
	}
}
