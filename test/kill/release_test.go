package kill

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"bolwerk/abuse/enforce/standin"
	"bolwerk/internal/radius"
	"bolwerk/test/live"
)

const (
	heldLines = 40
	nasPace   = 5 // changes a second: a release of all takes eight seconds
)

// The desk is killed twice while it lets many lines out. Once it is back it goes on:
// everybody is out, nobody is put in again, and each case says so once.
func TestNobodyIsLeftInsideWhenTheDeskIsKilledInAReleaseOfMany(t *testing.T) {
	if testing.Short() {
		t.Skip("kills of the real program take a minute: not with -short")
	}
	t.Parallel()
	const secret, class = "a secret of bng1", "malicious-code/infected-system"
	at := live.Address(t)
	file := filepath.Join(t.TempDir(), "bng1.secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := newNAS(t, at+":3799", secret)
	s := live.Apart(t, "", fmt.Sprintf(`
[abuse]
addresses = ['abuse@bolwerk.example']
networks = ['198.51.100.0/24']
[abuse.accounting]
listen = '%[1]s:1813'
[[abuse.accounting.client]]
name = 'aaa1'
from = ['127.0.0.0/8']
secret_file = '%[2]s'
[[abuse.enforce.nas]]
name = 'bng1'
address = '%[1]s:3799'
secret_file = '%[2]s'
normal = 'normal'
leaky = 'leaky'
strict = 'strict'
canary = 'canary'
pace = %[3]d
[abuse.quarantine]
mode = 'on'
[[abuse.playbook]]
name = 'mail'
classes = ['abusive-content/spam']
  [[abuse.playbook.step]]
  do = 'inform'
`, at, file, nasPace), nil)
	s.MustStart("desk")
	s.Session("dora", "duty_officer")
	token := s.Token("dora", "read,report,decide")
	s.Decide(token)
	s.Join("intake", "intake-1")
	s.MustStart("intake")

	n.tell(t, at+":1813", secret)
	table, tokenFile := filepath.Join(s.Dir, "sinkhole.csv"), filepath.Join(s.Dir, "dora.token")
	rows := "timestamp,protocol,src_ip,src_port,src_asn,dst_ip,dst_port,infection\n"
	for i := range heldLines {
		rows += fmt.Sprintf("%s,tcp,198.51.100.%d,48101,64496,203.0.113.90,23,mirai\n", time.Now().UTC().Add(-30*time.Minute).Format(time.DateTime), i+1)
	}
	for path, text := range map[string]string{table: rows, tokenFile: token + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.MustRun("abuse", "import", table, "--server", s.Console, "--token-file", tokenFile)
	var cases struct{ Items []struct{ ID string } }
	until := func(what string, done func() (bool, error)) {
		t.Helper()
		if err := live.Until(3*time.Minute, done); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	until("cases", func() (bool, error) {
		_, err := s.Call("GET", s.Console+"/api/v1/abuse/cases?limit=500", "", nil, &cases)
		return len(cases.Items) == heldLines, err
	})
	for _, c := range cases.Items {
		wish := map[string]any{"case": c.ID, "profile": "leaky", "days": 14, "why": map[string]string{"threat": "t", "necessity": "n", "proportion": "p", "legal": ""}}
		if _, err := s.Call("POST", s.Console+"/api/v1/abuse/quarantines", "", wish, nil); err != nil {
			t.Fatal(err)
		}
	}
	until("all are in", func() (bool, error) { in, _ := n.count(); return short(in, heldLines) })

	if _, err := s.Call("POST", s.Console+"/api/v1/abuse/releases", "", map[string]string{"class": class, "text": "the feed was wrong"}, nil); err != nil {
		t.Fatal(err)
	}
	for kill := range 2 {
		until("some are out", func() (bool, error) {
			_, out := n.count()
			return short(out, (kill+1)*heldLines/3)
		})
		s.Kill("desk")
		_, out := n.count()
		t.Logf("killed when %d of %d were out", out, heldLines)
		if out == heldLines {
			t.Error("the release was over before the kill")
		}
		s.MustStart("desk")
	}
	until("all are out", func() (bool, error) { _, out := n.count(); return short(out, heldLines) })
	var all struct {
		Items []struct{ Total, Released, Stuck int }
	}
	until("the release is over", func() (bool, error) {
		_, err := s.Call("GET", s.Console+"/api/v1/abuse/releases", "", nil, &all)
		return len(all.Items) == 1 && all.Items[0].Released == heldLines && all.Items[0].Total == heldLines && all.Items[0].Stuck == 0, err
	})
	n.mu.Lock()
	again := 0
	for id, seen := range n.seen {
		if id == "canary" {
			continue
		}
		if len(seen) < 2 || seen[0] != "leaky" {
			t.Errorf("%s had %v", id, seen)
		}
		for _, f := range seen[1:] {
			if f != "normal" {
				t.Errorf("%s had %v: put in again", id, seen)
			}
		}
		again += max(len(seen)-2, 0)
	}
	n.mu.Unlock()
	t.Logf("%d changes were sent again, since a kill came before they were written down", again)
	if again > 2*2*nasPace {
		t.Errorf("%d changes were sent again after two kills", again)
	}
	if err := s.Stop("desk"); err != nil {
		t.Fatal(err)
	}
	toldOnce(t, s.Store())
}

// short says whether there are as many as are wanted, and how many there are where not.
func short(have, want int) (bool, error) {
	if have < want {
		return false, fmt.Errorf("%d of %d", have, want)
	}
	return true, nil
}

// toldOnce holds that each case says once that its line is out, and that no line is in.
func toldOnce(t *testing.T, file string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var cases, notes, inside int
	if err := db.QueryRow(`select count(distinct case_id), count(*), (select count(*) from abuse_quarantine where state<>'released') from abuse_note where kind='released'`).Scan(&cases, &notes, &inside); err != nil {
		t.Fatal(err)
	}
	if cases != heldLines || notes != heldLines || inside != 0 {
		t.Errorf("%d cases say %d times that a line is out, %d are not; want %d, once each, none", cases, notes, inside, heldLines)
	}
}

// nas is an access server that remembers what each session was put into.
type nas struct {
	*standin.Server
	mu   sync.Mutex
	seen map[string][]string
}

func newNAS(t *testing.T, addr, secret string) *nas {
	t.Helper()
	n := &nas{seen: map[string][]string{}}
	n.Server = standin.New(secret, func(s standin.Session) error {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.seen[s.ID] = append(n.seen[s.ID], s.Filter)
		return nil
	})
	n.Add(standin.Session{ID: "canary", User: "canary", Filter: "normal"})
	for i := range heldLines {
		n.Add(standin.Session{ID: fmt.Sprintf("s%d", i), User: fmt.Sprintf("user-%d", i), Filter: "normal"})
	}
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); n.Run(ctx, conn) }()
	t.Cleanup(func() { stop(); <-ended })
	return n
}

// count is how many lines are in, and how many came out again.
func (n *nas) count() (in, out int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, seen := range n.seen {
		switch {
		case id == "canary":
		case seen[len(seen)-1] == "leaky":
			in++
		default:
			out++
		}
	}
	return in, out
}

// tell sends the accounting of all sessions; each is up for an hour.
func (n *nas) tell(t *testing.T, door, secret string) {
	t.Helper()
	conn, err := net.Dial("udp", door)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	number := func(typ byte, v uint32) radius.Attribute {
		return radius.Attribute{Type: typ, Value: binary.BigEndian.AppendUint32(nil, v)}
	}
	one := func(id byte, session, user string, addr net.IP) {
		t.Helper()
		b := radius.Request(id, []radius.Attribute{number(radius.AcctStatusType, 3), {Type: radius.AcctSessionID, Value: []byte(session)}, {Type: radius.UserName, Value: []byte(user)},
			{Type: radius.NASIdentifier, Value: []byte("bng1")}, {Type: radius.FramedIPAddress, Value: addr.To4()}, number(radius.AcctSessionTime, 3600)}, false, []byte(secret))
		answer := make([]byte, 4096)
		for range 20 {
			if _, err := conn.Write(b); err != nil {
				t.Fatal(err)
			}
			conn.SetReadDeadline(time.Now().Add(3 * time.Second))
			if k, err := conn.Read(answer); err == nil && radius.Answers(answer[:k], b, []byte(secret)) {
				return
			}
		}
		t.Fatalf("accounting of %s is not answered", session)
	}
	one(255, "canary", "canary", net.IPv4(198, 51, 100, 250))
	for i := range heldLines {
		one(byte(i), fmt.Sprintf("s%d", i), fmt.Sprintf("user-%d", i), net.IPv4(198, 51, 100, byte(i+1)))
	}
}
