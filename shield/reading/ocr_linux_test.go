package reading

import "golang.org/x/sys/unix"

// canLimit asks for the version of Landlock: 0 is none.
func canLimit() bool {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	return auditArch != 0 && errno == 0 && v > 0
}
