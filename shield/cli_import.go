package shield

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/terminal"
	"bolwerk/shield/edge"
	"bolwerk/shield/export"
)

// ImportCmd is "bolwerk import": each row is decided by itself, as "block add"
// and "exempt add" would.
type ImportCmd struct {
	desktop
	File   string `arg:"" help:"The list; - is standard input." type:"path"`
	Format string `help:"txt, hosts, adblock, rpz, csv or json. Default: what the file looks like." enum:",txt,hosts,adblock,rpz,csv,json" default:"" placeholder:"FORMAT"`
	Reason string `help:"Why, in a few words, where the row gives no reason; kept in the audit trail." required:"" placeholder:"TEXT"`
	For    Span   `help:"How long, instead of what each row says: 72h, 14d." placeholder:"TIME"`
	Class  string `help:"phishing, fake_shop, malware or scam, where the row gives none." enum:",phishing,fake_shop,malware,scam" default:"" placeholder:"CLASS"`
	DryRun bool   `help:"Only say what would become of each row; nothing is done."`
}

// imported is what became of a row.
type imported struct {
	At    int           `json:"at"` // line, or number of the record
	ID    string        `json:"id"` // of the block, exemption or proposal
	State string        `json:"state"`
	Name  string        `json:"name"`
	Scope bolwerk.Scope `json:"scope,omitempty"`
	Pass  bool          `json:"pass,omitempty"`
	Ref   string        `json:"ref,omitempty"`
	Until time.Time     `json:"until,omitzero"`
	Why   string        `json:"why,omitempty"`
}

// What can become of a row, in the order in which it is summed up.
var importStates = []struct{ state, done, dry string }{
	{"blocked", "blocked", "would be blocked"},
	{"exempted", "exempt", "would be exempt"},
	{"waits", "for a second person", "would wait for a second person"},
	{"in_force", "in force already", "in force already"},
	{"order", "left out: an order", "left out: an order"},
	{"over", "left out: over", "left out: over"},
	{"refused", "refused", "would be refused"},
	{"unreadable", "unreadable", "unreadable"},
}

// Run does it. It is done when no row was refused or unreadable.
func (c *ImportCmd) Run(ctx context.Context, t *terminal.Terminal) error {
	rows, err := c.read(t)
	if err != nil {
		return err
	}
	client, err := c.client(t)
	if err != nil {
		return err
	}
	im := &importer{ImportCmd: c, client: client, run: rand.Text()}
	if err := im.look(ctx); err != nil {
		return err
	}
	what := "import"
	if c.DryRun {
		what = "dry run"
	}
	p := t.Progress(what, int64(len(rows)))
	defer p.Done()
	sums := map[string]int{}
	list := t.List()
	for n, row := range rows {
		out, err := im.one(ctx, row)
		if err != nil {
			return bolwerk.WithHint(fmt.Errorf("row %d (%s): %w", row.At, terminal.Escape(cmp.Or(row.Name, row.Text)), err),
				fmt.Sprintf("%d of %d rows are done; start it again: what is in force is passed over", n, len(rows)))
		}
		sums[out.State]++
		p.Add(1)
		switch {
		case c.JSON:
			err = list.Add(out)
		case c.DryRun || out.State != "blocked" && out.State != "exempted" && out.State != "in_force":
			p.Aside()
			err = c.line(t.Out, out)
		}
		if err != nil {
			return err
		}
	}
	if c.JSON {
		err = list.Close()
	} else {
		p.Aside()
		err = c.sum(t.Out, sums)
	}
	if bad := sums["refused"] + sums["unreadable"]; err == nil && bad > 0 {
		done := "the rest is done"
		if c.DryRun {
			done = "nothing was done"
		}
		return bolwerk.WithHint(bolwerk.Forbidden("%s of %s rows cannot be taken; %s", terminal.Count(int64(bad)), terminal.Count(int64(len(rows))), done),
			"each has its line with the reason; mend or remove them in the file, and start it again")
	}
	return err
}

func (c *ImportCmd) read(t *terminal.Terminal) ([]export.Item, error) {
	in := t.In
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return nil, bolwerk.NotFound("list: %v", err)
		}
		defer f.Close()
		in = f
	}
	rows, err := export.Read(in, cmp.Or(c.Format, export.Guess))
	if err == nil && len(rows) == 0 {
		err = bolwerk.WithHint(bolwerk.Invalid("no rows"), "is it a list? --format says which kind")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", terminal.Escape(c.File), err)
	}
	return rows, nil
}

// line tells of one row.
func (c *ImportCmd) line(w io.Writer, i imported) error {
	said := i.State
	for _, s := range importStates {
		if s.state == i.State {
			if said = s.done; c.DryRun {
				said = s.dry
			}
		}
	}
	what := named(i.Name)
	switch {
	case i.State == "unreadable":
		what = terminal.Escape(i.Name)
	case i.Scope != "" && i.Scope != bolwerk.ScopeHost:
		what += " (" + string(i.Scope) + ")"
	}
	if i.Pass {
		what += " (exemption)"
	}
	text := fmt.Sprintf("%6d  %s: %s", i.At, what, said)
	if i.Ref != "" {
		text += " " + i.Ref
	}
	if !i.Until.IsZero() {
		text += " until " + at(i.Until)
	}
	if i.Why != "" {
		text += ": " + terminal.Escape(i.Why)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

func (c *ImportCmd) sum(w io.Writer, sums map[string]int) error {
	var parts []string
	for _, s := range importStates {
		if n := sums[s.state]; n > 0 {
			said := s.done
			if c.DryRun {
				said = s.dry
			}
			parts = append(parts, terminal.Count(int64(n))+" "+said)
		}
	}
	text := strings.Join(parts, "; ")
	if c.DryRun {
		text += "; nothing was done"
	} else if sums["waits"] > 0 {
		text += "\nwho may approve finds them in the console: " + strings.TrimSuffix(c.Server, "/") + "/proposals"
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// importer takes rows one after the other, and knows what is there already.
type importer struct {
	*ImportCmd
	client *Client
	run    string    // begins the keys of this run
	now    time.Time // at the desk, when it began
	known  map[string][]Block
	waits  map[string]ProposalItem
}

// look learns what is in force and what waits for a second person.
func (im *importer) look(ctx context.Context) error {
	var now Now
	if err := im.client.call(ctx, http.MethodGet, "/now", nil, nil, &now); err != nil {
		return err
	}
	im.now = now.At
	im.known, im.waits = map[string][]Block{}, map[string]ProposalItem{}
	for _, path := range []string{"/blocks", "/exemptions"} {
		if err := follow(ctx, im.client, path, url.Values{"state": {"in_force"}}, im.learn); err != nil {
			return err
		}
	}
	return follow(ctx, im.client, "/proposals", nil, func(p ProposalItem) {
		im.waits[waitKey(p.Action == actionExempt, p.Name, bolwerk.Scope(p.Scope))] = p
	})
}

func (im *importer) learn(b Block) { im.known[b.Name.String()] = append(im.known[b.Name.String()], b) }

func waitKey(pass bool, name string, scope bolwerk.Scope) string {
	return fmt.Sprint(pass, " ", name, " ", scope)
}

// follow goes through every page of a list.
func follow[T any](ctx context.Context, c *Client, path string, query url.Values, fn func(T)) error {
	return c.pages(ctx, path, query, func(item json.RawMessage) error {
		var v T
		err := json.Unmarshal(item, &v)
		if err == nil {
			fn(v)
		}
		return err
	})
}

// covered gives what does already what a row asks for.
func (im *importer) covered(d bolwerk.Domain, row export.Item) (Block, bool) {
	for name := d; !name.IsZero(); name = name.Parent() {
		for _, b := range im.known[name.String()] {
			below := row.Scope != bolwerk.ScopeHost && b.Scope == bolwerk.ScopeHost // the row asks for more
			if b.Pass == row.Pass && !below && b.Rule().Covers(d) {
				return b, true
			}
		}
	}
	if rest, ok := strings.CutPrefix(d.String(), "www."); ok && row.Scope == bolwerk.ScopeHost {
		for _, b := range im.known[rest] {
			if b.Pass == row.Pass && b.WWW {
				return b, true
			}
		}
	}
	return Block{}, false
}

// one does one row, or says why not. An error ends the import: the desk is away.
func (im *importer) one(ctx context.Context, row export.Item) (imported, error) {
	out := imported{At: row.At, Name: cmp.Or(row.Name, row.Text), Scope: row.Scope, Pass: row.Pass}
	if row.Bad != "" {
		out.State, out.Name, out.Why = "unreadable", row.Text, row.Bad
		return out, nil
	}
	d, err := bolwerk.ParseDomain(row.Name)
	if err != nil {
		out.State, out.Why = "unreadable", err.Error()
		return out, nil
	}
	switch had, covered := im.covered(d, row); {
	case covered:
		out.State, out.ID, out.Ref, out.Until = "in_force", had.ID, had.Ref, had.Until
		return out, nil
	case row.Order != "":
		out.State, out.Why = "order", "it is the issuer's to give, as [[shield.issuer]]"
		return out, nil
	case row.Over != "" || im.For == "" && !row.Until.IsZero() && !row.Until.After(im.now):
		out.State, out.Why = "over", cmp.Or(row.Over, "its end was "+at(row.Until))
		return out, nil
	}
	if p, ok := im.waits[waitKey(row.Pass, row.Name, row.Scope)]; ok {
		out.State, out.ID, out.Why = "waits", p.ID, p.Need
		return out, nil
	}
	return im.decide(ctx, row, out)
}

// importWish is the body of a decision on a row, about a block or an exemption.
type importWish struct {
	Name      string        `json:"name"`
	Reason    string        `json:"reason"`
	Scope     bolwerk.Scope `json:"scope"`
	For       string        `json:"for,omitempty"`
	Until     string        `json:"until,omitempty"`
	Class     string        `json:"class,omitempty"`
	Action    string        `json:"action,omitempty"`
	Ground    string        `json:"ground,omitempty"`
	Permanent bool          `json:"permanent,omitempty"`
}

func (im *importer) decide(ctx context.Context, row export.Item, out imported) (imported, error) {
	in := importWish{Name: row.Name, Reason: cmp.Or(row.Reason, im.Reason), Scope: row.Scope, For: string(im.For)}
	if in.For == "" && !row.Until.IsZero() {
		in.Until = row.Until.UTC().Format(time.RFC3339)
	}
	path := "/blocks"
	if row.Pass {
		path, in.Permanent = "/exemptions", in.For == "" && in.Until == ""
	} else {
		in.Class, in.Ground = cmp.Or(row.Class, im.Class), row.Legal
		if row.Action != string(edge.Redirect) {
			in.Action = row.Action
		}
	}
	var d Decision
	var err error
	if im.DryRun {
		err = im.client.call(ctx, http.MethodPost, path, url.Values{"dry_run": {"true"}}, in, &d)
	} else {
		err = im.client.once(ctx, path, fmt.Sprintf("import %s %d %s", im.run, row.At, row.Name), in, &d)
	}
	switch {
	case errors.Is(err, bolwerk.ErrConflict):
		out.State, out.Why = "in_force", err.Error()
		return out, nil
	case errors.Is(err, bolwerk.ErrForbidden), errors.Is(err, bolwerk.ErrInvalid):
		if errors.As(err, new(*notLetIn)) {
			return out, err // nor would any other row be
		}
		out.State, out.Why = "refused", err.Error()
		return out, nil
	case err != nil:
		return out, err
	}
	out.ID = d.ID
	if d.Block != nil {
		out.Ref, out.Until, out.Scope = d.Block.Ref, d.Block.Until, d.Block.Scope
		if d.State != "would_wait" {
			im.learn(*d.Block)
		}
	}
	switch d.State {
	case "blocked", "would_block":
		out.State = "blocked"
	case "exempted", "would_exempt":
		out.State = "exempted"
	default:
		out.State = "waits"
		var why []string
		for _, o := range d.Objections {
			why = append(why, o.Sentence)
		}
		out.Why = strings.Join(why, "; ")
		im.waits[waitKey(row.Pass, row.Name, row.Scope)] = ProposalItem{}
	}
	return out, nil
}
