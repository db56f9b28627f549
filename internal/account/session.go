package account

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// errOut is the answer to a session or token that does not let in.
func errOut() error {
	return bolwerk.WithHint(bolwerk.Forbidden("you are not logged in, or no longer"), "log in again")
}

// Session is the person behind a session's cookie; bolwerk.ErrForbidden when it
// has ended: session_life after the log-in, or session_idle after the last use.
func (s *Accounts) Session(ctx context.Context, cookie string) (Person, error) {
	return s.session(ctx, cookie, true)
}

// session is Session; without used it does not count as a use: what a page asks
// for by itself must not keep a session alive that nobody sits at.
func (s *Accounts) session(ctx context.Context, cookie string, used bool) (Person, error) {
	token, err := bolwerk.ParseToken(cookie)
	if err != nil {
		return Person{}, errOut()
	}
	var r personRow
	var made, seen, proved int64
	now := s.clock.Now()
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		err := tx.Row(`select `+personColumns+`, s.id, s.made_at, s.seen_at, s.proved_at, s.setup from account_session s join account a on a.id=s.account
			where s.hash=$1 and s.made_at>$2 and s.seen_at>$3 and a.state='active' and (a.glass_until=0 or a.glass_until>$4)`,
			token.Hash(), store.Micros(now.Add(-s.cfg.SessionLife.D())), store.Micros(now.Add(-s.cfg.SessionIdle.D())), store.Micros(now)).
			Scan(append(r.places(), &r.p.Session, &made, &seen, &proved, &r.p.Setup)...)
		if err == nil {
			r.p.Glass, err = glassInUse(tx, now)
		}
		return err
	})
	if store.None(err) {
		return Person{}, errOut()
	}
	if err != nil {
		return Person{}, err
	}
	if used && now.Sub(store.Time(seen)) >= fresh {
		s.mark(ctx, `update account_session set seen_at=$1 where hash=$2 and seen_at<$1`, now, token.Hash())
	}
	p := r.person()
	p.By, p.Proved = BySession, store.Time(proved)
	return p, nil
}

// fresh is how old a mark of last use may be before it is written again: each
// write is an fsync.
const fresh = time.Minute

// mark notes the last use. A full disk must not keep out those who come to
// withdraw something, so its error is dropped: the session only ends earlier.
func (s *Accounts) mark(ctx context.Context, sql string, at time.Time, row string) {
	_ = s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		_, err := tx.Exec(sql, store.Micros(at), row)
		return err
	})
}

// Logout ends the session of a cookie. One that is not known is none.
func (s *Accounts) Logout(ctx context.Context, cookie string) error {
	token, err := bolwerk.ParseToken(cookie)
	if err != nil {
		return nil
	}
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		_, err := tx.Exec(`delete from account_session where hash=$1`, token.Hash())
		return err
	})
}

// Login is a session as its person sees it.
type Login struct {
	ID     string
	MadeAt time.Time
	SeenAt time.Time // to the minute
	Agent  string
}

// Sessions are the running sessions of a person, newest first.
func (s *Accounts) Sessions(ctx context.Context, id string) (all []Login, err error) {
	now := s.clock.Now()
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		all, err = store.List(tx, func(scan func(...any) error) (l Login, err error) {
			var made, seen int64
			err = scan(&l.ID, &made, &seen, &l.Agent)
			l.MadeAt, l.SeenAt = store.Time(made), store.Time(seen)
			return l, err
		}, `select id,made_at,seen_at,agent from account_session where account=$1 and made_at>$2 and seen_at>$3 order by made_at desc, id desc`,
			id, store.Micros(now.Add(-s.cfg.SessionLife.D())), store.Micros(now.Add(-s.cfg.SessionIdle.D())))
		return err
	})
	return all, err
}

// EndSession ends a session of the person with this id. by is that person, or
// an administrator.
func (s *Accounts) EndSession(ctx context.Context, by bolwerk.Actor, id, session string) error {
	return s.db.Write(ctx, store.WayBack, func(tx *store.Tx) error {
		n, err := tx.Exec(`delete from account_session where id=$1 and account=$2`, session, id)
		if err == nil && n == 0 {
			err = bolwerk.NotFound("this session has ended already")
		}
		if by != bolwerk.Person(id) {
			audit.Append(tx, by, "account.session.end", id, "", map[string]string{"session": session})
		}
		return err
	})
}

// APIToken is a token as lists show it.
type APIToken struct {
	ID      string    `json:"id"`
	Login   string    `json:"login"`
	Name    string    `json:"name"`
	State   string    `json:"state"` // active or expired
	Scopes  []Scope   `json:"scopes"`
	MadeAt  time.Time `json:"made_at"`
	Expires time.Time `json:"expires"`
	UsedAt  time.Time `json:"used_at,omitzero"` // to the hour; zero is never
}

// NewAPIToken is what a token is asked for with.
type NewAPIToken struct {
	Login  string  `json:"login"`
	Name   string  `json:"name"` // what it is for
	Scopes []Scope `json:"scopes"`
	Days   int     `json:"days"` // 1 to 366
}

// CreateToken makes a token that acts for its person within the scopes. Its text
// is given once. by is the person itself in a session, or the admin socket.
func (s *Accounts) CreateToken(ctx context.Context, by bolwerk.Actor, n NewAPIToken) (bolwerk.Token, APIToken, error) {
	scopes, err := ParseScopes(joinScopes(n.Scopes))
	if err != nil {
		return bolwerk.Token{}, APIToken{}, err
	}
	n.Name = strings.TrimSpace(n.Name)
	switch {
	case n.Name == "" || utf8.RuneCountInString(n.Name) > 60 || strings.ContainsFunc(n.Name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return bolwerk.Token{}, APIToken{}, bolwerk.Invalid("the token needs a name of at most 60 letters that says what it is for")
	case n.Days < 1 || n.Days > tokenDays:
		return bolwerk.Token{}, APIToken{}, bolwerk.Invalid("a token lives 1 to %d days, not %d", tokenDays, n.Days)
	}
	token := bolwerk.NewToken()
	var out APIToken
	err = s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		p, err := byLogin(tx, strings.ToLower(n.Login))
		if err != nil {
			return err
		}
		if by != bolwerk.Socket() && by != p.Actor() {
			return bolwerk.Forbidden("a token is made by its own person")
		}
		if p.State == Disabled {
			return bolwerk.Conflict("%s is disabled", p.Login)
		}
		if !p.GlassUntil.IsZero() {
			return bolwerk.Conflict("%s is a break-glass account: it has no tokens", p.Login)
		}
		if err := within(p.Role, scopes); err != nil {
			return err
		}
		var have int
		if err := tx.Row(`select count(*) from account_token where account=$1 and expires>$2`, p.ID, tx.NowMicros()).Scan(&have); err != nil {
			return err
		}
		if have >= maxTokens {
			return bolwerk.WithHint(bolwerk.Conflict("%s has %d tokens already", p.Login, have), "revoke those that are no longer used")
		}
		out = APIToken{ID: bolwerk.NewID(tx.Now()), Login: p.Login, Name: n.Name, State: "active", Scopes: scopes, MadeAt: tx.Now(), Expires: tx.Now().AddDate(0, 0, n.Days)}
		if _, err := tx.Exec(`insert into account_token(id,hash,account,name,scopes,made_at,expires,used_at) values($1,$2,$3,$4,$5,$6,$7,0)`,
			out.ID, token.Hash(), p.ID, out.Name, joinScopes(scopes), store.Micros(out.MadeAt), store.Micros(out.Expires)); err != nil {
			return err
		}
		audit.Append(tx, by, "account.token.create", out.ID, "", map[string]any{"person": p.ID, "scopes": scopes, "days": n.Days})
		return nil
	})
	return token, out, err
}

// needs is the right without which a scope is of no use.
var needs = map[Scope]Right{Read: Look, Report: Look, DecideScope: Decide, Administrate: Administer, Feed: Fetch, BrandScope: OwnBrand, PrivacyScope: Oversee}

// within refuses a scope that the role could never use.
func within(role Role, scopes []Scope) error {
	p := Person{Role: role, State: Active, By: BySession}
	for _, sc := range scopes {
		if !p.May(needs[sc]) {
			return bolwerk.Invalid("scope %s: the role %s does not have that right", sc, role)
		}
	}
	return nil
}

// Token is the person for whom a bearer token acts; bolwerk.ErrForbidden when
// it is unknown, revoked or expired, or its person may no longer log in.
func (s *Accounts) Token(ctx context.Context, text string) (Person, error) {
	token, err := bolwerk.ParseToken(text)
	if err != nil {
		return Person{}, errOut()
	}
	var r personRow
	var id, scopes string
	var used int64
	now := s.clock.Now()
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select `+personColumns+`, t.id, t.scopes, t.used_at from account_token t join account a on a.id=t.account
			where t.hash=$1 and t.expires>$2 and a.state='active' and a.glass_until=0`, token.Hash(), store.Micros(now)).Scan(append(r.places(), &id, &scopes, &used)...)
	})
	if store.None(err) {
		return Person{}, errOut()
	}
	if err != nil {
		return Person{}, err
	}
	if hour := now.Truncate(time.Hour); store.Micros(hour) > used {
		s.mark(ctx, `update account_token set used_at=$1 where id=$2 and used_at<$1`, hour, id)
	}
	p := r.person()
	p.By = ByToken
	p.Scopes, err = ParseScopes(scopes)
	return p, err
}

// Tokens are the tokens of a person, or of all with "", newest first. Expired
// ones are listed for a year.
func (s *Accounts) Tokens(ctx context.Context, login string) (all []APIToken, err error) {
	now := s.clock.Now()
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		all, err = store.List(tx, func(scan func(...any) error) (t APIToken, err error) {
			var scopes string
			var made, expires, used int64
			if err := scan(&t.ID, &t.Login, &t.Name, &scopes, &made, &expires, &used); err != nil {
				return t, err
			}
			t.MadeAt, t.Expires, t.UsedAt = store.Time(made), store.Time(expires), store.Time(used)
			t.State = "active"
			if !t.Expires.After(now) {
				t.State = "expired"
			}
			t.Scopes, err = ParseScopes(scopes)
			return t, err
		}, `select t.id,a.login,t.name,t.scopes,t.made_at,t.expires,t.used_at from account_token t join account a on a.id=t.account
			where $1='' or a.login=$1 order by t.made_at desc, t.id desc`, strings.ToLower(login))
		return err
	})
	return all, err
}

// RevokeToken ends a token at once. by is its person, the admin socket, or,
// where others is set, an administrator.
func (s *Accounts) RevokeToken(ctx context.Context, by bolwerk.Actor, others bool, id string) error {
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		var person string
		err := tx.Row(`select account from account_token where id=$1`, id).Scan(&person)
		if store.None(err) || err == nil && !others && by != bolwerk.Socket() && by != bolwerk.Person(person) {
			return bolwerk.NotFound("there is no such token")
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`delete from account_token where id=$1`, id); err != nil {
			return err
		}
		audit.Append(tx, by, "account.token.revoke", id, "", map[string]any{"person": person})
		return nil
	})
}
