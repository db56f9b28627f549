package abuse

import (
	"context"
	"net/http"
	"strings"

	"bolwerk"
	"bolwerk/abuse/session"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
	"bolwerk/internal/web"
)

// checkLook refuses a look at somebody that names nobody, or has no reason to stand in
// the ledger.
func checkLook(who session.Identity, reason, caseID string) error {
	switch reason = strings.TrimSpace(reason); {
	case who.Who() == "":
		return bolwerk.Invalid("name the subscriber, as accounting does, or the line")
	case len(reason) < 3 || len(reason) > 500:
		return bolwerk.WithHint(bolwerk.Invalid("a look at a subscriber needs a reason of 3 to 500 octets"), "say in a few words why")
	case len(caseID) > 64:
		return bolwerk.Invalid("case %.70q: want an id", caseID)
	}
	return nil
}

// CasesOf are the cases of the subscriber of f, newest first, at most 500. Who asks, and
// why, is noted before. Give it the right to decide before.
func (d *Desk) CasesOf(ctx context.Context, by bolwerk.Actor, f CaseFilter, reason, caseID string) ([]CaseRow, error) {
	who := session.Identity{Subscriber: f.Subscriber}
	if err := checkLook(who, reason, caseID); err != nil {
		return nil, err
	}
	if err := d.p.Who.Noted(ctx, by, reason, caseID, who); err != nil {
		return nil, err
	}
	f.Limit = maxOf
	return d.CasesByAge(ctx, f)
}

const maxOf = 500 // cases of one subscriber

type casesOfBody struct {
	Subscriber string `json:"subscriber" maxLength:"253" doc:"exactly as accounting names it, or a line or device of which none is known"`
	Reason     string `json:"reason" maxLength:"500" doc:"why, in words"`
	Case       string `json:"case,omitempty" maxLength:"64"`
	State      string `json:"state,omitempty" enum:"open,person,closed" doc:"as for the list of all"`
	Class      string `json:"class,omitempty" maxLength:"100" doc:"a class, or its first part"`
	Severity   string `json:"severity,omitempty" enum:"low,medium,high,critical"`
}

func (d *Desk) findAPI(x *api.Routes) {
	api.Add(x, account.Decide, "POST", "/abuse/cases/find", "Cases of a subscriber, newest first, at most 500. The look is noted, with why.", func(ctx context.Context, in *bodyIn[casesOfBody]) (*api.Answer[api.Page[CaseRow]], error) {
		b := in.Body
		rows, err := d.CasesOf(ctx, api.Who(ctx).Actor(), CaseFilter{State: b.State, Class: b.Class, Severity: b.Severity, Subscriber: b.Subscriber}, b.Reason, b.Case)
		return whole(rows), err
	})
}

// casesOf shows the cases of the subscriber who is named in a form: so the name stands in
// no address, and in no log of one.
func (p *Pages) casesOf(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	data := casesData{common: commonOf(r, who), Groups: classGroups, F: CaseFilter{State: "any", Subscriber: clip(r.PostForm.Get("subscriber"))}}
	rows, err := p.d.CasesOf(r.Context(), who.Actor(), CaseFilter{Subscriber: data.F.Subscriber}, r.PostForm.Get("reason"), "")
	status := http.StatusOK
	if err != nil {
		if status, err = data.beside("find", err); err != nil {
			return err
		}
	}
	data.Rows, data.Count = rows, desk.Counted{N: int64(len(rows)), More: len(rows) == maxOf}
	w.Header().Set("Cache-Control", "no-store") // it names a subscriber
	return p.pages.Render(w, r, status, "cases", data)
}
