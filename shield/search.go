package shield

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/hosts"
	"bolwerk/internal/store"
)

// Found is what a search over everything found: of each kind the first ones, and
// how many there are.
type Found struct {
	// To is the page of the one thing that was meant: its number or id was typed.
	To string
	// Name is what was typed, where it is a name: what happens to it is a page.
	Name bolwerk.Domain

	Cases      []CaseRow
	Blocks     []Block
	Exemptions []Block
	Orders     []desk.Order
	Campaigns  []CampaignRow
	Appeals    []desk.Appeal
	People     []account.Person
	Hosts      []hosts.Host
	Audit      []audit.Entry   // about what was typed and what was found, newest first
	More       map[string]bool // kinds of which there are more
}

// Any says that something was found.
func (f Found) Any() bool {
	return len(f.Cases)+len(f.Blocks)+len(f.Exemptions)+len(f.Orders)+len(f.Campaigns)+len(f.Appeals)+len(f.People)+len(f.Hosts)+len(f.Audit) > 0
}

// foundRows is how many rows of each kind a search shows.
const foundRows = 5

var refText = regexp.MustCompile(`(?i)^([a-z])-([0-9]{4})-([0-9]{1,9})$`)

// Search looks for a text in everything that the desk knows: numbers and ids,
// names in any letters, with brackets or as an address, parts of names, campaigns,
// people and hosts. It never looks into what people wrote.
// people says that accounts are looked through too.
func (s *Shield) Search(ctx context.Context, text string, people bool) (f Found, err error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return f, nil
	}
	if f.To, err = s.meant(ctx, text); err != nil || f.To != "" {
		return f, err
	}
	part := asStored(text)
	if d, err := typed(text); err == nil && strings.Contains(part, ".") {
		f.Name = d
	}
	f.More = map[string]bool{}
	const limit = foundRows + 1
	for _, pass := range []bool{false, true} {
		rows, err := s.Blocks(ctx, BlockFilter{Pass: pass, Query: part, Limit: limit})
		if err != nil {
			return f, err
		}
		if pass {
			f.Exemptions = first(rows, "exemptions", f.More)
		} else {
			f.Blocks = first(rows, "blocks", f.More)
		}
	}
	cases, err := s.CasesByAge(ctx, desk.CaseFilter{States: []desk.CaseState{desk.Gathering, desk.Waiting, desk.Second, desk.Decided, desk.Closed}, Query: part, Limit: limit})
	if err != nil {
		return f, err
	}
	f.Cases = first(cases, "cases", f.More)
	orders, err := s.Orders(ctx, desk.OrderFilter{Query: part, Limit: limit})
	if err != nil {
		return f, err
	}
	f.Orders = first(orders, "orders", f.More)
	campaigns, err := s.Campaigns(ctx, CampaignFilter{Query: text, Limit: limit})
	if err != nil {
		return f, err
	}
	f.Campaigns = first(campaigns, "campaigns", f.More)
	appeals, err := s.AppealsByAge(ctx, desk.AppealFilter{Query: part, Limit: limit})
	if err != nil {
		return f, err
	}
	f.Appeals = first(appeals, "appeals", f.More)
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		// A campaign is called by its brand; people type what stands in its names.
		for _, c := range f.Cases {
			if len(f.Campaigns) == foundRows || c.Campaign == "" || slices.ContainsFunc(f.Campaigns, func(k CampaignRow) bool { return k.Ref == c.Campaign }) {
				continue
			}
			k, err := readCampaign(tx.Now())(tx.Row(`select `+campaignColumns+` where ref=$1`, c.Campaign).Scan)
			if err != nil {
				return err
			}
			f.Campaigns = append(f.Campaigns, k)
		}
		if people {
			if f.People, err = account.Find(tx, text, foundRows); err != nil {
				return err
			}
		}
		if f.Hosts, err = hosts.Find(tx, text, foundRows); err != nil {
			return err
		}
		entries, err := audit.About(tx, f.objects(text), limit)
		f.Audit = first(entries, "audit", f.More)
		return err
	})
	return f, err
}

// objects are what the audit trail may have entries about: what was typed, and the
// numbers of what was found.
func (f Found) objects(text string) []string {
	out := []string{text, strings.ToUpper(text)}
	for _, c := range f.Cases {
		out = append(out, c.Ref)
	}
	for _, b := range slices.Concat(f.Blocks, f.Exemptions) {
		out = append(out, b.Ref)
	}
	for _, o := range f.Orders {
		out = append(out, o.Ref)
	}
	for _, k := range f.Campaigns {
		out = append(out, k.Ref)
	}
	for _, a := range f.Appeals {
		out = append(out, a.Ref)
	}
	for _, p := range f.People {
		out = append(out, p.ID)
	}
	for _, h := range f.Hosts {
		out = append(out, h.Name)
	}
	return out
}

// first keeps the rows that a search shows, and notes where there are more.
func first[T any](rows []T, kind string, more map[string]bool) []T {
	more[kind] = len(rows) > foundRows
	return rows[:min(len(rows), foundRows)]
}

// meant gives the page of what a number, an id or a receipt names; empty where
// the text is none of these, or names nothing.
func (s *Shield) meant(ctx context.Context, text string) (path string, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		if refText.MatchString(text) {
			path, err = numbered(tx, inFull(text))
			return err
		}
		if idOrRef.MatchString(strings.ToLower(text)) {
			path, err = identified(tx, strings.ToLower(text))
			return err
		}
		code, err := bolwerk.ParseToken(text)
		if err != nil {
			return nil // no code of ours either
		}
		var kind, ref string
		err = tx.Row(`select kind,ref from desk_receipt where hash=$1`, code.Hash()).Scan(&kind, &ref)
		if store.None(err) {
			return nil
		}
		if err != nil {
			return err
		}
		path, err = identified(tx, ref)
		return err
	})
	return path, err
}

// numbered is the page of a number that people use.
func numbered(tx *store.Tx, ref string) (path string, err error) {
	switch ref[0] {
	case 'C':
		_, err = desk.FindCase(tx, ref)
		path = "/case/" + ref
	case 'B', 'E':
		_, err = findBlock(tx, ref)
		path = "/block/" + ref
	case 'K':
		var id string
		err = tx.Row(`select case when merged_into<>'' then merged_into else id end from shield_campaign where ref=$1`, ref).Scan(&id)
		path = "/campaign/" + ref
	case 'A':
		var id string
		err = tx.Row(`select id from desk_appeal where ref=$1`, ref).Scan(&id)
		path = "/appeal/" + ref
	case 'O':
		var o desk.Order
		if o, err = desk.FindOrder(tx, ref); err == nil {
			path = orderPath(o)
		}
	}
	if store.None(err) || errors.Is(err, bolwerk.ErrNotFound) {
		return "", nil
	}
	return path, err
}

// orderPath is the page that shows an order: the block that carries it out, or
// the list narrowed to its name.
func orderPath(o desk.Order) string {
	if o.Object != "" {
		return "/block/" + o.Object
	}
	return "/orders?q=" + o.Subject
}

// identified is the page of an id: of whatever has it. A report is shown by the
// case that it is about.
func identified(tx *store.Tx, id string) (string, error) {
	for _, q := range []struct{ sql, path string }{
		{`select ref from desk_case where id=$1 and capability='shield'`, "/case/"},
		{`select ref from shield_block where id=$1`, "/block/"},
		{`select ref from shield_campaign where id=$1`, "/campaign/"},
		{`select ref from desk_appeal where id=$1`, "/appeal/"},
		{`select id from desk_proposal where id=$1`, "/proposal/"},
		{`select c.ref from shield_link l join shield_observable o on o.id=l.observable join desk_case c on c.id=o.case_id where l.report=$1 order by c.priority desc limit 1`, "/case/"},
		{`select id from shield_report where id=$1`, "/report/"},
	} {
		var ref string
		err := tx.Row(q.sql, id).Scan(&ref)
		if store.None(err) {
			continue
		}
		if err != nil {
			return "", err
		}
		switch q.path {
		case "/case/":
			if strings.HasPrefix(q.sql, "select c.ref") {
				return "/case/" + ref + "?report=" + id, nil
			}
		case "/report/":
			return "/report/" + ref + "/mail", nil
		}
		return q.path + ref, nil
	}
	return "", nil
}
