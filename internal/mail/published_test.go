package mail

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bolwerk"
)

// What the DNS says of a key: right, or a sentence that says what is wrong.
func TestPublished(t *testing.T) {
	dir := t.TempDir()
	record, bare := map[string]string{}, ""
	var keys []DKIMConfig
	for _, kind := range []string{"rsa", "ed25519"} {
		b, err := NewKey(kind)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, kind)
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := ParseKey(b)
		if err == nil {
			record[kind], err = Record(key)
		}
		if err != nil {
			t.Fatal(err)
		}
		if pub, ok := key.Public().(*rsa.PublicKey); ok {
			bare = base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(pub))
		}
		keys = append(keys, DKIMConfig{Domain: bolwerk.MustDomain("isp.example"), Selector: kind, KeyFile: file})
	}
	rsaP := strings.TrimPrefix(record["rsa"], "v=DKIM1; k=rsa; ")
	none := &net.DNSError{Err: "no such host", IsNotFound: true}
	for _, c := range []struct {
		name    string
		records []string
		err     error
		want    string // what the warning says; empty: none
	}{
		{"right", []string{record["rsa"]}, nil, ""},
		{"without version and kind, spaced", []string{" " + rsaP[:50] + " " + rsaP[50:] + " ; n=note"}, nil, ""},
		{"RSA without the frame of X.509", []string{"v=DKIM1; p=" + bare}, nil, ""},
		{"allowed hashes and uses", []string{record["rsa"] + "; h=sha1:sha256; s=*; t=s"}, nil, ""},
		{"another text beside it", []string{"v=spf1 -all", record["rsa"]}, nil, ""},
		{"none", nil, none, "no record of this key, and what it signs does not verify; publish " + record["rsa"]},
		{"another text only", []string{"v=spf1 -all"}, nil, "no record of this key"},
		{"of another key", []string{record["ed25519"]}, nil, "another key"},
		{"no base64", []string{"v=DKIM1; p=!"}, nil, "another key"},
		{"the kind is wrong", []string{"v=DKIM1; k=ed25519; " + rsaP}, nil, "another key"},
		{"revoked", []string{"v=DKIM1; p="}, nil, "revoked"},
		{"revoked, without version", []string{"p="}, nil, "revoked"},
		{"another version", []string{"v=DKIM2; " + rsaP}, nil, "another version"},
		{"sha1 only", []string{record["rsa"] + "; h=sha1"}, nil, "sha256"},
		{"not for mail", []string{record["rsa"] + "; s=tlsrpt"}, nil, "not for mail"},
		{"only tested", []string{record["rsa"] + "; t=s:y"}, nil, "t=y"},
		{"two", []string{record["rsa"], record["ed25519"]}, nil, "2 records"},
		{"no answer", nil, errors.New("i/o timeout"), "cannot be looked up: i/o timeout"},
	} {
		got := Published(t.Context(), keys[:1], func(ctx context.Context, name string) ([]string, error) {
			if name != "rsa._domainkey.isp.example." {
				t.Errorf("asked for %s", name)
			}
			if _, ok := ctx.Deadline(); !ok {
				t.Error("a look without an end")
			}
			return c.records, c.err
		})
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want) || !strings.HasPrefix(got[0], "mail.dkim: rsa._domainkey.isp.example: ")) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	right := func(_ context.Context, name string) ([]string, error) {
		return []string{record[strings.SplitN(name, ".", 2)[0]]}, nil
	}
	if got := Published(t.Context(), keys, right); len(got) > 0 {
		t.Errorf("two keys: %q", got)
	}
	if got := Published(t.Context(), []DKIMConfig{{Domain: bolwerk.MustDomain("isp.example"), Selector: "x", KeyFile: filepath.Join(dir, "none")}}, right); len(got) > 0 {
		t.Errorf("no file: %q", got)
	}
}
