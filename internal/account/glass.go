package account

import (
	"context"
	"fmt"
	"time"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/job"
	"bolwerk/internal/store"
)

// A break-glass account is for the night in which nobody else can log in. It is
// made over the admin socket, its password lies in an envelope, and breaking
// its seal is heard by everybody: audit trail, metric, a mail to all duty
// officers and administrators, a banner on every page. It ends by itself.

const (
	// GlassUse is how long a break-glass account lives once it was used.
	GlassUse     = 8 * time.Hour
	maxGlassDays = 366 // in the envelope
	// GlassJob tells the people of the desk that a seal was broken; its Ref is
	// the account.
	GlassJob = "account.glass"
)

// MakeGlass makes a break-glass account and the password for the envelope. It
// ends after days, used or not.
func (s *Accounts) MakeGlass(ctx context.Context, login string, role Role, days int, reason string) (bolwerk.Secret, Person, error) {
	login, err := ParseLogin(login)
	if err != nil {
		return bolwerk.Secret{}, Person{}, err
	}
	if role, err = ParseRole(string(role)); err != nil {
		return bolwerk.Secret{}, Person{}, err
	}
	if days < 1 || days > maxGlassDays {
		return bolwerk.Secret{}, Person{}, bolwerk.Invalid("a break-glass account lies 1 to %d days, not %d", maxGlassDays, days)
	}
	password := bolwerk.NewSecret(bolwerk.NewToken().Reveal())
	hash := ""
	if err := s.hasher.run(ctx, true, func() { hash = hashPassword(password) }); err != nil {
		return bolwerk.Secret{}, Person{}, err
	}
	var p Person
	err = s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if _, err := byLogin(tx, login); err == nil {
			return bolwerk.WithHint(bolwerk.Conflict("there is an account %q already", login), fmt.Sprintf("each envelope has a name of its own, such as %s-2", login))
		}
		p = Person{ID: bolwerk.NewID(tx.Now()), Login: login, Role: role, RoleSince: tx.Now(), MadeAt: tx.Now(), State: Active, GlassUntil: tx.Now().AddDate(0, 0, days)}
		if err := insert(tx, p); err != nil {
			return err
		}
		audit.Append(tx, bolwerk.Socket(), "account.glass.make", p.ID, reason, map[string]any{"role": role, "days": days})
		_, err := tx.Exec(`update account set password=$1 where id=$2`, hash, p.ID)
		return err
	})
	return password, p, err
}

// openGlass notes the use of a break-glass account, where it is one: the first
// breaks the seal.
func (s *Accounts) openGlass(tx *store.Tx, p Person) error {
	if p.GlassUntil.IsZero() {
		return nil
	}
	if !tx.Now().Before(p.GlassUntil) {
		return errWrong()
	}
	audit.Append(tx, p.Actor(), "account.glass.open", p.ID, "", map[string]any{"first": p.GlassOpened.IsZero()})
	if !p.GlassOpened.IsZero() {
		return nil
	}
	until := tx.Now().Add(GlassUse)
	if p.GlassUntil.Before(until) {
		until = p.GlassUntil
	}
	if _, err := tx.Exec(`update account set glass_opened=$1, glass_until=$2 where id=$3`, tx.NowMicros(), store.Micros(until), p.ID); err != nil {
		return err
	}
	tx.After(func() { s.metrics.glass.Inc() })
	return job.Add(tx, GlassJob, p.ID, p.ID, tx.Now())
}

// endGlass disables break-glass accounts whose time has come.
func endGlass(tx *store.Tx) error {
	ended, err := store.List(tx, func(scan func(...any) error) (id string, err error) { return id, scan(&id) },
		`select id from account where glass_until>0 and glass_until<=$1 and state='active'`, tx.NowMicros())
	if err != nil {
		return err
	}
	for _, id := range ended {
		if _, err := tx.Exec(`update account set state='disabled', password='', ended_at=$1 where id=$2`, tx.NowMicros(), id); err != nil {
			return err
		}
		if err := forgetAll(tx, id, "account_session", "account_device", "account_token", "account_held"); err != nil {
			return err
		}
		audit.Append(tx, bolwerk.Task("account"), "account.glass.end", id, "its time has come", nil)
	}
	return nil
}

// glassInUse is the break-glass account that somebody has opened and that has
// not ended; the zero Glass where there is none.
func glassInUse(tx *store.Tx, now time.Time) (g Glass, err error) {
	var until int64
	err = tx.Row(`select login,glass_until from account where glass_opened>0 and glass_until>$1 and state='active' order by glass_opened limit 1`, store.Micros(now)).Scan(&g.Login, &until)
	if store.None(err) {
		return Glass{}, nil
	}
	g.Until = store.Time(until)
	return g, err
}
