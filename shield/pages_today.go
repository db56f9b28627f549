package shield

import (
	"net/http"
	"strings"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
)

type todayData struct {
	common
	Today
	Waiting []appealRow   // appeals due first
	Second  []proposalRow // what waits for a second person
	Held    []HeldOrders
	First   []queueRow // the cases that come first
}

// hitColumn is a column of the table of counts.
type hitColumn struct {
	Key  string
	Hits Hits
}

// HitColumns are the counts of a day and of all time.
func (d todayData) HitColumns() []hitColumn {
	return []hitColumn{{"shield.hits.day", d.Hits}, {"shield.hits.total", d.Total}}
}

// InState is how many cases are in a state.
func (d todayData) InState(state string) int64 { return d.Cases[desk.CaseState(state)] }

// top is how many rows of each list the first page shows.
const top = 5

func (p *Pages) today(w http.ResponseWriter, r *http.Request, who account.Person) error {
	ctx := r.Context()
	data := todayData{common: commonOf(r, who)}
	var err error
	if data.Today, err = p.s.Today(ctx); err != nil {
		return err
	}
	appeals, err := p.s.Appeals(ctx, "received", top)
	if err != nil {
		return err
	}
	data.Waiting = p.appealRows(appeals)
	all, err := p.s.Proposals(ctx)
	if err != nil {
		return err
	}
	if data.Second, err = p.proposalRows(ctx, all[:min(len(all), top)]); err != nil {
		return err
	}
	if data.Held, err = p.s.HeldBack(ctx); err != nil {
		return err
	}
	first, err := p.s.Cases(ctx, desk.CaseFilter{States: []desk.CaseState{desk.Waiting}, Limit: top})
	if err != nil {
		return err
	}
	data.First = p.queueRows(first)
	return p.pages.Render(w, r, http.StatusOK, "today", data)
}

type auditData struct {
	common
	Object  string
	Entries []auditRow
	Max     int
}

type auditRow struct {
	eyes
	audit.Entry
	Who string
}

// maxAudit is how many entries the page shows; "bolwerk audit verify" walks all.
const maxAudit = 200

func (p *Pages) audit(w http.ResponseWriter, r *http.Request, who account.Person) error {
	data := auditData{common: commonOf(r, who), Object: clip(strings.TrimSpace(r.URL.Query().Get("q"))), Max: maxAudit}
	err := p.auditOf(r, data.Object, &data.Entries)
	if err != nil {
		return err
	}
	return p.pages.Render(w, r, http.StatusOK, "audit", data)
}

// auditOf reads the entries about an object, or the newest of all.
func (p *Pages) auditOf(r *http.Request, object string, into *[]auditRow) error {
	var entries []audit.Entry
	err := p.s.db.Read(r.Context(), func(tx *store.Tx) (err error) {
		entries, err = audit.List(tx, object, maxAudit)
		return err
	})
	if err != nil {
		return err
	}
	var actors []bolwerk.Actor
	for _, e := range entries {
		actors = append(actors, e.Actor)
	}
	names, err := p.named(r.Context(), actors...)
	for _, e := range entries {
		*into = append(*into, auditRow{Entry: e, Who: names[e.Actor]})
	}
	return err
}

type mailData struct {
	common
	Mails []sentMail
}

type sentMail struct {
	mail.Message
	Masked string
}

func (p *Pages) mail(w http.ResponseWriter, r *http.Request, who account.Person) error {
	sent, err := p.outbox(r.Context())
	if err != nil {
		return err
	}
	data := mailData{common: commonOf(r, who)}
	for _, m := range sent {
		data.Mails = append(data.Mails, sentMail{m, mask(m.To.String())})
	}
	return p.pages.Render(w, r, http.StatusOK, "mail", data)
}

// mask leaves of an address what tells two apart and names nobody.
func mask(address string) string {
	local, domain, ok := strings.Cut(address, "@")
	if !ok || local == "" {
		return "•••"
	}
	return local[:1] + "•••@" + domain
}
