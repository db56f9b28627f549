package shield

import (
	"context"
	"net/http"
	"time"

	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
	"bolwerk/shield/judge"
)

// Beside is a case as rules decided it or would have, beside what people did and
// beside the list that is in use today.
type Beside struct {
	Case   string     `json:"case"`
	Name   string     `json:"name"`
	Class  string     `json:"class"`
	Mode   judge.Mode `json:"mode" doc:"what rules did with its class then; empty where they did not look"`
	Source string     `json:"source,omitempty" doc:"what the decision goes back to"`
	// Agrees is the cell of the table that the case is in.
	Agrees string `json:"agrees" enum:"both,rejected,people_only,open,nobody" doc:"rules would block and a person confirmed; rules would and a person rejected; only a person did; rules would and nobody decided; neither"`
	Why    string `json:"left_to_people,omitempty" doc:"guards that left it to people, as JSON"`
	// Rules, Person and InUse are when each had it; absent where not.
	Rules  time.Time `json:"rules_at,omitzero"`
	Person time.Time `json:"person_at,omitzero"`
	InUse  time.Time `json:"in_use_at,omitzero"`
	opened string
}

// Lead is how much earlier rules were than other; ok is false where one of them
// never had it.
func (b Beside) lead(other time.Time) (time.Duration, bool) {
	return other.Sub(b.Rules), !b.Rules.IsZero() && !other.IsZero()
}

// besides lists the cases opened in the last days that rules or people blocked, or
// people rejected, newest first.
func (s *Shield) besides(ctx context.Context, days int, after string, limit int) (out []Beside, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		if after == "" {
			after = "g" // above every id
		}
		out, err = store.List(tx, func(scan func(...any) error) (b Beside, err error) {
			var state, outcome string
			var rules, person, use int64
			if err := scan(&b.opened, &b.Case, &b.Name, &b.Class, &state, &outcome, &person, &b.Mode, &b.Source, &b.Why, &rules, &use); err != nil {
				return b, err
			}
			b.Rules, b.InUse = store.Time(rules), store.Time(use)
			if outcome != "" && person > 0 {
				b.Person = store.Time(person)
			}
			b.Agrees = agrees(rules > 0, outcome, person > 0)
			return b, nil
		}, `select c.id,c.ref,c.subject,s.class,c.state,c.outcome,case when coalesce(b.actor,'')='rule:automatic' and coalesce(b.second,'')='' then 0 else c.closed_at end,
			coalesce(a.mode,''),coalesce(a.source,''),coalesce(a.why,''),coalesce(a.at,0),coalesce(u.at,0)
			from desk_case c join shield_case s on s.id=c.id left join shield_auto a on a.case_id=c.id left join shield_in_use u on u.case_id=c.id left join shield_block b on b.id=s.block
			where c.capability=$1 and c.opened_at>$2 and c.id<$3 and (c.outcome in ('blocked','rejected') or a.at>0) order by c.id desc limit $4`,
			Name, store.Micros(tx.Now().AddDate(0, 0, -days)), after, limit)
		return err
	})
	return out, err
}

func agrees(rules bool, outcome string, person bool) string {
	switch {
	case rules && person && outcome == "blocked":
		return "both"
	case rules && person && outcome == "rejected":
		return "rejected"
	case rules:
		return "open"
	case person && outcome == "blocked":
		return "people_only"
	}
	return "nobody"
}

// shadowDays is the period that is compared.
const shadowDays = 28

// Cells counts the cases of a period by how rules and people agree.
type Cells struct {
	Both       int `json:"both"`
	Rejected   int `json:"rejected" doc:"rules would block what a person rejected"`
	PeopleOnly int `json:"people_only"`
	Open       int `json:"open"`
	// RulesFirst counts cases that the list in use today has later than rules had
	// them, UseFirst earlier, RulesOnly those that it has not.
	RulesFirst int `json:"rules_first"`
	UseFirst   int `json:"in_use_first"`
	RulesOnly  int `json:"rules_only"`
	// Lead is the median by which rules were before the person, over Both.
	Lead time.Duration `json:"lead_p50"`
}

func cellsOf(rows []Beside) (c Cells) {
	var leads []time.Duration
	for _, b := range rows {
		switch b.Agrees {
		case "both":
			c.Both++
			if d, ok := b.lead(b.Person); ok {
				leads = append(leads, d)
			}
		case "rejected":
			c.Rejected++
		case "people_only":
			c.PeopleOnly++
		case "open":
			c.Open++
		}
		if b.Rules.IsZero() {
			continue
		}
		switch d, ok := b.lead(b.InUse); {
		case !ok:
			c.RulesOnly++
		case d > 0:
			c.RulesFirst++
		default:
			c.UseFirst++
		}
	}
	c.Lead = quantile(leads, 50)
	return c
}

// Automatic is what rules did, or would have, beside people and the list in use.
func (s *Shield) Automatic(ctx context.Context) (Cells, error) {
	rows, err := s.besides(ctx, shadowDays, "", 100_000)
	return cellsOf(rows), err
}

func (a *API) automatic(x *api.Routes) {
	type out struct {
		Modes map[string]judge.Mode `json:"modes"`
		InUse string                `json:"in_use,omitempty" doc:"the list that is in use today"`
		Days  int                   `json:"days"`
		Cells Cells                 `json:"cells"`
		Items []Beside              `json:"items"`
	}
	api.Add(x, account.Look, "GET", "/automatic", "Tell what rules decided or would have, beside people and the list in use", func(ctx context.Context, _ *struct{}) (*api.Answer[out], error) {
		rows, err := a.shield.besides(ctx, shadowDays, "", 100_000)
		o := out{Modes: map[string]judge.Mode{}, InUse: a.shield.cfg.Automatic.InUse, Days: shadowDays, Cells: cellsOf(rows), Items: rows[:min(len(rows), 500)]}
		for _, class := range autoClasses {
			o.Modes[class] = a.shield.cfg.Automatic.of(class)
		}
		return &api.Answer[out]{Body: o}, err
	})
}

type automaticData struct {
	common
	around
	Rows  []Beside
	Cells Cells
	Modes []struct{ Class, Mode string }
	InUse string
	Days  int
}

// automatic shows what rules would have done, and did.
func (p *Pages) automatic(w http.ResponseWriter, r *http.Request, who account.Person) (err error) {
	ctx := r.Context()
	l := listOf[Beside]{
		name: "automatic",
		rows: func(after string, limit int) ([]Beside, error) { return p.s.besides(ctx, shadowDays, after, limit) },
		count: func() (desk.Counted, error) {
			rows, err := p.s.besides(ctx, shadowDays, "", 100_000)
			return desk.Counted{N: int64(len(rows))}, err
		},
		id: func(b Beside) string { return b.opened },
		columns: []column[Beside]{
			{"case", func(b Beside) string { return b.Case }}, {"name", func(b Beside) string { return b.Name }}, {"class", func(b Beside) string { return b.Class }}, {"mode", func(b Beside) string { return string(b.Mode) }},
			{"agrees", func(b Beside) string { return b.Agrees }}, {"rules_at", func(b Beside) string { return stamp(b.Rules) }}, {"person_at", func(b Beside) string { return stamp(b.Person) }},
			{"in_use_at", func(b Beside) string { return stamp(b.InUse) }}, {"source", func(b Beside) string { return b.Source }}, {"left_to_people", func(b Beside) string { return b.Why }},
		},
	}
	if asFile(r) {
		return l.file(w, r, p.frame.Clock())
	}
	data := automaticData{common: commonOf(r, who), InUse: p.s.cfg.Automatic.InUse, Days: shadowDays}
	if data.Rows, data.around, err = l.page(r); err != nil {
		return err
	}
	if data.Cells, err = p.s.Automatic(ctx); err != nil {
		return err
	}
	for _, class := range autoClasses {
		data.Modes = append(data.Modes, struct{ Class, Mode string }{class, string(p.s.cfg.Automatic.of(class))})
	}
	return p.pages.Render(w, r, http.StatusOK, "automatic", data)
}

// keep has a person confirm what a rule blocked.
func (p *Pages) keep(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	out, err := p.s.Keep(r.Context(), Decider(who), r.PathValue("id"), r.PostForm.Get("reason"))
	if err != nil {
		return err
	}
	return goTo(w, r, "/block/"+out.Block.Ref, "kept")
}
