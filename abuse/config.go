package abuse

import (
	"errors"
	"net/netip"

	"bolwerk"
	"bolwerk/abuse/playbook"
	"bolwerk/abuse/quarantine"
	"bolwerk/internal/mail"
)

// Config is what the abuse desk takes and acts on.
type Config struct {
	// Addresses are the mailboxes of the abuse desk, such as abuse@ at each of the
	// operator's domains. Mail to them goes to the abuse desk and nowhere else.
	Addresses []mail.Address `toml:"addresses"`
	// Networks are the operator's own: a report about an address outside of them is
	// answered with "not ours". Empty: every address may be ours.
	Networks []netip.Prefix `toml:"networks"`
	// Retest lets guests, the desk and playbooks have a line tested: the desk asks an open service
	// that was seen on it once whether it still answers, at the address that the
	// subscriber has now, in Networks only.
	Retest bool `toml:"retest"`
	// ReopenDays is for how long after its end a case begins again when the same is
	// reported anew; later it is a new case.
	ReopenDays int `toml:"reopen_days"`
	// CleanDays is after how many days without being seen a line is taken to be clean:
	// days on which the feeds that told of it were heard; twice as many where none did.
	CleanDays int `toml:"clean_days"`
	// Feeds are the sources that tell day by day what they see.
	Feeds []Feed `toml:"feeds"`
	// Playbooks say what is done about a class of cases by itself; none: those that
	// come with Bolwerk.
	Playbooks []playbook.Book `toml:"playbook"`
	// Quarantine is how lines are put into the safe environment.
	Quarantine quarantine.Config `toml:"quarantine"`
}

// DefaultConfig takes no mail; reports come by form, API and file.
func DefaultConfig() Config {
	return Config{ReopenDays: 30, CleanDays: 14, Quarantine: quarantine.DefaultConfig()}
}

// Validate says what is wrong with c.
func (c Config) Validate() error {
	var errs []error
	for _, a := range c.Addresses {
		if a.IsZero() {
			errs = append(errs, bolwerk.Invalid("addresses: one is empty"))
		}
	}
	for _, p := range c.Networks {
		if !p.IsValid() || p.Bits() == 0 || p != p.Masked() {
			errs = append(errs, bolwerk.Invalid("networks: %s: want a network such as 198.51.100.0/24", p))
		}
	}
	if c.ReopenDays < 0 || c.ReopenDays > 365 {
		errs = append(errs, bolwerk.Invalid("reopen_days %d: want 0 to 365", c.ReopenDays))
	}
	if c.CleanDays < 1 || c.CleanDays > 365 {
		errs = append(errs, bolwerk.Invalid("clean_days %d: want 1 to 365", c.CleanDays))
	}
	errs = append(errs, playbook.Check(c.Playbooks), checkRetest(c.Retest, c.Networks), c.Quarantine.Validate())
	return errors.Join(append(errs, checkFeeds(c.Feeds)...)...)
}

// ours says whether an address may be a customer's.
func (c Config) ours(a netip.Addr) bool {
	if len(c.Networks) == 0 {
		return true
	}
	for _, p := range c.Networks {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
