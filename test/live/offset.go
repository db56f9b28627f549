package live

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are the demo's usual ones, by what a story calls them.
var Ports = map[string]int{"CONSOLE": 8080, "PUBLIC": 8081, "WARNING": 8082, "TLS": 8443, "HOSTS": 8090, "METRICS": 8089, "GARDEN": 8084,
	"DNS": 5300, "RPZ": 5301, "UPSTREAM": 5302, "SMTP": 2525}

// Offset is a --port-offset at which every port of the demo is free, and a
// function that gives it back. It stays this test's own until then, also against
// tests in other processes and while its program is down: a hundred apart no two
// demos meet, a listener keeps the place, and all ports are below those that
// Linux gives to connections (net.ipv4.ip_local_port_range begins at 32768), of
// which any could be anybody's a moment later.
func Offset() (n int, giveBack func(), err error) {
	for range 1000 {
		n := 10000 + 100*rand.IntN(143) // 2525+10000 to 8443+24200
		place, err := net.Listen("tcp", fmt.Sprintf("127.77.77.77:%d", n))
		if err != nil {
			continue
		}
		if free(n) {
			return n, func() { place.Close() }, nil
		}
		place.Close()
	}
	return 0, nil, fmt.Errorf("no free ports for a demo between 10000 and 32768")
}

func free(offset int) bool {
	for _, port := range Ports {
		at := fmt.Sprintf("127.0.0.1:%d", port+offset)
		tcp, err := net.Listen("tcp", at)
		if err != nil {
			return false
		}
		tcp.Close()
		udp, err := net.ListenPacket("udp", at)
		if err != nil {
			return false
		}
		udp.Close()
	}
	return true
}
