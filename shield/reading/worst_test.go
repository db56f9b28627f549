package reading

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
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
		{"more than 25 MiB", []byte(head + end + rep("x", MaxBytes-200)), true},
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "<a href=http://a.example/%d>x</a>", i)
	}
	return b.String()
}
