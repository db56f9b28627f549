package abuse

import (
	"context"
	"errors"
	"time"

	"bolwerk"
	"bolwerk/abuse/clearing"
	"bolwerk/abuse/door"
	"bolwerk/internal/store"
)

// fetchDays is how many days back reports are fetched: a clearing house tells of a day
// on the next, and a desk that was away for a weekend misses nothing.
const fetchDays = 4

// fetchAll fetches from the clearing house until ctx ends.
func (d *Desk) fetchAll(ctx context.Context) error {
	house := d.p.Clearing
	if house == nil {
		return nil
	}
	for {
		if err := d.Fetch(ctx, house); err != nil && ctx.Err() == nil {
			d.log.Error("reports of the clearing house not fetched; tried again", "every", d.p.FetchEvery, "err", err, "alarm", true)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(d.p.FetchEvery):
		}
	}
}

// Fetch takes what the clearing house has and the desk has not. A file that cannot be
// fetched does not hold up the others; it is tried again.
func (d *Desk) Fetch(ctx context.Context, house *clearing.House) error {
	now := d.clock.Now()
	files, err := house.List(ctx, now.AddDate(0, 0, -fetchDays), now)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range files {
		var had int64
		if err := d.db.Read(ctx, func(tx *store.Tx) error {
			return tx.Row(`select count(*) from abuse_fetched where id=$1`, f.ID).Scan(&had)
		}); err != nil || had > 0 {
			errs = append(errs, err)
			continue
		}
		raw, err := house.Fetch(ctx, f)
		if err == nil && len(raw) == 0 {
			err = bolwerk.Invalid("nothing in it")
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		// Killed between the two it is taken twice; an event of one report counts once.
		now := d.clock.Now()
		r := door.Report{Channel: door.ByFile, ReceivedAt: now, Token: bolwerk.NewToken().Reveal(), Name: f.Name, Feed: d.p.FetchFeed, Form: door.Any, Body: raw}
		if err := d.Receive(ctx, "clearing house", door.KindReport, bolwerk.NewID(now), r.Encode()); err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, d.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			_, err := tx.Exec(`insert into abuse_fetched(id,at) values($1,$2) on conflict(id) do nothing`, f.ID, tx.NowMicros())
			return err
		}))
	}
	return errors.Join(errs...)
}
