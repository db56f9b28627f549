package shield

import (
	"context"
	"time"

	"bolwerk"
	"bolwerk/internal/store"
	"bolwerk/shield/judge"
	"bolwerk/shield/lookup"
)

const (
	logEvery  = 10 * time.Second
	logAtOnce = 40 // questions to one log in one go
	logSkip   = 200_000
)

// followLogs reads certificate transparency logs for names near the protected
// brands, until ctx ends. A new log is followed from its end on.
func (s *Shield) followLogs(ctx context.Context) error {
	if len(s.cfg.Lookup.Logs) == 0 {
		return nil
	}
	tick := time.NewTicker(logEvery)
	defer tick.Stop()
	failed := map[string]bool{}
	for {
		for _, l := range s.cfg.Lookup.Logs {
			err := s.followLog(ctx, l)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil && !failed[l.Name] {
				s.log.Error("a certificate log was not read", "alarm", true, "log", l.Name, "err", err)
			}
			failed[l.Name] = err != nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// near is a certificate's name that looks like a brand's.
type near struct {
	name  bolwerk.Domain
	like  judge.Likeness
	entry lookup.Entry
}

// followLog reads what a log has new, some of it.
func (s *Shield) followLog(ctx context.Context, c CTLog) error {
	l := lookup.Log{Client: s.asker, URL: c.URL, Static: c.Static}
	size, err := l.Size(ctx)
	if err != nil {
		return err
	}
	var next int64
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select next from shield_log_place where log=$1`, c.Name).Scan(&next)
	})
	if store.None(err) {
		next, err = size, nil
	}
	if err != nil {
		return err
	}
	skip := c.Skip
	if skip == 0 {
		skip = logSkip
	}
	if size-next > skip {
		s.log.Warn("a certificate log is too far ahead: what lies between is left out", "log", c.Name, "certificates", size-next)
		s.count.logged.WithLabelValues(c.Name, "skipped").Add(float64(size - next))
		next = size
	}
	for n := 0; ; n++ {
		var found []near
		if next < size && n < logAtOnce {
			var entries []lookup.Entry
			entries, next, err = l.Read(ctx, next, size)
			if err != nil {
				return err
			}
			s.count.logged.WithLabelValues(c.Name, "read").Add(float64(len(entries)))
			found = s.nearBrands(entries)
			s.count.logged.WithLabelValues(c.Name, "near").Add(float64(len(found)))
		}
		if err := s.keepNear(ctx, c.Name, next, size, found); err != nil {
			return err
		}
		if next >= size || n >= logAtOnce {
			return nil
		}
	}
}

// nearBrands gives the names of certificates that look like a protected brand's.
func (s *Shield) nearBrands(entries []lookup.Entry) (out []near) {
	rules := s.guard.rules()
	for _, e := range entries {
		seen := map[string]bool{}
		for _, text := range e.Names {
			name, err := bolwerk.ParseDomain(text)
			if err != nil {
				continue
			}
			p := rules.place(name)
			if p.Registrable.IsZero() || p.Shared || rules.brands.Owner(name) != "" {
				continue
			}
			like := rules.brands.Look(p)
			if len(like) == 0 || seen[p.Registrable.String()] {
				continue
			}
			seen[p.Registrable.String()] = true
			out = append(out, near{name, like[0], e})
		}
	}
	return out
}

// keepNear keeps where a log was read to and what was found, and tells the names
// that were reported already.
func (s *Shield) keepNear(ctx context.Context, log string, next, size int64, found []near) error {
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		if _, err := tx.Exec(`insert into shield_log_place(log,next,size,at) values($1,$2,$3,$4) on conflict(log) do update set next=excluded.next, size=excluded.size, at=excluded.at`,
			log, next, size, tx.NowMicros()); err != nil {
			return err
		}
		for _, f := range found {
			n, err := tx.Exec(`insert into shield_certificate(name,brand,kind,issuer,log,nth,at,looked) values($1,$2,$3,$4,$5,$6,$7,0) on conflict(name) do nothing`,
				f.name.String(), f.like.Brand, f.like.Kind, f.entry.Issuer, log, f.entry.Index, store.Micros(f.entry.At))
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			if err := s.nearCampaign(tx, s.guard.rules(), f); err != nil {
				return err
			}
			var observable string
			err = tx.Row(`select id from shield_observable where value=$1`, f.name.String()).Scan(&observable)
			if store.None(err) {
				continue
			}
			if err == nil {
				err = s.tellCertificate(tx, observable, f.name)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// tellCertificate makes evidence of a new certificate for a name that was reported.
func (s *Shield) tellCertificate(tx *store.Tx, observable string, name bolwerk.Domain) error {
	var at int64
	var issuer, log string
	err := tx.Row(`select at,issuer,log from shield_certificate where name=$1`, name.String()).Scan(&at, &issuer, &log)
	if store.None(err) || err == nil && tx.Now().Sub(store.Time(at)) > youngCert {
		return nil
	}
	if err != nil {
		return err
	}
	return s.addEvidence(tx, observable, []judge.Evidence{{Family: judge.FamilyCertificate, Source: "certificates", Tier: 3, Verdict: judge.Suspicious, Reason: "new_certificate",
		Detail: "the first certificate of " + name.String() + " that we saw is of " + store.Time(at).Format(time.DateOnly) + " (" + issuer + ", in " + log + ")"}})
}
