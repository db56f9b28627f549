package door

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"bolwerk"
	"bolwerk/internal/mail"
	"bolwerk/shield/aid"
)

// Config is the door's part of the configuration. The address of the public
// site is that of its frame.
type Config struct {
	// Operator is the name that the public sees.
	Operator string `toml:"operator"`
	// Phone, Mail and Site are how people reach the operator; shown as text.
	Phone string `toml:"phone"`
	Mail  string `toml:"mail"`
	Site  string `toml:"site"`
	// ReportAddress is where people forward suspicious mails to.
	ReportAddress mail.Address `toml:"report_address"`
	// Partners are whom people can call who gave something away.
	Partners aid.Partners `toml:"-"`
	// OwnNetworks are not held to the rates below, and their reports say so.
	OwnNetworks []netip.Prefix `toml:"own_networks"`
	// MaxUpload bounds a mail that is uploaded, in bytes.
	MaxUpload int64 `toml:"max_upload"`
	// Uploads is how many bodies above 1 MiB are taken at once.
	Uploads int `toml:"uploads"`
	// ReportsPerHour and BytesPerHour are what one source network (/24 or /48)
	// may hand in; an hour's worth may come at once. Appeals count as reports.
	ReportsPerHour int   `toml:"reports_per_hour"`
	BytesPerHour   int64 `toml:"bytes_per_hour"`
	// LooksPerHour is how often one source network may look up names and receipts.
	LooksPerHour int `toml:"looks_per_hour"`
}

// DefaultConfig is good enough for a first run.
func DefaultConfig() Config {
	return Config{
		Operator:       "Your operator",
		MaxUpload:      25 << 20, // what large providers send at most
		Uploads:        16,
		ReportsPerHour: 120, // a /24 may be an office, or many customers behind one address
		BytesPerHour:   512 << 20,
		LooksPerHour:   6000,
	}
}

// Validate tells every problem at once.
func (c Config) Validate() error {
	var problems []error
	bad := func(format string, a ...any) { problems = append(problems, bolwerk.Invalid("door: "+format, a...)) }
	if c.Operator == "" || len(c.Operator) > 100 {
		bad("operator: want a name of 1 to 100 octets")
	}
	for _, v := range []struct{ key, value string }{{"phone", c.Phone}, {"mail", c.Mail}, {"site", c.Site}} {
		if len(v.value) > 100 || strings.ContainsAny(v.value, "\r\n\x00") {
			bad("%s: want one line of at most 100 octets", v.key)
		}
	}
	if slices.ContainsFunc(c.OwnNetworks, func(p netip.Prefix) bool { return !p.IsValid() || p.Bits() == 0 }) {
		bad("own_networks: one would make everybody our own")
	}
	if c.MaxUpload < 64<<10 || c.MaxUpload > 30<<20 {
		bad("max_upload = %d: want 64 KiB to 30 MiB, or it does not fit the spool", c.MaxUpload)
	}
	for _, v := range []struct {
		key    string
		value  int64
		lowest int64
	}{
		{"uploads", int64(c.Uploads), 2}, {"reports_per_hour", int64(c.ReportsPerHour), 1},
		{"bytes_per_hour", c.BytesPerHour, 2 * c.MaxUpload}, {"looks_per_hour", int64(c.LooksPerHour), 1},
	} {
		if v.value < v.lowest {
			bad("%s = %d: at least %d", v.key, v.value, v.lowest)
		}
	}
	return errors.Join(problems...)
}

func (c Config) own(a netip.Addr) bool {
	return slices.ContainsFunc(c.OwnNetworks, func(p netip.Prefix) bool { return p.Contains(a) })
}
