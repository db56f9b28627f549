package app

import (
	"context"
	"crypto/rand"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/enforce/coa"
	"bolwerk/abuse/enforce/standin"
	"bolwerk/abuse/session"
	"bolwerk/internal/demo"
	"bolwerk/internal/disk"
	"bolwerk/internal/web"
)

// The filters of the invented access server.
const (
	demoNormal = "bolwerk-normal"
	demoLeaky  = "bolwerk-leaky"
	demoStrict = "bolwerk-strict"
)

// demoAccess is the way to the invented access server.
func demoAccess(c *Config, o DemoOptions) error {
	file := filepath.Join(o.Data, "nas.secret")
	if _, err := os.Stat(file); err != nil {
		if err := disk.Write(file, []byte(rand.Text()+"\n"), "demo.nas"); err != nil {
			return err
		}
	}
	c.Abuse.Enforce.NAS = []coa.Config{{Name: "bng1", Address: demoAddr(o, 3799), SecretFile: file, Normal: demoNormal, Leaky: demoLeaky, Strict: demoStrict, Pace: 50,
		Canary: demo.CanaryUser, CanaryLook: "http://" + demoAddr(o, 3798) + "/" + demo.CanarySession}}
	return nil
}

// demoServer is the invented access server: it has the sessions of the world.
func demoServer(ctx context.Context, cfg Config, env Env) error {
	way := cfg.Abuse.Enforce.NAS[0]
	secret, err := os.ReadFile(way.SecretFile)
	if err != nil {
		return err
	}
	s := standin.New(firstLine(secret), nil)
	for _, r := range demo.Sessions(env.Clock.Now()) {
		if r.Kind == session.Stop {
			s.Drop(r.Session)
			continue
		}
		s.Add(standin.Session{ID: r.Session, User: r.Subscriber, Filter: demoNormal})
	}
	udp, err := net.ListenPacket("udp", way.Address)
	if err != nil {
		return err
	}
	look, err := url.Parse(way.CanaryLook)
	if err != nil {
		udp.Close()
		return err
	}
	l, err := net.Listen("tcp", look.Host)
	if err != nil {
		udp.Close()
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.Run(ctx, udp) })
	g.Go(func() error {
		return web.Serve(ctx, l, s.Look(func(filter string) string {
			switch p := enforce.Profile(strings.TrimPrefix(filter, "bolwerk-")); p {
			case enforce.Leaky, enforce.Strict:
				return string(p)
			}
			return string(enforce.Normal)
		}), env.Log)
	})
	return g.Wait()
}
