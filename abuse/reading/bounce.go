package reading

import (
	"regexp"
	"strings"
)

// Bounce is what a delivery status notification (RFC 3464, in a multipart/report of RFC
// 6522) says of a mail of ours. The zero Bounce is of a mail that is none.
type Bounce struct {
	Action string `json:"action,omitempty"` // failed, delayed, delivered, relayed or expanded
	Status string `json:"status,omitempty"` // class.subject.detail of RFC 3463; the first of the recipients'
	// To are the addresses that the mail's own header says it came to, at most ten: where
	// it was fetched from a mailbox, the envelope is not known any more.
	To []string `json:"to,omitempty"`
}

const (
	maxBounceTo     = 10
	maxBounceGroups = 50
)

var (
	statusCode = regexp.MustCompile(`^[245]\.[0-9]{1,3}\.[0-9]{1,3}$`)
	actions    = map[string]bool{"failed": true, "delayed": true, "delivered": true, "relayed": true, "expanded": true}
)

// BounceOf reads a mail that came to a return path of ours. Where several recipients are
// told of, the first that failed counts. Of addresses and of what a server wrote in words
// nothing is kept.
func BounceOf(raw []byte) (b Bounce) {
	h, body := split(raw)
	for _, name := range []string{"x-original-to", "delivered-to", "envelope-to", "to"} {
		for _, v := range h.all(name) {
			if a := sender(v); a != "" && len(a) <= 320 && len(b.To) < maxBounceTo {
				b.To = append(b.To, a)
			}
		}
	}
	kind, params := mediaType(h.get("content-type"))
	if kind != "multipart/report" || !strings.EqualFold(params["report-type"], "delivery-status") {
		return b
	}
	for _, p := range leaves(h, body, &reader{}) {
		if p.kind != "message/delivery-status" && p.kind != "message/global-delivery-status" { // RFC 6533
			continue
		}
		rest := p.body[:min(len(p.body), 64<<10)]
		for range maxBounceGroups {
			var f header
			if f, rest = split(rest); len(f) == 0 && len(rest) == 0 {
				break
			}
			action, _, _ := strings.Cut(strings.ToLower(f.get("action")), " ")
			status, _, _ := strings.Cut(f.get("status"), " ") // a comment may follow
			if !actions[action] || !statusCode.MatchString(status) || b.Action != "" && action != "failed" {
				continue
			}
			b.Action, b.Status = action, status
			if action == "failed" {
				return b
			}
		}
		return b
	}
	return b
}
