package who

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/session"
	"bolwerk/internal/store"
)

// MaxQuestions is how many FindMany answers at once.
const MaxQuestions = 500

const (
	askedAtOnce = 64     // of one statement, a power of two: few texts, whose plans are kept
	maxFound    = 20_000 // rows of one statement; more are asked for one by one
)

// FindMany answers many questions as Resolve does each, in few statements: the answer
// to qs[i] is at i. It is for rules; what a person asks goes through Ask. A question
// that cannot be asked fails them all, so check addresses before.
func (w *Who) FindMany(ctx context.Context, qs []session.Question) (out []session.Answer, err error) {
	if len(qs) > MaxQuestions {
		return nil, bolwerk.Invalid("who had an address: %d questions at once, at most %d", len(qs), MaxQuestions)
	}
	start := time.Now()
	out = make([]session.Answer, len(qs))
	err = w.db.Read(ctx, func(tx *store.Tx) error {
		m, err := w.gather(tx, qs)
		if err != nil {
			return err
		}
		for i := range m.questions {
			if out[i], err = w.answer(tx, m.questions[i], m.known[i]); err != nil {
				return err
			}
		}
		return nil
	})
	each := time.Since(start) / time.Duration(max(len(qs), 1))
	for i := range qs {
		w.m.looked(out[i], err, each)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// many is what is known of the addresses of many questions; nil where a question is
// asked by itself.
type many struct {
	questions []session.Question
	known     []*known
}

// known is what was held of one address.
type known struct {
	addr netip.Addr
	held []session.Held
	more bool
}

// ask is one prefix, and block of ports, of one question.
type ask struct {
	of                 int // which question
	net                []byte
	first, port, ports int
	lo, hi             int64
}

func (w *Who) gather(tx *store.Tx, qs []session.Question) (m many, err error) {
	shapes, err := w.shapesOf(tx)
	if err != nil {
		return m, err
	}
	m = many{make([]session.Question, len(qs)), make([]*known, len(qs))}
	var whole, blocks []ask
	for i, q := range qs {
		if q, err = w.question(q); err != nil {
			return m, fmt.Errorf("question %d: %w", i+1, err)
		}
		m.questions[i] = q
		addr := q.Addr.Unmap()
		var mine, ported []ask
		alone := false
		for _, s := range shapes {
			p, ok := s.around(addr)
			if !ok {
				continue
			}
			a := ask{of: i, net: netKey(p), ports: s.ports, lo: store.Micros(q.At.Add(-q.Skew)), hi: store.Micros(q.At.Add(q.Skew))}
			switch {
			case s.ports == allPorts:
				mine = append(mine, a)
			case q.Port == 0: // every block of the address: by itself
				alone = true
			default:
				a.first, a.port = max(0, int(q.Port)-s.ports+1), int(q.Port)
				ported = append(ported, a)
			}
		}
		if !alone {
			m.known[i] = &known{addr: addr}
			whole, blocks = append(whole, mine...), append(blocks, ported...)
		}
	}
	rows := make([][]row, len(qs))
	for _, part := range []struct {
		asks []ask
		text string
	}{{whole, `h.port=q.port`}, {blocks, `h.port>=q.first and h.port<=q.port and h.last_port-h.port=q.ports-1`}} {
		if err := w.many(tx, part.asks, part.text, func(of int, r row) { rows[of] = append(rows[of], r) }, func(of int) { m.known[of] = nil }); err != nil {
			return m, err
		}
	}
	open := w.opener(tx)
	for i, k := range m.known {
		if k == nil {
			continue
		}
		seen := map[string]bool{}
		var mine []row
		for _, r := range rows[i] {
			if key := r.key(); !seen[key] {
				seen[key] = true
				mine = append(mine, r)
			}
		}
		if k.held, err = open(mine); err != nil {
			return m, err
		}
		k.held = append(k.held, w.ruled(k.addr, m.questions[i].Port)...)
		k.more = len(mine) >= maxRows
	}
	return m, nil
}

// many reads, for each ask: the rows that may have been held in its window; the last
// ones before it, which end what has no Stop; and the next ones behind it. alone is
// told of asks that have more rows than one statement gives.
func (w *Who) many(tx *store.Tx, asks []ask, which string, found func(of int, r row), alone func(of int)) error {
	for len(asks) > 0 {
		n := min(len(asks), askedAtOnce)
		text, args := manyText(asks[:n], which)
		rows := 0
		err := tx.Each(text, args, func(scan func(...any) error) error {
			var of int
			var sealed []byte
			r, err := scanRow(scan, &sealed, &of)
			r.sealed = sealed
			rows++
			if err == nil {
				found(asks[of].of, r)
			}
			return err
		})
		if err != nil {
			return err
		}
		if rows >= maxFound {
			for _, a := range asks[:n] {
				alone(a.of)
			}
		}
		asks = asks[n:]
	}
	return nil
}

// manyText is the statement of some asks; which is how a row's ports fit. The first
// select of q has no row: it gives the columns their types.
func manyText(asks []ask, which string) (string, []any) {
	n := 1
	for n < len(asks) {
		n *= 2
	}
	var b strings.Builder
	b.WriteString(`with q(i,net,first,port,ports,lo,hi) as materialized (select h.port,h.net,h.port,h.port,h.port,h.start,h.start from abuse_held h where 1=0`)
	args := make([]any, 0, 7*n)
	for i := range n {
		at := len(args)
		fmt.Fprintf(&b, ` union all select $%d,$%d,$%d,$%d,$%d,$%d,$%d`, at+1, at+2, at+3, at+4, at+5, at+6, at+7)
		if i < len(asks) {
			a := asks[i]
			args = append(args, i, a.net, a.first, a.port, a.ports, a.lo, a.hi)
		} else {
			args = append(args, i, []byte{}, 0, 0, 0, 0, 0) // nobody holds this
		}
	}
	const beside = `select %s(p.start) from abuse_held p where p.net=q.net and %s and p.start%s and p.ended<>'fixed'`
	inner := strings.ReplaceAll(which, "h.", "p.")
	b.WriteByte(')')
	for i, when := range []string{`h.start<=q.hi and h.until>=q.lo`,
		`h.start=(` + fmt.Sprintf(beside, "max", inner, "<q.lo") + `) and h.ended<>'fixed'`,
		`h.start=(` + fmt.Sprintf(beside, "min", inner, ">q.hi") + `) and h.ended<>'fixed'`} {
		if i > 0 {
			b.WriteString(` union all`)
		}
		fmt.Fprintf(&b, ` select %s,i.identity_sealed,q.i from q join abuse_held h on h.net=q.net and %s and %s left join abuse_identity i on i.id=h.who`, columns, which, when)
	}
	fmt.Fprintf(&b, ` limit %d`, maxFound)
	return b.String(), args
}
