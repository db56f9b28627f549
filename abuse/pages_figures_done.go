package abuse

import (
	"strconv"

	"bolwerk/abuse/notice"
	"bolwerk/abuse/quarantine"
	"bolwerk/internal/chart"
)

// closedBars are the closed cases by reason; nil where there are none.
func closedBars(closed []FigureClosed, say func(string) string) any {
	of := map[Reason]int64{}
	for _, x := range closed {
		of[x.Reason] += x.Cases
	}
	bars := chart.Bars{About: chart.About{ID: "closed", Title: say("abuse.figures.why")}}
	for _, r := range Reasons() {
		bars.Rows = append(bars.Rows, bar(say("abuse.reason."+string(r)), of[r]))
	}
	if len(of) == 0 {
		return nil
	}
	return bars.SVG()
}

// heldBars are the quarantines that began, by profile, and those that ended, by how.
func heldBars(held FigureHeld, say func(string) string) any {
	bars := chart.Bars{About: chart.About{ID: "held", Title: say("abuse.figures.held")}}
	var begun int64
	for _, x := range held.Begun {
		begun += x.Quarantines
	}
	bars.Rows = append(bars.Rows, bar(say("abuse.figures.held.begun"), begun))
	of := map[quarantine.Mechanism]int64{}
	for _, x := range held.Ended {
		of[x.Why] += x.Quarantines
	}
	for _, how := range quarantine.Mechanisms() {
		bars.Rows = append(bars.Rows, bar(say("abuse.figures.held.ended")+": "+say("abuse.q.by."+string(how)), of[how]))
	}
	if begun == 0 && len(of) == 0 {
		return nil
	}
	return bars.SVG()
}

func bar(label string, n int64) chart.Row {
	return chart.Row{Label: label, Value: chart.Value{N: float64(n), Text: strconv.FormatInt(n, 10)}}
}

// wayRow is the messages of a way, by where they stand.
type wayRow struct {
	Channel notice.Channel
	All     int64
	By      map[string]int64
}

// ways are the messages by way.
func ways(notices []FigureNotice) (out []wayRow) {
	for _, x := range notices { // by channel
		if len(out) == 0 || out[len(out)-1].Channel != x.Channel {
			out = append(out, wayRow{Channel: x.Channel, By: map[string]int64{}})
		}
		w := &out[len(out)-1]
		w.All += x.Messages
		w.By[x.State] += x.Messages
	}
	return out
}
