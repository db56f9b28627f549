package account

import (
	"errors"
	"net/http"

	"bolwerk"
	"bolwerk/internal/web"
)

// awayCookie is of somebody who is away at a provider.
const awayCookie = "bolwerk_away"

// providers are those of the configuration, for this site.
func (s *Pages) openProviders() {
	s.providers = map[string]*remote{}
	if s.accounts.vault == nil {
		return
	}
	for _, p := range s.accounts.cfg.OIDC {
		s.providers[p.Name] = newRemote(p, s.frame.URL("/login/oidc/"+p.Name+"/callback"), s.accounts.clock.Now)
		s.order = append(s.order, p.Name)
	}
}

// providerLink is a button of the log-in page.
type providerLink struct{ Name, Title string }

func (s *Pages) providerLinks() (out []providerLink) {
	for _, name := range s.order {
		out = append(out, providerLink{name, s.providers[name].Title})
	}
	return out
}

// providerOf is the provider that answers for somebody; nil for an account of
// our own.
func (s *Pages) providerOf(p Person) *remote {
	for _, name := range s.order {
		if r := s.providers[name]; p.Issuer != "" && r.Issuer == p.Issuer {
			return r
		}
	}
	return nil
}

type leaveData struct{ Title, Href string }

// leave sends somebody to a provider. A redirect as the answer to a form would
// be stopped by form-action 'self', so a page leads on.
func (s *Pages) leave(w http.ResponseWriter, r *http.Request) error {
	p := s.providers[r.PathValue("name")]
	if p == nil {
		return bolwerk.NotFound("there is no such log-in provider")
	}
	if err := web.ReadForm(r); err != nil {
		return err
	}
	a := away{Next: localPath(r.PostForm.Get("next")), Proof: r.PostForm.Get("proof") != ""}
	href, err := p.leave(r.Context(), &a)
	if err != nil {
		return err
	}
	sealed, err := s.accounts.sealAway(a)
	if err != nil {
		return err
	}
	s.setCookie(w, awayCookie, sealed, int(leaveLife.Seconds()))
	if err := s.accounts.keepAway(r.Context(), a.State, r.PostForm.Get("held")); err != nil {
		return err
	}
	return s.pages.Render(w, r, http.StatusOK, "leave", leaveData{p.Title, href})
}

// callback is where a provider sends people back to.
func (s *Pages) callback(w http.ResponseWriter, r *http.Request) error {
	p := s.providers[r.PathValue("name")]
	if p == nil {
		return bolwerk.NotFound("there is no such log-in provider")
	}
	a, err := s.accounts.openAway(s.cookie(r, awayCookie))
	if err != nil {
		return err
	}
	s.setCookie(w, awayCookie, "", -1)
	c, err := p.back(r.Context(), a, r.URL.Query())
	if err != nil {
		return err
	}
	if a.Proof {
		return s.provedElsewhere(w, r, a, c)
	}
	pass, err := s.accounts.fromProvider(r.Context(), p.Provider, a.State, c, s.entry(r))
	if err != nil {
		if errors.Is(err, bolwerk.ErrForbidden) {
			s.accounts.metrics.failed.WithLabelValues("provider").Inc()
		}
		return err
	}
	if held := s.accounts.takeAway(r.Context(), a.State); held != "" {
		r.PostForm = map[string][]string{"held": {held}}
	}
	s.letIn(w, r, pass, a.Next)
	return nil
}

// provedElsewhere notes that the person of this session has logged in again at
// its provider, just now.
func (s *Pages) provedElsewhere(w http.ResponseWriter, r *http.Request, a away, c claims) error {
	me, err := s.Identify(r)
	if err != nil {
		return err
	}
	now := s.accounts.clock.Now()
	if at := c.proofAt(now); at.IsZero() || now.Sub(at) >= ProofLife {
		return bolwerk.WithHint(bolwerk.Forbidden("the log-in provider does not say that you have just logged in"), "it must send auth_time; use a passkey of this site instead")
	}
	if err := s.accounts.proveSubject(r.Context(), me, a.State, c); err != nil {
		return err
	}
	http.Redirect(w, r, a.Next, http.StatusSeeOther)
	return nil
}
