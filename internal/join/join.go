// Package join makes one installation of many machines. The desk has a
// certificate authority of its own; a host comes in once with a line that the
// desk printed, and from then on shows its certificate. What it may do follows
// from the name and role inside, checked on every request.
//
// On the wire, TLS 1.3 only (key exchange X25519MLKEM768 by Go's default):
//
//	POST /v1/join    no certificate; {"secret","csr"} -> {"certificate","operator","seal_key"}
//	POST /v1/renew   {"csr"} -> {"certificate"}
//
// The join line is "bolwerk1:" and base64url of JSON: the desk's address, the
// SHA-256 of the authority's public key, a one-time secret, the key that signs
// copies, and the SHA-256 of the key that reports are sealed to (the key itself
// has 1,216 octets and follows over the pinned connection).
package join

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"bolwerk"
)

// Role is what a host is for.
type Role string

// The roles of hosts.
const (
	Intake Role = "intake"
	Probe  Role = "probe"
	Edge   Role = "edge"
	// Agent runs beside a resolver that is not ours.
	Agent Role = "agent"
	// Relay hands the copies of edges on to edges.
	Relay Role = "relay"
)

// Roles are all roles of hosts.
func Roles() []Role { return []Role{Intake, Probe, Edge, Agent, Relay} }

// ParseRole reads a role.
func ParseRole(s string) (Role, error) {
	for _, r := range Roles() {
		if string(r) == s {
			return r, nil
		}
	}
	return "", bolwerk.Invalid("role %.40q: want intake, probe, edge, agent or relay", s)
}

// ParseName checks a host's name: 1 to 63 of a-z, 0-9 and hyphen, not at the ends.
func ParseName(s string) (string, error) {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' ||
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return "", bolwerk.Invalid("host name %.80q: want 1 to 63 of a-z, 0-9 and hyphen, not at the ends", s)
	}
	return s, nil
}

// Identity is who a host is, as its certificate says.
type Identity struct {
	Name string
	Role Role
	// Join is the id of the invitation by which it came in. A name that joins
	// again has another, and its older certificates are worth nothing.
	Join string
}

// uri is the identity as a subject alternative name.
func (id Identity) uri() *url.URL {
	q := url.Values{"role": {string(id.Role)}, "join": {id.Join}}
	return &url.URL{Scheme: "bolwerk", Host: "host", Path: "/" + id.Name, RawQuery: q.Encode()}
}

// identityOf reads the identity in a certificate that has been verified.
func identityOf(cert *x509.Certificate) (id Identity, err error) {
	if len(cert.URIs) != 1 {
		return id, bolwerk.Forbidden("certificate with %d names: want one", len(cert.URIs))
	}
	u := cert.URIs[0]
	if u.Scheme != "bolwerk" || u.Host != "host" {
		return id, bolwerk.Forbidden("certificate that is not a host's")
	}
	q := u.Query()
	if id.Name, err = ParseName(strings.TrimPrefix(u.Path, "/")); err != nil {
		return Identity{}, err
	}
	if id.Role, err = ParseRole(q.Get("role")); err != nil {
		return Identity{}, err
	}
	id.Join = q.Get("join")
	return id, nil
}

type peerKey struct{}

// Peer is the host that makes a request that Authority.Require let through.
func Peer(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(peerKey{}).(Identity)
	return id, ok
}

// WithPeer is ctx with the host that Peer answers.
func WithPeer(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, peerKey{}, id)
}

// Pin is the SHA-256 of a public key (RFC 5280 SubjectPublicKeyInfo).
type Pin [sha256.Size]byte

// PinOf is the pin of a certificate's key.
func PinOf(cert *x509.Certificate) Pin { return sha256.Sum256(cert.RawSubjectPublicKeyInfo) }

func (p Pin) String() string { return hex.EncodeToString(p[:]) }

// Invite is what a join line says.
type Invite struct {
	Address string // host:port of the desk; of several with commas between
	CA      Pin
	Secret  bolwerk.Token     // works once, for 24 h
	CopyKey ed25519.PublicKey // signs the heads of copies
	SealKey string            // SHA-256 of the sealing key, in hex
}

// lineMark begins a join line.
const lineMark = "bolwerk1:"

type line struct {
	Address string `json:"a"`
	CA      []byte `json:"ca"`
	Secret  string `json:"s"`
	CopyKey []byte `json:"ck"`
	SealKey string `json:"sk"`
}

// Line is the text for the host. It holds the secret: show it once.
func (i Invite) Line() string {
	b, err := json.Marshal(line{i.Address, i.CA[:], i.Secret.Reveal(), i.CopyKey, i.SealKey})
	if err != nil {
		panic(err) // only texts: cannot fail
	}
	return lineMark + base64.RawURLEncoding.EncodeToString(b)
}

// ParseInvite reads a join line; white space inside, as terminals leave it, is
// dropped. At most 2,000 octets.
func ParseInvite(s string) (inv Invite, err error) {
	wrong := func(why string) (Invite, error) {
		return Invite{}, bolwerk.WithHint(bolwerk.Invalid("join line: %s", why),
			"copy the whole line that `bolwerk host add` printed on the desk")
	}
	if len(s) > 2000 {
		return wrong("too long")
	}
	s = strings.Join(strings.Fields(s), "")
	text, ok := strings.CutPrefix(s, lineMark)
	if !ok {
		return wrong("it does not begin with " + lineMark)
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return wrong("a part is missing or changed")
	}
	var l line
	if err := json.Unmarshal(b, &l); err != nil {
		return wrong("a part is missing or changed")
	}
	if _, err := parseDesks(l.Address); err != nil {
		return wrong("no address of a desk in it")
	}
	if len(l.CA) != len(inv.CA) || len(l.CopyKey) != ed25519.PublicKeySize || len(l.SealKey) != 2*sha256.Size {
		return wrong("a key in it has the wrong length")
	}
	if inv.Secret, err = bolwerk.ParseToken(l.Secret); err != nil {
		return wrong("no secret in it")
	}
	inv.Address, inv.CopyKey, inv.SealKey = l.Address, l.CopyKey, l.SealKey
	copy(inv.CA[:], l.CA)
	return inv, nil
}

// InviteFor is how long an invitation works.
const InviteFor = 24 * time.Hour

// Invitation is what the desk keeps of an invitation.
type Invitation struct {
	ID      string // becomes Identity.Join
	Hash    string // of the secret; see bolwerk.Token.Hash
	Name    string
	Role    Role
	Expires time.Time
}

// Register is where the desk keeps hosts; its database fills it.
type Register interface {
	// Invite keeps an invitation. A host of that name that is in goes on until
	// the invitation is used.
	Invite(ctx context.Context, inv Invitation) error
	// Redeem uses the invitation with this hash and makes its name, role and
	// id the only ones that Admit lets in for the name; in one transaction.
	// key is the hash of the host's public key. An invitation that was used
	// with the same key answers again (the first answer may have been lost);
	// one that is unknown, used with another key, expired at now or revoked
	// with its host is a bolwerk.ErrForbidden.
	Redeem(ctx context.Context, hash, key string, now time.Time) (Identity, error)
	// Admit is nil where a host of this name, role and join is in and not
	// revoked; else a bolwerk.ErrForbidden.
	Admit(ctx context.Context, id Identity) error
}
