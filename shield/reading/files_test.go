package reading

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"bolwerk/test/wrap"
)

// archive is a ZIP of names and contents, in turn.
func archive(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func packed(t testing.TB, name, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Name = name
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestFiles reads files as they are given, and each of them attached to a mail.
func TestFiles(t *testing.T) {
	const mail = "From: a@evil.example\nTo: b@c.example\nSubject: x\nDate: y\n\nhttp://mail.evil.example/\n"
	page := `<a href="http://page.evil.example/">x</a>`
	locked := archive(t, "x.html", page)
	locked[6] |= 1
	i := bytes.Index(locked, []byte("PK\x01\x02"))
	locked[i+8] |= 1
	word := archive(t, "[Content_Types].xml", "<Types/>",
		"word/_rels/document.xml.rels", `<Relationships><Relationship Id="1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/hyperlink" Target="https://rel.evil.example/a?b&amp;c" TargetMode="External"/>`+
			`<Relationship Id="2" Type="http://x/attachedTemplate" Target="https://template.evil.example/t.dotm" TargetMode="External"/><Relationship Id="3" Type="http://x/image" Target="http://image.example/p.png" TargetMode="External"/><Relationship Id="4" Target="http://internal.example/"/></Relationships>`,
		"word/document.xml", `<w:document xmlns:w="http://schemas.example/"><w:p><w:r><w:t>Ga naar text.evil.</w:t></w:r><w:r><w:t>example/x</w:t></w:r></w:p><w:p><w:r><w:instrText> HYPERLINK "https://field.evil.example/f" </w:instrText></w:r></w:p></w:document>`)
	plist := "bplist00\xd1\x01\x02SURL_\x10\x1chttps://webloc.evil.example/\x08\x0b\x0f" + strings.Repeat("\x00", 6) + "\x01\x01" +
		"\x00\x00\x00\x00\x00\x00\x00\x03" + "\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x2e"
	for _, c := range []struct {
		name, body string
		want       []string
		via        string // of the first
		warning    string
	}{
		{"a.zip", string(archive(t, "dir/mail.eml", mail, "x.htm", page)), []string{"http://mail.evil.example/", "http://page.evil.example/"}, "zip", ""},
		{"deep.zip", string(archive(t, "a.zip", string(archive(t, "b.html", page)))), []string{"http://page.evil.example/"}, "zip", ""},
		{"deeper.zip", string(archive(t, "a.zip", string(archive(t, "b.zip", string(archive(t, "c.html", page)))))), nil, "", "an archive in an archive"},
		{"locked.zip", string(locked), nil, "", "locked"},
		{"broken.zip", "PK\x03\x04 and no more", nil, "", "cannot be read"},
		{"page.html.gz", string(packed(t, "page.html", page)), []string{"http://page.evil.example/"}, "gzip", ""},
		{"outlook.zip", string(archive(t, "m.msg", string(wrap.Mail{From: "a@b.example", Text: "http://msg.evil.example/"}.MSG(wrap.Plain)))), []string{"http://msg.evil.example/"}, "zip", ""},
		{"brief.docx", string(word), []string{"http://text.evil.example/x", "https://field.evil.example/f", "https://rel.evil.example/a?b&c", "https://template.evil.example/t.dotm"}, "office", ""},
		{"brief.odt", string(archive(t, "META-INF/manifest.xml", "<x/>", "content.xml", `<text:p>Klik <text:a xlink:href="https://odt.evil.example/">hier</text:a></text:p>`)), []string{"https://odt.evil.example/"}, "office", ""},
		{"old.doc", string(wrap.Mail{}.MSG(wrap.Plain)[:8]) + strings.Repeat("\x00", 600) + "h\x00t\x00t\x00p\x00:\x00/\x00/\x00o\x00l\x00d\x00.\x00e\x00v\x00i\x00l\x00.\x00e\x00x\x00a\x00m\x00p\x00l\x00e\x00/\x00 \x00\"\x00", []string{"http://old.evil.example/"}, "file:strings", "old Office"},
		{"link.url", "[InternetShortcut]\r\nURL=https://url.evil.example/x\r\nIconFile=http://icon.example/i.ico\r\n", []string{"https://url.evil.example/x"}, "shortcut.url", ""},
		{"link.desktop", "[Desktop Entry]\nType=Link\nURL[nl]=https://desktop.evil.example/\nExec=xdg-open https://exec.evil.example/\n", []string{"https://desktop.evil.example/", "https://exec.evil.example/"}, "shortcut.desktop", ""},
		{"link.webloc", `<?xml version="1.0"?><!DOCTYPE plist PUBLIC "-//Apple//DTD" "http://www.apple.com/x.dtd"><plist><dict><key>URL</key><string>https://webloc.evil.example/?a&amp;b</string></dict></plist>`, []string{"https://webloc.evil.example/?a&b"}, "shortcut.webloc", ""},
		{"binary.webloc", plist, []string{"https://webloc.evil.example/"}, "shortcut.webloc", ""},
		{"afspraak.ics", "BEGIN:VCALENDAR\r\nPRODID:http://prod.example/\r\nBEGIN:VEVENT\r\nORGANIZER;CN=x:mailto:a@evil.example\r\nDESCRIPTION;ALTREP=\"https://alt.evil.example/a\":Zie https://desc.evil.exa\r\n mple/d\\, nu\r\nATTACH;FMTTYPE=text/html:https://attach.evil.example/x\r\nURL:https://url.evil.example/u\r\nX-ALT-DESC;FMTTYPE=text/html:<a href=\"https://xalt.evil.example/\">x</a>\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
			[]string{"https://alt.evil.example/a", "https://attach.evil.example/x", "https://desc.evil.example/d", "https://url.evil.example/u", "https://xalt.evil.example/"}, "text/calendar", ""},
		{"page.mht", "From: <saved>\nMIME-Version: 1.0\nContent-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n<a href=3D\"http://mht.evil.example/\">x</a>\n--b--\n", []string{"http://mht.evil.example/"}, "mht", ""},
		{"page.shtml", page, []string{"http://page.evil.example/"}, "attachment:html:href", ""},
		{"plaatje.svg", `<svg xmlns="http://www.w3.org/2000/svg"><a xlink:href="http://a.evil.example/"><text>x</text></a><script>location="http://script.evil.example/"</script><foreignObject><iframe src="http://frame.evil.example/"/></foreignObject></svg>`,
			[]string{"http://a.evil.example/", "http://frame.evil.example/", "http://script.evil.example/"}, "attachment:html:href", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			mails := map[string]Result{
				"as a file":        File(c.name, []byte(c.body)),
				"attached":         Mail(wrapped("application/octet-stream", c.name, c.body), Option{Evidence: true}),
				"of a false type":  Mail(wrapped("application/pdf", c.name, c.body), Option{Evidence: true}),
				"as text, by name": Mail(wrapped("text/plain", c.name, c.body), Option{Evidence: true}),
			}
			for how, r := range mails {
				holds(t, r)
				got := wantedURLs(r)
				if !slices.Equal(got, c.want) {
					t.Errorf("%s: got %q, want %q (warnings %q)", how, got, c.want, r.Warnings)
				}
				if c.via != "" && len(got) > 0 && !slices.ContainsFunc(r.Wanted(), func(u URL) bool { return slices.Contains(u.Via, c.via) }) {
					t.Errorf("%s: no way by %s in %+v", how, c.via, r.Wanted())
				}
				if c.warning != "" && !strings.Contains(strings.Join(r.Warnings, "\n"), c.warning) {
					t.Errorf("%s: warnings %q, want one with %q", how, r.Warnings, c.warning)
				}
			}
		})
	}
}

// wrapped is a mail with one file.
func wrapped(kind, name, body string) []byte {
	return []byte("From: a@evil.example\nTo: b@c.example\nSubject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"=_q\"\n\n--=_q\nContent-Type: text/plain\n\nZie bijlage, wachtwoord 1234.\n" +
		"--=_q\nContent-Type: " + kind + "; name=\"" + name + "\"\nContent-Disposition: attachment; filename=\"" + name + "\"\nContent-Transfer-Encoding: base64\n\n" +
		base64String(body) + "\n--=_q--\n")
}

func base64String(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
