package dnsserve

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// overQUICToo serves every encrypted door; trust is who asks there.
func overQUICToo(t *testing.T) (change func(*Config), trust *tls.Config) {
	doors, trust := encrypted(t)
	return func(c *Config) {
		doors(c)
		c.ListenQUIC, c.HTTP3 = "127.0.0.1:0", true
	}, trust
}

func dialQUIC(t *testing.T, sv served, trust *tls.Config) *quic.Conn {
	t.Helper()
	c := trust.Clone()
	c.NextProtos, c.ServerName = []string{"doq"}, "127.0.0.1"
	conn, err := quic.DialAddr(t.Context(), sv.doq, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseWithError(0, "") })
	return conn
}

func onStream(t *testing.T, c *quic.Conn, b []byte, fin bool) *quic.Stream {
	t.Helper()
	st, err := c.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st.Write(b)
	if fin {
		st.Close()
	}
	st.SetReadDeadline(time.Now().Add(10 * time.Second))
	return st
}

func framed(t *testing.T, name string, change func(*dns.Msg)) []byte {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, dns.TypeA)
	m.Id = 0
	if change != nil {
		change(m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func answerOn(t *testing.T, st *quic.Stream) (*dns.Msg, int) {
	t.Helper()
	b, err := io.ReadAll(st)
	if err != nil || len(b) < 2 || int(binary.BigEndian.Uint16(b)) != len(b)-2 {
		t.Fatalf("got %d octets, %v", len(b), err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(b[2:]); err != nil {
		t.Fatal(err)
	}
	return m, len(b) - 2
}

func TestQUIC(t *testing.T) {
	release := make(chan struct{})
	doors, trust := overQUICToo(t)
	sv := serve(t, block, func(c *Config) {
		doors(c)
		c.TryTimeout, c.Timeout = Duration(time.Minute), Duration(time.Minute)
	}, newWorld(t, func(w dns.ResponseWriter, m *dns.Msg) {
		if strings.HasPrefix(strings.ToLower(m.Question[0].Name), "slow.") {
			<-release
		}
		plain(w, m)
	}).addr)
	c := dialQUIC(t, sv, trust)
	padded := func(m *dns.Msg) {
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_PADDING{Padding: make([]byte, 20)}}
	}
	slow := onStream(t, c, framed(t, "slow.example.", padded), true)
	for _, name := range []string{"a.example.", "a.example.", "www.blocked.example."} {
		m, n := answerOn(t, onStream(t, c, framed(t, name, padded), true))
		if m.Id != 0 || len(m.Answer) == 0 || n != answerPadding {
			t.Errorf("%s: %d octets, %v", name, n, m)
		}
	}
	close(release)
	if m, _ := answerOn(t, slow); len(m.Answer) == 0 {
		t.Errorf("slow: got %v", m)
	}
	if m, n := answerOn(t, onStream(t, c, framed(t, "a.example.", nil), true)); len(m.Answer) == 0 || n >= answerPadding {
		t.Errorf("without padding: got %d octets, %v", n, m)
	}
	if n := sv.s.stats.quic[byPolicy].Load() + sv.s.stats.quic[byCache].Load() + sv.s.stats.quic[byResolver].Load(); n != 5 {
		t.Errorf("counted %d, want 5", n)
	}
}

// What the protocol forbids ends the connection (RFC 9250 section 4.3.3).
func TestQUIC_protocol(t *testing.T) {
	doors, trust := overQUICToo(t)
	sv := serve(t, block, doors, newWorld(t, plain).addr)
	good := framed(t, "blocked.example.", nil)
	id := bytes.Clone(good)
	id[3] = 1
	response := bytes.Clone(good)
	response[4] |= 0x80
	for what, b := range map[string][]byte{
		"an id": id, "two questions": append(bytes.Clone(good), good...), "too short": good[:len(good)-1], "nothing": nil, "an answer": response,
		"far too long": append([]byte{0xff, 0xff}, make([]byte, 6000)...),
	} {
		c := dialQUIC(t, sv, trust)
		st := onStream(t, c, b, true)
		io.ReadAll(st)
		var end *quic.ApplicationError
		select {
		case <-c.Context().Done():
			if err := context.Cause(c.Context()); !errors.As(err, &end) || end.ErrorCode != quicProtocol {
				t.Errorf("%s: ended with %v", what, err)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%s: the connection goes on", what)
		}
	}
	until(t, "connections are still counted", func() bool { return sv.s.doors.count() == 0 })
}

// A question that came in 0-RTT could be somebody's who sends it again.
func TestQUIC_noEarlyData(t *testing.T) {
	doors, trust := overQUICToo(t)
	sv := serve(t, block, doors, newWorld(t, plain).addr)
	c := trust.Clone()
	c.NextProtos, c.ServerName, c.ClientSessionCache = []string{"doq"}, "127.0.0.1", tls.NewLRUClientSessionCache(4)
	for i := range 2 {
		conn, err := quic.DialAddrEarly(t.Context(), sv.doq, c, nil)
		if err != nil {
			t.Fatal(err)
		}
		if m, _ := answerOn(t, onStream(t, conn, framed(t, "blocked.example.", nil), true)); len(m.Answer) != 2 {
			t.Errorf("got %v", m)
		}
		<-conn.HandshakeComplete()
		if s := conn.ConnectionState(); s.Used0RTT || i == 1 && !s.TLS.DidResume {
			t.Errorf("connection %d: early data %v, resumed %v", i, s.Used0RTT, s.TLS.DidResume)
		}
		conn.CloseWithError(0, "")
	}
}

func TestHTTP3(t *testing.T) {
	doors, trust := overQUICToo(t)
	sv := serve(t, block, doors, newWorld(t, plain).addr)
	tr := &http3.Transport{TLSClientConfig: trust.Clone()}
	defer tr.Close()
	query := framed(t, "www.blocked.example.", nil)[2:]
	r, err := (&http.Client{Transport: tr}).Post("https://"+sv.doh+dohPath, dnsMessage, bytes.NewReader(query))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	m := new(dns.Msg)
	if err := m.Unpack(b); err != nil || r.ProtoMajor != 3 || len(m.Answer) != 2 {
		t.Errorf("got %s %v %v", r.Proto, m, err)
	}
	two := &http.Client{Transport: &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}}
	defer two.CloseIdleConnections()
	r, err = two.Post("https://"+sv.doh+dohPath, dnsMessage, bytes.NewReader(query))
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if want := `h3=":` + portOf(sv.doh) + `"; ma=86400`; r.Header.Get("Alt-Svc") != want {
		t.Errorf("got %q, want %q", r.Header.Get("Alt-Svc"), want)
	}
}

// Clients that dawdle: silence, half a question, one that never reads, and more
// connections than one may have. Others are answered, and all places become free.
func TestHostile_quic(t *testing.T) {
	doors, trust := overQUICToo(t)
	sv := serve(t, block, func(c *Config) { doors(c); quick(c); c.TCPConns = 16 }, newWorld(t, long).addr)
	dialQUIC(t, sv, trust) // and says nothing: a server that has waited enough goes without a word
	half := dialQUIC(t, sv, trust)
	st := onStream(t, half, framed(t, "a.example.", nil)[:9], false)
	if b, err := io.ReadAll(st); err == nil {
		t.Errorf("half a question: got %q", b)
	}
	deaf := trust.Clone()
	deaf.NextProtos, deaf.ServerName = []string{"doq"}, "127.0.0.1"
	reads, err := quic.DialAddr(t.Context(), sv.doq, deaf, &quic.Config{InitialStreamReceiveWindow: 1024, MaxStreamReceiveWindow: 1024, MaxIdleTimeout: time.Minute, KeepAlivePeriod: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer reads.CloseWithError(0, "")
	for range quicStreams { // as many as it may have under way, none read
		onStream(t, reads, framed(t, "a.example.", nil), true)
	}
	// Once they are given up there is room for the next.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := reads.OpenStreamSync(ctx); err != nil {
		t.Errorf("answers that nobody reads are held: %v", err)
	}
	reads.CloseWithError(0, "")
	until(t, "connections are still counted", func() bool { return sv.s.doors.count() == 0 })

	// One client has ten of sixteen places (an eighth and eight more).
	taken := 0
	for range 14 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if c, err := quic.DialAddr(ctx, sv.doq, deaf, &quic.Config{KeepAlivePeriod: 50 * time.Millisecond}); err == nil {
			taken++
			defer c.CloseWithError(0, "")
		}
		cancel()
	}
	if taken != sv.s.doors.each {
		t.Errorf("one client has %d connections, want %d", taken, sv.s.doors.each)
	}
}

// FuzzReadAlone: a message is taken only whole, alone, and with the id 0.
func FuzzReadAlone(f *testing.F) {
	m := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
	m.Id = 0
	b, _ := m.Pack()
	whole := append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
	f.Add(whole)
	f.Add(whole[:9])
	f.Add(append(bytes.Clone(whole), 0))
	f.Add(append([]byte{0xff, 0xff}, make([]byte, 5000)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		room := make([]byte, 2+maxQuery+1)
		msg, err := readAlone(bytes.NewReader(b), room)
		good := len(b) >= 2+headerLen && len(b) <= 2+maxQuery && int(b[0])<<8|int(b[1]) == len(b)-2 && b[2] == 0 && b[3] == 0
		if good != (err == nil) || good && !bytes.Equal(msg, b[2:]) || err != nil && err != errReply {
			t.Errorf("%x: got %x %v", b, msg, err)
		}
	})
}
