package shield

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A refusal that is no guard's, a page that is not there, one that a reader may
// not see: each speaks the reader's language.
func TestRefusalsSpeakTheReadersLanguage(t *testing.T) {
	c := newConsole(t)
	c.fill()
	for _, x := range []struct {
		who, path string
		form      url.Values
		status    int
		lang      string
		want      string
	}{
		{c.anna, "/case/C-2026-999999", nil, http.StatusNotFound, "nl", "Er is geen zaak &#34;C-2026-999999&#34;."},
		{c.anna, "/block/B-2026-999999", nil, http.StatusNotFound, "fr", "Il n’y a pas de blocage"},
		{c.anna, "/audit?q=&after=x", nil, http.StatusBadRequest, "de", "keine Stelle im Prüfpfad"},
		{c.victor, "/exempt", url.Values{"name": {"a.example"}}, http.StatusForbidden, "nl", "De rol lezer mag dit niet."},
		{c.anna, "/exempt", url.Values{"name": {"192.0.2.1"}, "reason": {"x"}, "for": {"24h"}, "scope": {"host"}}, http.StatusUnprocessableEntity, "nl", "is een adres, geen naam"},
	} {
		w := c.do(x.who, x.path, x.form, "Accept-Language", x.lang)
		if w.Code != x.status || !strings.Contains(w.Body.String(), x.want) {
			t.Errorf("%s in %s: %d, want %d with %q\n%s", x.path, x.lang, w.Code, x.status, x.want, text(w.Body.String()))
		}
	}
	// A command is for the terminal, where the same refusal is heard too.
	if page := c.do(c.anna, "/case/C-2026-999999", nil).Body.String(); strings.Contains(page, "bolwerk case list") {
		t.Error("a page tells what to type in a terminal")
	}
}

// One word for one thing, in every Dutch text of the program.
func TestDutchHasOneWord(t *testing.T) {
	names, err := filepath.Glob("../*/texts/nl.toml")
	for _, pattern := range []string{"*/texts/nl.toml", "../internal/*/texts/nl.toml"} {
		more, e := filepath.Glob(pattern)
		if e != nil {
			err = e
		}
		names = append(names, more...)
	}
	if err != nil || len(names) < 4 {
		t.Fatalf("texts: %v, %v", names, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for word, want := range map[string]string{"blokkade": "blokkering", "audittrail": "auditspoor", "audit trail": "auditspoor"} {
			for i, line := range strings.Split(strings.ToLower(string(b)), "\n") {
				if strings.Contains(line, word) {
					t.Errorf("%s:%d has %q, where the others say %q", name, i+1, word, want)
				}
			}
		}
	}
}
