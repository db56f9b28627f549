package shield

import (
	"context"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
	"bolwerk/shield/aid"
	"bolwerk/shield/judge"
)

// askedAtOnce is how many blocks of a campaign are changed in one transaction: a
// decision waits behind it.
const askedAtOnce = 50

// AskBlock says what the site of a block in force asks visitors for. The warning
// page shows first what helps with that, as soon as its edge has the copy.
func (s *Shield) AskBlock(ctx context.Context, who judge.Person, id string, asked aid.Set) (b Block, err error) {
	if err := judge.May(who, judge.Confirm); err != nil {
		return b, err
	}
	err = s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if b, err = findBlock(tx, id); err != nil {
			return err
		}
		if b.Pass {
			return otherKind(b)
		}
		if b.State != InForce {
			return bolwerk.Conflict("%s is no longer in force", b.Ref)
		}
		was := b.AskedFor
		if was == asked {
			return nil
		}
		by := bolwerk.Person(who.ID)
		if b, err = s.askAnew(tx, b, asked); err != nil {
			return err
		}
		audit.Append(tx, by, "shield.block.asked_for", b.Ref, "", map[string]any{"name": b.Name, "was": was, "is": asked})
		return learnAsked(tx, b.CaseID, asked)
	})
	return b, err
}

// askAnew publishes a block that is in force with what its site asks for. One
// that is held back after a restore is only written: it goes out when it is let go.
func (s *Shield) askAnew(tx *store.Tx, b Block, asked aid.Set) (Block, error) {
	var held int64
	if err := tx.Row(`select count(*) from copy_held where copy=$1 and id=$2`, CopyBlocks, b.ID).Scan(&held); err != nil {
		return b, err
	}
	if held > 0 {
		return b, bolwerk.WithHint(bolwerk.Conflict("%s is held back after a restore", b.Ref), "look at what the restore holds back first")
	}
	b.AskedFor, b.Version = asked, b.Version+1
	if _, err := tx.Exec(`update shield_block set asked_for=$1, version=$2 where id=$3`, asked.String(), b.Version, b.ID); err != nil {
		return b, err
	}
	s.publish.Append(tx, CopyBlocks, b.Rule().Entry(b.ID, b.Version), nil)
	return b, nil
}

// AskCampaign says what the sites of a campaign ask visitors for: for each of its
// blocks that is in force, and for those to come.
func (s *Shield) AskCampaign(ctx context.Context, who judge.Person, id string, asked aid.Set) error {
	if err := judge.May(who, judge.Confirm); err != nil {
		return err
	}
	var ref string
	err := s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		var known string
		err := tx.Row(`select id,ref,asked_for from shield_campaign where id=$1 or ref=$1`, id).Scan(&id, &ref, &known)
		if store.None(err) {
			return bolwerk.NotFound("no campaign %q", id)
		}
		if err != nil || aid.Read(known) == asked {
			return err
		}
		audit.Append(tx, bolwerk.Person(who.ID), "shield.campaign.asked_for", ref, "", map[string]any{"was": aid.Read(known), "is": asked})
		_, err = tx.Exec(`update shield_campaign set asked_for=$1 where id=$2`, asked.String(), id)
		return err
	})
	for after := ""; err == nil && ctx.Err() == nil; {
		var blocks []Block
		err = s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
			blocks, err = store.List(tx, readBlock, `select `+blockColumns+` from shield_block where id>$1 and state='in_force' and not pass and asked_for<>$2
				and case_id in (select id from shield_case where campaign=$3) and not exists (select 1 from copy_held h where h.copy='`+CopyBlocks+`' and h.id=shield_block.id) order by id limit $4`, after, asked.String(), id, askedAtOnce)
			for _, b := range blocks {
				if err == nil {
					_, err = s.askAnew(tx, b, asked)
				}
			}
			return err
		})
		if len(blocks) < askedAtOnce {
			break
		}
		after = blocks[len(blocks)-1].ID
	}
	return err
}
