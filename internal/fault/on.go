//go:build fault

package fault

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// On says that this build has faults in it.
const On = true

var (
	once  sync.Once
	mu    sync.Mutex
	name  string
	count int
	what  string
)

// Point is a place where a test may stop the program or make it fail.
func Point(at string) error {
	if !reached(at) {
		return nil
	}
	switch what {
	case "error":
		return ErrInjected
	case "stop": // until somebody sends SIGCONT
		syscall.Kill(syscall.Getpid(), syscall.SIGSTOP)
		return nil
	}
	Kill()
	return nil
}

// Torn is a place where bytes are about to be written. True: the caller writes
// half of them and calls Kill.
func Torn(at string) bool {
	if !reached(at) {
		return false
	}
	if what != "torn" {
		Kill()
	}
	return true
}

// Kill ends the process as kill -9 does: nothing is flushed, no defer runs.
func Kill() {
	syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {}
}

// reached notes the passage and says whether it is the one that was asked for.
func reached(at string) bool {
	once.Do(func() {
		// The action stands behind the last "=", the count behind the last ":".
		spec := os.Getenv("BOLWERK_FAULT")
		name, count = spec, 1
		if i := strings.LastIndexByte(spec, '='); i >= 0 {
			name, what = spec[:i], spec[i+1:]
		}
		if n, c, ok := strings.Cut(name, ":"); ok {
			name = n
			count, _ = strconv.Atoi(c)
		}
	})
	mu.Lock()
	defer mu.Unlock()
	if f := os.Getenv("BOLWERK_FAULT_LOG"); f != "" {
		if w, err := os.OpenFile(f, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			fmt.Fprintln(w, at)
			w.Close()
		}
	}
	if at != name {
		return false
	}
	count--
	return count == 0
}
