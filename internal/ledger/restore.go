package ledger

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"

	"bolwerk"
	"bolwerk/internal/openlog"
	"bolwerk/internal/store"
)

// After a restore the desk may know less of the log than it has signed. A head
// that was published once must never be contradicted, so that leaves wait until
// every intake has told what it holds: a longer log is taken back (its head
// carries our own signature), and the log goes on from there. Where an intake
// cannot be asked, or holds what does not follow from our own, the log begins
// anew under another origin, and says so in its first leaf.

// BeginRestore makes the log wait for the intakes.
func BeginRestore(tx *store.Tx, epoch int64) error {
	if _, err := tx.Exec(`delete from log_told`); err != nil {
		return err
	}
	_, err := tx.Exec(`update log_head set state='asking', epoch=$1 where id=1`, epoch)
	return err
}

// wait keeps leaves that cannot have their place yet.
func (d *Desk) wait(tx *store.Tx, items []any) error {
	var seq int64
	if err := tx.Row(`select coalesce(max(seq),0) from log_pending`).Scan(&seq); err != nil {
		return err
	}
	for _, it := range items {
		if it == nil {
			continue // Begin's
		}
		seq++
		if _, err := tx.Exec(`insert into log_pending(seq,body,name) values($1,$2,$3)`, seq, string(it.(item).leaf.Encode()), it.(item).name); err != nil {
			return err
		}
	}
	return nil
}

// Asking says that the log waits for intakes.
func (d *Desk) Asking(ctx context.Context) (asking bool, err error) {
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		st, err := readState(tx)
		asking = st.is == "asking"
		if store.None(err) {
			return nil
		}
		return err
	})
	return asking, err
}

// Told says which intakes have told what they hold; false is one whose log does
// not follow from ours.
func (d *Desk) Told(ctx context.Context) (told map[string]bool, err error) {
	told = map[string]bool{}
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Each(`select host,ok from log_told`, nil, func(scan func(...any) error) error {
			var host string
			var ok bool
			err := scan(&host, &ok)
			told[host] = ok
			return err
		})
	})
	return told, err
}

// maxTold bounds the leaves that an intake tells at once: what a desk decides in
// the days since its last backup.
const maxTold = 1 << 20

// Adopt takes back what an intake holds beyond our own log. r is what
// openlog.Store.Tell wrote.
func (d *Desk) Adopt(ctx context.Context, host string, r io.Reader) error {
	var lines []openlog.Line
	var signed string
	var forgot openlog.Line
	dec := json.NewDecoder(io.LimitReader(r, maxTold*(openlog.MaxLeaf/2)))
	for {
		var l openlog.Line
		if err := dec.Decode(&l); err == io.EOF {
			break
		} else if err != nil {
			return bolwerk.Invalid("what %s holds of the log: not lines of ours", host)
		}
		switch {
		case l.Head != "":
			signed = l.Head
		case l.Forgotten != nil:
			forgot.Forgotten, forgot.Forgot = append(forgot.Forgotten, l.Forgotten...), l.Forgot
		case len(lines) == maxTold:
			return bolwerk.Invalid("what %s holds of the log: more than %d leaves", host, maxTold)
		default:
			lines = append(lines, l)
		}
	}
	return d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		st, err := d.open(tx)
		if err != nil {
			return err
		}
		if st.is != "asking" {
			return nil
		}
		ok := true
		if signed != "" {
			head, err := openlog.OpenHead([]byte(signed), d.key)
			if err != nil {
				return err // not ours: a host cannot invent anything
			}
			if ok, err = d.adopt(tx, &st, head, lines); err != nil {
				return err
			}
		}
		for _, n := range forgot.Forgotten { // what was forgotten stays forgotten
			var kept int64
			if err := tx.Row(`select count(*) from log_salt where n=$1`, n).Scan(&kept); err != nil {
				return err
			}
			if kept == 0 {
				continue
			}
			if err := d.forget(tx, n, forgot.Forgot); err != nil {
				return err
			}
		}
		if err := st.save(tx); err != nil {
			return err
		}
		_, err = tx.Exec(`insert into log_told(host,ok) values($1,$2) on conflict(host) do update set ok=excluded.ok`, host, ok)
		return err
	})
}

// adopt adds leaves of an intake that lead from our log to its head. false is a
// log that does not follow from ours.
func (d *Desk) adopt(tx *store.Tx, st *state, head openlog.Head, lines []openlog.Line) (bool, error) {
	if head.Origin != st.origin {
		return false, nil
	}
	if head.Size <= st.tree.Size {
		at, err := rangeAt(tx, head.Size)
		return err == nil && at.Root() == head.Root, err
	}
	skip := st.tree.Size - (head.Size - int64(len(lines))) // known since another intake told
	if skip < 0 || skip > int64(len(lines)) {
		return false, nil
	}
	tree, err := openlog.ReadRange(st.tree.Size, st.tree.Bytes())
	if err != nil {
		return false, err
	}
	for _, l := range lines[skip:] {
		tree.Add(tlog.RecordHash([]byte(l.Leaf)))
	}
	if tree.Size != head.Size || tree.Root() != head.Root {
		return false, nil
	}
	for _, l := range lines[skip:] {
		leaf, err := openlog.ParseLeaf([]byte(l.Leaf))
		if err != nil {
			return false, err
		}
		n := st.tree.Size
		if wrote, err := d.put(tx, st, leaf, []byte(l.Leaf)); err != nil || !wrote {
			return false, err
		}
		salt, err1 := hex.DecodeString(l.Salt)
		tag, err2 := hex.DecodeString(l.Tag)
		if err1 != nil || err2 != nil || len(salt) != openlog.SaltSize || len(tag) != openlog.TagSize {
			continue // it is forgotten, or there was none
		}
		if err := keepSalt(tx, n, leaf.Ref, salt, tag); err != nil {
			return false, err
		}
	}
	return true, nil
}

// Settle lets the log go on after a restore. known says that every intake has
// told and fits; else the log begins anew, and again is asked to place what is in
// force.
func (d *Desk) Settle(tx *store.Tx, known bool, again func(*store.Tx) error) error {
	st, err := readState(tx)
	if store.None(err) || err == nil && st.is == "on" {
		return nil
	}
	if err != nil {
		return err
	}
	old := openlog.Head{Origin: st.origin, Size: st.tree.Size, Root: st.tree.Root(), Epoch: st.epoch, At: tx.Now()}
	st.is = "on"
	if known {
		err = d.add(tx, &st, openlog.Leaf{Kind: openlog.Restored, At: tx.Now(), Epoch: st.epoch, Head: old.Text()}, "")
	} else {
		err = d.anew(tx, &st, old)
	}
	if err != nil {
		return err
	}
	if known {
		err = d.addWaiting(tx, &st)
	} else { // what is in force is placed again
		_, err = tx.Exec(`delete from log_pending`)
	}
	if err != nil {
		return err
	}
	if err := st.save(tx); err != nil {
		return err
	}
	tx.After(d.ring)
	if known {
		return nil
	}
	return again(tx)
}

// Waiting is how many leaves wait for their place.
func Waiting(tx *store.Tx) (n int64, err error) {
	return n, tx.Row(`select count(*) from log_pending`).Scan(&n)
}

// addWaiting writes the leaves that wait.
func (d *Desk) addWaiting(tx *store.Tx, st *state) error {
	type waiting struct{ body, name string }
	all, err := store.List(tx, func(scan func(...any) error) (w waiting, err error) { err = scan(&w.body, &w.name); return w, err }, `select body,name from log_pending order by seq`)
	if err != nil {
		return err
	}
	for _, w := range all {
		var leaf openlog.Leaf
		if err := json.Unmarshal([]byte(w.body), &leaf); err != nil {
			return err
		}
		if err := d.add(tx, st, leaf, w.name); err != nil {
			return err
		}
	}
	if len(all) > 0 {
		_, err = tx.Exec(`delete from log_pending`)
	}
	return err
}

// anew begins another log. The old leaves are in the backup and at the intakes.
func (d *Desk) anew(tx *store.Tx, st *state, old openlog.Head) error {
	for _, q := range []string{`delete from log_leaf`, `delete from log_tile`, `delete from log_salt`, `delete from log_forgot`} {
		if _, err := tx.Exec(q); err != nil {
			return err
		}
	}
	st.origin, st.tree = fmt.Sprintf("%s/%d", d.key.Name(), st.epoch), openlog.Range{}
	return d.add(tx, st, openlog.Leaf{Kind: openlog.Began, At: tx.Now(), Epoch: st.epoch, Head: old.Text()}, "")
}
