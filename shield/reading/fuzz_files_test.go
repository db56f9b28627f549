package reading

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"bolwerk/test/wrap"
)

func FuzzFile(f *testing.F) {
	m := phish()
	m.Files = nil
	for _, b := range []wrap.Body{wrap.HTML, wrap.RTF, wrap.Plain} {
		f.Add("a.msg", m.MSG(b))
		f.Add("winmail.dat", m.TNEF(b))
	}
	f.Add("a.zip", archive(f, "dir/mail.eml", "From: a@b.example\nTo: c\nSubject: x\n\nhttp://a.example", "x.htm", "<a href=http://b.example>"))
	f.Add("a.docx", archive(f, "[Content_Types].xml", "", "word/document.xml", `<w:p><w:t>a.example/x</w:t><w:instrText>HYPERLINK "http://b.example"</w:instrText></w:p>`, "word/_rels/x.rels", `<Relationship Target="http://c.example" TargetMode="External"/>`))
	f.Add("a.html.gz", packed(f, "a.html", "<a href=http://a.example>"))
	f.Add("a.ics", []byte("BEGIN:VCALENDAR\nURL;X=\"http://a.example\":http://b.exa\n mple\nX-ALT-DESC:<a href=http://c.example>\n"))
	f.Add("a.webloc", []byte("bplist00\xd1\x01\x02SURL_\x10\x10https://a.example\x08\x0b\x0f\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x23"))
	f.Add("a.url", []byte("[InternetShortcut]\nURL=http://a.example\n"))
	f.Add("a.mht", []byte("Content-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\n<a href=http://a.example>\n--b--"))
	f.Add("a.doc", append(bytes.Clone(cfbMagic), bytes.Repeat([]byte("http://a.example\x00"), 50)...))
	f.Fuzz(func(t *testing.T, name string, raw []byte) {
		r := File(name, raw)
		holds(t, r)
		// What is read does not depend on when it is read.
		if again := File(name, raw); !bytes.Equal(indented(t, r), indented(t, again)) {
			t.Fatalf("twice, with two results:\n%s\n%s", indented(t, r), indented(t, again))
		}
		holds(t, Mail(raw, Option{Evidence: true}))
	})
}

func FuzzRTF(f *testing.F) {
	f.Add(`{\rtf1\ansicpg1252{\field{\*\fldinst{HYPERLINK "http://a.example"}}{\fldrslt x}}\u8364?\'e9\par}`)
	f.Add(string(wrap.RTFOf(phish().HTML)))
	f.Add(`{\rtf1\fromhtml1{\*\htmltag64 <a>}\htmlrtf x\htmlrtf0 \bin3 abc}}}}{\uc9\u-10179?\u-8704?`)
	f.Fuzz(func(t *testing.T, s string) {
		r := parseRTF([]byte(s))
		last := 0
		for _, l := range r.links {
			if l.from < last || l.to < l.from || r.page == "" && l.to > len(r.text) {
				t.Fatalf("link %+v in %q", l, r.text)
			}
			last = l.to
		}
		if !utf8.ValidString(r.text) {
			t.Fatalf("%q is no UTF-8", r.text)
		}
		// What is compressed comes back; what is not is refused or bounded.
		if got, err := unpackRTF(wrap.CompressRTF([]byte(s)), 1<<20); len(s) < 1<<20 && (err != nil || string(got) != s) {
			t.Fatalf("%q came back as %q, %v", s, got, err)
		}
		if got, _ := unpackRTF([]byte(s), 1000); len(got) > 1000 {
			t.Fatalf("%d octets, 1000 are the bound", len(got))
		}
	})
}

func FuzzScript(f *testing.F) {
	for _, s := range []string{`location="ht"+'tp://a.example'`, `atob("aHR0cDovL2EuZXhhbXBsZQ==")`, `unescape('%u0068%74')`, `String.fromCharCode(104,0x74,116,112,58,47,47,97,46,98)`,
		`"\x68\u0074\u{74}\160"`, "`a\n${b}` // c\n /* ' */ '\\\n'", `fetch('http://a.example')`, `x="elpmaxe.a//:ptth";reverse()`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		total := 0
		for _, l := range literals(s) {
			if l.at >= len(s) || strings.IndexByte("\"'`", s[l.at]) < 0 {
				t.Fatalf("literal at %d of %q", l.at, s)
			}
			total += len(l.value)
		}
		if total > len(s)+utf8.UTFMax*strings.Count(s, `\`) {
			t.Fatalf("%d octets of text in a program of %d", total, len(s))
		}
		holds(t, File("a.html", []byte("<html><script>"+s+"</script>")))
	})
}
