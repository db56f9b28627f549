package shield_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"bolwerk/internal/account"
	"bolwerk/shield/export"
)

func TestFeedsSayWhatIsInForce(t *testing.T) {
	d := newAPIDesk(t)
	who := d.token("ann", account.Read, account.DecideScope)
	fetch := d.token("vic", account.Feed)
	d.ask(who, "POST", "/blocks", `{"name":"bad.example","reason":"seen"}`).want(t, 201)
	d.ask(who, "POST", "/blocks", `{"name":"x.worse.example","scope":"subtree","reason":"seen"}`).want(t, 201)
	d.ask(who, "POST", "/blocks", `{"name":"over.example","reason":"seen"}`).want(t, 201)
	d.ask(who, "POST", "/blocks/over.example/withdraw", `{"reason":"wrong"}`).want(t, 200)
	d.ask(who, "POST", "/exemptions", `{"name":"fine.x.worse.example","reason":"ours"}`).want(t, 201)
	for format, parts := range map[string][]string{
		"txt": {"bad.example\n", "www.bad.example\n", "x.worse.example\n"}, "hosts": {"0.0.0.0 bad.example\n"}, "adblock": {"||x.worse.example^\n", "@@|fine.x.worse.example^\n"},
		"rpz": {"*.x.worse.example CNAME *.\n", "fine.x.worse.example CNAME rpz-passthru.\n"}, "csv": {"x.worse.example,subtree,false,false,redirect,phishing,policy,"}, "json": {`"name":"x.worse.example","scope":"subtree"`},
	} {
		t.Run(format, func(t *testing.T) {
			r := d.ask(fetch, "GET", "/feeds/blocks."+format, "", "Accept-Encoding", "identity").want(t, 200, parts...)
			if strings.Contains(r.raw, "over.example") {
				t.Error("a withdrawn name is in it")
			}
			tag := r.header.Get("ETag")
			d.ask(fetch, "GET", "/feeds/blocks."+format, "", "If-None-Match", tag, "Accept-Encoding", "identity").want(t, 304)
			d.ask(fetch, "GET", "/feeds/blocks."+format, "", "If-Modified-Since", r.header.Get("Last-Modified")).want(t, 304)
			packed := d.ask(fetch, "GET", "/feeds/blocks."+format, "", "Accept-Encoding", "gzip").want(t, 200)
			z, err := gzip.NewReader(strings.NewReader(packed.raw))
			if err != nil {
				t.Fatal(err)
			}
			if plain, err := io.ReadAll(z); err != nil || string(plain) != r.raw {
				t.Errorf("packed: %v, %q", err, plain)
			}
			if packed.header.Get("ETag") == tag || packed.header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("packed: %v", packed.header)
			}
			sig := d.ask(fetch, "GET", "/feeds/blocks."+format+".sig", "").want(t, 200)
			key := d.ask(who, "GET", "/log", "").want(t, 200).body["key"].(string)
			v, err := note.NewVerifier(key)
			if err != nil {
				t.Fatal(err)
			}
			n, err := note.Open([]byte(sig.raw), note.VerifierList(v))
			sum := sha256.Sum256([]byte(r.raw))
			if err != nil || !strings.Contains(n.Text, "sha256 "+hex.EncodeToString(sum[:])+"\n") {
				t.Errorf("signed digest: %v, %q", err, sig.raw)
			}
		})
	}
	// The next publication is in the file five seconds later.
	before := d.ask(fetch, "GET", "/feeds/blocks.txt", "", "Accept-Encoding", "identity").header.Get("ETag")
	d.ask(who, "POST", "/blocks/bad.example/withdraw", `{"reason":"wrong"}`).want(t, 200)
	d.clock.Add(5 * time.Second)
	if r := d.ask(fetch, "GET", "/feeds/blocks.txt", "", "If-None-Match", before, "Accept-Encoding", "identity").want(t, 200); strings.Contains(r.raw, "\nbad.example") {
		t.Errorf("still in it: %s", r.raw)
	}
}

func TestFeedsAskForTheirScope(t *testing.T) {
	d := newAPIDesk(t)
	d.ask("", "GET", "/feeds/blocks.txt", "").want(t, 401)
	d.ask(d.token("ann", account.Report), "GET", "/feeds/blocks.txt", "").want(t, 403, "scope feed")
	feed := d.token("ann", account.Feed)
	d.ask(feed, "GET", "/feeds/blocks.txt", "").want(t, 200)
	for _, path := range []string{"/cases", "/blocks", "/log/openings", "/audit"} {
		d.ask(feed, "GET", path, "").want(t, 403)
	}
	d.ask(feed, "POST", "/blocks", `{"name":"a.example","reason":"x"}`).want(t, http.StatusForbidden)
	if bytes.Count([]byte(d.ask("", "GET", "/openapi.json", "").raw), []byte(`"/api/v1/feeds/blocks.`)) != 2*len(export.Formats()) {
		t.Error("not every feed is described")
	}
}
