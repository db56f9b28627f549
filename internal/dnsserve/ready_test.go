package dnsserve

import (
	"net"
	"net/netip"
	"testing"
)

func TestAnswers(t *testing.T) {
	for what, change := range map[string]func(*Config){
		"as it is":               nil,
		"who may not ask":        func(c *Config) { c.Allow = []string{"192.0.2.0/24"} },
		"behind a proxy on here": func(c *Config) { c.ProxyFrom = []string{"127.0.0.1/32"} },
	} {
		sv := serve(t, block, change, newWorld(t, echo).addr)
		if err := sv.s.Answers(t.Context(), netip.MustParseAddrPort(sv.addr)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if n := sv.s.stats.tries.Load(); n != 0 {
			t.Errorf("%s: a resolver was asked", what)
		}
	}
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sv := serve(t, block, nil, newWorld(t, echo).addr)
	at := silent.LocalAddr().(*net.UDPAddr).AddrPort()
	silent.Close()
	if err := sv.s.Answers(t.Context(), at); err == nil {
		t.Error("nobody is there")
	}
	if !sv.s.UpstreamUp() {
		t.Error("the resolver is up")
	}
	for _, r := range sv.s.up.list() {
		r.down.Store(true)
	}
	if sv.s.UpstreamUp() {
		t.Error("the resolver is down")
	}
}
