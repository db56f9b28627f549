package door_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	. "bolwerk/abuse/door"
	"bolwerk/abuse/session"
	"bolwerk/internal/clock"
	"bolwerk/internal/radius"
)

var secret = []byte("a secret of aaa1")

// spool is a door's spool that may be held, or fail.
type spool struct {
	mu    sync.Mutex
	kept  []session.Record
	fails bool
	hold  chan struct{} // nil: not held
}

func (s *spool) put(kind string, body []byte) (string, error) {
	s.mu.Lock()
	hold := s.hold
	s.mu.Unlock()
	if hold != nil {
		<-hold
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails {
		return "", errors.New("no room")
	}
	records, err := session.Decode(body)
	if err != nil || kind != KindSessions {
		return "", err
	}
	s.kept = append(s.kept, records...)
	return "id", nil
}

// change sets what is under the lock.
func (s *spool) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *spool) records() []session.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kept)
}

// aaa is an AAA server that sends to the door.
type aaa struct {
	*net.UDPConn
	*spool
}

func start(t *testing.T, change ...func(*Config)) aaa {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, append(secret, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	cfg.Clients = []Client{{Name: "aaa1", From: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, SecretFile: file}}
	for _, f := range change {
		f(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	s := &spool{}
	a, err := NewAccounting(cfg, s.put, clock.New(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenPacket("udp", cfg.Listen)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, conn) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	to, err := net.DialUDP("udp", nil, conn.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { to.Close() })
	return aaa{to, s}
}

// answered says whether an answer to b comes within a while.
func (a aaa) answered(t *testing.T, b []byte, within time.Duration) bool {
	t.Helper()
	if _, err := a.Write(b); err != nil {
		t.Fatal(err)
	}
	return a.hears(b, within)
}

func (a aaa) hears(b []byte, within time.Duration) bool {
	a.SetReadDeadline(time.Now().Add(within))
	buf := make([]byte, radius.MaxSize)
	for {
		n, err := a.Read(buf)
		if err != nil {
			return false
		}
		if radius.Answers(buf[:n], b, secret) {
			return true
		}
	}
}

const (
	soon  = 20 * time.Second       // for what comes
	short = 200 * time.Millisecond // for what must not come
)

func number(typ byte, n uint32) radius.Attribute {
	return radius.Attribute{Type: typ, Value: []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}}
}

func text(typ byte, s string) radius.Attribute { return radius.Attribute{Type: typ, Value: []byte(s)} }

func request(id byte, more ...radius.Attribute) []byte {
	return radius.Request(id, append([]radius.Attribute{number(radius.AcctStatusType, radius.StatusStart), text(radius.AcctSessionID, "s1"), text(radius.UserName, "anna"),
		text(radius.NASIdentifier, "bng1"), number(radius.FramedIPAddress, 0xc6336407)}, more...), true, secret)
}

func TestAccountingIsAnsweredOnlyOnceItIsDurable(t *testing.T) {
	a := start(t)
	hold := make(chan struct{})
	a.change(func() { a.hold = hold })
	b := request(1)
	if a.answered(t, b, short) {
		t.Fatal("answered before it was durable")
	}
	close(hold)
	if !a.hears(b, soon) {
		t.Fatal("not answered once it was durable")
	}
	if got := a.records(); len(got) != 1 || got[0].Subscriber != "anna" || got[0].Prefixes[0] != netip.MustParsePrefix("198.51.100.7/32") {
		t.Errorf("kept %+v", got)
	}
}

func TestWhatCannotBeMadeDurableIsNotAnswered(t *testing.T) {
	a := start(t)
	a.change(func() { a.fails = true })
	b := request(1)
	if a.answered(t, b, short) {
		t.Fatal("answered though it is lost")
	}
	a.change(func() { a.fails = false })
	if !a.answered(t, b, soon) { // it comes again
		t.Fatal("not answered when there was room again")
	}
	if n := len(a.records()); n != 1 {
		t.Errorf("%d records", n)
	}
}

func TestAPacketThatComesAgainIsAnsweredAgainAndKeptOnce(t *testing.T) {
	a := start(t)
	b := request(1)
	for i := range 3 {
		if !a.answered(t, b, soon) {
			t.Fatalf("time %d: not answered", i+1)
		}
	}
	if n := len(a.records()); n != 1 {
		t.Errorf("%d records, want 1", n)
	}
}

func TestWhoDoesNotKnowTheSecretIsNotAnswered(t *testing.T) {
	a := start(t)
	for name, b := range map[string][]byte{
		"wrong secret":  radius.Request(1, []radius.Attribute{number(radius.AcctStatusType, 1), text(radius.AcctSessionID, "s")}, false, []byte("another secret")),
		"not a packet":  []byte("GET / HTTP/1.1\r\n\r\n"),
		"another code":  append([]byte{1}, request(2)[1:]...),
		"a bit changed": func() []byte { b := request(3); b[len(b)-1] ^= 1; return b }(),
	} {
		if a.answered(t, b, short) || len(a.records()) != 0 {
			t.Errorf("%s: taken", name)
		}
	}
	stranger := start(t, func(c *Config) { c.Clients[0].From = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")} })
	if stranger.answered(t, request(4), short) || len(stranger.records()) != 0 {
		t.Error("a stranger's packet is taken")
	}
}

func TestWhatAPacketTells(t *testing.T) {
	a := start(t)
	now := time.Now().Truncate(time.Second).UTC()
	ago := now.Add(-time.Hour)
	for i, c := range []struct {
		name  string
		attrs []radius.Attribute
		want  session.Record
	}{
		{"a stop", []radius.Attribute{number(radius.AcctStatusType, radius.StatusStop), text(radius.AcctSessionID, "s"), text(radius.UserName, "anna"), number(radius.NASIPAddress, 0xc0000201),
			number(radius.AcctSessionTime, 600), number(radius.EventTimestamp, uint32(ago.Unix())), number(radius.AcctDelayTime, 30), text(radius.NASPortID, "eth 1/1"), text(radius.CallingStationID, "02-00-5E-00-53-01")},
			session.Record{Kind: session.Stop, NAS: "192.0.2.1", Session: "s", Identity: session.Identity{Subscriber: "anna", Line: "eth 1/1", Calling: "02-00-5E-00-53-01"}, At: ago, Lasted: 10 * time.Minute}},
		{"a delay alone", []radius.Attribute{number(radius.AcctStatusType, radius.StatusInterim), text(radius.AcctSessionID, "s2"), text(radius.NASIdentifier, "bng"), number(radius.AcctDelayTime, 3600)},
			session.Record{Kind: session.Interim, NAS: "bng", Session: "s2", At: ago, Lasted: -1}},
		{"a clock from 1970", []radius.Attribute{number(radius.AcctStatusType, radius.StatusInterim), text(radius.AcctSessionID, "s3"), text(radius.NASIdentifier, "bng"), number(radius.EventTimestamp, 86400)},
			session.Record{Kind: session.Interim, NAS: "bng", Session: "s3", At: now, Lasted: -1}},
		{"an access server that begins", []radius.Attribute{number(radius.AcctStatusType, radius.StatusOn), text(radius.NASIdentifier, "bng")},
			session.Record{Kind: session.On, NAS: "bng", At: now, Lasted: -1}},
		{"what is in force", []radius.Attribute{number(radius.AcctStatusType, radius.StatusInterim), text(radius.AcctSessionID, "s4"), text(radius.NASIdentifier, "bng"), text(radius.Class, "gold"), text(radius.FilterID, "f1"), text(radius.FilterID, "f1"),
			radius.Vendor(6527, 134, []byte("Ingr-v4:7")), radius.Vendor(14988, 19, []byte("list")), radius.Vendor(2011, 95, []byte("policy")), radius.Vendor(4874, 83, []byte("service")), radius.Vendor(9, 251, []byte("NINTERNET")), radius.Vendor(9, 1, []byte("subscriber:service-name=s")), radius.Vendor(9, 1, []byte("ip:other=1"))},
			session.Record{Kind: session.Interim, NAS: "bng", Session: "s4", At: now, Lasted: -1, Filters: []string{"f1", "Ingr-v4:7", "list", "policy", "service", "INTERNET", "s"}}},
		{"octets that are no text", []radius.Attribute{number(radius.AcctStatusType, radius.StatusInterim), text(radius.AcctSessionID, "\xff\x01"), text(radius.NASIdentifier, "bng")},
			session.Record{Kind: session.Interim, NAS: "bng", Session: "0xff01", At: now, Lasted: -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !a.answered(t, radius.Request(byte(i), c.attrs, false, secret), soon) {
				t.Fatal("not answered")
			}
			all := a.records()
			got := all[len(all)-1]
			c.want.Source = session.Radius
			if d := got.At.Sub(c.want.At); d < 0 || d > 30*time.Second {
				t.Errorf("at %s want %s", got.At, c.want.At)
			}
			got.At = c.want.At
			if got.Kind != c.want.Kind || got.NAS != c.want.NAS || got.Session != c.want.Session || got.Identity != c.want.Identity || got.Lasted != c.want.Lasted || !slices.Equal(got.Filters, c.want.Filters) {
				t.Errorf("\n got %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// What says nothing of a session is answered: else it would come for ever.
func TestWhatIsNoSessionIsAnsweredAndLeftOut(t *testing.T) {
	a := start(t)
	b := radius.Request(1, []radius.Attribute{number(radius.AcctStatusType, 9), text(radius.AcctSessionID, "t")}, false, secret) // Tunnel-Start
	if !a.answered(t, b, soon) || len(a.records()) != 0 {
		t.Errorf("kept %+v", a.records())
	}
}

func TestConfig(t *testing.T) {
	from := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	for name, c := range map[string]Config{
		"nobody may send":   {Listen: "127.0.0.1:1813", Subscriber: "user_name"},
		"no secret":         {Listen: "127.0.0.1:1813", Subscriber: "user_name", Clients: []Client{{Name: "a", From: from}}},
		"two of one place":  {Listen: "127.0.0.1:1813", Subscriber: "user_name", Clients: []Client{{Name: "a", From: from, SecretFile: "x"}, {Name: "b", From: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")}, SecretFile: "x"}}},
		"another attribute": {Subscriber: "filter_id"},
		"no port":           {Listen: "here", Subscriber: "class", Clients: []Client{{Name: "a", From: from, SecretFile: "x"}}},
	} {
		if c.Validate() == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}
