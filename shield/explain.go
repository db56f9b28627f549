package shield

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/inquiry"
	"bolwerk/internal/rpz"
	"bolwerk/internal/store"
	"bolwerk/shield/judge"
	"bolwerk/shield/zones"
)

// Explanation says what happens to a name, why, by which entry, and what each
// resolver answers now.
type Explanation struct {
	Name    bolwerk.Domain `json:"name"`
	Blocked bool           `json:"blocked"`
	// By is what decides; Others are further entries that catch the name.
	By     *Block            `json:"by,omitempty"`
	Others []Block           `json:"others,omitempty"`
	Past   []Block           `json:"past,omitempty"` // ended entries of the same name
	Place  PlaceView         `json:"place"`
	Guards []judge.Objection `json:"guards,omitempty"` // what the guards would say to a block of the host by one person
	// Resolvers is what each answers at this moment.
	Resolvers []ResolverView `json:"resolvers"`
	// Disagree is set where a resolver does not do what the desk wants.
	Disagree bool `json:"disagree"`
}

// PlaceView is where a name stands.
type PlaceView struct {
	Suffix      string `json:"suffix"`
	Section     string `json:"section"`
	Registrable string `json:"registrable,omitempty"`
	Platform    string `json:"platform,omitempty"`
	Tenant      string `json:"tenant,omitempty"`
	Rank        int    `json:"popularity_rank,omitempty"`
}

// ResolverView is what one resolver says.
type ResolverView struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	// By is "edge" or "agent" where that host asked the resolver beside it; absent
	// where the desk did.
	By       string        `json:"by,omitempty"`
	State    string        `json:"state"` // blocks, passes, away
	Answer   *rpz.Answer   `json:"answer,omitempty"`
	Zone     *rpz.State    `json:"zone,omitempty"` // by its canary; nil where it shows none
	Delivery *rpz.Delivery `json:"delivery,omitempty"`
	Problem  string        `json:"problem,omitempty"`
	Agrees   bool          `json:"agrees"`
	// Hint is what to run there where it disagrees.
	Hint string `json:"hint,omitempty"`
}

// Explain looks a name up here and asks every configured resolver, and the one beside
// each edge and agent, live.
func (s *Shield) Explain(ctx context.Context, name bolwerk.Domain) (Explanation, error) {
	e := Explanation{Name: name}
	rules := s.guard.rules()
	p := rules.place(name)
	e.Place = PlaceView{Suffix: p.Suffix.String(), Section: string(p.Section), Registrable: p.Registrable.String(), Platform: p.Platform.Name.String(), Tenant: p.Tenant.String()}
	if rank, ok := rules.popular.Rank(name); ok {
		e.Place.Rank = rank
	}
	err := s.db.Read(ctx, func(tx *store.Tx) error {
		covers, err := covering(tx, name)
		if err != nil {
			return err
		}
		for i, b := range covers {
			if i == 0 {
				e.By, e.Blocked = &covers[0], !b.Pass
				if _, err := countHits(tx, e.By); err != nil {
					return err
				}
			} else {
				e.Others = append(e.Others, b)
			}
		}
		e.Past, err = store.List(tx, readBlock, `select `+blockColumns+` from shield_block where name=$1 and state<>'in_force' order by ended_at desc limit 20`, name.String())
		if err != nil {
			return err
		}
		if len(covers) == 0 {
			pl := plan{Subject: name.String(), Proposal: judge.Proposal{Name: name, Scope: bolwerk.ScopeHost, Until: tx.Now().Add(judge.ForPerson), Class: "phishing"}}
			e.Guards, err = s.check(tx, pl, judge.Person{ID: "anybody", Roles: []judge.Role{judge.Analyst}}, nil)
			return err
		}
		return nil
	})
	if err != nil {
		return e, err
	}
	e.Resolvers = s.askAll(ctx, name, e)
	for _, r := range e.Resolvers {
		e.Disagree = e.Disagree || !r.Agrees
	}
	return e, nil
}

// askAll asks the resolvers side by side, for at most five seconds.
func (s *Shield) askAll(ctx context.Context, name bolwerk.Domain, e Explanation) []ResolverView {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out := make([]ResolverView, 0, len(s.ask))
	for n, a := range s.ask {
		out = append(out, ResolverView{Name: n, Address: a.String()})
	}
	slices.SortFunc(out, func(a, b ResolverView) int { return strings.Compare(a.Name, b.Name) })
	var wg sync.WaitGroup
	for i := range out {
		wg.Go(func() { s.askOne(ctx, name, e, &out[i]) })
	}
	var beside []inquiry.Reply
	if s.asking != nil {
		beside = s.asking.Ask(ctx, name)
	}
	wg.Wait()
	for _, r := range beside {
		v := ResolverView{Name: r.Host, Address: r.Address, By: r.Role, Answer: r.Answer, State: "away", Problem: r.Problem}
		if r.Answer != nil {
			s.judge(name, e, &v, r.Ours)
		}
		out = append(out, v)
	}
	return out
}

// Asker asks every host for a name at the resolver beside it.
type Asker interface {
	Ask(ctx context.Context, name bolwerk.Domain) []inquiry.Reply
}

// Asking gives the shield who asks hosts; before Run.
func (s *Shield) Asking(a Asker) { s.asking = a }

// judge says what a resolver's answer means. ours is what who asked makes of it.
func (s *Shield) judge(name bolwerk.Domain, e Explanation, r *ResolverView, ours bool) {
	r.State = "passes"
	if ours || s.policyAnswer(*r.Answer, e) {
		r.State = "blocks"
	}
	if r.Agrees = (r.State == "blocks") == e.Blocked; !r.Agrees {
		n := name.String()
		r.Hint = "empty its cache of the name: BIND: rndc flushtree " + n + "; Unbound: unbound-control flush_zone " + n + "; PowerDNS Recursor: rec_control wipe-cache " + n + "$; then look at its zone serial"
	}
}

func (s *Shield) askOne(ctx context.Context, name bolwerk.Domain, e Explanation, r *ResolverView) {
	to := netip.MustParseAddrPort(r.Address)
	a, err := rpz.Ask(ctx, to, name, "A")
	if err != nil {
		r.State, r.Problem = "away", err.Error()
		return
	}
	r.Answer = &a
	s.judge(name, e, r, false)
	if s.feed != nil {
		r.Delivery = s.feed.delivery(r.Name)
		for _, zone := range []bolwerk.Domain{HotZone, BlockZone} { // the hot one is the newer
			canary, err := zones.CanaryOf(zone, s.cfg.Canary)
			if err != nil || canary.IsZero() {
				continue
			}
			if z, err := rpz.Canary(ctx, to, canary); err == nil {
				r.Zone = &z
				break
			}
		}
	}
}

// policyAnswer says that an answer is ours: the warning page's address, or an
// extended error, or no data where the block answers none.
func (s *Shield) policyAnswer(a rpz.Answer, e Explanation) bool {
	for _, ede := range a.EDE {
		for _, code := range []string{"4 ", "15 ", "16 ", "17 "} {
			if strings.HasPrefix(ede, code) {
				return true
			}
		}
	}
	for _, addr := range a.Addresses {
		if slices.Contains(s.cfg.Landing, addr) {
			return true
		}
	}
	if e.By != nil && !e.By.Pass && len(a.Addresses) == 0 {
		return e.By.Action == "nxdomain" && a.Rcode == "NXDOMAIN" || e.By.Action == "nodata" && a.Rcode == "NOERROR"
	}
	return false
}
