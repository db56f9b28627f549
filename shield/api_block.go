package shield

import (
	"context"
	"net/http"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
	"bolwerk/internal/idn"
	"bolwerk/shield/aid"
)

type listBlocksIn struct {
	api.Window
	State string `query:"state" enum:"in_force,expired,withdrawn,suspended" doc:"absent: all"`
	Query string `query:"q" maxLength:"253" doc:"part of the name"`
}

func (l listBlocksIn) filter(pass bool) BlockFilter {
	return BlockFilter{State: State(l.State), Pass: pass, Query: strings.ToLower(l.Query), After: l.Cursor, Limit: l.Limit}
}

type endIn struct {
	ByID
	Body struct {
		Reason string `json:"reason" maxLength:"2000" doc:"why, in a few words; kept in the audit trail"`
		Cause  string `json:"cause,omitempty" enum:"false_positive,appeal,cleaned,error" doc:"absent: error"`
	}
}

// Foresight asks what a decision would come to.
type Foresight struct {
	DryRun bool `query:"dry_run" doc:"only say what would come of it, or refuse: nothing is done"`
}

func (d Foresight) made() int {
	if d.DryRun {
		return http.StatusOK
	}
	return http.StatusCreated
}

// nameIn reads a name as people give it. An address of a page is none.
func nameIn(text string) (bolwerk.Domain, error) {
	d, err := idn.Parse(strings.TrimSpace(text))
	if err != nil && strings.ContainsAny(text, "/:@") {
		err = bolwerk.WithHint(err, "give the name alone, without http:// and path")
	}
	return d, err
}

func (a *API) blocks(x *api.Routes) {
	s := a.shield
	api.Add(x, account.Look, "GET", "/blocks", "List blocks", func(ctx context.Context, in *listBlocksIn) (*api.Answer[api.Page[Block]], error) {
		rows, err := s.Blocks(ctx, in.filter(false))
		return api.Paged(in.Window, rows, func(b Block) string { return b.ID }), err
	})
	api.Add(x, account.Look, "GET", "/blocks/{id}", "Show a block with its whole life", func(ctx context.Context, in *ByID) (*api.Answer[BlockView], error) {
		return a.blockView(ctx, in.ID, false)
	})
	type addBlock struct {
		Foresight
		Body struct {
			Name string `json:"name" maxLength:"600" doc:"in A-labels or as people write it"`
			Wish
		}
	}
	api.Add(x, account.Decide, "POST", "/blocks", "Block a name that nobody reported; 202 where a second person is needed", func(ctx context.Context, in *addBlock) (*decided, error) {
		c, err := in.Body.confirm()
		if err != nil {
			return nil, err
		}
		if c.Name, err = nameIn(in.Body.Name); err != nil {
			return nil, err
		}
		c.Dry = in.DryRun
		out, err := s.Confirm(ctx, Decider(api.Who(ctx)), c)
		return decision(out, in.made()), err
	})
	api.Add(x, account.Decide, "POST", "/blocks/{id}/withdraw", "Take a block out of force", func(ctx context.Context, in *endIn) (*decided, error) {
		return a.end(ctx, in, false)
	})
	type asked struct {
		ByID
		Body struct {
			AskedFor []string `json:"asked_for" enum:"card,otp,money,remote,password,iban,id" maxItems:"7" doc:"what the site asks visitors for; none is an answer too"`
		}
	}
	api.Add(x, account.Decide, "POST", "/blocks/{id}/asked-for", "Say what the site of a block in force asks visitors for", func(ctx context.Context, in *asked) (*api.Answer[Block], error) {
		set, err := aid.ParseSet(in.Body.AskedFor)
		if err != nil {
			return nil, err
		}
		b, err := s.AskBlock(ctx, Decider(api.Who(ctx)), in.ID, set)
		return &api.Answer[Block]{Body: b}, err
	})
	type explain struct {
		Name string `path:"name" maxLength:"600"`
	}
	api.Add(x, account.Look, "GET", "/names/{name}", "Explain what happens to a name, and ask every resolver", func(ctx context.Context, in *explain) (*api.Answer[Explanation], error) {
		name, err := nameIn(in.Name)
		if err != nil {
			return nil, err
		}
		e, err := s.Explain(ctx, name)
		return &api.Answer[Explanation]{Body: e}, err
	})
	a.exemptions(x)
}

func (a *API) exemptions(x *api.Routes) {
	s := a.shield
	api.Add(x, account.Look, "GET", "/exemptions", "List exemptions", func(ctx context.Context, in *listBlocksIn) (*api.Answer[api.Page[Block]], error) {
		rows, err := s.Blocks(ctx, in.filter(true))
		return api.Paged(in.Window, rows, func(b Block) string { return b.ID }), err
	})
	type addExemption struct {
		Foresight
		Body struct {
			Name      string `json:"name" maxLength:"600"`
			Reason    string `json:"reason" maxLength:"2000"`
			Scope     string `json:"scope,omitempty" enum:"host,subtree,registrable" doc:"absent: host"`
			For       string `json:"for,omitempty" maxLength:"20" doc:"length of time such as 12h; absent with until and permanent: 24h, the most that one person may give"`
			Until     string `json:"until,omitempty" format:"date-time"`
			Permanent bool   `json:"permanent,omitempty" doc:"for ever; needs a second person"`
		}
	}
	api.Add(x, account.Decide, "POST", "/exemptions", "Let a name pass whatever is blocked; 202 where a second person is needed", func(ctx context.Context, in *addExemption) (*decided, error) {
		b := in.Body
		if b.Permanent && (b.For != "" || b.Until != "") {
			return nil, bolwerk.Invalid("an exemption is permanent or has an end, not both")
		}
		length, until, err := span(b.For, b.Until)
		if err != nil {
			return nil, err
		}
		if length == 0 && until.IsZero() && !b.Permanent {
			length = 24 * time.Hour
		}
		name, err := nameIn(b.Name)
		if err != nil {
			return nil, err
		}
		out, err := s.Exempt(ctx, Decider(api.Who(ctx)), Exempt{Name: name, Scope: bolwerk.Scope(b.Scope), For: length, Until: until, Reason: b.Reason, Dry: in.DryRun})
		return decision(out, in.made()), err
	})
	api.Add(x, account.Decide, "POST", "/exemptions/{id}/remove", "End an exemption", func(ctx context.Context, in *endIn) (*decided, error) {
		return a.end(ctx, in, true)
	})
}

func (a *API) blockView(ctx context.Context, text string, pass bool) (*api.Answer[BlockView], error) {
	id, err := a.shield.blockID(ctx, text, pass)
	if err != nil {
		return nil, err
	}
	v, err := a.shield.Block(ctx, id)
	return &api.Answer[BlockView]{Body: v}, err
}

func (a *API) end(ctx context.Context, in *endIn, pass bool) (*decided, error) {
	cause := ByMistake
	if in.Body.Cause != "" {
		var err error
		if cause, err = ParseCause(in.Body.Cause); err != nil {
			return nil, err
		}
	}
	id, err := a.shield.blockID(ctx, in.ID, pass)
	if err != nil {
		return nil, err
	}
	out, err := a.shield.Withdraw(ctx, Decider(api.Who(ctx)), id, cause, in.Body.Reason)
	return decision(out, http.StatusOK), err
}
