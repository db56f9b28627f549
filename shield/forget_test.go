package shield

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/store"
	"bolwerk/shield/edge"
)

// caseTables are the tables of the desk and the shield with columns of class
// "case", as their migrations say.
func caseTables() []string {
	var out []string
	begin := regexp.MustCompile(`^create table (\w+)`)
	for _, schema := range []store.Schema{desk.Schema(), Schema()} {
		table := ""
		for _, step := range schema.Steps {
			for line := range strings.Lines(step) {
				if m := begin.FindStringSubmatch(line); m != nil {
					table = m[1]
				}
				if strings.Contains(line, "-- keep case:") && (len(out) == 0 || out[len(out)-1] != table) {
					out = append(out, table)
				}
			}
		}
	}
	return out
}

// rows counts what is in the tables; empty ones are left out.
func (s *testShield) rows(tables []string) map[string]int64 {
	s.t.Helper()
	out := map[string]int64{}
	err := s.db.Read(s.t.Context(), func(tx *store.Tx) error {
		for _, t := range tables {
			var n int64
			if err := tx.Row(`select count(*) from ` + t).Scan(&n); err != nil {
				return err
			}
			if n > 0 {
				out[t] = n
			}
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func TestACaseIsForgottenAYearAfterItIsOver(t *testing.T) {
	s := newShield(t)
	who := Decider(s.person("dora", "duty_officer"))
	long := "https://anchorbank-long.example/in"
	s.report(lure("Your card is stopped", "https://anchorbank-over.example/in"))
	s.report(lure("Your card is stopped", "https://anchorbank-no.example/in"))
	s.report(lure("Your card is stopped", long))
	s.report("From: Ann <ann@home.example>\nTo: you@home.example\nSubject: Look\nDate: Mon, 23 Nov 2026 12:00:00 +0000\n\nhttps://busy.example/in\n") // no case comes of it
	decide := func(name string) Block {
		t.Helper()
		out, err := s.Confirm(t.Context(), who, Confirm{Case: s.caseOf(name), Scope: bolwerk.ScopeHost, Reason: "a copy of the log-in page"})
		if err != nil {
			t.Fatal(err)
		}
		return *out.Block
	}
	over := decide("anchorbank-over.example")
	body := `{"receipt":"` + bolwerk.NewToken().Hash() + `","name":"anchorbank-over.example","block":"` + over.Ref + `","role":"owner","text":"mine","contact":"","at":"` + s.clock.Now().Format(time.RFC3339) + `"}`
	if err := s.Receive(t.Context(), "intake-1", edge.KindAppeal, bolwerk.NewID(s.clock.Now()), []byte(body)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reject(t.Context(), who, s.caseOf("anchorbank-no.example"), "a test of the bank"); err != nil {
		t.Fatal(err)
	}
	if err := s.DecideAppeal(t.Context(), who, "A-2026-000001", true, "it is the bank's"); err != nil {
		t.Fatal(err)
	}

	forget := func() {
		t.Helper()
		for _, step := range []func(context.Context) error{s.endUndone, s.forget} {
			if err := step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}

	// A day less than a year: all is there.
	s.clock.Add(364 * 24 * time.Hour)
	tables := caseTables()
	if err := s.endUndone(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := s.rows(tables)
	forget()
	if after := s.rows(tables); !equalRows(before, after) {
		t.Errorf("after 364 days there are %v, want %v", after, before)
	}

	// A year and a day: what waits for a person is left, with its report.
	s.clock.Add(2 * 24 * time.Hour)
	forget()
	if s.caseOf("anchorbank-long.example") == "" {
		t.Error("a case that waits is forgotten")
	}
	left := s.rows(tables)
	for _, one := range []string{"desk_case", "shield_case", "shield_report", "shield_observable", "shield_link", "shield_campaign", "shield_campaign_hour"} {
		if left[one] != 1 {
			t.Errorf("%s holds %d rows, want 1", one, left[one])
		}
		delete(left, one)
	}
	for _, some := range []string{"shield_evidence", "shield_verdict", "shield_key", "shield_visit", "desk_receipt"} {
		if left[some] == 0 {
			t.Errorf("%s is empty: the case that waits has lost it", some)
		}
		delete(left, some)
	}
	if len(left) > 0 {
		t.Errorf("nobody forgets %v", left)
	}

	// Once it is decided and over, nothing is left but the audit trail.
	b := decide("anchorbank-long.example")
	if _, err := s.Withdraw(t.Context(), who, b.Ref, Cleaned, "the page is gone"); err != nil {
		t.Fatal(err)
	}
	s.clock.Add(368 * 24 * time.Hour)
	forget()
	if left := s.rows(tables); len(left) > 0 {
		t.Errorf("nobody forgets %v", left)
	}
	if trail := s.rows([]string{"audit"}); trail["audit"] == 0 {
		t.Error("the audit trail is forgotten too")
	}
}

func equalRows(a, b map[string]int64) bool {
	for t, n := range a {
		if b[t] != n {
			return false
		}
	}
	return len(a) == len(b)
}

// What somebody keeps for himself goes with his account.
func TestFiltersAreForgottenWithTheirAccount(t *testing.T) {
	s := newShield(t)
	ann := s.person("ann", account.Analyst)
	for _, who := range []string{ann.ID, "0190a000-0000-7000-8000-00000000dead"} {
		if err := s.SaveFilter(t.Context(), who, "mine", QueueFilter{Verdict: "malicious"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if kept, err := s.Filters(t.Context(), ann.ID); err != nil || len(kept) != 1 {
		t.Errorf("a filter of somebody who is here: %v, %v", kept, err)
	}
	if kept, err := s.Filters(t.Context(), "0190a000-0000-7000-8000-00000000dead"); err != nil || len(kept) != 0 {
		t.Errorf("a filter of somebody who is gone: %v, %v", kept, err)
	}
}
