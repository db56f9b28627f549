// Package forms measures in what share of real mails the address that they lead to
// is read, in each of the forms in which people hand mails in. The benchmark
// prints it, the corpus test holds it.
package forms

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/shield/reading"
	"bolwerk/shield/unwrap"
	"bolwerk/test/wrap"
)

// Mail is one real mail, taken apart by the strict parsers where they take it.
type Mail struct {
	Name   string
	Raw    []byte
	parsed wrap.Mail
	truth  wrap.Truth
	strict bool
}

// Load reads the mails of a class: phish, ham, spam.
func Load(data, class string) (out []Mail, err error) {
	names, err := filepath.Glob(filepath.Join(data, "mail", class, "*.eml"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("no mails in %s/mail/%s (%v)", data, class, err)
	}
	for _, n := range names {
		raw, err := os.ReadFile(n)
		if err != nil {
			return nil, err
		}
		m := Mail{Name: filepath.Base(n), Raw: raw}
		if m.parsed, err = wrap.Parse(raw); err == nil {
			m.truth, m.strict = m.parsed.Find(), true
		}
		out = append(out, m)
	}
	return out, nil
}

// Form is one way of handing mails in.
type Form struct {
	Name string
	// Kind is what it is to be read as; empty where a mail may look like others.
	Kind   reading.Kind
	option reading.Option
	write  func(n int, raw []byte, m wrap.Mail) []byte
}

// All are the forms: the mail itself, attached, and inline; the languages take
// turns.
func All() []Form {
	same := func(_ int, raw []byte, _ wrap.Mail) []byte { return raw }
	out := []Form{{"the mail itself", reading.Plain, reading.Option{Evidence: true}, same}, {"redirected unchanged", "", reading.Option{}, same}}
	for _, how := range wrap.Attached {
		out = append(out, Form{"attached: " + how, reading.Attached, reading.Option{}, func(_ int, raw []byte, m wrap.Mail) []byte { return wrap.Attach(raw, m, how) }})
	}
	for _, s := range wrap.Styles {
		out = append(out, Form{"inline: " + s.Name, reading.Inline, reading.Option{}, func(n int, _ []byte, m wrap.Mail) []byte {
			return wrap.Inline(m, s, bolwerk.Langs()[n%len(bolwerk.Langs())])
		}})
	}
	return out
}

// Result is what came of one form.
type Result struct {
	Mails    int // that the strict parsers take
	WithLink int // that have an address to be found
	Landing  int // whose landing address was found
	All      int // whose addresses were all found
	Kind     int // that were read as the form that they are
	Missed   []string
	Median   time.Duration
	Worst    time.Duration
}

// Share is the part of the mails with a link whose landing address was found.
func (r Result) Share() float64 { return float64(r.Landing) / float64(max(r.WithLink, 1)) }

// Measure hands every mail in and compares what is read with the truth.
func (f Form) Measure(mails []Mail) (out Result) {
	var times []time.Duration
	for i, m := range mails {
		if !m.strict {
			continue
		}
		out.Mails++
		raw := f.write(i, m.Raw, m.parsed)
		begin := time.Now()
		r := reading.Mail(raw, f.option)
		times = append(times, time.Since(begin))
		if r.Kind == f.Kind || f.Kind == "" {
			out.Kind++
		}
		truth := m.truth
		if truth.Landing == "" {
			continue
		}
		out.WithLink++
		urls := leads(r)
		if wrap.Lacks(urls, truth.Landing) {
			out.Missed = append(out.Missed, fmt.Sprintf("%s %s: %s", m.Name, cut(truth.Landing), why(r, truth.Landing)))
		} else {
			out.Landing++
		}
		if !slices.ContainsFunc(truth.All, func(k string) bool { return wrap.Lacks(urls, k) }) {
			out.All++
		}
	}
	slices.Sort(times)
	if len(times) > 0 {
		out.Median, out.Worst = times[len(times)/2], times[len(times)-1]
	}
	return out
}

// leads are the addresses that the desk makes cases of, and those that were
// rewritten by a filter where what they lead to is among them.
func leads(r reading.Result) (urls []string) {
	for _, u := range r.Wanted() {
		urls = append(urls, u.URL)
	}
	for _, u := range r.URLs {
		if u.Role != reading.Wrapper {
			continue
		}
		for inner, n := u.URL, 0; n < unwrap.MaxDepth; n++ {
			to, _, ok := unwrap.Once(inner)
			if !ok {
				break
			}
			if inner = to; !wrap.Lacks(urls, wrap.Key(inner)) {
				urls = append(urls, u.URL)
				break
			}
		}
	}
	return urls
}

func cut(s string) string { return s[:min(len(s), 90)] }

// why says what became of an address that is not among the wanted.
func why(r reading.Result, key string) string {
	for _, u := range r.URLs {
		if wrap.Key(u.URL) == key {
			return fmt.Sprintf("read as %s by %s", u.Role, strings.Join(u.Via, " > "))
		}
	}
	host, _, _ := strings.Cut(key, "/")
	for _, u := range r.URLs {
		if u.Host == host {
			return "read with another path: " + cut(u.URL)
		}
	}
	return fmt.Sprintf("not read (%s, %d others, %v)", r.Kind, len(r.URLs), r.Warnings)
}
