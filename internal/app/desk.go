package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/abuse"
	"bolwerk/abuse/contact"
	"bolwerk/abuse/enforce/access"
	abusefact "bolwerk/abuse/fact"
	"bolwerk/abuse/garden"
	"bolwerk/abuse/inform"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/view"
	"bolwerk/abuse/who"
	"bolwerk/desk"
	"bolwerk/docs"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
	"bolwerk/internal/audit"
	"bolwerk/internal/blob"
	"bolwerk/internal/copy"
	"bolwerk/internal/disk"
	"bolwerk/internal/factlog"
	"bolwerk/internal/handbook"
	"bolwerk/internal/handin"
	"bolwerk/internal/hosts"
	"bolwerk/internal/idem"
	"bolwerk/internal/inquiry"
	"bolwerk/internal/job"
	"bolwerk/internal/join"
	"bolwerk/internal/keypair"
	"bolwerk/internal/lease"
	"bolwerk/internal/ledger"
	"bolwerk/internal/mail"
	"bolwerk/internal/openlog"
	"bolwerk/internal/publish"
	"bolwerk/internal/relay"
	"bolwerk/internal/rpz"
	"bolwerk/internal/seal"
	"bolwerk/internal/siem"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
	"bolwerk/internal/web"
	"bolwerk/internal/webhook"
	"bolwerk/privacy"
	"bolwerk/shield"
	"bolwerk/shield/edge"
	"bolwerk/shield/fact"
	"bolwerk/shield/figures"
	"bolwerk/shield/reading"
)

// Schemas are the tables of the desk, in the order in which they are made.
func Schemas() []store.Schema {
	return []store.Schema{audit.Schema(), factlog.Schema(), blob.Schema(), job.Schema(), lease.Schema(), publish.Schema(), account.Schema(), siem.Schema(), idem.Schema(), hosts.Schema(), ledger.Schema(), webhook.Schema(), desk.Schema(), shield.Schema(), who.Schema(), abuse.Schema(), view.Schema(), quarantine.Schema(), contact.Schema(), inform.Schema(), access.Schema(), privacy.Schema()}
}

// Desk is the role desk, built.
type Desk struct {
	cfg       Config
	env       Env
	started   time.Time
	db        *store.DB
	shield    *shield.Shield
	who       *who.Who
	sessions  *vault.Vault // keys of the map of addresses
	abuse     *abuse.Desk
	contacts  *contact.Book
	views     *view.Views
	holds     *privacy.Holds
	privacy   *privacy.Desk
	access    *access.Access
	accounts  *account.Accounts
	people    *account.Pages
	hosts     *hosts.List
	authority *join.Authority
	publish   *publish.Desk
	lease     *lease.Lease
	ledger    *ledger.Desk
	hooks     *webhook.Hooks
	vault     *vault.Vault
	months    []*vault.Vault // all that the desk has
	jobs      *job.Runner

	back  []part // work: ends after the doors
	front []part // doors: end first
}

// BuildDesk opens everything that the role desk needs. Close it when Run was
// not called.
func BuildDesk(ctx context.Context, cfg Config, env Env) (_ *Desk, err error) {
	dir := filepath.Join(cfg.Data, "desk")
	if err := disk.MakeDir(dir); err != nil {
		return nil, err
	}
	d := &Desk{cfg: cfg, env: env, started: env.Clock.Now()}
	if d.db, err = store.Open(ctx, cfg.Store, env.Clock); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.db.Close()
		}
	}()
	if err := d.db.Migrate(ctx, Schemas()...); err != nil {
		return nil, err
	}
	if d.db.Postgres() {
		if err := agreeKeys(ctx, d.db, filepath.Join(dir, "keys")); err != nil {
			return nil, err
		}
	}
	if d.vault, err = d.openKeys(ctx, "columns"); err != nil {
		return nil, err
	}
	reg := env.registry("desk")
	facts := factlog.New(d.db, env.Log)
	jobs := job.New(d.db, env.Clock, env.Log)
	jobs.Measure(reg)
	d.publish = publish.New(d.db, cfg.Operator)
	d.lease = lease.New(d.db, "publication", env.Log, reg)
	key, err := ledger.OpenKey(filepath.Join(dir, "keys", "log.key"), cfg.logName())
	if err != nil {
		return nil, err
	}
	d.ledger = ledger.New(d.db, key, env.Clock)
	if err := d.ledger.Begin(ctx); err != nil {
		return nil, err
	}
	pool := reading.NewPool(cfg.Shield.Readers, env.Reader, 0, env.Log)
	slow := reading.NewPool(1, env.Reader, slowDeadline, env.Log).Behind()
	d.shield = shield.New(cfg.Shield, shield.Parts{DB: d.db, Clock: env.Clock, Log: env.Log, Facts: facts, Vault: d.vault, Blobs: blob.New(d.vault),
		Publish: d.publish, Ledger: d.ledger, Holder: d.lease, Reader: pool, Slow: slow, OCR: letters(ctx, cfg.Shield.OCR, env, slow), Metrics: reg, Resolvers: cfg.resolvers()})
	if err := d.shield.Load(ctx); err != nil {
		return nil, err
	}
	send, err := sender(cfg.Mail)
	if err != nil {
		return nil, err
	}
	d.shield.Handle(jobs, send)
	d.jobs = jobs
	if err := d.buildFeed(reg); err != nil {
		return nil, err
	}
	if err := d.buildWho(ctx, reg); err != nil {
		return nil, err
	}
	if err := d.buildAccess(ctx, reg); err != nil {
		return nil, err
	}
	if err := d.buildHolds(ctx); err != nil {
		return nil, err
	}
	if err := d.buildAbuse(ctx, pool, send, facts, reg); err != nil {
		return nil, err
	}
	if err := d.buildPrivacy(); err != nil {
		return nil, err
	}
	d.makeAhead()
	if err := d.buildHosts(reg); err != nil {
		return nil, err
	}
	if err := d.buildConsole(reg); err != nil {
		return nil, err
	}
	if d.db.Postgres() { // what was made just now is what other desks must have
		if err := agreeKeys(ctx, d.db, filepath.Join(dir, "keys")); err != nil {
			return nil, err
		}
	}
	export, err := siem.New(cfg.Audit.Export, d.db, (&net.Dialer{}).DialContext, env.Log, reg)
	if err != nil {
		return nil, fmt.Errorf("audit.export: %w", err)
	}
	d.back = append(d.back, part{"keys of months", d.keepKeys}, part{"lease", d.lease.Run}, part{"other desks", d.publish.Watch}, part{"audit export", d.once("audit export", export.Run)}, part{"readers", pool.Run}, part{"slow reader", slow.Run}, part{"jobs", jobs.Run}, part{"shield", d.shield.Run}, part{"restore", d.once("restore", d.restoring)}, part{"retention", d.once("retention", d.retain)},
		part{"ballast", func(ctx context.Context) error { return d.db.KeepBallast(ctx, env.Log) }})
	return d, nil
}

// once is work that one desk at a time does.
func (d *Desk) once(name string, work func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error { return d.lease.While(ctx, name, work) }
}

// slowDeadline is how long the pictures and PDFs of one report may take: the
// bounds on work are some seconds of an idle machine, and this reader has the
// lowest priority.
const slowDeadline = 45 * time.Second

// letters is the program that reads letters in pictures, or nil: a person does.
func letters(ctx context.Context, program string, env Env, pool *reading.Pool) *reading.OCR {
	if program == "" {
		return nil
	}
	o, err := reading.NewOCR(ctx, program, env.Reader, pool)
	if err != nil {
		env.Log.Error("letters in pictures are left to a person", "alarm", true, "why", err)
		return nil
	}
	env.Log.Info("letters in pictures are read", "program", program, "languages", o.Languages())
	return o
}

// sender is the way out for mails.
func sender(cfg MailConfig) (shield.Sender, error) {
	sign, err := mail.NewSigner(cfg.DKIM)
	if err != nil {
		return nil, fmt.Errorf("mail.%w", err)
	}
	if cfg.Relay.Addr == "" {
		return mail.Outbox{Dir: cfg.Outbox, Sign: sign}, disk.MakeDir(cfg.Outbox)
	}
	var password bolwerk.Secret
	if cfg.Relay.PasswordFile != "" {
		b, err := os.ReadFile(cfg.Relay.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("mail.relay.password_file: %w", err)
		}
		password = bolwerk.NewSecret(firstLine(b))
	}
	return mail.NewRelay(cfg.Relay, password, sign, (&net.Dialer{}).DialContext), nil
}

func (d *Desk) buildFeed(reg prometheus.Registerer) error {
	cfg, err := d.cfg.RPZ.config(d.cfg)
	if err != nil {
		return fmt.Errorf("rpz: %w", err)
	}
	primary, err := rpz.New(cfg, d.env.Clock, d.env.Log, reg)
	if err != nil {
		return fmt.Errorf("rpz: %w", err)
	}
	udp, err := net.ListenPacket("udp", d.cfg.RPZ.Listen)
	if err != nil {
		return fmt.Errorf("rpz.listen: %w", err)
	}
	tcp, err := net.Listen("tcp", d.cfg.RPZ.Listen)
	if err != nil {
		udp.Close()
		return fmt.Errorf("rpz.listen: %w", err)
	}
	listeners := []net.Listener{tcp}
	if l := d.cfg.RPZ.ListenTLS; l != "" {
		pair, err := keypair.Load(d.cfg.RPZ.CertFile, d.cfg.RPZ.KeyFile, d.env.Log)
		if err == nil {
			var over net.Listener
			if over, err = tls.Listen("tcp", l, rpz.TLS(pair)); err == nil {
				listeners = append(listeners, over)
			}
		}
		if err != nil {
			udp.Close()
			tcp.Close()
			return fmt.Errorf("rpz.listen_tls: %w", err)
		}
	}
	primary.Only(d.lease.Held)
	feed := shield.NewFeed(d.publish, d.db, primary, d.cfg.Shield.Landing, edge.PulseName(d.cfg.Shield.Canary), d.env.Clock, d.env.Log)
	d.shield.Follow(feed)
	d.back = append(d.back, part{"policy zones", d.once("policy zones", feed.Run)}, part{"rpz primary", func(ctx context.Context) error { return primary.Run(ctx, udp, listeners...) }})
	return nil
}

// buildHosts is where edges and intakes hand in and follow their copies.
func (d *Desk) buildHosts(reg prometheus.Registerer) error {
	keys := filepath.Join(d.cfg.Data, "desk", "keys")
	ca, err := join.OpenCA(keys, d.cfg.Operator, d.env.Clock.Now())
	if err != nil {
		return err
	}
	signer, err := copy.OpenSigner(filepath.Join(keys, "copies.pem"), d.cfg.Operator)
	if err != nil {
		return err
	}
	sealing, err := seal.Load(filepath.Join(keys, "seal.pem"))
	if errors.Is(err, fs.ErrNotExist) {
		if sealing, err = seal.NewKey(); err == nil {
			err = sealing.Save(filepath.Join(keys, "seal.pem"))
		}
	}
	if err != nil {
		return err
	}
	d.hooks = webhook.New(d.cfg.Webhook, d.db, sealing, append(fact.Subjects(), abusefact.Subjects()...), d.env.Clock, d.env.Log, reg)
	d.back = append(d.back, part{"webhooks", d.hooks.Run})
	d.hooks.Handle(d.jobs)
	d.hosts = hosts.New(d.db)
	if err := d.hosts.Publish(context.Background(), d.publish); err != nil {
		return err
	}
	d.authority = &join.Authority{CA: ca, Register: d.hosts, Operator: d.cfg.Operator, Address: d.cfg.Hosts.Address, CopyKey: signer.Public(),
		SealKey: sealing.Public(), Clock: d.env.Clock, Log: d.env.Log}
	roles := map[string][]join.Role{shield.CopyBlocks: {join.Edge, join.Agent, join.Relay}, shield.CopyPublic: {join.Intake}, shield.CopyProbe: {join.Probe},
		view.Copy: {join.Edge, join.Relay}, garden.Copy: {join.Edge, join.Relay}, relay.Copy: {join.Relay}}
	kinds := shield.Kinds()
	maps.Copy(kinds, who.Kinds())
	maps.Copy(kinds, abuse.Kinds())
	receiver := handin.NewReceiver(kinds, []seal.PrivateKey{sealing}, func(ctx context.Context, it handin.Item) error {
		if _, ok := who.Kinds()[it.Kind]; ok {
			return d.who.Receive(ctx, it.Kind, it.Body)
		}
		if _, ok := abuse.Kinds()[it.Kind]; ok {
			return d.abuse.Receive(ctx, it.Host, it.Kind, it.ID, it.Body)
		}
		return d.shield.Receive(ctx, it.Host, it.Kind, it.ID, it.Body)
	}, d.hosts.Replay, d.env.Log)
	receiver.Replayed = d.hosts.Replayed
	copies := copy.NewHandler(d.publish, signer, roles, d.env.Clock, d.env.Log)
	copies.Gather = map[string]time.Duration{shield.CopyPublic: 250 * time.Millisecond} // it changes with every report
	w := newWatch(d.env.Clock, d.publish)
	copies.Current = d.lease.Current
	copies.Seen = func(ctx context.Context, p copy.Poll) {
		if p.Copy != shield.CopyBlocks && (p.Role == join.Edge || p.Role == join.Relay) {
			return // how far an edge is, its blocks say
		}
		w.seen(ctx, p)
		d.shield.Saw(ctx, p)
	}
	if d.db.Postgres() {
		d.back = append(d.back, part{"hosts of other desks", func(ctx context.Context) error { return w.share(ctx, d.hosts, d.shield.HeardProbe) }})
	}
	d.shield.Watching(shield.Watch{Hosts: w.now, Alarms: func() []string { return d.env.alarms.recent(d.env.Clock.Now()) }})
	d.askHeld(copies, d.cfg.Operator, signer.Public())
	mux := http.NewServeMux()
	d.authority.Routes(mux)
	mux.Handle("/v1/handin", d.authority.Require(receiver, join.Roles()...))
	mux.Handle("/v1/handin/", d.authority.Require(receiver, join.Roles()...))
	mux.Handle(openlog.Path, d.authority.Require(ledger.NewHandler(d.ledger, d.env.Clock, d.env.Log), join.Intake))
	asked := inquiry.New()
	d.shield.Asking(asked)
	inquire := d.authority.Require(asked, join.Edge, join.Agent)
	mux.Handle(inquiry.Path, inquire)
	mux.Handle(inquiry.Path+"/", inquire)
	mux.Handle("/v1/copy/", d.authority.Require(copies, join.Roles()...))
	mux.Handle(relay.Path, d.authority.Require(&relay.Desk{Known: d.hosts.Edges, Log: d.env.Log, Told: func(_ context.Context, name string, edges []relay.Edge) {
		w.told(edges)
		d.shield.Told(name, edges)
	}}, join.Relay))
	l, err := net.Listen("tcp", d.cfg.Hosts.Listen)
	if err != nil {
		return fmt.Errorf("hosts.listen: %w", err)
	}
	d.front = append(d.front, part{"hosts", func(ctx context.Context) error { return serveHosts(ctx, l, d.authority.TLS(), mux, d.env.Log) }})
	return nil
}

// buildConsole is the staff's site and API, and the admin socket.
func (d *Desk) buildConsole(reg prometheus.Registerer) error {
	d.accounts = account.New(d.db, shield.Published)
	d.accounts.Use(d.cfg.Account, d.vault)
	d.accounts.Measure(reg)
	d.accounts.Second(desk.People{})
	d.accounts.OfBrands(d.cfg.Shield.BrandNames())
	metrics, err := web.NewMetrics(reg)
	if err != nil {
		return err
	}
	words, err := account.Texts()
	if err != nil {
		return err
	}
	shieldWords, err := shield.Texts()
	if err != nil {
		return err
	}
	places := append(shield.Places(), web.Place{Path: "/people", Text: "account.people.title", For: func(w *web.Who) bool { return w.Role == string(account.Administrator) }}, shield.HookPlace())
	if d.cfg.Mail.Outbox != "" {
		places = append(places, shield.OutboxPlace())
	}
	figureWords, err := figures.Texts()
	if err != nil {
		return err
	}
	abuseWords, err := abuse.Texts()
	if err != nil {
		return err
	}
	privacyWords, err := privacy.Texts()
	if err != nil {
		return err
	}
	places = append(places, abuse.Places()...)
	places = append(places, privacy.Places()...)
	places = append(shield.OurPlaces(append(places, handbook.Place())...), shield.OwnerPlaces()...)
	frame, err := web.New(web.Site{Name: "console", Config: d.cfg.Console.Config, Console: true, Search: "/search", Places: places, Who: account.Who,
		Texts: []*web.Texts{words, shieldWords, figureWords, abuseWords, privacyWords}, Clock: d.env.Clock, Log: d.env.Log, Metrics: metrics})
	if err != nil {
		return err
	}
	lang := d.cfg.Console.Languages[0]
	desk.Teller{DB: d.db, Vault: d.vault, Accounts: d.accounts, URL: frame.URL, Lang: lang, From: d.cfg.Shield.AnswerFrom, FromName: d.cfg.Operator, Proposals: d.cfg.Account.TellProposals, Log: d.env.Log,
		T: func(key string, args ...any) string { return frame.Texts().T(lang, key, args...) }}.Handle(d.jobs)
	door := account.NewDoor(d.accounts, frame)
	people, err := account.NewPages(door)
	d.people = people
	if err != nil {
		return err
	}
	pages, err := shield.NewPages(d.shield, frame, outbox(d.cfg.Mail.Outbox))
	if err != nil {
		return err
	}
	book, err := handbook.New(frame, docs.Files)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	book.Routes(mux, frame, func(h http.Handler) http.Handler { return door.Require(account.Look, h) })
	people.Routes(mux)
	pages.Webhooks(d.hooks)
	pages.Routes(mux, door)
	pages.Elsewhere(abuse.Find)
	pages.Beside(d.abuse.Waits)
	pages.Beside(d.privacy.Waits)
	complaints, err := abuse.NewPages(d.abuse, frame)
	if err != nil {
		return err
	}
	kit, err := garden.New(d.cfg.gardenLook())
	if err != nil {
		return err
	}
	complaints.Garden(kit, d.views)
	complaints.Routes(mux, door)
	officer, err := privacy.NewPages(d.privacy, frame)
	if err != nil {
		return err
	}
	officer.Routes(mux, door)
	routes := api.New(mux, door, idem.New(d.db, d.vault, d.env.Log), d.env.Log)
	names := shield.NewAPI(d.shield)
	names.Webhooks(d.hooks)
	names.Routes(routes, mux)
	d.abuse.API(routes)
	d.privacy.API(routes)
	routes.Done()
	l, err := net.Listen("tcp", d.cfg.Console.Listen)
	if err != nil {
		return fmt.Errorf("console.listen: %w", err)
	}
	admin, err := account.ListenAdmin(filepath.Join(d.cfg.Data, "desk"))
	if err != nil {
		l.Close()
		return err
	}
	socket := account.NewAdmin(d.accounts, people.Link, d.env.Log)
	d.front = append(d.front,
		part{"console", func(ctx context.Context) error { return web.Serve(ctx, l, frame.Handler(mux), d.env.Log) }},
		part{"admin socket", func(ctx context.Context) error { return web.Serve(ctx, admin, d.admin(socket.Handler()), d.env.Log) }})
	return nil
}

// Run does the desk's work until ctx ends: the doors close first, then the
// work under way is finished, then the store closes.
func (d *Desk) Run(ctx context.Context) error {
	err := runOrdered(ctx, d.env.Log, d.front, d.back)
	return errors.Join(err, d.db.Close())
}
