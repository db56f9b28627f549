package account

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"bolwerk"
)

type peopleData struct {
	People []Person
	All    int    // without the filter
	Query  string // part of a log-in name
	State  string
	Roles  []Role
	States []State
	Login  string // as typed, after an error
	Link   string // of a fresh invitation, once
	For    string
	Wrong  wrong
}

func (s *Pages) peoplePage(w http.ResponseWriter, r *http.Request, _ Person) error {
	return s.people(w, r, http.StatusOK, peopleData{})
}

func (s *Pages) people(w http.ResponseWriter, r *http.Request, status int, data peopleData) error {
	all, err := s.accounts.List(r.Context())
	if err != nil {
		return err
	}
	data.All, data.Roles, data.States = len(all), Roles(), []State{Invited, Active, Disabled}
	data.Query, data.State = clip(strings.ToLower(r.URL.Query().Get("q"))), r.URL.Query().Get("state")
	for _, p := range all {
		if strings.Contains(p.Login, data.Query) && (data.State == "" || string(p.State) == data.State) {
			data.People = append(data.People, p)
		}
	}
	return s.pages.Render(w, r, status, "people", data)
}

func (s *Pages) invite(w http.ResponseWriter, r *http.Request, me Person) error {
	if err := form(r); err != nil {
		return err
	}
	data := peopleData{Login: clip(r.PostForm.Get("login"))}
	code, err := s.accounts.Invite(r.Context(), me.Actor(), r.PostForm.Get("login"), Role(r.PostForm.Get("role")))
	if err == nil {
		data.Link, data.For, data.Login = s.Link(code), data.Login, ""
		return s.people(w, r, http.StatusOK, data)
	}
	bad, status, err := beside("login", err)
	if err != nil {
		return err
	}
	data.Wrong = bad
	return s.people(w, r, status, data)
}

type personData struct {
	Person   Person
	Has      ways
	Sessions []Login
	Tokens   []APIToken
	Roles    []Role
	Own      bool
	Link     string // after a reset, once
	Done     string
	Wrong    wrong
}

func (s *Pages) personPage(w http.ResponseWriter, r *http.Request, me Person) error {
	return s.person(w, r, me, http.StatusOK, personData{Done: done(r)})
}

func (s *Pages) person(w http.ResponseWriter, r *http.Request, me Person, status int, data personData) error {
	p, err := s.accounts.ByLogin(r.Context(), r.PathValue("login"))
	if err != nil {
		return err
	}
	data.Person, data.Roles, data.Own = p, Roles(), p.ID == me.ID
	if data.Tokens, err = s.accounts.Tokens(r.Context(), p.Login); err != nil {
		return err
	}
	if data.Sessions, err = s.accounts.Sessions(r.Context(), p.ID); err != nil {
		return err
	}
	if data.Has, err = s.accounts.ways(r.Context(), p.ID); err != nil {
		return err
	}
	return s.pages.Render(w, r, status, "person", data)
}

// reason is the sentence that a change of people needs.
func (s *Pages) reason(r *http.Request) (string, error) {
	if err := form(r); err != nil {
		return "", err
	}
	reason := strings.TrimSpace(r.PostForm.Get("reason"))
	if n := len(reason); n < 3 || n > 500 {
		return "", bolwerk.Invalid("%s", s.t(r, "account.reason.missing"))
	}
	return reason, nil
}

// changed answers after a change of a person: back to its page, or, when what
// was entered is wrong, the page with the error beside the form that was sent.
func (s *Pages) changed(w http.ResponseWriter, r *http.Request, me Person, field, what string, err error) error {
	if err == nil {
		http.Redirect(w, r, "/people/"+url.PathEscape(r.PathValue("login"))+"?done="+what, http.StatusSeeOther)
		return nil
	}
	if !errors.Is(err, bolwerk.ErrInvalid) {
		return err
	}
	bad, status, err := beside(field, err)
	if err != nil {
		return err
	}
	return s.person(w, r, me, status, personData{Wrong: bad})
}

func (s *Pages) setRole(w http.ResponseWriter, r *http.Request, me Person) error {
	reason, err := s.reason(r)
	if err == nil {
		err = s.accounts.SetRole(r.Context(), me.Actor(), r.PathValue("login"), Role(r.PostForm.Get("role")), reason)
	}
	return s.changed(w, r, me, "role", "role", err)
}

func (s *Pages) disable(w http.ResponseWriter, r *http.Request, me Person) error {
	reason, err := s.reason(r)
	if err == nil {
		err = s.accounts.Disable(r.Context(), me.Actor(), r.PathValue("login"), reason)
	}
	return s.changed(w, r, me, "disable", "disabled", err)
}

func (s *Pages) reset(w http.ResponseWriter, r *http.Request, me Person) error {
	reason, err := s.reason(r)
	var code bolwerk.Token
	if err == nil {
		code, err = s.accounts.Reset(r.Context(), me.Actor(), r.PathValue("login"), reason)
	}
	if err != nil {
		return s.changed(w, r, me, "reset", "", err)
	}
	return s.person(w, r, me, http.StatusOK, personData{Link: s.Link(code)})
}

func (s *Pages) revokeOthersToken(w http.ResponseWriter, r *http.Request, me Person) error {
	return s.changed(w, r, me, "token", "token", s.accounts.RevokeToken(r.Context(), me.Actor(), true, r.PathValue("id")))
}

func (s *Pages) endOthersSession(w http.ResponseWriter, r *http.Request, me Person) error {
	p, err := s.accounts.ByLogin(r.Context(), r.PathValue("login"))
	if err == nil {
		err = s.accounts.EndSession(r.Context(), me.Actor(), p.ID, r.PathValue("id"))
	}
	return s.changed(w, r, me, "session", "session", err)
}
