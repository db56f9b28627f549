package dnsserve

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
)

// besieged is how many connections the server of TestHostile_memory takes.
const besieged = 160

// TestBesieged is no test: it is the server of TestHostile_memory, a process of its own, so
// that its memory is not ours.
func TestBesieged(t *testing.T) {
	files := strings.Fields(os.Getenv("BOLWERK_BESIEGED"))
	if len(files) != 3 {
		t.Skip("serves for TestHostile_memory")
	}
	c := DefaultConfig()
	c.Upstream, c.TCPConns, c.ClientRate = []string{files[2]}, besieged, 0
	c.Encrypted = Encrypted{ListenTLS: "127.0.0.1:0", ListenHTTPS: "127.0.0.1:0", ListenQUIC: "127.0.0.1:0", CertFile: files[0], KeyFile: files[1]}
	s, err := New(c, block, nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	k, err := Listen(ctx, "127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	d, err := ListenEncrypted(ctx, c.Encrypted)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("at", k.Addr(), d.tls.Addr(), d.https.Addr(), d.quic.LocalAddr())
	go func() { io.Copy(io.Discard, os.Stdin); stop() }() // ends with who started us
	if err := s.Run(ctx, d, k); err != nil {
		t.Fatal(err)
	}
}

// peak is the most memory that a process has had, in octets.
func peak(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// Clients that take every place, ask for the longest answers there are as often as
// they can, and read none, cost a bounded amount of memory.
func TestHostile_memory(t *testing.T) {
	doors, trust := encrypted(t)
	var files Config
	doors(&files)
	cmd := exec.Command(os.Args[0], "-test.run=^TestBesieged$", "-test.v")
	cmd.Env = append(os.Environ(), "BOLWERK_BESIEGED="+files.CertFile+" "+files.KeyFile+" "+newWorld(t, long).addr)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { stdin.Close(); cmd.Process.Kill(); cmd.Wait() }()
	var at []string
	lines := bufio.NewScanner(out)
	for at == nil {
		if !lines.Scan() {
			t.Fatal("the server does not start")
		}
		if rest, ok := strings.CutPrefix(lines.Text(), "at "); ok {
			at = strings.Fields(rest)
		}
	}
	go io.Copy(io.Discard, out)
	sv := served{addr: at[0], dot: at[1], doh: at[2], doq: at[3]}
	ask(t, sv, "tcp", "a.example.", dns.TypeTXT, nil)
	before := peak(t, cmd.Process.Pid)

	first := trust.Clone()
	first.NextProtos = []string{"http/1.1"}
	quicTrust := trust.Clone()
	quicTrust.NextProtos, quicTrust.ServerName = []string{"doq"}, "127.0.0.1"
	message := func(i int) []byte {
		m := new(dns.Msg).SetQuestion(fmt.Sprintf("n%d.example.", i%50), dns.TypeTXT)
		m.Id = 0
		b, _ := m.Pack()
		return b
	}
	for i := range besieged { // each eighth client from another address
		from := net.IPv4(127, 0, 1, byte(i/8))
		if i%4 == 3 {
			pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: from})
			if err != nil {
				t.Fatal(err)
			}
			defer pc.Close()
			addr, _ := net.ResolveUDPAddr("udp", sv.doq)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			c, err := quic.Dial(ctx, pc, addr, quicTrust, &quic.Config{InitialStreamReceiveWindow: 512, MaxStreamReceiveWindow: 512})
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseWithError(0, "")
			for j := range quicStreams {
				st, err := c.OpenStream()
				if err != nil {
					break // it gives us no more
				}
				b := message(j)
				st.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
				st.Close()
			}
			continue
		}
		d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}
		raw, err := d.Dial("tcp", []string{sv.addr, sv.dot, sv.doh}[i%4])
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		raw.(*net.TCPConn).SetReadBuffer(4096)
		raw.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		c := raw
		if i%4 > 0 {
			tc := first.Clone()
			tc.ServerName = "127.0.0.1"
			c = tls.Client(raw, tc)
		}
		for j := range 200 {
			b := message(j)
			if i%4 == 2 {
				b = []byte("GET " + dohPath + "?dns=" + base64.RawURLEncoding.EncodeToString(b) + " HTTP/1.1\r\nHost: dns.example\r\n\r\n")
			} else {
				b = append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
			}
			if _, err := c.Write(b); err != nil {
				break // nothing takes our octets any more
			}
		}
	}
	if r := ask(t, sv, "udp", "blocked.example.", dns.TypeA, nil); len(r.Answer) != 2 {
		t.Errorf("somebody else got %v", r)
	}
	// A place over TCP holds two buffers and up to 64 answers of 50 kB that wait for it, one
	// over QUIC up to 32: 4 MB, of which the collector lets as much again lie.
	grown := peak(t, cmd.Process.Pid) - before
	t.Logf("%d connections took %d MB at the most, %d kB each", besieged, grown>>20, grown/besieged>>10)
	if limit := besieged * 2 * 4 << 20; grown > limit {
		t.Errorf("%d MB, want %d at most", grown>>20, limit>>20)
	}
}
