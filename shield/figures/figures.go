// Package figures is what an operator tells about its shield in numbers: the
// words, the shape of a document, and what of it may be shown. It knows no
// database, so that the public site can show what the desk has published.
//
// A count below 5 is not shown, and no other number is that would give it away
// (Suppress). No count is a count of persons.
package figures

import (
	"encoding/json"
	"fmt"
	"github.com/danielgtaylor/huma/v2"
	"strings"
)

// The figures, in the order in which they are told. Each has a definition in
// every language, under "figures.KEY.what" of the texts.
const (
	Reports      = "reports"          // by channel
	Reporters    = "reporters"        // different ones a day
	Answered     = "answered"         // reports whose outcome was mailed
	Campaigns    = "campaigns"        // by brand
	Blocks       = "blocks"           // by class, scope and ground
	Visits       = "visits_prevented" // from page views and TLS attempts
	DNSHits      = "dns_hits"
	PageViews    = "page_views"
	TLSAttempts  = "tls_attempts"
	ReportsFirst = "reports_before_block"
	AskedFirst   = "questions_before_block" // at our own DNS
	Withdrawals  = "withdrawals"            // by cause
	Appeals      = "appeals"
	AppealsDone  = "appeals_decided" // by outcome
)

// Keys are all figures, in order.
func Keys() []string {
	return []string{Visits, Reports, Reporters, Answered, Campaigns, Blocks, DNSHits, PageViews, TLSAttempts, ReportsFirst, AskedFirst, Withdrawals, Appeals, AppealsDone}
}

// The rates.
const (
	FalsePositives = "false_positives" // blocks withdrawn as wrong, of the blocks made
	PageShare      = "page_share"      // page views, of the DNS hits
	AnswerShare    = "answer_share"    // answers, of the reports
)

// The stages of a block's clock, and how long an appeal takes.
const (
	ClockRead    = "clock_read"    // first report until it was read
	ClockDecided = "clock_decided" // first report until the decision, which publishes
	ClockHit     = "clock_hit"     // decision until the first hit
	ClockOrder   = "clock_order"   // order received until its block was published
	ClockAppeal  = "clock_appeal"  // appeal received until decided
)

// ClockReached is the decision until the block was in force at one edge or
// resolver, whose name follows.
const ClockReached = "clock_reached/"

// Clocks are all of them, in order.
func Clocks() []string { return []string{ClockRead, ClockDecided, ClockHit, ClockOrder, ClockAppeal} }

// Cell is a number as it may be shown.
type Cell struct {
	N    int64
	Mark Mark
}

// Mark says why a number is not shown.
type Mark string

// The marks.
const (
	Shown Mark = ""     // it is
	Few   Mark = "few"  // it is below Least
	Held  Mark = "held" // it would give away one that is below Least
)

// Least is the smallest count that is shown; 0 is shown too.
const Least = 5

// Text is the cell with number as the words of a whole number, and held for
// one that is held back.
func (c Cell) Text(number func(int64) string, held string) string {
	switch c.Mark {
	case Few:
		return "< " + number(Least)
	case Held:
		return held
	}
	return number(c.N)
}

type cellJSON struct {
	N        *int64 `json:"n,omitempty"`
	Withheld Mark   `json:"withheld,omitempty"`
}

// MarshalJSON writes {"n":1204}, {"withheld":"few"} or {"withheld":"held"}.
func (c Cell) MarshalJSON() ([]byte, error) {
	if c.Mark == Shown {
		return json.Marshal(cellJSON{N: &c.N})
	}
	return json.Marshal(cellJSON{Withheld: c.Mark})
}

// Schema describes what MarshalJSON writes, for the API.
func (Cell) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{
		"n":        {Type: huma.TypeInteger, Format: "int64", Description: "the number; absent where it is withheld"},
		"withheld": {Type: huma.TypeString, Enum: []any{string(Few), string(Held)}, Description: "why there is no number"},
	}}
}

// UnmarshalJSON reads it.
func (c *Cell) UnmarshalJSON(b []byte) error {
	var v cellJSON
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	*c = Cell{Mark: v.Withheld}
	switch {
	case v.N != nil && v.Withheld == Shown:
		c.N = *v.N
	case v.N == nil && (v.Withheld == Few || v.Withheld == Held):
	default:
		return fmt.Errorf("figures: %s is no number and no reason why there is none", b)
	}
	return nil
}

// Document is the figures of one period, beside those of the same length before
// it or of the same months a year before. All days are days of UTC.
type Document struct {
	Operator   string   `json:"operator"`
	From       string   `json:"from"` // first day, 2026-01-01
	To         string   `json:"to"`   // last day
	BeforeFrom string   `json:"before_from"`
	BeforeTo   string   `json:"before_to"`
	Unit       string   `json:"unit"`     // of the steps: day or month
	Open       bool     `json:"open"`     // the period is not over
	Missing    int      `json:"missing"`  // days that are not counted yet
	Invented   bool     `json:"invented"` // of a demonstration
	Figures    []Figure `json:"figures"`
	Rates      []Rate   `json:"rates"`
	Clocks     []Clock  `json:"clocks"`
	Tables     []Table  `json:"tables,omitempty"`  // of a period that is told by months
	Reached    []Clock  `json:"reached,omitempty"` // decision until in force, one for each edge and resolver
}

// Figure is one number with what it is made of.
type Figure struct {
	Key        string      `json:"key"`
	Definition string      `json:"definition,omitempty"`
	Now        Cell        `json:"now"`
	Before     Cell        `json:"before"`
	By         []Breakdown `json:"by"` // the first is by time
}

// Breakdown is a figure by kind. The rows of a breakdown add up to the figure.
type Breakdown struct {
	By   string `json:"by"` // day, month, channel, brand, class, scope, ground, cause, outcome
	Rows []Row  `json:"rows"`
}

// Row is one kind.
type Row struct {
	Key    string `json:"key"`
	Now    Cell   `json:"now"`
	Before Cell   `json:"before"`
}

// Rate is a share, in percent.
type Rate struct {
	Key        string  `json:"key"`
	Definition string  `json:"definition,omitempty"`
	Now        Percent `json:"now"`
	Before     Percent `json:"before"`
}

// Percent is a share as it may be shown.
type Percent struct {
	Known  bool    `json:"known"`
	AtMost bool    `json:"at_most,omitempty"` // Value is a bound: what is counted is not shown
	Value  float64 `json:"value"`
}

// Share is what of whole the parts are; a part below Least gives a bound.
func Share(whole Cell, parts ...Cell) Percent {
	if whole.Mark != Shown || whole.N == 0 {
		return Percent{}
	}
	var n int64
	atMost := false
	for _, p := range parts {
		switch p.Mark {
		case Held:
			return Percent{}
		case Few:
			atMost = true
			n += Least - 1
		default:
			n += p.N
		}
	}
	return Percent{true, atMost, 100 * float64(n) / float64(whole.N)}
}

// Clock is how long something took, in seconds.
type Clock struct {
	Key        string  `json:"key"`
	Definition string  `json:"definition,omitempty"`
	Now        Times   `json:"now"`
	Before     Times   `json:"before"`
	Steps      []Times `json:"steps"` // for each step of time
}

// Times are how long half and 95 of 100 took at most. They are not known where
// fewer than Least were counted.
type Times struct {
	Known bool  `json:"known"`
	P50   int64 `json:"p50"`
	P95   int64 `json:"p95"`
}

// Figure gives one of them; all zero where there is none.
func (d Document) Figure(key string) Figure {
	for _, f := range d.Figures {
		if f.Key == key {
			return f
		}
	}
	return Figure{Key: key}
}

// Steps are the labels of the steps of time.
func (d Document) Steps() []string {
	var out []string
	if len(d.Figures) > 0 && len(d.Figures[0].By) > 0 {
		for _, r := range d.Figures[0].By[0].Rows {
			out = append(out, r.Key)
		}
	}
	return out
}

// Change is how much more or less now is, in percent; not known where one of
// them is not shown.
func (f Figure) Change() (percent float64, known bool) {
	if f.Now.Mark != Shown || f.Before.Mark != Shown || f.Before.N == 0 {
		return 0, false
	}
	return 100 * float64(f.Now.N-f.Before.N) / float64(f.Before.N), true
}

// Public is what the public site shows: whole years, and the months of this
// year that are over. It changes once a month.
type Public struct {
	Operator string       `json:"operator"`
	Invented bool         `json:"invented"`
	Years    []PublicYear `json:"years"` // newest first
}

// PublicYear is one year.
type PublicYear struct {
	Year    int            `json:"year"`
	Through string         `json:"through"` // last month that is counted: 2026-10
	Figures []PublicFigure `json:"figures"`
	Rates   []Rate         `json:"rates"` // Before is empty: it is in the year before
	Clocks  []Clock        `json:"clocks"`
}

// PublicFigure is a number of one year.
type PublicFigure struct {
	Key   string `json:"key"`
	Total Cell   `json:"total"`
	// AtLeast says that Total is the sum of the months that are shown: others
	// have fewer than Least, and a true total would give them away.
	AtLeast bool        `json:"at_least,omitempty"`
	Months  []Cell      `json:"months"` // January first; as many as are over
	By      []Breakdown `json:"by,omitempty"`
}

// PublicEntry is the public figures' entry in the copy that intakes hold.
const PublicEntry = "figures"

// TextKey is where the texts have the name of a figure's kind, for the kinds
// that are words and not names: "channel.mail".
func TextKey(by, key string) string {
	switch by {
	case "channel", "class", "scope", "ground", "cause", "outcome":
		return "figures." + by + "." + strings.ReplaceAll(key, "-", "_")
	}
	return ""
}
