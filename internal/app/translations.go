package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"github.com/prometheus/client_golang/prometheus"

	abuse "bolwerk/abuse/door"
)

// listenTranslations is where translators tell of the blocks of ports that they give.
func listenTranslations(cfg abuse.TranslationsConfig, put func(kind string, body []byte) (string, error), env Env, reg prometheus.Registerer) (parts []part, err error) {
	t, err := abuse.NewTranslations(cfg, put, env.Clock, env.Log, reg)
	if err != nil {
		return nil, err
	}
	var secure *tls.Config
	if cfg.SyslogTLS != "" {
		if secure, err = cfg.TLS(env.Log); err != nil {
			return nil, err
		}
	}
	for _, u := range []struct {
		key, at string
		run     func(context.Context, net.PacketConn) error
	}{{"syslog", cfg.Syslog, t.Syslog}, {"ipfix", cfg.IPFIX, t.IPFIX}} {
		if u.at == "" {
			continue
		}
		conn, err := net.ListenPacket("udp", u.at)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", u.key, err)
		}
		parts = append(parts, part{"translations by " + u.key, func(ctx context.Context) error { return u.run(ctx, conn) }})
	}
	for _, s := range []struct {
		key, at string
		secure  *tls.Config
	}{{"syslog_tcp", cfg.SyslogTCP, nil}, {"syslog_tls", cfg.SyslogTLS, secure}} {
		if s.at == "" {
			continue
		}
		l, err := net.Listen("tcp", s.at)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.key, err)
		}
		parts = append(parts, part{"translations by " + s.key, func(ctx context.Context) error { return t.SyslogTCP(ctx, l, s.secure) }})
	}
	return parts, nil
}
