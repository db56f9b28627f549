package account

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/store"
)

// A form that comes when its session has ended is not lost. Its fields travel
// sealed in the log-in page, so that strangers make no rows; after the log-in
// they are a row of that person for half an hour, and the page that the form
// was on shows them again. Nothing is sent by itself.

const (
	heldLife = 30 * time.Minute
	maxHeld  = 64 << 10 // bytes of a form
)

// HeldForm is a form that came when its session had ended.
type HeldForm struct {
	// Path is where it was sent, such as /case/C-2026-000017/confirm.
	Path string `json:"path"`
	// Form is what was entered; never a password.
	Form url.Values `json:"form"`
	// Back is the page that it was on.
	Back    string    `json:"back"`
	Account string    `json:"account,omitempty"` // whose session it was, where that is still known
	At      time.Time `json:"at"`
}

type heldKey struct{}

// Held is the form that a page shows again after the log-in; Path is empty
// where there is none. The page fills its fields from it.
func Held(r *http.Request) HeldForm {
	h, _ := r.Context().Value(heldKey{}).(HeldForm)
	return h
}

// secretFields are never kept.
var secretFields = []string{"password", "old", "again", "code", "credential", "asked", "held", "next"}

// hold seals the form of a request that came without a session; "" where there
// is none, or it is too large.
func (d *Door) hold(r *http.Request) string {
	if d.accounts.vault == nil || r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return ""
	}
	if r.ParseForm() != nil {
		return ""
	}
	h := HeldForm{Path: localPath(r.URL.Path), Form: url.Values{}, Back: path.Dir(localPath(r.URL.Path)), At: d.accounts.clock.Now()}
	for k, v := range r.PostForm {
		if !slices.Contains(secretFields, k) {
			h.Form[k] = v
		}
	}
	// Browsers name the page that a form is on (our Referrer-Policy asks them to).
	if ref, err := url.Parse(r.Referer()); err == nil && ref.Host == r.Host {
		h.Back = localPath(ref.RequestURI())
	}
	if token, err := bolwerk.ParseToken(d.cookie(r, sessionCookie)); err == nil {
		h.Account = d.accounts.wasOf(r.Context(), token)
	}
	b, err := json.Marshal(h)
	if err != nil || len(b) > maxHeld {
		return ""
	}
	sealed, err := d.accounts.vault.Seal("account.held", b)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(sealed)
}

// wasOf is whose session it was that has ended; "" where nobody knows any more.
func (s *Accounts) wasOf(ctx context.Context, session bolwerk.Token) (id string) {
	_ = s.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select account from account_session where hash=$1`, session.Hash()).Scan(&id)
	})
	return id
}

// keepHeld makes a row of what the log-in page carried and gives the page to
// go back to; "" where there is nothing to go back to, or it is somebody else's.
func (s *Accounts) keepHeld(ctx context.Context, account, text string) string {
	if s.vault == nil || text == "" || len(text) > 2*maxHeld {
		return ""
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return ""
	}
	h, err := s.openHeld(sealed)
	if err != nil || h.Account != "" && h.Account != account {
		return ""
	}
	id := bolwerk.NewID(s.clock.Now())
	err = s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		if _, err := tx.Exec(`delete from account_held where account=$1`, account); err != nil {
			return err
		}
		_, err := tx.Exec(`insert into account_held(id,account,form,expires) values($1,$2,$3,$4)`, id, account, sealed, store.Micros(h.At.Add(heldLife)))
		return err
	})
	if err != nil {
		return "" // logging in goes before what was typed
	}
	back, err := url.Parse(h.Back)
	if err != nil {
		return ""
	}
	q := back.Query()
	q.Set("held", id)
	back.RawQuery = q.Encode()
	return back.String()
}

func (s *Accounts) openHeld(sealed []byte) (h HeldForm, err error) {
	b, err := s.vault.Open("account.held", sealed)
	if err == nil {
		err = json.Unmarshal(b, &h)
	}
	if err == nil && !s.clock.Now().Before(h.At.Add(heldLife)) {
		err = bolwerk.NotFound("this form is no longer kept")
	}
	return h, err
}

// held finds the form that a page is asked to show again. One that is gone, or
// somebody else's, is none.
func (s *Accounts) held(ctx context.Context, account, id string) (h HeldForm, ok bool) {
	if s.vault == nil || len(id) > 64 {
		return h, false
	}
	var sealed []byte
	err := s.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select form from account_held where id=$1 and account=$2 and expires>$3`, id, account, store.Micros(s.clock.Now())).Scan(&sealed)
	})
	if err == nil {
		h, err = s.openHeld(sealed)
	}
	return h, err == nil
}

// maxAway is how many forms of people that nobody knows may wait for the way back
// from a provider: strangers make them. Whose session it was has one more.
const maxAway = 500

// keepAway keeps a form while its person is away at a provider: a cookie has no
// room for it. What does not open is none of ours; without room it is let go,
// because logging in goes before what was typed.
func (s *Accounts) keepAway(ctx context.Context, state, text string) error {
	if text == "" || len(text) > 2*maxHeld {
		return nil
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	h, err := s.openHeld(sealed)
	if err != nil {
		return nil
	}
	hash := sha256.Sum256([]byte(state))
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		if h.Account != "" {
			if _, err := tx.Exec(`delete from account_away where account=$1`, h.Account); err != nil {
				return err
			}
		} else {
			var n int64
			if err := tx.Row(`select count(*) from account_away where account='' and expires>$1`, tx.NowMicros()).Scan(&n); err != nil || n >= maxAway {
				return err
			}
		}
		_, err := tx.Exec(`insert into account_away(state,account,form,expires) values($1,$2,$3,$4)`, hex.EncodeToString(hash[:]), h.Account, sealed, store.Micros(tx.Now().Add(leaveLife)))
		return err
	})
}

// takeAway gives the form that waited, once; "" where there is none.
func (s *Accounts) takeAway(ctx context.Context, state string) string {
	hash := sha256.Sum256([]byte(state))
	var sealed []byte
	err := s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		return tx.Row(`delete from account_away where state=$1 and expires>$2 returning form`, hex.EncodeToString(hash[:]), tx.NowMicros()).Scan(&sealed)
	})
	if err != nil {
		return "" // logging in goes before what was typed
	}
	return base64.RawURLEncoding.EncodeToString(sealed)
}
