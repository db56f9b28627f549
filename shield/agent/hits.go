package agent

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"bolwerk"
	"bolwerk/internal/dnstap"
	"bolwerk/shield/edge"
	"bolwerk/shield/zones"

	"github.com/miekg/dns"
)

// Hits of a resolver that is not ours are counted as an edge counts its own: per
// block and five minutes, and nothing else. The client's address is in what the
// resolver tells; it is never read.

const (
	bucketSeconds = 300
	rollUpEvery   = 10 * time.Second
	maxCounts     = 5000 // of one roll-up, as an edge's
	maxStreams    = 16   // connections that tell
)

type hits struct {
	boot    string
	told    atomic.Uint64 // answers that were told to us
	stopped atomic.Uint64 // of them, those that a block made
	refused atomic.Uint64 // streams that are none, or too many

	mu   sync.Mutex
	n    map[int64]map[string]uint64
	sent map[int64]uint64
}

func newHits() *hits {
	var boot [16]byte
	rand.Read(boot[:])
	return &hits{boot: hex.EncodeToString(boot[:]), n: map[int64]map[string]uint64{}, sent: map[int64]uint64{}}
}

func (h *hits) add(block string, bucket int64) {
	h.stopped.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n[bucket] == nil {
		h.n[bucket] = map[string]uint64{}
	}
	h.n[bucket][block]++
}

// answered counts an answer where a block made it.
func (a *Agent) answered(r dnstap.Response) {
	a.hits.told.Add(1)
	name := r.Name
	if len(r.Message) > 0 {
		name = question(r.Message)
	} else if r.Policy == "" || r.Policy == zones.Pass.String() {
		return
	}
	d, err := bolwerk.ParseDomain(name)
	if err != nil {
		return
	}
	a.mu.Lock()
	block, action, ok := a.zones.Blocks(d)
	a.mu.Unlock()
	if !ok || len(r.Message) > 0 && !a.byPolicy(r.Message, action) {
		return
	}
	a.hits.add(block, a.with.Clock.Now().Unix()/bucketSeconds)
}

// byPolicy says that an answer is what the block gives: the resolver may have
// answered before it had the block.
func (a *Agent) byPolicy(b []byte, action edge.Action) bool {
	var m dns.Msg
	if err := m.Unpack(b); err != nil {
		return false
	}
	switch {
	case action == edge.NXDomain:
		return m.Rcode == dns.RcodeNameError
	case m.Rcode != dns.RcodeSuccess:
		return false
	case len(m.Answer) == 0:
		return true
	case action == edge.NoData:
		return false
	}
	return slices.ContainsFunc(m.Answer, func(rr dns.RR) bool {
		var addr netip.Addr
		switch v := rr.(type) {
		case *dns.A:
			addr, _ = netip.AddrFromSlice(v.A)
		case *dns.AAAA:
			addr, _ = netip.AddrFromSlice(v.AAAA)
		}
		return slices.Contains(a.landing, addr.Unmap())
	})
}

// question is the name that a DNS message asks for, or empty.
func question(b []byte) string {
	if len(b) < 12 || binary.BigEndian.Uint16(b[4:]) != 1 {
		return ""
	}
	var name strings.Builder
	for b = b[12:]; len(b) > 0 && b[0] != 0; {
		n := int(b[0])
		if n > 63 || len(b) < 1+n || name.Len()+n > 254 || bytes.IndexByte(b[1:1+n], '.') >= 0 { // a dot in a label is part of no name of ours
			return ""
		}
		if name.Len() > 0 {
			name.WriteByte('.')
		}
		name.Write(b[1 : 1+n])
		b = b[1+n:]
	}
	if len(b) == 0 {
		return ""
	}
	return name.String()
}

// count hands in what was counted, and listens to the resolver, until ctx ends.
func (a *Agent) count(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	if a.cfg.Log != "" {
		wg.Go(func() { a.readLog(ctx) })
	}
	every := time.NewTicker(rollUpEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			a.rollUp()
			return
		case <-every.C:
			a.rollUp()
		}
	}
}

// rollUp hands in what has changed in this bucket and the one before.
func (a *Agent) rollUp() {
	h := a.hits
	now := a.with.Clock.Now().Unix() / bucketSeconds
	h.mu.Lock()
	defer h.mu.Unlock()
	for b, counts := range h.n {
		var sum uint64
		all := make([]edge.Count, 0, len(counts))
		for block, n := range counts {
			sum += n
			all = append(all, edge.Count{Block: block, DNS: n})
		}
		if sum != h.sent[b] {
			err := error(nil)
			for some := range slices.Chunk(all, maxCounts) {
				body, e := json.Marshal(edge.Hits{Boot: h.boot, Bucket: time.Unix(b*bucketSeconds, 0).UTC(), Counts: some})
				if e == nil {
					e = a.with.Put(edge.KindHits, body)
				}
				err = errors.Join(err, e)
			}
			if err != nil {
				a.with.Log.Error("counts cannot be handed in; tried again", "err", err)
				continue
			}
			h.sent[b] = sum
		}
		if b < now-1 {
			delete(h.n, b)
			delete(h.sent, b)
		}
	}
}

// ListenDnstap opens where the resolver's dnstap comes in; nil where none is
// configured. The socket may be written by the resolver's user: it is in a folder
// that says who.
func (c Config) ListenDnstap() (net.Listener, error) {
	if !isPath(c.Dnstap) {
		return listen(c.Dnstap)
	}
	if st, err := os.Lstat(c.Dnstap); err == nil && st.Mode()&os.ModeSocket != 0 {
		if conn, err := net.DialTimeout("unix", c.Dnstap, time.Second); err == nil {
			conn.Close()
			return nil, bolwerk.Conflict("%s: somebody listens there already", c.Dnstap)
		}
		if err := os.Remove(c.Dnstap); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", c.Dnstap)
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(c.Dnstap, 0o666)
}

// ListenProtobuf opens where the messages of PowerDNS come in; nil where none is
// configured.
func (c Config) ListenProtobuf() (net.Listener, error) { return listen(c.Protobuf) }

func listen(addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	return net.Listen("tcp", addr)
}

// ServeDnstap counts what comes in at l until ctx ends.
func (a *Agent) ServeDnstap(ctx context.Context, l net.Listener) error {
	return a.serve(ctx, l, func(c net.Conn) error {
		return dnstap.Frames(bufio.NewReaderSize(c, 1<<16), c, func(b []byte) {
			if r, ok := dnstap.Parse(b); ok {
				a.answered(r)
			}
		})
	})
}

// ServeProtobuf is the same for the messages of PowerDNS.
func (a *Agent) ServeProtobuf(ctx context.Context, l net.Listener) error {
	return a.serve(ctx, l, func(c net.Conn) error { return dnstap.PowerDNS(bufio.NewReaderSize(c, 1<<16), a.answered) })
}

func (a *Agent) serve(ctx context.Context, l net.Listener, read func(net.Conn) error) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	var open atomic.Int32
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if open.Add(1) > maxStreams {
			open.Add(-1)
			a.hits.refused.Add(1)
			c.Close()
			continue
		}
		wg.Go(func() {
			defer open.Add(-1)
			defer c.Close()
			defer context.AfterFunc(ctx, func() { c.Close() })()
			if err := read(c); err != nil && ctx.Err() == nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
				a.hits.refused.Add(1)
				a.with.Log.Warn("what a resolver told of its answers cannot be read", "err", err)
			}
		})
	}
}

// readLog counts the lines that are added to the log file until ctx ends. It
// begins at the end of the file, and at the start of one that takes its place.
func (a *Agent) readLog(ctx context.Context) {
	var f *os.File
	var in *bufio.Reader
	defer func() {
		if f != nil {
			f.Close()
		}
	}()
	first := true
	open := func() {
		now, err := os.Open(a.cfg.Log)
		if err != nil {
			if first && !os.IsNotExist(err) {
				a.with.Log.Error("the resolver's log cannot be read: its hits are not counted", "alarm", true, "log", a.cfg.Log, "err", err)
			}
			first = false
			return
		}
		if first {
			now.Seek(0, io.SeekEnd)
		}
		f, in, first = now, bufio.NewReaderSize(now, 1<<16), false
	}
	open()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	var part []byte // of a line that is not whole yet
	for {
		for f != nil {
			b, err := in.ReadSlice('\n')
			if len(part)+len(b) <= 4096 {
				part = append(part, b...)
			}
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				break
			}
			if err == nil {
				if r, ok := dnstap.ParseLog(string(part)); ok {
					a.answered(r)
				}
				part = part[:0]
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if f == nil {
			open()
			continue
		}
		was, err1 := f.Stat()
		is, err2 := os.Stat(a.cfg.Log)
		at, _ := f.Seek(0, io.SeekCurrent)
		if err1 == nil && err2 == nil && (!os.SameFile(was, is) || is.Size() < at) {
			f.Close()
			f, part = nil, part[:0]
			open()
		}
	}
}
