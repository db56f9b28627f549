package account

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
)

// errNoKeys is the answer where the site's address allows no passkeys.
func errNoKeys() error {
	return bolwerk.WithHint(bolwerk.NotFound("passkeys cannot be used at this address"), "console.url must be https and a name")
}

func (s *Pages) askLogin(w http.ResponseWriter, _ *http.Request) error {
	if s.keys.rp == nil {
		return errNoKeys()
	}
	q, err := s.keys.askLogin()
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, q)
}

func (s *Pages) loginByKey(w http.ResponseWriter, r *http.Request) error {
	if s.keys.rp == nil {
		return errNoKeys()
	}
	if err := web.ReadForm(r); err != nil {
		return err
	}
	data := loginData{Next: localPath(r.PostForm.Get("next")), Held: r.PostForm.Get("held")}
	pass, err := s.keys.login(r.Context(), r.PostForm.Get("asked"), r.PostForm.Get("credential"), s.entry(r))
	if err == nil {
		s.letIn(w, r, pass, data.Next)
		return nil
	}
	p := web.Explain(err)
	if p.Status != http.StatusForbidden {
		return err
	}
	s.accounts.metrics.failed.WithLabelValues("wrong").Inc()
	data.Wrong = wrong{"passkey": s.t(r, "account.passkey.wrong")}
	return s.logInPage(w, r, p.Status, data)
}

func (s *Pages) askProof(w http.ResponseWriter, r *http.Request, me Person) error {
	if s.keys.rp == nil {
		return errNoKeys()
	}
	q, err := s.keys.askProof(r.Context(), me)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, q)
}

func (s *Pages) proveByKey(w http.ResponseWriter, r *http.Request, me Person) error {
	if s.keys.rp == nil {
		return errNoKeys()
	}
	if err := web.ReadForm(r); err != nil {
		return err
	}
	data := proofData{Me: me, Next: localPath(r.PostForm.Get("next"))}
	err := s.keys.prove(r.Context(), me, r.PostForm.Get("asked"), r.PostForm.Get("credential"))
	if err == nil {
		http.Redirect(w, r, data.Next, http.StatusSeeOther)
		return nil
	}
	p := web.Explain(err)
	if p.Status != http.StatusForbidden {
		return err
	}
	data.Wrong = wrong{"passkey": s.t(r, "account.passkey.wrong")}
	return s.proof(w, r, p.Status, data)
}

func (s *Pages) askKey(w http.ResponseWriter, r *http.Request, me Person) error {
	if s.keys.rp == nil {
		return errNoKeys()
	}
	q, err := s.keys.askNew(r.Context(), me)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, q)
}

func (s *Pages) addKey(w http.ResponseWriter, r *http.Request, me Person) error {
	if s.keys.rp == nil {
		return errNoKeys()
	}
	if err := web.ReadForm(r); err != nil {
		return err
	}
	if !me.Setup && !me.Fresh(s.accounts.clock.Now()) {
		s.AskProof(w, r, "/account")
		return nil
	}
	err := s.keys.add(r.Context(), me, r.PostForm.Get("name"), r.PostForm.Get("asked"), r.PostForm.Get("credential"))
	if err == nil {
		http.Redirect(w, r, "/account?done=passkey", http.StatusSeeOther)
		return nil
	}
	bad, status, err := s.beside(r, "passkey", err)
	if err != nil {
		return err
	}
	if me.Setup {
		return s.setup(w, r, status, setupData{Me: me, Wrong: bad})
	}
	return s.account(w, r, status, accountData{Me: me, Wrong: bad})
}

func (s *Pages) removeKey(w http.ResponseWriter, r *http.Request, me Person) error {
	err := s.accounts.RemovePasskey(r.Context(), me, r.PathValue("id"))
	if err == nil {
		http.Redirect(w, r, "/account?done=unkeyed", http.StatusSeeOther)
		return nil
	}
	bad, status, err := s.beside(r, "passkey", err)
	if err != nil {
		return err
	}
	return s.account(w, r, status, accountData{Me: me, Wrong: bad})
}

type recoveryData struct {
	Login, Held string
	Wrong       wrong
}

func (s *Pages) recoveryPage(w http.ResponseWriter, r *http.Request) error {
	return s.pages.Render(w, r, http.StatusOK, "recovery", recoveryData{})
}

func (s *Pages) recover(w http.ResponseWriter, r *http.Request) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	data := recoveryData{Login: clip(r.PostForm.Get("login"))}
	pass, err := s.accounts.Recover(r.Context(), r.PostForm.Get("login"), r.PostForm.Get("code"), s.entry(r))
	if err == nil {
		s.letIn(w, r, pass, "/account/setup")
		return nil
	}
	p := web.Explain(err)
	switch p.Status {
	case http.StatusForbidden:
		data.Wrong = wrong{"code": s.t(r, "account.recovery.wrong")}
	case http.StatusTooManyRequests:
		data.Wrong = wrong{"code": s.t(r, "account.login.wait", p.After)}
		w.Header().Set("Retry-After", strconv.Itoa(p.After))
	default:
		return err
	}
	return s.pages.Render(w, r, p.Status, "recovery", data)
}

// makeRecovery shows the codes as the answer to the form: they are told once
// and are no page that can be loaded again.
func (s *Pages) makeRecovery(w http.ResponseWriter, r *http.Request, me Person) error {
	if !me.Fresh(s.accounts.clock.Now()) {
		s.AskProof(w, r, "/account")
		return nil
	}
	codes, err := s.accounts.NewRecovery(r.Context(), me)
	if err != nil {
		return err
	}
	return s.account(w, r, http.StatusOK, accountData{Me: me, Codes: codes})
}

type setupData struct {
	Me       Person
	Keys     bool // passkeys can be used here
	Password bool // a password is enough
	Wrong    wrong
}

func (s *Pages) setupPage(w http.ResponseWriter, r *http.Request, me Person) error {
	if !me.Setup {
		http.Redirect(w, r, "/account", http.StatusSeeOther)
		return nil
	}
	return s.setup(w, r, http.StatusOK, setupData{Me: me})
}

func (s *Pages) setup(w http.ResponseWriter, r *http.Request, status int, data setupData) error {
	data.Keys, data.Password = s.keys.rp != nil, s.accounts.cfg.Passkeys != PasskeysRequired
	return s.pages.Render(w, r, status, "setup", data)
}

func (s *Pages) setUp(w http.ResponseWriter, r *http.Request, me Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	password := r.PostForm.Get("password")
	if password != r.PostForm.Get("again") {
		return s.setup(w, r, http.StatusUnprocessableEntity, setupData{Me: me, Wrong: wrong{"again": s.t(r, "account.password.differ")}})
	}
	if bad := s.badPassword(r, me.Login, password); bad != nil {
		return s.setup(w, r, http.StatusUnprocessableEntity, setupData{Me: me, Wrong: bad})
	}
	if err := s.accounts.SetUp(r.Context(), me, bolwerk.NewSecret(password)); err != nil {
		return err
	}
	http.Redirect(w, r, "/account?done=password", http.StatusSeeOther)
	return nil
}

// SetMail keeps where a person is told that something waits for it; empty is
// nowhere.
func (s *Accounts) SetMail(ctx context.Context, p Person, address string) error {
	if address = strings.TrimSpace(address); address != "" {
		a, err := mail.ParseAddress(address)
		if err != nil {
			return err
		}
		address = a.String()
	}
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		audit.Append(tx, p.Actor(), "account.mail.set", p.ID, "", nil)
		_, err := tx.Exec(`update account set mail=$1 where id=$2`, address, p.ID)
		return err
	})
}

func (s *Pages) setMail(w http.ResponseWriter, r *http.Request, me Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	err := s.accounts.SetMail(r.Context(), me, r.PostForm.Get("mail"))
	if err == nil {
		http.Redirect(w, r, "/account?done=mail", http.StatusSeeOther)
		return nil
	}
	bad, status, err := s.beside(r, "mail", err)
	if err != nil {
		return err
	}
	me.Mail = clip(r.PostForm.Get("mail"))
	return s.account(w, r, status, accountData{Me: me, Wrong: bad})
}
