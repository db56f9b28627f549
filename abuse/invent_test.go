package abuse

import (
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/reading"
	"bolwerk/abuse/session"
)

// What is invented is told as what happened would be, once, and no rule goes on with it.
func TestInvent(t *testing.T) {
	h := open(t)
	h.cfg.Feeds = []Feed{{Name: "scans", Every: bolwerk.Duration(24 * time.Hour)}}
	day := func(ago int) time.Time { return noon.AddDate(0, 0, -ago) }
	var days []time.Time
	for ago := 60; ago > 0; ago-- {
		days = append(days, day(ago))
	}
	cases := []InventedCase{
		{Who: session.Identity{Subscriber: "i1", Line: "l1"}, Class: reading.Infected, Seen: []time.Time{day(50), day(48)}, Opened: day(50), Closed: day(30), Done: "quarantined"},
		{Who: session.Identity{Subscriber: "i2", Line: "l2"}, Class: reading.Amplifier, Seen: []time.Time{day(40)}, Opened: day(40), Closed: day(20), Done: "informed"},
		{Who: session.Identity{Subscriber: "i3", Line: "l3"}, Class: reading.Amplifier, Seen: []time.Time{day(30), day(2)}, Opened: day(30), Done: "nothing"},
	}
	for range 2 {
		if err := h.Invent(t.Context(), "scans", days, cases); err != nil {
			t.Fatal(err)
		}
		f, err := h.Figures(t.Context(), day(70), noon)
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Curves) != 3 || f.Curves[0].Points[len(f.Curves[0].Points)-1].Left != 0 || f.Curves[2].Done != Nothing || f.Curves[2].Points[len(f.Curves[2].Points)-1].Left != 1 {
			t.Errorf("curves %+v", f.Curves)
		}
		var reports, cleaned int64
		for _, w := range f.Weeks {
			reports, cleaned = reports+w.Reports, cleaned+w.Cleaned
		}
		if reports != 60 || cleaned != 2 {
			t.Errorf("%d reports, %d cleaned", reports, cleaned)
		}
	}
	if n, err := h.playSome(t.Context()); err != nil || n != 0 {
		t.Errorf("%d steps, %v", n, err)
	}
	all, err := h.Cases(t.Context(), CaseFilter{Subscriber: "i1"})
	if err != nil || len(all) != 1 || all[0].Outcome != string(Cleaned) || !all[0].ClosedAt.Equal(day(30)) {
		t.Errorf("%+v %v", all, err)
	}
	if err := h.Forget(t.Context()); err != nil {
		t.Error(err)
	}
}
