package shield

import (
	"path/filepath"
	"strings"
	"testing"

	"bolwerk"
	"bolwerk/shield/judge"
	"bolwerk/shield/reading"
)

// ownSuffixes is a public suffix list in which a hoster's name is a private suffix.
const ownSuffixes = `// ===BEGIN ICANN DOMAINS===
com
uk
co.uk
example
// ===END ICANN DOMAINS===
// ===BEGIN PRIVATE DOMAINS===
github.io
hosted.example
// ===END PRIVATE DOMAINS===
`

// TestSuffixFile_is_the_list_of_the_reader_too: two customers of a hoster are two
// parties for the reader of a page, for its judgement and for the scope, as soon as
// the operator's list says so; and one party without it.
func TestSuffixFile_is_the_list_of_the_reader_too(t *testing.T) {
	s := newShield(t)
	page := pageAt("https://bad.hosted.example/in", `<form action="https://taker.hosted.example/x"><input type=password></form>`)
	off := func() (out []string) {
		for _, e := range s.look(page).Evidence {
			if e.Reason == "form_off_domain" {
				out = append(out, e.Detail)
			}
		}
		return out
	}
	scope := func() judge.ScopeDecision {
		r := s.guard.rules()
		return judge.DecideScope(judge.Target{Place: r.place(bolwerk.MustDomain("www.bad.hosted.example"))}, r.popular)
	}
	if got := off(); len(got) != 0 {
		t.Errorf("without a list of its own: got %q", got)
	}
	if got := scope(); got.Scope != bolwerk.ScopeHost {
		t.Errorf("without a list of its own: got %+v", got)
	}
	s.file("suffixes.dat", ownSuffixes)
	s.guard.cfg.SuffixFile = filepath.Join(s.dir, "suffixes.dat")
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := off(); len(got) != 1 {
		t.Errorf("the reader has another list than the desk: got %q", got)
	}
	if got := scope(); got.Scope != bolwerk.ScopeSubtree || got.Name.String() != "bad.hosted.example" {
		t.Errorf("got %+v, want the subtree of the customer", got)
	}
}

// TestSuffixFile_bare_names_in_a_text: a top-level domain that is younger than the
// program ends a name in a text as soon as the operator's list has it.
func TestSuffixFile_bare_names_in_a_text(t *testing.T) {
	s := newShield(t)
	text := "Pay the fee of your parcel today at first-depot.newtld before tonight"
	s.report(text)
	if got := s.one(`select count(*) from shield_observable where name='first-depot.newtld'`); got != "0" {
		t.Errorf("the compiled list knows .newtld: %s", got)
	}
	s.file("suffixes.dat", strings.Replace(ownSuffixes, "com\n", "com\nnewtld\n", 1))
	s.guard.cfg.SuffixFile = filepath.Join(s.dir, "suffixes.dat")
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.report(text)
	if got := s.one(`select count(*) from shield_observable where name='first-depot.newtld'`); got != "1" {
		t.Errorf("got %s observables", got)
	}
}

// TestSuffixFile_links_without_a_scheme: nor is it unknown where a page's link leads
// to a name alone, as mail programs open it.
func TestSuffixFile_links_without_a_scheme(t *testing.T) {
	mail := "From: a@customer.example\r\nSubject: x\r\nContent-Type: text/html\r\n\r\n<a href=\"second-depot.newtld/pay\">Pay the fee of your parcel</a>\r\n"
	for _, c := range []struct {
		tlds []string
		want int
	}{{nil, 0}, {[]string{"newtld"}, 1}} {
		r := reading.Mail([]byte(mail), reading.Option{Evidence: true, TLDs: c.tlds})
		n := 0
		for _, u := range r.URLs {
			if u.Host == "second-depot.newtld" {
				n++
			}
		}
		if n != c.want {
			t.Errorf("with %v: %d links, want %d: %+v", c.tlds, n, c.want, r.URLs)
		}
	}
}
