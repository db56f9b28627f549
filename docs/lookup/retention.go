package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"bolwerk/internal/app"
	"bolwerk/internal/store"
)

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
	for _, c := range store.Columns(app.Schemas()) {
		if c.Table != table {
			table = c.Table
			fmt.Fprintf(&b, "\n## %s\n\n| column | class | purpose |\n|---|---|---|\n", table)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", c.Name, c.Class, cell(c.Purpose))
	}
	return b.String(), nil
}
