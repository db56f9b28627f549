package account

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"bolwerk"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
)

type peopleData struct {
	People []Person
	All    int    // without the filter
	Query  string // part of a log-in name
	State  string
	Roles  []Role
	Brands []string   // that somebody can answer for
	Typed  url.Values // after an error
	States []State
	Login  string // as typed, after an error
	Done   string
	Link   string // of a fresh invitation, once
	For    string
	Waits  bool // its role waits for a second administrator
	Open   []changeRow
	Wrong  wrong
}

func (s *Pages) peoplePage(w http.ResponseWriter, r *http.Request, _ Person) error {
	return s.people(w, r, http.StatusOK, peopleData{Done: done(r)})
}

func (s *Pages) people(w http.ResponseWriter, r *http.Request, status int, data peopleData) error {
	all, err := s.accounts.List(r.Context())
	if err != nil {
		return err
	}
	data.All, data.Roles, data.States, data.Brands = len(all), s.invitable(), []State{Invited, Active, Disabled}, s.accounts.Brands()
	if data.Open, err = s.waiting(r); err != nil {
		return err
	}
	data.Query, data.State = clip(strings.ToLower(r.URL.Query().Get("q"))), r.URL.Query().Get("state")
	for _, p := range all {
		if strings.Contains(p.Login, data.Query) && (data.State == "" || string(p.State) == data.State) {
			data.People = append(data.People, p)
		}
	}
	return s.pages.Render(w, r, status, "people", data)
}

func (s *Pages) invite(w http.ResponseWriter, r *http.Request, me Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	data := peopleData{Login: clip(r.PostForm.Get("login"))}
	data.Typed = r.PostForm
	code, waits, err := s.inviteAs(r, me)
	if err == nil {
		data.Waits = waits
		data.Link, data.For, data.Login, data.Typed = s.Link(code), data.Login, "", nil
		return s.people(w, r, http.StatusOK, data)
	}
	bad, status, err := s.beside(r, "login", err)
	if err != nil {
		return err
	}
	data.Wrong = bad
	return s.people(w, r, status, data)
}

// invitable are the roles that the form offers.
func (s *Pages) invitable() []Role {
	if len(s.accounts.Brands()) == 0 {
		return Roles()
	}
	return append(Roles(), BrandOwner)
}

func (s *Pages) inviteAs(r *http.Request, me Person) (bolwerk.Token, bool, error) {
	login, role := r.PostForm.Get("login"), Role(r.PostForm.Get("role"))
	if role != BrandOwner {
		return s.accounts.InviteBy(r.Context(), me, login, role)
	}
	brands, err := s.accounts.ParseBrands(r.PostForm.Get("brands"))
	if err != nil {
		return bolwerk.Token{}, false, err
	}
	return s.accounts.InviteOwner(r.Context(), me.Actor(), login, brands)
}

// setBrands says for which brands somebody answers.
func (s *Pages) setBrands(w http.ResponseWriter, r *http.Request, me Person) error {
	reason, err := s.reason(r)
	what := "role"
	var brands []string
	if err == nil {
		brands, err = s.accounts.ParseBrands(r.PostForm.Get("brands"))
	}
	if err == nil {
		var done bool
		if done, err = s.accounts.ProposeBrands(r.Context(), me, r.PathValue("login"), brands, reason); !done {
			what = "proposed"
		}
	}
	return s.changed(w, r, me, "brands", what, err)
}

type personData struct {
	Person   Person
	Has      ways
	Sessions []Login
	Tokens   []APIToken
	Roles    []Role
	Brands   []string // that somebody can answer for
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
	data.Person, data.Roles, data.Brands, data.Own = p, Roles(), s.accounts.Brands(), p.ID == me.ID
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
	if err := web.ReadForm(r); err != nil {
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
	bad, status, err := s.beside(r, field, err)
	if err != nil {
		return err
	}
	return s.person(w, r, me, status, personData{Wrong: bad})
}

func (s *Pages) setRole(w http.ResponseWriter, r *http.Request, me Person) error {
	reason, err := s.reason(r)
	what := "role"
	if err == nil {
		var done bool
		if done, err = s.accounts.ProposeRole(r.Context(), me, r.PathValue("login"), Role(r.PostForm.Get("role")), reason); !done {
			what = "proposed"
		}
	}
	return s.changed(w, r, me, "role", what, err)
}

func (s *Pages) disable(w http.ResponseWriter, r *http.Request, me Person) error {
	reason, err := s.reason(r)
	if err == nil {
		err = s.accounts.Disable(r.Context(), me.Actor(), r.PathValue("login"), reason)
	}
	return s.changed(w, r, me, "disable", "disabled", err)
}

func (s *Pages) enable(w http.ResponseWriter, r *http.Request, me Person) error {
	reason, err := s.reason(r)
	if err == nil {
		err = s.accounts.Enable(r.Context(), me.Actor(), r.PathValue("login"), reason)
	}
	return s.changed(w, r, me, "enable", "enabled", err)
}

func (s *Pages) reset(w http.ResponseWriter, r *http.Request, me Person) error {
	reason, err := s.reason(r)
	var code bolwerk.Token
	if err == nil {
		code, err = s.accounts.ProposeReset(r.Context(), me, r.PathValue("login"), reason)
	}
	if err != nil || code == (bolwerk.Token{}) {
		return s.changed(w, r, me, "reset", "proposed", err)
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

// changeRow is a change of people that waits for a second administrator.
type changeRow struct {
	Proposal
	Change Change
	Who    string // proposed it
	Own    bool   // proposed by the reader, or about the reader
}

func (s *Pages) waiting(r *http.Request) (rows []changeRow, err error) {
	all, err := s.accounts.Waiting(r.Context())
	for _, p := range all {
		row, err := s.changeRow(r, p)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, err
}

func (s *Pages) changeRow(r *http.Request, p Proposal) (row changeRow, err error) {
	me, _ := From(r.Context())
	row = changeRow{Proposal: p, Who: p.By.String()}
	if err := json.Unmarshal(p.Body, &row.Change); err != nil {
		return row, err
	}
	row.Own = p.By == me.Actor() || row.Change.Person == me.ID
	if !p.By.IsPerson() {
		return row, nil
	}
	err = s.accounts.db.Read(r.Context(), func(tx *store.Tx) error {
		who, err := ByID(tx, p.By.Ref())
		if err == nil {
			row.Who = who.Login
		}
		return err
	})
	return row, err
}

type changeData struct {
	P     changeRow
	Fresh bool   // the reader has just shown who it is
	Link  string // after a reset, once
	Wrong wrong
}

// changePage is what a notice's link leads to: one change, one button.
func (s *Pages) changePage(w http.ResponseWriter, r *http.Request, me Person) error {
	return s.changeShown(w, r, me, http.StatusOK, changeData{})
}

func (s *Pages) changeShown(w http.ResponseWriter, r *http.Request, me Person, status int, data changeData) error {
	p, _, err := s.accounts.Proposed(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if data.P, err = s.changeRow(r, p); err != nil {
		return err
	}
	data.Fresh = me.Fresh(s.accounts.clock.Now())
	return s.pages.Render(w, r, status, "change", data)
}

func (s *Pages) approveChange(w http.ResponseWriter, r *http.Request, me Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	if !me.Fresh(s.accounts.clock.Now()) {
		s.AskProof(w, r, "/approve/people/"+r.PathValue("id"))
		return nil
	}
	c, code, err := s.accounts.ApproveChange(r.Context(), me, r.PathValue("id"), r.PostForm.Get("digest"))
	if err == nil && code != (bolwerk.Token{}) {
		return s.changeShown(w, r, me, http.StatusOK, changeData{Link: s.Link(code)})
	}
	if err == nil {
		http.Redirect(w, r, "/people/"+url.PathEscape(c.Login)+"?done=role", http.StatusSeeOther)
		return nil
	}
	bad, status, err := s.beside(r, "approve", err)
	if err != nil {
		return err
	}
	return s.changeShown(w, r, me, status, changeData{Wrong: bad})
}

func (s *Pages) dropChange(w http.ResponseWriter, r *http.Request, me Person) error {
	if err := s.accounts.DropChange(r.Context(), me, r.PathValue("id")); err != nil {
		return err
	}
	http.Redirect(w, r, "/people?done=dropped", http.StatusSeeOther)
	return nil
}
