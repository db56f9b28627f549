package live

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// Relay adds a relay to a site of processes apart, and has the edge take its copies
// from it. The desk runs; neither of both does.
func (s *Site) Relay() (address string) {
	s.T.Helper()
	ip, _, _ := net.SplitHostPort(s.Hosts)
	address = ip + ":8095"
	s.Metrics["relay"], s.data["relay"] = ip+":8096", filepath.Join(s.Dir, "relay")
	path := filepath.Join(s.Dir, "relay.toml")
	s.args["relay"] = []string{"relay", "--config", path}
	config := fmt.Sprintf("data = '%s'\noperator = 'Polder Telecom'\nhosts = { listen = '%s' }\nmetrics = { listen = '%s' }\n", s.data["relay"], address, s.Metrics["relay"])
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		s.T.Fatal(err)
	}
	edge := filepath.Join(s.Dir, "edge.toml")
	b, err := os.ReadFile(edge)
	if err != nil {
		s.T.Fatal(err)
	}
	with := strings.Replace(string(b), "[hosts]\n", fmt.Sprintf("[hosts]\nrelays = ['%s']\n", address), 1)
	if err := os.WriteFile(edge, []byte(with), 0o600); err != nil {
		s.T.Fatal(err)
	}
	s.Join("relay", "relay-1")
	return address
}
