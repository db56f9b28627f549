package kit

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"bolwerk"
)

// Rule is one rule: named searches, and a condition over them.
type Rule struct {
	ID          string // the file's name without its ending
	Title       string
	Description string
	References  []string
	Tags        []string

	searches map[string][]fieldTest // all of a search have to hold
	names    []string               // of the searches, in the order of the file
	cond     node
}

// Kit says that the rule knows a phishing kit, not only a trick that kits and
// others use: a copied page, a hidden script.
func (r *Rule) Kit() bool { return slices.Contains(r.Tags, "kit") }

// Flow says that the rule knows what kits of a sort ask of their visitors, not
// the files of one kit.
func (r *Rule) Flow() bool { return slices.Contains(r.Tags, "flow") }

// Targets are the brands that the kit imitates, as the rule's tags name them.
func (r *Rule) Targets() (out []string) {
	for _, t := range r.Tags {
		if b, ok := strings.CutPrefix(t, "target."); ok {
			out = append(out, b)
		}
	}
	return out
}

// Fields are the parts of a page that the rule looks at, each once.
func (r *Rule) Fields() (out []string) {
	for _, n := range r.names {
		for _, t := range r.searches[n] {
			if !slices.Contains(out, t.field) {
				out = append(out, t.field)
			}
		}
	}
	return out
}

// Parse reads one rule. Fields of the head that we do not know are passed over;
// in the detection, where one that is not understood would change what the rule
// knows, everything unknown is an error.
//
// Texts are compared octet for octet, as a page's source is code; host names and
// the names of headers in lower case. A list says "one of", with |all "all of".
func Parse(id string, text []byte) (*Rule, error) {
	var head struct {
		Title       string    `yaml:"title"`
		Description string    `yaml:"description"`
		References  []string  `yaml:"references"`
		Tags        []string  `yaml:"tags"`
		Detection   yaml.Node `yaml:"detection"`
	}
	if len(text) > MaxFile {
		return nil, bolwerk.Invalid("more than %d octets", MaxFile)
	}
	if !utf8.Valid(text) {
		return nil, bolwerk.Invalid("it is not UTF-8")
	}
	if err := yaml.Unmarshal(text, &head); err != nil {
		return nil, bolwerk.Invalid("it is not the YAML of a rule: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if head.Title == "" {
		return nil, bolwerk.Invalid("it has no title")
	}
	r := &Rule{ID: id, Title: head.Title, Description: head.Description, References: head.References, Tags: head.Tags, searches: map[string][]fieldTest{}}
	if head.Detection.Kind != yaml.MappingNode {
		return nil, bolwerk.Invalid("it has no detection")
	}
	condition, fields := "", 0
	for i := 0; i+1 < len(head.Detection.Content); i += 2 {
		key, value := head.Detection.Content[i], head.Detection.Content[i+1]
		if key.Value == "condition" {
			if value.Kind != yaml.ScalarNode {
				return nil, bolwerk.Invalid("line %d: the condition is no text", value.Line)
			}
			condition = value.Value
			continue
		}
		if _, twice := r.searches[key.Value]; twice || !searchName.MatchString(key.Value) {
			return nil, bolwerk.Invalid("line %d: %q is no name of a search, or there twice", key.Line, key.Value)
		}
		if value.Kind != yaml.MappingNode || len(value.Content) == 0 {
			return nil, bolwerk.Invalid("line %d: the search %s has no fields", value.Line, key.Value)
		}
		var all []fieldTest
		for j := 0; j+1 < len(value.Content); j += 2 {
			t, err := parseTest(value.Content[j], value.Content[j+1])
			if err != nil {
				return nil, err
			}
			all = append(all, t)
		}
		if fields += len(all); fields > maxFields {
			return nil, bolwerk.Invalid("more than %d fields", maxFields)
		}
		r.searches[key.Value] = all
		r.names = append(r.names, key.Value)
	}
	var err error
	if r.cond, err = parseCondition(condition, r.names); err != nil {
		return nil, err
	}
	r.cond.order(r)
	return r, nil
}

var searchName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// fieldTest is one line of a search: a field, how it is compared, with what.
type fieldTest struct {
	field string
	all   bool // all values, not one
	how   string
	text  []string
	re    []*regexp.Regexp
}

var fields = []string{"title", "hostname", "html", "dom", "css", "js", "cookies", "headers", "requests"}

func parseTest(key, value *yaml.Node) (t fieldTest, err error) {
	parts := strings.Split(key.Value, "|")
	t.field = parts[0]
	if !slices.Contains(fields, t.field) {
		return t, bolwerk.Invalid("line %d: field %q: want %s", key.Line, t.field, strings.Join(fields, ", "))
	}
	for _, m := range parts[1:] {
		switch {
		case m == "all" && !t.all:
			t.all = true
		case slices.Contains([]string{"contains", "startswith", "endswith", "re"}, m) && t.how == "":
			t.how = m
		default:
			return t, bolwerk.Invalid("line %d: modifier %q of %s: want one of contains, startswith, endswith, re, and all", key.Line, m, t.field)
		}
	}
	var values []*yaml.Node
	switch value.Kind {
	case yaml.ScalarNode:
		values = []*yaml.Node{value}
	case yaml.SequenceNode:
		values = value.Content
	}
	if len(values) == 0 || len(values) > maxValues {
		return t, bolwerk.Invalid("line %d: %s has %d texts: want 1 to %d", key.Line, key.Value, len(values), maxValues)
	}
	for _, v := range values {
		if v.Kind != yaml.ScalarNode || v.Value == "" || len(v.Value) > MaxLiteral {
			return t, bolwerk.Invalid("line %d: %s: want a text of 1 to %d octets", v.Line, key.Value, MaxLiteral)
		}
		s := v.Value
		if t.how == "re" {
			if len(s) > MaxRegexp {
				return t, bolwerk.Invalid("line %d: %s: an expression of more than %d octets", v.Line, key.Value, MaxRegexp)
			}
			re, err := regexp.Compile(s)
			if err != nil {
				return t, bolwerk.Invalid("line %d: %s: %s (expressions are RE2: no look-around, no back-references)", v.Line, key.Value, err)
			}
			t.re = append(t.re, re)
			continue
		}
		if t.field == "hostname" {
			s = strings.ToLower(s)
		}
		t.text = append(t.text, s)
	}
	return t, nil
}

// maxExpression is how much of one text an expression looks at: RE2 is linear,
// and slow enough to bound.
const maxExpression = 512 << 10

// of gives the texts of a page that a field names.
func (p *Page) of(field string) []string {
	switch field {
	case "title":
		return []string{p.Title}
	case "hostname":
		return []string{p.Hostname}
	case "html":
		return []string{p.HTML}
	case "dom":
		return []string{p.DOM}
	case "css":
		return p.CSS
	case "js":
		return p.JS
	case "cookies":
		return p.Cookies
	case "headers":
		return p.Headers
	}
	return p.Requests
}

func (t *fieldTest) holds(p *Page) bool {
	have := p.of(t.field)
	n := max(len(t.text), len(t.re))
	for i := range n {
		hit := false
		for _, h := range have {
			if t.one(i, h) {
				hit = true
				break
			}
		}
		if hit != t.all {
			return hit
		}
	}
	return t.all
}

func (t *fieldTest) one(i int, have string) bool {
	switch t.how {
	case "contains":
		return strings.Contains(have, t.text[i])
	case "startswith":
		return strings.HasPrefix(have, t.text[i])
	case "endswith":
		return strings.HasSuffix(have, t.text[i])
	case "re":
		return t.re[i].MatchString(have[:min(len(have), maxExpression)])
	}
	return have == t.text[i]
}
