package peers

import (
	"fmt"
	"strings"
	"testing"
)

// Bind starts BIND 9 as a secondary. break-dnssec lets signed names be
// rewritten, qname-wait-recurse no answers without asking upstream first, and
// min-update-interval 0 takes changes at once (its default is 60 s).
func Bind(t testing.TB, s Setup) *Resolver {
	t.Helper()
	binary := Need(t, "named")
	dir, addr := s.dir(t), s.listen(t)
	var b strings.Builder
	key, transfer := "", "none;"
	if s.KeyName != "" {
		transfer = fmt.Sprintf("key %q;", s.KeyName)
		fmt.Fprintf(&b, "key %q { algorithm %s; secret %q; };\n", s.KeyName, s.KeyAlgorithm, s.secret(t))
		key = fmt.Sprintf(" key %q", s.KeyName)
	}
	if s.CAFile != "" {
		fmt.Fprintf(&b, "tls xot { ca-file %q; remote-hostname \"localhost\"; };\n", s.CAFile)
		key += " tls xot"
	}
	fmt.Fprintf(&b, `options {
	directory %q; pid-file none; session-keyfile none; lock-file none;
	listen-on port %d { %s; }; listen-on-v6 { none; };
	recursion yes; allow-query { any; }; allow-transfer { %s };
	dnssec-validation no; empty-zones-enable no; notify no; querylog no;
	forwarders { %s port %d; }; forward only;
	max-cache-size 16M; minimal-responses yes; servfail-ttl 0;
`, dir, addr.Port(), addr.Addr(), transfer, s.Upstream.Addr(), s.Upstream.Port())
	if len(s.Zones) > 0 {
		b.WriteString("\tresponse-policy {\n")
		for _, z := range s.Zones {
			fmt.Fprintf(&b, "\t\tzone %q;\n", z)
		}
		b.WriteString("\t} break-dnssec yes qname-wait-recurse no min-update-interval 0;\n")
	}
	if s.Catalog != "" {
		fmt.Fprintf(&b, "\tcatalog-zones { zone %q default-primaries { %s port %d%s; } min-update-interval 1; };\n", s.Catalog, s.Primary.Addr(), s.Primary.Port(), key)
	}
	b.WriteString("};\ncontrols { };\n")
	listed := s.Zones
	if s.Catalog != "" { // a zone of the catalog is nowhere else
		listed = []string{s.Catalog}
	}
	for _, z := range listed {
		primaries, told := fmt.Sprintf("%s port %d%s;", s.Primary.Addr(), s.Primary.Port(), key), s.Primary.Addr().String()+";"
		if s.Second.IsValid() {
			primaries += fmt.Sprintf(" %s port %d%s;", s.Second.Addr(), s.Second.Port(), key)
			told += " " + s.Second.Addr().String() + ";"
		}
		fmt.Fprintf(&b, `zone %q { type secondary; file "%s.db"; primaries { %s }; allow-notify { %s }; min-refresh-time 1; min-retry-time 1; };
`, z, z, primaries, told)
	}
	b.WriteString(s.More)
	write(t, dir, "named.conf", b.String())
	log := "-g"
	if strings.Contains(s.More, "logging {") {
		log = "-f" // -g would send all of it to standard error
	}
	return start(t, "bind", binary, dir, addr, log, "-n", "1", "-c", "named.conf")
}

// Unbound starts Unbound as a secondary by address: it has no TSIG.
func Unbound(t testing.TB, s Setup) *Resolver {
	t.Helper()
	binary := Need(t, "unbound")
	dir, addr := s.dir(t), s.listen(t)
	var b strings.Builder
	fmt.Fprintf(&b, `server:
	interface: %s@%d
	port: %d
	do-daemonize: no
	username: ""
	chroot: ""
	directory: %q
	pidfile: ""
	logfile: ""
	use-syslog: no
	verbosity: 1
	log-time-ascii: yes
	num-threads: 1
	do-ip6: no
	access-control: 127.0.0.0/8 allow
	do-not-query-localhost: no
	module-config: "respip iterator"
	local-zone: "example." nodefault
remote-control:
	control-enable: no
forward-zone:
	name: "."
	forward-addr: %s@%d
`, addr.Addr(), addr.Port(), addr.Port(), dir, s.Upstream.Addr(), s.Upstream.Port())
	for _, z := range s.Zones {
		fmt.Fprintf(&b, "rpz:\n\tname: %q\n\tprimary: %s@%d\n\tallow-notify: %s\n\tzonefile: \"%s.zone\"\n\trpz-log: no\n",
			z, s.Primary.Addr(), s.Primary.Port(), s.Primary.Addr(), z)
	}
	b.WriteString(s.More)
	write(t, dir, "unbound.conf", b.String())
	return start(t, "unbound", binary, dir, addr, "-d", "-p", "-c", "unbound.conf")
}

// PowerDNS starts PowerDNS Recursor as a secondary that polls every second
// (NOTIFY came after 4.8).
func PowerDNS(t testing.TB, s Setup) *Resolver {
	t.Helper()
	binary := Need(t, "pdns_recursor")
	dir, addr := s.dir(t), s.listen(t)
	var lua strings.Builder
	for _, z := range s.Zones {
		key := ""
		if s.KeyName != "" {
			key = fmt.Sprintf(", tsigname=%q, tsigalgo=%q, tsigsecret=%q", s.KeyName, s.KeyAlgorithm, s.secret(t))
		}
		fmt.Fprintf(&lua, "rpzPrimary(%q, %q, {refresh=1%s})\n", s.Primary, z, key)
	}
	lua.WriteString(s.More)
	write(t, dir, "policy.lua", lua.String())
	write(t, dir, "recursor.conf", fmt.Sprintf(`local-address=%s
local-port=%d
socket-dir=%s
daemon=no
disable-syslog=yes
write-pid=no
setuid=
setgid=
threads=1
dnssec=off
loglevel=6
quiet=yes
security-poll-suffix=
allow-from=127.0.0.0/8
dont-query=
forward-zones-recurse=.=%s
lua-config-file=%s/policy.lua
`, addr.Addr(), addr.Port(), dir, s.Upstream, dir))
	return start(t, "pdns", binary, dir, addr, "--config-dir="+dir)
}

// DNSDist starts dnsdist, which has no policy zones: More is what blocks.
func DNSDist(t testing.TB, s Setup) *Resolver {
	t.Helper()
	binary := Need(t, "dnsdist")
	dir, addr := s.dir(t), s.listen(t)
	write(t, dir, "dnsdist.conf", fmt.Sprintf(`setLocal(%q)
setACL("127.0.0.0/8")
setSecurityPollSuffix("")
newServer({address=%q, checkName="ready.example."})
getPool(""):setCache(newPacketCache(10000, {minTTL=1}))
%s
`, addr, s.Upstream, s.More))
	return start(t, "dnsdist", binary, dir, addr, "--supervised", "--disable-syslog", "-C", "dnsdist.conf")
}

func (s Setup) dir(t testing.TB) string {
	if s.Dir != "" {
		return s.Dir
	}
	return t.TempDir()
}
