package shield

import (
	"context"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
	"bolwerk/shield/judge"
)

// OfBrand is which brand is asked about.
type OfBrand struct {
	Brand string `query:"brand" maxLength:"100" doc:"one of your brands; absent: all of them"`
}

// brands are what somebody of a brand sees and says on the pages under /brand, for
// the brand's own programs. A token of the scope brand opens these and nothing else.
func (a *API) brands(x *api.Routes) {
	s := a.shield
	type lookalikes struct {
		api.Window
		OfBrand
		State string `query:"state" enum:"waiting,blocked,ended,left" doc:"absent: all"`
		Open  bool   `query:"open" doc:"those only that wait for our decision and for your answer"`
	}
	api.Add(x, account.OwnBrand, "GET", "/brand/lookalikes", "List what looks like your brands", func(ctx context.Context, in *lookalikes) (*api.Answer[api.Page[Lookalike]], error) {
		rows, err := s.Lookalikes(ctx, api.Who(ctx), OwnFilter{Brand: in.Brand, State: LookalikeState(in.State), Open: in.Open, After: in.Cursor, Limit: in.Limit})
		return api.Paged(in.Window, rows, func(l Lookalike) string { return l.Case }), err
	})
	api.Add(x, account.OwnBrand, "GET", "/brand/lookalikes/{id}", "Look at one look-alike", func(ctx context.Context, in *ByID) (*api.Answer[LookalikeView], error) {
		v, err := s.Lookalike(ctx, api.Who(ctx), in.ID)
		return &api.Answer[LookalikeView]{Body: v}, err
	})
	type says struct {
		Answer string `json:"answer" enum:"imitates,ours,unrelated" doc:"it imitates the brand, it is the brand's own, or it is somebody else's and no imitation"`
		Reason string `json:"reason,omitempty" maxLength:"500" doc:"why; needed unless it imitates the brand"`
	}
	type said struct {
		Case   string `json:"case,omitempty" doc:"number of the case about the name; absent where there is none"`
		Answer string `json:"answer" enum:"imitates,ours,unrelated"`
	}
	tell := func(ctx context.Context, in OwnerAnswer, of says) (*api.Answer[said], error) {
		in.Says, in.Reason = judge.Says(of.Answer), of.Reason
		ref, err := s.Answer(ctx, api.Who(ctx), in)
		return &api.Answer[said]{Body: said{ref, of.Answer}}, err
	}
	type answerCase struct {
		ByID
		Body says
	}
	api.Add(x, account.OwnBrand, "POST", "/brand/lookalikes/{id}/answer", "Say what you know of a look-alike; the desk decides", func(ctx context.Context, in *answerCase) (*api.Answer[said], error) {
		return tell(ctx, OwnerAnswer{Case: in.ID}, in.Body)
	})
	type certificates struct {
		OfBrand
		Limit int `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"the newest so many"`
	}
	api.Add(x, account.OwnBrand, "GET", "/brand/certificates", "List names of new certificates near your brands of which you have said nothing yet", func(ctx context.Context, in *certificates) (*api.Answer[api.Page[OwnNear]], error) {
		rows, _, err := s.OwnNears(ctx, api.Who(ctx), OwnFilter{Brand: in.Brand, Limit: in.Limit})
		return &api.Answer[api.Page[OwnNear]]{Body: api.Page[OwnNear]{Items: orNone(rows)}}, err
	})
	type answerName struct {
		Name string `path:"name" maxLength:"253" doc:"of the certificate"`
		Body says
	}
	api.Add(x, account.OwnBrand, "POST", "/brand/certificates/{name}/answer", "Say what you know of a new certificate's name; that it imitates the brand opens a case", func(ctx context.Context, in *answerName) (*api.Answer[said], error) {
		name, err := bolwerk.ParseDomain(in.Name)
		if err != nil {
			return nil, err
		}
		return tell(ctx, OwnerAnswer{Name: name}, in.Body)
	})
	api.Add(x, account.OwnBrand, "GET", "/brand/domains", "List the real domains that were given for your brands, the newest 500", func(ctx context.Context, in *OfBrand) (*api.Answer[api.Page[OwnDomain]], error) {
		rows, err := s.OwnDomains(ctx, api.Who(ctx), OwnFilter{Brand: in.Brand})
		return &api.Answer[api.Page[OwnDomain]]{Body: api.Page[OwnDomain]{Items: orNone(rows)}}, err
	})
	type give struct {
		Body struct {
			Brand string `json:"brand" maxLength:"100" doc:"one of your brands"`
			Name  string `json:"name" maxLength:"253" doc:"the domain; all below it is the brand's too"`
			Why   string `json:"why" minLength:"3" maxLength:"500" doc:"how we can see that it is the brand's"`
		}
	}
	api.Add(x, account.OwnBrand, "POST", "/brand/domains", "Give a real domain of your brand; it counts once the desk has taken it over", func(ctx context.Context, in *give) (*api.Answer[OwnDomain], error) {
		d, err := s.GiveDomain(ctx, api.Who(ctx), in.Body.Brand, in.Body.Name, in.Body.Why)
		return &api.Answer[OwnDomain]{Body: d}, err
	})
	type end struct {
		ByID
		Body struct {
			Why string `json:"why" minLength:"3" maxLength:"500" doc:"why it is not, or no longer, the brand's"`
		}
	}
	type ended struct {
		ID    string `json:"id"`
		State string `json:"state" enum:"ended"`
	}
	api.Add(x, account.OwnBrand, "POST", "/brand/domains/{id}/end", "Take a domain back; it no longer counts as the brand's own, at once", func(ctx context.Context, in *end) (*api.Answer[ended], error) {
		return &api.Answer[ended]{Body: ended{in.ID, string(DomainEnded)}}, s.TakeBackDomain(ctx, api.Who(ctx), in.ID, in.Body.Why)
	})
}
