package cli

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func run(args ...string) (code int, out, errs string) {
	var stdout, stderr bytes.Buffer
	code = Run(context.Background(), args, strings.NewReader(""), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// desk answers every request the same.
func desk(t *testing.T, status int, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestExitCodes(t *testing.T) {
	empty := desk(t, 200, `{"items":[]}`)
	refusal := desk(t, 409, `{"type":"about:blank","title":"Conflict","status":409,"detail":"block bad.example: already blocked","hint":"bolwerk block explain bad.example"}`)
	bare := desk(t, 403, `{"status":403,"detail":"no"}`)
	disagree := desk(t, 200, `{"name":"a.example","blocked":true,"disagree":true,"resolvers":[{"name":"r","state":"away","agrees":false}]}`)
	for name, c := range map[string]struct {
		args []string
		code int
		say  []string // on standard error
	}{
		"done":                   {[]string{"case", "list", "--server", empty}, Done, nil},
		"flags before the verb":  {[]string{"--server", empty, "--json", "case", "list"}, Done, nil},
		"resolvers disagree":     {[]string{"block", "explain", "a.example", "--server", disagree}, Done, nil},
		"version":                {[]string{"version"}, Done, nil},
		"help":                   {[]string{"case", "confirm", "--help"}, Done, nil},
		"refused":                {[]string{"block", "add", "bad.example", "--reason", "x", "--server", refusal}, Refused, []string{"bolwerk: block bad.example: already blocked\nhint: bolwerk block explain bad.example\n"}},
		"refused without a hint": {[]string{"block", "add", "bad.example", "--reason", "x", "--server", bare}, Refused, []string{"bolwerk: no\nhint: ask somebody who may"}},
		"no desk":                {[]string{"case", "list", "--server", "http://127.0.0.1:1"}, Refused, []string{"does not answer", "hint: is it running?"}},
		"no desk's socket":       {[]string{"user", "list", "--data", t.TempDir()}, Refused, []string{"no desk answers", "hint:"}},
		"no file":                {[]string{"read", filepath.Join(t.TempDir(), "none")}, Refused, []string{"no such file", "hint:"}},
		"no configuration":       {[]string{"check", filepath.Join(t.TempDir(), "none")}, Refused, []string{"hint: check the path of the file"}},
		"a folder":               {[]string{"check", t.TempDir()}, Refused, []string{"it is a folder", "hint: name the file in it"}},
		"no command":             {nil, Usage, []string{"hint: bolwerk --help"}},
		"unknown command":        {[]string{"cas"}, Usage, []string{`did you mean "case"`, "hint: bolwerk --help"}},
		"unknown verb":           {[]string{"case", "undo"}, Usage, []string{"hint: bolwerk case --help"}},
		"unknown flag":           {[]string{"case", "list", "--frobnicate"}, Usage, []string{"hint: bolwerk case list --help"}},
		"no reason":              {[]string{"case", "confirm", "C-2026-000001"}, Usage, []string{"--reason", "hint: bolwerk case confirm --help"}},
		"a word that is none":    {[]string{"block", "add", "a.example", "--reason", "x", "--scope", "all"}, Usage, []string{"--scope", "hint:"}},
		"no length of time":      {[]string{"block", "add", "a.example", "--reason", "x", "--for", "soon"}, Usage, []string{"72h", "hint:"}},
		"neither of two":         {[]string{"appeal", "decide", "A-2026-000001", "--reason", "x"}, Usage, []string{"--uphold or --reject"}},
		"half of an edge":        {[]string{"edge", "--names", "x"}, Usage, []string{"--listen"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, errs := run(c.args...)
			if code != c.code {
				t.Errorf("exit %d, want %d: %s", code, c.code, errs)
			}
			for _, s := range c.say {
				if !strings.Contains(errs, s) {
					t.Errorf("%q is not in %q", s, errs)
				}
			}
			if code != Done && strings.Count(errs, "hint: ") != 1 {
				t.Errorf("want one hint: %q", errs)
			}
		})
	}
}

func TestErrorsShowNoHiddenCharacter(t *testing.T) {
	_, _, errs := run("block", "explain", "a\x1b[2J\u202e", "--server", desk(t, 400, `{"status":400,"detail":"name a\u001b[2J\u202e"}`))
	if strings.ContainsAny(errs, "\x1b\u202e") {
		t.Errorf("%q", errs)
	}
}

func TestHelpNamesEveryCommandAndNoOther(t *testing.T) {
	code, out, _ := run("--help")
	if code != Done || !strings.Contains(out, "bolwerk demo") || !strings.Contains(out, "Examples:") {
		t.Errorf("exit %d: %s", code, out)
	}
	for _, c := range []string{"all", "desk", "intake", "probe", "edge", "demo", "check", "config", "user", "token", "host", "join", "case", "block", "exempt", "order", "appeal", "report", "audit", "backup", "restore", "export", "import", "replay", "top", "read", "completion", "version"} {
		if !strings.Contains(out, "\n  "+c+" ") {
			t.Errorf("no command %s in the help", c)
		}
		if code, _, errs := run(c, "--help"); code != Done {
			t.Errorf("%s --help: exit %d: %s", c, code, errs)
		}
	}
}

func TestReadNeedsNoDesk(t *testing.T) {
	f := filepath.Join(t.TempDir(), "a.eml")
	if err := os.WriteFile(f, []byte("Subject: x\r\nFrom: a@a.example\r\n\r\nsee http://bad.example/login\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := run("read", "--json", f)
	if code != Done || !strings.Contains(out, `"url":"http://bad.example/login"`) || strings.Count(out, "\n") != 1 {
		t.Errorf("exit %d: %s %s", code, out, errs)
	}
}

func TestClientFlagsLast(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"case list", "case list"},
		{"--json case list", "case list --json"},
		{"--server=u --token-file f case show X", "case show X --server=u --token-file f"},
		{"--server u report sms -- --text", "report sms --server u -- --text"},
		{"--server", "--server"},
		{"--server u", "--server u"},
		{"--help case", "--help case"},
	} {
		if got := clientFlagsLast(strings.Fields(c.args)); !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%s: got %q, want %s", c.args, got, c.want)
		}
	}
}
