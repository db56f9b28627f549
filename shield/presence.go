package shield

import (
	"slices"
	"sync"
	"time"
)

// presence remembers who has a case open, so that two people do not work on the
// same one without knowing it. It is a hint in this process's memory: it keeps
// nobody from deciding, and a second desk has its own.
type presence struct {
	mu   sync.Mutex
	here map[string]map[string]time.Time // case -> log-in name -> last sign
}

// A sign of life is good for this long; the page gives one every 15 seconds.
const presentFor = time.Minute

// maxPresent bounds the cases that are remembered.
const maxPresent = 1000

// see notes that somebody looks at a case and gives who else does.
func (p *presence) see(id, login string, now time.Time) (others []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.here == nil || len(p.here) > maxPresent {
		p.here = map[string]map[string]time.Time{}
	}
	if p.here[id] == nil {
		p.here[id] = map[string]time.Time{}
	}
	p.here[id][login] = now
	for who, at := range p.here[id] {
		switch {
		case now.Sub(at) > presentFor:
			delete(p.here[id], who)
		case who != login:
			others = append(others, who)
		}
	}
	slices.Sort(others)
	return others
}

// leave forgets that somebody looks at a case: he has decided it.
func (p *presence) leave(id, login string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if delete(p.here[id], login); len(p.here[id]) == 0 {
		delete(p.here, id)
	}
}
