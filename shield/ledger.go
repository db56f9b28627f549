package shield

import (
	"errors"
	"time"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/openlog"
	"bolwerk/internal/store"
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
