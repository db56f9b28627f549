//go:build peers

package peers

import (
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"bolwerk/abuse/enforce/standin"
)

const deadlineConfig = `
[abuse]
addresses = ['abuse@bolwerk.example']
networks = ['198.51.100.0/24']
[abuse.views]
silence = '1h'
[abuse.accounting]
listen = '%[1]s:1813'
[[abuse.accounting.client]]
name = 'aaa1'
from = ['127.0.0.0/8']
secret_file = '%[2]s'
[abuse.enforce]
listen = 'LOGIN'
token_file = 'TOKEN'
[[abuse.enforce.nas]]
name = 'bng1'
address = '%[1]s:3799'
secret_file = '%[2]s'
attributes = 'juniper'
leaky = 'bolwerk-leaky'
canary = 'canary1'
[[abuse.enforce.nas]]
name = 'bng2'
address = '%[1]s:3800'
secret_file = '%[2]s'
normal = 'normal'
leaky = 'bolwerk-leaky'
canary = 'canary2'
[abuse.quarantine]
mode = 'on'
[abuse.garden]
listen = '%[1]s:8096'
url = 'http://safe.isp.example'
addresses = ['203.0.113.80']
[[abuse.playbook]]
name = 'mail'
classes = ['abusive-content/spam']
  [[abuse.playbook.step]]
  do = 'inform'
`

// endsIn is how long after it was asked for the quarantine of this test ends.
const endsIn = 90 * time.Second

// guest is a line of the test: its access server, one session for the report and one on
// this machine for its browser.
type guest struct{ name, nas, session, addr, here string }

// The desk is killed while two lines are in quarantine, and stays dead. At the end of the
// quarantine the edge lets both go, a login gives the normal profile, and the access
// server with a timer of its own (Juniper's service timeout) has ended it; the one
// without keeps its filter until a desk is back, which lets out at once and locks nobody in.
func TestTheDeskIsDeadAtTheDeadline(t *testing.T) {
	const token = "a token of aaa1, long"
	door := FreePort(t)
	aaa := StartFreeRADIUS(t, door, token)
	s := newAbuseDesk(t, aaa.Secret, strings.NewReplacer("LOGIN", door.String(), "TOKEN", secretOf(t, token)).Replace(deadlineConfig), "edge")
	ip := s.ip
	bng1, bng2 := accessServer(t, ip+":3799", aaa.Secret), accessServer(t, ip+":3800", aaa.Secret)
	anna := guest{"anna", "bng1", "a1", "198.51.100.7", "127.1.2.3"}
	bert := guest{"bert", "bng2", "b1", "198.51.100.8", "127.1.2.4"}
	bng1.Add(standin.Session{ID: "a1", User: "anna"})
	bng1.Add(standin.Session{ID: "a1h", User: "anna"})
	bng1.Add(standin.Session{ID: "c1", User: "canary1"})
	for id, user := range map[string]string{"b1": "bert", "b1h": "bert", "c2": "canary2"} {
		bng2.Add(standin.Session{ID: id, User: user, Filter: "normal"})
	}
	of := func(g guest) []string {
		return []string{alive(g.name, g.nas, g.session, g.addr), alive(g.name, g.nas, g.session+"h", g.here)}
	}
	s.tell(append(of(anna), of(bert)...)...)
	cases := []string{s.report(anna.addr), s.report(bert.addr)}
	for _, c := range cases {
		s.ask(c)
	}
	// They wait for the canaries. Nobody asks for less than a day: while the desk is
	// stopped, their ends are moved to a moment that a test can wait for.
	must(t, s.Stop("desk"))
	end := time.Now().Add(endsIn).Truncate(time.Second)
	change(t, s.Store(), `update abuse_quarantine set until=$1`, end.UnixMicro())
	s.MustStart("desk")
	s.tell(alive("canary1", "bng1", "c1", "198.51.100.251"), alive("canary2", "bng2", "c2", "198.51.100.252"))
	states := func() string {
		var in struct{ Items []quarantined }
		var out []string
		if _, err := s.Call("GET", s.Console+"/api/v1/abuse/quarantines?limit=10", "", nil, &in); err != nil {
			return err.Error()
		}
		for _, q := range in.Items {
			out = append(out, q.State)
		}
		return strings.Join(out, " ")
	}
	filter := func(n *standin.Server, id string) string { f, _ := n.Filter(id); return f }
	s.until("both are in", endsIn-20*time.Second, func() bool {
		return filter(bng1, "a1") == "bolwerk-leaky" && filter(bng2, "b1") == "bolwerk-leaky" && states() == "active active"
	}, states)
	seen := func(g guest) string {
		return fmt.Sprintf("page %v, name %v", captive(t, ip, g.here), led(t, s.DNS, g.here))
	}
	const guestOf, free = "page true, name true", "page false, name false"
	for _, g := range []guest{anna, bert} {
		s.until(g.name+" has the page", 20*time.Second, func() bool { return seen(g) == guestOf }, func() string { return seen(g) })
	}
	login := func(g guest) string { return aaa.login(t, g.name, g.nas) }
	if out := login(anna); !strings.Contains(out, `ERX-Service-Activate:1 = "bolwerk-leaky"`) || !strings.Contains(out, "ERX-Service-Timeout:1 = ") {
		t.Errorf("anna logs in before the end:\n%s", out)
	}
	if out := login(bert); !strings.Contains(out, `Filter-Id = "bolwerk-leaky"`) {
		t.Errorf("bert logs in before the end:\n%s", out)
	}

	s.Kill("desk")
	t.Logf("the desk is dead %s before the end", time.Until(end).Round(time.Second))
	for _, g := range []guest{anna, bert} {
		if out := login(g); strings.Contains(out, "bolwerk-leaky") {
			t.Errorf("%s logs in without a desk, any doubt is the normal profile:\n%s", g.name, out)
		}
		if got := seen(g); got != guestOf && time.Now().Before(end) {
			t.Errorf("%s before the end: %s", g.name, got)
		}
	}
	s.tell(append(of(anna), of(bert)...)...) // the intake keeps it for the desk
	time.Sleep(time.Until(end))
	for _, g := range []guest{anna, bert} {
		s.until(g.name+" is free at the edge", 15*time.Second, func() bool { return seen(g) == free }, func() string { return seen(g) })
		t.Logf("%s is free at the edge %s after the end", g.name, time.Since(end).Round(100*time.Millisecond))
	}
	if a, b := filter(bng1, "a1"), filter(bng2, "b1"); a != "" || b != "bolwerk-leaky" {
		t.Errorf("at the end bng1, with a timer, has %q; bng2, without, %q", a, b)
	}

	// The desk is back: it lets out whom the access server did not, and takes what had
	// ended by itself for ended.
	s.MustStart("desk")
	s.until("both are out", time.Minute, func() bool { return states() == "released released" }, states)
	if a, b := filter(bng1, "a1"), filter(bng2, "b1"); a != "" || b != "normal" {
		t.Errorf("after the desk is back bng1 has %q, bng2 %q", a, b)
	}
	if strings.Contains(s.Log("desk"), "LOCKED IN") {
		t.Error("an alarm of somebody who is locked in, and nobody is")
	}
	for _, g := range []guest{anna, bert} {
		if got, out := seen(g), login(g); got != free || strings.Contains(out, "bolwerk-leaky") {
			t.Errorf("%s is put in again: %s\n%s", g.name, got, out)
		}
	}

	// Where no accounting reaches the edges any more, they let go before the end already:
	// an address may have changed hands.
	must(t, s.Stop("desk"))
	replace(t, filepath.Join(s.Dir, "desk.toml"), "silence = '1h'", "silence = '15s'")
	s.MustStart("desk")
	s.ask(cases[0])
	s.ask(cases[1])
	s.until("both are in again", time.Minute, func() bool {
		s.tell(append(of(anna), of(bert)...)...)
		return seen(anna) == guestOf && seen(bert) == guestOf && states() == "active active released released"
	}, states)
	s.tell(alive("zoe", "bng1", "z1", "198.51.100.20")) // once it is known, so is the shorter silence
	s.until("accounting reaches the desk", time.Minute, func() bool {
		out, err := s.Run("abuse", "who", "198.51.100.20", "--data", s.Data("desk"), "--at", time.Now().UTC().Format(time.RFC3339), "--reason", "is the map there")
		return err == nil && strings.Contains(out, "zoe")
	}, states)
	s.Kill("desk")
	for _, g := range []guest{anna, bert} {
		s.until(g.name+" is free a while after the desk died", 40*time.Second, func() bool { return seen(g) == free }, func() string { return seen(g) })
	}
	s.MustStart("desk")
	s.until("both are in the garden again", time.Minute, func() bool {
		s.tell(append(of(anna), of(bert)...)...)
		return seen(anna) == guestOf && seen(bert) == guestOf
	}, states)
}

func replace(t *testing.T, file, from, to string) {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	if !strings.Contains(string(b), from) {
		t.Fatalf("%s has no %q", file, from)
	}
	must(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(b), from, to)), 0o600))
}

// change changes rows of a store that no desk has open.
func change(t *testing.T, file, query string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file)
	must(t, err)
	_, err = db.Exec(query, args...)
	must(t, err)
	must(t, db.Close())
}

// captive says whether the edge tells a device at an address that a page stands before it.
func captive(t *testing.T, ip, from string) bool {
	t.Helper()
	c := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext}}
	req, err := http.NewRequest("GET", "http://"+ip+":8096/.well-known/bolwerk/captive", nil)
	must(t, err)
	req.Host = "safe.isp.example"
	res, err := c.Do(req)
	must(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	must(t, err)
	return strings.Contains(string(b), `"captive":true`)
}

// led says whether the edge's DNS leads a device at an address to the garden's page.
func led(t *testing.T, at, from string) bool {
	t.Helper()
	c := dns.Client{Timeout: 5 * time.Second, Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}}
	r, _, err := c.Exchange(new(dns.Msg).SetQuestion("captive.apple.com.", dns.TypeA), at)
	must(t, err)
	for _, a := range r.Answer {
		if a, ok := a.(*dns.A); ok && a.A.String() == "203.0.113.80" {
			return true
		}
	}
	return false
}
