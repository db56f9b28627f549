package edge

import (
	"encoding/json"
	"time"

	"bolwerk"
)

// What an edge hands in to the desk.
const (
	KindHits   = "shield.hits"
	KindAppeal = "shield.appeal"
	KindPass   = "shield.pass"
)

// Hits is a roll-up: absolute counts of one edge, since one of its starts, in
// one bucket of five minutes. Handing it in again changes nothing.
type Hits struct {
	Boot   string    `json:"boot"`   // random, new at each start
	Bucket time.Time `json:"bucket"` // begin of the five minutes, UTC
	Counts []Count   `json:"counts"`
}

// Count is what happened to one block. None of these are persons.
type Count struct {
	Block string `json:"block"`
	DNS   uint64 `json:"dns_hits,omitempty"`     // answers from the policy
	Page  uint64 `json:"page_views,omitempty"`   // requests to the warning page
	TLS   uint64 `json:"tls_attempts,omitempty"` // connections whose SNI was the name; no handshake
}

// maxCounts bounds one roll-up; a larger one is split.
const maxCounts = 5000

// DecodeHits reads a roll-up.
func DecodeHits(p []byte) (Hits, error) {
	var h Hits
	if err := json.Unmarshal(p, &h); err != nil {
		return h, bolwerk.Invalid("roll-up of hits: %v", err)
	}
	if h.Boot == "" || len(h.Boot) > 64 || h.Bucket.IsZero() || len(h.Counts) > maxCounts {
		return h, bolwerk.Invalid("roll-up of hits: boot, bucket or count out of bounds")
	}
	for _, c := range h.Counts {
		if c.Block == "" || len(c.Block) > 64 || c.DNS > 1<<53 || c.Page > 1<<53 || c.TLS > 1<<53 {
			return h, bolwerk.Invalid("roll-up of hits: a count out of bounds")
		}
	}
	return h, nil
}

// Appeal is "this is a mistake", from the warning page or the public site.
type Appeal struct {
	Receipt string         `json:"receipt"` // hash of the code that the appellant holds
	Name    bolwerk.Domain `json:"name"`
	Block   string         `json:"block,omitempty"` // public reference shown on the page
	Role    string         `json:"role"`            // owner or visitor
	Text    string         `json:"text"`
	Contact string         `json:"contact,omitempty"`
	At      time.Time      `json:"at"`
}

// Bounds of an appeal, in bytes.
const (
	MaxAppealText    = 2000
	MaxAppealContact = 254
)

// DecodeAppeal reads an appeal.
func DecodeAppeal(p []byte) (Appeal, error) {
	var a Appeal
	if err := json.Unmarshal(p, &a); err != nil {
		return a, bolwerk.Invalid("appeal: %v", err)
	}
	switch {
	case len(a.Receipt) != 64, a.Name.IsZero():
		return a, bolwerk.Invalid("appeal without a receipt or a name")
	case a.Role != "owner" && a.Role != "visitor":
		return a, bolwerk.Invalid("appeal by %q: want owner or visitor", a.Role)
	case len(a.Text) > 4*MaxAppealText || len(a.Contact) > MaxAppealContact || len(a.Block) > 64:
		return a, bolwerk.Invalid("appeal longer than a form takes")
	}
	return a, nil
}

// Pass is a name that somebody let pass at the edge itself.
type Pass struct {
	Name  bolwerk.Domain `json:"name"`
	Until time.Time      `json:"until"`
	At    time.Time      `json:"at"`
}

// DecodePass reads a Pass.
func DecodePass(b []byte) (Pass, error) {
	var p Pass
	if err := json.Unmarshal(b, &p); err != nil || p.Name.IsZero() {
		return p, bolwerk.Invalid("pass without a name")
	}
	return p, nil
}
