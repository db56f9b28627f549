package shield_test

import (
	"fmt"
	"testing"

	"bolwerk/internal/account"
)

func TestAPIDeclinedProposalDoesNothing(t *testing.T) {
	d := newAPIDesk(t)
	ann, dora := d.token("ann", account.Read, account.DecideScope), d.token("dora", account.Read, account.DecideScope)
	p := d.ask(ann, "POST", "/blocks", `{"name":"sub.wide.example","reason":"seen","scope":"registrable"}`).want(t, 202, `"state":"second"`)
	approve := fmt.Sprintf(`{"digest":%q}`, d.ask(ann, "GET", "/proposals", "").items()[0]["digest"])
	path := "/proposals/" + p.id()
	d.ask(dora, "POST", path+"/decline", `{"reason":" "}`).want(t, 400, "needs a reason")
	d.ask(dora, "POST", path+"/decline", `{"reason":"only the sub name is bad"}`).want(t, 200, `"state":"void"`)
	d.ask(dora, "POST", path+"/decline", `{"reason":"again"}`).want(t, 409, "decided meanwhile")
	d.ask(d.session("dora"), "POST", path+"/approve", approve).want(t, 409)
	if left := d.ask(ann, "GET", "/proposals", "").items(); len(left) != 0 {
		t.Errorf("a declined proposal still waits: %v", left)
	}
	if all := d.ask(ann, "GET", "/blocks", "").items(); len(all) != 0 {
		t.Errorf("a declined proposal blocked: %v", all)
	}
	d.ask(ann, "GET", "/audit", "").want(t, 200, "shield.proposal.decline", "only the sub name is bad")

	// An exemption can be declined as well.
	e := d.ask(ann, "POST", "/exemptions", `{"name":"friend.example","scope":"host","for":"720h","reason":"ours"}`).want(t, 202)
	d.ask(ann, "POST", "/proposals/"+e.id()+"/decline", `{"reason":"not needed any more"}`).want(t, 200, `"state":"void"`)
}
