package desk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/job"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
	"bolwerk/internal/vault"
)

var (
	start    = time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)
	password = bolwerk.NewSecret("harbour wall tide gate")
	here     = account.Entry{Source: netip.MustParseAddr("192.0.2.7"), Agent: "curl/8"}
)

type people struct {
	*account.Accounts
	t      *testing.T
	db     *store.DB
	clock  *clock.Fake
	vault  *vault.Vault
	teller desk.Teller
}

// openPeople is a desk with two administrators and some others, two days old.
func openPeople(t *testing.T) *people {
	t.Helper()
	p := &people{t: t, clock: clock.NewFake(start)}
	p.db = storetest.Open(t, p.clock, audit.Schema(), job.Schema(), account.Schema(), desk.Schema())
	var err error
	if p.vault, err = vault.Open(t.TempDir(), p.clock); err != nil {
		t.Fatal(err)
	}
	p.Accounts = account.New(p.db, nil)
	p.Use(account.DefaultConfig(), p.vault)
	p.Second(desk.People{})
	for login, role := range map[string]account.Role{"ilse": account.Administrator, "omar": account.Administrator, "anna": account.Analyst, "dora": account.DutyOfficer} {
		if _, err := p.Seed(t.Context(), login, role, password, start.Add(-48*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	p.teller = desk.Teller{DB: p.db, Vault: p.vault, Accounts: p.Accounts, URL: func(path string) string { return "https://console.example" + path }, Lang: bolwerk.EN,
		T: func(key string, args ...any) string { return key + " " + fmt.Sprint(args...) }, From: mail.MustAddress("desk@harbour.example"), Proposals: true, Log: slog.New(slog.DiscardHandler)}
	return p
}

// in logs somebody in.
func (p *people) in(login string) account.Person {
	p.t.Helper()
	code, err := p.LoginLink(p.t.Context(), bolwerk.Socket(), login)
	if err != nil {
		p.t.Fatal(err)
	}
	pass, err := p.Enter(p.t.Context(), code, here)
	if err != nil {
		p.t.Fatal(err)
	}
	me, err := p.Session(p.t.Context(), pass.Session.Reveal())
	if err != nil {
		p.t.Fatal(err)
	}
	return me
}

func (p *people) role(login string) account.Role {
	p.t.Helper()
	who, err := p.ByLogin(p.t.Context(), login)
	if err != nil {
		p.t.Fatal(err)
	}
	return who.Role
}

func (p *people) open() []account.Proposal {
	p.t.Helper()
	all, err := p.Waiting(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

func TestMoreRightsTakeTwoAdministrators(t *testing.T) {
	p, ctx := openPeople(t), t.Context()
	ilse, omar := p.in("ilse"), p.in("omar")
	done, err := p.ProposeRole(ctx, ilse, "anna", account.DutyOfficer, "nights")
	if err != nil || done || p.role("anna") != account.Analyst {
		t.Fatalf("by one: done %v, %v, role %s", done, err, p.role("anna"))
	}
	x := p.open()[0]
	if err := p.db.Read(ctx, func(tx *store.Tx) error {
		all, err := desk.OpenProposals(tx, "", 10)
		if n, bad := desk.CountProposals(tx); len(all) != 0 || n.N != 0 || bad != nil {
			t.Errorf("it waits among the decisions: %d, counted %+v %v", len(all), n, bad)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, me account.Person, digest string, kind error) {
		t.Helper()
		if _, _, err := p.ApproveChange(ctx, me, x.ID, digest); !errors.Is(err, kind) || p.role("anna") != account.Analyst {
			t.Errorf("%s: got %v, want %v", what, err, kind)
		}
	}
	refused("who proposed it", ilse, x.Digest, bolwerk.ErrForbidden)
	refused("another digest", omar, strings.Repeat("0", 64), bolwerk.ErrConflict)
	refused("a duty officer", p.in("dora"), x.Digest, bolwerk.ErrForbidden)
	token := omar
	token.By, token.Scopes = account.ByToken, []account.Scope{account.Administrate}
	refused("a token", token, x.Digest, bolwerk.ErrForbidden)
	stale := omar
	stale.Proved = start.Add(-account.ProofLife)
	refused("an old proof", stale, x.Digest, bolwerk.ErrForbidden)
	young := omar
	young.RoleSince = start
	refused("a young administrator", young, x.Digest, bolwerk.ErrForbidden)
	if _, _, err := p.ApproveChange(ctx, omar, x.ID, x.Digest); err != nil {
		t.Fatal(err)
	}
	if p.role("anna") != account.DutyOfficer || len(p.open()) != 0 {
		t.Errorf("role %s, %d open", p.role("anna"), len(p.open()))
	}
	if err := p.in("anna").MayApprove(p.clock.Now()); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("a new role approves at once: %v", err)
	}
	if _, _, err := p.ApproveChange(ctx, omar, x.ID, x.Digest); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("again: %v", err)
	}
	if _, err := audit.Verify(ctx, p.db, nil); err != nil {
		t.Error(err)
	}
}

func TestFewerRightsTakeOne(t *testing.T) {
	p, ctx := openPeople(t), t.Context()
	if done, err := p.ProposeRole(ctx, p.in("ilse"), "dora", account.Viewer, "moved"); err != nil || !done || p.role("dora") != account.Viewer {
		t.Errorf("got %v %v", done, err)
	}
	if done, err := p.ProposeRole(ctx, p.in("ilse"), "anna", account.Administrator, "moved"); err != nil || done {
		t.Errorf("an analyst becomes administrator by one: %v %v", done, err)
	}
}

func TestAChangeThatNoLongerFitsIsNotMade(t *testing.T) {
	p, ctx := openPeople(t), t.Context()
	ilse, omar := p.in("ilse"), p.in("omar")
	if _, err := p.ProposeRole(ctx, ilse, "anna", account.DutyOfficer, "nights"); err != nil {
		t.Fatal(err)
	}
	x := p.open()[0]
	if err := p.SetRole(ctx, omar.Actor(), "anna", account.Viewer, "leaves the desk"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.ApproveChange(ctx, omar, x.ID, x.Digest); !errors.Is(err, bolwerk.ErrConflict) || p.role("anna") != account.Viewer {
		t.Errorf("got %v", err)
	}
	if len(p.open()) != 1 {
		t.Fatal("what was refused is approved all the same")
	}
	if err := p.DropChange(ctx, ilse, x.ID); err != nil || len(p.open()) != 0 {
		t.Errorf("dropped: %v", err)
	}
}

func TestNobodyApprovesAChangeOfOneself(t *testing.T) {
	p, ctx := openPeople(t), t.Context()
	if _, err := p.ProposeReset(ctx, p.in("ilse"), "omar", "lost it"); err != nil {
		t.Fatal(err)
	}
	x := p.open()[0]
	if _, _, err := p.ApproveChange(ctx, p.in("omar"), x.ID, x.Digest); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("got %v", err)
	}
}

func TestAResetOfWhoApprovesTakesTwo(t *testing.T) {
	p, ctx := openPeople(t), t.Context()
	ilse, omar := p.in("ilse"), p.in("omar")
	if code, err := p.ProposeReset(ctx, ilse, "anna", "lost it"); err != nil || code == (bolwerk.Token{}) {
		t.Errorf("an analyst's: %v", err)
	}
	code, err := p.ProposeReset(ctx, ilse, "dora", "lost it")
	if err != nil || code != (bolwerk.Token{}) {
		t.Fatalf("a duty officer's by one: %v", err)
	}
	if _, err := p.Login(ctx, "dora", password, here); err != nil {
		t.Errorf("a proposal takes the password away: %v", err)
	}
	x := p.open()[0]
	c, code, err := p.ApproveChange(ctx, omar, x.ID, x.Digest)
	if err != nil || c.Login != "dora" {
		t.Fatal(err)
	}
	if who, sets, err := p.Invitation(ctx, code); err != nil || !sets || who.Login != "dora" {
		t.Errorf("the link: %v", err)
	}
	if _, err := p.Login(ctx, "dora", password, here); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("the old password: %v", err)
	}
}

func TestAnInvitationWithRightsTakesTwo(t *testing.T) {
	p, ctx := openPeople(t), t.Context()
	code, waits, err := p.InviteBy(ctx, p.in("ilse"), "nina", account.DutyOfficer)
	if err != nil || !waits || code == (bolwerk.Token{}) || p.role("nina") != account.Viewer {
		t.Fatalf("got waits %v, %v, role %s", waits, err, p.role("nina"))
	}
	x := p.open()[0]
	if _, _, err := p.ApproveChange(ctx, p.in("omar"), x.ID, x.Digest); err != nil || p.role("nina") != account.DutyOfficer {
		t.Errorf("got %v, role %s", err, p.role("nina"))
	}
	if _, waits, err := p.InviteBy(ctx, p.in("ilse"), "tom", account.Viewer); err != nil || waits {
		t.Errorf("a viewer: %v %v", waits, err)
	}
}

// work does the jobs that wait, once.
func (p *people) work() {
	p.t.Helper()
	ctx, stop := context.WithCancel(p.t.Context())
	r := job.New(p.db, p.clock, slog.New(slog.DiscardHandler))
	p.teller.Handle(r)
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	for n := 1; n > 0; time.Sleep(5 * time.Millisecond) {
		if err := p.db.Read(ctx, func(tx *store.Tx) error {
			return tx.Row(`select count(*) from job where state='waiting' and kind<>$1`, desk.NoticeJob).Scan(&n)
		}); err != nil {
			p.t.Fatal(err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		p.t.Fatal(err)
	}
}

// mails are what the teller wrote: address -> text.
func (p *people) mails() map[string]string {
	p.t.Helper()
	out := map[string]string{}
	err := p.db.Read(p.t.Context(), func(tx *store.Tx) error {
		ids, err := store.List(tx, func(scan func(...any) error) (id string, err error) { return id, scan(&id) }, `select id from desk_notice where state='waiting'`)
		for _, id := range ids {
			n, err := desk.WaitingNotice(tx, p.vault, id)
			if err != nil {
				return err
			}
			var m mail.Message
			if err := json.Unmarshal(n.Body, &m); err != nil {
				return err
			}
			if _, err := m.Bytes(); err != nil {
				return err
			}
			out[m.To.String()] = m.Subject + "\n" + m.Body
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

func TestWhoMayApproveIsToldByMail(t *testing.T) {
	p, ctx := openPeople(t), t.Context()
	ilse, omar, dora := p.in("ilse"), p.in("omar"), p.in("dora")
	for _, who := range []account.Person{ilse, omar, dora} {
		if err := p.SetMail(ctx, who, who.Login+"@harbour.example"); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.SetMail(ctx, dora, "no address"); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("a wrong address: %v", err)
	}
	if _, err := p.ProposeRole(ctx, ilse, "anna", account.DutyOfficer, "a secret reason"); err != nil {
		t.Fatal(err)
	}
	p.work()
	got := p.mails()
	if len(got) != 1 || !strings.Contains(got["omar@harbour.example"], "https://console.example/approve/people/"+p.open()[0].ID) {
		t.Errorf("got %q", got)
	}
	if strings.Contains(fmt.Sprint(got), "secret") || strings.Contains(fmt.Sprint(got), "anna") {
		t.Errorf("the mail tells more than a link: %q", got)
	}
	p.teller.Proposals = false
	if _, err := p.ProposeReset(ctx, omar, "dora", "lost"); err != nil {
		t.Fatal(err)
	}
	p.work()
	if len(p.mails()) != 1 {
		t.Errorf("told although it is off: %q", p.mails())
	}
}

func TestBreakGlassIsHeardAndEnds(t *testing.T) {
	p, ctx := openPeople(t), t.Context()
	ilse, dora := p.in("ilse"), p.in("dora")
	for _, who := range []account.Person{ilse, dora} {
		if err := p.SetMail(ctx, who, who.Login+"@harbour.example"); err != nil {
			t.Fatal(err)
		}
	}
	sealed, glass, err := p.MakeGlass(ctx, "glass-1", account.DutyOfficer, 365, "the envelope in the safe")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.MakeGlass(ctx, "glass-1", account.DutyOfficer, 365, "again"); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("the same name: %v", err)
	}
	if _, _, err := p.CreateToken(ctx, bolwerk.Socket(), account.NewAPIToken{Login: "glass-1", Name: "x", Scopes: []account.Scope{account.Read}, Days: 1}); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("a token for an envelope: %v", err)
	}
	if got := p.in("dora").Glass; got.Login != "" {
		t.Errorf("a whole seal alarms: %+v", got)
	}
	p.clock.Add(100 * 24 * time.Hour)
	pass, err := p.Login(ctx, "glass-1", sealed, here)
	if err != nil {
		t.Fatal(err)
	}
	me, err := p.Session(ctx, pass.Session.Reveal())
	if err != nil || !me.May(account.Lead) || me.MayApprove(p.clock.Now()) != nil {
		t.Errorf("got %+v %v", me, err)
	}
	if got := p.in("anna").Glass; got.Login != "glass-1" || !got.Until.Equal(p.clock.Now().Add(account.GlassUse)) {
		t.Errorf("everybody's page: %+v", got)
	}
	p.work()
	got := p.mails()
	if len(got) != 2 || !strings.Contains(got["dora@harbour.example"], "account.tell.glass.subject") || !strings.Contains(got["ilse@harbour.example"], "https://console.example/people/glass-1") {
		t.Errorf("mails %q", got)
	}
	p.clock.Add(account.GlassUse)
	if _, err := p.Session(ctx, pass.Session.Reveal()); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("its session after its end: %v", err)
	}
	if _, err := p.Login(ctx, "glass-1", sealed, here); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("a log-in after its end: %v", err)
	}
	if err := p.db.Write(ctx, store.Decision, p.Expire); err != nil {
		t.Fatal(err)
	}
	if who, _ := p.ByLogin(ctx, "glass-1"); who.State != account.Disabled {
		t.Errorf("it is %s", who.State)
	}
	var actions []string
	p.db.Read(ctx, func(tx *store.Tx) error {
		es, err := audit.List(tx, glass.ID, 100)
		for _, e := range es {
			actions = append(actions, e.Action)
		}
		return err
	})
	if got := strings.Join(actions, " "); got != "account.glass.make account.glass.open account.glass.end" {
		t.Errorf("audit: %s", got)
	}
}
