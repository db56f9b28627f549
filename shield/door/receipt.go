package door

import (
	"errors"
	"net/http"
	"time"

	"bolwerk"
	"bolwerk/internal/web"
)

type receiptPage struct {
	page
	Receipt
	Code string
	// Words are the keys under which the texts of the state stand; Ended is that
	// of why a block is over, or "".
	Words, Ended string
	Mark         string // class of the state's mark
	Shown        shown
	Story        []string // what became of the report, in sentences
	Stopped      bool     // the story counts visits
	Aside        []asideView
}

func (d *Door) receiptPage(w http.ResponseWriter, r *http.Request) error {
	private(w.Header())
	if err := d.mayLook(r); err != nil {
		return err
	}
	text := r.PathValue("code")
	got, err := d.receiptOf(text)
	switch {
	case errors.Is(err, bolwerk.ErrInvalid), errors.Is(err, bolwerk.ErrNotFound):
		p := codePage{page: d.page(r), Code: text[:min(len(text), 200)]}
		p.Faults = faults{"code": "door.fault.unknown"}
		return d.pages.Render(w, r, http.StatusNotFound, "code", p)
	case err != nil:
		return err
	}
	code, err := bolwerk.ParseToken(text)
	if err != nil {
		return err
	}
	p := receiptPage{page: d.page(r), Receipt: got, Code: code.Grouped(), Shown: show(got.Name)}
	p.Words, p.Mark = words(got)
	if reasons[got.Why] != "" {
		p.Ended = reasons[got.Why]
	}
	d.tell(web.Lang(r), &p)
	about, _ := bolwerk.ParseDomain(got.Name) // zero where no name is known
	p.Aside = d.aside(web.Lang(r), about)
	return d.pages.Render(w, r, http.StatusOK, "receipt", p)
}

// marks are the states that a receipt can be in, with the mark of each.
var marks = map[string]map[string]string{
	"report": {"received": "wait", "read": "wait", "waiting": "wait", "blocked": "done", "unblocked": "", "rejected": "", "clean": "",
		"no_observable": "", "unreadable": "wait", "training": "done"},
	"appeal": {"received": "wait", "passed_on": "wait", "upheld": "done", "rejected": ""},
}

// reasons are the texts of why a block is over.
var reasons = map[string]string{
	"expired": "door.ended.expired", "false_positive": "door.ended.false_positive", "appeal": "door.ended.appeal",
	"cleaned": "door.ended.cleaned", "error": "door.ended.error", "order": "door.ended.order",
}

// words are the texts of a state; those of "waiting" or "received" where a
// later desk knows more states than we do.
func words(r Receipt) (key, mark string) {
	states, ok := marks[r.Kind]
	if !ok {
		r.Kind, states = "report", marks["report"]
	}
	mark, ok = states[r.State]
	if !ok {
		r.State, mark = "received", "wait"
	}
	return "door." + r.Kind + "." + r.State, mark
}

// tell writes the story of a report: how many reported the same, how fast it was
// blocked, what the block has stopped.
func (d *Door) tell(lang bolwerk.Lang, p *receiptPage) {
	say := func(key string, args ...any) { p.Story = append(p.Story, d.frame.Texts().T(lang, key, args...)) }
	if p.Kind != "report" {
		return
	}
	switch p.State {
	case "waiting", "blocked", "unblocked", "rejected":
		if p.Of >= Few {
			say("door.receipt.of", p.Number, p.Of)
		} else {
			say("door.receipt.few")
		}
	}
	if p.State == "blocked" && !p.Changed.IsZero() {
		if after := p.Changed.Sub(p.At); after >= 0 { // both are kept to the second
			say("door.receipt.after", d.span(lang, after))
		} else {
			say("door.receipt.before")
		}
	}
	switch {
	case p.State != "blocked" && p.State != "unblocked":
		return
	case p.Visits >= Few:
		say("door.receipt.visits", p.Visits)
	default:
		say("door.receipt.novisits", Few)
	}
	p.Stopped = true
}

// span is a length of time as people say it.
func (d *Door) span(lang bolwerk.Lang, t time.Duration) string {
	texts := d.frame.Texts()
	switch {
	case t < time.Minute:
		return texts.T(lang, "door.span.now")
	case t < time.Hour:
		return texts.T(lang, "door.span.minutes", int(t/time.Minute))
	case t < 48*time.Hour:
		return texts.T(lang, "door.span.hours", int(t/time.Hour))
	}
	return texts.T(lang, "door.span.days", int(t/(24*time.Hour)))
}
