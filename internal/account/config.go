package account

import (
	"errors"
	"time"

	"bolwerk"
)

// Config is how people log in.
type Config struct {
	// SessionIdle is after how long without use a session ends, SessionLife
	// after how long in any case.
	SessionIdle bolwerk.Duration `toml:"session_idle"`
	SessionLife bolwerk.Duration `toml:"session_life"`
	// Passkeys is "offered", beside passwords, or "required": who has a passkey
	// logs in with it, and who has none makes one before anything else.
	Passkeys string `toml:"passkeys"`
	// TellProposals mails the people who may approve when something waits for a
	// second person. Each says on its own page where; no address, no mail.
	TellProposals bool `toml:"tell_proposals"`
	// OIDC are log-in providers, beside accounts of our own.
	OIDC []Provider `toml:"oidc"`
}

// The values of Config.Passkeys.
const (
	PasskeysOffered  = "offered"
	PasskeysRequired = "required"
)

// DefaultConfig ends a session after an idle hour or a working day.
func DefaultConfig() Config {
	return Config{SessionIdle: bolwerk.Duration(time.Hour), SessionLife: bolwerk.Duration(12 * time.Hour), Passkeys: PasskeysOffered, TellProposals: true}
}

// Validate tells every problem at once.
func (c Config) Validate() error {
	var problems []error
	bad := func(format string, a ...any) { problems = append(problems, bolwerk.Invalid(format, a...)) }
	if c.SessionIdle.D() < time.Minute || c.SessionIdle.D() > 24*time.Hour {
		bad("session_idle = %s: want 1m to 24h", c.SessionIdle)
	}
	if c.SessionLife.D() < c.SessionIdle.D() || c.SessionLife.D() > 7*24*time.Hour {
		bad("session_life = %s: want at least session_idle, at most 7d", c.SessionLife)
	}
	if c.Passkeys != PasskeysOffered && c.Passkeys != PasskeysRequired {
		bad("passkeys = %q: want offered or required", c.Passkeys)
	}
	seen := map[string]bool{}
	for _, p := range c.OIDC {
		problems = append(problems, p.validate()...)
		if seen[p.Name] || seen[p.Issuer] {
			bad("oidc %s: its name or issuer is there twice", p.Name)
		}
		seen[p.Name], seen[p.Issuer] = true, true
	}
	return errors.Join(problems...)
}
