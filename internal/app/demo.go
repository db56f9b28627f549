package app

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"bolwerk"
	"bolwerk/abuse"
	accounting "bolwerk/abuse/door"
	"bolwerk/internal/account"
	"bolwerk/internal/demo"
	"bolwerk/internal/disk"
	"bolwerk/internal/join"
	"bolwerk/internal/mail"
	"bolwerk/shield"
)

// DemoOptions are what "bolwerk demo" is told.
type DemoOptions struct {
	Data   string // folder; emptied at start unless Keep
	Keep   bool   // continue what is there, or begin
	Offset int    // added to every port
	Out    io.Writer
	// Binary is how the printed commands name this program.
	Binary string
}

// demoOwns are the entries of the folder that belong to the demo; others are
// left alone.
var demoOwns = []string{"desk", "intake", "edge", "probe", "web.pem", "outbox", "letters", "lists", "world.json", "demo.json", "demo.token", "demo.password", "accounting.secret", "nas.secret", demo.PhishFile, demo.AbuseFile, "orders"}

// answers says that a desk is behind an admin socket. That it can be dialed is not
// enough: a child that a killed demo was just starting holds it for a moment.
func answers(socket string) bool {
	c, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return false
	}
	n, _ := c.Read(make([]byte, 1))
	return n > 0
}

// Demo starts everything on loopback with an invented operator, until ctx ends.
func Demo(ctx context.Context, o DemoOptions, env Env) error {
	diskThreads()
	var err error
	if o.Data, err = filepath.Abs(o.Data); err != nil {
		return err
	}
	if err := disk.MakeDir(o.Data); err != nil {
		return err
	}
	if answers(filepath.Join(o.Data, "desk", account.SocketName)) {
		return bolwerk.WithHint(bolwerk.Conflict("a demo is running in %s already", o.Data), "stop it, or use --data DIR and --port-offset N")
	}
	if !o.Keep {
		for _, name := range demoOwns {
			if err := os.RemoveAll(filepath.Join(o.Data, name)); err != nil {
				return err
			}
		}
	}
	world, err := demoWorld(o.Data, env.Clock.Now())
	if err != nil {
		return err
	}
	cfg, err := demoConfig(o, world)
	if err != nil {
		return err
	}
	udp, err := net.ListenPacket("udp", demoAddr(o, 5302))
	if err != nil {
		return demoPort(err)
	}
	tcp, err := net.Listen("tcp", demoAddr(o, 5302))
	if err != nil {
		udp.Close()
		return demoPort(err)
	}
	web, err := demo.NewWeb(world)
	if err == nil {
		err = disk.Write(cfg.Probe.Roots, web.Authority(), "demo.web")
	}
	if err != nil {
		return err
	}
	socks, err := net.Listen("tcp", demoAddr(o, 8083))
	if err != nil {
		udp.Close()
		tcp.Close()
		return demoPort(err)
	}
	asked := ctx // ends when the demo is asked to end; the group's also when a part fails
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return demo.Upstream{}.Run(ctx, udp, tcp) })
	g.Go(func() error { return web.Run(ctx, socks) })
	g.Go(func() error {
		return demoPort(All(ctx, cfg, env, func(d *Desk) {
			g.Go(func() error { return demoLife(ctx, o, cfg, env, world, d) })
		}))
	})
	if err := g.Wait(); asked.Err() == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// demoPort adds what to do about a port that is taken.
func demoPort(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "listen" {
		return bolwerk.WithHint(err, "another program uses a port of the demo: bolwerk demo --port-offset 1000")
	}
	return err
}

func demoAddr(o DemoOptions, port int) string { return "127.0.0.1:" + strconv.Itoa(port+o.Offset) }

// demoWorld is the world of the folder: it begins once, and a demo that is
// started again goes on with the same one.
func demoWorld(dir string, now time.Time) (demo.World, error) {
	path := filepath.Join(dir, "world.json")
	var day struct {
		Day time.Time `json:"day"`
	}
	if b, err := os.ReadFile(path); err == nil {
		if err := json.Unmarshal(b, &day); err != nil {
			return demo.World{}, fmt.Errorf("%s: %w", path, err)
		}
		return demo.New(day.Day), nil
	}
	day.Day = now.UTC()
	b, err := json.Marshal(day)
	if err != nil {
		return demo.World{}, err
	}
	return demo.New(day.Day), disk.Write(path, b, "demo.world")
}

// demoConfig is the configuration of the invented operator, all on loopback.
func demoConfig(o DemoOptions, w demo.World) (Config, error) {
	c := Default()
	c.Webhook.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	c.Data, c.Operator = o.Data, w.Operator
	site := func(port int) string { return "http://localhost:" + strconv.Itoa(port+o.Offset) }
	c.Console.Listen, c.Console.URL = demoAddr(o, 8080), site(8080)
	c.Public.Listen, c.Public.URL = demoAddr(o, 8081), site(8081)
	c.Warning.Listen, c.Warning.TLS = demoAddr(o, 8082), demoAddr(o, 8443)
	c.Metrics.Listen = demoAddr(o, 8089)
	c.Hosts.Listen, c.Hosts.Address = demoAddr(o, 8090), demoAddr(o, 8090)
	c.SMTP.Listen, c.SMTP.Hostname = demoAddr(o, 2525), "mx.bolwerk.example"
	c.DNS.Listen, c.DNS.Upstream = demoAddr(o, 5300), []string{demoAddr(o, 5302)}
	c.RPZ.Listen = demoAddr(o, 5301)
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	c.RPZ.Secondary = []SecondaryConfig{{Name: "loopback", From: loopback}}
	c.SMTP.Addresses, c.SMTP.OwnNetworks = []mail.Address{w.ReportTo}, loopback
	c.Mail.Outbox = filepath.Join(o.Data, "outbox")
	c.Warning.WarningAddresses = []string{"192.0.2.1", "2001:db8::1"}
	c.Resolvers = map[string]string{"edge": c.DNS.Listen}
	c.Shield.AnswerFrom, c.Shield.AuthservIDs = w.AnswerFrom, w.AuthservIDs
	c.Shield.Brands, c.Shield.OwnNames, c.Shield.Platforms = w.Brands, w.OwnNames, w.Platforms
	c.Partners = w.Partners
	// The probe sees the invented web, through a proxy that leads nowhere else.
	c.Probe.Resolver = []string{demoAddr(o, 5302)}
	c.Probe.Desktop.Proxy = "socks5://" + demoAddr(o, 8083)
	c.Probe.Phone.Proxy = c.Probe.Desktop.Proxy
	c.Probe.Allow = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24")}
	c.Probe.Roots = filepath.Join(o.Data, "web.pem")
	if err := w.WriteFiles(o.Data); err != nil {
		return c, err
	}
	for _, l := range w.Lists {
		c.Shield.Lists = append(c.Shield.Lists, shield.ListConfig{Source: l.Source, File: l.ListFile(o.Data), Tier: l.Tier})
	}
	aaa := filepath.Join(o.Data, "accounting.secret")
	if _, err := os.Stat(aaa); err != nil {
		if err := disk.Write(aaa, []byte(rand.Text()+"\n"), "demo.accounting"); err != nil {
			return c, err
		}
	}
	c.Abuse.Addresses = []mail.Address{mail.MustAddress("abuse@bolwerk.example")}
	c.Abuse.Networks = demo.Networks()
	c.Abuse.Feeds = []abuse.Feed{{Name: demo.FeedName, From: []string{"feed.example"}, Every: bolwerk.Duration(24 * time.Hour)}}
	c.Abuse.Who.Days, c.Abuse.Who.Legal = demo.FeedDays, "invented: the law of Polder Telecom's country, which obliges to thirty days"
	c.Abuse.Inform.Letter.Folder, c.Abuse.Inform.Letter.Window = filepath.Join(o.Data, "letters"), "right"
	c.Abuse.Accounting.Listen = demoAddr(o, 1813)
	c.Abuse.Accounting.Clients = []accounting.Client{{Name: "loopback", From: loopback, SecretFile: aaa}}
	if err := demoAccess(&c, o); err != nil {
		return c, err
	}
	c.Abuse.Quarantine.Mode = "on"
	c.Abuse.Garden.Listen, c.Abuse.Garden.URL = demoAddr(o, 8084), "http://"+demoAddr(o, 8084)
	c.Abuse.Garden.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")}
	c.Shield.Issuers = []shield.Issuer{{Name: w.Authority.Name, Public: w.Authority.Public, Ground: w.Authority.Ground, File: w.Authority.OrderFile(o.Data), MustHave: w.Authority.MustHave}}
	c.Shield.Notices = demoNotices(c.Shield.Notices)
	c.Warning.PreviewHost = "preview.localhost"
	c.settle()
	return c, c.Validate()
}

// demoLife is what happens in the world once everything answers: people, the
// files that commands use, the first page, reports, visitors.
func demoLife(ctx context.Context, o DemoOptions, cfg Config, env Env, w demo.World, d *Desk) error {
	password, err := demoPassword(o.Data)
	if err != nil {
		return err
	}
	links := map[string]string{}
	for _, a := range w.Accounts {
		p, err := d.accounts.Seed(ctx, a.Login, account.Role(a.Role), password, a.MadeAt)
		if err != nil {
			return err
		}
		if a.Login == demo.Approver && p.Mail == "" { // is told what waits: see Sent mail
			if err := d.accounts.SetMail(ctx, p, a.Login+"@bolwerk.example"); err != nil {
				return err
			}
		}
		code, err := d.accounts.LoginLink(ctx, bolwerk.Task("demo"), a.Login)
		if err != nil {
			return err
		}
		links[a.Login] = d.people.Link(code)
	}
	token, _, err := d.accounts.CreateToken(ctx, bolwerk.Socket(), account.NewAPIToken{Login: demo.Decider, Name: "demo", Scopes: []account.Scope{account.Read, account.Report, account.DecideScope}, Days: 30})
	if err != nil {
		return err
	}
	tokenFile := filepath.Join(o.Data, "demo.token")
	if err := disk.Write(tokenFile, []byte(token.Reveal()+"\n"), "demo.token"); err != nil {
		return err
	}
	f := shield.DemoFile{Console: cfg.Console.URL, Public: cfg.Public.URL, DNS: cfg.DNS.Listen, RPZ: cfg.RPZ.Listen, Warning: cfg.Warning.Listen, TLS: cfg.Warning.TLS,
		SMTP: cfg.SMTP.Listen, HandIn: cfg.Hosts.Listen, Metrics: cfg.Metrics.Listen, Upstream: demoAddr(o, 5302), TokenFile: tokenFile, Data: o.Data}
	if err := f.Write(o.Data); err != nil {
		return err
	}
	if err := disk.Write(filepath.Join(o.Data, demo.AbuseFile), demo.AbuseMail(env.Clock.Now()), "demo.abuse"); err != nil {
		return err
	}
	if err := disk.Write(filepath.Join(o.Data, demo.FeedFile), demo.FeedTable(env.Clock.Now()), "demo.abuse"); err != nil {
		return err
	}
	flags := ""
	if here, err := filepath.Abs(shield.DemoFolder); err != nil || here != o.Data {
		flags = "--server " + f.Console + " --token-file " + tokenFile
	}
	_, port, _ := net.SplitHostPort(f.Warning)
	fmt.Fprintln(o.Out, demo.WhatToTry(demo.Addresses{Program: o.Binary, Dir: o.Data, Flags: flags, LogIn: links[demo.Decider], Second: links[demo.Approver], Password: password.Reveal(), Console: f.Console, Public: f.Public,
		Outbox: f.Console + "/mail", Preview: "http://" + cfg.Warning.PreviewHost + ":" + port + "/", DNS: f.DNS, RPZ: f.RPZ, Upstream: f.Upstream, Page: f.Warning, TLS: f.TLS, SMTP: f.SMTP, Garden: cfg.Abuse.Garden.URL}))
	fmt.Fprintln(o.Out, "ready")
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := demoServer(ctx, cfg, env); err != nil && ctx.Err() == nil {
			env.Log.Error("invented access server", "err", err)
		}
	})
	wg.Go(func() { demoReports(ctx, env, w, d) })
	wg.Go(func() {
		if err := d.demoAbuse(ctx); err != nil && ctx.Err() == nil {
			env.Log.Error("invented reports of abuse", "err", err)
		}
	})
	wg.Go(func() {
		if err := d.demoHistory(ctx, w); err != nil && ctx.Err() == nil {
			env.Log.Error("invented history", "err", err)
		}
	})
	wg.Go(func() {
		v := demo.Visitors{DNS: f.DNS, Page: f.Warning, TLS: f.TLS, Names: d.demoBlocked, Log: env.Log}
		if err := v.Run(ctx); err != nil && ctx.Err() == nil {
			env.Log.Error("invented visitors", "err", err)
		}
	})
	wg.Wait()
	return nil
}

// demoPassword is everybody's in the demo, so that an approval can be tried. It
// is another one in each folder, and of digits: among letters "tom" comes up, and
// a password with a log-in name in it is refused.
func demoPassword(dir string) (bolwerk.Secret, error) {
	path := filepath.Join(dir, "demo.password")
	if b, err := os.ReadFile(path); err == nil {
		return bolwerk.NewSecret(firstLine(b)), nil
	}
	var b [8]byte
	rand.Read(b[:])
	text := fmt.Sprintf("demo-%012d", binary.BigEndian.Uint64(b[:])%1e12) // 40 bits, behind loopback
	return bolwerk.NewSecret(text), disk.Write(path, []byte(text+"\n"), "demo.password")
}

// demoReports gives the desk the invented reports, each under its fixed id, so
// that a demo that was killed goes on without one of them coming twice.
func demoReports(ctx context.Context, env Env, w demo.World, d *Desk) {
	start := env.Clock.Now()
	for _, r := range demo.Reports(w) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(r.After - env.Clock.Now().Sub(start)):
		}
		in := r.Taken(env.Clock.Now(), bolwerk.NewToken())
		if err := d.shield.Receive(ctx, local[join.Intake], shield.KindReport, r.ID, in.Encode()); err != nil && ctx.Err() == nil {
			env.Log.Error("invented report not taken", "report", r.ID, "err", err)
		}
	}
}

// demoHistory gives the figures invented years, the newest days first. It
// is written ten days at a time, so that nothing waits behind it.
func (d *Desk) demoHistory(ctx context.Context, w demo.World) error {
	var days []shield.InventedDay
	for _, h := range w.History() {
		days = append(days, shield.InventedDay(h))
	}
	for len(days) > 0 {
		n := max(len(days)-10, 0)
		if err := d.shield.Invent(ctx, days[n:]); err != nil {
			return err
		}
		days = days[:n]
	}
	return nil
}

// demoBlocked are names of our own blocks in force, for the visitors.
func (d *Desk) demoBlocked(ctx context.Context) (names []string) {
	blocks, err := d.shield.Blocks(ctx, shield.BlockFilter{State: shield.InForce, Limit: 50})
	if err != nil {
		return nil
	}
	for _, b := range blocks {
		if b.OrderID == "" {
			names = append(names, b.Name.String())
		}
	}
	return names
}

// outbox lists the mails of a folder, for the demo's console.
func outbox(dir string) shield.Outbox {
	if dir == "" {
		return nil
	}
	return func(ctx context.Context) ([]mail.Message, error) { return mail.Outbox{Dir: dir}.List(ctx, 100) }
}
