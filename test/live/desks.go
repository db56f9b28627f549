package live

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Beside is a second desk at the store of a site of processes apart, with an
// address and a folder of its own; hosts that join later know both. The site's
// store must be a PostgreSQL. Nothing runs yet.
func (s *Site) Beside() *Site {
	s.T.Helper()
	ip, first := Address(s.T), strings.TrimSuffix(s.Hosts, ":8090")
	at := func(port int) string { return fmt.Sprintf("%s:%d", ip, port) }
	o := &Site{T: s.T, Dir: s.Dir, Binary: s.Binary, running: map[string]*Program{}, client: http.Client{Timeout: s.client.Timeout, Transport: &http.Transport{}},
		Console: "http://" + at(8080), Public: s.Public, DNS: s.DNS, RPZ: at(5301), Hosts: at(8090), SMTP: s.SMTP,
		Metrics: map[string]string{"desk-2": at(8091)}, data: map[string]string{"desk": filepath.Join(s.Dir, "desk-2")}}
	path := filepath.Join(s.Dir, "desk.toml")
	b, err := os.ReadFile(path)
	if err != nil {
		s.T.Fatal(err)
	}
	both := strings.Replace(string(b), "address = '"+s.Hosts+"'", "address = '"+s.Hosts+","+o.Hosts+"'", 1)
	for file, text := range map[string]string{path: both,
		filepath.Join(s.Dir, "desk-2.toml"): strings.ReplaceAll(strings.Replace(strings.ReplaceAll(both, s.data["desk"], o.data["desk"]), s.Hosts+","+o.Hosts, "BOTH", 1), first+":", ip+":")} {
		text = strings.Replace(text, "BOTH", s.Hosts+","+o.Hosts, 1)
		text = strings.ReplaceAll(text, "hosts = ['"+first+"']", "hosts = ['"+first+"','"+ip+"']")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			s.T.Fatal(err)
		}
	}
	o.args = map[string][]string{"desk-2": {"desk", "--config", filepath.Join(s.Dir, "desk-2.toml")}}
	s.T.Cleanup(func() {
		for role := range o.running {
			if err := o.Stop(role); err != nil {
				s.T.Errorf("%s: %v", role, err)
			}
		}
	})
	return o
}

// ShareKeys gives another desk the keys of this one, as its administrator does.
func (s *Site) ShareKeys(o *Site) {
	s.T.Helper()
	keys := filepath.Join("desk", "keys")
	if err := os.CopyFS(filepath.Join(o.data["desk"], keys), os.DirFS(filepath.Join(s.data["desk"], keys))); err != nil {
		s.T.Fatal(err)
	}
	filepath.Walk(o.data["desk"], func(path string, info os.FileInfo, err error) error {
		if err == nil && info.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	})
}

// As has this site act as the people of another.
func (s *Site) As(o *Site) { s.token = o.token }

// Signal sends a signal to a role's process.
func (s *Site) Signal(role string, sig syscall.Signal) {
	s.T.Helper()
	p := s.Program(role)
	if p == nil {
		s.T.Fatalf("%s does not run", role)
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		s.T.Fatal(err)
	}
}
