package retest

import (
	"net"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

func port(a net.Addr) uint16 { return netip.MustParseAddrPort(a.String()).Port() }

// A service that listens answers; one that is closed, or says nothing, does not.
func TestAnswers(t *testing.T) {
	here := netip.MustParseAddr("127.0.0.1")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	open := Service{"tcp", port(l.Addr())}
	if got, err := Answers(t.Context(), here, open); !got || err != nil {
		t.Errorf("an open port: %v %v", got, err)
	}
	l.Close()
	if got, err := Answers(t.Context(), here, open); got || err != nil {
		t.Errorf("a closed port: %v %v", got, err)
	}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	udp := Service{"udp", port(c.LocalAddr())}
	was := questions[udp.Port]
	questions[udp.Port] = questions[53]
	defer func() { questions[udp.Port] = was }()
	asked := make(chan []byte, 1)
	go func() {
		b := make([]byte, 1500)
		if n, from, err := c.ReadFrom(b); err == nil {
			asked <- b[:n]
			c.WriteTo([]byte{1}, from)
		}
	}()
	if got, err := Answers(t.Context(), here, udp); !got || err != nil {
		t.Errorf("an open service: %v %v", got, err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(<-asked); err != nil || len(m.Question) != 1 || m.Question[0].Name != "." || !m.RecursionDesired {
		t.Errorf("the question is %v (%v)", m, err)
	}
	if got, err := Answers(t.Context(), here, udp); got || err != nil {
		t.Errorf("a service that says nothing: %v %v", got, err)
	}
}

// A name server that refuses, or serves its own names only, is not open.
func TestServes(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*dns.Msg)
		want   bool
	}{
		"recursion":        {func(m *dns.Msg) { m.RecursionAvailable = true }, true},
		"recursion fails":  {func(m *dns.Msg) { m.RecursionAvailable, m.Rcode = true, dns.RcodeServerFailure }, true},
		"refused":          {func(m *dns.Msg) { m.RecursionAvailable, m.Rcode = true, dns.RcodeRefused }, false},
		"its own names":    {func(*dns.Msg) {}, false},
		"another question": {func(m *dns.Msg) { m.RecursionAvailable = true; m.Id++ }, false},
	} {
		q := new(dns.Msg)
		if err := q.Unpack(questions[53]); err != nil {
			t.Fatal(err)
		}
		m := new(dns.Msg).SetReply(q)
		c.change(m)
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if got := serves(53, b); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if serves(53, nil) || !serves(123, []byte{1}) {
		t.Error("an answer of no length, or of another service")
	}
}

func TestCan(t *testing.T) {
	for s, want := range map[Service]bool{{"udp", 53}: true, {"udp", 11211}: true, {"tcp", 23}: true, {"udp", 7}: false, {"tcp", 0}: false, {"icmp", 53}: false} {
		if s.Can() != want {
			t.Errorf("%s: %v", s, !want)
		}
	}
	if n := len(questions[161]); n != int(questions[161][1])+2 {
		t.Errorf("the question for SNMP says another length than its %d octets", n)
	}
}
