package abuse

import (
	"context"

	"bolwerk/desk"
	"bolwerk/internal/store"
)

// Waits tells the first page what waits for a person: open cases that no rules go on
// with, reports, and of quarantines those that are there: lines that the access network
// does not let out, guests who ask for help, and what a second person decides.
func (d *Desk) Waits(ctx context.Context) ([]desk.Waits, error) {
	cases, err := d.CountCases(ctx, CaseFilter{State: "person"})
	if err != nil {
		return nil, err
	}
	var reports desk.Counted
	err = d.db.Read(ctx, func(tx *store.Tx) (err error) {
		w, _ := ReportFilter{State: "person"}.where()
		reports, err = desk.Count(tx, "abuse_report", w)
		return err
	})
	if err != nil {
		return nil, err
	}
	lines, err := d.quarantines.Waiting(ctx)
	if err != nil {
		return nil, err
	}
	out := []desk.Waits{{Path: "/abuse?state=person", Text: "abuse.cases.wait", Counted: cases}, {Path: "/abuse/reports", Text: "abuse.reports.wait", Counted: reports}}
	for _, l := range lines {
		out = append(out, desk.Waits{Path: "/abuse/quarantines?state=" + l.What, Text: "abuse.q.wait." + l.What, Counted: desk.Counted{N: l.N}})
	}
	return out, nil
}
