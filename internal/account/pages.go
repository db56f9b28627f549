package account

import (
	"embed"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"bolwerk"
	"bolwerk/internal/web"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed texts/*.toml
var textFiles embed.FS

// Texts are the words of this package's pages, for web.Site.
func Texts() (*web.Texts, error) { return web.ReadTexts(textFiles, "texts") }

// Pages are log-in, own account and people.
type Pages struct {
	*Door
	pages *web.Pages
	keys  *keys

	providers map[string]*remote
	order     []string // of their buttons
}

// NewPages reads the templates.
func NewPages(d *Door) (*Pages, error) {
	p, err := d.frame.Pages(fs.FS(pageFiles), "pages")
	s := &Pages{Door: d, pages: p, keys: newKeys(d.accounts, d.frame.URL(""), "Bolwerk")}
	s.openProviders()
	d.logIn = s.logInPage
	return s, err
}

// Routes adds the pages to mux.
func (s *Pages) Routes(mux *http.ServeMux) {
	open := func(pattern string, fn web.Func) { mux.Handle(pattern, s.frame.Do(fn)) }
	// What belongs to one's own account is done in a session: a token must not
	// make another token.
	own := func(pattern string, fn func(http.ResponseWriter, *http.Request, Person) error) {
		mux.Handle(pattern, s.let(func(p Person) bool { return p.By == BySession && !p.Setup }, s.with(fn)))
	}
	// What a session may do that is only for setting up.
	begin := func(pattern string, fn func(http.ResponseWriter, *http.Request, Person) error) {
		mux.Handle(pattern, s.let(func(p Person) bool { return p.By == BySession }, s.with(fn)))
	}
	admin := func(pattern string, fn func(http.ResponseWriter, *http.Request, Person) error) {
		mux.Handle(pattern, s.let(func(p Person) bool { return p.By == BySession && p.May(Administer) }, s.with(fn)))
	}
	open("GET /login", s.loginPage)
	open("POST /login", s.login)
	open("GET /welcome/{code}", s.welcomePage)
	open("POST /welcome/{code}", s.welcome)
	open("POST /logout", s.logout)
	open("GET /login/passkey", s.askLogin)
	open("POST /login/passkey", s.loginByKey)
	open("POST /login/oidc/{name}", s.leave)
	open("GET /login/oidc/{name}/callback", s.callback)
	open("GET /login/recovery", s.recoveryPage)
	open("POST /login/recovery", s.recover)
	own("GET /proof/passkey", s.askProof)
	own("POST /proof/passkey", s.proveByKey)
	begin("GET /account/setup", s.setupPage)
	begin("POST /account/setup", s.setUp)
	begin("GET /account/passkeys/new", s.askKey)
	begin("POST /account/passkeys", s.addKey)
	own("POST /account/passkeys/{id}/remove", s.removeKey)
	own("POST /account/recovery", s.makeRecovery)
	own("POST /account/mail", s.setMail)
	admin("GET /approve/people/{id}", s.changePage)
	admin("POST /approve/people/{id}", s.approveChange)
	admin("POST /approve/people/{id}/drop", s.dropChange)
	admin("POST /people/{login}/sessions/{id}/end", s.endOthersSession)
	own("GET /proof", s.proofPage)
	own("POST /proof", s.prove)
	own("GET /account", s.accountPage)
	own("POST /account/password", s.changePassword)
	own("POST /account/tokens", s.createToken)
	own("POST /account/tokens/{id}/revoke", s.revokeToken)
	own("POST /account/sessions/{id}/end", s.endSession)
	admin("GET /people", s.peoplePage)
	admin("POST /people", s.invite)
	admin("GET /people/{login}", s.personPage)
	admin("POST /people/{login}/role", s.setRole)
	admin("POST /people/{login}/brands", s.setBrands)
	admin("POST /people/{login}/reset", s.reset)
	admin("POST /people/{login}/disable", s.disable)
	admin("POST /people/{login}/enable", s.enable)
	admin("POST /people/{login}/tokens/{id}/revoke", s.revokeOthersToken)
}

// Link is the address that an invited person opens.
func (s *Pages) Link(code bolwerk.Token) string { return s.frame.URL("/welcome/" + code.Reveal()) }

func (s *Pages) with(fn func(http.ResponseWriter, *http.Request, Person) error) http.Handler {
	return s.frame.Do(func(w http.ResponseWriter, r *http.Request) error {
		p, _ := From(r.Context())
		return fn(w, r, p)
	})
}

// wrong is what stands beside a field: field -> sentence.
type wrong map[string]string

// beside puts an error of one of our kinds beside a field, with the status that
// it stands for; any other error is given back.
func (s *Pages) beside(r *http.Request, field string, err error) (wrong, int, error) {
	p := s.frame.Told(r, web.Explain(err))
	if p.Status == http.StatusInternalServerError {
		return nil, 0, err
	}
	if p.Status == http.StatusBadRequest {
		p.Status = http.StatusUnprocessableEntity
	}
	text := p.Detail
	if p.Hint != "" {
		text += ": " + p.Hint
	}
	return wrong{field: text}, p.Status, nil
}

func (s *Pages) entry(r *http.Request) Entry {
	return Entry{Source: s.frame.Source(r), Agent: r.UserAgent(), Device: s.cookie(r, deviceCookie)}
}

// letIn gives a browser its cookies and sends it on: to the page of a form that
// came without a session, or to next.
func (s *Pages) letIn(w http.ResponseWriter, r *http.Request, p Pass, next string) {
	s.setCookie(w, sessionCookie, p.Session.Reveal(), int(s.accounts.cfg.SessionLife.D().Seconds()))
	s.setCookie(w, deviceCookie, p.Device.Reveal(), int(deviceLife.Seconds()))
	if held := r.PostForm.Get("held"); held != "" {
		if me, err := s.accounts.Session(r.Context(), p.Session.Reveal()); err == nil {
			if back := s.accounts.keepHeld(r.Context(), me.ID, held); back != "" {
				next = back
			}
		}
	}
	http.Redirect(w, r, localPath(next), http.StatusSeeOther)
}

func (s *Pages) t(r *http.Request, key string, args ...any) string {
	return s.frame.Texts().T(web.Lang(r), key, args...)
}

type loginData struct {
	Login, Next string
	Held        string // a form that came without a session, sealed
	Keys        bool   // passkeys can be used here
	Providers   []providerLink
	Out         leaveData // after a log-out: where the provider logs out too
	Wrong       wrong
}

func (s *Pages) logInPage(w http.ResponseWriter, r *http.Request, status int, data loginData) error {
	data.Keys, data.Providers = s.keys.rp != nil, s.providerLinks()
	return s.pages.Render(w, r, status, "login", data)
}

func (s *Pages) loginPage(w http.ResponseWriter, r *http.Request) error {
	next := localPath(r.URL.Query().Get("next"))
	if _, err := s.Identify(r); err == nil {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return nil
	}
	data := loginData{Next: next}
	if p := s.providers[r.URL.Query().Get("out")]; p != nil {
		data.Out = leaveData{p.Title, p.end(s.frame.URL("/login"))}
	}
	return s.logInPage(w, r, http.StatusOK, data)
}

func (s *Pages) login(w http.ResponseWriter, r *http.Request) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	data := loginData{Login: clip(r.PostForm.Get("login")), Next: localPath(r.PostForm.Get("next")), Held: r.PostForm.Get("held")}
	pass, err := s.accounts.Login(r.Context(), r.PostForm.Get("login"), bolwerk.NewSecret(r.PostForm.Get("password")), s.entry(r))
	if err == nil {
		s.letIn(w, r, pass, data.Next)
		return nil
	}
	p := web.Explain(err)
	switch p.Status {
	case http.StatusForbidden:
		data.Wrong = wrong{"password": s.t(r, "account.login.wrong")}
	case http.StatusConflict:
		data.Wrong = wrong{"password": s.t(r, "account.login.passkey")}
	case http.StatusTooManyRequests:
		data.Wrong = wrong{"password": s.t(r, "account.login.wait", p.After)}
		w.Header().Set("Retry-After", strconv.Itoa(p.After))
	default:
		return err
	}
	return s.logInPage(w, r, p.Status, data)
}

type welcomeData struct {
	Login        string
	SetsPassword bool
	Wrong        wrong
}

// welcomePage changes nothing: scanners of mail open links before people do.
func (s *Pages) welcomePage(w http.ResponseWriter, r *http.Request) error {
	p, sets, err := s.invited(r)
	if err != nil {
		return err
	}
	return s.pages.Render(w, r, http.StatusOK, "welcome", welcomeData{Login: p.Login, SetsPassword: sets})
}

func (s *Pages) invited(r *http.Request) (Person, bool, error) {
	code, err := bolwerk.ParseToken(r.PathValue("code"))
	if err != nil {
		return Person{}, false, errGone()
	}
	return s.accounts.Invitation(r.Context(), code)
}

func (s *Pages) welcome(w http.ResponseWriter, r *http.Request) error {
	p, sets, err := s.invited(r)
	if err != nil {
		return err
	}
	code, _ := bolwerk.ParseToken(r.PathValue("code")) // invited has parsed it
	if !sets {
		pass, err := s.accounts.Enter(r.Context(), code, s.entry(r))
		if err == nil {
			s.letIn(w, r, pass, "/")
		}
		return err
	}
	if err := web.ReadForm(r); err != nil {
		return err
	}
	password, again := r.PostForm.Get("password"), r.PostForm.Get("again")
	if password != again {
		return s.pages.Render(w, r, http.StatusUnprocessableEntity, "welcome", welcomeData{p.Login, true, wrong{"again": s.t(r, "account.password.differ")}})
	}
	if bad := s.badPassword(r, p.Login, password); bad != nil {
		return s.pages.Render(w, r, http.StatusUnprocessableEntity, "welcome", welcomeData{p.Login, true, bad})
	}
	pass, err := s.accounts.Accept(r.Context(), code, bolwerk.NewSecret(password), s.entry(r))
	if err == nil {
		s.letIn(w, r, pass, "/")
	}
	return err
}

// badPassword says in the reader's language what is wrong with a new password.
func (s *Pages) badPassword(r *http.Request, login, password string) wrong {
	fault, n := passwordFault(login, bolwerk.NewSecret(password))
	if fault == "" {
		return nil
	}
	return wrong{"password": s.t(r, "account.password."+fault, n)}
}

func (s *Pages) logout(w http.ResponseWriter, r *http.Request) error {
	to := "/login"
	if me, err := s.Identify(r); err == nil {
		if p := s.providerOf(me); p != nil {
			to += "?out=" + p.Name
		}
	}
	if err := s.accounts.Logout(r.Context(), s.cookie(r, sessionCookie)); err != nil {
		return err
	}
	s.setCookie(w, sessionCookie, "", -1)
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

type accountData struct {
	Me       Person
	Has      ways
	Passkeys []Passkey
	Keys     bool     // passkeys can be used here
	Fresh    bool     // has just shown who it is
	Codes    []string // recovery codes, once
	Sessions []Login
	Tokens   []APIToken
	Scopes   []Scope // that the role can use
	Days     []int
	New      string // text of a token, once
	NewName  string
	Name     string // as typed, after an error
	Done     string // key of a sentence
	Wrong    wrong
}

func (s *Pages) accountPage(w http.ResponseWriter, r *http.Request, me Person) error {
	return s.account(w, r, http.StatusOK, accountData{Me: me, Done: done(r)})
}

// done is what the page before says has happened.
func done(r *http.Request) string {
	d := r.URL.Query().Get("done")
	if slices.Contains([]string{"password", "token", "session", "role", "disabled", "passkey", "unkeyed", "mail", "proposed", "dropped", "enabled"}, d) {
		return "account.done." + d
	}
	return ""
}

func (s *Pages) account(w http.ResponseWriter, r *http.Request, status int, data accountData) (err error) {
	if data.Sessions, err = s.accounts.Sessions(r.Context(), data.Me.ID); err != nil {
		return err
	}
	if data.Tokens, err = s.accounts.Tokens(r.Context(), data.Me.Login); err != nil {
		return err
	}
	if data.Has, err = s.accounts.ways(r.Context(), data.Me.ID); err != nil {
		return err
	}
	if data.Passkeys, err = s.accounts.Passkeys(r.Context(), data.Me.ID); err != nil {
		return err
	}
	data.Keys, data.Fresh = s.keys.rp != nil, data.Me.Fresh(s.accounts.clock.Now())
	for _, sc := range Scopes() {
		if within(data.Me.Role, []Scope{sc}) == nil {
			data.Scopes = append(data.Scopes, sc)
		}
	}
	data.Days = []int{7, 30, 90, 365}
	return s.pages.Render(w, r, status, "account", data)
}

func (s *Pages) changePassword(w http.ResponseWriter, r *http.Request, me Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	fresh := r.PostForm.Get("password")
	if fresh != r.PostForm.Get("again") {
		return s.account(w, r, http.StatusUnprocessableEntity, accountData{Me: me, Wrong: wrong{"again": s.t(r, "account.password.differ")}})
	}
	if bad := s.badPassword(r, me.Login, fresh); bad != nil {
		return s.account(w, r, http.StatusUnprocessableEntity, accountData{Me: me, Wrong: bad})
	}
	err := s.accounts.ChangePassword(r.Context(), me, bolwerk.NewSecret(r.PostForm.Get("old")), bolwerk.NewSecret(fresh))
	if err == nil {
		http.Redirect(w, r, "/account?done=password", http.StatusSeeOther)
		return nil
	}
	bad, status, err := s.beside(r, "old", err)
	if err != nil {
		return err
	}
	return s.account(w, r, status, accountData{Me: me, Wrong: bad})
}

func (s *Pages) createToken(w http.ResponseWriter, r *http.Request, me Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	days, _ := strconv.Atoi(r.PostForm.Get("days")) // 0 is refused below
	data := accountData{Me: me, Name: r.PostForm.Get("name")}
	scopes, err := ParseScopes(strings.Join(r.PostForm["scope"], ","))
	field := "scope"
	if err == nil {
		field = "name"
		var token bolwerk.Token
		token, _, err = s.accounts.CreateToken(r.Context(), me.Actor(), NewAPIToken{Login: me.Login, Name: data.Name, Scopes: scopes, Days: days})
		data.New, data.NewName = token.Reveal(), data.Name
	}
	if err == nil {
		data.Name = ""
		return s.account(w, r, http.StatusOK, data)
	}
	bad, status, err := s.beside(r, field, err)
	if err != nil {
		return err
	}
	data.New, data.Wrong = "", bad
	return s.account(w, r, status, data)
}

func (s *Pages) revokeToken(w http.ResponseWriter, r *http.Request, me Person) error {
	if err := s.accounts.RevokeToken(r.Context(), me.Actor(), false, r.PathValue("id")); err != nil {
		return err
	}
	http.Redirect(w, r, "/account?done=token", http.StatusSeeOther)
	return nil
}

func (s *Pages) endSession(w http.ResponseWriter, r *http.Request, me Person) error {
	if err := s.accounts.EndSession(r.Context(), me.Actor(), me.ID, r.PathValue("id")); err != nil {
		return err
	}
	http.Redirect(w, r, "/account?done=session", http.StatusSeeOther)
	return nil
}
