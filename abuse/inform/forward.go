package inform

import (
	"errors"

	"bolwerk"
	"bolwerk/abuse/notice"
	"bolwerk/abuse/reading"
	"bolwerk/internal/store"
)

// maxForwarded is how many events of one case a reseller gets in a day; the rest stays
// in the case.
const maxForwarded = 500

// Forward hands an event about a reseller's line on to the reseller's abuse mailbox, as
// XARF in a mail: each event once. For other lines it does nothing.
func (d *Desk) Forward(tx *store.Tx, caseID, event string, l Letter) error {
	flags, err := d.p.Book.Flags(tx, l.Who)
	if err != nil || !flags.Reseller {
		return err
	}
	l.Case, l.Kind, l.By = caseID, forwarded, bolwerk.Rule("abuse")
	var lately int64
	if err := tx.Row(`select count(*) from abuse_message where case_id=$1 and kind='forwarded' and made_at>$2`, caseID, tx.NowMicros()-24*3600*1e6).Scan(&lately); err != nil || lately >= maxForwarded {
		return err
	}
	entry, err := d.p.Book.Find(tx, l.Who)
	why := ""
	switch {
	case errors.Is(err, bolwerk.ErrNotFound), err == nil && entry.AbuseMail == "":
		why = "no_contact"
	case err == nil && entry.MailBack != "":
		why = "bounced" // not used for a while; what comes meanwhile stays in the case
	}
	if why != "" {
		var have int64 // it is said once that nobody can be told
		if err := tx.Row(`select count(*) from abuse_message where case_id=$1 and state='unreachable' and made_at>$2`, caseID, store.Micros(tx.Now().Add(-oncePer))).Scan(&have); err != nil || have > 0 {
			return err
		}
		_, err := d.unreachable(tx, l, why)
		return err
	}
	if err != nil {
		return err
	}
	e, err := d.p.Cases.Event(tx, event)
	if errors.Is(err, bolwerk.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := d.p.Cases.About(tx, caseID)
	if err != nil {
		return err
	}
	l.Class = c.Class
	report, err := reading.ToXARF(e, reading.Party{Org: d.p.Operator, Contact: d.cfg.From.String(), Domain: d.cfg.From.Domain().String()}, event)
	if err != nil {
		if errors.Is(err, bolwerk.ErrInvalid) {
			d.p.Log.Warn("an event cannot be forwarded to a reseller", "case", c.Ref, "event", event, "err", err)
			return nil
		}
		return err
	}
	lang := d.langOf(entry)
	_, err = d.add(tx, l, notice.XARF, lang, "", event, d.w.Forwarded(lang, c.Ref, c.Class, report))
	return err
}
