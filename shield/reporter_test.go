package shield

import (
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/account"
)

// Who reported a name from his own address is neither of the two who decide about it.
func TestAReporterIsNeitherOfTheTwo(t *testing.T) {
	for mailbox, objects := range map[string]bool{"": false, "dora@harbour.example": false, "R1@Home.example": true} {
		s := newShield(t)
		s.report(lure("Your card is stopped", "https://anchorbank-login.example/x")) // by r1@home.example
		anna, dora := s.person("anna", account.Analyst), s.person("dora", account.DutyOfficer)
		s.put(`update account set mail=$1 where id=$2`, mailbox, dora.ID)
		s.clock.Add(25 * time.Hour)
		out, err := s.Confirm(t.Context(), Decider(anna), Confirm{Case: s.caseOf("anchorbank-login.example"), Scope: bolwerk.ScopeRegistrable, Reason: "the bank confirms it"})
		if err != nil || out.State != "second" {
			t.Fatalf("got %s %v", out.State, err)
		}
		who := Decider(dora)
		who.Session = true
		_, err = s.Approve(t.Context(), who, out.Proposal.ID, out.Proposal.Digest)
		if got := err != nil && strings.Contains(err.Error(), "one of the two reported the name"); got != objects || !objects && err != nil {
			t.Errorf("approved by %q: got %v", mailbox, err)
		}
	}
}
