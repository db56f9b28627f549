package app

import (
	"context"
	"encoding/json"
	"net/http"

	"bolwerk"
	"bolwerk/abuse/session"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// Held is what a file told of who has which address, at the admin socket.
type Held struct {
	Records []session.Record `json:"records"`
	// File is noted in the audit trail with the first records of it; empty: these are
	// more of the same.
	File string `json:"file,omitempty"`
}

// takeHeld keeps it; the answer is given once it is durable.
func (d *Desk) takeHeld(ctx context.Context, r *http.Request) (any, error) {
	var in Held
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, bolwerk.Invalid("import: %v", err)
	}
	if len(in.Records) > session.MaxRecords || len(in.File) > 255 {
		return nil, bolwerk.Invalid("import: %d records at once, at most %d", len(in.Records), session.MaxRecords)
	}
	for _, r := range in.Records {
		if err := r.Check(); err != nil {
			return nil, err
		}
		if r.Source != session.Lease && r.Source != session.Table {
			return nil, bolwerk.Invalid("import: source %q: a file tells of leases and of fixed lines", r.Source)
		}
	}
	if in.File != "" {
		if err := d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
			audit.Append(tx, bolwerk.Socket(), "abuse.who.import", in.File, "", nil)
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return map[string]int{"taken": len(in.Records)}, d.who.Take(ctx, in.Records)
}
