// Package kit knows phishing kits by rules: what a page of one kit has in its
// title, source, scripts, styles, cookies, headers and requests. It reads the
// public rule format of the Indicators of Kits project (YAML after Sigma, one rule
// a file), and has rules of its own for kits that imitate Dutch and Belgian
// brands. Rules are strangers' text: they are bounded, and expressions are RE2.
package kit

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"bolwerk"
)

// Bounds of a set of rules.
const (
	MaxRules   = 5000
	MaxFile    = 64 << 10 // octets of one rule
	MaxTotal   = 2 << 20  // octets of all files of a folder: they go to a reader with each capture
	MaxLiteral = 4096     // octets of one text that is looked for
	MaxRegexp  = 1000     // octets of one expression
	maxValues  = 200      // texts of one field
	maxFields  = 100      // fields of one rule
	maxNested  = 30       // brackets in a condition
)

// Page is what rules look at.
type Page struct {
	Title    string
	Hostname string // lower case
	HTML     string // as the server sent it
	DOM      string // after its scripts ran; HTML where no browser ran them
	JS       []string
	CSS      []string
	Cookies  []string // name=value
	Headers  []string // Name: value
	Requests []string // addresses that the page asks for
}

// Hit is one rule that knows the page.
type Hit struct {
	Set  string // name of the set
	Rule *Rule
}

// Set is a set of rules. It never changes; nil is empty.
type Set struct {
	name    string
	version string
	rules   []*Rule
	files   []File
}

// File is the text of one rule, as it goes to where pages are looked at.
type File struct {
	Name string `json:"name"` // with .yml or .yaml
	Text string `json:"text"`
}

// Name is how the set is called in evidence.
func (s *Set) Name() string { return s.name }

// Version changes with every change of a rule.
func (s *Set) Version() string {
	if s == nil {
		return ""
	}
	return s.version
}

// Rules are the rules of the set, by id.
func (s *Set) Rules() []*Rule {
	if s == nil {
		return nil
	}
	return slices.Clone(s.rules)
}

// Files are the texts of the rules that were read; Of makes the same set of them.
func (s *Set) Files() []File {
	if s == nil {
		return nil
	}
	return slices.Clone(s.files)
}

// Len is how many rules there are.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return len(s.rules)
}

// Match gives the rules that know the page, by id.
//
// Each text is looked for by itself, cheap ones first, and a condition stops at
// the first that decides it. With the 177 public rules that is 17 ms for a page
// of 200 kB (BenchmarkMatch); to fetch it took seconds.
func (s *Set) Match(p *Page) (out []Hit) {
	if s == nil {
		return nil
	}
	for _, r := range s.rules {
		if r.cond.holds(r, p) {
			out = append(out, Hit{s.name, r})
		}
	}
	return out
}

// Load reads every *.yml and *.yaml file of a folder, not below it. A rule that
// cannot be read is left out and named in the error, with its file and why; the
// set then has the others. A folder that cannot be read, or has more than
// MaxRules or MaxTotal, gives no set.
func Load(name string, dir fs.FS) (*Set, error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		ext := path.Ext(e.Name())
		return ext != ".yml" && ext != ".yaml" || e.IsDir()
	})
	if len(entries) > MaxRules {
		return nil, bolwerk.Invalid("%d rules: at most %d are loaded", len(entries), MaxRules)
	}
	var files []File
	var errs []error
	total := 0
	for _, e := range entries {
		text, err := readFile(dir, e.Name())
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.Name(), err))
			continue
		}
		if total += len(text); total > MaxTotal {
			return nil, bolwerk.Invalid("rules of more than %d octets together", MaxTotal)
		}
		files = append(files, File{e.Name(), string(text)})
	}
	set, err := Of(name, files)
	return set, errors.Join(append(errs, err)...)
}

// Of makes a set of the texts of rules. One that cannot be read is left out and
// named in the error.
func Of(name string, files []File) (*Set, error) {
	set := &Set{name: name}
	sum := sha256.New()
	seen := map[string]string{}
	var errs []error
	for _, f := range files {
		r, err := Parse(strings.TrimSuffix(f.Name, path.Ext(f.Name)), []byte(f.Text))
		if err == nil {
			if other, twice := seen[r.ID]; twice {
				err = bolwerk.Conflict("the rule %s is in %s already", r.ID, other)
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.Name, err))
			continue
		}
		seen[r.ID] = f.Name
		set.rules, set.files = append(set.rules, r), append(set.files, f)
		fmt.Fprintf(sum, "%s %d\n%s", r.ID, len(f.Text), f.Text)
	}
	slices.SortFunc(set.rules, func(a, b *Rule) int { return cmp.Compare(a.ID, b.ID) })
	set.version = hex.EncodeToString(sum.Sum(nil))[:16]
	return set, errors.Join(errs...)
}

// LoadFolder reads the rules of a folder of the machine.
func LoadFolder(name, dir string) (*Set, error) {
	if st, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !st.IsDir() {
		return nil, bolwerk.Invalid("%s is no folder", dir)
	}
	return Load(name, os.DirFS(dir))
}

func readFile(dir fs.FS, name string) ([]byte, error) {
	st, err := fs.Stat(dir, name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, bolwerk.Invalid("no file")
	}
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err == nil && len(text) > MaxFile {
		err = bolwerk.Invalid("more than %d octets", MaxFile)
	}
	return text, err
}

//go:embed rules/*.yml
var own embed.FS

// Own are the rules that come with the program.
func Own() *Set {
	dir, err := fs.Sub(own, "rules")
	if err != nil {
		panic(err) // a bug: the folder is compiled in
	}
	set, err := Load("bolwerk", dir)
	if err != nil {
		panic(err) // a bug, found by the tests
	}
	return set
}
