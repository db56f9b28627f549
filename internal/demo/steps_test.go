package demo

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func addresses127() Addresses {
	return Addresses{Program: "./bolwerk", Dir: "bolwerk-demo", LogIn: "http://localhost:8080/login?code=x", Console: "http://localhost:8080",
		Public: "http://localhost:8081", Outbox: "http://localhost:8080/outbox", Preview: "http://localhost:8082/", Garden: "http://127.0.0.1:8084", DNS: "127.0.0.1:5300",
		RPZ: "127.0.0.1:5301", Upstream: "127.0.0.1:5302", Page: "127.0.0.1:8082", TLS: "127.0.0.1:8443", SMTP: "127.0.0.1:2525"}
}

func TestWhatToTry(t *testing.T) {
	got := WhatToTry(addresses127())
	for _, want := range []string{"1. Log in\n", "code=x\n", "$ dig @127.0.0.1 -p 5300 " + PhishName + " A ", "$ ./bolwerk report mail bolwerk-demo/phish.eml\n",
		"$ ./bolwerk case list\n", "$ ./bolwerk case confirm " + PhishName + " --reason ", "$ curl --connect-to " + PhishName + ":80:127.0.0.1:8082 ",
		"$ swaks --server 127.0.0.1 --port 2525 ", "$ ./bolwerk block withdraw " + PhishName + " ", "$ ./bolwerk audit verify --against bolwerk-demo/edge\n", "$ ./bolwerk report mail bolwerk-demo/abuse.eml --smtp 127.0.0.1:2525 --to abuse@bolwerk.example\n", "$ ./bolwerk block explain " + PhishName + "\n", "outbox"} {
		if !strings.Contains(got, want) {
			t.Errorf("the first page lacks %q:\n%s", want, got)
		}
	}
	if got := quoted("/tmp/it's here"); got != `'/tmp/it'\''s here'` {
		t.Errorf("quoted: %s", got)
	}
	a := addresses127()
	a.Dir, a.Flags = "/tmp/d", "--server http://localhost:9080 --token-file /tmp/d/demo.token"
	if got := WhatToTry(a); !strings.Contains(got, "report mail /tmp/d/phish.eml --server http://localhost:9080 --token-file /tmp/d/demo.token\n") {
		t.Errorf("flags are missing:\n%s", got)
	} else if !strings.Contains(got, "./bolwerk audit verify --data /tmp/d --against /tmp/d/edge\n") {
		t.Errorf("audit verify asks in the folder and takes no --server:\n%s", got)
	}
}

// TestVisitors counts what one visitor does at an edge.
func TestVisitors(t *testing.T) {
	var asked, looked, knocked atomic.Int64
	page := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Host == "blocked.example" && strings.Contains(r.Header.Get("Accept"), "text/html") {
			looked.Add(1)
		}
	}))
	defer page.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			tls.Server(c, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				if h.ServerName == "blocked.example" {
					knocked.Add(1)
				}
				return nil, context.Canceled
			}}).Handshake()
			c.Close()
		}
	}()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	up := make(chan struct{})
	s := &dns.Server{PacketConn: udp, NotifyStartedFunc: func() { close(up) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		if q.Question[0].Name == "blocked.example." {
			asked.Add(1)
		}
		w.WriteMsg(Answer(q))
	})}
	go s.ActivateAndServe()
	<-up
	defer s.Shutdown()
	v := Visitors{DNS: udp.LocalAddr().String(), Page: strings.TrimPrefix(page.URL, "http://"), TLS: l.Addr().String(), Log: slog.New(slog.DiscardHandler),
		Names: func(context.Context) []string { return []string{"blocked.example"} }}
	for n := range 12 {
		if err := v.visit(t.Context(), "blocked.example", n); err != nil {
			t.Fatal(err)
		}
	}
	if asked.Load() != 12 || looked.Load() != 3 || knocked.Load() != 4 {
		t.Errorf("12 visits: %d asked, %d looked, %d knocked; want 12, 3, 4", asked.Load(), looked.Load(), knocked.Load())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	if err := v.Run(ctx); err != nil || asked.Load() != 13 {
		t.Errorf("Run for 1.5 s: %d asked, %v; want one a second", asked.Load()-12, err)
	}
}
