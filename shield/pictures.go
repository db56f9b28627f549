package shield

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/blob"
	"bolwerk/internal/store"
	"bolwerk/shield/door"
	"bolwerk/shield/fact"
	"bolwerk/shield/reading"
)

// Pictures and PDFs are read in a second pass, one at a time, by a reader that
// has the lowest priority: a report is linked with what its text says, and what
// its pictures say is added later. So no report waits for another's pictures.

const (
	// lettersAtMost bounds the reading of the letters of one report: the rest goes
	// to a person.
	lettersAtMost = 3 * time.Minute
	// pictureClaim is longer than a reading and its letters may take.
	pictureClaim = 10 * time.Minute
)

// workPictures is the second pass; it returns when ctx ends.
func (s *Shield) workPictures(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		for ctx.Err() == nil {
			again, err := s.readPictures(ctx)
			if err != nil && ctx.Err() == nil {
				s.log.Error("pictures of a report not read", "err", err)
			}
			if !again || err != nil {
				break
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.pictured:
		case <-tick.C:
		}
	}
}

// readPictures reads those of the report that has waited longest. It says
// whether there was one. The try is counted before the bytes are touched.
func (s *Shield) readPictures(ctx context.Context) (again bool, err error) {
	var free int64
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select count(*) from (select 1 from shield_picture where state='queued' and claimed_until<$1 limit 1) x`, store.Micros(s.clock.Now())).Scan(&free)
	})
	if err != nil || free == 0 {
		return false, err
	}
	var ids []string
	var tries int
	err = s.db.Write(ctx, store.Intake, func(tx *store.Tx) (err error) {
		ids, err = store.List(tx, func(scan func(...any) error) (id string, err error) { err = scan(&id, &tries); return id, err },
			`update shield_picture set claimed_until=$1, tries=tries+1 where report in
			(select report from shield_picture where state='queued' and claimed_until<$2 order by report limit 1) and claimed_until<$2 returning report,tries`,
			store.Micros(tx.Now().Add(pictureClaim)), tx.NowMicros())
		return err
	})
	if err != nil || len(ids) == 0 {
		return false, err
	}
	id := ids[0]
	body, in, err := s.bodyOf(ctx, id)
	if errors.Is(err, bolwerk.ErrNotFound) {
		return true, s.db.Write(ctx, store.Intake, func(tx *store.Tx) error { return s.donePicture(tx, id, "for_a_person") })
	}
	if err != nil {
		return true, err
	}
	r, err := s.slow.Read(ctx, taskOf(in.Form), body, reading.Option{Evidence: in.Form.Evidence(), TLDs: s.guard.rules().tlds})
	var death *reading.Death
	switch {
	case errors.As(err, &death) && tries < maxTries:
		s.count.deaths.Inc()
		s.log.Warn("a reader died over the pictures of a report", "report", id, "tries", tries, "how", err)
		return true, s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			_, err := tx.Exec(`update shield_picture set claimed_until=0 where report=$1`, id)
			return err
		})
	case errors.As(err, &death), errors.Is(err, bolwerk.ErrInvalid):
		// What its text said stays; a person is told that there was more.
		s.log.Error("pictures unreadable", "alarm", true, "report", id, "why", err)
		if err := s.kept(ctx, "reading_ref", id, &r); err != nil {
			return true, err
		}
		r.Later, r.Warnings = 0, append(r.Warnings, "its pictures or PDFs could not be read: three readers died over them")
	case err != nil:
		return true, err
	}
	s.readLetters(ctx, id, &r)
	return true, s.add(ctx, id, in, r)
}

// readLetters has the letters of pictures read, where a program for it is there.
func (s *Shield) readLetters(ctx context.Context, id string, r *reading.Result) {
	ctx, stop := context.WithTimeout(ctx, lettersAtMost)
	defer stop()
	for i := range r.Pictures {
		p := &r.Pictures[i]
		if s.ocr != nil {
			start := time.Now()
			if err := s.ocr.Read(ctx, p); err != nil {
				s.log.Warn("letters of a picture not read: a person does", "report", id, "err", err)
			}
			s.count.letters.Observe(time.Since(start).Seconds())
		}
		p.Grey = nil
	}
	r.Linked()
}

// add gives a report what its second pass found.
func (s *Shield) add(ctx context.Context, id string, in door.Report, r reading.Result) error {
	finds, unsure, pictures := s.find(s.guard.rules(), r), r.Unsure(), r.Pictures
	r.Pictures = nil // apart: lists of reports need only the text
	read, err := s.seal(r)
	if err != nil {
		return err
	}
	var seen blob.Sealed
	if len(pictures) > 0 {
		if seen, err = s.seal(pictures); err != nil {
			return err
		}
	}
	who := addressesOf(in, r)
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		n, err := tx.Exec(`update shield_report set reading_ref=$1, pictures_ref=$2, warnings=$3 where id=$4`, read.Ref, seen.Ref, len(r.Warnings), id)
		if err != nil || n == 0 {
			return err
		}
		if err := s.blobs.Put(tx, read); err != nil {
			return err
		}
		if seen.Ref != "" {
			if err := s.blobs.Put(tx, seen); err != nil {
				return err
			}
		}
		if err := s.gatherMore(tx, id, string(in.Channel), who, finds); err != nil {
			return err
		}
		if unsure {
			if _, err := tx.Exec(`update shield_picture set state='person', claimed_until=0 where report=$1`, id); err != nil {
				return err
			}
			return s.settle(tx, id, false)
		}
		return s.donePicture(tx, id, "for_a_person")
	})
}

// seal packs v for the store.
func (s *Shield) seal(v any) (blob.Sealed, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return blob.Sealed{}, err
	}
	return s.blobs.Seal(b)
}

// gatherMore links what was not yet linked to a report. who are addresses of the
// reporter.
func (s *Shield) gatherMore(tx *store.Tx, id, channel string, who []string, finds []found) error {
	var dkim string
	if err := tx.Row(`select dkim from shield_report where id=$1`, id).Scan(&dkim); err != nil {
		return err
	}
	quiet, err := s.overQuota(tx, dkim)
	if err != nil {
		return err
	}
	var cases []string
	for _, f := range finds {
		var have int64
		if err := tx.Row(`select count(*) from shield_link l join shield_observable o on o.id=l.observable where l.report=$1 and o.value=$2`, id, f.value).Scan(&have); err != nil {
			return err
		}
		if have > 0 {
			continue
		}
		f.channel, f.who = channel, who
		c, err := s.gather(tx, s.guard.rules(), id, f, quiet)
		if err != nil {
			return err
		}
		if c != "" {
			cases = append(cases, c)
		}
	}
	if len(cases) > 0 {
		s.facts.Append(tx, bolwerk.Rule("reader"), fact.ReportRead, id, fact.Read{State: "read", Cases: cases})
	}
	return nil
}

// donePicture ends the wait of a report's pictures. A report of which nothing was
// linked had no address, and none is what came of it then.
func (s *Shield) donePicture(tx *store.Tx, id, none string) error {
	if _, err := tx.Exec(`delete from shield_picture where report=$1`, id); err != nil {
		return err
	}
	if _, err := tx.Exec(`update shield_report set state='no_observable', outcome=$2 where id=$1 and state='read' and outcome='waiting'
		and not exists (select 1 from shield_link where report=$1)`, id, none); err != nil {
		return err
	}
	return s.settle(tx, id, false)
}

// bodyOf is a report as it was handed in.
func (s *Shield) bodyOf(ctx context.Context, id string) ([]byte, door.Report, error) {
	var b []byte
	err := s.db.Read(ctx, func(tx *store.Tx) error {
		var ref string
		err := tx.Row(`select body_ref from shield_report where id=$1`, id).Scan(&ref)
		if store.None(err) {
			return bolwerk.NotFound("no report %s", id)
		}
		if err == nil {
			b, err = s.blobs.Read(tx, ref)
		}
		return err
	})
	if err != nil {
		return nil, door.Report{}, err
	}
	in, err := door.DecodeReport(b)
	return in.Body, in, err
}

func taskOf(f door.Form) reading.Task {
	switch f {
	case door.Text:
		return reading.ReadText
	case door.Link:
		return reading.ReadLink
	}
	return reading.ReadMail
}

// PicturesOf are the pictures of a report that were put before a person, while
// they are kept.
func (s *Shield) PicturesOf(ctx context.Context, report string) (all []reading.Picture, err error) {
	err = s.kept(ctx, "pictures_ref", report, &all)
	return all, err
}

// PictureLook is a report whose pictures wait for a person.
type PictureLook struct {
	Report   string
	Received time.Time
	Read     reading.Result
	Pictures []reading.Picture
	Gone     bool // they are no longer kept
	Waiting  int  // with it; not counted beyond 1,000
}

// guess is what a machine read first, for a person to mend.
func (l *PictureLook) guess() string {
	if l != nil {
		for _, p := range l.Pictures {
			if len(p.Guesses) > 0 {
				return p.Guesses[0].Text
			}
		}
	}
	return ""
}

// NextPicture is the report that has waited longest for a person to look at its
// pictures, behind after where there is one; nil where none waits.
func (s *Shield) NextPicture(ctx context.Context, after string) (*PictureLook, error) {
	l, err := s.lookPicture(ctx, "p.report>$1", after)
	if errors.Is(err, bolwerk.ErrNotFound) { // all others were skipped
		l, err = s.lookPicture(ctx, "p.report>$1", "")
	}
	if errors.Is(err, bolwerk.ErrNotFound) {
		return nil, nil
	}
	return l, err
}

// PictureLook is one report whose pictures wait for a person.
func (s *Shield) PictureLook(ctx context.Context, report string) (*PictureLook, error) {
	return s.lookPicture(ctx, "p.report=$1", report)
}

func (s *Shield) lookPicture(ctx context.Context, which, report string) (*PictureLook, error) {
	var l PictureLook
	err := s.db.Read(ctx, func(tx *store.Tx) error {
		var waiting, at int64
		if err := tx.Row(`select count(*) from (select 1 from shield_picture where state='person' limit 1000) x`).Scan(&waiting); err != nil {
			return err
		}
		err := tx.Row(`select p.report,r.received_at from shield_picture p join shield_report r on r.id=p.report where p.state='person' and `+which+` order by p.report limit 1`, report).Scan(&l.Report, &at)
		if store.None(err) {
			return notWaiting(report)
		}
		l.Received, l.Waiting = store.Time(at), int(waiting)
		return err
	})
	if err != nil {
		return nil, err
	}
	if l.Read, err = s.Reading(ctx, l.Report); err == nil {
		l.Pictures, err = s.PicturesOf(ctx, l.Report)
	}
	if errors.Is(err, bolwerk.ErrNotFound) {
		l.Gone, err = true, nil
	}
	return &l, err
}

func notWaiting(report string) error {
	return bolwerk.WithHint(bolwerk.NotFound("no picture of report %s waits: another person was faster", report), "go on with the next one under Pictures")
}

// TypePicture says what a person read in the pictures of a report: an address,
// or nothing that leads anywhere. An address goes on as if it had been read.
func (s *Shield) TypePicture(ctx context.Context, by bolwerk.Actor, report, address string) error {
	address = strings.TrimSpace(address)
	var finds []found
	if address != "" {
		if len(address) > reading.MaxURLBytes {
			return bolwerk.Invalid("an address of %d bytes: at most %d", len(address), reading.MaxURLBytes)
		}
		r := reading.Link(address)
		if r.Kind != reading.SingleURL {
			return bolwerk.Invalid("%q is no address: type it as it stands in the picture", address)
		}
		r.URLs[0].Via = []string{"image", "typed"}
		if finds = s.find(s.guard.rules(), r); len(finds) == 0 {
			return bolwerk.Invalid("%q is no address that can be blocked", address)
		}
	}
	who, err := s.addressesOf(ctx, report)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		var channel string
		err := tx.Row(`select r.channel from shield_picture p join shield_report r on r.id=p.report where p.report=$1 and p.state='person'`, report).Scan(&channel)
		if store.None(err) {
			return notWaiting(report)
		}
		if err != nil {
			return err
		}
		if err := s.gatherMore(tx, report, channel, who, finds); err != nil {
			return err
		}
		said := "nothing"
		if len(finds) > 0 {
			said = "address"
		}
		audit.Append(tx, by, "shield.picture.read", report, "", map[string]string{"said": said})
		return s.donePicture(tx, report, "seen")
	})
}

// addressesOf are the addresses of the reporter of a report, while they are kept.
func (s *Shield) addressesOf(ctx context.Context, report string) ([]string, error) {
	_, in, err := s.bodyOf(ctx, report)
	if err != nil {
		return nil, ignoreGone(err)
	}
	var r reading.Result
	if err := s.kept(ctx, "reading_ref", report, &r); err != nil {
		return nil, ignoreGone(err)
	}
	return addressesOf(in, r), nil
}

// PictureOf is one picture of a report as it is shown: a JPEG; or the crop of one
// of its guesses, a PNG.
func (s *Shield) PictureOf(ctx context.Context, report string, n, guess int) (b []byte, kind string, err error) {
	all, err := s.PicturesOf(ctx, report)
	if err != nil {
		return nil, "", err
	}
	if n < 0 || n >= len(all) {
		return nil, "", bolwerk.NotFound("report %s has no picture %d", report, n)
	}
	p := all[n]
	if guess < 0 {
		return p.Show, "image/jpeg", nil
	}
	if guess >= len(p.Guesses) || len(p.Guesses[guess].Crop) == 0 {
		return nil, "", bolwerk.NotFound("picture %d of report %s has no guess %d", n, report, guess)
	}
	return p.Guesses[guess].Crop, "image/png", nil
}
