// Package product starts the real program for the benches: "bolwerk all"
// with a configuration of its own, everything on loopback, and gives what a
// person would use: an account with a token, the API, DNS, the SMTP door.
package product

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"bolwerk/internal/account"
	"bolwerk/internal/mail"
)

// Options say what is started.
type Options struct {
	Binary string // the program; Build makes one
	Dir    string // its folder; the configuration and the log are in it too
	// Base is the first of the ports: the program takes the ten after it.
	// 0 finds free ones.
	Base int
	// Upstream resolves what is not blocked; zero: nobody is there.
	Upstream netip.AddrPort
	// Shield, RPZ and More are added to the configuration: keys of [shield],
	// tables of [rpz], and whole tables.
	Shield, RPZ, More string
	// Warning are the addresses of the warning page; empty: 192.0.2.1.
	Warning []string
	// Ready is how long it may take to start; 0 is a minute.
	Ready time.Duration
}

// Product is the running program.
type Product struct {
	Dir     string
	Config  string // path of the configuration
	Console string // http://localhost:PORT
	Public  string // the public site, at another port
	Token   string // of a duty officer, scopes read, report and decide
	SMTP    string
	DNS     netip.AddrPort
	RPZ     netip.AddrPort
	Warning string // the warning page over HTTP
	Metrics string
	PID     int
	Started time.Duration // until it was ready

	binary string
	cmd    *exec.Cmd
	ended  chan struct{}
	http   *http.Client
}

// ReportTo is the report address of the program.
var ReportTo = mail.MustAddress("suspicious@bolwerk.example")

// Build compiles the program as it is released into dir and returns its path.
func Build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "bolwerk")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "bolwerk/cmd/bolwerk")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build bolwerk: %w\n%s", err, out)
	}
	return path, nil
}

const ports = 10

// Start starts the program and waits until it is ready. Stop ends it.
func Start(ctx context.Context, o Options) (*Product, error) {
	base := o.Base
	if base == 0 {
		var err error
		if base, err = freeBase(); err != nil {
			return nil, err
		}
	}
	at := func(n int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(base+n))
	}
	p := &Product{Dir: o.Dir, Config: filepath.Join(o.Dir, "bolwerk.toml"), Console: fmt.Sprintf("http://localhost:%d", base), Public: fmt.Sprintf("http://localhost:%d", base+1), SMTP: at(9).String(), DNS: at(6), RPZ: at(7),
		Warning: at(2).String(), Metrics: at(5).String(), binary: o.Binary, ended: make(chan struct{}), http: &http.Client{Timeout: 10 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	if !o.Upstream.IsValid() {
		o.Upstream = at(8)
	}
	if len(o.Warning) == 0 {
		o.Warning = []string{"192.0.2.1"}
	}
	warning, err := json.Marshal(o.Warning)
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`data = %q
operator = "Polder Telecom"
console = { listen = %q, url = %q }
public = { listen = %q, url = %q }
hosts = { listen = %q, address = %[6]q }
metrics = { listen = %q }
smtp = { listen = %q, hostname = "mx.bolwerk.example", addresses = [%q], own_networks = ["127.0.0.0/8"] }
dns = { listen = %q, upstream = [%q] }
warning = { listen = %q, listen_tls = %q, warning_addresses = %s }
resolvers = { edge = %[10]q }

[rpz]
listen = %[15]q
%s

[shield]
answer_from = "shield@bolwerk.example"
%s

%s
`, o.Dir, at(0), p.Console, at(1), p.Public, at(4), at(5), at(9), ReportTo, at(6), o.Upstream, at(2), at(3), warning, at(7), o.RPZ, o.Shield, o.More)
	if err := os.WriteFile(p.Config, []byte(config), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(o.Dir, "log"))
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	p.cmd = exec.Command(o.Binary, "all", "--config", p.Config)
	p.cmd.Dir, p.cmd.Stderr = o.Dir, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it dies with us
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.PID = p.cmd.Process.Pid
	ready := make(chan struct{})
	go func() {
		defer close(p.ended)
		defer log.Close()
		sc := bufio.NewScanner(out)
		for seen := false; sc.Scan(); {
			if sc.Text() == "ready" && !seen {
				seen = true
				close(ready)
			}
		}
		p.cmd.Wait()
	}()
	if o.Ready == 0 {
		o.Ready = time.Minute
	}
	select {
	case <-ready:
	case <-p.ended:
		return nil, fmt.Errorf("the program ended before it was ready:\n%s", p.Log())
	case <-time.After(o.Ready):
		p.Stop()
		return nil, fmt.Errorf("the program was not ready after %s:\n%s", o.Ready, p.Log())
	case <-ctx.Done():
		p.Stop()
		return nil, ctx.Err()
	}
	p.Started = time.Since(begun)
	if err := p.signUp(ctx); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// signUp makes an account and its token over the admin socket.
func (p *Product) signUp(ctx context.Context) error {
	c := account.Client{Socket: filepath.Join(p.Dir, "desk", account.SocketName)}
	people, err := c.Users(ctx)
	if err != nil {
		return err
	}
	if len(people) == 0 {
		inv, err := c.Invite(ctx, "officer", account.DutyOfficer)
		if err != nil {
			return err
		}
		if err := p.accept(ctx, inv.Link); err != nil {
			return err
		}
	}
	t, err := c.CreateToken(ctx, account.NewAPIToken{Login: "officer", Name: "measuring", Scopes: []account.Scope{account.Read, account.Report, account.DecideScope}, Days: 1})
	p.Token = t.Token
	return err
}

// accept sets a password, as the invited person does on the page behind link.
func (p *Product) accept(ctx context.Context, link string) error {
	password := rand.Text()
	r, err := http.NewRequestWithContext(ctx, "POST", link, strings.NewReader(url.Values{"password": {password}, "again": {password}}.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", p.Console)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		return fmt.Errorf("set a password: %s", resp.Status)
	}
	return nil
}

// freeBase finds ports that are free at this moment.
func freeBase() (int, error) {
	for try := range 200 {
		base := 20000 + (os.Getpid()*37+try*ports)%9000
		free := true
		for n := range ports {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+n))
			if free = err == nil; !free {
				break
			}
			l.Close()
		}
		if free {
			return base, nil
		}
	}
	return 0, errors.New("no free ports")
}

// Stop ends the program as an operator does, and waits for it.
func (p *Product) Stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		p.cmd.Process.Kill()
		<-p.ended
	}
}

// Log is the end of what it wrote to its log.
func (p *Product) Log() string {
	b, _ := os.ReadFile(filepath.Join(p.Dir, "log"))
	return string(b[max(0, len(b)-8000):])
}

// Alarms are the lines of the log that alarm.
func (p *Product) Alarms() []string {
	b, _ := os.ReadFile(filepath.Join(p.Dir, "log"))
	var out []string
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, "alarm=true") || strings.Contains(line, "level=ERROR") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

// API asks the desk's API. in and out may be nil.
func (p *Product) API(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, p.Console+"/api/v1"+path, body)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+p.Token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := p.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, b)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}

// Pages gives every item of a list of the API.
func Pages[T any](ctx context.Context, p *Product, path string) (all []T, err error) {
	join := "?"
	if strings.Contains(path, "?") {
		join = "&"
	}
	for cursor := ""; ; {
		var page struct {
			Items []T    `json:"items"`
			Next  string `json:"next"`
		}
		if err := p.API(ctx, "GET", path+join+"limit=500&cursor="+cursor, nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if cursor = page.Next; cursor == "" {
			return all, nil
		}
	}
}

// Block has a name blocked, and returns the id of the block.
func (p *Product) Block(ctx context.Context, name, scope string) (string, error) {
	var out struct {
		ID    string `json:"id"`
		State string `json:"state"`
	}
	err := p.API(ctx, "POST", "/blocks", map[string]string{"name": name, "scope": scope, "reason": "it asks for bank passwords"}, &out)
	if err == nil && out.State != "blocked" {
		err = fmt.Errorf("block %s: %s", name, out.State)
	}
	return out.ID, err
}

// Today is what the desk counts.
type Today struct {
	Reports int64            `json:"reports_24h"`
	Unread  int64            `json:"reports_unread"`
	InForce int64            `json:"blocks_in_force"`
	Orders  int64            `json:"orders_in_force"`
	Cases   map[string]int64 `json:"cases"`
}

// Today asks for it.
func (p *Product) Today(ctx context.Context) (t Today, err error) {
	return t, p.API(ctx, "GET", "/today", nil, &t)
}

// Run runs a command of the program against the running one, with the flags
// --server and --token-file, and returns its standard output.
func (p *Product) Run(ctx context.Context, args ...string) (string, error) {
	file := filepath.Join(p.Dir, "measuring.token")
	if err := os.WriteFile(file, []byte(p.Token+"\n"), 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, p.binary, append(args, "--server", p.Console, "--token-file", file)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("bolwerk %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out), err
}

// Answers says whether a resolver answers name with the address.
func Answers(ctx context.Context, resolver netip.AddrPort, name, address string) bool {
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA)
	m.SetEdns0(1232, false)
	c := dns.Client{Timeout: time.Second}
	r, _, err := c.ExchangeContext(ctx, m, resolver.String())
	if err != nil {
		return false
	}
	for _, rr := range r.Answer {
		if a, ok := rr.(*dns.A); ok && a.A.String() == address {
			return true
		}
	}
	return false
}

// Until asks every few milliseconds until the resolver answers name with the
// address, and returns how long after since that was.
func Until(ctx context.Context, resolver netip.AddrPort, name, address string, since time.Time, most time.Duration) (time.Duration, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 10*time.Millisecond) {
		if Answers(ctx, resolver, name, address) {
			return time.Since(since), nil
		}
		if time.Since(since) > most || ctx.Err() != nil {
			return 0, fmt.Errorf("%s did not answer %s for %s within %s", resolver, address, name, most)
		}
		time.Sleep(pause)
	}
}
