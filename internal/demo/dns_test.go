package demo

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func upstream(t *testing.T) string {
	t.Helper()
	var tcp net.Listener
	var udp net.PacketConn
	var err error
	for range 20 { // the other half of a free port may be somebody's
		if tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if udp, err = net.ListenPacket("udp", tcp.Addr().String()); err == nil {
			break
		}
		tcp.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Upstream{}.Run(ctx, udp, tcp) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("ended with %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("does not end")
		}
	})
	return tcp.Addr().String()
}

func TestUpstream(t *testing.T) {
	address := upstream(t)
	for _, network := range []string{"udp", "tcp"} {
		for _, c := range []struct {
			name  string
			kind  uint16
			rcode int
			n     int
		}{
			{PhishName, dns.TypeA, dns.RcodeSuccess, 1}, {"WWW.Merelbank.Example", dns.TypeAAAA, dns.RcodeSuccess, 1},
			{"a.b.c.anything.example", dns.TypeA, dns.RcodeSuccess, 1}, {"merelbank.example", dns.TypeMX, dns.RcodeSuccess, 1},
			{"merelbank.example", dns.TypeTXT, dns.RcodeSuccess, 1}, {"merelbank.example", dns.TypeSRV, dns.RcodeSuccess, 0},
			{"merelbank.example", dns.TypeANY, dns.RcodeSuccess, 1},
			{"example", dns.TypeSOA, dns.RcodeSuccess, 1}, {"example", dns.TypeNS, dns.RcodeSuccess, 2}, {"example", dns.TypeA, dns.RcodeSuccess, 0},
			{".", dns.TypeNS, dns.RcodeSuccess, 2}, {MissingName, dns.TypeA, dns.RcodeNameError, 0}, {"www." + MissingName, dns.TypeA, dns.RcodeNameError, 0},
			{"example.com", dns.TypeA, dns.RcodeNameError, 0}, {"notexample", dns.TypeA, dns.RcodeNameError, 0},
		} {
			q := new(dns.Msg).SetQuestion(dns.Fqdn(c.name), c.kind)
			q.SetEdns0(1232, true)
			m, _, err := (&dns.Client{Net: network, Timeout: 5 * time.Second}).Exchange(q, address)
			if err != nil {
				t.Fatalf("%s %s by %s: %v", c.name, dns.TypeToString[c.kind], network, err)
			}
			if m.Rcode != c.rcode || len(m.Answer) != c.n || !m.Authoritative || m.IsEdns0() == nil || len(m.Answer) == 0 && len(m.Ns) != 1 {
				t.Errorf("%s %s: %s", c.name, dns.TypeToString[c.kind], m)
			}
			for _, rr := range m.Answer {
				if rr.Header().Name != dns.Fqdn(c.name) || rr.Header().Ttl != 300 {
					t.Errorf("%s answers with %s", c.name, rr)
				}
				switch r := rr.(type) {
				case *dns.A:
					a, _ := netip.AddrFromSlice(r.A.To4())
					invented(t, a)
				case *dns.AAAA:
					a, _ := netip.AddrFromSlice(r.AAAA)
					invented(t, a)
				}
			}
		}
	}
}

func TestUpstream_refuses(t *testing.T) {
	chaos := new(dns.Msg).SetQuestion("version.bind.", dns.TypeTXT)
	chaos.Question[0].Qclass = dns.ClassCHAOS
	update := new(dns.Msg).SetUpdate("example.")
	none := new(dns.Msg)
	for q, want := range map[*dns.Msg]int{chaos: dns.RcodeRefused, update: dns.RcodeNotImplemented, none: dns.RcodeRefused} {
		if got := Answer(q); got.Rcode != want {
			t.Errorf("%s is answered %s", q, dns.RcodeToString[got.Rcode])
		}
	}
	one, _ := addresses("a.example.")
	two, _ := addresses("b.example.")
	if one == two || strings.HasSuffix(one.String(), ".0") {
		t.Errorf("addresses %s and %s", one, two)
	}
}
