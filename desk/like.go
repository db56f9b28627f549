package desk

import "strings"

// EscapeLike makes s a literal inside a LIKE pattern with escape '\'.
func EscapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}
