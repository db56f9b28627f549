package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"bolwerk/bench/product"
)

// process is an edge that is the program itself.
type process struct {
	cmd   *exec.Cmd
	dns   netip.AddrPort
	ended chan struct{}
}

func startProcess(ctx context.Context, o options, p *product.Product, dir string, n int) (*process, error) {
	text, err := line(ctx, o, p, fmt.Sprintf("program-%d", n))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(o.base+100+10*n+i))
	}
	e := &process{dns: at(0), ended: make(chan struct{})}
	path := filepath.Join(dir, "bolwerk.toml")
	config := fmt.Sprintf(`data = %q
operator = "Polder Telecom"
dns = { listen = %q, upstream = [%q] }
warning = { listen = %q, listen_tls = %q, warning_addresses = ["192.0.2.1"] }
metrics = { listen = %q }
smtp = { addresses = ["suspicious@bolwerk.example"] }
shield = { answer_from = "shield@bolwerk.example" }
`, dir, at(0), at(9), at(1), at(2), at(3))
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, o.bin, "join", "--config", path, text).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("join: %w: %s", err, out)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	e.cmd = exec.Command(o.bin, "edge", "--config", path)
	e.cmd.Stderr, e.cmd.SysProcAttr = log, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it dies with us
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { defer close(e.ended); e.cmd.Wait() }()
	return e, nil
}

// until asks until the name is answered as blocked, or not any more.
func (e *process) until(ctx context.Context, name string, blocked bool, since time.Time) (time.Duration, error) {
	for product.Answers(ctx, e.dns, name, "192.0.2.1") != blocked {
		select {
		case <-e.ended:
			return 0, fmt.Errorf("edge %s: the program has ended", e.dns)
		default:
		}
		if time.Since(since) > 5*time.Minute {
			return 0, fmt.Errorf("edge %s: %s is not answered as decided after five minutes", e.dns, name)
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return time.Since(since), nil
}

func (e *process) stop() {
	e.cmd.Process.Signal(syscall.SIGTERM)
	<-e.ended
}
