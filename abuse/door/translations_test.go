package door

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk/abuse/session"
	"bolwerk/abuse/translation"
	"bolwerk/internal/clock"
)

// Lines of a translator's log are handed in as blocks of ports; what others send is not.
func TestTranslations_syslog(t *testing.T) {
	var mu sync.Mutex
	var got []session.Record
	came := make(chan struct{}, 10)
	cfg := TranslationsConfig{Syslog: "127.0.0.1:0", Translators: []Translator{{Name: "cgn1", From: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}},
		Patterns: []translation.Pattern{{Name: "blocks", Start: `ALLOC: (?P<inside>\S+) -> (?P<outside>[0-9.]+):(?P<first>\d+)-(?P<last>\d+)`}}}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	tr, err := NewTranslations(cfg, func(kind string, body []byte) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		records, err := session.Decode(body)
		got = append(got, records...)
		came <- struct{}{}
		return "id", err
	}, clock.NewFake(time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- tr.Syslog(ctx, conn) }()
	send := func(from, line string) {
		t.Helper()
		c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, conn.LocalAddr().(*net.UDPAddr))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	send("127.0.0.2", "ALLOC: 100.64.0.6 -> 203.0.113.7:1024-1535")
	send("127.0.0.1", "link up")
	send("127.0.0.1", "ALLOC: 100.64.0.5 -> 203.0.113.7:2048-2559")
	<-came
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].NAS != "cgn1" || got[0].Inside != netip.MustParseAddr("100.64.0.5") {
		t.Errorf("handed in %+v", got)
	}
}
