package door

import (
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/recent"
)

// What the desk has not told of yet.
const (
	keepIssued = 48 * time.Hour // as long as the spool keeps what it handed in
	maxIssued  = 1 << 16
)

// issued are the receipts that this process gave, until the desk tells of them.
type issued struct {
	mu sync.Mutex
	w  recent.Window[Receipt]
}

func (i *issued) add(now time.Time, code bolwerk.Token, r Receipt) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.w.Set(now, recent.KeyOf(code.Hash()), r)
}

func (i *issued) find(now time.Time, code bolwerk.Token) (Receipt, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.w.Find(now, recent.KeyOf(code.Hash()))
}
