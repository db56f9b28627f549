package abuse

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"bolwerk/internal/terminal"
)

// ExemptionCmd is "bolwerk abuse exemption".
type ExemptionCmd struct {
	List exemptionList `cmd:"" help:"List the exemptions that hold, what ends first before the others. They name nobody."`
	End  exemptionEnd  `cmd:"" help:"End an exemption before its time."`
}

type exemptionList struct {
	desktop
	Over bool `help:"Those that have ended, too."`
}

// Run does it.
func (c *exemptionList) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	q := url.Values{}
	if c.Over {
		q.Set("over", "true")
	}
	return list[ExemptionRow]{"ID\tCASE\tSCOPE\tUNTIL\tREASON", "exemption", "exemptions", printExemption}.print(ctx, t, way, c.desktop, "/abuse/exemptions", q)
}

func printExemption(w io.Writer, x ExemptionRow) {
	scope, over := string(x.Class), ""
	if scope == "" {
		scope = "every class"
	}
	if x.Over {
		over = " (over)"
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s%s\t%s\n", x.ID, x.Case, scope, at(x.Until), over, terminal.Escape(x.Reason))
}

type exemptionEnd struct {
	desktop
	ID string `arg:"" help:"Id of the exemption, as the list gives it."`
}

// Run does it.
func (c *exemptionEnd) Run(ctx context.Context, t *terminal.Terminal, way Way) error {
	b, err := way.Call(ctx, t, c.Server, c.TokenFile, http.MethodPost, "/abuse/exemptions/"+url.PathEscape(c.ID)+"/end", nil)
	if err != nil {
		return err
	}
	var x ExemptionRow
	if err := json.Unmarshal(b, &x); err != nil {
		return err
	}
	if c.JSON {
		return t.JSON(x)
	}
	return t.Table(func(w io.Writer) { printExemption(w, x) })
}
