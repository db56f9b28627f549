package coa_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
	. "bolwerk/abuse/enforce/coa"
	"bolwerk/abuse/enforce/standin"
	"bolwerk/abuse/session"
	"bolwerk/internal/clock"
	"bolwerk/internal/radius"
)

const secret = "a secret of bng1"

func held() session.Held {
	return session.Held{Identity: session.Identity{Subscriber: "anna", Line: "eth 1/1/7:100"}, NAS: "bng1", Session: "0000a1", Source: session.Radius, Prefix: netip.MustParsePrefix("198.51.100.7/32")}
}

func order(p enforce.Profile) enforce.Order {
	o := enforce.Order{ID: "q1", Version: 1, Session: held(), Profile: p}
	if p != enforce.Normal {
		o.Until = time.Now().Add(time.Hour)
	}
	return o
}

// server starts a stand-in, and gives a configuration that leads to it.
func server(t *testing.T, change ...func(*Config)) (*standin.Server, Config) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := standin.New(secret, nil)
	s.Add(standin.Session{ID: "0000a1", User: "anna"})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, conn) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Name, cfg.Address, cfg.SecretFile, cfg.Canary = "bng1", conn.LocalAddr().String(), file, "canary"
	cfg.Normal, cfg.Leaky, cfg.Strict = "normal", "bolwerk-leaky", "bolwerk-strict"
	cfg.Timeout, cfg.Pace = bolwerk.Duration(300*time.Millisecond), 1000
	for _, c := range change {
		c(&cfg)
	}
	return s, cfg
}

func port(t *testing.T, cfg Config) (*Port, map[string]int) {
	t.Helper()
	dropped := map[string]int{}
	p, err := New(cfg, clock.New(), func(why string) { dropped[why]++ })
	if err != nil {
		t.Fatal(err)
	}
	return p, dropped
}

func put(t *testing.T, p *Port, o enforce.Order) enforce.Result {
	t.Helper()
	r, err := p.Put(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each vendor's way leads into a profile, on to another, and back.
func TestEveryVendorsWayInAndBack(t *testing.T) {
	for _, kind := range []string{"standard", "nokia", "juniper", "cisco", "mikrotik", "huawei"} {
		t.Run(kind, func(t *testing.T) {
			s, cfg := server(t, func(c *Config) { c.Attributes = kind })
			p, _ := port(t, cfg)
			normal := cfg.Normal
			if kind == "juniper" || kind == "cisco" {
				normal = ""
			}
			was := enforce.Normal
			for _, step := range []struct {
				profile enforce.Profile
				want    string
			}{{enforce.Leaky, "bolwerk-leaky"}, {enforce.Leaky, "bolwerk-leaky"}, {enforce.Strict, "bolwerk-strict"}, {enforce.Normal, normal}} {
				o := order(step.profile)
				o.Was = was
				if r := put(t, p, o); r.State != enforce.Applied {
					t.Fatalf("%s: %+v", step.profile, r)
				}
				if got, _ := s.Filter("0000a1"); got != step.want {
					t.Fatalf("%s: filter %q want %q", step.profile, got, step.want)
				}
				was = step.profile
			}
			// What it had is not known: it comes back all the same.
			put(t, p, order(enforce.Strict))
			if r := put(t, p, order(enforce.Normal)); r.State != enforce.Applied {
				t.Errorf("released from an unknown profile: %+v", r)
			}
			if got, _ := s.Filter("0000a1"); got != normal {
				t.Errorf("filter %q want %q", got, normal)
			}
		})
	}
}

// A server with a timer of its own has ended a profile whose time is over: that it is
// asked to once more, and refuses, is no locked-in line. Before, and without a timer, it is.
func TestAProfileThatItsOwnTimerEnded(t *testing.T) {
	s, cfg := server(t, func(c *Config) { c.Attributes = "juniper" })
	p, _ := port(t, cfg)
	in := order(enforce.Leaky)
	in.Until, in.Was = time.Now().Add(2*time.Second), enforce.Normal
	if r := put(t, p, in); r.State != enforce.Applied || !cfg.Timer() {
		t.Fatalf("%+v, has a timer %v", r, cfg.Timer())
	}
	for f, _ := s.Filter("0000a1"); f != ""; f, _ = s.Filter("0000a1") {
		time.Sleep(50 * time.Millisecond)
	}
	back := order(enforce.Normal)
	back.Was = enforce.Leaky
	if r := put(t, p, back); r.State != enforce.Refused {
		t.Errorf("its time is not over: %+v", r)
	}
	back.Over = true
	if r := put(t, p, back); r.State != enforce.Applied || r.Seen || !strings.Contains(r.Code, "timer") {
		t.Errorf("its time is over: %+v", r)
	}
	cfg.Attributes = "cisco"
	p, _ = port(t, cfg)
	if r := put(t, p, back); r.State != enforce.Refused || cfg.Timer() {
		t.Errorf("without a timer: %+v", r)
	}
}

func TestWhatTheServerSaysIsUnderstood(t *testing.T) {
	for _, c := range []struct {
		name  string
		mode  standin.Mode
		cfg   func(*Config)
		order func(*enforce.Order)
		state enforce.State
		code  string
		drops string
	}{
		{name: "it acknowledges", state: enforce.Applied},
		{name: "it answers the second time", mode: standin.Slow, state: enforce.Applied},
		{name: "it is dead", mode: standin.Dead, state: enforce.Silent, code: "is the secret the same"},
		{name: "another secret", mode: standin.Forged, state: enforce.Silent, code: "another secret", drops: "forged"},
		{name: "no signature", mode: standin.Unsigned, state: enforce.Silent, code: "unsigned = true", drops: "unsigned"},
		{name: "no signature, and none is wanted", mode: standin.Unsigned, cfg: func(c *Config) { c.Unsigned = true }, state: enforce.Applied},
		{name: "no resources", mode: standin.Full, state: enforce.Busy, code: "506"},
		{name: "not allowed", mode: standin.Never, state: enforce.Refused, code: "501"},
		{name: "the session is over", order: func(o *enforce.Order) { o.Session.Session = "0000b2" }, state: enforce.Offline, code: "503"},
		{name: "the session is another user's by now", order: func(o *enforce.Order) { o.Session.Subscriber = "bert" }, state: enforce.Offline, code: "503"},
		{name: "a session that nobody named", order: func(o *enforce.Order) { o.Session.Session = "" }, state: enforce.Refused},
		{name: "a user that nobody named", order: func(o *enforce.Order) { o.Session.Subscriber = "" }, state: enforce.Refused},
		{name: "a table's line", order: func(o *enforce.Order) { o.Session.Source = session.Table }, state: enforce.Refused},
		{name: "a profile that is not there", cfg: func(c *Config) { c.Leaky = "" }, state: enforce.Refused},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, cfg := server(t, func(cfg *Config) {
				cfg.Tries, cfg.Timeout = 2, bolwerk.Duration(50*time.Millisecond)
				if c.cfg != nil {
					c.cfg(cfg)
				}
			})
			s.Behave(c.mode)
			p, dropped := port(t, cfg)
			o := order(enforce.Leaky)
			if c.order != nil {
				c.order(&o)
			}
			r := put(t, p, o)
			if r.State != c.state || !strings.Contains(r.Code, c.code) {
				t.Errorf("%+v want %s %q", r, c.state, c.code)
			}
			if (r.State == enforce.Busy || r.State == enforce.Silent) && r.Again <= 0 {
				t.Errorf("%+v does not say when to try again", r)
			}
			if c.drops != "" && dropped[c.drops] == 0 {
				t.Errorf("dropped %v, want some %s", dropped, c.drops)
			}
		})
	}
}

// A change that is sent again is the same packet: the server makes it once.
func TestWhatIsSentAgainHasOneEffect(t *testing.T) {
	s, cfg := server(t, func(c *Config) { c.Timeout = bolwerk.Duration(50 * time.Millisecond) })
	s.Behave(standin.Slow)
	p, _ := port(t, cfg)
	if r := put(t, p, order(enforce.Leaky)); r.State != enforce.Applied {
		t.Fatalf("%+v", r)
	}
	if packets, changes := s.Counts(); packets < 2 || changes != 1 {
		t.Errorf("%d packets, %d changes, want at least 2 and 1", packets, changes)
	}
}

func TestARefusedWayBackEndsTheSessionWhereThatIsAllowed(t *testing.T) {
	s, cfg := server(t, func(c *Config) { c.Attributes, c.Disconnect = "juniper", true })
	p, _ := port(t, cfg)
	o := order(enforce.Normal)
	o.Was = enforce.Leaky // it is not on: the server refuses
	if r := put(t, p, o); r.State != enforce.Offline || !strings.Contains(r.Code, "disconnected") {
		t.Errorf("%+v", r)
	}
	if _, ok := s.Filter("0000a1"); ok {
		t.Error("the session goes on")
	}
}

// catch takes the packets of an order from a server that says yes to all.
func catch(t *testing.T, cfg Config, o enforce.Order) (all []*radius.Packet) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Address = conn.LocalAddr().String()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			buf := make([]byte, radius.MaxSize)
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			p, err := radius.Parse(buf[:n])
			if err != nil {
				t.Error(err)
				return
			}
			all = append(all, p)
			conn.WriteTo(p.Reply(p.Code+1, nil, true, []byte(secret)), from)
		}
	}()
	p, _ := port(t, cfg)
	put(t, p, o)
	conn.Close()
	<-ended
	return all
}

// The session is named by its own name and by whose it is, and never ended by a timer
// of the session.
func TestAPacketNamesSessionAndUser(t *testing.T) {
	for _, kind := range []string{"standard", "nokia", "juniper", "cisco", "mikrotik", "huawei"} {
		_, cfg := server(t, func(c *Config) { c.Attributes, c.Keys = kind, []string{"user", "port", "address"} })
		for _, profile := range []enforce.Profile{enforce.Leaky, enforce.Normal} {
			for _, p := range catch(t, cfg, order(profile)) {
				if p.Text(radius.AcctSessionID) != "0000a1" || p.Text(radius.UserName) != "anna" || p.Text(radius.NASPortID) != "eth 1/1/7:100" {
					t.Errorf("%s: the packet does not name session, user and port: %+v", kind, p.Attributes)
				}
				if a, ok := p.Addr(radius.FramedIPAddress); !ok || a.String() != "198.51.100.7" {
					t.Errorf("%s: address %v", kind, a)
				}
				const sessionTimeout = 27
				if p.Get(sessionTimeout) != nil {
					t.Errorf("%s: a Session-Timeout", kind)
				}
				if at, ok := p.Time(radius.EventTimestamp); !ok || time.Since(at) > time.Minute || !p.Signed() {
					t.Errorf("%s: dated %v, signed %v", kind, at, p.Signed())
				}
			}
		}
	}
}

// Juniper's server ends the service by itself.
func TestAServersOwnTimerHasTheEnd(t *testing.T) {
	_, cfg := server(t, func(c *Config) { c.Attributes = "juniper" })
	all := catch(t, cfg, order(enforce.Leaky))
	p := all[len(all)-1]
	timer := p.Vendors(4874, 68)
	if len(timer) != 1 || timer[0][0] != 1 {
		t.Fatalf("timer %x", timer)
	}
	if n := binary.BigEndian.Uint32(timer[0]) & 0xffffff; n < 3590 || n > 3600 {
		t.Errorf("timer of %d s, want an hour", n)
	}
	if on := p.Vendors(4874, 65); len(on) != 1 || string(on[0]) != "\x01bolwerk-leaky" {
		t.Errorf("service %q", on)
	}
	o := order(enforce.Leaky)
	o.Until = time.Now().Add(-time.Second)
	for _, p := range catch(t, cfg, o) {
		if p.Vendors(4874, 65) != nil {
			t.Error("what is over was put on")
		}
	}
}

// A name that accounting kept in hex goes out as the octets that came.
func TestANameThatIsNoTextGoesOutAsItCame(t *testing.T) {
	_, cfg := server(t)
	o := order(enforce.Leaky)
	o.Session.Session = "0x0102ff"
	if got := catch(t, cfg, o)[0].Get(radius.AcctSessionID); !slices.Equal(got, []byte{1, 2, 0xff}) {
		t.Errorf("%x", got)
	}
	o.Session.Session = "0x41424344" // text of its own
	if got := catch(t, cfg, o)[0].Text(radius.AcctSessionID); got != "0x41424344" {
		t.Errorf("%q", got)
	}
}

func TestThePaceIsKept(t *testing.T) {
	_, cfg := server(t, func(c *Config) { c.Pace = 1 })
	p, _ := port(t, cfg)
	if r := put(t, p, order(enforce.Leaky)); r.State != enforce.Applied {
		t.Fatalf("%+v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Put(ctx, order(enforce.Leaky)); err == nil {
		t.Error("went out of turn")
	}
	var busy int
	done := make(chan enforce.Result, 3)
	for range 3 {
		go func() { r, _ := p.Put(t.Context(), order(enforce.Leaky)); done <- r }()
	}
	for range 3 {
		if r := <-done; r.State == enforce.Busy {
			busy++
			if r.Again <= 0 {
				t.Errorf("%+v", r)
			}
		}
	}
	if busy == 0 {
		t.Error("three at once went out at a pace of one a second")
	}
}

func TestConfig(t *testing.T) {
	_, good := server(t)
	for _, c := range []struct {
		name   string
		change func(*Config)
		ok     bool
	}{
		{"as it is", func(*Config) {}, true},
		{"no canary", func(c *Config) { c.Canary = "" }, false},
		{"no way back", func(c *Config) { c.Normal = "" }, false},
		{"nokia has one of its own", func(c *Config) { c.Normal, c.Attributes = "", "nokia" }, true},
		{"services need none", func(c *Config) { c.Normal, c.Attributes = "", "juniper" }, true},
		{"an address alone", func(c *Config) { c.Keys = []string{"address"} }, false},
		{"an unknown key", func(c *Config) { c.Keys = []string{"user", "mac"} }, false},
		{"a name instead of an address", func(c *Config) { c.Address = "bng1:3799" }, false},
		{"no profile", func(c *Config) { c.Leaky, c.Strict = "", "" }, false},
		{"too fast", func(c *Config) { c.Pace = 5000 }, false},
		{"an unknown vendor", func(c *Config) { c.Attributes = "acme" }, false},
	} {
		cfg := good
		c.change(&cfg)
		if err := cfg.Settled().Validate(); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestLogin(t *testing.T) {
	_, cfg := server(t, func(c *Config) { c.Attributes = "juniper" })
	now := time.Now()
	got := cfg.Login(enforce.Strict, now.Add(time.Hour), now)
	if want := []Reply{{"ERX-Service-Activate:1", "bolwerk-strict"}, {"ERX-Service-Timeout:1", "3600"}}; !slices.Equal(got, want) {
		t.Errorf("%v want %v", got, want)
	}
	if got := cfg.Login(enforce.Normal, time.Time{}, now); len(got) != 0 {
		t.Errorf("normal: %v", got)
	}
}
