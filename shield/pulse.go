package shield

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"bolwerk"
	"bolwerk/internal/hosts"
	"bolwerk/internal/publish"
	"bolwerk/internal/rpz"
	"bolwerk/internal/store"
	"bolwerk/shield/edge"
)

// The pulse (see edge.Turn) shows how long a decision takes to be in force at each
// edge, agent and resolver. Edges and agents ask beside themselves and tell; the
// desk asks the resolvers that it knows. A time ends when the desk hears of it, on
// the desk's clock: no other clock counts, and the way back is in it.

const (
	// pulseHour is what the page draws.
	pulseHour = time.Hour
	// pulseKeep is how long what was felt stays.
	pulseKeep = 48 * time.Hour
	// turnsKept are the turns of which news is taken.
	turnsKept = 4
)

// pulses is the desk's own part.
type pulses struct {
	sync.Mutex
	turns   []edge.Turn // the last ones
	feelers []*edge.Feeler
	late    map[string]bool // of whom it was told that they are late
}

// nextTurn publishes the next turn of the pulse. Of two desks the first does it.
func (f *Feed) nextTurn(tx *store.Tx) error {
	t := edge.Turn{Name: f.pulse, Blocked: true, At: tx.Now()}
	e, err := publish.Entry(tx, CopyBlocks, edge.PulseEntry)
	if old, ok := edge.ReadTurn(e); err == nil && ok {
		if since := t.At.Sub(old.At); since >= 0 && since < beatEvery*5/6 {
			return nil
		}
		t.N, t.Blocked = old.N+1, !old.Blocked
	}
	t.N = max(t.N, t.At.Unix()) // above what hosts know that this store has forgotten
	f.publish.Append(tx, CopyBlocks, t.Entry(), nil)
	return nil
}

// beginTurn has the resolvers asked that the desk knows.
func (s *Shield) beginTurn(t edge.Turn) {
	p := &s.pulses
	p.Lock()
	defer p.Unlock()
	if p.turns = append(p.turns, t); len(p.turns) > turnsKept {
		p.turns = p.turns[1:]
	}
	for _, f := range p.feelers {
		f.Begin(t)
	}
}

// turn gives a turn of which news is still taken.
func (s *Shield) turn(tx *store.Tx, n int64) (edge.Turn, bool) {
	s.pulses.Lock()
	i := slices.IndexFunc(s.pulses.turns, func(t edge.Turn) bool { return t.N == n })
	var t edge.Turn
	if i >= 0 {
		t = s.pulses.turns[i]
	}
	s.pulses.Unlock()
	if i >= 0 {
		return t, true
	}
	e, err := publish.Entry(tx, CopyBlocks, edge.PulseEntry) // the edge was faster than we
	t, ok := edge.ReadTurn(e)
	return t, err == nil && ok && t.N == n
}

// feel asks the resolvers that the desk knows, until ctx ends.
func (s *Shield) feel(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	s.pulses.Lock()
	for name, at := range s.ask {
		f := edge.NewFeeler(at, func(a rpz.Answer) bool { return s.policyAnswer(a, Explanation{}) }, func(felt edge.Felt) {
			if err := s.felt(ctx, "resolver", name, felt); err != nil && ctx.Err() == nil {
				s.log.Error("what a resolver has in force is not written down", "resolver", name, "err", err)
			}
		})
		s.pulses.feelers = append(s.pulses.feelers, f)
		g.Go(func() error { return f.Run(ctx) })
	}
	s.pulses.Unlock()
	g.Go(func() error { return s.watchPulse(ctx) })
	return g.Wait()
}

// receiveFelt takes what an edge or an agent felt.
func (s *Shield) receiveFelt(ctx context.Context, host string, body []byte) error {
	f, err := edge.DecodeFelt(body)
	if err != nil {
		return err
	}
	return s.felt(ctx, "", host, f)
}

// felt writes down what was felt; kind is "" for a host, whose role it is. What is
// of a turn long over says nothing of now.
func (s *Shield) felt(ctx context.Context, kind, name string, f edge.Felt) error {
	now := s.clock.Now()
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		t, ok := s.turn(tx, f.Turn)
		if !ok {
			return nil
		}
		if kind == "" {
			if err := tx.Row(`select role from host where name=$1`, name).Scan(&kind); err != nil {
				return err
			}
		}
		took, problem, answer := int64(0), "", int64(0)
		if f.Force != nil {
			if problem = f.Force.Problem; f.Force.In {
				took = max(now.Sub(t.At).Microseconds(), 1)
			}
		}
		if f.Service != nil {
			if answer = max(f.Service.Took.Microseconds(), 1); !f.Service.Answered {
				answer = -answer
			}
		}
		_, err := tx.Exec(`insert into shield_pulse(kind,name,turn,at,blocked,took,problem,answer) values($1,$2,$3,$4,$5,$6,$7,$8)
			on conflict(kind,name,turn) do update set
				took=case when shield_pulse.took>0 then shield_pulse.took else excluded.took end,
				problem=case when excluded.took>0 then '' when excluded.problem<>'' then excluded.problem else shield_pulse.problem end,
				answer=case when excluded.answer<>0 then excluded.answer else shield_pulse.answer end`,
			kind, name, t.N, store.Micros(t.At), t.Blocked, took, problem, answer)
		return err
	})
}

// forgetPulse drops what was felt two days ago.
func forgetPulse(tx *store.Tx) error {
	_, err := tx.Exec(`delete from shield_pulse where at<$1`, store.Micros(tx.Now().Add(-pulseKeep)))
	return err
}

// Target is somebody who blocks, with how long the turns of the pulse took to be in
// force there.
type Target struct {
	Kind  string `json:"kind"` // edge, agent, resolver
	Name  string `json:"name"`
	State string `json:"state"` // in_force, late, never
	// Problem is what was answered instead of the turn, where it is late.
	Problem string `json:"problem,omitempty"`
	// LateSince is when the first turn was decided that is not in force.
	LateSince time.Time `json:"late_since,omitzero"`
	// Took is the last time from decision to in force; Half and Most are the
	// middle and the longest one of the hour. 0: none.
	Took time.Duration `json:"took"`
	Half time.Duration `json:"took_p50"`
	Most time.Duration `json:"took_max"`
	// Turns are those of the hour, Missed those that were never in force.
	Turns  int `json:"turns"`
	Missed int `json:"missed"`
	// Answer is how long the last question took that had to be resolved; absent
	// where there was none. Answered is false where it got no answer.
	Answer   time.Duration `json:"answer,omitempty"`
	Answered bool          `json:"answered"`
	felt     []feltTurn    // of the hour, oldest first
}

// Late says that a person should look.
func (t Target) Late() bool { return t.State != "in_force" }

type feltTurn struct {
	kind, name   string
	turn, answer int64
	at           time.Time
	took         time.Duration
	problem      string
}

// Pulse is what the pulse shows of everybody who blocks.
type Pulse struct {
	// At is when the last turn was decided; absent where there was none.
	At      time.Time `json:"at,omitzero"`
	Blocked bool      `json:"blocked"` // the last turn is a block, not a withdrawal
	Targets []Target  `json:"targets"`
	Service Service   `json:"dns_service"`
	// steps are the turns of the hour, oldest first.
	steps []time.Time
}

// Pulse looks at the last hour.
func (s *Shield) Pulse(ctx context.Context) (p Pulse, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		if p, err = s.pulse(tx, pulseHour); err != nil {
			return err
		}
		p.Service, err = service(tx, pulseKeep)
		return err
	})
	return p, err
}

// pulse looks at the turns since, an hour or less.
func (s *Shield) pulse(tx *store.Tx, since time.Duration) (p Pulse, err error) {
	p.Targets = []Target{}
	e, err := publish.Entry(tx, CopyBlocks, edge.PulseEntry)
	last, ok := edge.ReadTurn(e)
	if errors.Is(err, bolwerk.ErrNotFound) || err == nil && !ok {
		return p, nil // it has not begun
	}
	if err != nil {
		return p, err
	}
	p.At, p.Blocked = last.At, last.Blocked
	known, err := hosts.Every(tx)
	if err != nil {
		return p, err
	}
	joined := map[string]time.Time{}
	for _, h := range known {
		if ours(h.Role) && h.State == "in" {
			p.Targets = append(p.Targets, Target{Kind: h.Role, Name: h.Name})
			joined[h.Role+" "+h.Name] = h.JoinedAt
		}
	}
	for name := range s.ask {
		if s.feed != nil && s.feed.withoutHot(name) {
			continue
		}
		p.Targets = append(p.Targets, Target{Kind: "resolver", Name: name})
	}
	slices.SortFunc(p.Targets, func(a, b Target) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name))
	})
	now := tx.Now()
	rows, err := store.List(tx, func(scan func(...any) error) (f feltTurn, err error) {
		var at, took int64
		err = scan(&f.kind, &f.name, &f.turn, &at, &took, &f.problem, &f.answer)
		f.at, f.took = store.Time(at), time.Duration(took)*time.Microsecond
		return f, err
	}, `select kind,name,turn,at,took,problem,answer from shield_pulse where at>$1 order by at, turn`, store.Micros(now.Add(-since)))
	if err != nil {
		return p, err
	}
	of := map[string][]feltTurn{}
	for _, r := range rows {
		of[r.kind+" "+r.name] = append(of[r.kind+" "+r.name], r)
		if len(p.steps) == 0 || p.steps[len(p.steps)-1].Before(r.at) {
			p.steps = append(p.steps, r.at)
		}
	}
	for i := range p.Targets {
		t := &p.Targets[i]
		key := t.Kind + " " + t.Name
		t.look(of[key], p.steps, last, joined[key], now)
	}
	return p, nil
}

// look reads what was felt at one target.
func (t *Target) look(felt []feltTurn, steps []time.Time, last edge.Turn, joined, now time.Time) {
	t.felt = felt
	var took []time.Duration
	inForce := -1 // the last turn that was
	for i, f := range felt {
		if f.took > 0 {
			inForce, t.Took = i, f.took
			took = append(took, f.took)
			t.Most = max(t.Most, f.took)
		}
		if f.answer != 0 {
			t.Answer, t.Answered = time.Duration(max(f.answer, -f.answer))*time.Microsecond, f.answer > 0
		}
	}
	t.Half = quantile(took, 50)
	// What others felt and this one did not, it missed; of the last turn there
	// is still time.
	for _, at := range steps {
		if at.Before(joined) {
			continue
		}
		t.Turns++
		if !slices.ContainsFunc(felt, func(f feltTurn) bool { return f.at.Equal(at) && f.took > 0 }) && !at.Equal(last.At) {
			t.Missed++
		}
	}
	t.State = "in_force"
	if inForce >= 0 && felt[inForce].turn >= last.N {
		return
	}
	first := last.At // the first turn that is not in force
	for _, at := range slices.Backward(steps) {
		if at.Before(joined) || inForce >= 0 && !at.After(felt[inForce].at) {
			break
		}
		first = at
	}
	for _, f := range felt[inForce+1:] {
		t.Problem = cmp.Or(f.problem, t.Problem)
	}
	if t.Problem == "" && now.Sub(first) <= lateAfter {
		return // there is still time
	}
	if t.State, t.LateSince = "late", first; len(felt) == 0 {
		t.State = "never"
	}
}

// watchPulse tells the log when a target becomes late and when it is no longer.
func (s *Shield) watchPulse(ctx context.Context) error {
	s.pulses.late = map[string]bool{}
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var p Pulse
		err := s.db.Read(ctx, func(tx *store.Tx) (err error) {
			if p, err = s.pulse(tx, 5*time.Minute); err != nil {
				return err
			}
			p.Service, err = service(tx, serviceNow)
			return err
		})
		if err != nil {
			if ctx.Err() == nil {
				s.log.Error("nobody looks whether blocks come into force in time", "err", err)
			}
			continue
		}
		for _, t := range p.Targets {
			key := t.Kind + " " + t.Name
			if was := s.pulses.late[key]; was == t.Late() {
				continue
			}
			if s.pulses.late[key] = t.Late(); t.Late() {
				s.log.Warn("what is decided does not come into force in time", "kind", t.Kind, "name", t.Name, "since", t.LateSince, "problem", t.Problem)
			} else {
				s.log.Info("what is decided comes into force in time again", "kind", t.Kind, "name", t.Name, "took", t.Took)
			}
		}
		for _, i := range p.Service.Indicators {
			if was := s.pulses.late[i.Key]; was != i.Over {
				if s.pulses.late[i.Key] = i.Over; i.Over {
					s.log.Error("the DNS service is over a limit of Implementing Regulation (EU) 2024/2690, art. 5", "indicator", i.Key, "now", i.Now, "limit", i.Limit)
				}
			}
		}
	}
}
