package mail

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"bolwerk"
)

// What is signed verifies with the record that is published, with both kinds of key; a
// changed word, a second From and a mail of another domain do not.
func TestSign(t *testing.T) {
	records := map[string]string{}
	var cfg []DKIMConfig
	for _, kind := range []string{"rsa", "ed25519"} {
		file := filepath.Join(t.TempDir(), kind)
		b, err := NewKey(kind)
		if err == nil {
			err = os.WriteFile(file, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		key, err := ParseKey(b)
		if err != nil {
			t.Fatal(err)
		}
		if records[kind+"._domainkey.isp.example"], err = Record(key); err != nil {
			t.Fatal(err)
		}
		c := DKIMConfig{Domain: bolwerk.MustDomain("isp.example"), Selector: kind, KeyFile: file}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		cfg = append(cfg, c)
	}
	s, err := NewSigner(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m := Message{ID: "a1", From: MustAddress("abuse@desk.isp.example"), FromName: "Bureau d’abus", To: MustAddress("anna@thuis.example"), Subject: "Uw lijn", Body: "Een lange regel.\n\nNog een.\n", Lang: bolwerk.NL, Date: time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC), Report: []byte(`{"a":1}`)}
	raw, err := m.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Sign(m.From, raw)
	if err != nil {
		t.Fatal(err)
	}
	good := func(b []byte) (n int) {
		all, err := dkim.VerifyWithOptions(bytes.NewReader(b), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) { return []string{records[name]}, nil }})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range all {
			if v.Err == nil && v.Domain == "isp.example" {
				n++
			}
		}
		return n
	}
	if n := good(out); n != 2 {
		t.Errorf("%d signatures verify, want 2\n%s", n, out)
	}
	if n := good(bytes.Replace(out, []byte("Subject: "), []byte("Subject: x"), 1)); n != 0 {
		t.Errorf("another subject: %d signatures verify", n)
	}
	if n := good(append([]byte("From: bank@bank.example\r\n"), out...)); n != 0 {
		t.Errorf("a second From: %d signatures verify", n)
	}
	if b, err := s.Sign(MustAddress("a@notisp.example"), raw); err != nil || !bytes.Equal(b, raw) {
		t.Errorf("another domain's mail was changed: %v", err)
	}
	if b, err := (*Signer)(nil).Sign(m.From, raw); err != nil || !bytes.Equal(b, raw) {
		t.Errorf("no keys: %v", err)
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	for what, text := range map[string]string{"empty": "", "no PEM": "a key", "no key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := ParseKey([]byte(text)); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	for _, c := range []DKIMConfig{{}, {Domain: bolwerk.MustDomain("isp.example"), KeyFile: "x"}, {Domain: bolwerk.MustDomain("isp.example"), Selector: "a b", KeyFile: "x"}, {Domain: bolwerk.MustDomain("isp.example"), Selector: strings.Repeat("a", 70), KeyFile: "x"}} {
		if c.Validate() == nil {
			t.Errorf("%+v: taken", c)
		}
	}
}
