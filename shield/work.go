package shield

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/job"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
	"bolwerk/shield/door"
	"bolwerk/shield/fact"
	"bolwerk/shield/judge"
	"bolwerk/shield/reading"
	"bolwerk/shield/unwrap"
)

const (
	claimBatch = 32                  // reports that one look takes on
	atOnce     = 32                  // reports that are worked on
	atOnceSize = 128 << 20           // bytes of them
	claimTime  = 2 * time.Minute     // after which another desk takes them over
	maxTries   = 3                   // the third reader that dies makes the report unreadable
	settled    = 24 * time.Hour      // a verdict younger than this is not made again for the same evidence
	rejectedAt = 30 * 24 * time.Hour // a rejected name stays rejected for so long
)

// Work reads and judges what came in until ctx ends. Reports are taken on as
// fast as they are done: some wait for a reader while others wait for the store,
// which writes many in one go.
func (s *Shield) Work(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	queue := make(chan string)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(queue)
	for range atOnce {
		wg.Go(func() {
			for id := range queue {
				if err := s.readOne(ctx, id); err != nil && ctx.Err() == nil {
					s.log.Error("report not read", "report", id, "err", err)
				}
			}
		})
	}
	for {
		ids, err := s.claim(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.Error("reports not taken on", "err", err)
		}
		for _, id := range ids {
			select {
			case queue <- id:
			case <-ctx.Done():
			}
		}
		if len(ids) == claimBatch && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-tick.C:
		}
	}
}

// claim takes on reports that nobody reads. The try is counted before the bytes
// are touched.
func (s *Shield) claim(ctx context.Context) (ids []string, err error) {
	var free int64
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select count(*) from (select 1 from shield_report where state='received' and claimed_until<$1 limit 1) x`, store.Micros(s.clock.Now())).Scan(&free)
	})
	if err != nil || free == 0 {
		return nil, err
	}
	err = s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		var err error
		ids, err = store.List(tx, func(scan func(...any) error) (id string, err error) { err = scan(&id); return id, err },
			`update shield_report set claimed_until=$1, tries=tries+1 where id in
			(select id from shield_report where state='received' and claimed_until<$2 order by received_at limit $3) and claimed_until<$2 returning id`,
			store.Micros(tx.Now().Add(claimTime)), tx.NowMicros(), claimBatch)
		return err
	})
	return ids, err
}

// readOne reads, judges and links one report.
func (s *Shield) readOne(ctx context.Context, id string) error {
	var body []byte
	var ref string
	var size, tries int
	err := s.db.Read(ctx, func(tx *store.Tx) error {
		err := tx.Row(`select body_ref,tries from shield_report where id=$1`, id).Scan(&ref, &tries)
		if err == nil {
			size, err = s.blobs.Size(tx, ref)
		}
		return err
	})
	if err == nil {
		if err := s.room.Acquire(ctx, int64(size)); err != nil {
			return err
		}
		defer s.room.Release(int64(size))
		err = s.db.Read(ctx, func(tx *store.Tx) error { body, err = s.blobs.Read(tx, ref); return err })
	}
	if errors.Is(err, bolwerk.ErrNotFound) {
		return s.giveUp(ctx, id, "its body is no longer kept")
	}
	if err != nil {
		return err
	}
	in, err := door.DecodeReport(body)
	if err != nil {
		return s.giveUp(ctx, id, err.Error())
	}
	start := time.Now()
	r, err := s.reader.Read(ctx, taskOf(in.Form), in.Body, reading.Option{Evidence: in.Form.Evidence(), Fast: true, TLDs: s.guard.rules().tlds})
	s.count.read.Observe(time.Since(start).Seconds())
	var death *reading.Death
	switch {
	case errors.As(err, &death):
		s.count.deaths.Inc()
		s.log.Warn("a reader died over a report", "report", id, "tries", tries, "how", err)
		if tries >= maxTries {
			return s.giveUp(ctx, id, "three readers died over it")
		}
		return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			_, err := tx.Exec(`update shield_report set claimed_until=0 where id=$1`, id)
			return err
		})
	case errors.Is(err, bolwerk.ErrInvalid):
		return s.giveUp(ctx, id, err.Error())
	case err != nil:
		return err
	}
	return s.link(ctx, id, in, r)
}

// giveUp leaves a report to a person.
func (s *Shield) giveUp(ctx context.Context, id, why string) error {
	s.log.Error("report unreadable", "alarm", true, "report", id, "why", why)
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		if _, err := tx.Exec(`update shield_report set state='unreadable', outcome='for_a_person', read_at=$1 where id=$2 and state='received'`, tx.NowMicros(), id); err != nil {
			return err
		}
		s.facts.Append(tx, bolwerk.Rule("reader"), fact.ReportRead, id, fact.Read{State: "unreadable"})
		return s.settle(tx, id, false)
	})
}

// found is one observable of a report with what is known of it by itself.
type found struct {
	kind, value string
	name        bolwerk.Domain // zero for an address
	place       judge.Place
	role, via   string
	channel     string   // by which its report came
	page        string   // normal form of the URL, asked of lists
	lure, lang  string   // how people were led on, and in which language
	who         []string // addresses of the reporter: they leave with no visit
	evidence    []judge.Evidence
	popular     bool
}

// link writes what was read: observables, evidence, verdicts, cases.
func (s *Shield) link(ctx context.Context, id string, in door.Report, r reading.Result) error {
	rules := s.guard.rules()
	finds := s.find(rules, r)
	packed, err := json.Marshal(r)
	if err != nil {
		return err
	}
	sealed, err := s.blobs.Seal(packed)
	if err != nil {
		return err
	}
	to, why, dkim := s.replyTo(in, r)
	mark := ""
	var reply, messageID []byte
	if !to.IsZero() {
		if reply, err = s.vault.Seal("report.reply", []byte(to.String())); err != nil {
			return err
		}
		if r.Outer != nil && r.Outer.MessageID != "" {
			if messageID, err = s.vault.Seal("report.message_id", []byte(r.Outer.MessageID)); err != nil {
				return err
			}
		}
	}
	if from := reporterOf(in, r); from != "" {
		if mark, err = s.vault.Mark("reporter", from); err != nil {
			return err
		}
	}
	who := addressesOf(in, r)
	lang := in.Lang
	if lang == "" {
		lang = r.Lang
	}
	if lang == "" {
		lang = bolwerk.EN
	}
	state, outcome := "read", "waiting"
	switch {
	case r.Kind == reading.Unreadable:
		state, outcome = "unreadable", "for_a_person"
	case r.Kind == reading.Bounce:
		state, outcome, finds = "no_observable", "bounce", nil // an answer of ours came back
	case r.Drill != "":
		outcome, finds = "training", nil
	case len(finds) == 0 && r.Later > 0: // its pictures may say more
	case len(finds) == 0:
		state, outcome = "no_observable", "for_a_person"
	}
	answered, receipt := s.answeredNotice(r)
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		if r.Kind == reading.Bounce {
			if _, err := s.noticeReturned(tx, answered, r.Delivery); err != nil {
				return err
			}
		} else if receipt, err := noticeAnswered(tx, answered, receipt); err != nil {
			return err
		} else if receipt { // what a recipient of ours writes back is no report
			state, outcome, finds, why, reply = "no_observable", "notice_answer", nil, "notice_answer", nil
		}
		n, err := tx.Exec(`update shield_report set state=$1, outcome=$2, read_at=$3, reply_sealed=$4, reply=$5, message_id_sealed=$6, mark=$7, dkim=$8, lang=$9, reading_ref=$10, warnings=$11, form=$12
			where id=$13 and state='received'`, state, outcome, tx.NowMicros(), reply, why, messageID, mark, dkim, string(lang), sealed.Ref, len(r.Warnings), string(r.Kind), id)
		if err != nil || n == 0 {
			return err // another desk was faster
		}
		if err := s.blobs.Put(tx, sealed); err != nil {
			return err
		}
		quiet, err := s.overQuota(tx, dkim)
		if err != nil {
			return err
		}
		var cases []string
		for _, f := range finds {
			f.channel, f.who = string(in.Channel), who
			if at, taken := unwrap.Strip(f.value, who); f.kind == "url" && len(taken) > 0 {
				f.value = at // a case stands under its page for as long as it is kept, without its reporter
			}
			c, err := s.gather(tx, rules, id, f, quiet)
			if err != nil {
				return err
			}
			if c != "" {
				cases = append(cases, c)
			}
		}
		if r.Later > 0 && state == "read" && outcome == "waiting" {
			if _, err := tx.Exec(`insert into shield_picture(report,state,tries,claimed_until) values($1,'queued',0,0) on conflict(report) do nothing`, id); err != nil {
				return err
			}
			tx.After(func() {
				select {
				case s.pictured <- struct{}{}:
				default:
				}
			})
		}
		s.facts.Append(tx, bolwerk.Rule("reader"), fact.ReportRead, id, fact.Read{State: state, Cases: cases})
		if err := job.Add(tx, answerJob, id, id, tx.Now().Add(answerAfter)); err != nil {
			return err
		}
		return s.settle(tx, id, false)
	})
}

// overQuota says that a proved signing domain sent more reports in an hour than
// one domain may: they are kept and judged, at the lowest priority.
func (s *Shield) overQuota(tx *store.Tx, dkim string) (bool, error) {
	if dkim == "" {
		return false, nil
	}
	var n int
	err := tx.Row(`select count(*) from (select 1 from shield_report where dkim=$1 and received_at>$2 limit $3) x`,
		dkim, store.Micros(tx.Now().Add(-time.Hour)), s.cfg.DKIMQuota+1).Scan(&n)
	return n > s.cfg.DKIMQuota, err
}

// addressesOf are the addresses of a reporter that may stand in a link.
func addressesOf(in door.Report, r reading.Result) (out []string) {
	for _, a := range []string{in.ReplyTo, in.MailFrom} {
		if a != "" {
			out = append(out, a)
		}
	}
	if r.Outer != nil && r.Outer.From != "" {
		out = append(out, r.Outer.From)
	}
	return out
}

// reporterOf is what tells two reporters apart.
func reporterOf(in door.Report, r reading.Result) string {
	if r.Outer != nil && r.Outer.From != "" {
		return strings.ToLower(r.Outer.From)
	}
	return strings.ToLower(in.ReplyTo)
}

// replyTo says to whom an answer goes, or why nobody gets one, and which domain
// proved to have signed.
func (s *Shield) replyTo(in door.Report, r reading.Result) (to mail.Address, why, dkim string) {
	if in.Channel != door.ByMail {
		if in.ReplyTo == "" {
			return to, "no_address", ""
		}
		// A form's address is unproved: anybody can type it.
		return to, string(mail.Unproved), ""
	}
	if r.Outer == nil {
		return to, string(mail.NoSender), ""
	}
	from, _ := mail.ParseAddress(r.Outer.From)
	var auth []string
	for _, a := range r.Outer.Auth {
		auth = append(auth, a.ID+"; "+a.Raw)
	}
	proved, signed := mail.Proved(auth, s.cfg.AuthservIDs, from)
	if len(signed) > 0 {
		dkim = signed[0].String()
	}
	froms := []string{r.Outer.From}
	if r.Outer.ManyFroms || r.Outer.From == "" {
		froms = nil
	}
	path := in.MailFrom
	if path == "" && !r.Outer.NullReturn {
		path = r.Outer.ReturnPath
	}
	addr, silence := mail.MayAnswer(mail.Outer{From: froms, ReturnPath: path, AutoSubmitted: r.Outer.AutoSubmitted, Precedence: r.Outer.Precedence,
		List: len(r.Outer.List) > 0, Proved: proved || in.OwnNetwork}, s.cfg.ours())
	if silence != "" {
		return to, string(silence), dkim
	}
	return addr, "yes", dkim
}

// maxObservables bounds what one report can bring; a mail with more links than
// this is a newsletter or an attack.
const maxObservables = 50

// find makes observables of a reading: one a host, or a page where strangers
// share the host. The rest of the work on them needs no store.
func (s *Shield) find(rules *rules, r reading.Result) []found {
	var out []found
	seen := map[string]bool{}
	msg := judge.ReadMessage(MessageOf(r), rules.brands, s.cfg.AuthservIDs, rules.psl)
	lure := lureOf(r)
	for _, u := range r.Wanted() {
		if len(out) == maxObservables {
			break
		}
		f := found{kind: "fqdn", value: u.Host, name: u.Name, role: string(u.Role), via: strings.Join(u.Via, " > "), page: u.URL, lure: lure, lang: string(r.Lang)}
		if u.Name.IsZero() {
			a, err := netip.ParseAddr(strings.Trim(u.Host, "[]"))
			if err != nil {
				continue
			}
			f.kind, f.value, f.evidence = "url", pageOf(u.URL), judge.AddressEvidence(a)
		} else {
			if u.Name.Labels() < 2 {
				continue // a single label is a slip, not a site
			}
			f.place = rules.place(u.Name)
			if f.place.Shared {
				f.kind, f.value = "url", pageOf(u.URL)
			}
		}
		if f.value == "" || seen[f.value] {
			continue
		}
		seen[f.value] = true
		if !u.Name.IsZero() {
			f.evidence = append(f.evidence, judge.NameEvidence(f.place, rules.brands)...)
			f.evidence = append(f.evidence, judge.ListEvidence(f.place, u.URL, rules.feeds)...)
			f.popular = s.popular(rules, f)
		}
		out = append(out, f)
	}
	another := slices.ContainsFunc(out, func(f found) bool {
		return !f.name.IsZero() && !f.popular && rules.brands.Owner(f.name) == ""
	})
	for i := range out {
		switch f := &out[i]; {
		case f.name.IsZero():
		case f.popular:
			f.evidence = append(f.evidence, msg.Popular(f.place, another, rules.brands, rules.psl)...)
		default:
			f.evidence = append(f.evidence, msg.About(f.place, rules.brands, rules.psl)...)
		}
	}
	return out
}

// popular says that a name is one that many people use. Who shares a platform is
// not as popular as the platform.
func (s *Shield) popular(rules *rules, f found) (is bool) {
	if f.place.Shared || !f.place.Tenant.IsZero() {
		return false
	}
	if _, _, is = rules.popular.Best(f.name, bolwerk.ScopeHost, false); !is && !f.place.Registrable.IsZero() {
		_, is = rules.popular.Rank(f.place.Registrable)
	}
	return is
}

// pageOf is a URL without what may name the reporter: query, fragment, user.
func pageOf(u string) string {
	u, _, _ = strings.Cut(u, "#")
	u, _, _ = strings.Cut(u, "?")
	return u[:min(len(u), 500)]
}
