package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"bolwerk"
	"bolwerk/abuse"
	"bolwerk/abuse/clearing"
	"bolwerk/abuse/contact"
	"bolwerk/abuse/door"
	gardenedge "bolwerk/abuse/edge"
	"bolwerk/abuse/enforce/access"
	"bolwerk/abuse/inform"
	"bolwerk/abuse/view"
	"bolwerk/abuse/who"
	"bolwerk/internal/account"
	"bolwerk/internal/brand"
	"bolwerk/internal/dnsserve"
	"bolwerk/internal/join"
	"bolwerk/internal/keypair"
	"bolwerk/internal/mail"
	"bolwerk/internal/mailbox"
	"bolwerk/internal/rpz"
	"bolwerk/internal/siem"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
	"bolwerk/internal/webhook"
	"bolwerk/shield"
	"bolwerk/shield/agent"
	"bolwerk/shield/aid"
	"bolwerk/shield/edge"
	"bolwerk/shield/probe"
	"bolwerk/shield/zones"
)

// Config is the whole configuration: one file for every role of a host. Each
// part belongs to the package that uses it.
type Config struct {
	// Data is the folder for everything that is kept; its owner alone may read it.
	Data string `toml:"data"`
	// Operator is the name of the operator, as the public sees it.
	Operator string `toml:"operator"`
	// Country is the operator's, as BE: it brings the national partners that we
	// know, where [[partners]] names none of that kind.
	Country string `toml:"country"`
	// Partners are whom people can call who gave something away; the public site
	// and the warning page show them.
	Partners aid.Partners `toml:"partners"`

	// Brand is the operator's name and look on console, public site and warning page.
	Brand brand.Brand `toml:"brand"`
	// SubBrands are further brands of the operator, for customers who know it by them.
	SubBrands []brand.Sub `toml:"sub_brand"`

	Store   store.Config   `toml:"store"`
	Console SiteConfig     `toml:"console"`
	Account account.Config `toml:"account"`
	Public  SiteConfig     `toml:"public"`
	Audit   AuditConfig    `toml:"audit"`
	Hosts   HostsConfig    `toml:"hosts"`
	Metrics ListenConfig   `toml:"metrics"`
	SMTP    mail.Config    `toml:"smtp"`
	// Mailboxes are mailboxes elsewhere that intakes fetch reports from.
	Mailboxes []mailbox.Config `toml:"mailbox"`
	Mail      MailConfig       `toml:"mail"`
	DNS       DNSConfig        `toml:"dns"`
	Warning   WarningConfig    `toml:"warning"`
	RPZ       RPZConfig        `toml:"rpz"`
	// Resolvers are further resolvers that "block explain" asks, address:port.
	Resolvers map[string]string `toml:"resolvers"`
	Shield    shield.Config     `toml:"shield"`
	// Abuse is the abuse desk.
	Abuse AbuseConfig `toml:"abuse"`
	// Probe is how a probe visits suspect pages.
	Probe probe.Config `toml:"probe"`
	// Agent is what runs beside a resolver that is not ours.
	Agent agent.Config `toml:"agent"`
	// Webhook says where facts may be told to.
	Webhook webhook.Config `toml:"webhook"`
}

// AbuseConfig is the abuse desk.
type AbuseConfig struct {
	abuse.Config
	// Who is who had an address at a time, at the desk.
	Who who.Config `toml:"who"`
	// Views are DNS views that follow the sessions of who chose them, at the desk.
	Views view.Config `toml:"views"`
	// Clearing is whose reports the desk fetches.
	Clearing clearing.Config `toml:"clearing"`
	// Garden is the safe environment of an edge.
	Garden gardenedge.Config `toml:"garden"`
	// Enforce is the access network, where quarantines are put in force, at the desk.
	Enforce access.Config `toml:"enforce"`
	// Accounting is where an intake takes RADIUS accounting.
	Accounting door.Config `toml:"accounting"`
	// Translations is where an intake hears of the blocks of ports that translators give.
	Translations door.TranslationsConfig `toml:"translations"`
	// Contact is the book of how subscribers are reached, at the desk.
	Contact contact.Config `toml:"contact"`
	// Inform is how subscribers are told, at the desk.
	Inform inform.Config `toml:"inform"`
}

// ListenConfig is an address to listen at.
type ListenConfig struct {
	// Listen is host:port.
	Listen string `toml:"listen"`
}

// SiteConfig is a site and where it listens.
type SiteConfig struct {
	// Listen is host:port, plain HTTP: a proxy with a certificate stands before it.
	Listen string `toml:"listen"`
	web.Config
}

// AuditConfig is what becomes of the audit trail beside being kept.
type AuditConfig struct {
	Export siem.Config `toml:"export"`
}

// HostsConfig is where edges and intakes reach the desk, and edges a relay.
type HostsConfig struct {
	// Listen is host:port of the desk, or of a relay: TLS with certificates on both
	// sides.
	Listen string `toml:"listen"`
	// Address is what join lines name: host:port as hosts reach it. Of several
	// desks at one store all, with commas between.
	Address string `toml:"address"`
	// Relays are where an edge takes its copies from, host:port each, the first
	// that answers: empty is the desk, and so it is while none of them answers.
	Relays []string `toml:"relays"`
}

// MailConfig is how mails go out: through the relay, or into a folder.
type MailConfig struct {
	Relay mail.RelayConfig `toml:"relay"`
	// Outbox keeps mails as files instead of sending them.
	Outbox string `toml:"outbox"`
	// DKIM are the keys with which mails are signed; none where the relay signs. Two of
	// one domain sign both: RSA, and Ed25519 for those who know it.
	DKIM []mail.DKIMConfig `toml:"dkim"`
}

// DNSConfig is the DNS server of an edge.
type DNSConfig struct {
	// Listen is host:port, UDP and TCP.
	Listen string `toml:"listen"`
	dnsserve.Config
}

// WarningConfig is the warning page of an edge.
type WarningConfig struct {
	// Listen is host:port of the page; TLS that of the door which counts the
	// name in a TLS greeting and ends the connection.
	Listen string `toml:"listen"`
	TLS    string `toml:"listen_tls"`
	edge.Config
}

// RPZConfig is the RPZ primary of the desk.
type RPZConfig struct {
	// Listen is host:port, UDP and TCP.
	Listen string `toml:"listen"`
	// ListenTLS is host:port for transfers over TLS (RFC 9103), mostly port 853;
	// empty: none. CertFile and KeyFile are the certificate with its chain and its
	// key in PEM; renewed files are taken up by themselves.
	ListenTLS string `toml:"listen_tls"`
	CertFile  string `toml:"cert_file"`
	KeyFile   string `toml:"key_file"`
	// Catalog is the name of a catalog zone (RFC 9432) that lists the policy zones,
	// such as catalog.rpz; empty: none.
	Catalog   string            `toml:"catalog"`
	Secondary []SecondaryConfig `toml:"secondary"`
	Key       []KeyConfig       `toml:"key"`
}

// SecondaryConfig is a resolver that transfers the zones.
type SecondaryConfig struct {
	// Name is for people and metrics.
	Name string `toml:"name"`
	// Notify is where it is told of a new serial, address:port; empty: it polls.
	Notify string `toml:"notify"`
	// From are the addresses that it transfers from. Key is the name of the key
	// that it signs with. One of both is needed; where both stand, both must fit.
	From []netip.Prefix `toml:"from"`
	Key  string         `toml:"key"`
	// Ask is where it answers questions, for "block explain"; empty: Notify.
	Ask string `toml:"ask"`
	// WithoutHot says that it lists p.rpz and b.rpz alone: it is judged by these.
	WithoutHot bool `toml:"without_hot"`
	// Catalog says that it takes its zones from the catalog, and is told of that.
	Catalog bool `toml:"catalog"`
}

// KeyConfig is a TSIG key.
type KeyConfig struct {
	// Name is a domain name in lower case, the same at the resolver.
	Name string `toml:"name"`
	// Algorithm is hmac-sha256, hmac-sha384 or hmac-sha512.
	Algorithm string `toml:"algorithm"`
	// File holds the secret in base64, 32 bytes or more, mode 0600.
	File string `toml:"file"`
}

// Default is good enough for a first run on one machine.
func Default() Config {
	c := Config{
		Data:     "./bolwerk-data",
		Operator: "Your operator",
		Account:  account.DefaultConfig(),
		Console:  SiteConfig{Listen: "127.0.0.1:8080", Config: web.DefaultConfig()},
		Public:   SiteConfig{Listen: "127.0.0.1:8081", Config: web.DefaultConfig()},
		Hosts:    HostsConfig{Listen: "127.0.0.1:8090", Address: "127.0.0.1:8090"},
		Metrics:  ListenConfig{Listen: "127.0.0.1:8089"},
		SMTP:     mail.DefaultConfig(),
		DNS:      DNSConfig{Listen: "127.0.0.1:5300", Config: dnsserve.DefaultConfig()},
		Warning:  WarningConfig{Listen: "127.0.0.1:8082", TLS: "127.0.0.1:8443", Config: edge.DefaultConfig()},
		RPZ:      RPZConfig{Listen: "127.0.0.1:5301"},
		Shield:   shield.DefaultConfig(),
		Abuse:    AbuseConfig{Config: abuse.DefaultConfig(), Who: who.DefaultConfig(), Views: view.DefaultConfig(), Garden: gardenedge.DefaultConfig(), Clearing: clearing.DefaultConfig(), Accounting: door.DefaultConfig(), Contact: contact.DefaultConfig(), Inform: inform.DefaultConfig()},
		Probe:    probe.DefaultConfig(),
		Agent:    agent.DefaultConfig(),
	}
	c.Public.URL = "http://localhost:8081"
	c.Console.Hosts = []string{"127.0.0.1", "[::1]", "::1", "localhost"}
	c.Public.Hosts = c.Console.Hosts
	c.SMTP.Listen = "127.0.0.1:2525"
	return c
}

// settle fills in what follows from other settings.
func (c *Config) settle() {
	if c.Store.URL == "" {
		c.Store.URL = filepath.Join(c.Data, "desk", "bolwerk.db")
	}
	if c.Mail.Relay.Addr == "" && c.Mail.Outbox == "" {
		c.Mail.Outbox = filepath.Join(c.Data, "outbox")
	}
	if c.Abuse.Inform.From.IsZero() {
		c.Abuse.Inform.From = c.Shield.AnswerFrom
	}
	c.Shield.Operator, c.Warning.Operator = c.Operator, c.Operator
	c.Shield.PublicURL = c.Public.URL
	c.Shield.ReportAddresses = c.SMTP.Addresses
	c.Shield.Visits.Languages = c.Public.Languages[:min(len(c.Public.Languages), 2)]
	main := c.Brand.Over(brand.Brand{Name: c.Operator})
	c.Console.Brand, c.Public.Brand, c.Warning.Brand, c.Public.Subs = main, main, main, nil
	c.Shield.Texts, c.Shield.Voices = main.Texts, nil
	for _, sub := range c.SubBrands {
		sub.Brand = sub.Brand.Over(main)
		c.Public.Subs = append(c.Public.Subs, sub)
		c.Shield.Voices = append(c.Shield.Voices, c.voiceOf(sub))
		if sub.ID == c.Warning.SubBrand {
			c.Warning.Brand = sub.Brand
		}
	}
	c.Warning.Partners = c.Partners.With(c.Country)
	c.Shield.Partners = c.Warning.Partners
	c.Shield.Landing = c.landing()
	if c.Warning.Site == "" {
		c.Warning.Site = c.Public.URL
	}
}

// landing are the addresses of the warning page.
func (c Config) landing() (out []netip.Addr) {
	for _, a := range c.Warning.WarningAddresses {
		if addr, err := netip.ParseAddr(a); err == nil {
			out = append(out, addr)
		}
	}
	return out
}

// Read reads a configuration file over the defaults. An unknown key is an error
// that names it and its line. An empty path is the defaults.
func Read(path string) (Config, error) {
	c := Default()
	if path != "" {
		f, err := os.Open(path)
		if err != nil {
			return c, fmt.Errorf("configuration: %w", err)
		}
		defer f.Close()
		if st, err := f.Stat(); err == nil && st.IsDir() {
			return c, bolwerk.WithHint(bolwerk.Invalid("configuration %s: it is a folder", path), "name the file in it, such as "+filepath.Join(path, "bolwerk.toml"))
		}
		d := toml.NewDecoder(io.LimitReader(f, 4<<20))
		d.DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			var strict *toml.StrictMissingError
			var decode *toml.DecodeError
			switch {
			case errors.As(err, &strict):
				var keys []string
				for _, e := range strict.Errors {
					row, _ := e.Position()
					keys = append(keys, fmt.Sprintf("line %d: unknown key %s", row, strings.Join(e.Key(), ".")))
				}
				return c, bolwerk.WithHint(bolwerk.Invalid("configuration %s: %s", path, strings.Join(keys, "; ")), "docs/lookup/configuration.md lists every key")
			case errors.As(err, &decode):
				row, col := decode.Position()
				return c, bolwerk.Invalid("configuration %s, line %d, column %d: %s", path, row, col, decode.Error())
			}
			return c, bolwerk.Invalid("configuration %s: %v", path, err)
		}
	}
	c.settle()
	return c, nil
}

// Validate tells every problem at once.
func (c Config) Validate() error { return c.validateFor("") }

// validateFor tells every problem that a role has; of the file of an agent or a relay, which
// belongs to a machine with nothing else of ours, only what that reads.
func (c Config) validateFor(role string) error {
	if role == string(join.Relay) {
		return c.needed()
	}
	if role == string(join.Agent) {
		return errors.Join(c.needed(), c.Warning.Config.Validate(), c.Agent.Validate())
	}
	var errs []error
	add := func(part string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", part, err))
		}
	}
	if err := c.needed(); err != nil {
		errs = append(errs, err)
	}
	if c.Country != "" && !aid.Country(c.Country) {
		add("country", bolwerk.Invalid("%q: want two capitals such as BE", c.Country))
	}
	add("partners", c.Partners.Validate())
	add("brand", c.checkBrands())
	add("store", c.Store.Validate())
	add("console", c.Console.Config.Validate())
	add("account", c.Account.Validate())
	add("audit.export", c.Audit.Export.Validate())
	add("audit.export.token_file", secretFile(c.Audit.Export.TokenFile))
	add("public", c.Public.Config.Validate())
	add("smtp", c.SMTP.Validate())
	boxes := map[string]bool{}
	for _, m := range c.Mailboxes {
		add("mailbox", m.Validate())
		add("mailbox "+m.Name+": password_file", secretFile(m.PasswordFile))
		if boxes[m.Name] {
			add("mailbox", bolwerk.Invalid("two of the name %q", m.Name))
		}
		boxes[m.Name] = true
	}
	for _, k := range c.Mail.DKIM {
		add("mail.dkim "+k.Selector, k.Validate())
		add("mail.dkim "+k.Selector+": key_file", secretFile(k.KeyFile))
	}
	if c.Mail.Relay.Addr != "" {
		add("mail.relay", c.Mail.Relay.Validate())
		add("mail.relay.password_file", secretFile(c.Mail.Relay.PasswordFile))
		if c.Mail.Outbox != "" {
			add("mail", bolwerk.Invalid("give a relay or an outbox, not both"))
		}
	}
	add("dns", c.DNS.Config.Validate())
	add("warning", c.Warning.Config.Validate())
	add("shield", c.Shield.Validate())
	add("abuse", c.Abuse.Config.Validate())
	for _, a := range c.Abuse.Addresses {
		if slices.ContainsFunc(c.SMTP.Addresses, a.Same) {
			add("abuse.addresses", bolwerk.WithHint(bolwerk.Invalid("%s is one of smtp.addresses too", a), "a mailbox belongs to one desk"))
		}
	}
	add("abuse.who", c.Abuse.Who.Validate())
	add("abuse.views", c.Abuse.Views.Validate())
	add("abuse.garden", c.Abuse.Garden.Validate())
	add("abuse.clearing", c.Abuse.Clearing.Validate())
	add("abuse.clearing.key_file", secretFile(c.Abuse.Clearing.KeyFile))
	add("abuse.clearing.secret_file", secretFile(c.Abuse.Clearing.SecretFile))
	if f := c.Abuse.Clearing.Feed; f != "" && !slices.ContainsFunc(c.Abuse.Feeds, func(a abuse.Feed) bool { return a.Name == f }) {
		add("abuse.clearing.feed", bolwerk.Invalid("no feed of abuse.feeds is called %.60q", f))
	}
	add("abuse.enforce", c.Abuse.Enforce.Validate())
	for name, file := range c.Abuse.Enforce.SecretFiles() {
		add("abuse.enforce "+name, secretFile(file))
	}
	for _, n := range c.Abuse.Enforce.NAS {
		if user := slices.Contains(n.Settled().Keys, "user"); user && c.Abuse.Accounting.Listen != "" && c.Abuse.Accounting.Subscriber != "user_name" {
			add("abuse.enforce.nas "+n.Name, bolwerk.WithHint(bolwerk.Invalid("keys has user, but abuse.accounting.subscriber is %s: the User-Name is not known", c.Abuse.Accounting.Subscriber), "name the key that accounting tells: class or calling, or port"))
		}
	}
	add("abuse.accounting", c.Abuse.Accounting.Validate())
	add("abuse.translations", c.Abuse.Translations.Validate())
	add("abuse.translations.key_file", secretFile(c.Abuse.Translations.KeyFile))
	add("abuse.contact", c.Abuse.Contact.Validate())
	add("abuse.inform", c.Abuse.Inform.Validate())
	for name, file := range c.Abuse.Inform.KeyFiles() {
		add("abuse.inform."+name, secretFile(file))
	}
	for _, cl := range c.Abuse.Accounting.Clients {
		add("abuse.accounting.client "+cl.Name+": secret_file", secretFile(cl.SecretFile))
	}
	add("probe", c.Probe.Validate())
	add("agent", c.Agent.Validate())
	if _, err := c.RPZ.config(c); err != nil {
		add("rpz", err)
	}
	if c.RPZ.ListenTLS != "" {
		if _, _, err := net.SplitHostPort(c.RPZ.ListenTLS); err != nil {
			add("rpz.listen_tls", bolwerk.Invalid("%q: want host:port", c.RPZ.ListenTLS))
		}
		if _, err := keypair.Load(c.RPZ.CertFile, c.RPZ.KeyFile, nil); err != nil {
			add("rpz.cert_file", err)
		}
	}
	for name, addr := range c.Resolvers {
		if _, err := netip.ParseAddrPort(addr); err != nil {
			add("resolvers."+name, bolwerk.Invalid("%q: want address:port", addr))
		}
	}
	for part, addr := range map[string]string{"console.listen": c.Console.Listen, "public.listen": c.Public.Listen, "hosts.listen": c.Hosts.Listen,
		"metrics.listen": c.Metrics.Listen, "smtp.listen": c.SMTP.Listen, "dns.listen": c.DNS.Listen,
		"warning.listen": c.Warning.Listen, "warning.listen_tls": c.Warning.TLS, "rpz.listen": c.RPZ.Listen} {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			add(part, bolwerk.Invalid("%q: want host:port", addr))
		}
	}
	add("hosts.address", join.CheckAddress(c.Hosts.Address))
	if len(c.Warning.WarningAddresses) == 0 {
		add("warning.warning_addresses", bolwerk.Invalid("the addresses at which customers reach the warning page are needed"))
	}
	if len(c.SMTP.Addresses) == 0 {
		add("smtp.addresses", bolwerk.Invalid("the report addresses are needed, such as suspicious@example.org"))
	}
	add("store.password_file", secretFile(c.Store.PasswordFile))
	for _, p := range c.Account.OIDC {
		add("account.oidc "+p.Name+": client_secret_file", secretFile(p.ClientSecretFile))
	}
	for _, i := range c.Shield.Issuers {
		add("shield.issuer "+i.Name+": key_file", secretFile(i.KeyFile))
	}
	for _, n := range c.Shield.Notices.To {
		add("shield.notices.to "+n.Name+": key_file", secretFile(n.KeyFile))
	}
	return errors.Join(errs...)
}

// secretFile refuses a secret that others can read.
func secretFile(path string) error {
	if path == "" {
		return nil
	}
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if st.Mode().Perm()&0o077 != 0 {
		return bolwerk.WithHint(bolwerk.Invalid("%s can be read by others (mode %04o)", path, st.Mode().Perm()), "chmod 600 "+path)
	}
	return nil
}

// config is the RPZ primary's configuration.
func (r RPZConfig) config(c Config) (rpz.Config, error) {
	out := rpz.DefaultConfig()
	for i := range out.Zones {
		own, err := zones.CanaryOf(out.Zones[i].Name, c.Shield.Canary)
		if err != nil {
			return out, err
		}
		out.Zones[i].Canary = own
		out.Zones[i].TTL = time.Duration(c.Warning.TTL) * time.Second
	}
	if r.Catalog != "" {
		var err error
		if out.Catalog, err = bolwerk.ParseDomain(r.Catalog); err != nil {
			return out, bolwerk.Invalid("catalog: %v", err)
		}
	}
	for _, k := range r.Key {
		key, err := rpz.ReadKey(k.Name, k.Algorithm, k.File)
		if err != nil {
			return out, err
		}
		out.Keys = append(out.Keys, key)
	}
	for _, s := range r.Secondary {
		sec := rpz.Secondary{Name: s.Name, From: s.From, Key: s.Key, Catalog: s.Catalog}
		if s.WithoutHot {
			sec.Without = []bolwerk.Domain{zones.Hot}
		}
		if s.Notify != "" {
			a, err := netip.ParseAddrPort(s.Notify)
			if err != nil {
				return out, bolwerk.Invalid("secondary %s: notify %q: want address:port", s.Name, s.Notify)
			}
			sec.Notify = a
		}
		out.Secondaries = append(out.Secondaries, sec)
	}
	return out, out.Validate()
}

// resolvers are whom "block explain" asks: those named, and every secondary.
func (c Config) resolvers() map[string]netip.AddrPort {
	out := map[string]netip.AddrPort{}
	for name, addr := range c.Resolvers {
		if a, err := netip.ParseAddrPort(addr); err == nil {
			out[name] = a
		}
	}
	for _, s := range c.RPZ.Secondary {
		ask := s.Ask
		if ask == "" {
			ask = s.Notify
		}
		if a, err := netip.ParseAddrPort(ask); err == nil {
			out[s.Name] = a
		}
	}
	return out
}

// warnings are what a person should look at, though everything works.
func (c Config) warnings(now time.Time) []string {
	out := c.Shield.Warnings()
	if len(c.Warning.Partners.Of(bolwerk.NL, aid.CardStop, aid.Bank)) == 0 {
		out = append(out, "partners: none of kind card_stop or bank: people who gave away their card are only told to call their bank")
	}
	out = append(out, c.Abuse.Enforce.Warnings()...)
	return append(out, c.Warning.Partners.Warnings(now)...)
}

// Check tells every problem of a configuration file at once, and warnings.
func Check(path string, out io.Writer) error {
	c, err := Read(path)
	if err != nil {
		return err
	}
	for _, w := range append(c.warnings(time.Now()), c.dkimWarnings(context.Background())...) {
		fmt.Fprintln(out, "warning:", w)
	}
	if err := c.Validate(); err != nil {
		return bolwerk.Invalid("%s", err)
	}
	fmt.Fprintln(out, "ok")
	return nil
}

// Print writes what is in force. There are no secrets in it: the configuration
// names files that hold them.
func Print(path string, out io.Writer) error {
	c, err := Read(path)
	if err != nil {
		return err
	}
	return toml.NewEncoder(out).Encode(c)
}

// logName names the log after the public site: it is part of its public key.
func (c Config) logName() string {
	if u, err := url.Parse(c.Public.URL); err == nil && u.Host != "" {
		return u.Host + "/log"
	}
	return "localhost/log"
}

// needed is what every role reads.
func (c Config) needed() error {
	var errs []error
	if c.Data == "" {
		errs = append(errs, fmt.Errorf("data: %w", bolwerk.Invalid("a folder is needed")))
	}
	if c.Operator == "" {
		errs = append(errs, fmt.Errorf("operator: %w", bolwerk.Invalid("the name of the operator is needed")))
	}
	return errors.Join(errs...)
}
