package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"bolwerk/internal/terminal"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run does it.
func (c *completionCmd) Run(t *terminal.Terminal) error {
	model, err := Model()
	if err != nil {
		return err
	}
	all := completions(model.Node)
	switch c.Shell {
	case "bash":
		return bash(t.Out, all)
	case "zsh":
		return zsh(t.Out, all)
	}
	return fish(t.Out, all)
}

// completion is what may follow the words of a command.
type completion struct {
	path  string // "" or " case" or " case confirm"
	words []candidate
	files bool // an argument of it is a file
	flags []candidate
}

// candidate is a word with what it does, and what may follow it where it is a flag.
type candidate struct {
	word, about string
	value       string // "" nothing, "file", "dir", "any", or the words that may stand there
}

// completions are those of a command and of all below it.
func completions(n *kong.Node) []completion { return below(nil, "", n) }

func below(all []completion, path string, n *kong.Node) []completion {
	c := completion{path: path}
	for at := n; ; at = at.DefaultCmd {
		c.add(at)
		if at.DefaultCmd == nil {
			break
		}
	}
	all = append(all, c)
	for _, child := range n.Children {
		if !child.Hidden {
			all = below(all, path+" "+child.Name, child)
		}
	}
	return all
}

// add takes in what may follow the words of n.
func (c *completion) add(n *kong.Node) {
	for _, child := range n.Children {
		if !child.Hidden {
			c.words = append(c.words, candidate{word: child.Name, about: child.Help})
		}
	}
	for _, p := range n.Positional {
		switch kind := valueOf(p, ""); kind {
		case "file", "dir":
			c.files = true
		case "any":
		default:
			for w := range strings.FieldsSeq(kind) {
				c.words = append(c.words, candidate{word: w})
			}
		}
	}
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			next := candidate{word: "--" + f.Name, about: f.Help}
			if !f.IsBool() && !f.IsCounter() {
				next.value = valueOf(f.Value, f.PlaceHolder)
			}
			if !slices.ContainsFunc(c.flags, func(have candidate) bool { return have.word == next.word }) {
				c.flags = append(c.flags, next)
			}
		}
	}
}

// valueOf says what a value is: words, a file, a folder, or anything.
func valueOf(v *kong.Value, place string) string {
	switch {
	case v.Enum != "":
		return strings.Join(v.EnumSlice(), " ")
	case place == "DIR":
		return "dir"
	case v.Tag != nil && v.Tag.Type == "path", place == "FILE", v.Name == "file":
		return "file"
	}
	return "any"
}

// steps are the words that lead further, as a pattern of a shell's case.
func steps(all []completion) string {
	var paths []string
	for _, c := range all[1:] {
		paths = append(paths, `"`+c.path+`"`)
	}
	return strings.Join(paths, "|")
}

// bash needs no package of completions beside it.
func bash(w io.Writer, all []completion) error {
	var b strings.Builder
	fmt.Fprintf(&b, `# bash completion of bolwerk; made by: bolwerk completion bash
_bolwerk() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path= words= flags= files= i
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case "$path ${COMP_WORDS[i]}" in
		%s) path="$path ${COMP_WORDS[i]}" ;;
		esac
	done
	case "$path $prev" in
`, steps(all))
	for _, c := range all {
		for _, f := range c.flags {
			fill := map[string]string{"file": `compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur"))`, "dir": `compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur"))`, "any": `:`}[f.value]
			if f.value == "" {
				continue
			}
			if fill == "" {
				fill = fmt.Sprintf(`COMPREPLY=($(compgen -W "%s" -- "$cur"))`, f.value)
			}
			fmt.Fprintf(&b, "\t\"%s %s\") %s; return ;;\n", c.path, f.word, fill)
		}
	}
	b.WriteString("\tesac\n\tcase \"$path\" in\n")
	for _, c := range all {
		fmt.Fprintf(&b, "\t\"%s\") words=\"%s\" flags=\"%s\"", c.path, spaced(c.words), spaced(c.flags))
		if c.files {
			b.WriteString(" files=1")
		}
		b.WriteString(" ;;\n")
	}
	b.WriteString(`	esac
	case $cur in
	-*) COMPREPLY=($(compgen -W "$flags" -- "$cur")) ;;
	*)
		COMPREPLY=($(compgen -W "$words" -- "$cur"))
		if [ -n "$files" ]; then
			compopt -o filenames
			COMPREPLY+=($(compgen -f -- "$cur"))
		fi
		;;
	esac
}
complete -F _bolwerk bolwerk
`)
	_, err := io.WriteString(w, b.String())
	return err
}

func spaced(all []candidate) string {
	var words []string
	for _, c := range all {
		words = append(words, c.word)
	}
	return strings.Join(words, " ")
}

func zsh(w io.Writer, all []completion) error {
	var b strings.Builder
	fmt.Fprintf(&b, `#compdef bolwerk
# zsh completion of bolwerk; made by: bolwerk completion zsh
_bolwerk() {
	local at= i
	local -a items flags
	for ((i = 2; i < CURRENT; i++)); do
		case "$at $words[i]" in
		%s) at="$at $words[i]" ;;
		esac
	done
	case "$at $words[CURRENT-1]" in
`, steps(all))
	for _, c := range all {
		for _, f := range c.flags {
			fill := map[string]string{"file": "_files", "dir": "_files -/", "any": ":"}[f.value]
			if f.value == "" {
				continue
			}
			if fill == "" {
				fill = "compadd -- " + f.value
			}
			fmt.Fprintf(&b, "\t\"%s %s\") %s; return ;;\n", c.path, f.word, fill)
		}
	}
	b.WriteString("\tesac\n\tcase \"$at\" in\n")
	list := func(all []candidate) string {
		var items []string
		for _, c := range all {
			items = append(items, quote(strings.ReplaceAll(c.word, ":", `\:`)+":"+c.about))
		}
		return strings.Join(items, " ")
	}
	for _, c := range all {
		fmt.Fprintf(&b, "\t\"%s\") items=(%s) flags=(%s)", c.path, list(c.words), list(c.flags))
		if c.files {
			b.WriteString("; _files")
		}
		b.WriteString(" ;;\n")
	}
	b.WriteString(`	esac
	if [[ $words[CURRENT] == -* ]]; then
		_describe -o option flags
	else
		_describe command items
	fi
}
if [ "$funcstack[1]" = _bolwerk ]; then _bolwerk "$@"; else compdef _bolwerk bolwerk; fi
`)
	_, err := io.WriteString(w, b.String())
	return err
}

// quote writes s as one word of a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func fish(w io.Writer, all []completion) error {
	var b strings.Builder
	fmt.Fprintf(&b, `# fish completion of bolwerk; made by: bolwerk completion fish
function __bolwerk_at
	set -l at
	for w in (commandline -opc)[2..-1]
		switch "$at $w"
			case %s
				set at "$at $w"
		end
	end
	test "$at" = "$argv[1]"
end
complete -c bolwerk -f
`, strings.ReplaceAll(steps(all), "|", " "))
	for _, c := range all {
		at := "-n " + fishQuote("__bolwerk_at "+fishQuote(c.path))
		for _, word := range c.words {
			fmt.Fprintf(&b, "complete -c bolwerk %s -a %s -d %s\n", at, fishQuote(word.word), fishQuote(word.about))
		}
		if c.files {
			fmt.Fprintf(&b, "complete -c bolwerk %s -F\n", at)
		}
		for _, f := range c.flags {
			value := map[string]string{"": "", "file": " -r -F", "dir": " -x -a '(__fish_complete_directories)'", "any": " -x"}
			v, ok := value[f.value]
			if !ok {
				v = " -x -a " + fishQuote(f.value)
			}
			fmt.Fprintf(&b, "complete -c bolwerk %s -l %s%s -d %s\n", at, strings.TrimPrefix(f.word, "--"), v, fishQuote(f.about))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// fishQuote writes s as one word of fish, where a backslash counts inside too.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
