package abuse

import (
	"context"
	"slices"
	"strings"

	"bolwerk"
	"bolwerk/abuse/door"
	"bolwerk/abuse/garden"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
)

// API adds the abuse desk's routes to the desk's API.
func (d *Desk) API(x *api.Routes) {
	d.figuresAPI(x)
	d.findAPI(x)
	d.whoAPI(x)
	d.looksAPI(x)
	d.exemptionAPI(x)
	d.informAPI(x)
	d.quarantineAPI(x)
	api.Add(x, account.Look, "GET", "/abuse/cases", "Cases of abuse, newest first. They name nobody.", func(ctx context.Context, in *casesIn) (*api.Answer[api.Page[CaseRow]], error) {
		rows, err := d.CasesByAge(ctx, CaseFilter{State: in.State, Class: in.Class, Severity: in.Severity, After: in.Cursor, Limit: in.Limit})
		return api.Paged(in.Window, rows, func(c CaseRow) string { return c.ID }), err
	})
	api.Add(x, account.Look, "GET", "/abuse/cases/{id}", "A case with who it is about. That somebody looked is noted.", func(ctx context.Context, in *CaseID) (*api.Answer[CaseView], error) {
		v, err := d.Case(ctx, api.Who(ctx).Actor(), in.ID)
		return &api.Answer[CaseView]{Body: v}, err
	})
	api.Add(x, account.Decide, "POST", "/abuse/cases/{id}/close", "Close a case.", func(ctx context.Context, in *decideIn[closeBody]) (*api.Answer[CaseRow], error) {
		return d.after(ctx, in.ID, d.Close(ctx, api.Who(ctx), in.ID, in.Body.Reason, in.Body.Text))
	})
	api.Add(x, account.Decide, "POST", "/abuse/cases/{id}/reopen", "Open a closed case again.", func(ctx context.Context, in *decideIn[textBody]) (*api.Answer[CaseRow], error) {
		return d.after(ctx, in.ID, d.Reopen(ctx, api.Who(ctx), in.ID, in.Body.Text))
	})
	api.Add(x, account.Decide, "POST", "/abuse/cases/{id}/notes", "Add a note, or what the customer says.", func(ctx context.Context, in *decideIn[noteBody]) (*api.Answer[CaseRow], error) {
		return d.after(ctx, in.ID, d.Note(ctx, api.Who(ctx), in.ID, in.Body.Statement, in.Body.Text))
	})
	api.Add(x, account.Decide, "POST", "/abuse/cases/{id}/retest", "Ask the line once whether the open services that were seen still answer; at most every ten minutes. The case says what was found.", func(ctx context.Context, in *CaseID) (*api.Answer[garden.Tested], error) {
		t, err := d.Retest(ctx, api.Who(ctx), in.ID)
		return &api.Answer[garden.Tested]{Body: t}, err
	})
	api.Add(x, account.Decide, "POST", "/abuse/cases/{id}/exempt", "Leave the subscriber alone for some days; the case is closed.", func(ctx context.Context, in *decideIn[exemptBody]) (*api.Answer[CaseRow], error) {
		return d.after(ctx, in.ID, d.Except(ctx, api.Who(ctx), in.ID, in.Body.Every, in.Body.Days, in.Body.Text))
	})
	api.Add(x, account.Look, "GET", "/abuse/reports", "Reports of abuse, newest first.", func(ctx context.Context, in *reportsIn) (*api.Answer[api.Page[ReportRow]], error) {
		rows, _, err := d.Reports(ctx, ReportFilter{State: in.State, After: in.Cursor, Limit: in.Limit})
		return api.Paged(in.Window, rows, func(r ReportRow) string { return r.ID }), err
	})
	api.Add(x, account.Decide, "POST", "/abuse/reports/{id}/aside", "Put aside what waits of a report, and say what its reporter is told.", func(ctx context.Context, in *decideIn[asideBody]) (*api.Answer[done], error) {
		return &api.Answer[done]{Body: done{"aside"}}, d.PutAside(ctx, api.Who(ctx), in.ID, in.Body.Event, in.Body.Code, in.Body.Text)
	})
	api.AddUpTo(x, door.MaxReport, account.Decide, "POST", "/abuse/import", "Take a file as a report, in any format of the field.", func(ctx context.Context, in *importIn) (*api.Answer[Imported], error) {
		out, err := d.Import(ctx, in.Feed, in.Name, in.RawBody)
		return &api.Answer[Imported]{Body: out}, err
	})
}

type casesIn struct {
	api.Window
	State    string `query:"state" enum:"open,person,closed" doc:"person: open, and no rules go on with it; all where absent"`
	Class    string `query:"class" maxLength:"100" doc:"a class, or its first part"`
	Severity string `query:"severity" enum:"low,medium,high,critical"`
}

type reportsIn struct {
	api.Window
	State string `query:"state" enum:"person,received,read,done" doc:"person: what waits for one; all where absent"`
}

// CaseID is a case or report in a path.
type CaseID struct {
	ID string `path:"id" maxLength:"64"`
}

type decideIn[T any] struct {
	CaseID
	Body T
}

type closeBody struct {
	Reason Reason `json:"reason" enum:"cleaned,no_action,not_ours,not_resolvable,duplicate"`
	Text   string `json:"text" maxLength:"4000" doc:"why, in words"`
}

type textBody struct {
	Text string `json:"text" maxLength:"4000" doc:"why, in words"`
}

type noteBody struct {
	Statement bool   `json:"statement,omitempty" doc:"the customer says so"`
	Text      string `json:"text" maxLength:"4000"`
}

type exemptBody struct {
	Every bool   `json:"every,omitempty" doc:"every class, not only the case's"`
	Days  int    `json:"days" minimum:"1" maximum:"365"`
	Text  string `json:"text" maxLength:"500" doc:"why, in words"`
}

type asideBody struct {
	Event string `json:"event,omitempty" maxLength:"64" doc:"one event; all that wait where absent"`
	Code  Code   `json:"code" enum:"REVIEWED_NO_ACTION,NEED_MORE_INFORMATION,NOT_RESOLVABLE"`
	Text  string `json:"text" maxLength:"500" doc:"why, in words; it stays in the audit trail: name nobody in it"`
}

type done struct {
	State string `json:"state"`
}

type importIn struct {
	Feed    string `query:"feed" maxLength:"60" doc:"whose file it is: one of abuse.feeds"`
	Name    string `query:"name" maxLength:"200" doc:"the file's: it tells the type of a table"`
	RawBody []byte `contentType:"application/octet-stream"`
}

// Imported names the report that a file became.
type Imported struct {
	ID string `json:"id"`
}

// Import takes a file as a report. feed is whose it is, where it is one of a feed.
func (d *Desk) Import(ctx context.Context, feed, name string, raw []byte) (Imported, error) {
	if feed != "" && !slices.ContainsFunc(d.cfg.Feeds, func(f Feed) bool { return f.Name == feed }) {
		return Imported{}, bolwerk.WithHint(bolwerk.Invalid("no feed is called %.60q", feed), "abuse.feeds in the configuration names them")
	}
	if len(raw) == 0 {
		return Imported{}, bolwerk.Invalid("%s: nothing in it", name)
	}
	if strings.ContainsAny(name, "/\\\x00\r\n") {
		return Imported{}, bolwerk.Invalid("name: want the name of a file without its folder")
	}
	now := d.clock.Now()
	id := bolwerk.NewID(now)
	r := door.Report{Channel: door.ByFile, ReceivedAt: now, Token: bolwerk.NewToken().Reveal(), Name: name, Feed: feed, Form: door.Any, Body: raw}
	return Imported{id}, d.Receive(ctx, "desk", door.KindReport, id, r.Encode())
}

// after is the row of a case once something was decided about it.
func (d *Desk) after(ctx context.Context, id string, err error) (*api.Answer[CaseRow], error) {
	if err != nil {
		return nil, err
	}
	c, err := d.Row(ctx, id)
	return &api.Answer[CaseRow]{Body: c}, err
}
