package shield

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"bolwerk/internal/terminal"
)

// TopCmd is "bolwerk top".
type TopCmd struct {
	desktop
	Once bool `help:"Print it once, for pipes; also without a terminal."`
}

// topEvery is how often the picture is made anew.
const topEvery = 2 * time.Second

// Run does it.
func (c *TopCmd) Run(ctx context.Context, t *terminal.Terminal) error {
	client, err := c.client(t)
	if err != nil {
		return err
	}
	look := func(ctx context.Context) (n Now, err error) {
		return n, client.call(ctx, http.MethodGet, "/now", nil, nil, &n)
	}
	if c.JSON {
		n, err := look(ctx)
		if err != nil {
			return err
		}
		return t.JSON(n)
	}
	var screen *terminal.Screen
	if !c.Once {
		screen, _ = t.Screen()
	}
	if screen == nil {
		n, err := look(ctx)
		if err != nil {
			return err
		}
		for _, l := range topLines(n, "") {
			fmt.Fprintln(t.Out, terminal.Uncolour(l))
		}
		return nil
	}
	defer screen.Close()
	ctx, quit := context.WithCancel(ctx)
	var keys sync.WaitGroup
	keys.Go(func() { waitForQ(ctx, t.In, quit) })
	defer keys.Wait()
	defer quit()
	tick := time.NewTicker(topEvery)
	defer tick.Stop()
	var last Now
	for {
		n, err := look(ctx)
		trouble := ""
		if err == nil {
			last = n
		} else {
			trouble = err.Error()
		}
		if ctx.Err() != nil {
			return nil
		}
		_, rows := screen.Size()
		if err := screen.Draw(topFrame(topLines(last, trouble), rows)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// waitForQ ends the picture at a q. A read without a key ends by itself.
func waitForQ(ctx context.Context, in io.Reader, quit func()) {
	b := make([]byte, 16)
	for ctx.Err() == nil {
		n, err := in.Read(b)
		if strings.ContainsAny(string(b[:n]), "qQ\x03") {
			quit()
		}
		if err != nil && err != io.EOF {
			return
		}
	}
}

// topFrame puts the line about keys below what fits.
func topFrame(lines []string, rows int) []string {
	rows = max(rows-1, 1)
	if len(lines) > rows {
		lines = append(lines[:rows-1:rows-1], fmt.Sprintf("  and %d lines more: a higher window shows them", len(lines)-rows+1))
	}
	for len(lines) < rows {
		lines = append(lines, "")
	}
	return append(lines, "q quits · every 2 s · "+terminal.Bold+"bolwerk case list"+terminal.Plain+" shows the queue")
}

// topLines is the picture. trouble is why there is no newer one.
func topLines(n Now, trouble string) []string {
	paint := func(colour, format string, a ...any) string {
		return colour + fmt.Sprintf(format, a...) + terminal.Plain
	}
	some := func(n int64, colour, format string) string {
		if n == 0 {
			colour = ""
		}
		return paint(colour, format, terminal.Count(n))
	}
	lines := []string{paint(terminal.Bold, "%s", dash(n.Operator)) + "   " + n.At.UTC().Format("2006-01-02 15:04:05 UTC")}
	if trouble != "" {
		lines = append(lines, paint(terminal.Red, "! %s; what follows is older", terminal.Escape(trouble)))
	}
	oldest := ""
	if !n.OldestCase.IsZero() {
		oldest = ", the oldest for " + age(n.At.Sub(n.OldestCase))
	}
	unread := ""
	if !n.OldestReport.IsZero() {
		unread = ", the oldest for " + age(n.At.Sub(n.OldestReport))
	}
	minute := func(n int64) string { return terminal.Count((n + 2) / 5) }
	lines = append(lines, "",
		"queue    "+some(n.Waiting, terminal.Yellow, "%s cases wait")+oldest+" · "+some(n.Second, terminal.Yellow, "%s for a second person"),
		"reading  "+some(n.Unread, "", "%s reports are not read yet")+unread,
		fmt.Sprintf("reports  %s a minute · %s in the last hour", terminal.Count(n.ReportsMinute), terminal.Count(n.ReportsHour)),
		"appeals  "+some(n.Appeals, terminal.Yellow, "%s wait"),
		"blocks   "+paint(terminal.Red, "%s", terminal.Count(n.InForce))+" in force",
		fmt.Sprintf("hits     %s DNS · %s pages · %s TLS a minute, over the last five that are whole", minute(n.Hits.DNS), minute(n.Hits.Page), minute(n.Hits.TLS)),
		"")
	lines = append(lines, topTable(func(w io.Writer) {
		fmt.Fprintln(w, "HOST\tROLE\tSERIAL\tHAS\tHEARD")
		for _, h := range n.Hosts {
			has := "all"
			if h.Behind {
				has = "behind for " + age(h.Lag)
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s ago\n", terminal.Escape(h.Name), h.Role, h.Serial, has, age(n.At.Sub(h.Heard)))
		}
		if len(n.Hosts) == 0 {
			fmt.Fprintln(w, "none has asked since the desk started")
		}
	})...)
	lines = append(lines, "")
	lines = append(lines, topTable(func(w io.Writer) {
		fmt.Fprintln(w, "RESOLVER\tZONE\tSERIAL\tHAS")
		for _, r := range n.Resolvers {
			has := "all"
			switch {
			case r.Holds == 0:
				has = "nothing was fetched since the desk started"
			case r.Lag > 0:
				has = "behind for " + age(r.Lag)
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", terminal.Escape(r.Name), r.Zone, r.Holds, has)
		}
		if len(n.Resolvers) == 0 {
			fmt.Fprintln(w, "none is configured")
		}
	})...)
	lines = append(lines, "")
	if len(n.Alarms) == 0 {
		return append(lines, paint(terminal.Green, "no alarms"))
	}
	lines = append(lines, paint(terminal.Bold, "ALARMS"))
	for _, a := range n.Alarms {
		lines = append(lines, paint(terminal.Red, "! %s", terminal.Escape(a)))
	}
	return lines
}

func topTable(fn func(io.Writer)) []string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	fn(w)
	w.Flush()
	return strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
}

// age is a length of time in its two largest parts.
func age(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}
