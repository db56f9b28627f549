package shield

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
	"bolwerk/shield/judge"
)

// A brand's owner gives the brand's real domains. A person of ours takes them
// over, two where many people use the name or something under it is blocked; then
// they are the brand's own in judging, as those of the configuration are.

// DomainState is where a domain that a brand's owner gave stands.
type DomainState string

// The states.
const (
	DomainGiven   DomainState = "given"    // waits for a person
	DomainSecond  DomainState = "second"   // waits for a second one
	DomainInForce DomainState = "in_force" // counts as the brand's own
	DomainRefused DomainState = "refused"
	DomainEnded   DomainState = "ended" // no longer the brand's
)

const (
	reviewAfter = 365 * 24 * time.Hour // a domain can lapse and be somebody else's
	maxGiven    = 200                  // of one brand that wait
	maxRelearn  = 2000                 // names that are judged anew after a change
	givenList   = "given_domains"
)

// OwnDomain is a domain that a brand's owner gave as the brand's own, with all
// below it.
type OwnDomain struct {
	ID        string         `json:"id"`
	Brand     string         `json:"brand"`
	Name      bolwerk.Domain `json:"name"`
	State     DomainState    `json:"state" enum:"given,second,in_force,refused,ended"`
	Why       string         `json:"why"` // in its owner's words
	Actor     bolwerk.Actor  `json:"-"`   // gave it
	At        time.Time      `json:"given_at"`
	DecidedBy bolwerk.Actor  `json:"-"`
	Second    bolwerk.Actor  `json:"-"`
	DecidedAt time.Time      `json:"decided_at,omitzero"`
	Reason    string         `json:"-"` // of our person's decision
	ReviewAt  time.Time      `json:"review_at,omitzero"`
	EndedBy   bolwerk.Actor  `json:"-"`
	EndedAt   time.Time      `json:"ended_at,omitzero"`
	EndedWhy  string         `json:"-"`
}

const domainColumns = `id,brand,name,state,why,actor,at,decided_by,second,decided_at,reason,review_at,ended_by,ended_at,ended_why from shield_brand_domain`

func readDomain(scan func(...any) error) (d OwnDomain, err error) {
	var name string
	var actors [4]string
	var at [4]int64
	if err := scan(&d.ID, &d.Brand, &name, &d.State, &d.Why, &actors[0], &at[0], &actors[1], &actors[2], &at[1], &d.Reason, &at[2], &actors[3], &at[3], &d.EndedWhy); err != nil {
		return d, err
	}
	for i, to := range []*bolwerk.Actor{&d.Actor, &d.DecidedBy, &d.Second, &d.EndedBy} {
		if err := to.UnmarshalText([]byte(actors[i])); err != nil {
			return d, err
		}
	}
	for i, to := range []*time.Time{&d.At, &d.DecidedAt, &d.ReviewAt, &d.EndedAt} {
		if at[i] != 0 {
			*to = store.Time(at[i])
		}
	}
	d.Name, err = bolwerk.ParseDomain(name)
	return d, err
}

func findDomain(tx *store.Tx, id string) (OwnDomain, error) {
	d, err := readDomain(tx.Row(`select `+domainColumns+` where id=$1`, id).Scan)
	if store.None(err) {
		return d, bolwerk.NotFound("there is no such domain of a brand")
	}
	return d, err
}

// set says that a domain stands elsewhere now, unless somebody was faster.
func (d OwnDomain) set(tx *store.Tx, to DomainState) error {
	n, err := tx.Exec(`update shield_brand_domain set state=$1, changed_at=$2, decided_by=$3, second=$4, decided_at=$5, reason=$6, review_at=$7, ended_by=$8, ended_at=$9, ended_why=$10 where id=$11 and state=$12`,
		string(to), tx.NowMicros(), d.DecidedBy.String(), d.Second.String(), microsOrNone(d.DecidedAt), d.Reason, microsOrNone(d.ReviewAt), d.EndedBy.String(), microsOrNone(d.EndedAt), d.EndedWhy, d.ID, string(d.State))
	if err == nil && n == 0 {
		err = bolwerk.Conflict("%s was decided meanwhile", d.Name)
	}
	return err
}

// microsOrNone is a time as the store keeps it, where 0 is none.
func microsOrNone(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return store.Micros(t)
}

// GiveDomain is a brand's owner's: this domain, with all below, is the brand's own.
// It counts once a person of ours has taken it over.
func (s *Shield) GiveDomain(ctx context.Context, who account.Person, brand, name, why string) (d OwnDomain, err error) {
	if !mine(who, brand) {
		return d, errNotYours()
	}
	if d.Name, err = bolwerk.ParseDomain(strings.TrimSpace(name)); err != nil {
		return d, err
	}
	if why, err = ownReason(why, true); err != nil {
		return d, err
	}
	d = OwnDomain{Brand: brand, Name: d.Name, State: DomainGiven, Why: why, Actor: who.Actor()}
	err = s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if err := slowly(tx, "shield_brand_domain", who, ownerDomains); err != nil {
			return err
		}
		var waits int64
		if err := tx.Row(`select count(*) from shield_brand_domain where brand=$1 and state in ('given','second')`, brand).Scan(&waits); err != nil {
			return err
		}
		if waits >= maxGiven {
			return bolwerk.WithHint(bolwerk.Conflict("%d domains of this brand wait already", waits), "wait until somebody has looked at them")
		}
		if err := s.mayBeOwn(tx, d); err != nil {
			return err
		}
		d.ID, d.At = bolwerk.NewID(tx.Now()), tx.Now()
		if _, err := tx.Exec(`insert into shield_brand_domain(id,brand,name,state,why,actor,at,decided_by,second,decided_at,reason,review_at,ended_by,ended_at,ended_why,changed_at) values($1,$2,$3,$4,$5,$6,$7,'','',0,'',0,'',0,'',$7)`,
			d.ID, d.Brand, d.Name.String(), string(d.State), d.Why, d.Actor.String(), tx.NowMicros()); err != nil {
			return err
		}
		audit.Append(tx, who.Actor(), "shield.domain.give", d.Name.String(), why, map[string]string{"brand": brand, "id": d.ID})
		return nil
	})
	return d, err
}

// mayBeOwn refuses a domain that cannot be one brand's: what strangers share, what
// is another's, what is there already.
func (s *Shield) mayBeOwn(tx *store.Tx, d OwnDomain) error {
	rules := s.guard.rules()
	p := rules.place(d.Name)
	switch own := rules.brands.Owner(d.Name); {
	case p.Registrable.IsZero() || d.Name.Labels() < 2:
		return bolwerk.Invalid("%s is a suffix that many share: give a domain below it", d.Name)
	case p.Shared || !p.Tenant.IsZero():
		return bolwerk.Invalid("%s stands on a platform that strangers share: it cannot be a brand's own", d.Name)
	case own == d.Brand:
		return bolwerk.Conflict("%s counts as the brand's own already", d.Name)
	case own != "":
		return bolwerk.Conflict("%s is another brand's own name", d.Name)
	}
	var have int64
	if err := tx.Row(`select count(*) from shield_brand_domain where name=$1 and brand=$2 and state in ('given','second','in_force') and id<>$3`, d.Name.String(), d.Brand, d.ID).Scan(&have); err != nil {
		return err
	}
	if have > 0 {
		return bolwerk.Conflict("%s was given already", d.Name)
	}
	return nil
}

// claimedOnce refuses a domain that another brand gave too, until a person of ours
// has refused one of the two. Neither brand learns of the other's.
func claimedOnce(tx *store.Tx, d OwnDomain) error {
	other, err := texts(tx, `select brand from shield_brand_domain where name=$1 and brand<>$2 and state in ('given','second','in_force') order by brand limit 5`, d.Name.String(), d.Brand)
	if err != nil || len(other) == 0 {
		return err
	}
	return bolwerk.WithHint(bolwerk.Conflict("%s was given by %s too", d.Name, strings.Join(other, ", ")), "find out whose it is, and refuse or decline the other first")
}

// domainPlan is the body of a desk.Proposal: exactly what would be done.
type domainPlan struct {
	ID     string         `json:"id"`
	Brand  string         `json:"brand"`
	Name   bolwerk.Domain `json:"name"`
	Reason string         `json:"reason"`
	// Needs are why it takes two: codes of texts.
	Needs []string `json:"needs"`
	// Lifts are the blocks that would end.
	Lifts []string     `json:"lifts,omitempty"`
	First judge.Person `json:"first"`
}

// The reasons why taking over a domain takes two.
const (
	needPopular = "popular" // many people use it
	needBlocked = "blocked" // a name of it is blocked, and would no longer be
	needOpen    = "open"    // the case of a name of it is open, and not clean
)

var domainNeeds = map[string]string{
	needPopular: "many people use this name",
	needBlocked: "names of it are blocked: these blocks would end",
	needOpen:    "there are open cases about names of it",
}

// domainPlan looks at what taking over a domain would change.
func (s *Shield) domainPlan(tx *store.Tx, d OwnDomain, who judge.Person, reason string) (p domainPlan, lifts []Block, err error) {
	p = domainPlan{ID: d.ID, Brand: d.Brand, Name: d.Name, Reason: reason, First: who}
	if s.usedByMany(d.Name.String()) {
		p.Needs = append(p.Needs, needPopular)
	}
	above, err := covering(tx, d.Name)
	if err != nil {
		return p, nil, err
	}
	for _, b := range above {
		if !b.Pass && b.OrderID == "" && b.Name != d.Name && b.Scope != bolwerk.ScopeHost {
			return p, nil, bolwerk.WithHint(bolwerk.Conflict("%s blocks more than %s", b.Ref, d.Name), "withdraw that block first, if it is wrong")
		}
	}
	// What is blocked below it: our own blocks end, an order is its issuer's.
	all, err := store.List(tx, readBlock, `select `+blockColumns+` from shield_block where state='in_force' and not pass and order_id='' and (name=$1 or name like $2 escape '\') order by ref limit 201`,
		d.Name.String(), "%."+desk.EscapeLike(d.Name.String()))
	if err != nil {
		return p, nil, err
	}
	if len(all) > 200 {
		return p, nil, bolwerk.Conflict("more than 200 names of %s are blocked: it cannot be taken over like this", d.Name)
	}
	for _, b := range all {
		p.Lifts = append(p.Lifts, b.Ref)
	}
	if len(all) > 0 {
		p.Needs = append(p.Needs, needBlocked)
	}
	var open int64
	if err := tx.Row(`select count(*) from shield_case s join shield_observable o on o.id=s.observable join desk_case c on c.id=s.id
		where o.registrable=$1 and (o.name=$2 or o.name like $3 escape '\') and c.state in ('gathering','waiting','second') and s.verdict in ('malicious','suspicious')`,
		s.guard.rules().place(d.Name).Registrable.String(), d.Name.String(), "%."+desk.EscapeLike(d.Name.String())).Scan(&open); err != nil {
		return p, nil, err
	}
	if open > 0 {
		p.Needs = append(p.Needs, needOpen)
	}
	return p, all, nil
}

// AdoptDomain takes over a domain that a brand's owner gave, or where that takes
// two lays it before a second person.
func (s *Shield) AdoptDomain(ctx context.Context, who judge.Person, id, reason string) (out Outcome, err error) {
	if strings.TrimSpace(reason) == "" {
		return out, bolwerk.Invalid("say in a few words how you know that it is the brand's")
	}
	if err := judge.May(who, judge.AdoptDomain); err != nil {
		return out, err
	}
	err = s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		out = Outcome{}
		d, err := findDomain(tx, id)
		if err != nil {
			return err
		}
		if d.State != DomainGiven {
			return bolwerk.Conflict("%s was decided meanwhile", d.Name)
		}
		if err := cmp.Or(s.mayBeOwn(tx, d), claimedOnce(tx, d)); err != nil {
			return err
		}
		p, _, err := s.domainPlan(tx, d, who, reason)
		if err != nil {
			return err
		}
		if len(p.Needs) == 0 {
			return s.takeOver(tx, d, p, nil, bolwerk.Person(who.ID), bolwerk.Actor{}, &out)
		}
		var need []string
		for _, n := range p.Needs {
			need = append(need, domainNeeds[n])
		}
		x, err := desk.Propose(tx, "", actionDomain, p, bolwerk.Person(who.ID), reason, strings.Join(need, "; "))
		if err != nil {
			return err
		}
		audit.Append(tx, bolwerk.Person(who.ID), "shield.domain.propose", d.Name.String(), reason, map[string]any{"brand": d.Brand, "proposal": x.ID, "digest": x.Digest, "lifts": p.Lifts})
		out.State, out.Proposal = "second", &x
		return d.set(tx, DomainSecond)
	})
	if err == nil && out.Domain != nil {
		err = s.relearn(ctx, out.Domain.Name)
	}
	return out, err
}

// approveDomain is the second person's: exactly the plan is done, or nothing.
func (s *Shield) approveDomain(tx *store.Tx, who judge.Person, x desk.Proposal, digest string, out *Outcome) error {
	var p domainPlan
	if err := json.Unmarshal(x.Body, &p); err != nil {
		return err
	}
	if err := desk.Approve(tx, x, digest, bolwerk.Person(who.ID)); err != nil {
		return err
	}
	if err := judge.MayApprove(p.First, who, judge.AdoptWide, tx.Now()); err != nil {
		return err
	}
	d, err := findDomain(tx, p.ID)
	if err != nil {
		return err
	}
	if d.State != DomainSecond {
		return bolwerk.Conflict("%s was decided meanwhile", d.Name)
	}
	if err := cmp.Or(s.mayBeOwn(tx, d), claimedOnce(tx, d)); err != nil {
		return err
	}
	now, lifts, err := s.domainPlan(tx, d, p.First, p.Reason)
	if err != nil {
		return err
	}
	if !slices.Equal(now.Lifts, p.Lifts) {
		return bolwerk.WithHint(bolwerk.Conflict("other names of %s are blocked than when this was proposed", d.Name), "decline it, and look at the domain again")
	}
	return s.takeOver(tx, d, p, lifts, x.Actor, bolwerk.Person(who.ID), out)
}

// takeOver makes a domain the brand's own, and ends the blocks of its names.
func (s *Shield) takeOver(tx *store.Tx, d OwnDomain, p domainPlan, lifts []Block, first, second bolwerk.Actor, out *Outcome) error {
	for _, b := range lifts {
		if err := s.end(tx, b, Withdrawn, lastOf(first, second), string(FalsePositive), p.Reason); err != nil {
			return err
		}
		if err := s.closeCase(tx, b); err != nil {
			return err
		}
	}
	was := d
	was.DecidedBy, was.Second, was.DecidedAt, was.Reason, was.ReviewAt = first, second, tx.Now(), p.Reason, tx.Now().Add(reviewAfter)
	if err := was.set(tx, DomainInForce); err != nil {
		return err
	}
	was.State = DomainInForce
	audit.Append(tx, lastOf(first, second), "shield.domain.adopt", d.Name.String(), p.Reason, map[string]any{"brand": d.Brand, "first": first, "second": second, "review": was.ReviewAt, "lifts": p.Lifts})
	out.State, out.Domain = "adopted", &was
	return nil
}

// declineDomain puts a domain back that a second person did not approve.
func declineDomain(tx *store.Tx, x desk.Proposal) error {
	var p domainPlan
	if err := json.Unmarshal(x.Body, &p); err != nil {
		return err
	}
	d, err := findDomain(tx, p.ID)
	if err != nil || d.State != DomainSecond {
		return err
	}
	return d.set(tx, DomainGiven)
}

// RefuseDomain is a person of ours: it does not become the brand's own.
func (s *Shield) RefuseDomain(ctx context.Context, who judge.Person, id, reason string) error {
	return s.changeDomain(ctx, who, id, reason, "shield.domain.refuse", []DomainState{DomainGiven}, func(tx *store.Tx, d OwnDomain, by bolwerk.Actor) error {
		d.DecidedBy, d.DecidedAt, d.Reason = by, tx.Now(), reason
		return d.set(tx, DomainRefused)
	})
}

// KeepDomain says that somebody has looked again: it is still the brand's, for
// another year.
func (s *Shield) KeepDomain(ctx context.Context, who judge.Person, id, reason string) error {
	return s.changeDomain(ctx, who, id, reason, "shield.domain.keep", []DomainState{DomainInForce}, func(tx *store.Tx, d OwnDomain, _ bolwerk.Actor) error {
		d.ReviewAt = tx.Now().Add(reviewAfter)
		return d.set(tx, DomainInForce)
	})
}

// DropDomain is a person of ours: it no longer counts as the brand's own.
func (s *Shield) DropDomain(ctx context.Context, who judge.Person, id, reason string) error {
	var name bolwerk.Domain
	err := s.changeDomain(ctx, who, id, reason, "shield.domain.end", []DomainState{DomainInForce}, func(tx *store.Tx, d OwnDomain, by bolwerk.Actor) error {
		name = d.Name
		d.EndedBy, d.EndedAt, d.EndedWhy = by, tx.Now(), reason
		return d.set(tx, DomainEnded)
	})
	if err == nil {
		err = s.relearn(ctx, name)
	}
	return err
}

func (s *Shield) changeDomain(ctx context.Context, who judge.Person, id, reason, action string, from []DomainState, fn func(*store.Tx, OwnDomain, bolwerk.Actor) error) error {
	if strings.TrimSpace(reason) == "" {
		return bolwerk.Invalid("say why in a few words")
	}
	if err := judge.May(who, judge.AdoptDomain); err != nil {
		return err
	}
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		d, err := findDomain(tx, id)
		if err != nil {
			return err
		}
		if !slices.Contains(from, d.State) {
			return bolwerk.Conflict("%s was decided meanwhile", d.Name)
		}
		by := bolwerk.Person(who.ID)
		audit.Append(tx, by, action, d.Name.String(), reason, map[string]string{"brand": d.Brand, "id": d.ID})
		return fn(tx, d, by)
	})
}

// TakeBackDomain is a brand's owner's: the domain is not, or no longer, the
// brand's. That protects less and blocks nothing, so it holds at once.
func (s *Shield) TakeBackDomain(ctx context.Context, who account.Person, id, why string) error {
	why, err := ownReason(why, true)
	if err != nil {
		return err
	}
	var d OwnDomain
	err = s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if d, err = findDomain(tx, id); err != nil || !mine(who, d.Brand) {
			return errNotYours()
		}
		switch d.State {
		case DomainGiven, DomainInForce:
		case DomainSecond:
			if err := voidDomain(tx, d); err != nil {
				return err
			}
		default:
			return bolwerk.Conflict("%s was decided meanwhile", d.Name)
		}
		next := d
		next.EndedBy, next.EndedAt, next.EndedWhy = who.Actor(), tx.Now(), why
		audit.Append(tx, who.Actor(), "shield.domain.end", d.Name.String(), why, map[string]string{"brand": d.Brand, "id": d.ID})
		return next.set(tx, DomainEnded)
	})
	if err == nil && d.State == DomainInForce {
		err = s.relearn(ctx, d.Name)
	}
	return err
}

// voidDomain ends the open proposal about a domain.
func voidDomain(tx *store.Tx, d OwnDomain) error {
	open, err := texts(tx, `select id from desk_proposal where state='open' and action=$1 order by at limit 500`, actionDomain)
	if err != nil {
		return err
	}
	for _, id := range open {
		x, err := desk.FindProposal(tx, id)
		if err != nil {
			return err
		}
		var p domainPlan
		if err := json.Unmarshal(x.Body, &p); err != nil {
			return err
		}
		if p.ID == d.ID {
			return desk.Decline(tx, x)
		}
	}
	return nil
}

// givenDomain is a domain that counts as a brand's own because its owner gave it.
type givenDomain struct {
	name  bolwerk.Domain
	brand string
}

func givenDomains(ctx context.Context, db *store.DB) (out []givenDomain, err error) {
	err = db.Read(ctx, func(tx *store.Tx) error {
		out, err = store.List(tx, func(scan func(...any) error) (g givenDomain, err error) {
			var name string
			if err := scan(&name, &g.brand); err != nil {
				return g, err
			}
			g.name, err = bolwerk.ParseDomain(name)
			return g, err
		}, `select name,brand from shield_brand_domain where state='in_force' order by name`)
		return err
	})
	return out, err
}

// readBrands makes the brands of the configuration, the compiled list and the
// domains that owners gave.
func (r *rules) readBrands(ctx context.Context, db *store.DB, configured []judge.Brand) (err error) {
	if r.given, err = givenDomains(ctx, db); err != nil {
		return err
	}
	all := judge.KnownBrands(configured...)
	text := ""
	for i, b := range all {
		more := false
		for _, g := range r.given {
			if g.brand == b.Name && !slices.Contains(b.Domains, g.name) {
				b.Domains = append(slices.Clip(b.Domains), g.name)
				more = true
				text += g.brand + " " + g.name.String() + "\n"
			}
		}
		all[i] = b
		if more || i < len(configured) { // KnownBrands begins with them
			r.own = append(r.own, b)
		}
	}
	if text != "" {
		r.versions[givenList] = desk.DigestOf(givenList, []byte(text))[:16]
	}
	r.brands, err = judge.NewBrands(r.psl, all...)
	return err
}

// relearn takes over the domains as they are now, and judges the names of one anew
// by them.
func (s *Shield) relearn(ctx context.Context, d bolwerk.Domain) error {
	if err := s.guard.relearn(ctx, s.db); err != nil {
		return err
	}
	rules := s.guard.rules()
	type known struct{ id, name string }
	var all []known
	err := s.db.Read(ctx, func(tx *store.Tx) (err error) {
		all, err = store.List(tx, func(scan func(...any) error) (k known, err error) { err = scan(&k.id, &k.name); return k, err },
			`select id,name from shield_observable where registrable=$1 order by last_seen desc limit $2`, rules.place(d).Registrable.String(), maxRelearn)
		return err
	})
	if err != nil {
		return err
	}
	for _, k := range all {
		name, err := bolwerk.ParseDomain(k.name)
		if err != nil || !name.Below(d) {
			continue
		}
		err = s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			if _, err := tx.Exec(`delete from shield_evidence where observable=$1 and family=$2`, k.id, string(judge.FamilyName)); err != nil {
				return err
			}
			return s.judgeWith(tx, k.id, judge.NameEvidence(rules.place(name), rules.brands))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// relearn makes the rules anew of what is loaded.
func (g *guard) relearn(ctx context.Context, db *store.DB) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.rebuild(ctx, db, g.rules().psl)
}
