package shield

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/ledger"
	"bolwerk/internal/openlog"
	"bolwerk/internal/store"
	"bolwerk/shield/judge"
)

// leafOf is what the transparency log says of b: all that takes part in what
// resolves, and the name as a commitment. Nothing of a person, no brand.
func leafOf(b Block, epoch, serial int64) openlog.Leaf {
	return openlog.Leaf{Kind: openlog.Placed, Ref: b.Ref, Pass: b.Pass, Scope: string(b.Scope), WWW: b.WWW, Action: string(b.Action),
		Class: b.Class, Ground: string(b.Ground), Until: b.Until, Epoch: epoch, Serial: serial}
}

// endOf is what the log says of the end of b.
func endOf(b Block, why string, epoch, serial int64) openlog.Leaf {
	return openlog.Leaf{Kind: openlog.Ended, Ref: b.Ref, Pass: b.Pass, Cause: why, Epoch: epoch, Serial: serial}
}

// hackedTime is how long the name of a hacked site can be looked up in the log
// after its block has ended: its owner did nothing wrong. Others can for a year,
// as long as the block itself is kept (forgetBlocks).
const hackedTime = 30 * 24 * time.Hour

// forgetNames destroys the salts of hacked sites whose time in the log is over.
func (s *Shield) forgetNames(tx *store.Tx) error {
	refs, err := store.List(tx, func(scan func(...any) error) (ref string, err error) { err = scan(&ref); return ref, err },
		`select b.ref from log_salt s join shield_block b on b.ref=s.ref where b.state<>'in_force' and b.compromised and b.ended_at<$1 limit $2`,
		store.Micros(tx.Now().Add(-hackedTime)), forgetSome)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if err := s.ledger.Forget(tx, ref); err != nil {
			return err
		}
		audit.Append(tx, bolwerk.Rule("log-names"), "log.forget", ref, "its time in the log is over", nil)
	}
	return nil
}

// EndAsLogged ends what a restored store has in force though the log, taken back
// from an intake, has its end: the way back wins.
func (s *Shield) EndAsLogged(tx *store.Tx) error {
	over, err := store.List(tx, readBlock, `select `+blockColumns+` from shield_block b where state='in_force' and exists (select 1 from log_leaf l where l.ref=b.ref and l.kind='ended')`)
	if err != nil {
		return err
	}
	by := bolwerk.Task("restore")
	for _, b := range over {
		reason := "the transparency log had its end before the restore"
		if err := s.end(tx, b, Withdrawn, by, string(ByMistake), reason); err != nil && !errors.Is(err, bolwerk.ErrConflict) {
			return err
		}
		audit.Append(tx, by, "shield.block.withdraw", b.Ref, reason, nil)
	}
	return nil
}

// EndLost ends in the log what nobody knows any more: placed after the backup,
// and in force at no host.
func (s *Shield) EndLost(tx *store.Tx) error {
	refs, err := store.List(tx, func(scan func(...any) error) (ref string, err error) { err = scan(&ref); return ref, err },
		`select l.ref from log_leaf l where l.kind='placed' and not exists (select 1 from shield_block b where b.ref=l.ref)
		and not exists (select 1 from log_leaf e where e.ref=l.ref and e.kind='ended')`)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		s.ledger.Append(tx, openlog.Leaf{Kind: openlog.Ended, Ref: ref, Cause: "restore"}, "")
		if err := raiseNumber(tx, ref); err != nil {
			return err
		}
	}
	return nil
}

// LogAgain places in a log that began anew what is in force.
func (s *Shield) LogAgain(tx *store.Tx) error {
	return tx.Each(`select `+blockColumns+` from shield_block where state='in_force' order by id`, nil, func(scan func(...any) error) error {
		b, err := readBlock(scan)
		if err == nil {
			s.ledger.Append(tx, leafOf(b, b.Epoch, b.Serial), b.Name.String())
		}
		return err
	})
}

// Forget erases a name from the transparency log: the salt of its block is
// destroyed at the desk now and at each intake within seconds. The leaf stays and
// the log stays whole. Only what has ended can be forgotten: what is in force is
// shown to who asks.
func (s *Shield) Forget(ctx context.Context, who judge.Person, ref, reason string) (Block, error) {
	var b Block
	if strings.TrimSpace(reason) == "" {
		return b, bolwerk.WithHint(bolwerk.Invalid("forgetting a name needs a reason"), "say why in a few words")
	}
	if err := judge.May(who, judge.ForgetName); err != nil {
		return b, err
	}
	err := s.db.Write(ctx, store.Decision, func(tx *store.Tx) (err error) {
		if b, err = findBlock(tx, ref); err != nil {
			return err
		}
		if b.State == InForce {
			return bolwerk.WithHint(bolwerk.Conflict("%s (%s) is in force: everybody who asks may know that", b.Ref, b.Name), "withdraw it first")
		}
		var undo int64
		if err := tx.Row(`select count(*) from shield_undo where block=$1`, b.ID).Scan(&undo); err != nil {
			return err
		}
		if undo > 0 {
			return bolwerk.WithHint(bolwerk.Conflict("%s (%s) still stands in the zone of names that pass, until every resolver has dropped its block", b.Ref, b.Name), "try again in some minutes")
		}
		audit.Append(tx, bolwerk.Person(who.ID), "log.forget", b.Ref, reason, nil)
		return s.ledger.Forget(tx, b.Ref)
	})
	return b, err
}

// LogHead is where the transparency log stands, for programs.
type LogHead struct {
	Key  string `json:"key" doc:"the log's public key, as golang.org/x/mod/sumdb/note writes it"`
	Head string `json:"checkpoint" doc:"the signed head"`
	Size int64  `json:"size" doc:"number of leaves"`
}

// LogHead gives the head of the log, signed now.
func (s *Shield) LogHead(ctx context.Context) (h LogHead, err error) {
	h.Key = s.ledger.Key()
	signed, err := s.ledger.Head(ctx)
	if err != nil {
		return h, err
	}
	key, err := openlog.ParseKey(h.Key)
	if err != nil {
		return h, err
	}
	head, err := openlog.OpenHead(signed, key)
	h.Head, h.Size = string(signed), head.Size
	return h, err
}

// LogView is what the log says about a block.
type LogView struct {
	Ref     string          `json:"ref"`
	Name    string          `json:"name,omitempty" doc:"absent where the block is no longer kept"`
	Head    string          `json:"checkpoint" doc:"the signed head that the proofs lead to"`
	Entries []ledger.Logged `json:"entries"`
}

// LogAbout gives the leaves about a block or exemption, by id, number or name.
func (s *Shield) LogAbout(ctx context.Context, text string) (v LogView, err error) {
	v.Ref = text
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		b, err := findBlock(tx, text)
		if errors.Is(err, bolwerk.ErrNotFound) {
			return nil // the log remembers longer
		}
		v.Ref, v.Name = b.Ref, b.Name.String()
		return err
	})
	if err != nil {
		return v, err
	}
	signed, entries, err := s.ledger.About(ctx, v.Ref)
	v.Head, v.Entries = string(signed), entries
	return v, err
}

// Opening is what opens the commitment of a leaf to a name.
type Opening struct {
	Index int64  `json:"index" doc:"of the leaf"`
	ID    string `json:"id" doc:"reference of the block or exemption"`
	State State  `json:"state" enum:"in_force,expired,withdrawn,suspended"`
	Name  string `json:"name"`
	Salt  string `json:"salt" doc:"in hex"`
}

// Openings gives what opens the leaves after an index whose salts are kept.
func (s *Shield) Openings(ctx context.Context, after int64, limit int) (out []Opening, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		out, err = store.List(tx, func(scan func(...any) error) (o Opening, err error) {
			var salt []byte
			err = scan(&o.Index, &o.ID, &o.State, &o.Name, &salt)
			o.Salt = hex.EncodeToString(salt)
			return o, err
		}, `select s.n,b.ref,b.state,b.name,s.salt from log_salt s join shield_block b on b.ref=s.ref where s.n>$1 order by s.n limit $2`, after, limit)
		return err
	})
	return out, err
}

// extendedOf is what the log says of another end of b.
func extendedOf(b Block, epoch, serial int64) openlog.Leaf {
	return openlog.Leaf{Kind: openlog.Extended, Ref: b.Ref, Pass: b.Pass, Until: b.Until, Epoch: epoch, Serial: serial}
}
