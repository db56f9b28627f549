package reading

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bolwerk"
)

// Deadline is how long one report may take before its child is killed. The
// worst real mail took 40 ms.
const Deadline = 10 * time.Second

// Death says that the child died or was killed while it read this report: the
// report did it. The desk counts these; the third makes a report unreadable.
type Death struct {
	Late bool   // it took longer than the deadline
	How  string // how the process ended, and the first line it left behind
}

func (d *Death) Error() string {
	if d.Late {
		return "reader: killed after the deadline"
	}
	return "reader: died: " + d.How
}

// ErrNoReader says that no child could be started or the pool has ended. No
// report is to blame: try it again later, without counting.
var ErrNoReader = errors.New("no reader")

// Pool keeps reader children and hands reports to them. Its methods may be
// called from many goroutines.
type Pool struct {
	n        int
	command  func() *exec.Cmd
	deadline time.Duration
	log      *slog.Logger
	jobs     chan job
	ended    chan struct{}
	begun    atomic.Bool
	behind   bool // its children run at the lowest priority
}

type job struct {
	q    request
	raw  []byte
	done chan outcome // has room for one
}

type outcome struct {
	result Result
	err    error
}

// NewPool remembers how to start n children. command makes an unstarted command
// for one: the program itself with the argument "reader". The pool fills its
// standard streams, empties its environment and binds its life to its own.
// deadline 0 is Deadline.
func NewPool(n int, command func() *exec.Cmd, deadline time.Duration, log *slog.Logger) *Pool {
	if deadline == 0 {
		deadline = Deadline
	}
	return &Pool{n: max(n, 1), command: command, deadline: deadline, log: log,
		jobs: make(chan job), ended: make(chan struct{})}
}

// Behind makes the children run when nobody else wants the processor; before
// Run. It is for work that nobody waits for.
func (p *Pool) Behind() *Pool {
	p.behind = true
	return p
}

// Read has one report read. It waits for a free child. The error is a *Death
// when this report killed its child, ErrNoReader when there is none, or ctx's.
func (p *Pool) Read(ctx context.Context, task Task, raw []byte, opt Option) (Result, error) {
	if len(raw) > MaxBytes {
		return Result{}, bolwerk.Invalid("report of %d bytes: at most %d are read", len(raw), MaxBytes)
	}
	j := job{q: request{Task: task, Option: opt}, raw: raw, done: make(chan outcome, 1)}
	select {
	case p.jobs <- j:
	case <-p.ended:
		return Result{}, ErrNoReader
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	select {
	case o := <-j.done:
		return o.result, o.err
	case <-ctx.Done():
		return Result{}, ctx.Err() // the child ends it, or its deadline does
	}
}

// Run keeps the children until ctx ends and returns when all have ended. It is
// called once.
func (p *Pool) Run(ctx context.Context) error {
	if !p.begun.CompareAndSwap(false, true) {
		return errors.New("reader pool: run twice")
	}
	defer close(p.ended)
	var wg sync.WaitGroup
	for range p.n {
		wg.Go(func() { p.work(ctx) })
	}
	wg.Wait()
	return nil
}

// work owns one child at a time. It keeps its thread: the child is killed by the
// kernel when the thread that started it ends, which otherwise is whenever Go
// pleases.
func (p *Pool) work(ctx context.Context) {
	runtime.LockOSThread()
	if p.behind {
		lowPriority() // the thread ends with this goroutine: it is not unlocked
	} else {
		defer runtime.UnlockOSThread()
	}
	var c *child
	defer func() { c.end() }()
	for id := uint64(1); ; id++ {
		if c == nil && ctx.Err() == nil {
			c = p.start() // before the next report comes, so that it need not wait
		}
		select {
		case <-ctx.Done():
			return
		case j := <-p.jobs:
			j.q.ID = id
			// A child that died while it was idle says nothing about this report.
			if !c.alive() {
				c.end()
				c = p.start()
			}
			if c == nil {
				j.done <- outcome{err: ErrNoReader}
				continue
			}
			o := p.ask(ctx, c, j)
			if errors.Is(o.err, errUnsent) {
				// It died before it had taken the report: not the report's doing.
				c.end()
				if c = p.start(); c != nil {
					o = p.ask(ctx, c, j)
				}
			}
			if errors.Is(o.err, errUnsent) {
				o.err = ErrNoReader
			}
			if o.err != nil {
				c.end()
				c = nil
			}
			j.done <- o
		}
	}
}

// ask gives one report to a child and waits for the reply.
func (p *Pool) ask(ctx context.Context, c *child, j job) outcome {
	back := make(chan outcome, 1)
	go func() { back <- c.exchange(j) }()
	timer := time.NewTimer(p.deadline)
	defer timer.Stop()
	// Killing the child breaks its pipes, which ends the goroutine above.
	select {
	case o := <-back:
		if o.err == nil || errors.Is(o.err, errUnsent) {
			return o
		}
		how := c.end()
		p.log.Warn("reader died", "how", how, "error", o.err)
		return outcome{err: &Death{How: firstOf(how, o.err.Error())}}
	case <-timer.C:
		c.kill()
		<-back
		p.log.Warn("reader killed after its deadline", "deadline", p.deadline)
		return outcome{err: &Death{Late: true, How: "deadline"}}
	case <-ctx.Done():
		c.kill()
		<-back
		return outcome{err: ErrNoReader}
	}
}

// start makes a child; nil when it cannot.
func (p *Pool) start() *child {
	cmd := p.command()
	cmd.Env = []string{} // no secrets, no settings: not nil, which would be all of ours
	bind(cmd)
	cmd.WaitDelay = time.Second
	in, err1 := cmd.StdinPipe()
	// Not StdoutPipe: waiting for the process would close it under the last reply.
	out, w, err2 := os.Pipe()
	if err := errors.Join(err1, err2); err != nil {
		p.log.Error("reader did not start", "error", err)
		return nil
	}
	c := &child{cmd: cmd, in: in, out: out, dead: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = w, &c.last
	err := cmd.Start()
	w.Close()
	if err != nil {
		in.Close()
		out.Close()
		p.log.Error("reader did not start", "error", err)
		return nil
	}
	go c.watch()
	timer := time.AfterFunc(p.deadline, func() { cmd.Process.Kill() })
	hello, err := c.receive()
	timer.Stop()
	if err != nil {
		p.log.Error("reader did not start", "error", err, "how", c.end())
		return nil
	}
	if len(hello.Absent) > 0 {
		p.log.Warn("reader runs without all limits", "absent", strings.Join(hello.Absent, ","))
	}
	return c
}

// child is a running reader process.
type child struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *os.File
	last tail
	dead chan struct{} // closed when the process has ended
}

// watch waits for the process.
func (c *child) watch() {
	c.cmd.Wait()
	if s := c.cmd.ProcessState; s != nil {
		c.last.ended(s.String())
	}
	close(c.dead)
}

func (c *child) alive() bool {
	if c == nil {
		return false
	}
	select {
	case <-c.dead:
		return false
	default:
		return true
	}
}

// errUnsent says that the child went away before it had taken the request.
var errUnsent = errors.New("reader: request not sent")

// exchange sends a request and reads its reply.
func (c *child) exchange(j job) outcome {
	if err := requestFrame(c.in, j.q, j.raw); err != nil {
		return outcome{err: errUnsent}
	}
	if taken, err := c.receive(); err != nil || taken.ID != j.q.ID {
		return outcome{err: errUnsent}
	}
	r, err := c.receive()
	switch {
	case err != nil:
		return outcome{err: err}
	case r.ID != j.q.ID || r.Result == nil:
		return outcome{err: fmt.Errorf("reply to request %d, asked was %d", r.ID, j.q.ID)}
	}
	return outcome{result: *r.Result}
}

func (c *child) receive() (r reply, err error) {
	b, err := readFrame(c.out, maxReply)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(b, &r)
}

// kill ends the process at once and waits for it.
func (c *child) kill() {
	c.cmd.Process.Kill()
	<-c.dead
}

// end closes the child's input, which ends an honest one, kills it when that
// takes longer than a moment, and says how it ended. It may be called again, and
// on nil.
func (c *child) end() string {
	if c == nil {
		return ""
	}
	c.in.Close()
	select {
	case <-c.dead:
	case <-time.After(100 * time.Millisecond):
		c.kill()
	}
	c.out.Close()
	return c.last.String()
}

// tail keeps the first line that a child wrote to standard error, without what
// could be a stranger's bytes in it, and how it ended.
type tail struct {
	mu    sync.Mutex
	line  []byte
	full  bool
	state string
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ch := range b {
		if t.full = t.full || ch == '\n' || len(t.line) >= 200; t.full {
			break
		}
		if ch >= 0x20 && ch < 0x7f {
			t.line = append(t.line, ch)
		}
	}
	return len(b), nil
}

func (t *tail) ended(state string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state = state
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.line) == 0 {
		return t.state
	}
	return t.state + ": " + string(t.line)
}
