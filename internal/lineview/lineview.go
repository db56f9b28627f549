// Package lineview is the wire of the copy "views": which prefix has which DNS view
// just now. The desk writes it, edges read it.
package lineview

import (
	"encoding/json"
	"net/netip"
	"time"

	"bolwerk"
	"bolwerk/internal/copy"
)

// Copy is what edges follow. Its entries are named by prefixes, and Alive.
const Copy = "views"

// Alive is the entry that says until when it is known that access servers tell who
// has which address. Once it is over, an edge gives nobody a view by session.
const Alive = "alive"

// The views that a line can have.
const (
	Default      = "default"       // the operator's own blocks, and orders
	OptOut       = "opt_out"       // orders alone
	OptIn        = "opt_in"        // also what is blocked only for those who ask for it
	GardenLeaky  = "garden_leaky"  // in quarantine: as Default, and devices show the page of the safe environment by themselves
	GardenStrict = "garden_strict" // in quarantine: names of the allow list alone
)

// Line is the body of an entry.
type Line struct {
	Prefix netip.Prefix `json:"prefix"`
	View   string       `json:"view"`
}

// Entry is l as an entry of the copy, until then.
func (l Line) Entry(version int64, until time.Time) (copy.Entry, error) {
	body, err := json.Marshal(l)
	return copy.Entry{ID: l.Prefix.String(), Version: version, Until: until.UnixMicro(), Body: body}, err
}

// Parse reads the body of an entry that is a line. What its view is called is left to
// who reads it.
func Parse(e copy.Entry) (l Line, err error) {
	if err := json.Unmarshal(e.Body, &l); err != nil {
		return l, bolwerk.Invalid("entry of a line: %v", err)
	}
	return l, nil
}

// Sign is the entry Alive, until then.
func Sign(version int64, until time.Time) copy.Entry {
	return copy.Entry{ID: Alive, Version: version, Until: until.UnixMicro(), Body: json.RawMessage(`{}`)}
}
