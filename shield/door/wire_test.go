package door

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/internal/mail"
)

// By SMTP: 250 with a reference once the spool has it, 452 while it is full.
func TestSMTP(t *testing.T) {
	s := newSite(t, nil, nil)
	cfg := mail.DefaultConfig()
	cfg.Listen, cfg.Addresses = "127.0.0.1:0", []mail.Address{mail.MustAddress("suspicious@polder.example")}
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- mail.NewDoor(cfg, s.Accept, s.clock, slog.New(slog.DiscardHandler), prometheus.NewRegistry()).Run(ctx, ln)
	}()
	defer func() { stop(); <-ended }()
	c, err := textproto.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	expect := func(code int) string {
		t.Helper()
		_, line, err := c.ReadResponse(code)
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	say := func(code int, format string, a ...any) string {
		t.Helper()
		c.PrintfLine(format, a...)
		return expect(code)
	}
	send := func(code int) string {
		t.Helper()
		say(250, "MAIL FROM:<anna@polder.example>")
		say(250, "RCPT TO:<suspicious@polder.example>")
		say(354, "DATA")
		w := c.DotWriter()
		io.WriteString(w, evidence)
		w.Close()
		return expect(code)
	}
	expect(220)
	say(250, "EHLO client.example")
	if line := send(250); !strings.Contains(line, "kept as ") {
		t.Errorf("got %q, want a reference", line)
	}
	if got := s.desk.report(t); got.Form != Mail || got.MailFrom != "anna@polder.example" || !bytes.Equal(got.Body, []byte(evidence)) {
		t.Errorf("handed in %+v %q", got, got.Body)
	}
	s.desk.mu.Lock()
	s.desk.fail = fmt.Errorf("spool: %w", bolwerk.ErrFull)
	s.desk.mu.Unlock()
	send(452)
}

// A mail of 25 MiB passes over a real connection, in each of its forms; one
// byte more does not.
func TestLargeMail(t *testing.T) {
	s := newSite(t, nil, nil)
	srv := httptest.NewServer(s.h)
	defer srv.Close()
	body := append([]byte(evidence), bytes.Repeat([]byte("0123456789abcdef"), 25<<16)...)[:25<<20]
	post := func(body []byte) int {
		t.Helper()
		r, err := http.Post(srv.URL+"/api/v1/reports", typeMail, bytes.NewReader(body))
		if err != nil {
			return 0 // cut off while we were still sending
		}
		r.Body.Close()
		return r.StatusCode
	}
	if got := post(body); got != 201 || len(s.desk.report(t).Body) != len(body) {
		t.Errorf("25 MiB: got %d, want 201", got)
	}
	if got := post(append(body, 'x')); got != 413 && got != 0 || len(s.desk.body) != 1 {
		t.Errorf("a byte more: got %d, %d handed in, want 413, 1", got, len(s.desk.body))
	}
	if w := s.form("/report", "file", string(body)); w.Code != 303 || len(s.desk.report(t).Body) != len(body) {
		t.Errorf("form, 25 MiB: got %d, want 303", w.Code)
	}
	if w := s.form("/report", "file", string(body)+"x"); w.Code != 413 || len(s.desk.body) != 2 {
		t.Errorf("form, a byte more: got %d, want 413", w.Code)
	}
}

// Bodies that trickle in take a place each; when all are taken a large body is
// put off, and small reports pass.
func TestUploadsAtOnce(t *testing.T) {
	s := newSite(t, nil, func(c *Config) { c.Uploads = 4 })
	srv := httptest.NewServer(s.h)
	defer srv.Close()
	body, w := io.Pipe()
	first := make(chan int)
	go func() {
		req, _ := http.NewRequest("POST", srv.URL+"/api/v1/reports", body)
		req.Header.Set("Content-Type", typeMail)
		r, err := http.DefaultClient.Do(req)
		if err != nil {
			first <- 0
			return
		}
		r.Body.Close()
		first <- r.StatusCode
	}()
	// More than sockets hold: when it is written, the server has read some of it
	// and the request has its place.
	w.Write(append([]byte(evidence), bytes.Repeat([]byte("x"), 20<<20)...))
	big := bytes.Repeat([]byte("A: b\r\n"), 1<<18)
	host, _ := url.Parse(srv.URL)
	put := func() int {
		r := httptest.NewRequest("POST", "/api/v1/reports", bytes.NewReader(big))
		r.Host, r.RemoteAddr = host.Host, "127.0.0.1:9"
		r.Header.Set("Content-Type", typeMail)
		rec := httptest.NewRecorder()
		s.h.ServeHTTP(rec, r)
		return rec.Code
	}
	if got := put(); got != 503 {
		t.Errorf("while one runs: got %d, want 503", got)
	}
	if w := s.json(`{"url":"http://evil.example"}`, "From", "127.0.0.1:9"); w.Code != 201 {
		t.Errorf("a small report: got %d, want 201", w.Code)
	}
	w.Close()
	if got := <-first; got != 201 {
		t.Errorf("the first: got %d, want 201", got)
	}
	if got := put(); got != 201 {
		t.Errorf("after it: got %d, want 201", got)
	}
}
