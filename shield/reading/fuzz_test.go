package reading

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// holds checks what every result promises, whatever came in.
func holds(t *testing.T, r Result) {
	t.Helper()
	if len(r.Wanted()) > MaxURLs+MaxNoise || len(r.URLs) > MaxURLs+MaxNoise || len(r.Warnings) > MaxWarnings+2 || len(r.Excerpt) > MaxExcerpt {
		t.Fatalf("bounds: %d URLs, %d warnings, excerpt of %d", len(r.URLs), len(r.Warnings), len(r.Excerpt))
	}
	if r.Kind == "" || r.URLs == nil || r.Warnings == nil || !utf8.ValidString(r.Excerpt) {
		t.Fatalf("shape: %+v", r)
	}
	if len(r.Others) > maxOthers {
		t.Fatalf("%d others", len(r.Others))
	}
	for _, o := range r.Others {
		if o.Kind == "" || o.Value == "" || len(o.Value) > 400 || !utf8.ValidString(o.Value) {
			t.Fatalf("%+v", o)
		}
	}
	seen := map[string]bool{}
	for _, u := range r.URLs {
		if seen[u.URL] {
			t.Fatalf("%q twice", u.URL)
		}
		seen[u.URL] = true
		again, ok := Normalise(u.URL)
		if !ok || again.URL != u.URL || again.Host != u.Host {
			t.Fatalf("%q is not in normal form: %q", u.URL, again.URL)
		}
		if u.Host == "" || u.Role == "" || len(u.Via) == 0 || len(u.Via) > maxViaEntries || len(u.Text) > MaxLinkText || !utf8.ValidString(u.Text) {
			t.Fatalf("%+v", u)
		}
		for i := range len(u.URL) {
			if u.URL[i] <= 0x20 || u.URL[i] >= 0x7f {
				t.Fatalf("%q has a character that is no URL's", u.URL)
			}
		}
		if !u.Name.IsZero() && u.Name.String() != u.Host {
			t.Fatalf("name %q, host %q", u.Name, u.Host)
		}
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Result
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	if again, _ := json.Marshal(back); !bytes.Equal(b, again) {
		t.Fatalf("not the same after the pipe:\n%s\n%s", b, again)
	}
}

func FuzzMail(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.eml")
	for _, name := range files {
		if b, err := os.ReadFile(name); err == nil {
			f.Add(b, false)
			f.Add(b, true)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, evidence bool) {
		r := Mail(raw, Option{Evidence: evidence})
		holds(t, r)
		holds(t, File("", raw))
	})
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"hxxps://a[.]b(dot)example/x <http://a.example/\n b>", "a.example:80/x, (http://b.example)", "h\u200bttp://\u202ee.example",
		"http[://]x[:]//y{.}z", `a\.b`, "1.2.3.4/x [::1]", "http://a,http://b;http://c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := Text(s)
		holds(t, r)
		out, places := refang(s)
		last := 0
		for _, p := range places {
			if p < last || p > len(out) {
				t.Fatalf("refang(%q): places %v in %q", s, places, out)
			}
			last = p
		}
	})
}

func FuzzLink(f *testing.F) {
	for _, s := range []string{"http://a@b:80/../%41?%zz#f", `https:\\x\y`, "0x7f.1", "http://[::1]:8/", "www.münchen.example", "data:text/html,<a href=http://a.example>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := Link(s)
		holds(t, r)
		if (r.Kind == SingleURL) != (len(r.URLs) == 1) {
			t.Fatalf("Link(%q): %s with %d URLs", s, r.Kind, len(r.URLs))
		}
	})
}

func FuzzPage(f *testing.F) {
	for _, s := range []string{`<a href="http://a.example/">x</a>`, `<base href="http://b.example/"><a href=../x>`, `<!--[if mso]><a href=//c.example><![endif]-->`,
		`<style>a{b:url(http://d.example)}</style>`, `<meta http-equiv=refresh content="0;URL=http://e.example">`, "<plaintext><a href=http://f.example>", `<img srcset="http://g.example 1x, x">`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := parsePage(s, nil)
		last := 0
		for _, l := range p.links {
			if l.at > len(p.text) {
				t.Fatalf("link at %d of %d", l.at, len(p.text))
			}
		}
		for _, k := range p.taken {
			if k[0] < last || k[1] < k[0] || k[1] > len(p.text) {
				t.Fatalf("taken %v of %d", p.taken, len(p.text))
			}
			last = k[1]
		}
		if w, ok := findForward(p.text); ok && (w.marker > w.body || w.body > len(p.text)) {
			t.Fatalf("forward %d..%d of %d", w.marker, w.body, len(p.text))
		}
	})
}

func FuzzFrame(f *testing.F) {
	var b bytes.Buffer
	if err := requestFrame(&b, request{ID: 1, Task: ReadMail}, []byte("x")); err != nil {
		f.Fatal(err)
	}
	f.Add(b.String())
	f.Add("\x00\x00\x00\x02{}")
	f.Fuzz(func(t *testing.T, s string) {
		frame, err := readFrame(strings.NewReader(s), 1<<16)
		if err != nil {
			return
		}
		q, raw, err := parseRequest(frame)
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := requestFrame(&out, q, raw); err != nil {
			t.Fatal(err)
		}
		if frame, err = readFrame(&out, 1<<20); err != nil {
			t.Fatal(err)
		}
		if q2, raw2, err := parseRequest(frame); err != nil || !reflect.DeepEqual(q2, q) || !bytes.Equal(raw, raw2) {
			t.Fatalf("%+v %q became %+v %q, %v", q, raw, q2, raw2, err)
		}
	})
}
