package mail

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// Whatever a client sends: each mail that is kept was acknowledged and the
// other way round, it is for a report address, and nothing panics or is held on
// to.
func FuzzSession(f *testing.F) {
	const hello = "EHLO client.example\r\n"
	const begin = hello + "MAIL FROM:<a@b.example> BODY=8BITMIME SMTPUTF8 SIZE=10\r\nRCPT TO:<" + report + ">\r\n"
	for _, s := range []string{
		begin + "DATA\r\nSubject: x\r\n\r\n..\r\n.\r\nQUIT\r\n",
		begin + "DATA\r\nx\n.\nMAIL FROM:<c@d.example>\r\n.\r\n",
		begin + "BDAT 3\r\nabcBDAT 2 LAST\r\nde",
		begin + "BDAT 99999999 LAST\r\nabc",
		begin + "BDAT 5\r\nabcdeRSET\r\nDATA\r\n",
		begin + "DATA\r\n" + strings.Repeat("x", 70_000) + "\r\n.\r\n" + "NOOP\r\n",
		hello + "MAIL FROM:<>\r\nMAIL FROM:<\"a b\"@c>\r\nRCPT TO:<@x:y@z>\r\nAUTH PLAIN =\r\nVRFY x\r\nHELP\r\n",
		hello + "STARTTLS\r\n\x16\x03\x01\x00\x05hello" + begin,
		"HELO x\r\nMAIL FROM:<z\xc3\xb6e@b.example>\r\nRCPT TO:<" + report + ">\r\nDATA\r\n\x00\xff\r\n.\r\n",
		"\r\n\x00\x00MAIL\r\n\xff\r\n",
	} {
		f.Add([]byte(s))
	}
	d := openDoor(f, func(c *Config) {
		c.MaxBytes, c.MaxMemory = 64<<10, 1<<20
		c.MailsPerHour, c.MaxConnsPerNetwork = 1<<30, 100
		c.BytesPerHour = 1 << 50
		c.CommandTimeout, c.IdleTimeout = time.Second, time.Second
	})
	f.Fuzz(func(t *testing.T, input []byte) {
		c, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		go func() {
			c.Write(input)
			c.(*net.TCPConn).CloseWrite()
		}()
		replies, err := io.ReadAll(c)
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Fatal("the session did not end")
		}
		for d.open() > 0 {
			time.Sleep(50 * time.Microsecond)
		}
		mails := d.taken()
		if acked := bytes.Count(replies, []byte("250 2.0.0 kept as")); err == nil && acked != len(mails) {
			t.Errorf("%d mails kept, %d acknowledged", len(mails), acked)
		}
		for _, e := range mails {
			if len(e.Rcpt) == 0 || len(e.Rcpt) > d.cfg.MaxRecipients || e.Rcpt[0] != report || len(e.Raw) >= 64<<10 {
				t.Errorf("envelope %+v", e)
			}
		}
		d.mu.Lock()
		d.mails = nil
		d.mu.Unlock()
		for range 2000 {
			if d.memory.free.Load() == d.cfg.MaxMemory {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if d.memory.free.Load() != d.cfg.MaxMemory {
			t.Error("memory is held")
		}
	})
	d.stop()
	if strings.Contains(d.log.String(), "panic") {
		f.Error(d.log.String())
	}
}
