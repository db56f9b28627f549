package shield

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
	"bolwerk/shield/reading"
)

// A report without a link is never closed as harmless, and one that calls itself
// an exercise is not believed without a look: both stand here until a person has
// seen them.

// HandReport is a report that no rule can deal with.
type HandReport struct {
	ID      string
	Channel string
	Form    string
	State   string // no_observable, unreadable, or read: an exercise
	At      time.Time
	Read    reading.Result // what was read, the reporter's side left out
	Gone    bool           // its text is no longer kept
}

// Kind is the text for why no rule can deal with it.
func (h HandReport) Kind() string {
	if h.State == "read" {
		return "exercise"
	}
	return h.State
}

// handOutcomes are the outcomes that a filter of the page stands for.
var handOutcomes = map[string][2]string{"": {"for_a_person", "training"}, "exercise": {"training", "training"}, "seen": {"seen", "seen"}}

func handWhere(state string) desk.Where {
	var w desk.Where
	w.And("outcome in (?,?)", handOutcomes[state][0], handOutcomes[state][1])
	return w
}

// ByHand lists reports that wait for a person, exercises, or those that were
// seen, the newest first.
func (s *Shield) ByHand(ctx context.Context, state, after string, limit int) (out []HandReport, err error) {
	var refs []string
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		w := handWhere(state)
		if after != "" {
			w.And("id<?", after)
		}
		return tx.Each(`select id,channel,form,state,received_at,reading_ref from shield_report where `+w.SQL+` order by id desc limit `+strconv.Itoa(limit), w.Args, func(scan func(...any) error) error {
			var h HandReport
			var ref string
			var at int64
			if err := scan(&h.ID, &h.Channel, &h.Form, &h.State, &at, &ref); err != nil {
				return err
			}
			h.At = store.Time(at)
			out, refs = append(out, h), append(refs, ref)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	for i := range out {
		if out[i].Read, err = s.Reading(ctx, out[i].ID); errors.Is(err, bolwerk.ErrNotFound) || refs[i] == "" {
			out[i].Gone = true
		} else if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Seen says that a person has looked at a report and did what was to be done.
func (s *Shield) Seen(ctx context.Context, by account.Person, report, reason string) error {
	if reason = strings.TrimSpace(reason); reason == "" {
		return bolwerk.Invalid("say in a few words what came of it")
	}
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		n, err := tx.Exec(`update shield_report set outcome='seen' where id=$1 and outcome in ('for_a_person','training')`, report)
		if err != nil {
			return err
		}
		if n == 0 {
			return bolwerk.Conflict("report %s does not wait for a person", report)
		}
		audit.Append(tx, bolwerk.Person(by.ID), "shield.report.seen", report, clip(reason), nil)
		return nil
	})
}

type handData struct {
	common
	around
	State string
	Rows  []HandReport
}

func (p *Pages) byHand(w http.ResponseWriter, r *http.Request, who account.Person) (err error) {
	data := handData{common: commonOf(r, who), State: r.URL.Query().Get("state")}
	if _, known := handOutcomes[data.State]; !known {
		data.State = ""
	}
	l := p.handList(r.Context(), data.State)
	if asFile(r) {
		return l.file(w, r, p.frame.Clock())
	}
	if data.Rows, data.around, err = l.page(r); err != nil {
		return err
	}
	return p.pages.Render(w, r, http.StatusOK, "by-hand", data)
}

func (p *Pages) handList(ctx context.Context, state string) listOf[HandReport] {
	return listOf[HandReport]{
		name: "reports",
		rows: func(after string, limit int) ([]HandReport, error) { return p.s.ByHand(ctx, state, after, limit) },
		count: func() (n desk.Counted, err error) {
			err = p.s.db.Read(ctx, func(tx *store.Tx) error {
				n, err = desk.Count(tx, "shield_report", handWhere(state))
				return err
			})
			return n, err
		},
		id: func(h HandReport) string { return h.ID },
		columns: []column[HandReport]{
			{"id", func(h HandReport) string { return h.ID }}, {"received_at", func(h HandReport) string { return stamp(h.At) }},
			{"channel", func(h HandReport) string { return h.Channel }}, {"form", func(h HandReport) string { return h.Form }}, {"kind", HandReport.Kind},
		},
	}
}

func (p *Pages) seen(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	if err := p.s.Seen(r.Context(), who, r.PathValue("id"), r.PostForm.Get("reason")); err != nil {
		return err
	}
	return goTo(w, r, "/by-hand", "seen")
}
