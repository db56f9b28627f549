package mail

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

const (
	// commandBytes bounds what a client may send between two replies outside a
	// mail: many pipelined commands, never a line without end.
	commandBytes = 64 << 10
	// lineBytes bounds a line inside a mail. RFC 5321 says 1,000, but of 717
	// real mails seven have longer ones than 2,000 octets, the longest 13,200.
	lineBytes = 1 << 20
	// drainTimes bounds how much of a mail that is too large is read away so
	// that its sender sees 552 and not a broken connection.
	drainTimes = 4
	// stressTimeout is what a client has for its next command when half of all
	// connections are taken.
	stressTimeout = 10 * time.Second
)

var errFlood = errors.New("more bytes than this state of the session allows")

// conn is a client's connection. It lies below TLS, and rules how long and how
// much the client may send: the SMTP library knows one deadline for both
// commands and mails.
type conn struct {
	net.Conn
	door    *Door
	peer    netip.Addr
	network netip.Prefix
	own     bool
	born    time.Time

	mu       sync.Mutex
	deadline time.Time // of the next command, as the library set it
	inMail   bool      // bytes belong to a mail
	until    time.Time // end of DataTimeout for it
	got      int64     // since the last reply
	ended    bool      // no further command is read
	closed   bool
}

// Read reads with the deadline of the state that the session is in.
func (c *conn) Read(b []byte) (int, error) {
	err := c.beforeRead()
	n := 0
	if err == nil {
		n, err = c.Conn.Read(b)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got += int64(n)
	if err != nil {
		// The library goes on after a mail that broke off: the rest of it, sent
		// late, would be taken for commands. Nothing is read any more.
		c.ended = true
	}
	return n, err
}

func (c *conn) beforeRead() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit, deadline := int64(commandBytes), c.deadline
	if c.inMail {
		limit = drainTimes * c.door.cfg.MaxBytes
		deadline = earlier(time.Now().Add(c.door.cfg.IdleTimeout), c.until)
	}
	switch {
	case c.closed:
		return net.ErrClosed
	case c.ended && !c.inMail:
		return os.ErrDeadlineExceeded // the library says 421 and hangs up
	case c.got > limit:
		return errFlood
	}
	return c.Conn.SetReadDeadline(deadline)
}

// Write writes a reply; what the client sends next is counted anew.
func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.got, c.inMail = 0, false
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// SetReadDeadline is called by the library before each command.
func (c *conn) SetReadDeadline(t time.Time) error {
	busy := !c.own && c.door.busy()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	if !c.own {
		t = earlier(t, c.born.Add(c.door.cfg.SessionTimeout))
	}
	if busy {
		t = earlier(t, time.Now().Add(stressTimeout))
	}
	c.deadline = t
	return nil
}

// mail says that the next bytes belong to a mail that began at start.
func (c *conn) mail(start time.Time) {
	c.mu.Lock()
	c.inMail, c.until = true, start.Add(c.door.cfg.DataTimeout)
	c.mu.Unlock()
}

// stop ends the session before its next command; a running mail is finished.
func (c *conn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if !c.inMail {
		c.Conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// Close closes the connection and gives its place back.
func (c *conn) Close() error {
	c.mu.Lock()
	was := c.closed
	c.closed = true
	c.mu.Unlock()
	if was {
		return nil
	}
	c.door.leave(c)
	return c.Conn.Close()
}

// listener lets only as many clients in as there is room for.
type listener struct {
	net.Listener
	door *Door
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c, refusal := l.door.enter(nc)
		if refusal == "" {
			return c, nil
		}
		// A fresh socket's buffer is empty: this does not wait.
		nc.SetWriteDeadline(time.Now().Add(time.Second))
		io.WriteString(nc, "421 4.7.0 "+refusal+", please try again later\r\n")
		nc.Close()
	}
}

func peerOf(nc net.Conn) netip.Addr {
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
