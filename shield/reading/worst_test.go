package reading

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"bolwerk/test/wrap"
)

type worstMail struct {
	name  string
	raw   []byte
	finds bool // its http://lure.example/... is found all the same
}

// worstMails are made to exhaust memory, stack or time.
func worstMails() []worstMail {
	const head = "From: a@b.example\nSubject: x\n"
	const end = "\nhttp://lure.example/x\n"
	rep := strings.Repeat
	var nested, html, mails strings.Builder
	nested.WriteString(head)
	for i := range 10000 {
		fmt.Fprintf(&nested, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	nested.WriteString("Content-Type: text/plain\n" + end)
	mails.WriteString(head)
	for range 10000 {
		mails.WriteString("Content-Type: message/rfc822\n\nFrom: a@b.example\nSubject: x\nDate: y\n")
	}
	mails.WriteString("\n" + end)
	html.WriteString(head + "Content-Type: text/html\n\n")
	inner := []byte("Subject: x\nFrom: a@b.example\nDate: y\n" + end)
	for range 20 {
		inner = []byte("From: a@b.example\nDate: y\nSubject: x\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" +
			base64.StdEncoding.EncodeToString(inner))
	}
	page := func(s string) []byte { return []byte(html.String() + s) }
	return []worstMail{
		{"nothing", nil, false},
		{"NUL bytes", append(bytes.Repeat([]byte{0}, 1<<20), head+end...), true},
		{"NUL in the text", []byte(head + "\nhttp://lu\x00re.example/x\n"), true},
		{"10,000 nested multiparts", []byte(nested.String()), true},
		{"10,000 nested mails", []byte(mails.String()), true},
		{"20 mails in base64 in base64", inner, true},
		{"endless header lines", []byte(head + rep("X-A: b\n", 3<<20) + end), true},
		{"one endless header", []byte(head + "X-A: " + rep("b", 20<<20) + end), true},
		{"endless folding", []byte(head + "X-A:\n" + rep(" b\n", 8<<20) + end), true},
		{"a header without end", []byte(head + rep("X-A: b\n", 3<<20)), false},
		{"100,000 parts", []byte(head + "Content-Type: multipart/mixed; boundary=b\n\n--b\n" + end + rep("--b\n\nx\n", 100000)), true},
		{"a boundary everywhere", []byte(head + "Content-Type: multipart/mixed; boundary=b\n\n" + rep("--b\n", 5<<20)), false},
		{"multipart without boundary", []byte(head + "Content-Type: multipart/mixed\n" + end), true},
		{"a boundary that never comes", []byte(head + "Content-Type: multipart/mixed; boundary=zz\n" + end), true},
		{"cut off in the middle", []byte(head + "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n<a href=\"http://lure.example/x"), true},
		{"a million links", []byte(head + end + rep("http://a.example/ ", 1<<20)), true},
		{"different links", page(`<a href="http://lure.example/x">x</a>` + many(300000)), true},
		{"800,000 elements deep", page(rep("<div>", 800_000) + `<a href="http://lure.example/x">x</a>`), true},
		{"a million open links", page(`<a href="http://lure.example/x">x` + rep("<a href=http://a.example/>", 1<<19)), true},
		{"an element without end", page(`<a href="http://lure.example/x">x</a><a title="` + rep("x", 20<<20)), true},
		{"many attributes", page(`<a href="http://lure.example/x">x</a><a ` + rep(" a=b", 4<<20) + ">"), true},
		{"comments", page(`<a href="http://lure.example/x">x</a>` + rep("<!--[if mso]>", 1<<20)), true},
		{"css", page(`<a href="http://lure.example/x">x</a><style>` + rep("url(", 4<<20)), true},
		{"css in attributes", page(`<a href="http://lure.example/x">x</a>` + rep("<p style='url(x url(y url(z'>", 1<<19)), true},
		{"angle brackets", []byte(head + end + rep("<http://", 1<<20)), true},
		{"dots", []byte(head + end + rep("a.", 2<<20)), true},
		{"defanging", []byte(head + end + rep("a[.]b(dot)hxxp[:]//", 1<<18)), true},
		{"schemes", []byte(head + end + rep("http://,", 1<<19)), true},
		{"quoted-printable", []byte(head + "Content-Transfer-Encoding: quoted-printable\n" + end + rep("=", 20<<20)), true},
		{"quoted-printable spaces", []byte(head + "Content-Transfer-Encoding: quoted-printable\n" + end + rep("= ", 4<<20)), true},
		{"soft spaces", []byte(head + "Content-Transfer-Encoding: quoted-printable\n" + end + "=" + rep(" ", 20<<20)), true},
		{"UTF-7", []byte(head + "Content-Type: text/plain; charset=utf-7\n" + end + rep("+", 8<<20)), true},
		{"forward marks", []byte(head + "\n" + rep("From: \n", 1<<19) + end), true},
		{"forward lines", []byte(head + "\n" + rep("-- Forwarded message --\n", 1<<17) + end), true},
		{"encoded words", []byte("From: a@b.example\nSubject: " + rep("=?utf-8?q?=20?= ", 16<<10) + "\n" + end), true},
		{"parameters", []byte(head + "Content-Type: text/plain" + rep("; a*0*=x", 30<<10) + "\n" + end), true},
		{"25 MiB of base64", []byte(head + "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n" +
			base64.StdEncoding.EncodeToString([]byte("http://lure.example/x "+rep("http://a.example/b ", 900<<10)))), true},
		{"25 MiB of HTML", page(`<a href="http://lure.example/x">x</a>` + rep("<p>a.b <b>c</b>", 1700<<10)), true},
		{"a message of circles", circles(), false},
		{"a message in itself", swallowed(), false},
		{"an endless RTF", []byte("{\\rtf1 " + rep("{\\b ", 5<<20)), false},
		{"RTF fields", []byte("{\\rtf1 " + rep(`{\field{\*\fldinst HYPERLINK "http://a.example/x"}{\fldrslt x`, 300<<10)), false},
		{"RTF letters", []byte("{\\rtf1 " + rep(`\u8364?`, 3<<20)), false},
		{"a bomb", bomb(40), false},
		{"bombs", bomb(300), false},
		{"a winmail.dat of attributes", append(slices.Clone(tnefMagic), bytes.Repeat([]byte{2, 2, 0x90, 6, 0, 0, 0, 0, 0, 0, 0}, 1<<20)...), false},
		{"a winmail.dat of lengths", append(slices.Clone(tnefMagic), bytes.Repeat([]byte{0xff}, 20<<20)...), false},
		{"literals", page2(rep("'a'+", 4<<20)), false},
		{"quotes", page2(rep(`"`, 4<<20)), false},
		{"half quotes", page2(rep("\"\n`", 2<<20)), false},
		{"escapes", page2("'" + rep(`\x41`, 1<<20) + "'"), false},
		{"base64 in literals", page2("atob('" + base64.StdEncoding.EncodeToString([]byte(rep("<a href=http://a.example/>", 100<<10))) + "')"), false},
		{"many literals", page2("atob;" + rep("'aHR0cDovL2EuZXhhbXBsZS8=';", 150<<10)), false},
		{"percent signs in literals", page2("unescape;" + rep("'%41%41%41%41';", 300<<10)), false},
		{"codes", page2("String.fromCharCode(" + rep("65,", 1<<20) + ")"), false},
		{"callers", page2(rep("atob(", 800<<10) + "'x'"), false},
		{"an invitation", []byte("BEGIN:VCALENDAR\n" + rep("URL:http://a.example/x\n", 1<<20)), false},
		{"an invitation's quotes", []byte("BEGIN:VCALENDAR\n" + rep("A;B=\"", 2<<20)), false},
		{"more than 25 MiB", []byte(head + end + rep("x", MaxBytes-200)), true},
	}
}

// page2 is a file whose program runs in a browser.
func page2(script string) []byte {
	return []byte("<html><script>" + script + "</script><a href=\"http://lure.example/x\">x</a>")
}

// circles is a compound file whose chains and trees lead back to themselves.
func circles() []byte {
	b := wrap.Mail{From: "a@b.example", Text: strings.Repeat("x", 100<<10), Files: []wrap.File{{Name: "a", Type: "text/plain", Data: bytes.Repeat([]byte("y"), 1<<20)}}}.MSG(wrap.HTML)
	table := int(binary.LittleEndian.Uint32(b[76:]))
	for at := (table + 1) << 9; at+4 <= len(b) && at < (table+20)<<9; at += 4 {
		binary.LittleEndian.PutUint32(b[at:], 3)
	}
	dir := int(binary.LittleEndian.Uint32(b[48:])+1) << 9
	for at := dir; at+128 <= len(b) && at < dir+512; at += 128 {
		binary.LittleEndian.PutUint32(b[at+68:], 1)
		binary.LittleEndian.PutUint32(b[at+72:], 2)
		binary.LittleEndian.PutUint64(b[at+120:], 1<<31)
	}
	return b
}

// swallowed is a message whose attached message is the storage around it.
func swallowed() []byte {
	b := wrap.Mail{From: "a@b.example", Text: "x", Mails: []wrap.Mail{{From: "c@d.example", Text: "y"}}}.MSG(wrap.HTML)
	dir := int(binary.LittleEndian.Uint32(b[48:])+1) << 9
	child := binary.LittleEndian.Uint32(b[dir+76:])
	for at := dir; at+128 <= len(b); at += 128 {
		if b[at+66] == 1 {
			binary.LittleEndian.PutUint32(b[at+76:], child)
		}
	}
	return b
}

// bomb is an archive of n files of 64 MiB of nothing each.
func bomb(n int) []byte {
	var b bytes.Buffer
	var deflated bytes.Buffer
	w, _ := flate.NewWriter(&deflated, flate.BestSpeed) // a known level
	for range 64 {
		w.Write(make([]byte, 1<<20)) // a buffer takes all
	}
	w.Close()
	z := zip.NewWriter(&b)
	for i := range n {
		f, err := z.CreateRaw(&zip.FileHeader{Name: fmt.Sprintf("%d.html", i), Method: zip.Deflate, CompressedSize64: uint64(deflated.Len()), UncompressedSize64: 64 << 20})
		if err != nil {
			panic(err)
		}
		f.Write(deflated.Bytes())
	}
	z.Close()
	return b.Bytes()
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "<a href=http://a.example/%d>x</a>", i)
	}
	return b.String()
}
