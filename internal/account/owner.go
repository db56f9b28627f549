package account

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// maxBrands is for how many brands one brand owner may answer.
const maxBrands = 20

// OfBrands says which brands there are to answer for; before anything else is
// called. Without it there are no brand owners.
func (s *Accounts) OfBrands(names []string) { s.brands = names }

// Brands are all brands that somebody can answer for.
func (s *Accounts) Brands() []string { return s.brands }

// ParseBrands reads names of brands with commas between, as the configuration
// writes them.
func (s *Accounts) ParseBrands(text string) ([]string, error) {
	return s.parseBrands(strings.Split(text, ","))
}

func (s *Accounts) parseBrands(names []string) (out []string, err error) {
	for _, name := range names {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		i := slices.IndexFunc(s.brands, func(b string) bool { return strings.EqualFold(b, name) })
		if i < 0 {
			return nil, bolwerk.WithHint(bolwerk.Invalid("no brand %q is protected here", clip(name)), "the brands are those of [[shield.brand]] and the compiled list")
		}
		if !slices.Contains(out, s.brands[i]) {
			out = append(out, s.brands[i])
		}
	}
	if len(out) == 0 || len(out) > maxBrands {
		return nil, bolwerk.Invalid("a brand owner answers for 1 to %d brands, not %d", maxBrands, len(out))
	}
	slices.Sort(out)
	return out, nil
}

// readBrands reads the column; what it does not understand is no brand.
func readBrands(text string) (out []string) {
	if text == "" || text == "[]" || json.Unmarshal([]byte(text), &out) != nil {
		return nil
	}
	return out
}

// InviteOwner makes the account of a brand owner, and the code with which its
// person sets a password within 72 h. It answers for no brand until a second
// administrator has approved which: waits says so. From the admin socket they
// hold at once.
func (s *Accounts) InviteOwner(ctx context.Context, by bolwerk.Actor, login string, brands []string) (code bolwerk.Token, waits bool, err error) {
	if login, err = ParseLogin(login); err != nil {
		return code, false, err
	}
	if brands, err = s.parseBrands(brands); err != nil {
		return code, false, err
	}
	socket := by == bolwerk.Socket()
	if !socket && s.proposals == nil {
		return code, false, errAlone()
	}
	code = bolwerk.NewToken()
	err = s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if _, err := byLogin(tx, login); err == nil {
			return bolwerk.WithHint(bolwerk.Conflict("there is an account %q already", login), "bolwerk user reset "+login+" makes a new password for it")
		}
		p := Person{ID: bolwerk.NewID(tx.Now()), Login: login, Role: BrandOwner, RoleSince: tx.Now(), MadeAt: tx.Now(), State: Invited}
		if err := insert(tx, p); err != nil {
			return err
		}
		audit.Append(tx, by, "account.person.invite", p.ID, "", map[string]any{"role": BrandOwner})
		if err := invitation(tx, code, p.ID, "password", InvitationLife); err != nil {
			return err
		}
		if socket {
			return s.setBrands(tx, by, p, brands, "invited for these brands", bolwerk.Actor{})
		}
		return s.proposeBrands(tx, by, p, brands, "invited for these brands")
	})
	return code, !socket, err
}

// SetBrands says for which brands a brand owner answers, all of them.
func (s *Accounts) SetBrands(ctx context.Context, by bolwerk.Actor, login string, brands []string, reason string) error {
	brands, err := s.parseBrands(brands)
	if err != nil {
		return err
	}
	return s.change(ctx, by, login, func(tx *store.Tx, p Person) error { return s.setBrands(tx, by, p, brands, reason, bolwerk.Actor{}) })
}

// ProposeBrands is SetBrands where that only takes brands away, and otherwise
// lays it before a second administrator: ok says that it is done.
func (s *Accounts) ProposeBrands(ctx context.Context, me Person, login string, brands []string, reason string) (ok bool, err error) {
	if brands, err = s.parseBrands(brands); err != nil {
		return false, err
	}
	err = s.change(ctx, me.Actor(), login, func(tx *store.Tx, p Person) error {
		if ok = !slices.ContainsFunc(brands, func(b string) bool { return !slices.Contains(p.Brands, b) }); ok {
			return s.setBrands(tx, me.Actor(), p, brands, reason, bolwerk.Actor{})
		}
		return s.proposeBrands(tx, me.Actor(), p, brands, reason)
	})
	return ok, err
}

func (s *Accounts) proposeBrands(tx *store.Tx, by bolwerk.Actor, p Person, brands []string, reason string) error {
	if err := answers(p); err != nil {
		return err
	}
	if s.proposals == nil {
		return errAlone()
	}
	_, err := s.proposals.Propose(tx, ActionRole, Change{Person: p.ID, Login: p.Login, From: p.Role, To: BrandOwner, Brands: brands}, by, reason, "to speak for a brand: two people")
	return err
}

// setBrands gives brands; first is who proposed them where by has approved it.
func (s *Accounts) setBrands(tx *store.Tx, by bolwerk.Actor, p Person, brands []string, reason string, first bolwerk.Actor) error {
	if err := answers(p); err != nil {
		return err
	}
	if slices.Equal(p.Brands, brands) {
		return bolwerk.Conflict("%s answers for %s already", p.Login, strings.Join(brands, ", "))
	}
	text, err := json.Marshal(brands)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`update account set brands=$1, role_since=$2 where id=$3`, string(text), tx.NowMicros(), p.ID); err != nil {
		return err
	}
	audit.Append(tx, by, "account.brands.set", p.ID, reason, map[string]any{"from": p.Brands, "to": brands, "first": first})
	return nil
}

// answers refuses brands for anybody who is no brand owner: our own people look at
// all of them already.
func answers(p Person) error {
	if p.Role == BrandOwner {
		return nil
	}
	return bolwerk.WithHint(bolwerk.Conflict("%s is no brand owner", p.Login), "invite somebody of the brand: an account of our own people does not become one")
}

// BrandList is its brands as a sentence and a form have them.
func (p Person) BrandList() string { return strings.Join(p.Brands, ", ") }

// BrandList is Person.BrandList.
func (c Change) BrandList() string { return strings.Join(c.Brands, ", ") }
