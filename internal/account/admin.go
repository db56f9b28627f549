package account

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"bolwerk"
	"bolwerk/internal/web"
)

// SocketName is the admin socket in the desk's folder.
const SocketName = "admin.sock"

// ListenAdmin opens DIR/admin.sock with mode 0600. Whoever may open that file
// may make administrators. A socket that a desk answers on is a
// bolwerk.ErrConflict; one that a killed desk left behind is replaced.
func ListenAdmin(dir string) (net.Listener, error) {
	path := filepath.Join(dir, SocketName)
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, bolwerk.Conflict("admin socket %s: a desk is running there already", path)
	}
	// Made inside a folder that nobody else enters, then moved: at no moment is
	// there a socket that others may open.
	tmp, err := os.MkdirTemp(dir, ".admin-")
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	defer os.RemoveAll(tmp)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(tmp, "s"), Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("admin socket in %s (a path of at most 107 bytes is possible): %w", dir, err)
	}
	l.SetUnlinkOnClose(false) // it would unlink the name it was made with
	if err := errors.Join(os.Chmod(filepath.Join(tmp, "s"), 0o600), os.Rename(filepath.Join(tmp, "s"), path)); err != nil {
		l.Close()
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	return &adminListener{l, path}, nil
}

type adminListener struct {
	*net.UnixListener
	path string
}

func (l *adminListener) Close() error {
	err := l.UnixListener.Close()
	if rm := os.Remove(l.path); rm != nil && !errors.Is(rm, fs.ErrNotExist) {
		err = errors.Join(err, rm)
	}
	return err
}

// Admin answers on the admin socket. link makes the address that an invited
// person opens; log gets what is not one of our kinds of error.
type Admin struct {
	accounts *Accounts
	link     func(code bolwerk.Token) string
	log      *slog.Logger
}

// NewAdmin keeps what it is given.
func NewAdmin(a *Accounts, link func(bolwerk.Token) string, log *slog.Logger) *Admin {
	return &Admin{a, link, log}
}

// Invitation is the answer to an invitation over the socket.
type Invitation struct {
	Login   string    `json:"login"`
	Role    Role      `json:"role"`
	Link    string    `json:"link"` // to be given to that person only
	Expires time.Time `json:"expires"`
}

// IssuedToken is the answer to token create. Its token is told this once.
type IssuedToken struct {
	APIToken
	Token string `json:"token"`
}

// Envelope is the answer to user glass: what lies in the envelope.
type Envelope struct {
	Login    string    `json:"login"`
	Role     Role      `json:"role"`
	Password string    `json:"password"` // told this once
	Until    time.Time `json:"until"`
}

type askGlass struct {
	Login  string `json:"login"`
	Role   Role   `json:"role"`
	Days   int    `json:"days"`
	Reason string `json:"reason"`
}

type askPerson struct {
	Login  string   `json:"login"`
	Role   Role     `json:"role,omitempty"`
	Reason string   `json:"reason,omitempty"`
	Brands []string `json:"brands,omitempty"`
}

type askID struct {
	ID string `json:"id"`
}

// Handler is the routes of the socket.
func (a *Admin) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /users", a.do(func(ctx context.Context, _ *http.Request) (any, error) { return a.accounts.List(ctx) }))
	mux.Handle("GET /tokens", a.do(func(ctx context.Context, r *http.Request) (any, error) {
		return a.accounts.Tokens(ctx, r.URL.Query().Get("login"))
	}))
	mux.Handle("POST /user/invite", ask(a, func(ctx context.Context, q askPerson) (any, error) {
		if len(q.Brands) > 0 {
			code, _, err := a.accounts.InviteOwner(ctx, bolwerk.Socket(), q.Login, q.Brands)
			return a.invitation(ctx, q.Login, code, err)
		}
		code, err := a.accounts.Invite(ctx, bolwerk.Socket(), q.Login, q.Role)
		return a.invitation(ctx, q.Login, code, err)
	}))
	mux.Handle("POST /user/brands", ask(a, func(ctx context.Context, q askPerson) (any, error) {
		if err := a.accounts.SetBrands(ctx, bolwerk.Socket(), q.Login, q.Brands, q.Reason); err != nil {
			return nil, err
		}
		return a.accounts.ByLogin(ctx, q.Login)
	}))
	mux.Handle("POST /user/reset", ask(a, func(ctx context.Context, q askPerson) (any, error) {
		code, err := a.accounts.Reset(ctx, bolwerk.Socket(), q.Login, q.Reason)
		return a.invitation(ctx, q.Login, code, err)
	}))
	mux.Handle("POST /user/disable", ask(a, func(ctx context.Context, q askPerson) (any, error) {
		if err := a.accounts.Disable(ctx, bolwerk.Socket(), q.Login, q.Reason); err != nil {
			return nil, err
		}
		return a.accounts.ByLogin(ctx, q.Login)
	}))
	mux.Handle("POST /user/role", ask(a, func(ctx context.Context, q askPerson) (any, error) {
		if err := a.accounts.SetRole(ctx, bolwerk.Socket(), q.Login, q.Role, q.Reason); err != nil {
			return nil, err
		}
		return a.accounts.ByLogin(ctx, q.Login)
	}))
	mux.Handle("POST /user/glass", ask(a, func(ctx context.Context, q askGlass) (any, error) {
		password, p, err := a.accounts.MakeGlass(ctx, q.Login, q.Role, q.Days, q.Reason)
		return Envelope{p.Login, p.Role, password.Reveal(), p.GlassUntil}, err
	}))
	mux.Handle("POST /token/create", ask(a, func(ctx context.Context, q NewAPIToken) (any, error) {
		token, t, err := a.accounts.CreateToken(ctx, bolwerk.Socket(), q)
		return IssuedToken{t, token.Reveal()}, err
	}))
	mux.Handle("POST /token/revoke", ask(a, func(ctx context.Context, q askID) (any, error) {
		return q, a.accounts.RevokeToken(ctx, bolwerk.Socket(), true, q.ID)
	}))
	return mux
}

func (a *Admin) invitation(ctx context.Context, login string, code bolwerk.Token, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	p, err := a.accounts.ByLogin(ctx, login)
	return Invitation{p.Login, p.Role, a.link(code), a.accounts.clock.Now().Add(InvitationLife)}, err
}

func ask[Q any](a *Admin, fn func(context.Context, Q) (any, error)) http.Handler {
	return a.do(func(ctx context.Context, r *http.Request) (any, error) {
		var q Q
		d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 64<<10))
		d.DisallowUnknownFields()
		if err := d.Decode(&q); err != nil {
			return nil, bolwerk.Invalid("request: %v", err)
		}
		return fn(ctx, q)
	})
}

func (a *Admin) do(fn func(context.Context, *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := fn(r.Context(), r)
		if err == nil {
			err = web.WriteJSON(w, http.StatusOK, v)
		}
		if err == nil {
			return
		}
		p := web.Explain(err)
		if p.Status == http.StatusInternalServerError {
			a.log.Error("admin socket failed", "route", r.Pattern, "err", err)
			p.Detail = "the desk could not do it; its log says why"
		}
		p.Write(w)
	})
}

// Client speaks to the desk over its admin socket.
type Client struct {
	Socket string // path of DIR/admin.sock
}

// Users lists all accounts.
func (c Client) Users(ctx context.Context) (all []Person, err error) {
	return all, c.call(ctx, "GET", "/users", nil, &all)
}

// Invite makes an account.
func (c Client) Invite(ctx context.Context, login string, role Role) (out Invitation, err error) {
	return out, c.call(ctx, "POST", "/user/invite", askPerson{Login: login, Role: role}, &out)
}

// InviteOwner makes the account of a brand owner.
func (c Client) InviteOwner(ctx context.Context, login string, brands []string) (out Invitation, err error) {
	return out, c.call(ctx, "POST", "/user/invite", askPerson{Login: login, Brands: brands}, &out)
}

// SetBrands says for which brands a brand owner answers.
func (c Client) SetBrands(ctx context.Context, login string, brands []string, reason string) (out Person, err error) {
	return out, c.call(ctx, "POST", "/user/brands", askPerson{Login: login, Brands: brands, Reason: reason}, &out)
}

// Reset gives a person a link to set a new password.
func (c Client) Reset(ctx context.Context, login, reason string) (out Invitation, err error) {
	return out, c.call(ctx, "POST", "/user/reset", askPerson{Login: login, Reason: reason}, &out)
}

// Disable ends a person's access.
func (c Client) Disable(ctx context.Context, login, reason string) (out Person, err error) {
	return out, c.call(ctx, "POST", "/user/disable", askPerson{Login: login, Reason: reason}, &out)
}

// SetRole gives a person another role.
func (c Client) SetRole(ctx context.Context, login string, role Role, reason string) (out Person, err error) {
	return out, c.call(ctx, "POST", "/user/role", askPerson{Login: login, Role: role, Reason: reason}, &out)
}

// MakeGlass makes a break-glass account.
func (c Client) MakeGlass(ctx context.Context, login string, role Role, days int, reason string) (out Envelope, err error) {
	return out, c.call(ctx, "POST", "/user/glass", askGlass{login, role, days, reason}, &out)
}

// Tokens lists tokens; login may be empty.
func (c Client) Tokens(ctx context.Context, login string) (all []APIToken, err error) {
	return all, c.call(ctx, "GET", "/tokens?login="+url.QueryEscape(login), nil, &all)
}

// CreateToken makes a token for a person.
func (c Client) CreateToken(ctx context.Context, n NewAPIToken) (out IssuedToken, err error) {
	return out, c.call(ctx, "POST", "/token/create", n, &out)
}

// RevokeToken ends a token.
func (c Client) RevokeToken(ctx context.Context, id string) error {
	return c.call(ctx, "POST", "/token/revoke", askID{id}, nil)
}

func (c Client) call(ctx context.Context, method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://desk"+path, &body)
	if err != nil {
		return err
	}
	t := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", c.Socket)
	}}
	resp, err := (&http.Client{Transport: t, Timeout: 30 * time.Second}).Do(r)
	if err != nil {
		return c.unreached(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("admin socket %s: %w", c.Socket, err)
	}
	if resp.StatusCode != http.StatusOK {
		return refused(resp.StatusCode, b)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("answer of the admin socket: %w", err)
	}
	return nil
}

func (c Client) unreached(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return bolwerk.WithHint(bolwerk.Forbidden("admin socket %s: only the desk's own user may open it", c.Socket), "run this as the user that runs the desk")
	default:
		return bolwerk.WithHint(bolwerk.NotFound("admin socket %s: no desk answers there", c.Socket), "start the desk, or name its folder with --data")
	}
}

// refused makes the error that the desk meant out of its answer.
func refused(status int, body []byte) error {
	var p web.Problem
	if err := json.Unmarshal(body, &p); err != nil || p.Detail == "" {
		p.Detail = fmt.Sprintf("the desk answered with status %d", status)
	}
	kind := map[int]error{400: bolwerk.ErrInvalid, 403: bolwerk.ErrForbidden, 404: bolwerk.ErrNotFound, 409: bolwerk.ErrConflict, 503: bolwerk.ErrFull}[status]
	if kind == nil {
		kind = errors.New("desk failed")
	}
	return &bolwerk.Refusal{Kind: kind, What: p.Detail, Hint: p.Hint}
}
