package account

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"bolwerk"
	"bolwerk/internal/web"
)

type personKey struct{}

// From is the person behind a request that passed Require.
func From(ctx context.Context) (Person, bool) {
	p, ok := ctx.Value(personKey{}).(Person)
	return p, ok
}

// Who is From as the frame's layout shows it: give it to web.Site.
func Who(r *http.Request) *web.Who {
	p, ok := From(r.Context())
	if !ok {
		return nil
	}
	who := &web.Who{Login: p.Login, Role: string(p.Role), Outside: p.Role == BrandOwner, NoSearch: !p.May(Look)}
	if !who.Outside { // our people's alarms are nobody else's
		who.Glass.Login, who.Glass.Until = p.Glass.Login, p.Glass.Until
	}
	for _, k := range slices.Sorted(maps.Keys(Held(r).Form)) {
		for _, v := range Held(r).Form[k] {
			if strings.TrimSpace(v) != "" {
				who.Held = append(who.Held, v)
			}
		}
	}
	return who
}

// Door lets requests in by cookie or bearer token. It belongs to one site.
type Door struct {
	accounts *Accounts
	frame    *web.Frame
	begins   map[Role]string                                                                // where somebody of a role begins
	logIn    func(w http.ResponseWriter, r *http.Request, status int, data loginData) error // the page; NewPages sets it
}

// NewDoor keeps what it is given.
func NewDoor(a *Accounts, f *web.Frame) *Door { return &Door{accounts: a, frame: f} }

// Begin says where somebody of a role begins who may not see the first page;
// before anything else is called.
func (d *Door) Begin(role Role, path string) {
	if d.begins == nil {
		d.begins = map[Role]string{}
	}
	d.begins[role] = path
}

// The names of our cookies. __Host- keeps other hosts of the same domain from
// setting them (RFC 6265bis section 4.1.3.2); browsers want https for it.
const (
	sessionCookie = "bolwerk_session"
	deviceCookie  = "bolwerk_device"
)

func (d *Door) cookieName(name string) string {
	if d.frame.Secure() {
		return "__Host-" + name
	}
	return name
}

func (d *Door) cookie(r *http.Request, name string) string {
	c, err := r.Cookie(d.cookieName(name))
	if err != nil {
		return ""
	}
	return c.Value
}

func (d *Door) setCookie(w http.ResponseWriter, name, value string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: d.cookieName(name), Value: value, Path: "/", MaxAge: seconds,
		// Lax, not Strict: a link in a mail to a case must open for who is logged in.
		HttpOnly: true, Secure: d.frame.Secure(), SameSite: http.SameSiteLaxMode,
	})
}

// Identify is the person behind a request. A bearer token goes before a cookie,
// and a wrong one is refused rather than passed over. bolwerk.ErrForbidden says
// that it is nobody.
func (d *Door) Identify(r *http.Request) (Person, error) {
	if h := r.Header.Get("Authorization"); h != "" {
		scheme, token, _ := strings.Cut(h, " ")
		if !strings.EqualFold(scheme, "Bearer") || len(token) > 100 {
			return Person{}, errOut()
		}
		return d.accounts.Token(r.Context(), strings.TrimSpace(token))
	}
	c := d.cookie(r, sessionCookie)
	if c == "" || len(c) > 100 {
		return Person{}, errOut()
	}
	return d.accounts.session(r.Context(), c, r.Header.Get("HX-Request") == "" || r.Method != http.MethodGet)
}

// Require lets a request through to h when its person may do this. Nobody is
// sent to the log-in page, a program is answered with 401.
func (d *Door) Require(right Right, h http.Handler) http.Handler {
	return d.let(func(p Person) bool { return p.May(right) }, h)
}

// RequireReport is Require for handing in reports by the API.
func (d *Door) RequireReport(h http.Handler) http.Handler { return d.let(Person.MayReport, h) }

func (d *Door) let(may func(Person) bool, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := d.Identify(r)
		if errors.Is(err, bolwerk.ErrForbidden) {
			d.sendToLogin(w, r, err)
			return
		}
		if err != nil {
			d.frame.Fail(w, r, err)
			return
		}
		ctx := context.WithValue(r.Context(), personKey{}, p)
		if id := r.URL.Query().Get("held"); id != "" && p.By == BySession && r.Method == http.MethodGet {
			if h, ok := d.accounts.held(ctx, p.ID, id); ok {
				ctx = context.WithValue(ctx, heldKey{}, h)
			}
		}
		in := r.WithContext(ctx)
		if p.Setup && !web.WantsJSON(r) && !may(p) {
			http.Redirect(w, in, "/account/setup", http.StatusSeeOther)
			return
		}
		if to := d.begins[p.Role]; !may(p) && to != "" && r.Method == http.MethodGet && r.URL.Path == "/" && !web.WantsJSON(r) {
			http.Redirect(w, in, to, http.StatusSeeOther)
			return
		}
		if !may(p) {
			d.frame.Fail(w, in, refusal(p))
			return
		}
		h.ServeHTTP(w, in)
	})
}

func refusal(p Person) error {
	if p.By == ByToken {
		return bolwerk.WithHint(bolwerk.Forbidden("this token's scopes, or its person's role, do not allow this"), "make one with the scope that is needed: read, report, decide, admin, feed, brand or privacy")
	}
	return bolwerk.WithHint(bolwerk.Forbidden("the role %s may not do this", p.Role), "ask an administrator for another role, or a person with that role to do it")
}

func (d *Door) sendToLogin(w http.ResponseWriter, r *http.Request, err error) {
	if web.WantsJSON(r) || r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Bearer realm="bolwerk"`)
		d.frame.Refuse(w, r, http.StatusUnauthorized, bolwerk.WithHint(bolwerk.Forbidden("no valid token or session came with this request"), "bolwerk token create, or log in to the console"))
		return
	}
	if held := d.hold(r); held != "" && d.logIn != nil {
		if err := d.logIn(w, r, http.StatusForbidden, loginData{Next: "/", Held: held}); err != nil {
			d.frame.Fail(w, r, err)
		}
		return
	}
	to := "/login"
	if next := localPath(r.URL.RequestURI()); r.Method == http.MethodGet && next != "/" {
		to += "?next=" + url.QueryEscape(next)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// localPath is a path on this site that a stranger's link may send people to
// after the log-in; "/" for anything else.
func localPath(s string) string {
	if len(s) > 1024 || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.ContainsAny(s, "\\\r\n\t") {
		return "/"
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return "/"
		}
	}
	u, err := url.Parse(s)
	if err != nil || u.Host != "" || u.Scheme != "" || u.User != nil || strings.HasPrefix(u.Path, "//") || u.Path == "/login" {
		return "/"
	}
	return s
}
