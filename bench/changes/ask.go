package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// socket asks the edge from a thread that waits in the kernel, so that nothing of
// this program's own scheduling is measured.
type socket struct{ fd int }

func newSocket() (socket, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return socket{}, os.NewSyscallError("socket", err)
	}
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2})
	return socket{fd}, os.NewSyscallError("connect", unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}))
}

func (s socket) close() { unix.Close(s.fd) }

// exchange sends a question and waits for the answer; 0 is none within 2 s.
func (s socket) exchange(question, answer []byte) int {
	if _, _, e := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), pointer(question), uintptr(len(question)), 0, 0, 0); e != 0 {
		return 0
	}
	for {
		n, _, e := syscall.Syscall6(unix.SYS_RECVFROM, uintptr(s.fd), pointer(answer), uintptr(len(answer)), 0, 0, 0)
		switch {
		case e == unix.EINTR:
		case e != 0:
			return 0
		case n >= 12 && answer[0] == question[0] && answer[1] == question[1]:
			return int(n)
		}
	}
}

// asker asks whether names are blocked.
type asker struct {
	socket
	id uint16
}

func newAsker() (*asker, error) {
	s, err := newSocket()
	return &asker{socket: s}, err
}

func (a *asker) blocked(name string) (bool, error) {
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA)
	a.id++
	m.Id = a.id
	b, err := m.Pack()
	if err != nil {
		return false, err
	}
	var room [1500]byte
	n := a.exchange(b, room[:])
	if n == 0 {
		return false, fmt.Errorf("%s: no answer within 2 s", name)
	}
	if err := m.Unpack(room[:n]); err != nil {
		return false, err
	}
	for _, rr := range m.Answer {
		if r, ok := rr.(*dns.A); ok && r.A.Equal(net.IPv4(192, 0, 2, 1)) {
			return true, nil
		}
	}
	return false, nil
}

// prober asks for names of the list one after another, about 5,000 a second, and
// keeps how long each answer took.
type prober struct {
	socket
	asked [][]byte
}

func newProber(names int) (*prober, error) {
	s, err := newSocket()
	if err != nil {
		return nil, err
	}
	p := &prober{socket: s}
	for range 4096 {
		b, err := new(dns.Msg).SetQuestion(dns.Fqdn("www."+listed(rand.IntN(names))), dns.TypeA).Pack()
		if err != nil {
			return nil, err
		}
		p.asked = append(p.asked, b)
	}
	return p, nil
}

// during probes for as long as f runs.
func (p *prober) during(f func()) (all waits) {
	var wg sync.WaitGroup
	var over atomic.Bool
	all = make(waits, 0, 1<<20)
	wg.Go(func() {
		runtime.LockOSThread()
		var answer [1500]byte
		for i := 0; !over.Load(); i++ {
			began := time.Now()
			if p.exchange(p.asked[i%len(p.asked)], answer[:]) == 0 {
				all = append(all, lost)
				continue
			}
			all = append(all, time.Since(began))
			unix.Nanosleep(&unix.Timespec{Nsec: 100_000}, nil)
		}
	})
	f()
	over.Store(true)
	wg.Wait()
	return all
}

const lost = time.Hour

// waits says how long answers took.
type waits []time.Duration

func (w waits) String() string {
	if len(w) == 0 {
		return "none"
	}
	s := slices.Sorted(slices.Values(w))
	at := func(share float64) time.Duration { return s[min(int(share*float64(len(s))), len(s)-1)] }
	stalls, gone := 0, 0
	for _, d := range s {
		if d == lost {
			gone++
		} else if d > 2*time.Millisecond {
			stalls++
		}
	}
	r := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	return fmt.Sprintf("median %v, p99 %v, p99.9 %v, worst %v; %d over 2 ms and %d lost of %d", r(at(.5)), r(at(.99)), r(at(.999)), r(s[len(s)-1-gone]), stalls, gone, len(s))
}

func pointer(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
