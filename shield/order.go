package shield

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
	"bolwerk/shield/edge"
	"bolwerk/shield/judge"
)

// Issuer is an authority whose orders are carried out at once. Its list comes
// by file, by poll of an address, or is pushed, signed, to our API.
type Issuer struct {
	// Name stands in facts, orders and commands: letters, digits, hyphen.
	Name string `toml:"name"`
	// Public is what visitors of the warning page see.
	Public string `toml:"public"`
	// Ground is the legal ground where an order brings none.
	Ground string `toml:"ground"`
	// File is read again when it changes; URL is polled every Every. Both hold
	// the whole list: what is no longer in it is lifted.
	File  string           `toml:"file"`
	URL   string           `toml:"url"`
	Every bolwerk.Duration `toml:"every"`
	// KeyFile holds the secret with which the issuer signs what it pushes (JWT,
	// HS512 or HS256; at least 32 bytes), mode 0600. Empty: it may not push.
	KeyFile string `toml:"key_file"`
	// Report is an address to which the issuer is told what became of its orders
	// and what was counted (POST of JSON). Empty: it is told nothing.
	Report string `toml:"report"`
	// MustHave is an entry that the list always has: without it the list is cut
	// or foreign, and adds nothing.
	MustHave bolwerk.Domain `toml:"must_have"`
	// Jump is the largest growth that is taken over without a person, as a part
	// of one; 0 is 0.5. The first load is released by a person.
	Jump float64 `toml:"jump"`
	// Action is what is answered where an order says nothing: redirect.
	Action edge.Action `toml:"action"`
}

// Validate says what is wrong with the issuer's configuration.
func (i Issuer) Validate() error {
	var errs []error
	if i.Name == "" || strings.Trim(i.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		errs = append(errs, fmt.Errorf("name %q: want lower-case letters, digits and hyphens", i.Name))
	}
	if i.File != "" && i.URL != "" {
		errs = append(errs, fmt.Errorf("issuer %s: give a file or a url, not both", i.Name))
	}
	if i.File == "" && i.URL == "" && i.KeyFile == "" {
		errs = append(errs, fmt.Errorf("issuer %s: no way for its orders to come: give a file, a url or a key_file", i.Name))
	}
	if i.URL != "" && i.Every.D() < 10*time.Second {
		errs = append(errs, fmt.Errorf("issuer %s: every %s: want 10 s or more", i.Name, i.Every))
	}
	if u, err := url.Parse(i.Report); i.Report != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		errs = append(errs, fmt.Errorf("issuer %s: report %q is no web address", i.Name, i.Report))
	}
	if i.Ground == "" {
		errs = append(errs, fmt.Errorf("issuer %s: an order needs a legal ground", i.Name))
	}
	switch i.Action {
	case "", edge.Redirect, edge.NXDomain, edge.NoData:
	default:
		errs = append(errs, fmt.Errorf("issuer %s: action %q: want redirect, nxdomain or nodata", i.Name, i.Action))
	}
	return errors.Join(errs...)
}

// Bounds of a list of orders.
const (
	maxOrders     = 2_000_000
	maxOrderBytes = 1 << 30
	jumpFloor     = 100 // below it growth says nothing

	// Orders in one transaction, about 20 ms: a decision waits behind it.
	ordersAtOnce = 50
	heldAtOnce   = 500 // those that are only noted
)

// listed is one order as an issuer writes it: a line of JSON, or only a name.
type listed struct {
	ID     string        `json:"id"`
	Name   string        `json:"name"`
	Domain string        `json:"domain"` // as CERT Polska's push API names it
	Status string        `json:"status"` // blocked or unblocked; blocked where empty
	Scope  bolwerk.Scope `json:"scope"`
	Ground string        `json:"ground"`
	From   time.Time     `json:"valid_from"`
	Until  time.Time     `json:"valid_until"`
	// Version orders two messages about one id; a time in seconds will do.
	Version int64 `json:"version"`
}

func (l listed) order(is Issuer) (desk.Order, bolwerk.Domain, error) {
	text := orElse(l.Name, l.Domain)
	d, err := bolwerk.ParseDomain(text)
	if err != nil {
		return desk.Order{}, d, err
	}
	scope := l.Scope
	if scope == "" {
		scope = bolwerk.ScopeSubtree
	}
	if !scope.DNS() {
		return desk.Order{}, d, bolwerk.Invalid("order about %s: scope %q is not one of DNS", d, scope)
	}
	action := "block"
	switch l.Status {
	case "", "blocked":
	case "unblocked":
		action = "unblock"
	default:
		return desk.Order{}, d, bolwerk.Invalid("order about %s: status %q: want blocked or unblocked", d, l.Status)
	}
	return desk.Order{Issuer: is.Name, External: orElse(l.ID, d.String()), Version: l.Version, Action: action, Subject: d.String(), Scope: string(scope),
		Ground: orElse(l.Ground, is.Ground), ValidFrom: l.From, ValidUntil: l.Until}, d, nil
}

// parseOrders reads a list: one order a line, as JSON or as a name alone.
func parseOrders(r io.Reader, is Issuer) (orders []desk.Order, hasMust bool, bad int, err error) {
	hasMust = is.MustHave.IsZero()
	sc := newLines(io.LimitReader(r, maxOrderBytes))
	for sc.Scan() {
		line := strings.TrimSpace(sc.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		var l listed
		if line[0] == '{' {
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				bad++
				continue
			}
		} else {
			l.Name = line
		}
		o, d, err := l.order(is)
		if err != nil {
			bad++
			continue
		}
		if d == is.MustHave {
			hasMust = true
			continue // a sentinel, not an order
		}
		if orders = append(orders, o); len(orders) > maxOrders {
			return nil, false, bad, bolwerk.Invalid("list of %s: more than %d orders", is.Name, maxOrders)
		}
	}
	return orders, hasMust, bad, sc.Err()
}

// TakeList carries out an issuer's whole list: what is gone from it is lifted
// first, always, because the way back is never blocked; what is new is placed,
// unless the list looks cut or foreign or has jumped.
func (s *Shield) TakeList(ctx context.Context, is Issuer, r io.Reader) error {
	orders, hasMust, bad, err := parseOrders(r, is)
	if err != nil {
		return fmt.Errorf("orders of %s: %w", is.Name, err)
	}
	if bad > 0 {
		s.log.Warn("orders that cannot be read", "issuer", is.Name, "lines", bad)
	}
	want := make(map[string]desk.Order, len(orders))
	for _, o := range orders {
		want[o.External] = o
	}
	have := map[string]desk.Order{}
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		for after := ""; ; {
			page, err := desk.Orders(tx, desk.OrderFilter{Issuer: is.Name, After: after, Limit: 5000})
			if err != nil {
				return err
			}
			for _, o := range page {
				have[o.External] = o
				after = o.ID
			}
			if len(page) < 5000 {
				return nil
			}
		}
	})
	if err != nil {
		return err
	}
	var fresh []desk.Order
	inForce := 0
	for ext, o := range have {
		live := o.State == "in_force" || o.State == "held"
		if o.State == "in_force" {
			inForce++
		}
		if w, ok := want[ext]; live && (!ok || w.Action == "unblock") {
			if err := s.LiftOrder(ctx, o, heldFor("no longer in the issuer's list")); err != nil {
				return err
			}
		}
	}
	for _, o := range orders {
		old, ok := have[o.External]
		if o.Action == "block" && (!ok || old.State == "lifted" || old.Subject != o.Subject || old.Scope != o.Scope || !old.ValidUntil.Equal(o.ValidUntil)) {
			o.ID, o.Ref, o.ReceivedAt = old.ID, old.Ref, old.ReceivedAt
			fresh = append(fresh, o)
		}
	}
	jump := is.Jump
	if jump == 0 {
		jump = 0.5
	}
	hold := ""
	switch {
	case !hasMust:
		hold = heldFor("the must-have entry %s is missing", is.MustHave)
		s.log.Error("a list of orders lacks its must-have entry: it adds nothing", "alarm", true, "issuer", is.Name, "must_have", is.MustHave)
	case len(have) == 0 && len(fresh) > 0:
		hold = heldFor("the first list of an issuer is released by a person")
	case len(fresh) > jumpFloor && float64(len(fresh)) > jump*float64(inForce):
		hold = heldFor("the list grows by %d orders to %d: more than %.0f %%", len(fresh), inForce+len(fresh), jump*100)
	}
	some := ordersAtOnce
	if hold != "" {
		some = heldAtOnce
	}
	for i := 0; i < len(fresh); i += some {
		if err := s.takeOrders(ctx, is, fresh[i:min(i+some, len(fresh))], hold); err != nil {
			return err
		}
	}
	if hold != "" && len(fresh) > 0 && len(have) == 0 && hasMust { // as each issuer begins: Today asks for a person
		s.log.Warn("orders held back", "issuer", is.Name, "orders", len(fresh), "why", hold)
	} else if hold != "" && len(fresh) > 0 {
		s.log.Error("orders held back", "alarm", true, "issuer", is.Name, "orders", len(fresh), "why", hold)
	}
	return nil
}

// heldFor is why something is held or lifted, as it is kept: a page says it in its
// reader's language.
func heldFor(format string, a ...any) string { return fmt.Sprintf(format, a...) }

// takeOrders places orders in one transaction, or keeps them held.
func (s *Shield) takeOrders(ctx context.Context, is Issuer, orders []desk.Order, hold string) error {
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		for _, o := range orders {
			if o.State = "held"; hold == "" {
				if err := s.carryOut(tx, is, &o); err != nil {
					return err
				}
			} else {
				o.Reason = hold
			}
			if _, err := desk.PutOrder(tx, o); err != nil {
				return err
			}
		}
		return nil
	})
}

// carryOut places the block of an order. Only the technical rails are asked; a
// refusal is kept with the order and reported back.
func (s *Shield) carryOut(tx *store.Tx, is Issuer, o *desk.Order) error {
	d, err := bolwerk.ParseDomain(o.Subject)
	if err != nil {
		return err
	}
	if o.ID == "" {
		fresh, err := desk.PutOrder(tx, *o)
		if err != nil {
			return err
		}
		*o = fresh
	}
	if o.Object != "" { // changed: the block of before goes
		if b, err := findBlock(tx, o.Object); err == nil && b.State == InForce {
			if err := s.end(tx, b, Withdrawn, bolwerk.Issuer(is.Name), string(OrderLifted), "changed by the issuer"); err != nil {
				return err
			}
		}
	}
	rules := s.guard.rules()
	p := judge.Proposal{Name: d, Scope: bolwerk.Scope(o.Scope), Until: o.ValidUntil, Class: "phishing", Order: is.Name, Versions: rules.versions}
	if bad := judge.Check(p, s.context(tx, judge.Person{}, nil)); len(bad) > 0 {
		o.State, o.Reason, o.Object = "refused", judge.Refusal(bad).Error(), ""
		s.log.Error("order refused", "alarm", true, "issuer", is.Name, "order", o.Ref, "name", o.Subject, "why", o.Reason)
		audit.Append(tx, bolwerk.Issuer(is.Name), "shield.order.refuse", o.Ref, o.Reason, map[string]string{"name": o.Subject})
		return nil
	}
	_, www := judge.NamesTaken(rules.place(d), p.Scope)
	action := is.Action
	if action == "" {
		action = edge.Redirect
	}
	b, err := s.place(tx, Block{OrderID: o.ID, Name: d, Scope: p.Scope, WWW: www, Action: action, Class: p.Class, Ground: edge.ByOrder, Legal: o.Ground,
		By: orElse(is.Public, is.Name), Reason: "order " + o.External, Actor: bolwerk.Issuer(is.Name), From: later(o.ValidFrom, tx.Now()), Until: o.ValidUntil})
	if err != nil {
		return err
	}
	o.State, o.Reason, o.Object = "in_force", "", b.ID
	audit.Append(tx, bolwerk.Issuer(is.Name), "shield.order.carry_out", o.Ref, o.Ground, map[string]any{"block": b.Ref, "name": d, "scope": p.Scope, "external": o.External})
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// LiftOrder ends an order and its block: the issuer's removals are mirrored
// first and never held up.
func (s *Shield) LiftOrder(ctx context.Context, o desk.Order, why string) error {
	return s.db.Write(ctx, store.WayBack, func(tx *store.Tx) error {
		o, err := desk.FindOrder(tx, o.ID)
		if err != nil {
			return err
		}
		if o.Object != "" {
			b, err := findBlock(tx, o.Object)
			if err != nil && !errors.Is(err, bolwerk.ErrNotFound) {
				return err
			}
			if err == nil && b.State == InForce {
				if err := s.end(tx, b, Withdrawn, bolwerk.Issuer(o.Issuer), string(OrderLifted), why); err != nil {
					return err
				}
			}
		}
		o.State, o.Reason = "lifted", why
		audit.Append(tx, bolwerk.Issuer(o.Issuer), "shield.order.lift", o.Ref, why, map[string]string{"name": o.Subject})
		_, err = desk.PutOrder(tx, o)
		return err
	})
}

// endOrder marks the order of a block that ended by itself.
func (s *Shield) endOrder(tx *store.Tx, id, state, why string) error {
	o, err := desk.FindOrder(tx, id)
	if err != nil {
		return err
	}
	o.State, o.Reason = state, why
	_, err = desk.PutOrder(tx, o)
	return err
}

// releaseFor is how long a person waits for the orders that he has released; the
// rest follows by itself. Half a million take minutes.
const releaseFor = 20 * time.Second

// ReleaseOrders carries out what was held back of an issuer, once a person has
// looked at it. It returns how many orders are done; what takes longer than
// releaseFor is done behind it, also after a restart.
func (s *Shield) ReleaseOrders(ctx context.Context, who judge.Person, issuer string) (int, error) {
	if err := judge.May(who, judge.Release); err != nil {
		return 0, err
	}
	if _, ok := s.issuer(issuer); !ok {
		return 0, bolwerk.NotFound("no issuer %q is configured", issuer)
	}
	by := bolwerk.Person(who.ID)
	err := s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		var held int64
		if err := tx.Row(`select count(*) from desk_order where issuer=$1 and state='held'`, issuer).Scan(&held); err != nil || held == 0 {
			return err
		}
		audit.Append(tx, by, "shield.order.release", issuer, "looked at", map[string]int64{"orders": held})
		_, err := tx.Exec(`insert into shield_release(issuer,actor,at) values($1,$2,$3) on conflict(issuer) do update set actor=excluded.actor, at=excluded.at`, issuer, by.String(), tx.NowMicros())
		return err
	})
	if err != nil {
		return 0, err
	}
	return s.carryOutReleased(ctx, issuer, releaseFor)
}

// carryOutReleased carries out what was released of an issuer, for at most some
// time. It returns how many orders it did.
func (s *Shield) carryOutReleased(ctx context.Context, issuer string, most time.Duration) (total int, err error) {
	s.releasing.Lock() // one at a time: an order is carried out once
	defer s.releasing.Unlock()
	is, ok := s.issuer(issuer)
	if !ok {
		return 0, nil // no longer configured: they stay held
	}
	for end := time.Now().Add(most); time.Now().Before(end) && ctx.Err() == nil; {
		n := 0
		err := s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
			n = 0
			var at int64
			if err := tx.Row(`select at from shield_release where issuer=$1`, issuer).Scan(&at); err != nil {
				if store.None(err) {
					return nil
				}
				return err
			}
			held, err := desk.HeldOrders(tx, issuer, store.Time(at), ordersAtOnce)
			if err != nil {
				return err
			}
			for _, o := range held { // before the person had looked
				if err := s.carryOut(tx, is, &o); err != nil {
					return err
				}
				if _, err := desk.PutOrder(tx, o); err != nil {
					return err
				}
				n++
			}
			if n == 0 {
				_, err = tx.Exec(`delete from shield_release where issuer=$1`, issuer)
			}
			return err
		})
		if err != nil || n == 0 {
			return total, err
		}
		total += n
	}
	return total, ctx.Err()
}

// release goes on with what persons have released.
func (s *Shield) release(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		var issuers []string
		err := s.db.Read(ctx, func(tx *store.Tx) (err error) {
			issuers, err = store.List(tx, func(scan func(...any) error) (i string, err error) { err = scan(&i); return i, err }, `select issuer from shield_release order by at`)
			return err
		})
		for _, i := range issuers {
			if _, e := s.carryOutReleased(ctx, i, time.Minute); e != nil {
				err = e
			}
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("released orders not carried out", "alarm", true, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *Shield) issuer(name string) (Issuer, bool) {
	for _, is := range s.cfg.Issuers {
		if is.Name == name {
			return is, true
		}
	}
	return Issuer{}, false
}

// Push takes one signed order: a JWT (RFC 7519) whose claims are an order, signed
// with the issuer's key. bolwerk.ErrForbidden refuses a bad signature.
func (s *Shield) Push(ctx context.Context, issuer, token string) (desk.Order, error) {
	is, ok := s.issuer(issuer)
	if !ok || is.KeyFile == "" {
		return desk.Order{}, bolwerk.Forbidden("no issuer %q may push", issuer)
	}
	key, err := is.key()
	if err != nil {
		return desk.Order{}, err
	}
	claims := &pushed{}
	_, err = jwt.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return key, nil },
		jwt.WithValidMethods([]string{"HS512", "HS256"}), jwt.WithLeeway(time.Minute), jwt.WithTimeFunc(s.clock.Now))
	if err != nil {
		return desk.Order{}, bolwerk.Forbidden("push of %s: the signature or its time is not valid", issuer)
	}
	if claims.Issuer != "" && subtle.ConstantTimeCompare([]byte(claims.Issuer), []byte(issuer)) != 1 {
		return desk.Order{}, bolwerk.Forbidden("push of %s: it is signed for another issuer", issuer)
	}
	o, _, err := claims.listed.order(is)
	if err != nil {
		return o, err
	}
	if claims.IssuedAt != nil && o.Version == 0 {
		o.Version = claims.IssuedAt.Unix()
	}
	var old desk.Order
	err = s.db.Read(ctx, func(tx *store.Tx) (err error) {
		old, err = desk.IssuerOrder(tx, is.Name, o.External)
		return err
	})
	if err != nil && !errors.Is(err, bolwerk.ErrNotFound) {
		return o, err
	}
	if err == nil && o.Version < old.Version {
		return old, bolwerk.Conflict("order %s: version %d is older than %d, which we have", o.External, o.Version, old.Version)
	}
	if o.Action == "unblock" {
		if err != nil {
			return o, bolwerk.NotFound("no order %s of %s", o.External, issuer)
		}
		if err := s.LiftOrder(ctx, old, heldFor("lifted by the issuer")); err != nil {
			return o, err
		}
	} else if err != nil || old.State != "in_force" || old.Subject != o.Subject || old.Scope != o.Scope || !old.ValidUntil.Equal(o.ValidUntil) {
		o.ID, o.Ref, o.ReceivedAt, o.Object = old.ID, old.Ref, old.ReceivedAt, old.Object
		if err := s.takeOrders(ctx, is, []desk.Order{o}, ""); err != nil {
			return o, err
		}
	}
	err = s.db.Read(ctx, func(tx *store.Tx) (err error) {
		o, err = desk.IssuerOrder(tx, is.Name, o.External)
		return err
	})
	return o, err
}

type pushed struct {
	listed
	jwt.RegisteredClaims
}

// UnmarshalJSON reads both parts: the embedded types have fields of one name.
func (p *pushed) UnmarshalJSON(b []byte) error {
	if err := json.Unmarshal(b, &p.listed); err != nil {
		return err
	}
	return json.Unmarshal(b, &p.RegisteredClaims)
}

// pollOrders asks for the issuers' lists until ctx ends.
func (s *Shield) pollOrders(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	asked := map[string]time.Time{}
	seen := map[string]time.Time{}
	for {
		for _, is := range s.cfg.Issuers {
			var err error
			switch {
			case is.File != "":
				var st os.FileInfo
				if st, err = os.Stat(is.File); err == nil && !st.ModTime().Equal(seen[is.Name]) {
					seen[is.Name] = st.ModTime()
					err = s.takeFile(ctx, is)
				}
			case is.URL != "" && time.Since(asked[is.Name]) >= is.Every.D():
				asked[is.Name] = time.Now()
				err = s.takeURL(ctx, is)
			}
			if err != nil && ctx.Err() == nil && asked[is.Name+"!"].Before(time.Now().Add(-time.Minute)) {
				asked[is.Name+"!"] = time.Now()
				s.log.Error("orders not taken", "alarm", true, "issuer", is.Name, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *Shield) takeFile(ctx context.Context, is Issuer) error {
	f, err := os.Open(is.File)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.TakeList(ctx, is, f)
}

func (s *Shield) takeURL(ctx context.Context, is Issuer) error {
	body, err := s.guard.http.get(ctx, is.URL)
	if err != nil {
		return err
	}
	defer body.Close()
	return s.TakeList(ctx, is, body)
}
