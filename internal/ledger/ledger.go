// Package ledger is the desk's side of the transparency log: leaves are rows,
// written in the transaction that makes them true, with the right edge of the
// tree beside them. Names stand in the leaves only as commitments; what opens
// them are salts in a table of their own, and destroying a salt erases the name.
package ledger

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/fault"
	"bolwerk/internal/openlog"
	"bolwerk/internal/store"
)

//go:embed schema.sql
var schema string

// Schema is the tables of this package.
func Schema() store.Schema { return store.Schema{Name: "ledger", Steps: []string{schema}} }

// Desk writes the log. It is safe for concurrent use.
type Desk struct {
	db     *store.DB
	clock  clock.Clock
	signer note.Signer
	key    note.Verifier
	public string // the verifier key as it is published

	mu   sync.Mutex
	wake chan struct{} // closed at the next leaf
}

// New writes a log under a key.
func New(db *store.DB, k Key, c clock.Clock) *Desk {
	return &Desk{db: db, clock: c, signer: k.signer, key: k.verifier, public: k.public, wake: make(chan struct{})}
}

// Key is the public key of the log, as it is published.
func (d *Desk) Key() string { return d.public }

type flushKey struct{}

type item struct {
	leaf openlog.Leaf
	name string
}

// Append adds a leaf when the transaction commits. name is what a placed leaf
// commits to; leaf.At is the time of the transaction. The same kind of leaf about
// the same reference is written once.
func (d *Desk) Append(tx *store.Tx, leaf openlog.Leaf, name string) {
	leaf.At = tx.Now().Truncate(time.Microsecond)
	tx.Collect(flushKey{}, item{leaf, name}, d.write)
}

// state is the row of log_head.
type state struct {
	origin string
	epoch  int64
	is     string
	tree   openlog.Range
}

func readState(tx *store.Tx) (st state, err error) {
	var size int64
	var edge []byte
	if err := tx.Row(`select origin,epoch,size,edge,state from log_head where id=1`).Scan(&st.origin, &st.epoch, &size, &edge, &st.is); err != nil {
		return st, err
	}
	st.tree, err = openlog.ReadRange(size, edge)
	return st, err
}

func (st *state) save(tx *store.Tx) error {
	_, err := tx.Exec(`update log_head set origin=$1, epoch=$2, size=$3, edge=$4, state=$5 where id=1`, st.origin, st.epoch, st.tree.Size, st.tree.Bytes(), st.is)
	return err
}

// open gives the state, beginning the log where there is none.
func (d *Desk) open(tx *store.Tx) (state, error) {
	st, err := readState(tx)
	if !store.None(err) {
		return st, err
	}
	st = state{origin: d.key.Name(), epoch: 1, is: "on"}
	if _, err := tx.Exec(`insert into log_head(id,origin,epoch,size,edge,state) values(1,$1,1,0,$2,'on')`, st.origin, []byte{}); err != nil {
		return st, err
	}
	return st, d.add(tx, &st, openlog.Leaf{Kind: openlog.Began, At: tx.Now(), Epoch: st.epoch}, "")
}

// Begin begins the log where there is none yet, so that there is a head to ask
// for before the first block.
func (d *Desk) Begin(ctx context.Context) error {
	return d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		tx.Collect(flushKey{}, nil, d.write)
		return nil
	})
}

// write adds the leaves of a transaction. Nothing is published that cannot be
// written here, but what is withdrawn is: its leaf then waits, and has its place
// before the next one that can be written.
func (d *Desk) write(tx *store.Tx, items []any) error {
	failed, err := tx.Try(func(tx *store.Tx) error { return d.writeNow(tx, items) })
	if failed == nil || err != nil {
		return err
	}
	for _, it := range items {
		if it == nil || it.(item).leaf.Kind != openlog.Ended {
			return failed
		}
	}
	return d.wait(tx, items)
}

func (d *Desk) writeNow(tx *store.Tx, items []any) error {
	st, err := d.open(tx)
	if err != nil {
		return err
	}
	if st.is != "on" {
		return d.wait(tx, items)
	}
	if err := d.addWaiting(tx, &st); err != nil {
		return err
	}
	for _, it := range items {
		if it == nil {
			continue // Begin's
		}
		if err := d.add(tx, &st, it.(item).leaf, it.(item).name); err != nil {
			return err
		}
	}
	if err := fault.Point("ledger.write"); err != nil {
		return err
	}
	if err := st.save(tx); err != nil {
		return err
	}
	tx.After(d.ring)
	return nil
}

// add writes one leaf and its salt. st is saved by the caller.
func (d *Desk) add(tx *store.Tx, st *state, leaf openlog.Leaf, name string) error {
	var salt []byte
	n := st.tree.Size
	switch leaf.Kind {
	case openlog.Placed:
		salt = make([]byte, openlog.SaltSize)
		rand.Read(salt) // never fails
		leaf.Name = openlog.Commit(salt, name)
	case openlog.Ended, openlog.Extended:
		if err := tx.Row(`select n from log_leaf where ref=$1 and kind=$2`, leaf.Ref, openlog.Placed).Scan(&leaf.Of); err != nil && !store.None(err) {
			return err
		}
	}
	wrote, err := d.put(tx, st, leaf, leaf.Encode())
	if err != nil || !wrote || salt == nil {
		return err
	}
	return keepSalt(tx, n, leaf.Ref, salt, openlog.Tag(name))
}

func keepSalt(tx *store.Tx, n int64, ref string, salt, tag []byte) error {
	_, err := tx.Exec(`insert into log_salt(n,ref,salt,tag) values($1,$2,$3,$4)`, n, ref, salt, tag)
	return err
}

// put writes the octets of a leaf at the end of the log; false is one that is
// there already.
func (d *Desk) put(tx *store.Tx, st *state, leaf openlog.Leaf, body []byte) (bool, error) {
	ref := leaf.Ref
	if ref == "" {
		ref = fmt.Sprintf("epoch %d", leaf.Epoch)
	}
	hash := tlog.RecordHash(body)
	kind := leaf.Kind
	if kind == openlog.Extended { // as often as it is
		kind += " " + leaf.Until.UTC().Format(time.RFC3339Nano)
	}
	wrote, err := tx.Exec(`insert into log_leaf(n,ref,kind,body,hash) values($1,$2,$3,$4,$5) on conflict(ref,kind) do nothing`, st.tree.Size, ref, kind, string(body), hash[:])
	if err != nil || wrote == 0 {
		return false, err
	}
	st.tree.Watch(func(level int, n int64, h tlog.Hash) {
		if level == tileHeight && err == nil {
			_, err = tx.Exec(`insert into log_tile(n,hash) values($1,$2)`, n, h[:])
		}
	})
	st.tree.Add(hash)
	return true, err
}

const tileHeight = 8

func (d *Desk) ring() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.wake)
	d.wake = make(chan struct{})
}

func (d *Desk) changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.wake
}

// sign signs where a tree stands.
func (d *Desk) sign(st state, tree openlog.Range) ([]byte, error) {
	h := openlog.Head{Origin: st.origin, Size: tree.Size, Root: tree.Root(), Epoch: st.epoch, At: d.clock.Now()}
	return note.Sign(&note.Note{Text: h.Text()}, d.signer)
}

// Sign signs a text of ours with the log's key. Its first line must say what it
// is: a head's first line is the origin.
func (d *Desk) Sign(text string) ([]byte, error) {
	return note.Sign(&note.Note{Text: text}, d.signer)
}

// Head is where the log stands, signed. bolwerk.ErrConflict while it is not
// known, after a restore.
func (d *Desk) Head(ctx context.Context) (signed []byte, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		st, err := readState(tx)
		if store.None(err) {
			return bolwerk.NotFound("the log has no leaf yet")
		}
		if err != nil {
			return err
		}
		if st.is != "on" {
			return bolwerk.WithHint(bolwerk.Conflict("the log waits: the store was brought back to an older day"), "it goes on when every intake has told what it holds, or bolwerk restore --release")
		}
		signed, err = d.sign(st, st.tree)
		return err
	})
	return signed, err
}

// hashes reads the nodes of the tree by their tlog index.
func hashes(tx *store.Tx) tlog.HashReaderFunc {
	return func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, 0, len(indexes))
		for _, i := range indexes {
			level, n := tlog.SplitStoredHashIndex(i)
			q, shift := `select hash from log_leaf where n>=$1 and n<$2 order by n`, level
			if level >= tileHeight {
				q, shift = `select hash from log_tile where n>=$1 and n<$2 order by n`, level-tileHeight
			}
			var r openlog.Range
			err := tx.Each(q, []any{n << shift, (n + 1) << shift}, func(scan func(...any) error) error {
				var h []byte
				if err := scan(&h); err != nil {
					return err
				}
				if len(h) != tlog.HashSize {
					return fmt.Errorf("the log: a hash of %d octets", len(h))
				}
				r.Add(tlog.Hash(h))
				return nil
			})
			if err != nil {
				return nil, err
			}
			if r.Size != 1<<shift {
				return nil, fmt.Errorf("the log: node %d of level %d is not whole", n, level)
			}
			out = append(out, r.Edge[0])
		}
		return out, nil
	}
}

// rangeAt is the right edge of the log when it had size leaves.
func rangeAt(tx *store.Tx, size int64) (openlog.Range, error) {
	r := openlog.Range{Size: size}
	var at int64
	for level := 62; level >= 0; level-- {
		if size>>level&1 == 0 {
			continue
		}
		h, err := hashes(tx)([]int64{tlog.StoredHashIndex(level, at>>level)})
		if err != nil {
			return r, err
		}
		r.Edge = append(r.Edge, h[0])
		at += 1 << level
	}
	return r, nil
}

// Logged is a leaf with its proof, for who has the reference.
type Logged struct {
	Index int64        `json:"index"`
	Leaf  string       `json:"leaf" doc:"the octets that are hashed"`
	Hash  string       `json:"hash" doc:"of the leaf, in base64"`
	Proof []string     `json:"proof" doc:"inclusion proof (RFC 6962), from the leaf upward, in base64"`
	Salt  string       `json:"salt,omitempty" doc:"what opens the commitment to the name, in hex; absent where it was destroyed"`
	Is    openlog.Leaf `json:"-"`
}

// About gives the leaves about a reference, oldest first, with proofs against
// the head that is given with them.
func (d *Desk) About(ctx context.Context, ref string) (signed []byte, out []Logged, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		st, err := readState(tx)
		if store.None(err) {
			return bolwerk.NotFound("the log has no leaf yet")
		}
		if err != nil {
			return err
		}
		out, err = store.List(tx, func(scan func(...any) error) (e Logged, err error) {
			var salt []byte
			if err := scan(&e.Index, &e.Leaf, &salt); err != nil {
				return e, err
			}
			e.Salt = fmt.Sprintf("%x", salt)
			e.Hash = tlog.RecordHash([]byte(e.Leaf)).String()
			e.Is, err = openlog.ParseLeaf([]byte(e.Leaf))
			return e, err
		}, `select l.n,l.body,s.salt from log_leaf l left join log_salt s on s.n=l.n where l.ref=$1 order by l.n`, ref)
		if err != nil {
			return err
		}
		if len(out) == 0 {
			return bolwerk.WithHint(bolwerk.NotFound("nothing about %s is in the log", ref), "give the number of a block or an exemption, such as B-2026-000001")
		}
		for i := range out {
			p, err := tlog.ProveRecord(st.tree.Size, out[i].Index, hashes(tx))
			if err != nil {
				return err
			}
			out[i].Proof = []string{}
			for _, h := range p {
				out[i].Proof = append(out[i].Proof, h.String())
			}
		}
		signed, err = d.sign(st, st.tree)
		return err
	})
	return signed, out, err
}

// Forget destroys the salt of a reference, and with it the name in the log: at
// the desk with the transaction, at each intake within seconds after it.
// bolwerk.ErrNotFound where no salt is kept.
func (d *Desk) Forget(tx *store.Tx, ref string) error {
	var n int64
	err := tx.Row(`select n from log_salt where ref=$1`, ref).Scan(&n)
	if store.None(err) {
		return bolwerk.NotFound("no salt of %s is kept: its name is forgotten already, or was never in the log", ref)
	}
	if err != nil {
		return err
	}
	return d.forget(tx, n, 0)
}

// forget destroys a salt; the order of forgetting goes on above floor.
func (d *Desk) forget(tx *store.Tx, n, floor int64) error {
	if _, err := tx.Exec(`delete from log_salt where n=$1`, n); err != nil {
		return err
	}
	var seq int64
	if err := tx.Row(`select coalesce(max(seq),0) from log_forgot`).Scan(&seq); err != nil {
		return err
	}
	tx.After(d.ring)
	_, err := tx.Exec(`insert into log_forgot(seq,n) values($1,$2)`, max(seq, floor)+1, n)
	return err
}

// Verify walks the whole log and compares it with the edge that heads are signed
// from. It returns how many leaves stand and the first fault.
func (d *Desk) Verify(ctx context.Context) (size int64, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		st, err := readState(tx)
		if store.None(err) {
			return nil
		}
		if err != nil {
			return err
		}
		var r openlog.Range
		err = tx.Each(`select n,body,hash from log_leaf order by n`, nil, func(scan func(...any) error) error {
			var n int64
			var body string
			var hash []byte
			if err := scan(&n, &body, &hash); err != nil {
				return err
			}
			h := tlog.RecordHash([]byte(body))
			switch {
			case n != r.Size:
				return bolwerk.Conflict("leaf %d of the log is missing", r.Size)
			case string(h[:]) != string(hash):
				return bolwerk.Conflict("leaf %d of the log was changed", n)
			}
			r.Add(h)
			return nil
		})
		if err != nil {
			return err
		}
		size = r.Size
		if r.Size != st.tree.Size || r.Root() != st.tree.Root() {
			return bolwerk.Conflict("the log of %d leaves is not the one whose heads were signed, of %d", r.Size, st.tree.Size)
		}
		return nil
	})
	return size, err
}
