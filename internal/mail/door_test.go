package mail

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/internal/clock"
)

const report = "suspicious@bolwerk.example"

// testDoor is a door on loopback with what came through it.
type testDoor struct {
	*Door
	addr  string
	clock *clock.Fake
	log   *bytes.Buffer
	stop  func()

	mu    sync.Mutex
	mails []Envelope
	err   error
	hold  chan struct{} // when set, Accept waits for it
}

func openDoor(t testing.TB, change func(*Config)) *testDoor {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	cfg.Hostname = "mx.bolwerk.example"
	cfg.Addresses = []Address{MustAddress(report)}
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	d := &testDoor{clock: clock.NewFake(time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)), log: &bytes.Buffer{}}
	d.Door = NewDoor(cfg, d.take, d.clock, slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug})), prometheus.NewRegistry())
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		t.Fatal(err)
	}
	d.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, ln) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(d.stop)
	return d
}

func (d *testDoor) take(ctx context.Context, e Envelope) (string, error) {
	d.mu.Lock()
	hold := d.hold
	d.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return "", d.err
	}
	d.mails = append(d.mails, e)
	return fmt.Sprintf("R-%d", len(d.mails)), nil
}

func (d *testDoor) taken() []Envelope {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mails
}

// talk is a client that types.
type talk struct {
	t    testing.TB
	conn net.Conn
	*textproto.Reader
}

func (d *testDoor) dial(t testing.TB) *talk { return d.dialFrom(t, "127.0.0.1") }

func (d *testDoor) dialFrom(t testing.TB, ip string) *talk {
	t.Helper()
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	c, err := from.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return &talk{t, c, textproto.NewReader(bufio.NewReader(c))}
}

// say sends lines and wants a reply that begins with want.
func (k *talk) say(line, want string) string {
	k.t.Helper()
	if line != "" {
		io.WriteString(k.conn, line+"\r\n")
	}
	code, text, err := k.ReadResponse(0)
	got := fmt.Sprintf("%d %s", code, text)
	if err != nil && code == 0 {
		got = err.Error()
	}
	if !strings.HasPrefix(got, want) {
		k.t.Fatalf("%.60q: got %q, want %q", line, got, want)
	}
	return got
}

// begin goes as far as 354.
func (k *talk) begin() {
	k.t.Helper()
	k.say("", "220")
	k.say("EHLO client.example", "250")
	k.next()
}

func (k *talk) next() {
	k.t.Helper()
	k.say("MAIL FROM:<anna@customer.example>", "250")
	k.say("RCPT TO:<"+report+">", "250")
	k.say("DATA", "354")
}

// ended wants the server to have hung up.
func (k *talk) ended() {
	k.t.Helper()
	for {
		if _, err := k.ReadLine(); err != nil {
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
				k.t.Fatal("the connection is still open")
			}
			return
		}
	}
}

func TestDoor_acknowledgesWhatIsKept(t *testing.T) {
	d := openDoor(t, nil)
	k := d.dial(t)
	if hello := k.say("", "220 mx.bolwerk.example") + k.say("EHLO client.example", "250"); !containsAll(hello,
		"PIPELINING", "8BITMIME", "CHUNKING", "STARTTLS", "SMTPUTF8", "SIZE 26214400") {
		t.Errorf("greeting lacks an extension: %q", hello)
	}
	k.next()
	k.say("Subject: x\r\n\r\n..dot\r\nnul \x00 and 8-bit \xe9\r\n.", "250 2.0.0 kept as R-1")
	k.say("QUIT", "221")
	e := d.taken()[0]
	if got, want := string(e.Raw), "Subject: x\r\n\r\n.dot\r\nnul \x00 and 8-bit \xe9\r\n"; got != want {
		t.Errorf("raw: got %q, want %q", got, want)
	}
	if e.MailFrom != "anna@customer.example" || len(e.Rcpt) != 1 || e.Rcpt[0] != report || e.Helo != "client.example" ||
		e.TLS || e.OwnNetwork || !e.Peer.IsLoopback() || !e.ReceivedAt.Equal(d.clock.Now()) {
		t.Errorf("envelope: got %+v", e)
	}
	d.stop()
	if strings.Contains(d.log.String(), "127.0.0.1") || strings.Contains(d.log.String(), "anna") {
		t.Errorf("a client's address is in the log: %s", d.log)
	}
}

func TestDoor_takesReportAddressesOnly(t *testing.T) {
	d := openDoor(t, func(c *Config) { c.Tagged = MustAddress("bounce@bolwerk.example") })
	k := d.dial(t)
	k.say("", "220")
	k.say("HELO client.example", "250")
	k.say("MAIL FROM:<>", "250")
	for to, want := range map[string]string{
		"SUSPICIOUS@Bolwerk.Example":            "250",
		"@relay.example:" + report:              "250", // an old source route; RFC 5321 appendix C
		"Bounce+AbC@Bolwerk.example":            "250", // tagged
		"bouncer@bolwerk.example":               "550 5.1.1",
		"+x@bolwerk.example":                    "550 5.1.1",
		"bounce+x@elsewhere.example":            "554 5.7.1",
		"other@bolwerk.example":                 "550 5.1.1",
		"suspicious+tag@bolwerk.example":        "550 5.1.1",
		"anna@elsewhere.example":                "554 5.7.1",
		"suspicious%elsewhere@bolwerk.example":  "550 5.1.1",
		"suspicious@bolwerk.example@x.example":  "554 5.7.1",
		"suspicious@[127.0.0.1]":                "554 5.7.1",
		"suspicious@sub.bolwerk.example":        "554 5.7.1",
		"\"suspicious@bolwerk.example\"@b.test": "554 5.7.1",
	} {
		k.say("RCPT TO:<"+to+">", want)
	}
	k.say("VRFY suspicious", "252")
	k.say("MAIL FROM:<second@customer.example>", "503")
	k.say("AUTH PLAIN AGEAYg==", "5")
}

func TestDoor_tenThousandRecipients(t *testing.T) {
	d := openDoor(t, nil)
	k := d.dial(t)
	k.say("", "220")
	k.say("EHLO client.example", "250")
	k.say("MAIL FROM:<anna@customer.example>", "250")
	for i := range 12 {
		want := "250"
		if i >= 10 {
			want = "452 4.5.3"
		}
		k.say("RCPT TO:<"+report+">", want)
	}
	k.say("RSET", "250")
	k.say("MAIL FROM:<anna@customer.example>", "250")
	for i := range 10_000 {
		if _, err := fmt.Fprintf(k.conn, "RCPT TO:<victim%d@elsewhere.example>\r\n", i); err != nil {
			break
		}
	}
	k.ended()
	if len(d.taken()) != 0 {
		t.Error("a mail was taken")
	}
}

func TestDoor_startTLS(t *testing.T) {
	d := openDoor(t, nil)
	k := d.dial(t)
	k.say("", "220")
	k.say("EHLO client.example", "250")
	// What is sent in plain text behind STARTTLS is never taken for a command
	// inside TLS.
	k.say("STARTTLS\r\nMAIL FROM:<injected@evil.example>", "220")
	tc := tls.Client(k.conn, &tls.Config{InsecureSkipVerify: true})
	k = &talk{t, tc, textproto.NewReader(bufio.NewReader(tc))}
	k.say("RCPT TO:<"+report+">", "502")
	if hello := k.say("EHLO client.example", "250"); strings.Contains(hello, "STARTTLS") {
		t.Errorf("STARTTLS offered twice: %q", hello)
	}
	k.next()
	k.say("over tls\r\n.", "250")
	if e := d.taken()[0]; !e.TLS || e.MailFrom != "anna@customer.example" {
		t.Errorf("envelope: got %+v", e)
	}
}

func TestDoor_certificateFromFile(t *testing.T) {
	dir := t.TempDir()
	want := writeCertificate(t, dir, "one.example")
	d := Door{cfg: Config{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}, log: slog.New(slog.DiscardHandler)}
	serve, err := d.certificate()
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := serve(nil); !bytes.Equal(got.Certificate[0], want.Certificate[0]) {
		t.Error("the door serves another certificate than that of its files")
	}
	d.cfg.CertFile = filepath.Join(dir, "none")
	if _, err := d.certificate(); err == nil {
		t.Error("a missing file is no error")
	}
}

func TestDoor_smuggling(t *testing.T) {
	for _, end := range []string{"\n.\n", "\n.\r\n", "\r.\r", "\r\n.\n", "\r\n.\r", "\r.\r\n", "\r\r\n.\r\r\n", "\r\n.\x00\r\n"} {
		t.Run(fmt.Sprintf("%q", end), func(t *testing.T) {
			d := openDoor(t, nil)
			k := d.dial(t)
			k.begin()
			k.say("first"+end+"MAIL FROM:<admin@bolwerk.example>\r\nRCPT TO:<"+report+">\r\nDATA\r\nsecond\r\n.", "250")
			k.say("QUIT", "221")
			if got := d.taken(); len(got) != 1 || !bytes.Contains(got[0].Raw, []byte("second")) {
				t.Fatalf("%d mails came of one", len(got))
			}
		})
	}
}

func TestDoor_chunking(t *testing.T) {
	d := openDoor(t, func(c *Config) { c.MaxBytes = 64 << 10 })
	k := d.dial(t)
	k.say("", "220")
	k.say("EHLO client.example", "250")
	k.say("MAIL FROM:<anna@customer.example> BODY=8BITMIME", "250")
	k.say("RCPT TO:<"+report+">", "250")
	k.say("BDAT 9\r\na\n.\nb\x00\r", "250")
	k.say("BDAT 7 LAST\r\n.\r\nc\n", "250 2.0.0 kept")
	if got, want := string(d.taken()[0].Raw), "a\n.\nb\x00\r\r\n.\r\nc\n\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	// Too large a chunk: refused, and what it holds is never taken for commands.
	k.say("MAIL FROM:<anna@customer.example>", "250")
	k.say("RCPT TO:<"+report+">", "250")
	go io.WriteString(k.conn, "BDAT 4000000000\r\n"+strings.Repeat("RCPT TO:<x@y.example>\r\n", 10_000))
	k.say("", "552 5.3.4")
	k.ended()
}

func TestDoor_tooLarge(t *testing.T) {
	d := openDoor(t, func(c *Config) { c.MaxBytes = 1 << 20 })
	k := d.dial(t)
	k.say("", "220")
	k.say("EHLO client.example", "250")
	k.say("MAIL FROM:<anna@customer.example> SIZE=50000000", "552 5.3.4")
	k.next()
	io.WriteString(k.conn, strings.Repeat(strings.Repeat("x", 98)+"\r\n", 20_000))
	k.say(".", "552 5.3.4")
	// The session goes on, and no memory is held.
	k.next()
	k.say("small\r\n.", "250")
	if free := d.memory.free.Load(); free != d.cfg.MaxMemory {
		t.Errorf("%d bytes of memory are not given back", d.cfg.MaxMemory-free)
	}
	// Beyond four times the bound nobody reads on.
	k.next()
	go func() {
		line := []byte(strings.Repeat("y", 98) + "\r\n")
		for {
			if _, err := k.conn.Write(line); err != nil {
				return
			}
		}
	}()
	k.ended()
}

func TestDoor_longLines(t *testing.T) {
	d := openDoor(t, nil)
	k := d.dial(t)
	k.begin()
	line := strings.Repeat("z", 900_000)
	k.say(line+"\r\n.", "250")
	if got := len(d.taken()[0].Raw); got != 900_002 {
		t.Errorf("got %d octets", got)
	}
	k.next()
	go io.WriteString(k.conn, line+line+"\r\n.\r\n")
	k.say("", "554 5.6.0")
	k.ended()

	k = d.dial(t)
	k.say("", "220")
	go io.WriteString(k.conn, "NOOP "+line)
	k.say("", "4")
	k.ended()
}

func TestDoor_memoryIsBounded(t *testing.T) {
	d := openDoor(t, func(c *Config) { c.MaxBytes, c.MaxMemory = 64<<10, 128<<10 })
	big := strings.Repeat(strings.Repeat("x", 98)+"\r\n", 500)
	d.hold = make(chan struct{})
	first := d.dial(t)
	first.begin()
	io.WriteString(first.conn, big+".\r\n")
	second := d.dial(t)
	second.begin()
	for d.memory.free.Load() > 64<<10 {
		time.Sleep(time.Millisecond)
	}
	io.WriteString(second.conn, big+".\r\n")
	for d.memory.free.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
	third := d.dial(t)
	third.begin()
	third.say("x\r\n.", "452 4.3.1")
	close(d.hold)
	first.say("", "250")
	second.say("", "250")
	third.next()
	third.say("x\r\n.", "250")
}

func TestDoor_tellsWhyNot(t *testing.T) {
	d := openDoor(t, nil)
	k := d.dial(t)
	k.say("", "220")
	k.say("EHLO client.example", "250")
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("spool: %w", bolwerk.ErrFull), "452 4.3.1"},
		{bolwerk.Invalid("it is no mail"), "554 5.6.0 it is no mail"},
		{errors.New("disk on fire at /secret"), "451 4.3.0 it could not be kept"},
		{nil, "250 2.0.0"},
	} {
		d.mu.Lock()
		d.err = c.err
		d.mu.Unlock()
		k.next()
		if got := k.say("x\r\n.", c.want); strings.Contains(got, "secret") {
			t.Errorf("inner error shown: %s", got)
		}
	}
}

func TestDoor_quota(t *testing.T) {
	d := openDoor(t, func(c *Config) { c.MailsPerHour, c.BytesPerHour = 2, c.MaxBytes })
	k := d.dial(t)
	k.begin()
	k.say("one\r\n.", "250")
	k.next()
	k.say("two\r\n.", "250")
	k.say("MAIL FROM:<anna@customer.example>", "450 4.7.1")
	d.clock.Add(30 * time.Minute)
	k.next()
	k.say("three\r\n.", "250")
	k.say("MAIL FROM:<anna@customer.example>", "450 4.7.1")
	k.say("RSET", "250")
	d.clock.Add(30 * time.Minute)
	k.next()
	k.say(strings.Repeat("bytes too\r\n", 100_000)+".", "250")
	d.clock.Add(30 * time.Second)
	k.say("MAIL FROM:<anna@customer.example> SIZE=26000000", "450 4.7.1")
	if own := openDoor(t, func(c *Config) {
		c.MailsPerHour = 1
		c.OwnNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}); true {
		k := own.dial(t)
		k.begin()
		for range 5 {
			k.say("one\r\n.", "250")
			k.next()
		}
		if e := own.taken()[0]; !e.OwnNetwork {
			t.Error("the mail does not say that it came from our own network")
		}
	}
}

func TestQuota_forgetsTheOldestNetwork(t *testing.T) {
	q := newQuota(1, 1000, 2)
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	net := func(i byte) netip.Prefix { return Network(netip.AddrFrom4([4]byte{192, 0, i, 9})) }
	for i := range byte(3) {
		if !q.charge(now, net(i), 10) {
			t.Fatalf("network %d: no room", i)
		}
	}
	if len(q.networks) != 2 || q.recent.Len() != 2 {
		t.Errorf("%d networks remembered, want 2", len(q.networks))
	}
	if q.charge(now, net(2), 10) || q.room(now, net(1), 10) || !q.room(now, net(0), 10) {
		t.Error("the wrong network was forgotten")
	}
}

func TestDoor_connections(t *testing.T) {
	d := openDoor(t, func(c *Config) { c.MaxConns, c.MaxConnsPerNetwork = 8, 3 })
	var open []*talk
	for range 3 {
		open = append(open, d.dial(t))
		open[len(open)-1].say("", "220")
	}
	d.dial(t).say("", "421 4.7.0 too many connections from your network")
	open[0].say("QUIT", "221")
	open[0].ended()
	for d.open() > 2 {
		time.Sleep(time.Millisecond)
	}
	d.dial(t).say("", "220")
}

func TestDoor_strangersLeaveRoomForOurOwn(t *testing.T) {
	d := openDoor(t, func(c *Config) {
		c.MaxConns, c.OwnNetworks = 8, []netip.Prefix{netip.MustParsePrefix("127.9.0.0/16")}
	})
	d.dialFrom(t, "127.9.0.1").say("", "220")
	for range 5 {
		d.dial(t).say("", "220")
	}
	d.dialFrom(t, "127.0.8.1").say("", "421 4.7.0 too many connections,")
	d.dialFrom(t, "127.9.0.1").say("", "220")
	// More than half is taken: strangers must hurry, our own need not.
	soon := time.Now().Add(stressTimeout + time.Second)
	late := d.dialFrom(t, "127.9.0.1")
	late.say("", "220")
	var strangers, own bool
	d.each(func(c *conn) {
		c.SetReadDeadline(time.Now().Add(d.cfg.CommandTimeout))
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.own {
			own = own || c.deadline.Before(soon)
		} else {
			strangers = strangers || c.deadline.After(soon)
		}
	})
	if strangers || own {
		t.Errorf("a stranger has time (%v), or one of ours has none (%v)", strangers, own)
	}
}

func (d *testDoor) open() (n int) {
	d.each(func(*conn) { n++ })
	return n
}

func TestDoor_slowClientsAreCut(t *testing.T) {
	d := openDoor(t, func(c *Config) {
		c.CommandTimeout, c.IdleTimeout, c.DataTimeout = 300*time.Millisecond, 100*time.Millisecond, 400*time.Millisecond
	})
	t.Run("no command", func(t *testing.T) {
		k := d.dial(t)
		k.say("", "220")
		k.say("", "421")
		k.ended()
	})
	t.Run("a letter at a time", func(t *testing.T) {
		k := d.dial(t)
		k.say("", "220")
		go drip(k.conn, "EHLO client.example.which.is.so.slow\r\n", 50*time.Millisecond)
		k.ended()
	})
	t.Run("a mail that stops", func(t *testing.T) {
		k := d.dial(t)
		k.begin()
		io.WriteString(k.conn, "half")
		k.say("", "421 4.4.2")
		k.ended()
	})
	t.Run("a mail that drips, and what comes late is no command", func(t *testing.T) {
		k := d.dial(t)
		k.begin()
		go func() {
			drip(k.conn, strings.Repeat("x", 12), 50*time.Millisecond)
			io.WriteString(k.conn, "\r\nMAIL FROM:<late@evil.example>\r\nRCPT TO:<"+report+">\r\nDATA\r\nlate\r\n.\r\n")
		}()
		k.say("", "421 4.4.2")
		k.ended()
	})
	if got := d.taken(); len(got) != 0 {
		t.Errorf("%d mails were taken", len(got))
	}
}

func drip(w io.Writer, s string, each time.Duration) {
	for i := range len(s) {
		if _, err := io.WriteString(w, s[i:i+1]); err != nil {
			return
		}
		time.Sleep(each)
	}
}

func TestDoor_stopFinishesRunningMails(t *testing.T) {
	d := openDoor(t, nil)
	idle := d.dial(t)
	idle.say("", "220")
	running := d.dial(t)
	running.begin()
	io.WriteString(running.conn, "begun\r\n")
	kept := d.dial(t)
	kept.begin()
	d.hold = make(chan struct{})
	io.WriteString(kept.conn, "whole\r\n.\r\n")
	for len(d.inMail()) < 2 {
		time.Sleep(time.Millisecond)
	}
	stopped := make(chan struct{})
	go func() { d.stop(); close(stopped) }()
	idle.say("", "421")
	idle.ended()
	select {
	case <-stopped:
		t.Fatal("the door did not wait for the running mails")
	default:
	}
	close(d.hold)
	kept.say("", "250")
	running.say("done\r\n.", "250")
	running.say("", "421")
	<-stopped
	if got := d.taken(); len(got) != 2 {
		t.Errorf("%d mails kept, want 2", len(got))
	}
}

func (d *testDoor) inMail() (in []*conn) {
	d.each(func(c *conn) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.inMail {
			in = append(in, c)
		}
	})
	return in
}

func TestDoor_stopDoesNotWaitForEver(t *testing.T) {
	d := openDoor(t, func(c *Config) { c.StopTimeout = 100 * time.Millisecond })
	d.hold = make(chan struct{}) // Accept hangs until its ctx ends
	k := d.dial(t)
	k.begin()
	io.WriteString(k.conn, "x\r\n.\r\n")
	half := d.dial(t)
	half.begin()
	io.WriteString(half.conn, "half")
	for len(d.inMail()) < 2 {
		time.Sleep(time.Millisecond)
	}
	start := time.Now()
	d.stop()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if len(d.taken()) != 0 || d.memory.free.Load() != d.cfg.MaxMemory || len(d.inMail()) != 0 {
		t.Error("something is left behind")
	}
}

func TestDoor_swaks(t *testing.T) {
	swaks, err := exec.LookPath("swaks")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("swaks is missing: install the package swaks")
		}
		t.Skip("swaks is not installed: mails of a foreign client are not tested")
	}
	d := openDoor(t, nil)
	file := filepath.Join(t.TempDir(), "mail.eml")
	os.WriteFile(file, []byte("From: x@evil.example\r\n\r\nhttp://evil.example/\r\n"), 0o600)
	for i, args := range [][]string{
		{"--body", "plain"},
		{"--tls", "--body", "secret"},
		{"--attach-type", "message/rfc822", "--attach", "@" + file},
		{"--pipeline", "--body", "many at once"},
	} {
		args = append([]string{"--server", d.addr, "--from", "anna@customer.example", "--to", report, "--ehlo", "client.example"}, args...)
		if out, err := exec.Command(swaks, args...).CombinedOutput(); err != nil {
			t.Fatalf("swaks %v: %v\n%s", args, err, out)
		}
		if got := d.taken(); len(got) != i+1 || got[i].TLS != (i == 1) {
			t.Fatalf("swaks %v: %d mails", args, len(got))
		}
	}
	if !bytes.Contains(d.taken()[2].Raw, []byte("RnJvbTogeEBldmls")) {
		t.Errorf("the attachment is missing: %s", d.taken()[2].Raw)
	}
}

func containsAll(s string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}
