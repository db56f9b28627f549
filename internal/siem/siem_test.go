package siem

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

var start = time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)

const typed = "Jan de Vries called about it"

type trail struct {
	t   *testing.T
	db  *store.DB
	log *bytes.Buffer
	clk *clock.Fake
}

func open(t *testing.T) *trail {
	tr := &trail{t: t, log: &bytes.Buffer{}, clk: clock.NewFake(start)}
	tr.db = storetest.Open(t, tr.clk, audit.Schema(), Schema())
	return tr
}

func (tr *trail) write(n int) {
	tr.t.Helper()
	for range n {
		if err := tr.db.Write(tr.t.Context(), store.Decision, func(tx *store.Tx) error {
			audit.Append(tx, bolwerk.Person("p1"), "shield.block.confirm", "B-2026-000001", typed, map[string]string{"scope": "host"})
			return nil
		}); err != nil {
			tr.t.Fatal(err)
		}
	}
}

func (tr *trail) exporter(cfg Config) *Exporter {
	tr.t.Helper()
	if err := cfg.Validate(); err != nil {
		tr.t.Fatal(err)
	}
	e, err := New(cfg, tr.db, (&net.Dialer{}).DialContext, slog.New(slog.NewTextHandler(tr.log, nil)), nil)
	if err != nil {
		tr.t.Fatal(err)
	}
	e.wait = func(ctx context.Context, _ time.Duration) { pause(ctx, time.Millisecond) }
	return e
}

// collector is a syslog server: it keeps what comes, by connection.
type collector struct {
	net.Listener
	mu   sync.Mutex
	got  [][]string
	most int // messages that a connection lives; 0 is for ever
	more chan struct{}
}

func collect(t *testing.T, l net.Listener, most int) *collector {
	c := &collector{Listener: l, most: most, more: make(chan struct{}, 10_000)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { c.read(conn) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return c
}

func (c *collector) read(conn net.Conn) {
	defer conn.Close()
	c.mu.Lock()
	at := len(c.got)
	c.got = append(c.got, nil)
	c.mu.Unlock()
	r := bufio.NewReader(conn)
	for n := 0; c.most == 0 || n < c.most; n++ {
		size, err := r.ReadString(' ')
		var length int
		if _, bad := fmt.Sscanf(size, "%d ", &length); err != nil || bad != nil || length > 1<<16 {
			return
		}
		b := make([]byte, length)
		if _, err := io.ReadFull(r, b); err != nil {
			return
		}
		c.mu.Lock()
		c.got[at] = append(c.got[at], string(b))
		c.mu.Unlock()
		c.more <- struct{}{}
	}
}

// seqs are the numbers of entries by connection.
func (c *collector) seqs(t *testing.T) (out [][]int64) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.got {
		var s []int64
		for _, m := range conn {
			part := strings.SplitN(m, " ", 8)
			if len(part) != 8 || part[0] != "<109>1" || part[3] != "bolwerk" || part[5] != "shield.block.confirm" || part[6] != "-" {
				t.Fatalf("not RFC 5424: %q", m)
			}
			if _, err := time.Parse(time.RFC3339Nano, part[1]); err != nil {
				t.Errorf("time: %v", err)
			}
			var v struct {
				Seq                         int64
				Actor, Action, Object, Hash string
				Detail                      struct{ Scope string }
			}
			if err := json.Unmarshal([]byte(part[7]), &v); err != nil || v.Actor != "person:p1" || v.Object != "B-2026-000001" || v.Detail.Scope != "host" || len(v.Hash) != 64 {
				t.Fatalf("got %+v %v of %q", v, err, m)
			}
			if strings.Contains(m, "Jan") {
				t.Errorf("it tells what a person typed: %q", m)
			}
			s = append(s, v.Seq)
		}
		out = append(out, s)
	}
	return out
}

func listen(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// run runs e until done says so.
func (tr *trail) run(e *Exporter, done func() bool) {
	tr.t.Helper()
	ctx, stop := context.WithCancel(tr.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	for !done() {
		select {
		case <-tr.t.Context().Done():
			tr.t.Fatal("it does not end")
		case <-time.After(5 * time.Millisecond):
		}
	}
	stop()
	if err := <-ended; err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *trail) place(sink string) (seq int64) {
	tr.t.Helper()
	err := tr.db.Read(tr.t.Context(), func(tx *store.Tx) error {
		err := tx.Row(`select seq from siem_place where sink=$1`, sink).Scan(&seq)
		if store.None(err) {
			return nil
		}
		return err
	})
	if err != nil {
		tr.t.Fatal(err)
	}
	return seq
}

func TestSyslogGetsEveryEntryInOrderAndGoesOnWhereItWas(t *testing.T) {
	tr := open(t)
	tr.write(250)
	c := collect(t, listen(t), 0)
	cfg := Config{Syslog: c.Addr().String()}
	tr.run(tr.exporter(cfg), func() bool { return tr.place("syslog") == 250 })
	tr.write(5)
	tr.run(tr.exporter(cfg), func() bool { return tr.place("syslog") == 255 }) // the desk was started again
	for range 255 {
		<-c.more
	}
	want := int64(1)
	for _, conn := range c.seqs(t) {
		for _, seq := range conn {
			if seq != want {
				t.Fatalf("got entry %d, want %d", seq, want)
			}
			want++
		}
	}
}

func TestACollectorThatKeepsGoingAwayMissesNothing(t *testing.T) {
	tr := open(t)
	c := collect(t, listen(t), 7)
	e := tr.exporter(Config{Syslog: c.Addr().String()})
	for i := range 40 {
		tr.write(1)
		tr.run(e, func() bool { return tr.place("syslog") == int64(i+1) })
	}
	last, seen := int64(0), map[int64]bool{}
	for _, conn := range c.seqs(t) {
		before := int64(0)
		for _, seq := range conn {
			if seq <= before {
				t.Errorf("entry %d after %d on one connection", seq, before)
			}
			before, last = seq, max(last, seq)
			seen[seq] = true
		}
	}
	for seq := int64(1); seq < last; seq++ {
		if !seen[seq] {
			t.Errorf("entry %d is missing though %d came", seq, last)
		}
	}
}

func TestNobodyThereIsAnAlarmAndNothingIsLost(t *testing.T) {
	tr := open(t)
	tr.write(3)
	l := listen(t)
	address := l.Addr().String()
	l.Close()
	tr.clk.Add(alarmAge + time.Second)
	e := tr.exporter(Config{Syslog: address})
	tries := 0
	e.wait = func(ctx context.Context, _ time.Duration) { tries++; pause(ctx, time.Millisecond) }
	ctx, stop := context.WithCancel(t.Context())
	e.wait = func(ctx context.Context, d time.Duration) {
		if tries++; tries == 12 {
			if d != longest {
				t.Errorf("try %d waits %v, want %v", tries, d, longest)
			}
			stop()
		}
	}
	if err := e.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(tr.log.String(), `msg="audit trail is behind" alarm=true`); n != 1 {
		t.Errorf("%d alarms, want one:\n%s", n, tr.log)
	}
	if tr.place("syslog") != 0 {
		t.Error("the place moved")
	}
}

// certificate is a collector's, and the file that trusts it.
func certificate(t *testing.T, ip string) (tls.Certificate, string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP(ip)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func TestSyslogByTLS(t *testing.T) {
	tr := open(t)
	tr.write(3)
	cert, ca := certificate(t, "127.0.0.1")
	c := collect(t, tls.NewListener(listen(t), &tls.Config{Certificates: []tls.Certificate{cert}}), 0)
	tr.run(tr.exporter(Config{Syslog: c.Addr().String(), SyslogTLS: true, SyslogCA: ca}), func() bool { return tr.place("syslog") == 3 })
	for range 3 {
		<-c.more
	}
	_, other := certificate(t, "127.0.0.1")
	e := tr.exporter(Config{Syslog: c.Addr().String(), SyslogTLS: true, SyslogCA: other})
	tr.write(1)
	if _, _, err := e.round(t.Context(), "syslog", e.sinks["syslog"]); err == nil {
		t.Error("a collector that nobody vouches for gets the trail")
	}
}

func TestFileGetsLines(t *testing.T) {
	tr := open(t)
	tr.write(3)
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(file, []byte(`{"seq":0,"cut`), 0o600); err != nil { // a crash in the middle of a line
		t.Fatal(err)
	}
	tr.run(tr.exporter(Config{File: file}), func() bool { return tr.place("file") == 3 })
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(lines) != 4 || !json.Valid([]byte(lines[1])) || !strings.HasPrefix(lines[3], `{"seq":3,`) {
		t.Errorf("got %q", lines)
	}
}

func TestURLGetsLinesAndFailuresAreTriedAgain(t *testing.T) {
	tr := open(t)
	tr.write(130)
	var mu sync.Mutex
	var got []string
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%2 == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if r.Header.Get("Authorization") != "Bearer sesame" {
			t.Errorf("got %q", r.Header.Get("Authorization"))
		}
		b, _ := io.ReadAll(r.Body)
		got = append(got, strings.Split(strings.TrimSpace(string(b)), "\n")...)
	}))
	t.Cleanup(srv.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tr.run(tr.exporter(Config{URL: srv.URL, TokenFile: token}), func() bool { return tr.place("url") == 130 })
	if len(got) != 130 || !strings.HasPrefix(got[129], `{"seq":130,`) {
		t.Errorf("got %d lines", len(got))
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, bad := range []Config{{Syslog: "collector"}, {Syslog: ":514"}, {URL: "http://siem.example/"}, {URL: "ftp://x"}, {SyslogCA: "x"}, {Syslog: "a:1", SyslogTLS: true, SyslogCA: "/none"}} {
		if bad.Validate() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
