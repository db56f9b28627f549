package shield

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
	"bolwerk/shield/judge"
)

// Owners of brands (banks, post, identity services) see what looks like their
// brands and say what they know of it. Their word is evidence and puts a case
// before a person sooner. It blocks nothing, clears nothing and approves nothing.

const (
	ownerAnswers = 60  // of one person in an hour: a campaign has tens of names
	ownerDomains = 30  // that one person gives in an hour
	ownerText    = 500 // letters of a reason
)

// BrandNames are the brands that somebody can answer for: the configured and the
// compiled ones.
func (c Config) BrandNames() (names []string) {
	for _, b := range judge.KnownBrands(c.Brands...) {
		names = append(names, b.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// OwnerAnswer is what somebody says of one look-alike: of a case, or of a name of
// a new certificate.
type OwnerAnswer struct {
	Case   string // id or number; empty with Name
	Name   bolwerk.Domain
	Says   judge.Says
	Reason string // needed unless it imitates the brand
}

// errNotYours is the answer about what is somebody else's and about what there is
// not: nobody learns which.
func errNotYours() error { return bolwerk.NotFound("there is no such look-alike of your brands") }

// mine says that a person answers for a brand.
func mine(who account.Person, brand string) bool {
	return brand != "" && who.May(account.OwnBrand) && slices.Contains(who.Brands, brand)
}

// ownReason checks what somebody of a brand wrote.
func ownReason(text string, needed bool) (string, error) {
	text = strings.TrimSpace(text)
	n := utf8.RuneCountInString(text)
	if needed && n < 3 || n > ownerText {
		return "", bolwerk.Invalid("say why in 3 to %d letters", ownerText)
	}
	return text, nil
}

// slowly refuses what one person does more often than limit times an hour.
func slowly(tx *store.Tx, table string, who account.Person, limit int) error {
	var n, first int64
	since := tx.Now().Add(-time.Hour)
	if err := tx.Row(`select count(*),coalesce(min(at),0) from `+table+` where actor=$1 and at>$2`, who.Actor().String(), store.Micros(since)).Scan(&n, &first); err != nil {
		return err
	}
	if n < int64(limit) {
		return nil
	}
	return &web.Wait{Err: bolwerk.WithHint(bolwerk.Conflict("%d in an hour is the most that one person can send", limit), "try again later, or write to us about many names at once"), After: store.Time(first).Sub(since)}
}

// Answer keeps what somebody of a brand says of a look-alike, as evidence of its
// case. That a new name imitates the brand opens a case about it. The case's
// number is given back, empty where there is none.
func (s *Shield) Answer(ctx context.Context, who account.Person, in OwnerAnswer) (ref string, err error) {
	says, err := judge.ParseSays(string(in.Says))
	if err != nil {
		return "", err
	}
	reason, err := ownReason(in.Reason, says != judge.Imitates)
	if err != nil {
		return "", err
	}
	err = s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		ref = ""
		if err := slowly(tx, "shield_owner_answer", who, ownerAnswers); err != nil {
			return err
		}
		c, brand, err := s.lookalike(tx, who, in, says)
		if err != nil {
			return err
		}
		name := c.Subject
		if c.ID == "" {
			name = in.Name.String()
		}
		if err := s.otherOwner(name, brand); err != nil {
			return err
		}
		if _, err := tx.Exec(`insert into shield_owner_answer(id,brand,name,case_id,says,reason,actor,at) values($1,$2,$3,$4,$5,$6,$7,$8)`,
			bolwerk.NewID(tx.Now()), brand, name, c.ID, string(says), reason, who.Actor().String(), tx.NowMicros()); err != nil {
			return err
		}
		ref = c.Ref
		audit.Append(tx, who.Actor(), "shield.owner.answer", orElse(c.Ref, name), reason, map[string]any{"brand": brand, "name": name, "says": says})
		if c.ID == "" {
			return nil
		}
		return s.ownerSaid(tx, c, judge.OwnerEvidence(brand, says, reason, s.usedByMany(name)), says)
	})
	return ref, err
}

// lookalike finds what an answer is about, where that is one of the person's
// brands. A name of a certificate has no case yet: that it imitates the brand
// opens one.
func (s *Shield) lookalike(tx *store.Tx, who account.Person, in OwnerAnswer, says judge.Says) (c desk.Case, brand string, err error) {
	if in.Case == "" {
		if brand, err = nearOf(tx, who, in.Name); err != nil {
			return c, "", err
		}
		if in.Case, err = caseAbout(tx, in.Name.String()); err != nil {
			return c, "", err
		}
		if in.Case == "" && says == judge.Imitates {
			c, err = s.caseFor(tx, Confirm{Name: in.Name, Brand: brand})
			return c, brand, err
		}
		if in.Case == "" {
			return c, brand, nil
		}
	}
	if c, err = desk.FindCase(tx, in.Case); err != nil {
		return c, "", errNotYours()
	}
	if brand, err = caseBrand(tx, c.ID); err != nil {
		return c, "", err
	}
	if !mine(who, brand) || c.State == desk.Gathering {
		return c, "", errNotYours()
	}
	return c, brand, nil
}

// caseBrand is which brand a case's name imitates; empty for none, and for a case
// that is none of ours.
func caseBrand(tx *store.Tx, id string) (brand string, err error) {
	if err = tx.Row(`select brand from shield_case where id=$1`, id).Scan(&brand); store.None(err) {
		err = nil
	}
	return brand, err
}

// caseAbout is the id of the newest case about a name.
func caseAbout(tx *store.Tx, name string) (id string, err error) {
	if err = tx.Row(`select case_id from shield_observable where value=$1`, name).Scan(&id); store.None(err) {
		err = nil
	}
	return id, err
}

// nearOf is the brand that a certificate's name looks like, where the person
// answers for it.
func nearOf(tx *store.Tx, who account.Person, name bolwerk.Domain) (brand string, err error) {
	err = tx.Row(`select brand from shield_certificate where name=$1 and at>=0`, name.String()).Scan(&brand)
	if err != nil && !store.None(err) {
		return "", err
	}
	if err != nil || !mine(who, brand) {
		return "", errNotYours()
	}
	return brand, nil
}

// otherOwner refuses an answer about a name that is another brand's own.
func (s *Shield) otherOwner(name, brand string) error {
	d, err := bolwerk.ParseDomain(name)
	if err != nil {
		return nil // a page on a host that strangers share
	}
	if own := s.guard.rules().brands.Owner(d); own != "" && own != brand {
		return bolwerk.Conflict("%s is another brand's own name", d)
	}
	return nil
}

// usedByMany says that a name is a popular one.
func (s *Shield) usedByMany(name string) bool {
	d, err := bolwerk.ParseDomain(name)
	if err != nil {
		return false
	}
	rules := s.guard.rules()
	return s.popular(rules, found{name: d, place: rules.place(d)})
}

// ownerSaid keeps the evidence of an answer in place of an earlier one of the same
// brand, and judges anew.
func (s *Shield) ownerSaid(tx *store.Tx, c desk.Case, e judge.Evidence, says judge.Says) error {
	var observable, verdict string
	if err := tx.Row(`update shield_case set owner_says=$1 where id=$2 returning observable,verdict`, string(says), c.ID).Scan(&observable, &verdict); err != nil {
		return err
	}
	if _, err := tx.Exec(`delete from shield_evidence where observable=$1 and family=$2 and source=$3`, observable, string(e.Family), e.Source); err != nil {
		return err
	}
	evidence := []judge.Evidence{e}
	if d, err := bolwerk.ParseDomain(c.Subject); err == nil && verdict == "" { // opened by this answer
		rules := s.guard.rules()
		p := rules.place(d)
		evidence = append(append(evidence, judge.NameEvidence(p, rules.brands)...), judge.ListEvidence(p, "", rules.feeds)...)
	}
	return s.judgeWith(tx, observable, evidence)
}

// forgetOwners forgets what brands' owners said of names without a case, and the
// domains that they gave and that are no longer theirs.
func forgetOwners(tx *store.Tx, year int64) error {
	if _, err := tx.Exec(`delete from shield_owner_answer where at<$1 and case_id=''`, year); err != nil {
		return err
	}
	_, err := tx.Exec(`delete from shield_brand_domain where changed_at<$1 and state in ('refused','ended')`, year)
	return err
}
