package shield

import (
	"bytes"
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"

	"bolwerk/desk"
	"bolwerk/internal/store"
)

// People search for a part of a name, from anywhere in it. No index of either
// engine helps with that, and reading a hundred thousand rows for each search
// takes a tenth of a second. So the names are kept in memory too, 50 bytes each,
// and what came since is read before each search. The store decides what is
// shown: a row that is gone is not there, one that is missed is found by its
// whole name or number.

// nameKind is what has names.
type nameKind int

const (
	caseNames nameKind = iota
	blockNames
	orderNames
	nameKinds
)

var nameQueries = [nameKinds]string{
	caseNames:  `select id,case when capability='shield' then subject else '' end from desk_case where id>$1 order by id limit $2`, // by the primary key: by capability all would be read
	blockNames: `select id,name from shield_block where id>$1 order by id limit $2`,
	orderNames: `select id,subject from desk_order where id>$1 order by id limit $2`,
}

const (
	nameBatch = 10_000
	// nameOverlap is how far behind the newest id is looked again: another desk's
	// transaction may end later than one that began after it.
	nameOverlap = 2 * time.Minute
	// namesAnew is after how long all are read again: what retention took goes.
	namesAnew = 12 * time.Hour
	// fewNames is how many hits are looked up one by one. Of more than that the
	// newest are soon found by walking the list.
	fewNames = 500
)

// names are the names of one kind.
type names struct {
	mu   sync.Mutex
	text []byte   // names, each behind a '\n'
	ends []uint32 // where each one ends
	ids  [][16]byte
	have map[[16]byte]bool // of the overlap
	from time.Time         // when they were read from the beginning
}

// find gives the ids of the names that have part in them, newest first; few is
// false where there are more than fewNames.
func (n *names) find(tx *store.Tx, kind nameKind, part string) (ids []string, few bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.follow(tx, kind); err != nil {
		return nil, false, err
	}
	want := []byte(strings.ToLower(part))
	if bytes.IndexByte(want, '\n') >= 0 {
		return nil, true, nil
	}
	for at := 0; ; {
		i := bytes.Index(n.text[at:], want)
		if i < 0 {
			break
		}
		row, _ := slices.BinarySearch(n.ends, uint32(at+i+len(want)))
		if len(ids) == fewNames {
			return nil, false, nil
		}
		ids = append(ids, idText(n.ids[row]))
		at = int(n.ends[row])
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	return ids, true, nil
}

// follow reads what came since.
func (n *names) follow(tx *store.Tx, kind nameKind) error {
	if tx.Now().Sub(n.from) > namesAnew || tx.Now().Before(n.from) || len(n.text) > 1<<31 {
		n.text, n.ends, n.ids, n.have, n.from = nil, nil, nil, map[[16]byte]bool{}, tx.Now()
	}
	after := ""
	if len(n.ids) > 0 {
		after = n.overlap()
	}
	for {
		got := 0
		err := tx.Each(nameQueries[kind], []any{after, nameBatch}, func(scan func(...any) error) error {
			var id, name string
			if err := scan(&id, &name); err != nil {
				return err
			}
			got++
			after = id
			if key, ok := idKey(id); ok && !n.have[key] {
				n.have[key] = true
				n.text = append(append(n.text, strings.ToLower(name)...), '\n')
				n.ends = append(n.ends, uint32(len(n.text)-1))
				n.ids = append(n.ids, key)
			}
			return nil
		})
		if err != nil || got < nameBatch {
			return err
		}
	}
}

// overlap gives the id from which on is looked again, and forgets which ones
// before it are there.
func (n *names) overlap() string {
	newest := n.ids[0]
	for _, id := range n.ids[max(0, len(n.ids)-1000):] {
		if bytes.Compare(id[:], newest[:]) > 0 {
			newest = id
		}
	}
	ms := int64(0)
	for _, b := range newest[:6] { // of a UUIDv7
		ms = ms<<8 | int64(b)
	}
	from := newest
	ms = max(0, ms-nameOverlap.Milliseconds())
	for i := range 6 {
		from[i] = byte(ms >> (40 - 8*i))
	}
	for id := range n.have {
		if bytes.Compare(id[:], from[:]) <= 0 {
			delete(n.have, id)
		}
	}
	return idText(from)
}

func idKey(id string) (k [16]byte, ok bool) {
	b, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	if err != nil || len(b) != 16 {
		return k, false
	}
	return [16]byte(b), true
}

func idText(k [16]byte) string {
	h := hex.EncodeToString(k[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// warm reads the names before the first search needs them.
func (s *Shield) warm(ctx context.Context) error {
	for kind := range nameKinds {
		err := s.db.Read(ctx, func(tx *store.Tx) error {
			_, _, err := s.names[kind].find(tx, kind, "\n")
			return err
		})
		if err != nil && ctx.Err() == nil {
			s.log.Warn("names not read: the first search takes longer", "err", err)
		}
	}
	return nil
}

// among reads rows whose ids a search found, newest first, and keeps those that
// are wanted, until there are enough of them; 0 is all.
func among[T any](tx *store.Tx, ids []string, enough int, read func(scan func(...any) error) (T, error), query string, keep func(T) bool) (out []T, err error) {
	for part := range slices.Chunk(ids, rowsPerQuery) {
		if enough > 0 && len(out) >= enough {
			break
		}
		places, args := idsOf(part)
		err := tx.Each(query+` where id in (`+places+`)`, args, func(scan func(...any) error) error {
			row, err := read(scan)
			if err == nil && keep(row) {
				out = append(out, row)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// cut is the page of a sorted list that begins behind the row of an id.
func cut[T any](all []T, id func(T) string, after string, limit int) []T {
	if after != "" {
		at := slices.IndexFunc(all, func(row T) bool { return id(row) == after })
		all = all[at+1:]
	}
	return all[:min(len(all), limit)]
}

// behind leaves of ids, newest first, those behind one of them; "" leaves all.
func behind(ids []string, after string) []string {
	if after == "" {
		return ids
	}
	at, found := slices.BinarySearchFunc(ids, after, func(id, after string) int { return strings.Compare(after, id) })
	if found {
		at++
	}
	return ids[at:]
}

// newest puts rows in the order of their ids, newest first, and cuts out the page
// behind the id after.
func newest[T any](all []T, id func(T) string, after string, limit int) []T {
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(id(b), id(a)) })
	if after != "" {
		all = slices.DeleteFunc(all, func(row T) bool { return id(row) >= after })
	}
	return all[:min(len(all), limit)]
}

// asked is how many rows a page has: 50 where nobody says, 500 at most.
func asked(limit int) int {
	if limit <= 0 {
		limit = rows
	}
	return min(limit, 500)
}

// searched says how many rows a search found in a list: exactly where they are
// few, else what counting the list says, as far as fewNames.
func searched(tx *store.Tx, table string, states int, in func(i int) desk.Where) (all desk.Counted, err error) {
	for i := range states {
		n, err := desk.CountTo(tx, table, in(i), fewNames)
		if err != nil {
			return all, err
		}
		all.N, all.More = all.N+n.N, all.More || n.More
		if all.N > fewNames || all.More {
			return desk.Counted{N: fewNames, More: true}, nil
		}
	}
	return all, nil
}
