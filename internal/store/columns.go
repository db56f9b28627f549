package store

import (
	"regexp"
	"strings"
)

// Column is a column of a schema as its comment describes it.
type Column struct {
	Table string
	Name  string
	Type  string // text, bigint, boolean or bytea
	// Class is how long it is kept, see Keep; Purpose why.
	Class   string
	Purpose string
}

var (
	createTable = regexp.MustCompile(`(?i)^\s*create table (?:if not exists )?(\w+)`)
	addColumn   = regexp.MustCompile(`(?i)^\s*alter table (\w+) add column (\w+)\s+(\w+).*--\s*keep (\w+): (.*)$`)
	keptColumn  = regexp.MustCompile(`^\s*(\w+)\s+(\w+).*--\s*keep (\w+): (.*)$`)
)

// Columns are those of the schemas, in their order.
func Columns(schemas []Schema) (all []Column) {
	for _, s := range schemas {
		for _, step := range s.Steps {
			table := ""
			for line := range strings.Lines(step) {
				line = strings.TrimRight(line, "\n")
				if m := createTable.FindStringSubmatch(line); m != nil {
					table = m[1]
				} else if m := addColumn.FindStringSubmatch(line); m != nil {
					all = append(all, Column{m[1], m[2], strings.ToLower(m[3]), m[4], m[5]})
				} else if m := keptColumn.FindStringSubmatch(line); m != nil {
					all = append(all, Column{table, m[1], strings.ToLower(m[2]), m[3], m[4]})
				}
			}
		}
	}
	return all
}
