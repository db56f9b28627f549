package inform

import (
	"context"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/notice"
	"bolwerk/abuse/reading"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
)

// A return path is that of abuse.inform.bounce with a tag: which message it is of, the
// day on which it was made, and a MAC over both. So nobody but who had the mail can say
// that it came back, and not for ever.
const (
	markBounce = "abuse.bounce"
	// bounceDays is how long a mail may come back: servers give up after some five days
	// (RFC 5321 section 4.5.4.1).
	bounceDays = 14
	tagBytes   = 16 + 2 + 10         // id, day, MAC
	maxLocal   = 64 - 1 - 45         // of the address: with +tag it has 64 octets (RFC 5321 section 4.5.3.1.1)
	dayLength  = 24 * 60 * 60 * 1000 // ms
)

var tagText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// returnPath is where a message comes back to; zero: nowhere, and no bounce is asked for.
func (d *Desk) returnPath(id string, at time.Time) (mail.Address, error) {
	if d.cfg.Bounce.IsZero() {
		return mail.Address{}, nil
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	if err != nil || len(raw) != 16 {
		return mail.Address{}, bolwerk.Invalid("message %.60q: no return path for such an id", id)
	}
	raw = binary.BigEndian.AppendUint16(raw, uint16(at.UnixMilli()/dayLength))
	mark, err := d.p.Keys.Mark(markBounce, string(raw))
	if err != nil {
		return mail.Address{}, err
	}
	mac, err := hex.DecodeString(mark[:20])
	if err != nil {
		return mail.Address{}, err
	}
	return mail.ParseAddress(d.cfg.Bounce.Local() + "+" + tagText.EncodeToString(append(raw, mac...)) + "@" + d.cfg.Bounce.Domain().String())
}

// bounced is of which message an address is the return path; "" for one that is forged,
// or too old.
func (d *Desk) bounced(address string) (id string, err error) {
	_, tag, _ := strings.Cut(strings.ToLower(address[:max(0, strings.LastIndexByte(address, '@'))]), "+")
	raw, err := tagText.DecodeString(tag)
	if err != nil || len(raw) != tagBytes {
		return "", nil
	}
	body, mac := raw[:18], hex.EncodeToString(raw[18:])
	age := d.p.Clock.Now().UnixMilli()/dayLength - int64(binary.BigEndian.Uint16(body[16:]))
	marks, err := d.p.Keys.Marks(markBounce, string(body))
	if err != nil {
		return "", err
	}
	for _, m := range marks {
		if subtle.ConstantTimeCompare([]byte(m[:20]), []byte(mac)) == 1 && age >= 0 && age <= bounceDays {
			h := hex.EncodeToString(body[:16])
			return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-"), nil
		}
	}
	return "", nil
}

// noAddress says that a status is about the address: it is wrong, has moved, or its mailbox
// is disabled (RFC 3463 sections 3.2 and 3.3; 5.1.7 and 5.1.8 are about the sender's). A policy that refused us (5.7.x) or a full
// mailbox says nothing of the next mail: one bad day of our own servers marks nobody.
func noAddress(status string) bool {
	return strings.HasPrefix(status, "5.1.") && status != "5.1.7" && status != "5.1.8" || status == "5.2.1"
}

// Bounced takes a mail that came to a return path: to are the addresses that it may have
// come to. One whose tag is not ours, or whose message is not on its way, changes nothing.
// A message that failed goes the next way, whatever its status: who reports a failure
// tries no more (RFC 3464 section 2.3.3). A status that is the address's own fault marks
// it as one that does not work.
func (d *Desk) Bounced(ctx context.Context, to []string, b reading.Bounce) error {
	id := ""
	for _, a := range to {
		var err error
		if id, err = d.bounced(a); err != nil {
			return err
		}
		if id != "" {
			break
		}
	}
	what := func(w string) error { d.count.bounces.WithLabelValues(w).Inc(); return nil }
	switch {
	case id == "":
		return what("forged")
	case b.Action == "delayed":
		return what("delayed")
	case b.Action != "failed":
		return what("other")
	}
	did := "late"
	err := d.p.DB.Write(ctx, store.Intake, func(tx *store.Tx) error {
		did = "late"
		m, err := d.message(tx, id)
		if err != nil || m.State != "sent" && m.State != "waiting" || m.Channel != notice.Mail && m.Channel != notice.XARF {
			return err
		}
		did = "failed"
		c, err := d.p.Cases.About(tx, m.Case)
		if err != nil {
			return err
		}
		by := bolwerk.Rule("abuse")
		if noAddress(b.Status) {
			e, err := d.p.Book.Find(tx, c.Who)
			if err == nil {
				address := e.Mail
				if m.Channel == notice.XARF {
					address = e.AbuseMail
				}
				err = d.p.Book.CameBack(tx, address, b.Status)
			}
			if err != nil && !isNotFound(err) {
				return err
			}
		}
		if err := d.p.Cases.Say(tx, c.ID, "step", by, "mail_back:"+b.Status, ""); err != nil {
			return err
		}
		return d.set(tx, id, "failed", "bounced")
	})
	if isNotFound(err) { // its case is forgotten
		return what("late")
	}
	if err != nil {
		return err
	}
	return what(did)
}
