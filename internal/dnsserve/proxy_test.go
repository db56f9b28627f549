package dnsserve

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// proxied is the header for a question of asker, with TLVs behind.
func proxied(asker string, tlv string) []byte {
	a := netip.MustParseAddrPort(asker)
	family, addrs := byte(0x12), a.Addr().AsSlice()
	if a.Addr().Is6() {
		family = 0x22
	}
	addrs = append(addrs, addrs...)
	addrs = binary.BigEndian.AppendUint16(addrs, a.Port())
	addrs = append(append(addrs, 0, 53), tlv...)
	b := append([]byte(proxySignature), 0x21, family)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(addrs))), addrs...)
}

func TestProxyHeader(t *testing.T) {
	v4, v6 := proxied("192.0.2.7:4711", ""), proxied("[2001:db8::7]:4711", "\x03\x00\x01x")
	change := func(b []byte, at int, to byte) []byte { b = bytes.Clone(b); b[at] = to; return b }
	for what, c := range map[string]struct {
		b     []byte
		asker string
		bad   bool
	}{
		"IPv4":                 {b: v4, asker: "192.0.2.7:4711"},
		"IPv4 over TCP":        {b: change(v4, 13, 0x11), asker: "192.0.2.7:4711"},
		"IPv6, with a TLV":     {b: v6, asker: "[2001:db8::7]:4711"},
		"something behind":     {b: append(bytes.Clone(v4), 1, 2, 3), asker: "192.0.2.7:4711"},
		"the proxy itself":     {b: change(v4, 12, 0x20)},
		"no family":            {b: change(v4, 13, 0)},
		"version 1":            {b: []byte("PROXY TCP4 192.0.2.7 192.0.2.8 4711 53\r\n"), bad: true},
		"another version":      {b: change(v4, 12, 0x31), bad: true},
		"another command":      {b: change(v4, 12, 0x22), bad: true},
		"a UNIX socket":        {b: change(v4, 13, 0x31), bad: true},
		"no transport":         {b: change(v4, 13, 0x10), bad: true},
		"addresses too short":  {b: change(v4, 13, 0x22), bad: true},
		"cut":                  {b: v4[:len(v4)-1], bad: true},
		"cut in the signature": {b: v4[:11], bad: true},
		"nothing":              {bad: true},
		"too long":             {b: proxied("192.0.2.7:4711", strings.Repeat("x", maxProxy)), bad: true},
	} {
		asker, n, err := proxyHeader(c.b)
		if (err != nil) != c.bad || asker.IsValid() != (c.asker != "") || asker.IsValid() && asker.String() != c.asker {
			t.Errorf("%s: got %v, %v", what, asker, err)
		}
		if want := len(c.b); !c.bad && n != want && what != "something behind" {
			t.Errorf("%s: got %d octets, want %d", what, n, want)
		}
	}
}

// From a listed proxy the asker is whom it names, over every transport; whether he may
// ask is about him. What comes without a header gets nothing.
func TestProxy(t *testing.T) {
	doors, trust := encrypted(t)
	var mu sync.Mutex
	var from string
	policy := func(q *Question) (Answer, bool) {
		mu.Lock()
		defer mu.Unlock()
		from = q.From.Unmap().String()
		return block(q)
	}
	asker := func() string { mu.Lock(); defer mu.Unlock(); return from }
	sv := serve(t, policy, func(c *Config) {
		doors(c)
		c.ProxyFrom, c.Allow = []string{"127.0.0.0/8"}, []string{"192.0.2.0/24", "2001:db8::/32"}
	}, newWorld(t, plain).addr)
	query, _ := new(dns.Msg).SetQuestion("www.blocked.example.", dns.TypeA).Pack()

	overUDP := func(b []byte) *dns.Msg {
		t.Helper()
		c, err := net.Dial("udp", sv.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write(b)
		c.SetDeadline(time.Now().Add(5 * time.Second))
		in := make([]byte, maxUDP)
		n, err := c.Read(in)
		m := new(dns.Msg)
		if err != nil || m.Unpack(in[:n]) != nil {
			t.Fatalf("no answer: %v", err)
		}
		return m
	}
	for _, who := range []string{"192.0.2.7:1", "[2001:db8::7]:1"} {
		if m := overUDP(append(proxied(who, "\xe0\x00\x02hi"), query...)); len(m.Answer) != 2 || asker() != netip.MustParseAddrPort(who).Addr().String() {
			t.Errorf("%s: got %v for %s", who, m, asker())
		}
	}
	if m := overUDP(append(proxied("198.51.100.7:1", ""), query...)); m.Rcode != dns.RcodeRefused {
		t.Errorf("who may not ask: got %v", m)
	}
	local := proxied("192.0.2.7:1", "")
	local[12] = 0x20
	if m := overUDP(append(local, query...)); m.Rcode != dns.RcodeRefused {
		t.Errorf("the proxy for itself: got %v", m)
	}

	// Without a header there is no answer; the next one with it has one.
	c, err := net.Dial("udp", sv.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write(query)
	until(t, "a datagram without a header is not counted", func() bool { return sv.s.stats.noProxy.Load() == 1 })
	c.Write(append(proxied("192.0.2.7:1", ""), query...))
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, maxUDP)); err != nil {
		t.Error(err)
	}

	dial := func(addr string, header []byte) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.Write(header)
		return c
	}
	for where, c := range map[string]net.Conn{"tcp": dial(sv.addr, proxied("192.0.2.8:1", "")), "dot": tls.Client(dial(sv.dot, proxied("192.0.2.9:1", "")), &tls.Config{RootCAs: trust.RootCAs, ServerName: "127.0.0.1"})} {
		d := &dns.Conn{Conn: c}
		for range 2 { // one header for all questions
			d.WriteMsg(new(dns.Msg).SetQuestion("www.blocked.example.", dns.TypeA))
			if m, err := d.ReadMsg(); err != nil || len(m.Answer) != 2 || !strings.HasPrefix(asker(), "192.0.2.") {
				t.Fatalf("%s: got %v %v for %s", where, m, err, asker())
			}
		}
	}
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: trust, DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
		return dial(addr, proxied("192.0.2.10:1", "")), nil
	}}}
	defer client.CloseIdleConnections()
	r, err := client.Post("https://"+sv.doh+dohPath, dnsMessage, bytes.NewReader(query))
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, r.Body)
	r.Body.Close()
	if r.StatusCode != 200 || asker() != "192.0.2.10" {
		t.Errorf("doh: got %s for %s", r.Status, asker())
	}

	client.CloseIdleConnections()
}

// A connection of a proxy that does not begin as it must is closed.
func TestProxy_connectionsWithout(t *testing.T) {
	doors, _ := encrypted(t)
	sv := serve(t, block, func(c *Config) { doors(c); quick(c); c.ProxyFrom = []string{"127.0.0.0/8"} }, newWorld(t, plain).addr)
	query, _ := new(dns.Msg).SetQuestion("www.blocked.example.", dns.TypeA).Pack()
	for what, first := range map[string]string{"a question": "\x00" + string(byte(len(query))) + string(query), "version 1": "PROXY TCP4 192.0.2.7 192.0.2.8 4711 53\r\n", "silence": "", "half": proxySignature, "length": proxySignature + "\x21\x11\xff\xff"} {
		for where, addr := range map[string]string{"tcp": sv.addr, "dot": sv.dot, "doh": sv.doh} {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, first)
			ended(t, where+", "+what, c)
		}
	}
	if n := sv.s.stats.noProxy.Load(); n != 15 {
		t.Errorf("counted %d, want 15", n)
	}
}

// Who is not listed and sends a header gets what a malformed question gets.
func TestProxy_fromElsewhere(t *testing.T) {
	sv := serve(t, block, func(c *Config) { c.ProxyFrom = []string{"192.0.2.0/24"} }, newWorld(t, plain).addr)
	query, _ := new(dns.Msg).SetQuestion("www.blocked.example.", dns.TypeA).Pack()
	c, err := net.Dial("udp", sv.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write(append(proxied("192.0.2.7:1", ""), query...))
	c.Write(query)
	c.SetDeadline(time.Now().Add(5 * time.Second))
	in, m := make([]byte, maxUDP), new(dns.Msg)
	for len(m.Answer) != 2 {
		n, err := c.Read(in)
		if err != nil {
			t.Fatal(err)
		}
		m.Unpack(in[:n])
	}
}

// Connections of a proxy are many clients': one source may have more than an eighth.
func TestProxy_connections(t *testing.T) {
	sv := serve(t, block, func(c *Config) {
		c.TCPConns, c.ProxyFrom, c.Allow = 16, []string{"127.0.0.1/32"}, []string{"0.0.0.0/0"}
	}, newWorld(t, plain).addr)
	for range 16 {
		c, err := net.Dial("tcp", sv.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write(proxied("192.0.2.7:1", ""))
		d := &dns.Conn{Conn: c}
		d.WriteMsg(new(dns.Msg).SetQuestion("www.blocked.example.", dns.TypeA))
		if _, err := d.ReadMsg(); err != nil {
			t.Fatalf("%v with %d open", err, sv.s.doors.count())
		}
	}
}

// FuzzProxyHeader: what is taken is made again from what was read, up to the TLVs;
// from a connection the same is read as from a datagram, and not one octet more.
func FuzzProxyHeader(f *testing.F) {
	f.Add(append(proxied("192.0.2.7:4711", ""), "question"...))
	f.Add(append(proxied("[2001:db8::7]:4711", "\x03\x00\x01x"), "question"...))
	f.Add(append([]byte(proxySignature), 0x20, 0, 0, 0))
	f.Add(append([]byte(proxySignature), 0x21, 0x11, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, b []byte) {
		asker, n, err := proxyHeader(b)
		if err != nil {
			if n != 0 || asker.IsValid() {
				t.Fatalf("an error, and %v %d", asker, n)
			}
		} else if n < proxyFixed || n > len(b) || n > proxyFixed+maxProxy {
			t.Fatalf("got %d octets of %d", n, len(b))
		}
		if asker.IsValid() {
			again := proxied(asker.String(), "")
			again[13] = b[13]
			if same := len(again) - 4 - asker.Addr().BitLen()/8; !bytes.Equal(again[:13], b[:13]) || !bytes.Equal(again[16:same], b[16:same]) {
				t.Errorf("got %v from %x", asker, b[:n])
			}
		}
		rest := bytes.NewReader(b)
		addr, fail := readProxy(&readOnly{Reader: rest})
		if (fail == nil) != (err == nil) {
			t.Fatalf("datagram %v, connection %v", err, fail)
		}
		if err == nil && rest.Len() != len(b)-n {
			t.Errorf("%d octets are left, want %d", rest.Len(), len(b)-n)
		}
		if (addr != nil) != asker.IsValid() {
			t.Errorf("got %v and %v", addr, asker)
		}
	})
}

type readOnly struct {
	net.Conn
	io.Reader
}

func (r *readOnly) Read(b []byte) (int, error) { return r.Reader.Read(b) }
