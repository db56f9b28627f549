package quarantine

import (
	"errors"
	"net/netip"
	"strings"
	"time"

	"bolwerk"
)

// Config is how lines are put into quarantine.
type Config struct {
	// Mode is off, shadow (what would be done is decided and noted, and nothing done)
	// or on.
	Mode string `toml:"mode"`
	// MaxDays is how long a quarantine lasts at most; it never goes on by itself.
	MaxDays int `toml:"max_days"`
	// SelfReleases is how often a subscriber may end one alone within a year, for each
	// class; from then on a person of the desk does.
	SelfReleases int `toml:"self_releases"`
	// Never are the subscribers that are never put into quarantine: by their names at
	// the access server, such as hospitals and alarm centres.
	Never []string `toml:"never"`
	// NeverNetworks are networks of which no line is.
	NeverNetworks []netip.Prefix `toml:"never_networks"`
	// Brake holds automatic quarantines back when there are too many at once.
	Brake BrakeConfig `toml:"brake"`
}

// BrakeConfig holds automatic quarantines back when there are too many at once.
type BrakeConfig struct {
	// Floor is how many a day the brake always lets through.
	Floor int `toml:"floor"`
	// Factor is how many times the median of the last 14 days a day may have.
	Factor float64 `toml:"factor"`
	// PerHour is how many an hour the helpdesk can answer while it is open.
	PerHour int `toml:"per_hour"`
	// OutsideHours is how many an hour are begun while it is closed.
	OutsideHours int `toml:"outside_hours"`
	// Open is when the helpdesk opens, such as "08:00", in the console's zone; empty,
	// with close empty too: it is always open.
	Open string `toml:"open"`
	// Close is when it closes, such as "20:00".
	Close string `toml:"close"`
	// Days are those on which it is open: mon, tue, wed, thu, fri, sat, sun.
	Days []string `toml:"days"`
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// DefaultConfig decides in the shadow: nobody is cut off by a first run.
func DefaultConfig() Config {
	return Config{Mode: "shadow", MaxDays: 30, SelfReleases: 2,
		Brake: BrakeConfig{Floor: 20, Factor: 3, PerHour: 60, OutsideHours: 10, Open: "08:00", Close: "20:00", Days: []string{"mon", "tue", "wed", "thu", "fri", "sat"}}}
}

func clockOf(s string) (time.Duration, error) {
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0, bolwerk.Invalid("%.20q: want a time of the day such as 08:00", s)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

// Validate says what is wrong with c.
func (c Config) Validate() error {
	var errs []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, bolwerk.Invalid(format, args...))
		}
	}
	bad(c.Mode == "off" || c.Mode == "shadow" || c.Mode == "on", "mode %.20q: want off, shadow or on", c.Mode)
	bad(c.MaxDays >= 1 && c.MaxDays <= 30, "max_days %d: want 1 to 30", c.MaxDays)
	bad(c.SelfReleases >= 0 && c.SelfReleases <= 10, "self_releases %d: want 0 to 10", c.SelfReleases)
	for _, n := range c.Never {
		bad(strings.TrimSpace(n) != "" && len(n) <= 253, "never: %.60q: want the name of a subscriber at the access server", n)
	}
	for _, p := range c.NeverNetworks {
		bad(p.IsValid() && p.Bits() > 0 && p == p.Masked(), "never_networks: %s: want a network such as 198.51.100.0/24", p)
	}
	b := c.Brake
	bad(b.Floor >= 0 && b.Floor <= 100_000, "brake.floor %d: want 0 to 100000", b.Floor)
	bad(b.Factor >= 1 && b.Factor <= 100, "brake.factor %g: want 1 to 100", b.Factor)
	bad(b.PerHour >= 0 && b.PerHour <= 100_000, "brake.per_hour %d: want 0 to 100000", b.PerHour)
	bad(b.OutsideHours >= 0 && b.OutsideHours <= b.PerHour, "brake.outside_hours %d: want 0 to per_hour", b.OutsideHours)
	for _, s := range []string{b.Open, b.Close} {
		if s != "" {
			_, err := clockOf(s)
			bad(err == nil, "brake: %.20q: want a time of the day such as 08:00", s)
		}
	}
	bad((b.Open == "") == (b.Close == ""), "brake: open and close come together")
	for _, d := range b.Days {
		ok := false
		for _, w := range weekdays {
			ok = ok || w == d
		}
		bad(ok, "brake.days: %.20q: want mon, tue, wed, thu, fri, sat or sun", d)
	}
	return errors.Join(errs...)
}

// staffed says whether somebody answers the telephone at a time.
func (b BrakeConfig) staffed(at time.Time) bool {
	if b.Open == "" {
		return true
	}
	from, err1 := clockOf(b.Open)
	to, err2 := clockOf(b.Close)
	if err1 != nil || err2 != nil {
		return false
	}
	day := false
	for _, d := range b.Days {
		day = day || weekdays[at.Weekday()] == d
	}
	now := time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
	return day && now >= from && now < to
}
