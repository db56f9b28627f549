package who

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

func parseAddr(s string) (netip.Addr, error) { return netip.ParseAddr(s) }

// Resolve answers who had an address. It is for rules: what a person asks goes
// through Ask, which notes it. A question without a skew gets the configured one.
func (w *Who) Resolve(ctx context.Context, q session.Question) (a session.Answer, err error) {
	start := time.Now()
	err = w.db.Read(ctx, func(tx *store.Tx) (err error) { a, err = w.resolve(tx, q); return err })
	w.m.looked(a, err, time.Since(start))
	return a, err
}

// question is q as it is asked.
func (w *Who) question(q session.Question) (session.Question, error) {
	if !q.Addr.IsValid() || q.Addr.Zone() != "" {
		return q, bolwerk.Invalid("who had an address: an address is needed")
	}
	if q.Skew <= 0 {
		q.Skew = w.cfg.Skew.D()
	}
	q.Skew = min(q.Skew, maxSkew)
	q.At = q.At.UTC().Truncate(time.Microsecond)
	return q, nil
}

func (w *Who) resolve(tx *store.Tx, q session.Question) (session.Answer, error) {
	q, err := w.question(q)
	if err != nil {
		return session.Answer{}, err
	}
	return w.answer(tx, q, nil)
}

// answer answers a question as question gave it. What is held of its address is
// known, or nil: then it is read.
func (w *Who) answer(tx *store.Tx, q session.Question, of *known) (session.Answer, error) {
	var failed error
	more := false
	found := map[netip.Addr][]session.Held{} // many blocks of ports lead to one inside
	if of != nil {
		found[of.addr], more = of.held, of.more
	}
	a := session.Resolve(q, w.cfg.policy(), func(addr netip.Addr) []session.Held {
		held, ok := found[addr]
		if !ok && failed == nil {
			var cut bool
			held, cut, failed = w.find(tx, addr, q)
			more = more || cut
			found[addr] = held
		}
		return held
	})
	if failed != nil {
		return session.Answer{}, failed
	}
	switch {
	case q.At.After(tx.Now().Add(q.Skew)):
		a.Why = append(a.Why, session.Ahead)
	case q.At.Before(w.cutoff(tx.Now())):
		a.Why = append(a.Why, session.Forgotten)
	}
	if more && !slices.Contains(a.Why, session.More) {
		a.Why = append(a.Why, session.More)
	}
	return a, nil
}

// maxSkew bounds what a question may reach over.
const maxSkew = 24 * time.Hour

// find gives the rows that cover an address in the window of q. It is one statement:
// the way to the database and back costs more than what is read.
func (w *Who) find(tx *store.Tx, addr netip.Addr, q session.Question) (out []session.Held, more bool, err error) {
	shapes, err := w.shapesOf(tx)
	if err != nil {
		return nil, false, err
	}
	port := int(q.Port)
	if addr != q.Addr.Unmap() {
		port = 0 // behind a translator
	}
	text := around{args: []any{store.Micros(q.At.Add(-q.Skew)), store.Micros(q.At.Add(q.Skew)), maxRows}}
	for _, s := range shapes {
		p, ok := s.around(addr)
		if !ok {
			continue
		}
		first, last := 0, 0 // all ports: the block begins with 0
		if s.ports != allPorts {
			if last = port; port == 0 {
				last = allPorts
			} else if first = port - s.ports + 1; first < 0 {
				first = 0
			}
		}
		text.add(netKey(p), first, last, s.ports)
	}
	var some, found []row
	if text.parts != nil {
		if some, err = store.List(tx, scanSealed, strings.Join(text.parts, " union all "), text.args...); err != nil {
			return nil, false, err
		}
	}
	seen, of := map[string]bool{}, map[shape]int{}
	for _, r := range some {
		s := shape{r.Prefix.Bits(), int(r.Ports.Last) - int(r.Ports.First)}
		of[s]++
		more = more || of[s] >= maxRows
		if k := r.key(); !seen[k] {
			seen[k] = true
			found = append(found, r)
		}
	}
	if port == int(q.Port) && addr == q.Addr.Unmap() {
		out = w.ruled(addr, q.Port)
	}
	return w.revealed(tx, found, out, more)
}

// ruled is what translators that calculate say of an address.
func (w *Who) ruled(addr netip.Addr, port uint16) (out []session.Held) {
	for _, r := range w.cfg.NATRules {
		out = append(out, r.Held(addr, port, session.MaxCandidates+1)...)
	}
	return out
}

// key tells the rows of an answer apart.
func (r row) key() string {
	return fmt.Sprint(r.Prefix, r.Ports, r.Start.UnixMicro(), r.NAS, "/", r.Session)
}

// shapesOf are the lengths of prefixes and sizes of blocks that occur.
func (w *Who) shapesOf(tx *store.Tx) ([]shape, error) {
	return store.List(tx, func(scan func(...any) error) (s shape, err error) { err = scan(&s.bits, &s.ports); return s, err }, `select bits,ports from abuse_shape order by bits desc, ports`)
}

// around is the prefix of that length around an address; false where there is none.
func (s shape) around(addr netip.Addr) (netip.Prefix, bool) {
	low := 0
	if addr.Is4() {
		low = 96
	}
	if s.bits < low || s.bits-low > addr.BitLen() {
		return netip.Prefix{}, false
	}
	p, err := addr.Prefix(s.bits - low)
	return p, err == nil
}

// around is the statement that reads the rows of some prefixes. Its first arguments
// are the window and how many rows of a prefix there may be.
type around struct {
	parts []string
	args  []any
}

// add reads the rows of one prefix that may have been held in the window; the last
// one before it, which ends what has no Stop; and the next ones behind it, of which
// nobody may have told when they began. A row may be there twice.
func (a *around) add(net []byte, first, last, ports int) {
	n := len(a.args)
	a.args = append(a.args, net, first)
	block := fmt.Sprintf(`h.net=$%d and h.port=$%d`, n+1, n+2)
	if first != last {
		a.args = append(a.args, last, ports-1)
		block = fmt.Sprintf(`h.net=$%d and h.port>=$%d and h.port<=$%d and h.last_port-h.port=$%d`, n+1, n+2, n+3, n+4)
	}
	for _, when := range []string{
		`h.start<=$2 and h.until>=$1 order by h.start desc limit $3`,
		`h.start<$1 and h.ended<>'fixed' order by h.start desc limit 1`,
		`h.start>$2 and h.ended<>'fixed' order by h.start limit 64`,
	} {
		a.parts = append(a.parts, fmt.Sprintf(`select * from (select %s,i.identity_sealed from abuse_held h left join abuse_identity i on i.id=h.who where %s and %s) p%d`,
			columns, block, when, len(a.parts)))
	}
}

// revealed opens who the rows belong to, and ends those whose access server began anew.
func (w *Who) revealed(tx *store.Tx, found []row, out []session.Held, more bool) ([]session.Held, bool, error) {
	held, err := w.opener(tx)(found)
	return append(out, held...), more, err
}

// opener reveals the rows of many answers: each identity is opened once, and each
// access server asked about once.
func (w *Who) opener(tx *store.Tx) func([]row) ([]session.Held, error) {
	restarts := map[string][]time.Time{}
	people := map[string]session.Identity{}
	return func(found []row) (out []session.Held, err error) {
		for i := range found {
			r := &found[i]
			if r.sealed != nil {
				who, ok := people[r.who]
				if !ok {
					if who, err = w.reveal(r.sealed); err != nil && !errors.Is(err, bolwerk.ErrNotFound) {
						return nil, err
					}
					people[r.who] = who
				}
				r.Identity = who
			}
			if r.Ended == session.Open && r.NAS != "" {
				at, ok := restarts[r.NAS]
				if !ok {
					if at, err = pending(tx, r.NAS); err != nil {
						return nil, err
					}
					restarts[r.NAS] = at
				}
				for _, t := range at {
					if !t.Before(r.Seen) {
						r.Ended, r.Until = session.Restarted, t
						break
					}
				}
			}
			out = append(out, r.Held)
		}
		return out, nil
	}
}

// pending are the restarts of an access server whose sessions are not ended yet.
func pending(tx *store.Tx, nas string) ([]time.Time, error) {
	return store.List(tx, func(scan func(...any) error) (time.Time, error) {
		var at int64
		err := scan(&at)
		return store.Time(at), err
	}, `select at from abuse_restart where nas=$1 and not done order by at`, nas)
}
