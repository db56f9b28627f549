package store

import (
	"context"
	"fmt"
	"regexp"
	"strings"
)

// Schema is the tables of one package, as steps that are run once each, in
// order. A step that has been released is never changed.
type Schema struct {
	Name  string
	Steps []string
}

// Keep is how long the data of a column is kept. Each column of a migration
// carries one, with its purpose, in a comment: "-- keep body: the mail as it came".
var Keep = map[string]string{
	"log":     "for ever; holds references and no personal data",
	"tech":    "as long as the row is of use; no personal data",
	"case":    "until a year after the case is closed",
	"body":    "30 days: what people sent",
	"reply":   "7 days after the answer: how to reach the reporter",
	"staff":   "as long as the account exists, and a year after",
	"figure":  "for ever; counts without persons",
	"session": "as many days as abuse.who.days says, 7 unless set: who had which address when; what a case pinned is kept as long as the case",
	"pinned":  "as long as the case that rests on it: who had which address when",
	"name":    "until a year after the block ended (30 days for a hacked site), or until a decision: opens a name in the transparency log",
	"contact": "as many days as abuse.contact.days says after it was told last, 400 unless set: how subscribers are reached",
	"privacy": "until a year after it was decided or ended; who it is about only until then: requests and holds of the privacy officer",
	"view":    "until the subscriber takes the choice back, or it ends",
	"secret":  "until it is used, changed or expires; stored as a hash or sealed",
}

// Migrate brings the tables of the schemas up to date, in one transaction.
func (db *DB) Migrate(ctx context.Context, schemas ...Schema) error {
	for _, s := range schemas {
		for i, step := range s.Steps {
			if err := CheckSQL(step); err != nil {
				return fmt.Errorf("schema %s step %d: %w", s.Name, i+1, err)
			}
		}
	}
	return db.Write(ctx, Decision, func(tx *Tx) error {
		if db.pg {
			if _, err := tx.Exec(`select pg_advisory_xact_lock(7710)`); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(`create table if not exists schema_version(name text not null, v bigint not null, at bigint not null, primary key(name, v))`); err != nil {
			return err
		}
		for _, s := range schemas {
			var v int
			if err := tx.Row(`select coalesce(max(v),0) from schema_version where name=$1`, s.Name).Scan(&v); err != nil {
				return err
			}
			if v > len(s.Steps) {
				return fmt.Errorf("the store was written by a newer version: schema %s is at step %d, this program knows %d", s.Name, v, len(s.Steps))
			}
			for ; v < len(s.Steps); v++ {
				if _, err := tx.Exec(s.Steps[v]); err != nil {
					return fmt.Errorf("schema %s step %d: %w", s.Name, v+1, err)
				}
				if _, err := tx.Exec(`insert into schema_version(name,v,at) values($1,$2,$3)`, s.Name, v+1, tx.NowMicros()); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

var (
	opening    = regexp.MustCompile(`(?i)^\s*create table (?:if not exists )?\w+ \(\s*$`)
	added      = regexp.MustCompile(`(?i)^\s*alter table \w+ add column (.*)$`)
	column     = regexp.MustCompile(`(?i)^\s*(\w+)\s+(?:text|bigint|boolean|bytea)\b(.*)$`)
	constraint = regexp.MustCompile(`(?i)^\s*(?:primary key|unique|check|foreign key|constraint)\b`)
	inside     = regexp.MustCompile(`'[^']*'|\([^()]*\)`)
	keepMark   = regexp.MustCompile(`--\s*keep (\w+): \S`)
	forbidden  = regexp.MustCompile(`(?i)\bnow\(|\binterval\b|::|\bjsonb?\b|\bautoincrement\b|\bdatetime\(|\btimestamp\w*|\bvarchar|\binteger\b|\bfor update\b|\bilike\b|\bglob\b|\binsert or\b|\bon duplicate\b|\bstrftime\(|\browid\b|\bdate_trunc\(`)
)

// CheckSQL refuses what does not run alike on both engines, and a column
// without a retention class and a purpose. It reads tables of one column a line.
func CheckSQL(step string) error {
	table := false
	for line := range strings.Lines(step) {
		code, _, _ := strings.Cut(line, "--")
		code = strings.TrimRight(code, " \t\n")
		if w := forbidden.FindString(code); w != "" {
			return fmt.Errorf("%q does not run alike on SQLite and PostgreSQL", strings.TrimSpace(w))
		}
		switch {
		case opening.MatchString(code):
			table = true
			continue
		case strings.HasPrefix(strings.ToLower(strings.TrimSpace(code)), "create table"):
			return fmt.Errorf("%s: write one column a line, and none beside \"create table\"", strings.TrimSpace(code))
		case strings.HasPrefix(strings.TrimSpace(code), ")"):
			table = false
		}
		if a := added.FindStringSubmatch(code); a != nil {
			code = a[1]
		} else if !table || strings.TrimSpace(code) == "" || constraint.MatchString(code) {
			continue
		}
		if err := checkColumn(code, line); err != nil {
			return err
		}
	}
	return nil
}

func checkColumn(code, line string) error {
	m := column.FindStringSubmatch(code)
	if m == nil {
		return fmt.Errorf("column %q has no type that both engines have: text, bigint, boolean or bytea", strings.TrimSpace(code))
	}
	for rest := m[2]; ; {
		less := inside.ReplaceAllString(rest, "")
		if less == rest {
			break
		}
		rest, m[2] = less, less
	}
	if strings.Contains(strings.TrimRight(m[2], ","), ",") {
		return fmt.Errorf("%s: write one column a line", strings.TrimSpace(code))
	}
	k := keepMark.FindStringSubmatch(line)
	if k == nil {
		return fmt.Errorf("column %s has no retention class: write \"-- keep CLASS: purpose\" behind it", m[1])
	}
	if _, ok := Keep[k[1]]; !ok {
		return fmt.Errorf("column %s: retention class %q is not known", m[1], k[1])
	}
	return nil
}
