package app

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"time"

	"bolwerk"
	"bolwerk/abuse/quarantine"
	"bolwerk/internal/account"
	"bolwerk/internal/audit"
	"bolwerk/internal/hosts"
	"bolwerk/internal/job"
	"bolwerk/internal/join"
	"bolwerk/internal/store"
	"bolwerk/internal/web"
	"bolwerk/shield"
)

// admin adds to the admin socket what belongs to the whole desk: hosts, the
// audit trail, a restore that a person has looked at.
func (d *Desk) admin(accounts http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", accounts)
	route := func(pattern string, fn func(ctx context.Context, r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
			out, err := fn(r.Context(), r)
			if err != nil {
				p := web.Explain(err)
				if !p.Known() {
					d.env.Log.Error("admin socket", "path", r.URL.Path, "err", err)
				}
				p.Write(w)
				return
			}
			web.WriteJSON(w, http.StatusOK, out)
		})
	}
	route("POST /host/add", func(ctx context.Context, r *http.Request) (any, error) {
		var in struct{ Name, Role string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			return nil, bolwerk.Invalid("host add: %v", err)
		}
		role, err := join.ParseRole(in.Role)
		if err != nil {
			return nil, err
		}
		inv, err := d.authority.Invite(ctx, in.Name, role)
		if err != nil {
			return nil, err
		}
		return map[string]string{"line": inv.Line()}, nil
	})
	route("POST /abuse/who", d.whoHad)
	route("POST /abuse/view", d.setView)
	route("POST /abuse/held", d.takeHeld)
	route("GET /abuse/views", d.listViews)
	route("GET /abuse/nas", d.listAccess)
	route("POST /abuse/nas/prove", d.proveAccess)
	route("POST /privacy/export", d.exportSubject)
	route("POST /privacy/document", d.documentOf)
	route("POST /privacy/erase", d.eraseSubject)
	route("GET /privacy/holds", func(ctx context.Context, _ *http.Request) (any, error) {
		all, err := d.privacy.Holds(ctx)
		return map[string]any{"items": nonNil(all)}, err
	})
	route("POST /privacy/hold", d.placeHold)
	route("POST /privacy/hold/end", d.endHold)
	route("GET /privacy/retention", func(ctx context.Context, _ *http.Request) (any, error) { return d.retentionNow(ctx) })
	route("GET /hosts", func(ctx context.Context, _ *http.Request) (any, error) {
		all, err := d.hosts.All(ctx)
		return map[string]any{"items": nonNil(all)}, err
	})
	route("POST /host/revoke", func(ctx context.Context, r *http.Request) (any, error) {
		var in struct{ Name string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			return nil, bolwerk.Invalid("host revoke: %v", err)
		}
		return map[string]string{"state": "revoked"}, d.hosts.Revoke(ctx, bolwerk.Socket(), in.Name)
	})
	route("POST /audit/verify", func(ctx context.Context, r *http.Request) (any, error) {
		var in struct{ Seen []string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			return nil, bolwerk.Invalid("audit verify: %v", err)
		}
		n, err := audit.Verify(ctx, d.db, in.Seen)
		if err != nil {
			return nil, err
		}
		leaves, err := d.ledger.Verify(ctx)
		return map[string]any{"state": "whole", "entries": n, "leaves": leaves}, err
	})
	route("GET /restore", func(ctx context.Context, _ *http.Request) (any, error) { return d.restoreState(ctx) })
	route("POST /restore/release", func(ctx context.Context, _ *http.Request) (any, error) { return d.releaseRestore(ctx) })
	route("GET /replay", func(ctx context.Context, _ *http.Request) (any, error) {
		var all []hosts.Replayed
		err := d.db.Read(ctx, func(tx *store.Tx) (err error) { all, err = hosts.Replays(tx); return err })
		return map[string]any{"hosts": nonNil(all)}, err
	})
	route("POST /replay", func(ctx context.Context, r *http.Request) (any, error) {
		var in struct{ Since time.Time }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			return nil, bolwerk.Invalid("replay: %v", err)
		}
		return map[string]string{"state": "asked"}, d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
			audit.Append(tx, bolwerk.Socket(), "host.replay", "", "", map[string]time.Time{"since": in.Since})
			return hosts.AskReplay(tx, in.Since)
		})
	})
	return mux
}

func nonNil[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}

// restoreView is where a restore stands.
type restoreView struct {
	State string      `json:"state"` // none, asking, held
	Since time.Time   `json:"since,omitzero"`
	Items []heldEntry `json:"items"` // what only the backup knows: held back
	Jobs  int64       `json:"jobs_parked"`
}

type heldEntry struct {
	ID    string `json:"id"`
	State string `json:"state"`
	Name  string `json:"name"`
}

func (d *Desk) restoreState(ctx context.Context) (restoreView, error) {
	v := restoreView{Items: []heldEntry{}}
	var err error
	if v.State, v.Since, err = d.publish.Restoring(ctx); err != nil {
		return v, err
	}
	if v.State == "" {
		v.State = "none"
	}
	held, err := d.publish.HeldBack(ctx, shield.CopyBlocks)
	if err != nil {
		return v, err
	}
	for id, e := range held {
		var rule struct{ Name string }
		json.Unmarshal(e.Body, &rule)
		v.Items = append(v.Items, heldEntry{id, "held", rule.Name})
	}
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		c, err := job.Counts(tx)
		if v.Jobs = c["parked"]; err != nil || v.Since.IsZero() {
			return err
		}
		ended, err := quarantine.EndedBy(tx, v.Since)
		for _, q := range ended {
			v.Items = append(v.Items, heldEntry{q.ID, "let_go", q.Ref})
		}
		return err
	})
	return v, err
}

// releaseRestore publishes what was held back and lets the outside jobs go: a
// person has looked.
func (d *Desk) releaseRestore(ctx context.Context) (any, error) {
	state, _, err := d.publish.Restoring(ctx)
	if err != nil {
		return nil, err
	}
	if state == "" {
		return nil, bolwerk.Conflict("no restore waits for a person")
	}
	if state == "asking" {
		if _, err := d.publish.Reconcile(ctx, shield.CopyBlocks, d.shield.Adopt, d.shield.WithdrawnElsewhere); err != nil {
			return nil, err
		}
	}
	if err := d.settleLog(ctx, true); err != nil {
		return nil, err
	}
	var published int
	var jobs int64
	err = d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		var err error
		if published, err = d.publish.Release(tx, shield.CopyBlocks); err != nil {
			return err
		}
		if jobs, err = job.Release(tx); err != nil {
			return err
		}
		if err := d.shield.EndLost(tx); err != nil {
			return err
		}
		audit.Append(tx, bolwerk.Socket(), "store.restore.release", "", "looked at", map[string]any{"published": published, "jobs": jobs})
		return nil
	})
	return map[string]any{"state": "released", "published": published, "jobs": jobs}, err
}

// AdminCall asks the desk over its admin socket in data.
func AdminCall(ctx context.Context, data, method, path string, in, out any) error {
	return socketCall(ctx, filepath.Join(data, "desk", account.SocketName), "is the desk running, and is --data its folder?", method, path, in, out)
}
