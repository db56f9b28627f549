package gate

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"bolwerk"
)

func TestOnlyPublicAddressesAreDialed(t *testing.T) {
	g := New(nil)
	for _, a := range []string{"127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "fe80::1", "fd00::1", "100.64.0.1", "0.0.0.0", "::",
		"::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "224.0.0.1", "ff02::1", "255.255.255.255", "192.0.2.1", "2001:db8::1", "fec0::1",
		"::127.0.0.1", "::ffff:0:7f00:1", "168.63.129.16", "192.88.99.1", "2001:0:7f00:1::", "64:ff9b:1::1", "5f00::1", "::ffff:169.254.169.254", "fd00:ec2::254", "100.100.100.200"} {
		if err := g.Check(netip.MustParseAddr(a)); !errors.Is(err, bolwerk.ErrForbidden) {
			t.Errorf("%s: %v", a, err)
		}
	}
	for _, a := range []string{"8.8.8.8", "2a02:1800::1", "::ffff:8.8.8.8"} {
		if err := g.Check(netip.MustParseAddr(a)); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestTheGateStandsBehindTheName(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/", http.StatusFound)
		}
	}))
	defer s.Close()
	name := "http://localhost:" + s.URL[len("http://127.0.0.1:"):]
	if _, err := New(nil).Client(time.Second).Get(name); !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("a name that leads to loopback: %v", err)
	}
	open := New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}).Client(5 * time.Second)
	if res, err := open.Get(name + "/away"); err != nil || res.StatusCode != http.StatusFound {
		t.Errorf("allowed: %v, %v", res, err)
	}
}

// TestGuard21_address_gate: what is fetched for a stranger never reaches an address
// of ours (guard 21 of docs/understand/guards.md).
func TestGuard21_address_gate(t *testing.T) {
	t.Run("only public addresses", TestOnlyPublicAddressesAreDialed)
	t.Run("behind the name", TestTheGateStandsBehindTheName)
}

func TestANetworkThatIsRefused(t *testing.T) {
	own := netip.MustParsePrefix("8.8.8.0/24")
	g := New([]netip.Prefix{netip.MustParsePrefix("8.8.8.8/32")}).Refuse([]netip.Prefix{own})
	for a, open := range map[string]bool{"8.8.8.9": false, "::ffff:8.8.8.9": false, "8.8.8.8": true, "8.8.4.4": true} {
		if err := g.Check(netip.MustParseAddr(a)); (err == nil) != open {
			t.Errorf("%s: %v", a, err)
		}
	}
}
