//go:build !linux

package siem

import "net"

// unacknowledged is not known here: a batch counts as arrived once it is handed
// to the system.
func unacknowledged(net.Conn) (int, error) { return 0, nil }
