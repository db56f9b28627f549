package reading

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_X86_64

// What glibc asks for on this architecture only.
var ocrNeedsHere = []uint32{unix.SYS_ARCH_PRCTL, unix.SYS_ACCESS, unix.SYS_READLINK, unix.SYS_STAT, unix.SYS_LSTAT}
