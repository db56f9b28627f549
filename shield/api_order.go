package shield

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// AppealItem is an appeal with its subject under the name of all lists.
type AppealItem struct {
	Name string `json:"name"`
	desk.Appeal
}

// ProposalItem is a proposal with what it is about.
type ProposalItem struct {
	Name  string `json:"name"`
	Scope string `json:"scope"`
	desk.Proposal
}

func proposalItem(p desk.Proposal) ProposalItem {
	i := ProposalItem{Proposal: p}
	var about struct {
		Name  string `json:"name"`
		Scope string `json:"scope"`
	}
	if json.Unmarshal(p.Body, &about) == nil { // ours; a body without is shown without
		i.Name, i.Scope = about.Name, about.Scope
	}
	return i
}

// AppealsByAge lists appeals newest first.
func (s *Shield) AppealsByAge(ctx context.Context, f desk.AppealFilter) (out []desk.Appeal, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error { out, err = desk.AppealsByAge(tx, f); return err })
	return out, err
}

func (a *API) orders(x *api.Routes) {
	s := a.shield
	type list struct {
		api.Window
		Issuer string `query:"issuer" maxLength:"100"`
		State  string `query:"state" enum:"held,in_force,refused,lifted,ended"`
		Query  string `query:"q" maxLength:"253" doc:"part of the name"`
	}
	api.Add(x, account.Look, "GET", "/orders", "List orders of authorities", func(ctx context.Context, in *list) (*api.Answer[api.Page[desk.Order]], error) {
		rows, err := s.Orders(ctx, desk.OrderFilter{Issuer: in.Issuer, State: in.State, Query: strings.ToLower(in.Query), After: in.Cursor, Limit: in.Limit})
		return api.Paged(in.Window, rows, func(o desk.Order) string { return o.ID }), err
	})
	api.Add(x, account.Look, "GET", "/orders/{id}", "Show an order", func(ctx context.Context, in *ByID) (*api.Answer[desk.Order], error) {
		o, err := s.Order(ctx, in.ID)
		return &api.Answer[desk.Order]{Body: o}, err
	})
	type ByIssuer struct {
		Issuer string `path:"issuer" maxLength:"100" doc:"its name in the configuration"`
	}
	type push struct {
		ByIssuer
		RawBody []byte `contentType:"application/jwt" maxLength:"65536"`
	}
	op := huma.Operation{Method: "POST", Path: api.Path + "/orders/{issuer}/push", Summary: "Take one order, signed by its issuer (JWT, HS512 or HS256)",
		Description: "The body is the token alone. Its signature is the authentication.", Security: []map[string][]string{}, MaxBodyBytes: 64 << 10}
	api.Open(x, op, func(ctx context.Context, in *push) (*api.Answer[desk.Order], error) {
		o, err := s.Push(ctx, in.Issuer, pushedToken(in.RawBody))
		return &api.Answer[desk.Order]{Body: o}, err
	})
	type released struct {
		State    string `json:"state"`
		Issuer   string `json:"issuer"`
		Released int    `json:"released" doc:"orders carried out or refused by a rail by now; what takes longer follows by itself"`
	}
	api.Add(x, account.Decide, "POST", "/orders/{issuer}/release", "Carry out the orders of an issuer that were held back", func(ctx context.Context, in *ByIssuer) (*api.Answer[released], error) {
		n, err := s.ReleaseOrders(ctx, Decider(api.Who(ctx)), in.Issuer)
		return &api.Answer[released]{Body: released{"released", in.Issuer, n}}, err
	})
}

// pushedToken takes the token out of a body: alone, or as the member "token" of
// an object.
func pushedToken(body []byte) string {
	var wrapped struct {
		Token string `json:"token"`
	}
	if json.Unmarshal(body, &wrapped) == nil && wrapped.Token != "" {
		return wrapped.Token
	}
	var quoted string
	if json.Unmarshal(body, &quoted) == nil {
		return quoted
	}
	return strings.TrimSpace(string(body))
}

func (a *API) appeals(x *api.Routes) {
	s := a.shield
	type list struct {
		api.Window
		State string `query:"state" enum:"received,decided"`
	}
	api.Add(x, account.Look, "GET", "/appeals", "List appeals", func(ctx context.Context, in *list) (*api.Answer[api.Page[AppealItem]], error) {
		rows, err := s.AppealsByAge(ctx, desk.AppealFilter{State: in.State, After: in.Cursor, Limit: in.Limit})
		items := make([]AppealItem, len(rows))
		for i, r := range rows {
			items[i] = AppealItem{r.Subject, r}
		}
		return api.Paged(in.Window, items, func(i AppealItem) string { return i.ID }), err
	})
	show := func(ctx context.Context, id string) (*api.Answer[AppealItem], error) {
		r, err := s.Appeal(ctx, id)
		return &api.Answer[AppealItem]{Body: AppealItem{r.Subject, r}}, err
	}
	api.Add(x, account.Look, "GET", "/appeals/{id}", "Show an appeal with what was written", func(ctx context.Context, in *ByID) (*api.Answer[AppealItem], error) {
		return show(ctx, in.ID)
	})
	type decide struct {
		ByID
		Body struct {
			Decision string `json:"decision" enum:"upheld,rejected" doc:"upheld withdraws the block"`
			Reason   string `json:"reason" maxLength:"2000"`
		}
	}
	api.Add(x, account.Decide, "POST", "/appeals/{id}/decide", "Decide an appeal", func(ctx context.Context, in *decide) (*api.Answer[AppealItem], error) {
		if err := s.DecideAppeal(ctx, Decider(api.Who(ctx)), in.ID, in.Body.Decision == "upheld", in.Body.Reason); err != nil {
			return nil, err
		}
		return show(ctx, in.ID)
	})
	api.Add(x, account.Look, "GET", "/proposals", "List what waits for a second person, oldest first", func(ctx context.Context, _ *struct{}) (*api.Answer[api.Page[ProposalItem]], error) {
		rows, err := s.Proposals(ctx, "", 200)
		items := make([]ProposalItem, len(rows))
		for i, p := range rows {
			items[i] = proposalItem(p)
		}
		return &api.Answer[api.Page[ProposalItem]]{Body: api.Page[ProposalItem]{Items: items}}, err
	})
	type approve struct {
		ByID
		Body struct {
			Digest string `json:"digest" minLength:"64" maxLength:"64" doc:"of the proposal that was looked at; a changed one is refused"`
		}
	}
	api.Add(x, account.Decide, "POST", "/proposals/{id}/approve", "Approve as the second person; in a session, never with a token", func(ctx context.Context, in *approve) (*decided, error) {
		p := api.Who(ctx)
		if err := p.MayApprove(s.clock.Now()); err != nil {
			return nil, err
		}
		out, err := s.Approve(ctx, Decider(p), in.ID, in.Body.Digest)
		return decision(out, http.StatusOK), err
	})
	type decline struct {
		ByID
		Body struct {
			Reason string `json:"reason" maxLength:"2000"`
		}
	}
	api.Add(x, account.Decide, "POST", "/proposals/{id}/decline", "End a proposal without doing it; its case waits for a decision again", func(ctx context.Context, in *decline) (*api.Answer[ProposalItem], error) {
		p, err := s.Decline(ctx, Decider(api.Who(ctx)), in.ID, in.Body.Reason)
		return &api.Answer[ProposalItem]{Body: proposalItem(p)}, err
	})
}

// picture adds what the desk looks at: the figures and the audit trail.
func (a *API) picture(x *api.Routes) {
	s := a.shield
	api.Add(x, account.Look, "GET", "/today", "Count what the desk looks at first", func(ctx context.Context, _ *struct{}) (*api.Answer[Today], error) {
		t, err := s.Today(ctx)
		return &api.Answer[Today]{Body: t}, err
	})
	api.Add(x, account.Look, "GET", "/now", "Look at the desk at this moment: queue, rates, hosts, resolvers, alarms", func(ctx context.Context, _ *struct{}) (*api.Answer[Now], error) {
		n, err := s.Now(ctx)
		return &api.Answer[Now]{Body: n}, err
	})
	api.Add(x, account.Look, "GET", "/in-force", "Look how long decisions take to be in force at each edge, agent and resolver, and how the DNS service does by Regulation (EU) 2024/2690, art. 5", func(ctx context.Context, _ *struct{}) (*api.Answer[Pulse], error) {
		p, err := s.Pulse(ctx)
		return &api.Answer[Pulse]{Body: p}, err
	})
	type trail struct {
		api.Window
		Object string `query:"object" maxLength:"100" doc:"number of what it is about, such as B-2026-000001; absent: all"`
	}
	api.Add(x, account.Look, "GET", "/audit", "List the audit trail, newest first", func(ctx context.Context, in *trail) (*api.Answer[api.Page[audit.Entry]], error) {
		before := int64(0)
		if in.Cursor != "" {
			var err error
			if before, err = strconv.ParseInt(in.Cursor, 10, 64); err != nil || before < 1 {
				return nil, bolwerk.Invalid("cursor %q is none of the audit trail's", in.Cursor)
			}
		}
		var rows []audit.Entry
		err := s.db.Read(ctx, func(tx *store.Tx) (err error) {
			rows, err = audit.Before(tx, in.Object, before, in.Limit)
			return err
		})
		return api.Paged(in.Window, rows, func(e audit.Entry) string { return strconv.FormatInt(e.Seq, 10) }), err
	})
}
