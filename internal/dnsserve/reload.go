package dnsserve

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

// live is what changes while questions are answered.
type live struct {
	acl   acl
	proxy acl
	dns64 acl
	limit *limiter
	// what limit was made from
	rate   int
	exempt []string
}

// liveKeys are the settings that Reload puts in force.
var liveKeys = map[string]bool{"allow": true, "client_rate": true, "client_rate_exempt": true, "zone_in_flight": true, "upstream": true, "upstream_ca": true, "proxy_from": true, "stub": true, "dns64_for": true}

// Reload puts cfg in force as far as that goes without a restart, and gives the keys
// of what has changed and needs one. No question is lost: those under way at a
// resolver that is not named any more end there. After an error all is as it was.
func (s *Server) Reload(cfg Config) (restart []string, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	ca, err := cfg.readCA()
	if err != nil {
		return nil, err
	}
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if err := s.up.use(cfg, ca); err != nil {
		return nil, err
	}
	s.live.Store(cfg.live(s.live.Load()))
	// s.cfg stays what it was: it is read without a lock.
	for _, key := range changedKeys(reflect.ValueOf(s.cfg), reflect.ValueOf(cfg)) {
		if !liveKeys[key] {
			restart = append(restart, key)
		}
	}
	return restart, nil
}

// live keeps the clients' accounts of before where their bound is the same.
func (c Config) live(before *live) *live {
	l := &live{rate: c.ClientRate, exempt: c.ClientRateExempt}
	l.acl, _ = newACL(c.Allow) // Validate has read it
	l.proxy, _ = newACL(c.ProxyFrom)
	l.dns64, _ = newACL(c.DNS64For)
	if before != nil && l.rate == before.rate && slices.Equal(l.exempt, before.exempt) {
		l.limit = before.limit
		return l
	}
	exempt, _ := newACL(c.ClientRateExempt)
	l.limit = newLimiter(c.ClientRate, exempt)
	return l
}

// changedKeys are the keys of the settings in which two configurations differ.
func changedKeys(a, b reflect.Value) (keys []string) {
	for i := range a.NumField() {
		f := a.Type().Field(i)
		switch key, _, _ := strings.Cut(f.Tag.Get("toml"), ","); {
		case f.Anonymous:
			keys = append(keys, changedKeys(a.Field(i), b.Field(i))...)
		case key != "" && key != "-" && !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()):
			keys = append(keys, key)
		}
	}
	return keys
}

// retired is a resolver that is asked no more but may still answer.
type retired struct {
	*resolver
	since time.Time
}

// use asks the resolvers of cfg from now on. Those that stay keep what is known of
// them, and their connection.
func (u *upstream) use(cfg Config, ca []byte) error {
	roots, err := rootsOf(cfg.UpstreamCA, ca)
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	old := map[string]*resolver{}
	for _, r := range u.all() {
		old[r.named] = r
	}
	sameCA := string(ca) == string(u.ca)
	made := map[string]*resolver{}
	take := func(name string) *resolver {
		if r := made[name]; r != nil {
			return r
		}
		r := old[name]
		if r == nil || r.tls != nil && !sameCA {
			r = newResolver(name, u.dial, roots)
		} else {
			delete(old, name)
		}
		made[name] = r
		return r
	}
	var now []*resolver
	for _, name := range cfg.Upstream {
		now = append(now, take(name))
	}
	stubs := newStubs(cfg.Stub, take)
	for _, r := range old {
		u.retired = append(u.retired, retired{r, time.Now()})
	}
	u.ca, u.each = ca, cfg.ZoneInFlight
	u.servers.Store(&now)
	if u.stubs.Store(nil); len(stubs) > 0 {
		u.stubs.Store(&stubs)
	}
	return nil
}

// list is the resolvers as configured.
func (g *group) list() []*resolver {
	if l := g.servers.Load(); l != nil {
		return *l
	}
	return nil
}

// closeRetired closes those that nobody can be waiting for any more; all is the
// longest that somebody waits.
func (u *upstream) closeRetired(all time.Duration) {
	u.mu.Lock()
	var gone []retired
	keep := u.retired[:0]
	for _, r := range u.retired {
		if time.Since(r.since) >= all {
			gone = append(gone, r)
		} else {
			keep = append(keep, r)
		}
	}
	u.retired = keep
	u.mu.Unlock()
	for _, r := range gone {
		r.close()
	}
}
