package reading

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// limit gives up what this process does not need to read mail. set names what
// is in force, absent what this kernel does not have.
func limit() (set, absent []string, err error) {
	for _, l := range []struct {
		name string
		what int
		max  uint64
	}{
		// RLIMIT_DATA counts private writable memory since Linux 4.7; what Go only
		// reserves is not writable and does not count. RLIMIT_AS would count it.
		{"memory", unix.RLIMIT_DATA, ChildMemory},
		{"core", unix.RLIMIT_CORE, 0}, // a core file would hold the mail
		{"files", unix.RLIMIT_NOFILE, childFiles},
		{"file-size", unix.RLIMIT_FSIZE, 0},
	} {
		if err := unix.Setrlimit(l.what, &unix.Rlimit{Cur: l.max, Max: l.max}); err != nil {
			return nil, nil, fmt.Errorf("limit %s: %w", l.name, err)
		}
		set = append(set, l.name)
	}
	// Not dumpable: no other process of this user may look into it by ptrace.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return nil, nil, fmt.Errorf("limit dumpable: %w", err)
	}
	// Both belong to a thread: TSYNC carries them to the other threads.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, nil, fmt.Errorf("limit no_new_privs: %w", err)
	}
	set = append(set, "dumpable", "no-new-privs")
	switch err := filter(); {
	case errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) || errors.Is(err, errors.ErrUnsupported):
		absent = append(absent, "seccomp")
	case err != nil:
		return nil, nil, fmt.Errorf("limit seccomp: %w", err)
	default:
		set = append(set, "seccomp")
	}
	return set, absent, nil
}

// filter installs the seccomp filter in all threads.
func filter() error {
	p := program()
	if p == nil {
		return errors.ErrUnsupported
	}
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	r, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(p)
	switch {
	case errno != 0:
		return errno
	case r != 0:
		return fmt.Errorf("thread %d did not take the filter", r)
	}
	return nil
}

// harmless are the system calls that the Go runtime and a read-write loop need.
// All others are refused with EPERM, and those of deadly end the process.
var harmless = []uint32{
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_CLOSE, unix.SYS_FSTAT, unix.SYS_FCNTL,
	unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MPROTECT, unix.SYS_MADVISE, unix.SYS_MINCORE, unix.SYS_BRK, unix.SYS_MREMAP,
	unix.SYS_FUTEX, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP,
	unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY, unix.SYS_RESTART_SYSCALL,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	unix.SYS_TGKILL, unix.SYS_TKILL, unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_GETRANDOM,
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2, unix.SYS_PIPE2,
	unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_MEMBARRIER, unix.SYS_PRLIMIT64,
	unix.SYS_GETRUSAGE, unix.SYS_SETITIMER, unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_DELETE,
	unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
}

// deadly are what only a program that was taken over would ask for.
var deadly = []uint32{
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT4, unix.SYS_SENDTO,
	unix.SYS_SENDMSG, unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV,
	unix.SYS_KILL, unix.SYS_MOUNT, unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_BPF, unix.SYS_KEYCTL, unix.SYS_PERF_EVENT_OPEN,
	unix.SYS_IO_URING_SETUP, unix.SYS_USERFAULTFD, unix.SYS_INIT_MODULE, unix.SYS_MEMFD_CREATE, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT2,
}

// Offsets into struct seccomp_data (linux/seccomp.h).
const (
	dataNumber = 0
	dataArch   = 4
	dataArg0   = 16 // its low half, on little-endian machines
	x32Bit     = 0x40000000
)

// The instructions of a filter. bpfEqual skips the next one unless the loaded word
// is v.
func bpfLoad(off uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: off}
}

func bpfReturn(v uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: v}
}

func bpfEqual(v uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: v, Jf: 1}
}

var bpfKill, bpfAllow, bpfRefuse = bpfReturn(unix.SECCOMP_RET_KILL_PROCESS), bpfReturn(unix.SECCOMP_RET_ALLOW), bpfReturn(unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM))

// filterHead begins a filter: another architecture's calls end the process, and
// the number of the call is loaded.
func filterHead() []unix.SockFilter {
	return []unix.SockFilter{
		bpfLoad(dataArch),
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: auditArch, Jt: 1}, bpfKill,
		bpfLoad(dataNumber),
		{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: x32Bit, Jf: 1}, bpfKill,
	}
}

// program is the filter as classic BPF, or nil for an architecture whose
// numbers were not checked.
func program() []unix.SockFilter {
	if auditArch == 0 {
		return nil
	}
	p := filterHead()
	for _, n := range harmless {
		p = append(p, bpfEqual(n), bpfAllow)
	}
	for _, n := range deadly {
		p = append(p, bpfEqual(n), bpfKill)
	}
	return append(p,
		// prctl: the runtime names its memory, and nothing else.
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_PRCTL, Jf: 4},
		bpfLoad(dataArg0), bpfEqual(unix.PR_SET_VMA), bpfAllow, bpfRefuse,
		// clone: threads, but no processes. clone3 hides its flags: not there.
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CLONE, Jf: 4},
		bpfLoad(dataArg0),
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: unix.CLONE_THREAD, Jf: 1},
		bpfAllow, bpfKill,
		bpfEqual(unix.SYS_CLONE3), bpfReturn(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)),
		bpfRefuse,
	)
}

// bind makes the child end with this process: the kernel kills it when the
// thread that started it ends, so that thread must live as long as the child.
func bind(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr.Setpgid = true // Ctrl-C at a terminal is for the parent
}
