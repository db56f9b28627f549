package peers

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// FreeRADIUS is a running FreeRADIUS: an AAA server for logins, and an access
// server's side of RFC 5176.
type FreeRADIUS struct {
	Auth, CoA netip.AddrPort
	Secret    string
	// Changes is a file with a line for each change that it took: session, user and
	// Filter-Id.
	Changes string
	log     *record
}

// Log is what it has written so far.
func (f *FreeRADIUS) Log() string { return f.log.String() }

// StartFreeRADIUS starts one. At a login it asks login, an address of ours, showing
// token, with the configuration of docs/do/enforce.md. A change of the session "gone"
// is refused with Session-Context-Not-Found, one of "full" with Resources-Unavailable.
// Its answers to changes are not signed: 3.2.1 signs them in a way that its own
// radclient refuses.
func StartFreeRADIUS(t testing.TB, login netip.AddrPort, token string) *FreeRADIUS {
	t.Helper()
	binary := Need(t, "freeradius")
	dir := t.TempDir()
	f := &FreeRADIUS{Auth: FreePort(t), CoA: FreePort(t), Secret: "a secret of bng1", Changes: filepath.Join(dir, "changes"), log: &record{}}
	write(t, dir, "dictionary", "$INCLUDE /usr/share/freeradius/dictionary\n")
	write(t, dir, "radiusd.conf", fmt.Sprintf(`
prefix = /usr
libdir = /usr/lib/freeradius
raddbdir = %[1]s
logdir = %[1]s
run_dir = %[1]s
pidfile = %[1]s/pid
log {
	destination = stdout
}
security {
	allow_vulnerable_openssl = yes
}
proxy_requests = no
client bolwerk {
	ipaddr = 127.0.0.1
	secret = "%[2]s"
}
thread pool {
	start_servers = 2
	max_servers = 8
	min_spare_servers = 1
	max_spare_servers = 4
}
modules {
	always ok {
		rcode = ok
	}
	always reject {
		rcode = reject
	}
	linelog changes {
		filename = %[1]s/changes
		format = "%%{Acct-Session-Id} %%{User-Name} %%{Filter-Id}"
	}
	rest bolwerk {
		connect_timeout = 0.5
		post-auth {
			uri = "http://%[5]s/v1/login?user=%%{User-Name}&nas=%%{NAS-Identifier}&nas_ip=%%{NAS-IP-Address}"
			method = 'get'
			auth = 'basic'
			username = 'bolwerk'
			password = '%[6]s'
			timeout = 0.5
		}
		pool {
			start = 0
			min = 0
			max = 8
			spare = 1
			uses = 0
			retry_delay = 1
			lifetime = 0
			idle_timeout = 60
		}
	}
}
server coa {
	listen {
		type = coa
		ipaddr = 127.0.0.1
		port = %[4]d
	}
	recv-coa {
		if (&Acct-Session-Id == "gone") {
			update reply {
				Error-Cause := Session-Context-Not-Found
			}
			reject
		}
		if (&Acct-Session-Id == "full") {
			update reply {
				Error-Cause := Resources-Unavailable
			}
			reject
		}
		changes
		ok
	}
	send-coa {
		ok
	}
}
server default {
	listen {
		type = auth
		ipaddr = 127.0.0.1
		port = %[3]d
	}
	authorize {
		update control {
			Auth-Type := Accept
		}
	}
	post-auth {
		redundant {
			bolwerk
			ok
		}
	}
}
`, dir, f.Secret, f.Auth.Port(), f.CoA.Port(), login, token))
	own := filepath.Join(dir, "freeradius")
	if err := copyFile(binary, own); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(own, "-f", "-d", dir, "-n", "radiusd", "-l", "stdout")
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = f.log, f.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start freeradius: %v", err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	var once sync.Once
	t.Cleanup(func() {
		once.Do(func() { cmd.Process.Kill(); <-ended })
		if t.Failed() {
			t.Logf("freeradius wrote:\n%s", tail(f.Log(), 6000))
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; {
		if strings.Contains(f.Log(), "Ready to process requests") { // to try its ports would take them from it
			return f
		}
		select {
		case <-ended:
			t.Fatalf("freeradius ended at once:\n%s", tail(f.Log(), 6000))
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("freeradius does not listen at %s", f.CoA)
		}
	}
}
