// Package retest asks one line of the operator's own whether a service that was seen
// open on it still answers: one well-formed question to each service, and never a second.
package retest

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Service is an open service as its events name it.
type Service struct {
	Protocol string // tcp or udp
	Port     uint16
}

func (s Service) String() string {
	return strings.ToUpper(s.Protocol) + " " + strconv.Itoa(int(s.Port))
}

// answerIn is how long an answer may take: a line at home answers in some tens of
// milliseconds.
const answerIn = 2 * time.Second

// questions are those of the services of UDP that attacks are reflected by. Each is the
// smallest that a service answers, so that a test is no attack.
var questions = map[uint16][]byte{
	// RFC 1035, 4.1: the name servers of the root, recursion wanted.
	53: {0x42, 0x57, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1},
	// RFC 9327, 2: version 2, mode 6, "read variables" of the system.
	123: {0x16, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0},
	// RFC 3416: a get-request of SNMPv2c for sysUpTime.0, community "public".
	161: {0x30, 0x26, 2, 1, 1, 4, 6, 'p', 'u', 'b', 'l', 'i', 'c', 0xa0, 0x19, 2, 1, 1, 2, 1, 0, 2, 1, 0, 0x30, 0x0e, 0x30, 0x0c, 6, 8, 0x2b, 6, 1, 2, 1, 1, 3, 0, 5, 0},
	// UPnP Device Architecture 2.0, 1.3.2: a search of root devices, to one address.
	1900: []byte("M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nST: upnp:rootdevice\r\n\r\n"),
	// memcached's protocol.txt, "UDP protocol": one datagram that asks for the version.
	11211: append([]byte{0, 1, 0, 0, 0, 1, 0, 0}, "version\r\n"...),
}

// Can says that there is a question for the service: a connection for every port of TCP.
func (s Service) Can() bool {
	return s.Protocol == "tcp" && s.Port > 0 || s.Protocol == "udp" && questions[s.Port] != nil
}

// Answers asks the service at an address once, and says whether it answered; an error is
// of our own side: nothing is known then.
func Answers(ctx context.Context, at netip.Addr, s Service) (bool, error) {
	ctx, done := context.WithTimeout(ctx, answerIn)
	defer done()
	c, err := new(net.Dialer).DialContext(ctx, s.Protocol, netip.AddrPortFrom(at, s.Port).String())
	if err != nil {
		return false, ours(err)
	}
	defer c.Close()
	if s.Protocol == "tcp" {
		return true, nil
	}
	c.SetDeadline(time.Now().Add(answerIn))
	if _, err := c.Write(questions[s.Port]); err != nil {
		return false, ours(err)
	}
	b := make([]byte, 1500)
	n, err := c.Read(b)
	return n > 0 && serves(s.Port, b[:n]), ours(err)
}

// serves says that an answer is of a service that is open to everybody. A name server that
// refuses answers too, but no attack goes by it: it has to offer recursion (RFC 1035,
// 4.1.1), also where it finds nothing.
func serves(port uint16, answer []byte) bool {
	const response, recursion, refused = 0x80, 0x80, 5
	if port != 53 {
		return true
	}
	return len(answer) >= 12 && bytes.Equal(answer[:2], questions[53][:2]) && answer[2]&response != 0 && answer[3]&recursion != 0 && answer[3]&0x0f != refused
}
