//go:build peers

package peers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk/abuse/door"
	"bolwerk/abuse/session"
	"bolwerk/abuse/translation"
	"bolwerk/internal/clock"
)

// rsyslogConf reads a file as a translator's log, and sends it on: with counted octets,
// as lines, and over TLS.
const rsyslogConf = `
global(workDirectory="%[1]s" maxMessageSize="8k"
  defaultNetstreamDriverCAFile="%[2]s" defaultNetstreamDriverCertFile="%[2]s" defaultNetstreamDriverKeyFile="%[3]s")
module(load="imfile")
input(type="imfile" file="%[1]s/nat.log" tag="nat:" severity="info")
action(type="omfwd" target="127.0.0.1" port="%[4]d" protocol="tcp" tcp_framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format"
  queue.type="LinkedList" queue.size="200000" action.resumeRetryCount="-1" action.resumeInterval="1")
action(type="omfwd" target="127.0.0.1" port="%[5]d" protocol="tcp" tcp_framing="traditional" template="RSYSLOG_ForwardFormat"
  queue.type="LinkedList" queue.size="200000" action.resumeRetryCount="-1" action.resumeInterval="1")
action(type="omfwd" target="127.0.0.1" port="%[6]d" protocol="tcp" tcp_framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format"
  streamDriver="ossl" streamDriverMode="1" streamDriverAuthMode="x509/name" streamDriverPermittedPeers="localhost"
  queue.type="LinkedList" queue.size="200000" action.resumeRetryCount="-1" action.resumeInterval="1")
`

// natDoor is where a relay sends to.
type natDoor struct {
	at     netip.AddrPort
	secure bool

	mu      sync.Mutex
	changed *sync.Cond
	full    bool
	got     map[string]int
}

// What rsyslog relays of a translator's log arrives whole: while our disk is full it
// keeps the rest, and when we end in between it goes on with who comes after.
func TestRsyslogRelaysBlocksOfPorts(t *testing.T) {
	binary := Need(t, "rsyslogd")
	if drivers, _ := filepath.Glob("/usr/lib/*/rsyslog/lmnsd_ossl.so"); len(drivers) == 0 {
		Need(t, "rsyslog-openssl")
	}
	const lines = 6000
	dir := t.TempDir()
	certificate(t, filepath.Join(dir, "nat"), "localhost")
	cert, key := filepath.Join(dir, "nat.pem"), filepath.Join(dir, "nat.key")
	doors := []*natDoor{{at: FreePort(t)}, {at: FreePort(t)}, {at: FreePort(t), secure: true}}
	var stops []func()
	for _, d := range doors {
		d.changed, d.got, d.full = sync.NewCond(&d.mu), map[string]int{}, true
		stops = append(stops, d.open(t, cert, key))
	}
	write(t, dir, "nat.log", "")
	write(t, dir, "rsyslog.conf", fmt.Sprintf(rsyslogConf, dir, cert, key, doors[0].at.Port(), doors[1].at.Port(), doors[2].at.Port()))
	log := &record{}
	cmd := exec.Command(binary, "-n", "-f", filepath.Join(dir, "rsyslog.conf"), "-i", filepath.Join(dir, "pid"))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if t.Failed() {
			t.Logf("rsyslog wrote:\n%s", log)
		}
	})
	nat, err := os.OpenFile(filepath.Join(dir, "nat.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer nat.Close()
	tell := func(from, to int) {
		for i := from; i < to; i++ {
			fmt.Fprintf(nat, "NAT_PORT_BLOCK_ALLOC: 100.64.%d.%d -> 203.0.113.7:2048-2559\n", i/250, i%250+1)
		}
	}
	tell(0, lines/3)
	for _, d := range doors {
		time.AfterFunc(2*time.Second, func() { d.mu.Lock(); d.full = false; d.mu.Unlock() })
		d.wait(t, lines/3)
	}
	go tell(lines/3, lines) // while each ends, and begins anew
	for i, d := range doors {
		d.wait(t, lines/3+1)
		stops[i]()
		defer d.open(t, cert, key)()
	}
	for _, d := range doors {
		d.wait(t, lines)
	}
}

func (d *natDoor) open(t *testing.T, cert, key string) (stop func()) {
	t.Helper()
	cfg := door.TranslationsConfig{SyslogTCP: d.at.String(), CertFile: cert, KeyFile: key, ClientCAFile: cert,
		Translators: []door.Translator{{Name: "cgn1", From: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}},
		Patterns:    []translation.Pattern{{Name: "blocks", Start: `NAT_PORT_BLOCK_ALLOC: (?P<inside>\S+) -> (?P<outside>[0-9.]+):(?P<first>\d+)-(?P<last>\d+)`}}}
	var secure *tls.Config
	var err error
	if d.secure {
		if secure, err = cfg.TLS(slog.Default()); err != nil {
			t.Fatal(err)
		}
	}
	tr, err := door.NewTranslations(cfg, d.put, clock.New(), slog.New(slog.NewTextHandler(t.Output(), nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", d.at.String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tr.SyslogTCP(ctx, l, secure) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func (d *natDoor) put(_ string, body []byte) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.changed.Broadcast()
	if d.full {
		return "", errors.New("the disk is full")
	}
	records, err := session.Decode(body)
	for _, r := range records {
		d.got[r.Inside.String()]++
	}
	return "id", err
}

// wait waits until so many lines came.
func (d *natDoor) wait(t *testing.T, want int) {
	t.Helper()
	late := time.AfterFunc(2*time.Minute, d.changed.Broadcast)
	defer late.Stop()
	end := time.Now().Add(2 * time.Minute)
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.got) < want {
		if time.Now().After(end) {
			t.Fatalf("%s: %d of %d lines", d.at, len(d.got), want)
		}
		d.changed.Wait()
	}
}
