//go:build !linux

package reading

import (
	"errors"
	"os/exec"
)

// limit has only what Go itself limits on this system: heap and stack.
func limit() (set, absent []string, err error) {
	return nil, []string{"memory", "core", "files", "file-size", "dumpable", "no-new-privs", "seccomp"}, nil
}

func bind(*exec.Cmd) {}

func lowPriority() {}

func limitOCR() error {
	return errors.New("letters in pictures are read on Linux only: nothing limits another program here")
}

func become(string, []string) error { return errors.ErrUnsupported }
