// Package live runs the real program on loopback for tests whose story is longer
// than a file of commands: it starts, kills and restarts roles, and speaks to
// their doors as a stranger or a member of staff would.
package live

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bolwerk/internal/demo"
)

// ReportTo is the report address of every site of these tests.
const ReportTo = "suspicious@bolwerk.example"

// Landing is what a blocked name resolves to.
const Landing = "192.0.2.1"

// Site is one operator's installation on loopback: the demo, or a desk, an
// intake and an edge as processes of their own.
type Site struct {
	T       testing.TB
	Dir     string
	Binary  string
	Console string // http://host:port
	Public  string
	DNS     string // host:port, as all below
	RPZ     string
	SMTP    string
	Warning string
	TLS     string
	Hosts   string
	Metrics map[string]string // role -> host:port

	args map[string][]string // role -> command line
	data map[string]string   // role -> folder of its process

	mu      sync.Mutex
	running map[string]*Program
	token   string
	client  http.Client
}

// Demo is a site that runs "bolwerk demo" in dir; its role is "demo".
func Demo(t testing.TB, tags string) *Site {
	t.Helper()
	n, giveBack, err := Offset()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(giveBack) // the last: when the site is down
	s := site(t, tags)
	at := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port+n) }
	s.Console, s.Public = "http://"+at(8080), "http://"+at(8081)
	s.DNS, s.RPZ, s.SMTP, s.Warning, s.TLS, s.Hosts = at(5300), at(5301), at(2525), at(8082), at(8443), at(8090)
	s.Metrics = map[string]string{"demo": at(8089)}
	s.args = map[string][]string{"demo": {"demo", "--data", s.Dir, "--port-offset", fmt.Sprint(n), "--keep"}}
	s.data = map[string]string{"demo": s.Dir}
	return s
}

// Apart is a site with desk, intake and edge in processes and folders of their
// own, below dir: DIR/desk/desk, DIR/intake/intake, DIR/edge/edge. more is added
// to the configuration; folders, which may be nil, puts a role's folder in
// another place. Nothing runs yet.
func Apart(t testing.TB, tags, more string, folders map[string]string) *Site {
	t.Helper()
	s := site(t, tags)
	ip := Address(t)
	at := func(port int) string { return fmt.Sprintf("%s:%d", ip, port) }
	s.Console, s.Public = "http://"+at(8080), "http://"+at(8081)
	s.DNS, s.RPZ, s.SMTP, s.Warning, s.TLS, s.Hosts = at(5300), at(5301), at(2525), at(8082), at(8443), at(8090)
	s.Metrics, s.args, s.data = map[string]string{}, map[string][]string{}, map[string]string{}
	for i, role := range []string{"desk", "intake", "edge"} {
		s.Metrics[role] = at(8091 + i)
		s.data[role] = filepath.Join(s.Dir, role)
		if f := folders[role]; f != "" {
			s.data[role] = f
		}
		path := filepath.Join(s.Dir, role+".toml")
		if err := os.WriteFile(path, []byte(fmt.Sprintf(config, ip, s.data[role], s.Metrics[role])+more), 0o600); err != nil {
			t.Fatal(err)
		}
		s.args[role] = []string{role, "--config", path}
	}
	upstream(t, at(5302))
	return s
}

// config takes the address, the data folder and where metrics are.
const config = `
data = '%[2]s'
operator = 'Polder Telecom'
[console]
listen = '%[1]s:8080'
url = 'http://%[1]s:8080'
hosts = ['%[1]s']
[public]
listen = '%[1]s:8081'
url = 'http://%[1]s:8081'
hosts = ['%[1]s']
[hosts]
listen = '%[1]s:8090'
address = '%[1]s:8090'
[metrics]
listen = '%[3]s'
[smtp]
listen = '%[1]s:2525'
hostname = 'mx.bolwerk.example'
addresses = ['` + ReportTo + `']
own_networks = ['127.0.0.0/8']
[mail]
outbox = '%[2]s/outbox'
[dns]
listen = '%[1]s:5300'
upstream = ['%[1]s:5302']
[warning]
listen = '%[1]s:8082'
listen_tls = '%[1]s:8443'
warning_addresses = ['` + Landing + `', '2001:db8::1']
[rpz]
listen = '%[1]s:5301'
[[rpz.secondary]]
name = 'loopback'
from = ['127.0.0.0/8']
`

func site(t testing.TB, tags string) *Site {
	s := &Site{T: t, Dir: t.TempDir(), Binary: Build(t, tags), running: map[string]*Program{},
		client: http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
	t.Cleanup(func() {
		for role := range s.running {
			if err := s.Stop(role); err != nil {
				t.Errorf("%s: %v", role, err)
			}
		}
		if t.Failed() {
			if to := os.Getenv("BOLWERK_KEEP"); to != "" {
				os.CopyFS(filepath.Join(to, filepath.Base(filepath.Dir(s.Dir))), os.DirFS(s.Dir)) // for a person to look at
			}
			logs, _ := filepath.Glob(filepath.Join(s.Dir, "*.log"))
			for _, l := range logs {
				t.Logf("%s:\n%s", filepath.Base(l), complaints(l))
			}
		}
	})
	return s
}

// complaints are the last lines of a log that are no information.
func complaints(path string) string {
	b, _ := os.ReadFile(path)
	var out []string
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "time=") && !strings.Contains(line, "level=INFO") && !strings.Contains(line, "many withdrawals") || strings.HasPrefix(line, "panic") || strings.HasPrefix(line, "goroutine") || strings.HasPrefix(line, "fatal") {
			out = append(out, line)
		}
	}
	return strings.Join(out[max(0, len(out)-30):], "")
}

// upstream is the invented world's DNS, for an edge that runs alone.
func upstream(t testing.TB, addr string) {
	udp, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); demo.Upstream{}.Run(ctx, udp, tcp) }()
	t.Cleanup(func() { stop(); <-ended })
}

// Roles are the processes of the site.
func (s *Site) Roles() []string {
	if len(s.args) == 1 {
		return []string{"demo"}
	}
	return []string{"desk", "intake", "edge"}
}

// Data is the folder of a role's process.
func (s *Site) Data(role string) string { return s.data[role] }

// Store is the desk's database file.
func (s *Site) Store() string {
	if d, ok := s.data["demo"]; ok {
		return filepath.Join(d, "desk", "bolwerk.db")
	}
	return filepath.Join(s.data["desk"], "desk", "bolwerk.db")
}

// Start starts a role and waits until it is ready. Right after a kill a child of
// the killed process may hold its sockets until it is another program, and a
// connection of somebody else may have got its port from the system: it waits for
// that.
func (s *Site) Start(role string, env ...string) (err error) {
	for range 20 {
		if err = s.start(role, env); err == nil || !strings.Contains(err.Error(), "address already in use") {
			break
		}
		time.Sleep(time.Second)
	}
	return err
}

func (s *Site) start(role string, env []string) error {
	p, ready, err := s.Launch(role, env...)
	if err != nil {
		return err
	}
	select {
	case <-ready:
		return nil
	case <-p.done:
		err = fmt.Errorf("%s ended before it was ready: %v\n%s", role, p.err, p.Tail())
	case <-time.After(readyIn):
		err = fmt.Errorf("%s was not ready after %s\n%s", role, readyIn, p.Tail())
	}
	s.Kill(role)
	return err
}

// Launch starts a role and does not wait; ready is closed when it is.
func (s *Site) Launch(role string, env ...string) (p *Program, ready <-chan struct{}, err error) {
	p, ready, err = launch(filepath.Join(s.Dir, role+".log"), env, s.Binary, s.args[role]...)
	if err == nil {
		s.mu.Lock()
		s.running[role] = p
		s.mu.Unlock()
	}
	return p, ready, err
}

// MustStart starts roles in order.
func (s *Site) MustStart(roles ...string) {
	s.T.Helper()
	for _, r := range roles {
		if err := s.Start(r); err != nil {
			s.T.Fatal(err)
		}
	}
}

// Program is the process of a role, nil where none runs.
func (s *Site) Program(role string) *Program {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running[role]
}

// Kill ends a role as kill -9 does.
func (s *Site) Kill(role string) {
	if p := s.take(role); p != nil {
		p.Kill()
	}
}

// Stop ends a role in order.
func (s *Site) Stop(role string) error {
	if p := s.take(role); p != nil {
		return p.Stop()
	}
	return nil
}

func (s *Site) take(role string) *Program {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.running[role]
	delete(s.running, role)
	return p
}

// Run runs one command of the program to its end, and gives its standard output.
func (s *Site) Run(args ...string) (string, error) {
	cmd := exec.Command(s.Binary, args...)
	cmd.Dir = s.Dir
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("bolwerk %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return string(out), err
}

// MustRun is Run where an error ends the test.
func (s *Site) MustRun(args ...string) string {
	s.T.Helper()
	out, err := s.Run(args...)
	if err != nil {
		s.T.Fatal(err)
	}
	return out
}

// Found starts a fresh site of processes apart: the desk, an analyst with a
// token to decide, the hosts joined by a line each, then intake and edge.
func (s *Site) Found() {
	s.T.Helper()
	s.MustStart("desk")
	s.Session("anna", "analyst")
	s.token = s.Token("anna", "read,report,decide")
	for _, role := range []string{"intake", "edge"} {
		s.Join(role, role+"-1")
		s.MustStart(role)
	}
}

// Decide has what follows decided with a token.
func (s *Site) Decide(token string) { s.token = token }

// Join lets a role's host in under a name.
func (s *Site) Join(role, name string) {
	s.T.Helper()
	var in struct{ Line string }
	if err := json.Unmarshal([]byte(s.MustRun("host", "add", name, "--role", role, "--data", s.data["desk"], "--json")), &in); err != nil {
		s.T.Fatal(err)
	}
	s.MustRun("join", "--config", filepath.Join(s.Dir, role+".toml"), in.Line)
}

// Token makes a token over the admin socket.
func (s *Site) Token(login, scopes string) string {
	s.T.Helper()
	data := s.data["desk"]
	if data == "" {
		data = s.data["demo"]
	}
	f := filepath.Join(s.T.TempDir(), "token")
	s.MustRun("token", "create", login, "--name", "test", "--scopes", scopes, "--data", data, "--file", f)
	b, err := os.ReadFile(f)
	if err != nil {
		s.T.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// password of every person of these tests.
const password = "seven grey herons by the weir"

// LogIn logs a person in with the password.
func (s *Site) LogIn(login string) *http.Client {
	s.T.Helper()
	jar, _ := cookiejar.New(nil)
	c := &http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.PostForm(s.Console+"/login", url.Values{"login": {login}, "password": {password}})
	if err != nil {
		s.T.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusSeeOther {
		s.T.Errorf("log in %s: %s", login, res.Status)
	}
	return c
}

// Log is what a role has logged.
func (s *Site) Log(role string) string {
	b, err := os.ReadFile(filepath.Join(s.Dir, role+".log"))
	if err != nil {
		s.T.Fatal(err)
	}
	return string(b)
}

// Session invites a person with a role, sets the password through the page that
// the invitation names, and gives a browser that is logged in.
func (s *Site) Session(login, role string) *http.Client {
	s.T.Helper()
	return s.invite(login, "--role", role)
}

// OfBrand is Session for somebody of a protected brand.
func (s *Site) OfBrand(login, brand string) *http.Client {
	s.T.Helper()
	return s.invite(login, "--brand", brand)
}

func (s *Site) invite(login string, as ...string) *http.Client {
	s.T.Helper()
	data := s.data["desk"]
	if data == "" {
		data = s.data["demo"]
	}
	var in struct{ Link string }
	if err := json.Unmarshal([]byte(s.MustRun(append([]string{"user", "invite", login, "--data", data, "--json"}, as...)...)), &in); err != nil {
		s.T.Fatal(err)
	}
	jar, _ := cookiejar.New(nil)
	c := &http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	link, _ := url.Parse(in.Link)
	res, err := c.PostForm(s.Console+link.Path, url.Values{"password": {password}, "again": {password}})
	if err != nil {
		s.T.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusSeeOther {
		s.T.Fatalf("welcome %s: %s", login, res.Status)
	}
	return c
}

// deciding is the token of the person who decides. The demo writes a new one at
// each start.
func (s *Site) deciding() string {
	if s.token != "" {
		return s.token
	}
	b, _ := os.ReadFile(filepath.Join(s.Dir, "demo.token"))
	return strings.TrimSpace(string(b))
}

// Until waits until fn is true.
func Until(d time.Duration, fn func() (bool, error)) error {
	var last error
	for end := time.Now().Add(d); ; time.Sleep(25 * time.Millisecond) {
		ok, err := fn()
		if ok && err == nil {
			return nil
		}
		last = err
		if time.Now().After(end) {
			return fmt.Errorf("not within %s: %v", d, last)
		}
	}
}
