package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"flag"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"bolwerk"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func answer() Message {
	return Message{
		ID: "gk3mq8", From: MustAddress("shield@bolwerk.example"), FromName: "Bolwerk Télécom",
		To: MustAddress("anna@customer.example"), Subject: "Merci pour votre signalement: nous regardons ce message suspect de près",
		Body: "Bonjour,\n\nVotre reçu: https://report.bolwerk.example/r/abcd-efgh\n.\nUne ligne qui est bien plus longue que ce que la RFC 5322 recommande pour une ligne.\n",
		Lang: bolwerk.FR, Date: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC),
		InReplyTo: "<abc.1@mail.customer.example>", Automatic: true,
	}
}

func TestMessage_golden(t *testing.T) {
	raw, err := answer().Bytes()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "answer.eml")
	if *update {
		os.MkdirAll("testdata", 0o755)
		os.WriteFile(file, raw, 0o644)
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != string(raw) {
		t.Errorf("%v; got\n%s\nwant\n%s", err, raw, want)
	}
	m, err := netmail.ReadMessage(strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	subject, _ := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if from, err := m.Header.AddressList("From"); err != nil || from[0].Name != answer().FromName || subject != answer().Subject {
		t.Errorf("got from %v, %v, subject %q", from, err, subject)
	}
	body, _ := io.ReadAll(quotedprintable.NewReader(m.Body))
	if got := strings.ReplaceAll(string(body), "\r\n", "\n"); got != answer().Body {
		t.Errorf("body: got %q", got)
	}
	for _, line := range strings.Split(string(raw), "\r\n") {
		if len(line) > 76 || !ascii(line) {
			t.Errorf("line %q", line)
		}
	}
}

// A report for programs goes in the frame of XARF over mail: words, a feedback report of
// the type xarf, and the report.
func TestMessage_report_golden(t *testing.T) {
	m := answer()
	m.InReplyTo, m.Report = "", []byte(`{"xarf_version":"4.2.0","description":"Eén melding, en nog wat woorden om een tweede regel te vullen."}`)
	raw, err := m.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "report.eml")
	if *update {
		os.WriteFile(file, raw, 0o644)
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != string(raw) {
		t.Errorf("%v; got\n%s\nwant\n%s", err, raw, want)
	}
	for _, line := range strings.Split(string(raw), "\r\n") {
		if len(line) > 76 || !ascii(line) {
			t.Errorf("line %q", line)
		}
	}
	got, err := netmail.ReadMessage(strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "feedback-report" {
		t.Fatalf("%s %v, %v", kind, params, err)
	}
	parts := multipart.NewReader(got.Body, params["boundary"])
	var kinds []string
	for {
		p, err := parts.NextPart() // undoes quoted-printable
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
		kinds = append(kinds, kind)
		switch kind {
		case "text/plain":
			if s := strings.ReplaceAll(string(body), "\r\n", "\n"); s != m.Body {
				t.Errorf("the words: %q", s)
			}
		case "message/feedback-report":
			if string(body) != "Feedback-Type: xarf\r\nUser-Agent: Bolwerk/1\r\nVersion: 1\r\n" {
				t.Errorf("the feedback report: %q", body)
			}
		case "application/json":
			plain, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(body), "\r\n", ""))
			if p.FileName() != "xarf.json" || err != nil || string(plain) != string(m.Report) {
				t.Errorf("%s: %q, %v", p.FileName(), plain, err)
			}
		}
	}
	if !slices.Equal(kinds, []string{"text/plain", "message/feedback-report", "application/json"}) {
		t.Errorf("parts %v", kinds)
	}
	// The outbox shows its words.
	o := Outbox{Dir: t.TempDir()}
	if err := o.Send(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	if all, err := o.List(context.Background(), 5); err != nil || len(all) != 1 || all[0].Body != m.Body {
		t.Errorf("listed %+v, %v", all, err)
	}
}

func TestMessage_takesNoReportersText(t *testing.T) {
	for _, id := range []string{"", "abc", "<abc>", "<a@b>\r\nBcc: x@y.example", "<a b@c.example>", "<http://evil.example/ buy now@x>",
		"<a@b.example> <c@d.example>", "<é@b.example>", "<" + strings.Repeat("a", 250) + "@b.example>"} {
		m := answer()
		m.InReplyTo = id
		raw, err := m.Bytes()
		if err != nil || strings.Contains(string(raw), "In-Reply-To") || strings.Contains(string(raw), "Bcc") {
			t.Errorf("%q: %v\n%s", id, err, raw)
		}
	}
	for _, change := range []func(*Message){
		func(m *Message) { m.Subject = "x\r\nBcc: y@z.example" },
		func(m *Message) { m.FromName = "x\nBcc: y@z.example" },
		func(m *Message) { m.Subject = "" },
		func(m *Message) { m.ID = "a b" },
		func(m *Message) { m.To = Address{} },
		func(m *Message) { m.Body = "a\r\nb" },
		func(m *Message) { m.Body = strings.Repeat("x", 65<<10) },
	} {
		m := answer()
		change(&m)
		if _, err := m.Bytes(); !errors.Is(err, bolwerk.ErrInvalid) {
			t.Errorf("%+v: got %v", m, err)
		}
	}
}

func TestOutbox(t *testing.T) {
	o := Outbox{Dir: t.TempDir()}
	for range 2 {
		if err := o.Send(context.Background(), answer()); err != nil {
			t.Fatal(err)
		}
	}
	files, _ := filepath.Glob(filepath.Join(o.Dir, "*.eml"))
	if len(files) != 1 {
		t.Fatalf("one mail sent twice is %d files", len(files))
	}
	raw, _ := os.ReadFile(files[0])
	if want, _ := answer().Bytes(); string(raw) != string(want) {
		t.Errorf("got %s", raw)
	}
	if err := (Outbox{Dir: filepath.Join(o.Dir, "missing")}).Send(context.Background(), answer()); !errors.Is(err, ErrTemporary) {
		t.Errorf("got %v", err)
	}
}

// sink is a foreign mail server.
type sink struct {
	mu    sync.Mutex
	mails []string
	conns int
	user  string
	rcpt  error // answer to RCPT
	from  string
}

type sinkSession struct{ *sink }

func (s sinkSession) Reset()        {}
func (s sinkSession) Logout() error { return nil }
func (s sinkSession) Mail(from string, _ *smtp.MailOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from = from
	return nil
}
func (s sinkSession) Rcpt(string, *smtp.RcptOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rcpt
}
func (s sinkSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, string(b))
	return err
}
func (s sinkSession) AuthMechanisms() []string { return []string{"PLAIN"} }
func (s sinkSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.user = user; password != "sesame" {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

// openSink starts one; stop ends it and every connection to it.
func openSink(t *testing.T, s *sink, cert *tls.Certificate) (server *smtp.Server, addr string) {
	t.Helper()
	server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.conns++
		return sinkSession{s}, nil
	}))
	server.EnableSMTPUTF8 = true
	if cert != nil {
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*cert}}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	return server, ln.Addr().String()
}

var dialer net.Dialer

func TestRelay(t *testing.T) {
	s := &sink{}
	_, addr := openSink(t, s, nil)
	r := NewRelay(RelayConfig{Addr: addr, Name: "desk.bolwerk.example", TLS: TLSNone}, bolwerk.Secret{}, nil, dialer.DialContext)
	defer r.Close()
	for range 3 {
		if err := r.Send(context.Background(), answer()); err != nil {
			t.Fatal(err)
		}
	}
	want, _ := answer().Bytes()
	if len(s.mails) != 3 || s.mails[0] != string(want) || s.conns != 1 || s.from != "" {
		t.Errorf("got %d mails over %d connections from %q: %q", len(s.mails), s.conns, s.from, s.mails)
	}
	for _, c := range []struct {
		reply, want error
	}{
		{&smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 1}, Message: "<anna@customer.example> later"}, ErrTemporary},
		{&smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "<anna@customer.example> unknown"}, ErrPermanent},
		{nil, nil},
	} {
		s.mu.Lock()
		s.rcpt = c.reply
		s.mu.Unlock()
		err := r.Send(context.Background(), answer())
		if !errors.Is(err, c.want) || err != nil && (strings.Contains(err.Error(), "anna") || !strings.Contains(err.Error(), "50 ")) {
			t.Errorf("%v: got %v, want %v", c.reply, err, c.want)
		}
	}
	if s.conns != 1 {
		t.Errorf("%d connections, want 1", s.conns)
	}
}

func TestClient_comesBackAfterARestart(t *testing.T) {
	s := &sink{}
	server, addr := openSink(t, s, nil)
	c := NewClient(Target{Addr: addr, Name: "client.example", TLS: TLSNone}, dialer.DialContext)
	defer c.Close()
	from, to := MustAddress("anna@customer.example"), []Address{MustAddress(report)}
	if _, err := c.Submit(context.Background(), from, to, []byte("one\n")); err != nil {
		t.Fatal(err)
	}
	server.Close()
	if _, err := c.Submit(context.Background(), from, to, []byte("two\n")); !errors.Is(err, ErrTemporary) {
		t.Errorf("without a server: got %v", err)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	again := smtp.NewServer(server.Backend)
	go again.Serve(ln)
	defer again.Close()
	if _, err := c.Submit(context.Background(), from, to, []byte("three\n")); err != nil {
		t.Error(err)
	}
	// The connection that is kept dies; the next mail opens another.
	c.conn.(*net.TCPConn).CloseWrite()
	for range 2 {
		if _, err := c.Submit(context.Background(), from, to, []byte("four\n.\nMAIL\r\n.\r\n")); err != nil {
			t.Error(err)
		}
	}
	if got := s.mails[len(s.mails)-1]; got != "four\r\n.\r\nMAIL\r\n.\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestClient_tls(t *testing.T) {
	cert, err := selfMade("localhost", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(cert.Certificate[0])
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	s := &sink{}
	_, addr := openSink(t, s, cert)
	_, plainAddr := openSink(t, &sink{}, nil)
	_, port, _ := net.SplitHostPort(addr)
	addr = net.JoinHostPort("localhost", port)
	to4 := func(ctx context.Context, _, addr string) (net.Conn, error) {
		_, port, _ := net.SplitHostPort(addr)
		return dialer.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
	}
	roots := &tls.Config{RootCAs: pool}
	for name, c := range map[string]struct {
		target Target
		ok     bool
	}{
		"verified, with a password": {Target{Addr: addr, TLS: TLSRequired, Roots: roots, User: "desk", Password: bolwerk.NewSecret("sesame")}, true},
		"a wrong password":          {Target{Addr: addr, TLS: TLSRequired, Roots: roots, User: "desk", Password: bolwerk.NewSecret("open")}, false},
		"nobody vouches for it":     {Target{Addr: addr, TLS: TLSRequired}, false},
		"none offered":              {Target{Addr: plainAddr, TLS: TLSRequired}, false},
		"opportunistic":             {Target{Addr: addr, TLS: TLSOpportunistic}, true},
		"opportunistic, none":       {Target{Addr: plainAddr, TLS: TLSOpportunistic}, true},
		"password, unverified":      {Target{Addr: addr, TLS: TLSOpportunistic, User: "desk", Password: bolwerk.NewSecret("sesame")}, false},
	} {
		c.target.Name = "client.example"
		client := NewClient(c.target, to4)
		_, err := client.Submit(context.Background(), MustAddress("a@b.example"), []Address{MustAddress("c@d.example")}, []byte("x\n"))
		client.Close()
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrTemporary) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if s.user != "desk" {
		t.Errorf("logged in as %q", s.user)
	}
}

func TestClient_endsWithItsContext(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	c := NewClient(Target{Addr: ln.Addr().String(), Name: "client.example", TLS: TLSNone}, dialer.DialContext)
	if _, err := c.Submit(ctx, Address{}, []Address{MustAddress("c@d.example")}, []byte("x")); !errors.Is(err, ErrTemporary) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// Our client, our door, a forwarded mail.
func TestForward(t *testing.T) {
	d := openDoor(t, nil)
	c := NewClient(Target{Addr: d.addr, Name: "client.example", TLS: TLSOpportunistic}, dialer.DialContext)
	defer c.Close()
	from, to := MustAddress("zoë@customer.example"), MustAddress(report)
	original := "From: x@evil.example\r\nSubject: pay\r\n\r\n.\r\nhttps://evil.example/é\r\n"
	raw, err := Forward(from, to, "verdächtig", "sieh mal\n", []byte(original), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	reply, err := c.Submit(context.Background(), from, []Address{to}, raw)
	if err != nil || !strings.Contains(reply, "kept as R-1") {
		t.Fatalf("got %q, %v", reply, err)
	}
	if e := d.taken()[0]; !strings.Contains(string(e.Raw), original) || !e.TLS || e.MailFrom != from.String() {
		t.Errorf("got %+v", e)
	}
}

func TestConfig_Validate(t *testing.T) {
	c := DefaultConfig()
	c.MaxMemory, c.KeyFile, c.IdleTimeout = 1, "key.pem", 0
	err := c.Validate()
	if err == nil || !containsAll(err.Error(), "listen", "addresses", "key_file", "max_memory", "idle_timeout") || !errors.Is(err, bolwerk.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	c.MaxBytes = 25<<20 + 1
	if err := c.Validate(); !strings.Contains(err.Error(), "max_bytes") {
		t.Errorf("larger than a desk reads: %v", err)
	}
	r := RelayConfig{Addr: "relay.bolwerk.example:587", Name: "desk.bolwerk.example", TLS: TLSRequired, User: "desk", PasswordFile: "secret"}
	if err := r.Validate(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*RelayConfig){
		func(r *RelayConfig) { r.TLS = TLSOpportunistic },
		func(r *RelayConfig) { r.TLS, r.User, r.PasswordFile = TLSNone, "", "" },
		func(r *RelayConfig) { r.PasswordFile = "" },
		func(r *RelayConfig) { r.Addr = "relay" },
		func(r *RelayConfig) { r.TLS = "yes" },
	} {
		bad := r
		change(&bad)
		if err := bad.Validate(); err == nil {
			t.Errorf("%+v passes", bad)
		}
	}
}

func TestClient_waitsNoLongerThanItsContext(t *testing.T) {
	dials := 0
	c := NewClient(Target{Addr: "192.0.2.1:25", Name: "desk.example", TLS: TLSNone}, func(ctx context.Context, _, _ string) (net.Conn, error) {
		dials++
		<-ctx.Done() // what swallows packets
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := c.Submit(ctx, Address{}, []Address{MustAddress("a@example.net")}, []byte("x\r\n")); !errors.Is(err, ErrTemporary) {
				t.Errorf("got %v, want to try again later", err)
			}
		})
	}
	wg.Wait()
	if dials != 1 {
		t.Errorf("%d dials, want one: the others' time was over", dials)
	}
}
