package shield

import (
	"fmt"
	"strconv"
	"strings"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/copy"
	"bolwerk/internal/ledger"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/shield/edge"
)

// Adopt takes over an entry that a host has in force and a restored store does
// not know: it was decided after the backup, and carries our own signature.
func (s *Shield) Adopt(tx *store.Tx, e copy.Entry) error {
	r, err := edge.ParseRule(e)
	if err != nil {
		return err
	}
	if r.Pulse {
		return publish.ErrNotTaken // the next turn is above it
	}
	if r.FeedOnly {
		_, err := tx.Exec(`insert into shield_undo(id,block,name,serial,at) values($1,$2,$3,0,$4) on conflict(id) do nothing`, e.ID, strings.TrimPrefix(e.ID, "undo:"), r.Name.String(), tx.NowMicros())
		return err
	}
	by := bolwerk.Task("restore")
	if _, err := tx.Exec(`insert into shield_block(`+blockColumns+`) values($1,$2,$3,'','',$4,$5,$6,$7,$8,$9,$10,'',$11,'recovered from a host after a restore',$12,'',$13,'',$14,$15,'in_force',$16,0,0,0,'','','',0,$17,0,0,$18,$19) on conflict(id) do nothing`,
		e.ID, r.Block, r.Pass, r.Name.String(), string(r.Scope), r.WWW, string(r.Action), r.Class, r.Brand, string(r.Ground), r.By, by.String(), r.Compromised, e.From, e.Until, e.Version, tx.NowMicros(), r.Suspicious, r.AskedFor.String()); err != nil {
		return fmt.Errorf("recover %s: %w", r.Block, err)
	}
	s.ledger.Append(tx, leafOf(Block{Ref: r.Block, Pass: r.Pass, Scope: r.Scope, WWW: r.WWW, Action: r.Action, Class: r.Class, Ground: r.Ground, Until: r.Until}, 0, 0), r.Name.String())
	audit.Append(tx, by, "shield.block.recover", r.Block, "in force at a host, unknown to the backup", map[string]any{"name": r.Name, "scope": r.Scope})
	if !r.Pass {
		s.list(tx, Block{Ref: r.Block, Name: r.Name, Scope: r.Scope, WWW: r.WWW, Class: r.Class, Ground: r.Ground, By: r.By, From: r.Since, Until: r.Until, Version: e.Version})
	}
	return raiseNumber(tx, r.Block)
}

// raiseNumber keeps a number that the backup does not know from being given out
// again.
func raiseNumber(tx *store.Tx, ref string) error {
	p := strings.Split(ref, "-")
	if len(p) != 3 {
		return nil
	}
	year, err1 := strconv.Atoi(p[1])
	n, err2 := strconv.Atoi(p[2])
	if err1 != nil || err2 != nil {
		return nil
	}
	_, err := tx.Exec(`insert into desk_number(kind,year,last) values($1,$2,$3) on conflict(kind,year) do update set last=case when desk_number.last<excluded.last then excluded.last else desk_number.last end`, p[0], year, n)
	return err
}

// WithdrawnElsewhere marks a block of the backup that a host has seen withdrawn.
func (s *Shield) WithdrawnElsewhere(tx *store.Tx, id string) error {
	if strings.HasPrefix(id, "undo:") {
		_, err := tx.Exec(`delete from shield_undo where id=$1`, id)
		return err
	}
	by := bolwerk.Task("restore")
	var ref string
	var version int64
	var pass bool
	err := tx.Row(`update shield_block set state='withdrawn', ended_at=$1, ended_by=$2, ended_why='error', ended_reason='a host had seen it withdrawn before the restore', version=version+1 where id=$3 and state='in_force' returning ref,version,pass`,
		tx.NowMicros(), by.String(), id).Scan(&ref, &version, &pass)
	if store.None(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if !pass {
		if err := s.unlist(tx, ref, version, string(ByMistake)); err != nil {
			return err
		}
	}
	s.ledger.Append(tx, endOf(Block{Ref: ref, Pass: pass}, string(ByMistake), 0, 0), "")
	audit.Append(tx, by, "shield.block.withdraw", id, "a host had seen it withdrawn before the restore", nil)
	return nil
}

// numbersGap is how far numbers jump at a restore, so that none is given twice.
const numbersGap = 10_000

// BeginRestore prepares a restored store of the shield.
func BeginRestore(tx *store.Tx, p *publish.Desk, floor int64) (int64, error) {
	if _, err := tx.Exec(`update desk_number set last=last+$1`, numbersGap); err != nil {
		return 0, err
	}
	if _, err := tx.Exec(`delete from copy_entry where copy=$1 and id=$2`, CopyBlocks, edge.PulseEntry); err != nil {
		return 0, err
	}
	epoch, err := p.BeginRestore(tx, CopyBlocks, []string{CopyPublic}, floor)
	if err != nil {
		return 0, err
	}
	return epoch, ledger.BeginRestore(tx, epoch)
}
