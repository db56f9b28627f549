// Package who knows who had an address, and port, at a time: it keeps the sessions
// that sources tell, answers with candidates, and forgets them on the day.
package who

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"log/slog"
	"maps"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"bolwerk/abuse/session"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
)

//go:embed schema.sql
var schema string

// Schema is the tables of this package.
func Schema() store.Schema { return store.Schema{Name: "abuse_who", Steps: []string{schema}} }

// Who keeps sessions and answers questions. Call Run to let it forget.
type Who struct {
	cfg   Config
	db    *store.DB
	vault *vault.Vault
	clock clock.Clock
	log   *slog.Logger
	m     *Metrics

	follow []func(*store.Tx, Told) error // in the order in which they came

	mu     sync.Mutex
	known  map[string]bool // identities that are in the store
	shapes map[shape]bool  // shapes that are
}

// New keeps sessions in db. v seals who they belong to; its keys are of nothing
// else, because they are destroyed with the sessions. m may be nil.
func New(cfg Config, db *store.DB, v *vault.Vault, c clock.Clock, log *slog.Logger, m *Metrics) *Who {
	if m == nil {
		m = newMetrics()
	}
	return &Who{cfg: cfg, db: db, vault: v, clock: c, log: log, m: m, known: map[string]bool{}, shapes: map[shape]bool{}}
}

// For what the columns are sealed.
const (
	SealedIdentity = "abuse.identity"
	SealedQuestion = "abuse.question"
	SealedAnswer   = "abuse.pinned" // with the kept keys
)

const (
	openEnd  = math.MaxInt64
	maxKnown = 1 << 18 // identities remembered, 100 octets each
	maxRows  = 1000    // of one address and window
	allPorts = 65536
)

// shape is a length of prefixes and a size of port blocks that occur: a look-up asks
// for each of them.
type shape struct{ bits, ports int }

// netKey is a prefix as the store keeps it: 16 octets, an IPv4 one mapped into IPv6,
// and its length there.
func netKey(p netip.Prefix) []byte {
	a, bits := p.Masked().Addr().As16(), p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	return append(a[:], byte(bits))
}

func netOf(key []byte) netip.Prefix {
	if len(key) != 17 {
		return netip.Prefix{}
	}
	a, bits := netip.AddrFrom16([16]byte(key)), int(key[16])
	if a.Is4In6() && bits >= 96 {
		return netip.PrefixFrom(a.Unmap(), bits-96)
	}
	return netip.PrefixFrom(a, bits)
}

// sessionKey is what tells sessions apart in an index.
func sessionKey(source session.Source, nas, name string) int64 {
	h := sha256.Sum256([]byte(string(source) + "\x00" + nas + "\x00" + name))
	return int64(binary.BigEndian.Uint64(h[:]))
}

// sealed is who it is as the store keeps it: the id of the row, and the row where
// this process has not written it yet.
func (w *Who) sealed(i session.Identity) (id string, row []any, err error) {
	plain, err := json.Marshal(i)
	if err != nil {
		return "", nil, err
	}
	month := vault.Month(w.clock.Now())
	mark, err := w.vault.Mark(SealedIdentity, string(plain))
	if err != nil {
		return "", nil, err
	}
	id = month + "." + mark
	w.mu.Lock()
	known := w.known[id]
	w.mu.Unlock()
	if known {
		return id, nil, nil
	}
	sealed, err := w.vault.Seal(SealedIdentity, plain)
	if err != nil {
		return "", nil, err
	}
	about, err := w.mark(i.Who())
	return id, []any{id, month, about, sealed}, err
}

// writeIdentities keeps those that are new.
func (w *Who) writeIdentities(tx *store.Tx, all map[string][]any) error {
	if len(all) == 0 {
		return nil
	}
	ids := slices.Sorted(maps.Keys(all))
	rows := make([][]any, len(ids))
	for i, id := range ids {
		rows[i] = all[id]
	}
	tx.After(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.known)+len(ids) > maxKnown {
			clear(w.known)
		}
		for _, id := range ids {
			w.known[id] = true
		}
	})
	return store.Rows(tx, `insert into abuse_identity(id,month,about,identity_sealed)`, rows, ` on conflict(id) do nothing`)
}

// identity keeps who it is, and gives the id of the row.
func (w *Who) identity(tx *store.Tx, i session.Identity) (string, error) {
	id, row, err := w.sealed(i)
	if err != nil || row == nil {
		return id, err
	}
	return id, w.writeIdentities(tx, map[string][]any{id: row})
}

func (w *Who) reveal(sealed []byte) (i session.Identity, err error) {
	plain, err := w.vault.Open(SealedIdentity, sealed)
	if err != nil {
		return i, err
	}
	return i, json.Unmarshal(plain, &i)
}

// cutoff is before when nothing is known any more.
func (w *Who) cutoff(now time.Time) time.Time { return now.Add(-w.cfg.keep()) }

// Run forgets and tidies until ctx ends.
func (w *Who) Run(ctx context.Context) error {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	last := time.Time{}
	for {
		err := w.endRestarted(ctx)
		if now := w.clock.Now(); err == nil && now.Sub(last) >= time.Hour {
			if err = w.Forget(ctx); err == nil {
				last = now
			}
		}
		if err != nil && ctx.Err() == nil {
			w.log.Error("sessions not tidied; tried again in a while", "err", err, "alarm", true)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

const tidyEvery = 10 * time.Second
