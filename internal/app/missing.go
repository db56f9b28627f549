package app

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bolwerk/internal/clock"
	"bolwerk/internal/store"
)

// MissingKeys names the keys of months, such as "sessions/kept/2026-11", that something in
// the store is sealed with and that are not in desk/keys. One whose time is over is rightly
// not there; any other is to be brought back before the desk makes a new one.
func MissingKeys(ctx context.Context, cfg Config) (missing []string, err error) {
	db, err := store.Open(ctx, cfg.Store, clock.New())
	if err != nil {
		return nil, err
	}
	defer db.Close()
	text := func(scan func(...any) error) (string, error) {
		var b []byte
		err := scan(&b)
		return string(b), err
	}
	err = db.Read(ctx, func(tx *store.Tx) error {
		for _, c := range store.Columns(Schemas()) {
			month := "substr(" + c.Name + ",1,7)" // Seal writes it in the clear
			if c.Table == "blob" && c.Name == "month" {
				month = c.Name
			} else if !strings.HasSuffix(c.Name, "_sealed") {
				continue
			}
			months, err := store.List(tx, text, `select distinct `+month+` from `+c.Table+` where `+c.Name+` is not null`)
			if err != nil {
				return err
			}
			for _, m := range months {
				if _, err := time.Parse("2006-01", m); err != nil {
					continue
				}
				name, kept := keysFor(c)
				if kept {
					name += "/kept"
				}
				name += "/" + m
				if _, err := os.Stat(filepath.Join(cfg.Data, "desk", "keys", filepath.FromSlash(name)+".key")); errors.Is(err, fs.ErrNotExist) {
					missing = append(missing, name)
				}
			}
		}
		return nil
	})
	slices.Sort(missing)
	return slices.Compact(missing), err
}
