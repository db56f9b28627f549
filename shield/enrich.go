package shield

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/store"
	"bolwerk/shield/judge"
	"bolwerk/shield/lookup"
)

// LookupConfig says whom the desk may ask about reported names. Without it
// nobody is asked.
type LookupConfig struct {
	// RDAP is the path of IANA's bootstrap file dns.json (RFC 9224); empty asks no
	// registry when a domain was registered.
	RDAP string `toml:"rdap"`
	// Networks are the paths of IANA's bootstrap files ipv4.json and ipv6.json,
	// to find whose network a page stands in; without them no host is told.
	Networks []string `toml:"networks"`
	// PerMinute is how many questions one registry gets in a minute.
	PerMinute int `toml:"per_minute"`
	// Resolver is the address:port of a resolver of our own without blocks, asked
	// for addresses and name servers, and for the records of mail.dkim; empty asks none.
	Resolver string `toml:"resolver"`
	// Logs are certificate transparency logs that are followed for new names near
	// the protected brands.
	Logs []CTLog `toml:"log"`
}

// CTLog is one certificate transparency log.
type CTLog struct {
	// Name is for people.
	Name string `toml:"name"`
	// URL is its address, without what a question adds.
	URL string `toml:"url"`
	// Static says that it is read by tiles (static-ct-api) instead of RFC 6962.
	Static bool `toml:"static"`
	// Skip is how many certificates it may be ahead before those between are left
	// out, counted and logged.
	Skip int64 `toml:"skip"`
}

// Validate tells every problem at once.
func (c LookupConfig) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, bolwerk.Invalid("shield.lookup: "+format, a...)) }
	if c.RDAP != "" {
		if _, err := c.bootstrap(); err != nil {
			bad("rdap: %v", err)
		}
		if c.PerMinute < 1 || c.PerMinute > 6000 {
			bad("per_minute = %d: want 1 to 6000", c.PerMinute)
		}
	}
	if _, err := c.networks(); err != nil {
		bad("networks: %v", err)
	}
	if c.Resolver != "" {
		if _, err := netip.ParseAddrPort(c.Resolver); err != nil {
			bad("resolver %q: want address:port", c.Resolver)
		}
	}
	names := map[string]bool{}
	for _, l := range c.Logs {
		if u, err := url.Parse(l.URL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || l.Name == "" || names[l.Name] {
			bad("log %.40q at %.200q: want a name of its own and a web address", l.Name, l.URL)
		}
		if l.Skip < 0 {
			bad("log %.40q: skip = %d", l.Name, l.Skip)
		}
		names[l.Name] = true
	}
	return errors.Join(errs...)
}

func (c LookupConfig) bootstrap() (lookup.Bootstrap, error) {
	f, err := os.Open(c.RDAP)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return lookup.ParseBootstrap(f)
}

func (c LookupConfig) networks() (all lookup.Networks, err error) {
	for _, path := range c.Networks {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		some, err := lookup.ParseNetworks(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// Times of what is asked.
const (
	askEvery   = time.Second
	askSome    = 20                  // names in one go
	askAtOnce  = 4                   // of them
	askTime    = 10 * time.Second    // for one question
	askAgain   = 30 * 24 * time.Hour // after an answer, where the name is reported again
	askFailed  = 10 * time.Minute    // after a failure, doubled up to a day
	askTries   = 8
	youngCert  = 7 * 24 * time.Hour
	seenOfName = 200 // observables of one domain that hear of an answer
)

// planLookup asks for what is known of a name's registrable domain, once a month.
// What is popular, shared or a tenant's tells nothing by its registration.
func (s *Shield) planLookup(tx *store.Tx, f found) error {
	c := s.cfg.Lookup
	if c.RDAP == "" && c.Resolver == "" || f.popular || f.place.Shared || !f.place.Tenant.IsZero() || f.place.Registrable.IsZero() {
		return nil
	}
	_, err := tx.Exec(`insert into shield_registration(name,state,due_at,tries,known,created_at,at) values($1,'waiting',$2,0,'',0,0)
		on conflict(name) do update set state='waiting', due_at=excluded.due_at, tries=0 where shield_registration.state<>'waiting' and shield_registration.at<$3`,
		f.place.Registrable.String(), tx.NowMicros(), store.Micros(tx.Now().Add(-askAgain)))
	return err
}

// known is what was answered about a domain, as it is kept.
type known struct {
	Registration lookup.Registration `json:"registration,omitzero"`
	Unregistered bool                `json:"unregistered,omitempty"`
	NoRegistry   bool                `json:"no_registry,omitempty"` // no RDAP server of the suffix
	DNS          *lookup.Answers     `json:"dns,omitempty"`
	RDAPFailed   string              `json:"rdap_failed,omitempty"`
	DNSFailed    string              `json:"dns_failed,omitempty"`
}

// pace lets a registry be asked so often.
type pace struct {
	mu   sync.Mutex
	next map[string]time.Time
}

// wait says how long to wait before asking, and reserves the place.
func (p *pace) wait(server string, now time.Time, each time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.next[server]
	if at.Before(now) {
		at = now
	}
	if p.next == nil || len(p.next) > 1000 {
		p.next = map[string]time.Time{}
	}
	p.next[server] = at.Add(each)
	return at.Sub(now)
}

// lookAll asks about names until ctx ends.
func (s *Shield) lookAll(ctx context.Context) error {
	if s.cfg.Lookup.RDAP == "" && s.cfg.Lookup.Resolver == "" {
		return nil
	}
	boot := lookup.Bootstrap{}
	if s.cfg.Lookup.RDAP != "" {
		b, err := s.cfg.Lookup.bootstrap()
		if err != nil {
			s.log.Error("registries cannot be asked", "alarm", true, "err", err)
		}
		boot = b
	}
	var servers pace
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		n, err := s.lookSome(ctx, boot, &servers)
		if err != nil && ctx.Err() == nil {
			s.log.Error("names not looked up", "err", err)
		}
		if n == askSome && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *Shield) lookSome(ctx context.Context, boot lookup.Bootstrap, servers *pace) (int, error) {
	type row struct {
		name  string
		tries int
	}
	var due []row
	err := s.db.Read(ctx, func(tx *store.Tx) (err error) {
		due, err = store.List(tx, func(scan func(...any) error) (r row, err error) { err = scan(&r.name, &r.tries); return r, err },
			`select name,tries from shield_registration where state='waiting' and due_at<=$1 order by due_at limit $2`, tx.NowMicros(), askSome)
		return err
	})
	if err != nil {
		return 0, err
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, askAtOnce)
	for _, r := range due {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := s.lookOne(ctx, boot, servers, r.name, r.tries); err != nil && ctx.Err() == nil {
				s.log.Error("a name was not looked up", "err", err)
			}
		})
	}
	wg.Wait()
	return len(due), ctx.Err()
}

// lookOne asks about one domain and tells all that was reported below it.
func (s *Shield) lookOne(ctx context.Context, boot lookup.Bootstrap, servers *pace, text string, tries int) error {
	name, err := bolwerk.ParseDomain(text)
	if err != nil {
		return err
	}
	var k known
	if server, ok := boot.Server(name); !ok {
		k.NoRegistry = true
	} else {
		wait := servers.wait(server, s.clock.Now(), time.Minute/time.Duration(s.cfg.Lookup.PerMinute))
		if wait > askTime { // later, without counting it as a try
			return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
				_, err := tx.Exec(`update shield_registration set due_at=$1 where name=$2`, store.Micros(tx.Now().Add(wait)), text)
				return err
			})
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		asked, cancel := context.WithTimeout(ctx, askTime)
		k.Registration, err = boot.Ask(asked, s.asker, name)
		cancel()
		switch {
		case errors.Is(err, lookup.ErrUnregistered):
			k.Unregistered = true
		case err != nil:
			k.RDAPFailed = short(err)
		}
	}
	if to, err := netip.ParseAddrPort(s.cfg.Lookup.Resolver); err == nil {
		asked, cancel := context.WithTimeout(ctx, askTime)
		a, err := lookup.Resolve(asked, to, name, name)
		cancel()
		if k.DNS = &a; err != nil {
			k.DNS, k.DNSFailed = nil, short(err)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	packed, err := json.Marshal(k)
	if err != nil {
		return err
	}
	state, due := "known", int64(0)
	if failed := k.RDAPFailed + k.DNSFailed; failed != "" {
		if state = "failed"; tries+1 < askTries {
			state, due = "waiting", store.Micros(s.clock.Now().Add(min(askFailed<<tries, 24*time.Hour)))
		}
	}
	s.count.lookups.WithLabelValues(state).Inc()
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		if _, err := tx.Exec(`update shield_registration set state=$1, due_at=$2, tries=tries+1, known=$3, created_at=$4, at=$5 where name=$6`,
			state, due, string(packed), store.Micros(k.Registration.Created), tx.NowMicros(), text); err != nil {
			return err
		}
		return s.tellKnown(tx, name, k)
	})
}

func short(err error) string {
	text := strings.ToValidUTF8(err.Error(), "?")
	return text[:min(len(text), 300)]
}

// tellKnown makes evidence of what was answered, for all that was reported of a
// domain, and judges that anew.
func (s *Shield) tellKnown(tx *store.Tx, name bolwerk.Domain, k known) error {
	evidence, keys := k.evidence(tx.Now(), name), k.registerKeys()
	type heard struct{ id, caseID string }
	all, err := store.List(tx, func(scan func(...any) error) (h heard, err error) { err = scan(&h.id, &h.caseID); return h, err },
		`select id,case_id from shield_observable where registrable=$1 order by last_seen desc limit $2`, name.String(), seenOfName)
	if err != nil {
		return err
	}
	for _, o := range all {
		if err := s.addEvidence(tx, o.id, evidence); err != nil {
			return err
		}
		if err := s.rescope(tx, o.id); err != nil {
			return err
		}
		if err := s.registeredAs(tx, o.caseID, keys); err != nil {
			return err
		}
		if err := s.toldLate(tx, o.caseID, evidence); err != nil {
			return err
		}
	}
	return s.siblingsRegistered(tx, name, keys)
}

// addEvidence keeps new evidence of a source in place of what it said before,
// and judges anew.
func (s *Shield) addEvidence(tx *store.Tx, observable string, evidence []judge.Evidence) error {
	for _, e := range evidence {
		if _, err := tx.Exec(`delete from shield_evidence where observable=$1 and family=$2 and source=$3`, observable, string(e.Family), e.Source); err != nil {
			return err
		}
	}
	return s.judgeWith(tx, observable, evidence)
}

// evidence is what an answer says: a young domain is suspicious in tier 3, so
// that it never makes a verdict alone; what failed is shown and never clean.
func (k known) evidence(now time.Time, name bolwerk.Domain) (out []judge.Evidence) {
	say := func(family judge.Family, source string, w judge.Word, reason, format string, a ...any) {
		out = append(out, judge.Evidence{Family: family, Source: source, Tier: 3, Verdict: w, Reason: reason, Detail: fmt.Sprintf(format, a...)})
	}
	r := k.Registration
	switch {
	case k.RDAPFailed != "":
		say(judge.FamilyRegistration, "rdap", judge.Failed, "rdap_failed", "%s", k.RDAPFailed)
	case k.NoRegistry:
		say(judge.FamilyRegistration, "rdap", judge.NoData, "no_registry", "no RDAP server is known for the suffix of %s", name)
	case k.Unregistered:
		say(judge.FamilyRegistration, "rdap", judge.NoData, "unregistered", "the registry knows no %s", name)
	case r.Created.IsZero():
		say(judge.FamilyRegistration, "rdap", judge.NoData, "no_date", "the registry does not say when %s was registered%s", name, atRegistrar(r.Registrar))
	case now.Sub(r.Created) <= judge.Fresh:
		say(judge.FamilyRegistration, "rdap", judge.Suspicious, "young", "%s was registered %d days ago (%s)%s", name, int(now.Sub(r.Created)/(24*time.Hour)), r.Created.Format(time.DateOnly), atRegistrar(r.Registrar))
	default:
		say(judge.FamilyRegistration, "rdap", judge.NoData, "registered", "%s was registered on %s%s", name, r.Created.Format(time.DateOnly), atRegistrar(r.Registrar))
	}
	switch {
	case k.DNSFailed != "":
		say(judge.FamilyRegistration, "dns", judge.Failed, "dns_failed", "%s", k.DNSFailed)
	case k.DNS != nil && k.DNS.Missing:
		say(judge.FamilyRegistration, "dns", judge.NoData, "nxdomain", "the DNS knows no %s", name)
	case k.DNS != nil:
		say(judge.FamilyRegistration, "dns", judge.NoData, "resolves", "addresses %s; name servers %s", joined(k.DNS.Addresses), joined(k.DNS.Servers))
	}
	return out
}

func atRegistrar(registrar string) string {
	if registrar == "" {
		return ""
	}
	return ", at " + registrar
}

func joined[T any](all []T) string {
	if len(all) == 0 {
		return "none"
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(all), " ", ", "), "[]")
}

// registered says when a registrable domain was registered, where it is known.
func registered(tx *store.Tx, registrable bolwerk.Domain) (time.Time, error) {
	var at int64
	err := tx.Row(`select created_at from shield_registration where name=$1`, registrable.String()).Scan(&at)
	if store.None(err) {
		return time.Time{}, nil
	}
	return store.Time(at), err
}

// rescope proposes another scope for a case that is still open, when its name's
// age has become known.
func (s *Shield) rescope(tx *store.Tx, observable string) error {
	var caseID, text string
	err := tx.Row(`select case_id,name from shield_observable where id=$1`, observable).Scan(&caseID, &text)
	if err != nil || caseID == "" || text == "" {
		return err
	}
	c, err := desk.FindCase(tx, caseID)
	if err != nil || c.State != desk.Waiting && c.State != desk.Gathering {
		return err
	}
	name, err := bolwerk.ParseDomain(text)
	if err != nil {
		return err
	}
	rules := s.guard.rules()
	d, err := s.scopeOf(tx, rules, rules.place(name), false)
	if err != nil {
		return err
	}
	why, err := json.Marshal(d.Reasons)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`update shield_case set target=$1, scope=$2, scope_why=$3 where id=$4`, d.Name.String(), string(d.Scope), string(why), caseID)
	return err
}

// scopeOf is what the rules would block of a name, with what is known of its
// domain: its age, and what else below it was judged malicious.
func (s *Shield) scopeOf(tx *store.Tx, rules *rules, place judge.Place, address bool) (judge.ScopeDecision, error) {
	t := judge.Target{Place: place, Address: address}
	if !place.Registrable.IsZero() {
		at, err := registered(tx, place.Registrable)
		if err != nil {
			return judge.ScopeDecision{}, err
		}
		if !at.IsZero() {
			t.Age, t.AgeKnown = tx.Now().Sub(at), true
			var owner int
			if err := tx.Row(`select count(*),coalesce(sum(case when name=$1 then 1 else 0 end),0) from shield_observable where registrable=$1 and verdict=$2 and kind='fqdn'`,
				place.Registrable.String(), string(judge.Malicious)).Scan(&t.MaliciousHosts, &owner); err != nil {
				return judge.ScopeDecision{}, err
			}
			t.OwnerMalicious = owner > 0
		}
	}
	return judge.DecideScope(t, rules.popular), nil
}
