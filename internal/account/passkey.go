package account

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

const (
	askedLife    = 5 * time.Minute // of a question to a passkey
	maxPasskeys  = 20              // of one person
	maxAssertion = 32 << 10        // bytes of a browser's answer
)

// keys asks browsers for passkeys (WebAuthn level 3) of one site. The question
// is sealed and travels through the browser, so that strangers make no rows;
// that it was answered is a row, so that an answer counts once.
type keys struct {
	*Accounts
	rp *webauthn.WebAuthn // nil where the site's address allows no passkeys
}

// newKeys is for the site at address, such as https://console.example.
func newKeys(a *Accounts, address, name string) *keys {
	u, err := url.Parse(address)
	if err != nil {
		return &keys{a, nil}
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil || a.vault == nil || u.Scheme != "https" && u.Hostname() != "localhost" && !strings.HasSuffix(u.Hostname(), ".localhost") {
		return &keys{a, nil} // browsers give passkeys to names with https, and to localhost
	}
	rp, err := webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: name, RPOrigins: []string{u.Scheme + "://" + u.Host},
		AttestationPreference:  protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(), UserVerification: protocol.VerificationRequired},
	})
	if err != nil {
		return &keys{a, nil}
	}
	return &keys{a, rp}
}

// question is what a browser is asked, and what comes back with its answer.
type question struct {
	Options any    `json:"options"`
	Asked   string `json:"asked"`
}

// asked is a question as it travels, sealed. For is what it is for, so that an
// answer to one question is none to another.
type asked struct {
	For     string               `json:"for"` // login, proof or new
	Session webauthn.SessionData `json:"session"`
	At      time.Time            `json:"at"`
}

func (k *keys) seal(what string, s *webauthn.SessionData) (string, error) {
	b, err := json.Marshal(asked{what, *s, k.clock.Now()})
	if err != nil {
		return "", err
	}
	sealed, err := k.vault.Seal("account.passkey", b)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

func (k *keys) unseal(what, text string) (s webauthn.SessionData, err error) {
	if len(text) > maxAssertion {
		return s, errKey()
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return s, errKey()
	}
	b, err := k.vault.Open("account.passkey", sealed)
	var a asked
	if err != nil || json.Unmarshal(b, &a) != nil || a.For != what {
		return s, errKey()
	}
	if !k.clock.Now().Before(a.At.Add(askedLife)) {
		return s, bolwerk.WithHint(bolwerk.Forbidden("the answer of the passkey came too late"), "try it again")
	}
	return a.Session, nil
}

// errKey is the one answer to a passkey that does not let in, whatever was wrong.
func errKey() error {
	return bolwerk.WithHint(bolwerk.Forbidden("this passkey is not known here"), "use another one, or your password")
}

// answered makes an answer count once.
func answered(tx *store.Tx, challenge string) error {
	h := sha256.Sum256([]byte(challenge))
	n, err := tx.Exec(`insert into account_used(hash,expires) values($1,$2) on conflict(hash) do nothing`, hex.EncodeToString(h[:]), store.Micros(tx.Now().Add(2*askedLife)))
	if err == nil && n == 0 {
		err = errKey()
	}
	return err
}

// owner is a person as the library asks for it.
type owner struct {
	p    Person
	keys []webauthn.Credential
}

func (o owner) WebAuthnID() []byte                         { return []byte(o.p.ID) }
func (o owner) WebAuthnName() string                       { return o.p.Login }
func (o owner) WebAuthnDisplayName() string                { return o.p.Login }
func (o owner) WebAuthnCredentials() []webauthn.Credential { return o.keys }

func (k *keys) owner(ctx context.Context, id string) (o owner, err error) {
	err = k.db.Read(ctx, func(tx *store.Tx) error {
		if o.p, err = ByID(tx, id); err != nil {
			return err
		}
		o.keys, err = store.List(tx, func(scan func(...any) error) (c webauthn.Credential, err error) {
			var record string
			if err := scan(&record); err != nil {
				return c, err
			}
			return c, json.Unmarshal([]byte(record), &c)
		}, `select record from account_passkey where account=$1`, id)
		return err
	})
	return o, err
}

// Passkey is a passkey as its owner sees it.
type Passkey struct {
	ID, Name       string
	MadeAt, UsedAt time.Time // UsedAt is zero before the first use
}

// Passkeys are a person's, oldest first.
func (s *Accounts) Passkeys(ctx context.Context, id string) (all []Passkey, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		all, err = store.List(tx, func(scan func(...any) error) (k Passkey, err error) {
			var made, used int64
			err = scan(&k.ID, &k.Name, &made, &used)
			k.MadeAt, k.UsedAt = store.Time(made), zeroTime(used)
			return k, err
		}, `select id,name,made_at,used_at from account_passkey where account=$1 order by made_at,id`, id)
		return err
	})
	return all, err
}

// askNew is the question for a new passkey.
func (k *keys) askNew(ctx context.Context, p Person) (q question, err error) {
	o, err := k.owner(ctx, p.ID)
	if err != nil {
		return q, err
	}
	creation, session, err := k.rp.BeginRegistration(o, webauthn.WithExclusions(webauthn.Credentials(o.keys).CredentialDescriptors()))
	if err != nil {
		return q, err
	}
	q.Options = creation
	q.Asked, err = k.seal("new", session)
	return q, err
}

// add keeps a new passkey. Its person has shown who it is; a session that is
// for setting up is an ordinary one then.
func (k *keys) add(ctx context.Context, p Person, name, question, answer string) error {
	name = strings.TrimSpace(name)
	if name == "" || utf8.RuneCountInString(name) > 60 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return bolwerk.Invalid("the passkey needs a name of at most 60 letters, such as: phone")
	}
	if !p.Setup && !p.Fresh(k.clock.Now()) {
		return bolwerk.Forbidden("show again who you are before you add a passkey")
	}
	session, err := k.unseal("new", question)
	if err != nil {
		return err
	}
	if len(answer) > maxAssertion {
		return errKey()
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(answer))
	if err != nil {
		return errKey()
	}
	o, err := k.owner(ctx, p.ID)
	if err != nil {
		return err
	}
	if len(o.keys) >= maxPasskeys {
		return bolwerk.WithHint(bolwerk.Conflict("you have %d passkeys already", len(o.keys)), "remove those that you no longer use")
	}
	c, err := k.rp.CreateCredential(o, session, parsed)
	if err != nil {
		return bolwerk.WithHint(bolwerk.Forbidden("the passkey was not made as we asked"), "try it again")
	}
	c.Attestation = webauthn.CredentialAttestation{} // none was asked for
	record, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return k.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if err := answered(tx, session.Challenge); err != nil {
			return err
		}
		id := bolwerk.NewID(tx.Now())
		n, err := tx.Exec(`insert into account_passkey(id,credential,account,name,record,made_at,used_at) values($1,$2,$3,$4,$5,$6,0) on conflict(credential) do nothing`,
			id, base64.RawURLEncoding.EncodeToString(c.ID), p.ID, name, string(record), tx.NowMicros())
		if err != nil {
			return err
		}
		if n == 0 {
			return bolwerk.Conflict("this passkey is known already")
		}
		audit.Append(tx, p.Actor(), "account.passkey.add", id, "", map[string]string{"person": p.ID})
		if p.Setup {
			return finishSetup(tx, p)
		}
		return nil
	})
}

// finishSetup makes an ordinary session of one that was for setting up.
func finishSetup(tx *store.Tx, p Person) error {
	if _, err := tx.Exec(`update account set state='active' where id=$1 and state<>'disabled'`, p.ID); err != nil {
		return err
	}
	_, err := tx.Exec(`update account_session set setup=$1, proved_at=$2 where id=$3`, false, tx.NowMicros(), p.Session)
	return err
}

// RemovePasskey forgets one of the person's own passkeys. The last way in that
// a person has stays.
func (s *Accounts) RemovePasskey(ctx context.Context, p Person, id string) error {
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		var others, password int64
		if err := tx.Row(`select (select count(*) from account_passkey where account=$1 and id<>$2),(select count(*) from account where id=$1 and (password<>'' or issuer<>''))`, p.ID, id).Scan(&others, &password); err != nil {
			return err
		}
		if others == 0 && (password == 0 || s.cfg.Passkeys == PasskeysRequired) {
			return bolwerk.WithHint(bolwerk.Conflict("this passkey is your only way in"), "add another one first")
		}
		n, err := tx.Exec(`delete from account_passkey where id=$1 and account=$2`, id, p.ID)
		if err == nil && n == 0 {
			err = bolwerk.NotFound("there is no such passkey")
		}
		audit.Append(tx, p.Actor(), "account.passkey.remove", id, "", map[string]string{"person": p.ID})
		return err
	})
}

// askLogin is the question of the log-in page: any passkey of anybody.
func (k *keys) askLogin() (q question, err error) {
	assertion, session, err := k.rp.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return q, err
	}
	q.Options = assertion
	q.Asked, err = k.seal("login", session)
	return q, err
}

// askProof is the question to somebody who is logged in: a passkey of its own.
func (k *keys) askProof(ctx context.Context, p Person) (q question, err error) {
	o, err := k.owner(ctx, p.ID)
	if err != nil {
		return q, err
	}
	if len(o.keys) == 0 {
		return q, bolwerk.NotFound("you have no passkey yet")
	}
	assertion, session, err := k.rp.BeginLogin(o, webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return q, err
	}
	q.Options = assertion
	q.Asked, err = k.seal("proof", session)
	return q, err
}

// login lets in who holds a passkey.
func (k *keys) login(ctx context.Context, question, answer string, e Entry) (pass Pass, err error) {
	o, c, challenge, err := k.check(ctx, "login", question, answer)
	if err != nil {
		return pass, err
	}
	return pass, k.use(ctx, o.p, c, challenge, func(tx *store.Tx) error {
		n, err := tx.Exec(`update account set seen_at=$1 where id=$2 and state='active' and glass_until=0 and issuer=''`, tx.NowMicros(), o.p.ID) // a provider's people come through it, or leaving there would not end here
		if err != nil {
			return err
		}
		if n == 0 {
			return errKey()
		}
		k.count(tx, "passkey")
		pass, err = letIn(tx, o.p.ID, e.Agent, "", proof{At: tx.Now()})
		return err
	})
}

// prove notes that the person of a session has shown a passkey of its own.
func (k *keys) prove(ctx context.Context, p Person, question, answer string) error {
	o, c, challenge, err := k.check(ctx, "proof", question, answer)
	if err != nil {
		return err
	}
	if o.p.ID != p.ID {
		return errKey()
	}
	return k.use(ctx, p, c, challenge, func(tx *store.Tx) error { return proved(tx, p) })
}

// check verifies a browser's answer against the passkey that it names.
func (k *keys) check(ctx context.Context, what, question, answer string) (o owner, c *webauthn.Credential, challenge string, err error) {
	session, err := k.unseal(what, question)
	if err != nil {
		return o, nil, "", err
	}
	if len(answer) > maxAssertion {
		return o, nil, "", errKey()
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(answer))
	if err != nil {
		return o, nil, "", errKey()
	}
	find := func(_, handle []byte) (webauthn.User, error) {
		o, err = k.owner(ctx, string(handle))
		return o, err
	}
	if len(session.UserID) == 0 {
		_, c, err = k.rp.ValidatePasskeyLogin(find, session, parsed)
	} else if _, err = find(nil, session.UserID); err == nil {
		c, err = k.rp.ValidateLogin(o, session, parsed)
	}
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return o, nil, "", err
		}
		return o, nil, "", errKey()
	}
	return o, c, session.Challenge, nil
}

// use notes the use of a passkey and does fn in the same transaction. A counter
// that went back is a copy of the passkey: it lets nobody in.
func (k *keys) use(ctx context.Context, p Person, c *webauthn.Credential, challenge string, fn func(*store.Tx) error) error {
	id := base64.RawURLEncoding.EncodeToString(c.ID)
	if c.Authenticator.CloneWarning {
		err := k.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
			audit.Append(tx, p.Actor(), "account.passkey.copied", p.ID, "its counter went back", nil)
			return nil
		})
		return errors.Join(err, errKey())
	}
	record, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return k.db.Write(ctx, store.WayBack, func(tx *store.Tx) error {
		if err := answered(tx, challenge); err != nil {
			return err
		}
		n, err := tx.Exec(`update account_passkey set record=$1, used_at=$2 where credential=$3 and account=$4`, string(record), tx.NowMicros(), id, p.ID)
		if err != nil {
			return err
		}
		if n == 0 {
			return errKey()
		}
		return fn(tx)
	})
}
