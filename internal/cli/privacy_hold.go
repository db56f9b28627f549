package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"bolwerk"
	"bolwerk/internal/app"
	"bolwerk/internal/terminal"
	"bolwerk/privacy"
)

type privacyHold struct {
	List  holdList  `cmd:"" help:"List the holds, what is in force first. They name no subscriber."`
	Place holdPlace `cmd:"" help:"Hold a case, or all of a subscriber, until an end. The look is noted."`
	End   holdEnd   `cmd:"" help:"End a hold before its time."`
}

type holdList struct{ socket }

// Run does it.
func (c *holdList) Run(ctx context.Context, t *terminal.Terminal) error {
	return ask(ctx, t, c.socket, http.MethodGet, "/privacy/holds", nil, func(w io.Writer, all struct{ Items []privacy.Hold }) {
		fmt.Fprintln(w, "ID\tWHAT\tSTATE\tUNTIL\tLEGAL\tREASON")
		for _, h := range all.Items {
			printHold(w, h)
		}
	})
}

func printHold(w io.Writer, h privacy.Hold) {
	what, state := h.Case, "over"
	if what == "" {
		what = "a subscriber"
	}
	if h.InForce {
		state = "in force"
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", h.ID, what, state, h.Until.UTC().Format("2006-01-02 15:04 UTC"), terminal.Escape(h.Legal), terminal.Escape(h.Reason))
}

type holdPlace struct {
	socket
	Case       string `help:"Id, or number (AB-2026-000001), of the case. Either this or --subscriber." placeholder:"CASE"`
	Subscriber string `help:"All of this subscriber, exactly as accounting names it, or of this line or device where none is known." placeholder:"NAME"`
	Legal      string `help:"The law or order that asks for it." required:"" placeholder:"TEXT"`
	Until      string `help:"Its last day (UTC), within five years." required:"" placeholder:"YYYY-MM-DD"`
	Reason     string `help:"Why, in a few words. It is kept: name nobody in it." required:"" placeholder:"TEXT"`
}

// Run does it.
func (c *holdPlace) Run(ctx context.Context, t *terminal.Terminal) error {
	day, err := time.Parse(time.DateOnly, c.Until)
	if err != nil {
		return bolwerk.Invalid("--until %s: want a day such as 2027-06-30", c.Until)
	}
	wish := privacy.HoldWish{Case: c.Case, Subscriber: c.Subscriber, Reason: c.Reason, Legal: c.Legal, Until: day.AddDate(0, 0, 1).Add(-time.Second)}
	return ask(ctx, t, c.socket, http.MethodPost, "/privacy/hold", wish, printHold)
}

type holdEnd struct {
	socket
	ID     string `arg:"" help:"Id of the hold."`
	Reason string `help:"Why, in a few words. It is kept: name nobody in it." required:"" placeholder:"TEXT"`
}

// Run does it.
func (c *holdEnd) Run(ctx context.Context, t *terminal.Terminal) error {
	return ask(ctx, t, c.socket, http.MethodPost, "/privacy/hold/end", app.HoldEnd{ID: c.ID, Reason: c.Reason}, func(w io.Writer, v privacy.Ended) { fmt.Fprintln(w, v.State) })
}
