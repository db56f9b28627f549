package shield

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/store"
	"bolwerk/shield/capture"
	"bolwerk/shield/content"
	"bolwerk/shield/judge"
)

// A sibling is a name that nobody reported and that has something in common with a
// campaign. It is shown with what that is, for a person to look at: nothing is done
// about it, and nothing fetches it.

// What a sibling has in common with the member beside it.
const (
	byCertificate  = "certificate"  // both stand in one certificate
	byForm         = "form"         // the member's form sends there what visitors type
	byLanding      = "landing"      // the member led its visitors on to it
	byTemplate     = "template"     // a new certificate has a name of the same shape and brand (K6)
	byRegistration = "registration" // near the same brand; same registrar and name servers, a day apart at most (K7)
)

// maxSiblings bounds the names that one campaign proposes.
const maxSiblings = 200

// nearFor is how long a name of a new certificate is compared with campaigns.
const nearFor = 14 * 24 * time.Hour

// siblings proposes the names that a page of a campaign shows beside its own:
// those in its certificate, those that it led to on its way, those that its forms
// send to. A certificate of a host that strangers share has everybody's names and
// says nothing.
func (s *Shield) siblings(tx *store.Tx, rules *rules, campaign, caseID string, f content.Facts, b *capture.Bundle) error {
	host := f.Host
	if host.IsZero() || len(b.Hops) == 0 {
		return nil
	}
	var member string // whose page it is; it may have led to another host
	if err := tx.Row(`select subject from desk_case where id=$1`, caseID).Scan(&member); err != nil {
		return err
	}
	p, own := rules.place(host), rules.place(host)
	if d, err := bolwerk.ParseDomain(member); err == nil {
		own = rules.place(d)
	}
	propose := func(text, why string) error {
		d, err := bolwerk.ParseDomain(text)
		if err != nil || own.Owner().IsZero() || d.Below(own.Owner()) || own.Name.Below(d) {
			return nil
		}
		return proposeSibling(tx, rules, campaign, d, why, member)
	}
	if names := b.Hops[len(b.Hops)-1].Names; !p.Shared && p.Tenant.IsZero() && len(names) <= 100 {
		for _, n := range names {
			if err := propose(strings.TrimPrefix(n, "*."), byCertificate); err != nil {
				return err
			}
		}
	}
	if len(f.Asks) == 0 { // it takes nothing from anybody: where it leads says little
		return nil
	}
	for _, form := range f.Forms {
		if form.Off && len(form.Asks) > 0 {
			if err := propose(hostOf(form.Action), byForm); err != nil {
				return err
			}
		}
	}
	for _, hop := range b.Hops {
		if err := propose(hostOf(hop.URL), byLanding); err != nil {
			return err
		}
	}
	return nil
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// siblingsOfShape proposes for a campaign that begins the names of new certificates
// that are made as its names are.
func (s *Shield) siblingsOfShape(tx *store.Tx, campaign, brand string, keys []judge.Key) error {
	rules := s.guard.rules()
	var shape judge.Key
	for _, k := range keys {
		if k.Kind == judge.KeyName {
			shape = k
		}
	}
	names, err := texts(tx, `select name from shield_certificate where brand=$1 and looked=0 and at>$2 order by at desc limit 500`, brand, store.Micros(tx.Now().Add(-nearFor)))
	if err != nil {
		return err
	}
	for _, text := range names {
		d, err := bolwerk.ParseDomain(text)
		if err != nil || !slices.ContainsFunc(judge.NameKey(rules.place(d), brand, rules.brands), func(k judge.Key) bool { return k.String() == shape.String() }) {
			continue
		}
		if err := proposeSibling(tx, rules, campaign, d, byTemplate, strings.TrimPrefix(shape.Value, brand+"|")); err != nil {
			return err
		}
	}
	return nil
}

// nearCampaign proposes a name of a new certificate to the campaigns whose names have
// its shape. Where a lively campaign against the same brand knows how its names are
// registered, it asks how this one is.
func (s *Shield) nearCampaign(tx *store.Tx, rules *rules, n near) error {
	p := rules.place(n.name)
	for _, k := range judge.NameKey(p, n.like.Brand, rules.brands) {
		ids, err := texts(tx, `select holder from shield_key where key=$1 and not is_case order by at desc limit 3`, k.String())
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := proposeSibling(tx, rules, id, n.name, byTemplate, strings.TrimPrefix(k.Value, n.like.Brand+"|")); err != nil {
				return err
			}
		}
	}
	var lively bool
	err := tx.Row(`select exists(select 1 from shield_campaign c where c.brand=$1 and c.merged_into='' and c.lively_at>$2 and exists(select 1 from shield_key k where k.holder=c.id and k.key>='K7|' and k.key<'K7}'))`,
		n.like.Brand, store.Micros(tx.Now().Add(-quietAfter))).Scan(&lively)
	if err != nil || !lively {
		return err
	}
	return s.planLookup(tx, found{name: n.name, place: p})
}

// registerKeys are of how a name was registered (K7), of its day and the next: two
// names that are a day apart at most have one in common.
func (k known) registerKeys() (out []judge.Key) {
	r := k.Registration
	servers := r.Servers
	if len(servers) == 0 && k.DNS != nil {
		servers = k.DNS.Servers
	}
	if r.Created.IsZero() || len(servers) == 0 {
		return nil
	}
	for _, day := range []time.Time{r.Created, r.Created.Add(24 * time.Hour)} {
		out = append(out, judge.RegisterKey(r.Registrar, servers, day.UTC().Format(time.DateOnly))...)
	}
	return out
}

// registeredAs takes in how the name of a case was registered: its campaign holds
// that, and where it is in none, with what it holds already two kinds may agree now.
func (s *Shield) registeredAs(tx *store.Tx, caseID string, keys []judge.Key) error {
	if caseID == "" || len(keys) == 0 {
		return nil
	}
	var campaign, brand string
	err := tx.Row(`select campaign,brand from shield_case where id=$1`, caseID).Scan(&campaign, &brand)
	if store.None(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if campaign != "" {
		return hold(tx, campaign, false, keys, 0)
	}
	held, err := heldBy(tx, caseID)
	if err != nil {
		return err
	}
	id, by, err := s.joinCampaign(tx, caseID, append(keys, held...), 0, brand, brand)
	if err != nil || id == "" {
		return err
	}
	return s.adopt(tx, id, caseID, by)
}

// siblingsRegistered proposes names near a brand that nobody reported to the
// campaigns against that brand whose names were registered as they were.
func (s *Shield) siblingsRegistered(tx *store.Tx, domain bolwerk.Domain, keys []judge.Key) error {
	rules := s.guard.rules()
	type nearby struct{ name, brand string }
	for _, k := range keys {
		all, err := store.List(tx, func(scan func(...any) error) (n nearby, err error) { err = scan(&n.name, &n.brand); return n, err },
			`select name,brand from shield_certificate where (name=$1 or name like $2) and looked=0 limit 20`, domain.String(), "%."+domain.String())
		if err != nil || len(all) == 0 {
			return err
		}
		for _, n := range all {
			d, err := bolwerk.ParseDomain(n.name)
			if err != nil {
				return err
			}
			ids, err := texts(tx, `select c.id from shield_key k join shield_campaign c on c.id=k.holder where k.key=$1 and not k.is_case and c.brand=$2 and c.merged_into='' order by k.at desc limit 3`, k.String(), n.brand)
			if err != nil {
				return err
			}
			for _, id := range ids {
				member, err := aMember(tx, id)
				if err != nil {
					return err
				}
				if err := proposeSibling(tx, rules, id, d, byRegistration, member); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// aMember is the name of the newest case of a campaign.
func aMember(tx *store.Tx, campaign string) (name string, err error) {
	err = tx.Row(`select c.subject from shield_case s join desk_case c on c.id=s.id where s.campaign=$1 order by s.first_seen desc, s.id desc limit 1`, campaign).Scan(&name)
	if store.None(err) {
		err = nil
	}
	return name, err
}

// proposeSibling proposes a name as one of a campaign, for a person to look at. A
// name that was reported, is a brand's own or shared by strangers is left out.
func proposeSibling(tx *store.Tx, rules *rules, campaign string, d bolwerk.Domain, why, with string) error {
	p := rules.place(d)
	if p.Shared || p.Registrable.IsZero() || rules.brands.Owner(d) != "" {
		return nil
	}
	if _, popular := rules.popular.Rank(p.Registrable); popular {
		return nil
	}
	_, err := tx.Exec(`insert into shield_sibling(campaign,name,why,beside,at) select $1,$2,$3,$4,cast($5 as bigint)
		where not exists (select 1 from shield_observable where name=$2) and (select count(*) from shield_sibling where campaign=$1)<$6 on conflict(campaign,name) do nothing`,
		campaign, d.String(), why, with, tx.NowMicros(), maxSiblings)
	return err
}
