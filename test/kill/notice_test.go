package kill

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bolwerk/test/live"
)

// Whoever is to be told is told under one Idempotency-Key, however often the desk is
// killed: at random, and when the recipient has the notice and the desk has not yet
// written that down. Only such a kill makes a second request, with the same key.
func TestNoticesAreNeitherLostNorToldTwiceWhenTheDeskIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("kills of the real program take minutes: not with -short")
	}
	t.Parallel()
	a := live.NewAuthority(t)
	s := live.Apart(t, "fault", a.Config, nil)
	start := func(fault string) {
		t.Helper()
		if err := s.Start("desk", a.Env, "BOLWERK_FAULT="+fault); err != nil {
			t.Fatalf("%s: %v", fault, err)
		}
	}
	start("")
	s.Session("dora", "duty_officer")
	s.Decide(s.Token("dora", "read,decide"))
	block := func(n int) {
		t.Helper()
		name := fmt.Sprintf("told-%d.example", n)
		err := live.Until(time.Minute, func() (bool, error) {
			_, err := s.Block(name, "")
			if err == nil || strings.Contains(err.Error(), "already blocked") {
				return true, nil
			}
			return false, err
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	type notice struct {
		ID, Name, State, Receipt string
		Tries                    int
	}
	notices := func() (out map[string]notice, err error) {
		var page struct{ Items []notice }
		if _, err = s.Call("GET", s.Console+"/api/v1/notices?limit=500", "", nil, &page); err != nil {
			return nil, err
		}
		out = map[string]notice{}
		for _, n := range page.Items {
			if _, twice := out[n.Name]; twice {
				return nil, fmt.Errorf("%s has two notices", n.Name)
			}
			out[n.Name] = n
		}
		return out, nil
	}
	block(0)
	var first notice
	if err := live.Until(time.Minute, func() (bool, error) {
		all, err := notices()
		first = all["told-0.example"]
		return first.State == "held", err
	}); err != nil {
		t.Fatal(err)
	}
	if _, _, requests := a.Told(); requests != 0 {
		t.Fatalf("%d requests before a person has read the first", requests)
	}
	if _, err := s.Call("POST", s.Console+"/api/v1/notices/"+first.ID+"/let", "", nil, nil); err != nil {
		t.Fatal(err)
	}
	n, faults := 1, 0
	for _, fault := range []string{"notice.handed:1=kill", "notice.handed:2=kill", "store.commit:20=kill", "store.committed:25=kill"} {
		s.Kill("desk")
		start(fault)
		p := s.Program("desk")
		for i := 0; i < 20 && p.Alive(); i++ {
			name := fmt.Sprintf("told-%d.example", n)
			if _, err := s.Block(name, ""); err != nil {
				break // it is tried again below
			}
			n++
			time.Sleep(200 * time.Millisecond)
		}
		select {
		case <-p.Done():
			faults++
		case <-time.After(20 * time.Second):
			t.Logf("%s was not reached", fault)
		}
	}
	s.Kill("desk")
	start("")
	for i := range n + 1 { // what was answered, and the one that was not
		block(i)
	}
	// A try that a kill ended is taken on again when its claim has run out.
	if err := live.Until(4*time.Minute, func() (bool, error) {
		all, err := notices()
		if err != nil {
			return false, err
		}
		for i := range n + 1 {
			if one := all[fmt.Sprintf("told-%d.example", i)]; one.State != "receipt" {
				return false, fmt.Errorf("told-%d.example: %+v", i, one)
			}
		}
		if len(all) != n+1 {
			return false, fmt.Errorf("%d notices of %d names", len(all), n+1)
		}
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	names, keys, requests := a.Told()
	t.Logf("%d names, %d keys, %d requests, %d kills at a fault point", names, keys, requests, faults)
	if names != n+1 || keys != n+1 {
		t.Errorf("%d names told under %d keys, want %d and %d", names, keys, n+1, n+1)
	}
	if requests > n+1+faults {
		t.Errorf("%d requests for %d notices and %d kills: a kill makes one more at most", requests, n+1, faults)
	}
	if faults == 0 {
		t.Error("no fault point was reached")
	}
}
