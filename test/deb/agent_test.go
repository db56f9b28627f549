package deb

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The agent's own package: installed beside a desk and an Unbound of the distribution,
// used and removed as its document says. Nothing of it is left, and what runs beside it
// goes on.
func TestAgentInstalledUsedAndRemoved(t *testing.T) {
	root := tree(t)
	folder, _ := built(t, root)
	m := boot(t, folder)
	m.run("command -v unbound >/dev/null || { echo 'unbound is not installed'; exit 1; }")
	m.run("for a in 192.0.2.10 192.0.2.11 192.0.2.20 192.0.2.25 192.0.2.53 192.0.2.80 198.51.100.7; do ip address add $a/32 dev lo; done")

	// The desk, on the same machine: neither package stands in the other's way.
	install, err := os.ReadFile(filepath.Join(root, "docs/do/install.md"))
	if err != nil {
		t.Fatal(err)
	}
	m.run("apt-get install -y /mnt/package/bolwerk_*.deb")
	m.put("/etc/bolwerk/bolwerk.toml", string(wholeConfiguration.FindSubmatch(install)[1]))
	m.run("systemctl start bolwerk@desk && systemctl is-active bolwerk@desk")
	before := m.written()
	var in struct{ Line string }
	if err := json.Unmarshal([]byte(m.run("runuser -u bolwerk -- bolwerk host add resolver-1 --role agent --data /var/lib/bolwerk --json")), &in); err != nil {
		t.Fatal(err)
	}

	// A resolver of the distribution's package, with what the document of resolvers says.
	m.put("/etc/unbound/unbound.conf", `server:
	chroot: ""
	interface: 127.0.0.1
	module-config: "respip iterator"
remote-control:
	control-enable: no
`+unboundZones)
	m.run("systemctl start unbound && systemctl is-active unbound")

	blocks := m.blocks(root, "do/agent.md", "./bolwerk-agent_*.deb", "/mnt/package/bolwerk-agent_*.deb", "LINE", "'"+in.Line+"'")
	if len(blocks) < 3 {
		t.Fatalf("%d blocks in do/agent.md: want those that install, join and remove", len(blocks))
	}
	m.run(blocks[0])
	m.run(`man --warnings -l /usr/share/man/man8/bolwerk-agent.8.gz >/dev/null`)
	m.run(`sed -i 's/^resolver = .*/resolver = "unbound"/; s/^listen = "127.0.0.1:8089"/listen = "127.0.0.1:0"/' /etc/bolwerk-agent/agent.toml`)
	m.run(blocks[1])
	m.until("systemctl is-active bolwerk-agent")
	if got := m.run(`stat -c %U:%a /proc/$(systemctl show -P MainPID bolwerk-agent) /var/lib/bolwerk-agent; grep CapEff /proc/$(systemctl show -P MainPID bolwerk-agent)/status`); !strings.HasPrefix(got, "bolwerk-agent:555\nbolwerk-agent:700\nCapEff:\t0000000000000000") {
		t.Errorf("who it is and what it may: %q", got)
	}

	m.accept(m.run("runuser -u bolwerk -- bolwerk user invite anna --role duty_officer --data /var/lib/bolwerk"), 1)
	m.run(`runuser -u bolwerk -- bolwerk token create anna --name desk --scopes read,decide --file /var/lib/bolwerk/desk.token
		bolwerk block add bad.example --reason "a test" --token-file /var/lib/bolwerk/desk.token`)
	m.until(`test "$(dig +short +time=2 +tries=1 @127.0.0.1 bad.example A)" = 192.0.2.80`)
	// The desk has its proof, by the resolver's own answer.
	m.until(`curl -s -H "Authorization: Bearer $(cat /var/lib/bolwerk/desk.token)" http://127.0.0.1:8080/api/v1/now | grep -q '"name":"resolver-1","kind":"agent","state":"current"'`)

	m.run(`dpkg -i /mnt/package/bolwerk-agent_*.deb && systemctl is-active bolwerk-agent`) // an upgrade goes on
	m.run("sed -i '/^rpz:/,$d' /etc/unbound/unbound.conf && systemctl restart unbound")
	for _, b := range blocks[2:] {
		m.run(b)
	}
	if out := m.run(`ls -d /etc/bolwerk-agent /usr/bin/bolwerk-agent /var/lib/bolwerk-agent /var/cache/bolwerk-agent /run/bolwerk-agent /usr/share/doc/bolwerk-agent /etc/systemd/system/*.wants/bolwerk-agent* 2>/dev/null || true; grep bolwerk-agent /etc/passwd /etc/group || true`); out != "" {
		t.Errorf("left behind:\n%s", out)
	}
	for f := range m.written() {
		if !before[f] && strings.Contains(f, "bolwerk-agent") && !strings.HasPrefix(f, "/var/cache/") && !strings.HasPrefix(f, "/var/log/") {
			t.Errorf("left behind: %s", f)
		}
	}
	m.run("systemctl is-active bolwerk@desk && systemctl is-active unbound && bolwerk version")
}

const unboundZones = `rpz:
	name: "p.rpz"
	primary: 127.0.0.1@5302
	allow-notify: 127.0.0.1
	zonefile: "/var/lib/unbound/p.rpz.zone"
rpz:
	name: "h.rpz"
	primary: 127.0.0.1@5302
	allow-notify: 127.0.0.1
	zonefile: "/var/lib/unbound/h.rpz.zone"
rpz:
	name: "b.rpz"
	primary: 127.0.0.1@5302
	allow-notify: 127.0.0.1
	zonefile: "/var/lib/unbound/b.rpz.zone"
`
