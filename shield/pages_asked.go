package shield

import (
	"net/http"
	"net/url"
	"slices"

	"bolwerk/internal/account"
	"bolwerk/internal/web"
	"bolwerk/shield/aid"
)

// asking are the boxes for what a site asks visitors for: what was sent, else
// what is known.
type asking struct {
	form  url.Values
	known aid.Set
}

// Asks are the kinds of data that a site may ask for.
func (asking) Asks() []aid.Kind { return aid.Kinds() }

// Asked says whether a kind is ticked.
func (a asking) Asked(k aid.Kind) bool {
	if a.form.Has("asks") {
		return slices.Contains(a.form["asked_for"], string(k))
	}
	return a.known.Has(k)
}

// askBlock changes what the site of a block asks for.
func (p *Pages) askBlock(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.ask(w, r, "/block/"+r.PathValue("id"), func(asked aid.Set) error {
		_, err := p.s.AskBlock(r.Context(), Decider(who), r.PathValue("id"), asked)
		return err
	})
}

// askCampaign changes what the sites of a campaign ask for.
func (p *Pages) askCampaign(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.ask(w, r, "/campaign/"+r.PathValue("id"), func(asked aid.Set) error {
		return p.s.AskCampaign(r.Context(), Decider(who), r.PathValue("id"), asked)
	})
}

func (p *Pages) ask(w http.ResponseWriter, r *http.Request, back string, change func(aid.Set) error) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	asked, err := aid.ParseSet(r.PostForm["asked_for"])
	if err == nil {
		err = change(asked)
	}
	if err != nil {
		return err
	}
	return goTo(w, r, back, "asked")
}
