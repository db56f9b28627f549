package shield

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/copy"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/shield/aid"
	"bolwerk/shield/door"
	"bolwerk/shield/edge"
	"bolwerk/shield/fact"
)

// State is where a block or an exemption stands.
type State string

// The states.
const (
	InForce   State = "in_force"
	Expired   State = "expired"
	Withdrawn State = "withdrawn"
	// Suspended is out of force until a person decides its case again.
	Suspended State = "suspended"
)

// Cause says why a block was withdrawn.
type Cause string

// The causes of a withdrawal.
const (
	FalsePositive Cause = "false_positive"
	OnAppeal      Cause = "appeal"
	Cleaned       Cause = "cleaned"
	ByMistake     Cause = "error"
	OrderLifted   Cause = "order"
	ByTripwire    Cause = "tripwire" // suspended: too many customers ran into it
	NothingLeft   Cause = "quiet"    // expired: later looks found nothing any more
)

// ParseCause reads a cause.
func ParseCause(s string) (Cause, error) {
	switch c := Cause(s); c {
	case FalsePositive, OnAppeal, Cleaned, ByMistake:
		return c, nil
	}
	return "", bolwerk.Invalid("cause %q: want false_positive, appeal, cleaned or error", s)
}

// Block is a name that is blocked, or with Pass set an exemption from blocks.
type Block struct {
	ID          string         `json:"id"`
	Ref         string         `json:"ref"`
	Pass        bool           `json:"pass,omitempty"`
	CaseID      string         `json:"case,omitempty"`
	OrderID     string         `json:"order,omitempty"`
	Name        bolwerk.Domain `json:"name"`
	Scope       bolwerk.Scope  `json:"scope"`
	WWW         bool           `json:"www,omitempty"`
	Action      edge.Action    `json:"action,omitempty"`
	Class       string         `json:"class,omitempty"`
	Brand       string         `json:"brand,omitempty"`
	Ground      edge.Ground    `json:"ground,omitempty"`
	Legal       string         `json:"legal,omitempty"`
	By          string         `json:"by,omitempty"`
	Reason      string         `json:"reason"`
	Actor       bolwerk.Actor  `json:"actor"`
	Second      bolwerk.Actor  `json:"second,omitzero"`
	Compromised bool           `json:"compromised,omitempty"`
	Lists       string         `json:"lists,omitempty"`
	// Suspicious is set where the rules were not sure and a person decided.
	Suspicious bool `json:"suspicious,omitempty"`
	// AskedFor is what the site asks visitors for.
	AskedFor    aid.Set   `json:"asked_for,omitempty"`
	From        time.Time `json:"valid_from"`
	Until       time.Time `json:"valid_until,omitzero"`
	State       State     `json:"state"`
	Version     int64     `json:"version"`
	Epoch       int64     `json:"epoch"`
	Serial      int64     `json:"serial"`
	EndedAt     time.Time `json:"ended_at,omitzero"`
	EndedBy     string    `json:"ended_by,omitempty"`
	EndedWhy    string    `json:"ended_why,omitempty"`
	EndedReason string    `json:"ended_reason,omitempty"`
	EndedSerial int64     `json:"ended_serial,omitempty"`
	MadeAt      time.Time `json:"made_at"`
	ReportedAt  time.Time `json:"reported_at,omitzero"` // first report about it
	ReadAt      time.Time `json:"read_at,omitzero"`     // when that was read
	// Machine says that a rule decided, and no person has confirmed it since.
	Machine bool `json:"by_machine,omitempty"`
	// Hits are what was counted so far, where a list or a view asked for it.
	Hits Hits `json:"hits"`
	// firstHit is when the first was, where a list asked for hits.
	firstHit time.Time
}

// Rule is the block as the copy carries it.
func (b Block) Rule() edge.Rule {
	return edge.Rule{Block: b.Ref, Name: b.Name, Scope: b.Scope, WWW: b.WWW, Pass: b.Pass, Action: b.Action, Ground: b.Ground,
		Class: b.Class, Brand: b.Brand, By: b.By, Since: b.From, Until: b.Until, Compromised: b.Compromised, Suspicious: b.Suspicious, AskedFor: b.AskedFor}
}

const blockColumns = `id,ref,pass,case_id,order_id,name,scope,www,action,class,brand,ground,legal,by_public,reason,actor,second,compromised,lists,valid_from,valid_until,state,version,epoch,serial,ended_at,ended_by,ended_why,ended_reason,ended_serial,made_at,reported_at,read_at,suspicious,asked_for`

func readBlock(scan func(...any) error) (b Block, err error) {
	var name, actor, second, asked string
	var from, until, ended, made, reported, seen int64
	if err := scan(&b.ID, &b.Ref, &b.Pass, &b.CaseID, &b.OrderID, &name, &b.Scope, &b.WWW, &b.Action, &b.Class, &b.Brand, &b.Ground, &b.Legal, &b.By, &b.Reason,
		&actor, &second, &b.Compromised, &b.Lists, &from, &until, &b.State, &b.Version, &b.Epoch, &b.Serial, &ended, &b.EndedBy, &b.EndedWhy, &b.EndedReason, &b.EndedSerial, &made, &reported, &seen, &b.Suspicious, &asked); err != nil {
		return b, err
	}
	b.AskedFor = aid.Read(asked)
	b.From, b.Until, b.EndedAt, b.MadeAt = store.Time(from), store.Time(until), store.Time(ended), store.Time(made)
	b.ReportedAt, b.ReadAt = store.Time(reported), store.Time(seen)
	if b.Name, err = bolwerk.ParseDomain(name); err != nil {
		return b, err
	}
	if err := b.Actor.UnmarshalText([]byte(actor)); err != nil {
		return b, err
	}
	if err := b.Second.UnmarshalText([]byte(second)); err != nil {
		return b, err
	}
	b.Machine = b.Actor == byRules && !b.Second.IsPerson()
	return b, nil
}

// findBlock gives a block or exemption by id, by reference, or by the name
// that is in force under it.
func findBlock(tx *store.Tx, id string) (Block, error) {
	b, err := readBlock(tx.Row(`select `+blockColumns+` from shield_block where id=$1 or ref=$1`, id).Scan)
	if store.None(err) {
		b, err = readBlock(tx.Row(`select `+blockColumns+` from shield_block where name=$1 order by case when state='in_force' then 0 else 1 end, made_at desc limit 1`, id).Scan)
	}
	if store.None(err) {
		return b, bolwerk.WithHint(bolwerk.NotFound("no block %q", id), "bolwerk block list shows the blocks and their ids")
	}
	return b, err
}

// covering gives what is in force and catches name: exemptions first, wherever
// they stand, then what stands at the most specific name, orders before our own.
func covering(tx *store.Tx, name bolwerk.Domain) (out []Block, err error) {
	var above []string
	for d := name; !d.IsZero(); d = d.Parent() {
		above = append(above, d.String())
	}
	for part := range slices.Chunk(above, rowsPerQuery) {
		places, args := idsOf(part)
		err := tx.Each(`select `+blockColumns+` from shield_block where state='in_force' and name in (`+places+`) order by length(name) desc, order_id desc, made_at`, args, func(scan func(...any) error) error {
			b, err := readBlock(scan)
			if err == nil && b.Rule().Covers(name) {
				out = append(out, b)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(out, func(a, b Block) int {
		switch {
		case a.Pass == b.Pass:
			return 0
		case a.Pass:
			return -1
		}
		return 1
	})
	return out, nil
}

// place writes b and publishes it with the transaction. b.Ref, ID and times
// that are not set are filled in.
func (s *Shield) place(tx *store.Tx, b Block) (Block, error) {
	b.ID, b.State, b.MadeAt, b.Version = bolwerk.NewID(tx.Now()), InForce, tx.Now(), 1
	kind := "B"
	if b.Pass {
		kind = "E"
	}
	var err error
	if b.Ref, err = desk.Number(tx, kind); err != nil {
		return b, err
	}
	if b.From.IsZero() {
		b.From = tx.Now()
	}
	if b.Pass {
		b.Action = ""
	} else if b.Action == "" {
		b.Action = edge.Redirect
	}
	if _, err := tx.Exec(`insert into shield_block(`+blockColumns+`) values($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,'in_force',1,0,0,0,'','','',0,$22,$23,$24,$25,$26)`,
		b.ID, b.Ref, b.Pass, b.CaseID, b.OrderID, b.Name.String(), string(b.Scope), b.WWW, string(b.Action), b.Class, b.Brand, string(b.Ground), b.Legal, b.By, b.Reason,
		b.Actor.String(), b.Second.String(), b.Compromised, b.Lists, store.Micros(b.From), store.Micros(b.Until), tx.NowMicros(), store.Micros(b.ReportedAt), store.Micros(b.ReadAt), b.Suspicious, b.AskedFor.String()); err != nil {
		return b, err
	}
	if !b.Pass {
		if err := s.forgetUndo(tx, b); err != nil {
			return b, err
		}
		s.list(tx, b)
	}
	s.publish.Append(tx, CopyBlocks, b.Rule().Entry(b.ID, b.Version), func(tx *store.Tx, epoch, serial int64) error {
		if _, err := tx.Exec(`update shield_block set epoch=$1, serial=$2 where id=$3`, epoch, serial, b.ID); err != nil {
			return err
		}
		s.facts.Append(tx, b.Actor, fact.BlockPlaced, b.ID, fact.Placed{Ref: b.Ref, Name: b.Name.String(), Scope: string(b.Scope), Pass: b.Pass, Order: b.OrderID, Until: b.Until, Epoch: epoch, Serial: serial})
		s.ledger.Append(tx, leafOf(b, epoch, serial), b.Name.String())
		return nil
	})
	return b, nil
}

// list shows the block to the public.
func (s *Shield) list(tx *store.Tx, b Block) {
	body, err := json.Marshal(door.Listed{Ref: b.Ref, Name: b.Name.String(), Scope: string(b.Scope), WWW: b.WWW, Class: b.Class, Ground: string(b.Ground), By: b.By, Since: b.From, Until: b.Until})
	if err != nil {
		panic(err) // strings and times: cannot fail
	}
	s.publish.Append(tx, CopyPublic, copy.Entry{ID: door.BlockEntry + b.Ref, Version: b.Version, Until: store.Micros(b.Until), Body: body}, nil)
}

// unlist shows to the public that a block is over: to who looks up the name that
// there is none, to reporters when it ended and why.
func (s *Shield) unlist(tx *store.Tx, ref string, version int64, why string) error {
	s.publish.Append(tx, CopyPublic, copy.Entry{ID: door.BlockEntry + ref, Version: version, Removed: true}, nil)
	t, err := tallyOf(tx, ref)
	if err != nil {
		return err
	}
	t.Ended, t.Why = tx.Now(), why
	s.publishAs(tx, door.TallyEntry+ref, t)
	tx.After(func() { s.touch([]edge.Count{{Block: ref}}) }) // the last visits come later
	return nil
}

// end takes b out of force and publishes that. It asks no guard: the way back
// is never blocked.
func (s *Shield) end(tx *store.Tx, b Block, to State, by bolwerk.Actor, why, reason string) error {
	n, err := tx.Exec(`update shield_block set state=$1, ended_at=$2, ended_by=$3, ended_why=$4, ended_reason=$5, version=version+1 where id=$6 and state='in_force'`,
		string(to), tx.NowMicros(), by.String(), why, reason, b.ID)
	if err != nil {
		return err
	}
	if n == 0 {
		return bolwerk.Conflict("%s is no longer in force", b.Ref)
	}
	b.Version++
	if err := publish.Forget(tx, CopyBlocks, b.ID); err != nil { // held back after a restore
		return err
	}
	s.publish.Append(tx, CopyBlocks, copy.Entry{ID: b.ID, Version: b.Version, Removed: true}, func(tx *store.Tx, epoch, serial int64) error {
		s.ledger.Append(tx, endOf(b, why, epoch, serial), "")
		if _, err := tx.Exec(`update shield_block set ended_serial=$1 where id=$2`, serial, b.ID); err != nil {
			return err
		}
		s.facts.Append(tx, by, fact.BlockEnded, b.ID, fact.Ended{Ref: b.Ref, Name: b.Name.String(), Why: why, Serial: serial})
		return nil
	})
	if b.Pass {
		return nil
	}
	if to == Withdrawn {
		if err := s.correctNotices(tx, b.CaseID, why); err != nil {
			return err
		}
	}
	if err := s.unlist(tx, b.Ref, b.Version, why); err != nil {
		return err
	}
	return s.undo(tx, b)
}

// undo lets a name pass at resolvers that still hold a zone with the block: a
// passthru entry under the block's own names, until every secondary has a zone
// without it. Where another block still catches the name there is nothing to
// undo; an exemption is no reason to leave it, because it may end first.
func (s *Shield) undo(tx *store.Tx, b Block) error {
	others, err := covering(tx, b.Name)
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.ID != b.ID && !o.Pass {
			return nil
		}
	}
	rule := edge.Rule{Block: b.Ref, Name: b.Name, Scope: b.Scope, WWW: b.WWW, Pass: true, FeedOnly: true, Since: tx.Now()}
	id := "undo:" + b.ID
	s.publish.Append(tx, CopyBlocks, rule.Entry(id, b.Version), func(tx *store.Tx, _, serial int64) error {
		_, err := tx.Exec(`insert into shield_undo(id,block,name,serial,at) values($1,$2,$3,$4,$5) on conflict(id) do nothing`, id, b.ID, b.Name.String(), serial, tx.NowMicros())
		return err
	})
	return nil
}

// forgetUndo ends the passthru entries that would stand in the way of b.
func (s *Shield) forgetUndo(tx *store.Tx, b Block) error {
	var have int64 // mostly there is none
	if err := tx.Row(`select count(*) from (select 1 from shield_undo limit 1) x`).Scan(&have); err != nil || have == 0 {
		return err
	}
	ids, err := store.List(tx, func(scan func(...any) error) (id string, err error) { err = scan(&id); return id, err },
		`select id from shield_undo where name=$1 or name like $2 escape '\'`, b.Name.String(), "%."+desk.EscapeLike(b.Name.String()))
	if err != nil {
		return err
	}
	for d := b.Name.Parent(); !d.IsZero(); d = d.Parent() {
		up, err := store.List(tx, func(scan func(...any) error) (id string, err error) { err = scan(&id); return id, err }, `select id from shield_undo where name=$1`, d.String())
		if err != nil {
			return err
		}
		ids = append(ids, up...)
	}
	for _, id := range ids {
		// What only lies near b goes on to pass.
		if e, err := publish.Entry(tx, CopyBlocks, id); err == nil {
			if u, err := edge.ParseRule(e); err == nil && !u.Covers(b.Name) && !b.Rule().Covers(u.Name) {
				continue
			}
		}
		s.dropUndo(tx, id)
	}
	return nil
}

func (s *Shield) dropUndo(tx *store.Tx, id string) {
	s.publish.Append(tx, CopyBlocks, copy.Entry{ID: id, Version: tx.NowMicros(), Removed: true}, func(tx *store.Tx, _, _ int64) error {
		_, err := tx.Exec(`delete from shield_undo where id=$1`, id)
		return err
	})
}

// BlockFilter says which blocks a list shows.
type BlockFilter struct {
	State State  // all where empty
	Pass  bool   // exemptions instead of blocks
	Query string // part of the name
	After string // id of the last one of the page before
	Limit int    // 1 to 500; 50 where 0
}

func (f BlockFilter) states() []State {
	if f.State == "" {
		return []State{InForce, Expired, Withdrawn, Suspended}
	}
	return []State{f.State}
}

func (f BlockFilter) in(state State) (w desk.Where) {
	w.And("pass=? and state=?", f.Pass, string(state))
	w.Like("name", f.Query)
	return w
}

func listBlocks(tx *store.Tx, f BlockFilter) ([]Block, error) {
	limit := f.Limit
	if limit <= 0 {
		limit = 50
	}
	after := f.After
	if after == "" {
		after = "g" // above every id: they are hexadecimal
	}
	return desk.EachState(f.states(), min(limit, 500), func(state State, limit int) ([]Block, error) {
		w := f.in(state)
		w.And("id<?", after)
		// The rows are chosen by the index that holds the names too. Asked for whole
		// rows, PostgreSQL walks the primary key through those of all states: all of
		// the table where a state has few.
		query, args := w.Select("id from shield_block", "id desc", limit)
		return store.List(tx, readBlock, `select `+blockColumns+` from shield_block where id in (`+query+`) order by id desc`, args...)
	}, func(a, b Block) int { return cmp.Compare(b.ID, a.ID) })
}
