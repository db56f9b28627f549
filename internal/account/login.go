package account

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// Entry is how somebody asks to be let in.
type Entry struct {
	Source netip.Addr // for the throttle only; it is not kept
	Agent  string     // User-Agent; only its family is kept
	Device string     // cookie of a browser that logged in before, or empty
}

// Pass is what a browser gets when it is let in.
type Pass struct {
	Session bolwerk.Token
	Device  bolwerk.Token
}

// errWrong is the one answer to a log-in that is not right, whatever was wrong.
func errWrong() error {
	return bolwerk.Forbidden("the log-in name or the password is wrong")
}

// Login lets a person in. Unknown names, disabled accounts and wrong passwords
// get the same answer in the same time. Too many tries get a web.Wait.
func (s *Accounts) Login(ctx context.Context, login string, password bolwerk.Secret, e Entry) (Pass, error) {
	login = strings.ToLower(strings.TrimSpace(login))
	if len(login) > 40 || len(password.Reveal()) > 1024 {
		return Pass{}, errWrong() // not ours; hashing it would only cost
	}
	var id, hash, device string
	var state State
	now := s.clock.Now()
	err := s.db.Read(ctx, func(tx *store.Tx) error {
		if err := tx.Row(`select id,password,state from account where login=$1`, login).Scan(&id, &hash, &state); err != nil && !store.None(err) {
			return err
		}
		d, err := bolwerk.ParseToken(e.Device)
		if err != nil || id == "" {
			return nil // a browser that we do not know
		}
		err = tx.Row(`select hash from account_device where hash=$1 and account=$2 and expires>$3`, d.Hash(), id, store.Micros(now)).Scan(&device)
		if store.None(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return Pass{}, err
	}
	bs := buckets(login, device, e.Source)
	if err := s.throttle.begin(bs); err != nil {
		s.metrics.failed.WithLabelValues("tries").Inc()
		return Pass{}, err
	}
	against := hash
	if hash == "" || state != Active {
		against = nobody
	}
	right, renewed := false, ""
	err = s.hasher.run(ctx, device != "", func() {
		right = verifyPassword(against, password) && against != nobody
		if right && outdated(hash) {
			renewed = hashPassword(password)
		}
	})
	if err != nil {
		return Pass{}, err
	}
	if !right {
		s.metrics.failed.WithLabelValues("wrong").Inc()
		return Pass{}, errWrong()
	}
	s.throttle.succeed(bs)
	var pass Pass
	err = s.db.Write(ctx, store.WayBack, func(tx *store.Tx) error {
		// The account may have been changed while its password was hashed.
		n, err := tx.Exec(`update account set seen_at=$1 where id=$2 and state='active' and password=$3`, tx.NowMicros(), id, hash)
		if err != nil {
			return err
		}
		if n == 0 {
			return errWrong()
		}
		if renewed != "" {
			if _, err := tx.Exec(`update account set password=$1 where id=$2`, renewed, id); err != nil {
				return err
			}
		}
		pr, err := s.byPassword(tx, id)
		if err != nil {
			return err
		}
		way := "password"
		if pr.Glass {
			way = "glass"
		}
		s.count(tx, way)
		pass, err = letIn(tx, id, e.Agent, device, pr)
		return err
	})
	return pass, err
}

// byPassword is what a right password is worth where passkeys are required:
// nothing for who has one, and for who has none a session to make one in.
func (s *Accounts) byPassword(tx *store.Tx, id string) (proof, error) {
	p, err := ByID(tx, id)
	if err != nil {
		return proof{}, err
	}
	if err := s.openGlass(tx, p); err != nil {
		return proof{}, err
	}
	if s.cfg.Passkeys != PasskeysRequired || !p.GlassUntil.IsZero() {
		return proof{At: tx.Now(), Glass: !p.GlassUntil.IsZero()}, nil
	}
	setup, err := s.needsSetup(tx, id)
	if err == nil && !setup {
		err = errPasskey()
	}
	return proof{Setup: setup}, err
}

// errPasskey is the answer to a right password of somebody who must use a passkey.
func errPasskey() error {
	return bolwerk.WithHint(bolwerk.Conflict("log in with your passkey: a password is not enough here"), "lost it? use a recovery code")
}

// proof is how somebody has shown who it is: when, zero where that does not
// count for an approval, and whether it first has to set how it logs in.
type proof struct {
	At    time.Time
	Setup bool
	Glass bool // by the password of an envelope
}

// letIn makes a session, and remembers the browser under a new cookie.
func letIn(tx *store.Tx, id, agent, oldDevice string, pr proof) (Pass, error) {
	p := Pass{Session: bolwerk.NewToken(), Device: bolwerk.NewToken()}
	now := tx.NowMicros()
	if _, err := tx.Exec(`delete from account_session where account=$1 and id not in (select id from account_session where account=$1 order by made_at desc limit $2)`, id, maxSessions-1); err != nil {
		return p, err
	}
	proved := int64(0)
	if !pr.At.IsZero() {
		proved = store.Micros(pr.At)
	}
	if _, err := tx.Exec(`insert into account_session(hash,id,account,made_at,seen_at,agent,proved_at,setup) values($1,$2,$3,$4,$4,$5,$6,$7)`,
		p.Session.Hash(), bolwerk.NewID(tx.Now()), id, now, Family(agent), proved, pr.Setup); err != nil {
		return p, err
	}
	if _, err := tx.Exec(`delete from account_device where hash=$1`, oldDevice); err != nil {
		return p, err
	}
	_, err := tx.Exec(`insert into account_device(hash,account,expires) values($1,$2,$3)`, p.Device.Hash(), id, store.Micros(tx.Now().Add(deviceLife)))
	return p, err
}

// errGone is the answer to an invitation that is unknown, used or expired.
func errGone() error {
	return bolwerk.WithHint(bolwerk.NotFound("this link is not valid: it was used, replaced, or is too old"), "ask for a new one")
}

// Invitation says whose invitation a code is, and whether it sets a password
// (else it logs in once). It changes nothing: mail scanners open links too.
func (s *Accounts) Invitation(ctx context.Context, code bolwerk.Token) (p Person, setsPassword bool, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		p, setsPassword, err = invited(tx, code)
		return err
	})
	return p, setsPassword, err
}

func invited(tx *store.Tx, code bolwerk.Token) (Person, bool, error) {
	var r personRow
	var kind string
	err := tx.Row(`select `+personColumns+`, i.kind from account_invitation i join account a on a.id=i.account where i.hash=$1 and i.expires>$2 and a.state<>'disabled'`,
		code.Hash(), tx.NowMicros()).Scan(append(r.places(), &kind)...)
	if store.None(err) {
		err = errGone()
	}
	return r.person(), kind == "password", err
}

// Accept sets the password of an invitation, uses it up and lets its person in.
func (s *Accounts) Accept(ctx context.Context, code bolwerk.Token, password bolwerk.Secret, e Entry) (Pass, error) {
	p, setsPassword, err := s.Invitation(ctx, code)
	if err != nil {
		return Pass{}, err
	}
	if !setsPassword {
		return Pass{}, errGone()
	}
	if err := checkPassword(p.Login, password); err != nil {
		return Pass{}, err
	}
	hash := ""
	if err := s.hasher.run(ctx, false, func() { hash = hashPassword(password) }); err != nil {
		return Pass{}, err
	}
	return s.useCode(ctx, code, e, func(tx *store.Tx, p Person) error {
		// Somebody may disable the account in this very moment.
		n, err := tx.Exec(`update account set password=$1, state='active', seen_at=$2 where id=$3 and state<>'disabled'`, hash, tx.NowMicros(), p.ID)
		if err != nil || n == 0 {
			return orGone(err)
		}
		audit.Append(tx, p.Actor(), "account.password.set", p.ID, "", nil)
		return nil
	})
}

// Enter logs in with a code of LoginLink.
func (s *Accounts) Enter(ctx context.Context, code bolwerk.Token, e Entry) (Pass, error) {
	return s.useCode(ctx, code, e, func(tx *store.Tx, p Person) error {
		n, err := tx.Exec(`update account set seen_at=$1 where id=$2 and state='active'`, tx.NowMicros(), p.ID)
		if err != nil || n == 0 {
			return orGone(err)
		}
		audit.Append(tx, p.Actor(), "account.link.use", p.ID, "", nil)
		return nil
	})
}

func (s *Accounts) useCode(ctx context.Context, code bolwerk.Token, e Entry, fn func(*store.Tx, Person) error) (pass Pass, err error) {
	err = s.db.Write(ctx, store.WayBack, func(tx *store.Tx) error {
		p, _, err := invited(tx, code)
		if err != nil {
			return err
		}
		// Of two uses at once, one deletes the row.
		if n, err := tx.Exec(`delete from account_invitation where hash=$1`, code.Hash()); err != nil || n == 0 {
			return orGone(err)
		}
		if err := fn(tx, p); err != nil {
			return err
		}
		setup, err := s.needsSetup(tx, p.ID)
		if err != nil {
			return err
		}
		s.count(tx, "link")
		pr := proof{At: tx.Now(), Setup: setup}
		pass, err = letIn(tx, p.ID, e.Agent, "", pr)
		return err
	})
	return pass, err
}

func orGone(err error) error {
	if err != nil {
		return err
	}
	return errGone()
}

// ChangePassword replaces the person's own password; its other sessions and
// known browsers end.
func (s *Accounts) ChangePassword(ctx context.Context, p Person, old, fresh bolwerk.Secret) error {
	if p.By != BySession {
		return bolwerk.Forbidden("a password is changed in a session, not with a token")
	}
	if err := checkPassword(p.Login, fresh); err != nil {
		return err
	}
	var hash string
	err := s.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select password from account where id=$1`, p.ID).Scan(&hash)
	})
	if err != nil {
		return err
	}
	bs := []bucket{{"change " + p.ID, freeTries}}
	if err := s.throttle.begin(bs); err != nil {
		return err
	}
	right, renewed := false, ""
	err = s.hasher.run(ctx, true, func() {
		if right = verifyPassword(hash, old); right {
			renewed = hashPassword(fresh)
		}
	})
	if err != nil {
		return err
	}
	if !right {
		return bolwerk.Forbidden("the present password is wrong")
	}
	s.throttle.succeed(bs)
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if n, err := tx.Exec(`update account set password=$1 where id=$2 and password=$3 and state='active'`, renewed, p.ID, hash); err != nil || n == 0 {
			if err == nil {
				err = bolwerk.Conflict("the password was changed meanwhile")
			}
			return err
		}
		audit.Append(tx, p.Actor(), "account.password.change", p.ID, "", nil)
		if err := forgetAll(tx, p.ID, "account_device", "account_invitation"); err != nil {
			return err
		}
		_, err := tx.Exec(`delete from account_session where account=$1 and id<>$2`, p.ID, p.Session)
		return err
	})
}

// Family is the browser and system in a User-Agent, such as "Firefox, Linux":
// enough for its owner to know it again.
func Family(agent string) string {
	if len(agent) > 512 {
		agent = agent[:512]
	}
	find := func(marks ...string) string {
		for i := 0; i < len(marks); i += 2 {
			if strings.Contains(agent, marks[i]) {
				return marks[i+1]
			}
		}
		return ""
	}
	// Order matters: Edge and Opera call themselves Chrome, Chrome calls itself Safari.
	browser := find("Edg", "Edge", "OPR/", "Opera", "Firefox/", "Firefox", "Chrome/", "Chrome", "Safari/", "Safari", "curl/", "curl")
	system := find("Android", "Android", "iPhone", "iPhone", "iPad", "iPad", "Windows", "Windows", "Mac OS X", "macOS", "CrOS", "ChromeOS", "Linux", "Linux")
	switch {
	case browser == "":
		return "unknown browser"
	case system == "":
		return browser
	}
	return browser + ", " + system
}
