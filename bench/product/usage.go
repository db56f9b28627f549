package product

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process and its children have used, and hold now.
type Usage struct {
	CPU     time.Duration // of the process
	Readers time.Duration // of its children
	RSS     int64         // bytes of the process
	Peak    int64         // bytes, the most it ever had
}

// clockTick is USER_HZ: 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// Usage reads it from /proc.
func (p *Product) Usage() Usage {
	u := Usage{CPU: CPU(p.PID)}
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range all {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if f := stat(pid); len(f) > 1 && f[1] == strconv.Itoa(p.PID) {
			u.Readers += CPU(pid)
		}
	}
	u.RSS, u.Peak = Memory(p.PID)
	return u
}

// Memory is what a process holds, and the most it ever held, in bytes.
func Memory(pid int) (rss, peak int64) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "VmRSS:":
			rss = n << 10
		case "VmHWM:":
			peak = n << 10
		}
	}
	return rss, peak
}

// FilePages are those octets of a process's memory that are pages of files, above all
// of its own program: the system shares them and drops them when it needs room.
func FilePages(pid int) (octets int64) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(b), "RssFile:")
	if f := strings.Fields(rest); len(f) > 0 {
		octets, _ = strconv.ParseInt(f[0], 10, 64)
	}
	return octets << 10
}

// stat is what stands behind the name in /proc/PID/stat: state, parent, ...
func stat(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	_, rest, _ := bytes.Cut(b[bytes.LastIndexByte(b, ')'):], []byte(" "))
	return strings.Fields(string(rest))
}

// CPU is the processor time of a process (proc(5): utime and stime).
func CPU(pid int) time.Duration {
	f := stat(pid)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * clockTick
}

// Kernel is what of CPU was spent in the kernel.
func Kernel(pid int) time.Duration {
	f := stat(pid)
	if len(f) < 13 {
		return 0
	}
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(system) * clockTick
}

// Load is the load average of the machine, for beside a figure.
func Load() string {
	b, _ := os.ReadFile("/proc/loadavg")
	f := strings.Fields(string(b))
	return strings.Join(f[:min(3, len(f))], " ")
}
