package reading

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain makes the test program its own child, as the real program is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		var err error
		switch os.Args[1] {
		case "reader":
			if len(os.Args) > 3 && os.Args[2] == "ocr" {
				err = RunOCR(os.Args[3], os.Args[4:])
				break
			}
			err = Child(os.Stdin, os.Stdout, nil)
		case "hostile-reader":
			err = serve(os.Stdin, os.Stdout, hostile)
		default:
			os.Exit(m.Run())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// hostile does what a mail could make a reader with a bug do.
func hostile(task Task, raw []byte, opt Option) Result {
	said := func(err error) Result { return Result{Warnings: []string{fmt.Sprint(err)}} }
	word, rest, _ := strings.Cut(string(raw), " ")
	switch word {
	case "memory":
		var all [][]byte
		for {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			all = append(all, b)
			if len(all) > 1<<20 {
				return Result{}
			}
		}
	case "stack":
		return said(errors.New(deeper(rest, 0)))
	case "loop":
		//lint:ignore SA5002 a reader that never ends is what it plays
		for {
		}
	case "panic":
		panic("bug")
	case "exit":
		os.Exit(0)
	case "socket":
		_, err := net.Dial("udp", "127.0.0.1:9")
		return said(err)
	case "exec":
		return said(syscall.Exec("/bin/true", []string{"true"}, nil))
	case "fork":
		_, err := syscall.ForkExec("/bin/true", []string{"true"}, nil)
		return said(err)
	case "open":
		_, err := os.ReadFile("/proc/self/environ")
		return said(err)
	case "write":
		return said(os.WriteFile(rest, []byte("here"), 0o600))
	case "remove":
		return said(os.Remove(rest))
	case "environ":
		return Result{Warnings: os.Environ()}
	case "kill":
		return said(syscall.Kill(os.Getppid(), syscall.SIGTERM))
	}
	return answer(task, raw, opt)
}

//go:noinline
func deeper(s string, n int) string {
	var room [1 << 10]byte
	room[n%len(room)] = s[0]
	//lint:ignore SA5007 it is there to use up the stack
	return deeper(s+string(room[:1]), n+1)[:1]
}

// pool runs a pool of children for one test.
func pool(t *testing.T, role string, n int, deadline time.Duration) *Pool {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := NewPool(n, func() *exec.Cmd { return exec.Command(exe, role) }, deadline, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := p.Read(context.Background(), ReadText, nil, Option{}); !errors.Is(err, ErrNoReader) {
			t.Errorf("read after the end: got %v", err)
		}
	})
	return p
}

const small = "From: a@bank.example\r\nSubject: x\r\n\r\nhttp://lure.example/a\r\n"

func readsAgain(t *testing.T, p *Pool) {
	t.Helper()
	begin := time.Now()
	r, err := p.Read(t.Context(), ReadMail, []byte(small), Option{})
	if err != nil || len(r.URLs) != 1 || r.URLs[0].URL != "http://lure.example/a" || r.URLs[0].Name.String() != "lure.example" {
		t.Fatalf("the next report: got %+v, %v", r.URLs, err)
	}
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("the next report took %v", d)
	}
}

func TestPoolReads(t *testing.T) {
	p := pool(t, "reader", 2, 0)
	readsAgain(t, p)
	if r, err := p.Read(t.Context(), ReadText, []byte("go to lure.example/x"), Option{}); err != nil || r.Kind != FreeText || len(r.URLs) != 1 {
		t.Errorf("text: got %+v, %v", r, err)
	}
	if r, err := p.Read(t.Context(), ReadLink, []byte("hxxp://lure[.]example"), Option{}); err != nil || r.Kind != SingleURL || len(r.URLs) != 1 {
		t.Errorf("link: got %+v, %v", r, err)
	}
	if r, err := p.Read(t.Context(), "other", nil, Option{}); err != nil || r.Kind != Unreadable {
		t.Errorf("unknown task: got %+v, %v", r, err)
	}
	if _, err := p.Read(t.Context(), ReadMail, make([]byte, MaxBytes+1), Option{}); err == nil {
		t.Error("a report beyond the bound was taken")
	}
}

func TestDeathTakesOnlyTheChild(t *testing.T) {
	for _, word := range []string{"memory", "stack x", "panic", "exit", "loop"} {
		t.Run(word, func(t *testing.T) {
			deadline := 30 * time.Second // to write down a stack of 64 MiB on a busy machine
			if word == "loop" {
				deadline = 2 * time.Second
			}
			p := pool(t, "hostile-reader", 1, deadline)
			_, err := p.Read(t.Context(), ReadMail, []byte(word), Option{})
			var d *Death
			if !errors.As(err, &d) {
				t.Fatalf("got %v, want a death", err)
			}
			if d.Late != (word == "loop") {
				t.Errorf("got %+v", d)
			}
			t.Log(d.Error(), d.How)
			readsAgain(t, p)
		})
	}
}

func TestChildHasNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the filter is Linux's")
	}
	victim := t.TempDir() + "/file"
	if err := os.WriteFile(victim, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := pool(t, "hostile-reader", 1, 5*time.Second)
	for _, word := range []string{"socket", "exec", "fork", "kill", "remove " + victim} {
		_, err := p.Read(t.Context(), ReadMail, []byte(word), Option{})
		var d *Death
		if !errors.As(err, &d) || !strings.Contains(d.How, "bad system call") {
			t.Errorf("%s: got %v, want the kernel to kill it", word, err)
		}
		readsAgain(t, p)
	}
	for _, word := range []string{"open", "write " + victim} {
		r, err := p.Read(t.Context(), ReadMail, []byte(word), Option{})
		if err != nil || !strings.Contains(strings.Join(r.Warnings, ""), "operation not permitted") {
			t.Errorf("%s: got %v, %v, want a refusal", word, r.Warnings, err)
		}
	}
	if r, err := p.Read(t.Context(), ReadMail, []byte("environ"), Option{}); err != nil || len(r.Warnings) > 0 {
		t.Errorf("environment: got %v, %v, want nothing", r.Warnings, err)
	}
	if b, err := os.ReadFile(victim); err != nil || len(b) > 0 {
		t.Errorf("the file was changed: %q, %v", b, err)
	}
}

func TestKilledIdleChildCostsNothing(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var made []*exec.Cmd
	p := NewPool(1, func() *exec.Cmd {
		made = append(made, exec.Command(exe, "reader"))
		return made[len(made)-1]
	}, 0, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	defer func() { cancel(); <-done }()
	readsAgain(t, p)
	for range 5 {
		made[len(made)-1].Process.Kill()
		readsAgain(t, p)
	}
}

func TestNoProgramIsNoDeath(t *testing.T) {
	p := NewPool(1, func() *exec.Cmd { return exec.Command("/nonexistent/bolwerk", "reader") }, 0, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	if _, err := p.Read(ctx, ReadMail, []byte(small), Option{}); !errors.Is(err, ErrNoReader) {
		t.Errorf("got %v, want ErrNoReader", err)
	}
	cancel()
	<-done
}

// TestWorstMails reads in the real child what is made to hurt. The deadline is not
// the desk's: that one is on the clock, and this machine may have other work.
func TestWorstMails(t *testing.T) {
	p := pool(t, "reader", 1, ChildLife)
	for _, m := range worstMails() {
		t.Run(m.name, func(t *testing.T) {
			begin := time.Now()
			r, err := p.Read(t.Context(), ReadMail, m.raw, Option{})
			if err != nil {
				t.Fatalf("%d bytes: %v", len(m.raw), err)
			}
			found := false
			for _, u := range r.Wanted() {
				found = found || strings.HasPrefix(u.URL, "http://lure.example/")
			}
			if m.finds && !found {
				t.Errorf("the link was not found: %d URLs, %v", len(r.URLs), r.Warnings)
			}
			t.Logf("%d bytes, %s, %d URLs, %v, %v", len(m.raw), r.Kind, len(r.URLs), time.Since(begin).Round(time.Millisecond), r.Warnings)
			readsAgain(t, p)
		})
	}
}

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	if err := requestFrame(&b, request{ID: 7, Task: ReadMail, Option: Option{Evidence: true}}, []byte("a\nb\x00")); err != nil {
		t.Fatal(err)
	}
	f, err := readFrame(&b, 1000)
	if err != nil {
		t.Fatal(err)
	}
	q, raw, err := parseRequest(f)
	if err != nil || q.ID != 7 || q.Task != ReadMail || !q.Option.Evidence || string(raw) != "a\nb\x00" {
		t.Errorf("got %+v %q, %v", q, raw, err)
	}
	if _, err := readFrame(&b, 1000); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: got %v", err)
	}
	for _, s := range []string{"\x00", "\x00\x00\x00\x05ab", "\xff\xff\xff\xff"} {
		if _, err := readFrame(strings.NewReader(s), 1000); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("frame %q: got %v", s, err)
		}
	}
}

// BenchmarkPool is the whole way of a report: through the pipe, read, and back.
func BenchmarkPool(b *testing.B) {
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	var mails [][]byte
	for _, m := range corpus(b, "phish") {
		mails = append(mails, m)
	}
	p := NewPool(2, func() *exec.Cmd { return exec.Command(exe, "reader") }, 0, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	b.RunParallel(func(pb *testing.PB) {
		for n := 0; pb.Next(); n++ {
			if _, err := p.Read(ctx, ReadMail, mails[n%len(mails)], Option{}); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
	cancel()
	<-done
}
