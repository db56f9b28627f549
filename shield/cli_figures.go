package shield

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"bolwerk"
	"bolwerk/internal/disk"
	"bolwerk/internal/terminal"
	"bolwerk/shield/figures"
)

// FiguresCmd is "bolwerk figures".
type FiguresCmd struct {
	Show   figuresShow   `cmd:"" default:"withargs" help:"Tell the figures of a period beside those before it."`
	Report figuresReport `cmd:"" help:"Make the report of a year, as HTML or PDF."`
}

type figuresShow struct {
	desktop
	Year  string `help:"A year; this one where nothing is chosen." placeholder:"2026" xor:"period"`
	Month string `help:"A month." placeholder:"2026-11" xor:"period"`
	Day   string `help:"A day." placeholder:"2026-11-25" xor:"period"`
	From  string `help:"First day of another period." placeholder:"DAY" and:"span"`
	To    string `help:"Its last day." placeholder:"DAY" and:"span"`
	CSV   bool   `help:"Print CSV." name:"csv"`
}

// Run does it.
func (c *figuresShow) Run(ctx context.Context, t *terminal.Terminal) error {
	q := url.Values{}
	for k, v := range map[string]string{"year": c.Year, "month": c.Month, "day": c.Day, "from": c.From, "to": c.To} {
		if v != "" {
			q.Set(k, v)
		}
	}
	if !c.CSV {
		path := "/figures"
		if len(q) > 0 {
			path += "?" + q.Encode()
		}
		return show(ctx, t, &c.desktop, http.MethodGet, path, nil, printFigures)
	}
	client, err := c.client(t)
	if err != nil {
		return err
	}
	b, err := client.raw(ctx, "/figures/csv", q)
	if err == nil {
		_, err = t.Out.Write(b)
	}
	return err
}

func printFigures(w io.Writer, d figures.Document) {
	number := func(n int64) string { return fmt.Sprint(n) }
	cell := func(c figures.Cell) string { return c.Text(number, "not shown") }
	texts, err := figures.Texts()
	if err != nil {
		panic(err) // ours, and tested
	}
	name := func(key string) string { return texts.T(bolwerk.EN, "figures."+key) }
	if d.Invented {
		fmt.Fprintln(w, name("invented"))
	}
	fmt.Fprintf(w, "%s prevented visits, %s campaigns (%s before)\n", cell(d.Figure(figures.Visits).Now), cell(d.Figure(figures.Campaigns).Now), cell(d.Figure(figures.Campaigns).Before))
	fmt.Fprintf(w, "FIGURE\t%s – %s\t%s – %s\n", d.From, d.To, d.BeforeFrom, d.BeforeTo)
	for _, f := range d.Figures {
		fmt.Fprintf(w, "%s\t%s\t%s\n", name(f.Key), cell(f.Now), cell(f.Before))
		for _, by := range f.By[1:] {
			for _, r := range by.Rows {
				label := terminal.Escape(r.Key)
				if k := figures.TextKey(by.By, r.Key); texts.Has(k) {
					label = texts.T(bolwerk.EN, k)
				}
				fmt.Fprintf(w, "  %s: %s\t%s\t%s\n", by.By, label, cell(r.Now), cell(r.Before))
			}
		}
	}
	percent := func(p figures.Percent) string {
		switch {
		case !p.Known:
			return "not known"
		case p.AtMost:
			return fmt.Sprintf("at most %.1f %%", p.Value+0.05)
		}
		return fmt.Sprintf("%.1f %%", p.Value)
	}
	for _, r := range d.Rates {
		fmt.Fprintf(w, "%s\t%s\t%s\n", name(r.Key), percent(r.Now), percent(r.Before))
	}
	times := func(t figures.Times) string {
		if !t.Known {
			return "not known"
		}
		return fmt.Sprintf("%s / %s", figures.Took(texts, bolwerk.EN, t.P50), figures.Took(texts, bolwerk.EN, t.P95))
	}
	for _, c := range d.Clocks {
		fmt.Fprintf(w, "%s, p50 / p95\t%s\t%s\n", name(c.Key), times(c.Now), times(c.Before))
	}
	fmt.Fprintln(w, name("withheld"))
	if d.Missing > 0 {
		fmt.Fprintf(w, "%d days are not counted yet\n", d.Missing)
	}
}

type figuresReport struct {
	desktop
	Year string `help:"The year; this one where none is chosen." placeholder:"2026"`
	Lang string `help:"nl, fr, de or en." enum:"nl,fr,de,en" default:"en" placeholder:"LANG"`
	Out  string `help:"File to write: its name ends in .html or .pdf. A PDF needs a Chromium at the desk." required:"" placeholder:"FILE" type:"path"`
}

// Run does it.
func (c *figuresReport) Run(ctx context.Context, t *terminal.Terminal) error {
	format := ""
	for _, f := range []string{"html", "pdf"} {
		if strings.HasSuffix(strings.ToLower(c.Out), "."+f) {
			format = f
		}
	}
	if format == "" {
		return bolwerk.WithHint(bolwerk.Invalid("%s is no name for a report", c.Out), "let it end in .html or .pdf")
	}
	if _, err := os.Stat(c.Out); err == nil {
		return bolwerk.WithHint(bolwerk.Conflict("%s is there already", c.Out), "choose another name, or remove it first")
	}
	client, err := c.client(t)
	if err != nil {
		return err
	}
	b, err := client.raw(ctx, "/figures/report", url.Values{"year": {c.Year}, "lang": {c.Lang}, "format": {format}})
	if err != nil {
		return err
	}
	if err := disk.Write(c.Out, b, "figures.report"); err != nil {
		return err
	}
	fmt.Fprintf(t.Out, "%s: %d bytes\n", c.Out, len(b))
	return nil
}
