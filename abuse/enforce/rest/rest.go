// Package rest puts sessions into a profile at a policy manager that keeps the HTTP
// contract of docs/lookup/enforce-http.md.
package rest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/internal/clock"
	"bolwerk/internal/keypair"
)

// Config is a policy manager.
type Config struct {
	// Name is for people and metrics, and the access server's in accounting where it has
	// none of AccessServers.
	Name string `toml:"name"`
	// URL is where its contract begins, such as https://pcrf.isp.example/bolwerk.
	URL string `toml:"url"`
	// AccessServers are those whose sessions it has, by their names in accounting.
	AccessServers []string `toml:"access_servers"`
	// TokenFile holds a bearer token on its first line, mode 0600. CertFile and KeyFile
	// are a certificate that the desk shows. One of both is needed.
	TokenFile string `toml:"token_file"`
	CertFile  string `toml:"cert_file"`
	KeyFile   string `toml:"key_file"`
	// CAFile is whose certificates the manager may have; empty: those of the system.
	CAFile string `toml:"ca_file"`
	// Pace is how many orders a second it is sent.
	Pace int `toml:"pace"`
	// Timeout is how long an answer may take.
	Timeout bolwerk.Duration `toml:"timeout"`
	// Canary is the user of a session of the operator's own; CanaryLook a page behind its
	// line that answers with the profile in force, as for an access server.
	Canary     string `toml:"canary"`
	CanaryLook string `toml:"canary_look"`
}

// Settled is c with the defaults where nothing is said.
func (c Config) Settled() Config {
	if c.Pace == 0 {
		c.Pace = 50
	}
	if c.Timeout == 0 {
		c.Timeout = bolwerk.Duration(5 * time.Second)
	}
	return c
}

// Validate says what is wrong with c, as Settled gave it.
func (c Config) Validate() error {
	var errs []error
	u, err := url.Parse(c.URL)
	switch {
	case c.Name == "":
		errs = append(errs, bolwerk.Invalid("name is needed"))
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.User != nil:
		errs = append(errs, bolwerk.Invalid("url %q: want one such as https://pcrf.isp.example/bolwerk", c.URL))
	case u.Scheme == "http" && !loopback(u.Hostname()):
		errs = append(errs, bolwerk.Invalid("url %q: subscribers' names go over https only, but on this machine", c.URL))
	}
	if c.TokenFile == "" && c.CertFile == "" || (c.CertFile == "") != (c.KeyFile == "") {
		errs = append(errs, bolwerk.Invalid("token_file, or cert_file and key_file, are needed"))
	}
	if c.Pace < 1 || c.Pace > 5000 || c.Timeout.D() < 50*time.Millisecond || c.Timeout.D() > time.Minute {
		errs = append(errs, bolwerk.Invalid("pace %d, timeout %s: want 1 to 5000 a second, 50ms to 1m", c.Pace, c.Timeout))
	}
	if c.Canary == "" {
		errs = append(errs, bolwerk.WithHint(bolwerk.Invalid("canary is needed: nobody is put into a profile that was never seen to be taken off"), "name a user of your own"))
	}
	return errors.Join(errs...)
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Port is one policy manager.
type Port struct {
	cfg    Config
	token  bolwerk.Secret
	client *http.Client
	pace   *rate.Limiter
	clock  clock.Clock
}

// New reads token and certificates.
func New(cfg Config, c clock.Clock) (*Port, error) {
	cfg = cfg.Settled()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Port{cfg: cfg, pace: rate.NewLimiter(rate.Limit(cfg.Pace), max(cfg.Pace/10, 1)), clock: c}
	if cfg.TokenFile != "" {
		b, err := os.ReadFile(cfg.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("token_file: %w", err)
		}
		line, _, _ := strings.Cut(string(b), "\n")
		if line = strings.TrimSpace(line); line == "" {
			return nil, bolwerk.Invalid("token_file: %s is empty", cfg.TokenFile)
		}
		p.token = bolwerk.NewSecret(line)
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CertFile != "" {
		pair, err := keypair.Load(cfg.CertFile, cfg.KeyFile, nil)
		if err != nil {
			return nil, err
		}
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair.Serve(nil) }
	}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, bolwerk.Invalid("ca_file: %s holds no certificate", cfg.CAFile)
		}
	}
	p.client = &http.Client{Timeout: cfg.Timeout.D(), Transport: &http.Transport{TLSClientConfig: t, MaxIdleConnsPerHost: 16, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return p, nil
}

// Wish is the body of an order.
type Wish struct {
	Order   string          `json:"order"`
	Version int64           `json:"version"` // the highest wins
	Profile enforce.Profile `json:"profile"`
	// Until is when the manager goes back to normal by itself; absent for normal.
	Until   time.Time `json:"until,omitzero"`
	Session Session   `json:"session"`
}

// Session names a session and whose it is.
type Session struct {
	AccessServer string         `json:"access_server"`
	ID           string         `json:"id"` // the access server's name for it
	Source       string         `json:"source"`
	Subscriber   string         `json:"subscriber,omitempty"`
	Line         string         `json:"line,omitempty"`
	Device       string         `json:"device,omitempty"`
	Prefixes     []netip.Prefix `json:"prefixes"`
}

// Answer is what a manager says to an order.
type Answer struct {
	State enforce.State `json:"state"` // applied, offline, refused or busy
	Code  string        `json:"code,omitempty"`
	Seen  bool          `json:"seen,omitempty"`  // it has looked, and saw it in force
	Again int           `json:"again,omitempty"` // seconds before the next try
}

// Path is where an order of a session lives: the same wish again is the same request.
// A slash in an order's id is written as a dot.
func Path(w Wish) string {
	sum := sha256.Sum256([]byte(w.Session.AccessServer + "\x00" + w.Session.ID))
	return "/v1/orders/" + url.PathEscape(strings.ReplaceAll(w.Order, "/", ".")) + "/" + hex.EncodeToString(sum[:8])
}

const (
	maxAnswer = 64 << 10
	maxCode   = 200
	patience  = time.Second
	soon      = 5 * time.Second
	later     = time.Minute
)

// Put sends an order; its answer is the state.
func (p *Port) Put(ctx context.Context, o enforce.Order) (enforce.Result, error) {
	h := o.Session
	if h.Session == "" || h.Who() == "" {
		return enforce.Result{State: enforce.Refused, Code: "nobody named the session and whose it is"}, nil
	}
	r := p.pace.Reserve()
	if wait := r.Delay(); wait > patience {
		r.Cancel()
		return enforce.Result{State: enforce.Busy, Code: "waits for the policy manager's pace", Again: wait}, nil
	} else if wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			r.Cancel()
			return enforce.Result{}, ctx.Err()
		}
	}
	w := Wish{Order: o.ID, Version: o.Version, Profile: o.Profile, Session: Session{h.NAS, h.Session, string(h.Source), h.Subscriber, h.Line, h.Calling, []netip.Prefix{}}}
	if h.Prefix.IsValid() {
		w.Session.Prefixes = append(w.Session.Prefixes, h.Prefix)
	}
	if o.Profile != enforce.Normal {
		w.Until = o.Until.UTC()
	}
	status, again, a, err := p.send(ctx, w)
	if ctx.Err() != nil {
		return enforce.Result{}, ctx.Err()
	}
	if err != nil {
		return enforce.Result{State: enforce.Silent, Code: "no answer", Again: later}, nil
	}
	return said(status, again, a)
}

func (p *Port) send(ctx context.Context, w Wish) (status int, again time.Duration, a Answer, err error) {
	body, err := json.Marshal(w)
	if err != nil {
		return 0, 0, a, err
	}
	status, again, raw, err := p.call(ctx, http.MethodPut, Path(w), body, w.Order+"."+strconv.FormatInt(w.Version, 10))
	if err != nil {
		return 0, 0, a, err
	}
	json.Unmarshal(raw, &a) // what is none is said by the status
	a.Code = clean(a.Code)
	return status, again, a, nil
}

func (p *Port) call(ctx context.Context, method, path string, body []byte, key string) (status int, again time.Duration, raw []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(p.cfg.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return 0, 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	if t := p.token.Reveal(); t != "" {
		req.Header.Set("Authorization", "Bearer "+t)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, 0, nil, err
	}
	defer resp.Body.Close()
	if raw, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return 0, 0, nil, err
	}
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 && n <= 3600 {
		again = time.Duration(n) * time.Second
	}
	return resp.StatusCode, again, raw, nil
}

// clean is a code as logs and pages show it.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	for len(s) > maxCode {
		r := []rune(s)
		s = string(r[:min(len(r)-1, maxCode)])
	}
	return s
}

func said(status int, again time.Duration, a Answer) (enforce.Result, error) {
	r := enforce.Result{State: a.State, Code: a.Code, Seen: a.Seen, Again: again}
	if r.Again == 0 {
		r.Again = time.Duration(min(max(a.Again, 0), 3600)) * time.Second
	}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return enforce.Result{}, fmt.Errorf("policy manager: it answers %d to our token or certificate", status)
	case status == http.StatusOK && (a.State == enforce.Applied || a.State == enforce.Offline || a.State == enforce.Refused):
		r.Again = 0
		r.Seen = r.Seen && a.State == enforce.Applied
		return r, nil
	case status == http.StatusOK && a.State == enforce.Busy, status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		r.State, r.Seen = enforce.Busy, false
		if r.Again == 0 {
			r.Again = soon
		}
		return r, nil
	case status >= 500:
		return enforce.Result{State: enforce.Silent, Code: strconv.Itoa(status), Again: later}, nil
	}
	if r.Code == "" {
		r.Code = "answer " + strconv.Itoa(status) + " that the contract does not have"
	}
	return enforce.Result{State: enforce.Refused, Code: r.Code}, nil
}
