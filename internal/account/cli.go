package account

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"bolwerk"
	"bolwerk/internal/terminal"
)

// Terminal is where a command writes. The command line binds it to Run.
type Terminal = terminal.Terminal

// desk says where the admin socket is and how to print.
type desk struct {
	Data string `help:"Folder of the desk; its admin socket is in it." default:"${data}" type:"path" placeholder:"DIR"`
	JSON bool   `help:"Print JSON."`
}

// client finds the socket in the folder, or in the desk's part of it where one
// machine runs more than the desk.
func (d desk) client() Client {
	socket := filepath.Join(d.Data, "desk", SocketName)
	if _, err := os.Stat(filepath.Dir(socket)); err != nil {
		socket = filepath.Join(d.Data, SocketName)
	}
	return Client{Socket: socket}
}

// print writes v as JSON, or calls table.
func (d desk) print(t *Terminal, v any, table func(w io.Writer)) error {
	if d.JSON {
		return t.JSON(v)
	}
	return t.Table(table)
}

// items is how every list is printed as JSON.
type items[T any] struct {
	Items []T `json:"items"`
}

func list[T any](v []T) items[T] {
	if v == nil {
		v = []T{}
	}
	return items[T]{v}
}

// UserCmd is "bolwerk user".
type UserCmd struct {
	Invite  userInvite  `cmd:"" help:"Make an account; prints the link with which its person sets a password."`
	List    userList    `cmd:"" help:"List the accounts."`
	Reset   userReset   `cmd:"" help:"Take a person's password away; prints a link to set a new one."`
	Disable userDisable `cmd:"" help:"End a person's access at once."`
	Brands  userBrands  `cmd:"" help:"Say for which brands a brand owner answers. In the console this takes two administrators."`
	Role    userRole    `cmd:"" help:"Give a person another role. In the console this takes two administrators."`
	Glass   userGlass   `cmd:"" help:"Make a break-glass account; prints what goes into the envelope. Its use alarms everybody."`
}

type userInvite struct {
	desk
	Login string   `arg:"" help:"Log-in name."`
	Role  string   `help:"viewer, analyst, duty_officer, privacy_officer or admin." default:"analyst"`
	Brand []string `help:"Instead of a role: invite somebody of this protected brand, who sees what looks like it and decides nothing; can be given more than once." placeholder:"NAME" sep:"none"`
}

// Run does it.
func (c *userInvite) Run(ctx context.Context, t *Terminal) error {
	var inv Invitation
	role, err := ParseRole(c.Role)
	switch {
	case len(c.Brand) > 0:
		inv, err = c.client().InviteOwner(ctx, c.Login, c.Brand)
	case err == nil:
		inv, err = c.client().Invite(ctx, c.Login, role)
	}
	if err != nil {
		return err
	}
	return c.print(t, inv, func(w io.Writer) { printInvitation(w, inv) })
}

func printInvitation(w io.Writer, inv Invitation) {
	fmt.Fprintf(w, "%s (%s) sets a password here, once, until %s:\n%s\n", inv.Login, inv.Role, inv.Expires.Format("2006-01-02 15:04 MST"), inv.Link)
}

type userList struct{ desk }

// Run does it.
func (c *userList) Run(ctx context.Context, t *Terminal) error {
	all, err := c.client().Users(ctx)
	if err != nil {
		return err
	}
	return c.print(t, list(all), func(w io.Writer) {
		fmt.Fprintln(w, "LOGIN\tROLE\tSTATE\tLAST LOG-IN\tMAY APPROVE FROM")
		for _, p := range all {
			seen, from := "never", "at once"
			if !p.SeenAt.IsZero() {
				seen = p.SeenAt.Format("2006-01-02 15:04 MST")
			}
			if at := p.ApprovesFrom(); !at.IsZero() {
				from = at.Format("2006-01-02 15:04 MST")
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.Login, p.Role, p.State, seen, from)
		}
	})
}

type userReset struct {
	desk
	Login  string `arg:"" help:"Log-in name."`
	Reason string `help:"Why; it is kept in the audit trail." required:""`
}

// Run does it.
func (c *userReset) Run(ctx context.Context, t *Terminal) error {
	inv, err := c.client().Reset(ctx, c.Login, c.Reason)
	if err != nil {
		return err
	}
	return c.print(t, inv, func(w io.Writer) { printInvitation(w, inv) })
}

type userDisable struct {
	desk
	Login  string `arg:"" help:"Log-in name."`
	Reason string `help:"Why; it is kept in the audit trail." required:""`
}

// Run does it.
func (c *userDisable) Run(ctx context.Context, t *Terminal) error {
	p, err := c.client().Disable(ctx, c.Login, c.Reason)
	if err != nil {
		return err
	}
	return c.print(t, p, func(w io.Writer) { fmt.Fprintf(w, "%s is disabled\n", p.Login) })
}

type userRole struct {
	desk
	Login  string `arg:"" help:"Log-in name."`
	Role   string `arg:"" help:"viewer, analyst, duty_officer, privacy_officer or admin."`
	Reason string `help:"Why; it is kept in the audit trail." required:""`
}

// Run does it.
func (c *userRole) Run(ctx context.Context, t *Terminal) error {
	role, err := ParseRole(c.Role)
	if err != nil {
		return err
	}
	p, err := c.client().SetRole(ctx, c.Login, role, c.Reason)
	if err != nil {
		return err
	}
	return c.print(t, p, func(w io.Writer) { fmt.Fprintf(w, "%s is %s, and may approve after 24 hours\n", p.Login, p.Role) })
}

type userBrands struct {
	desk
	Login  string   `arg:"" help:"Log-in name."`
	Brand  []string `help:"A protected brand; can be given more than once. Those that are not named are taken away." placeholder:"NAME" sep:"none" required:""`
	Reason string   `help:"Why; it is kept in the audit trail." required:""`
}

// Run does it.
func (c *userBrands) Run(ctx context.Context, t *Terminal) error {
	p, err := c.client().SetBrands(ctx, c.Login, c.Brand, c.Reason)
	if err != nil {
		return err
	}
	return c.print(t, p, func(w io.Writer) { fmt.Fprintf(w, "%s answers for %s\n", p.Login, strings.Join(p.Brands, ", ")) })
}

type userGlass struct {
	desk
	Login  string `arg:"" help:"Log-in name, such as glass-1."`
	Role   string `help:"What it may do: duty_officer or admin." default:"duty_officer"`
	Days   int    `help:"How long the envelope is good, 1 to 366 days. Once used, the account ends after 8 hours." default:"365"`
	Reason string `help:"Why; it is kept in the audit trail." required:""`
}

// Run does it.
func (c *userGlass) Run(ctx context.Context, t *Terminal) error {
	role, err := ParseRole(c.Role)
	if err != nil {
		return err
	}
	e, err := c.client().MakeGlass(ctx, c.Login, role, c.Days, c.Reason)
	if err != nil {
		return err
	}
	return c.print(t, e, func(w io.Writer) {
		fmt.Fprintf(w, "%s (%s), good until %s. Its password, shown this once:\n%s\nseal it in an envelope; whoever opens it alarms everybody\n", e.Login, e.Role, e.Until.Format("2006-01-02"), e.Password)
	})
}

// TokenCmd is "bolwerk token".
type TokenCmd struct {
	Create tokenCreate `cmd:"" help:"Make a token that acts for a person; prints it once."`
	List   tokenList   `cmd:"" help:"List the tokens."`
	Revoke tokenRevoke `cmd:"" help:"End a token at once."`
}

type tokenCreate struct {
	desk
	Login  string `arg:"" help:"For whom it acts."`
	Name   string `help:"What it is for." required:""`
	Scopes string `help:"read, report, decide, admin, feed, brand; by commas." default:"read"`
	Days   int    `help:"How long it lives, 1 to 366 days." default:"90"`
	File   string `help:"Write the token to this new file (mode 0600) instead of printing it." type:"path"`
}

// Run does it.
func (c *tokenCreate) Run(ctx context.Context, t *Terminal) error {
	scopes, err := ParseScopes(c.Scopes)
	if err != nil {
		return err
	}
	var f *os.File
	if c.File != "" { // before the token is made: a token that nobody holds helps nobody
		if f, err = os.OpenFile(c.File, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
			return bolwerk.Invalid("token file: %v", err)
		}
		defer f.Close()
	}
	tok, err := c.client().CreateToken(ctx, NewAPIToken{Login: c.Login, Name: c.Name, Scopes: scopes, Days: c.Days})
	if err != nil {
		if f != nil {
			os.Remove(c.File)
		}
		return err
	}
	if f != nil {
		if _, err := fmt.Fprintln(f, tok.Token); err != nil {
			return fmt.Errorf("token file: %w", err)
		}
		tok.Token = "***"
	}
	return c.print(t, tok, func(w io.Writer) {
		fmt.Fprintf(w, "%s  %s for %s, scopes %s, until %s\n", tok.ID, tok.Name, tok.Login, joinScopes(tok.Scopes), tok.Expires.Format("2006-01-02"))
		if f != nil {
			fmt.Fprintf(w, "the token is in %s\n", c.File)
			return
		}
		fmt.Fprintf(w, "%s\nthis is the only time that the token is shown\n", tok.Token)
	})
}

type tokenList struct {
	desk
	Login string `arg:"" optional:"" help:"Of this person only."`
}

// Run does it.
func (c *tokenList) Run(ctx context.Context, t *Terminal) error {
	all, err := c.client().Tokens(ctx, c.Login)
	if err != nil {
		return err
	}
	return c.print(t, list(all), func(w io.Writer) {
		fmt.Fprintln(w, "ID\tPERSON\tNAME\tSCOPES\tSTATE\tUNTIL\tLAST USE")
		for _, k := range all {
			used := "never"
			if !k.UsedAt.IsZero() {
				used = k.UsedAt.Format("2006-01-02 15:04 MST")
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Login, terminal.Escape(k.Name), joinScopes(k.Scopes), k.State, k.Expires.Format("2006-01-02"), used)
		}
	})
}

type tokenRevoke struct {
	desk
	ID string `arg:"" help:"Id from token list."`
}

// Run does it.
func (c *tokenRevoke) Run(ctx context.Context, t *Terminal) error {
	if err := c.client().RevokeToken(ctx, c.ID); err != nil {
		return err
	}
	return c.print(t, askID{c.ID}, func(w io.Writer) { fmt.Fprintln(w, "revoked") })
}
