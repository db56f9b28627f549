// Command bolwerk is the whole program: every role, the client and the tools.
package main

import (
	"os"

	"bolwerk/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
