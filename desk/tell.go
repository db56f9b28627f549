package desk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/job"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
)

// SecondJob tells who may approve that a proposal waits; its Ref is the proposal.
const SecondJob = "desk.second"

// Teller tells the people of the desk by mail what cannot wait until they look:
// a proposal that waits, a break-glass account that was opened. A mail holds a
// link and no more: what it is about stands behind the log-in.
type Teller struct {
	DB       *store.DB
	Vault    *vault.Vault
	Accounts *account.Accounts
	// URL makes an address of the console of a path.
	URL func(path string) string
	// T is a text of the console's pages in the language of its mails.
	T    func(key string, args ...any) string
	Lang bolwerk.Lang
	// From is who writes; without it nobody is told.
	From     mail.Address
	FromName string
	// Proposals says that waiting proposals are told.
	Proposals bool
	Log       *slog.Logger
}

// Handle gives the runner of jobs the kinds that the teller does.
func (t Teller) Handle(r *job.Runner) {
	r.Handle(SecondJob, t.second)
	r.Handle(account.GlassJob, t.glass)
}

func (t Teller) second(ctx context.Context, j job.Job) error {
	if !t.Proposals {
		return nil
	}
	var p Proposal
	err := t.DB.Read(ctx, func(tx *store.Tx) (err error) {
		p, err = FindProposal(tx, j.Ref)
		return err
	})
	if err != nil || p.State != "open" {
		return ignoreNone(err)
	}
	right, address := account.Lead, "/approve/"+p.ID
	switch {
	case strings.HasPrefix(p.Action, "account."):
		right, address = account.Administer, "/approve/people/"+p.ID
	case strings.HasPrefix(p.Action, "privacy."):
		right, address = account.Countersign, "/privacy/erasures"
	}
	return t.tell(ctx, SecondJob, p.ID, "second", []any{t.URL(address)}, func(who account.Person) bool { return who.May(right) && who.Actor() != p.Actor })
}

// glass also writes the alarm into the log: not everybody has a mail address.
func (t Teller) glass(ctx context.Context, j job.Job) error {
	var who account.Person
	err := t.DB.Read(ctx, func(tx *store.Tx) (err error) {
		who, err = account.ByID(tx, j.Ref)
		return err
	})
	if err != nil {
		return ignoreNone(err)
	}
	if j.Tries == 0 {
		t.Log.Error("break-glass account opened", "alarm", true, "account", who.ID, "until", who.GlassUntil)
	}
	return t.tell(ctx, account.GlassJob, who.ID, "glass", []any{who.Login, who.GlassOpened.UTC().Format(time.RFC3339), t.URL("/people/" + who.Login)}, func(p account.Person) bool {
		return p.Role == account.DutyOfficer || p.Role == account.Administrator
	})
}

func ignoreNone(err error) error {
	if errors.Is(err, bolwerk.ErrNotFound) {
		return nil
	}
	return err
}

// tell mails one text to everybody whom it is for and who has an address.
func (t Teller) tell(ctx context.Context, kind, ref, text string, args []any, to func(account.Person) bool) error {
	if t.From.IsZero() {
		return nil
	}
	all, err := t.Accounts.List(ctx)
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.State != account.Active || p.Mail == "" || !to(p) {
			continue
		}
		address, err := mail.ParseAddress(p.Mail)
		if err != nil {
			return err
		}
		id := sha256.Sum256([]byte(kind + " " + ref + " " + p.ID))
		m := mail.Message{ID: hex.EncodeToString(id[:16]), From: t.From, FromName: t.FromName, To: address, Lang: t.Lang, Automatic: true,
			Subject: t.T("account.tell." + text + ".subject"), Body: t.T("account.tell."+text+".body", args...) + "\n"}
		err = t.DB.Write(ctx, store.Intake, func(tx *store.Tx) error {
			m.Date = tx.Now()
			body, err := json.Marshal(m)
			if err != nil {
				return err
			}
			_, err = AddNotice(tx, t.Vault, Notice{Kind: kind, Ref: ref + " " + p.ID, Lang: t.Lang, To: p.Mail, Body: body}, "")
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
