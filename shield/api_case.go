package shield

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
	"bolwerk/internal/store"
	"bolwerk/shield/aid"
	"bolwerk/shield/edge"
)

// Decision is what came of a decision, for a program.
type Decision struct {
	// ID is of what was made or ended: the block or exemption, the proposal that
	// waits for a second person, or the case that was rejected.
	ID   string `json:"id" doc:"of the block or exemption, of the proposal that waits for a second person, or of the rejected case"`
	Name string `json:"name,omitempty"`
	Outcome
}

// decided is the answer to a decision.
type decided struct {
	Status int
	Body   Decision
}

// decision is the answer to a decision that was committed.
func decision(out Outcome, made int) *decided {
	d := Decision{ID: out.Case, Outcome: out}
	switch {
	case out.Proposal != nil:
		d.ID, made = out.Proposal.ID, http.StatusAccepted
		d.Name = proposalItem(*out.Proposal).Name
	case out.Block != nil:
		d.ID, d.Name = out.Block.ID, out.Block.Name.String()
	}
	return &decided{Status: made, Body: d}
}

// Wish is what a person says about a block; the body of a confirmation.
type Wish struct {
	Reason      string   `json:"reason" maxLength:"2000" doc:"why, in a few words; kept in the audit trail"`
	Scope       string   `json:"scope,omitempty" enum:"host,subtree,registrable" doc:"absent: the proposed scope, or host"`
	For         string   `json:"for,omitempty" maxLength:"20" doc:"length of time such as 72h or 14d; absent: what the rules propose"`
	Until       string   `json:"until,omitempty" format:"date-time" doc:"end, instead of for"`
	Class       string   `json:"class,omitempty" enum:"phishing,fake_shop,malware,scam"`
	Brand       string   `json:"brand,omitempty" maxLength:"100" doc:"whom it imitates"`
	Ground      string   `json:"ground,omitempty" maxLength:"500" doc:"legal ground; absent: the configured one"`
	Action      string   `json:"action,omitempty" enum:"redirect,nxdomain,nodata"`
	Compromised bool     `json:"compromised,omitempty" doc:"a hacked site of somebody else is behind it"`
	AskedFor    []string `json:"asked_for,omitempty" enum:"card,otp,money,remote,password,iban,id" maxItems:"7" doc:"what the site asks visitors for; the warning page shows first what to do about these. Absent: what its campaign is known to ask for"`
}

func (w Wish) confirm() (Confirm, error) {
	c := Confirm{Scope: bolwerk.Scope(w.Scope), Reason: w.Reason, Class: w.Class, Brand: w.Brand, Legal: w.Ground, Action: edge.Action(w.Action), Compromised: w.Compromised}
	var err error
	if w.AskedFor != nil {
		asked, err := aid.ParseSet(w.AskedFor)
		if err != nil {
			return c, err
		}
		c.AskedFor = &asked
	}
	c.For, c.Until, err = span(w.For, w.Until)
	return c, err
}

// span reads a length of time or an end; both may be empty.
func span(length, end string) (d time.Duration, until time.Time, err error) {
	if length != "" && end != "" {
		return d, until, bolwerk.Invalid("give for or until, not both")
	}
	if length != "" {
		d, err = ParseSpan(length)
	}
	if end != "" {
		if until, err = time.Parse(time.RFC3339, end); err != nil {
			err = bolwerk.Invalid("until %q: want a time such as 2026-11-30T12:00:00Z", end)
		}
	}
	return d, until, err
}

// ParseSpan reads a length of time as people write it: 72h, 90m, 14d.
func ParseSpan(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		if n > 36500 {
			n = 0
		}
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d <= 0 {
		return 0, bolwerk.Invalid("length of time %q: want 72h, 90m or 14d", s)
	}
	return d, nil
}

// ByID is one thing in a path.
type ByID struct {
	ID string `path:"id" maxLength:"600" doc:"id, number, or name"`
}

type listCases struct {
	api.Window
	State []string `query:"state" enum:"gathering,waiting,second,decided,closed" doc:"by commas; absent: all whose proposal stands"`
	Query string   `query:"q" maxLength:"253" doc:"part of the name"`
}

// CasesByAge lists cases newest first, as Cases does by priority.
func (s *Shield) CasesByAge(ctx context.Context, f desk.CaseFilter) (rows []CaseRow, err error) {
	f.Capability = Name
	if len(f.States) == 0 {
		f.States = []desk.CaseState{desk.Waiting, desk.Second, desk.Decided, desk.Closed}
	}
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		cases, few, err := s.searchCases(tx, f)
		if err == nil && few {
			cases = newest(cases, func(c desk.Case) string { return c.ID }, f.After, asked(f.Limit))
		} else if err == nil {
			cases, err = desk.CasesByAge(tx, f)
		}
		if err != nil {
			return err
		}
		rows, err = rowsOf(tx, cases)
		return err
	})
	return rows, err
}

func (a *API) cases(x *api.Routes) {
	s := a.shield
	api.Add(x, account.Look, "GET", "/cases", "List cases", func(ctx context.Context, in *listCases) (*api.Answer[api.Page[CaseRow]], error) {
		f := desk.CaseFilter{Query: strings.ToLower(in.Query), After: in.Cursor, Limit: in.Limit}
		for _, st := range in.State {
			f.States = append(f.States, desk.CaseState(st))
		}
		rows, err := s.CasesByAge(ctx, f)
		return api.Paged(in.Window, rows, func(r CaseRow) string { return r.ID }), err
	})
	api.Add(x, account.Look, "GET", "/cases/{id}", "Show a case with all that a person decides on", func(ctx context.Context, in *ByID) (*api.Answer[CaseView], error) {
		v, err := a.caseView(ctx, in.ID)
		return &api.Answer[CaseView]{Body: v}, err
	})
	type confirm struct {
		ByID
		Body Wish
	}
	api.Add(x, account.Decide, "POST", "/cases/{id}/confirm", "Have a case's name blocked; 202 where a second person is needed", func(ctx context.Context, in *confirm) (*decided, error) {
		c, err := in.Body.confirm()
		if err != nil {
			return nil, err
		}
		if c.Case, err = s.caseID(ctx, in.ID); err != nil {
			return nil, err
		}
		out, err := s.Confirm(ctx, Decider(api.Who(ctx)), c)
		return decision(out, http.StatusOK), err
	})
	type reject struct {
		ByID
		Body struct {
			Reason string `json:"reason" maxLength:"2000" doc:"why, in a few words; kept in the audit trail"`
		}
	}
	api.Add(x, account.Decide, "POST", "/cases/{id}/reject", "End a case without a block", func(ctx context.Context, in *reject) (*decided, error) {
		id, err := s.caseID(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		out, err := s.Reject(ctx, Decider(api.Who(ctx)), id, in.Body.Reason)
		if err != nil {
			return nil, err
		}
		v, err := s.Case(ctx, out.Case)
		d := decision(out, http.StatusOK)
		d.Body.Name = v.Name
		return d, err
	})
	api.Add(x, account.Look, "GET", "/cases/{id}/replay", "Judge a case again from what is kept: evidence and captures of its pages", func(ctx context.Context, in *ByID) (*api.Answer[Replayed], error) {
		v, err := a.caseView(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		r, err := s.Replay(ctx, v.ID)
		return &api.Answer[Replayed]{Body: r}, err
	})
}

func (a *API) caseView(ctx context.Context, text string) (CaseView, error) {
	id, err := a.shield.caseID(ctx, text)
	if err != nil {
		return CaseView{}, err
	}
	return a.shield.Case(ctx, id)
}
