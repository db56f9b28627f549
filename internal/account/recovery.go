package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// recoveryCodes is how many codes a sheet holds. Each has 80 random bits, so
// their hashes need no slow function.
const recoveryCodes = 10

// NewRecovery makes a new sheet of recovery codes for a person that has just
// shown who it is; the old sheet is worth nothing then. They are told this once.
func (s *Accounts) NewRecovery(ctx context.Context, p Person) (codes []string, err error) {
	if !p.Fresh(s.clock.Now()) {
		return nil, bolwerk.Forbidden("show again who you are before you make recovery codes")
	}
	for range recoveryCodes {
		t := strings.ToLower(rand.Text()[:16])
		codes = append(codes, t[:4]+" "+t[4:8]+" "+t[8:12]+" "+t[12:])
	}
	return codes, s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if err := forgetAll(tx, p.ID, "account_recovery"); err != nil {
			return err
		}
		for _, c := range codes {
			if _, err := tx.Exec(`insert into account_recovery(hash,account) values($1,$2)`, recoveryHash(c), p.ID); err != nil {
				return err
			}
		}
		audit.Append(tx, p.Actor(), "account.recovery.make", p.ID, "", nil)
		return nil
	})
}

func recoveryHash(code string) string {
	plain := strings.NewReplacer(" ", "", "-", "", "\t", "").Replace(strings.ToLower(code))
	h := sha256.Sum256([]byte("bolwerk recovery " + plain))
	return hex.EncodeToString(h[:])
}

// Recover lets in who holds a recovery code, once, to set a password or a
// passkey and nothing else before. Whoever holds the code becomes that person:
// other sessions end, and it may not approve for 24 h.
func (s *Accounts) Recover(ctx context.Context, login, code string, e Entry) (pass Pass, err error) {
	login = strings.ToLower(strings.TrimSpace(login))
	if len(login) > 40 || len(code) > 100 {
		return pass, errRecovery()
	}
	bs := buckets(login, "", e.Source)
	if err := s.throttle.begin(bs); err != nil {
		return pass, err
	}
	err = s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		var id string
		err := tx.Row(`select a.id from account a join account_recovery r on r.account=a.id where a.login=$1 and r.hash=$2 and a.state='active' and a.issuer='' and a.glass_until=0`, login, recoveryHash(code)).Scan(&id)
		if store.None(err) {
			return errRecovery()
		}
		if err != nil {
			return err
		}
		// Of two uses at once, one deletes the row.
		if n, err := tx.Exec(`delete from account_recovery where hash=$1`, recoveryHash(code)); err != nil || n == 0 {
			if err == nil {
				err = errRecovery()
			}
			return err
		}
		if _, err := tx.Exec(`update account set seen_at=$1, role_since=$1, exempt=$2 where id=$3`, tx.NowMicros(), false, id); err != nil {
			return err
		}
		if err := forgetAll(tx, id, "account_session", "account_device", "account_invitation"); err != nil {
			return err
		}
		audit.Append(tx, bolwerk.Person(id), "account.recovery.use", id, "", nil)
		s.count(tx, "recovery")
		pass, err = letIn(tx, id, e.Agent, "", proof{Setup: true})
		return err
	})
	if err == nil {
		s.throttle.succeed(bs)
	}
	return pass, err
}

func errRecovery() error {
	return bolwerk.Forbidden("the log-in name or the recovery code is wrong, or the code was used")
}

// SetUp gives the person of a session that is for setting up a new password.
func (s *Accounts) SetUp(ctx context.Context, p Person, fresh bolwerk.Secret) error {
	if !p.Setup || s.cfg.Passkeys == PasskeysRequired {
		return bolwerk.Forbidden("a password is set here only after a recovery")
	}
	if err := checkPassword(p.Login, fresh); err != nil {
		return err
	}
	hash := ""
	if err := s.hasher.run(ctx, true, func() { hash = hashPassword(fresh) }); err != nil {
		return err
	}
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if _, err := tx.Exec(`update account set password=$1 where id=$2 and state<>'disabled'`, hash, p.ID); err != nil {
			return err
		}
		audit.Append(tx, p.Actor(), "account.password.set", p.ID, "", nil)
		return finishSetup(tx, p)
	})
}

// needsSetup says that a person who came by password has to make a passkey first.
func (s *Accounts) needsSetup(tx *store.Tx, id string) (bool, error) {
	if s.cfg.Passkeys != PasskeysRequired {
		return false, nil
	}
	var without int64
	err := tx.Row(`select count(*) from account where id=$1 and glass_until=0 and issuer='' and not exists (select 1 from account_passkey where account=$1)`, id).Scan(&without)
	return without == 1, err
}
