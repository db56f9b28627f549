package account

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
)

// Provider is a log-in provider that speaks OpenID Connect. People get an
// account at their first log-in there, bound to issuer and subject; their role
// follows their groups at each log-in.
type Provider struct {
	// Name stands in addresses: a short word in lower case. The address that the
	// provider sends people back to is console.url/login/oidc/NAME/callback.
	Name string `toml:"name"`
	// Title is what people read: Log in with TITLE.
	Title string `toml:"title"`
	// Issuer is the provider's address, as it names itself.
	Issuer string `toml:"issuer"`
	// ClientID is our name there; ClientSecretFile holds our secret, mode 0600;
	// empty is a public client.
	ClientID         string `toml:"client_id"`
	ClientSecretFile string `toml:"client_secret_file"`
	// Scopes are asked for beside openid, profile and email.
	Scopes []string `toml:"scopes"`
	// GroupsClaim is the claim that holds the groups; empty is "groups".
	GroupsClaim string `toml:"groups_claim"`
	// Roles gives groups a role: viewer, analyst, duty_officer, privacy_officer or admin. Who is
	// in several gets the first of admin, duty_officer, privacy_officer, analyst, viewer; who is
	// in none gets no access.
	Roles map[string]string `toml:"roles"`
	// TrustGroups says that the provider's groups are given by two people, so
	// that duty officer and admin follow from them at once. Otherwise an
	// administrator here approves them first.
	TrustGroups bool `toml:"trust_groups"`
}

var providerName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

func (p Provider) validate() (problems []error) {
	bad := func(format string, a ...any) {
		problems = append(problems, bolwerk.Invalid("oidc "+p.Name+": "+format, a...))
	}
	if !providerName.MatchString(p.Name) {
		bad("name %q: want a short word in lower case", p.Name)
	}
	u, err := url.Parse(p.Issuer)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1") {
		bad("issuer %q: want https://...", p.Issuer)
	}
	if p.ClientID == "" {
		bad("client_id is needed")
	}
	if len(p.Roles) == 0 {
		bad("roles: without a group that has a role nobody can log in")
	}
	for group, role := range p.Roles {
		if _, err := ParseRole(role); err != nil {
			bad("roles: group %q: %v", group, err)
		}
	}
	return problems
}

// rank is which role counts for who is in several groups.
var rank = []Role{Administrator, DutyOfficer, PrivacyOfficer, Analyst, Viewer}

// mapped are the roles of somebody's groups, the one that counts first.
func (p Provider) mapped(groups []string) (out []Role) {
	for _, role := range rank {
		for group, r := range p.Roles {
			if have, err := ParseRole(r); err == nil && have == role && slices.Contains(groups, group) && !slices.Contains(out, role) {
				out = append(out, role)
			}
		}
	}
	return out
}

// remote is a provider and what it has said about itself.
type remote struct {
	Provider
	redirect string
	client   *http.Client
	now      func() time.Time

	mu     sync.Mutex
	known  *oidc.Provider // nil until it has answered
	secret string
	failed time.Time // when it last did not answer
}

const (
	leaveLife = 10 * time.Minute // between leaving for the provider and coming back
)

func newRemote(p Provider, redirect string, now func() time.Time) *remote {
	if p.GroupsClaim == "" {
		p.GroupsClaim = "groups"
	}
	if p.Title == "" {
		p.Title = p.Name
	}
	return &remote{Provider: p, redirect: redirect, now: now, client: &http.Client{Timeout: 15 * time.Second, Transport: bounded{http.DefaultTransport}}}
}

// bounded reads at most a megabyte of an answer.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, 1<<20), resp.Body}
	}
	return resp, err
}

// discover asks the provider about itself, once; a provider that is away is
// asked again at the next log-in.
func (p *remote) discover(ctx context.Context) (*oidc.Provider, oauth2.Config, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil && p.now().Sub(p.failed) < awayPause { // a flood of log-ins must not wait for it one by one
		return nil, oauth2.Config{}, errAway(p.Name, nil)
	}
	if p.known == nil {
		// The provider keeps the context for its keys, so it must outlive the request.
		known, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.client), p.Issuer)
		if err != nil {
			p.failed = p.now()
			return nil, oauth2.Config{}, errAway(p.Name, err)
		}
		if p.ClientSecretFile != "" {
			b, err := os.ReadFile(p.ClientSecretFile)
			if err != nil {
				return nil, oauth2.Config{}, err
			}
			p.secret = strings.TrimSpace(string(b))
		}
		p.known = known
	}
	return p.known, oauth2.Config{ClientID: p.ClientID, ClientSecret: p.secret, Endpoint: p.known.Endpoint(), RedirectURL: p.redirect,
		Scopes: append([]string{oidc.ScopeOpenID, "profile", "email"}, p.Scopes...)}, nil
}

// awayPause is how long a provider that did not answer is not asked again.
const awayPause = 5 * time.Second

func errAway(name string, err error) error {
	if err == nil {
		err = errors.New("it did not answer a moment ago")
	}
	return bolwerk.WithHint(fmt.Errorf("log-in provider %s: %w: %w", name, err, bolwerk.ErrFull), "try again, or log in with a password")
}

// away is what we must know of somebody who is at a provider. It travels sealed
// in a cookie of that browser.
type away struct {
	Provider, State, Nonce, Verifier, Next string
	Proof                                  bool // only shows again who it is
	At                                     time.Time
}

// leave is the address at the provider.
func (p *remote) leave(ctx context.Context, a *away) (string, error) {
	_, cfg, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	a.Provider, a.State, a.Nonce, a.Verifier, a.At = p.Name, bolwerk.NewToken().Reveal(), bolwerk.NewToken().Reveal(), oauth2.GenerateVerifier(), p.now()
	opts := []oauth2.AuthCodeOption{oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)}
	if a.Proof {
		opts = append(opts, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	return cfg.AuthCodeURL(a.State, opts...), nil
}

// claims are what a provider says about somebody.
type claims struct {
	Issuer, Subject, Login, Mail string
	Groups                       []string
	AuthTime                     time.Time // zero where it does not say
}

func errProvider() error {
	return bolwerk.WithHint(bolwerk.Forbidden("the log-in provider's answer does not fit"), "log in again from here")
}

// back reads the provider's answer.
func (p *remote) back(ctx context.Context, a away, q url.Values) (c claims, err error) {
	if a.Provider != p.Name || subtle.ConstantTimeCompare([]byte(a.State), []byte(q.Get("state"))) != 1 || !p.now().Before(a.At.Add(leaveLife)) {
		return c, errProvider()
	}
	if q.Get("error") != "" || q.Get("code") == "" {
		return c, bolwerk.WithHint(bolwerk.Forbidden("the log-in provider let nobody in"), "log in again, or ask who runs it")
	}
	known, cfg, err := p.discover(ctx)
	if err != nil {
		return c, err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	token, err := cfg.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return c, errProvider()
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := known.Verifier(&oidc.Config{ClientID: p.ClientID, Now: p.now}).Verify(ctx, raw)
	if err != nil || subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(a.Nonce)) != 1 {
		return c, errProvider()
	}
	var all map[string]any
	if err := id.Claims(&all); err != nil {
		return c, errProvider()
	}
	if _, ok := all[p.GroupsClaim]; !ok { // some providers tell groups at the userinfo endpoint only
		if info, err := known.UserInfo(ctx, oauth2.StaticTokenSource(token)); err == nil && info.Subject == id.Subject {
			var more map[string]any
			if info.Claims(&more) == nil {
				for k, v := range more {
					if _, have := all[k]; !have {
						all[k] = v
					}
				}
			}
		}
	}
	c = claims{Issuer: id.Issuer, Subject: id.Subject}
	c.Login, _ = all["preferred_username"].(string)
	if verified, _ := all["email_verified"].(bool); verified {
		c.Mail, _ = all["email"].(string)
	}
	if at, ok := all["auth_time"].(float64); ok {
		c.AuthTime = time.Unix(int64(at), 0)
	}
	switch g := all[p.GroupsClaim].(type) {
	case string:
		c.Groups = []string{g}
	case []any:
		for _, v := range g[:min(len(g), 1000)] {
			if s, ok := v.(string); ok {
				c.Groups = append(c.Groups, s)
			}
		}
	}
	return c, nil
}

// end is where the provider logs people out; "" where it does not say.
func (p *remote) end(back string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var said struct {
		End string `json:"end_session_endpoint"`
	}
	if p.known == nil || p.known.Claims(&said) != nil {
		return ""
	}
	u, err := url.Parse(said.End)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return ""
	}
	q := u.Query()
	q.Set("client_id", p.ClientID)
	q.Set("post_logout_redirect_uri", back)
	u.RawQuery = q.Encode()
	return u.String()
}

// proofAt is when somebody has shown who it is, as far as it counts here: the
// provider says so, and not for the future.
func (c claims) proofAt(now time.Time) time.Time {
	if c.AuthTime.IsZero() || c.AuthTime.After(now.Add(time.Minute)) {
		return time.Time{}
	}
	if c.AuthTime.After(now) {
		return now
	}
	return c.AuthTime
}

// fromProvider lets in whom a provider vouches for.
func (s *Accounts) fromProvider(ctx context.Context, p Provider, state string, c claims, e Entry) (pass Pass, err error) {
	var refused error
	err = s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		refused = nil
		if err := answered(tx, "oidc "+state); err != nil {
			return errProvider()
		}
		who, err := s.vouched(tx, p, c)
		if err != nil {
			if errors.Is(err, bolwerk.ErrForbidden) { // what was taken away stays taken away
				refused = err
				return nil
			}
			return err
		}
		if _, err := tx.Exec(`update account set seen_at=$1 where id=$2`, tx.NowMicros(), who); err != nil {
			return err
		}
		s.count(tx, "provider")
		pass, err = letIn(tx, who, e.Agent, "", proof{At: c.proofAt(tx.Now())})
		return err
	})
	if err == nil {
		err = refused
	}
	return pass, err
}

// vouched brings the account of somebody up to what the groups say and gives its id.
func (s *Accounts) vouched(tx *store.Tx, p Provider, c claims) (string, error) {
	by := bolwerk.Rule("oidc-" + p.Name)
	roles := p.mapped(c.Groups)
	who, err := readPerson(tx.Row(`select `+personColumns+` from account a where a.issuer=$1 and a.subject=$2`, c.Issuer, c.Subject).Scan)
	fresh := store.None(err)
	switch {
	case err != nil && !fresh:
		return "", err
	case !fresh && who.State == Disabled:
		return "", bolwerk.Forbidden("this account is disabled")
	case len(roles) == 0 && fresh:
		return "", errNoRole()
	case len(roles) == 0:
		return "", errors.Join(s.noRole(tx, by, who), errNoRole())
	case fresh:
		if who, err = s.meet(tx, by, p, c); err != nil {
			return "", err
		}
	}
	want := roles[0]
	now, waits := want, false
	if raises := gains(who.Role, want) && approves(want); raises && !p.TrustGroups {
		waits = true
		if now = who.Role; !slices.Contains(roles, now) && gains(want, now) {
			now = Viewer // what it had is gone, what it gets is not approved yet
		}
		for _, r := range roles[1:] { // lower groups hold at once
			if r == Analyst && now == Viewer {
				now = Analyst
			}
		}
	}
	if now != who.Role {
		if err := setRole(tx, by, who, now, "groups of "+p.Name, bolwerk.Actor{}); err != nil {
			return "", err
		}
	}
	if waits {
		return who.ID, s.proposeOnce(tx, by, Change{Person: who.ID, Login: who.Login, From: now, To: want}, "groups of "+p.Name)
	}
	return who.ID, nil
}

func errNoRole() error {
	return bolwerk.WithHint(bolwerk.Forbidden("your groups give you no access here"), "ask who runs the log-in provider for a group that does")
}

// noRole takes everything from somebody whose groups no longer give a role.
func (s *Accounts) noRole(tx *store.Tx, by bolwerk.Actor, who Person) error {
	if who.Role != Viewer {
		if err := setRole(tx, by, who, Viewer, "no group gives a role", bolwerk.Actor{}); err != nil {
			return err
		}
	}
	audit.Append(tx, by, "account.provider.norole", who.ID, "", nil)
	return forgetAll(tx, who.ID, "account_session", "account_device", "account_token", "account_held")
}

// meet makes the account of somebody who comes for the first time: a viewer's,
// under a name that nobody has yet. An account of our own is never taken over,
// whatever name the provider gives.
func (s *Accounts) meet(tx *store.Tx, by bolwerk.Actor, p Provider, c claims) (Person, error) {
	name, _, _ := strings.Cut(strings.ToLower(c.Login), "@")
	if name, _, _ = strings.Cut(name, "+"); name == "" {
		name, _, _ = strings.Cut(strings.ToLower(c.Mail), "@")
	}
	h := sha256.Sum256([]byte(c.Issuer + "\x00" + c.Subject))
	tail := hex.EncodeToString(h[:4])
	login, err := ParseLogin(name)
	if err != nil || len(login) > 31 {
		login = "user-" + tail
	}
	if _, err := byLogin(tx, login); err == nil {
		login += "-" + tail
	}
	who := Person{ID: bolwerk.NewID(tx.Now()), Login: login, Role: Viewer, RoleSince: tx.Now(), MadeAt: tx.Now(), State: Active, Issuer: c.Issuer, subject: c.Subject}
	if a, err := mail.ParseAddress(c.Mail); err == nil {
		who.Mail = a.String()
	}
	audit.Append(tx, by, "account.provider.meet", who.ID, "", map[string]any{"provider": p.Name})
	return who, insert(tx, who)
}

// proposeOnce lays a role before an administrator, unless the same waits already.
func (s *Accounts) proposeOnce(tx *store.Tx, by bolwerk.Actor, c Change, reason string) error {
	if s.proposals == nil {
		return nil
	}
	open, err := s.proposals.Open(tx, ActionRole)
	if err != nil {
		return err
	}
	for _, p := range open {
		var have Change
		if json.Unmarshal(p.Body, &have) == nil && have.Person == c.Person && have.To == c.To {
			return nil
		}
	}
	_, err = s.proposals.Propose(tx, ActionRole, c, by, reason, "a role with more rights: the provider's word and an administrator's")
	return err
}

func (s *Accounts) sealAway(a away) (string, error) {
	b, err := json.Marshal(a)
	if err != nil {
		return "", err
	}
	sealed, err := s.vault.Seal("account.away", b)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

func (s *Accounts) openAway(text string) (a away, err error) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil && len(text) < 4096 {
		if sealed, err = s.vault.Open("account.away", sealed); err == nil {
			err = json.Unmarshal(sealed, &a)
		}
	}
	if err != nil || a.State == "" {
		return a, errProvider()
	}
	return a, nil
}
