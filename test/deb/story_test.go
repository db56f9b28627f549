package deb

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var wholeConfiguration = regexp.MustCompile("(?s)```toml check\n(.*?)```")

// The documents are followed on a new machine, from the package to the purge.
func TestInstalledUsedAndRemoved(t *testing.T) {
	root := tree(t)
	folder, _ := built(t, root)
	m := boot(t, folder)
	before := m.written()

	install, err := os.ReadFile(filepath.Join(root, "docs/do/install.md"))
	if err != nil {
		t.Fatal(err)
	}
	example := wholeConfiguration.FindSubmatch(install)
	if example == nil {
		t.Fatal("no whole configuration in docs/do/install.md")
	}
	// The addresses that the documents use are this machine's, in a network that
	// is its own. Nobody answers at the resolvers.
	m.run("for a in 192.0.2.10 192.0.2.11 192.0.2.20 192.0.2.25 192.0.2.53 192.0.2.80 198.51.100.7; do ip address add $a/32 dev lo; done")
	words := []string{"./bolwerk_*.deb", "/mnt/package/bolwerk_*.deb"}
	blocks := m.blocks(root, "do/install.md", words...)
	m.run(blocks[0]) // the package
	m.run("bolwerk check /etc/bolwerk/bolwerk.toml")
	m.run("man --warnings -l /usr/share/man/man1/bolwerk-case.1.gz >/dev/null; bash -c 'source /usr/share/bash-completion/completions/bolwerk'")
	m.put("/etc/bolwerk/bolwerk.toml", string(example[1]))
	for _, b := range blocks[1:] {
		if strings.HasPrefix(b, "dig") { // its upstream is nobody: an answer is SERVFAIL
			b = strings.Replace(b, "dig", "dig -b 198.51.100.7 +tries=1", 1)
		}
		out := m.run(b)
		if strings.Contains(b, "user invite") {
			m.accept(out, 3)
		}
	}

	// Who it is, and what it may.
	m.run(`systemctl is-active bolwerk@all && systemctl show -p StatusText bolwerk@all | grep -q ready`)
	status := m.run(`cat /proc/$(systemctl show -P MainPID bolwerk@all)/status`)
	if !strings.Contains(status, "CapEff:\t0000000000000400") || !strings.Contains(status, "NoNewPrivs:\t1") || !strings.Contains(status, "Seccomp:\t2") {
		t.Errorf("the service may more than bind low ports:\n%s", status)
	}
	if got := m.run(`stat -c %U:%a /proc/$(systemctl show -P MainPID bolwerk@all) /var/lib/bolwerk /var/lib/bolwerk/desk`); got != "bolwerk:555\nbolwerk:700\nbolwerk:700\n" {
		t.Errorf("owners %q", got)
	}

	// A mail goes through the reader, which sets its own limits inside the unit's.
	m.put("/root/mail.eml", "From: a@sender.example\nTo: verdacht@veilig.voorbeeld.example\nSubject: your card\nMessage-ID: <1@sender.example>\n\nConfirm at http://voorbeeld-login.example/card now.\n")
	m.run(`bolwerk report mail /root/mail.eml --server http://127.0.0.1:8081`)
	m.until(`bolwerk case list --state gathering,waiting --json --token-file /var/lib/bolwerk/monitoring.token | grep -q voorbeeld-login.example`)
	m.run(`exec 3<>/dev/tcp/192.0.2.25/25; read -r line <&3; case $line in 220*) ;; *) echo "$line"; exit 1 ;; esac`)

	// A decision is in force on port 53, and leads to port 80.
	m.run(`runuser -u bolwerk -- bolwerk token create anna --name desk --scopes read,decide --file /var/lib/bolwerk/desk.token`)
	m.run(`bolwerk block add bad.example --reason "a test" --token-file /var/lib/bolwerk/desk.token`)
	blocked := `test "$(dig -b 198.51.100.7 +short @192.0.2.53 bad.example A)" = 192.0.2.80 && curl -s -H 'Host: bad.example' http://192.0.2.80/ | grep -q bad.example`
	m.until(blocked)

	// The same package again is an upgrade: the roles go on with it.
	pid := m.run(`systemctl show -P MainPID bolwerk@all`)
	m.run(`dpkg -i /mnt/package/bolwerk_*.deb && systemctl is-active bolwerk@all`)
	if again := m.run(`systemctl show -P MainPID bolwerk@all`); again == pid || again == "0\n" {
		t.Errorf("the upgrade left process %q running, before it %q", again, pid)
	}
	m.until(blocked)
	if out := m.run("md5sum /etc/bolwerk/bolwerk.toml; dpkg -V bolwerk || true"); !strings.Contains(out, "/etc/bolwerk/bolwerk.toml") {
		t.Errorf("the configuration was not kept: %s", out)
	}

	// A stop ends by itself; then each role is a unit of its own.
	m.run(`systemctl stop bolwerk@all; test "$(systemctl show -P Result bolwerk@all)" = success`)
	m.run(`echo 'metrics.listen = "127.0.0.1:0"' >/root/first; sed '/^\[metrics\]/,/^$/d' /etc/bolwerk/bolwerk.toml >/root/rest; cat /root/first /root/rest >/etc/bolwerk/bolwerk.toml
		systemctl start bolwerk@desk bolwerk@intake bolwerk@edge`)
	m.until(blocked)
	if got := m.run(`grep CapEff /proc/$(systemctl show -P MainPID bolwerk@desk)/status`); !strings.Contains(got, "0000000000000000") {
		t.Errorf("the desk has %s", got)
	}
	m.run(`systemctl start bolwerk@all; ! systemctl is-active --quiet bolwerk@desk`) // not beside each other
	m.run(`systemctl stop 'bolwerk@*'`)

	m.backup(root)
	m.run(`systemctl start bolwerk@all`)
	m.remove(root, before)
}

var welcome = regexp.MustCompile(`https?://[^/\s]+(/welcome/\S+)`)

// accept sets the passwords that the invitations in out ask for.
func (m *machine) accept(out string, people int) {
	m.t.Helper()
	links := welcome.FindAllStringSubmatch(out, -1)
	if len(links) < people {
		m.t.Fatalf("%d invitations in %s", len(links), out)
	}
	for _, l := range links {
		m.run(`test "$(curl -s -o /dev/null -w '%{http_code}' -d password=a-long-one-for-this -d again=a-long-one-for-this http://127.0.0.1:8080` + l[1] + `)" = 303`)
	}
}

// backup follows the guide to backup and restore.
func (m *machine) backup(root string) {
	m.run(`systemctl start bolwerk@all`)
	for _, b := range m.blocks(root, "do/backup-restore.md") {
		m.run(b)
	}
	m.until(`test "$(dig -b 198.51.100.7 +short @192.0.2.53 bad.example A)" = 192.0.2.80`)
	m.run(`systemctl stop bolwerk@all`)
}

// remove follows the guide to the end, and looks what is left.
func (m *machine) remove(root string, before map[string]bool) {
	for _, b := range m.blocks(root, "do/uninstall.md") {
		m.run(b)
		if strings.Contains(b, "purge") {
			m.run(`test -d /var/lib/bolwerk/desk/keys && id bolwerk && ! pgrep -u bolwerk && ! test -e /etc/bolwerk`)
		}
	}
	if out := m.run(`find /etc /usr /var /opt /srv -xdev -nouser -newer /etc/machine-id ! -path "/var/backups/*"; ls -d /etc/bolwerk /usr/share/doc/bolwerk /var/lib/bolwerk /etc/systemd/system/*.wants/bolwerk* 2>/dev/null || true`); out != "" {
		m.t.Errorf("left behind:\n%s", out)
	}
	// What the package manager, the test and the system keep for themselves.
	own := regexp.MustCompile(`^/(var/lib/(dpkg|apt|systemd|ucf)/|var/(cache|log|backups)/|etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|etc/(\.pwd\.lock|ld\.so\.cache|machine-id|resolv\.conf|mailcap)|root/|run/|tmp/|mnt/|etc/apt/|var/lib/(man-db|polkit-1|PackageKit)/)`)
	var left []string
	for f := range m.written() {
		if !before[f] && !own.MatchString(f) {
			left = append(left, f)
		}
	}
	slices.Sort(left)
	if len(left) > 0 {
		m.t.Errorf("left behind, or changed:\n%s", strings.Join(left, "\n"))
	}
	if out := m.run(`grep bolwerk /etc/passwd /etc/group /etc/shadow || true`); out != "" {
		m.t.Errorf("left of the user: %s", out)
	}
}
