package door

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"bolwerk"
	"bolwerk/shield/edge"
)

func newRequest() *http.Request { return httptest.NewRequest("POST", "/", nil) }

// A refusal is one of our kinds, never a surprise.
func kindOf(t *testing.T, err error) {
	t.Helper()
	var large *http.MaxBytesError
	if err != nil && !errors.Is(err, bolwerk.ErrInvalid) && !errors.As(err, &large) {
		t.Fatalf("got %v, want a kind of ours", err)
	}
}

func FuzzParseReport(f *testing.F) {
	for _, s := range []string{`{"url":"http://a.example","lang":"nl","reply_to":"a@b.example"}`, `{"text":"x"}`, `{"mail":"RnJvbTogYQ=="}`, `{"url":"a.b"}{}`,
		`{"uri":1}`, evidence, "From x\n" + evidence, "\xEF\xBB\xBFA: b", `[`, `{"text":"` + strings.Repeat("x", 100) + `"}`} {
		f.Add(s, true, "")
		f.Add(s, false, "mail")
	}
	f.Fuzz(func(t *testing.T, body string, isJSON bool, form string) {
		kind := typeMail
		if isJSON {
			kind = typeJSON
		}
		r, err := parseReport(kind, form, []byte(body), 1<<20)
		kindOf(t, err)
		if err != nil {
			return
		}
		r.Token = "x"
		back, err := DecodeReport(r.Encode())
		if err != nil || back.Form != r.Form || !bytes.Equal(back.Body, r.Body) || back.ReplyTo != r.ReplyTo {
			t.Fatalf("handed in %+v, read %+v %v", r, back, err)
		}
		if len(r.Body) == 0 || r.Form == Link && (len(r.Body) > maxURL || bytes.ContainsAny(r.Body, " \n\x00")) || r.Form == Text && len(r.Body) > maxText || len(r.Body) > 1<<20 {
			t.Fatalf("took %s of %d bytes", r.Form, len(r.Body))
		}
	})
}

func FuzzForm(f *testing.F) {
	const b = "--B\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nhttp://a.example\r\n--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.eml\"\r\n\r\nA: b\r\n\r\n--B--\r\n"
	f.Add([]byte(b), "multipart/form-data; boundary=B")
	f.Add([]byte("text=a&what=file&role=owner"), "application/x-www-form-urlencoded")
	f.Add([]byte("%zz&;"), "application/x-www-form-urlencoded")
	f.Add([]byte("--B\r\n"+strings.Repeat("A: b\r\n", 50)+"\r\n--B"), "multipart/form-data; boundary=B")
	f.Add([]byte("--B\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=41=\r\n--B--"), "multipart/mixed; boundary=B")
	f.Fuzz(func(t *testing.T, body []byte, kind string) {
		r := httptest.NewRequest("POST", "/report", bytes.NewReader(body))
		r.Header.Set("Content-Type", kind)
		got, err := readForm(r, 4096)
		kindOf(t, err)
		if err != nil {
			return
		}
		if len(got.file) > 4096 {
			t.Fatalf("a file of %d bytes", len(got.file))
		}
		for k, v := range got.text {
			if !utf8.ValidString(v) || strings.ContainsAny(v, "\x00\x1b\r") {
				t.Fatalf("field %q: %q is not tidy", k, v)
			}
		}
		rep, wrong := reportOf(got, 4096)
		if (len(rep.Body) > 0) == (wrong != nil) {
			t.Fatalf("report of %d bytes with faults %v", len(rep.Body), wrong)
		}
		a := appealFields{got.text["role"], got.text["text"], got.text["contact"]}
		if a.faults() == nil && (len(a.Text) > 4*edge.MaxAppealText || len(a.Contact) > edge.MaxAppealContact) {
			t.Fatal("an appeal longer than the desk takes")
		}
	})
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"evil.example", "https://a:b@münchen.example:8443/x?y", "hxxp://a[.]b", "//", "@", ":80", "[::1]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := parseName(s)
		kindOf(t, err)
		if err == nil && (name.IsZero() || name.Labels() < 2) {
			t.Fatalf("parseName(%q): got %q", s, name)
		}
	})
}
