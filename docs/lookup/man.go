package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"

	"bolwerk/internal/app"
	"bolwerk/internal/cli"
)

// man writes the manual pages into dir: bolwerk(1), one page for each command,
// and bolwerk.toml(5). about is what stands at the foot of each: version, date.
func man(root, dir, version, date string) error {
	model, err := cli.Model()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	foot := func(name string, section int) string {
		return fmt.Sprintf(".TH %s %d %s %s Bolwerk\n", roff(strings.ToUpper(name)), section, quoted(date), quoted("bolwerk "+version))
	}
	pages := map[string]string{"bolwerk.1": foot("bolwerk", 1) + manAll(model)}
	for _, n := range model.Children {
		if !n.Hidden {
			name := "bolwerk-" + n.Name
			pages[name+".1"] = foot(name, 1) + manCommand(n)
		}
	}
	toml, err := manConfiguration(root)
	if err != nil {
		return err
	}
	pages["bolwerk.toml.5"] = foot("bolwerk.toml", 5) + toml
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

const (
	manExit = `.SH EXIT STATUS
.TP
.B 0
Done, all of it; a decision is committed.
.TP
.B 1
Refused, with a reason and a hint on standard error.
.TP
.B 2
The command was not understood.
`
	manSee = `.SH SEE ALSO
.BR bolwerk (1),
.BR bolwerk.toml (5),
.I /usr/share/doc/bolwerk/docs/README.md
`
)

func manAll(model *kong.Application) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".SH NAME\nbolwerk \\- protects the customers of an internet or telecom operator\n.SH SYNOPSIS\n.B bolwerk\n.I command\n.RI [ argument \" ...]\"\n.SH DESCRIPTION\n%s\n.PP\n%s\n",
		roff(model.Help), roff("Commands of the desk's API take its address and a token from --server and --token-file, or from ./bolwerk-demo/demo.json where a demo runs. Commands with --data work on the desk's machine: who may write in its folder may do everything. --json prints for programs."))
	group := ""
	for _, n := range model.Children {
		if n.Hidden {
			continue
		}
		if n.Group != nil && n.Group.Title != group {
			group = n.Group.Title
			fmt.Fprintf(&b, ".SH %s\n", roff(strings.ToUpper(group)))
		}
		fmt.Fprintf(&b, ".TP\n.BR bolwerk\\-%s (1)\n%s\n", roff(n.Name), roff(n.Help))
	}
	b.WriteString(manExit)
	b.WriteString(`.SH FILES
.TP
.I /etc/bolwerk/bolwerk.toml
Configuration of the service, see
.BR bolwerk.toml (5).
.TP
.I /var/lib/bolwerk
All that is kept, the keys in
.IR desk/keys .
.TP
.I bolwerk@.service
The unit of a role:
.BR "systemctl start bolwerk@all" ,
.BR @desk ,
.B @intake
or
.BR @edge .
.SH SEE ALSO
.BR bolwerk.toml (5),
.I /usr/share/doc/bolwerk/docs/README.md
`)
	return b.String()
}

func manCommand(n *kong.Node) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".SH NAME\nbolwerk\\-%s \\- %s\n.SH SYNOPSIS\n", roff(n.Name), roff(strings.TrimSuffix(n.Help, ".")))
	leaves := n.Leaves(true)
	if len(leaves) == 0 {
		leaves = []*kong.Node{n}
	}
	for i, l := range leaves {
		if i > 0 {
			b.WriteString(".br\n")
		}
		fmt.Fprintf(&b, ".B %s\n", roff("bolwerk "+usage(l)))
	}
	for i, l := range leaves {
		if len(leaves) == 1 {
			b.WriteString(".SH DESCRIPTION\n")
		} else {
			if i == 0 {
				b.WriteString(".SH COMMANDS\n")
			}
			fmt.Fprintf(&b, ".SS %s\n", roff("bolwerk "+usage(l)))
		}
		b.WriteString(roff(l.Help) + "\n")
		for _, p := range l.Positional {
			fmt.Fprintf(&b, ".TP\n.I %s\n%s\n", roff(p.Summary()), roff(p.Help))
		}
		for _, group := range l.AllFlags(true) {
			for _, f := range group {
				if f.Name != "help" {
					fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(written(f)), roff(about(f)))
				}
			}
		}
	}
	return b.String() + manExit + manSee
}

func manConfiguration(root string) (string, error) {
	c := &keys{root: root, comments: map[string]map[string]string{}}
	if err := c.table("", reflect.ValueOf(app.Default())); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(`.SH NAME
bolwerk.toml \- configuration of Bolwerk
.SH DESCRIPTION
One file of TOML, the same on every machine of an installation; each role reads what it needs.
An unknown key is an error that names it and its line.
.B bolwerk check
.I FILE
tells every problem at once,
.B bolwerk config
.I FILE
prints what is in force.
A secret is never in the file: it stands in a file of its own with mode 0600, which the configuration names.
.PP
Times are written as 90s, 4h, 14d. [[name]] begins one row of several.
`)
	for _, t := range c.tables {
		name := strings.Trim(t.name, "`")
		if name == "" {
			name = "Top of the file"
		}
		fmt.Fprintf(&b, ".SH %s\n", quoted(name))
		if t.about != "" {
			b.WriteString(roff(t.about) + "\n")
		}
		for _, k := range t.keys {
			fmt.Fprintf(&b, ".TP\n.BR %s \" (%s)\"\n%s\n", roff(k.name), roff(k.kind), roff(k.about))
			if k.standard != "" {
				fmt.Fprintf(&b, "Default: %s.\n", roff(strings.Trim(k.standard, "`")))
			}
		}
	}
	b.WriteString(".SH SEE ALSO\n.BR bolwerk (1),\n.BR bolwerk\\-check (1)\n")
	return b.String(), nil
}

// roff writes s as text on one line.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", "", "\n", " ").Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

// quoted writes s as one argument of a macro.
func quoted(s string) string { return `"` + strings.ReplaceAll(roff(s), `"`, `\(dq`) + `"` }
