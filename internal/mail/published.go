package mail

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// publishedWithin bounds the look at one record.
const publishedWithin = 5 * time.Second

// Published says, a sentence each, for which keys the DNS has no record, or one with
// which what they sign does not verify (RFC 6376, section 3.6.1). txt gives the TXT records
// of a name, the strings of each joined, as net.Resolver does; a *net.DNSError with
// IsNotFound is none. A key whose file cannot be read is left out: others tell that.
func Published(ctx context.Context, keys []DKIMConfig, txt func(ctx context.Context, name string) ([]string, error)) (warnings []string) {
	for _, c := range keys {
		b, err := os.ReadFile(c.KeyFile)
		if err != nil {
			continue
		}
		key, err := ParseKey(b)
		if err != nil {
			continue
		}
		name := c.Selector + "._domainkey." + c.Domain.String()
		one, cancel := context.WithTimeout(ctx, publishedWithin)
		records, err := txt(one, name+".")
		cancel()
		var none *net.DNSError
		why := ""
		switch {
		case errors.As(err, &none) && none.IsNotFound:
			why = missing(key)
		case err != nil:
			why = fmt.Sprintf("its record cannot be looked up: %v", err)
		default:
			why = unlike(records, key)
		}
		if why != "" {
			warnings = append(warnings, fmt.Sprintf("mail.dkim: %s: %s", name, why))
		}
	}
	return warnings
}

func missing(key crypto.Signer) string {
	want, err := Record(key)
	if err != nil {
		return err.Error()
	}
	return "the DNS has no record of this key, and what it signs does not verify; publish " + want
}

// unlike says why signatures of a key do not verify with the TXT records of its name; ""
// where they do.
func unlike(records []string, key crypto.Signer) string {
	var tags []map[string]string
	for _, r := range records {
		t := tagsOf(r)
		if _, ok := t["p"]; ok || t["v"] == "DKIM1" {
			tags = append(tags, t)
		}
	}
	switch len(tags) {
	case 0:
		return missing(key)
	case 1:
	default:
		return fmt.Sprintf("the DNS has %d records of keys under one name; with which one is verified is chance (RFC 6376, section 3.6.2.2)", len(tags))
	}
	t := tags[0]
	has := func(tag, want string) bool {
		v, ok := t[tag]
		return !ok || slices.ContainsFunc(strings.Split(v, ":"), func(s string) bool { return strings.TrimSpace(s) == want || tag == "s" && strings.TrimSpace(s) == "*" })
	}
	kind := t["k"]
	if kind == "" {
		kind = "rsa"
	}
	switch v := t["v"]; {
	case v != "" && v != "DKIM1":
		return "the record is of another version than DKIM1"
	case t["p"] == "":
		return "the record says that the key is revoked (p=)"
	case !same(kind, t["p"], key):
		want, _ := Record(key)
		return "the DNS has another key, and what this one signs does not verify; publish " + want
	case !has("h", "sha256"):
		return "the record does not allow sha256 (h=)"
	case !has("s", "email"):
		return "the record is not for mail (s=)"
	case slices.ContainsFunc(strings.Split(t["t"], ":"), func(s string) bool { return strings.TrimSpace(s) == "y" }):
		return "the record says that DKIM is only tested (t=y): mails count as not signed"
	}
	return ""
}

// tagsOf reads a list of tags (RFC 6376, section 3.2), without the blanks in the key.
func tagsOf(record string) map[string]string {
	out := map[string]string{}
	for part := range strings.SplitSeq(record, ";") {
		name, value, ok := strings.Cut(part, "=")
		if name = strings.TrimSpace(name); ok && name != "" {
			out[name] = strings.Join(strings.Fields(value), "")
		}
	}
	return out
}

// same says that p of a record is the public half of a key: of RSA with or without the
// frame of X.509, both are in use.
func same(kind, p string, key crypto.Signer) bool {
	raw, err := base64.StdEncoding.DecodeString(p)
	if err != nil {
		return false
	}
	switch k := key.Public().(type) {
	case *rsa.PublicKey:
		if kind != "rsa" {
			return false
		}
		if pub, err := x509.ParsePKIXPublicKey(raw); err == nil {
			return k.Equal(pub)
		}
		pub, err := x509.ParsePKCS1PublicKey(raw)
		return err == nil && k.Equal(pub)
	case ed25519.PublicKey:
		return kind == "ed25519" && bytes.Equal(raw, k)
	}
	return false
}
