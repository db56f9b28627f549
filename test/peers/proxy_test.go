//go:build peers

package peers

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"bolwerk/bench/product"
	"bolwerk/test/live"
)

const proxyDesk, proxyPublic = "desk.voorbeeld.example", "veilig.voorbeeld.example"

// docs/do/proxy.md is what an operator copies: nginx takes it as it stands, but
// for ports, certificates and the staff's network, and what goes through it is
// what the page promises.
func TestBehindNginxAsTheDocumentsSay(t *testing.T) {
	binary := Need(t, "nginx")
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "do", "proxy.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	console, public, plain, secure := FreePort(t), FreePort(t), FreePort(t), FreePort(t)
	startBehind(t, dir, console, public, fenced(t, string(page), "toml"))
	roots := nginx(t, binary, dir, plain, secure, mended(t, fenced(t, string(page), "nginx"), map[string]string{
		`listen 443 ssl;`: fmt.Sprintf("listen %s ssl;", secure), `listen [::]:443 ssl;`: "",
		`listen 80;`: fmt.Sprintf("listen %s;", plain), `listen [::]:80;`: "",
		`/etc/ssl/bolwerk`: dir, `198.51.100.0/24`: "127.0.7.0/24",
		`127.0.0.1:8080`: console.String(), `127.0.0.1:8081`: public.String(),
	}))

	// from is a browser in a network of its own.
	from := func(source string) *http.Client {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: 5 * time.Second}
		return &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
				to := secure
				if strings.HasSuffix(addr, ":80") {
					to = plain
				}
				return d.DialContext(ctx, "tcp", to.String())
			}}}
	}
	staff, stranger, other := from("127.0.7.1"), from("127.0.8.1"), from("127.0.9.1")
	want := func(what string, c *http.Client, r *http.Request, status int) *http.Response {
		t.Helper()
		res, err := c.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("%s: %s, want %d: %.300s", what, res.Status, status, b)
		}
		return res
	}
	get := func(url string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if res := want("plain HTTP", stranger, get("http://"+proxyPublic+"/report?x=1"), 301); res.Header.Get("Location") != "https://"+proxyPublic+"/report?x=1" {
		t.Errorf("plain HTTP leads to %q", res.Header.Get("Location"))
	}
	want("the public site", stranger, get("https://"+proxyPublic+"/"), 200)
	want("the console for the staff", staff, get("https://"+proxyDesk+"/login"), 200)
	want("the console for a stranger", stranger, get("https://"+proxyDesk+"/login"), 403)
	wrong := get("https://" + proxyPublic + "/")
	wrong.Host = "bank.example"
	want("another name, which nginx gives to its first server", staff, wrong, 421)

	// A whole mail, larger than what nginx takes by itself.
	mail := func(size int, forwarded string) *http.Request {
		body := "From: a@voorbeeld.example\r\nSubject: x\r\n\r\nhttp://slecht.example/login\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", size/72)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+proxyPublic+"/api/v1/reports", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "message/rfc822")
		if forwarded != "" {
			r.Header.Set("X-Forwarded-For", forwarded)
		}
		return r
	}
	want("a mail of 20 MB", stranger, mail(20<<20, ""), 201)
	// The quota is of who is behind the proxy, and what they say of themselves is
	// not believed.
	refused := false
	for n := 0; n < 500 && !refused; n++ {
		res, err := stranger.Do(mail(100, fmt.Sprintf("198.51.%d.1", n%256)))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		refused = res.StatusCode == http.StatusTooManyRequests
	}
	if !refused {
		t.Error("whoever names another address each time has no quota")
	}
	want("a report of another network", other, mail(100, ""), 201)
}

// fenced is the first block of a language in a page.
func fenced(t *testing.T, page, lang string) string {
	t.Helper()
	m := regexp.MustCompile("(?s)\n```" + lang + "[^\n]*\n(.*?)\n```").FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no %s in the page", lang)
	}
	return m[1]
}

// mended replaces what a test cannot have; each must be there.
func mended(t *testing.T, text string, by map[string]string) string {
	t.Helper()
	var pairs []string
	for from, to := range by {
		if !strings.Contains(text, from) {
			t.Errorf("the page has no %q any more", from)
		}
		pairs = append(pairs, from, to)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// startBehind runs the program with the page's own configuration.
func startBehind(t *testing.T, dir string, console, public netip.AddrPort, toml string) {
	t.Helper()
	binary, err := product.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	toml = mended(t, toml, map[string]string{"127.0.0.1:8080": console.String(), "127.0.0.1:8081": public.String()})
	config := filepath.Join(dir, "bolwerk.toml")
	ip, port := live.Address(t), 7000 // where no connection of others gets a port in between
	at := func() string { port++; return fmt.Sprintf("%s:%d", ip, port) }
	text := fmt.Sprintf("data = %q\noperator = 'Voorbeeld'\nhosts = { listen = %q, address = 'localhost:1' }\nmetrics = { listen = %q }\nsmtp = { listen = %q, addresses = ['x@voorbeeld.example'] }\ndns = { listen = %q, upstream = ['127.0.0.1:9'] }\n"+
		"warning = { listen = %q, listen_tls = %q, warning_addresses = ['192.0.2.1'] }\nrpz = { listen = %q }\n%s\n", filepath.Join(dir, "data"), at(), at(), at(), at(), at(), at(), at(), toml)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "all", "--config", config)
	var log bytes.Buffer
	cmd.Stderr, cmd.Dir = &log, dir
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	run(t, cmd)
	for sc := bufio.NewScanner(out); sc.Scan(); {
		if sc.Text() == "ready" {
			go io.Copy(io.Discard, out)
			return
		}
	}
	cmd.Wait()
	t.Fatalf("the program is not ready:\n%s", log.String())
}

// run starts a process that ends with the test.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
}

// nginx runs an nginx of our own with the page's servers, after it has checked
// them, and gives the authority of their certificates.
func nginx(t *testing.T, binary, dir string, plain, secure netip.AddrPort, servers string) *x509.CertPool {
	t.Helper()
	roots := x509.NewCertPool()
	for file, name := range map[string]string{"desk": proxyDesk, "veilig": proxyPublic} {
		roots.AddCert(certificate(t, filepath.Join(dir, file), name))
	}
	config := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf("daemon off;\nmaster_process off;\npid %[1]s/nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\nclient_body_temp_path %[1]s/body;\nproxy_temp_path %[1]s/proxy;\n"+
		"fastcgi_temp_path %[1]s/f;\nuwsgi_temp_path %[1]s/u;\nscgi_temp_path %[1]s/s;\n%[2]s\n}\n", dir, servers)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(binary, "-t", "-q", "-p", dir, "-c", config, "-e", "stderr").CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("nginx -t: %v\n%s", err, out)
	}
	cmd := exec.Command(binary, "-p", dir, "-c", config, "-e", "stderr")
	var log bytes.Buffer
	cmd.Stderr = &log
	run(t, cmd)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", secure.String())
		if err == nil {
			c.Close()
			return roots
		}
		if time.Now().After(end) {
			t.Fatalf("nginx does not answer: %v\n%s", err, log.String())
		}
	}
}

// certificate writes FILE.pem and FILE.key for a name.
func certificate(t *testing.T, file, name string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{file + ".pem": {Type: "CERTIFICATE", Bytes: der}, file + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
