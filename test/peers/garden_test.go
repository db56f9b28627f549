//go:build peers

package peers

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/enforce/allow"
	"bolwerk/abuse/enforce/coa"
	"bolwerk/abuse/enforce/standin"
	"bolwerk/internal/clock"
)

// space is a network namespace of the test's.
type space struct {
	t    *testing.T
	name string
}

func newSpace(t *testing.T, name string) space {
	t.Helper()
	s := space{t, fmt.Sprintf("bw-%s-%d", name, os.Getpid())}
	command(t, "ip", "netns", "add", s.name)
	t.Cleanup(func() { exec.Command("ip", "netns", "del", s.name).Run() })
	s.run("ip", "link", "set", "lo", "up")
	return s
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (s space) run(args ...string) string {
	s.t.Helper()
	return command(s.t, "ip", append([]string{"netns", "exec", s.name}, args...)...)
}

// within runs fn on a thread that is in the namespace: sockets made there stay there.
func (s space) within(fn func() error) {
	s.t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		f, err := os.Open("/var/run/netns/" + s.name)
		if err == nil {
			defer f.Close()
			if err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err == nil {
				err = fn()
			}
		}
		done <- err
	}()
	if err := <-done; err != nil {
		s.t.Fatalf("in %s: %v", s.name, err)
	}
}

// wire joins two namespaces by devices dev+"0" and dev+"1" with addresses.
func wire(a, b space, dev string, addrA, addrB []string) {
	a.t.Helper()
	a.run("ip", "link", "add", dev+"0", "type", "veth", "peer", "name", dev+"1", "netns", b.name)
	for _, end := range []struct {
		s     space
		dev   string
		addrs []string
	}{{a, dev + "0", addrA}, {b, dev + "1", addrB}} {
		for _, addr := range end.addrs {
			end.s.run("ip", "addr", "add", addr, "dev", end.dev)
		}
		end.s.run("ip", "link", "set", end.dev, "up")
	}
}

// page answers every request at an address of the namespace with a word.
func (s space) page(addr, word string) {
	s.t.Helper()
	s.within(func() error {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, word) })}
		go srv.Serve(l)
		s.t.Cleanup(func() { srv.Close() })
		return nil
	})
}

// names answers for names at an address of the namespace.
func (s space) names(addr string, all map[string]string) {
	s.t.Helper()
	s.within(func() error {
		c, err := net.ListenPacket("udp", addr)
		if err != nil {
			return err
		}
		srv := &dns.Server{PacketConn: c, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg).SetReply(q)
			if a := all[strings.ToLower(q.Question[0].Name)]; a != "" && q.Question[0].Qtype == dns.TypeA {
				m.Answer = []dns.RR{rr(q.Question[0].Name + " 60 IN A " + a)}
			}
			w.WriteMsg(m)
		})}
		go srv.ActivateAndServe()
		s.t.Cleanup(func() { srv.Shutdown() })
		return nil
	})
}

// A line in quarantine reaches the garden and what is allowed, and nothing else, as the
// access server's filter has it; a line that was released reaches everything.
//
//	line 198.51.100.7 --- bng: nftables, dnsmasq --- world 203.0.113.0/24, garden 192.0.2.10
func TestALineInQuarantineReachesTheGardenAlone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: network namespaces need root")
	}
	runtime.LockOSThread() // what dies with its parent dies with this thread
	defer runtime.UnlockOSThread()
	for _, name := range []string{"nft", "dnsmasq", "ip", "curl"} {
		Need(t, name)
	}
	line, bng, world := accessNetwork(t)
	dir := t.TempDir()
	names := printed(t, allow.DNSMasq)
	mask := exec.Command("ip", "netns", "exec", bng.name, "dnsmasq", "--keep-in-foreground", "--conf-file="+names, "--no-resolv", "--no-hosts", "--user=root", "--pid-file=", "--log-facility=-",
		"--interface=acc1", "--bind-interfaces", "--dhcp-range=198.51.100.100,198.51.100.150,5m", "--dhcp-option=114,http://192.0.2.10/api", "--dhcp-leasefile="+filepath.Join(dir, "leases"),
		"--server=203.0.113.2")
	log := &record{}
	mask.Stdout, mask.Stderr = log, log
	mask.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := mask.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		mask.Process.Kill()
		mask.Wait()
		if t.Failed() {
			t.Logf("dnsmasq wrote:\n%s", tail(log.String(), 4000))
		}
	})
	world.names("203.0.113.2:53", map[string]string{"www.112.be.": "203.0.113.112", "any.example.": "203.0.113.7"})
	world.page("192.0.2.10:80", "garden")
	world.page("203.0.113.7:80", "anything")
	world.page("203.0.113.7:25", "mail")
	world.page("203.0.113.112:80", "emergency")

	put := bng.accessServer()
	// reaches says what the customer's device gets; it asks for the name first, as a
	// browser does.
	reaches := func(url string) string {
		args := []string{"netns", "exec", line.name, "curl", "-s", "--connect-timeout", "3", "-m", "5", url}
		if host := strings.Split(strings.TrimPrefix(url, "http://"), "/")[0]; strings.HasSuffix(host, ".be") || strings.HasSuffix(host, ".example") {
			addr, err := line.lookup(host)
			if err != nil {
				t.Fatalf("%s: %v", host, err)
			}
			args = append(args, "--resolve", host+":80:"+addr)
		}
		out, _ := exec.Command("ip", args...).Output()
		return string(out)
	}
	want := func(when string, all map[string]string) {
		t.Helper()
		for url, w := range all {
			if got := reaches(url); got != w {
				t.Errorf("%s: %s gives %q, want %q", when, url, got, w)
			}
		}
	}
	const garden, any, mail, emergency = "http://192.0.2.10/", "http://any.example/", "http://203.0.113.7:25/", "http://www.112.be/"
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := line.lookup("any.example"); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	want("before", map[string]string{garden: "garden", any: "anything", emergency: "emergency"})
	put(enforce.Strict)
	want("strict", map[string]string{garden: "garden", any: "", mail: "", emergency: "emergency"})
	put(enforce.Leaky)
	want("leaky", map[string]string{garden: "garden", any: "anything", mail: "", emergency: "emergency"})
	put(enforce.Normal)
	want("released", map[string]string{garden: "garden", any: "anything", emergency: "emergency"})
	if got := line.captivePortal(); got != "http://192.0.2.10/api" {
		t.Errorf("DHCP option 114: %q", got)
	}
}

// accessNetwork is a line, its access server with both profiles, and the world.
func accessNetwork(t *testing.T) (line, bng, world space) {
	t.Helper()
	line, bng, world = newSpace(t, "line"), newSpace(t, "bng"), newSpace(t, "world")
	wire(line, bng, "acc", []string{"198.51.100.7/24"}, []string{"198.51.100.1/24"})
	wire(bng, world, "up", []string{"203.0.113.1/24"}, []string{"203.0.113.2/24", "203.0.113.7/24", "203.0.113.112/24", "192.0.2.10/32"})
	line.run("ip", "route", "add", "default", "via", "198.51.100.1")
	world.run("ip", "route", "add", "default", "via", "203.0.113.1")
	bng.run("ip", "route", "add", "192.0.2.10/32", "via", "203.0.113.2")
	bng.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
	bng.run("nft", "-f", printed(t, allow.NFTables))
	return line, bng, world
}

// printed is a file with the profiles as the program prints them.
func printed(t *testing.T, form string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), form)
	f, err := os.Create(name)
	if err == nil {
		err = allow.Print(f, allow.Entries(), form, "192.0.2.10")
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// accessServer has a change of the session be a line in a set of the router. It gives
// what changes the session of the line.
func (s space) accessServer() (put func(enforce.Profile)) {
	t := s.t
	t.Helper()
	server := standin.New("a secret of bng1", s.filters())
	server.Add(standin.Session{ID: "s1", User: "anna", Addr: netip.MustParseAddr("198.51.100.7")})
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, conn) }()
	t.Cleanup(func() { stop(); <-ended })
	port, err := coa.New(coa.Config{Name: "bng1", Address: conn.LocalAddr().String(), SecretFile: secretOf(t, "a secret of bng1"), Normal: "bolwerk-normal", Leaky: "bolwerk-leaky", Strict: "bolwerk-strict", Canary: "c"}, clock.New(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(p enforce.Profile) {
		t.Helper()
		if r, err := port.Put(t.Context(), enforce.Order{ID: "q", Session: sessionOf("anna", "s1"), Profile: p, Until: time.Now().Add(time.Hour)}); err != nil || r.State != enforce.Applied {
			t.Fatalf("%s: %+v %v", p, r, err)
		}
	}
}

// filters puts what an access server was told into the router's sets.
func (s space) filters() func(standin.Session) error {
	var mu sync.Mutex
	in := map[string]string{} // filter by address
	return func(n standin.Session) error {
		mu.Lock()
		defer mu.Unlock()
		in[n.Addr.String()] = n.Filter
		cmds := "flush set inet bolwerk leaky4\nflush set inet bolwerk strict4\n"
		for addr, filter := range in {
			if set, ok := strings.CutPrefix(filter, "bolwerk-"); ok && set != "normal" {
				cmds += fmt.Sprintf("add element inet bolwerk %s4 { %s }\n", set, addr)
			}
		}
		nft := exec.Command("ip", "netns", "exec", s.name, "nft", "-f", "-")
		nft.Stdin = strings.NewReader(cmds)
		return nft.Run()
	}
}

// lookup asks the line's resolver for an address.
func (s space) lookup(host string) (addr string, err error) {
	s.within(func() error {
		c, derr := net.DialTimeout("udp", "198.51.100.1:53", time.Second)
		if derr != nil {
			err = derr
			return nil
		}
		defer c.Close()
		q := []byte{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
		for _, l := range strings.Split(host, ".") {
			q = append(append(q, byte(len(l))), l...)
		}
		c.Write(append(q, 0, 0, 1, 0, 1))
		c.SetDeadline(time.Now().Add(2 * time.Second))
		b := make([]byte, 512)
		n, rerr := c.Read(b)
		if rerr != nil || n < 16 || binary.BigEndian.Uint16(b[6:]) == 0 {
			err = fmt.Errorf("no answer (%v)", rerr)
			return nil
		}
		addr = netip.AddrFrom4([4]byte(b[n-4 : n])).String()
		return nil
	})
	return addr, err
}

// captivePortal is option 114 of what the DHCP server offers (RFC 8910).
func (s space) captivePortal() (found string) {
	s.within(func() error {
		lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) {
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 1)
				unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "acc0")
			})
		}}
		c, err := lc.ListenPacket(context.Background(), "udp4", "0.0.0.0:68")
		if err != nil {
			return err
		}
		defer c.Close()
		m := make([]byte, 240)
		copy(m, []byte{1, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0x80, 0}) // a request of Ethernet, broadcast
		copy(m[28:], []byte{2, 0, 0, 0, 0, 9})
		copy(m[236:], []byte{99, 130, 83, 99})
		m = append(m, 53, 1, 1, 55, 2, 3, 114, 255) // DISCOVER; wants the router and the portal
		for range 3 {
			if _, err := c.WriteTo(m, &net.UDPAddr{IP: net.IPv4bcast, Port: 67}); err != nil {
				return err
			}
			c.SetReadDeadline(time.Now().Add(5 * time.Second))
			b := make([]byte, 1500)
			n, _, err := c.ReadFrom(b)
			if err != nil {
				continue
			}
			for o := b[240:n]; len(o) > 2 && o[0] != 255; o = o[2+int(o[1]):] {
				if o[0] == 114 {
					found = strings.TrimRight(string(o[2:2+int(o[1])]), "\x00")
					return nil
				}
			}
		}
		return nil
	})
	return found
}
