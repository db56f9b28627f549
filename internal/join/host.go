package join

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/disk"
	"bolwerk/internal/seal"
)

// The files of a host, all 0600.
const (
	hostFile = "host.json" // who we are and whom we know
	certFile = "host.pem"  // certificate and key
	keyFile  = "join.key"  // the key of a join whose answer has not come yet
)

// known is host.json.
type known struct {
	Name     string            `json:"name"`
	Role     Role              `json:"role"`
	Operator string            `json:"operator"`
	Address  string            `json:"address"` // of the desks, with commas between
	CA       string            `json:"ca"`      // the authority's certificate
	CopyKey  ed25519.PublicKey `json:"copy_key"`
	SealKey  seal.PublicKey    `json:"seal_key"`
}

// Host is a machine that has joined.
type Host struct {
	known
	dir   string
	desks []string
	pool  *x509.CertPool
	clock clock.Clock
	log   *slog.Logger

	mu   sync.Mutex
	cert *tls.Certificate
}

// Dialer makes connections; net.Dialer is one.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Join uses a join line: it connects to the desk, checks the pin of its
// authority, shows the secret, has a fresh key signed, and stores all in dir. It
// may be repeated with the same line when the answer was lost. A dir that
// holds a host already is a bolwerk.ErrConflict.
func Join(ctx context.Context, inv Invite, dir string, dial Dialer, now time.Time) error {
	if err := disk.MakeDir(dir); err != nil {
		return err
	}
	if have, err := disk.Exists(disk.System{}, filepath.Join(dir, hostFile)); err != nil {
		return err
	} else if have {
		return bolwerk.WithHint(bolwerk.Conflict("folder %s: a host has joined from it", dir), "use another folder, or empty this one")
	}
	desks, err := parseDesks(inv.Address)
	if err != nil {
		return err
	}
	key, err := joinKey(dir)
	if err != nil {
		return err
	}
	csr, err := newCSR(key)
	if err != nil {
		return err
	}
	var ca *x509.Certificate
	client := newClient(&tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2", "http/1.1"},
		ServerName: deskName,
		// The chain is checked against the pin below instead of a pool.
		InsecureSkipVerify: true,
		VerifyConnection: func(st tls.ConnectionState) error {
			c, err := checkPin(st, inv.CA, now)
			ca = c
			return err
		},
	}, dial, desks, nil)
	defer client.CloseIdleConnections()
	a, err := ask(ctx, client, base(inv.Address)+"/v1/join", joinRequest{Secret: inv.Secret.Reveal(), CSR: csr})
	if err != nil {
		return fmt.Errorf("join %s: %w", inv.Address, err)
	}
	if a.SealKey.IsZero() || sealDigest(a.SealKey) != inv.SealKey {
		return bolwerk.Forbidden("join %s: its sealing key is not the one in the line", inv.Address)
	}
	k := known{Name: a.Name, Role: a.Role, Operator: a.Operator, Address: inv.Address, CA: certText(ca.Raw), CopyKey: inv.CopyKey, SealKey: a.SealKey}
	if err := storeCert(dir, k, a.Certificate, key, now); err != nil {
		return err
	}
	// host.json comes last: it says that the join is whole.
	if err := k.save(dir); err != nil {
		return err
	}
	return (disk.System{}).Remove(filepath.Join(dir, keyFile))
}

func (k known) save(dir string) error {
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	return disk.Write(filepath.Join(dir, hostFile), append(b, '\n'), "join.host")
}

// joinKey is the key of an earlier try, or a fresh one, kept before it is used.
func joinKey(dir string) (*ecdsa.PrivateKey, error) {
	path := filepath.Join(dir, keyFile)
	b, err := disk.Read(disk.System{}, path, 4096)
	if err == nil {
		if block, _ := pem.Decode(b); block != nil && block.Type == keyKind {
			if k, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
				if key, ok := k.(*ecdsa.PrivateKey); ok {
					return key, nil
				}
			}
		}
		return nil, bolwerk.Invalid("file %s: not a key", path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, disk.Write(path, pem.EncodeToMemory(&pem.Block{Type: keyKind, Bytes: der}), "join.key")
}

// checkPin finds the pinned authority in what the server showed and checks the
// server's certificate against it.
func checkPin(st tls.ConnectionState, pin Pin, now time.Time) (*x509.Certificate, error) {
	for _, c := range st.PeerCertificates[1:] {
		if PinOf(c) != pin || !c.IsCA {
			continue
		}
		pool := x509.NewCertPool()
		pool.AddCert(c)
		_, err := st.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: deskName, Roots: pool, CurrentTime: now})
		return c, err
	}
	return nil, bolwerk.WithHint(bolwerk.Forbidden("the machine at that address is not the desk that made the line"),
		"check the address; if it is right, somebody stands between you and the desk")
}

// storeCert checks a certificate against our key and keeps both.
func storeCert(dir string, k known, cert string, key *ecdsa.PrivateKey, now time.Time) error {
	block, _ := pem.Decode([]byte(cert))
	if block == nil || block.Type != caKind {
		return bolwerk.Invalid("the desk's answer holds no certificate")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return bolwerk.Invalid("the desk's certificate for us: %v", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(k.CA))
	if _, err := c.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return bolwerk.Invalid("the desk's certificate for us: %v", err)
	}
	if id, err := identityOf(c); err != nil || id.Name != k.Name || id.Role != k.Role || !key.PublicKey.Equal(c.PublicKey) {
		return bolwerk.Invalid("the desk's certificate for us is for somebody else")
	}
	text, err := pair(c.Raw, key)
	if err != nil {
		return err
	}
	return disk.Write(filepath.Join(dir, certFile), text, "join.cert")
}

// Load reads what Join stored.
func Load(dir string, c clock.Clock, log *slog.Logger) (*Host, error) {
	h := &Host{dir: dir, clock: c, log: log}
	b, err := disk.Read(disk.System{}, filepath.Join(dir, hostFile), 1<<16)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, bolwerk.WithHint(bolwerk.NotFound("folder %s: no host has joined from it", dir),
			"run `bolwerk host add NAME --role ROLE` on the desk and `bolwerk join LINE` here")
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &h.known); err != nil {
		return nil, bolwerk.Invalid("file %s: %v", hostFile, err)
	}
	if h.desks, err = parseDesks(h.Address); err != nil {
		return nil, bolwerk.Invalid("file %s: %v", hostFile, err)
	}
	h.pool = x509.NewCertPool()
	if !h.pool.AppendCertsFromPEM([]byte(h.CA)) || len(h.known.CopyKey) != ed25519.PublicKeySize {
		return nil, bolwerk.Invalid("file %s: a key is missing", hostFile)
	}
	return h, h.loadCert()
}

func (h *Host) loadCert() error {
	b, err := disk.Read(disk.System{}, filepath.Join(h.dir, certFile), 1<<16)
	if err != nil {
		return err
	}
	cert, err := tls.X509KeyPair(b, b)
	if err != nil {
		return bolwerk.Invalid("file %s: %v", certFile, err)
	}
	h.mu.Lock()
	h.cert = &cert
	h.mu.Unlock()
	return nil
}

// Name, Role, Operator are who the host is and for whom.
func (h *Host) Name() string     { return h.known.Name }
func (h *Host) Role() Role       { return h.known.Role }
func (h *Host) Operator() string { return h.known.Operator }

// Base is the start of the desk's addresses: https://host:port. Client goes to
// whichever desk answers.
func (h *Host) Base() string { return base(h.Address) }

// CopyKey is the key that signs copies, as the desk's line named it.
func (h *Host) CopyKey() ed25519.PublicKey { return h.known.CopyKey }

// SealKey is the key that reports are sealed to.
func (h *Host) SealKey() seal.PublicKey { return h.known.SealKey }

// Expires is when our certificate ends.
func (h *Host) Expires() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cert.Leaf.NotAfter
}

// TLS is how we connect to the desk: only to it, and with our certificate.
func (h *Host) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2", "http/1.1"},
		RootCAs:    h.pool,
		ServerName: deskName,
		Time:       h.clock.Now,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.cert, nil
		},
	}
}

// Client is an HTTP client over one HTTP/2 connection to a desk, which notices
// within 30 s when that is dead, or 6 s where there is another. It follows no
// redirection.
func (h *Host) Client(dial Dialer) *http.Client { return newClient(h.TLS(), dial, h.desks, h.learn) }

// learn keeps the addresses of further desks.
func (h *Host) learn(desks []string) error {
	k := h.known
	k.Address = strings.Join(desks, ",")
	if err := k.save(h.dir); err != nil {
		h.log.Error("further desks are not kept", "desks", k.Address, "err", err)
		return err
	}
	h.log.Info("there are further desks", "desks", k.Address)
	return nil
}

func newClient(c *tls.Config, dial Dialer, desks []string, learn func([]string) error) *http.Client {
	return &http.Client{
		Transport:     &ways{addresses: desks, dial: dial, tls: c, learn: learn},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Run renews the certificate before it ends, until ctx ends. client is closed
// for idle connections then, so that the new certificate is shown.
func (h *Host) Run(ctx context.Context, client *http.Client) error {
	wait := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = time.Hour
		left := h.Expires().Sub(h.clock.Now())
		if left > renewAt {
			continue
		}
		if err := h.Renew(ctx, client); err != nil && ctx.Err() == nil {
			h.log.Error("host certificate not renewed", "left", left.Round(time.Minute), "err", err)
			wait = 10 * time.Minute
		}
	}
}

// Renew has a fresh key signed now.
func (h *Host) Renew(ctx context.Context, client *http.Client) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	csr, err := newCSR(key)
	if err != nil {
		return err
	}
	a, err := ask(ctx, client, h.Base()+"/v1/renew", joinRequest{CSR: csr})
	if err != nil {
		return err
	}
	if err := storeCert(h.dir, h.known, a.Certificate, key, h.clock.Now()); err != nil {
		return err
	}
	if err := h.loadCert(); err != nil {
		return err
	}
	client.CloseIdleConnections()
	h.log.Info("host certificate renewed", "until", h.Expires())
	return nil
}

func ask(ctx context.Context, client *http.Client, url string, q joinRequest) (a joinAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	b, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(b))
	if err != nil {
		return a, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxJoinBody))
	if err != nil {
		return a, err
	}
	switch res.StatusCode {
	case http.StatusOK:
		if err := json.Unmarshal(text, &a); err != nil {
			return a, bolwerk.Invalid("the desk's answer: %v", err)
		}
		return a, nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return a, bolwerk.Forbidden("%.200s", strings.TrimSpace(string(text)))
	}
	return a, fmt.Errorf("the desk answered %d: %.200q", res.StatusCode, strings.TrimSpace(string(text)))
}
