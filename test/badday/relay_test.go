package badday

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"bolwerk/test/live"
)

// metric reads a metric of a role, of the first series that begins so.
func metric(s *live.Site, role, name string) (string, error) {
	res, err := http.Get("http://" + s.Metrics[role] + "/metrics")
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(v[strings.LastIndexByte(v, ' ')+1:]), err
		}
	}
	return "", err
}

// relayed waits until the edge takes its copies from the relay, or from the desk.
func relayed(t *testing.T, s *live.Site, want string) {
	t.Helper()
	until(t, "bolwerk_copy_relayed is "+want, 90*time.Second, func() (bool, error) {
		got, err := metric(s, "edge", "bolwerk_copy_relayed")
		return got == want, err
	})
}

// stand is what the desk shows of a machine.
type stand struct {
	Name, Kind, State, Via string
	Serial                 int64
	Edges                  int
}

func stands(s *live.Site) (map[string]stand, error) {
	var now struct{ Stands []stand }
	_, err := s.Call("GET", s.Console+"/api/v1/now", "", nil, &now)
	out := map[string]stand{}
	for _, x := range now.Stands {
		out[x.Name] = x
	}
	return out, err
}

// An edge behind a relay: blocks come through it, the desk knows that they have, a
// relay that dies is done without, and an edge that is put out hears nothing more.
func TestAnEdgeBehindARelay(t *testing.T) {
	long(t)
	s := live.Apart(t, "", "", nil)
	s.MustStart("desk")
	s.Session("anna", "analyst")
	s.Decide(s.Token("anna", "read,report,decide"))
	s.Relay()
	s.MustStart("relay")
	s.Join("edge", "edge-1")
	s.MustStart("edge")
	block(t, s, "first.example")
	blocked(t, s, "first.example", true)
	relayed(t, s, "1")
	until(t, "the desk knows it from the relay", time.Minute, func() (bool, error) {
		all, err := stands(s)
		r, e := all["relay-1"], all["edge-1"]
		if ok := r.State == "current" && r.Edges == 1 && e.State == "current" && e.Via == "relay-1" && e.Serial == r.Serial; !ok {
			return false, fmt.Errorf("relay %+v, edge %+v: %w", r, e, err)
		}
		return true, nil
	})

	s.Kill("relay")
	began := time.Now()
	block(t, s, "second.example")
	blocked(t, s, "second.example", true)
	t.Logf("with the relay killed a decision is in force after %s", time.Since(began).Round(time.Millisecond))
	relayed(t, s, "0")
	s.MustStart("relay")
	relayed(t, s, "1")
	block(t, s, "third.example")
	blocked(t, s, "third.example", true)

	// Who is put out is out at the relay too: what is decided then does not come.
	s.MustRun("host", "revoke", "edge-1", "--data", s.Data("desk"))
	until(t, "the relay has ended with it", time.Minute, func() (bool, error) {
		b, err := metric(s, "relay", `bolwerk_copy_entries{copy="hosts"`)
		return b == "0" && strings.Contains(s.Log("relay"), "host revoked during a request"), err
	})
	block(t, s, "fourth.example")
	time.Sleep(3 * time.Second)
	blocked(t, s, "third.example", true) // it keeps what it has
	if got, err := s.Blocked("fourth.example"); got || err != nil {
		t.Errorf("an edge that was put out still hears of blocks: %t %v", got, err)
	}
}
