// Package clearing fetches the reports of a clearing house: the API of the
// Shadowserver Foundation (api2, "reports/list" and the files that it names). A request
// is a JSON body with the key in it, and in the header HMAC2 its HMAC-SHA256 under the
// secret, in hex.
package clearing

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/gate"
)

// Config says what is fetched, and with which key.
type Config struct {
	// KeyFile and SecretFile hold what the clearing house gave you. Empty: nothing is
	// fetched.
	KeyFile    string `toml:"key_file"`
	SecretFile string `toml:"secret_file"`
	// Feed is the one of abuse.feeds as which it is heard.
	Feed string `toml:"feed"`
	// Reports are names of report lists, as the clearing house calls them. Empty: all
	// that are yours.
	Reports []string `toml:"reports"`
	// Every is how often the list of reports is asked for.
	Every bolwerk.Duration `toml:"every"`
	// URL is the root of the API, Files where the files are.
	URL   string `toml:"url"`
	Files string `toml:"files"`
	// Allow are networks of your own that may be asked too, such as that of a proxy.
	Allow []netip.Prefix `toml:"allow"`
}

// DefaultConfig fetches nothing.
func DefaultConfig() Config {
	return Config{Every: bolwerk.Duration(time.Hour), URL: "https://transform.shadowserver.org/api2/", Files: "https://dl.shadowserver.org/"}
}

// On says that something is fetched.
func (c Config) On() bool { return c.KeyFile != "" }

// Validate says what is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if !c.On() {
		return nil
	}
	if c.SecretFile == "" {
		errs = append(errs, bolwerk.Invalid("secret_file: want the file with the secret that belongs to the key"))
	}
	if c.Every.D() < 10*time.Minute || c.Every.D() > 24*time.Hour {
		errs = append(errs, bolwerk.Invalid("every %s: want 10m to 24h", c.Every))
	}
	for _, s := range []string{c.URL, c.Files} {
		if u, err := url.Parse(s); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || !strings.HasSuffix(s, "/") {
			errs = append(errs, bolwerk.Invalid("%.200q: want an address that ends with /", s))
		}
	}
	return errors.Join(errs...)
}

// Bounds of what is taken.
const (
	tryTime  = 5 * time.Minute
	maxList  = 4 << 20
	maxFiles = 2000 // of one answer
)

// House is a clearing house.
type House struct {
	cfg         Config
	key, secret string
	client      *http.Client
	most        int64
}

// Open reads the key. Files of more than most octets are not taken.
func Open(cfg Config, most int64) (*House, error) {
	key, err := os.ReadFile(cfg.KeyFile)
	if err != nil {
		return nil, bolwerk.Invalid("abuse.clearing.key_file: %v", err)
	}
	secret, err := os.ReadFile(cfg.SecretFile)
	if err != nil {
		return nil, bolwerk.Invalid("abuse.clearing.secret_file: %v", err)
	}
	return &House{cfg: cfg, key: strings.TrimSpace(string(key)), secret: strings.TrimSpace(string(secret)), client: gate.New(cfg.Allow).Client(tryTime), most: most}, nil
}

// File is a report that can be fetched.
type File struct {
	ID   string `json:"id"`
	Name string `json:"file"`
	Type string `json:"type"`
}

// The file's name is given to the reader, and its id stands in an address.
var plain = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$`)

// List gives the reports of the days from first to last, both in it.
func (h *House) List(ctx context.Context, first, last time.Time) ([]File, error) {
	ask := map[string]any{"apikey": h.key, "date": first.UTC().Format(time.DateOnly) + ":" + last.UTC().Format(time.DateOnly)}
	if len(h.cfg.Reports) > 0 {
		ask["reports"] = h.cfg.Reports
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, []byte(h.secret))
	mac.Write(body)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.cfg.URL+"reports/list", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("HMAC2", hex.EncodeToString(mac.Sum(nil)))
	answer, err := h.do(r, maxList)
	if err != nil {
		return nil, err
	}
	var refused struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(answer, &refused) == nil && refused.Error != "" {
		return nil, bolwerk.Forbidden("the clearing house refuses: %.200q", refused.Error)
	}
	var all []File
	if err := json.Unmarshal(answer, &all); err != nil {
		return nil, bolwerk.Invalid("the list of the clearing house cannot be read: %v", err)
	}
	if len(all) > maxFiles {
		return nil, bolwerk.Invalid("the clearing house names %d reports, at most %d are taken at once", len(all), maxFiles)
	}
	for _, f := range all {
		if !plain.MatchString(f.ID) || !plain.MatchString(f.Name) {
			return nil, bolwerk.Invalid("the clearing house names a report %.60q, %.60q", f.ID, f.Name)
		}
	}
	return all, nil
}

// Fetch gives the bytes of a report.
func (h *House) Fetch(ctx context.Context, f File) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.cfg.Files+f.ID, nil)
	if err != nil {
		return nil, err
	}
	return h.do(r, h.most)
}

func (h *House) do(r *http.Request, most int64) ([]byte, error) {
	a, err := h.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the clearing house answers %s", a.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(a.Body, most+1))
	if err == nil && int64(len(raw)) > most {
		err = bolwerk.Invalid("the clearing house sends more than %d octets", most)
	}
	return raw, err
}
