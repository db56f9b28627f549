// Package allow is what a line in the strict safe environment reaches all the same:
// emergency calls first, then what repairs a device. It knows no store: edges use it.
package allow

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pelletier/go-toml/v2"

	"bolwerk"
)

//go:embed list.toml
var text []byte

// Entry is one thing that stays reachable, and why.
type Entry struct {
	Kind  string   `toml:"kind" json:"kind"` // emergency, telephone, care, alarm, payment, repair, works, own
	What  string   `toml:"what" json:"what"`
	Why   string   `toml:"why" json:"why"`
	Names []string `toml:"names" json:"names,omitempty"` // the name and all below
	Ports []string `toml:"ports" json:"ports,omitempty"` // udp/500: to everywhere
}

var entries = sync.OnceValues(func() ([]Entry, error) {
	var in struct {
		Entry []Entry `toml:"entry"`
	}
	if err := toml.Unmarshal(text, &in); err != nil {
		return nil, err
	}
	return in.Entry, check(in.Entry)
})

// Entries are those that everybody has. Do not change them.
func Entries() []Entry {
	all, err := entries()
	if err != nil {
		panic(err) // a file of ours; a test reads it
	}
	return all
}

// Own is an entry of the operator's: its portal, webmail, telephone platform.
func Own(names []string) (Entry, error) {
	e := Entry{Kind: "own", What: "The operator's own", Why: "The portal, the webmail and the telephone of this operator.", Names: names}
	return e, check([]Entry{e})
}

func check(all []Entry) error {
	for _, e := range all {
		if e.Kind == "" || e.What == "" || e.Why == "" || len(e.Names)+len(e.Ports) == 0 {
			return bolwerk.Invalid("allowed: %q: a kind, what it is, why, and names or ports are needed", e.What)
		}
		for _, n := range e.Names {
			if d, err := bolwerk.ParseDomain(n); err != nil || d.String() != n || !strings.Contains(n, ".") {
				return bolwerk.Invalid("allowed: %q: want a name such as webmail.isp.example", n)
			}
		}
		for _, p := range e.Ports {
			if _, _, err := port(p); err != nil {
				return err
			}
		}
	}
	return nil
}

func port(s string) (proto string, n int, err error) {
	proto, number, _ := strings.Cut(s, "/")
	n, err = strconv.Atoi(number)
	if proto != "udp" && proto != "tcp" || err != nil || n < 1 || n > 65535 {
		return "", 0, bolwerk.Invalid("allowed: port %q: want such as udp/500", s)
	}
	return proto, n, nil
}

// Names are all names of entries, sorted, each once. The names below them belong to
// them.
func Names(all []Entry) (out []string) {
	for _, e := range all {
		out = append(out, e.Names...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Ports are all ports of one protocol, udp or tcp, that are open to everywhere.
func Ports(all []Entry, proto string) (out []int) {
	for _, e := range all {
		for _, s := range e.Ports {
			if p, n, err := port(s); err == nil && p == proto {
				out = append(out, n)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Has says whether a name is one of names, or below one. names are sorted, as Names
// gives them.
func Has(names []string, name bolwerk.Domain) bool {
	for s := name.String(); ; {
		if _, found := slices.BinarySearch(names, s); found {
			return true
		}
		_, rest, ok := strings.Cut(s, ".")
		if !ok {
			return false
		}
		s = rest
	}
}

// The forms in which Print writes the list.
const (
	Table    = "table"    // for people: what, why, names, ports
	NFTables = "nftables" // a ruleset: sets of lines, and what they reach
	DNSMasq  = "dnsmasq"  // lines that put the addresses of names into the sets of the ruleset
)

// Print writes the list in a form. garden is the address of the garden's page.
func Print(w io.Writer, all []Entry, form string, garden string) error {
	switch form {
	case Table:
		for _, e := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", e.Kind, e.What, strings.Join(slices.Concat(e.Names, e.Ports), " "), e.Why)
		}
	case DNSMasq:
		for _, n := range Names(all) {
			fmt.Fprintf(w, "nftset=/%s/4#inet#bolwerk#allowed4,6#inet#bolwerk#allowed6\n", n)
		}
	case NFTables:
		return ruleset(w, all, garden)
	default:
		return bolwerk.Invalid("form %q: want table, nftables or dnsmasq", form)
	}
	return nil
}
