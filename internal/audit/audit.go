// Package audit is the trail of what persons and rules decided: append-only
// rows, each hashed over the one before, so that a change is seen.
package audit

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/store"
)

//go:embed schema.sql
var schema string

// Schema is the table of this package.
func Schema() store.Schema { return store.Schema{Name: "audit", Steps: []string{schema}} }

// Entry is one decision. It carries references, never personal data.
type Entry struct {
	Seq    int64         `json:"seq"`
	At     time.Time     `json:"at"`
	Actor  bolwerk.Actor `json:"actor"`
	Action string        `json:"action"` // "shield.block.confirm"
	Object string        `json:"object"` // reference of what it was about
	Reason string        `json:"reason"` // in the decider's words
	Detail string        `json:"detail"` // JSON: what was decided, versions of lists used
	Prev   string        `json:"prev"`
	Hash   string        `json:"hash"`
}

func (e Entry) sum() string {
	b, err := json.Marshal([]any{e.Seq, store.Micros(e.At), e.Actor, e.Action, e.Object, e.Reason, e.Detail, e.Prev})
	if err != nil {
		panic(err) // strings and numbers: cannot fail
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

type key struct{}

// Append writes an entry at the end of the transaction. detail is marshalled
// to JSON and may be nil.
func Append(tx *store.Tx, actor bolwerk.Actor, action, object, reason string, detail any) {
	e := Entry{At: tx.Now(), Actor: actor, Action: action, Object: store.Text(object), Reason: store.Text(reason)}
	if detail != nil {
		b, err := json.Marshal(detail)
		if err != nil {
			panic(fmt.Sprintf("audit %s: %v", action, err)) // a bug: detail must be plain data
		}
		e.Detail = string(b)
	}
	tx.Collect(key{}, e, write)
}

func write(tx *store.Tx, items []any) error {
	head, err := Last(tx)
	if err != nil {
		return err
	}
	for _, it := range items {
		e := it.(Entry)
		e.At = store.Time(store.Micros(e.At))
		e.Seq, e.Prev = head.Seq+1, head.Hash
		e.Hash = e.sum()
		if _, err := tx.Exec(`insert into audit(seq,at,actor,action,object,reason,detail,prev,hash) values($1,$2,$3,$4,$5,$6,$7,$8,$9)`,
			e.Seq, store.Micros(e.At), e.Actor.String(), e.Action, e.Object, e.Reason, e.Detail, e.Prev, e.Hash); err != nil {
			return err
		}
		head = e
	}
	return nil
}

const columns = `seq,at,actor,action,object,reason,detail,prev,hash`

func read(scan func(...any) error) (Entry, error) {
	var e Entry
	var at int64
	var actor string
	if err := scan(&e.Seq, &at, &actor, &e.Action, &e.Object, &e.Reason, &e.Detail, &e.Prev, &e.Hash); err != nil {
		return e, err
	}
	e.At = store.Time(at)
	if actor != "" {
		a, err := bolwerk.ParseActor(actor)
		if err != nil {
			return e, err
		}
		e.Actor = a
	}
	return e, nil
}

// Last is the newest entry; Seq 0 and no hash before the first.
func Last(tx *store.Tx) (Entry, error) {
	e, err := read(tx.Row(`select ` + columns + ` from audit order by seq desc limit 1`).Scan)
	if store.None(err) {
		return Entry{}, nil
	}
	return e, err
}

// Head is how heads of copies name the newest entry: "seq:hash".
func Head(tx *store.Tx) (string, error) {
	e, err := Last(tx)
	return fmt.Sprintf("%d:%s", e.Seq, e.Hash), err
}

// List gives entries about an object, oldest first; "" gives all, newest first.
func List(tx *store.Tx, object string, limit int) ([]Entry, error) {
	if object == "" {
		return store.List(tx, read, `select `+columns+` from audit order by seq desc limit $1`, limit)
	}
	return store.List(tx, read, `select `+columns+` from audit where object=$1 order by seq limit $2`, object, limit)
}

// Before gives the entries older than seq, newest first; 0 begins with the
// newest. object "" is all.
func Before(tx *store.Tx, object string, seq int64, limit int) ([]Entry, error) {
	if seq == 0 {
		seq = 1 << 62
	}
	if object == "" {
		return store.List(tx, read, `select `+columns+` from audit where seq<$1 order by seq desc limit $2`, seq, limit)
	}
	return store.List(tx, read, `select `+columns+` from audit where object=$1 and seq<$2 order by seq desc limit $3`, object, seq, limit)
}

// About gives the newest entries about any of some objects.
func About(tx *store.Tx, objects []string, limit int) ([]Entry, error) {
	if len(objects) == 0 {
		return nil, nil
	}
	places, args := "", make([]any, 0, len(objects)+1)
	for i, o := range objects {
		places += fmt.Sprintf(",$%d", i+1)
		args = append(args, o)
	}
	return store.List(tx, read, `select `+columns+` from audit where object in (`+places[1:]+`) order by seq desc limit `+fmt.Sprintf("$%d", len(args)+1), append(args, limit)...)
}

// After gives the entries behind seq, oldest first.
func After(tx *store.Tx, seq int64, limit int) ([]Entry, error) {
	return store.List(tx, read, `select `+columns+` from audit where seq>$1 order by seq limit $2`, seq, limit)
}

// Verify walks the whole chain and compares it with heads that others have
// seen ("seq:hash"). It returns how many entries stand and the first fault.
func Verify(ctx context.Context, db *store.DB, seen []string) (int64, error) {
	known := map[int64]string{}
	for _, s := range seen {
		number, hash, ok := strings.Cut(s, ":")
		seq, err := strconv.ParseInt(number, 10, 64)
		switch {
		case !ok || err != nil || seq < 0 || (seq == 0) != (hash == ""):
			return 0, bolwerk.Invalid("%q is not the head of an audit trail: want number:hash", s)
		case seq == 0:
			continue // seen before the first entry
		case known[seq] != "" && known[seq] != hash:
			return 0, bolwerk.Conflict("hosts have seen different audit entries %d: one of the trails was rewritten", seq)
		}
		known[seq] = hash
	}
	var last Entry
	err := db.Read(ctx, func(tx *store.Tx) error {
		return tx.Each(`select `+columns+` from audit order by seq`, nil, func(scan func(...any) error) error {
			e, err := read(scan)
			if err != nil {
				return err
			}
			switch {
			case e.Seq != last.Seq+1:
				return bolwerk.Conflict("audit entry %d is missing", last.Seq+1)
			case e.Prev != last.Hash:
				return bolwerk.Conflict("audit entry %d does not follow entry %d", e.Seq, last.Seq)
			case e.Hash != e.sum():
				return bolwerk.Conflict("audit entry %d was changed", e.Seq)
			case known[e.Seq] != "" && known[e.Seq] != e.Hash:
				return bolwerk.Conflict("audit entry %d is not the one that a host has seen: the trail was rewritten", e.Seq)
			}
			delete(known, e.Seq)
			last = e
			return nil
		})
	})
	if err == nil && len(known) > 0 {
		err = bolwerk.Conflict("a host has seen audit entries up to a number that this trail does not have: it was cut")
	}
	return last.Seq, err
}
