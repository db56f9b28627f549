package join

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/seal"
)

// Authority is the desk's side: it invites hosts, signs them, and says at each
// request who asks.
type Authority struct {
	CA       *CA
	Register Register
	Operator string // shown to the host
	Address  string // host:port that hosts connect to
	CopyKey  ed25519.PublicKey
	SealKey  seal.PublicKey
	Clock    clock.Clock
	Log      *slog.Logger

	once    sync.Once
	gated   *Gate
	mu      sync.Mutex
	cert    *tls.Certificate
	renewAt time.Time
}

const maxJoinBody = 16 << 10

// Invite lets a host of this name and role in once, within InviteFor. The line
// holds the secret and is not kept.
func (a *Authority) Invite(ctx context.Context, name string, role Role) (Invite, error) {
	if _, err := ParseName(name); err != nil {
		return Invite{}, err
	}
	if _, err := ParseRole(string(role)); err != nil {
		return Invite{}, err
	}
	now := a.Clock.Now()
	inv := Invite{Address: a.Address, CA: a.CA.Pin(), Secret: bolwerk.NewToken(), CopyKey: a.CopyKey, SealKey: sealDigest(a.SealKey)}
	err := a.Register.Invite(ctx, Invitation{ID: bolwerk.NewID(now), Hash: inv.Secret.Hash(), Name: name, Role: role, Expires: now.Add(InviteFor)})
	return inv, err
}

// sealDigest is how a join line names the sealing key.
func sealDigest(k seal.PublicKey) string {
	h := sha256.Sum256(k.Bytes())
	return hex.EncodeToString(h[:])
}

// TLS is how the desk's listener for hosts is set up: a certificate of a foreign
// authority ends the handshake; none at all gets as far as /v1/join.
func (a *Authority) TLS() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		NextProtos:     []string{"h2", "http/1.1"},
		ClientAuth:     tls.VerifyClientCertIfGiven,
		ClientCAs:      a.CA.pool(),
		Time:           a.Clock.Now,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.certificate() },
		// A session ticket would let a host in without showing its certificate
		// again after it has expired.
		SessionTicketsDisabled: true,
	}
}

// certificate is the desk's own, made anew in time. It is never stored.
func (a *Authority) certificate() (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.Clock.Now()
	if a.cert != nil && now.Before(a.renewAt) && now.After(a.renewAt.Add(-certFor)) {
		return a.cert, nil
	}
	c, err := a.CA.desk(now)
	if err != nil {
		return nil, err
	}
	a.cert, a.renewAt = c, now.Add(certFor-renewAt)
	return c, nil
}

// Routes adds /v1/join and /v1/renew.
func (a *Authority) Routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/join", a.join)
	mux.Handle("POST /v1/renew", a.Require(http.HandlerFunc(a.renew), Roles()...))
}

// Require lets requests through that show a certificate of a host that is in and
// has one of roles; see Gate.Require.
func (a *Authority) Require(next http.Handler, roles ...Role) http.Handler {
	return a.gate().Require(next, roles...)
}

// gate is the desk's own.
func (a *Authority) gate() *Gate {
	a.once.Do(func() {
		a.gated = &Gate{Admit: a.Register.Admit, Desks: func() string { return a.Address }, Clock: a.Clock, Log: a.Log}
	})
	return a.gated
}

type joinRequest struct {
	Secret string `json:"secret,omitempty"`
	CSR    string `json:"csr"`
}

type joinAnswer struct {
	Name        string         `json:"name"`
	Role        Role           `json:"role"`
	Certificate string         `json:"certificate"`
	Operator    string         `json:"operator,omitempty"`
	SealKey     seal.PublicKey `json:"seal_key,omitzero"`
}

func (a *Authority) join(w http.ResponseWriter, r *http.Request) {
	var q joinRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxJoinBody)).Decode(&q); err != nil {
		http.Error(w, "not a request to join", http.StatusBadRequest)
		return
	}
	csr, err := parseCSR(q.CSR)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	secret, err := bolwerk.ParseToken(q.Secret)
	if err != nil {
		http.Error(w, "this line does not work (any more): ask for a new one", http.StatusForbidden)
		return
	}
	key := sha256.Sum256(csr.RawSubjectPublicKeyInfo)
	now := a.Clock.Now()
	id, err := a.Register.Redeem(r.Context(), secret.Hash(), hex.EncodeToString(key[:]), now)
	if errors.Is(err, bolwerk.ErrForbidden) || errors.Is(err, bolwerk.ErrNotFound) {
		from, _, _ := net.SplitHostPort(r.RemoteAddr)
		a.Log.Warn("join refused", "from", from, "err", err)
		http.Error(w, "this line does not work (any more): ask for a new one", http.StatusForbidden)
		return
	}
	if err != nil {
		a.Log.Error("join", "err", err)
		http.Error(w, "try again later", http.StatusServiceUnavailable)
		return
	}
	der, err := a.CA.host(csr, id, now)
	if err != nil {
		a.Log.Error("join", "host", id.Name, "err", err)
		http.Error(w, "try again later", http.StatusInternalServerError)
		return
	}
	a.Log.Info("host joined", "host", id.Name, "role", id.Role)
	answer(w, joinAnswer{Name: id.Name, Role: id.Role, Certificate: certText(der), Operator: a.Operator, SealKey: a.SealKey})
}

// renew signs a fresh key for the host that asks.
func (a *Authority) renew(w http.ResponseWriter, r *http.Request) {
	id, _ := Peer(r.Context())
	var q joinRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxJoinBody)).Decode(&q); err != nil {
		http.Error(w, "not a request to renew", http.StatusBadRequest)
		return
	}
	csr, err := parseCSR(q.CSR)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	der, err := a.CA.host(csr, id, a.Clock.Now())
	if err != nil {
		a.Log.Error("renew", "host", id.Name, "err", err)
		http.Error(w, "try again later", http.StatusInternalServerError)
		return
	}
	answer(w, joinAnswer{Name: id.Name, Role: id.Role, Certificate: certText(der), SealKey: a.SealKey})
}

func certText(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: caKind, Bytes: der}))
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(v)
}
