package app

import (
	"log/slog"
	"net"
	"os"
)

// tell says to the service manager that started us how we are (sd_notify(3)):
// READY=1, STOPPING=1, STATUS=text. Without one it does nothing.
func tell(log *slog.Logger, state string) {
	socket := os.Getenv("NOTIFY_SOCKET") // a path, or @name for an abstract one
	if socket == "" {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err == nil {
		_, err = c.Write([]byte(state))
		c.Close()
	}
	if err != nil {
		log.Warn("service manager not told", "state", state, "err", err)
	}
}
