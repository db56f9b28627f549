package shield

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
	"bolwerk/shield/edge"
	"bolwerk/shield/judge"
)

// suspend takes a block out of force until a person has decided its case again:
// the name passes everywhere, as after a withdrawal, and the case is back in the
// queue, before the others.
func (s *Shield) suspend(tx *store.Tx, b Block, by bolwerk.Actor, why Cause, reason string) error {
	if err := s.end(tx, b, Suspended, by, string(why), reason); err != nil {
		return err
	}
	audit.Append(tx, by, "shield.block.suspend", b.Ref, reason, map[string]any{"name": b.Name, "cause": why})
	s.log.Error("a block is suspended", "alarm", true, "block", b.Ref, "why", why)
	if b.CaseID == "" {
		return nil
	}
	c, err := desk.FindCase(tx, b.CaseID)
	if err != nil || c.State != desk.Decided {
		return err
	}
	if err := desk.SetCase(tx, c, desk.Decided, desk.Waiting, ""); err != nil {
		return err
	}
	return desk.Prioritise(tx, c.ID, 500, "suspended: "+reason)
}

// Keep has a person confirm what a rule blocked: from then on it is a person's
// block, for as long as people may.
func (s *Shield) Keep(ctx context.Context, who judge.Person, id, reason string) (Outcome, error) {
	if strings.TrimSpace(reason) == "" {
		return Outcome{}, bolwerk.WithHint(bolwerk.Invalid("a confirmation needs a reason"), "say why in a few words")
	}
	if err := judge.May(who, judge.Confirm); err != nil {
		return Outcome{}, err
	}
	out := Outcome{State: "blocked"}
	err := s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		b, err := findBlock(tx, id)
		if err != nil {
			return err
		}
		switch {
		case b.State != InForce:
			return bolwerk.Conflict("%s (%s) is %s already", b.Ref, b.Name, b.State)
		case !b.Machine:
			return bolwerk.Conflict("%s is a person's already", b.Ref)
		}
		subject := ""
		if c, err := desk.FindCase(tx, b.CaseID); err == nil {
			subject = c.Subject
		} else if !errors.Is(err, bolwerk.ErrNotFound) {
			return err
		}
		length := judge.ForPerson
		if b.Compromised {
			length = judge.ForCompromised
		}
		p := plan{Subject: subject, Proposal: judge.Proposal{Name: b.Name, Scope: b.Scope, Until: tx.Now().Add(length).Truncate(time.Microsecond), Class: b.Class, Brand: b.Brand, Compromised: b.Compromised}}
		c, err := s.contextOf(tx, p.Proposal, subject)
		if err != nil {
			return err
		}
		c.First, c.Since = who, b.From
		if bad := judge.Check(p.Proposal, c); len(bad) > 0 {
			return judge.Refusal(bad)
		}
		out.Case, out.Block = b.CaseID, &b
		return s.extend(tx, b, p.Until, bolwerk.Person(who.ID), reason)
	})
	if err == nil {
		err = s.reload(ctx, out.Block.ID, &out)
	}
	return out, err
}

// tripped are the blocks of which one roll-up had very many hits. They are looked
// at in a transaction of their own: a roll-up waits for nobody.
type tripped struct {
	mu  sync.Mutex
	ref map[tripKey]bool
}

type tripKey struct {
	block  string
	bucket int64
}

// note keeps what is to be looked at of a roll-up.
func (t *tripped) note(h edge.Hits, l judge.Limits) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range h.Counts {
		if int64(c.DNS) < l.TripSecond || len(t.ref) > 10_000 {
			continue
		}
		if t.ref == nil {
			t.ref = map[tripKey]bool{}
		}
		t.ref[tripKey{c.Block, store.Micros(h.Bucket)}] = true
	}
}

func (t *tripped) take() (out []tripKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k := range t.ref {
		out = append(out, k)
	}
	clear(t.ref)
	return out
}

// trip pulls the tripwire (guard 11) on what was noted.
func (s *Shield) trip(ctx context.Context) error {
	for _, k := range s.tripped.take() {
		if err := s.tripOne(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

func (s *Shield) tripOne(ctx context.Context, k tripKey) error {
	var b Block
	var t judge.Trip
	look := func(tx *store.Tx) (err error) {
		if b, err = findBlock(tx, k.block); err != nil || b.Pass || b.State != InForce {
			if errors.Is(err, bolwerk.ErrNotFound) {
				err = nil
			}
			t = judge.Trip{}
			return err
		}
		t = judge.Trip{Human: b.Actor.IsPerson() || b.Second.IsPerson(), Order: b.OrderID != ""}
		first := b.ReportedAt
		if first.IsZero() {
			first = b.MadeAt
		}
		asked, err := askedBefore(tx, b.Name, b.Scope, s.guard.rules().place(b.Name), first, s.limits())
		if err != nil {
			return err
		}
		t.Before = asked.Before
		t.Hits, err = store.List(tx, func(scan func(...any) error) (n int64, err error) { err = scan(&n); return n, err },
			`select sum(dns) from shield_hits where block=$1 and bucket=$2 group by edge`, k.block, k.bucket)
		return err
	}
	if err := s.db.Read(ctx, look); err != nil || judge.Tripwire(t, s.limits()) == judge.TripNone {
		return err
	}
	return s.db.Write(ctx, store.WayBack, func(tx *store.Tx) error {
		if err := look(tx); err != nil {
			return err
		}
		did := judge.Tripwire(t, s.limits())
		if did == judge.TripNone {
			return nil
		}
		var hits int64
		for _, n := range t.Hits {
			hits += n
		}
		n, err := tx.Exec(`insert into shield_trip(block,did,hits,edges,at) values($1,$2,$3,$4,$5) on conflict(block) do update set did=excluded.did, hits=excluded.hits, edges=excluded.edges, at=excluded.at
			where shield_trip.did<>excluded.did or shield_trip.at<$6`, b.ID, string(did), hits, len(t.Hits), tx.NowMicros(), store.Micros(tx.Now().Add(-time.Hour)))
		if err != nil || n == 0 && did == judge.TripAlert {
			return err
		}
		s.log.Error("very many customers run into a block that no person has confirmed", "alarm", true, "block", b.Ref, "hits", hits, "edges", len(t.Hits), "before_a_day", t.Before)
		if did == judge.TripSuspend {
			return s.suspend(tx, b, bolwerk.Rule("tripwire"), ByTripwire, "very many customers ran into it who used the name before")
		}
		return nil
	})
}
