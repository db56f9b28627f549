package shield

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/rpz"
	"bolwerk/internal/store"
	"bolwerk/shield/aid"
	"bolwerk/shield/edge"
	"bolwerk/shield/fact"
	"bolwerk/shield/judge"
)

// Confirm is what a person wants blocked.
type Confirm struct {
	Case   string // id or number; empty with Name
	Name   bolwerk.Domain
	Scope  bolwerk.Scope // empty: the proposed one, or host
	For    time.Duration // zero: what the rules propose
	Until  time.Time     // instead of For
	Reason string        // needed
	Class  string        // empty: phishing
	Brand  string
	Legal  string // empty: the configured legal ground
	Action edge.Action
	// Compromised says that a hacked site of somebody else is behind it.
	Compromised bool
	// AskedFor is what the site asks visitors for; nil: what its campaign is known
	// to ask for.
	AskedFor *aid.Set
	// Dry only asks what would come of it: nothing is kept.
	Dry bool
}

// errDry takes back what a dry decision wrote.
var errDry = errors.New("only asked")

// Outcome is what came of a decision. It is durable when it is returned.
type Outcome struct {
	// State is "blocked", "adopted", "exempted", "rejected", "withdrawn", or "second" where
	// a second person is needed; for what was only asked "would_block",
	// "would_exempt" or "would_wait".
	State    string         `json:"state"`
	Case     string         `json:"case,omitempty"`
	Block    *Block         `json:"block,omitempty"`
	Domain   *OwnDomain     `json:"domain,omitempty"` // that a brand's owner gave
	Proposal *desk.Proposal `json:"proposal,omitempty"`
	// Objections say why a second person is needed.
	Objections []judge.Objection `json:"objections,omitempty"`
	// Effect is what a block would take; given where it was only asked.
	Effect *Effect `json:"effect,omitempty"`
}

// plan is the body of a desk.Proposal: exactly what would be done.
type plan struct {
	judge.Proposal
	Reason     string       `json:"reason"`
	Legal      string       `json:"legal"`
	Action     edge.Action  `json:"action"`
	Suspicious bool         `json:"suspicious,omitempty"`
	AskedFor   aid.Set      `json:"asked_for,omitempty"`
	First      judge.Person `json:"first"`
	// Subject is what the case is about: its evidence is that of the plan.
	Subject string `json:"subject,omitempty"`
}

// The actions that wait for a second person.
const (
	actionBlock  = "shield.block"
	actionExempt = "shield.exempt"
	actionDomain = "shield.brand.domain"
)

// Confirm has a name blocked, or where a guard asks for it lays the proposal
// before a second person. A guard that refuses is an error with the reason.
func (s *Shield) Confirm(ctx context.Context, who judge.Person, in Confirm) (Outcome, error) {
	if strings.TrimSpace(in.Reason) == "" {
		return Outcome{}, bolwerk.WithHint(bolwerk.Invalid("a block needs a reason"), "say why in a few words")
	}
	if err := judge.May(who, judge.Confirm); err != nil {
		return Outcome{}, err
	}
	var out Outcome
	err := s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		out = Outcome{}
		c, err := s.caseFor(tx, in)
		if err != nil {
			return err
		}
		out.Case = c.ID
		p, err := s.planFor(tx, c, who, in)
		if err != nil {
			return err
		}
		guards, err := s.guardsOf(tx, p, who, nil)
		if err != nil {
			return err
		}
		refuse, second := split(judge.Check(p.Proposal, guards))
		switch {
		case len(refuse) > 0:
			return judge.Refusal(refuse)
		case in.Dry:
			out = foreseen("would_block", Block{Name: p.Name, Scope: p.Scope, Action: p.Action, Class: p.Class, Until: p.Until}, second)
			if out.Effect, err = s.effectOf(tx, p, guards); err != nil {
				return err
			}
			return cmp.Or(s.mayPlace(tx, p), errDry)
		case len(second) > 0:
			return s.proposeSecond(tx, c, actionBlock, p, who, second, &out)
		}
		b, err := s.block(tx, c, p, bolwerk.Person(who.ID), bolwerk.Actor{})
		out.State, out.Block = "blocked", &b
		return err
	})
	if errors.Is(err, errDry) {
		return out, nil
	}
	if err == nil && out.Block != nil {
		err = s.reload(ctx, out.Block.ID, &out)
	}
	return out, err
}

// foreseen is what would come of a decision: b as it would be.
func foreseen(state string, b Block, second []judge.Objection) Outcome {
	if len(second) > 0 {
		state = "would_wait"
	}
	return Outcome{State: state, Block: &b, Objections: second}
}

// reload gives the block with the serial that its publication got.
func (s *Shield) reload(ctx context.Context, id string, out *Outcome) error {
	return s.db.Read(ctx, func(tx *store.Tx) error {
		b, err := findBlock(tx, id)
		out.Block = &b
		return err
	})
}

// caseFor gives the case that a person decides, opening one for a name that
// nobody has reported.
func (s *Shield) caseFor(tx *store.Tx, in Confirm) (desk.Case, error) {
	if in.Case != "" {
		c, err := desk.FindCase(tx, in.Case)
		if err == nil && !c.State.Open() {
			err = bolwerk.Conflict("case %s is %s already (%s)", c.Ref, c.State, c.Outcome)
		}
		return c, err
	}
	if in.Name.IsZero() {
		return desk.Case{}, bolwerk.Invalid("give a case or a name")
	}
	rules := s.guard.rules()
	f := found{kind: "fqdn", value: in.Name.String(), name: in.Name, place: rules.place(in.Name)}
	c, fresh, err := desk.OpenCase(tx, Name, f.value)
	if err != nil || !fresh {
		return c, err
	}
	var observable string
	if err := tx.Row(`insert into shield_observable(id,kind,value,name,registrable,first_seen,last_seen,reports,case_id,verdict,assessed_at) values($1,'fqdn',$2,$2,$3,$4,$4,0,$5,'',0)
		on conflict(value) do update set case_id=excluded.case_id returning id`, bolwerk.NewID(tx.Now()), f.value, f.place.Registrable.String(), tx.NowMicros(), c.ID).Scan(&observable); err != nil {
		return c, err
	}
	_, f.popular = rules.popular.Rank(f.place.Registrable)
	if err := s.planLookup(tx, f); err != nil {
		return c, err
	}
	d, err := s.scopeOf(tx, rules, f.place, false)
	if err != nil {
		return c, err
	}
	why, err := json.Marshal(d.Reasons)
	if err != nil {
		return c, err
	}
	if _, err := tx.Exec(`insert into shield_case(id,observable,campaign,verdict,brand,class,target,scope,scope_why,reports,reporters,first_seen,block,channels) values($1,$2,'','',$3,'phishing',$4,$5,$6,0,0,$7,'','')`,
		c.ID, observable, in.Brand, d.Name.String(), string(d.Scope), string(why), tx.NowMicros()); err != nil {
		return c, err
	}
	if err := desk.SetCase(tx, c, desk.Gathering, desk.Waiting, ""); err != nil {
		return c, err
	}
	c.State = desk.Waiting
	return c, nil
}

// planFor makes of a person's wish exactly what would be done.
func (s *Shield) planFor(tx *store.Tx, c desk.Case, who judge.Person, in Confirm) (plan, error) {
	rules := s.guard.rules()
	var target, scope, brand, class, verdict, asked, seen string
	if err := tx.Row(`select s.target,s.scope,s.brand,s.class,s.verdict,coalesce(k.asked_for,''),s.asked_for from shield_case s left join shield_campaign k on k.id=s.campaign where s.id=$1`, c.ID).
		Scan(&target, &scope, &brand, &class, &verdict, &asked, &seen); err != nil {
		return plan{}, err
	}
	p := plan{Subject: c.Subject, Reason: in.Reason, Legal: orElse(in.Legal, s.cfg.Ground), Action: edge.Action(orElse(string(in.Action), string(edge.Redirect))), First: who}
	p.Class, p.Brand, p.Compromised, p.Versions = orElse(in.Class, class), orElse(in.Brand, brand), in.Compromised, rules.versions
	p.Suspicious, p.AskedFor = judge.Word(verdict) == judge.Suspicious, aid.Read(asked)|aid.Read(seen)
	if in.AskedFor != nil {
		p.AskedFor = *in.AskedFor
	}
	switch p.Action {
	case edge.Redirect, edge.NXDomain, edge.NoData:
	default:
		return p, bolwerk.Invalid("action %q: want redirect, nxdomain or nodata", p.Action)
	}
	host, err := bolwerk.ParseDomain(c.Subject)
	if err != nil { // a page where strangers share the host, or an address
		return p, bolwerk.WithHint(bolwerk.Forbidden("%s is no name that DNS can block", c.Subject), "reject the case, or report the page to its platform")
	}
	place := rules.place(host)
	p.Name, p.Scope = host, in.Scope
	switch {
	case in.Scope == "" && bolwerk.Scope(scope).DNS() && target != "":
		p.Scope = bolwerk.Scope(scope)
		if p.Name, err = bolwerk.ParseDomain(target); err != nil {
			return p, err
		}
	case in.Scope == "":
		p.Scope = bolwerk.ScopeHost
	case in.Scope == bolwerk.ScopeRegistrable && !place.Owner().IsZero():
		p.Name = place.Owner()
	}
	length := judge.ForPerson
	if in.Compromised {
		length = judge.ForCompromised
	} else if age, known, err := ageOf(tx, rules.place(p.Name)); err != nil {
		return p, err
	} else if known && age > judge.Old && in.Scope == "" {
		length = judge.ForCompromised // what is proposed of an old domain (guard 4)
	}
	p.Until = in.Until
	if p.Until.IsZero() {
		if in.For > 0 {
			length = in.For
		}
		p.Until = tx.Now().Add(length)
	}
	p.Until = p.Until.UTC().Truncate(time.Microsecond)
	if !rpz.Fits(BlockZone, p.Name) {
		return p, bolwerk.WithHint(bolwerk.Invalid("%s does not fit into the policy zone", p.Name), "block a shorter name above it")
	}
	return p, nil
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

// check lets the guards look at a plan, inside the transaction that would
// publish it.
func (s *Shield) check(tx *store.Tx, p plan, first judge.Person, second *judge.Approval) ([]judge.Objection, error) {
	c, err := s.guardsOf(tx, p, first, second)
	if err != nil {
		return nil, err
	}
	return judge.Check(p.Proposal, c), nil
}

// guardsOf is what the guards look at about a plan of people.
func (s *Shield) guardsOf(tx *store.Tx, p plan, first judge.Person, second *judge.Approval) (judge.Context, error) {
	c, err := s.contextOf(tx, p.Proposal, p.Subject)
	if err != nil {
		return c, err
	}
	c.First, c.Second = first, second
	if second != nil {
		c.Reporters, err = s.reportedBy(tx, p.Subject, first.ID, second.By.ID)
	}
	return c, err
}

// reportedBy are those of our own people whose mail address reported a subject this
// month. Who reported in earlier months is known no more: their key is gone.
func (s *Shield) reportedBy(tx *store.Tx, subject string, people ...string) (found []string, err error) {
	id, _, err := sighted(tx, subject)
	if err != nil || id == "" {
		return nil, err
	}
	for _, person := range people {
		a, err := account.ByID(tx, person)
		if errors.Is(err, bolwerk.ErrNotFound) || err == nil && a.Mail == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		mark, err := s.vault.Mark("reporter", strings.ToLower(a.Mail))
		if err != nil {
			return nil, err
		}
		var n int
		err = tx.Row(`select 1 from shield_link l join shield_report r on r.id=l.report where l.observable=$1 and r.mark=$2 limit 1`, id, mark).Scan(&n)
		if err == nil {
			found = append(found, person)
		} else if !store.None(err) {
			return nil, err
		}
	}
	return found, nil
}

// contextOf is all that the guards may look at about a proposal. subject is what
// its case is about; empty where there is no case.
func (s *Shield) contextOf(tx *store.Tx, p judge.Proposal, subject string) (judge.Context, error) {
	c := s.context(tx, judge.Person{}, nil)
	place := s.guard.rules().place(p.Name)
	covers, err := covering(tx, p.Name)
	if err != nil {
		return c, err
	}
	for _, b := range covers {
		if b.Pass {
			c.Exemptions = append(c.Exemptions, judge.Exemption{Name: b.Name, Scope: b.Scope, Until: b.Until, Reason: b.Reason})
		}
	}
	if c.Age, c.AgeKnown, err = ageOf(tx, place); err != nil {
		return c, err
	}
	id, first, err := sighted(tx, subject)
	if err != nil {
		return c, err
	}
	if id != "" {
		if c.Evidence, err = evidenceOf(tx, id); err != nil {
			return c, err
		}
	}
	c.Asked, err = askedBefore(tx, p.Name, p.Scope, place, first, c.Limits)
	return c, err
}

// sighted is the observable that a case is about, and when it was first seen: now,
// where it never was.
func sighted(tx *store.Tx, subject string) (id string, first time.Time, err error) {
	var seen int64
	if subject == "" {
		return "", tx.Now(), nil
	}
	err = tx.Row(`select id,first_seen from shield_observable where value=$1`, subject).Scan(&id, &seen)
	if store.None(err) {
		return "", tx.Now(), nil
	}
	return id, store.Time(seen), err
}

func (s *Shield) context(tx *store.Tx, first judge.Person, second *judge.Approval) judge.Context {
	r := s.guard.rules()
	return judge.Context{Now: tx.Now(), Limits: s.limits(), Suffixes: r.psl, Platforms: r.platforms, Never: r.never, Popular: r.popular, KnownGood: r.good,
		First: first, Second: second, Zone: BlockZone}
}

func (s *Shield) limits() judge.Limits { return judge.DefaultLimits() }

// split parts objections that refuse from those that a second person answers.
func split(all []judge.Objection) (refuse, second []judge.Objection) {
	for _, o := range all {
		if o.Effect == judge.Refuse {
			refuse = append(refuse, o)
		} else {
			second = append(second, o)
		}
	}
	return refuse, second
}

// proposeSecond lays a plan before a second person.
func (s *Shield) proposeSecond(tx *store.Tx, c desk.Case, action string, body any, who judge.Person, why []judge.Objection, out *Outcome) error {
	var need []string
	for _, o := range why {
		need = append(need, o.Sentence)
	}
	reason := ""
	switch p := body.(type) {
	case plan:
		reason = p.Reason
	case exemptPlan:
		reason = p.Reason
	}
	p, err := desk.Propose(tx, c.ID, action, body, bolwerk.Person(who.ID), reason, strings.Join(need, "; "))
	if err != nil {
		return err
	}
	if c.ID != "" && c.State == desk.Waiting {
		if err := desk.SetCase(tx, c, desk.Waiting, desk.Second, ""); err != nil {
			return err
		}
	}
	audit.Append(tx, bolwerk.Person(who.ID), action+".propose", orElse(c.Ref, p.ID), reason, map[string]string{"proposal": p.ID, "digest": p.Digest})
	out.State, out.Proposal, out.Objections = "second", &p, why
	return nil
}

// Approve is the second person's: exactly the proposal with digest is done. All
// guards run again.
func (s *Shield) Approve(ctx context.Context, who judge.Person, proposal, digest string) (Outcome, error) {
	var out Outcome
	err := s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		out = Outcome{}
		p, err := desk.FindProposal(tx, proposal)
		if err != nil {
			return err
		}
		if p.Action == actionExempt {
			return s.approveExempt(tx, who, p, digest, &out)
		}
		if p.Action == actionDomain {
			return s.approveDomain(tx, who, p, digest, &out)
		}
		if p.Action != actionBlock {
			return bolwerk.Invalid("proposal %s is not about a block", p.ID)
		}
		var pl plan
		if err := json.Unmarshal(p.Body, &pl); err != nil {
			return err
		}
		if err := desk.Approve(tx, p, digest, bolwerk.Person(who.ID)); err != nil {
			return err
		}
		bad, err := s.check(tx, pl, pl.First, &judge.Approval{By: who, Digest: pl.Digest()})
		if err != nil {
			return err
		}
		if len(bad) > 0 {
			return judge.Refusal(bad)
		}
		c, err := desk.FindCase(tx, p.CaseID)
		if err != nil {
			return err
		}
		b, err := s.block(tx, c, pl, p.Actor, bolwerk.Person(who.ID))
		out.State, out.Case, out.Block = "blocked", c.ID, &b
		return err
	})
	if err == nil && out.Block != nil {
		err = s.reload(ctx, out.Block.ID, &out)
	}
	if err == nil && out.Domain != nil {
		err = s.relearn(ctx, out.Domain.Name)
	}
	return out, err
}

// mayPlace refuses a plan whose block is there already, or that a publication has no
// place for.
func (s *Shield) mayPlace(tx *store.Tx, p plan) error {
	var have int64
	if err := tx.Row(`select count(*) from shield_block where name=$1 and scope=$2 and state='in_force' and not pass and order_id=''`, p.Name.String(), string(p.Scope)).Scan(&have); err != nil {
		return err
	}
	if have > 0 {
		return bolwerk.WithHint(bolwerk.Conflict("block %s: already blocked with scope %s", p.Name, p.Scope), "bolwerk block explain "+p.Name.String())
	}
	return s.checkPublication(tx, p.Proposal)
}

// block places what the plan says and decides the case.
func (s *Shield) block(tx *store.Tx, c desk.Case, p plan, first, second bolwerk.Actor) (Block, error) {
	if err := s.mayPlace(tx, p); err != nil {
		return Block{}, err
	}
	_, www := judge.NamesTaken(s.guard.rules().place(p.Name), p.Scope)
	versions, err := json.Marshal(p.Versions)
	if err != nil {
		return Block{}, err
	}
	reported, seen, err := firstReport(tx, c.ID)
	if err != nil {
		return Block{}, err
	}
	b, err := s.place(tx, Block{CaseID: c.ID, ReportedAt: reported, ReadAt: seen, Name: p.Name, Scope: p.Scope, WWW: www, Action: p.Action, Class: p.Class, Brand: p.Brand, Ground: edge.OwnPolicy,
		Legal: p.Legal, By: s.cfg.Operator, Reason: p.Reason, Actor: first, Second: second, Compromised: p.Compromised, Suspicious: p.Suspicious,
		AskedFor: p.AskedFor, Lists: string(versions), Until: p.Until})
	if err != nil {
		return b, err
	}
	if err := planRecheck(tx, b.ID, 0, tx.Now()); err != nil {
		return b, err
	}
	if err := desk.SetCase(tx, c, c.State, desk.Decided, "blocked"); err != nil {
		return b, err
	}
	if _, err := tx.Exec(`update shield_case set block=$1 where id=$2`, b.ID, c.ID); err != nil {
		return b, err
	}
	if err := learnAsked(tx, c.ID, p.AskedFor); err != nil {
		return b, err
	}
	campaign, err := campaignOf(tx, c.ID)
	if err == nil {
		err = growCampaign(tx, campaign, tx.Now(), grew{blocks: 1})
	}
	if err != nil {
		return b, err
	}
	if err := s.tellOutside(tx, b.ID, lastOf(first, second)); err != nil {
		return b, err
	}
	audit.Append(tx, lastOf(first, second), "shield.block.confirm", b.Ref, p.Reason, map[string]any{"case": c.Ref, "name": p.Name, "scope": p.Scope, "until": p.Until, "first": first, "second": second, "lists": p.Versions})
	s.facts.Append(tx, lastOf(first, second), fact.CaseDecided, c.ID, fact.Decided{Outcome: "blocked", Block: b.ID})
	s.count.decided.WithLabelValues("blocked").Inc()
	return b, s.unsettle(tx, c.ID)
}

// learnAsked keeps for the campaign of a case what one more of its sites asks for.
func learnAsked(tx *store.Tx, caseID string, asked aid.Set) error {
	if asked == 0 {
		return nil
	}
	campaign, err := campaignOf(tx, caseID)
	if err != nil {
		return err
	}
	return askedOfCampaign(tx, campaign, asked)
}

// checkPublication lets the guards look at the publication that a transaction
// is about to make of our own decisions. One that only removes is never asked.
func (s *Shield) checkPublication(tx *store.Tx, p judge.Proposal) error {
	var size, serial int64
	if err := tx.Row(`select count,serial from copy_head where copy=$1`, CopyBlocks).Scan(&size, &serial); err != nil && !store.None(err) {
		return err
	}
	r := s.guard.rules()
	candidate := judge.Publication{Size: int(size), Added: 1, Serial: serial + 1, Last: serial}
	if taken, ok := r.canaries.Taken(r.place(p.Name), p.Scope); ok {
		candidate.Taken = taken.Name
	}
	return judge.Refusal(judge.CheckPublication(candidate, s.limits()))
}

func lastOf(first, second bolwerk.Actor) bolwerk.Actor {
	if second.String() != "" {
		return second
	}
	return first
}

// Reject ends a case without a block.
func (s *Shield) Reject(ctx context.Context, who judge.Person, id, reason string) (Outcome, error) {
	if strings.TrimSpace(reason) == "" {
		return Outcome{}, bolwerk.WithHint(bolwerk.Invalid("a rejection needs a reason"), "say why in a few words")
	}
	if err := judge.May(who, judge.Reject); err != nil {
		return Outcome{}, err
	}
	out := Outcome{State: "rejected"}
	err := s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		c, err := desk.FindCase(tx, id)
		if err != nil {
			return err
		}
		if !c.State.Open() {
			return bolwerk.Conflict("case %s is %s already (%s)", c.Ref, c.State, c.Outcome)
		}
		out.Case = c.ID
		if err := desk.Void(tx, c.ID); err != nil {
			return err
		}
		if err := desk.SetCase(tx, c, c.State, desk.Decided, "rejected"); err != nil {
			return err
		}
		by := bolwerk.Person(who.ID)
		audit.Append(tx, by, "shield.case.reject", c.Ref, reason, map[string]string{"subject": c.Subject})
		if err := s.correctNotices(tx, c.ID, "rejected"); err != nil {
			return err
		}
		s.facts.Append(tx, by, fact.CaseDecided, c.ID, fact.Decided{Outcome: "rejected"})
		s.count.decided.WithLabelValues("rejected").Inc()
		return s.unsettle(tx, c.ID)
	})
	return out, err
}
