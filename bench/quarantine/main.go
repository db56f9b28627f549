// Command quarantine measures how long it takes from a report to what a subscriber
// notices: until the access server has acknowledged the quarantine that the playbook
// asks for at once, and until the operator's app has the notice. The real program runs
// on loopback; the access server is a stand-in in this process. Sessions come by RADIUS
// accounting, reports in XARF 4 by the desk's API for files, one for each line: rules take the
// word of named sources only.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/abuse/contact"
	"bolwerk/abuse/enforce/standin"
	"bolwerk/abuse/notice"
	"bolwerk/bench/product"
	"bolwerk/internal/radius"
)

func main() {
	reports := flag.Int("reports", 500, "reports, 1 to 600, each about a line of its own")
	pause := flag.Duration("every", 100*time.Millisecond, "how long after one report the next one comes")
	flag.Parse()
	if *reports < 1 || *reports > 600 {
		fmt.Fprintln(os.Stderr, "bench/quarantine: --reports is 1 to 600")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *reports, *pause); err != nil {
		fmt.Fprintln(os.Stderr, "bench/quarantine:", err)
		os.Exit(1)
	}
}

const (
	secret = "a secret of bng1"
	canary = "canary@isp.example"
	normal = "normal"
)

func subscriber(n int) string { return fmt.Sprintf("line%04d@isp.example", n) }

func address(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 64, byte(n >> 8), byte(n)}) }

// seen is when what was first seen of whom.
type seen struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (s *seen) note(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.at[who]; !ok {
		s.at[who] = time.Now()
	}
}

func (s *seen) len() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.at) }

func run(ctx context.Context, reports int, pause time.Duration) error {
	dir, err := os.MkdirTemp("", "bolwerk-quarantine-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin, err := product.Build(ctx, dir)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}

	held, told := &seen{at: map[string]time.Time{}}, &seen{at: map[string]time.Time{}}
	server := standin.New(secret, func(s standin.Session) error {
		if s.Filter != normal {
			held.note(s.User)
		}
		return nil
	})
	server.Add(standin.Session{ID: "canary", User: canary, Addr: address(1<<16 - 1), Filter: normal})
	for n := range reports {
		server.Add(standin.Session{ID: fmt.Sprint("s", n), User: subscriber(n), Addr: address(n), Filter: normal})
	}
	changes, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go server.Run(ctx, changes)
	look := httptest.NewServer(server.Look(func(filter string) string { return filter }))
	defer look.Close()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			Subscriber string `json:"subscriber"`
		}
		if json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&m) == nil {
			told.note(m.Subscriber)
		}
	}))
	defer app.Close()

	more, accounting, err := settings(dir, changes.LocalAddr().String(), look.URL, app.URL)
	if err != nil {
		return err
	}
	p, err := product.Start(ctx, product.Options{Binary: bin, Dir: data, More: more})
	if err != nil {
		return err
	}
	defer p.Stop()
	if err := begin(ctx, p, server, accounting, reports); err != nil {
		return err
	}
	fmt.Printf("%s, %s, %d processors, load %s; %d lines have sessions, a report every %s\n", time.Now().UTC().Format(time.RFC3339), runtime.Version(), runtime.NumCPU(), product.Load(), reports, pause)

	sent := map[string]time.Time{}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for n := range reports {
		sent[subscriber(n)] = time.Now()
		if err := report(ctx, p, n); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	for end := time.Now().Add(time.Minute); (held.len() < reports || told.len() < reports) && time.Now().Before(end) && ctx.Err() == nil; {
		time.Sleep(50 * time.Millisecond)
	}
	print("from a report to the quarantine, acknowledged", sent, held)
	print("from a report to the notice in the customer's app", sent, told)
	for _, line := range p.Alarms() {
		fmt.Printf("alarm: %.300s\n", line)
	}
	return ctx.Err()
}

// print says how long after it was sent something was seen.
func print(what string, sent map[string]time.Time, s *seen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var took []time.Duration
	for who, at := range s.at {
		if from, ok := sent[who]; ok {
			took = append(took, at.Sub(from))
		}
	}
	if len(took) == 0 {
		fmt.Printf("%-52s none of %d\n", what, len(sent))
		return
	}
	slices.Sort(took)
	fmt.Printf("%-52s p50 %s p99 %s max %s; %d of %d\n", what, took[len(took)/2].Round(time.Millisecond), took[len(took)*99/100].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), len(took), len(sent))
}

// settings is what the program is told, and where it takes accounting.
func settings(dir, nas, look, app string) (more, accounting string, err error) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	accounting = l.LocalAddr().String()
	l.Close()
	secretFile, keyFile := filepath.Join(dir, "secret"), filepath.Join(dir, "app.key")
	if err := os.WriteFile(secretFile, []byte(secret+"\n"), 0o600); err != nil {
		return "", "", err
	}
	key := make([]byte, 32)
	rand.Read(key)
	if err := os.WriteFile(keyFile, []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600); err != nil {
		return "", "", err
	}
	return fmt.Sprintf(`[abuse]
addresses = ["abuse@bolwerk.example"]
networks = ["10.64.0.0/16"]

[abuse.accounting]
listen = %q
[[abuse.accounting.client]]
name = "aaa1"
from = ["127.0.0.0/8"]
secret_file = %q

[[abuse.enforce.nas]]
name = "bng1"
address = %q
secret_file = %[2]q
normal = %[4]q
leaky = "leaky"
strict = "strict"
pace = 1000
canary = %[5]q
canary_look = %[6]q

[abuse.inform.app]
url = %[7]q
key_file = %[8]q

[abuse.quarantine]
mode = "on"
[abuse.quarantine.brake]
floor = 1000
per_hour = 10000
outside_hours = 10000

[[abuse.playbook]]
name = "at once"
classes = ["intrusion-attempts/*"]
threat = "A device on the line attacks others."
necessity = "Nothing milder is seen where it is."
proportion = "Only what harms others is stopped."
when = { solid = 1 }
[[abuse.playbook.step]]
do = "quarantine"
profile = "leaky"
days = 1
[[abuse.playbook.step]]
do = "inform"
channels = ["app"]
`, accounting, secretFile, nas, normal, canary, look+"/canary", app, keyFile), accounting, nil
}

// begin starts the sessions, tells how the subscribers are reached, and waits until the
// access server's way back was proved.
func begin(ctx context.Context, p *product.Product, server *standin.Server, accounting string, reports int) error {
	conn, err := net.Dial("udp", accounting)
	if err != nil {
		return err
	}
	defer conn.Close()
	start := func(n byte, session, user string, addr netip.Addr) error {
		const start = 1 // RFC 2866, section 5.1
		ip := addr.As4()
		b := radius.Request(n, []radius.Attribute{radius.Whole(radius.AcctStatusType, start), {Type: radius.AcctSessionID, Value: []byte(session)}, {Type: radius.UserName, Value: []byte(user)},
			{Type: radius.NASIdentifier, Value: []byte("bng1")}, {Type: radius.FramedIPAddress, Value: ip[:]}, radius.Whole(radius.EventTimestamp, uint32(time.Now().Add(-time.Minute).Unix()))}, true, []byte(secret))
		answer := make([]byte, radius.MaxSize)
		for range 5 {
			if _, err := conn.Write(b); err != nil {
				return err
			}
			conn.SetReadDeadline(time.Now().Add(2 * time.Second))
			if n, err := conn.Read(answer); err == nil && radius.Answers(answer[:n], b, []byte(secret)) {
				return nil
			}
		}
		return fmt.Errorf("accounting of %s is not answered:\n%s", user, p.Log())
	}
	if err := start(0, "canary", canary, address(1<<16-1)); err != nil {
		return err
	}
	var book []contact.Entry
	for n := range reports {
		if err := start(byte(n), fmt.Sprint("s", n), subscriber(n), address(n)); err != nil {
			return err
		}
		book = append(book, contact.Entry{Subscriber: subscriber(n), Name: "A Customer", Lang: bolwerk.NL, Channels: []notice.Channel{notice.App}})
	}
	for part := range slices.Chunk(book, contact.MaxBatch) {
		if err := p.API(ctx, "POST", "/abuse/contacts", map[string]any{"file": "bench", "contacts": part}, nil); err != nil {
			return err
		}
	}
	// Until then lines wait: the canary's profiles were put on, and taken off again.
	for end, quiet := time.Now().Add(3*time.Minute), 0; quiet < 5; time.Sleep(time.Second) {
		_, before := server.Counts()
		filter, _ := server.Filter("canary")
		if before > 1 && filter == normal {
			quiet++
		} else {
			quiet = 0
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("the canary session does not prove the access server:\n%s", p.Log())
		}
	}
	return nil
}

// report gives the desk one, as somebody of the desk does.
func report(ctx context.Context, p *product.Product, n int) error {
	id, at := bolwerk.NewID(time.Now()), time.Now().UTC().Add(-time.Second).Format(time.RFC3339)
	who := map[string]string{"org": "Hosting Example", "contact": "abuse@hosting.example", "domain": "hosting.example"}
	body, err := json.Marshal(map[string]any{"xarf_version": "4.0.0", "report_id": id, "timestamp": at, "reporter": who, "sender": who, "source_identifier": address(n).String(), "source_port": 40000,
		"category": "connection", "type": "login_attack", "protocol": "tcp", "first_seen": at, "destination_ip": "203.0.113.80", "destination_port": 22, "evidence_source": "honeypot"})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, "POST", p.Console+"/api/v1/abuse/import?name=event.json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+p.Token)
	r.Header.Set("Content-Type", "application/octet-stream")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<12)); resp.StatusCode >= 300 {
		return fmt.Errorf("report %d: %s: %s", n, resp.Status, b)
	}
	return nil
}
