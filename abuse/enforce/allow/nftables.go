package allow

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"bolwerk"
)

// What the leaky profile stops: connections with which infected devices harm others
// (log-ins, mail without one, file sharing and remote desktops of Windows, telnet
// and its kind), and answers of services that amplify an attack.
var (
	harmful   = []int{22, 23, 25, 135, 139, 445, 1433, 2323, 3389, 5555, 7547}
	amplifies = []int{19, 53, 111, 123, 137, 161, 389, 1900, 3702, 5353, 11211}
)

// ruleset writes a table for nftables: an access server puts the address of a line
// into the set leaky4 or strict4 (or 6), and takes it out again. Lines in neither are
// not touched. What a line sends is looked at in connections that stood before, too. The
// direction of a flow tells what a line asks from what it is asked: a line in strict may
// answer who calls in (a call's sound comes from any port), but never amplify. That the
// flow is looked at also has Linux join fragments first, of which only one names a port.
// Answers to the garden, and to who tests lines (tests4, tests6), are let through: the test
// would else find nothing of what is still open.
// The names of the list have to be resolved by something that fills allowed4 and
// allowed6, as dnsmasq does.
func ruleset(w io.Writer, all []Entry, garden string) error {
	a, err := netip.ParseAddr(garden)
	if err != nil {
		return bolwerk.Invalid("garden %q: want the address of the garden's page and resolver", garden)
	}
	fmt.Fprintf(w, "table inet bolwerk {\n")
	for _, v := range []string{"4", "6"} {
		for _, s := range []string{"leaky", "strict", "allowed", "tests"} {
			fmt.Fprintf(w, "\tset %s%s { type ipv%s_addr; flags interval; auto-merge; }\n", s, v, v)
		}
	}
	to := "ip"
	if a.Is6() {
		to = "ip6"
	}
	fmt.Fprintf(w, `
	chain amplified {
		udp sport { %s } ct direction reply drop
	}
	chain garden {
		%s daddr %s accept
		ip daddr @tests4 accept
		ip6 daddr @tests6 accept
		jump amplified
		ip daddr @allowed4 accept
		ip6 daddr @allowed6 accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, packet-too-big } accept
		udp dport { %s } accept
		tcp dport { %s } accept
		ct direction reply accept
		ct status expected accept
		ct state related meta l4proto { icmp, icmpv6 } accept
		meta l4proto tcp reject with tcp reset
		reject with icmpx admin-prohibited
	}
	chain harmful {
		%s daddr %s accept
		ip daddr @tests4 accept
		ip6 daddr @tests6 accept
		jump amplified
		tcp dport { %s } reject with tcp reset
		udp sport 123 udp dport 123 accept
		udp sport { %s } drop
	}
	chain lines {
		type filter hook forward priority filter; policy accept;
		ip saddr @strict4 goto garden
		ip6 saddr @strict6 goto garden
		ip saddr @leaky4 goto harmful
		ip6 saddr @leaky6 goto harmful
	}
}
`, ports(amplifies), to, a, ports(Ports(all, "udp")), ports(Ports(all, "tcp")), to, a, ports(harmful), ports(amplifies))
	return nil
}

func ports(all []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(all), " ", ", "), "[]")
}
