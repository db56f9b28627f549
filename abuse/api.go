package abuse

import (
	"context"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"bolwerk"
	"bolwerk/abuse/door"
	"bolwerk/internal/account"
)

const apiPath = "/api/v1"

// API adds the abuse desk's routes to the desk's API.
func (d *Desk) API(api huma.API, let func(pattern string, right account.Right), explain func(context.Context, error) error, who func(context.Context) account.Person) {
	x := adder{api, let, explain}
	add(x, account.Look, "GET", "/abuse/cases", "Cases of abuse, newest first. They name nobody.", func(ctx context.Context, in *casesIn) (*body[list[CaseRow]], error) {
		rows, err := d.CasesByAge(ctx, CaseFilter{State: in.State, Class: in.Class, Severity: in.Severity, Subscriber: in.Subscriber, After: in.Cursor, Limit: in.Limit})
		return listed(rows, in.Limit, func(c CaseRow) string { return c.ID }), err
	})
	add(x, account.Look, "GET", "/abuse/cases/{id}", "A case with who it is about. That somebody looked is noted.", func(ctx context.Context, in *CaseID) (*body[CaseView], error) {
		v, err := d.Case(ctx, who(ctx).Actor(), in.ID)
		return &body[CaseView]{v}, err
	})
	add(x, account.Decide, "POST", "/abuse/cases/{id}/close", "Close a case.", func(ctx context.Context, in *decideIn[closeBody]) (*body[CaseRow], error) {
		return d.after(ctx, in.ID, d.Close(ctx, who(ctx), in.ID, in.Body.Reason, in.Body.Text))
	})
	add(x, account.Decide, "POST", "/abuse/cases/{id}/reopen", "Open a closed case again.", func(ctx context.Context, in *decideIn[textBody]) (*body[CaseRow], error) {
		return d.after(ctx, in.ID, d.Reopen(ctx, who(ctx), in.ID, in.Body.Text))
	})
	add(x, account.Decide, "POST", "/abuse/cases/{id}/notes", "Add a note, or what the customer says.", func(ctx context.Context, in *decideIn[noteBody]) (*body[CaseRow], error) {
		return d.after(ctx, in.ID, d.Note(ctx, who(ctx), in.ID, in.Body.Statement, in.Body.Text))
	})
	add(x, account.Decide, "POST", "/abuse/cases/{id}/exempt", "Leave the subscriber alone for some days; the case is closed.", func(ctx context.Context, in *decideIn[exemptBody]) (*body[CaseRow], error) {
		return d.after(ctx, in.ID, d.Except(ctx, who(ctx), in.ID, in.Body.Every, in.Body.Days, in.Body.Text))
	})
	add(x, account.Look, "GET", "/abuse/reports", "Reports of abuse, newest first.", func(ctx context.Context, in *reportsIn) (*body[list[ReportRow]], error) {
		rows, _, err := d.Reports(ctx, ReportFilter{State: in.State, After: in.Cursor, Limit: in.Limit})
		return listed(rows, in.Limit, func(r ReportRow) string { return r.ID }), err
	})
	add(x, account.Decide, "POST", "/abuse/reports/{id}/aside", "Put aside what waits of a report, and say what its reporter is told.", func(ctx context.Context, in *decideIn[asideBody]) (*body[done], error) {
		return &body[done]{done{"aside"}}, d.PutAside(ctx, who(ctx), in.ID, in.Body.Event, in.Body.Code, in.Body.Text)
	})
	add(x, account.Decide, "POST", "/abuse/import", "Take a file as a report, in any format of the field.", func(ctx context.Context, in *importIn) (*body[Imported], error) {
		out, err := d.Import(ctx, in.Name, in.RawBody)
		return &body[Imported]{out}, err
	})
}

type adder struct {
	api     huma.API
	let     func(string, account.Right)
	explain func(context.Context, error) error
}

func add[I, O any](x adder, right account.Right, method, path, summary string, fn func(context.Context, *I) (*O, error)) {
	x.let(method+" "+apiPath+path, right)
	op := huma.Operation{Method: method, Path: apiPath + path, Summary: summary, MaxBodyBytes: door.MaxReport,
		OperationID: strings.ToLower(method) + strings.NewReplacer("/", "-", "{", "", "}", "").Replace(path)}
	op.Responses = map[string]*huma.Response{"default": {Description: "Refused, and why", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: &huma.Schema{Ref: "#/components/schemas/Problem"}}}}}
	huma.Register(x.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := fn(ctx, in)
		if err != nil {
			return nil, x.explain(ctx, err)
		}
		return out, nil
	})
}

type body[T any] struct{ Body T }

type list[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"cursor of the page after; absent on the last"`
}

func listed[T any](rows []T, limit int, id func(T) string) *body[list[T]] {
	l := list[T]{Items: rows}
	if l.Items == nil {
		l.Items = []T{}
	}
	if len(rows) == limit && limit > 0 {
		l.Next = id(rows[len(rows)-1])
	}
	return &body[list[T]]{l}
}

// Window is which page is asked for.
type Window struct {
	Cursor string `query:"cursor" maxLength:"100" doc:"next of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"items a page"`
}

type casesIn struct {
	Window
	State      string `query:"state" enum:"open,closed" doc:"all where absent"`
	Class      string `query:"class" maxLength:"100" doc:"a class, or its first part"`
	Severity   string `query:"severity" enum:"low,medium,high,critical"`
	Subscriber string `query:"subscriber" maxLength:"253" doc:"exactly as accounting names it"`
}

type reportsIn struct {
	Window
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
	Text  string `json:"text" maxLength:"500" doc:"why, in words"`
}

type done struct {
	State string `json:"state"`
}

type importIn struct {
	Name    string `query:"name" maxLength:"200" doc:"the file's: it tells the type of a table"`
	RawBody []byte `contentType:"application/octet-stream"`
}

// Imported names the report that a file became.
type Imported struct {
	ID string `json:"id"`
}

// Import takes a file as a report.
func (d *Desk) Import(ctx context.Context, name string, raw []byte) (Imported, error) {
	if len(raw) == 0 {
		return Imported{}, bolwerk.Invalid("%s: nothing in it", name)
	}
	if strings.ContainsAny(name, "/\\\x00\r\n") {
		return Imported{}, bolwerk.Invalid("name: want the name of a file without its folder")
	}
	now := d.clock.Now()
	id := bolwerk.NewID(now)
	r := door.Report{Channel: door.ByFile, ReceivedAt: now, Token: bolwerk.NewToken().Reveal(), Name: name, Form: door.Any, Body: raw}
	return Imported{id}, d.Receive(ctx, "desk", door.KindReport, id, r.Encode())
}

// after is the row of a case once something was decided about it.
func (d *Desk) after(ctx context.Context, id string, err error) (*body[CaseRow], error) {
	if err != nil {
		return nil, err
	}
	c, err := d.Row(ctx, id)
	return &body[CaseRow]{c}, err
}
