package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"bolwerk/internal/cli"
)

// commands lists every command with what it takes.
func commands(string) (string, error) {
	model, err := cli.Model()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(`
# Commands

Every command prints ` + "`--help`" + `. It exits with 0 when it has done all of it (a
decision: committed), with 1 when it was refused, with a reason and a hint, and
with 2 when it was not understood. ` + "`--json`" + ` prints for programs: control and
bidirectional characters are escaped, and a list is one object
` + "`{\"items\":[{\"id\",\"state\",\"name\",...}]}`" + ` with all pages of it.

Commands of the desk's API take their address and token from ` + "`--server`" + ` and
` + "`--token-file`" + `, or from ./bolwerk-demo/demo.json where a demo runs. Commands with
` + "`--data`" + ` work on the desk's machine: who may write in its folder may do
everything.
`)
	group := ""
	for _, n := range model.Children {
		if n.Hidden {
			continue
		}
		if n.Group != nil && n.Group.Title != group {
			group = n.Group.Title
			fmt.Fprintf(&b, "\n## %s\n", group)
		}
		command(&b, n)
	}
	return b.String(), nil
}

func command(b *strings.Builder, n *kong.Node) {
	if len(n.Children) > 0 {
		for _, c := range n.Children {
			if !c.Hidden {
				command(b, c)
			}
		}
		return
	}
	fmt.Fprintf(b, "\n### `bolwerk %s`\n\n%s\n", usage(n), n.Help)
	var rows []string
	for _, p := range n.Positional {
		rows = append(rows, fmt.Sprintf("| `%s` | %s |", p.Summary(), cell(p.Help)))
	}
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			if f.Hidden || f.Name == "help" {
				continue
			}
			rows = append(rows, fmt.Sprintf("| `%s` | %s |", cell(written(f)), cell(about(f))))
		}
	}
	if len(rows) > 0 {
		fmt.Fprintf(b, "\n| | |\n|---|---|\n%s\n", strings.Join(rows, "\n"))
	}
}

// usage is the command with what it must be given.
func usage(n *kong.Node) string {
	words := []string{strings.TrimPrefix(n.Path(), "bolwerk ")}
	for _, p := range n.Positional {
		words = append(words, p.Summary())
	}
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			if f.Required && !f.Hidden {
				words = append(words, written(f))
			}
		}
	}
	return strings.Join(words, " ")
}

func written(f *kong.Flag) string {
	s := "--" + f.Name
	if f.Short != 0 {
		s = fmt.Sprintf("-%c, %s", f.Short, s)
	}
	if !f.IsBool() && !f.IsCounter() {
		name := f.PlaceHolder
		if name == "" {
			name = strings.ToUpper(f.Name)
		}
		s += " " + name
	}
	return s
}

func about(f *kong.Flag) string {
	if f.HasDefault && f.Default != "" && !strings.Contains(f.Help, "Default") {
		return f.Help + " Default: " + f.Default + "."
	}
	return f.Help
}
