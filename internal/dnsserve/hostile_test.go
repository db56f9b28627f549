package dnsserve

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// quick has clients that dawdle thrown out within moments.
func quick(c *Config) {
	c.times = times{hello: 100 * time.Millisecond, idle: 200 * time.Millisecond, busy: 50 * time.Millisecond, write: 200 * time.Millisecond}
}

// ended waits until the other side has closed the connection.
func ended(t *testing.T, what string, c net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c); err == nil {
		return
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Errorf("%s: the connection stays open", what)
	}
}

// A client that opens a connection and says nothing, half a greeting, or one octet
// now and then, is thrown out.
func TestHostile_handshakes(t *testing.T) {
	doors, trust := encrypted(t)
	sv := serve(t, block, func(c *Config) { doors(c); quick(c) }, newWorld(t, plain).addr)
	for where, addr := range map[string]string{"dot": sv.dot, "doh": sv.doh, "tcp": sv.addr} {
		for what, first := range map[string]string{"silence": "", "half a greeting": "\x16\x03\x01\x02\x00\x01\x00", "half a question": "\x00\x20abc"} {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, first)
			ended(t, where+", "+what, c)
		}
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		hello := append([]byte{22, 3, 1, 0x40, 0}, make([]byte, 0x4000)...)
		for { // each octet comes in time, the whole never does
			if _, err := c.Write(hello[:1]); err != nil {
				break
			}
			hello = append(hello[1:], 0)
			select {
			case <-t.Context().Done():
				t.Fatalf("%s: octet by octet: the connection stays open", where)
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	until(t, "connections are still counted", func() bool { return sv.s.doors.count() == 0 })
	if _, _, err := (&dns.Client{Net: "tcp-tls", TLSConfig: trust}).Exchange(new(dns.Msg).SetQuestion("blocked.example.", dns.TypeA), sv.dot); err != nil {
		t.Errorf("somebody else: %v", err)
	}
}

// long answers with as much as a message holds, so that a client that
// does not read is noticed.
func long(w dns.ResponseWriter, m *dns.Msg) {
	a := new(dns.Msg).SetReply(m)
	if _, tcp := w.RemoteAddr().(*net.TCPAddr); !tcp {
		a.Truncated = true
	} else {
		r := rr(m.Question[0].Name + " 300 IN TXT " + strings.Repeat("x", 250))
		for range 200 {
			a.Answer = append(a.Answer, r)
		}
	}
	w.WriteMsg(a)
}

// A client that asks and never reads is thrown out; the answers that wait for it
// are let go, and the others are answered.
func TestHostile_neverReads(t *testing.T) {
	doors, trust := encrypted(t)
	sv := serve(t, block, func(c *Config) { doors(c); quick(c) }, newWorld(t, long).addr)
	first := trust.Clone()
	first.NextProtos = []string{"http/1.1"}
	for where, dial := range map[string]func() (net.Conn, error){
		"tcp": func() (net.Conn, error) { return net.Dial("tcp", sv.addr) },
		"dot": func() (net.Conn, error) { return tls.Dial("tcp", sv.dot, trust) },
		"doh": func() (net.Conn, error) { return tls.Dial("tcp", sv.doh, first) },
	} {
		c, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		under := c
		if t, ok := c.(*tls.Conn); ok {
			under = t.NetConn()
		}
		under.(*net.TCPConn).SetReadBuffer(4096)
		for i := 0; ; i++ { // until we are thrown out: nothing takes our octets any more
			m := new(dns.Msg).SetQuestion(fmt.Sprintf("n%d.%s.example.", i%10, where), dns.TypeTXT)
			b, _ := m.Pack()
			if where == "doh" {
				b = []byte("GET " + dohPath + "?dns=" + base64.RawURLEncoding.EncodeToString(b) + " HTTP/1.1\r\nHost: dns.example\r\n\r\n")
			} else {
				b = append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
			}
			if _, err := c.Write(b); err != nil {
				break
			}
			if t.Context().Err() != nil {
				t.Fatalf("%s: the connection stays open", where)
			}
		}
		if r := ask(t, sv, "tcp", "blocked.example.", dns.TypeA, nil); len(r.Answer) != 2 {
			t.Errorf("%s: somebody else got %v", where, r)
		}
	}
	until(t, "connections are still counted", func() bool { return sv.s.doors.count() == 0 })
	until(t, "questions are still under way", func() bool { return len(sv.s.up.places) == 0 && sv.s.stats.inFlight.Load() == 0 })
}

// A body that never ends, and a head that never ends, are refused before they are read.
func TestHostile_endless(t *testing.T) {
	doors, trust := encrypted(t)
	sv := serve(t, block, func(c *Config) { doors(c); quick(c) }, newWorld(t, plain).addr)
	for _, h2 := range []bool{true, false} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: h2}}
		defer client.CloseIdleConnections()
		for range 3 {
			r, err := client.Post("https://"+sv.doh+dohPath, dnsMessage, endless{})
			if err == nil {
				if r.Body.Close(); r.StatusCode != http.StatusRequestEntityTooLarge {
					t.Errorf("got %s", r.Status)
				}
			} // else the connection ended before the answer was read
		}
		r, err := http.NewRequest(http.MethodGet, "https://"+sv.doh+dohPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Cookie", strings.Repeat("x", 1<<20))
		if a, err := client.Do(r); err == nil {
			if a.Body.Close(); a.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("a long head: got %s", a.Status)
			}
		}
	}
	c, err := net.Dial("tcp", sv.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.Copy(c, io.LimitReader(endless{}, 1<<20)) // over TCP the first two octets name too long a question
	ended(t, "tcp", c)
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return copy(b, bytes.Repeat([]byte{0xff}, len(b))), nil }

// Of thousands of connections as many are open as may be, a client has its part,
// and one from elsewhere gets in.
func TestHostile_connections(t *testing.T) {
	doors, trust := encrypted(t)
	sv := serve(t, block, func(c *Config) { doors(c); c.TCPConns = 160 }, newWorld(t, plain).addr)
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for i := range 2000 {
		c, err := net.Dial("tcp", []string{sv.addr, sv.dot, sv.doh}[i%3])
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		if n := sv.s.doors.count(); n > 8+160/8 {
			t.Fatalf("one client has %d connections, want %d at most", n, 8+160/8)
		}
	}
	until(t, "few were turned away", func() bool { return sv.s.stats.turnedAway.Load() >= 2000-28 })
	m := new(dns.Msg).SetQuestion("blocked.example.", dns.TypeA)
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	for network, addr := range map[string]string{"tcp": sv.addr, "tcp-tls": sv.dot} {
		if r, _, err := (&dns.Client{Net: network, TLSConfig: trust, Dialer: from}).Exchange(m, addr); err != nil || len(r.Answer) != 2 {
			t.Errorf("somebody else over %s: got %v %v", network, r, err)
		}
	}
}

// FuzzHTTPS: whatever is asked over HTTP gets a status, and what is answered with 200
// is what the same question gets over TCP.
func FuzzHTTPS(f *testing.F) {
	q := new(dns.Msg).SetQuestion("blocked.example.", dns.TypeA)
	q.Id = 7
	q.SetEdns0(1232, false)
	q.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_PADDING{Padding: make([]byte, 3)}}
	b, _ := q.Pack()
	text := base64.RawURLEncoding.EncodeToString(b)
	f.Add("GET", dohPath, "dns="+text, "", []byte(nil))
	f.Add("POST", dohPath, "", dnsMessage, b)
	f.Add("HEAD", dohPath, "dns="+text+"&dns=AA", "", []byte(nil))
	f.Add("PUT", "/", "dns==&%zz", "text/plain", []byte{0})
	f.Add("GET", dohPath, "dns=AAABAAABAAAAAAAAAWE", "", []byte(nil))
	cfg := DefaultConfig()
	cfg.Upstream = []string{"127.0.0.1:1"}
	all := func(q *Question) (Answer, bool) {
		if a, ok := block(q); ok {
			return a, true
		}
		return Answer{Rcode: NXDomain}, true
	}
	s, err := New(cfg, all, nil, nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	from := netip.MustParseAddr("127.0.0.1").As16()
	f.Fuzz(func(t *testing.T, method, path, query, typ string, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Method, r.URL = method, &url.URL{Path: path, RawQuery: query}
		r.RemoteAddr = "127.0.0.1:4000"
		r.Header.Set("Content-Type", typ)
		got := httptest.NewRecorder()
		s.overHTTP(context.Background(), got, r)
		if got.Code != http.StatusOK {
			if got.Code < 400 || got.Code >= 500 {
				t.Fatalf("%s %s?%s: got %d", method, path, query, got.Code)
			}
			return
		}
		msg := body
		if method != http.MethodPost {
			msg, _ = base64.RawURLEncoding.DecodeString(r.URL.Query().Get("dns"))
		}
		w, out := s.worker(-1), make([]byte, maxReply)
		n, _ := w.handle(out, msg, s.live.Load().acl.has(from), maxReply, 0)
		want := w.q.pad(out[:n], 0)
		if method == http.MethodHead {
			want = nil
		}
		if !bytes.Equal(got.Body.Bytes(), want) {
			t.Fatalf("%x: got %x, want %x", msg, got.Body.Bytes(), want)
		}
		if len(want) > 0 && got.Header().Get("Cache-Control") == "" {
			t.Fatalf("%x: no age", msg)
		}
	})
}
