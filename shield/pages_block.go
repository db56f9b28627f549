package shield

import (
	"context"
	"encoding/json"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/account"
	"bolwerk/internal/chart"
	"bolwerk/internal/idn"
	"bolwerk/internal/rpz"
	"bolwerk/internal/web"
	"bolwerk/shield/judge"
)

type blockRow struct {
	Block
	Show Shown
	Life template.HTML // the block's life as a small line
	Took string        // from the first report to the block
}

func (p *Pages) blockRows(lang bolwerk.Lang, all []Block) []blockRow {
	out := make([]blockRow, 0, len(all))
	for _, b := range all {
		row := blockRow{Block: b, Show: p.s.showName(b.Name)}
		line := steps(BlockView{Block: b, Clock: b.clock(time.Time{})}, false)
		row.Life = p.life(lang, line, true)
		if !b.ReportedAt.IsZero() {
			row.Took = web.Span(max(b.MadeAt.Sub(b.ReportedAt), 0))
		}
		out = append(out, row)
	}
	return out
}

// life draws a block's stages as a line.
func (p *Pages) life(lang bolwerk.Lang, line []step, small bool) template.HTML {
	texts := p.frame.Texts()
	c := chart.Stages{Small: small, Width: 96}
	var told []string
	for _, st := range line {
		stage := chart.Stage{Label: texts.T(lang, "shield.step."+st.Key)}
		if !st.Wait {
			stage.At = web.Stamp(st.At, p.frame.Zone())
			switch st.Key {
			case "ended":
				stage.Class = "done"
			case "published":
				stage.Class = "harm"
			}
			told = append(told, stage.Label+" "+stage.At)
		}
		c.Steps = append(c.Steps, stage)
	}
	c.About = chart.About{Title: texts.T(lang, "shield.life"), Desc: strings.Join(told, ", ")}
	return c.SVG()
}

type blocksData struct {
	common
	around
	Rows   []blockRow
	Kind   string // blocks or exemptions
	State  string
	Query  string
	States []State
}

func (p *Pages) blockList(ctx context.Context, lang bolwerk.Lang, f BlockFilter) listOf[blockRow] {
	name := "blocks"
	if f.Pass {
		name = "exemptions"
	}
	return listOf[blockRow]{
		name: name,
		rows: func(after string, limit int) ([]blockRow, error) {
			f.After, f.Limit = after, limit
			all, err := p.s.Blocks(ctx, f)
			return p.blockRows(lang, all), err
		},
		count: func() (desk.Counted, error) { return p.s.CountBlocks(ctx, f) },
		id:    func(b blockRow) string { return b.ID },
		columns: []column[blockRow]{
			{"ref", func(b blockRow) string { return b.Ref }}, {"pass", func(b blockRow) string { return strconv.FormatBool(b.Pass) }}, {"name", func(b blockRow) string { return b.Name.String() }}, {"scope", func(b blockRow) string { return string(b.Scope) }},
			{"class", func(b blockRow) string { return b.Class }}, {"brand", func(b blockRow) string { return b.Brand }}, {"ground", func(b blockRow) string { return string(b.Ground) }},
			{"legal", func(b blockRow) string { return b.Legal }}, {"by", func(b blockRow) string { return b.By }}, {"reason", func(b blockRow) string { return b.Reason }},
			{"valid_from", func(b blockRow) string { return stamp(b.From) }}, {"valid_until", func(b blockRow) string { return stamp(b.Until) }}, {"state", func(b blockRow) string { return string(b.State) }},
			{"ended_at", func(b blockRow) string { return stamp(b.EndedAt) }}, {"ended_why", func(b blockRow) string { return b.EndedWhy }},
			{"dns_hits", func(b blockRow) string { return number(b.Hits.DNS) }}, {"page_views", func(b blockRow) string { return number(b.Hits.Page) }}, {"tls_attempts", func(b blockRow) string { return number(b.Hits.TLS) }},
		},
	}
}

func (p *Pages) blocks(w http.ResponseWriter, r *http.Request, who account.Person) (err error) {
	q := r.URL.Query()
	data := blocksData{common: commonOf(r, who), Kind: "blocks", State: q.Get("state"), Query: clip(q.Get("q")), States: []State{InForce, Expired, Withdrawn, Suspended}}
	if q.Get("kind") == "exemptions" {
		data.Kind = "exemptions"
	}
	l := p.blockList(r.Context(), web.Lang(r), BlockFilter{State: State(data.State), Pass: data.Kind == "exemptions", Query: asStored(data.Query)})
	if asFile(r) {
		return l.file(w, r, p.frame.Clock())
	}
	if data.Rows, data.around, err = l.page(r); err != nil {
		return err
	}
	return p.pages.Render(w, r, http.StatusOK, "blocks", data)
}

// step is one stage of a block's life, with the time since the one before.
type step struct {
	Key  string
	Who  string // the edge or resolver that had it
	At   time.Time
	Gap  time.Duration
	Wait bool // not reached
}

// manySteps is up to how many edges and resolvers each has its own stage; of
// more, the first and the last have.
const manySteps = 4

// steps is the stage clock as a line. A stage that cannot come is left out; with
// places each edge and resolver that had it is one.
func steps(v BlockView, places bool) []step {
	c := v.Clock
	line := []step{{Key: "reported", At: c.Received}, {Key: "read", At: c.Read}, {Key: "decided", At: c.Decided}}
	if places { // elsewhere it goes without saying: one transaction decides and publishes
		line = append(line, step{Key: "published", At: c.Published})
		line = append(line, reachedSteps("in_force", v.InForceAt)...)
	} else {
		line[len(line)-1].Key = "published"
	}
	line = append(line, step{Key: "first_hit", At: c.FirstHit}, step{Key: "ended", At: c.Ended})
	if places {
		line = append(line, reachedSteps("gone", v.GoneAt)...)
	}
	var out []step
	var last time.Time
	for _, s := range line {
		switch {
		case !s.At.IsZero():
			if !last.IsZero() {
				s.Gap = max(s.At.Sub(last), 0)
			}
			last = s.At
		case s.Key == "reported" || s.Key == "read" || s.Key == "first_hit" && v.Pass:
			continue
		case s.Key == "first_hit" && v.State != InForce:
			continue
		default:
			s.Wait = true
		}
		out = append(out, s)
	}
	return out
}

func reachedSteps(key string, all []Reached) (out []step) {
	if len(all) > manySteps {
		return []step{{Key: key, Who: all[0].Name, At: all[0].At}, {Key: key + "_all", Who: strconv.Itoa(len(all)), At: all[len(all)-1].At}}
	}
	for _, r := range all {
		out = append(out, step{Key: key, Who: r.Name, At: r.At})
	}
	return out
}

type blockData struct {
	common
	BlockView
	Show    Shown
	Taken   taken
	Steps   []step
	Lists   []listVersion
	Decided string // who
	Second  string
	EndedBy string
	CaseRef string
	Order   string // its number
	Trail   []auditRow
	Causes  []Cause
	Waiting []appealRow
	Charts  []series
	PerHour bool
}

var blockMeasures = []measure{
	{"shield.hits.chart.dns", func(h CampaignHour) int64 { return h.Hits.DNS }},
	{"shield.hits.chart.page", func(h CampaignHour) int64 { return h.Hits.Page }},
}

// HitColumns are the counts of the block.
// Boxes are what its site asks for.
func (d blockData) Boxes() asking { return asking{d.Form, d.AskedFor} }

func (d blockData) HitColumns() []hitColumn { return []hitColumn{{"shield.hits.total", d.Hits}} }

func (p *Pages) block(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showBlock(w, r, http.StatusOK, commonOf(r, who))
}

func (p *Pages) showBlock(w http.ResponseWriter, r *http.Request, status int, c common) error {
	ctx := r.Context()
	data := blockData{common: c, Causes: []Cause{FalsePositive, Cleaned, OnAppeal, ByMistake}}
	var err error
	if data.BlockView, err = p.s.Block(ctx, r.PathValue("id")); err != nil {
		return err
	}
	b := data.BlockView
	data.Show, data.Taken, data.Steps = p.s.showName(b.Name), p.s.taken(b.Name, b.Scope), steps(b, true)
	data.Charts, data.PerHour = p.timeline(web.Lang(r), b.Hours, blockMeasures)
	data.Waiting = p.appealRows(b.Appeals)
	if b.Block.Lists != "" {
		var m map[string]string
		if err := json.Unmarshal([]byte(b.Block.Lists), &m); err != nil {
			return err
		}
		data.Lists = versionsOf(m)
	}
	var ended bolwerk.Actor
	if err := ended.UnmarshalText([]byte(b.Block.EndedBy)); err != nil {
		return err
	}
	names, err := account.Names(ctx, p.s.db, b.Actor, b.Block.Second, ended)
	if err != nil {
		return err
	}
	data.Decided, data.Second, data.EndedBy = names[b.Actor], names[b.Block.Second], names[ended]
	if b.CaseID != "" {
		cs, err := p.s.Case(ctx, b.CaseID)
		if err != nil {
			return err
		}
		data.CaseRef = cs.Ref
	}
	if b.OrderID != "" {
		o, err := p.s.Order(ctx, b.OrderID)
		if err != nil {
			return err
		}
		data.Order = o.Ref
	}
	if data.Trail, err = p.trail(ctx, b.Ref); err != nil {
		return err
	}
	return p.pages.Render(w, r, status, "block", data)
}

func (p *Pages) withdraw(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	cause, err := ParseCause(r.PostForm.Get("cause"))
	if err == nil {
		_, err = p.s.Withdraw(r.Context(), Decider(who), r.PathValue("id"), cause, r.PostForm.Get("reason"))
	}
	if err == nil {
		return goTo(w, r, "/block/"+r.PathValue("id"), "withdrawn")
	}
	c := commonOf(r, who)
	status, err := c.beside("withdraw", err)
	if err != nil {
		return err
	}
	return p.showBlock(w, r, status, c)
}

type newData struct {
	common
	Name    string // as typed
	Scopes  []bolwerk.Scope
	Lengths []length
	Classes []string
	Legal   string
}

// Boxes are what the site asks for, as it was sent.
func (d newData) Boxes() asking { return asking{d.Form, 0} }

// exemptLengths are for exemptions; one person exempts for 24 hours at most.
var exemptLengths = []length{{"1h", "shield.for.hour"}, {"24h", "shield.for.day"}, {"168h", "shield.for.week"}, {"720h", "shield.for.month"}, {"", "shield.for.ever"}}

var dnsScopes = []bolwerk.Scope{bolwerk.ScopeHost, bolwerk.ScopeSubtree, bolwerk.ScopeRegistrable}

// asStored is a part of a name as the store has it: typed in letters or pasted
// as an address, kept in A-labels. What is no name stays as it is.
func asStored(part string) string {
	if d, err := typed(part); err == nil {
		return d.String()
	}
	return strings.ToLower(strings.TrimSpace(part))
}

// typed reads a name as people type or paste it: in any letters, with brackets
// around the dots, as the address of a page.
func typed(s string) (bolwerk.Domain, error) {
	s = strings.TrimSpace(strings.NewReplacer("[.]", ".", "(.)", ".", "hxxp", "http").Replace(s))
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	if i := strings.IndexAny(s, "/?#:"); i >= 0 {
		s = s[:i]
	}
	return idn.Parse(s)
}

func (p *Pages) blockForm(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showBlockForm(w, r, http.StatusOK, commonOf(r, who), r.URL.Query().Get("name"))
}

func (p *Pages) showBlockForm(w http.ResponseWriter, r *http.Request, status int, c common, name string) error {
	return p.pages.Render(w, r, status, "block-a-name", newData{common: c, Name: clip(name), Scopes: dnsScopes, Lengths: lengths, Classes: classes, Legal: p.s.cfg.Ground})
}

func (p *Pages) blockName(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	in, err := wish(r)
	if err == nil {
		in.Name, err = typed(r.PostForm.Get("name"))
	}
	var out Outcome
	if err == nil {
		out, err = p.s.Confirm(r.Context(), Decider(who), in)
	}
	if err == nil {
		return afterwards(w, r, out)
	}
	c := commonOf(r, who)
	status, err := c.beside("block", err)
	if err != nil {
		return err
	}
	return p.showBlockForm(w, r, status, c, r.PostForm.Get("name"))
}

func (p *Pages) exemptForm(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showExemptForm(w, r, http.StatusOK, commonOf(r, who), r.URL.Query().Get("name"))
}

func (p *Pages) showExemptForm(w http.ResponseWriter, r *http.Request, status int, c common, name string) error {
	return p.pages.Render(w, r, status, "exempt", newData{common: c, Name: clip(name), Scopes: dnsScopes, Lengths: exemptLengths})
}

func (p *Pages) exempt(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	in := Exempt{Reason: r.PostForm.Get("reason")}
	var err error
	if in.Scope, err = scopeOf(r.PostForm.Get("scope")); err == nil {
		in.For, err = lengthOf(r.PostForm.Get("for"))
	}
	if err == nil {
		in.Name, err = typed(r.PostForm.Get("name"))
	}
	var out Outcome
	if err == nil {
		out, err = p.s.Exempt(r.Context(), Decider(who), in)
	}
	if err == nil {
		return afterwards(w, r, out)
	}
	c := commonOf(r, who)
	status, err := c.beside("exempt", err)
	if err != nil {
		return err
	}
	return p.showExemptForm(w, r, status, c, r.PostForm.Get("name"))
}

type nameData struct {
	common
	Query     string
	Show      Shown
	E         *Explanation
	By        *blockRow
	Others    []blockRow
	Past      []blockRow
	Resolvers []resolverRow
	Refuse    []judge.Objection
	Second    []judge.Objection
}

type resolverRow struct {
	ResolverView
	Says []string // what it answered, for people
	Zone *rpz.State
}

func (p *Pages) name(w http.ResponseWriter, r *http.Request, who account.Person) error {
	data := nameData{common: commonOf(r, who), Query: clip(strings.TrimSpace(r.URL.Query().Get("name")))}
	if data.Query == "" {
		return p.pages.Render(w, r, http.StatusOK, "name", data)
	}
	d, err := typed(data.Query)
	if err != nil {
		status, err := data.beside("name", err)
		if err != nil {
			return err
		}
		return p.pages.Render(w, r, status, "name", data)
	}
	e, err := p.s.Explain(r.Context(), d)
	if err != nil {
		return err
	}
	data.E, data.Show = &e, p.s.showName(d)
	if e.By != nil {
		data.By = &p.blockRows(web.Lang(r), []Block{*e.By})[0]
	}
	data.Others, data.Past = p.blockRows(web.Lang(r), e.Others), p.blockRows(web.Lang(r), e.Past)
	data.Refuse, data.Second = split(e.Guards)
	for _, v := range e.Resolvers {
		row := resolverRow{ResolverView: v, Zone: v.Zone}
		if v.Answer != nil {
			row.Says = append(row.Says, v.Answer.Rcode)
			for _, a := range v.Answer.Addresses {
				row.Says = append(row.Says, a.String())
			}
			for _, text := range v.Answer.EDE {
				row.Says = append(row.Says, "EDE "+text)
			}
		}
		data.Resolvers = append(data.Resolvers, row)
	}
	return p.pages.Render(w, r, http.StatusOK, "name", data)
}
