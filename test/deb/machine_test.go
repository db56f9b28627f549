package deb

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// machine is a Debian of its own with systemd as its first process: see boot.sh.
type machine struct {
	t   *testing.T
	pid string // of its systemd, here
	dir string
}

// boot starts one, with the files of folder in /mnt/package.
func boot(t *testing.T, folder string) *machine {
	t.Helper()
	for _, tool := range []string{"unshare", "nsenter", "dpkg", "/lib/systemd/systemd", "dig"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, tool+" is not installed")
		}
	}
	if os.Geteuid() != 0 {
		missing(t, "not root")
	}
	m := &machine{t: t, dir: t.TempDir()}
	group := ownGroup(t)
	cmd := exec.Command("sh", "-c", `echo $$ >"$0/cgroup.procs" && exec unshare --mount --pid --net --cgroup --ipc --uts --fork --kill-child sh boot.sh "$1" "$2"`, group, m.dir, folder)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if m.pid != "" { // its first process: all others end with it
			if pid, err := strconv.Atoi(m.pid); err == nil {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		cmd.Process.Kill()
		cmd.Wait()
		removeGroups(group)
	})
	task := fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid)
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		if b, err := os.ReadFile(task); err == nil {
			m.pid = strings.TrimSpace(string(b))
		}
		if m.pid != "" {
			if name, _ := os.ReadFile("/proc/" + m.pid + "/comm"); string(name) == "systemd\n" {
				if out, err := m.try("systemctl is-active basic.target"); err == nil && strings.TrimSpace(out) == "active" {
					return m
				}
			}
		}
		if time.Now().After(end) {
			t.Fatalf("the machine has not started:\n%s", log.String())
		}
	}
}

// try runs a script in the machine as its root.
func (m *machine) try(script string) (string, error) {
	ctx, cancel := context.WithTimeout(m.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", "--target", m.pid, "--mount", "--pid", "--net", "--cgroup", "--ipc", "--uts", "--root", "--wdns=/root",
		"env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb", "DEBIAN_FRONTEND=noninteractive", "bash", "-euo", "pipefail", "-c", script)
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// run runs a script that must succeed, and gives what it printed.
func (m *machine) run(script string) string {
	m.t.Helper()
	out, err := m.try(script)
	if err != nil {
		m.t.Fatalf("%s\n%v:\n%s\nthe journal:\n%s", script, err, out, m.journal())
	}
	return out
}

// put writes a file of the machine.
func (m *machine) put(path, text string) {
	m.t.Helper()
	m.run("cat >" + path + " <<'END-OF-FILE'\n" + text + "END-OF-FILE")
}

// until runs a script again until it succeeds.
func (m *machine) until(script string) string {
	m.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(500 * time.Millisecond) {
		out, err := m.try(script)
		if err == nil {
			return out
		}
		if time.Now().After(end) {
			m.t.Fatalf("%s\n%v:\n%s\nthe journal:\n%s", script, err, out, m.journal())
		}
	}
}

func (m *machine) journal() string {
	out, _ := m.try("journalctl --no-pager -o cat -n 60 -u 'bolwerk*'")
	return out
}

// written are the files of the system that are there now and were not when the
// machine started, and those that were changed.
func (m *machine) written() map[string]bool {
	out := m.run(`find /etc /usr /var /opt /srv /boot -xdev \( -newer /etc/machine-id -o -cnewer /etc/machine-id \) ! -type d | sort`)
	files := map[string]bool{}
	for f := range strings.Lines(out) {
		files[strings.TrimSpace(f)] = true
	}
	return files
}

// ownGroup makes a cgroup for a machine: systemd wants one to divide.
func ownGroup(t *testing.T) string {
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			dir := filepath.Join(f[1], fmt.Sprintf("bolwerk-deb-%d", os.Getpid()))
			if err := os.Mkdir(dir, 0o755); err != nil {
				missing(t, "no cgroup of our own: "+err.Error())
			}
			return dir
		}
	}
	missing(t, "no cgroup2 is mounted")
	return ""
}

// removeGroups removes the cgroups that the machine has left, the inner ones first.
func removeGroups(dir string) {
	for range 20 {
		var dirs []string
		filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append([]string{path}, dirs...)
			}
			return nil
		})
		for _, d := range dirs {
			syscall.Rmdir(d)
		}
		if _, err := os.Stat(dir); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond) // its last processes are still ending
	}
}

// missing skips on a laptop what must run in CI.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}
