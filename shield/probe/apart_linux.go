package probe

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// apart gives a process namespaces of its own: it has no network, and is nobody
// who could start it without its own sandbox. It needs user namespaces, which a
// system may have switched off; then nothing starts.
func apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true,
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Getegid(), Size: 1}},
	}
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
}

func killGroup(pid int) error { return syscall.Kill(-pid, syscall.SIGKILL) }

// memoryOf is what the processes of a group hold in memory, what they share
// counted once for each: more than they take.
func memoryOf(group int) (sum int64) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range stats {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		i := bytes.LastIndexByte(b, ')')
		fields := bytes.Fields(b[i+1:])
		if i < 0 || len(fields) < 22 {
			continue
		}
		if g, _ := strconv.Atoi(string(fields[2])); g != group { // field 5 of proc(5)
			continue
		}
		if s, err := os.ReadFile(filepath.Join(filepath.Dir(f), "statm")); err == nil {
			if m := bytes.Fields(s); len(m) > 2 {
				all, _ := strconv.ParseInt(string(m[1]), 10, 64)
				shared, _ := strconv.ParseInt(string(m[2]), 10, 64)
				sum += (all - shared) * int64(os.Getpagesize())
			}
		}
	}
	return sum
}
