package abuse

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/clean"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/notice"
	"bolwerk/abuse/quarantine"
	"bolwerk/abuse/reading"
	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

// A feed tells of two lines for some days, then of one: the other is clean once the
// feed was heard often enough without it, and not before.
func TestFiguresOfWhatAFeedTells(t *testing.T) {
	h := open(t)
	h.cfg.Feeds = []Feed{{Name: "scans", From: []string{"feed.example"}, Every: bolwerk.Duration(24 * time.Hour)}}
	h.cfg.CleanDays = 3
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Start, "bert", "s2", "192.0.2.18/32", noon.Add(-20*time.Hour))
	day := func(also ...string) {
		h.clock.Add(24 * time.Hour)
		at := h.clock.Now().Add(-time.Hour)
		h.session(session.Interim, "anna", "s1", "192.0.2.17/32", h.clock.Now())
		h.session(session.Interim, "bert", "s2", "192.0.2.18/32", h.clock.Now())
		body := head
		for _, addr := range also {
			body += resolver(at, addr)
		}
		h.hand("daily@reports.feed.example", table, body)
	}
	h.hand("daily@reports.feed.example", table, head+resolver(noon.Add(-time.Hour), "192.0.2.17")+resolver(noon.Add(-time.Hour), "192.0.2.18"))
	day("192.0.2.17", "192.0.2.18")
	hers, err := h.Cases(t.Context(), CaseFilter{Subscriber: "anna"})
	if err != nil || len(hers) != 1 {
		t.Fatalf("cases %+v: %v", hers, err)
	}
	case1 := hers[0].ID
	tell := func() {
		t.Helper()
		if err := h.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
			return h.note(tx, case1, "informed", bolwerk.Rule("abuse"), "warned:mail", "")
		}); err != nil {
			t.Fatal(err)
		}
	}
	tell()
	day("192.0.2.18")
	day("192.0.2.18")
	h.clock.Add(24 * time.Hour) // the feed says nothing: neither does it prove anything
	day("192.0.2.18")
	absent := func() (a clean.Absence) {
		t.Helper()
		if err := h.db.Read(t.Context(), func(tx *store.Tx) (err error) { a, err = h.Absent(tx, case1); return err }); err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := absent(); a != (clean.Absence{Days: 2, Deaf: 1, Watched: true}) || a.Clean(3) {
		t.Errorf("absent %+v", a)
	}
	day("192.0.2.18")
	if a := absent(); !a.Clean(3) {
		t.Errorf("absent %+v", a)
	}
	f, err := h.Figures(t.Context(), noon.AddDate(0, 0, -7), h.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Classes) != 1 || f.Classes[0].Opened != 2 || f.Classes[0].Open != 2 || f.Classes[0].Days != -1 {
		t.Errorf("classes %+v", f.Classes)
	}
	var reports, opened int64
	for _, w := range f.Weeks {
		reports, opened = reports+w.Reports, opened+w.Opened
	}
	if reports != 6 || opened != 2 {
		t.Errorf("%d reports and %d cases in %+v", reports, opened, f.Weeks)
	}
	if len(f.Curves) != 2 || f.Curves[0].Done != Informed || f.Curves[1].Done != Nothing || f.Curves[0].Points[len(f.Curves[0].Points)-1].Left != 0 || f.Curves[1].Points[len(f.Curves[1].Points)-1].Left != 1 {
		t.Errorf("curves %+v", f.Curves)
	}
	if f.Told.Cases != 1 || f.Told.Median != 86400 {
		t.Errorf("told %+v", f.Told)
	}
	feeds, err := h.Desk.Feeds(t.Context())
	if err != nil || len(feeds) != 1 || feeds[0].Late || feeds[0].Days[feedDays-1] != 1 || feeds[0].Days[feedDays-3] != -1 {
		t.Errorf("feeds %+v %v", feeds, err)
	}
	h.clock.Add(49 * time.Hour)
	if feeds, _ = h.Desk.Feeds(t.Context()); !feeds[0].Late {
		t.Error("a feed that is silent for two days is not late")
	}
}

// Figures begin within the year for which cases are kept: of an earlier day only the lines
// that did not become clean are known.
func TestFiguresOfWhatIsKept(t *testing.T) {
	h := open(t)
	now := h.clock.Now()
	for from, ok := range map[time.Time]bool{now: true, now.AddDate(-1, 0, 1): true, now.AddDate(-1, 0, 0): false, now.AddDate(-2, 0, 0): false, now.AddDate(0, 0, 1): false} {
		f, err := h.Figures(t.Context(), from, now)
		if (err == nil) != ok || err != nil && !errors.Is(err, bolwerk.ErrInvalid) {
			t.Errorf("from %s: %v", from, err)
		}
		if ok && !f.To.Equal(now.UTC().Truncate(24*time.Hour)) {
			t.Errorf("to %s", f.To)
		}
	}
	if f, err := h.Figures(t.Context(), now, now.AddDate(100, 0, 0)); err != nil || len(f.Weeks) != 1 {
		t.Errorf("to a day that has not come: %d weeks, %v", len(f.Weeks), err)
	}
}

// A desk in use for two weeks says nothing of sixty days, and one line is no curve.
func TestCurvesEndWhereNobodyWasObserved(t *testing.T) {
	point := func(day, left float64) FigurePoint { return FigurePoint{Day: day, Left: left} }
	lines, rows := curves([]FigureCurve{
		{Done: Informed, Cases: 12, Points: []FigurePoint{point(0, 1), point(5, 0.45), point(14, 0.45)}},
		{Done: Quarantined, Cases: 10, Points: []FigurePoint{point(0, 1), point(3, 0)}},
		{Done: Nothing, Cases: fewest - 1, Points: []FigurePoint{point(0, 1), point(60, 0.5)}},
	}, func(d Done) string { return string(d) })
	if len(rows) != 3 || len(lines) != 2 {
		t.Fatalf("%d rows, %d lines", len(rows), len(lines))
	}
	for i, want := range []string{"100 %,45 %,45 %,–,–", "100 %,0 %,0 %,0 %,0 %", "–,–,–,–,–"} {
		if got := strings.Join(rows[i].Left, ","); got != want {
			t.Errorf("%s: %s, want %s", rows[i].Done, got, want)
		}
	}
	if p := lines[0].Points; p[14].None || !p[15].None || !p[curveDays].None {
		t.Errorf("drawn to the end: %+v", p)
	}
	if p := lines[1].Points; p[curveDays].None {
		t.Error("a line of which all are clean ends")
	}
}

// What was done is counted by what it was: closed, put in and let out, told.
func TestFiguresOfWhatWasDone(t *testing.T) {
	h, id := annaHeld(t)
	if err := h.Close(t.Context(), agent, id, NoActionTaken, "a test"); err != nil {
		t.Fatal(err)
	}
	f, err := h.Figures(t.Context(), noon, h.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.Closed, []FigureClosed{{reading.Amplifier, NoActionTaken, 1}}) ||
		!slices.Equal(f.Quarantines.Begun, []FigureBegun{{reading.Amplifier, enforce.Leaky, 1}}) ||
		!slices.Equal(f.Quarantines.Ended, []FigureEnded{{quarantine.ByCase, 1}}) ||
		!slices.Equal(f.Notices, []FigureNotice{{notice.Mail, "sent", 1}, {notice.Mail, "waiting", 1}}) {
		t.Errorf("%+v %+v %+v", f.Closed, f.Quarantines, f.Notices)
	}
	if f.Told.Cases != 1 || f.Told.Median != 3600 {
		t.Errorf("told %+v, want an hour after the report", f.Told)
	}
	if f, err = h.Figures(t.Context(), noon.AddDate(0, 0, -9), noon.AddDate(0, 0, -2)); err != nil || len(f.Closed)+len(f.Quarantines.Begun)+len(f.Quarantines.Ended)+len(f.Notices) > 0 {
		t.Errorf("of a week before: %+v (%v)", f, err)
	}
}
