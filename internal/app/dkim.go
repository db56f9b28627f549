package app

import (
	"context"
	"errors"
	"net"

	"bolwerk/internal/mail"
)

// dkimWarnings say for which keys of mail.dkim the DNS has no record, or another. The
// resolver of shield.lookup is asked; without one nobody is. It takes at most 5 s a key.
func (c Config) dkimWarnings(ctx context.Context) []string {
	at := c.Shield.Lookup.Resolver
	if at == "" || len(c.Mail.DKIM) == 0 {
		return nil
	}
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, at)
	}}
	return mail.Published(ctx, c.Mail.DKIM, func(ctx context.Context, name string) ([]string, error) {
		records, err := r.LookupTXT(ctx, name)
		var of *net.DNSError
		if errors.As(err, &of) {
			of.Server = at // it names the machine's own
		}
		return records, err
	})
}
