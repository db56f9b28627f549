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

var (
	once  sync.Once
	mu    sync.Mutex
	name  string
	count int
	what  string
)

// Point is a place where a test may stop the program. With BOLWERK_FAULT_LOG
// set it appends its name to that file, so that a test can enumerate points.
func Point(at string) error {
	once.Do(func() {
		spec, action, _ := strings.Cut(os.Getenv("BOLWERK_FAULT"), "=")
		n, c, ok := strings.Cut(spec, ":")
		name, count, what = n, 1, action
		if ok {
			count, _ = strconv.Atoi(c)
		}
	})
	if f := os.Getenv("BOLWERK_FAULT_LOG"); f != "" {
		if w, err := os.OpenFile(f, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			fmt.Fprintln(w, at)
			w.Close()
		}
	}
	if at != name {
		return nil
	}
	mu.Lock()
	count--
	hit := count == 0
	mu.Unlock()
	if !hit {
		return nil
	}
	if what == "error" {
		return ErrInjected
	}
	syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {}
}
