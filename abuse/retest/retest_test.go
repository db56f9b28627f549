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
