package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"bolwerk"
	gardenedge "bolwerk/abuse/edge"
	"bolwerk/abuse/enforce/allow"
	"bolwerk/abuse/garden"
	"bolwerk/internal/keypair"
	"bolwerk/shield/edge"
)

// gardenLook is the page of the safe environment as this operator's guests see it.
func (c Config) gardenLook() garden.Look {
	zone, err := time.LoadLocation(c.Warning.Zone)
	if err != nil { // Validate has said so
		zone = time.UTC
	}
	return garden.Look{Brand: c.Warning.Brand, Operator: c.Operator, Phone: c.Warning.Phone, Mail: c.Warning.Mail, Site: c.Warning.Site, Zone: zone}
}

// allowed are the names that resolve in the strict garden.
func (c Config) allowed() (out []bolwerk.Domain, err error) {
	for _, n := range append(allow.Names(allow.Entries()), c.Abuse.Garden.Allow...) {
		d, err := bolwerk.ParseDomain(n)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// safe is what an edge with a garden runs.
type safe struct{ front, back []part }

// garden builds the safe environment of an edge; nothing where it is not configured.
func (j joined) garden(cfg Config, e *edge.Edge) (s safe, err error) {
	c := cfg.Abuse.Garden
	if c.Listen == "" {
		return s, nil
	}
	page, err := gardenedge.New(c, cfg.gardenLook(), gardenedge.Parts{Doubtful: e.Doubtful, Clock: j.env.Clock, Log: j.env.Log, Metrics: j.reg,
		HandIn: func(_ context.Context, kind string, body []byte) error {
			_, err := j.spool.Put(kind, body)
			return err
		}})
	if err != nil {
		return s, fmt.Errorf("abuse.garden: %w", err)
	}
	names, err := cfg.allowed()
	if err != nil {
		return s, fmt.Errorf("abuse.garden: allow: %w", err)
	}
	e.SetGarden(edge.Garden{Addresses: c.Addresses, Checks: page.Names(), Allowed: names})
	follower, err := j.follow(garden.Copy, page.Guests())
	if err != nil {
		return s, err
	}
	plain, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return s, fmt.Errorf("abuse.garden.listen: %w", err)
	}
	s.front = append(s.front, part{"garden", func(ctx context.Context) error { return page.Serve(ctx, plain) }})
	if c.ListenTLS != "" {
		pair, err := keypair.Load(c.CertFile, c.KeyFile, j.env.Log)
		if err != nil {
			return s, fmt.Errorf("abuse.garden.cert_file: %w", err)
		}
		over, err := tls.Listen("tcp", c.ListenTLS, &tls.Config{GetCertificate: pair.Serve, MinVersion: tls.VersionTLS12})
		if err != nil {
			return s, fmt.Errorf("abuse.garden.listen_tls: %w", err)
		}
		s.front = append(s.front, part{"garden over tls", func(ctx context.Context) error { return page.Serve(ctx, over) }})
	}
	s.back = append(s.back, part{"copy " + garden.Copy, follower.Run})
	return s, nil
}
