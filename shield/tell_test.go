package shield

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/shield/door"
	"bolwerk/shield/edge"
	"bolwerk/shield/judge"
)

// public is an entry of the public copy; false is none.
func public[V any](s *testShield, id string) (v V, ok bool) {
	s.t.Helper()
	err := s.db.Read(s.t.Context(), func(tx *store.Tx) error {
		e, err := publish.Entry(tx, CopyPublic, id)
		if err != nil {
			return err
		}
		return json.Unmarshal(e.Body, &v)
	})
	if err != nil && !errors.Is(err, bolwerk.ErrNotFound) {
		s.t.Fatal(err)
	}
	return v, err == nil
}

// officer is a duty officer who has been one for long.
func officer(id string) judge.Person {
	return judge.Person{ID: id, Roles: []judge.Role{judge.DutyOfficer}, Session: true, AccountSince: start.AddDate(-1, 0, 0), RoleSince: start.AddDate(-1, 0, 0)}
}

func (s *testShield) tellNow() (serial int64) {
	s.t.Helper()
	if err := errors.Join(s.tellCounts(s.t.Context()), s.tellWarnings(s.t.Context())); err != nil {
		s.t.Fatal(err)
	}
	h, err := s.publish.Head(s.t.Context(), CopyPublic)
	if err != nil {
		s.t.Fatal(err)
	}
	return h.Serial
}

func (s *testShield) hits(body string) {
	s.t.Helper()
	if err := s.Receive(s.t.Context(), "edge-1", edge.KindHits, bolwerk.NewID(s.clock.Now()), []byte(body)); err != nil {
		s.t.Fatal(err)
	}
}

// receiptOf is what the public copy has for the holder of a report's code.
func (s *testShield) receiptOf(report string) door.Receipt {
	s.t.Helper()
	var hash string
	if err := s.db.Read(s.t.Context(), func(tx *store.Tx) error {
		return tx.Row(`select receipt from shield_report where id=$1`, report).Scan(&hash)
	}); err != nil {
		s.t.Fatal(err)
	}
	r, _ := public[door.Receipt](s, door.ReceiptEntry+hash)
	return r
}

func TestThePublicIsToldOfCountsInEntriesThatReceiptsReferTo(t *testing.T) {
	c := newShield(t)
	var third string
	for i := range 4 {
		id := c.report(lure("Package", "https://pay-parcel.example/x"))
		if i == 2 {
			third = id
		}
	}
	r := c.receiptOf(third)
	if r.Number != 3 || r.Same == "" || r.Of != 0 {
		t.Fatalf("the third report's receipt is %+v", r)
	}
	c.tellNow()
	if n, ok := public[door.Count](c, door.CountEntry+r.Same); ok {
		t.Errorf("four reports are told as %+v", n)
	}
	for range 2 {
		c.report(lure("Package", "https://pay-parcel.example/x"))
	}
	c.tellNow()
	if n, _ := public[door.Count](c, door.CountEntry+r.Same); n.Reports != 6 {
		t.Errorf("six reports are told as %+v", n)
	}
	if again := c.receiptOf(third); again != r {
		t.Errorf("the receipt itself was written again: %+v", again)
	}

	if _, err := c.Confirm(t.Context(), officer("anna"), Confirm{Case: c.caseOf("pay-parcel.example"), Reason: "a copy of the parcel page"}); err != nil {
		t.Fatal(err)
	}
	c.hits(`{"boot":"b1","bucket":"2026-11-23T13:15:00Z","counts":[{"block":"B-2026-000001","dns_hits":1204,"page_views":2,"tls_attempts":2},{"block":"B-1999-000009","page_views":9}]}`)
	before := c.tellNow()
	if v, ok := public[door.Tally](c, door.TallyEntry+"B-2026-000001"); ok {
		t.Errorf("four visits are told as %+v", v)
	}
	c.hits(`{"boot":"b1","bucket":"2026-11-23T13:20:00Z","counts":[{"block":"B-2026-000001","dns_hits":99,"page_views":31,"tls_attempts":7}]}`)
	if after := c.tellNow(); after != before+1 {
		t.Errorf("serial %d after %d: want one publication", after, before)
	}
	if v, _ := public[door.Tally](c, door.TallyEntry+"B-2026-000001"); v.Visits != 42 || !v.Ended.IsZero() {
		t.Errorf("42 visits are told as %+v", v)
	}
	if quiet := c.tellNow(); quiet != before+1 {
		t.Error("told again without news")
	}

	if _, err := c.Withdraw(t.Context(), officer("anna"), "B-2026-000001", Cleaned, "repaired"); err != nil {
		t.Fatal(err)
	}
	if v, _ := public[door.Tally](c, door.TallyEntry+"B-2026-000001"); v.Visits != 42 || !v.Ended.Equal(c.clock.Now()) || v.Why != "cleaned" {
		t.Errorf("its end is told as %+v", v)
	}
	if _, ok := public[door.Listed](c, door.BlockEntry+"B-2026-000001"); ok {
		t.Error("a withdrawn block is still listed")
	}
}

// What cannot be decided here is not promised.
func TestAnAppealAgainstAnOrderIsPassedOn(t *testing.T) {
	c := newShield(t)
	c.file("orders.txt", "ordered-one.example\n")
	if err := c.takeFile(t.Context(), c.cfg.Issuers[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReleaseOrders(t.Context(), officer("dora"), "cert"); err != nil {
		t.Fatal(err)
	}
	hash := bolwerk.NewToken().Hash()
	body := `{"receipt":"` + hash + `","name":"ordered-one.example","block":"B-2026-000001","role":"owner","text":"mine","at":"2026-11-23T13:00:00Z"}`
	if err := c.Receive(t.Context(), "intake-1", edge.KindAppeal, bolwerk.NewID(start), []byte(body)); err != nil {
		t.Fatal(err)
	}
	if r, _ := public[door.Receipt](c, door.ReceiptEntry+hash); r.State != "passed_on" || !r.Due.IsZero() || r.Ref == "" {
		t.Errorf("got %+v, want passed_on without a day", r)
	}
}

// A second appellant sees the same decision.
func TestADecidedAppealIsToldOnceForAllWhoHoldAReceipt(t *testing.T) {
	c := newShield(t)
	c.report(lure("Package", "https://pay-parcel.example/x"))
	if _, err := c.Confirm(t.Context(), officer("anna"), Confirm{Case: c.caseOf("pay-parcel.example"), Reason: "a copy of the parcel page"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		body := `{"receipt":"` + bolwerk.NewToken().Hash() + `","name":"pay-parcel.example","block":"B-2026-000001","role":"visitor","text":"I buy there","at":"2026-11-23T13:00:00Z"}`
		if err := c.Receive(t.Context(), "intake-1", edge.KindAppeal, bolwerk.NewID(start), []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.DecideAppeal(t.Context(), officer("dora"), "A-2026-000001", true, "it is a shop"); err != nil {
		t.Fatal(err)
	}
	if a, ok := public[door.AppealState](c, door.AppealEntry+"A-2026-000001"); !ok || a.State != "upheld" || !strings.HasPrefix(a.Changed.String(), "2026-11-23") {
		t.Errorf("got %+v %v", a, ok)
	}
}

func TestAWarningIsPublicWhileACampaignGoesOn(t *testing.T) {
	c := newShield(t)
	for range 3 {
		c.report(lure("Your card is stopped", "https://login.anchorbank-pay7.example/in?u=1"))
	}
	c.report(lure("Your card is stopped", "https://login.anchorbank-pay12.example/in"))
	c.tellNow()
	const id = door.WarningEntry + "K-2026-000001"
	if w, ok := public[door.Warning](c, id); ok {
		t.Errorf("nothing is blocked, and the public is warned: %+v", w)
	}
	if _, err := c.Confirm(t.Context(), officer("anna"), Confirm{Case: c.caseOf("login.anchorbank-pay7.example"), Reason: "asks for the PIN"}); err != nil {
		t.Fatal(err)
	}
	serial := c.tellNow()
	w, _ := public[door.Warning](c, id)
	if w.Brand != "Anchor Bank" || w.Class != "phishing" || w.Reports != 0 || strings.Join(w.Channels, " ") != "mail" || strings.Join(w.Names, " ") != "login.anchorbank-pay7.example" {
		t.Errorf("got %+v", w)
	}
	if again := c.tellNow(); again != serial {
		t.Error("told again without news")
	}
	for range 2 {
		c.report(lure("Your card is stopped", "https://login.anchorbank-pay7.example/in?u=1"))
	}
	c.tellNow()
	if w, _ := public[door.Warning](c, id); w.Reports != 6 {
		t.Errorf("six reports are told as %+v", w)
	}
	if _, err := c.Withdraw(t.Context(), officer("anna"), "B-2026-000001", FalsePositive, "it is the bank's"); err != nil {
		t.Fatal(err)
	}
	c.tellNow()
	if w, ok := public[door.Warning](c, id); ok {
		t.Errorf("all of it is withdrawn, and the public is warned: %+v", w)
	}
}

func TestAbout(t *testing.T) {
	for n, want := range map[int64]int64{0: 0, 4: 0, 5: 5, 99: 99, 100: 100, 129: 120, 1_299_999: 1_200_000} {
		if got := about(n); got != want {
			t.Errorf("about(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestAReceiptThatIsOverLeavesThePublicCopy(t *testing.T) {
	c := newShield(t)
	id := c.report(lure("Package", "https://pay-parcel.example/x"))
	if r := c.receiptOf(id); r.State == "" {
		t.Fatal("no receipt")
	}
	c.clock.Add(c.cfg.ReceiptDays.Days())
	if err := c.forgetPublic(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := c.receiptOf(id); r.State == "" {
		t.Error("it went before an hour had passed: a clock may be wrong by that")
	}
	c.clock.Add(2 * time.Hour)
	if err := c.forgetPublic(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := c.receiptOf(id); r.State != "" {
		t.Errorf("it is still there: %+v", r)
	}
	h, err := c.publish.Head(t.Context(), CopyPublic)
	if err != nil || h.Count != 0 {
		t.Errorf("%d entries in the copy, %v; want none", h.Count, err)
	}
}
