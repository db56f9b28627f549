package account

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"bolwerk"
	"bolwerk/internal/store"
)

// authenticator is a passkey in software: ES256, discoverable, user verified.
type authenticator struct {
	t      *testing.T
	key    *ecdsa.PrivateKey
	id     []byte
	user   []byte
	count  uint32
	flags  byte // user present and verified
	origin string
}

func newAuthenticator(t *testing.T) *authenticator {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := make([]byte, 16)
	rand.Read(id)
	return &authenticator{t: t, key: k, id: id, flags: 0x05, origin: "https://console.bolwerk.example"}
}

var b64 = base64.RawURLEncoding.EncodeToString

func (a *authenticator) client(kind, challenge string) []byte {
	b, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.origin, "crossOrigin": false})
	if err != nil {
		a.t.Fatal(err)
	}
	return b
}

func (a *authenticator) data(extra byte) []byte {
	rp := sha256.Sum256([]byte("console.bolwerk.example"))
	out := append(rp[:], a.flags|extra)
	return binary.BigEndian.AppendUint32(out, a.count)
}

// options reads what the browser would be given.
func (a *authenticator) options(q question) (o struct {
	PublicKey struct {
		Challenge string
		RpID      string `json:"rpId"`
		User      struct{ ID string }
		RP        struct{ ID string }
	}
}) {
	b, err := json.Marshal(q.Options)
	if err == nil {
		err = json.Unmarshal(b, &o)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return o
}

// create answers a question for a new passkey.
func (a *authenticator) create(q question) string {
	o := a.options(q)
	a.user, _ = base64.RawURLEncoding.DecodeString(o.PublicKey.User.ID)
	pub, err := a.key.PublicKey.Bytes() // 4, then x and y
	if err != nil {
		a.t.Fatal(err)
	}
	cose, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: pub[1:33], -3: pub[33:]})
	if err != nil {
		a.t.Fatal(err)
	}
	data := a.data(0x40)
	data = append(data, make([]byte, 16)...) // AAGUID
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.id)))
	data = append(append(data, a.id...), cose...)
	att, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})
	if err != nil {
		a.t.Fatal(err)
	}
	return a.answer(map[string]any{"clientDataJSON": b64(a.client("webauthn.create", o.PublicKey.Challenge)), "attestationObject": b64(att)})
}

// get answers a question of the log-in page or a proof.
func (a *authenticator) get(q question) string {
	client := a.client("webauthn.get", a.options(q).PublicKey.Challenge)
	digest := sha256.Sum256(client)
	data := a.data(0)
	sum := sha256.Sum256(append(append([]byte{}, data...), digest[:]...))
	sig, err := ecdsa.SignASN1(rand.Reader, a.key, sum[:])
	if err != nil {
		a.t.Fatal(err)
	}
	return a.answer(map[string]any{"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(sig), "userHandle": b64(a.user)})
}

func (a *authenticator) answer(response map[string]any) string {
	b, err := json.Marshal(map[string]any{"id": b64(a.id), "rawId": b64(a.id), "type": "public-key", "clientExtensionResults": map[string]any{}, "response": response})
	if err != nil {
		a.t.Fatal(err)
	}
	return string(b)
}

func (d *testDesk) keys() *keys {
	return newKeys(d.Accounts, "https://console.bolwerk.example", "Bolwerk")
}

func (d *testDesk) me(t *testing.T, pass Pass) Person {
	t.Helper()
	p, err := d.Session(t.Context(), pass.Session.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// keyed gives anna a passkey.
func (d *testDesk) keyed(t *testing.T, p Person) *authenticator {
	t.Helper()
	k, a := d.keys(), newAuthenticator(t)
	me := d.me(t, d.in(t, p))
	q, err := k.askNew(t.Context(), me)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.add(t.Context(), me, "phone", q.Asked, a.create(q)); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestPasskeyLogsIn(t *testing.T) {
	d, ctx := open(t), t.Context()
	anna := d.person(t, "anna", DutyOfficer)
	a, k := d.keyed(t, anna), d.keys()
	q, err := k.askLogin()
	if err != nil {
		t.Fatal(err)
	}
	a.count++
	answer := a.get(q)
	pass, err := k.login(ctx, q.Asked, answer, here)
	if err != nil {
		t.Fatal(err)
	}
	if p := d.me(t, pass); p.Login != "anna" || !p.Fresh(d.clock.Now()) {
		t.Errorf("got %+v", p)
	}
	if _, err := k.login(ctx, q.Asked, answer, here); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("the same answer again: %v", err)
	}
	refused := func(what string, change func(*authenticator), wait time.Duration) {
		t.Helper()
		q, err := k.askLogin()
		if err != nil {
			t.Fatal(err)
		}
		x := *a
		x.count = 100
		change(&x)
		answer := x.get(q)
		d.clock.Add(wait)
		if _, err := k.login(ctx, q.Asked, answer, here); !errors.Is(err, bolwerk.ErrForbidden) {
			t.Errorf("%s: got %v, want it refused", what, err)
		}
	}
	refused("another site's origin", func(x *authenticator) { x.origin = "https://console.bolwerk.example.evil.example" }, 0)
	refused("no user verification", func(x *authenticator) { x.flags = 0x01 }, 0)
	refused("another key", func(x *authenticator) { x.key = newAuthenticator(t).key }, 0)
	refused("somebody else's handle", func(x *authenticator) { x.user = []byte(d.person(t, "ben", Viewer).ID) }, 0)
	refused("nobody's handle", func(x *authenticator) { x.user = []byte("x") }, 0)
	refused("too late", func(x *authenticator) {}, askedLife)
	if _, err := k.login(ctx, "x", "{}", here); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("rubbish: %v", err)
	}
	// A question for one thing is none for another.
	proof, err := k.askProof(ctx, anna)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.login(ctx, proof.Asked, a.get(proof), here); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("an answer to a proof logs in: %v", err)
	}
	if err := d.Disable(ctx, bolwerk.Socket(), "anna", "left"); err != nil {
		t.Fatal(err)
	}
	a.count++
	refused("disabled", func(*authenticator) {}, 0)
}

func TestACopiedPasskeyIsSeen(t *testing.T) {
	d, ctx := open(t), t.Context()
	a, k := d.keyed(t, d.person(t, "anna", Analyst)), d.keys()
	a.count = 7
	for i, want := range []bool{true, false} { // the counter of the second did not move
		q, _ := k.askLogin()
		if _, err := k.login(ctx, q.Asked, a.get(q), here); (err == nil) != want {
			t.Errorf("use %d: %v", i+1, err)
		}
	}
	if got := strings.Join(d.actions(t), " "); !strings.HasSuffix(got, "account.passkey.copied") {
		t.Errorf("audit: %s", got)
	}
}

func TestPasskeyProves(t *testing.T) {
	d, ctx := open(t), t.Context()
	anna := d.person(t, "anna", DutyOfficer)
	a, k := d.keyed(t, anna), d.keys()
	ben := d.keyed(t, d.person(t, "ben", DutyOfficer))
	pass := d.in(t, anna)
	d.clock.Add(ProofLife)
	me := d.me(t, pass)
	q, err := k.askProof(ctx, me)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.prove(ctx, me, q.Asked, ben.get(q)); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("by ben's passkey: %v", err)
	}
	a.count++
	if err := k.prove(ctx, me, q.Asked, a.get(q)); err != nil {
		t.Fatal(err)
	}
	if !d.me(t, pass).Fresh(d.clock.Now()) {
		t.Error("it does not count")
	}
}

func TestWhoMayAddAPasskey(t *testing.T) {
	d, ctx := open(t), t.Context()
	anna, k := d.person(t, "anna", Analyst), d.keys()
	pass := d.in(t, anna)
	q, err := k.askNew(ctx, d.me(t, pass))
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthenticator(t)
	answer := a.create(q)
	d.clock.Add(ProofLife)
	q2, _ := k.askNew(ctx, d.me(t, pass))
	if err := k.add(ctx, d.me(t, pass), "phone", q2.Asked, a.create(q2)); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("a stolen session adds a passkey: %v", err)
	}
	me := d.me(t, d.in(t, anna))
	if err := k.add(ctx, me, "phone", q.Asked, answer); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("too late: %v", err)
	}
	for _, name := range []string{"", strings.Repeat("x", 61), "a\nb"} {
		if err := k.add(ctx, me, name, q2.Asked, a.create(q2)); !errors.Is(err, bolwerk.ErrInvalid) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	if err := k.add(ctx, me, "phone", q2.Asked, a.create(q2)); err != nil {
		t.Fatal(err)
	}
	q3, _ := k.askNew(ctx, me)
	if err := k.add(ctx, d.me(t, d.in(t, d.person(t, "ben", Analyst))), "stolen", q3.Asked, a.create(q3)); err == nil {
		t.Error("a question to anna adds a passkey to ben")
	}
	all, err := d.Passkeys(ctx, anna.ID)
	if err != nil || len(all) != 1 || all[0].Name != "phone" {
		t.Fatalf("got %+v %v", all, err)
	}
	if err := d.RemovePasskey(ctx, me, all[0].ID); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("the only way in is removed: %v", err)
	}
	d.db.Write(ctx, store.Decision, func(tx *store.Tx) error { _, err := tx.Exec(`update account set password='x'`); return err })
	if err := d.RemovePasskey(ctx, me, all[0].ID); err != nil {
		t.Error(err)
	}
}

func TestNoPasskeysWhereBrowsersGiveNone(t *testing.T) {
	d := open(t)
	for address, want := range map[string]bool{"https://console.bolwerk.example": true, "http://localhost:8080": true, "http://console.bolwerk.example": false, "https://192.0.2.1": false, "https://[2001:db8::1]:8080": false} {
		if k := newKeys(d.Accounts, address, "x"); (k.rp != nil) != want {
			t.Errorf("%s: got %v", address, k.rp != nil)
		}
	}
}

func TestPasskeysRequired(t *testing.T) {
	d, ctx := open(t), t.Context()
	d.cfg.Passkeys = PasskeysRequired
	anna, err := d.Seed(ctx, "anna", DutyOfficer, bolwerk.NewSecret(password), start.Add(-48*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	s := openSite(t, d)
	pass, err := d.Login(ctx, "anna", bolwerk.NewSecret(password), here)
	if err != nil {
		t.Fatal(err)
	}
	me := d.me(t, pass)
	if !me.Setup || me.May(Look) || me.Fresh(d.clock.Now()) {
		t.Errorf("a password alone lets in: %+v", me)
	}
	if w := s.do("GET", "/", nil, "Cookie", as(pass)); w.Code != 303 || w.Header().Get("Location") != "/account/setup" {
		t.Errorf("got %d %s", w.Code, w.Header().Get("Location"))
	}
	if w := s.do("GET", "/account/tokens", nil, "Cookie", as(pass)); w.Code == 200 {
		t.Errorf("got %d", w.Code)
	}
	if err := d.SetUp(ctx, me, bolwerk.NewSecret("another good password")); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("a password ends the set-up: %v", err)
	}
	k, a := d.keys(), newAuthenticator(t)
	q, err := k.askNew(ctx, me)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.add(ctx, me, "key", q.Asked, a.create(q)); err != nil {
		t.Fatal(err)
	}
	if me := d.me(t, pass); me.Setup || !me.May(Decide) || !me.Fresh(d.clock.Now()) {
		t.Errorf("after the set-up: %+v", me)
	}
	if _, err := d.Login(ctx, "anna", bolwerk.NewSecret(password), here); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("by password again: %v", err)
	}
	all, _ := d.Passkeys(ctx, anna.ID)
	if err := d.RemovePasskey(ctx, d.me(t, pass), all[0].ID); !errors.Is(err, bolwerk.ErrConflict) {
		t.Errorf("the last passkey: %v", err)
	}
}

func TestRecovery(t *testing.T) {
	d, ctx := open(t), t.Context()
	if _, err := d.Seed(ctx, "anna", DutyOfficer, bolwerk.NewSecret(password), start.Add(-48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	old, err := d.Login(ctx, "anna", bolwerk.NewSecret(password), here)
	if err != nil {
		t.Fatal(err)
	}
	codes, err := d.NewRecovery(ctx, d.me(t, old))
	if err != nil || len(codes) != recoveryCodes {
		t.Fatalf("got %d %v", len(codes), err)
	}
	if _, err := d.Recover(ctx, "ben", codes[0], here); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("somebody else's: %v", err)
	}
	pass, err := d.Recover(ctx, " Anna", strings.ToUpper(strings.ReplaceAll(codes[0], " ", "-")), here) // as people type it
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Recover(ctx, "anna", codes[0], here); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("again: %v", err)
	}
	if _, err := d.Session(ctx, old.Session.Reveal()); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("the other session: %v", err)
	}
	me := d.me(t, pass)
	if !me.Setup || me.May(Look) {
		t.Errorf("got %+v", me)
	}
	if err := d.SetUp(ctx, me, bolwerk.NewSecret("short")); !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("a short password: %v", err)
	}
	if err := d.SetUp(ctx, me, bolwerk.NewSecret("quay lamp rope ferry")); err != nil {
		t.Fatal(err)
	}
	me = d.me(t, pass)
	if me.Setup || !me.May(Decide) || me.MayApprove(d.clock.Now()) == nil {
		t.Errorf("it may decide, and approve only a day later: %+v", me)
	}
	d.clock.Add(Seasoned)
	pass, err = d.Login(ctx, "anna", bolwerk.NewSecret("quay lamp rope ferry"), here)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.me(t, pass).MayApprove(d.clock.Now()); err != nil {
		t.Error(err)
	}
	if _, err := d.NewRecovery(ctx, d.me(t, pass)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Recover(ctx, "anna", codes[1], here); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("of the old sheet: %v", err)
	}
	if d.db.Postgres() {
		return
	}
	if err := d.Disable(ctx, bolwerk.Socket(), "anna", "left"); err != nil {
		t.Fatal(err)
	}
	var left int
	d.db.Read(ctx, func(tx *store.Tx) error { return tx.Row(`select count(*) from account_recovery`).Scan(&left) })
	if left != 0 {
		t.Errorf("%d codes are kept of somebody who left", left)
	}
}

func TestRecoveryIsGuessedAsSlowlyAsAPassword(t *testing.T) {
	d := open(t)
	s := openSite(t, d)
	for range freeTries {
		s.do("POST", "/login/recovery", map[string][]string{"login": {"anna"}, "code": {"aaaa bbbb cccc dddd"}})
	}
	if w := s.do("POST", "/login/recovery", map[string][]string{"login": {"anna"}, "code": {"aaaa bbbb cccc dddd"}}); w.Code != 429 {
		t.Errorf("got %d", w.Code)
	}
}

// FuzzPasskeyAnswer holds that no answer but the passkey's own lets in, whatever
// a browser sends.
func FuzzPasskeyAnswer(f *testing.F) {
	for _, s := range []string{"", "{}", `{"id":"AA","rawId":"AA","type":"public-key","response":{}}`,
		`{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"AA","signature":"AA","userHandle":"AA"}}`,
		`{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","attestationObject":"o2NmbXRkbm9uZWdhdHRTdG10oGhhdXRoRGF0YUA"}}`} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, question, answer string) {
		d := open(t)
		anna := d.person(t, "anna", Analyst)
		k, me := d.keys(), d.me(t, d.in(t, anna))
		q, err := k.askLogin()
		if err != nil {
			t.Fatal(err)
		}
		n, err := k.askNew(t.Context(), me)
		if err != nil {
			t.Fatal(err)
		}
		for _, asked := range []string{question, q.Asked} {
			if _, err := k.login(t.Context(), asked, answer, here); err == nil {
				t.Errorf("%q lets in", answer)
			}
		}
		if err := k.add(t.Context(), me, "x", n.Asked, answer); err == nil {
			t.Errorf("%q is a passkey", answer)
		}
		if to := d.keepHeld(t.Context(), anna.ID, question); to != "" {
			t.Errorf("%q leads to %q", question, to)
		}
		if a, err := d.openAway(question); err == nil {
			t.Errorf("%q is %+v", question, a)
		}
	})
}
