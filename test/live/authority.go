package live

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Authority is an API that takes notices, and notes each request.
type Authority struct {
	Config string // a desk's, so that it tells this authority, as much as there is
	Env    string // of the desk, so that it trusts its certificate

	mu   sync.Mutex
	keys map[string]int             // Idempotency-Key -> requests
	of   map[string]map[string]bool // name -> keys under which it was told
}

// NewAuthority is one that takes notices until the test ends.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{keys: map[string]int{}, of: map[string]map[string]bool{}}
	srv := httptest.NewTLSServer(a)
	t.Cleanup(srv.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	a.Env = "SSL_CERT_FILE=" + ca
	a.Config = fmt.Sprintf(`[shield]
fetch_allow = ['127.0.0.0/8']
[shield.notices]
per_hour = 10000
[[shield.notices.to]]
name = 'cert'
kind = 'authority'
url = '%s/reports'
per_day = 100000
`, srv.URL)
	return a
}

func (a *Authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct{ ID, Name string }
	key := r.Header.Get("Idempotency-Key")
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Name == "" || key == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys[key]++
	if a.of[in.Name] == nil {
		a.of[in.Name] = map[string]bool{}
	}
	a.of[in.Name][key] = true
	fmt.Fprintf(w, `{"ticket":%q}`, "T-"+in.ID)
}

// Told says of how many names it was told, under how many keys, in how many requests.
func (a *Authority) Told() (names, keys, requests int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range a.keys {
		requests += n
	}
	return len(a.of), len(a.keys), requests
}

// Knows says that it was told of a name.
func (a *Authority) Knows(name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.of[name]) > 0
}
