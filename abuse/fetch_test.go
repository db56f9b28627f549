package abuse

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/clearing"
	"bolwerk/abuse/door"
	"bolwerk/abuse/session"
)

// A clearing house has a report of the day; it is fetched once, and leads to a case.
func TestFetchFromAClearingHouse(t *testing.T) {
	h := open(t)
	h.cfg.Feeds = []Feed{{Name: "house", Every: bolwerk.Duration(24 * time.Hour)}}
	h.p.FetchFeed = "house"
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon)
	gone, fetched := false, 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.Method + " " + r.URL.Path {
		case "POST /api2/reports/list":
			mac := hmac.New(sha256.New, []byte("the secret"))
			mac.Write(body)
			var ask struct{ APIKey, Date string }
			if json.Unmarshal(body, &ask); r.Header.Get("HMAC2") != hex.EncodeToString(mac.Sum(nil)) || ask.APIKey != "the key" || ask.Date != "2026-11-22:2026-11-26" {
				io.WriteString(w, `{"error":"invalid hmac"}`)
				return
			}
			io.WriteString(w, `[{"id":"bad","type":"scan_ntp","file":"2026-11-26-scan_ntp-example-asn.csv","report":"example","timestamp":"2026-11-26"},{"id":"QmX2","type":"scan_dns","file":"`+table+`","report":"example","timestamp":"2026-11-26"}]`)
		case "GET /dl/QmX2":
			fetched++
			io.WriteString(w, head+resolver(noon.Add(-time.Hour), "192.0.2.17"))
		default:
			gone = true
			http.NotFound(w, r)
		}
	}))
	defer srv.Close()
	dir := t.TempDir()
	for name, text := range map[string]string{"key": "the key\n", "secret": "the secret\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := clearing.DefaultConfig()
	cfg.KeyFile, cfg.SecretFile = filepath.Join(dir, "key"), filepath.Join(dir, "secret")
	cfg.URL, cfg.Files = srv.URL+"/api2/", srv.URL+"/dl/"
	cfg.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	house, err := clearing.Open(cfg, door.MaxReport)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := h.Fetch(t.Context(), house); err == nil {
			t.Error("a file that is not there is no error")
		}
		h.settleAll()
	}
	if !gone || fetched != 1 {
		t.Errorf("fetched %d times, the missing one asked for: %v", fetched, gone)
	}
	if n := h.number(`select count(*) from abuse_case`); n != 1 {
		t.Errorf("%d cases, want 1", n)
	}
	if s := h.text(`select feed from abuse_report`); s != "house" {
		t.Errorf("feed %q", s)
	}
	cfg.SecretFile = filepath.Join(dir, "key")
	if house, err = clearing.Open(cfg, door.MaxReport); err != nil {
		t.Fatal(err)
	}
	if err := h.Fetch(t.Context(), house); err == nil {
		t.Errorf("with a wrong secret: %v", err)
	}
}
