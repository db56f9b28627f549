package account

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
)

func TestPasswordHash(t *testing.T) {
	h := hashPassword(bolwerk.NewSecret("caf\u00e9 harbour wall"))
	if !strings.HasPrefix(h, "$argon2id$v=19$m=65536,t=3,p=4$") {
		t.Errorf("got %s", h)
	}
	if !verifyPassword(h, bolwerk.NewSecret("cafe\u0301 harbour wall")) {
		t.Error("the same letters, typed on another keyboard, are refused")
	}
	if verifyPassword(h, bolwerk.NewSecret("cafe harbour wall")) || verifyPassword(nobody, bolwerk.NewSecret("")) {
		t.Error("a wrong password passes")
	}
	if outdated(h) || !outdated("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA") {
		t.Error("outdated hashes are not told from today's")
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add(nobody)
	f.Add("$argon2id$v=19$m=4294967295,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=-1,t=0,p=256$$")
	f.Fuzz(func(t *testing.T, s string) {
		if h, err := parseHash(s); err == nil && (h.memory > 256<<10 || h.time > 16 || h.lanes == 0 || len(h.key) < 16) {
			t.Errorf("%q: %+v is out of bounds", s, h)
		}
	})
}

func FuzzFamily(f *testing.F) {
	for _, s := range []string{"", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/154.0 Safari/537.36 Edg/154.0", "\xff<script>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := Family(s); len(got) > 40 || !utf8.ValidString(got) || strings.ContainsAny(got, "<>&\"") {
			t.Errorf("%q: %q", s, got)
		}
	})
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"anna", " Anna.B-2 ", "-x", "x", "read,decide", "duty officer", "admin\x00", strings.Repeat("a", 41)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if l, err := ParseLogin(s); err == nil {
			if again, err := ParseLogin(l); err != nil || again != l || len(l) > 40 {
				t.Errorf("log-in %q: %q, then %q %v", s, l, again, err)
			}
		}
		if r, err := ParseRole(s); err == nil {
			if again, err := ParseRole(string(r)); err != nil || again != r {
				t.Errorf("role %q: %q, then %q", s, r, again)
			}
		}
		if sc, err := ParseScopes(s); err == nil {
			if again, err := ParseScopes(joinScopes(sc)); err != nil || len(again) != len(sc) || len(sc) > 4 {
				t.Errorf("scopes %q: %v, then %v", s, sc, again)
			}
		}
	})
}

// FuzzIdentify feeds cookies and Authorization headers of strangers.
func FuzzIdentify(f *testing.F) {
	dir := f.TempDir()
	db, err := store.Open(f.Context(), store.Config{URL: filepath.Join(dir, "store.db")}, clock.NewFake(start))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	if err := db.Migrate(f.Context(), Schema()); err != nil {
		f.Fatal(err)
	}
	cfg := web.DefaultConfig()
	frame, err := web.New(web.Site{Config: cfg, Clock: db.Clock(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	d := NewDoor(New(db, nil), frame)
	f.Add("Bearer "+bolwerk.NewToken().Reveal(), "bolwerk_session="+bolwerk.NewToken().Reveal())
	f.Add("", "bolwerk_session=\"a;b\"; bolwerk_session=")
	f.Add("bearer", "=;=")
	f.Fuzz(func(t *testing.T, authorization, cookie string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", authorization)
		r.Header.Set("Cookie", cookie)
		if _, err := d.Identify(r); !errors.Is(err, bolwerk.ErrForbidden) {
			t.Errorf("%q %q: got %v, want that it is nobody", authorization, cookie, err)
		}
	})
}

func adminSocket(t *testing.T, d *testDesk) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "b") // a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := ListenAdmin(dir)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	admin := NewAdmin(d.Accounts, func(c bolwerk.Token) string { return "https://console.bolwerk.example/welcome/" + c.Reveal() }, log)
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() { done <- web.Serve(ctx, l, admin.Handler(), log) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(dir, SocketName)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left behind: %v", err)
		}
	})
	return dir
}

func TestAdminSocket(t *testing.T) {
	d, ctx := open(t), t.Context()
	dir := adminSocket(t, d)
	s, err := os.Stat(filepath.Join(dir, SocketName))
	if err != nil || s.Mode().Perm() != 0o600 {
		t.Fatalf("mode: got %v %v, want 0600", s.Mode(), err)
	}
	if _, err := ListenAdmin(dir); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("a second desk: got %v, want a conflict", err)
	}
	c := Client{filepath.Join(dir, SocketName)}
	inv, err := c.Invite(ctx, "Anna", Analyst)
	if err != nil || inv.Login != "anna" || !strings.HasPrefix(inv.Link, "https://console.bolwerk.example/welcome/") {
		t.Fatalf("invite: got %+v %v", inv, err)
	}
	if _, err := c.Invite(ctx, "anna", Analyst); !errors.Is(err, bolwerk.ErrConflict) || !strings.Contains(err.Error(), "already") {
		t.Errorf("again: got %v", err)
	}
	if _, err := c.Invite(ctx, "ben", "king"); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("a role that is none: got %v", err)
	}
	tok, err := c.CreateToken(ctx, NewAPIToken{"anna", "x", []Scope{Read}, 30})
	if err != nil || len(tok.Token) != 26 {
		t.Fatalf("token: got %+v %v", tok, err)
	}
	if all, err := c.Tokens(ctx, "anna"); err != nil || len(all) != 1 || all[0].ID != tok.ID {
		t.Errorf("tokens: got %+v %v", all, err)
	}
	if err := c.RevokeToken(ctx, tok.ID); err != nil {
		t.Error(err)
	}
	if err := c.RevokeToken(ctx, tok.ID); !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("revoked twice: got %v", err)
	}
	if _, err := c.Disable(ctx, "anna", "left"); err != nil {
		t.Error(err)
	}
	if all, err := c.Users(ctx); err != nil || len(all) != 1 || all[0].State != Disabled {
		t.Errorf("users: got %+v %v", all, err)
	}
	if _, err := (Client{filepath.Join(dir, "none.sock")}).Users(ctx); !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("no desk: got %v", err)
	}
}

func TestASocketLeftBehindIsReplaced(t *testing.T) {
	dir, err := os.MkdirTemp("", "b")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, SocketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	old.Close()
	l, err := ListenAdmin(dir)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func TestCommands(t *testing.T) {
	d := open(t)
	dir := adminSocket(t, d)
	file := filepath.Join(t.TempDir(), "token")
	for _, c := range []struct{ line, want string }{
		{"user invite anna --role duty-officer", "anna (duty_officer) sets a password here, once, until 2026-11-26 13:00 UTC:\nhttps://console.bolwerk.example/welcome/"},
		{"user list", "LOGIN  ROLE          STATE    LAST LOG-IN  MAY APPROVE FROM\nanna   duty_officer  invited  never        at once\n"},
		{"user list --json", `"login": "anna"`},
		{"token list --json", `"items": []`},
		{"token create anna --name script --scopes read,decide --file " + file, "the token is in "},
		{"token create anna --name script --scopes read", "this is the only time"},
		{"token list anna", "script  read,decide  active  2027-02-21  never"},
		{"user reset anna --reason lost", "sets a password here"},
		{"user disable anna --reason left", "anna is disabled"},
	} {
		out, err := run(t, c.line+" --data "+dir)
		if err != nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: got %v\n%s\nwant %s", c.line, err, out, c.want)
		}
	}
	if b, err := os.ReadFile(file); err != nil || len(strings.TrimSpace(string(b))) != 26 {
		t.Errorf("token file: %q %v", b, err)
	}
	if s, _ := os.Stat(file); s.Mode().Perm() != 0o600 {
		t.Errorf("token file: mode %v", s.Mode())
	}
	if _, err := run(t, "token create anna --name x --file "+file+" --data "+dir); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("a file that is there: got %v", err)
	}
}

func run(t *testing.T, line string) (string, error) {
	t.Helper()
	var cli struct {
		User  UserCmd  `cmd:""`
		Token TokenCmd `cmd:""`
	}
	var out strings.Builder
	parser, err := kong.New(&cli, kong.Vars{"data": t.TempDir()}, kong.Exit(func(int) { t.Fatal("the command line ended the program") }))
	if err != nil {
		t.Fatal(err)
	}
	c, err := parser.Parse(strings.Fields(line))
	if err != nil {
		return "", err
	}
	c.BindTo(t.Context(), (*context.Context)(nil))
	err = c.Run(&Terminal{Out: &out})
	return out.String(), err
}
