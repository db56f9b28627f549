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
	dns   netip.AddrPort // of an edge
	hosts string         // of a relay: where edges ask
	ended chan struct{}
}

func startProcess(ctx context.Context, o options, p *product.Product, dir string, n int) (*process, error) {
	text, err := line(ctx, o, p, fmt.Sprintf("program-%d", n), "edge")
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
	config := fmt.Sprintf(`data = %q
operator = "Polder Telecom"
dns = { listen = %q, upstream = [%q] }
warning = { listen = %q, listen_tls = %q, warning_addresses = ["192.0.2.1"] }
metrics = { listen = %q }
smtp = { addresses = ["suspicious@bolwerk.example"] }
shield = { answer_from = "shield@bolwerk.example" }
`, dir, at(0), at(9), at(1), at(2), at(3))
	if err := e.start(ctx, o, dir, "edge", text, config); err != nil {
		return nil, err
	}
	return e, nil
}

// start has the program join with a line and run as a role.
func (e *process) start(ctx context.Context, o options, dir, role, text, config string) error {
	path := filepath.Join(dir, "bolwerk.toml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, o.bin, "join", "--config", path, text).CombinedOutput(); err != nil {
		return fmt.Errorf("join: %w: %s", err, out)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	e.cmd = exec.Command(o.bin, role, "--config", path)
	e.cmd.Stderr, e.cmd.SysProcAttr = log, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it dies with us
	if err := e.cmd.Start(); err != nil {
		return err
	}
	go func() { defer close(e.ended); e.cmd.Wait() }()
	return nil
}

// startRelays starts relays and waits until edges can ask them.
func startRelays(ctx context.Context, o options, p *product.Product, folder string) (all []*process, err error) {
	for n := range o.relays {
		name := fmt.Sprintf("relay-%d", n)
		dir := filepath.Join(folder, name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return all, err
		}
		text, err := line(ctx, o, p, name, "relay")
		if err != nil {
			return all, err
		}
		e := &process{hosts: fmt.Sprintf("127.0.0.1:%d", o.base+60+2*n), ended: make(chan struct{})}
		if err := e.start(ctx, o, dir, "relay", text, fmt.Sprintf("data = %q\noperator = \"Polder Telecom\"\nhosts = { listen = %q }\nmetrics = { listen = \"127.0.0.1:%d\" }\n", dir, e.hosts, o.base+61+2*n)); err != nil {
			return all, err
		}
		all = append(all, e)
	}
	return all, sleep(ctx, time.Duration(min(1, len(all)))*(5+time.Duration(o.names/100_000))*time.Second) // they take the list
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
