package shield

import (
	"context"
	"encoding/json"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"bolwerk"
	"bolwerk/internal/copy"
	"bolwerk/internal/store"
	"bolwerk/shield/capture"
	"bolwerk/shield/judge"
	"bolwerk/shield/probe"
	"bolwerk/shield/unwrap"
)

// CopyProbe is the copy of what probes are to visit.
const CopyProbe = "probe"

// Visits are planned one an observable, and given to the probes so many at a
// time, the newest first: what waits costs a row, and a flood of new names
// neither a publication each nor the probes their time.
const (
	openTasks    = 200              // that probes have at once
	taskFor      = 30 * time.Minute // after which no probe answers any more
	lostTasks    = 3                // in a row, and the visit is given up until somebody asks
	waitFor      = 24 * time.Hour   // a visit that never had its turn is dropped
	probeSilence = 10 * time.Minute // a probe that was heard since then is there
	otherPage    = 10 * time.Minute // after which another address is tried of a name that showed nothing
)

// visits is what the desk knows of probes without asking the database.
type visits struct {
	heard atomic.Int64 // microseconds since 1970: a probe asked for its copy
	ring  chan struct{}
	came  chan struct{} // a capture came in
	names atomic.Pointer[string]
}

// probed says whether a probe is there.
func (s *Shield) probed() bool {
	at := s.visits.heard.Load()
	return at > 0 && s.clock.Now().Sub(store.Time(at)) < probeSilence
}

// HeardProbe is told that a probe asked another desk for its copy.
func (s *Shield) HeardProbe() { s.heardProbe() }

// heardProbe is told that a probe asked for its copy.
func (s *Shield) heardProbe() {
	if s.visits.heard.Swap(store.Micros(s.clock.Now())) == 0 {
		ring(s.visits.ring)
	}
}

// planVisit has an observable visited of which a case was opened. who are the
// addresses of its reporter.
func (s *Shield) planVisit(tx *store.Tx, rules *rules, o observable, f found, v judge.Verdict) error {
	if s.cfg.Visits.Off || f.page == "" || v.Word == judge.Clean {
		return nil
	}
	at, why := s.pageFor(rules, f)
	state, due := "waiting", tx.NowMicros()
	if why != "" {
		state, due = "never", 0
	}
	_, err := tx.Exec(`insert into shield_visit(observable,url,state,why,due_at,task,opened_at,left_over,rounds,lost,live,live_since,live_rounds,seen_at)
		values($1,$2,$3,$4,$5,'',0,0,0,0,'unknown',0,0,0) on conflict(observable) do nothing`, o.id, at, state, why, due)
	tx.After(func() { ring(s.visits.ring) })
	return err
}

// pageFor is the address that a probe asks for, without what names the reporter,
// or why it is never asked for. The query stays at home whole: it may name the
// reporter in ways that nobody knows, and a visit is kept for as long as its case.
func (s *Shield) pageFor(rules *rules, f found) (at, why string) {
	at, _ = unwrap.Strip(f.page, f.who)
	u, err := url.Parse(at)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return pageOf(at), "not_http"
	case !f.name.IsZero() && f.place.Shared && f.place.Platform.Kind == judge.Wrapper:
		return pageOf(at), "wrapper"
	}
	if a, err := netip.ParseAddr(strings.Trim(u.Hostname(), "[]")); err == nil && (a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast()) {
		return pageOf(at), "refused"
	}
	if probe.Never(u, rules.brands.Owner(f.name) != "") != "" {
		return pageOf(at), "token"
	}
	return pageOf(at), ""
}

// otherVisit has another address of the same name looked at, where the first one
// showed nothing: a phisher's page is often under one path only.
func (s *Shield) otherVisit(tx *store.Tx, rules *rules, o observable, f found) error {
	if s.cfg.Visits.Off || f.page == "" || o.reports > 16 {
		return nil
	}
	at, why := s.pageFor(rules, f)
	if why != "" {
		return nil
	}
	_, err := tx.Exec(`update shield_visit set url=$2, due_at=$3 where observable=$1 and url<>$2 and live='offline' and due_at=0 and task='' and seen_at<$4`,
		o.id, at, tx.NowMicros(), store.Micros(tx.Now().Add(-otherPage)))
	return err
}

// visitAgain has an observable visited at a time, or earlier where that is due
// already. One that was never planned is left alone.
func visitAgain(tx *store.Tx, observable string, at time.Time) error {
	_, err := tx.Exec(`update shield_visit set due_at=$2 where observable=$1 and state<>'never' and (due_at=0 or due_at>$2)`, observable, store.Micros(at))
	return err
}

// giveTasks gives the probes what is due, and takes back what none answered,
// until ctx ends.
func (s *Shield) giveTasks(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := s.giveSome(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("visits not given to the probes", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.visits.ring:
		case <-tick.C:
		}
	}
}

func (s *Shield) giveSome(ctx context.Context) error {
	if s.cfg.Visits.Off {
		return nil
	}
	if err := s.tellNames(ctx); err != nil {
		return err
	}
	var open, due, late int64
	now := store.Micros(s.clock.Now())
	taken := store.Micros(s.clock.Now().Add(-taskFor))
	err := s.db.Read(ctx, func(tx *store.Tx) error {
		if err := tx.Row(`select count(*) from shield_visit where task<>''`).Scan(&open); err != nil {
			return err
		}
		if err := tx.Row(`select count(*) from shield_visit where task<>'' and opened_at<$1`, taken).Scan(&late); err != nil {
			return err
		}
		return tx.Row(`select count(*) from (select 1 from shield_visit where due_at>0 and due_at<=$1 limit 1) x`, now).Scan(&due)
	})
	if err != nil {
		return err
	}
	if late > 0 {
		if err := s.db.Write(ctx, store.Intake, func(tx *store.Tx) error { return s.takeBack(tx, taken) }); err != nil {
			return err
		}
	}
	if due == 0 || open >= openTasks || !s.probed() {
		return nil
	}
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error { return s.openTasks(tx, int(openTasks-open)) })
}

func (s *Shield) openTasks(tx *store.Tx, n int) error {
	old := store.Micros(tx.Now().Add(-waitFor))
	if _, err := tx.Exec(`update shield_visit set state='never', why='budget', due_at=0 where due_at>0 and due_at<$1 and state='waiting' and task=''`, old); err != nil {
		return err
	}
	type row struct{ observable, url string }
	rows, err := store.List(tx, func(scan func(...any) error) (r row, err error) { err = scan(&r.observable, &r.url); return r, err },
		`select observable,url from shield_visit where due_at>0 and due_at<=$1 and task='' order by due_at desc limit $2`, tx.NowMicros(), n)
	if err != nil {
		return err
	}
	as := s.cfg.Visits.as()
	for _, r := range rows {
		body, err := json.Marshal(probe.Task{URL: r.url, As: as})
		if err != nil {
			return err
		}
		id := bolwerk.NewID(tx.Now())
		s.publish.Append(tx, CopyProbe, copy.Entry{ID: probe.TaskEntry + id, Version: 1, Until: store.Micros(tx.Now().Add(taskFor)), Body: body}, nil)
		if _, err := tx.Exec(`update shield_visit set state='open', due_at=0, task=$2, opened_at=$3, left_over=$4 where observable=$1`, r.observable, id, tx.NowMicros(), len(as)); err != nil {
			return err
		}
	}
	return nil
}

// takeBack ends tasks that no probe answered in time.
func (s *Shield) takeBack(tx *store.Tx, before int64) error {
	type row struct {
		observable, task string
		lost             int64
	}
	rows, err := store.List(tx, func(scan func(...any) error) (r row, err error) {
		err = scan(&r.observable, &r.task, &r.lost)
		return r, err
	}, `select observable,task,lost from shield_visit where task<>'' and opened_at<$1 limit 200`, before)
	if err != nil {
		return err
	}
	for _, r := range rows {
		s.closeTask(tx, r.task)
		due := store.Micros(tx.Now().Add(time.Hour))
		if r.lost+1 >= lostTasks {
			due = 0
		}
		if _, err := tx.Exec(`update shield_visit set task='', state=case when rounds>0 then 'seen' else 'waiting' end, lost=lost+1, due_at=$2 where observable=$1`, r.observable, due); err != nil {
			return err
		}
	}
	return nil
}

// closeTask takes a task out of the copy.
func (s *Shield) closeTask(tx *store.Tx, task string) {
	s.publish.Append(tx, CopyProbe, copy.Entry{ID: probe.TaskEntry + task, Version: 2, Removed: true}, nil)
}

// tellNames gives the probes the brands' own names: personal links there are not
// to be opened, also where a redirect leads to one.
func (s *Shield) tellNames(ctx context.Context) error {
	var list []string
	for _, b := range s.guard.rules().own {
		for _, d := range b.Domains {
			list = append(list, d.String())
		}
	}
	slices.Sort(list)
	body, err := json.Marshal(list)
	if err != nil {
		return err
	}
	text := string(body)
	if was := s.visits.names.Load(); was != nil && *was == text {
		return nil
	}
	err = s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		s.publish.Append(tx, CopyProbe, copy.Entry{ID: probe.NamesEntry, Version: tx.NowMicros(), Body: body}, nil)
		return nil
	})
	if err == nil {
		s.visits.names.Store(&text)
	}
	return err
}

// VisitConfig is how suspect pages are looked at.
type VisitConfig struct {
	// Off has no page visited, whatever probes there are.
	Off bool `toml:"off"`
	// Languages are those in which pages are asked for: the first as a desktop, the
	// second as a phone. They are the first two of the public site.
	Languages []bolwerk.Lang `toml:"-"`
}

// as is as whom each page is asked for: a kit that shows itself to one only is
// found by the difference.
func (c VisitConfig) as() []probe.As {
	one, two := bolwerk.NL, bolwerk.FR
	if len(c.Languages) > 0 {
		one, two = c.Languages[0], c.Languages[0]
	}
	if len(c.Languages) > 1 {
		two = c.Languages[1]
	}
	return []probe.As{{Profile: capture.Desktop, Lang: one}, {Profile: capture.Phone, Lang: two}}
}
