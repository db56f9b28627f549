package who

import (
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/session"
)

// Config is how long it is known who had an address, and what the sources do.
type Config struct {
	// Days is how long the map of addresses to subscribers is kept; then only what a
	// case pinned. Seven is what a German court found proportionate for the security of
	// a network; other countries and purposes oblige to more, or allow less.
	Days int `toml:"days"`
	// Legal is the reference that allows or obliges that many days, in words, for the
	// privacy officer and the pages. More than 7 days need one of their own.
	Legal string `toml:"legal"`
	// Interim is the longest time between two signs of life of a session, as the access
	// servers are told to send them. A session that is silent three times as long may
	// have ended unsaid and is not acted on. 0: they send none.
	Interim bolwerk.Duration `toml:"interim"`
	// Skew is how far a reporter's clock and ours may be apart, where the reporter's own
	// is not known better: everybody who had the address within it is a candidate.
	Skew bolwerk.Duration `toml:"skew"`
	// NATRules are translators that log nothing, because their blocks of ports follow
	// from a calculation (RFC 7422).
	NATRules []session.NATRule `toml:"nat_rule"`
}

// DefaultConfig is good for a first run.
func DefaultConfig() Config {
	return Config{Days: 7, Legal: defaultLegal, Skew: bolwerk.Duration(time.Minute)}
}

const defaultLegal = "GDPR art. 6(1)(f) and recital 49 (network security); seven days as in BGH III ZR 391/13"

// Validate says what is wrong with c.
func (c Config) Validate() error {
	switch {
	case c.Days < 1 || c.Days > 730:
		return bolwerk.Invalid("days %d: want 1 to 730", c.Days)
	case strings.TrimSpace(c.Legal) == "":
		return bolwerk.Invalid("legal: name what allows to keep the map of addresses for %d days", c.Days)
	case c.Days > 7 && c.Legal == defaultLegal:
		return bolwerk.WithHint(bolwerk.Invalid("legal: %d days need a reference of their own", c.Days), "name the law that obliges to it, and for which purpose")
	case c.Interim < 0 || c.Interim.D() > 24*time.Hour:
		return bolwerk.Invalid("interim %s: want 0 to 24h", c.Interim)
	case c.Skew < 0 || c.Skew.D() > time.Hour:
		return bolwerk.Invalid("skew %s: want 0 to 1h", c.Skew)
	}
	for _, r := range c.NATRules {
		if err := r.Validate(); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) policy() session.Policy { return session.Policy{Interim: c.Interim.D()} }

func (c Config) keep() time.Duration { return time.Duration(c.Days) * 24 * time.Hour }
