// Package kea has a Kea DHCPv4 server give a device a class, and with it the options
// of the garden (RFC 8910: option 114), by reservations: over its control channel, or in
// its database of hosts. A profile is taken at the next renewal of the lease.
package kea

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
)

// Config is a DHCP server.
type Config struct {
	// Name is the access server's whose sessions have their addresses from it, as
	// accounting calls it. Accounting names the device (Calling-Station-Id).
	Name string `toml:"name"`
	// Control is its control socket, a path, or the address of its control agent, such
	// as http://127.0.0.1:8000. The server needs the hook libdhcp_host_cmds and a
	// database of hosts.
	Control string `toml:"control"`
	// TokenFile holds user:password of the control agent on its first line, mode 0600;
	// empty: none.
	TokenFile string `toml:"token_file"`
	// DatabaseFile holds, on its first line, mode 0600, how the server's database of hosts
	// is reached where it is PostgreSQL, such as postgres://bolwerk:…@db/kea; then no hook
	// and no control are needed. Only reservations that are ours are touched in it.
	DatabaseFile string `toml:"database_file"`
	// Subnet is the subnet-id of reservations; 0: for every subnet, as the server has it
	// with "reservations-global".
	Subnet int `toml:"subnet"`
	// Leaky and Strict are client classes of its configuration.
	Leaky  string `toml:"leaky"`
	Strict string `toml:"strict"`
	// Canary is the hardware address of a device of the operator's own; CanaryLook a
	// page behind its line that answers with the profile in force.
	Canary     string `toml:"canary"`
	CanaryLook string `toml:"canary_look"`
}

// Settled is c with the defaults where nothing is said.
func (c Config) Settled() Config { return c }

// Validate says what is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if c.Name == "" || c.Leaky == "" && c.Strict == "" {
		errs = append(errs, bolwerk.Invalid("name, and leaky or strict, are needed"))
	}
	if c.DatabaseFile != "" && c.Control != "" {
		errs = append(errs, bolwerk.Invalid("control and database_file: want one of them"))
	}
	if u, err := url.Parse(c.Control); c.DatabaseFile == "" && (err != nil || !strings.HasPrefix(c.Control, "/") && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "")) {
		errs = append(errs, bolwerk.Invalid("control %q: want the path of a socket, or http://address:port", c.Control))
	}
	if c.Subnet < 0 || int64(c.Subnet) >= 1<<32-1 {
		errs = append(errs, bolwerk.Invalid("subnet %d: want a subnet-id, or 0", c.Subnet))
	}
	if _, err := net.ParseMAC(c.Canary); err != nil {
		errs = append(errs, bolwerk.Invalid("canary %q: want the hardware address of a device of your own: nobody is put into a profile that was never seen to be taken off", c.Canary))
	}
	return errors.Join(errs...)
}

// Port is one DHCP server.
type Port struct {
	cfg    Config
	login  string // user:password
	client *http.Client
	hosts  *sql.DB     // nil: it is told over its control channel
	known  atomic.Bool // the version of its tables
}

const (
	timeout   = 5 * time.Second
	maxAnswer = 1 << 20
	later     = time.Minute
)

// New reads the password of the control agent, or how the database is reached.
func New(cfg Config) (*Port, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Port{cfg: cfg, client: &http.Client{Timeout: timeout, Transport: &http.Transport{MaxIdleConnsPerHost: 4},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if cfg.DatabaseFile != "" {
		b, err := os.ReadFile(cfg.DatabaseFile)
		if err != nil {
			return nil, fmt.Errorf("database_file: %w", err)
		}
		line, _, _ := strings.Cut(string(b), "\n")
		if p.hosts, err = sql.Open("pgx", strings.TrimSpace(line)); err != nil {
			return nil, bolwerk.Invalid("database_file: its first line is no address of a PostgreSQL database")
		}
		p.hosts.SetMaxOpenConns(4)
		return p, nil
	}
	if cfg.TokenFile != "" {
		b, err := os.ReadFile(cfg.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("token_file: %w", err)
		}
		line, _, _ := strings.Cut(string(b), "\n")
		p.login = strings.TrimSpace(line)
	}
	return p, nil
}

// Results of a command (Kea's manual, section 18.2).
const (
	done        = 0
	unsupported = 2
	empty       = 3 // there was nothing to do it to
)

type answer struct {
	Result    int    `json:"result"`
	Text      string `json:"text"`
	Arguments struct {
		Classes []string `json:"client-classes"`
		Address string   `json:"ip-address"`
		Host    string   `json:"hostname"`
	} `json:"arguments"`
}

// ours says whether a reservation is one that we made: a class of ours, and nothing else.
func (p *Port) ours(a answer) bool {
	r := a.Arguments
	return len(r.Classes) == 1 && (r.Classes[0] == p.cfg.Leaky || r.Classes[0] == p.cfg.Strict) && (r.Address == "" || r.Address == "0.0.0.0") && r.Host == ""
}

// Put makes, replaces or takes away the reservation of a device. The reservation outlives
// the session: it is there until it is taken away, and the device takes it at its next
// request.
func (p *Port) Put(ctx context.Context, o enforce.Order) (enforce.Result, error) {
	mac, err := net.ParseMAC(o.Session.Calling)
	if err != nil || len(mac) != 6 {
		return enforce.Result{State: enforce.Refused, Code: "nobody named the hardware address of the device"}, nil
	}
	class := map[enforce.Profile]string{enforce.Leaky: p.cfg.Leaky, enforce.Strict: p.cfg.Strict}[o.Profile]
	if o.Profile != enforce.Normal && class == "" {
		return enforce.Result{State: enforce.Refused, Code: "the DHCP server has no profile " + string(o.Profile)}, nil
	}
	if p.hosts != nil {
		return p.reserve(ctx, mac, class, o.Until)
	}
	device := map[string]any{"subnet-id": p.cfg.Subnet, "identifier-type": "hw-address", "identifier": mac.String()}
	a, err := p.command(ctx, "reservation-get", device)
	if r, bad := said(a, err, done, empty); bad || ctx.Err() != nil {
		return r, ctx.Err()
	}
	if a.Result == done {
		if !p.ours(a) {
			if o.Profile == enforce.Normal {
				return enforce.Result{State: enforce.Applied, Code: "a reservation that is not ours"}, nil
			}
			return enforce.Result{State: enforce.Refused, Code: "the device has a reservation that is not ours"}, nil
		}
		a, err = p.command(ctx, "reservation-del", device)
		if r, bad := said(a, err, done, empty); bad || ctx.Err() != nil {
			return r, ctx.Err()
		}
	}
	if o.Profile == enforce.Normal {
		return enforce.Result{State: enforce.Applied, Code: "taken at the next renewal"}, nil
	}
	a, err = p.command(ctx, "reservation-add", map[string]any{"reservation": map[string]any{"subnet-id": p.cfg.Subnet, "hw-address": mac.String(), "client-classes": []string{class}}})
	if r, bad := said(a, err, done); bad || ctx.Err() != nil {
		return r, ctx.Err()
	}
	return enforce.Result{State: enforce.Applied, Code: "taken at the next renewal"}, nil
}

// said is an answer that is none of the good ones.
func said(a answer, err error, good ...int) (enforce.Result, bool) {
	if err != nil {
		return enforce.Result{State: enforce.Silent, Code: "no answer", Again: later}, true
	}
	for _, g := range good {
		if a.Result == g {
			return enforce.Result{}, false
		}
	}
	if a.Result == unsupported {
		return enforce.Result{State: enforce.Refused, Code: "the DHCP server has no hook for reservations (libdhcp_host_cmds)"}, true
	}
	return enforce.Result{State: enforce.Refused, Code: fmt.Sprintf("the DHCP server answers %d", a.Result)}, true
}

// command has the DHCPv4 server do one thing.
func (p *Port) command(ctx context.Context, name string, args any) (a answer, err error) {
	ask := map[string]any{"command": name, "arguments": args}
	agent := !strings.HasPrefix(p.cfg.Control, "/")
	if agent {
		ask["service"] = []string{"dhcp4"}
	}
	b, err := json.Marshal(ask)
	if err != nil {
		return a, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if agent {
		b, err = p.post(ctx, b)
	} else {
		b, err = overSocket(ctx, p.cfg.Control, b)
	}
	if err != nil {
		return a, err
	}
	return read(b)
}

// read takes the answer of a server, or the only one of an agent's list.
func read(b []byte) (a answer, err error) {
	var list []answer
	if json.Unmarshal(b, &list) == nil {
		if len(list) != 1 {
			return a, bolwerk.Invalid("Kea: %d answers, want one", len(list))
		}
		return list[0], nil
	}
	a.Result = -1
	if err := json.Unmarshal(b, &a); err != nil || a.Result < 0 {
		return a, bolwerk.Invalid("Kea: an answer without a result")
	}
	return a, nil
}

func (p *Port) post(ctx context.Context, b []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.cfg.Control, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if user, password, ok := strings.Cut(p.login, ":"); ok {
		req.SetBasicAuth(user, password)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("control agent: answer %d", resp.StatusCode)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
}

func overSocket(ctx context.Context, path string, b []byte) ([]byte, error) {
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	if _, err := c.Write(b); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(c, maxAnswer)) // it closes after its answer
}
