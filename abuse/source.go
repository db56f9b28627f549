package abuse

import (
	"bolwerk/abuse/door"
	"bolwerk/abuse/reading"
	"bolwerk/internal/mail"
)

// named says that a report came from a named source: one whose word the operator takes.
// Rules act on nothing else. Everybody can write a report, with any reporter in it, and a
// stranger's must not put a line of the stranger's choice into quarantine.
//
// Named are files, which the desk was given or fetched itself from the clearing house,
// and mails of a configured feed whose sender is proved: by the operator's own mail
// server, which found that DMARC passes, or because it handed the mail in and refuses
// those that fail.
func (d *Desk) named(in door.Report, o *reading.Outer) bool {
	if in.Channel == door.ByFile {
		return true
	}
	if in.Channel != door.ByMail || o == nil || len(o.From) != 1 {
		return false
	}
	from, err := mail.ParseAddress(o.From[0])
	if err != nil || d.cfg.feedFrom(from) == "" {
		return false
	}
	proved, _ := mail.Proved(o.Auth, d.p.AuthservIDs, from)
	return proved || in.OwnNetwork
}
