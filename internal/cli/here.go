package cli

import (
	"os"

	"github.com/alecthomas/kong"

	"bolwerk/shield"
)

// Where the Debian package keeps what it runs.
const (
	installedConfig = "/etc/bolwerk/bolwerk.toml"
	installedData   = "/var/lib/bolwerk"
)

// here are the defaults that depend on the machine: the demo in this folder
// comes first, then what is installed.
func here() kong.Vars {
	if !exists(shield.DemoFolder) && exists(installedData) {
		return kong.Vars{"data": installedData}
	}
	return kong.Vars{"data": shield.DemoFolder}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
