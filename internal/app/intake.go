package app

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"time"

	abuse "bolwerk/abuse/door"
	"bolwerk/internal/copy"
	"bolwerk/internal/disk"
	"bolwerk/internal/mail"
	"bolwerk/internal/mailbox"
	"bolwerk/internal/once"
	"bolwerk/internal/openapi"
	"bolwerk/internal/openlog"
	"bolwerk/internal/web"
	"bolwerk/shield/door"
)

// copyPublic is the copy that intakes follow; the desk side calls it the same.
const copyPublic = "public"

// Intake is the role intake, built.
type Intake struct {
	env         Env
	front, back []part
	follower    *copy.Follower
}

// BuildIntake opens the doors of a host that has joined; dir is its folder.
func BuildIntake(ctx context.Context, cfg Config, env Env, dir string) (*Intake, error) {
	j, err := joinedAs("intake", env, dir)
	if err != nil {
		return nil, err
	}
	if err := cfg.Warning.Partners.Register(j.reg, env.Clock); err != nil {
		return nil, err
	}
	metrics, err := web.NewMetrics(j.reg)
	if err != nil {
		return nil, err
	}
	words, err := abuse.Texts()
	if err != nil {
		return nil, err
	}
	look, err := door.Site(web.Site{Texts: []*web.Texts{words}, Config: cfg.Public.Config, Clock: env.Clock, Log: env.Log, Metrics: metrics})
	if err != nil {
		return nil, err
	}
	frame, err := web.New(look)
	if err != nil {
		return nil, err
	}
	public, err := openlog.Open(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	requests, err := once.Open(disk.System{}, filepath.Join(dir, "requests"), env.Clock.Now())
	if err != nil {
		return nil, err
	}
	d, err := door.New(cfg.door(), door.With{Put: j.spool.Put, PutAs: j.spool.PutAs, Once: requests, Log: env.Log, OpenLog: public, Frame: frame, Clock: env.Clock, Metrics: j.reg, Describe: []func(*openapi.Doc){abuse.Describe}, Foot: []door.FootLink{{Path: "/notice", Text: "notice.title"}, {Path: "/abuse", Text: "abuse.form.title"}}})
	if err != nil {
		return nil, err
	}
	site, err := net.Listen("tcp", cfg.Public.Listen)
	if err != nil {
		return nil, fmt.Errorf("public.listen: %w", err)
	}
	smtp, err := net.Listen("tcp", cfg.SMTP.Listen)
	if err != nil {
		site.Close()
		return nil, fmt.Errorf("smtp.listen: %w", err)
	}
	reports := abuse.Box{Addresses: cfg.Abuse.Addresses, Put: j.spool.Put, PutAs: j.spool.PutAs}
	back := abuse.Bounces{Address: cfg.Abuse.Inform.Bounce, Put: j.spool.Put, PutAs: j.spool.PutAs}
	accept := back.Sort(reports.Sort(d.Accept))
	box := mail.NewDoor(cfg.smtp(), accept, env.Clock, env.Log, j.reg)
	abroad, err := abuse.NewSite(abuse.With{PutAs: j.spool.PutAs, Once: requests, Frame: frame, Clock: env.Clock, OwnNetworks: cfg.SMTP.OwnNetworks, Mail: cfg.abuseMail(), Zone: cfg.Public.Zone, Look: cfg.gardenLook()})
	if err != nil {
		return nil, err
	}
	follower, err := j.follow(copyPublic, abroad.Beside(d))
	if err != nil {
		return nil, err
	}
	history := openlog.NewFollower(public, j.client, j.host.Base(), env.Clock, env.Log)
	if err := history.Register(j.reg); err != nil {
		return nil, err
	}
	var boxes []part
	if l := cfg.Abuse.Accounting.Listen; l != "" {
		accounting, err := abuse.NewAccounting(cfg.Abuse.Accounting, j.spool.Put, env.Clock, env.Log, j.reg)
		if err != nil {
			return nil, fmt.Errorf("abuse.accounting: %w", err)
		}
		udp, err := net.ListenPacket("udp", l)
		if err != nil {
			return nil, fmt.Errorf("abuse.accounting.listen: %w", err)
		}
		boxes = append(boxes, part{"accounting", func(ctx context.Context) error { return accounting.Run(ctx, udp) }})
	}
	if cfg.Abuse.Translations.Taken() {
		parts, err := listenTranslations(cfg.Abuse.Translations, j.spool.Put, env, j.reg)
		if err != nil {
			return nil, fmt.Errorf("abuse.translations: %w", err)
		}
		boxes = append(boxes, parts...)
	}
	fetched := mailbox.NewMetrics(j.reg)
	for _, m := range cfg.Mailboxes {
		f := mailbox.New(m, mailbox.With{Accept: accept, Dial: (&net.Dialer{Timeout: 30 * time.Second}).DialContext, Clock: env.Clock, Log: env.Log, Metrics: fetched})
		boxes = append(boxes, part{f.Name(), f.Run})
	}
	return &Intake{env: env, follower: follower,
		front: append(boxes,
			part{"smtp", func(ctx context.Context) error { return box.Run(ctx, smtp) }},
			part{"public site", func(ctx context.Context) error {
				return web.Serve(ctx, web.Limit(site, 2000, 100, cfg.SMTP.OwnNetworks), d.Handler(abroad.Routes), env.Log)
			}},
		),
		back: append(j.back(follower, copyPublic), part{"transparency log", history.Run})}, nil
}

// Run serves until ctx ends.
func (i *Intake) Run(ctx context.Context) error { return runOrdered(ctx, i.env.Log, i.front, i.back) }

// smtp is the mail door's configuration: the abuse desk's addresses are taken too, and the
// return path of its notices.
func (c Config) smtp() mail.Config {
	out := c.SMTP
	out.Addresses = append(slices.Clone(out.Addresses), c.Abuse.Addresses...)
	out.Tagged = c.Abuse.Inform.Bounce
	return out
}

// abuseMail is the address to which reports of abuse may be mailed; zero is none.
func (c Config) abuseMail() mail.Address {
	if len(c.Abuse.Addresses) == 0 {
		return mail.Address{}
	}
	return c.Abuse.Addresses[0]
}

// door is the door's configuration: what the site and the mail door say already.
func (c Config) door() door.Config {
	out := door.DefaultConfig()
	out.Operator, out.OwnNetworks = c.Operator, c.SMTP.OwnNetworks
	out.Phone, out.Mail, out.Site, out.Partners = c.Warning.Phone, c.Warning.Mail, c.Warning.Site, c.Warning.Partners
	if len(c.SMTP.Addresses) > 0 {
		out.ReportAddress = c.SMTP.Addresses[0]
	}
	return out
}
