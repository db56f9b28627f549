//go:build !linux

package reading

import "os/exec"

// limit has only what Go itself limits on this system: heap and stack.
func limit() (set, absent []string, err error) {
	return nil, []string{"memory", "core", "files", "file-size", "dumpable", "no-new-privs", "seccomp"}, nil
}

func bind(*exec.Cmd) {}
