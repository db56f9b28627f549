//go:build peers

package peers

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"bolwerk/abuse/enforce/allow"
	"bolwerk/abuse/enforce/standin"
	"bolwerk/abuse/garden"
	"bolwerk/test/live"
)

// operator is the program in a namespace of its own.
type operator struct {
	space
	dir, program, secret string
}

// try runs a command of the program, or of somebody beside it.
func (o operator) try(name string, args ...string) (string, error) {
	if name == "bolwerk" {
		name = o.program
	}
	c := exec.Command("ip", append([]string{"netns", "exec", o.name, name}, args...)...)
	c.Dir = o.dir
	out, err := c.CombinedOutput()
	return string(out), err
}

func (o operator) do(name string, args ...string) string {
	o.t.Helper()
	out, err := o.try(name, args...)
	if err != nil {
		o.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return out
}

// desk runs a command of the abuse desk as somebody who works there.
func (o operator) desk(args ...string) string {
	o.t.Helper()
	return o.do("bolwerk", append(append([]string{"abuse"}, args...), "--server", "http://192.0.2.10:8080", "--token-file", "token")...)
}

// until waits until what is told fits, and gives it.
func (o operator) until(what, fits string, tell func() string) (last string) {
	o.t.Helper()
	re := regexp.MustCompile(fits)
	if err := live.Until(60*time.Second, func() (bool, error) { last = tell(); return re.MatchString(last), nil }); err != nil {
		o.t.Fatalf("%s: %v; the last was\n%s", what, err, last)
	}
	return last
}

func (o operator) file(name, text string) {
	o.t.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, name), []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// start runs the program until the test ends.
func (o operator) start() {
	o.t.Helper()
	c := exec.Command("ip", "netns", "exec", o.name, o.program, "all", "--config", "bolwerk.toml")
	c.Dir = o.dir
	out, err := c.StdoutPipe()
	if err != nil {
		o.t.Fatal(err)
	}
	log := &record{}
	c.Stderr = log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() {
		c.Process.Signal(syscall.SIGTERM)
		c.Wait()
		if o.t.Failed() {
			o.t.Logf("the program wrote:\n%s", tail(log.String(), 6000))
		}
	})
	for s := bufio.NewScanner(out); s.Scan(); {
		if strings.TrimSpace(s.Text()) == "ready" {
			go func() {
				for s.Scan() {
				}
			}()
			return
		}
	}
	o.t.Fatalf("the program did not start:\n%s", log.String())
}

const operatorConfig = `
data = "data"
operator = "Polder Telecom"
console = { listen = "192.0.2.10:8080", url = "http://192.0.2.10:8080" }
public = { listen = "192.0.2.10:8081", url = "http://192.0.2.10:8081" }
hosts = { listen = "127.0.0.1:8090", address = "127.0.0.1:8090" }
metrics = { listen = "127.0.0.1:8089" }
smtp = { listen = "127.0.0.1:2525", hostname = "mx.isp.example", addresses = ["suspicious@isp.example"] }
mail = { outbox = "outbox" }
dns = { listen = "192.0.2.10:53", allow = ["198.51.100.0/24"], upstream = ["127.0.0.1:5302"] }
warning = { listen = "127.0.0.1:8082", listen_tls = "127.0.0.1:8443", warning_addresses = ["192.0.2.1"] }
rpz = { listen = "127.0.0.1:5301" }
[abuse]
networks = ["198.51.100.0/24"]
retest = true
[abuse.accounting]
listen = "192.0.2.10:1813"
[[abuse.accounting.client]]
name = "bng1"
from = ["203.0.113.1/32"]
secret_file = "bng1.secret"
[[abuse.enforce.nas]]
name = "bng1"
address = "203.0.113.1:3799"
secret_file = "bng1.secret"
normal = "bolwerk-normal"
leaky = "bolwerk-leaky"
strict = "bolwerk-strict"
canary = "canary"
[abuse.quarantine]
mode = "on"
[abuse.garden]
listen = "192.0.2.10:80"
url = "http://192.0.2.10"
addresses = ["192.0.2.10"]
[[abuse.playbook]]
name = "open"
classes = ["vulnerable/*"]
threat = "An open service is used to attack others."
necessity = "Mail does nothing."
proportion = "Only what harms others is stopped."
[[abuse.playbook.step]]
do = "quarantine"
profile = "leaky"
days = 30
[[abuse.playbook.step]]
do = "close_if_clean"
clean_days = 14
`

// A subscriber's whole way, with every part real: a table of a feed becomes a case; a change
// of authorization puts the line's filter into the router; the check of the guest's browser
// leads to the page; the line is tested and is open yet; the resolver at home is switched off,
// the steps are ticked, release is asked for; the next change takes the filter away, and mail
// and the check go through again. Pictures are kept where BOLWERK_PICTURES names a folder.
//
//	line 198.51.100.7: browser, open resolver --- bng: router, DHCP, access server --- isp 192.0.2.10: the program
func TestASubscribersWholeWay(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: network namespaces need root")
	}
	for _, name := range []string{"ip", "nft", "dnsmasq", "curl", "radclient", "chromium"} {
		Need(t, name)
	}
	program := live.Build(t, "")
	runtime.LockOSThread() // what dies with its parent dies with this thread
	defer runtime.UnlockOSThread()
	line, bng := newSpace(t, "line"), newSpace(t, "bng")
	isp := operator{newSpace(t, "isp"), t.TempDir(), program, "a secret of bng1"}
	wire(line, bng, "acc", []string{"198.51.100.7/24"}, []string{"198.51.100.1/24"})
	wire(bng, isp.space, "up", []string{"203.0.113.1/24"}, []string{"203.0.113.2/24", "203.0.113.7/24", "203.0.113.8/24", "192.0.2.10/32"})
	line.run("ip", "route", "add", "default", "via", "198.51.100.1")
	isp.run("ip", "route", "add", "default", "via", "203.0.113.1")
	bng.run("ip", "route", "add", "192.0.2.10/32", "via", "203.0.113.2")
	bng.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
	const check = "connectivitycheck.gstatic.com"
	isp.names("127.0.0.1:5302", map[string]string{check + ".": "203.0.113.8"})
	isp.page("203.0.113.7:25", "mail")
	isp.within(func() error { // the operating system's own check
		l, err := net.Listen("tcp", "203.0.113.8:80")
		if err == nil {
			s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })}
			go s.Serve(l)
			t.Cleanup(func() { s.Close() })
		}
		return err
	})
	etc := filepath.Join("/etc/netns", line.name)
	if err := os.MkdirAll(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(etc) })
	if err := os.WriteFile(filepath.Join(etc, "resolv.conf"), []byte("nameserver 192.0.2.10\n"), 0o644); err != nil {
		t.Fatal(err)
	}

	// The router with the profiles as the program prints them, DHCP, and the access server.
	rules, err := os.Create(filepath.Join(isp.dir, "rules.nft"))
	if err == nil {
		err = allow.Print(rules, allow.Entries(), allow.NFTables, "192.0.2.10")
		rules.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	bng.run("nft", "-f", rules.Name())
	bng.run("nft", "add", "element", "inet", "bolwerk", "tests4", "{ 203.0.113.2 }") // from where the desk tests lines
	bng.serve("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root", "--pid-file=", "--log-facility=-", "--interface=acc1", "--bind-interfaces",
		"--dhcp-range=198.51.100.100,198.51.100.150,5m", "--dhcp-option=114,http://192.0.2.10/.well-known/bolwerk/captive", "--dhcp-leasefile="+filepath.Join(isp.dir, "leases"))
	server := standin.New(isp.secret, bng.filters())
	for id, at := range map[string]string{"anna": "198.51.100.7", "canary": "198.51.100.250"} {
		server.Add(standin.Session{ID: "s-" + id, User: id, Addr: netip.MustParseAddr(at)})
	}
	bng.within(func() error {
		conn, err := net.ListenPacket("udp", "203.0.113.1:3799")
		if err != nil {
			return err
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- server.Run(ctx, conn) }()
		t.Cleanup(func() { stop(); <-ended })
		return nil
	})
	filter := func() string { f, _ := server.Filter("s-anna"); return f }
	mail := func() string {
		out, _ := exec.Command("ip", "netns", "exec", line.name, "curl", "-s", "--connect-timeout", "2", "-m", "4", "http://203.0.113.7:25/").Output()
		return string(out)
	}

	// The operator's side: the program, somebody of the desk, accounting, the canary.
	isp.file("bolwerk.toml", operatorConfig)
	isp.file("bng1.secret", isp.secret+"\n")
	isp.start()
	link := regexp.MustCompile(`http://[^"]*/welcome[^"]*`).FindString(isp.do("bolwerk", "user", "invite", "mila", "--role", "duty_officer", "--data", "data", "--json"))
	isp.do("curl", "-sf", "-o", "/dev/null", "-H", "Origin: http://192.0.2.10:8080", "--data-urlencode", "password=seven grey herons by the weir", "--data-urlencode", "again=seven grey herons by the weir", link)
	isp.do("bolwerk", "token", "create", "mila", "--name", "whole way", "--scopes", "read,report,decide", "--data", "data", "--file", "token")
	account := func(who, addr, more string) {
		t.Helper()
		isp.file("acct", fmt.Sprintf("Acct-Status-Type = Interim-Update, Acct-Session-Id = \"s-%s\", User-Name = \"%s\", NAS-Identifier = \"bng1\", Framed-IP-Address = %s, Acct-Session-Time = 7200%s\n", who, who, addr, more))
		bng.run("radclient", "-r", "3", "-t", "5", "-f", filepath.Join(isp.dir, "acct"), "192.0.2.10:1813", "acct", isp.secret)
	}
	account("anna", "198.51.100.7", "")
	account("canary", "198.51.100.250", "")
	isp.until("the canary", `bng1 +radius +used`, func() string { return isp.do("bolwerk", "abuse", "nas", "list", "--data", "data") })
	if got := line.captivePortal(); got != "http://192.0.2.10/.well-known/bolwerk/captive" {
		t.Errorf("DHCP option 114: %q", got)
	}
	captive := func() string {
		out, _ := exec.Command("ip", "netns", "exec", line.name, "curl", "-s", "-m", "5", "http://192.0.2.10/.well-known/bolwerk/captive").Output()
		return string(out)
	}
	checked := func() string {
		out, _ := exec.Command("ip", "netns", "exec", line.name, "curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", "-m", "5", "http://"+check+"/generate_204").Output()
		return string(out)
	}
	if got := captive() + mail() + checked(); !strings.Contains(got, `"captive":false`) || !strings.HasSuffix(got, "mail204 ") {
		t.Fatalf("before: %s", got)
	}

	// The report, and what comes of it.
	resolver := []string{"--keep-in-foreground", "--no-resolv", "--no-hosts", "--user=root", "--pid-file=", "--conf-file=/dev/null", "--bind-interfaces", "--listen-address=198.51.100.7", "--server=192.0.2.10"}
	off := line.serve("dnsmasq", resolver...)
	now := time.Now().UTC()
	table := now.Format(time.DateOnly) + "-scan_dns-example-asn.csv"
	isp.file(table, fmt.Sprintf("timestamp,severity,ip,protocol,port,hostname,tag,asn,geo,region,city,naics,sector,dns_version,min_amplification\n%q,medium,198.51.100.7,udp,53,,openresolver,64496,BE,,,0,,,2.1\n", now.Add(-10*time.Minute).Format(time.DateTime)))
	isp.desk("import", table)
	isp.until("the change at the access server", "^bolwerk-leaky$", filter)
	isp.until("the page at the edge", `"captive":true`, captive)
	isp.until("the guest's check", "^302 http://192.0.2.10/$", checked)
	if got := mail(); got != "" {
		t.Errorf("mail from a line in quarantine: %q", got)
	}
	account("anna", "198.51.100.7", `, Filter-Id = "bolwerk-leaky"`)
	ref := regexp.MustCompile(`AB-[0-9]{4}-[0-9]{6}`).FindString(isp.desk("case", "list", "--subscriber", "anna", "--reason", "the story"))
	show := func() string { return strings.Join(strings.Fields(isp.desk("case", "show", ref)), " ") }

	// In the guest's browser, which runs in the line's namespace and is driven by a pipe.
	wrap := filepath.Join(t.TempDir(), "browser")
	if err := os.WriteFile(wrap, fmt.Appendf(nil, "#!/bin/sh\nexec ip netns exec %s chromium \"$@\"\n", line.name), 0o755); err != nil {
		t.Fatal(err)
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(wrap), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("accept-lang", "nl"),
		chromedp.Flag("disable-features", "HttpsUpgrades,HttpsFirstBalancedMode,HttpsFirstBalancedModeAutoEnable"))...)
	defer stop()
	ctx, cancel := chromedp.NewContext(alloc)
	defer cancel()
	ctx, late := context.WithTimeout(ctx, 3*time.Minute)
	defer late()
	do := func(what string, steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	page := func() string {
		t.Helper()
		do("the page", chromedp.Navigate("http://192.0.2.10/?lang=nl"), chromedp.WaitVisible(chromedp.CSS("h1")))
		got, err := chromedp.Run(ctx, chromedp.TextContent(chromedp.CSS("body")))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	picture := func(name string) {
		t.Helper()
		dir := os.Getenv("BOLWERK_PICTURES")
		if dir == "" {
			return
		}
		b, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "line-"+name+".png"), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	do("the check", chromedp.EmulateViewport(390, 844), chromedp.Navigate("http://"+check+"/generate_204"), chromedp.WaitVisible(chromedp.CSS("h1")))
	if where, err := chromedp.Run(ctx, chromedp.Location()); err != nil || where != "http://192.0.2.10/" {
		t.Fatalf("the check led to %s (%v)", where, err)
	}
	isp.until("the page", "Uw internet staat in de veilige omgeving", page)
	picture("page")
	do("test the line", chromedp.Click(chromedp.CSS("button[value=test]")), chromedp.WaitVisible(chromedp.CSS("#test strong")))
	isp.until("what the test found", "we zien het nog", page)
	picture("tested")
	if got := show(); !strings.Contains(got, "test open,") {
		t.Errorf("the case says %s", got)
	}
	if out, err := isp.try("bolwerk", "abuse", "case", "retest", ref, "--server", "http://192.0.2.10:8080", "--token-file", "token"); err == nil || !strings.Contains(out, "less than 10 minutes ago") {
		t.Errorf("the desk tests at once again: %s (%v)", out, err)
	}
	off()
	for i := range garden.Amplifier.Steps() {
		do("tick", chromedp.Click(chromedp.CSS("button[value=done]")), chromedp.WaitVisible(chromedp.CSS(fmt.Sprintf(".plan li:nth-child(%d).done", i+1))))
	}
	picture("ticked")
	do("release", chromedp.Click(chromedp.CSS("button[value=release]")), chromedp.WaitVisible(chromedp.CSS(".now .button")))
	picture("asked")
	isp.until("the change back", "^bolwerk-normal$", filter)
	account("anna", "198.51.100.7", `, Filter-Id = "bolwerk-normal"`)
	isp.until("the page of a free line", "Deze lijn staat niet in de veilige omgeving", page)
	picture("free")
	isp.until("the check of a free line", "^204 $", checked)
	if got := captive() + mail(); !strings.Contains(got, `"captive":false`) || !strings.HasSuffix(got, "mail") {
		t.Errorf("after: %s", got)
	}
	isp.until("the case", "released", show)
}
