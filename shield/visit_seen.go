package shield

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/store"
	"bolwerk/shield/capture"
	"bolwerk/shield/judge"
	"bolwerk/shield/probe"
	"bolwerk/shield/reading"
	"bolwerk/shield/seen"
)

// Of later rounds of visits only some are kept.
const keptRounds = 3 // the first and the last two

// receiveVisit takes what a probe saw. It is read later, in a reader child.
func (s *Shield) receiveVisit(ctx context.Context, host, id string, body []byte) error {
	in, err := probe.DecodeSeen(body)
	if err != nil {
		return err
	}
	b, err := capture.Decode(in.Capture)
	if err != nil {
		return err
	}
	digest, packed, err := s.pack(in.Capture)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		var observable string
		err := tx.Row(`select observable from shield_visit where task=$1`, in.Task).Scan(&observable)
		if store.None(err) {
			return nil // it came after its time, or a second time
		}
		if err != nil {
			return err
		}
		n, err := tx.Exec(`insert into shield_capture(id,observable,task,host,profile,lang,at,bundle,picture,state,tries,claimed_until,seen)
			values($1,$2,$3,$4,$5,$6,$7,$8,'','received',0,0,'') on conflict do nothing`,
			id, observable, in.Task, host, string(b.Profile), string(b.Lang), store.Micros(b.At), digest)
		if err != nil || n == 0 {
			return err
		}
		tx.After(func() { ring(s.visits.came) })
		return putPage(tx, digest, len(in.Capture), packed)
	})
}

// lookAtCaptures reads what probes handed in, until ctx ends.
func (s *Shield) lookAtCaptures(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		ids, err := s.claimCaptures(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.Error("captures not taken on", "err", err)
		}
		var wg sync.WaitGroup
		for _, id := range ids {
			wg.Go(func() {
				if err := s.lookAt(ctx, id); err != nil && ctx.Err() == nil {
					s.log.Error("capture not read", "capture", id, "err", err)
				}
			})
		}
		wg.Wait()
		if len(ids) > 0 && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.visits.came:
		case <-tick.C:
		}
	}
}

// capturesAtOnce bounds the memory: a capture has up to 13 MiB.
const capturesAtOnce = 4

func (s *Shield) claimCaptures(ctx context.Context) (ids []string, err error) {
	var free int64
	now := store.Micros(s.clock.Now())
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select count(*) from (select 1 from shield_capture where state='received' and claimed_until<$1 limit 1) x`, now).Scan(&free)
	})
	if err != nil || free == 0 {
		return nil, err
	}
	err = s.db.Write(ctx, store.Intake, func(tx *store.Tx) (err error) {
		ids, err = texts(tx, `update shield_capture set claimed_until=$1, tries=tries+1 where id in
			(select id from shield_capture where state='received' and claimed_until<$2 order by claimed_until limit $3) returning id`,
			store.Micros(tx.Now().Add(claimTime)), tx.NowMicros(), capturesAtOnce)
		return err
	})
	return ids, err
}

// lookAt has a reader child look at a capture, and judges by what it says.
func (s *Shield) lookAt(ctx context.Context, id string) error {
	var raw []byte
	var tries int
	err := s.db.Read(ctx, func(tx *store.Tx) error {
		var digest string
		if err := tx.Row(`select bundle,tries from shield_capture where id=$1`, id).Scan(&digest, &tries); err != nil {
			return err
		}
		var err error
		raw, err = s.readPage(tx, digest)
		return err
	})
	if err != nil {
		return err
	}
	out, err := s.readCapture(ctx, raw)
	var death *reading.Death
	if errors.As(err, &death) {
		s.count.deaths.Inc()
		s.log.Warn("a reader died over a capture", "capture", id, "tries", tries, "how", err)
		if tries < maxTries {
			return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
				_, err := tx.Exec(`update shield_capture set claimed_until=0 where id=$1`, id)
				return err
			})
		}
		out, err = seen.Seen{Wrong: "three readers died over it"}, nil
	}
	if err != nil {
		return err
	}
	if out.Wrong != "" {
		s.log.Error("capture unreadable", "alarm", true, "capture", id, "why", out.Wrong)
		out.Evidence = unreadable(out.Wrong)
	}
	picture, packed := "", []byte(nil)
	size := len(out.Picture)
	if size > 0 {
		if picture, packed, err = s.pack(out.Picture); err != nil {
			return err
		}
		out.Picture = nil
	}
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		state := "read"
		if out.Wrong != "" {
			state = "unreadable"
		}
		text, err := json.Marshal(out)
		if err != nil {
			return err
		}
		var observable, task string
		err = tx.Row(`update shield_capture set state=$2, seen=$3, picture=$4 where id=$1 and state='received' returning observable,task`, id, state, string(text), picture).Scan(&observable, &task)
		if store.None(err) {
			return nil // another desk was faster
		}
		if err != nil {
			return err
		}
		if picture != "" {
			if err := putPage(tx, picture, size, packed); err != nil {
				return err
			}
		}
		s.count.captures.WithLabelValues(visitOutcome(out)).Inc()
		if err := s.judgePages(tx, observable); err != nil {
			return err
		}
		if err := s.tellCampaign(tx, observable, raw, out); err != nil {
			return err
		}
		return s.endRound(tx, observable, task)
	})
}

// unreadable is what a capture says that cannot be read.
func unreadable(why string) []judge.Evidence {
	return []judge.Evidence{{Family: judge.FamilyContent, Source: "page", Tier: 3, Verdict: judge.Failed, Reason: "unreadable", Detail: why}}
}

// readCapture has a reader child tell what a capture shows, by the rules of now.
func (s *Shield) readCapture(ctx context.Context, raw []byte) (out seen.Seen, err error) {
	r, err := s.reader.Read(ctx, seen.Task, raw, reading.Option{Ask: s.guard.rules().ask})
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal(r.Answer, &out)
}

// tellCampaign gives what a page shows to its case and the campaign of that.
func (s *Shield) tellCampaign(tx *store.Tx, observable string, raw []byte, out seen.Seen) error {
	v := Visit{State: "read", Seen: out}
	var name, caseID string
	if err := tx.Row(`select name,case_id from shield_observable where id=$1`, observable).Scan(&name, &caseID); err != nil {
		return err
	}
	if out.Wrong != "" || !v.OK() || caseID == "" || s.elsewhere(name, v) {
		return nil
	}
	b, err := capture.Decode(raw)
	if err != nil {
		return err
	}
	return s.sawPage(tx, s.guard.rules(), caseID, b, out.Facts, out.Hits)
}

func visitOutcome(v seen.Seen) string {
	switch {
	case v.Wrong != "":
		return "unreadable"
	case v.Failed != "":
		return v.Failed
	case v.Status >= 400:
		return "refused_page"
	}
	return "page"
}

// Visit is one look at a page, as it is shown.
type Visit struct {
	ID      string          `json:"id"`
	Task    string          `json:"-"`
	Profile capture.Profile `json:"profile"`
	Lang    bolwerk.Lang    `json:"lang"`
	At      time.Time       `json:"at"`
	Probe   string          `json:"probe"`  // which one
	State   string          `json:"state"`  // received, read, unreadable
	Bundle  string          `json:"sha256"` // of the capture
	Shot    bool            `json:"picture"`
	Seen    seen.Seen       `json:"seen"`
}

// OK says that it showed a page.
func (v Visit) OK() bool { return v.State == "read" && v.Seen.Failed == "" && v.Seen.Status < 400 }

// viewVisits adds what probes saw to the view of a case.
func (s *Shield) viewVisits(tx *store.Tx, observable string, v *CaseView) (err error) {
	if v.Visits, err = visitsOf(tx, observable, 8); err != nil {
		return err
	}
	for _, seen := range v.Visits {
		if seen.OK() {
			v.AskedFor |= seen.Seen.Aid()
		}
	}
	var state, why string
	var lost int64
	err = tx.Row(`select state,why,live,lost from shield_visit where observable=$1`, observable).Scan(&state, &why, &v.Live, &lost)
	switch {
	case store.None(err):
		v.Unvisited = "off"
		return nil
	case len(v.Visits) > 0:
		return err
	case state == "never":
		v.Unvisited = why
	case lost >= lostTasks:
		v.Unvisited = "lost"
	case state == "waiting" && !s.probed():
		v.Unvisited = "no_probe"
	default:
		v.Unvisited = "waits"
	}
	return err
}

// visitsOf lists the looks at an observable, newest first.
func visitsOf(tx *store.Tx, observable string, limit int) ([]Visit, error) {
	return store.List(tx, func(scan func(...any) error) (v Visit, err error) {
		var at int64
		var text, picture string
		if err := scan(&v.ID, &v.Task, &v.Profile, &v.Lang, &at, &v.Probe, &v.State, &v.Bundle, &picture, &text); err != nil {
			return v, err
		}
		v.At, v.Shot = store.Time(at), picture != ""
		if text == "" {
			return v, nil
		}
		return v, json.Unmarshal([]byte(text), &v.Seen)
	}, `select id,task,profile,lang,at,host,state,bundle,picture,seen from shield_capture where observable=$1 order by at desc, id desc limit $2`, observable, limit)
}

// restOn are the looks that a verdict rests on, of all looks with the newest
// first: of each kind of visitor the last one, and the last one that showed a page.
// A page that hides now has not become harmless; what failed since is told beside.
func restOn(all []Visit) (out []Visit) {
	shown := map[string]bool{} // a page, to this kind of visitor
	for _, v := range all {
		who := string(v.Profile) + "/" + string(v.Lang)
		if was, had := shown[who]; v.State == "received" || was || had && !v.OK() {
			continue
		}
		shown[who] = v.OK()
		out = append(out, v)
	}
	return out
}

// pageEvidence is what looks at the page of a name say together, in the order in
// which evidence is kept.
func (s *Shield) pageEvidence(name string, looks []Visit) (out []judge.Evidence) {
	have := map[[2]string]bool{}
	for _, v := range looks {
		for _, e := range v.Seen.Evidence {
			if e.Verdict != judge.Failed && s.elsewhere(name, v) {
				continue // about another name: endRound says so
			}
			if key := [2]string{e.Source, e.Reason}; !have[key] {
				have[key] = true
				out = append(out, e)
			}
		}
	}
	slices.SortFunc(out, inOrder)
	return out
}

// inOrder is the order in which evidence is kept.
func inOrder(a, b judge.Evidence) int {
	return cmp.Or(cmp.Compare(a.Family, b.Family), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Reason, b.Reason))
}

// ofPage says that evidence was read out of a capture.
func ofPage(e judge.Evidence) bool {
	return (e.Family == judge.FamilyContent || e.Family == judge.FamilyKit) && e.Source != "landing"
}

// judgePages makes the evidence of an observable's pages anew, and the verdict
// with it.
func (s *Shield) judgePages(tx *store.Tx, observable string) error {
	all, err := visitsOf(tx, observable, 40)
	if err != nil {
		return err
	}
	var name string
	if err := tx.Row(`select name from shield_observable where id=$1`, observable).Scan(&name); err != nil {
		return err
	}
	if _, err := tx.Exec(`delete from shield_evidence where observable=$1 and family in ($2,$3) and source<>'landing'`, observable, string(judge.FamilyContent), string(judge.FamilyKit)); err != nil {
		return err
	}
	return s.judgeWith(tx, observable, s.pageEvidence(name, restOn(all)))
}

// endRound closes a task when all its visits are in, and says what they found
// together.
func (s *Shield) endRound(tx *store.Tx, observable, task string) error {
	var left, rounds, since, same int64
	var was string
	err := tx.Row(`update shield_visit set left_over=left_over-1 where observable=$1 and task=$2 returning left_over,rounds,live,live_since,live_rounds`, observable, task).
		Scan(&left, &rounds, &was, &since, &same)
	if store.None(err) || err == nil && left > 0 {
		return nil
	}
	if err != nil {
		return err
	}
	s.closeTask(tx, task)
	all, err := visitsOf(tx, observable, 40)
	if err != nil {
		return err
	}
	var now, before []Visit
	for _, v := range all {
		if v.Task == task {
			now = append(now, v)
		} else {
			before = append(before, v)
		}
	}
	live := liveness(now, before)
	if live != was {
		since, same = tx.NowMicros(), 0
	}
	if _, err := tx.Exec(`update shield_visit set state='seen', task='', rounds=rounds+1, lost=0, live=$2, live_since=$3, live_rounds=$4, seen_at=$5 where observable=$1`,
		observable, live, since, same+1, tx.NowMicros()); err != nil {
		return err
	}
	// One look that finds nothing proves nothing.
	if live == string(judge.LiveOffline) && same == 0 {
		if err := visitAgain(tx, observable, tx.Now().Add(10*time.Minute)); err != nil {
			return err
		}
	}
	if err := s.landings(tx, observable, now); err != nil {
		return err
	}
	if err := s.sighted(tx, observable, judge.Sight{At: tx.Now(), Live: judge.Live(live), Profiles: len(now), Hash: hashOf(now)}); err != nil {
		return err
	}
	return forgetRounds(tx, observable)
}

// hashOf is what tells that a page is the same again: the kit that it is of, else
// its structure.
func hashOf(now []Visit) string {
	for _, v := range now {
		for _, h := range v.Seen.Hits {
			if v.OK() && h.Rule != nil && h.Rule.Kit() {
				return h.ID()
			}
		}
	}
	for _, v := range now {
		if v.OK() && v.Seen.DOM != 0 {
			return fmt.Sprintf("%016x", v.Seen.DOM)
		}
	}
	return ""
}

// elsewhere says that a visit ended at a name of another owner.
func (s *Shield) elsewhere(name string, v Visit) bool {
	d, err := bolwerk.ParseDomain(name)
	if err != nil || v.Seen.Host.IsZero() {
		return false
	}
	rules := s.guard.rules()
	return rules.place(d).Owner() != rules.place(v.Seen.Host).Owner()
}

// landings looks at where a page led to: the name at the end becomes an
// observable of its own, and what is bad about it raises the one that led there: to
// suspicious and no further, whatever is at the end, because honest sites are led
// through. It is evidence like any other, so that the verdict can be made again.
// The brand's own site, a popular or a clean one at the end is none of it: many
// kits send a visitor there afterwards.
func (s *Shield) landings(tx *store.Tx, observable string, now []Visit) error {
	var name, report, channel string
	err := tx.Row(`select o.name,l.report,r.channel from shield_observable o join shield_link l on l.observable=o.id join shield_report r on r.id=l.report where o.id=$1 order by l.at limit 1`, observable).Scan(&name, &report, &channel)
	if store.None(err) {
		return nil
	}
	if err != nil {
		return err
	}
	rules, done := s.guard.rules(), map[string]bool{}
	for _, v := range now {
		if !v.OK() || !s.elsewhere(name, v) || done[v.Seen.Host.String()] || rules.brands.Owner(v.Seen.Host) != "" {
			continue
		}
		done[v.Seen.Host.String()] = true
		f := found{kind: "fqdn", value: v.Seen.Host.String(), name: v.Seen.Host, role: "landing", via: "visit", channel: channel, page: v.Seen.URL, place: rules.place(v.Seen.Host)}
		if f.place.Shared {
			f.kind, f.value = "url", pageOf(v.Seen.URL)
		}
		f.evidence = append(judge.NameEvidence(f.place, rules.brands), judge.ListEvidence(f.place, v.Seen.URL, rules.feeds)...)
		for _, e := range v.Seen.Evidence {
			if e.Verdict != judge.NoData && e.Verdict != judge.Failed {
				f.evidence = append(f.evidence, e)
			}
		}
		if f.popular = s.popular(rules, f); f.popular {
			continue
		}
		word := judge.Judge(f.evidence).Word
		if word != judge.Malicious && word != judge.Suspicious {
			continue
		}
		if _, err := tx.Exec(`insert into shield_evidence(observable,family,source,reason,tier,verdict,detail,brand,version,at) values($1,$2,'landing','leads_to',2,$3,$4,'','',$5)
			on conflict(observable,family,source,reason) do update set detail=excluded.detail, at=excluded.at`,
			observable, string(judge.FamilyContent), string(judge.Suspicious), "it leads to "+f.value+", which is "+string(word), tx.NowMicros()); err != nil {
			return err
		}
		if _, err := s.gather(tx, rules, report, f, false); err != nil {
			return err
		}
		v, err := s.assess(tx, observable)
		if err == nil {
			err = rejudge(tx, observable, v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// forgetRounds keeps the first round of visits, the last ones, and those that the
// verdict rests on.
func forgetRounds(tx *store.Tx, observable string) error {
	tasks, err := texts(tx, `select task from shield_capture where observable=$1 group by task order by min(at)`, observable)
	if err != nil || len(tasks) <= keptRounds {
		return err
	}
	all, err := visitsOf(tx, observable, 40)
	if err != nil {
		return err
	}
	rests := map[string]bool{}
	for _, v := range restOn(all) {
		rests[v.Task] = true
	}
	for _, t := range tasks[1 : len(tasks)-keptRounds+1] {
		if rests[t] {
			continue
		}
		if _, err := tx.Exec(`delete from shield_capture where observable=$1 and task=$2`, observable, t); err != nil {
			return err
		}
	}
	return nil
}

// liveness tells from the visits of one round, and those before, how a page
// stands. Cloaked is never "no evidence": a page that hides from one kind of
// visitor has a reason to.
func liveness(now, before []Visit) string {
	var pages, parked, asks int
	for _, v := range now {
		if v.OK() {
			pages++
		}
		if v.OK() && v.Seen.Parked {
			parked++
		}
		if v.OK() && (len(v.Seen.Asks) > 0 || v.Seen.Brand() != "") {
			asks++
		}
	}
	bad := false
	for _, v := range before {
		bad = bad || v.OK() && (len(v.Seen.Asks) > 0 || v.Seen.Brand() != "")
	}
	switch {
	case pages == 0:
		return string(judge.LiveOffline)
	case parked == pages:
		return string(judge.LiveParked)
	case pages < len(now) || asks > 0 && asks < pages || differ(now):
		return string(judge.LiveCloaked)
	case asks == 0 && bad:
		return string(judge.LiveBenign)
	}
	return string(judge.LiveOnline)
}

// differ says that visits of one round ended on different hosts.
func differ(now []Visit) bool {
	for _, v := range now[1:] {
		if v.Seen.Host != now[0].Seen.Host {
			return true
		}
	}
	return false
}
