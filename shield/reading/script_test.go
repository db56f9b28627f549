package reading

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestScript(t *testing.T) {
	hex := func(format, s string) (out string) {
		for _, c := range []byte(s) {
			out += fmt.Sprintf(format, c)
		}
		return out
	}
	numbers := func(format, s string) string { return strings.TrimSuffix(hex(format+",", s), ",") }
	const u = "https://evil.example/x"
	for _, c := range []struct{ name, script, want, via string }{
		{"a literal", `window.location.href = "` + u + `";`, u, "attachment:html:script"},
		{"escaped slashes", `location='https:\/\/evil.example\/x'`, u, "attachment:html:script"},
		{"joined", `var a = "https" + ':' + "//ev" +
			"il.example/x";`, u, "attachment:html:script:concat"},
		{"\\x", `location="` + hex(`\x%02x`, u) + `"`, u, "attachment:html:script:escape"},
		{"\\u", `location="` + hex(`\u%04x`, u) + `"`, u, "attachment:html:script:escape"},
		{"\\u{}", `location="` + hex(`\u{%x}`, u) + `"`, u, "attachment:html:script:escape"},
		{"octal", `location="` + hex(`\%03o`, u) + `"`, u, "attachment:html:script:escape"},
		{"atob", `location = atob ( "` + base64String(u) + `" )`, u, "attachment:html:script:atob"},
		{"atob of a variable", `var k='` + base64String(u) + `'; location=window.atob(k)`, u, "attachment:html:script:atob"},
		{"atob within", `document.write(decodeURIComponent(escape(atob("` + base64String(`<form action="`+u+`">`) + `"))))`, u, "attachment:html:script:atob:decodeURIComponent:action"},
		{"unescape", `document.write(unescape("` + hex("%%%02x", `<a href="`+u+`">`) + `"))`, u, "attachment:html:script:unescape:href"},
		{"%u", `document.write(unescape("` + hex("%%u%04x", `<a href="`+u+`">`) + `"))`, u, "attachment:html:script:unescape:href"},
		{"unescape of a variable", `var m="` + hex("%%%02X", u) + `"; eval(unescape(m))`, u, "attachment:html:script:unescape"},
		{"fromCharCode", `location=String.fromCharCode(` + numbers("%d", u) + `)`, u, "attachment:html:script:fromCharCode"},
		{"a list of codes", `var l=[` + numbers("0x%x", `<iframe src="`+u+`">`) + `]; l.forEach(c=>s+=String.fromCharCode(c))`, u, "attachment:html:script:fromCharCode:iframe:src"},
		{"backwards", `location="x/elpmaxe.live//:sptth".split("").reverse().join("")`, u, "attachment:html:script:reverse"},
		{"a page in a literal", "document.body.innerHTML = `<meta http-equiv=refresh content=\"0;url=" + u + "\">`", u, "attachment:html:script:meta:refresh"},
		{"behind a comment", "// it's here\n/* \" */ location = '" + u + "'", u, "attachment:html:script"},
		{"a quote in a pattern", "x.replace(/'/g, ''); \n location = \"" + u + `"`, u, "attachment:html:script"},
		{"decoded once only", `eval(atob("` + base64String(`<script>location=atob("`+base64String(u)+`")</script>`) + `"))`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := File("bijlage.html", []byte("<html><body><p>Laden</p><script>"+c.script+"</script>"))
			got := strings.Join(wantedURLs(r), " ")
			if got != c.want {
				t.Fatalf("got %q, want %q in %s", got, c.want, c.script)
			}
			if c.want != "" && !slices.Contains(r.Wanted()[0].Via, c.via) {
				t.Errorf("by way of %q, want %q", r.Wanted()[0].Via, c.via)
			}
		})
	}
}

// What is done with a literal says what it is.
func TestScriptRoles(t *testing.T) {
	for script, want := range map[string]Role{
		`fetch("https://evil.example/")`:                           Form,
		`$.ajax({type:'POST', url: 'https://evil.example/'})`:      Form,
		`xhr.open("POST", "https://evil.example/")`:                Form,
		`window.location.replace("https://evil.example/")`:         Lure,
		`document.getElementById("f").src="https://evil.example/"`: Frame,
		`var cdn = "https://evil.example/"`:                        Script,
	} {
		r := File("x.html", []byte("<html><script>"+script+"</script>"))
		if len(r.URLs) != 1 || r.URLs[0].Role != want {
			t.Errorf("%s: got %+v, want %s", script, r.URLs, want)
		}
	}
}

// Mail programs run no scripts: those of a mail's own text lead nowhere.
func TestScriptInMail(t *testing.T) {
	r := Mail([]byte("From: a@b.example\nSubject: x\nContent-Type: text/html\n\n<a href=\"http://lure.example/\">x</a><script>location='http://script.example/'</script>"), Option{Evidence: true})
	if got := wantedURLs(r); !slices.Equal(got, []string{"http://lure.example/"}) {
		t.Errorf("got %q", got)
	}
}

func TestStyleImports(t *testing.T) {
	r := File("x.html", []byte(`<html><style>@import "http://a.example/a.css"; @import url('http://b.example/b.css'); p{background:url(http://c.example/c.png)}</style><a href="data:text/html;base64,`+
		base64String(`<a href="http://d.example/">x</a>`)+`">x</a><script src="data:text/javascript;base64,`+base64String(`location="http://e.example/"`)+`"></script>`))
	if got := urlsOf(r); !slices.Equal(got, []string{"http://a.example/a.css", "http://b.example/b.css", "http://c.example/c.png", "http://d.example/", "http://e.example/"}) {
		t.Errorf("got %q", got)
	}
}
