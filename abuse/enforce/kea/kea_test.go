package kea

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"bolwerk/abuse/enforce"
	"bolwerk/abuse/session"
)

// host is what Kea's manual says of libdhcp_host_cmds.
type host struct {
	mu       sync.Mutex
	classes  map[string]string // by hardware address
	hookless bool
}

func (h *host) do(raw []byte) (a answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var in struct {
		Command   string `json:"command"`
		Arguments struct {
			Subnet      int    `json:"subnet-id"`
			Type        string `json:"identifier-type"`
			Identifier  string `json:"identifier"`
			Reservation struct {
				Subnet  int      `json:"subnet-id"`
				Address string   `json:"hw-address"`
				Classes []string `json:"client-classes"`
			} `json:"reservation"`
		} `json:"arguments"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return answer{Result: 1}
	}
	switch args := in.Arguments; {
	case h.hookless:
		return answer{Result: unsupported}
	case in.Command == "reservation-add" && args.Reservation.Subnet == 7 && h.classes[args.Reservation.Address] == "":
		h.classes[args.Reservation.Address] = args.Reservation.Classes[0]
		return answer{Result: done}
	case in.Command == "reservation-get" && args.Subnet == 7 && args.Type == "hw-address":
		if h.classes[args.Identifier] == "" {
			return answer{Result: empty}
		}
		a.Arguments.Classes = []string{h.classes[args.Identifier]}
		return a
	case in.Command == "reservation-del" && args.Subnet == 7 && args.Type == "hw-address":
		if h.classes[args.Identifier] == "" {
			return answer{Result: empty}
		}
		delete(h.classes, args.Identifier)
		return answer{Result: done}
	}
	return answer{Result: 1}
}

func config(control string) Config {
	return Config{Name: "dhcp1", Control: control, Subnet: 7, Leaky: "bolwerk-leaky", Strict: "bolwerk-strict", Canary: "02:00:00:00:00:01"}
}

func TestADeviceGetsItsClassAndLosesIt(t *testing.T) {
	h := &host{classes: map[string]string{}}
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, r.ContentLength)
		r.Body.Read(b)
		if !strings.Contains(string(b), `"service":["dhcp4"]`) {
			t.Errorf("%s", b)
		}
		json.NewEncoder(w).Encode([]answer{h.do(b)})
	}))
	defer agent.Close()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 4096)
			n, _ := c.Read(b)
			json.NewEncoder(c).Encode(h.do(b[:n]))
			c.Close()
		}
	}()
	for _, control := range []string{agent.URL, socket} {
		p, err := New(config(control))
		if err != nil {
			t.Fatal(err)
		}
		device := session.Held{Identity: session.Identity{Calling: "02-00-00-00-00-07"}, NAS: "dhcp1", Source: session.Lease}
		for _, step := range []struct {
			profile enforce.Profile
			want    string
		}{{enforce.Leaky, "bolwerk-leaky"}, {enforce.Leaky, "bolwerk-leaky"}, {enforce.Strict, "bolwerk-strict"}, {enforce.Normal, ""}, {enforce.Normal, ""}} {
			r, err := p.Put(t.Context(), enforce.Order{Session: device, Profile: step.profile})
			h.mu.Lock()
			got := h.classes["02:00:00:00:00:07"]
			h.mu.Unlock()
			if err != nil || r.State != enforce.Applied || got != step.want {
				t.Errorf("%s: %+v %v: class %q want %q", step.profile, r, err, got, step.want)
			}
		}
		h.mu.Lock()
		h.classes["02:00:00:00:00:07"] = "a class of the operator's"
		h.mu.Unlock()
		for _, profile := range []enforce.Profile{enforce.Leaky, enforce.Normal} {
			r, err := p.Put(t.Context(), enforce.Order{Session: device, Profile: profile})
			if err != nil || h.classes["02:00:00:00:00:07"] == "" || (r.State == enforce.Refused) != (profile == enforce.Leaky) {
				t.Errorf("a reservation that is not ours: %+v %v", r, err)
			}
		}
		delete(h.classes, "02:00:00:00:00:07")
		h.hookless = true
		if r, err := p.Put(t.Context(), enforce.Order{Session: device, Profile: enforce.Leaky}); err != nil || r.State != enforce.Refused || !strings.Contains(r.Code, "host_cmds") {
			t.Errorf("without the hook: %+v %v", r, err)
		}
		h.hookless = false
		if r, err := p.Put(t.Context(), enforce.Order{Profile: enforce.Leaky}); err != nil || r.State != enforce.Refused {
			t.Errorf("without a device: %+v %v", r, err)
		}
	}
	p, err := New(config(filepath.Join(t.TempDir(), "nobody")))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := p.Put(t.Context(), enforce.Order{Session: session.Held{Identity: session.Identity{Calling: "02:00:00:00:00:07"}}, Profile: enforce.Leaky}); err != nil || r.State != enforce.Silent {
		t.Errorf("nobody there: %+v %v", r, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`[{"result":0,"text":"Host added."}]`))
	f.Add([]byte(`{"result":2}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := read(b); err == nil && len(b) < 2 {
			t.Errorf("%+v", a)
		}
	})
}
