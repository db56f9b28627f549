package app

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"bolwerk/internal/mail"
)

// The check of a configuration asks the resolver that is named there for the records of the
// keys; what is wrong is a warning, and the check is as good as without it.
func TestCheck_looks_for_the_records_of_DKIM_keys(t *testing.T) {
	dir := t.TempDir()
	b, err := mail.NewKey("rsa") // its record is two strings
	if err != nil {
		t.Fatal(err)
	}
	key, err := mail.ParseKey(b)
	if err != nil {
		t.Fatal(err)
	}
	record, err := mail.Record(key)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	up := make(chan struct{})
	server := &dns.Server{PacketConn: conn, NotifyStartedFunc: func() { close(up) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype == dns.TypeTXT && q.Question[0].Name == "good._domainkey.isp.example." {
			m.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60}, Txt: []string{record[:200], record[200:]}}}
		} else {
			m.Rcode = dns.RcodeNameError
		}
		w.WriteMsg(m)
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.ActivateAndServe() }()
	<-up
	t.Cleanup(func() { server.Shutdown(); <-ended })
	dead, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	for _, c := range []struct{ selector, resolver, warning string }{
		{"good", conn.LocalAddr().String(), ""},
		{"bad", conn.LocalAddr().String(), "the DNS has no record of this key"},
		{"bad", "", ""},
		{"good", dead.LocalAddr().String(), "its record cannot be looked up: lookup good._domainkey.isp.example. on " + dead.LocalAddr().String()},
	} {
		file, keyFile := filepath.Join(dir, "bolwerk.toml"), filepath.Join(dir, "key")
		text := "[shield.lookup]\nresolver = \"" + c.resolver + "\"\n[[mail.dkim]]\ndomain = \"isp.example\"\nselector = \"" + c.selector + "\"\nkey_file = \"" + keyFile + "\"\n"
		for name, what := range map[string][]byte{file: []byte(text), keyFile: b} {
			if err := os.WriteFile(name, what, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		err := Check(file, &out)
		got := c.warning != "" && strings.Contains(out.String(), "warning: mail.dkim: "+c.selector+"._domainkey.isp.example: "+c.warning)
		if got != (c.warning != "") || strings.Contains(out.String(), "dkim") != got || err != nil && strings.Contains(err.Error(), "dkim") {
			t.Errorf("%s by %q: %v\n%s", c.selector, c.resolver, err, &out)
		}
	}
}
