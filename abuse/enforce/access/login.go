package access

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/session"
	"bolwerk/internal/keypair"
)

// LoginPath is where AAA servers ask: GET with user, nas and, for servers without a
// name, nas_ip.
const LoginPath = "/v1/login"

// loginTime is how long an answer may take. A login does not wait for the desk.
const loginTime = 300 * time.Millisecond

// value is an attribute of the answer as FreeRADIUS's rlm_rest takes it.
type value struct {
	Op    string   `json:"op"`
	Value []string `json:"value"`
}

// Login answers AAA servers. 204 says that nothing is to be added: no quarantine, or
// any doubt.
func (a *Access) Login() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != LoginPath || r.Method != http.MethodGet {
			http.NotFound(w, r)
			return
		}
		if !a.shows(r) {
			a.m.logins.WithLabelValues("refused").Inc()
			w.Header().Set("WWW-Authenticate", `Basic realm="bolwerk"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		q := r.URL.Query()
		attrs, result := a.atLogin(r.Context(), q.Get("user"), q.Get("nas"), q.Get("nas_ip"))
		a.m.logins.WithLabelValues(result).Inc()
		if len(attrs) == 0 {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(attrs)
	})
}

// shows says whether a request shows the token, as password or as bearer token.
func (a *Access) shows(r *http.Request) bool {
	_, got, ok := r.BasicAuth()
	if !ok {
		got, ok = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	return ok && subtle.ConstantTimeCompare([]byte(got), []byte(a.token.Reveal())) == 1
}

// atLogin is what an Access-Accept gets, and what is counted.
func (a *Access) atLogin(ctx context.Context, user, nas, addr string) (map[string]value, string) {
	w := a.ways[nas]
	if w == nil {
		w = a.ways[addr]
	}
	switch {
	case user == "" || len(user) > session.MaxName || a.p.Wanted == nil:
		return nil, "normal"
	case a.p.Clock.Suspect():
		return nil, "doubt"
	}
	ctx, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	profile, until, err := a.p.Wanted(ctx, user)
	now := a.p.Clock.Now()
	switch {
	case err != nil:
		return nil, "doubt"
	case profile != enforce.Leaky && profile != enforce.Strict || !until.After(now):
		return nil, "normal"
	case w == nil || w.login == nil || !a.Proved(w.name):
		return nil, "unproved"
	}
	out := map[string]value{}
	for _, r := range w.login(profile, until, now) {
		v := out["reply:"+r.Name]
		v.Op, v.Value = ":=", append(v.Value, r.Value)
		out["reply:"+r.Name] = v
	}
	if len(out) == 0 {
		return nil, "unproved"
	}
	return out, string(profile)
}

// Listen opens the door of Login.
func (a *Access) Listen() (net.Listener, error) {
	l, err := net.Listen("tcp", a.cfg.Listen)
	if err != nil || a.cfg.CertFile == "" {
		return l, err
	}
	pair, err := keypair.Load(a.cfg.CertFile, a.cfg.KeyFile, a.p.Log)
	if err == nil {
		pool := x509.NewCertPool()
		var pem []byte
		if pem, err = os.ReadFile(a.cfg.ClientCAFile); err == nil && !pool.AppendCertsFromPEM(pem) {
			err = bolwerk.Invalid("%s holds no certificate", a.cfg.ClientCAFile)
		}
		if err == nil {
			return tls.NewListener(l, &tls.Config{GetCertificate: pair.Serve, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}), nil
		}
	}
	l.Close()
	return nil, err
}

func readToken(file string) (bolwerk.Secret, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return bolwerk.Secret{}, fmt.Errorf("token_file: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if line = strings.TrimSpace(line); len(line) < shortest {
		return bolwerk.Secret{}, bolwerk.WithHint(bolwerk.Invalid("token_file: %s holds %d octets, at least %d are needed", file, len(line), shortest), "openssl rand -hex 16 makes one")
	}
	return bolwerk.NewSecret(line), nil
}
