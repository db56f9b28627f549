package reading

import (
	"bytes"
	"slices"
	"strings"
)

// Delivery is what a delivery report (RFC 3464) says became of one message.
type Delivery struct {
	// About is the Message-ID of what was sent, with its brackets; empty where the
	// report holds nothing of it.
	About string `json:"about,omitempty"`
	// Action is failed, delayed, delivered, relayed or expanded: of several
	// recipients one that failed.
	Action string `json:"action"`
	Status string `json:"status,omitempty"` // RFC 3463: 5.1.1
	Why    string `json:"why,omitempty"`    // what the other server said
}

// Failed says that the message will never arrive.
func (d *Delivery) Failed() bool {
	return d != nil && d.Action == "failed" && !strings.HasPrefix(d.Status, "4.")
}

// Bounds of a delivery report.
const (
	maxDelivery   = 64 << 10
	maxRecipients = 50
)

var actions = []string{"failed", "delayed", "delivered", "relayed", "expanded"}

// delivery reads the report of a mail that is one; nil where it says nothing.
func (m *mailbag) delivery() *Delivery {
	var d *Delivery
	about := ""
	if len(m.inner) > 0 {
		about = m.inner[0].get("message-id")
	}
	for i := range m.leaves {
		l := &m.leaves[i]
		switch {
		case l.mail != 0 || l.attached && d != nil:
		case l.kind == "message/delivery-status" || l.kind == "message/global-delivery-status":
			if found := deliveryOf(l.plain()); found != nil && (d == nil || d.Action != "failed") {
				d = found
			}
		case about == "" && (l.kind == "text/rfc822-headers" || l.kind == "message/rfc822-headers"):
			h, _ := splitHeader(l.plain(), &collector{})
			about = h.get("message-id")
		}
	}
	if d != nil {
		d.About = value(about)
	}
	return d
}

// plain is the beginning of a part as it was before it was sent.
func (l *leaf) plain() []byte {
	b, _ := decodeTransfer(l.body[:min(len(l.body), maxDelivery)], l.cte, &collector{})
	return b[:min(len(b), maxDelivery)]
}

// deliveryOf reads the fields: one block about the message, then one for each
// recipient, with blank lines between.
func deliveryOf(b []byte) (d *Delivery) {
	for range maxRecipients {
		b = bytes.TrimLeft(b, "\r\n \t")
		if len(b) == 0 {
			break
		}
		h, rest := splitHeader(b, &collector{})
		action := strings.ToLower(value(h.get("action")))
		if slices.Contains(actions, action) && (d == nil || action == "failed" && d.Action != "failed") {
			d = &Delivery{Action: action, Status: value(h.get("status")), Why: value(h.get("diagnostic-code"))}
		}
		if len(rest) >= len(b) {
			break
		}
		b = rest
	}
	return d
}
