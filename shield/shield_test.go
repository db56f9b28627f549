package shield

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/blob"
	"bolwerk/internal/clock"
	"bolwerk/internal/factlog"
	"bolwerk/internal/hosts"
	"bolwerk/internal/idem"
	"bolwerk/internal/job"
	"bolwerk/internal/ledger"
	"bolwerk/internal/ledger/ledgertest"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
	"bolwerk/internal/vault"
	"bolwerk/internal/webhook"
	"bolwerk/shield/door"
	"bolwerk/shield/judge"
	"bolwerk/shield/lists"
	"bolwerk/shield/reading"
	"bolwerk/shield/seen"
)

// TestMain makes the test program its own reader child, as the real program is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "reader" {
		if err := reading.Child(os.Stdin, os.Stdout, seen.Looks()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// start is a Monday on which a test begins.
var start = time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)

// testShield is a shield over a real store, with a real reader child.
type testShield struct {
	*Shield
	t        testing.TB
	accounts *account.Accounts
	clock    *clock.Fake
	dir      string
	handed   int
	to       string // whom the next reports are written to
}

func newShield(t testing.TB) *testShield {
	t.Helper()
	return shieldWith(t, readers(t))
}

// readers are reader children, until the test ends.
func readers(t testing.TB) *reading.Pool {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pool := reading.NewPool(1, func() *exec.Cmd { return exec.Command(exe, "reader") }, 0, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	return pool
}

func shieldWith(t testing.TB, pool *reading.Pool) *testShield {
	t.Helper()
	s := &testShield{t: t, clock: clock.NewFake(start), dir: t.TempDir()}
	db := storetest.Open(t, s.clock, audit.Schema(), factlog.Schema(), publish.Schema(), ledger.Schema(), job.Schema(), blob.Schema(), desk.Schema(), account.Schema(), idem.Schema(), hosts.Schema(), webhook.Schema(), Schema())
	v, err := vault.Open(filepath.Join(s.dir, "keys"), s.clock)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	s.Shield = New(s.config(), Parts{DB: db, Clock: s.clock, Log: log, Facts: factlog.New(db, log), Vault: v, Blobs: blob.New(v),
		Ledger: ledgertest.New(t, db, s.clock), Publish: publish.New(db, "test"), Reader: pool, Metrics: prometheus.NewRegistry()})
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.accounts = account.New(db, Published)
	return s
}

// config is an invented operator with one brand, one feed and one popularity list.
func (s *testShield) config() Config {
	s.file("feed.txt", "pay-parcel.example\n")
	s.file("popular.txt", "busy.example\n")
	cfg := DefaultConfig()
	cfg.Operator, cfg.PublicURL = "Harbour Telecom", "https://safe.harbour.example"
	cfg.Brands = []judge.Brand{{Name: "Anchor Bank", Tokens: []string{"anchorbank"}, Domains: []bolwerk.Domain{bolwerk.MustDomain("anchorbank.example")}}}
	cfg.Lists = []ListConfig{
		{Source: lists.Source{Name: "partner", Kind: lists.Feed, Format: lists.Plain}, File: filepath.Join(s.dir, "feed.txt"), Tier: 2},
		{Source: lists.Source{Name: "used", Kind: lists.Popular, Format: lists.Plain, Top: 50_000}, File: filepath.Join(s.dir, "popular.txt")},
		{Source: lists.Source{Name: "gone", Kind: lists.Feed, Format: lists.Plain}, File: filepath.Join(s.dir, "gone.txt"), Tier: 2},
	}
	cfg.Platforms = []judge.Platform{{Name: bolwerk.MustDomain("pages.example"), Kind: judge.TenantPath}, {Name: bolwerk.MustDomain("shops.example"), Kind: judge.TenantSubdomain}}
	cfg.Issuers = []Issuer{{Name: "cert", Public: "The national CERT", Ground: "Act on orders, article 1", File: filepath.Join(s.dir, "orders.txt")}}
	return cfg
}

func (s *testShield) file(name, body string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(body), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// person makes an account of two days ago.
func (s *testShield) person(login string, role account.Role) account.Person {
	s.t.Helper()
	if _, err := s.accounts.Seed(s.t.Context(), login, role, bolwerk.NewSecret("seven quiet lamps 41"), s.clock.Now().Add(-48*time.Hour)); err != nil {
		s.t.Fatal(err)
	}
	p, err := s.accounts.ByLogin(s.t.Context(), login)
	if err != nil {
		s.t.Fatal(err)
	}
	p.By = account.BySession
	return p
}

// session is the cookie of a person who has logged in.
func (s *testShield) session(login string) string {
	s.t.Helper()
	code, err := s.accounts.LoginLink(s.t.Context(), bolwerk.Socket(), login)
	if err != nil {
		s.t.Fatal(err)
	}
	pass, err := s.accounts.Enter(s.t.Context(), code, account.Entry{})
	if err != nil {
		s.t.Fatal(err)
	}
	return "bolwerk_session=" + pass.Session.Reveal()
}

// report hands a mail in as an intake does and has it read and judged. The
// reporter is somebody else each time.
func (s *testShield) report(evidence string) string {
	s.t.Helper()
	s.handed++
	id := fmt.Sprintf("report-%d", s.handed)
	body := fmt.Sprintf("From: Reporter %d <r%d@home.example>\r\nTo: report@harbour.example\r\nSubject: Fwd: look\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nI got this.\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n%s\r\n--b--\r\n",
		s.handed, s.handed, strings.ReplaceAll(evidence, "\n", "\r\n"))
	r := door.Report{Channel: door.ByMail, ReceivedAt: s.clock.Now(), Token: bolwerk.NewToken().Reveal(), Lang: bolwerk.EN, OwnNetwork: true,
		MailFrom: fmt.Sprintf("r%d@home.example", s.handed), To: s.to, Form: door.Mail, Body: []byte(body)}
	if err := s.Receive(s.t.Context(), "intake-1", door.KindReport, id, r.Encode()); err != nil {
		s.t.Fatal(err)
	}
	s.clock.Add(3 * time.Second)
	ids, err := s.claim(s.t.Context())
	if err != nil || len(ids) != 1 {
		s.t.Fatalf("claim: got %v %v, want one report", ids, err)
	}
	if err := s.readOne(s.t.Context(), ids[0]); err != nil {
		s.t.Fatal(err)
	}
	return id
}

// lure is a mail that pretends to be from Anchor Bank and leads to a page.
func lure(subject, url string) string {
	return "From: \"Anchor Bank\" <service@mailer.example>\nTo: you@home.example\nSubject: " + subject + "\nDate: Mon, 23 Nov 2026 12:00:00 +0000\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n\n" +
		"<p>Dear customer,</p><p>your card is stopped. <a href=\"" + url + "\">www.anchorbank.example</a></p><p>Anchor Bank</p>\n"
}

// caseOf is the number of the newest case about a subject.
func (s *testShield) caseOf(subject string) string {
	s.t.Helper()
	var c desk.Case
	err := s.db.Read(s.t.Context(), func(tx *store.Tx) (err error) {
		c, err = desk.LastCase(tx, Name, subject)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return c.Ref
}
