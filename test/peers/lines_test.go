//go:build peers

package peers

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolwerk/abuse/enforce/standin"
	"bolwerk/test/live"
)

// abuseDesk is a site whose access servers send accounting, and somebody of its desk.
type abuseDesk struct {
	*live.Site
	t      *testing.T
	ip     string
	secret string // that all share
	token  string // a file
}

// newAbuseDesk starts a desk, an intake and other roles. The configuration takes the
// address of the site and a file with the secret.
func newAbuseDesk(t *testing.T, secret, config string, roles ...string) *abuseDesk {
	t.Helper()
	d := &abuseDesk{Site: live.Apart(t, "", "", nil), t: t, secret: secret}
	d.ip, _, _ = strings.Cut(d.DNS, ":")
	config = fmt.Sprintf(config, d.ip, secretOf(t, secret))
	for _, role := range d.Roles() {
		appendTo(t, filepath.Join(d.Dir, role+".toml"), config)
	}
	d.MustStart("desk")
	d.Session("dora", "duty_officer")
	token := d.Token("dora", "read,report,decide")
	d.Decide(token)
	d.token = filepath.Join(d.Dir, "dora.token")
	appendTo(t, d.token, token+"\n")
	for _, role := range append([]string{"intake"}, roles...) {
		d.Join(role, role+"-1")
		d.MustStart(role)
	}
	return d
}

// until waits; says is what is told where it lasts too long.
func (d *abuseDesk) until(what string, most time.Duration, done func() bool, says func() string) {
	d.t.Helper()
	if err := live.Until(most, func() (bool, error) { return done(), nil }); err != nil {
		d.t.Fatalf("%s: not within %s: %s", what, most, says())
	}
}

// tell sends accounting, as an access server does.
func (d *abuseDesk) tell(records ...string) {
	d.t.Helper()
	cmd := exec.Command(Need(d.t, "radclient"), "-x", "-r", "5", "-t", "3", d.ip+":1813", "acct", d.secret)
	cmd.Stdin = strings.NewReader(strings.Join(records, "\n\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		d.t.Fatalf("accounting: %v\n%s", err, out)
	}
}

// alive is a sign of life of a session that is up for an hour; more is added to it.
func alive(user, nas, id, addr string, more ...string) string {
	return strings.Join(append([]string{fmt.Sprintf(`Acct-Status-Type = Interim-Update, Acct-Session-Id = "%s", User-Name = "%s", NAS-Identifier = "%s", Framed-IP-Address = %s, Acct-Session-Time = 3600`, id, user, nas, addr)}, more...), ", ")
}

// report has somebody report the line at an address; it gives the id of its case.
func (d *abuseDesk) report(addr string) (id string) {
	d.t.Helper()
	ids := func() (out []string) {
		var all struct{ Items []struct{ ID string } }
		_, err := d.Call("GET", d.Console+"/api/v1/abuse/cases?limit=100", "", nil, &all)
		must(d.t, err)
		for _, c := range all.Items {
			out = append(out, c.ID)
		}
		return out
	}
	known := strings.Join(ids(), " ")
	table := filepath.Join(d.Dir, addr+".csv")
	appendTo(d.t, table, fmt.Sprintf("timestamp,protocol,src_ip,src_port,src_asn,dst_ip,dst_port,infection\n%s,tcp,%s,48101,64496,203.0.113.90,23,mirai\n", time.Now().UTC().Add(-30*time.Minute).Format(time.DateTime), addr))
	d.MustRun("abuse", "import", table, "--server", d.Console, "--token-file", d.token)
	d.until("a case of "+addr, time.Minute, func() bool {
		for _, c := range ids() {
			if !strings.Contains(known, c) {
				id = c
			}
		}
		return id != ""
	}, func() string { return strings.Join(ids(), " ") })
	return id
}

// quarantined is a quarantine as the API shows it.
type quarantined struct {
	ID, Ref, State string
	Waits          []string
	Lines          []struct {
		Done, Seen, Lied bool
		Code             string
	}
}

// ask asks for a leaky quarantine of a case.
func (d *abuseDesk) ask(id string) (q quarantined) {
	d.t.Helper()
	_, err := d.Call("POST", d.Console+"/api/v1/abuse/quarantines", "", map[string]any{"case": id, "profile": "leaky", "why": map[string]string{"threat": "t", "necessity": "n", "proportion": "p"}}, &q)
	must(d.t, err)
	return q
}

func (d *abuseDesk) show(id string) (q quarantined) {
	d.t.Helper()
	_, err := d.Call("GET", d.Console+"/api/v1/abuse/quarantines/"+id, "", nil, &q)
	must(d.t, err)
	return q
}

// becomes waits until a quarantine is in a state.
func (d *abuseDesk) becomes(id, state string) {
	d.t.Helper()
	d.until(id+" becomes "+state, time.Minute, func() bool { return d.show(id).State == state }, func() string { return fmt.Sprintf("%+v", d.show(id)) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func appendTo(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	must(t, err)
	_, err = f.WriteString(text)
	must(t, err)
	must(t, f.Close())
}

// accessServer is our stand-in at an address.
func accessServer(t *testing.T, addr, secret string) *standin.Server {
	t.Helper()
	n := standin.New(secret, nil)
	conn, err := net.ListenPacket("udp", addr)
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); n.Run(ctx, conn) }()
	t.Cleanup(func() { stop(); <-ended })
	return n
}

// login is what an AAA server answers to somebody who logs in.
func (f *FreeRADIUS) login(t *testing.T, user, nas string) string {
	t.Helper()
	cmd := exec.Command(Need(t, "radclient"), "-x", "-r", "1", "-t", "10", f.Auth.String(), "auth", f.Secret)
	cmd.Stdin = strings.NewReader(fmt.Sprintf(`User-Name = "%s", User-Password = "x", NAS-Identifier = "%s", Message-Authenticator = 0x00`, user, nas))
	out, _ := cmd.CombinedOutput()
	if !strings.Contains(string(out), "Received Access-Accept") {
		t.Fatalf("%s is not let in:\n%s", user, out)
	}
	return string(out)
}
