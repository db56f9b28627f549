package shield

import (
	"html/template"
	"net/url"
	"strings"
	"unicode/utf8"

	"bolwerk"
	"bolwerk/internal/idn"
	"bolwerk/shield/judge"
)

// Shown is a name, or the address of a page, cut up so that people see its
// tricks: what one party registered apart from what stands in front of it,
// letters as they look and as the DNS has them, mixed scripts, and characters
// that hide or turn text written out. It is text, never a link.
type Shown struct {
	Before string // scheme of a page
	Front  string // labels in front of Owner
	Owner  string // registrable domain or tenant; all of it where there is none
	After  string // path of a page
	ALabel string // the name as the DNS has it, where it looks otherwise
	Mixed  bool   // a label mixes scripts that nobody writes together
	Name   string // for a link to what happens to the name; empty for an address
}

// show cuts up a subject: a name, or a page on a host that strangers share.
func (s *Shield) show(subject string) Shown {
	d, err := bolwerk.ParseDomain(subject)
	if err == nil {
		return s.showName(d)
	}
	u, err := url.Parse(subject)
	if err != nil || u.Host == "" {
		return Shown{Owner: idn.Escape(subject)}
	}
	scheme, rest, _ := strings.Cut(subject, "://")
	host, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	out := Shown{Owner: idn.Escape(host)}
	if d, err := bolwerk.ParseDomain(u.Hostname()); err == nil {
		out = s.showName(d)
		if port := u.Port(); port != "" {
			path = ":" + port + path
		}
	}
	out.Before, out.After = scheme+"://", idn.Escape(path)
	return out
}

func (s *Shield) showName(d bolwerk.Domain) Shown {
	if d.IsZero() {
		return Shown{}
	}
	text := idn.Show(d)
	out := Shown{Owner: text, Mixed: judge.MixedScripts(d), Name: d.String()}
	if text != d.String() {
		out.ALabel = d.String()
	}
	if owner := s.guard.rules().place(d).Owner(); !owner.IsZero() && owner.Labels() < d.Labels() {
		labels := strings.Split(text, ".") // U-labels and A-labels are as many
		n := len(labels) - owner.Labels()
		out.Front, out.Owner = strings.Join(labels[:n], ".")+".", strings.Join(labels[n:], ".")
	}
	return out
}

// Visible is a stranger's text with what hides or turns it made visible and
// marked. Each line keeps its direction to itself.
func Visible(text string) template.HTML {
	var b strings.Builder
	for i, line := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("<bdi>")
		for len(line) > 0 {
			r, n := utf8.DecodeRuneInString(line)
			c := line[:n]
			line = line[n:]
			if escaped := idn.Escape(c); escaped != c && r != '\t' {
				b.WriteString("<mark>" + template.HTMLEscapeString(escaped) + "</mark>")
			} else {
				b.WriteString(template.HTMLEscapeString(c))
			}
		}
		b.WriteString("</bdi>")
	}
	return template.HTML(b.String())
}
