// Package account is the people of the desk: who they are, how they log in and
// what they may do. Every change of people is in the audit trail. File access
// to the admin socket is the root of trust.
package account

import (
	"context"
	_ "embed"
	"errors"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
)

//go:embed schema.sql
var schema string

// Schema is the tables of this package.
func Schema() store.Schema { return store.Schema{Name: "account", Steps: []string{schema}} }

// How long things last.
const (
	InvitationLife = 72 * time.Hour
	linkLife       = 12 * time.Hour // of a link that logs in once
	deviceLife     = 180 * 24 * time.Hour
	tokenDays      = 366 // the longest life of a token
	maxTokens      = 50  // of one person
	maxSessions    = 20  // of one person; the oldest makes room
)

// Accounts keeps the people. It is safe for concurrent use.
type Accounts struct {
	cfg       Config
	vault     *vault.Vault
	db        *store.DB
	clock     clock.Clock
	published func(*store.Tx) (bool, error)
	hasher    *hasher
	metrics   *metrics
	proposals Proposals
	throttle  *throttle
	brands    []string // that a brand owner may answer for
}

// New keeps what it is given. published says whether anything was published
// yet: until then, accounts made over the admin socket need no age to approve.
// nil exempts nobody.
func New(db *store.DB, published func(*store.Tx) (bool, error)) *Accounts {
	return &Accounts{cfg: DefaultConfig(), db: db, clock: db.Clock(), published: published, hasher: newHasher(), throttle: newThrottle(db.Clock()), metrics: newMetrics(nil)}
}

// Use says how the accounts are to be kept and with what short-lived things are
// sealed; before anything else is called. Without it the settings are the
// defaults, and a form that comes without a session is not kept.
func (s *Accounts) Use(cfg Config, v *vault.Vault) { s.cfg, s.vault = cfg, v }

const personColumns = `a.id,a.login,a.role,a.role_since,a.made_at,a.exempt,a.state,a.seen_at,a.mail,a.issuer,a.glass_until,a.glass_opened,a.brands`

// personRow are the places for personColumns.
type personRow struct {
	p                                Person
	since, made, seenAt, glass, open int64
	brands                           string
}

func (r *personRow) places() []any {
	return []any{&r.p.ID, &r.p.Login, &r.p.Role, &r.since, &r.made, &r.p.Exempt, &r.p.State, &r.seenAt, &r.p.Mail, &r.p.Issuer, &r.glass, &r.open, &r.brands}
}

func (r *personRow) person() Person {
	r.p.RoleSince, r.p.MadeAt, r.p.SeenAt = store.Time(r.since), store.Time(r.made), store.Time(r.seenAt)
	r.p.GlassUntil, r.p.GlassOpened = zeroTime(r.glass), zeroTime(r.open)
	r.p.Brands = readBrands(r.brands)
	return r.p
}

// zeroTime is a time of the store, where 0 is none.
func zeroTime(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return store.Time(us)
}

func readPerson(scan func(...any) error) (Person, error) {
	var r personRow
	err := scan(r.places()...)
	return r.person(), err
}

// byLogin is the account of a log-in name; bolwerk.ErrNotFound without one.
func byLogin(tx *store.Tx, login string) (Person, error) {
	p, err := readPerson(tx.Row(`select `+personColumns+` from account a where a.login=$1`, login).Scan)
	if store.None(err) {
		return p, bolwerk.NotFound("there is no account %q", clip(login))
	}
	return p, err
}

// ByLogin is the account of a log-in name.
func (s *Accounts) ByLogin(ctx context.Context, login string) (p Person, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		p, err = byLogin(tx, strings.ToLower(login))
		return err
	})
	return p, err
}

// ByID reads an account by its id, for a page that names who decided.
func ByID(tx *store.Tx, id string) (Person, error) {
	p, err := readPerson(tx.Row(`select `+personColumns+` from account a where a.id=$1`, id).Scan)
	if store.None(err) {
		return p, bolwerk.NotFound("there is no such account")
	}
	return p, err
}

// Names gives actors the names under which people know them: the log-in name of a
// person, otherwise the actor itself.
func Names(ctx context.Context, db *store.DB, actors ...bolwerk.Actor) (map[bolwerk.Actor]string, error) {
	out := map[bolwerk.Actor]string{}
	err := db.Read(ctx, func(tx *store.Tx) error {
		for _, a := range actors {
			if _, have := out[a]; have {
				continue
			}
			out[a] = a.String()
			if !a.IsPerson() {
				continue
			}
			who, err := ByID(tx, a.Ref())
			if err == nil {
				out[a] = who.Login
			} else if !errors.Is(err, bolwerk.ErrNotFound) {
				return err
			}
		}
		return nil
	})
	return out, err
}

// Find gives the accounts whose log-in name has part in it, by log-in name.
func Find(tx *store.Tx, part string, limit int) (found []Person, err error) {
	part = strings.ToLower(part)
	err = tx.Each(`select `+personColumns+` from account a order by a.login`, nil, func(scan func(...any) error) error {
		p, err := readPerson(scan)
		if err == nil && len(found) < limit && strings.Contains(p.Login, part) {
			found = append(found, p)
		}
		return err
	})
	return found, err
}

// List gives all accounts by log-in name.
func (s *Accounts) List(ctx context.Context) (all []Person, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		all, err = store.List(tx, readPerson, `select `+personColumns+` from account a order by a.login`)
		return err
	})
	return all, err
}

// Invite makes an account and the code with which its person sets a password
// within 72 h. by is who invites: an administrator, or the admin socket.
func (s *Accounts) Invite(ctx context.Context, by bolwerk.Actor, login string, role Role) (bolwerk.Token, error) {
	login, err := ParseLogin(login)
	if err != nil {
		return bolwerk.Token{}, err
	}
	if role, err = ParseRole(string(role)); err != nil {
		return bolwerk.Token{}, err
	}
	code := bolwerk.NewToken()
	err = s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if _, err := byLogin(tx, login); err == nil {
			return bolwerk.WithHint(bolwerk.Conflict("there is an account %q already", login), "bolwerk user reset "+login+" makes a new password for it")
		}
		exempt := false
		if by == bolwerk.Socket() && s.published != nil {
			published, err := s.published(tx)
			if err != nil {
				return err
			}
			exempt = !published
		}
		id := bolwerk.NewID(tx.Now())
		if err := insert(tx, Person{ID: id, Login: login, Role: role, RoleSince: tx.Now(), MadeAt: tx.Now(), Exempt: exempt, State: Invited}); err != nil {
			return err
		}
		audit.Append(tx, by, "account.person.invite", id, "", map[string]any{"role": role, "exempt": exempt})
		return invitation(tx, code, id, "password", InvitationLife)
	})
	return code, err
}

func insert(tx *store.Tx, p Person) error {
	glass := int64(0)
	if !p.GlassUntil.IsZero() {
		glass = store.Micros(p.GlassUntil)
	}
	_, err := tx.Exec(`insert into account(id,login,role,role_since,made_at,exempt,state,password,seen_at,mail,issuer,subject,glass_until,glass_opened,ended_at) values($1,$2,$3,$4,$5,$6,$7,'',0,$8,$9,$10,$11,0,0)`,
		p.ID, p.Login, p.Role, store.Micros(p.RoleSince), store.Micros(p.MadeAt), p.Exempt, p.State, p.Mail, p.Issuer, p.subject, glass)
	return err
}

func invitation(tx *store.Tx, code bolwerk.Token, id, kind string, life time.Duration) error {
	if _, err := tx.Exec(`delete from account_invitation where account=$1 and kind=$2`, id, kind); err != nil {
		return err
	}
	_, err := tx.Exec(`insert into account_invitation(hash,account,kind,expires) values($1,$2,$3,$4)`, code.Hash(), id, kind, store.Micros(tx.Now().Add(life)))
	return err
}

// Seed makes an active account that is dated back to made, for the demo: an
// invented operator's people have been there for some days. Nothing outside of
// this program can ask for it. An account that is there is kept as it is.
func (s *Accounts) Seed(ctx context.Context, login string, role Role, password bolwerk.Secret, made time.Time) (p Person, err error) {
	if err := checkPassword(login, password); err != nil {
		return p, err
	}
	hash := ""
	if err := s.hasher.run(ctx, true, func() { hash = hashPassword(password) }); err != nil {
		return p, err
	}
	err = s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if p, err = byLogin(tx, login); err == nil {
			return nil
		}
		p = Person{ID: bolwerk.NewID(tx.Now()), Login: login, Role: role, RoleSince: made, MadeAt: made, State: Active}
		if err := insert(tx, p); err != nil {
			return err
		}
		audit.Append(tx, bolwerk.Task("demo"), "account.person.seed", p.ID, "the demo's people", map[string]any{"role": role})
		_, err := tx.Exec(`update account set password=$1 where id=$2`, hash, p.ID)
		return err
	})
	return p, err
}

// LoginLink makes a code that logs its person in once within 12 h
// without a password: the link that the demo prints.
func (s *Accounts) LoginLink(ctx context.Context, by bolwerk.Actor, login string) (bolwerk.Token, error) {
	code := bolwerk.NewToken()
	err := s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		p, err := byLogin(tx, login)
		if err != nil {
			return err
		}
		audit.Append(tx, by, "account.link.create", p.ID, "", nil)
		return invitation(tx, code, p.ID, "login", linkLife)
	})
	return code, err
}

// change runs fn on an account that by wants to change. Nobody changes the own
// account: taking a right needs somebody else.
func (s *Accounts) change(ctx context.Context, by bolwerk.Actor, login string, fn func(*store.Tx, Person) error) error {
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		p, err := byLogin(tx, strings.ToLower(login))
		if err != nil {
			return err
		}
		if by == p.Actor() {
			return bolwerk.WithHint(bolwerk.Forbidden("you cannot do this to your own account"), "ask another administrator")
		}
		return fn(tx, p)
	})
}

// SetRole gives a person another role. It may not approve for 24 h then.
func (s *Accounts) SetRole(ctx context.Context, by bolwerk.Actor, login string, role Role, reason string) error {
	role, err := ParseRole(string(role))
	if err != nil {
		return err
	}
	return s.change(ctx, by, login, func(tx *store.Tx, p Person) error { return setRole(tx, by, p, role, reason, bolwerk.Actor{}) })
}

// setRole gives a role; first is who proposed it where by has approved it.
func setRole(tx *store.Tx, by bolwerk.Actor, p Person, role Role, reason string, first bolwerk.Actor) error {
	if p.Role == role {
		return bolwerk.Conflict("%s is %s already", p.Login, role)
	}
	if _, err := tx.Exec(`update account set role=$1, role_since=$2, exempt=$3, brands='[]' where id=$4`, role, tx.NowMicros(), false, p.ID); err != nil {
		return err
	}
	audit.Append(tx, by, "account.role.set", p.ID, reason, map[string]any{"from": p.Role, "to": role, "first": first})
	return nil
}

// Disable ends a person's access at once: sessions, tokens and invitations. The
// account stays for a year, so that the audit trail can name it.
func (s *Accounts) Disable(ctx context.Context, by bolwerk.Actor, login, reason string) error {
	return s.change(ctx, by, login, func(tx *store.Tx, p Person) error {
		if p.State == Disabled {
			return bolwerk.Conflict("%s is disabled already", p.Login)
		}
		if _, err := tx.Exec(`update account set state='disabled', password='', exempt=$1, ended_at=$2 where id=$3`, false, tx.NowMicros(), p.ID); err != nil {
			return err
		}
		audit.Append(tx, by, "account.person.disable", p.ID, reason, nil)
		return forgetAll(tx, p.ID, ofAccount...)
	})
}

// Enable lets somebody of a log-in provider come back after Disable: as a
// viewer, until the groups give a role at the next log-in. An account of our own
// comes back by Reset.
func (s *Accounts) Enable(ctx context.Context, by bolwerk.Actor, login, reason string) error {
	return s.change(ctx, by, login, func(tx *store.Tx, p Person) error {
		if p.State != Disabled || p.Issuer == "" {
			return bolwerk.Conflict("%s is not a disabled account of a log-in provider", p.Login)
		}
		if _, err := tx.Exec(`update account set state='active', role='viewer', role_since=$1 where id=$2`, tx.NowMicros(), p.ID); err != nil {
			return err
		}
		audit.Append(tx, by, "account.person.enable", p.ID, reason, nil)
		return nil
	})
}

// Reset takes a person's password, passkeys and recovery codes away, ends its sessions and gives the code
// with which it sets a new one: for who forgot it, and for who comes back after
// Disable. Because whoever holds the code becomes that person, it may not
// approve for 24 h. Tokens of an active person stay.
func (s *Accounts) Reset(ctx context.Context, by bolwerk.Actor, login, reason string) (bolwerk.Token, error) {
	code := bolwerk.NewToken()
	return code, s.change(ctx, by, login, func(tx *store.Tx, p Person) error { return reset(tx, by, p, code, reason) })
}

func reset(tx *store.Tx, by bolwerk.Actor, p Person, code bolwerk.Token, reason string) error {
	if p.Issuer != "" || !p.GlassUntil.IsZero() {
		return bolwerk.Conflict("%s does not log in with a password of its own", p.Login)
	}
	exempt := p.Exempt && p.State == Invited && by == bolwerk.Socket() // a lost invitation changes nothing
	since := p.RoleSince
	if !exempt {
		since = tx.Now()
	}
	if _, err := tx.Exec(`update account set state='invited', password='', exempt=$1, role_since=$2 where id=$3`, exempt, store.Micros(since), p.ID); err != nil {
		return err
	}
	if err := forgetAll(tx, p.ID, append(proofs, "account_invitation", "account_session", "account_device", "account_held")...); err != nil {
		return err
	}
	audit.Append(tx, by, "account.password.reset", p.ID, reason, nil)
	return invitation(tx, code, p.ID, "password", InvitationLife)
}

// proofs are the tables of what a person shows who it is with, beside the password.
var proofs = []string{"account_passkey", "account_recovery"}

// ofAccount are the tables that go with the account.
var ofAccount = []string{"account_passkey", "account_recovery", "account_invitation", "account_session", "account_device", "account_token", "account_held"}

func forgetAll(tx *store.Tx, id string, tables ...string) error {
	for _, t := range tables {
		if _, err := tx.Exec(`delete from `+t+` where account=$1`, id); err != nil {
			return err
		}
	}
	return nil
}

// Expire deletes what has run out. The desk's housekeeping calls it now and then.
func (s *Accounts) Expire(tx *store.Tx) error {
	now := tx.Now()
	if err := endGlass(tx); err != nil {
		return err
	}
	if err := forgetDisabled(tx, now.AddDate(-1, 0, 0)); err != nil {
		return err
	}
	for _, d := range []struct {
		sql string
		arg time.Time
	}{
		{`delete from account_invitation where expires<=$1`, now},
		{`delete from account_device where expires<=$1`, now},
		{`delete from account_session where made_at<=$1`, now.Add(-s.cfg.SessionLife.D())},
		{`delete from account_session where seen_at<=$1`, now.Add(-s.cfg.SessionIdle.D())},
		{`delete from account_token where expires<$1`, now.AddDate(-1, 0, 0)},
		{`delete from account_used where expires<=$1`, now},
		{`delete from account_held where expires<=$1`, now},
		{`delete from account_away where expires<=$1`, now},
	} {
		if _, err := tx.Exec(d.sql, store.Micros(d.arg)); err != nil {
			return err
		}
	}
	return nil
}

// forgetDisabled removes accounts that were disabled before a time. The audit
// trail then names them by their id only.
func forgetDisabled(tx *store.Tx, before time.Time) error {
	gone, err := store.List(tx, func(scan func(...any) error) (id string, err error) { return id, scan(&id) },
		`select id from account where state='disabled' and ended_at>0 and ended_at<$1`, store.Micros(before))
	if err != nil {
		return err
	}
	for _, id := range gone {
		if err := forgetAll(tx, id, ofAccount...); err != nil {
			return err
		}
		if _, err := tx.Exec(`delete from account where id=$1`, id); err != nil {
			return err
		}
	}
	return nil
}
