package mail

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"bolwerk"
)

// Config is the SMTP door's part of the configuration.
type Config struct {
	Listen string `toml:"listen"` // host:port
	// Hostname is what the greeting says; it should be the name in the MX
	// record, so that a certificate for it fits.
	Hostname string `toml:"hostname"`
	// Addresses are the only ones that the door takes mail for. RFC 5321
	// section 4.5.1 wants postmaster at each domain too: whoever points an MX
	// here and wants it read lists it.
	Addresses []Address `toml:"addresses"`
	// Tagged is taken too, with any +tag, which stays; zero is none.
	Tagged Address `toml:"-"`
	// OwnNetworks are the operator's mail gateways and customers' networks:
	// no quota, no bound of connections per network, and their reporters count
	// as proved.
	OwnNetworks []netip.Prefix `toml:"own_networks"`

	MaxBytes      int64 `toml:"max_bytes"`      // a mail must be smaller; advertised (RFC 1870); at most 25 MiB
	MaxRecipients int   `toml:"max_recipients"` // of one mail; the next gets 452
	// MaxConns bounds all connections. A quarter is kept for OwnNetworks.
	MaxConns           int `toml:"max_connections"`
	MaxConnsPerNetwork int `toml:"max_connections_per_network"` // of a /24 or /48
	// MaxMemory bounds the mails that are on their way in; beyond it a mail is
	// put off with 452.
	MaxMemory int64 `toml:"max_memory"`

	// MailsPerHour and BytesPerHour are the quota of a source network (/24 or
	// /48). An hour's worth may come at once; beyond it a mail is put off.
	MailsPerHour int   `toml:"mails_per_hour"`
	BytesPerHour int64 `toml:"bytes_per_hour"`

	// The times are no settings: they follow RFC 5321, and tests shorten them.
	CommandTimeout time.Duration `toml:"-"` // to the next command; 10 s when half of MaxConns are taken
	IdleTimeout    time.Duration `toml:"-"` // between two packets of a mail
	DataTimeout    time.Duration `toml:"-"` // for a whole mail
	SessionTimeout time.Duration `toml:"-"` // for a connection from elsewhere than OwnNetworks
	StopTimeout    time.Duration `toml:"-"` // that running mails get at the end

	// CertFile and KeyFile are PEM for STARTTLS and are read again when they
	// change. Without them the door makes a certificate of its own at start:
	// senders that do not verify still get encryption.
	CertFile string `toml:"cert_file"`
	KeyFile  string `toml:"key_file"`
}

// mostBytes is what Gmail and most operators' servers accept; a desk refuses what is larger,
// and a mail that was answered with 250 would be lost to it.
const mostBytes = 25 << 20

// DefaultConfig has no addresses and no listener; the rest is good enough.
func DefaultConfig() Config {
	return Config{
		Hostname:           "localhost",
		MaxBytes:           mostBytes,
		MaxRecipients:      10,
		MaxConns:           200,
		MaxConnsPerNetwork: 20,
		MaxMemory:          256 << 20,
		// A /24 of a large provider speaks for many customers: 600 an hour is
		// a fifth of the Belgian shield's record day (0.76/s) from one network.
		MailsPerHour:   600,
		BytesPerHour:   1 << 30,
		CommandTimeout: 5 * time.Minute, // RFC 5321 section 4.5.3.2.7
		IdleTimeout:    time.Minute,
		DataTimeout:    10 * time.Minute,
		SessionTimeout: 30 * time.Minute,
		StopTimeout:    30 * time.Second,
	}
}

// Validate tells every problem that the values alone show.
func (c Config) Validate() error {
	var problems []error
	bad := func(format string, a ...any) { problems = append(problems, bolwerk.Invalid(format, a...)) }
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		bad("listen %q: want host:port", c.Listen)
	}
	if _, err := bolwerk.ParseDomain(c.Hostname); err != nil {
		bad("hostname: %v", err)
	}
	if len(c.Addresses) == 0 {
		bad("addresses: name at least one address that takes reports")
	}
	for _, a := range c.Addresses {
		if a.IsZero() {
			bad("addresses: one is empty")
		}
	}
	for _, p := range c.OwnNetworks {
		if !p.IsValid() || p.Bits() == 0 {
			bad("own_networks: %q would make everybody our own", p)
		}
	}
	if c.MaxBytes > mostBytes {
		bad("max_bytes = %d: at most %d, which is what desks read of one mail", c.MaxBytes, mostBytes)
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		bad("cert_file and key_file: give both or none")
	}
	for _, v := range []struct {
		name   string
		value  int64
		lowest int64
	}{
		{"max_bytes", c.MaxBytes, 64 << 10}, // RFC 5321 section 4.5.3.1.7
		{"max_recipients", int64(c.MaxRecipients), 1},
		{"max_connections", int64(c.MaxConns), 4},
		{"max_connections_per_network", int64(c.MaxConnsPerNetwork), 1},
		{"max_memory", c.MaxMemory, 2 * c.MaxBytes},
		{"mails_per_hour", int64(c.MailsPerHour), 1},
		{"bytes_per_hour", c.BytesPerHour, c.MaxBytes},
	} {
		if v.value < v.lowest {
			bad("%s = %d: at least %d", v.name, v.value, v.lowest)
		}
	}
	for _, v := range []struct {
		name  string
		value time.Duration
	}{
		{"command_timeout", c.CommandTimeout}, {"idle_timeout", c.IdleTimeout}, {"data_timeout", c.DataTimeout},
		{"session_timeout", c.SessionTimeout}, {"stop_timeout", c.StopTimeout},
	} {
		if v.value <= 0 {
			bad("%s = %s: must be above zero", v.name, v.value)
		}
	}
	return errors.Join(problems...)
}

// own says whether a is in one of OwnNetworks.
func (c Config) own(a netip.Addr) bool {
	for _, p := range c.OwnNetworks {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
