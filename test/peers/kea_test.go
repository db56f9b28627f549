//go:build peers

package peers

import (
	"database/sql"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/sys/unix"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/enforce/kea"
	"bolwerk/abuse/session"
)

// keaConf is a server with a class of the garden and its hosts in PostgreSQL; its
// interface is k0.
const keaConf = `{"Dhcp4": {
  "interfaces-config": {"interfaces": ["k0"], "dhcp-socket-type": "raw"},
  "lease-database": {"type": "memfile", "persist": false},
  "hosts-database": {"type": "postgresql", "name": "postgres", "user": "bolwerk", "host": %q},
  "reservations-global": true, "reservations-in-subnet": false,
  "valid-lifetime": 120, "renew-timer": 30,
  "option-data": [{"name": "domain-name-servers", "data": "192.0.2.53"}],
  "client-classes": [{"name": "bolwerk-leaky", "option-data": [
    {"name": "domain-name-servers", "data": "192.0.2.9"},
    {"name": "v4-captive-portal", "data": "https://safe.isp.example/captive"}]}],
  "subnet4": [{"id": 1, "subnet": "10.77.0.0/24", "interface": "k0", "pools": [{"pool": "10.77.0.100-10.77.0.200"}]}],
  "loggers": [{"name": "kea-dhcp4", "severity": "INFO", "output_options": [{"output": "stdout"}]}]}}`

// A device gets the garden's resolver and page (RFC 8910) from a real Kea at its next
// renewal, and is back to normal at the one after its release. What is not ours stays.
func TestKeaGivesTheGardenAtTheNextRenewal(t *testing.T) {
	Need(t, "kea-dhcp4")
	if os.Getuid() != 0 {
		t.Skip("namespaces and raw sockets need root")
	}
	dir, db := keaDatabase(t)
	server, home := newSpace(t, "dhcp"), newSpace(t, "home")
	server.run("ip", "link", "add", "k0", "type", "veth", "peer", "name", "k1", "netns", home.name)
	server.run("ip", "addr", "add", "10.77.0.1/24", "dev", "k0")
	server.run("ip", "link", "set", "k0", "up")
	home.run("ip", "link", "set", "k1", "up")
	conf := filepath.Join(dir, "kea.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, keaConf, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &record{}
	cmd := exec.Command("ip", "netns", "exec", server.name, "kea-dhcp4", "-c", conf)
	cmd.Env = append(os.Environ(), "KEA_PIDFILE_DIR="+dir, "KEA_LOCKFILE_DIR=none")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("Kea wrote:\n%s", log)
		}
	})
	var mac net.HardwareAddr
	home.within(func() error {
		i, err := net.InterfaceByName("k1")
		if err == nil {
			mac = i.HardwareAddr
		}
		return err
	})

	file := filepath.Join(dir, "kea.dsn")
	if err := os.WriteFile(file, []byte("postgres://bolwerk@/postgres?host="+dir+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := kea.New(kea.Config{Name: "kea1", DatabaseFile: file, Leaky: "bolwerk-leaky", Canary: "02:00:5e:00:53:01"})
	if err != nil {
		t.Fatal(err)
	}
	put := func(profile enforce.Profile, want enforce.State) {
		t.Helper()
		r, err := p.Put(t.Context(), enforce.Order{Profile: profile, Until: time.Now().Add(time.Hour), Session: session.Held{Identity: session.Identity{Calling: mac.String()}}})
		if err != nil || r.State != want {
			t.Fatalf("%s: %+v %v, want %s", profile, r, err, want)
		}
	}
	has := func(dns, portal string) {
		t.Helper()
		var gotDNS, gotPortal string
		home.within(func() (err error) { gotDNS, gotPortal, err = lease(mac); return err })
		if gotDNS != dns || gotPortal != portal {
			t.Errorf("the device asks %s, its page is %q; want %s and %q", gotDNS, gotPortal, dns, portal)
		}
	}
	// Tables of a version that is not known are not written; the way back is open.
	for version, want := range map[int]enforce.State{14: enforce.Refused, 13: enforce.Applied} {
		if _, err := db.Exec(`update schema_version set version=$1`, version); err != nil {
			t.Fatal(err)
		}
		other, err := kea.New(kea.Config{Name: "kea1", DatabaseFile: file, Leaky: "bolwerk-leaky", Canary: "02:00:5e:00:53:01"})
		if err != nil {
			t.Fatal(err)
		}
		o := enforce.Order{Profile: enforce.Leaky, Until: time.Now().Add(time.Hour), Session: session.Held{Identity: session.Identity{Calling: "02:00:5e:00:53:02"}}}
		if r, err := other.Put(t.Context(), o); err != nil || r.State != want || want == enforce.Refused && !strings.Contains(r.Code, "version 14") {
			t.Errorf("tables of version %d: %+v %v, want %s", version, r, err, want)
		}
		o.Profile = enforce.Normal
		if r, err := other.Put(t.Context(), o); err != nil || r.State != enforce.Applied {
			t.Errorf("the way back with tables of version %d: %+v %v", version, r, err)
		}
	}
	if _, err := db.Exec(`update schema_version set version=13`); err != nil {
		t.Fatal(err)
	}
	const normal, garden, portal = "192.0.2.53", "192.0.2.9", "https://safe.isp.example/captive"
	has(normal, "")
	for range 2 { // an order may be sent twice
		put(enforce.Leaky, enforce.Applied)
		has(garden, portal)
	}
	for range 2 {
		put(enforce.Normal, enforce.Applied)
		has(normal, "")
	}
	keaQuarantine(t, p, mac, func() { t.Helper(); has(normal, "") }, func() { t.Helper(); has(garden, portal) })
	// When no desk is there any more, the database ends what is over.
	put(enforce.Leaky, enforce.Applied)
	const sweep = `delete from hosts where user_context like '{"bolwerk":%' and (user_context::json->'bolwerk'->>'until')::bigint < extract(epoch from now())`
	for _, s := range []string{sweep, `update hosts set user_context='{"bolwerk":{"until":1}}'`, sweep} {
		if s != sweep {
			has(garden, portal)
		}
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	has(normal, "")
	// A reservation of the operator's own is not touched.
	if _, err := db.Exec(`insert into hosts(dhcp_identifier,dhcp_identifier_type,dhcp4_subnet_id,hostname) values($1,0,0,'own')`, []byte(mac)); err != nil {
		t.Fatal(err)
	}
	put(enforce.Leaky, enforce.Refused)
	put(enforce.Normal, enforce.Applied)
	var n int
	if err := db.QueryRow(`select count(*) from hosts where hostname='own'`).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d reservations of the operator's, %v", n, err)
	}
	has(normal, "")
}

// keaDatabase is a private PostgreSQL with Kea's tables, reached by a socket in dir.
func keaDatabase(t *testing.T) (dir string, db *sql.DB) {
	t.Helper()
	Need(t, "kea-admin") // its package has the tables
	const tables = "/usr/share/kea/scripts/pgsql/dhcpdb_create.pgsql"
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(bins) == 0 {
		Need(t, "postgres")
	}
	bin := filepath.Dir(slices.Max(bins))
	dir, err := os.MkdirTemp("", "bw-kea-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	as := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-A", "trust", "--no-sync", "-U", "bolwerk", "-E", "UTF8", "--locale=C", "-D", data)
	initdb.Dir, initdb.SysProcAttr = dir, as
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off")
	server.Dir, server.SysProcAttr = dir, as
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Process.Signal(syscall.SIGINT); server.Wait() })
	if db, err = sql.Open("pgx", "postgres://bolwerk@/postgres?host="+dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for end := time.Now().Add(30 * time.Second); db.Ping() != nil; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("PostgreSQL does not start")
		}
	}
	command(t, "psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", dir, "-U", "bolwerk", "-d", "postgres", "-f", tables)
	return dir, db
}

// lease has a device ask for its lease, as at its first start and at a renewal: which
// resolver it gets, and which page (option 114). It asks for 30 s.
func lease(mac net.HardwareAddr) (dns, portal string, err error) {
	i, err := net.InterfaceByName("k1")
	if err != nil {
		return "", "", err
	}
	const ip4 = 0x0008 // ETH_P_IP, in the network's order
	s, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, ip4)
	if err != nil {
		return "", "", err
	}
	defer unix.Close(s)
	if err := unix.Bind(s, &unix.SockaddrLinklayer{Protocol: ip4, Ifindex: i.Index}); err != nil {
		return "", "", err
	}
	if err := unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return "", "", err
	}
	ask := func(kind byte, more ...byte) (from netip.Addr, opts map[byte][]byte, err error) {
		xid := uint32(time.Now().UnixNano())
		frame := discover(mac, xid, append([]byte{53, 1, kind}, more...))
		buf := make([]byte, 2048)
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
			if _, err := unix.Write(s, frame); err != nil {
				return from, nil, err
			}
			for n, err := unix.Read(s, buf); err == nil; n, err = unix.Read(s, buf) {
				if b := buf[:n]; n > 42+240 && b[23] == 17 && binary.BigEndian.Uint16(b[36:]) == 68 && binary.BigEndian.Uint32(b[46:]) == xid {
					return netip.AddrFrom4([4]byte(b[58:62])), dhcpOptions(b[42+240:]), nil
				}
			}
		}
		return from, nil, fmt.Errorf("no DHCP server answers")
	}
	addr, opts, err := ask(1)
	if err != nil {
		return "", "", err
	}
	a := addr.As4()
	if _, opts, err = ask(3, append(append([]byte{50, 4}, a[:]...), append([]byte{54, 4}, opts[54]...)...)...); err != nil {
		return "", "", err
	}
	if len(opts[53]) != 1 || opts[53][0] != 5 || len(opts[6]) != 4 {
		return "", "", fmt.Errorf("the server answers %v", opts)
	}
	return netip.AddrFrom4([4]byte(opts[6])).String(), string(opts[114]), nil
}

// discover is a frame of a DHCP client (RFC 2131) that asks for resolvers and its page.
func discover(mac net.HardwareAddr, xid uint32, opts []byte) []byte {
	d := make([]byte, 240)
	d[0], d[1], d[2], d[10] = 1, 1, 6, 0x80 // answered to everybody
	binary.BigEndian.PutUint32(d[4:], xid)
	copy(d[28:], mac)
	copy(d[236:], []byte{0x63, 0x82, 0x53, 0x63})
	d = append(append(d, opts...), 55, 2, 6, 114, 255)
	udp := []byte{0, 68, 0, 67, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(udp[4:], uint16(8+len(d)))
	ip := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255}
	binary.BigEndian.PutUint16(ip[2:], uint16(28+len(d)))
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum>>16+sum))
	eth := slices.Concat([]byte{255, 255, 255, 255, 255, 255}, mac, []byte{8, 0})
	return slices.Concat(eth, ip, udp, d)
}

func dhcpOptions(b []byte) map[byte][]byte {
	out := map[byte][]byte{}
	for len(b) > 1 && b[0] != 255 {
		if b[0] == 0 {
			b = b[1:]
			continue
		}
		n := int(b[1])
		if len(b) < 2+n {
			break
		}
		out[b[0]], b = slices.Clone(b[2:2+n]), b[2+n:]
	}
	return out
}
