//go:build peers

package peers

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"bolwerk/abuse/retest"
)

// serve runs a service in the namespace until stop is called, or the test ends.
func (s space) serve(name string, args ...string) (stop func()) {
	s.t.Helper()
	log := &record{}
	c := exec.Command("ip", append([]string{"netns", "exec", s.name, Need(s.t, name)}, args...)...)
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := false
	stop = func() {
		if !ended {
			ended = true
			c.Process.Kill()
			c.Wait()
		}
	}
	s.t.Cleanup(func() {
		if stop(); s.t.Failed() {
			s.t.Logf("%s wrote:\n%s", name, tail(log.String(), 2000))
		}
	})
	return stop
}

// Services of the distribution as customers run them: open to everybody they are seen, over
// IPv4 and IPv6; closed as their manuals say, they are not.
func TestRealServicesAreTested(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: network namespaces need root")
	}
	Need(t, "ip")
	line := newSpace(t, "open")
	const v4, v6, up = "192.0.2.17", "2001:db8::17", "192.0.2.99"
	for _, a := range []string{v4 + "/32", up + "/32", v6 + "/128"} {
		line.run("ip", "addr", "add", a, "dev", "lo")
	}
	line.names(up+":53", nil)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	unbound := func(access string) []string {
		return []string{"-d", "-c", file("unbound-"+access, fmt.Sprintf("server:\n interface: %s\n interface: %s\n do-daemonize: no\n username: \"\"\n chroot: \"\"\n directory: %q\n pidfile: \"\"\n use-syslog: no\n access-control: 0.0.0.0/0 %s\n access-control: ::/0 %s\n"+
			" module-config: \"iterator\"\n do-not-query-localhost: no\nforward-zone:\n name: \".\"\n forward-addr: %s\n", v4, v6, dir, access, access, up))}
	}
	ntp := func(restrict string) []string {
		return []string{"-n", "-c", file(fmt.Sprint("ntp", len(restrict)), "disable ntp kernel\n"+restrict)}
	}
	snmp := func(community string) []string {
		return []string{"-f", "-Lo", "-C", "-c", file("snmp-"+community, fmt.Sprintf("rocommunity %s\nrocommunity6 %s\n", community, community)), "udp:" + v4 + ":161", "udp6:[" + v6 + "]:161"}
	}
	memcached := func(udp string) []string {
		return []string{"-u", "root", "-l", v4 + "," + v6, "-p", "11211", "-U", udp}
	}
	dnsmasq := []string{"--keep-in-foreground", "--no-resolv", "--no-hosts", "--user=root", "--pid-file=", "--conf-file=/dev/null", "--bind-interfaces", "--listen-address=" + v4 + "," + v6, "--server=" + up}
	dns, tcp := retest.Service{Protocol: "udp", Port: 53}, retest.Service{Protocol: "tcp", Port: 11211}
	for _, c := range []struct {
		name, program string
		open, closed  []string // nil: it is switched off
		asked         retest.Service
	}{
		{"a resolver", "unbound", unbound("allow"), unbound("refuse"), dns},
		{"a home router's forwarder", "dnsmasq", dnsmasq, nil, dns},
		{"a time server", "ntpd", ntp("restrict " + v4 + "\nrestrict " + v6 + "\n"), ntp("restrict default noquery\n"), retest.Service{Protocol: "udp", Port: 123}},
		{"an agent of SNMP", "snmpd", snmp("public"), snmp("4711"), retest.Service{Protocol: "udp", Port: 161}},
		{"memcached over UDP", "memcached", memcached("11211"), memcached("0"), retest.Service{Protocol: "udp", Port: 11211}},
		{"memcached over TCP", "memcached", memcached("0"), nil, tcp},
	} {
		t.Run(c.name, func(t *testing.T) {
			runtime.LockOSThread() // what dies with its parent dies with this thread
			defer runtime.UnlockOSThread()
			s := space{t, line.name}
			answers := func(at string) (open bool) {
				s.within(func() (err error) {
					open, err = retest.Answers(t.Context(), netip.MustParseAddr(at), c.asked)
					return err
				})
				return open
			}
			stop := s.serve(c.program, c.open...)
			for _, at := range []string{v4, v6} {
				for end := time.Now().Add(15 * time.Second); !answers(at); time.Sleep(100 * time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("open: %s is not seen at %s", c.asked, at)
					}
				}
			}
			stop()
			if c.closed != nil {
				s.serve(c.program, c.closed...)
				time.Sleep(2 * time.Second) // for it to come up: it says nothing that could be waited for
			}
			for _, at := range []string{v4, v6} {
				if answers(at) {
					t.Errorf("closed: %s is seen at %s", c.asked, at)
				}
			}
		})
	}
}
