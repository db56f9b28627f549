package mail

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"

	"bolwerk"
	"bolwerk/internal/disk"
)

// RelayConfig is the [mail.relay] part of the configuration.
type RelayConfig struct {
	Addr string    `toml:"addr"` // host:port of the operator's mail relay
	Name string    `toml:"name"` // what we call ourselves to it
	TLS  TLSPolicy `toml:"tls"`  // required, implicit, opportunistic, or none (loopback only)
	User string    `toml:"user"` // "" without a log-in
	// PasswordFile holds the password; the configuration never does.
	PasswordFile string `toml:"password_file"`
}

// Validate tells the first problem that the values alone show.
func (c RelayConfig) Validate() error {
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return bolwerk.Invalid("addr %q: want host:port", c.Addr)
	}
	if _, err := bolwerk.ParseDomain(c.Name); err != nil {
		return bolwerk.Invalid("name: %v", err)
	}
	ip, err := netip.ParseAddr(host)
	loopback := host == "localhost" || err == nil && ip.IsLoopback()
	switch c.TLS {
	case TLSRequired, TLSImplicit:
	case TLSOpportunistic, TLSNone:
		if c.User != "" && !loopback {
			return bolwerk.Invalid("tls %q with a user: the password needs tls = \"required\" or \"implicit\"", c.TLS)
		}
		if c.TLS == TLSNone && !loopback {
			return bolwerk.Invalid("tls \"none\": only for a relay on loopback")
		}
	default:
		return bolwerk.Invalid("tls %q: want required, implicit, opportunistic or none", c.TLS)
	}
	if (c.User == "") != (c.PasswordFile == "") {
		return bolwerk.Invalid("user and password_file: give both or none")
	}
	return nil
}

// Relay sends through the operator's mail relay.
type Relay struct {
	client *Client
	sign   *Signer
}

// NewRelay makes the relay. password is what cfg.PasswordFile holds; sign may be nil.
func NewRelay(cfg RelayConfig, password bolwerk.Secret, sign *Signer, dial Dial) *Relay {
	return &Relay{sign: sign, client: NewClient(Target{Addr: cfg.Addr, Name: cfg.Name, TLS: cfg.TLS, User: cfg.User, Password: password}, dial)}
}

// Send hands the mail to the relay. After an error that is ErrTemporary the
// relay may have it nevertheless: a second try has the same Message-ID.
func (r *Relay) Send(ctx context.Context, m Message) error {
	raw, err := m.signed(r.sign)
	if err != nil {
		return err
	}
	_, err = r.client.Submit(ctx, m.ReturnPath, []Address{m.To}, raw)
	return err
}

// Close ends the connection to the relay, if there is one.
func (r *Relay) Close() error { return r.client.Close() }

// Outbox keeps mails as files instead of sending them: the demo's way.
type Outbox struct {
	Dir  string  // exists
	Sign *Signer // may be nil
}

// Send writes the mail as a .eml file. The same mail sent twice is one file.
// After nil the file survives a power cut.
func (o Outbox) Send(_ context.Context, m Message) error {
	raw, err := m.signed(o.Sign)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(m.ID))
	name := m.Date.UTC().Format("20060102T150405.000000Z") + "-" + hex.EncodeToString(sum[:8]) + ".eml"
	if err := disk.Write(filepath.Join(o.Dir, name), raw, "mail.outbox"); err != nil {
		return fmt.Errorf("outbox: %w: %w", err, ErrTemporary)
	}
	return nil
}
