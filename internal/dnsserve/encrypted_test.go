package dnsserve

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// encrypted has both doors served with a fresh certificate; trust is who asks there.
func encrypted(t testing.TB) (change func(*Config), trust *tls.Config) {
	t.Helper()
	cert, ca := certificate(t)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600); err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(cert.Certificate[0])
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return func(c *Config) {
		c.Encrypted = Encrypted{ListenTLS: "127.0.0.1:0", ListenHTTPS: "127.0.0.1:0", CertFile: ca, KeyFile: keyFile}
	}, &tls.Config{RootCAs: pool}
}

func TestTLS(t *testing.T) {
	release := make(chan struct{})
	doors, trust := encrypted(t)
	sv := serve(t, block, func(c *Config) {
		doors(c)
		c.TryTimeout, c.Timeout = Duration(time.Minute), Duration(time.Minute)
	}, newWorld(t, func(w dns.ResponseWriter, m *dns.Msg) {
		if strings.HasPrefix(strings.ToLower(m.Question[0].Name), "slow.") {
			<-release
		}
		plain(w, m)
	}).addr)
	c, err := (&dns.Client{Net: "tcp-tls", TLSConfig: trust}).Dial(sv.dot)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send := func(id uint16, name string) {
		m := new(dns.Msg).SetQuestion(name, dns.TypeA)
		m.Id = id
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_PADDING{Padding: make([]byte, 20)}}
		if err := c.WriteMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	// One name whose resolver is slow holds up no other.
	send(1, "slow.example.")
	send(2, "a.example.")
	send(3, "www.blocked.example.")
	got := map[uint16]bool{}
	for i := range 3 {
		if i == 2 {
			close(release)
		}
		r, err := c.ReadMsg()
		if err != nil {
			t.Fatal(err)
		}
		if got[r.Id] = true; len(r.Answer) == 0 || i < 2 && r.Id == 1 {
			t.Errorf("answer %d: got %v", i, r)
		}
		if b, _ := r.Pack(); len(b) < answerPadding {
			t.Errorf("answer %d has %d octets", r.Id, len(b))
		}
	}
	if len(got) != 3 {
		t.Errorf("got answers to %v", got)
	}
}

func TestHTTPS(t *testing.T) {
	doors, trust := encrypted(t)
	sv := serve(t, block, doors, newWorld(t, plain).addr)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	url := "https://" + sv.doh + dohPath
	pack := func(name string, padded bool) []byte {
		m := new(dns.Msg).SetQuestion(name, dns.TypeA)
		m.Id = 0
		m.SetEdns0(1232, false)
		if padded {
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_PADDING{Padding: make([]byte, 20)}}
		}
		b, _ := m.Pack()
		return b
	}
	read := func(r *http.Response, err error) ([]byte, *http.Response) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return b, r
	}
	for name, want := range map[string]struct {
		answers int
		age     string
	}{"a.example.": {1, "max-age=300"}, "blocked.example.": {2, "max-age=60"}} {
		for _, post := range []bool{true, false} {
			var b []byte
			var r *http.Response
			if q := pack(name, post); post {
				b, r = read(client.Post(url, dnsMessage, bytes.NewReader(q)))
			} else {
				b, r = read(client.Get(url + "?dns=" + base64.RawURLEncoding.EncodeToString(q)))
			}
			m := new(dns.Msg)
			if err := m.Unpack(b); err != nil || r.StatusCode != 200 || len(m.Answer) != want.answers || r.ProtoMajor != 2 {
				t.Fatalf("%s: got %v %v %v", name, r, m, err)
			}
			if got := r.Header.Get("Cache-Control"); got != want.age || r.Header.Get("Content-Type") != dnsMessage {
				t.Errorf("%s: got %v, want %s", name, r.Header, want.age)
			}
			if post != (len(b)%answerPadding == 0) {
				t.Errorf("%s: %d octets", name, len(b))
			}
		}
	}
	for what, c := range map[string]struct {
		code int
		do   func() (*http.Response, error)
	}{
		"another path":  {404, func() (*http.Response, error) { return client.Get("https://" + sv.doh + "/") }},
		"no question":   {400, func() (*http.Response, error) { return client.Get(url) }},
		"not base64url": {400, func() (*http.Response, error) { return client.Get(url + "?dns=%25%25") }},
		"another method": {405, func() (*http.Response, error) {
			r, err := http.NewRequest(http.MethodPut, url, nil)
			if err != nil {
				return nil, err
			}
			return client.Do(r)
		}},
		"another type": {415, func() (*http.Response, error) { return client.Post(url, "text/plain", strings.NewReader("x")) }},
		"too long": {413, func() (*http.Response, error) {
			return client.Post(url, dnsMessage, bytes.NewReader(make([]byte, 5000)))
		}},
		"too long a link": {414, func() (*http.Response, error) { return client.Get(url + "?dns=" + strings.Repeat("A", 6000)) }},
		"an answer": {400, func() (*http.Response, error) {
			q := pack("a.example.", false)
			q[2] |= 0x80
			return client.Post(url, dnsMessage, bytes.NewReader(q))
		}},
	} {
		if _, r := read(c.do()); r.StatusCode != c.code {
			t.Errorf("%s: got %d, want %d", what, r.StatusCode, c.code)
		}
	}
}

// Who may not ask is refused over TLS too.
func TestEncrypted_refuses(t *testing.T) {
	doors, trust := encrypted(t)
	sv := serve(t, block, func(c *Config) { doors(c); c.Allow = []string{"192.0.2.0/24"} }, newWorld(t, plain).addr)
	r, _, err := (&dns.Client{Net: "tcp-tls", TLSConfig: trust}).Exchange(new(dns.Msg).SetQuestion("blocked.example.", dns.TypeA), sv.dot)
	if err != nil || r.Rcode != dns.RcodeRefused {
		t.Errorf("got %v %v", r, err)
	}
}

// One client has an eighth of the connections; the others have the rest.
func TestDoors(t *testing.T) {
	d := newDoors(80)
	conn := func(addr string) net.Conn { return fakeConn{addr: addr, id: new(int)} }
	var mine []net.Conn
	for range 30 {
		if c := conn("192.0.2.1:53"); d.enter(c, false) {
			mine = append(mine, c)
		}
	}
	if len(mine) != 18 {
		t.Errorf("one client has %d connections, want 18", len(mine))
	}
	n := 0
	for i := range 100 {
		if d.enter(conn(fmt.Sprintf("[2001:db8:0:%x::%x]:1", i%8, i)), false) {
			n++
		}
	}
	if n != 80-18 {
		t.Errorf("the others have %d, want %d", n, 80-18)
	}
	d.leave(mine[0])
	d.leave(mine[0])
	if !d.enter(conn("198.51.100.1:1"), false) || d.enter(conn("198.51.100.1:1"), false) {
		t.Error("a place that was left is taken once")
	}
	d.close()
	d.leave(mine[1])
	if d.enter(conn("198.51.100.2:1"), false) {
		t.Error("entered after the end")
	}
}

type fakeConn struct {
	net.Conn
	addr string
	id   *int
}

func (c fakeConn) RemoteAddr() net.Addr { a, _ := net.ResolveTCPAddr("tcp", c.addr); return a }
func (c fakeConn) Close() error         { return nil }
