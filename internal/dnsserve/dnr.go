package dnsserve

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"bolwerk"
)

// WriteDNR writes the options by which DHCP and router advertisements name the servers
// over TLS and HTTPS (DNR, RFC 9463), as Kea and dnsmasq take them. Routers in homes
// hide a server's address from DDR; the network that hands out addresses does not.
func WriteDNR(out io.Writer, c Config) error {
	if err := c.About.validate(c.Encrypted); err != nil {
		return err
	}
	if c.DDRName == "" || len(c.DDRAddresses) == 0 {
		return bolwerk.WithHint(bolwerk.Invalid("dns: no ddr_name or no ddr_addresses"), "name what customers reach: docs/do/dns-discovery.md")
	}
	var v4, v6 [][]byte
	var doors [][2]string
	for _, d := range []struct {
		alpn         []string
		listen, path string
	}{{[]string{"dot"}, c.ListenTLS, ""}, {[]string{"doq"}, c.ListenQUIC, ""}, {c.httpVersions(), c.ListenHTTPS, dohQuery}} {
		if d.listen == "" {
			continue
		}
		_, text, err := net.SplitHostPort(d.listen)
		if err != nil {
			return bolwerk.Invalid("dns: %q: want host:port", d.listen)
		}
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return bolwerk.Invalid("dns: %q: want a port number", d.listen)
		}
		params := svcParams(d.alpn, uint16(port), nil, d.path)
		doors = append(doors, [2]string{strings.Join(d.alpn, " and "), text})
		v4, v6 = append(v4, dnr4(c, len(v4)+1, params)), append(v6, dnr6(c, len(v6)+1, params))
	}
	has4 := slices.ContainsFunc(c.DDRAddresses, func(a netip.Addr) bool { return a.Unmap().Is4() })
	has6 := slices.ContainsFunc(c.DDRAddresses, func(a netip.Addr) bool { return !a.Unmap().Is4() })
	fmt.Fprintf(out, "# %s", c.DDRName)
	for _, d := range doors {
		fmt.Fprintf(out, ", %s at port %s", d[0], d[1])
	}
	fmt.Fprintln(out, "\n\n# Kea, in \"option-data\"")
	if has4 { // all instances in one option (RFC 9463 section 5.1)
		fmt.Fprintf(out, "{ \"space\": \"dhcp4\", \"code\": 162, \"csv-format\": false, \"data\": %q }\n", strings.ToUpper(hex.EncodeToString(slices.Concat(v4...))))
	}
	for _, b := range v6 {
		if has6 {
			fmt.Fprintf(out, "{ \"space\": \"dhcp6\", \"code\": 144, \"csv-format\": false, \"data\": %q }\n", strings.ToUpper(hex.EncodeToString(b)))
		}
	}
	fmt.Fprintln(out, "\n# dnsmasq")
	if has4 {
		fmt.Fprintf(out, "dhcp-option=162,%s\n", colons(slices.Concat(v4...)))
	}
	for _, b := range v6 {
		if has6 {
			fmt.Fprintf(out, "dhcp-option=option6:144,%s\n", colons(b))
		}
	}
	if !has6 {
		return nil
	}
	fmt.Fprintln(out, "\n# router advertisements: whole options of type 144, with a lifetime of 30 minutes, for daemons that take raw ones")
	for _, b := range v6 {
		fmt.Fprintln(out, hex.EncodeToString(dnrRA(b)))
	}
	return nil
}

// dnr4 is one instance of DHCPv4's option 162 (RFC 9463 section 5.1).
func dnr4(c Config, priority int, params []byte) []byte {
	name := wireName(c.DDRName)
	b := append([]byte{0, byte(priority), byte(len(name))}, name...)
	var addrs []byte
	for _, a := range c.DDRAddresses {
		if a = a.Unmap(); a.Is4() {
			addrs = append(addrs, a.AsSlice()...)
		}
	}
	b = append(append(b, byte(len(addrs))), addrs...)
	b = append(b, params...)
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

// dnr6 is what DHCPv6's option 144 holds (RFC 9463 section 4.1).
func dnr6(c Config, priority int, params []byte) []byte {
	name := wireName(c.DDRName)
	b := binary.BigEndian.AppendUint16([]byte{0, byte(priority)}, uint16(len(name)))
	b = append(b, name...)
	var addrs []byte
	for _, a := range c.DDRAddresses {
		if !a.Unmap().Is4() {
			addrs = append(addrs, a.AsSlice()...)
		}
	}
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(addrs))), addrs...)
	return append(b, params...)
}

// dnrRA is the option of a router advertisement (RFC 9463 section 6.1) with what dnr6 made.
func dnrRA(six []byte) []byte {
	const lifetime = 30 * 60
	b := append([]byte{144, 0}, six[:2]...)
	b = binary.BigEndian.AppendUint32(b, lifetime)
	head := 2 + 2 + int(binary.BigEndian.Uint16(six[2:]))
	head += 2 + int(binary.BigEndian.Uint16(six[head:]))
	b = append(b, six[2:head]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(six)-head))
	b = append(b, six[head:]...)
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	b[1] = byte(len(b) / 8)
	return b
}

func colons(b []byte) string {
	var out []string
	for _, c := range b {
		out = append(out, hex.EncodeToString([]byte{c}))
	}
	return strings.Join(out, ":")
}

// wireName is a configured name as messages have it.
func wireName(text string) (b []byte) {
	name, _ := bolwerk.ParseDomain(text) // validate has read it
	for label := range strings.SplitSeq(name.String(), ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0)
}

// svcParams are the parameters of a server over TLS (RFC 9461), in the order of their keys.
func svcParams(alpn []string, port uint16, hints []netip.Addr, path string) (b []byte) {
	param := func(key byte, value []byte) {
		if len(value) > 0 {
			b = append(binary.BigEndian.AppendUint16(append(b, 0, key), uint16(len(value))), value...)
		}
	}
	var names, v4, v6 []byte
	for _, a := range alpn {
		names = append(append(names, byte(len(a))), a...)
	}
	for _, a := range hints {
		if a = a.Unmap(); a.Is4() {
			v4 = append(v4, a.AsSlice()...)
		} else {
			v6 = append(v6, a.AsSlice()...)
		}
	}
	param(svcALPN, names)
	param(svcPort, binary.BigEndian.AppendUint16(nil, port))
	param(svcIPv4, v4)
	param(svcIPv6, v6)
	param(svcDoH, []byte(path))
	return b
}
