package shield

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"bolwerk"
	"bolwerk/internal/mail"
	"bolwerk/shield/aid"
	"bolwerk/shield/judge"
)

// Days is a number of days in the configuration.
type Days int

// Days is the length of time.
func (d Days) Days() time.Duration { return time.Duration(d) * 24 * time.Hour }

// Config is the shield's part of the configuration.
type Config struct {
	// Operator is the name that the public sees; the whole configuration has it.
	Operator string `toml:"-"`
	// PublicURL is where the public site is reached; receipts link to it. It is
	// that of the site.
	PublicURL string `toml:"-"`
	// Ground is the legal ground of our own blocks, in words, on pages and in the audit trail.
	Ground string `toml:"ground"`
	// AnswerFrom is the sender of answers to reporters.
	AnswerFrom mail.Address `toml:"answer_from"`
	// ReportAddresses are ours: no answer ever goes to them. They are those of
	// the SMTP door.
	ReportAddresses []mail.Address `toml:"-"`
	// Texts is the folder of the texts that the operator words differently.
	Texts string `toml:"-"`
	// Voices are the sub-brands that answer reports in their own name.
	Voices []Voice `toml:"-"`
	// AuthservIDs are the names under which our own mail servers write
	// Authentication-Results; nobody else's are believed.
	AuthservIDs []string `toml:"authserv_ids"`
	// DKIMQuota is how many reports of one proved signing domain are judged in
	// an hour; what is more waits at the lowest priority.
	DKIMQuota int `toml:"dkim_quota_per_hour"`
	// ReceiptDays is how long a receipt can be looked up.
	ReceiptDays Days `toml:"receipt_days"`
	// Readers is how many reader processes run.
	Readers int `toml:"readers"`
	// OCR is the program that reads letters in pictures: tesseract, or its path. It
	// runs without network and can write nothing. Empty, the default, is off: a
	// person types the address that stands in a screenshot.
	OCR string `toml:"ocr"`
	// Brands are protected names, beside the compiled list of those that are
	// imitated most; a row with the name of one there replaces it.
	Brands []judge.Brand `toml:"brand"`
	// Lists are the operator's feeds and allow lists.
	Lists []ListConfig `toml:"list"`
	// FetchAllow are networks that are not public and from which lists and orders
	// may be fetched all the same, and to which issuers are told.
	FetchAllow []netip.Prefix `toml:"fetch_allow"`
	// Lookup says whom the desk may ask about reported names.
	Lookup LookupConfig `toml:"lookup"`
	// Platforms are added to the compiled platform list.
	Platforms []judge.Platform `toml:"platform"`
	// OwnNames are the operator's own domains: never blocked, with all below.
	OwnNames []bolwerk.Domain `toml:"own_names"`
	// KitRules is a folder of rules that know phishing kits, one YAML file each, in
	// the format of the public Indicators of Kits; read again when a file changes.
	// Rules for Dutch and Belgian brands come with the program.
	KitRules string `toml:"kit_rules"`
	// SuffixFile is a public suffix list to use instead of the built-in one: by it
	// pages are read, names judged and blocks sized.
	SuffixFile string `toml:"suffix_file"`
	// Landing are the addresses of the warning page, as resolvers answer them;
	// they are those of the edges.
	Landing []netip.Addr `toml:"-"`
	// Partners are whom the public pages name: somebody has to check them at times.
	Partners aid.Partners `toml:"-"`
	// Canary is a name in the policy zones that proves which serial a resolver
	// answers by.
	Canary bolwerk.Domain `toml:"canary"`
	// OpenFeed lets everybody who reaches the console's address fetch what is in
	// force as a file, without a token.
	OpenFeed bool `toml:"open_feed"`
	// Issuers are authorities whose orders are carried out.
	Issuers []Issuer `toml:"issuer"`
	// Automatic is what rules decide by themselves.
	Automatic AutoConfig `toml:"automatic"`
	// Chromium is the path of the browser that makes PDFs of reports; empty is
	// the one that is found in PATH, where one is installed.
	Chromium string `toml:"chromium"`
	// Visits is how suspect pages are looked at by the probes.
	Visits VisitConfig `toml:"visits"`
	// Notices say who outside is told of what was decided.
	Notices NoticeConfig `toml:"notices"`
}

// DefaultConfig is good enough for a first run.
func DefaultConfig() Config {
	return Config{
		Operator:    "Your operator",
		PublicURL:   "http://localhost:8081",
		Ground:      "Security of the network and of customers' equipment, Regulation (EU) 2015/2120 art. 3(3)(b)",
		AnswerFrom:  mail.MustAddress("shield@bolwerk.example"),
		DKIMQuota:   2000,
		ReceiptDays: 365,
		Readers:     2,
		Lookup:      LookupConfig{PerMinute: 60},
		Canary:      bolwerk.MustDomain("serial.zz-canary"),
		Automatic:   AutoConfig{Phishing: judge.Off, Malware: judge.Off, FakeShop: judge.Off, Scam: judge.Off},
		Notices:     NoticeConfig{Lang: bolwerk.EN, PerHour: 200},
	}
}

// Validate tells every problem at once.
func (c Config) Validate() error {
	var errs []error
	if c.Operator == "" {
		errs = append(errs, errors.New("shield.operator: the name that the public sees is missing"))
	}
	if u, err := url.Parse(c.PublicURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		errs = append(errs, fmt.Errorf("shield.public_url: %q is no web address", c.PublicURL))
	}
	errs = append(errs, c.Lookup.Validate(), c.Notices.Validate())
	if c.Ground == "" {
		errs = append(errs, errors.New("shield.ground: a block needs a legal ground"))
	}
	if c.AnswerFrom.IsZero() {
		errs = append(errs, errors.New("shield.answer_from: the sender of answers is missing"))
	}
	if c.ReceiptDays < 1 || c.ReceiptDays > 3650 {
		errs = append(errs, errors.New("shield.receipt_days: want 1 to 3650"))
	}
	if c.Readers < 1 || c.Readers > 64 {
		errs = append(errs, errors.New("shield.readers: want 1 to 64"))
	}
	seen := map[string]bool{}
	for i, l := range c.Lists {
		if err := l.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("shield.list %d: %w", i+1, err))
		}
		if l.Name == kitRules {
			errs = append(errs, fmt.Errorf("shield.list %d: %q is the name of the rules for kits", i+1, l.Name))
		}
		if seen[l.Name] {
			errs = append(errs, fmt.Errorf("shield.list %d: a second list named %q", i+1, l.Name))
		}
		seen[l.Name] = true
	}
	if err := c.Automatic.validate(seen); err != nil {
		errs = append(errs, err)
	}
	for i, is := range c.Issuers {
		if err := is.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("shield.issuer %d: %w", i+1, err))
		}
	}
	return errors.Join(errs...)
}
