package reading

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden holds what is read in each form in which mail is handed in. The
// mails are invented.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no mails: %v", err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".eml")
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, filepath.Join("testdata", name+".golden"), indented(t, Mail(raw, Option{})))
		})
	}
}

func indented(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func checkGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestForms says in one line per form what must come out: the kind, the wanted
// URLs, and the sender of the evidence.
func TestForms(t *testing.T) {
	const lure = "https://login.evil.example/bank?a=1&b=2"
	for _, c := range []struct {
		file   string
		kind   Kind
		from   string
		wanted string
	}{
		{"attached-without-name", Attached, "info@bank.example", lure},
		{"attached-octet-stream", Attached, "info@bank.example", lure},
		{"attached-as-txt", Attached, "info@bank.example", lure},
		{"attached-by-attachment-of-attachment", Attached, "colleague@reporter.example", lure},
		{"inline-gmail-en", Inline, "info@bank.example", "https://subject.evil.example/s https://login.evil.example/bank"},
		{"inline-gmail-nl", Inline, "noreply@parcel.example", "http://parcel-pay.evil.example/nl"},
		{"inline-gmail-de", Inline, "info@bank.example", "https://de.evil.example/konto"},
		{"inline-outlook-nl-no-separator", Inline, "info@bank.example", "https://pas.evil.example/nieuw"},
		{"inline-outlook-fr", Inline, "info@poste.example", "http://colis.evil.example/payer"},
		{"inline-outlook-mobile", Inline, "info@bank.example", "https://mob.evil.example/v"},
		{"inline-apple-fr", Inline, "info@impots.example", "https://fr.evil.example/r"},
		{"inline-apple-de", Inline, "info@bank.example", "https://apple.evil.example/k"},
		{"inline-thunderbird-en", Inline, "shop@evil.example", "https://tb.evil.example/i"},
		{"inline-thunderbird-nl", Inline, "shop@evil.example", "https://tbnl.evil.example/f"},
		{"reply-is-no-forward", Plain, "", "https://top.evil.example/a https://menu.example/today"},
		{"plain-redirected", Plain, "", lure},
		{"defanged", Plain, "", "https://defang.evil.example/x http://www.evil.example/ http://zero.evil.example/"},
		{"charset-windows-1251", Plain, "", "http://xn--e1afmkfd.example/%D0%B2%D1%85%D0%BE%D0%B4"},
		{"charset-iso-2022-jp", Plain, "", "http://jp.evil.example/login"},
		{"charset-utf-7", Plain, "", "http://utf7.evil.example/%C3%A4"},
		{"charset-wrong", Plain, "", "http://evil.example/%C3%A9"},
		{"broken-mime", Plain, "", "http://evil.example/broken http://evil.example/rest"},
		{"calendar-and-attachments", Plain, "", "https://cal.evil.example/verylong https://cal.evil.example/two https://post.evil.example/p"},
		{"delivery-report", Bounce, "info@bank.example", lure},
	} {
		t.Run(c.file, func(t *testing.T) {
			raw, err := os.ReadFile("testdata/" + c.file + ".eml")
			if err != nil {
				t.Fatal(err)
			}
			r := Mail(raw, Option{})
			from := ""
			if r.Inner != nil {
				from = r.Inner.From
			}
			var wanted []string
			for _, u := range r.Wanted() {
				wanted = append(wanted, u.URL)
			}
			if got := strings.Join(wanted, " "); r.Kind != c.kind || from != c.from || got != c.wanted {
				t.Errorf("got  %s from %q: %s\nwant %s from %q: %s\nwarnings %q", r.Kind, from, got, c.kind, c.from, c.wanted, r.Warnings)
			}
			if r.Outer == nil {
				t.Error("no outer head")
			}
		})
	}
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sms.txt")
	if err := os.WriteFile(path, []byte("pay: bänk.example/\u202ex hxxp://evil[.]example now"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Command([]string{path, "testdata/inline-gmail-nl.eml"}, true, &out); err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(out.String(), dir, "DIR")
	want := `{"file":"DIR/sms.txt","kind":"text","urls":[{"url":"http://xn--bnk-qla.example/x","role":"lure","via":["text","bare"]},{"url":"http://evil.example/","role":"lure","via":["text","defanged"]}],"warnings":[]}
{"file":"testdata/inline-gmail-nl.eml","kind":"inline","urls":[{"url":"http://parcel-pay.evil.example/nl","role":"lure","via":["text/plain","inline-forward","bare"]}],"warnings":[]}
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	out.Reset()
	if err := Command([]string{"testdata/html-tricks.eml", "testdata/inline-gmail-en.eml", "testdata/calendar-and-attachments.eml"}, false, &out); err != nil {
		t.Fatal(err)
	}
	checkGolden(t, "testdata/table.golden", out.Bytes())
	out.Reset()
	err := Command([]string{dir + "/none", "testdata/defanged.eml"}, true, &out)
	if err == nil || !strings.Contains(err.Error(), "no such file") || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("a missing file: got %v and %q", err, out.String())
	}
	if Command(nil, false, &out) == nil {
		t.Error("no file at all was accepted")
	}
}

func TestOutput(t *testing.T) {
	var out bytes.Buffer
	l := Line{File: "a\u202eb\x1b\U000E0041", Kind: Plain, Warnings: []string{"x\u0085"}}
	if err := writeLine(&out, l); err != nil {
		t.Fatal(err)
	}
	var back Line
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back.File != l.File || back.Warnings[0] != l.Warnings[0] {
		t.Errorf("got %q, %v", back.File, err)
	}
	for _, r := range out.String() {
		if r != '\n' && (r < 0x20 || r > 0x7e) {
			t.Errorf("%q stands unescaped in %s", r, out.String())
		}
	}
}
