package reading

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"bolwerk/test/wrap"
)

// phish is an invented mail with everything that Outlook keeps.
func phish() wrap.Mail {
	return wrap.Mail{
		Header: "Received: from mx.evil.example by mx.operator.example; Tue, 3 Feb 2026 09:00:00 +0100\nFrom: =?utf-8?q?B=C3=A4nk?= <info@bank.example>\n" +
			"To: jan@reporter.example\nSubject: Uw pas verloopt\nContent-Type: multipart/alternative; boundary=gone\nAuthentication-Results: mx.operator.example; dmarc=fail\nX-PHISHTEST: no\n",
		From: "info@bank.example", FromName: "Bänk", Subject: "Uw pas verloopt – žluťoučký 😀", MessageID: "<1@evil.example>",
		Text:  "Zie https://text.evil.example/t en bel 0800.\r\n",
		HTML:  "<html><body><p>Beste klant, \\ {uw} pas – žluťoučký 😀<br>\n<a href=\"https://html.evil.example/a?b=1&amp;c=%7Bx%7D\">uw pas</a></p></body></html>",
		Files: []wrap.File{{Name: "factuur.html", Type: "text/html", Data: []byte(`<form action="https://form.evil.example/p">`)}},
		Mails: []wrap.Mail{{From: "in@evil.example", FromName: "In", Subject: "binnen", Text: "http://within.evil.example/w", MessageID: "<2@evil.example>"}},
	}
}

func wantedURLs(r Result) (out []string) {
	for _, u := range r.Wanted() {
		out = append(out, u.URL)
	}
	slices.Sort(out)
	return out
}

func TestMSG(t *testing.T) {
	html := []string{"http://within.evil.example/w", "https://form.evil.example/p", "https://html.evil.example/a?b=1&c=%7Bx%7D", "https://text.evil.example/t"}
	for name, c := range map[string]struct {
		body wrap.Body
		want []string
	}{
		"HTML": {wrap.HTML, html}, "HTML in compressed RTF": {wrap.RTF, html},
		"plain text": {wrap.Plain, slices.DeleteFunc(slices.Clone(html), func(s string) bool { return strings.Contains(s, "html.evil") })},
	} {
		t.Run(name, func(t *testing.T) {
			raw := phish().MSG(c.body)
			r := Mail(raw, Option{Evidence: true})
			if got := wantedURLs(r); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if r.Inner == nil || r.Inner.From != "info@bank.example" || r.Inner.Name != "Bänk" || len(r.Inner.Auth) != 1 || len(r.Warnings) > 1 {
				t.Errorf("head %+v, warnings %q", r.Inner, r.Warnings)
			}
			if c.body != wrap.Plain && !strings.Contains(r.Excerpt, "žluťoučký 😀") && !strings.Contains(r.Excerpt, "0800") {
				t.Errorf("excerpt %q", r.Excerpt)
			}
			for _, u := range r.URLs {
				if strings.Contains(u.URL, "html.evil") && c.body == wrap.RTF && !slices.Contains(u.Via, "rtf") || strings.Contains(u.URL, "within") && !slices.Contains(u.Via, "msg:attached") {
					t.Errorf("%s via %q", u.URL, u.Via)
				}
			}
			holds(t, r)
			// As an attachment it is the evidence, and its own attachment with it.
			r = Mail(wrap.Attach(raw, phish(), "msg"), Option{})
			if r.Kind != Attached || r.Inner.From != "info@bank.example" || r.Outer.From != "jan.peeters@voorbeeld.example" {
				t.Errorf("attached: %s from %+v", r.Kind, r.Inner)
			}
		})
	}
}

// A mail from within the organisation has no Internet header.
func TestMSGWithoutHeader(t *testing.T) {
	m := phish()
	m.Header = ""
	h := Mail(m.MSG(wrap.HTML), Option{Evidence: true}).Inner
	if h.From != "info@bank.example" || h.Name != "Bänk" || h.Subject != m.Subject || h.MessageID != "<1@evil.example>" {
		t.Errorf("%+v", h)
	}
}

// A big file needs a table of tables.
func TestMSGOfManyMegabytes(t *testing.T) {
	m := phish()
	m.Files = append(m.Files, wrap.File{Name: "groot.bin", Type: "application/octet-stream", Data: bytes.Repeat([]byte("0123456789abcdef"), 600_000)},
		wrap.File{Name: "z.html", Type: "text/html", Data: []byte(`<a href="http://last.evil.example/">`)})
	if got := wantedURLs(Mail(m.MSG(wrap.HTML), Option{Evidence: true})); len(got) != 5 {
		t.Errorf("got %q", got)
	}
}

func TestWinmail(t *testing.T) {
	want := []string{"http://within.evil.example/w", "https://form.evil.example/p", "https://html.evil.example/a?b=1&c=%7Bx%7D", "https://text.evil.example/t"}
	r := Mail(wrap.Attach(nil, phish(), "winmail.dat"), Option{})
	if got := wantedURLs(r); !slices.Equal(got, want) || r.Kind != Attached || r.Inner.From != "info@bank.example" {
		t.Errorf("attached in it: %s %+v %q", r.Kind, r.Inner, got)
	}
	// Sent by the phisher himself: the mail's own text in another form.
	raw := []byte("From: a@evil.example\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		base64.StdEncoding.EncodeToString(phish().TNEF(wrap.RTF)))
	r = Mail(raw, Option{Evidence: true})
	if got := wantedURLs(r); !slices.Equal(got, want) || r.Inner.From != "a@evil.example" {
		t.Errorf("as the mail: %+v %q %q", r.Inner, got, r.Warnings)
	}
	if got := wantedURLs(Mail(phish().TNEF(wrap.HTML), Option{})); !slices.Equal(got, want) {
		t.Errorf("by itself: %q", got)
	}
}

func TestUnpackRTF(t *testing.T) {
	if len(rtfStart) != 207 {
		t.Fatalf("the dictionary begins with %d octets, want 207", len(rtfStart))
	}
	// The two examples of MS-OXRTFCP section 3.
	for name, c := range map[string]struct{ packed, want string }{
		"simple": {"2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0",
			"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"},
		"beyond itself": {"1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0", "{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"},
	} {
		got, err := unpackRTF(unhexAll(c.packed), 1<<20)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, c.want)
		}
	}
	for _, s := range []string{"", "x", strings.Repeat("{\\rtf1 abc def }", 5000), string(bytes.Repeat([]byte{0, 1, 2, 3, 250}, 3000))} {
		got, err := unpackRTF(wrap.CompressRTF([]byte(s)), 1<<20)
		if err != nil || string(got) != s {
			t.Errorf("%d octets came back as %d, %v", len(s), len(got), err)
		}
	}
}

func unhexAll(s string) (b []byte) {
	for i := 0; i+1 < len(s); i += 2 {
		b = append(b, unhex(s[i])<<4|unhex(s[i+1]))
	}
	return b
}

func TestRTF(t *testing.T) {
	r := File("brief.rtf", []byte(`{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Arial Cyr;}}{\*\generator http://gen.example/;}
{\info{\title http://title.example/}}\f0 Zie {\field{\*\fldinst{HYPERLINK "https://field.evil.example/x" \\o "tip"}}{\fldrslt{\ul bank.example}}} en \f1\'e1\'e0\'ed\'ea \f0 \u8364?9 http://text.evil.example/{\*\unknown http://hidden.example/}\par}`))
	if got := wantedURLs(r); !slices.Equal(got, []string{"http://text.evil.example/", "https://field.evil.example/x"}) {
		t.Errorf("got %q", got)
	}
	if r.Kind != Alone || !strings.Contains(r.Excerpt, "банк €9") {
		t.Errorf("%s, excerpt %q", r.Kind, r.Excerpt)
	}
	for _, u := range r.URLs {
		if u.Host == "field.evil.example" && (u.Text != "bank.example" || !slices.Equal(u.Via, []string{"rtf:field"})) {
			t.Errorf("%+v", u)
		}
	}
}
