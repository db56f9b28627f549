package shield

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/shield/judge"
)

// OfBrand is which brand is asked about.
type OfBrand struct {
	Brand string `query:"brand" maxLength:"100" doc:"one of your brands; absent: all of them"`
}

// brands are what somebody of a brand sees and says on the pages under /brand, for
// the brand's own programs. A token of the scope brand opens these and nothing else.
func (a *API) brands(api huma.API) {
	s := a.shield
	type lookalikes struct {
		Window
		OfBrand
		State string `query:"state" enum:"waiting,blocked,ended,left" doc:"absent: all"`
		Open  bool   `query:"open" doc:"those only that wait for our decision and for your answer"`
	}
	add(a, api, account.OwnBrand, "GET", "/brand/lookalikes", "List what looks like your brands", func(ctx context.Context, in *lookalikes) (*answer[page[Lookalike]], error) {
		rows, err := s.Lookalikes(ctx, whoAsks(ctx), OwnFilter{Brand: in.Brand, State: LookalikeState(in.State), Open: in.Open, After: in.Cursor, Limit: in.Limit})
		return paged(in.Window, rows, func(l Lookalike) string { return l.Case }), err
	})
	add(a, api, account.OwnBrand, "GET", "/brand/lookalikes/{id}", "Look at one look-alike", func(ctx context.Context, in *ByID) (*answer[LookalikeView], error) {
		v, err := s.Lookalike(ctx, whoAsks(ctx), in.ID)
		return &answer[LookalikeView]{Body: v}, err
	})
	type says struct {
		Answer string `json:"answer" enum:"imitates,ours,unrelated" doc:"it imitates the brand, it is the brand's own, or it is somebody else's and no imitation"`
		Reason string `json:"reason,omitempty" maxLength:"500" doc:"why; needed unless it imitates the brand"`
	}
	type said struct {
		Case   string `json:"case,omitempty" doc:"number of the case about the name; absent where there is none"`
		Answer string `json:"answer" enum:"imitates,ours,unrelated"`
	}
	tell := func(ctx context.Context, in OwnerAnswer, of says) (*answer[said], error) {
		in.Says, in.Reason = judge.Says(of.Answer), of.Reason
		ref, err := s.Answer(ctx, whoAsks(ctx), in)
		return &answer[said]{Body: said{ref, of.Answer}}, err
	}
	type answerCase struct {
		ByID
		Body says
	}
	add(a, api, account.OwnBrand, "POST", "/brand/lookalikes/{id}/answer", "Say what you know of a look-alike; the desk decides", func(ctx context.Context, in *answerCase) (*answer[said], error) {
		return tell(ctx, OwnerAnswer{Case: in.ID}, in.Body)
	})
	type certificates struct {
		OfBrand
		Limit int `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"the newest so many"`
	}
	add(a, api, account.OwnBrand, "GET", "/brand/certificates", "List names of new certificates near your brands of which you have said nothing yet", func(ctx context.Context, in *certificates) (*answer[page[OwnNear]], error) {
		rows, _, err := s.OwnNears(ctx, whoAsks(ctx), OwnFilter{Brand: in.Brand, Limit: in.Limit})
		return &answer[page[OwnNear]]{Body: page[OwnNear]{Items: orNone(rows)}}, err
	})
	type answerName struct {
		Name string `path:"name" maxLength:"253" doc:"of the certificate"`
		Body says
	}
	add(a, api, account.OwnBrand, "POST", "/brand/certificates/{name}/answer", "Say what you know of a new certificate's name; that it imitates the brand opens a case", func(ctx context.Context, in *answerName) (*answer[said], error) {
		name, err := bolwerk.ParseDomain(in.Name)
		if err != nil {
			return nil, err
		}
		return tell(ctx, OwnerAnswer{Name: name}, in.Body)
	})
	add(a, api, account.OwnBrand, "GET", "/brand/domains", "List the real domains that were given for your brands, the newest 500", func(ctx context.Context, in *OfBrand) (*answer[page[OwnDomain]], error) {
		rows, err := s.OwnDomains(ctx, whoAsks(ctx), OwnFilter{Brand: in.Brand})
		return &answer[page[OwnDomain]]{Body: page[OwnDomain]{Items: orNone(rows)}}, err
	})
	type give struct {
		Body struct {
			Brand string `json:"brand" maxLength:"100" doc:"one of your brands"`
			Name  string `json:"name" maxLength:"253" doc:"the domain; all below it is the brand's too"`
			Why   string `json:"why" minLength:"3" maxLength:"500" doc:"how we can see that it is the brand's"`
		}
	}
	add(a, api, account.OwnBrand, "POST", "/brand/domains", "Give a real domain of your brand; it counts once the desk has taken it over", func(ctx context.Context, in *give) (*answer[OwnDomain], error) {
		d, err := s.GiveDomain(ctx, whoAsks(ctx), in.Body.Brand, in.Body.Name, in.Body.Why)
		return &answer[OwnDomain]{Body: d}, err
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
	add(a, api, account.OwnBrand, "POST", "/brand/domains/{id}/end", "Take a domain back; it no longer counts as the brand's own, at once", func(ctx context.Context, in *end) (*answer[ended], error) {
		return &answer[ended]{Body: ended{in.ID, string(DomainEnded)}}, s.TakeBackDomain(ctx, whoAsks(ctx), in.ID, in.Body.Why)
	})
}
