package badday

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/join"
	"bolwerk/internal/join/jointest"
	"bolwerk/shield"
	"bolwerk/test/live"
)

// code is the status of an answer; 0 where the connection was refused.
func code(t *testing.T, c *http.Client, req *http.Request) int {
	t.Helper()
	res, err := c.Do(req)
	if err != nil {
		return 0
	}
	io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
	res.Body.Close()
	return res.StatusCode
}

// joined makes a host of the running desk, and gives its client.
func joined(t *testing.T, s *live.Site, name, role string) *http.Client {
	t.Helper()
	var in struct{ Line string }
	if err := json.Unmarshal([]byte(s.MustRun("host", "add", name, "--role", role, "--data", s.Data("desk"), "--json")), &in); err != nil {
		t.Fatal(err)
	}
	inv, err := join.ParseInvite(in.Line)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := join.Join(t.Context(), inv, dir, (&net.Dialer{}).DialContext, time.Now()); err != nil {
		t.Fatal(err)
	}
	h, err := join.Load(dir, clock.New(), jointest.Quiet())
	if err != nil {
		t.Fatal(err)
	}
	return h.Client((&net.Dialer{}).DialContext)
}

func TestForbiddenDoors_hosts(t *testing.T) {
	long(t)
	t.Parallel()
	s := live.Apart(t, "", "", nil)
	s.Found()
	foreign := jointest.NewDesk(t)
	bare := func(cfg *tls.Config) *http.Client {
		cfg.InsecureSkipVerify = true // it would talk to the desk; the desk does not talk to it
		return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: cfg}}
	}
	keys := map[string]*http.Client{"nobody": bare(&tls.Config{})}
	for _, role := range []string{"intake", "edge"} {
		keys[role] = joined(t, s, role+"-2", role)
		keys["revoked "+role] = joined(t, s, role+"-3", role)
		keys["foreign "+role] = bare(foreign.Join(t, role+"-1", join.Role(role)).TLS())
	}
	keys["foreign probe"] = bare(foreign.Join(t, "probe-1", join.Probe).TLS())
	// They were in once, with a connection that stands.
	for _, role := range []string{"intake", "edge"} {
		req, _ := http.NewRequest("GET", "https://"+s.Hosts+"/v1/handin", nil)
		if got := code(t, keys["revoked "+role], req); got != 200 {
			t.Errorf("%s before it was revoked: %d", role, got)
		}
		s.MustRun("host", "revoke", role+"-3", "--data", s.Data("desk"))
	}
	start := time.Now()
	until(t, "revoked hosts are out", 60*time.Second, func() (bool, error) {
		for _, role := range []string{"intake", "edge"} {
			req, _ := http.NewRequest("GET", "https://"+s.Hosts+"/v1/handin", nil)
			if code(t, keys["revoked "+role], req) == 200 {
				return false, nil
			}
		}
		return true, nil
	})
	t.Logf("revoked hosts are out after %s", time.Since(start).Round(time.Millisecond))

	type door struct {
		method, path string
		open         []string
	}
	both := []string{"intake", "edge"}
	doors := []door{
		{"POST", "/v1/renew", both},
		{"GET", "/v1/handin", both},
		{"GET", "/v1/copy/" + shield.CopyBlocks + "?wait=0", []string{"edge"}},
		{"GET", "/v1/copy/" + shield.CopyPublic + "?wait=0", []string{"intake"}},
		{"GET", "/v1/copy/unknown?wait=0", nil},
		{"PUT", "/v1/copy/" + shield.CopyBlocks + "/held?epoch=0", []string{"edge"}},
		{"PUT", "/v1/copy/" + shield.CopyPublic + "/held?epoch=0", []string{"intake"}},
	}
	for kind, k := range shield.Kinds() {
		var open []string
		for _, r := range k.Roles {
			open = append(open, string(r))
		}
		doors = append(doors, door{"POST", "/v1/handin/" + kind + "/" + bolwerk.NewID(time.Now()), open})
	}
	doors = append(doors, door{"POST", "/v1/handin/unknown/" + bolwerk.NewID(time.Now()), nil})
	tried := 0
	for who, client := range keys {
		for _, d := range doors {
			tried++
			req, _ := http.NewRequest(d.method, "https://"+s.Hosts+d.path, strings.NewReader("{}"))
			got := code(t, client, req)
			shut := got == 0 || got == 401 || got == 403
			if may := slices.Contains(d.open, who); may == shut {
				t.Errorf("%s %s with the key of %s: %d, may pass: %v", d.method, d.path, who, got, may)
			}
		}
	}
	t.Logf("%d doors x %d keys = %d tries", len(doors), len(keys), tried)
}

// page is a route of the console and who may use it.
type page struct{ method, path, right string }

// consolePages are all routes of the console, out of the code that makes them,
// with the right that a person would expect of each.
func consolePages(t *testing.T) (all []page) {
	t.Helper()
	word := regexp.MustCompile(`\b(look|decide|open|own|admin|owner)\("((?:GET|POST) )?(/[^"]*)"`)
	for _, file := range []string{"../../shield/pages.go", "../../internal/account/pages.go"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range word.FindAllStringSubmatch(string(b), -1) {
			p := page{strings.TrimSpace(m[2]), m[3], ""}
			if p.method == "" {
				p.method = map[string]string{"look": "GET", "decide": "POST"}[m[1]]
			}
			switch path := p.path; {
			case path == "/login", strings.HasPrefix(path, "/login/"), path == "/logout", strings.HasPrefix(path, "/welcome/"):
				p.right = "open"
			case path == "/proof" && p.method == "POST":
				p.right = "proof" // a password or passkey opens it, and nobody here has one to show
			case strings.HasPrefix(path, "/account"), path == "/proof", strings.HasPrefix(path, "/proof/"):
				p.right = "own"
			case path == "/brand", strings.HasPrefix(path, "/brand/"):
				p.right = "brand"
			case strings.HasPrefix(path, "/people"), strings.HasPrefix(path, "/approve/people/"):
				p.right = "admin"
			case p.method == "GET":
				p.right = "look"
			default:
				p.right = "decide"
			}
			all = append(all, p)
		}
	}
	other := regexp.MustCompile(`\badd\("(GET|POST) (/[^"]*)", account\.`)
	for _, file := range []string{"../../abuse/pages.go", "../../privacy/pages.go"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range other.FindAllStringSubmatch(string(b), -1) {
			p := page{m[1], m[2], "decide"}
			switch {
			case strings.HasPrefix(p.path, "/privacy/erasure"):
				p.right = "countersign"
			case p.path == "/abuse/looks", strings.HasPrefix(p.path, "/privacy"):
				p.right = "oversee"
			case p.method == "GET":
				p.right = "look"
			}
			all = append(all, p)
		}
	}
	if len(all) < 50 {
		t.Fatalf("only %d routes found: %v", len(all), all)
	}
	return all
}

// apiRoutes are all routes of the API, out of its description.
func apiRoutes(t *testing.T, s *live.Site) (all []page) {
	t.Helper()
	var spec struct{ Paths map[string]map[string]any }
	if _, err := s.Call("GET", s.Console+"/api/v1/openapi.json", "", nil, &spec); err != nil {
		t.Fatal(err)
	}
	for path, methods := range spec.Paths {
		for method := range methods {
			p := page{strings.ToUpper(method), path, "decide"}
			switch {
			case strings.HasSuffix(path, "/push"):
				p.right = "issuer" // an authority's signature opens it, nothing of staff
			case strings.HasPrefix(path, "/api/v1/brand/"):
				p.right = "brand"
			case strings.HasPrefix(path, "/api/v1/webhooks"):
				p.right = "settings"
			case strings.HasPrefix(path, "/api/v1/feeds/"):
				p.right = "feed"
			case strings.HasPrefix(path, "/api/v1/privacy/erasures/"):
				p.right = "countersign"
			case path == "/api/v1/abuse/looks", strings.HasPrefix(path, "/api/v1/privacy/"):
				p.right = "oversee"
			case path == "/api/v1/abuse/leases":
				p.right = "settings" // of a DHCP server, not of a person
			case strings.HasPrefix(path, "/api/v1/notices/") && (strings.HasSuffix(path, "/let") || strings.HasSuffix(path, "/use-again")):
				p.right = "tell" // outsiders, for the first time
			case p.method == "GET":
				p.right = "look"
			}
			all = append(all, p)
		}
	}
	if len(all) < 15 {
		t.Fatalf("only %d routes in the description", len(all))
	}
	return all
}

func TestForbiddenDoors_people(t *testing.T) {
	long(t)
	t.Parallel()
	s := live.Apart(t, "", "", nil)
	s.Found()
	type visitor struct {
		client *http.Client
		token  string
		may    []string // rights
		own    bool     // in a session
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	plain := &http.Client{Timeout: 20 * time.Second, CheckRedirect: stay}
	staff := map[string][]string{"viewer": {"look", "feed"}, "analyst": {"look", "feed", "decide"}, "duty_officer": {"look", "feed", "decide", "tell", "countersign"}, "privacy_officer": {"oversee", "countersign"}, "admin": {"look", "feed", "admin", "settings"}}
	visitors := map[string]visitor{
		"nobody":         {client: plain},
		"a wrong token":  {client: plain, token: bolwerk.NewToken().Reveal()},
		"half a token":   {client: plain, token: "x"},
		"a wrong cookie": {client: plain, token: "cookie"},
	}
	for role, may := range staff {
		visitors["session of "+role] = visitor{client: s.Session(role+"-1", role), may: may, own: true}
	}
	visitors["session of a brand owner"] = visitor{client: s.OfBrand("bank-1", "Rabobank"), may: []string{"brand"}, own: true}
	scoped := func(role, scopes string, may ...string) {
		visitors["token of "+role+" with "+scopes] = visitor{client: plain, token: s.Token(role+"-1", scopes), may: may}
	}
	scoped("viewer", "read", "look", "feed")
	scoped("viewer", "feed", "feed")
	scoped("analyst", "read", "look", "feed")
	scoped("analyst", "report")
	scoped("analyst", "decide", "decide")
	scoped("duty_officer", "read,decide", "look", "feed", "decide", "tell")
	scoped("admin", "admin", "settings") // people are administered in a session
	scoped("admin", "read", "look", "feed")
	scoped("privacy_officer", "privacy", "oversee") // an approval is given in a session
	visitors["token of a brand owner"] = visitor{client: plain, token: s.Token("bank-1", "brand"), may: []string{"brand"}}
	gone := s.Session("gone", "duty_officer")
	goneToken := s.Token("gone", "read,decide")
	s.MustRun("user", "disable", "gone", "--reason", "left", "--data", s.Data("desk"))
	visitors["session of a disabled person"] = visitor{client: gone}
	visitors["token of a disabled person"] = visitor{client: plain, token: goneToken}

	routes := append(consolePages(t), apiRoutes(t, s)...)
	fill := regexp.MustCompile(`\{[^}]*\}`)
	tried := 0
	for who, v := range visitors {
		for _, r := range routes {
			if r.right == "open" {
				continue
			}
			tried++
			path := fill.ReplaceAllString(strings.ReplaceAll(r.path, "{$}", ""), "none")
			api := strings.HasPrefix(path, "/api/")
			var body io.Reader
			kind := ""
			if r.method != "GET" {
				body, kind = strings.NewReader("{}"), "application/json"
				if !api {
					body, kind = strings.NewReader(url.Values{"nothing": {"x"}}.Encode()), "application/x-www-form-urlencoded"
				}
			}
			req, _ := http.NewRequestWithContext(context.Background(), r.method, s.Console+path, body)
			if kind != "" {
				req.Header.Set("Content-Type", kind)
			}
			switch {
			case v.token == "cookie":
				req.AddCookie(&http.Cookie{Name: "bolwerk_session", Value: bolwerk.NewToken().Reveal()})
			case v.token != "":
				req.Header.Set("Authorization", "Bearer "+v.token)
			}
			res, err := v.client.Do(req)
			if err != nil {
				t.Fatalf("%s %s: %v", r.method, path, err)
			}
			text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
			res.Body.Close()
			shut := res.StatusCode == 401 || res.StatusCode == 403 || res.StatusCode == 303 && (strings.HasPrefix(res.Header.Get("Location"), "/login") || slices.Contains([]string{"/brand", "/privacy"}, res.Header.Get("Location")))
			may := slices.Contains(v.may, r.right) || r.right == "own" && v.own ||
				api && r.right == "look" && slices.Contains(v.may, "decide") // who may decide may look at what it decides
			if may == shut {
				t.Errorf("%s %s by %s: %d %s, may pass: %v\n%.300s", r.method, path, who, res.StatusCode, res.Header.Get("Location"), may, text)
			}
		}
	}
	t.Logf("%d routes x %d visitors = %d tries", len(routes), len(visitors), tried)
}
