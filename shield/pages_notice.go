package shield

import (
	"net/http"
	"strings"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/web"
	"bolwerk/shield/judge"
)

type noticeRow struct {
	Notice
	Show Shown
}

func (p *Pages) noticeRows(all []Notice) (out []noticeRow) {
	for _, n := range all {
		row := noticeRow{Notice: n}
		if d, err := bolwerk.ParseDomain(n.Name); err == nil {
			row.Show = p.s.showName(d)
		}
		out = append(out, row)
	}
	return out
}

type noticesData struct {
	common
	around
	Rows        []noticeRow
	State, Kind string
	Case, Query string
	States      []NoticeState
	Kinds       []string
	Off         bool // nobody is told
	Dry         bool
	Held        int64 // that wait for a first look
	Filtered    bool
}

func (p *Pages) noticeList(r *http.Request, f NoticeFilter) listOf[noticeRow] {
	return listOf[noticeRow]{
		name: "notices",
		rows: func(after string, limit int) ([]noticeRow, error) {
			f.After, f.Limit = after, limit
			all, err := p.s.Notices(r.Context(), f)
			return p.noticeRows(all), err
		},
		count: func() (desk.Counted, error) { return p.s.CountNotices(r.Context(), f) },
		id:    func(n noticeRow) string { return n.ID },
		columns: []column[noticeRow]{
			{"ref", func(n noticeRow) string { return n.Ref }}, {"name", func(n noticeRow) string { return n.Name }}, {"case", func(n noticeRow) string { return n.Case }},
			{"kind", func(n noticeRow) string { return n.Kind }}, {"who", func(n noticeRow) string { return n.Who }}, {"to", func(n noticeRow) string { return n.To }},
			{"lang", func(n noticeRow) string { return n.Lang }}, {"correction", func(n noticeRow) string { return map[bool]string{true: "yes", false: "no"}[n.Fix] }},
			{"state", func(n noticeRow) string { return string(n.Say) }}, {"tries", func(n noticeRow) string { return number(int64(n.Tries)) }}, {"error", func(n noticeRow) string { return n.Error }},
			{"receipt", func(n noticeRow) string { return n.Receipt }}, {"made_at", func(n noticeRow) string { return stamp(n.MadeAt) }}, {"sent_at", func(n noticeRow) string { return stamp(n.SentAt) }},
			{"receipt_at", func(n noticeRow) string { return stamp(n.ReceiptAt) }},
		},
	}
}

// notices lists what others were told.
func (p *Pages) notices(w http.ResponseWriter, r *http.Request, who account.Person) (err error) {
	q := r.URL.Query()
	data := noticesData{common: commonOf(r, who), State: q.Get("state"), Kind: q.Get("kind"), Case: caseNumber(q.Get("case")), Query: clip(q.Get("q")), States: noticeStates(), Kinds: noticeKinds(),
		Off: !p.s.cfg.Notices.any(), Dry: p.s.cfg.Notices.DryRun}
	data.Filtered = data.State != "" || data.Kind != "" || data.Case != "" || data.Query != ""
	l := p.noticeList(r, NoticeFilter{State: NoticeState(data.State), Kind: data.Kind, Case: data.Case, Query: strings.ToLower(asStored(data.Query))})
	if asFile(r) {
		return l.file(w, r, p.frame.Clock())
	}
	if data.Rows, data.around, err = l.page(r); err != nil {
		return err
	}
	held, err := p.s.CountNotices(r.Context(), NoticeFilter{State: NoticeHeld})
	if err != nil {
		return err
	}
	data.Held = held.N
	return p.pages.Render(w, r, http.StatusOK, "notices", data)
}

type noticeData struct {
	common
	noticeRow
	MayLet bool
	Back   bool // its address is used no more
}

func (p *Pages) notice(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.noticeWith(w, r, commonOf(r, who), http.StatusOK)
}

func (p *Pages) noticeWith(w http.ResponseWriter, r *http.Request, c common, status int) error {
	n, err := p.s.Notice(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	data := noticeData{common: c, noticeRow: p.noticeRows([]Notice{n})[0], MayLet: c.May && judge.May(Decider(c.Me), judge.TellOutside) == nil}
	if data.Back, err = p.s.cameBack(r.Context(), n); err != nil {
		return err
	}
	return p.pages.Render(w, r, status, "notice", data)
}

// doNotice does something to a notice and shows it again.
func (p *Pages) doNotice(form, done string, fn func(r *http.Request, who judge.Person, id string) error) handler {
	return func(w http.ResponseWriter, r *http.Request, who account.Person) error {
		if err := web.ReadForm(r); err != nil {
			return err
		}
		id := r.PathValue("id")
		if err := fn(r, Decider(who), id); err != nil {
			c := commonOf(r, who)
			status, err := c.beside(form, err)
			if err != nil {
				return err
			}
			return p.noticeWith(w, r, c, status)
		}
		return goTo(w, r, "/notice/"+id, done)
	}
}

func (p *Pages) noticeRoutes(look, decide func(string, handler)) {
	look("/notices", p.notices)
	look("/notice/{id}", p.notice)
	decide("/notice/{id}/let", p.doNotice("let", "notice_let", func(r *http.Request, who judge.Person, id string) error {
		return p.s.LetNotices(r.Context(), who, id)
	}))
	decide("/notice/{id}/drop", p.doNotice("drop", "notice_dropped", func(r *http.Request, who judge.Person, id string) error {
		return p.s.DropNotice(r.Context(), who, id)
	}))
	decide("/notice/{id}/again", p.doNotice("again", "notice_again", func(r *http.Request, who judge.Person, id string) error {
		return p.s.UseAddressAgain(r.Context(), who, id)
	}))
	decide("/notice/{id}/receipt", p.doNotice("receipt", "notice_receipt", func(r *http.Request, who judge.Person, id string) error {
		return p.s.KeepReceipt(r.Context(), who, id, r.PostForm.Get("receipt"))
	}))
}
