package shield

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
	"bolwerk/shield/judge"
)

// maxSeveral is how many cases are decided in one go: as many as a person can
// still read before.
const maxSeveral = 100

type severalData struct {
	common
	inQueue
	Do      string // "block" or "reject"
	Rows    []severalRow
	Ready   int  // that the form would decide
	Two     int  // of them, those that go to a second person
	More    bool // there are more than were taken
	Lengths []length
	Classes []string
	Quick   reasons
	Over    bool // it was done: what came of each
}

// severalRow is one case of a decision over several: what would happen to it, or
// what did.
type severalRow struct {
	queueRow
	Option  option
	Ready   bool
	Decided *decidedBy // it was decided already
	// What came of it.
	Out   Outcome
	Wrong wrong
}

// Elsewhere says that not the name of the case would be taken but another.
func (r severalRow) Elsewhere() bool {
	return len(r.Option.Taken.Names) == 0 || r.Option.Taken.Names[0] != r.Show
}

// WWW says that "www." in front of the name would be taken too.
func (r severalRow) WWW() bool { return len(r.Option.Taken.Names) > 1 }

// several shows what would happen to each of several cases. It changes nothing.
func (p *Pages) several(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showSeveral(w, r, http.StatusOK, who, commonOf(r, who), r.URL.Query())
}

func (p *Pages) showSeveral(w http.ResponseWriter, r *http.Request, status int, who account.Person, c common, q url.Values) error {
	ctx := r.Context()
	data := severalData{common: c, inQueue: queueFrom(r), Do: q.Get("do"), Lengths: lengths, Classes: classes}
	if data.Do != "block" && data.Do != "reject" {
		return bolwerk.Invalid("decide %q: want block or reject", clip(data.Do))
	}
	var err error
	if data.Rows, data.More, err = p.chosen(ctx, data.QueueFilter, q); err != nil {
		return err
	}
	for i := range data.Rows {
		if err := p.foresee(r, &data.Rows[i], Decider(who), data.Do); err != nil {
			return err
		}
		if data.Rows[i].Ready {
			data.Ready++
			if len(data.Rows[i].Option.Second) > 0 {
				data.Two++
			}
		}
	}
	data.Quick = p.quick(r, "", data.Do, c)
	return p.pages.Render(w, r, status, "several", data)
}

// chosen gives the cases that were ticked, or with "all" those that wait and
// match the filter.
func (p *Pages) chosen(ctx context.Context, f QueueFilter, q url.Values) (out []severalRow, more bool, err error) {
	if q.Get("all") != "" {
		f.State = "waiting"
		cases, err := p.s.Queue(ctx, f, "", maxSeveral+1)
		if more = len(cases) > maxSeveral; more {
			cases = cases[:maxSeveral]
		}
		for _, row := range p.queueRows(cases) {
			out = append(out, severalRow{queueRow: row})
		}
		return out, more, err
	}
	refs := q["case"]
	if more = len(refs) > maxSeveral; more {
		refs = refs[:maxSeveral]
	}
	err = p.s.db.Read(ctx, func(tx *store.Tx) error {
		seen := map[string]bool{}
		for _, ref := range refs {
			c, err := desk.FindCase(tx, clip(ref))
			if err != nil {
				return err
			}
			if seen[c.ID] {
				continue
			}
			seen[c.ID] = true
			row, err := rowOf(tx, c)
			if err != nil {
				return err
			}
			out = append(out, severalRow{queueRow: p.queueRows([]CaseRow{row})[0]})
		}
		return nil
	})
	return out, more, err
}

// foresee asks the guards what would happen to a case.
func (p *Pages) foresee(r *http.Request, row *severalRow, who judge.Person, do string) error {
	if row.State != desk.Waiting {
		if row.State.Open() {
			return nil // for a second person: it is looked at by itself
		}
		v, err := p.s.Case(r.Context(), row.ID)
		if err == nil {
			row.Decided, err = p.decidedBy(r, v)
		}
		return err
	}
	if row.Ready = true; do == "reject" {
		return nil
	}
	return p.s.db.Read(r.Context(), func(tx *store.Tx) error {
		in, err := p.wishOf(r)
		if err != nil {
			in = Confirm{}
		}
		row.Option, err = p.optionOf(tx, row.Case, who, in)
		switch x := web.Explain(err); {
		case err == nil:
			row.Ready = len(row.Option.Refuse) == 0
		case errors.Is(err, bolwerk.ErrForbidden), errors.Is(err, bolwerk.ErrInvalid): // no name that DNS can block
			row.Ready, row.Wrong = false, wrong{What: x.Detail, Hint: x.Hint, Guards: judge.Objections(err)}
		default:
			return err
		}
		return nil
	})
}

// wishOf reads the fields of a block from a form that may not have been sent.
func (p *Pages) wishOf(r *http.Request) (Confirm, error) {
	if r.PostForm == nil {
		return Confirm{}, nil
	}
	return wish(r)
}

// decideSeveral decides each of the cases by itself, as if its own page had been
// used: one that is refused, or that somebody else decided meanwhile, holds up
// none of the others.
func (p *Pages) decideSeveral(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	ctx, do, by := r.Context(), r.PostForm.Get("do"), Decider(who)
	in, err := wish(r)
	if err == nil && in.Reason == "" {
		err = bolwerk.Invalid("%s", p.frame.Texts().T(web.Lang(r), "shield.reason.none"))
	}
	if err == nil && len(r.PostForm["case"]) == 0 {
		err = bolwerk.Invalid("%s", p.frame.Texts().T(web.Lang(r), "shield.several.none"))
	}
	c := commonOf(r, who)
	if err != nil {
		status, err := c.beside("several", err)
		if err != nil {
			return err
		}
		return p.showSeveral(w, r, status, who, c, r.PostForm)
	}
	data := severalData{common: c, inQueue: queueFrom(r), Do: do, Over: true}
	if do != "block" && do != "reject" {
		return bolwerk.Invalid("decide %q: want block or reject", clip(do))
	}
	if data.Rows, data.More, err = p.chosen(ctx, QueueFilter{}, url.Values{"case": r.PostForm["case"]}); err != nil {
		return err
	}
	for i := range data.Rows {
		row := &data.Rows[i]
		in.Case = row.ID
		if do == "block" {
			row.Out, err = p.s.Confirm(ctx, by, in)
		} else {
			row.Out, err = p.s.Reject(ctx, by, row.ID, in.Reason)
		}
		if err == nil {
			data.Ready++
			continue
		}
		if errors.Is(err, bolwerk.ErrConflict) { // somebody was faster
			v, err := p.s.Case(ctx, row.ID)
			if err != nil {
				return err
			}
			row.CaseRow = v.CaseRow
			if row.Decided, err = p.decidedBy(r, v); err != nil {
				return err
			}
			if row.Decided != nil && !v.State.Open() {
				continue
			}
		}
		var beside common
		if _, err := beside.beside("", err); err != nil {
			return err
		}
		row.Wrong = beside.Wrong
	}
	return p.pages.Render(w, r, http.StatusOK, "several", data)
}

// reasons are what a form offers to be said with one key, and what was said.
type reasons struct {
	For    string // "confirm" or "reject", for the ids of the fields
	Quick  []string
	Chosen string
	Typed  string
	Wrong  bool   // the field is wrong
	Do     string // what the button beside the field says; empty for none
}

// quick are the reasons that people give most, in the reader's language: what is
// said is kept as it stands. like is a case of the same campaign that is blocked.
func (p *Pages) quick(r *http.Request, like, do string, c common) reasons {
	t := func(key string, args ...any) string { return p.frame.Texts().T(web.Lang(r), key, args...) }
	out := reasons{For: "confirm"}
	keys := []string{"shield.quick.block.login", "shield.quick.block.card", "shield.quick.block.brand", "shield.quick.block.shop"}
	if do == "reject" {
		out.For, keys = "reject", []string{"shield.quick.reject.real", "shield.quick.reject.advert", "shield.quick.reject.nothing", "shield.quick.reject.gone", "shield.quick.reject.drill"}
	}
	if like != "" {
		out.Quick = append(out.Quick, t("shield.quick.like", like))
	}
	for _, k := range keys {
		out.Quick = append(out.Quick, t(k))
	}
	out.Wrong = c.Wrong.Form == out.For || c.Wrong.Form == "several"
	if out.Wrong || c.Again == out.For || c.Again == "decide" {
		out.Chosen, out.Typed = c.Form.Get("quick"), c.Form.Get("reason")
	}
	return out
}

// reasonOf is what was typed, or else chosen.
func reasonOf(f url.Values) (string, error) {
	reason := strings.TrimSpace(f.Get("reason"))
	if reason == "" {
		reason = strings.TrimSpace(f.Get("quick"))
	}
	if len(reason) > 2000 {
		return "", bolwerk.Invalid("the reason is longer than 2,000 letters")
	}
	return reason, nil
}
