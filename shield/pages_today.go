package shield

import (
	"context"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/chart"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
)

type todayData struct {
	common
	Today
	Picture
	Alarms []Alarm
	Due    []appealRow   // appeals due first
	Second []proposalRow // what waits for a second person
	First  []queueRow    // the cases that come first
	Speed  template.HTML // time from report to block, hour by hour
	Hours  template.HTML // hits, hour by hour
	Beside []desk.Waits  // what waits at other desks
	At     time.Time
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
	l, err := p.s.look(ctx)
	if err != nil {
		return err
	}
	data := todayData{common: commonOf(r, who), Today: l.Today, Picture: l.Picture, Alarms: l.alarms, At: p.frame.Clock().Now()}
	appeals, err := p.s.Appeals(ctx, desk.AppealFilter{State: "received", Limit: top})
	if err != nil {
		return err
	}
	data.Due = p.appealRows(appeals)
	all, err := p.s.Proposals(ctx, "", top)
	if err != nil {
		return err
	}
	if data.Second, err = p.askedRows(ctx, all); err != nil {
		return err
	}
	first, err := p.s.waiting(ctx, top)
	if err != nil {
		return err
	}
	data.First = p.queueRows(first)
	for _, waits := range p.waits {
		more, err := waits(ctx)
		if err != nil {
			return err
		}
		data.Beside = append(data.Beside, more...)
	}
	texts, lang := p.frame.Texts(), web.Lang(r)
	speed := chart.Spark{Width: 120, About: chart.About{Title: texts.T(lang, "shield.today.speed"), Desc: texts.T(lang, "shield.today.hourly")}}
	for _, d := range data.PerHour {
		speed.Points = append(speed.Points, d.Seconds())
	}
	hits := chart.Spark{Width: 120, About: chart.About{Title: texts.T(lang, "shield.today.stopped"), Desc: texts.T(lang, "shield.today.hourly")}}
	for _, n := range data.HitHours {
		hits.Points = append(hits.Points, float64(n))
	}
	data.Speed, data.Hours = speed.SVG(), hits.SVG()
	return p.pages.Render(w, r, http.StatusOK, "today", data)
}

type auditData struct {
	common
	around
	Object  string
	Entries []auditRow
}

type auditRow struct {
	eyes
	audit.Entry
	Who string
}

// maxAudit is how many entries stand on the page of what they are about;
// "bolwerk audit verify" walks all.
const maxAudit = 200

func (p *Pages) auditList(ctx context.Context, object string) listOf[auditRow] {
	return listOf[auditRow]{
		name: "audit",
		rows: func(after string, limit int) (out []auditRow, err error) {
			var before int64
			if after != "" {
				if before, err = strconv.ParseInt(after, 10, 64); err != nil || before < 1 {
					return nil, bolwerk.Invalid("%q is no place in the audit trail", after)
				}
			}
			var entries []audit.Entry
			if err := p.s.db.Read(ctx, func(tx *store.Tx) (err error) {
				entries, err = audit.Before(tx, object, before, limit)
				return err
			}); err != nil {
				return nil, err
			}
			return p.auditRows(ctx, entries)
		},
		count: func() (n desk.Counted, err error) {
			err = p.s.db.Read(ctx, func(tx *store.Tx) error {
				w := desk.Where{SQL: "seq>0"}
				if object != "" {
					w.And("object=?", object)
				}
				n, err = desk.Count(tx, "audit", w)
				return err
			})
			return n, err
		},
		id: func(e auditRow) string { return strconv.FormatInt(e.Seq, 10) },
		columns: []column[auditRow]{
			{"seq", func(e auditRow) string { return number(e.Seq) }}, {"at", func(e auditRow) string { return stamp(e.At) }}, {"actor", func(e auditRow) string { return e.Actor.String() }}, {"login", func(e auditRow) string { return e.Who }},
			{"action", func(e auditRow) string { return e.Action }}, {"object", func(e auditRow) string { return e.Object }}, {"reason", func(e auditRow) string { return e.Reason }},
			{"detail", func(e auditRow) string { return e.Detail }}, {"prev", func(e auditRow) string { return e.Prev }}, {"hash", func(e auditRow) string { return e.Hash }},
		},
	}
}

func (p *Pages) audit(w http.ResponseWriter, r *http.Request, who account.Person) (err error) {
	data := auditData{common: commonOf(r, who), Object: clip(strings.TrimSpace(r.URL.Query().Get("q")))}
	l := p.auditList(r.Context(), data.Object)
	if asFile(r) {
		return l.file(w, r, p.frame.Clock())
	}
	if data.Entries, data.around, err = l.page(r); err != nil {
		return err
	}
	return p.pages.Render(w, r, http.StatusOK, "audit", data)
}

// trail reads the entries about one thing, oldest first.
func (p *Pages) trail(ctx context.Context, object string) (rows []auditRow, err error) {
	var entries []audit.Entry
	err = p.s.db.Read(ctx, func(tx *store.Tx) (err error) {
		entries, err = audit.List(tx, object, maxAudit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return p.auditRows(ctx, entries)
}

func (p *Pages) auditRows(ctx context.Context, entries []audit.Entry) (rows []auditRow, err error) {
	var actors []bolwerk.Actor
	for _, e := range entries {
		actors = append(actors, e.Actor)
	}
	names, err := account.Names(ctx, p.s.db, actors...)
	for _, e := range entries {
		rows = append(rows, auditRow{Entry: e, Who: names[e.Actor]})
	}
	return rows, err
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
