package inform

import (
	"time"

	"bolwerk"
	"bolwerk/abuse/notice"
	"bolwerk/internal/mail"
)

// Outcome is the mail to somebody who reported, with what became of the reports; id
// names it. It has the null return path and says that a program wrote it (RFC 3834),
// so that nothing answers it.
func (d *Desk) Outcome(id string, to mail.Address, lang bolwerk.Lang, all []notice.Outcome, at time.Time) mail.Message {
	t := d.w.Outcomes(lang, all)
	return mail.Message{ID: mailID(id), From: d.cfg.From, FromName: d.p.Operator, To: to, Subject: t.Subject, Body: t.Body, Lang: lang, Date: at, Automatic: true}
}
