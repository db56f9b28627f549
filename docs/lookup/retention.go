package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"bolwerk/internal/app"
	"bolwerk/internal/store"
)

var (
	createTable = regexp.MustCompile(`(?i)^\s*create table (?:if not exists )?(\w+)`)
	addColumn   = regexp.MustCompile(`(?i)^\s*alter table (\w+) add column (\w+).*--\s*keep (\w+): (.*)$`)
	keptColumn  = regexp.MustCompile(`^\s*(\w+)\s.*--\s*keep (\w+): (.*)$`)
)

type column struct{ table, name, class, purpose string }

// columns reads every column of the desk's tables with its class and purpose.
func columns() (all []column) {
	for _, s := range app.Schemas() {
		for _, step := range s.Steps {
			table := ""
			for line := range strings.Lines(step) {
				line = strings.TrimRight(line, "\n")
				if m := createTable.FindStringSubmatch(line); m != nil {
					table = m[1]
				} else if m := addColumn.FindStringSubmatch(line); m != nil {
					all = append(all, column{m[1], m[2], m[3], m[4]})
				} else if m := keptColumn.FindStringSubmatch(line); m != nil {
					all = append(all, column{table, m[1], m[2], m[3]})
				}
			}
		}
	}
	return all
}

// retention lists what is kept, why, and for how long.
func retention(string) (string, error) {
	var b strings.Builder
	b.WriteString(`
# Retention

Every column of the desk's database, why it is kept and for how long. A column
without both is refused when the tables are made. What is sealed is encrypted
with a key a month; the keys lie outside the backup and are destroyed at the end
of retention, so what a backup still holds cannot be read any more.

| class | how long |
|---|---|
`)
	for _, class := range slices.Sorted(maps.Keys(store.Keep)) {
		fmt.Fprintf(&b, "| %s | %s |\n", class, store.Keep[class])
	}
	table := ""
	for _, c := range columns() {
		if c.table != table {
			table = c.table
			fmt.Fprintf(&b, "\n## %s\n\n| column | class | purpose |\n|---|---|---|\n", table)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", c.name, c.class, cell(c.purpose))
	}
	return b.String(), nil
}
