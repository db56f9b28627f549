package reading

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// lowPriority makes this thread, and what it starts, yield to everybody else.
func lowPriority() { _ = unix.Setpriority(unix.PRIO_PROCESS, 0, 19) }

// become replaces this process by a program.
func become(program string, args []string) error {
	return unix.Exec(program, args, []string{"OMP_THREAD_LIMIT=1"})
}

// limitOCR gives up what a program that reads letters does not need. It must
// read its own files, so not all of limit can be taken away; a program taken
// over by a picture can compute and answer, no more.
func limitOCR() error {
	for _, l := range []struct {
		name string
		what int
		max  uint64
	}{
		{"memory", unix.RLIMIT_DATA, 1 << 30}, // four languages need 300 MB
		{"time", unix.RLIMIT_CPU, ocrCPU},
		{"core", unix.RLIMIT_CORE, 0},
		{"files", unix.RLIMIT_NOFILE, 64},
		{"file-size", unix.RLIMIT_FSIZE, 0},
	} {
		if err := unix.Setrlimit(l.what, &unix.Rlimit{Cur: l.max, Max: l.max}); err != nil {
			return fmt.Errorf("limit %s: %w", l.name, err)
		}
	}
	lowPriority()
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("limit no_new_privs: %w", err)
	}
	if err := onlyRead(); err != nil {
		return fmt.Errorf("limit files (Landlock, Linux 5.13 and later): %w", err)
	}
	p := ocrProgram()
	if p == nil {
		return errors.New("no filter of system calls for this architecture")
	}
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	r, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(p)
	if errno != 0 || r != 0 {
		return fmt.Errorf("limit seccomp: %w", errno)
	}
	return nil
}

// ocrNeeds are the system calls of a program that reads its own files and what it
// is given, beside those of harmless; ocrNeedsHere are those of this architecture.
var ocrNeeds = []uint32{
	unix.SYS_EXECVE, // it becomes the program by it
	unix.SYS_LSEEK, unix.SYS_PREAD64, unix.SYS_NEWFSTATAT, unix.SYS_STATX, unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2, unix.SYS_READLINKAT,
	unix.SYS_GETDENTS64, unix.SYS_GETCWD, unix.SYS_UNAME, unix.SYS_SYSINFO, unix.SYS_SET_TID_ADDRESS, unix.SYS_DUP,
	unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID,
}

// ocrProgram is the filter: what is not listed is refused, and of what is listed
// opening to write, new processes and signals to others.
func ocrProgram() []unix.SockFilter {
	if auditArch == 0 {
		return nil
	}
	p := filterHead()
	for _, n := range slices.Concat(harmless, ocrNeeds, ocrNeedsHere) {
		switch n {
		case unix.SYS_TGKILL, unix.SYS_TKILL, unix.SYS_PRLIMIT64: // they reach other processes of this user
		default:
			p = append(p, bpfEqual(n), bpfAllow)
		}
	}
	const writing = unix.O_WRONLY | unix.O_RDWR | unix.O_CREAT | unix.O_TRUNC | unix.O_APPEND
	return append(p,
		// openat: to read. Its flags are the third argument.
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_OPENAT, Jf: 4},
		bpfLoad(dataArg0+16),
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: writing, Jf: 1},
		bpfRefuse, bpfAllow,
		// clone: threads, but no processes. clone3 hides its flags: not there.
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CLONE, Jf: 4},
		bpfLoad(dataArg0),
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: unix.CLONE_THREAD, Jf: 1},
		bpfAllow, bpfRefuse,
		bpfEqual(unix.SYS_CLONE3), bpfReturn(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)),
		bpfRefuse,
	)
}

// onlyRead leaves this process the system's own folders, and of them reading.
// Where the kernel does not have Landlock it is an error: the keys of the desk
// lie in files of the same user.
func onlyRead() error {
	rules := unix.LandlockRulesetAttr{Handled_access_fs: unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_DIR}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)), unsafe.Sizeof(rules.Handled_access_fs), 0)
	if errno != 0 {
		return errno
	}
	defer unix.Close(int(fd))
	for _, dir := range []string{"/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives"} {
		at, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		allowed := uint64(unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE)
		var st unix.Stat_t
		if unix.Fstat(at, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			allowed |= unix.LANDLOCK_ACCESS_FS_READ_DIR
		}
		path := unix.LandlockPathBeneathAttr{Allowed_access: allowed, Parent_fd: int32(at)}
		_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, fd, unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&path)), 0, 0, 0)
		unix.Close(at)
		if errno != 0 {
			return errno
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
