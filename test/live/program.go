package live

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// built are the programs of this test run, by build tags.
var built struct {
	sync.Mutex
	path map[string]string
}

// Build builds the program once for each set of tags, and gives its path.
func Build(t testing.TB, tags string) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if p := built.path[tags]; p != "" {
		return p
	}
	dir, err := os.MkdirTemp("", "bolwerk-live-")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "bolwerk")
	cmd := exec.Command("go", "build", "-tags", tags, "-o", path, "bolwerk/cmd/bolwerk")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build bolwerk: %v\n%s", err, out)
	}
	if built.path == nil {
		built.path = map[string]string{}
	}
	built.path[tags] = path
	return path
}

// Main runs the tests of a package and removes what Build made.
func Main(m *testing.M) { os.Exit(Tests{m}.Run()) }

// Tests are the tests of a package; Run removes what Build made.
type Tests struct{ M *testing.M }

// Run gives the code to exit with.
func (t Tests) Run() int {
	code := t.M.Run()
	for _, p := range built.path {
		os.RemoveAll(filepath.Dir(p))
	}
	return code
}

// Program is a running process of ours.
type Program struct {
	Log  string // file with both its outputs
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// readyIn is how long a role may take to answer. The machine may be busy.
const readyIn = 90 * time.Second

// launch starts the program; ready is closed at its line "ready". Both outputs
// are appended to the file log.
func launch(log string, env []string, program string, args ...string) (p *Program, ready <-chan struct{}, err error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = f
	// It ends with us, whatever becomes of the test.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	p = &Program{Log: log, cmd: cmd, done: make(chan struct{})}
	says := make(chan struct{})
	started := make(chan error)
	go func() {
		// Pdeathsig follows the thread that started the child: it must live as
		// long as the child does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		defer close(p.done)
		defer f.Close()
		said := false
		for sc := bufio.NewScanner(out); sc.Scan(); {
			fmt.Fprintln(f, sc.Text())
			if sc.Text() == "ready" && !said {
				said = true
				close(says)
			}
		}
		p.err = cmd.Wait()
	}()
	if err := <-started; err != nil {
		return nil, nil, err
	}
	return p, says, nil
}

// Pid is its process id.
func (p *Program) Pid() int { return p.cmd.Process.Pid }

// Done is closed when it has ended.
func (p *Program) Done() <-chan struct{} { return p.done }

// Alive says that it runs.
func (p *Program) Alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Kill ends it as kill -9 does, and waits for that.
func (p *Program) Kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// Stop asks it to end and waits; one that takes longer than 20 s is killed, and
// that is an error.
func (p *Program) Stop() error {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-time.After(20 * time.Second):
		p.Kill()
		return fmt.Errorf("did not end within 20 s after SIGTERM\n%s", p.Tail())
	}
}

// Tail is the end of its log.
func (p *Program) Tail() string {
	b, _ := os.ReadFile(p.Log)
	return strings.ToValidUTF8(string(b[max(0, len(b)-3000):]), "")
}

// Address is a loopback address (127.0.0.0/8) of this test's own: on it the
// usual ports are free, whatever else runs on the machine.
func Address(t testing.TB) string {
	t.Helper()
	for range 100 {
		var b [3]byte
		rand.Read(b[:])
		ip := fmt.Sprintf("127.%d.%d.%d", 64+b[0]%128, b[1], 1+b[2]%250)
		if l, err := net.Listen("tcp", ip+":8090"); err == nil {
			l.Close()
			return ip
		}
	}
	t.Fatal("no free loopback address")
	return ""
}
