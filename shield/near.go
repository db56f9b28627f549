package shield

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// Near is a name of a new certificate that looks like a protected brand's.
type Near struct {
	Name   bolwerk.Domain `json:"name"`
	Brand  string         `json:"brand"`
	Kind   string         `json:"kind"` // in what it is like it: homoglyph, typo, combosquat ...
	Issuer string         `json:"issuer"`
	Log    string         `json:"log"`
	Nth    int64          `json:"nth"`
	At     time.Time      `json:"at"`             // when the log took the first one
	Case   string         `json:"case,omitempty"` // number of the case about it
	Aside  bool           `json:"aside"`
}

// NearFilter says which names a list shows.
type NearFilter struct {
	Brand string
	All   bool // those put aside too
	After string
	Limit int
}

const nearFrom = `shield_certificate n left join shield_observable o on o.value=n.name left join desk_case c on c.id=o.case_id`

func (f NearFilter) where() (w desk.Where) {
	w.And("n.at>=0")
	if !f.All {
		w.And("n.looked=0")
	}
	if f.Brand != "" {
		w.And("n.brand=?", f.Brand)
	}
	return w
}

// NearNames lists names near the brands, the newest first.
func (s *Shield) NearNames(ctx context.Context, f NearFilter) (out []Near, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		w := f.where()
		if f.After != "" {
			var at int64
			if err := tx.Row(`select at from shield_certificate where name=$1`, f.After).Scan(&at); err != nil {
				if store.None(err) {
					return bolwerk.NotFound("no name %q in the list", f.After)
				}
				return err
			}
			w.And("(n.at,n.name)<(?,?)", at, f.After)
		}
		limit := f.Limit
		if limit <= 0 {
			limit = rows
		}
		query, args := w.Select("n.name,n.brand,n.kind,n.issuer,n.log,n.nth,n.at,n.looked,coalesce(c.ref,'') from "+nearFrom, "n.at desc, n.name desc", limit)
		out, err = store.List(tx, func(scan func(...any) error) (n Near, err error) {
			var name string
			var at, looked int64
			if err := scan(&name, &n.Brand, &n.Kind, &n.Issuer, &n.Log, &n.Nth, &at, &looked, &n.Case); err != nil {
				return n, err
			}
			n.At, n.Aside = store.Time(at), looked > 0
			n.Name, err = bolwerk.ParseDomain(name)
			return n, err
		}, query, args...)
		return err
	})
	return out, err
}

// CountNear counts what NearNames lists.
func (s *Shield) CountNear(ctx context.Context, f NearFilter) (n desk.Counted, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error { n, err = desk.Count(tx, nearFrom, f.where()); return err })
	return n, err
}

// PutAside takes a name off the list: a person looked and it is nothing. A report
// of it opens a case all the same.
func (s *Shield) PutAside(ctx context.Context, by bolwerk.Actor, name bolwerk.Domain) error {
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		n, err := tx.Exec(`update shield_certificate set looked=$1 where name=$2 and looked=0`, tx.NowMicros(), name.String())
		if err != nil || n == 0 {
			return err
		}
		audit.Append(tx, by, "shield.near.aside", name.String(), "", nil)
		return nil
	})
}

type nearRow struct {
	Near
	Show Shown
}

type nearData struct {
	common
	around
	Rows   []nearRow
	Brand  string
	Brands []string
	All    bool
	Logs   bool // one is followed
}

func (p *Pages) nearList(ctx context.Context, f NearFilter) listOf[Near] {
	return listOf[Near]{
		name: "near",
		rows: func(after string, limit int) ([]Near, error) {
			f.After, f.Limit = after, limit
			return p.s.NearNames(ctx, f)
		},
		count: func() (desk.Counted, error) { return p.s.CountNear(ctx, f) },
		id:    func(n Near) string { return n.Name.String() },
		columns: []column[Near]{
			{"name", func(n Near) string { return n.Name.String() }}, {"brand", func(n Near) string { return n.Brand }}, {"kind", func(n Near) string { return n.Kind }},
			{"at", func(n Near) string { return stamp(n.At) }}, {"issuer", func(n Near) string { return n.Issuer }}, {"log", func(n Near) string { return n.Log }},
			{"nth", func(n Near) string { return number(n.Nth) }}, {"case", func(n Near) string { return n.Case }}, {"aside", func(n Near) string { return strconv.FormatBool(n.Aside) }},
		},
	}
}

func (p *Pages) near(w http.ResponseWriter, r *http.Request, who account.Person) (err error) {
	q := r.URL.Query()
	data := nearData{common: commonOf(r, who), Brand: clip(q.Get("brand")), All: q.Get("all") != "", Logs: len(p.s.cfg.Lookup.Logs) > 0}
	for _, b := range p.s.cfg.Brands {
		data.Brands = append(data.Brands, b.Name)
	}
	l := p.nearList(r.Context(), NearFilter{Brand: data.Brand, All: data.All})
	if asFile(r) {
		return l.file(w, r, p.frame.Clock())
	}
	all, around, err := l.page(r)
	if err != nil {
		return err
	}
	for _, n := range all {
		data.Rows = append(data.Rows, nearRow{n, p.s.showName(n.Name)})
	}
	data.around = around
	return p.pages.Render(w, r, http.StatusOK, "near", data)
}

func (p *Pages) nearAside(w http.ResponseWriter, r *http.Request, who account.Person) error {
	name, err := bolwerk.ParseDomain(r.PostFormValue("name"))
	if err != nil {
		return err
	}
	if err := p.s.PutAside(r.Context(), bolwerk.Person(who.ID), name); err != nil {
		return err
	}
	http.Redirect(w, r, "/near", http.StatusSeeOther)
	return nil
}
