package app

import (
	"context"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"

	"bolwerk/internal/dnsserve"
)

// again is how a role hears that its configuration is to be read again, and reads it.
type again struct {
	asked <-chan os.Signal
	read  func() (Config, error)
}

// readAgain listens for SIGHUP. A role in which nothing can change while it runs takes no
// notice of it; it does not end.
func readAgain(role, path string) (a again, stop func()) {
	if role != "edge" && role != "all" {
		signal.Ignore(syscall.SIGHUP)
		return a, func() {}
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return again{c, func() (Config, error) {
		cfg, err := Read(path)
		if err == nil {
			err = cfg.Validate()
		}
		return cfg, err
	}}, func() { signal.Stop(c) }
}

// reloads puts in force what can change of the DNS server's settings, each time it is
// asked for, until ctx ends. A configuration with a mistake changes nothing.
func (a again) reloads(ctx context.Context, env Env, was Config, dns interface {
	Reload(dnsserve.Config) (restart []string, err error)
}) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.asked:
		}
		cfg, err := a.read()
		var restart []string
		if err == nil {
			restart, err = dns.Reload(cfg.DNS.Config)
		}
		if err != nil {
			env.Log.Error("configuration is not taken; the one before stays in force", "err", err, "alarm", true)
			continue
		}
		for i, key := range restart {
			restart[i] = "dns." + key
		}
		if cfg.DNS.Listen != was.DNS.Listen {
			restart = append(restart, "dns.listen")
		}
		if cfg.DNS = was.DNS; !reflect.DeepEqual(cfg, was) {
			restart = append(restart, "what changed outside of [dns]")
		}
		if len(restart) > 0 {
			env.Log.Warn("configuration is taken in part", "needs_restart", strings.Join(restart, ", "))
			continue
		}
		env.Log.Info("configuration is taken")
	}
}
