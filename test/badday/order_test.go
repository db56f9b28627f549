package badday

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"bolwerk/test/live"
)

// A promise is kept when it was on the disk before it was given: what the kernel
// was asked, in its order, is the proof that a kill cannot show.
func TestWhatIsAcknowledgedWasMadeDurableBefore(t *testing.T) {
	long(t)
	if _, err := exec.LookPath("strace"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("strace is not installed: test/peers/install.sh installs it")
		}
		t.Skip("strace is not installed: test/peers/install.sh installs it")
	}
	s := live.Apart(t, "", "", nil)
	s.Found()

	spool := regexp.MustCompile(`/spool/`)
	wal := regexp.MustCompile(`/bolwerk\.db-wal>`)
	for _, c := range []struct {
		name, role, said string
		kept             *regexp.Regexp
		renamed          bool
		do               func() error
	}{
		{"a mail, 250", "intake", `"250 2.0.0 kept`, spool, true, func() error {
			return s.Mail("anna@customer.example", "From: anna@customer.example\r\nSubject: Fwd: look\r\n\r\nhttps://durable.example/in\r\n")
		}},
		{"a report, 201", "intake", `"HTTP/1.1 201`, spool, true, func() error {
			_, err := s.Report("https://durable-two.example/in")
			return err
		}},
		{"a decision, 201", "desk", `"HTTP/1.1 201`, wal, false, func() error {
			_, err := s.Block("durable-three.example", "")
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			calls := traced(t, s.Program(c.role).Pid(), c.do)
			said := -1
			for i, line := range calls {
				if said < 0 && strings.HasPrefix(line, "write(") && strings.Contains(line, c.said) {
					said = i
				}
			}
			if said < 0 {
				t.Fatalf("the answer %s is not among %d calls:\n%s", c.said, len(calls), strings.Join(calls, "\n"))
			}
			written, synced, renamed, folder := -1, -1, -1, -1
			for i, line := range calls[:said] {
				switch call, _, _ := strings.Cut(line, "("); {
				case !c.kept.MatchString(line):
				case strings.HasPrefix(call, "rename"):
					renamed = i
				case !strings.HasSuffix(call, "sync"):
					if written < 0 || c.renamed { // the next decision may be written already
						written = i
					}
				case renamed >= 0:
					folder = i
				default:
					synced = i
				}
			}
			if written < 0 || synced < written || c.renamed && (renamed < synced || folder < renamed) {
				t.Errorf("write at %d, fsync at %d, rename at %d, fsync of the folder at %d, then the answer: want this order\n%s",
					written, synced, renamed, folder, strings.Join(calls[:said+1], "\n"))
			}
		})
	}
}

// unfinished and resumed are the halves of a call during which another thread
// made one; the second half is when it returned.
var (
	thread  = regexp.MustCompile(`^(?:\[pid +)?(\d+)\]? +`)
	resumed = regexp.MustCompile(`^<\.\.\. \w+ resumed>`)
)

// traced gives the calls that a process made while do ran, as they returned.
// What was written counts from when it was asked: the other side may read it
// before the call returns.
func traced(t *testing.T, pid int, do func() error) (calls []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command("strace", "-f", "-y", "-s", "40", "-e", "trace=fsync,fdatasync,rename,renameat,renameat2,write,pwrite64,writev,sendto,sendmsg", "-o", file, "-p", fmt.Sprint(pid))
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	attached := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(errs)
		first := ""
		for lines.Scan() {
			if first == "" {
				first = lines.Text()
				attached <- first
			}
		}
		close(attached)
	}()
	select {
	case line := <-attached:
		if !strings.Contains(line, "attached") {
			cmd.Wait()
			t.Fatalf("strace: %s", line)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("strace did not attach")
	}
	time.Sleep(300 * time.Millisecond) // it attaches to the threads one by one
	failed := do()
	time.Sleep(300 * time.Millisecond) // for the last lines
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // an interrupted strace says so
	if failed != nil {
		t.Fatal(failed)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	begun := map[string]string{}
	for line := range bytes.Lines(raw) {
		m := thread.FindSubmatch(line)
		if m == nil {
			continue
		}
		id, call := string(m[1]), strings.TrimSpace(string(line[len(m[0]):]))
		switch {
		case strings.HasPrefix(call, "---"): // a signal
		case strings.HasSuffix(call, "<unfinished ...>"):
			begun[id] = strings.TrimSuffix(call, " <unfinished ...>")
			if !strings.HasPrefix(call, "fsync") && !strings.HasPrefix(call, "fdatasync") && !strings.HasPrefix(call, "rename") {
				calls = append(calls, begun[id])
				delete(begun, id)
			}
		case resumed.MatchString(call):
			if begun[id] != "" {
				calls = append(calls, begun[id])
				delete(begun, id)
			}
		default:
			calls = append(calls, call)
		}
	}
	return calls
}
