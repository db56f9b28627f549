package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// peers are those of the well-known resolvers that are installed, each with the
// list as a response policy zone and our upstream as its forwarder.
func peers(which string) []*server {
	var out []*server
	add := func(binary, name string, port int, versionArgs []string, start func(dir, binary string) (*exec.Cmd, error)) {
		if which != "all" && !slices.Contains(strings.Split(which, ","), binary) {
			return
		}
		path, err := exec.LookPath(binary)
		if err != nil {
			if path = "/usr/sbin/" + binary; !exists(path) {
				fmt.Printf("%s: not installed, left out\n", name)
				return
			}
		}
		v, _ := exec.Command(path, versionArgs...).CombinedOutput()
		version := regexp.MustCompile(`\d+\.\d+\.\d+`).FindString(string(v))
		out = append(out, &server{name: name, port: port, version: version, start: func(dir string) (*exec.Cmd, error) { return start(dir, path) }})
	}
	add("unbound", "Unbound (rpz)", 15310, []string{"-V"}, func(dir, binary string) (*exec.Cmd, error) {
		conf := filepath.Join(dir, "unbound.conf")
		err := os.WriteFile(conf, fmt.Appendf(nil, `server:
  interface: 127.0.0.1
  port: 15310
  num-threads: 1
  do-daemonize: no
  chroot: ""
  username: ""
  directory: "%[1]s"
  pidfile: ""
  use-syslog: no
  do-not-query-localhost: no
  module-config: "respip iterator"
  msg-cache-size: 64m
  rrset-cache-size: 128m
  local-zone: "example." nodefault
rpz:
  name: rpz.
  zonefile: "%[1]s/rpz"
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@15302
`, dir), 0o644)
		return exec.Command("taskset", "-c", "0", binary, "-d", "-c", conf), err
	})
	add("pdns_recursor", "PowerDNS Recursor", 15311, []string{"--version"}, func(dir, binary string) (*exec.Cmd, error) {
		conf := filepath.Join(dir, "pdns")
		if err := os.MkdirAll(conf, 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(conf, "rpz.lua"), fmt.Appendf(nil, "rpzFile(%q, {})\n", filepath.Join(dir, "rpz")), 0o644); err != nil {
			return nil, err
		}
		err := os.WriteFile(filepath.Join(conf, "recursor.conf"), fmt.Appendf(nil, `local-address=127.0.0.1
local-port=15311
threads=1
pdns-distributes-queries=no
daemon=no
setuid=
setgid=
socket-dir=%[1]s
lua-config-file=%[1]s/rpz.lua
forward-zones-recurse=.=127.0.0.1:15302
dont-query=
dnssec=off
quiet=yes
serve-rfc1918=no
`, conf), 0o644)
		return exec.Command("taskset", "-c", "0", binary, "--config-dir="+conf), err
	})
	add("dnsdist", "dnsdist (suffixes)", 15312, []string{"--version"}, func(dir, binary string) (*exec.Cmd, error) {
		conf := filepath.Join(dir, "dnsdist.conf")
		err := os.WriteFile(conf, fmt.Appendf(nil, `setLocal("127.0.0.1:15312")
setSecurityPollSuffix("")
newServer({address="127.0.0.1:15302", healthCheckMode="up"})
getPool(""):setCache(newPacketCache(1000000, {maxTTL=86400}))
blocked = newSuffixMatchNode()
for name in io.lines(%q) do blocked:add(newDNSName(name)) end
addAction(SuffixMatchNodeRule(blocked), SpoofAction("192.0.2.1"))
`, filepath.Join(dir, "list")), 0o644)
		return exec.Command("taskset", "-c", "0", binary, "-C", conf, "--supervised", "--disable-syslog"), err
	})
	add("named", "BIND (rpz)", 15313, []string{"-v"}, func(dir, binary string) (*exec.Cmd, error) {
		conf := filepath.Join(dir, "named.conf")
		err := os.WriteFile(conf, fmt.Appendf(nil, `options {
	directory "%[1]s"; pid-file none; session-keyfile none;
	listen-on port 15313 { 127.0.0.1; }; listen-on-v6 { none; };
	recursion yes; forward only; forwarders port 15302 { 127.0.0.1; };
	dnssec-validation no; querylog no; empty-zones-enable no; max-cache-size 512m;
	response-policy { zone "rpz"; } break-dnssec yes qname-wait-recurse no;
};
controls { };
zone "rpz" { type primary; file "%[1]s/rpz"; allow-query { none; }; notify no; };
`, dir), 0o644)
		return exec.Command("taskset", "-c", "0", binary, "-g", "-n", "1", "-c", conf), err
	})
	return out
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }
