package abuse

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/door"
	"bolwerk/internal/terminal"
)

// Way is the way to a desk's API. The program fills it in.
type Way interface {
	Call(ctx context.Context, t *terminal.Terminal, server, tokenFile, method, path string, in any) (json.RawMessage, error)
	Pages(ctx context.Context, t *terminal.Terminal, server, tokenFile, path string, query url.Values, fn func(json.RawMessage) error) error
	Upload(ctx context.Context, t *terminal.Terminal, server, tokenFile, path string, query url.Values, body []byte) (json.RawMessage, error)
}

// desktop is what every command of the desk's API takes.
type desktop struct {
	Server    string `help:"Address of the desk. Default: that of the demo in ./bolwerk-demo, or http://localhost:8080." placeholder:"URL"`
	TokenFile string `help:"File with an API token. Default: the demo's." placeholder:"FILE" type:"path"`
	JSON      bool   `help:"Print JSON for programs."`
}

// CaseCmd is "bolwerk abuse case".
type CaseCmd struct {
	List   caseList   `cmd:"" help:"List the cases, newest first. They name nobody."`
	Show   caseShow   `cmd:"" help:"Show a case and who it is about. The look is noted."`
	Close  caseClose  `cmd:"" help:"Close a case."`
	Reopen caseReopen `cmd:"" help:"Open a closed case again."`
	Note   caseNote   `cmd:"" help:"Add a note, or what the customer says."`
	Retest caseRetest `cmd:"" help:"Ask the line once whether the open services that were seen still answer. The case says what was found."`
	Exempt caseExempt `cmd:"" help:"Leave the subscriber alone for some days; the case is closed."`
	Play   casePlay   `cmd:"" help:"Do the next step of a case's playbook now, leave it out, stop the playbook or let it go on."`
}

type caseList struct {
	desktop
	State      string `help:"Only open or closed ones." enum:",open,closed" default:"" placeholder:"STATE"`
	Class      string `help:"Only this class, or its first part, such as malicious-code." placeholder:"CLASS"`
	Severity   string `help:"Only low, medium, high or critical ones." enum:",low,medium,high,critical" default:"" placeholder:"SEVERITY"`
	Subscriber string `help:"Only those of a subscriber, exactly as accounting names it, or of a line or device of which none is known. The look is noted." placeholder:"NAME" and:"look"`
	Reason     string `help:"With --subscriber: why you look, in a few words; the privacy officer sees it." placeholder:"TEXT" and:"look"`
	Case       string `help:"With --subscriber: case that you look for." placeholder:"ID"`
}

// Run does it.
func (c *caseList) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	rows := list[CaseRow]{"CASE\tSTATE\tSEVERITY\tCLASS\tEVENTS\tREPORTERS\tSOLID\tLAST", "case", "cases", func(w io.Writer, c CaseRow) {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", c.Ref, stateOf(c), c.Severity, c.Class, c.Events, c.Reporters, c.Solid, at(c.LastSeen))
	}}
	if c.Subscriber != "" {
		ask := casesOfBody{Subscriber: c.Subscriber, Reason: c.Reason, Case: c.Case, State: c.State, Class: c.Class, Severity: c.Severity}
		return rows.found(ctx, t, way, c.desktop, "/abuse/cases/find", ask)
	}
	q := url.Values{}
	for k, v := range map[string]string{"state": c.State, "class": c.Class, "severity": c.Severity} {
		if v != "" {
			q.Set(k, v)
		}
	}
	return rows.print(ctx, t, way, c.desktop, "/abuse/cases", q)
}

func stateOf(c CaseRow) string {
	if c.State.Open() {
		return "open"
	}
	return "closed (" + c.Outcome + ")"
}

func at(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

type caseShow struct {
	desktop
	ID string `arg:"" help:"Id, or number (AB-2026-000001)."`
}

// Run does it.
func (c *caseShow) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	raw, err := way.Call(ctx, t, c.Server, c.TokenFile, http.MethodGet, "/abuse/cases/"+url.PathEscape(c.ID), nil)
	if err != nil || c.JSON {
		return printed(t, raw, err)
	}
	var v CaseView
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("answer of the desk: %w", err)
	}
	return t.Table(func(w io.Writer) {
		fmt.Fprintf(w, "%s\t%s\nid\t%s\nstate\t%s\nseverity\t%s\nsubscriber\t%s\nline\t%s\n", v.Ref, v.Class, v.ID, stateOf(v.CaseRow), v.Severity, terminal.Escape(v.Who.Subscriber), terminal.Escape(v.Who.Line))
		fmt.Fprintf(w, "how sure\t%s; %d of %d events cannot be forged, %d by a named source\n", v.Sure(), v.Solid, v.Events, v.Named)
		if v.Test.Test != "" {
			fmt.Fprintf(w, "test\t%s, %s\n", v.Test.Test, at(v.Test.TestAt))
		} else if len(v.Test.Tests) > 0 {
			fmt.Fprintf(w, "test\tnone yet; bolwerk abuse case retest %s asks %s\n", v.Ref, strings.Join(v.Test.Tests, ", "))
		}
		for _, e := range v.Evidence {
			where := "-"
			if e.Event != nil {
				where = e.Event.Where()
			}
			fmt.Fprintf(w, "event\t%s %s %s, report %s\n", at(e.At), terminal.Escape(where), e.Basis, e.Report)
		}
		for _, n := range v.History {
			fmt.Fprintf(w, "%s\t%s %s %s\n", n.Kind, at(n.At), n.Code, terminal.Escape(n.Text))
		}
	})
}

func printed(t *terminal.Terminal, raw json.RawMessage, err error) error {
	if err != nil {
		return err
	}
	return t.JSON(raw)
}

type caseClose struct {
	desktop
	ID     string `arg:"" help:"Id, or number (AB-2026-000001)."`
	As     string `help:"cleaned, no_action, not_ours, not_resolvable or duplicate." enum:"cleaned,no_action,not_ours,not_resolvable,duplicate" required:"" placeholder:"OUTCOME"`
	Reason string `help:"Why, in a few words; kept with the case." required:"" placeholder:"TEXT"`
}

// Run does it.
func (c *caseClose) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	return decided(ctx, t, way, c.desktop, c.ID, "close", closeBody{Reason(c.As), c.Reason})
}

type caseReopen struct {
	desktop
	ID     string `arg:"" help:"Id, or number (AB-2026-000001)."`
	Reason string `help:"Why, in a few words; kept with the case." required:"" placeholder:"TEXT"`
}

// Run does it.
func (c *caseReopen) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	return decided(ctx, t, way, c.desktop, c.ID, "reopen", textBody{c.Reason})
}

func decided(ctx context.Context, t *terminal.Terminal, way Way, d desktop, id, what string, in any) error {
	raw, err := way.Call(ctx, t, d.Server, d.TokenFile, http.MethodPost, "/abuse/cases/"+url.PathEscape(id)+"/"+what, in)
	if err != nil || d.JSON {
		return printed(t, raw, err)
	}
	var v CaseRow
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("answer of the desk: %w", err)
	}
	return t.Table(func(w io.Writer) { fmt.Fprintf(w, "%s is %s\n", v.Ref, stateOf(v)) })
}

type importCmd struct {
	desktop
	Feed  string   `help:"Whose files they are: a name of abuse.feeds in the desk's configuration." placeholder:"NAME"`
	Files []string `arg:"" name:"file" help:"Reports: tables of Shadowserver, mails, JSON, archives." type:"path"`
}

// Run does it. A file that is not taken is named; the others are.
func (c *importCmd) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	failed := 0
	for _, name := range c.Files {
		if err := c.one(ctx, t, way, name); err != nil {
			failed++
			fmt.Fprintf(t.Err, "%s: %v\n", terminal.Escape(name), err)
		}
	}
	if failed > 0 {
		return bolwerk.Invalid("%d of %d files were not taken", failed, len(c.Files))
	}
	return nil
}

func (c *importCmd) one(ctx context.Context, t *terminal.Terminal, way Way, name string) error {
	st, err := os.Stat(name)
	if err != nil {
		return bolwerk.NotFound("there is no such file")
	}
	if st.Size() > door.MaxReport {
		return bolwerk.WithHint(bolwerk.Invalid("%d bytes: at most %d are taken at once", st.Size(), door.MaxReport), "split the table, each part with its first line")
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	out, err := way.Upload(ctx, t, c.Server, c.TokenFile, "/abuse/import", url.Values{"name": {filepath.Base(name)}, "feed": {c.Feed}}, raw)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.JSON(out)
	}
	return t.Table(func(w io.Writer) { fmt.Fprintf(w, "%s\ttaken\n", terminal.Escape(name)) })
}
