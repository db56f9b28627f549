package edge

import (
	"encoding/json"
	"time"

	"bolwerk"
	"bolwerk/internal/copy"
	"bolwerk/shield/aid"
)

// Rule is one entry of the copy "blocks": what the edge does with a name. The
// desk writes it (shield/publish.go), the edge reads it, and the RPZ zones are
// made from the same. It holds nothing personal.
type Rule struct {
	// Block is the public reference of the block or exemption, such as
	// "B-2026-000147". It is safe to show.
	Block string         `json:"block"`
	Name  bolwerk.Domain `json:"name"`
	Scope bolwerk.Scope  `json:"scope"`
	// WWW is set where the scope is host and Name is a registrable domain:
	// "www." + Name is taken too.
	WWW bool `json:"www,omitempty"`
	// Pass makes the rule an exemption: it wins over every block.
	Pass   bool   `json:"pass,omitempty"`
	Action Action `json:"action,omitempty"`
	// Ground says which extended DNS error goes out (RFC 8914): own policy 15,
	// order 16, asked for by the customer 17; 4 wherever an address is answered.
	Ground Ground `json:"ground,omitempty"`
	Class  string `json:"class,omitempty"` // phishing, fake_shop, malware, scam: which text the page shows
	Brand  string `json:"brand,omitempty"` // imitated brand, shown on the page; may be empty
	By     string `json:"by,omitempty"`    // who decided, as the public may see it: the operator, or an issuer
	// Since is when the block came into force.
	Since time.Time `json:"since,omitzero"`
	// Until is when it ends by itself; it equals the entry's Until.
	Until time.Time `json:"until,omitzero"`
	// Compromised lets MX, TXT and NS of a hacked site's name pass at our edge.
	Compromised bool `json:"compromised,omitempty"`
	// Suspicious is set where the rules were not sure and a person decided.
	Suspicious bool `json:"suspicious,omitempty"`
	// AskedFor is what the site is known to ask visitors for.
	AskedFor aid.Set `json:"asked_for,omitempty"`
	// FeedOnly is set on the passthru entries that undo a withdrawn block at
	// resolvers that still hold an old zone. Our own edges skip such an entry.
	FeedOnly bool `json:"feed_only,omitempty"`
	// Pulse is set on the desk's own name that shows how long the way of a block
	// takes: see Turn. Nobody counts it.
	Pulse bool `json:"pulse,omitempty"`
}

// Action is what the resolver answers for a blocked name.
type Action string

// The actions. Redirect answers the warning page's addresses for A and AAAA and
// NODATA for every other type.
const (
	Redirect Action = "redirect"
	NXDomain Action = "nxdomain"
	NoData   Action = "nodata"
)

// Ground is the kind of legal ground.
type Ground string

// The grounds.
const (
	OwnPolicy Ground = "policy"
	ByOrder   Ground = "order"
	Requested Ground = "requested"
)

// Covers says whether the rule catches q.
func (r Rule) Covers(q bolwerk.Domain) bool { return r.Scope.Covers(r.Name, q, r.WWW) }

// Entry packs the rule as an entry of the copy under id with version.
func (r Rule) Entry(id string, version int64) copy.Entry {
	body, err := json.Marshal(r)
	if err != nil {
		panic(err) // only strings and times: cannot fail
	}
	e := copy.Entry{ID: id, Version: version, Body: body}
	if !r.Since.IsZero() {
		e.From = r.Since.UnixMicro()
	}
	if !r.Until.IsZero() {
		e.Until = r.Until.UnixMicro()
	}
	return e
}

// ParseRule reads the body of an entry.
func ParseRule(e copy.Entry) (Rule, error) {
	var r Rule
	if err := json.Unmarshal(e.Body, &r); err != nil {
		return Rule{}, bolwerk.Invalid("entry %s of the copy blocks: %v", e.ID, err)
	}
	if r.Name.IsZero() || !r.Scope.DNS() {
		return Rule{}, bolwerk.Invalid("entry %s of the copy blocks: no name, or scope %q", e.ID, r.Scope)
	}
	return r, nil
}
