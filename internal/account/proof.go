package account

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"bolwerk"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
)

// AskProof sends somebody whose proof is not Fresh to show again who it is, and
// back to next, a path of this site, afterwards.
func (d *Door) AskProof(w http.ResponseWriter, r *http.Request, next string) {
	http.Redirect(w, r, "/proof?next="+url.QueryEscape(localPath(next)), http.StatusSeeOther)
}

// Prove notes that the person of a session has shown its password again.
func (s *Accounts) Prove(ctx context.Context, p Person, password bolwerk.Secret) error {
	if p.By != BySession {
		return bolwerk.Forbidden("a proof is given in a session, not with a token")
	}
	if len(password.Reveal()) > 1024 {
		return errWrongPassword()
	}
	var hash string
	if err := s.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select password from account where id=$1`, p.ID).Scan(&hash)
	}); err != nil {
		return err
	}
	bs := []bucket{{"proof " + p.ID, freeTries}}
	if err := s.throttle.begin(bs); err != nil {
		return err
	}
	right := false
	if err := s.hasher.run(ctx, true, func() { right = hash != "" && verifyPassword(hash, password) }); err != nil {
		return err
	}
	if !right {
		return errWrongPassword()
	}
	s.throttle.succeed(bs)
	return s.proved(ctx, p)
}

func errWrongPassword() error { return bolwerk.Forbidden("the password is wrong") }

// proved notes on the session that its person has just shown who it is.
func (s *Accounts) proved(ctx context.Context, p Person) error {
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error { return proved(tx, p) })
}

func proved(tx *store.Tx, p Person) error {
	n, err := tx.Exec(`update account_session set proved_at=$1 where id=$2 and account=$3`, tx.NowMicros(), p.Session, p.ID)
	if err == nil && n == 0 {
		err = errOut()
	}
	return err
}

type proofData struct {
	Me   Person
	Next string
	Has  ways
	Keys bool // passkeys can be used here
	// Provider answers for this person; empty names nobody.
	Provider providerLink
	Wrong    wrong
}

// ways are how somebody can show who it is.
type ways struct {
	Password bool
	Passkeys int
	Recovery int // codes that are left
}

func (s *Accounts) ways(ctx context.Context, id string) (w ways, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select (select password<>'' from account where id=$1),(select count(*) from account_passkey where account=$1),(select count(*) from account_recovery where account=$1)`, id).
			Scan(&w.Password, &w.Passkeys, &w.Recovery)
	})
	return w, err
}

func (s *Pages) proofPage(w http.ResponseWriter, r *http.Request, me Person) error {
	return s.proof(w, r, http.StatusOK, proofData{Me: me, Next: localPath(r.URL.Query().Get("next"))})
}

func (s *Pages) proof(w http.ResponseWriter, r *http.Request, status int, data proofData) (err error) {
	if data.Has, err = s.accounts.ways(r.Context(), data.Me.ID); err != nil {
		return err
	}
	data.Keys = s.keys.rp != nil
	if p := s.providerOf(data.Me); p != nil {
		data.Provider = providerLink{p.Name, p.Title}
	}
	return s.pages.Render(w, r, status, "proof", data)
}

func (s *Pages) prove(w http.ResponseWriter, r *http.Request, me Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	data := proofData{Me: me, Next: localPath(r.PostForm.Get("next"))}
	err := s.accounts.Prove(r.Context(), me, bolwerk.NewSecret(r.PostForm.Get("password")))
	if err == nil {
		http.Redirect(w, r, data.Next, http.StatusSeeOther)
		return nil
	}
	p := web.Explain(err)
	switch p.Status {
	case http.StatusForbidden:
		data.Wrong = wrong{"password": s.t(r, "account.proof.wrong")}
	case http.StatusTooManyRequests:
		data.Wrong = wrong{"password": s.t(r, "account.login.wait", p.After)}
		w.Header().Set("Retry-After", strconv.Itoa(p.After))
	default:
		return err
	}
	return s.proof(w, r, p.Status, data)
}

// proveSubject notes a proof that a provider has given for the person of a session.
func (s *Accounts) proveSubject(ctx context.Context, p Person, state string, c claims) error {
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if err := answered(tx, "oidc "+state); err != nil {
			return errProvider()
		}
		var id string
		err := tx.Row(`select id from account where issuer=$1 and subject=$2`, c.Issuer, c.Subject).Scan(&id)
		if store.None(err) || err == nil && id != p.ID {
			return bolwerk.Forbidden("somebody else has logged in at the provider")
		}
		if err != nil {
			return err
		}
		return proved(tx, p)
	})
}
