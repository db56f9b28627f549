package badday

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bolwerk/test/live"
)

// worst are mails made to exhaust memory, stack or time. The reader's own tests
// hold each of them against the function; here the whole product meets them.
func worst() map[string][]byte {
	const head = "From: <hostile@customer.example>\r\nSubject: x\r\n"
	rep := strings.Repeat
	var parts, mails strings.Builder
	parts.WriteString(head)
	for i := range 20000 {
		fmt.Fprintf(&parts, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	mails.WriteString(head)
	for range 20000 {
		mails.WriteString("Content-Type: message/rfc822\r\n\r\nFrom: a@b.example\r\nSubject: x\r\nDate: y\r\n")
	}
	inner := []byte(head + "\r\nhttp://inner.hostile.example/\r\n")
	for range 24 {
		inner = []byte(head + "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(inner))
	}
	return map[string][]byte{
		"NUL bytes":               []byte(head + "\r\n" + rep("\x00", 4<<20)),
		"20,000 parts in parts":   []byte(parts.String()),
		"20,000 mails in mails":   []byte(mails.String()),
		"base64 in base64":        inner,
		"a header of 20 MB":       []byte(head + "X-A: " + rep("b", 20<<20) + "\r\n\r\nx\r\n"),
		"4 million header lines":  []byte(head + rep("X-A:b\r\n", 3<<20) + "\r\nx\r\n"),
		"elements a million deep": []byte(head + "Content-Type: text/html\r\n\r\n" + rep("<div>", 1<<20) + rep("<a href=http://a.hostile.example/>", 1<<18)),
		"a million links":         []byte(head + "\r\n" + rep("http://b.hostile.example/ ", 900_000)),
		"an attribute of 20 MB":   []byte(head + "Content-Type: text/html\r\n\r\n<a title=\"" + rep("x", 20<<20)),
		"parts without end":       []byte(head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + rep("--b\r\n", 3<<20)),
		"broken MIME":             []byte(head + "Content-Type: multipart/mixed; boundary=\"\r\nContent-Type: ;;;\r\nContent-Transfer-Encoding: base65\r\n\r\n--\r\n\xff\xfe=?utf-8?b?//?=\r\n"),
		"lines without end":       bytes.Repeat([]byte("=?utf-8?q?"), 1<<20),
	}
}

// next is the promise: whatever came before, the next report is read within five
// seconds and DNS answers.
func next(t *testing.T, s *live.Site, after string) {
	t.Helper()
	start := time.Now()
	var receipt string
	var err error
	if err = live.Until(5*time.Second, func() (bool, error) { receipt, err = s.Report("http://next.hostile.example/"); return err == nil, err }); err != nil {
		t.Fatalf("after %s a report is not taken: %v", after, err)
	}
	if err := live.Until(5*time.Second, func() (bool, error) {
		state, err := s.Receipt(receipt)
		return state != "received" && state != "", err
	}); err != nil {
		t.Errorf("after %s the next report is not read within 5 s: %v", after, err)
	}
	took := time.Since(start)
	if blocked, err := s.Blocked("blocked.hostile.example"); err != nil || !blocked {
		t.Errorf("after %s DNS answers %v, %v", after, blocked, err)
	}
	for _, role := range s.Roles() {
		if p := s.Program(role); p == nil || !p.Alive() {
			t.Fatalf("after %s the %s is gone", after, role)
		}
	}
	t.Logf("%-28s next report read after %s", after, took.Round(time.Millisecond))
}

// memory is the resident memory of a process in MiB.
func memory(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
			n, _ := strconv.Atoi(f[1])
			return n >> 10
		}
	}
	return 0
}

func TestHostileInput(t *testing.T) {
	long(t)
	t.Parallel()
	s := live.Apart(t, "", "", nil)
	s.Found()
	block(t, s, "blocked.hostile.example")
	blocked(t, s, "blocked.hostile.example", true)
	next(t, s, "nothing")

	for name, raw := range worst() {
		given(t, s, name, raw)
		next(t, s, name)
	}
	tooLarge(t, s)
	manyRecipients(t, s)
	slowMailers(t, s)
	dyingReaders(t, s)
	garbage(t, s)
	slowVisitors(t, s)

	for _, role := range s.Roles() {
		if log := s.Log(role); strings.Contains(log, "panic") || strings.Contains(log, "goroutine ") {
			t.Errorf("the %s panicked", role)
		}
		if mib := memory(s.Program(role).Pid()); mib > 1024 {
			t.Errorf("the %s took %d MiB", role, mib)
		} else {
			t.Logf("%s took %d MiB at most", role, mib)
		}
	}
}

// given hands a mail in by SMTP, or where the mail door refuses it, by the API.
func given(t *testing.T, s *live.Site, name string, raw []byte) {
	t.Helper()
	err := s.MailTo("hostile@customer.example", []string{live.ReportTo}, raw)
	if err == nil {
		return
	}
	res, err2 := http.Post(s.Public+"/api/v1/reports", "message/rfc822", bytes.NewReader(raw))
	if err2 != nil {
		t.Errorf("%s: by SMTP %v, by the API %v", name, err, err2)
		return
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	if res.StatusCode != 201 && (res.StatusCode < 400 || res.StatusCode >= 500) {
		t.Errorf("%s: by SMTP %v, by the API %s %s", name, err, res.Status, b)
	}
	t.Logf("%s: by SMTP %v, by the API %s", name, err, res.Status)
}

// dial is a session with the mail door, past its greeting.
func dial(t *testing.T, s *live.Site) (net.Conn, func(format string, a ...any) string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", s.SMTP, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(c)
	answer := func() string {
		for {
			line, err := r.ReadString('\n')
			if err != nil || len(line) < 4 || line[3] == ' ' {
				return strings.TrimSpace(line)
			}
		}
	}
	answer()
	return c, func(format string, a ...any) string {
		fmt.Fprintf(c, format+"\r\n", a...)
		return answer()
	}
}

func tooLarge(t *testing.T, s *live.Site) {
	c, say := dial(t, s)
	defer c.Close()
	say("EHLO x.example")
	if got := say("MAIL FROM:<a@b.example> SIZE=52428800"); !strings.HasPrefix(got, "552") {
		t.Errorf("a mail that says it has 50 MB: %q, want 552", got)
	}
	// One that does not say so.
	say("MAIL FROM:<a@b.example>")
	say("RCPT TO:<%s>", live.ReportTo)
	if got := say("DATA"); !strings.HasPrefix(got, "354") {
		t.Fatalf("DATA: %q", got)
	}
	line := []byte(strings.Repeat("x", 998) + "\r\n")
	for range 50 << 10 {
		if _, err := c.Write(line); err != nil {
			break // it hung up: that is an answer too
		}
	}
	if got := say("."); got != "" && !strings.HasPrefix(got, "552") {
		t.Errorf("a mail of 50 MB: %q, want 552", got)
	}
	if status, err := s.Call("POST", s.Public+"/api/v1/reports", "", map[string]string{"url": "http://" + strings.Repeat("x", 50<<20)}, nil); status != 413 && err == nil {
		t.Errorf("a report of 50 MB: %d", status)
	}
	next(t, s, "50 MB")
}

func manyRecipients(t *testing.T, s *live.Site) {
	c, say := dial(t, s)
	defer c.Close()
	say("EHLO x.example")
	say("MAIL FROM:<a@b.example>")
	said := map[string]int{}
	for i := range 10000 {
		got := say("RCPT TO:<%s>", live.ReportTo)
		said[got[:min(3, len(got))]]++
		if got == "" {
			t.Logf("it hung up after %d recipients", i)
			break
		}
	}
	if said["250"] > 100 {
		t.Errorf("%d recipients taken: %v", said["250"], said)
	}
	t.Logf("10,000 recipients: %v", said)
	next(t, s, "10,000 recipients")
}

func slowMailers(t *testing.T, s *live.Site) {
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 60 {
		wg.Go(func() {
			c, err := net.Dial("tcp", s.SMTP)
			if err != nil {
				return
			}
			defer c.Close()
			for i := 0; ; i++ {
				if _, err := c.Write([]byte{"EHLO slow.example"[i%17]}); err != nil {
					return
				}
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
				}
			}
		})
	}
	time.Sleep(500 * time.Millisecond)
	next(t, s, "60 slow mailers")
	close(stop)
	wg.Wait()
}

// dyingReaders kills the desk's readers while they read: the memory or the stack
// is over.
func dyingReaders(t *testing.T, s *live.Site) {
	desk := s.Program("desk").Pid()
	readers := func() (pids []int) {
		all, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, path := range all {
			b, _ := os.ReadFile(path) // pid (name) state ppid ...
			_, rest, _ := strings.Cut(string(b), ") ")
			if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(desk) {
				pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
				pids = append(pids, pid)
			}
		}
		return pids
	}
	if len(readers()) == 0 {
		t.Error("the desk reads without a process of its own for that")
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	killed := 0
	wg.Go(func() {
		for {
			for _, pid := range readers() {
				if p, err := os.FindProcess(pid); err == nil && p.Kill() == nil {
					killed++
				}
			}
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	for _, name := range []string{"a million links", "elements a million deep"} {
		given(t, s, name, worst()[name])
	}
	time.Sleep(2 * time.Second)
	close(stop)
	wg.Wait()
	next(t, s, fmt.Sprintf("%d readers killed", killed))
}

// garbage throws random octets at every port.
func garbage(t *testing.T, s *live.Site) {
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		return b
	}
	query := []byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x07blocked\x07hostile\x07example\x00\x00\x01\x00\x01\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00")
	for _, addr := range []string{s.DNS, s.RPZ} {
		c, err := net.Dial("udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20000 {
			b := random(rand.IntN(600))
			if i%2 == 0 { // nearly a question
				b = bytes.Clone(query)
				for range 1 + rand.IntN(4) {
					b[rand.IntN(len(b))] = byte(rand.Uint32())
				}
				b = b[:rand.IntN(len(b)+1)]
			}
			c.Write(b)
		}
		c.Close()
		for range 200 {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				continue
			}
			c.Write(binary.BigEndian.AppendUint16(nil, uint16(rand.Uint32())))
			c.Write(random(rand.IntN(2000)))
			c.Close()
		}
	}
	next(t, s, "DNS garbage")
	requests := [][]byte{
		[]byte("GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: b\r\n", 100_000) + "\r\n"),
		[]byte("GET /" + strings.Repeat("a/../", 50_000) + " HTTP/1.1\r\nHost: blocked.hostile.example\r\n\r\n"),
		[]byte("POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nx"),
		[]byte("POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
		[]byte("POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\nx"),
		[]byte("GET / HTTP/1.1\r\nHost: \x00\x01\xff\r\n\r\n"),
		[]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + string(random(4000))),
		append([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), random(600)...), // nearly a ClientHello
		[]byte("EHLO x\r\nMAIL FROM:<" + strings.Repeat("a", 100_000) + ">\r\nRCPT TO:<>\r\nDATA\r\nBDAT 99999999999\r\nQUIT\r\n"),
	}
	ports := map[string]string{"console": strings.TrimPrefix(s.Console, "http://"), "public": strings.TrimPrefix(s.Public, "http://"),
		"warning": s.Warning, "tls": s.TLS, "hosts": s.Hosts, "smtp": s.SMTP}
	for role, addr := range s.Metrics {
		ports["metrics of "+role] = addr
	}
	for name, addr := range ports {
		for i := range 150 {
			c, err := net.DialTimeout("tcp", addr, 2*time.Second)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			c.SetDeadline(time.Now().Add(100 * time.Millisecond))
			if i < len(requests) {
				c.Write(requests[i])
			} else {
				c.Write(random(rand.IntN(3000)))
			}
			io.CopyN(io.Discard, c, 1)
			c.Close()
		}
		next(t, s, "garbage at "+name)
	}
}

// slowVisitors hold connections open and send a little now and then.
func slowVisitors(t *testing.T, s *live.Site) {
	for name, addr := range map[string]string{"public": strings.TrimPrefix(s.Public, "http://"), "warning": s.Warning, "console": strings.TrimPrefix(s.Console, "http://")} {
		var all []net.Conn
		for range 300 {
			c, err := net.DialTimeout("tcp", addr, time.Second)
			if err != nil {
				break
			}
			io.WriteString(c, "POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
			all = append(all, c)
		}
		next(t, s, fmt.Sprintf("%d slow visitors, %s", len(all), name))
		if name == "console" { // staff get through beside them
			if _, err := http.Get(s.Console + "/login"); err != nil {
				t.Error(err)
			}
		}
		for _, c := range all {
			c.Close()
		}
	}
}
