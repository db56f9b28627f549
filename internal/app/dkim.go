package app

import (
	"context"
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
	return mail.Published(ctx, c.Mail.DKIM, r.LookupTXT)
}
