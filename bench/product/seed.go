package product

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/store"
	"bolwerk/shield/door"
	"bolwerk/shield/edge"
)

// Name is the i-th name of a list that benches make.
func Name(i int) string { return fmt.Sprintf("login-%d.bank%d.example", i, i%5000) }

// Seed writes names into the store of a program that is stopped, as blocks in
// force: what a release does in a quarter of an hour for a million of them,
// without its orders, facts and audit rows.
func (p *Product) Seed(ctx context.Context, names int) error {
	db, err := store.Open(ctx, store.Config{URL: filepath.Join(p.Dir, "desk", "bolwerk.db")}, clock.New())
	if err != nil {
		return err
	}
	defer db.Close()
	sum := sha256.Sum256([]byte("seed"))
	digest := hex.EncodeToString(sum[:])
	begun := time.Now()
	for i := 0; i < names; i += 5000 {
		err := db.Write(ctx, store.Decision, func(tx *store.Tx) error {
			for j := i; j < min(i+5000, names); j++ {
				if err := seedOne(tx, j); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	err = db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		for _, name := range []string{"blocks", "public"} {
			if _, err := tx.Exec(`insert into copy_head(copy,epoch,serial,previous,digest,count,made_at) values($1,1,2,$3,$3,$2,0)
				on conflict(copy) do update set count=copy_head.count+excluded.count, serial=copy_head.serial+1`, name, names, digest); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`insert into desk_number(kind,year,last) values('B',$1,$2)`, tx.Now().Year(), names)
		return err
	})
	for _, host := range []string{"edge", "intake"} { // they take it as new hosts do
		err = errors.Join(err, os.RemoveAll(filepath.Join(p.Dir, host, "copies")))
	}
	fmt.Printf("seeded    %d names in %.1f s: written into the store, not released\n", names, time.Since(begun).Seconds())
	return err
}

func seedOne(tx *store.Tx, i int) error {
	id, ref := bolwerk.NewID(tx.Now()), fmt.Sprintf("B-%d-%06d", tx.Now().Year(), i+1)
	d, err := bolwerk.ParseDomain(Name(i))
	if err != nil {
		return err
	}
	rule := edge.Rule{Block: ref, Name: d, Scope: bolwerk.ScopeSubtree, Action: edge.Redirect, Ground: edge.ByOrder, Class: "phishing", By: "CERT", Since: tx.Now()}
	if _, err := tx.Exec(`insert into shield_block(id,ref,pass,case_id,order_id,name,scope,www,action,class,brand,ground,legal,by_public,reason,actor,second,compromised,lists,valid_from,valid_until,state,version,epoch,serial,ended_at,ended_by,ended_why,ended_reason,ended_serial,made_at,reported_at,read_at)
		values($1,$2,$3,'',$1,$4,$5,$3,$6,'phishing','',$7,'law of the benchmark','CERT','order','task:seed','',$3,'',$8,0,'in_force',1,1,2,0,'','','',0,$8,0,0)`,
		id, ref, false, d.String(), string(rule.Scope), string(rule.Action), string(rule.Ground), tx.NowMicros()); err != nil {
		return err
	}
	listed, err := json.Marshal(door.Listed{Ref: ref, Name: d.String(), Scope: string(rule.Scope), Class: rule.Class, Ground: string(rule.Ground), By: rule.By, Since: rule.Since})
	if err != nil {
		return err
	}
	for name, e := range map[string]copy.Entry{"blocks": rule.Entry(id, 1), "public": {ID: door.BlockEntry + ref, Version: 1, Body: listed}} {
		if _, err := tx.Exec(`insert into copy_entry(copy,id,version,vfrom,vuntil,body) values($1,$2,$3,$4,$5,$6)`, name, e.ID, e.Version, e.From, e.Until, string(e.Body)); err != nil {
			return err
		}
	}
	return nil
}
