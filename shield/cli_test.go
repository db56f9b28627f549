package shield_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"bolwerk/internal/account"
	"bolwerk/internal/terminal"
	"bolwerk/shield"
)

// verbs is the shield's part of the grammar.
type verbs struct {
	Case    shield.CaseCmd    `cmd:""`
	Block   shield.BlockCmd   `cmd:""`
	Exempt  shield.ExemptCmd  `cmd:""`
	Order   shield.OrderCmd   `cmd:""`
	Appeal  shield.AppealCmd  `cmd:""`
	Report  shield.ReportCmd  `cmd:""`
	Figures shield.FiguresCmd `cmd:""`
	Import  shield.ImportCmd  `cmd:""`
}

// command runs one command line.
func command(t *testing.T, stdin string, args ...string) (out, warnings string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	k, err := kong.New(&verbs{}, kong.Bind(&terminal.Terminal{In: strings.NewReader(stdin), Out: &stdout, Err: &stderr}), kong.BindTo(t.Context(), (*context.Context)(nil)))
	if err != nil {
		t.Fatal(err)
	}
	c, err := k.Parse(args)
	if err != nil {
		return "", "", err
	}
	err = c.Run()
	return stdout.String(), stderr.String(), err
}

// tokenFile keeps a token as a client would.
func (d *apiDesk) tokenFile(login string, scopes ...account.Scope) string {
	d.t.Helper()
	f := filepath.Join(d.dir, login+".token")
	if err := os.WriteFile(f, []byte(strings.TrimPrefix(d.token(login, scopes...), "Bearer ")+"\n"), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return f
}

// ok runs a client command that must be done and gives its JSON.
func (d *apiDesk) ok(file string, args ...string) map[string]any {
	d.t.Helper()
	out, warnings, err := command(d.t, "", append(args, "--server", d.server.URL, "--token-file", file, "--json")...)
	if err != nil || warnings != "" {
		d.t.Fatalf("%v: %v %s", args, err, warnings)
	}
	var v map[string]any
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		d.t.Fatalf("%v printed %q: %v", args, out, err)
	}
	return v
}

func listed(v map[string]any) (all []map[string]any) {
	for _, i := range v["items"].([]any) {
		all = append(all, i.(map[string]any))
	}
	return all
}

func TestFiguresByCommand(t *testing.T) {
	d := newAPIDesk(t)
	ann := d.tokenFile("ann", account.Read)
	if v := d.ok(ann, "figures", "--year", "2025"); v["from"] != "2025-01-01" || len(v["figures"].([]any)) < 10 {
		t.Errorf("the year is %v", v)
	}
	at := []string{"--server", d.server.URL, "--token-file", ann}
	for _, c := range []struct{ args, want string }{{"figures", "0 prevented visits, 0 campaigns (0 before)"}, {"figures --month 2026-02 --csv", "reports,,,2026-02-01,2026-02-28,0,2025-02-01,2025-02-28,0"}} {
		if out, _, err := command(t, "", append(strings.Fields(c.args), at...)...); err != nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v\n%s", c.args, err, out)
		}
	}
	for _, args := range []string{"figures --from 2026-02-02 --to 2026-02-01", "figures --year 26", "figures report --out " + filepath.Join(d.dir, "report.doc"), "figures report --out " + ann + " --year 2025"} {
		if out, _, err := command(t, "", append(strings.Fields(args), at...)...); err == nil {
			t.Errorf("%s is done: %s", args, out)
		}
	}
}

func TestCommandsDriveTheDesk(t *testing.T) {
	d := newAPIDesk(t)
	ann := d.tokenFile("ann", account.Read, account.DecideScope)
	if len(listed(d.ok(ann, "block", "list"))) != 0 {
		t.Error("a new desk lists blocks")
	}
	b := d.ok(ann, "block", "add", "münchner-paket.example", "--reason", "seen", "--for", "3d", "--class", "fake_shop")
	if b["state"] != "blocked" || b["name"] != "xn--mnchner-paket-wob.example" {
		t.Fatalf("block add: %v", b)
	}
	for _, verb := range []string{"block", "case", "exempt", "order", "appeal"} {
		for _, item := range listed(d.ok(ann, verb, "list")) {
			for _, key := range []string{"id", "state", "name"} {
				if s, ok := item[key].(string); !ok || s == "" {
					t.Errorf("%s list: an item without %s: %v", verb, key, item)
				}
			}
		}
	}
	c := listed(d.ok(ann, "case", "list"))[0]
	if got := d.ok(ann, "case", "show", c["id"].(string)); got["ref"] != c["ref"] {
		t.Errorf("case show: %v", got)
	}
	if e := d.ok(ann, "block", "explain", "MÜNCHNER-paket.example"); e["blocked"] != true {
		t.Errorf("block explain: %v", e)
	}
	if got := d.ok(ann, "block", "withdraw", b["id"].(string), "--reason", "ours"); got["state"] != "withdrawn" || got["id"] != b["id"] {
		t.Errorf("block withdraw: %v", got)
	}
	e := d.ok(ann, "exempt", "add", "shop.example", "--reason", "ours", "--for", "1h")
	if got := d.ok(ann, "exempt", "remove", "shop.example", "--reason", "done"); got["id"] != e["id"] {
		t.Errorf("exempt remove: %v", got)
	}
	second := d.ok(ann, "block", "add", "a.wide.example", "--reason", "seen", "--scope", "registrable")
	if second["state"] != "second" {
		t.Errorf("a registrable domain by one person: %v", second)
	}
	waits := listed(d.ok(ann, "case", "list", "--state", "second", "-q", "wide"))
	if len(waits) != 1 {
		t.Fatalf("case list --state second: %v", waits)
	}
	if got := d.ok(ann, "case", "replay", waits[0]["id"].(string)); got["state"] == nil {
		t.Errorf("case replay: %v", got)
	}
	if got := d.ok(ann, "case", "reject", waits[0]["id"].(string), "--reason", "a shop"); got["state"] != "rejected" || got["id"] != waits[0]["id"] {
		t.Errorf("case reject: %v", got)
	}
	if got := d.ok(ann, "order", "release", "cert"); got["released"] != 0.0 {
		t.Errorf("order release: %v", got)
	}
}

func TestCommandsFollowEveryPage(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query().Get("cursor"))
		switch r.URL.Query().Get("cursor") {
		case "":
			io.WriteString(w, `{"items":[{"id":"3","state":"in_force","name":"c.example"},{"id":"2","state":"in_force","name":"b.example"}],"next":"2"}`)
		case "2":
			io.WriteString(w, `{"items":[{"id":"1","state":"withdrawn","name":"a\u202e.example"}]}`)
		}
	}))
	defer s.Close()
	if _, _, err := command(t, "", "block", "list", "--server", s.URL, "--token-file", "/dev/null", "--json"); err == nil {
		t.Fatal("an empty token file was taken")
	}
	out, _, err := command(t, "", "block", "list", "--server", s.URL, "--json")
	want := `{"items":[
{"id":"3","state":"in_force","name":"c.example"},
{"id":"2","state":"in_force","name":"b.example"},
{"id":"1","state":"withdrawn","name":"a\u202e.example"}
]}
`
	if err != nil || out != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, out, want)
	}
	if len(asked) != 2 {
		t.Errorf("asked for pages %q", asked)
	}
}

// answers is a server that answers every request the same.
func answers(t *testing.T, status int, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestCommandsPrintForPeople(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		answer string
		want   string
	}{
		"blocked": {[]string{"block", "add", "bad.example", "--reason", "x"},
			`{"id":"i","name":"bad.example","state":"blocked","block":{"id":"i","ref":"B-2026-000001","name":"bad.example","scope":"host","epoch":1,"serial":7,"valid_until":"2026-12-07T13:00:00Z","state":"in_force"}}`,
			"bad.example is blocked (host) until 2026-12-07 13:00 UTC\nblock   B-2026-000001  i\nserial  1.7\n"},
		"second": {[]string{"block", "add", "bad.example", "--reason", "x"},
			`{"id":"p","name":"bad.example","state":"second","proposal":{"id":"p","need":"bad.example is popular"},"objections":[{"effect":"needs_duty_officer"}]}`,
			"bad.example is not yet done: a second person must approve it\nbecause   bad.example is popular\nproposal  p\nwho       a duty officer other than you, logged in to the console: SERVER/proposals\n"},
		"withdrawn": {[]string{"block", "withdraw", "i", "--reason", "x"},
			`{"id":"i","name":"xn--mnchen-3ya.example","state":"withdrawn","block":{"id":"i","ref":"B-2026-000001","name":"xn--mnchen-3ya.example","state":"withdrawn","epoch":1,"ended_serial":8}}`,
			"xn--mnchen-3ya.example (münchen.example): B-2026-000001 is withdrawn\nserial  1.8\n"},
		"rejected": {[]string{"case", "reject", "i", "--reason", "x"}, `{"id":"i","name":"shop.example","state":"rejected","case":"i"}`, "shop.example is rejected\n"},
		"resolvers disagree": {[]string{"block", "explain", "bad.example"},
			`{"name":"bad.example","blocked":false,"place":{"suffix":"example","section":"none"},"disagree":true,"resolvers":[{"name":"a","address":"192.0.2.1:53","state":"blocks","agrees":false,"hint":"flush it"},{"name":"b","address":"192.0.2.2:53","state":"away","problem":"no answer","agrees":false}]}`,
			"bad.example is not blocked\nplace     example (none)\nresolver  a 192.0.2.1:53: blocks  DISAGREES\n          flush it\nresolver  b 192.0.2.2:53: away: no answer\n1 of 2 resolvers are away: what they do is not known\n"},
		"hostile text": {[]string{"appeal", "show", "i"},
			`{"id":"i","ref":"A-2026-000001","name":"bad.example","state":"received","object":"B-2026-000001","role":"owner","text":"mine\u001b[2J\u202e\nreally","due_at":"2026-11-25T13:00:00Z"}`,
			"A-2026-000001  bad.example\nid             i\nstate          received\nblock          B-2026-000001\nby             owner, -\ndue            2026-11-25 13:00 UTC\ntext           mine\\u{001b}[2J\\u{202e}\n               really\n"},
		"no rows": {[]string{"order", "list"}, `{"items":[]}`, "no orders\n"},
	} {
		t.Run(name, func(t *testing.T) {
			server := answers(t, 200, c.answer)
			out, _, err := command(t, "", append(c.args, "--server", server)...)
			if want := strings.ReplaceAll(c.want, "SERVER", server); err != nil || out != want {
				t.Errorf("got %v\n%s\nwant\n%s", err, out, want)
			}
		})
	}
}

func TestReportsGoToThePublicSiteWithoutAToken(t *testing.T) {
	var got struct {
		path, auth string
		body       map[string]string
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.path, got.auth, got.body = r.Method+" "+r.URL.Path, r.Header.Get("Authorization"), nil
		json.NewDecoder(r.Body).Decode(&got.body)
		w.WriteHeader(201)
		io.WriteString(w, `{"receipt":"abc","receipt_url":"http://public.bolwerk.example/r/abc","state":"received"}`)
	}))
	defer s.Close()
	mail := filepath.Join(t.TempDir(), "a.eml")
	if err := os.WriteFile(mail, []byte("Subject: x\r\n\r\nhi"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		stdin      string
		args       []string
		key, value string
	}{
		{"", []string{"report", "url", "hxxp://bad[.]example/x"}, "url", "hxxp://bad[.]example/x"},
		{"", []string{"report", "sms", "pay http://bad.example"}, "text", "pay http://bad.example"},
		{"from a pipe", []string{"report", "sms", "-"}, "text", "from a pipe"},
		{"", []string{"report", "mail", mail}, "mail", base64.StdEncoding.EncodeToString([]byte("Subject: x\r\n\r\nhi"))},
		{"Subject: y\n\n", []string{"report", "mail", "-", "--lang", "nl"}, "lang", "nl"},
	} {
		out, _, err := command(t, c.stdin, append(c.args, "--server", s.URL)...)
		if err != nil || !strings.Contains(out, "bolwerk report show abc") {
			t.Errorf("%v: %v %s", c.args, err, out)
		}
		if got.path != "POST /api/v1/reports" || got.auth != "" || got.body[c.key] != c.value {
			t.Errorf("%v sent %+v", c.args, got)
		}
	}
}

func TestClientFindsTheDemo(t *testing.T) {
	var auth string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth = r.Header.Get("Authorization")
		io.WriteString(w, `{"items":[]}`)
	}))
	defer s.Close()
	t.Chdir(t.TempDir())
	if err := os.Mkdir(shield.DemoFolder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := (shield.DemoFile{Console: s.URL, TokenFile: "demo.token"}).Write(shield.DemoFolder); err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(shield.DemoFolder, "demo.token")
	if err := os.WriteFile(token, []byte("secret-of-the-demo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, warnings, err := command(t, "", "case", "list"); err != nil || warnings != "" || out != "no cases\n" {
		t.Errorf("%q %q %v", out, warnings, err)
	}
	if auth != "Bearer secret-of-the-demo" {
		t.Errorf("the desk got %q", auth)
	}
	// The demo's token goes to this machine only.
	elsewhere := strings.Replace(s.URL, "127.0.0.1", "0.0.0.0", 1) // answers here, and is no loopback address
	if _, _, err := command(t, "", "case", "list", "--server", elsewhere); err != nil || auth != "" {
		t.Errorf("another desk got %q, %v", auth, err)
	}
	os.Chmod(token, 0o644)
	if _, warnings, _ := command(t, "", "case", "list"); !strings.Contains(warnings, "others can read") {
		t.Errorf("no warning about a readable token: %q", warnings)
	}
}
