package shield

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/copy"
	"bolwerk/internal/handin"
	"bolwerk/internal/join"
	"bolwerk/internal/store"
	"bolwerk/shield/agent"
	"bolwerk/shield/door"
	"bolwerk/shield/edge"
	"bolwerk/shield/fact"
	"bolwerk/shield/probe"
)

// KindReport is the kind of a report that is handed in.
const KindReport = door.KindReport

// Receive takes what a host hands in. It returns nil once it is durable; the
// same id again changes nothing.
func (s *Shield) Receive(ctx context.Context, host, kind, id string, body []byte) error {
	switch kind {
	case door.KindReport:
		return s.receiveReport(ctx, host, id, body)
	case edge.KindHits:
		return s.receiveHits(ctx, host, body)
	case edge.KindAppeal: // the public site's is the same
		return s.receiveAppeal(ctx, id, body)
	case probe.KindVisit:
		return s.receiveVisit(ctx, host, id, body)
	case edge.KindPass:
		return s.receivePass(ctx, host, id, body)
	case edge.KindAsked:
		return s.receiveAsked(ctx, host, body)
	case agent.KindForce:
		return s.receiveForce(host, body)
	case edge.KindPulse:
		return s.receiveFelt(ctx, host, body)
	}
	return bolwerk.Invalid("the shield takes no %q", kind)
}

// Kinds are what hosts may hand in to the shield.
func Kinds() map[string]handin.Kind {
	return map[string]handin.Kind{
		door.KindReport: {Roles: []join.Role{join.Intake}, Sealed: true},
		edge.KindAppeal: {Roles: []join.Role{join.Intake, join.Edge}, Max: 64 << 10, Sealed: true},
		edge.KindHits:   {Roles: []join.Role{join.Edge, join.Agent}, Max: 4 << 20},
		edge.KindAsked:  {Roles: []join.Role{join.Edge}, Max: 1 << 20},
		probe.KindVisit: {Roles: []join.Role{join.Probe}, Max: probe.MaxVisit, Sealed: true},
		agent.KindForce: {Roles: []join.Role{join.Agent}, Max: 4 << 10},
		edge.KindPulse:  {Roles: []join.Role{join.Edge, join.Agent}, Max: 4 << 10},
		edge.KindPass:   {Roles: []join.Role{join.Edge}, Max: 4 << 10},
	}
}

func (s *Shield) receiveReport(ctx context.Context, host, id string, body []byte) error {
	r, err := door.DecodeReport(body)
	if err != nil {
		return err
	}
	token, err := bolwerk.ParseToken(r.Token)
	if err != nil {
		return err
	}
	sealed, err := s.blobs.Seal(body)
	if err != nil {
		return err
	}
	code, err := s.vault.Seal("report.token", []byte(r.Token))
	if err != nil {
		return err
	}
	err = s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		n, err := tx.Exec(`insert into shield_report(id,channel,host,received_at,committed_at,read_at,answered_at,state,outcome,tries,claimed_until,receipt,token_sealed,reply,mark,dkim,lang,form,body_ref,reading_ref,warnings,brand)
			values($1,$2,$3,$4,$5,0,0,'received','waiting',0,0,$6,$7,'','','',$8,$9,$10,'',0,$11) on conflict(id) do nothing`,
			id, string(r.Channel), host, store.Micros(r.ReceivedAt), tx.NowMicros(), token.Hash(), code, string(r.Lang), string(r.Form), sealed.Ref, s.brandOf(r.To))
		if err != nil || n == 0 {
			return err
		}
		if err := s.blobs.Put(tx, sealed); err != nil {
			return err
		}
		if err := desk.AddReceipt(tx, token.Hash(), "shield.report", id); err != nil {
			return err
		}
		if err := reopen(tx, r.ReceivedAt); err != nil {
			return err
		}
		s.facts.Append(tx, bolwerk.Host(host), fact.ReportReceived, id, struct{}{})
		s.publishReceipt(tx, token.Hash(), door.Receipt{Kind: "report", State: "received", At: r.ReceivedAt})
		tx.After(s.ring)
		return nil
	})
	return err
}

func (s *Shield) ring() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// publishReceipt tells the intakes what the holder of a code may see.
func (s *Shield) publishReceipt(tx *store.Tx, hash string, r door.Receipt) {
	s.publishAs(tx, door.ReceiptEntry+hash, r)
}

// publishAs gives the public copy an entry that stays as long as a receipt does.
func (s *Shield) publishAs(tx *store.Tx, id string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and times: cannot fail
	}
	s.publish.Append(tx, CopyPublic, copy.Entry{ID: id, Version: tx.NowMicros(), Body: body,
		Until: store.Micros(tx.Now().Add(s.cfg.ReceiptDays.Days()))}, nil)
}

func (s *Shield) receiveHits(ctx context.Context, host string, body []byte) error {
	h, err := edge.DecodeHits(body)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		var all Hits
		of := map[string]Hits{} // by campaign
		for _, c := range h.Counts {
			campaign, more, err := addHitRow(tx, host, h.Boot, h.Bucket, c.Block, Hits{int64(c.DNS), int64(c.Page), int64(c.TLS)})
			if err != nil {
				return err
			}
			all = all.plus(more)
			if campaign != "" {
				of[campaign] = of[campaign].plus(more)
			}
		}
		tx.After(func() { s.touch(h.Counts); s.tripped.note(h, s.limits()) })
		if err := reopen(tx, h.Bucket); err != nil {
			return err
		}
		return sumHits(tx, h.Bucket, all, of)
	})
}

func (s *Shield) receivePass(ctx context.Context, host, id string, body []byte) error {
	p, err := edge.DecodePass(body)
	if err != nil {
		return err
	}
	s.log.Warn("a name was let pass at an edge itself", "alarm", true, "edge", host, "name", p.Name, "until", p.Until)
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		_, err := tx.Exec(`insert into shield_edge_pass(id,edge,name,until,at) values($1,$2,$3,$4,$5) on conflict(id) do nothing`,
			id, host, p.Name.String(), store.Micros(p.Until), tx.NowMicros())
		return err
	})
}

func (s *Shield) receiveAppeal(ctx context.Context, id string, body []byte) error {
	in, err := edge.DecodeAppeal(body)
	if err != nil {
		return err
	}
	if in.At.IsZero() || in.At.After(s.clock.Now().Add(time.Minute)) {
		in.At = s.clock.Now()
	}
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		var have int64
		if err := tx.Row(`select count(*) from desk_appeal where id=$1`, id).Scan(&have); err != nil || have > 0 {
			return err
		}
		var known int64
		if err := tx.Row(`select count(*) from desk_receipt where hash=$1`, in.Receipt).Scan(&known); err != nil || known > 0 {
			return err
		}
		block := in.Block
		b, err := findBlock(tx, block)
		if err != nil || b.State != InForce {
			block = "" // not blocked any more, or never: kept, but about nothing
		}
		a, fresh, err := desk.AddAppeal(tx, s.vault, desk.Appeal{ID: id, Receipt: in.Receipt, Capability: Name, Object: block,
			Subject: in.Name.String(), Role: in.Role, Text: in.Text, Contact: in.Contact, ReceivedAt: in.At})
		if err != nil {
			return fmt.Errorf("appeal %s: %w", id, err)
		}
		if err := reopen(tx, in.At); err != nil {
			return err
		}
		if fresh && block != "" && b.OrderID == "" {
			if err := recheckNow(tx, b); err != nil {
				return err
			}
		}
		if fresh {
			s.facts.Append(tx, bolwerk.Rule("door"), fact.AppealReceived, a.ID, struct{}{})
		}
		r := door.Receipt{Kind: "appeal", State: "received", Ref: a.Ref, At: in.At, Due: a.DueAt, Name: in.Name.String()}
		if block != "" && b.OrderID != "" { // not ours to decide: there is no day before which it is
			r.State, r.Due = "passed_on", time.Time{}
		}
		s.publishReceipt(tx, in.Receipt, r)
		return nil
	})
}

// publishAppeal shows how an appeal was decided to everybody who holds a receipt
// of it: receipts refer to the appeal, of which there is one a block.
func (s *Shield) publishAppeal(tx *store.Tx, a desk.Appeal, state string) {
	s.publishAs(tx, door.AppealEntry+a.Ref, door.AppealState{State: state, Changed: tx.Now()})
}
