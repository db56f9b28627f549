package account

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/job"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
	"bolwerk/internal/vault"
	"bolwerk/internal/web"
)

var start = time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)

const password = "harbour wall tide gate"

type testDesk struct {
	*Accounts
	db        *store.DB
	clock     *clock.Fake
	dir       string
	published bool
}

// open opens a fresh store.
func open(t *testing.T) *testDesk {
	t.Helper()
	d := &testDesk{clock: clock.NewFake(start), dir: t.TempDir()}
	d.db = storetest.Open(t, d.clock, audit.Schema(), job.Schema(), Schema())
	d.Accounts = New(d.db, func(*store.Tx) (bool, error) { return d.published, nil })
	v, err := vault.Open(t.TempDir(), d.clock)
	if err != nil {
		t.Fatal(err)
	}
	d.Use(DefaultConfig(), v)
	return d
}

// person makes an active account without the cost of a password.
func (d *testDesk) person(t *testing.T, login string, role Role) Person {
	t.Helper()
	var p Person
	err := d.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		p = Person{ID: bolwerk.NewID(tx.Now()), Login: login, Role: role, RoleSince: tx.Now(), MadeAt: tx.Now(), State: Active}
		return insert(tx, p)
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// in logs a person in without a password.
func (d *testDesk) in(t *testing.T, p Person) Pass {
	t.Helper()
	var pass Pass
	err := d.db.Write(t.Context(), store.Decision, func(tx *store.Tx) (err error) {
		pass, err = letIn(tx, p.ID, "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", "", proof{At: tx.Now()})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pass
}

func (d *testDesk) actions(t *testing.T) (all []string) {
	t.Helper()
	err := d.db.Read(t.Context(), func(tx *store.Tx) error {
		es, err := audit.List(tx, "", 100)
		for i := range es {
			all = append(all, es[len(es)-1-i].Action)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var here = Entry{Source: netip.MustParseAddr("192.0.2.7"), Agent: "curl/8"}

func TestFromInvitationToLogout(t *testing.T) {
	d, ctx := open(t), t.Context()
	code, err := d.Invite(ctx, bolwerk.Socket(), " Anna ", DutyOfficer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Invite(ctx, bolwerk.Socket(), "anna", Viewer); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("the same name again: got %v, want a conflict", err)
	}
	if _, err := d.Login(ctx, "anna", bolwerk.NewSecret(password), here); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("log-in before the password: got %v", err)
	}
	for _, bad := range []string{"short", "anna's long password", strings.Repeat("x", 257), "\xff\xfe twelve letters"} {
		if _, err := d.Accept(ctx, code, bolwerk.NewSecret(bad), here); !errors.Is(err, bolwerk.ErrInvalid) {
			t.Errorf("password %q: got %v, want it refused", bad, err)
		}
	}
	if _, err := d.Accept(ctx, code, bolwerk.NewSecret(password), here); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Accept(ctx, code, bolwerk.NewSecret("somebody else's words"), here); !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("the invitation again: got %v, want that it is used", err)
	}
	pass, err := d.Login(ctx, "Anna", bolwerk.NewSecret(password), here)
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.Session(ctx, pass.Session.Reveal())
	if err != nil || p.Login != "anna" || p.Role != DutyOfficer || p.By != BySession || !p.Exempt || !p.SeenAt.Equal(start) {
		t.Errorf("session: got %+v %v", p, err)
	}
	if err := d.Logout(ctx, pass.Session.Reveal()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Session(ctx, pass.Session.Reveal()); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("after the log-out: got %v", err)
	}
	if got := strings.Join(d.actions(t), " "); got != "account.person.invite account.password.set" {
		t.Errorf("audit: got %s", got)
	}
	if _, err := audit.Verify(ctx, d.db, nil); err != nil {
		t.Error(err)
	}
}

func TestInvitationEnds(t *testing.T) {
	d, ctx := open(t), t.Context()
	code, _ := d.Invite(ctx, bolwerk.Socket(), "anna", Viewer)
	d.clock.Add(InvitationLife - time.Second)
	if _, sets, err := d.Invitation(ctx, code); err != nil || !sets {
		t.Errorf("just before its end: got %v %v", sets, err)
	}
	d.clock.Add(time.Second)
	if _, err := d.Accept(ctx, code, bolwerk.NewSecret(password), here); !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("at its end: got %v", err)
	}
	again, err := d.Reset(ctx, bolwerk.Socket(), "anna", "lost")
	if err != nil {
		t.Fatal(err)
	}
	if p, _, err := d.Invitation(ctx, again); err != nil || !p.Exempt {
		t.Errorf("a lost invitation is made again, still exempt: got %+v %v", p, err)
	}
}

func TestEveryWrongLoginGetsTheSameAnswer(t *testing.T) {
	d, ctx := open(t), t.Context()
	if _, err := d.Seed(ctx, "anna", Analyst, bolwerk.NewSecret(password), start.Add(-48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Invite(ctx, bolwerk.Socket(), "ben", Viewer); err != nil {
		t.Fatal(err)
	}
	answers := map[string]bool{}
	for _, c := range [][2]string{{"anna", "wrong password here"}, {"ben", password}, {"ben", ""}, {"nobody", password}, {"", ""}, {strings.Repeat("x", 50), password}} {
		_, err := d.Login(ctx, c[0], bolwerk.NewSecret(c[1]), here)
		if !errors.Is(err, bolwerk.ErrForbidden) {
			t.Fatalf("%s: got %v", c[0], err)
		}
		answers[err.Error()] = true
	}
	if err := d.Disable(ctx, bolwerk.Socket(), "anna", "left"); err != nil {
		t.Fatal(err)
	}
	_, err := d.Login(ctx, "anna", bolwerk.NewSecret(password), here)
	if answers[err.Error()] = true; len(answers) != 1 {
		t.Errorf("the answers tell names apart: %v", answers)
	}
}

// A page that keeps up by itself must not keep a session alive that nobody sits at.
func TestWhatAPageAsksByItselfIsNoUse(t *testing.T) {
	d, ctx := open(t), t.Context()
	s := d.in(t, d.person(t, "anna", Analyst)).Session.Reveal()
	for range 3 {
		d.clock.Add(d.cfg.SessionIdle.D() / 4)
		if _, err := d.session(ctx, s, false); err != nil {
			t.Fatalf("while it lasts: %v", err)
		}
	}
	d.clock.Add(d.cfg.SessionIdle.D() / 4)
	if _, err := d.session(ctx, s, false); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("it is kept alive: got %v", err)
	}
}

func TestSessionEnds(t *testing.T) {
	d, ctx := open(t), t.Context()
	p := d.person(t, "anna", Analyst)
	s := d.in(t, p).Session.Reveal()
	d.clock.Add(d.cfg.SessionIdle.D() - time.Second)
	if _, err := d.Session(ctx, s); err != nil {
		t.Errorf("just before 60 idle minutes: %v", err)
	}
	d.clock.Add(d.cfg.SessionIdle.D() - time.Second)
	if _, err := d.Session(ctx, s); err != nil {
		t.Errorf("the last use did not count: %v", err)
	}
	d.clock.Add(d.cfg.SessionIdle.D())
	if _, err := d.Session(ctx, s); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("after 60 idle minutes: got %v", err)
	}
	s = d.in(t, p).Session.Reveal()
	for range 12 * 60 / 50 {
		d.clock.Add(50 * time.Minute)
		if _, err := d.Session(ctx, s); err != nil {
			t.Fatalf("in use: %v", err)
		}
	}
	d.clock.Add(20 * time.Minute)
	if _, err := d.Session(ctx, s); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("after 12 hours: got %v", err)
	}
	if err := d.db.Write(ctx, store.Decision, d.Expire); err != nil {
		t.Fatal(err)
	}
	var left int
	d.db.Read(ctx, func(tx *store.Tx) error { return tx.Row(`select count(*) from account_session`).Scan(&left) })
	if left != 0 {
		t.Errorf("%d ended sessions are kept", left)
	}
}

func TestDisableEndsEverything(t *testing.T) {
	d, ctx := open(t), t.Context()
	p := d.person(t, "anna", Analyst)
	s := d.in(t, p).Session.Reveal()
	token, _, err := d.CreateToken(ctx, p.Actor(), NewAPIToken{"anna", "script", []Scope{Read}, 30})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Disable(ctx, p.Actor(), "anna", "myself"); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("disabling oneself: got %v", err)
	}
	if err := d.Disable(ctx, bolwerk.Person("boss"), "anna", "left"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Session(ctx, s); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("session: got %v", err)
	}
	if _, err := d.Token(ctx, token.Reveal()); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("token: got %v", err)
	}
	there := func() bool {
		t.Helper()
		if err := d.db.Write(ctx, store.Decision, d.Expire); err != nil {
			t.Fatal(err)
		}
		_, err := d.ByLogin(ctx, "anna")
		return err == nil
	}
	d.clock.Add(364 * 24 * time.Hour)
	if !there() {
		t.Error("a disabled account is forgotten before a year has passed: the audit trail cannot name it")
	}
	d.clock.Add(2 * 24 * time.Hour)
	if there() {
		t.Error("an account is kept for more than a year after it was disabled")
	}
}

func TestTokens(t *testing.T) {
	d, ctx := open(t), t.Context()
	anna, ben := d.person(t, "anna", Analyst), d.person(t, "ben", Administrator)
	for name, n := range map[string]NewAPIToken{
		"a right that the role lacks": {"anna", "x", []Scope{Administrate}, 30},
		"no scope":                    {"anna", "x", nil, 30},
		"no name":                     {"anna", " ", []Scope{Read}, 30},
		"control characters":          {"anna", "x\x1b[2J", []Scope{Read}, 30},
		"no end":                      {"anna", "x", []Scope{Read}, 0},
		"too long":                    {"anna", "x", []Scope{Read}, 367},
	} {
		if _, _, err := d.CreateToken(ctx, anna.Actor(), n); !errors.Is(err, bolwerk.ErrInvalid) {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
	}
	if _, _, err := d.CreateToken(ctx, ben.Actor(), NewAPIToken{"anna", "x", []Scope{Read}, 30}); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("for somebody else: got %v", err)
	}
	token, info, err := d.CreateToken(ctx, anna.Actor(), NewAPIToken{"Anna", "script", []Scope{Read, DecideScope}, 30})
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.Token(ctx, token.Grouped()) // as people type it
	if err != nil || p.ID != anna.ID || p.By != ByToken || !p.May(Decide) || p.MayReport() {
		t.Errorf("got %+v %v", p, err)
	}
	if all, _ := d.Tokens(ctx, "anna"); len(all) != 1 || !all[0].UsedAt.Equal(start) || all[0].ID != info.ID {
		t.Errorf("list: got %+v", all)
	}
	if err := d.RevokeToken(ctx, ben.Actor(), false, info.ID); !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("revoked by somebody else: got %v", err)
	}
	// The role is that of now, not of when the token was made.
	if err := d.SetRole(ctx, ben.Actor(), "anna", Viewer, "moved"); err != nil {
		t.Fatal(err)
	}
	if p, _ := d.Token(ctx, token.Reveal()); p.May(Decide) {
		t.Error("a viewer decides by an old token")
	}
	d.clock.Add(30 * 24 * time.Hour)
	if _, err := d.Token(ctx, token.Reveal()); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("at its end: got %v", err)
	}
	if err := d.RevokeToken(ctx, anna.Actor(), false, info.ID); err != nil {
		t.Error(err)
	}
	if got := strings.Join(d.actions(t), " "); got != "account.token.create account.role.set account.token.revoke" {
		t.Errorf("audit: got %s", got)
	}
}

func TestWhoMayApprove(t *testing.T) {
	old := Person{Role: Analyst, State: Active, By: BySession, MadeAt: start.Add(-48 * time.Hour), RoleSince: start.Add(-48 * time.Hour), Proved: start.Add(-time.Minute)}
	for _, c := range []struct {
		name   string
		change func(*Person)
		may    bool
	}{
		{"an analyst", func(*Person) {}, true},
		{"a viewer", func(p *Person) { p.Role = Viewer }, false},
		{"by token", func(p *Person) { p.By, p.Scopes = ByToken, []Scope{Read, DecideScope} }, false},
		{"a young account", func(p *Person) { p.MadeAt = start.Add(-Seasoned + time.Second) }, false},
		{"a young role", func(p *Person) { p.RoleSince = start.Add(-Seasoned + time.Second) }, false},
		{"a day old", func(p *Person) { p.RoleSince = start.Add(-Seasoned) }, true},
		{"young and exempt", func(p *Person) { p.MadeAt, p.Exempt = start, true }, true},
		{"exempt, by token", func(p *Person) { p.Exempt, p.By = true, ByToken }, false},
		{"disabled", func(p *Person) { p.State = Disabled }, false},
		{"an old proof", func(p *Person) { p.Proved = start.Add(-ProofLife) }, false},
		{"no proof", func(p *Person) { p.Proved = time.Time{} }, false},
		{"setting up", func(p *Person) { p.Setup = true }, false},
	} {
		p := old
		c.change(&p)
		if err := p.MayApprove(start); (err == nil) != c.may {
			t.Errorf("%s: got %v, want may %v", c.name, err, c.may)
		}
	}
}

func TestRightsAreTheTable(t *testing.T) {
	for role, want := range map[Role]string{Viewer: "y.....", Analyst: "yy....", DutyOfficer: "yyy..y", Administrator: "y..y..", PrivacyOfficer: "....yy"} {
		got := ""
		for _, r := range []Right{Look, Decide, Lead, Administer, Oversee, Countersign} {
			if (Person{Role: role, State: Active, By: BySession}).May(r) {
				got += "y"
			} else {
				got += "."
			}
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", role, got, want)
		}
	}
}

func TestOnlyFirstPeopleAreExempt(t *testing.T) {
	d, ctx := open(t), t.Context()
	exempt := func(login string) bool {
		p, err := d.ByLogin(ctx, login)
		if err != nil {
			t.Fatal(err)
		}
		return p.Exempt
	}
	invite := func(by bolwerk.Actor, login string) {
		if _, err := d.Invite(ctx, by, login, Analyst); err != nil {
			t.Fatal(err)
		}
	}
	invite(bolwerk.Socket(), "first")
	invite(bolwerk.Person("x"), "by-a-person")
	d.published = true
	invite(bolwerk.Socket(), "later")
	if !exempt("first") || exempt("by-a-person") || exempt("later") {
		t.Error("exempt is who was made over the socket before the first publication, and nobody else")
	}
	if err := d.SetRole(ctx, bolwerk.Person("x"), "first", DutyOfficer, "x"); err != nil {
		t.Fatal(err)
	}
	if exempt("first") {
		t.Error("a new role is young: it must not stay exempt")
	}
	invite(bolwerk.Socket(), "second")
	d.published = false
	invite(bolwerk.Socket(), "third")
	d.db.Write(ctx, store.Decision, func(tx *store.Tx) error { _, err := tx.Exec(`update account set state='active'`); return err })
	if _, err := d.Reset(ctx, bolwerk.Person("x"), "third", "x"); err != nil {
		t.Fatal(err)
	}
	if exempt("third") {
		t.Error("whoever holds the new code is that person: it must not stay exempt")
	}
}

func TestLoginLinkWorksOnce(t *testing.T) {
	d, ctx := open(t), t.Context()
	d.person(t, "anna", Analyst)
	code, err := d.LoginLink(ctx, bolwerk.Task("demo"), "anna")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Accept(ctx, code, bolwerk.NewSecret(password), here); !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("it sets no password: got %v", err)
	}
	pass, err := d.Enter(ctx, code, here)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := d.Session(ctx, pass.Session.Reveal()); err != nil || p.Login != "anna" {
		t.Errorf("got %+v %v", p, err)
	}
	if _, err := d.Enter(ctx, code, here); !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("again: got %v", err)
	}
	invitation, _ := d.Invite(ctx, bolwerk.Socket(), "ben", Viewer)
	if _, err := d.Enter(ctx, invitation, here); !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("an invitation lets in without a password: %v", err)
	}
}

func TestChangePassword(t *testing.T) {
	d, ctx := open(t), t.Context()
	p, err := d.Seed(ctx, "anna", Analyst, bolwerk.NewSecret(password), start.Add(-48*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	one, two := d.in(t, p), d.in(t, p)
	me, _ := d.Session(ctx, one.Session.Reveal())
	if err := d.ChangePassword(ctx, me, bolwerk.NewSecret("not the old one"), bolwerk.NewSecret("quay lamp rope ferry")); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("with a wrong old one: got %v", err)
	}
	if err := d.ChangePassword(ctx, me, bolwerk.NewSecret(password), bolwerk.NewSecret("quay lamp rope ferry")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Session(ctx, one.Session.Reveal()); err != nil {
		t.Errorf("this session: %v", err)
	}
	if _, err := d.Session(ctx, two.Session.Reveal()); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("the other session: got %v", err)
	}
}

func TestSessionsOfOnePersonAreBounded(t *testing.T) {
	d := open(t)
	p := d.person(t, "anna", Analyst)
	first := d.in(t, p)
	for range maxSessions {
		d.clock.Add(time.Second)
		d.in(t, p)
	}
	if all, err := d.Sessions(t.Context(), p.ID); err != nil || len(all) != maxSessions {
		t.Errorf("got %d %v, want %d", len(all), err, maxSessions)
	}
	if _, err := d.Session(t.Context(), first.Session.Reveal()); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("the oldest: got %v", err)
	}
}

func TestNothingSecretIsStoredPlain(t *testing.T) {
	d, ctx := open(t), t.Context()
	if d.db.Postgres() {
		t.Skip("reads the SQLite files")
	}
	code, _ := d.Invite(ctx, bolwerk.Socket(), "anna", Analyst)
	pass, err := d.Accept(ctx, code, bolwerk.NewSecret(password), here)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := d.CreateToken(ctx, bolwerk.Socket(), NewAPIToken{"anna", "x", []Scope{Read}, 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "-wal"} {
		b, err := os.ReadFile(d.db.Path() + name)
		if err != nil {
			t.Fatal(err)
		}
		for what, secret := range map[string]string{"password": password, "code": code.Reveal(), "session": pass.Session.Reveal(), "device": pass.Device.Reveal(), "token": token.Reveal(), "address": "192.0.2.7"} {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("store%s holds a %s in the clear", name, what)
			}
		}
	}
}

func TestHasherIsBounded(t *testing.T) {
	h := newHasher()
	ctx, cancel := context.WithCancel(t.Context())
	h.others <- struct{}{} // a guesser's password is being hashed
	for range cap(h.waiting) {
		h.waiting <- struct{}{}
	}
	var wait *web.Wait
	if err := h.run(ctx, false, func() {}); !errors.As(err, &wait) || !errors.Is(err, bolwerk.ErrFull) {
		t.Errorf("a full queue: got %v", err)
	}
	ran := false
	if err := h.run(ctx, true, func() { ran = true }); err != nil || !ran {
		t.Errorf("a known browser waits behind guessers: %v", err)
	}
	<-h.waiting
	cancel()
	if err := h.run(ctx, false, func() {}); !errors.Is(err, context.Canceled) {
		t.Errorf("who leaves: got %v", err)
	}
}
