package desk

import "strings"

// escapeLike makes s a literal inside a LIKE pattern with escape '\'.
func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}
